/**
 * What a peer's messages do once its session is up: routes and End-of-RIB into the RIB, refreshes, and limits on how much there
 * may be. One for each peer, over all its sessions.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { TakenMessages } from '../rib/plain-input.ts';
import type { SessionEvent } from '../session/events.ts';
import type { Negotiated } from '../session/negotiate.ts';
import { RestartableTimer } from '../transport/clock.ts';
import type { PeerConfig } from '../types.ts';
import { REFRESH_SUBTYPE } from '../wire/registry.ts';
import type { DecodedUpdate } from '../wire/types.ts';
import type { PeerSurroundings } from './peer-surroundings.ts';
import { PrefixLimits } from './prefix-limits.ts';

/** RFC 7313 4.2: how long stale routes are kept for a peer that has begun a refresh */
const REFRESH_MAX_MS = 360_000;

/**
 * FRR announces its table half a second to seconds after the session is up, but its End-of-RIB at once (FRR issues 10440 and 22623).
 * An End-of-RIB that comes first, this soon after the start, is therefore believed only when this time is over.
 */
const EARLY_END_OF_RIB_MS = 5_000;

/** The message behind an event, for the machine's action `deliver`. */
export type Delivery =
  /** `at`: when it came, in epoch milliseconds; default: now */
  | { readonly kind: 'update'; readonly update: DecodedUpdate; readonly at?: number }
  | { readonly kind: 'refresh'; readonly family: Family | undefined; readonly subtype: number };

/** The peer whose input it is. */
export interface InputPeer {
  readonly ribId: number;
  readonly config: PeerConfig;
  /** the terms of the session that is up */
  readonly negotiated: Negotiated | undefined;
  /** when it came up, in milliseconds of the clock that never goes back */
  readonly upSince: number;
}

export class PeerInput {
  /** families whose End-of-RIB came in the present session */
  readonly endOfRib = new Set<Family>();
  readonly #peer: InputPeer;
  readonly #around: Pick<PeerSurroundings, 'rib' | 'clock' | 'log' | 'restartFlags' | 'onProgress'>;
  readonly #dispatch: (event: SessionEvent) => void;
  readonly #limits = new PrefixLimits();
  /** RFC 7313 4.2: a refresh that the peer does not end counts as ended */
  readonly #refreshTimers: Readonly<Record<Family, RestartableTimer>>;
  /** families whose End-of-RIB came before anything else and is believed only when `#earlyTimer` fires */
  readonly #earlyEndOfRib = new Set<Family>();
  readonly #earlyTimer: RestartableTimer;

