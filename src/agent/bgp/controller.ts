/**
 * Owns the speaker: makes it from Node and BGPConfiguration, gives it the peers of this node, lets the kernel's next hops and the Loc-RIB
 * meet, and makes it anew only when its identity or port changes.
 */
import { builtinExport, builtinImport } from '../../../bgp/policy/builtin.ts';
import type { SpeakerEvent } from '../../../bgp/speaker/events.ts';
import { Speaker } from '../../../bgp/speaker.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import type { Link } from '../../../fib/routes/link-table.ts';
import type { Finding } from '../../api/views.ts';
import type { Address, Family } from '../../net/address.ts';
import {
  formatPrefix,
  hostPrefix,
  type Prefix,
  prefixContainsAddress,
  prefixesEqual,
  prefixOf,
} from '../../net/prefix.ts';
import { CoalescedTask } from '../coalesced.ts';
import { LearnedRoutes } from '../learned-routes.ts';
import type { Log } from '../log.ts';
import type { IdentityResult } from '../node-identity.ts';
import type { ResourceCache } from '../resources/cache.ts';
import type { Originator } from './originator.ts';
import { DEFAULT_BGP_PORT, type NodePeer, selectPeers } from './peers.ts';
import { logSpeakerEvent } from './speaker-log.ts';

/** Equal-cost paths used together; as many as a kernel route takes without thinking about it. */
const MAX_PATHS = 64;
/** RFC 4724 4.1: how long selection waits for peers at most. */
const DEFERRAL_SEC = 30;

export interface BgpControllerOptions {
  readonly log: Log;
  readonly cache: ResourceCache;
  readonly fib: FibProgrammer;
  readonly originator: Originator;
  readonly identity: () => IdentityResult;
  readonly blocks: () => readonly Prefix[];
  /** addresses of these blocks that other nodes have borrowed */
  readonly lent: () => readonly Address[];
  /** prefixes within which the routes are made from the store */
  readonly routedOtherwise: () => readonly Prefix[];
  /** prefix of our own links */
  readonly linkPrefix: string;
}

/** What a speaker cannot change while it runs. */
interface Fixed {
  readonly routerId: number;
  readonly localAs: number;
  readonly port: number;
}

/** The BGP half of the agent. */
export class BgpController {
  readonly #options: BgpControllerOptions;
  readonly #task: CoalescedTask;
  #speaker: Speaker | undefined;
  #learned: LearnedRoutes | undefined;
  #fixed: Fixed | undefined;
  #peers: readonly NodePeer[] = [];
  #findings: readonly Finding[] = [];
  #listenError: string | undefined;
  /** peers that were directly connected when last seen so: a link that flaps must not turn them into multihop peers */
  #connected: Prefix[] = [];
  /** what the kernel held before we wrote anything */
  #preserved: Readonly<Record<Family, boolean>> = { ipv4: false, ipv6: false };

