/** The kernel's routing table behind a speaker alone (`--fib`): best routes and static routes go there, next hops are followed. */
import type { Speaker } from '../../bgp/speaker.ts';
import { FibProgrammer, type RouteSettings } from '../../fib/programmer.ts';
import { routeCounts } from '../../fib/routes/inspect.ts';
import type { LinkTable } from '../../fib/routes/link-table.ts';
import type { TrackedNextHop } from '../../fib/routes/next-hops.ts';
import type { NodePeer } from '../agent/bgp/peer-types.ts';
import { ReachableBy } from '../agent/bgp/reachable-by.ts';
import { fibApiRoutes, logBrake, tableFindings } from '../agent/fib-api.ts';
import { LearnedRoutes } from '../agent/learned-routes.ts';
import type { Log } from '../agent/log.ts';
import type { ApiRoutes } from '../api/server.ts';
import type { Finding } from '../api/views.ts';
import { FAMILIES, formatAddress } from '../net/address.ts';
import { formatPrefix } from '../net/prefix.ts';
import type { Forwarding } from './daemon.ts';
import type { StaticRoute } from './static-routes.ts';

interface KernelStatic {
  readonly route: StaticRoute;
  readonly form: string;
  readonly tracked: TrackedNextHop | undefined;
}

/** Owns the FIB side. */
export class SpeakKernel implements Forwarding {
  readonly preserved: Forwarding['preserved'];
  readonly #fib: FibProgrammer;
  readonly #advertiseAtOnce: boolean;
  readonly #gateways: ReachableBy;
  readonly #statics = new Map<string, KernelStatic>();
  #learned: LearnedRoutes | undefined;
  #swept = false;

  private constructor(fib: FibProgrammer, advertiseAtOnce: boolean) {
    this.#fib = fib;
    this.#advertiseAtOnce = advertiseAtOnce;
    this.#gateways = new ReachableBy(fib.routes);
    this.preserved = { ipv4: fib.holdsOwnRoutes('ipv4'), ipv6: fib.holdsOwnRoutes('ipv6') };
  }

  /**
   * Reads the kernel; writes nothing. `routes`: marks and table of our routes. `advertiseAtOnce`: learned routes are told to others before the
   * kernel has taken them. Rejects with a NetlinkError.
   */
  static async open(log: Log, routes: RouteSettings, advertiseAtOnce: boolean): Promise<SpeakKernel> {
    const fib = await FibProgrammer.open({
      routes,
      onInterference: (prefix) =>
        log.warn({ prefix: formatPrefix(prefix) }, 'somebody else changed a route of ours; it is put right'),
      onBrake: (event) => logBrake(log, event),
      onError: (error, what) => log.error({ error }, `cannot ${what}`),
    });
    return new SpeakKernel(fib, advertiseAtOnce);
  }

  /** Interfaces and their addresses, kept current. */
  get links(): LinkTable {
    return this.#fib.kernel.links;
  }

  /** A route may have become ready, or ceased to be. */
  onRoutes(listener: () => void): void {
    this.#fib.onApplied(listener);
  }

  attach(speaker: Speaker): void {
    const { routes, nextHops } = this.#fib;
    this.#learned = new LearnedRoutes(speaker.rib, routes, nextHops, this.#advertiseAtOnce);
    speaker.onDeferralEnd((family) => this.#fib.routes.sweep(family, 'learned'));
  }

  detach(): void {
    this.#learned?.close();
    this.#learned = undefined;
  }

  setGateways(peers: readonly NodePeer[]): Finding[] {
    return this.#gateways.set(peers, this.#fib.kernel.links.all());
  }

  setStatics(routes: readonly StaticRoute[]): void {
    const wanted = new Map(routes.map((route) => [formatPrefix(route.prefix), route]));
    for (const [key, { route, form, tracked }] of this.#statics) {
      const next = wanted.get(key);
      if (next !== undefined && formOf(next) === form) continue;
      tracked?.release();
      this.#fib.routes.removeRoute(route.prefix, sourceOf(route));
      this.#statics.delete(key);
    }
    for (const [key, route] of wanted) {
      if (this.#statics.has(key) || route.forwarding.kind === 'none') continue;
      this.#statics.set(key, { route, form: formOf(route), tracked: this.#install(route) });
    }
    if (this.#swept) return;
    this.#swept = true;
    this.#fib.release();
    for (const family of FAMILIES) this.#fib.routes.sweep(family, 'local');
  }

  isReady(route: StaticRoute): boolean {
    return route.forwarding.kind === 'none' || this.#fib.isInstalled(route.prefix);
  }

  /** Routes that are wanted in the kernel, and what of them is not there yet. */
  routeCounts(): { readonly desired: number; readonly pending: number; readonly failed: number } {
    const counts = FAMILIES.map((family) => routeCounts(this.#fib.routes, family));
    const sum = (field: 'desired' | 'pending' | 'failed'): number =>
      counts.reduce((total, each) => total + each[field], 0);
    return { desired: sum('desired'), pending: sum('pending'), failed: sum('failed') };
  }

  /** What keeps packets from following our routes. */
  findings(): Finding[] {
    return tableFindings(this.#fib.routes);
  }

  /** `/v1/routes...`, as the agent answers them. */
  apiRoutes(): ApiRoutes {
    return fibApiRoutes(this.#fib.routes);
  }

  /** Stops; what is in the kernel stays. */
  close(): void {
    this.detach();
    for (const { tracked } of this.#statics.values()) tracked?.release();
    this.#fib.close();
  }

  #install({ prefix, forwarding }: StaticRoute): TrackedNextHop | undefined {
    const { routes, nextHops } = this.#fib;
    if (forwarding.kind === 'none') return undefined;
    if (forwarding.kind !== 'via') {
      routes.setRoute(prefix, 'block', { kind: forwarding.kind, nextHops: [] });
      return undefined;
    }
    const follow = ({ resolution }: Pick<TrackedNextHop, 'resolution'>): void => {
      if (resolution.reachable) {
        routes.setRoute(prefix, 'remote', { kind: 'unicast', nextHops: resolution.nextHops });
      } else routes.removeRoute(prefix, 'remote');
    };
    const tracked = nextHops.track(forwarding.nextHop, 0, (resolution) => follow({ resolution }));
    follow(tracked);
    return tracked;
  }
}

function sourceOf({ forwarding }: StaticRoute): 'block' | 'remote' {
  return forwarding.kind === 'via' ? 'remote' : 'block';
}

function formOf({ forwarding }: StaticRoute): string {
  return forwarding.kind === 'via' ? `via ${formatAddress(forwarding.nextHop)}` : forwarding.kind;
}