  constructor(peer: InputPeer, around: PeerSurroundings, dispatch: (event: SessionEvent) => void) {
    this.#peer = peer;
    this.#around = around;
    this.#dispatch = dispatch;
    this.#earlyTimer = new RestartableTimer(around.clock, () => {
      for (const family of [...this.#earlyEndOfRib]) this.#endOfRibCame(family);
    });
    const refreshTimer = (family: Family): RestartableTimer =>
      new RestartableTimer(around.clock, () => this.#endRefresh(family, 'timed-out'));
    this.#refreshTimers = { ipv4: refreshTimer('ipv4'), ipv6: refreshTimer('ipv6') };
  }

  /** Limits may be others now: they are told of anew, and what is over them already shows with the next update. */
  configChanged(): void {
    this.#limits.reset();
  }

  /** The session is gone, or a new one begins. */
  stop(): void {
    this.endOfRib.clear();
    this.#earlyEndOfRib.clear();
    this.#earlyTimer.stop();
    this.#limits.reset();
    for (const family of FAMILIES) this.#refreshTimers[family].stop();
  }

  /** Takes in a message that the session machine let through. */
  deliver(delivery: Delivery): void {
    const { rib, clock } = this.#around;
    if (delivery.kind === 'refresh') {
      this.#deliverRefresh(delivery.family, delivery.subtype);
      return;
    }
    const { update, at = clock.wallNow() } = delivery;
    rib.receive(this.#peer.ribId, update, at);
    this.#checkLimits();
    const family = update.endOfRib;
    if (family === undefined || !this.#peer.negotiated?.context.families[family]) return;
    const earlyForMs = this.#peer.upSince + EARLY_END_OF_RIB_MS - clock.now();
    if (earlyForMs > 0 && this.#wouldLoseRoutes(family)) {
      this.#earlyEndOfRib.add(family);
      this.#earlyTimer.start(earlyForMs);
    } else this.#endOfRibCame(family);
  }

  /** As `deliver`, of the plain UPDATEs that `octets[start..end)` begins with; `at`: when they came, in epoch milliseconds. */
  takePlain(octets: Uint8Array, start: number, end: number, most: number, at: number): TakenMessages {
    const { ribId, config } = this.#peer;
    // A limit is looked at after each message.
    const atOnce = config.maxPrefixes === undefined ? most : 1;
    const taken = this.#around.rib.receivePlain(ribId, octets, start, end, atOnce, at);
    if (taken.messages > 0) this.#checkLimits();
    return taken;
  }

  /** Whether an End-of-RIB now would take out routes that are in use, while the peer has not told a single one yet. */
  #wouldLoseRoutes(family: Family): boolean {
    const { rib, restartFlags } = this.#around;
    const { received, stale } = rib.familyStatus(this.#peer.ribId, family);
    return received === stale && (stale > 0 || restartFlags().restarting);
  }

  #endOfRibCame(family: Family): void {
    const { rib, log, onProgress } = this.#around;
    this.#earlyEndOfRib.delete(family);
    rib.endOfRib(this.#peer.ribId, family);
    if (this.endOfRib.has(family)) return;
    this.endOfRib.add(family);
    log({ type: 'end-of-rib', peer: this.#peer.config.name, family });
    this.#dispatch({ type: 'EndOfRib', family });
    onProgress();
  }

  /** ROUTE-REFRESH: a request, or an end of what we asked for. Of an unknown subtype or family it is ignored (RFC 7313 5). */
  #deliverRefresh(family: Family | undefined, subtype: number): void {
    const { rib, log } = this.#around;
    const { negotiated } = this.#peer;
    if (family === undefined || !negotiated?.context.families[family]) return;
    if (subtype === REFRESH_SUBTYPE.request) {
      rib.refresh(this.#peer.ribId, family);
    } else if (negotiated.enhancedRouteRefresh && subtype === REFRESH_SUBTYPE.beginOfRefresh) {
      rib.beginRefresh(this.#peer.ribId, family);
      this.#refreshTimers[family].start(REFRESH_MAX_MS);
      log({ type: 'refresh', peer: this.#peer.config.name, family, phase: 'begin' });
    } else if (negotiated.enhancedRouteRefresh && subtype === REFRESH_SUBTYPE.endOfRefresh) {
      this.#endRefresh(family, 'end');
    }
  }

  #endRefresh(family: Family, phase: 'end' | 'timed-out'): void {
    this.#refreshTimers[family].stop();
    this.#around.rib.endRefresh(this.#peer.ribId, family);
    this.#around.log({ type: 'refresh', peer: this.#peer.config.name, family, phase });
  }

  #checkLimits(): void {
    if (this.#peer.config.maxPrefixes === undefined) return;
    const { rib, log } = this.#around;
    const verdict = this.#limits.check(this.#peer.config, (family) => rib.countsOf(this.#peer.ribId, family));
    if (verdict === undefined) return;
    const { family, message } = verdict;
    log({
      type: 'prefix-limit',
      peer: this.#peer.config.name,
      family,
      message,
      stopped: verdict.kind === 'stop',
    });
    if (verdict.kind === 'warn') return;
    const { error, restartSec } = verdict;
    const idle = restartSec === undefined ? 'until-started' : restartSec * 1000;
    this.#dispatch({ type: 'AutomaticStop', error, reason: message, idle });
  }
}
