/**
 * A speaker that does what a plan says, and follows it from plan to plan: peers and routes change under their sessions where they can. Only
 * another router id, AS, cluster id or port needs a new speaker.
 */
import type { HostLinks } from '../../bgp/speaker/link-guard.ts';
import type { ListenConfig } from '../../bgp/speaker/listeners.ts';
import { Speaker } from '../../bgp/speaker.ts';
import { type PeerSources, withDynamic } from '../agent/bgp/dynamic.ts';
import type { NodePeer, NodeRange } from '../agent/bgp/peer-types.ts';
import { DEFAULT_BGP_PORT } from '../agent/bgp/peer-types.ts';
import { sessionEffects } from '../agent/bgp/preview.ts';
import { logSpeakerEvent } from '../agent/bgp/speaker-log.ts';
import type { BgpSource } from '../agent/bgp-routes.ts';
import type { Log } from '../agent/log.ts';
import type { Finding } from '../api/views.ts';
import { addressToUint32, parseAddress } from '../net/address.ts';
import { formatPrefix } from '../net/prefix.ts';
import type { SpeakPlan } from './plan.ts';
import type { StaticRoute } from './static-routes.ts';

/** RFC 4724 4.1: how long selection waits for peers at most, when the kernel holds routes of an earlier life. */
const DEFERRAL_SEC = 30;
/** Equal-cost paths used together, where there is a kernel to use them. */
const MAX_PATHS = 64;
const NOTHING_PRESERVED = { ipv4: false, ipv6: false };

/** Where best routes go; see `kernel.ts`. */
export interface Forwarding {
  /** families of which the kernel held routes of ours at the start */
  readonly preserved: Readonly<Record<'ipv4' | 'ipv6', boolean>>;
  /** the speaker's routes go to the kernel from now on */
  attach(speaker: Speaker): void;
  /** ends that; routes stay */
  detach(): void;
  /** makes these the routes to peers with `reachableBy`; returns what is wrong with them. To be called before the first `setStatics` */
  setGateways(peers: readonly NodePeer[]): readonly Finding[];
  /** makes these the static routes of the kernel */
  setStatics(routes: readonly StaticRoute[]): void;
  /** whether packets for the route find their way: only then is it announced */
  isReady(route: StaticRoute): boolean;
}

export interface SpeakDaemonOptions {
  readonly log: Log;
  /** undefined: nobody can dial us; absent port: that of the BGPConfiguration, else 179 */
  readonly listen: (Omit<ListenConfig, 'port'> & { readonly port?: number }) | undefined;
  readonly kernel?: Forwarding | undefined;
  /** the host's links, for sessions that end with theirs */
  readonly links?: HostLinks | undefined;
}

/** What a speaker cannot change while it runs. */
interface Fixed {
  readonly routerId: number;
  readonly localAs: number;
  readonly clusterId: string | undefined;
  readonly listen: ListenConfig | undefined;
}

interface Originated {
  readonly route: StaticRoute;
  /** attributes as text: to see whether they changed */
  readonly form: string;
}

/** Owns the speaker. */
export class SpeakDaemon implements BgpSource {
  readonly #options: SpeakDaemonOptions;
  #speaker: Speaker | undefined;
  #fixed: Fixed | undefined;
  #peers: readonly NodePeer[] = [];
  #ranges: readonly NodeRange[] = [];
  #statics: readonly StaticRoute[] = [];
  readonly #originated = new Map<string, Originated>();

  constructor(options: SpeakDaemonOptions) {
    this.#options = options;
  }

  get speaker(): Speaker | undefined {
    return this.#speaker;
  }

  get peers(): readonly NodePeer[] {
    return this.#peers;
  }

  get ranges(): readonly NodeRange[] {
    return this.#ranges;
  }

