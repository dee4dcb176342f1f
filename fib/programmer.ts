/**
 * Owns the order in which this host's kernel is changed: routes in bounded slices, containers' links before their routes, policy before a
 * link comes up. Nothing is written before `open` has resolved with the kernel's present state read (adopted).
 */
import type { Address, Family } from '../src/net/address.ts';
import { hostPrefix, type Prefix } from '../src/net/prefix.ts';
import { EndpointLinks } from './endpoints/endpoint-links.ts';
import type { EndpointSpec } from './endpoints/plan.ts';
import type { PreparedEndpoint } from './endpoints/preparation.ts';
import { prepareNamespaces } from './netlink/namespace.ts';
import { listRoutes, viewOfPrefix } from './routes/inspect.ts';
import { KernelWatch } from './routes/kernel-watch.ts';
import { NextHopTracker } from './routes/next-hops.ts';
import { RouteTable } from './routes/route-table.ts';
import type { BrakeEvent, RouteFailure } from './routes/types.ts';

/**
 * A slice of route work, one batch as a rule; timers and sockets get their turn between slices. While routes pour in, a queue that grows is
 * worked off with less of the kernel's time: see IdQueue in routes/family-routes.ts.
 */
const SLICE_MS = 1;
/** After an error of the netlink socket itself. */
const BROKEN_RETRY_MS = 1000;

export interface FibProgrammerOptions {
  /** path of the network namespace; default: the one we are in */
  readonly netns?: string;
  /** how our routes are marked, and where they go */
  readonly routes?: RouteSettings;
  /** somebody else changed or removed a route of ours; it is put right at once */
  readonly onInterference?: (prefix: Prefix) => void;
  /** the brake on mass deletion takes hold or lets go */
  readonly onBrake?: (event: BrakeEvent) => void;
  readonly onError: (error: unknown, what: string) => void;
}

/** What an operator may set of all our routes. */
export interface RouteSettings {
  /** routing protocol number of routes and next-hop objects, by which they are known again; default 171 */
  readonly protocol?: number | undefined;
  /** default 1024 */
  readonly metric?: number | undefined;
  /** routing table, default 254 (main); with another one, rules that lead there are the operator's */
  readonly table?: number | undefined;
  /** source of this host's own packets over learned routes; one of its addresses */
  readonly preferredSource?: Readonly<Partial<Record<Family, Address>>> | undefined;
}

/** The kernel side of one host. */
export class FibProgrammer {
  readonly kernel: KernelWatch;
  readonly routes: RouteTable;
  readonly nextHops: NextHopTracker;
  readonly links: EndpointLinks;
  readonly #onError: FibProgrammerOptions['onError'];
  readonly #appliedListeners = new Set<() => void>();
  #immediate: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #held = true;

  private constructor(options: FibProgrammerOptions) {
    this.#onError = options.onError;
    const netns = options.netns === undefined ? {} : { netns: options.netns };
    const { protocol, metric, table, preferredSource } = options.routes ?? {};
    this.kernel = KernelWatch.open({
      ...netns,
      protocol,
      table,
      onError: (error) => options.onError(error, 'read the kernel'),
    });
    this.routes = new RouteTable(this.kernel, {
      onWork: () => this.#schedule(),
      metric,
      preferredSource,
      ...(options.onInterference === undefined ? {} : { onInterference: options.onInterference }),
      ...(options.onBrake === undefined ? {} : { onBrake: options.onBrake }),
    });
    this.nextHops = new NextHopTracker(this.kernel);
    this.links = EndpointLinks.open(netns);
  }

  /** Reads links, addresses and routes. Writes nothing. Rejects with a NetlinkError. */
  static async open(options: FibProgrammerOptions): Promise<FibProgrammer> {
    await prepareNamespaces();
    const programmer = new FibProgrammer(options);
    await programmer.kernel.start();
    return programmer;
  }

  /** From now on desired routes are written. Called when the store is in sync, so that no half picture reaches the kernel. */
  release(): void {
    this.#held = false;
    this.#schedule();
  }

  /** Whether the kernel holds routes of ours in this family: from an earlier life, if asked before `release`. */
  holdsOwnRoutes(family: Family): boolean {
    for (const view of listRoutes(this.routes, family)) if (view.kernel !== undefined) return true;
    return false;
  }