  constructor(options: BgpControllerOptions) {
    this.#options = options;
    this.#task = new CoalescedTask(
      () => this.#reconcile(),
      (error) => options.log.error({ error }, 'BGP could not be configured'),
    );
  }

  /** Starts speaking. `preserved`: families of which the kernel holds routes of an earlier life. */
  async start(preserved: Readonly<Record<Family, boolean>>): Promise<void> {
    this.#preserved = preserved;
    await this.#reconcile();
  }

  /** Something that peers, policy or identity depend on changed. */
  update(): void {
    if (this.#speaker !== undefined) this.#task.trigger();
  }

  get speaker(): Speaker | undefined {
    return this.#speaker;
  }

  get port(): number {
    return this.#fixed?.port ?? DEFAULT_BGP_PORT;
  }

  get peers(): readonly NodePeer[] {
    return this.#peers;
  }

  /** The resource that a peer comes from. */
  resourceOf(peer: string): string {
    return this.#peers.find(({ config }) => config.name === peer)?.resource ?? '';
  }

  /** What an operator should know of peers and listening. */
  findings(): Finding[] {
    const findings = [...this.#findings];
    if (this.#listenError !== undefined) {
      findings.push({ severity: 'error', code: 'bgp-not-listening', message: this.#listenError });
    }
    return findings;
  }

  /** Leaves without a NOTIFICATION, so that helpers keep our routes; the kernel stays as it is. */
  async stop(): Promise<void> {
    await this.#task.close();
    await this.#speaker?.stop({ mode: 'keep-forwarding' });
    this.#learned?.close();
  }

  async #reconcile(): Promise<{ afterMs?: number }> {
    const { cache, identity, fib } = this.#options;
    const configuration = cache.get('BGPConfiguration', 'default');
    const { identity: node, routerId } = identity();
    const connected = connectedSubnets(fib.kernel.links.all(), this.#options.linkPrefix);
    this.#rememberConnected(connected);
    const selection = selectPeers({
      node,
      nodes: cache.list('Node'),
      configuration,
      peers: cache.list('BGPPeer'),
      connected: this.#connected,
      importPolicy: builtinImport({
        ownBlocks: this.#options.blocks(),
        lent: this.#options.lent().map(hostPrefix),
        routedOtherwise: this.#options.routedOtherwise(),
        connectedSubnets: connected,
      }),
      exportPolicy: builtinExport(),
    });
    this.#findings = selection.findings;
    const fixed = {
      routerId,
      localAs: node.asNumber,
      port: configuration?.spec.listenPort || DEFAULT_BGP_PORT,
    };
    if (this.#speaker === undefined || !sameFixed(fixed, this.#fixed)) await this.#replaceSpeaker(fixed);
    this.#peers = selection.peers;
    this.#speaker?.setPeers(selection.peers.map(({ config }) => config));
    return {};
  }

  #rememberConnected(now: readonly Prefix[]): void {
    const gone = this.#connected.filter((old) => !now.some((subnet) => prefixesEqual(old, subnet)));
    this.#connected = [
      ...now,
      ...gone.filter((old) => this.#peers.some(({ config }) => prefixContainsAddress(old, config.address))),
    ];
  }

  async #replaceSpeaker(fixed: Fixed): Promise<void> {
    const { log, fib, originator } = this.#options;
    if (this.#speaker !== undefined) {
      log.warn({ from: this.#fixed, to: fixed }, 'router id, AS or port changed: all BGP sessions are reset');
      originator.attach(undefined);
      await this.#speaker.stop({ mode: 'shutdown', text: 'configuration changed' });
      while (this.#speaker.rib.work(() => false));
      this.#learned?.close();
    }
    const isFirst = this.#speaker === undefined;
    this.#fixed = fixed;
    this.#listenError = undefined;
    const speaker = new Speaker({
      routerId: fixed.routerId,
      localAs: fixed.localAs,
      listen: { port: fixed.port },
      nextHopTracking: true,
      gracefulRestart: {
        forwardingPreserved: isFirst ? this.#preserved : { ipv4: false, ipv6: false },
        deferralSec: DEFERRAL_SEC,
      },
      maxPaths: MAX_PATHS,
      relaxAsPath: true,
      log: (event) => this.#onEvent(event),
    });
    this.#speaker = speaker;
    this.#learned = new LearnedRoutes(speaker.rib, fib.routes, fib.nextHops);
    speaker.onDeferralEnd((family) => fib.routes.sweep(family, 'learned'));
    originator.attach(speaker);
    speaker.start();
  }

  #onEvent(event: SpeakerEvent): void {
    if (event.type === 'listening') this.#listenError = undefined;
    if (event.type === 'listen-failed') this.#listenError = event.error.message;
    logSpeakerEvent(this.#options.log, event);
  }
}

/** Subnets of this host's links, without those of containers and without host addresses. */
export function connectedSubnets(links: readonly Link[], linkPrefix: string): Prefix[] {
  const subnets = new Map<string, Prefix>();
  for (const link of links) {
    if (link.isLoopback || !link.isUp || link.name.startsWith(linkPrefix)) continue;
    for (const { address, length, scope } of link.addresses) {
      if (scope !== 0 || length === address.bytes.length * 8) continue;
      const subnet = prefixOf(address, length);
      subnets.set(formatPrefix(subnet), subnet);
    }
  }
  return [...subnets.values()];
}

function sameFixed(a: Fixed, b: Fixed | undefined): boolean {
  return b !== undefined && a.routerId === b.routerId && a.localAs === b.localAs && a.port === b.port;
}