  get staticRoutes(): { readonly configured: number; readonly announced: number } {
    return { configured: this.#statics.length, announced: this.#originated.size };
  }

  /** Makes this plan the one in force; says which sessions end by it before they do. */
  async apply(plan: SpeakPlan): Promise<void> {
    const { log } = this.#options;
    for (const { code, message, remedy } of plan.findings) log.warn({ code, remedy }, message);
    const fixed: Fixed = {
      routerId: plan.routerId,
      localAs: plan.localAs,
      clusterId: plan.clusterId,
      listen: this.#options.listen && {
        ...(plan.addresses && { addresses: plan.addresses }),
        ...this.#options.listen,
        port: this.#options.listen.port ?? plan.port ?? DEFAULT_BGP_PORT,
      },
    };
    const isNew = this.#speaker === undefined || textOf(fixed) !== textOf(this.#fixed);
    if (isNew) await this.#end();
    else this.#announcePeerChanges(plan);
    const speaker = this.#speaker ?? this.#makeSpeaker(fixed);
    this.#peers = plan.peers;
    this.#ranges = plan.ranges;
    this.#statics = plan.statics;
    for (const { code, message, remedy } of this.#options.kernel?.setGateways(plan.peers) ?? [])
      log.warn({ code, remedy }, message);
    this.#options.kernel?.setStatics(plan.statics);
    this.updateStatics();
    speaker.setPeers(plan.peers.map(({ config }) => config));
    speaker.setDynamicPeers(plan.ranges.map(({ range }) => range));
    if (isNew) speaker.start();
    log.info(
      { peers: plan.peers.length, staticRoutes: plan.statics.length, reset: isNew ? 'all' : 'as said' },
      'configuration in force',
    );
  }

  /** Announces the static routes that can be, and withdraws those that cannot any more. */
  updateStatics(): void {
    const speaker = this.#speaker;
    if (speaker === undefined) return;
    const { kernel } = this.#options;
    const wanted = new Map(
      this.#statics
        .filter((route) => kernel === undefined || kernel.isReady(route))
        .map((route) => [formatPrefix(route.prefix), route]),
    );
    for (const [key, { route }] of this.#originated) {
      if (wanted.has(key)) continue;
      speaker.withdraw(route.prefix);
      this.#originated.delete(key);
    }
    for (const [key, route] of wanted) {
      const form = textOf(route.attributes);
      if (this.#originated.get(key)?.form === form) continue;
      speaker.originate(route.prefix, route.attributes);
      this.#originated.set(key, { route, form });
    }
  }

  /**
   * Ends all sessions. With a kernel that forwards, without a NOTIFICATION, so that peers keep our routes over a restart (RFC 4724); else
   * with Cease 6/2, so that they stop sending packets here.
   */
  async stop(): Promise<void> {
    const { kernel } = this.#options;
    await this.#speaker?.stop(
      kernel === undefined ? { mode: 'shutdown', text: 'the speaker ends' } : { mode: 'keep-forwarding' },
    );
    kernel?.detach();
  }

  #makeSpeaker(fixed: Fixed): Speaker {
    const { log, kernel, links } = this.#options;
    const isFirst = this.#fixed === undefined;
    const { clusterId, ...rest } = fixed;
    const cluster = clusterId === undefined ? undefined : parseAddress(clusterId);
    const speaker = new Speaker({
      ...rest,
      ...(cluster && { clusterId: addressToUint32(cluster) }),
      nextHopTracking: kernel !== undefined,
      gracefulRestart: {
        forwardingPreserved: (isFirst && kernel?.preserved) || NOTHING_PRESERVED,
        deferralSec: DEFERRAL_SEC,
      },
      maxPaths: kernel === undefined ? 1 : MAX_PATHS,
      relaxAsPath: true,
      links,
      log: (event) => logSpeakerEvent(log, event),
    });
    this.#fixed = fixed;
    this.#speaker = speaker;
    this.#originated.clear();
    kernel?.attach(speaker);
    return speaker;
  }

  async #end(): Promise<void> {
    const { log, kernel } = this.#options;
    const speaker = this.#speaker;
    if (speaker === undefined) return;
    log.warn({}, 'router id, AS, cluster or listening address changes: all sessions are reset');
    this.#speaker = undefined;
    await speaker.stop({ mode: 'shutdown', text: 'configuration changed' });
    while (speaker.rib.work(() => false));
    kernel?.detach();
  }

  #announcePeerChanges(plan: PeerSources): void {
    const { log } = this.#options;
    const present = this.#speaker?.peers() ?? [];
    const effects = sessionEffects(withDynamic(this, present), withDynamic(plan, present), []);
    for (const { peer, resource, effect, reasons } of effects) {
      if (effect === 'added') log.info({ peer, resource }, 'peer added');
      if (effect === 'reset')
        log.warn({ peer, resource, fields: reasons }, 'peer changes: its session is reset');
      if (effect === 'removed') log.warn({ peer, resource }, 'peer removed: its session ends');
    }
  }
}

/** Equal for what is equal. */
function textOf(value: unknown): string {
  return (
    JSON.stringify(value, (_key, each: unknown) => (each instanceof Uint8Array ? [...each] : each)) ?? ''
  );
}