  /** Whether the prefix stands in the kernel as desired, be it that some of several next hops are out. */
  isInstalled(prefix: Prefix): boolean {
    const state = viewOfPrefix(this.routes, prefix)?.state;
    return state === 'installed' || state === 'partial';
  }

  /**
   * Makes a container's link with both ends configured and asks for its routes; the host end stays down (or as it was), so that nothing flows
   * until `activateEndpoint`. Throws an EndpointError.
   */
  prepareEndpoint(spec: EndpointSpec): PreparedEndpoint {
    const prepared = this.links.prepare(spec);
    this.kernel.drain();
    for (const address of spec.addresses) {
      this.routes.setRoute(hostPrefix(address), 'endpoint', {
        kind: 'unicast',
        nextHops: [{ ifindex: prepared.hostIfindex }],
      });
    }
    return prepared;
  }

  /** The endpoint's policy is in the kernel: lets packets flow. Its routes follow at once. Throws an EndpointError. */
  activateEndpoint(spec: EndpointSpec, prepared: PreparedEndpoint): void {
    this.links.activate(spec, prepared);
    this.kernel.drain();
  }

  /** Takes an endpoint's routes and link away, whatever is gone already. Throws an EndpointError. */
  removeEndpoint(id: string, addresses: EndpointSpec['addresses']): boolean {
    for (const address of addresses) this.routes.removeRoute(hostPrefix(address), 'endpoint');
    return this.links.detach(id);
  }

  /**
   * Takes an endpoint's routes away and its link down: nothing reaches it or comes from it any more. `links.remove` does the rest. Throws
   * an EndpointError.
   */
  cutEndpoint(id: string, addresses: EndpointSpec['addresses']): boolean {
    for (const address of addresses) this.routes.removeRoute(hostPrefix(address), 'endpoint');
    return this.links.cut(id);
  }

  /**
   * Resolves when every prefix stands in the kernel; rejects after `timeoutMs` with what the kernel says of the first that does not.
   */
  installed(prefixes: readonly Prefix[], timeoutMs: number): Promise<void> {
    const missing = (): Prefix | undefined => prefixes.find((prefix) => !this.isInstalled(prefix));
    if (missing() === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const finish = this.onApplied(() => {
        if (missing() !== undefined) return;
        clearTimeout(timer);
        finish();
        resolve();
      });
      const timer = setTimeout(() => {
        finish();
        const prefix = missing();
        const view = prefix && viewOfPrefix(this.routes, prefix);
        reject(
          new Error(
            `its route is not in the kernel after ${timeoutMs / 1000} s: ${describe(view?.state, view?.failure)}`,
          ),
        );
      }, timeoutMs);
    });
  }

  /** Calls the listener after each slice that wrote or may have learned something; returns what ends that. */
  onApplied(listener: () => void): () => void {
    this.#appliedListeners.add(listener);
    return () => void this.#appliedListeners.delete(listener);
  }

  /** Stops; what is in the kernel stays. */
  close(): void {
    this.#closed = true;
    if (this.#immediate !== undefined) clearImmediate(this.#immediate);
    clearTimeout(this.#retry);
    this.nextHops.close();
    this.routes.close();
    this.links.close();
    this.kernel.close();
  }

  #schedule(): void {
    if (this.#closed || this.#held || this.#immediate !== undefined) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      this.#slice();
    });
  }

  #slice(): void {
    clearTimeout(this.#retry);
    try {
      const { more, retryAtMs } = this.routes.apply(SLICE_MS);
      if (more) this.#schedule();
      else if (retryAtMs !== undefined) this.#retryIn(Math.max(1, retryAtMs - performance.now()));
    } catch (error) {
      this.#onError(error, 'write routes');
      this.#retryIn(BROKEN_RETRY_MS);
    }
    for (const listener of [...this.#appliedListeners]) listener();
  }

  #retryIn(delayMs: number): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#schedule(), delayMs);
    this.#retry.unref();
  }
}

function describe(state: string | undefined, failure: RouteFailure | undefined): string {
  if (failure === undefined) return state ?? 'not asked for';
  return `${failure.code}${failure.text === '' ? '' : ` (${failure.text})`}`;
}
