/** Carries out what `Deferral` says: holds the RIB back, tells the peers' OPENs, and says when a family's routes have been selected for the first time. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { Rib } from '../rib/rib.ts';
import type { RestartFlags } from '../session/negotiate.ts';
import { type Clock, RestartableTimer } from '../transport/clock.ts';
import type { PerFamily } from '../wire/types.ts';
import { Deferral, type DeferralEnd, deferralPeer } from './deferral.ts';
import type { SpeakerLog } from './events.ts';
import type { Peer } from './peer.ts';
import type { WorkLoop } from './work-loop.ts';

export interface SelectionWaitOptions {
  readonly clock: Clock;
  readonly rib: Rib;
  readonly loop: WorkLoop;
  readonly log: SpeakerLog;
  /** families whose routes the kernel still holds from a run before this one */
  readonly preserved: PerFamily<boolean>;
  readonly deferralSec: number;
  readonly peers: () => Iterable<Peer>;
}

export class SelectionWait {
  readonly #options: SelectionWaitOptions;
  readonly #deferral: Deferral;
  readonly #timer: RestartableTimer;
  readonly #listeners: ((family: Family) => void)[] = [];
  readonly #ended = new Set<Family>();

  constructor(options: SelectionWaitOptions) {
    this.#options = options;
    this.#deferral = new Deferral(options.preserved, options.deferralSec);
    this.#timer = new RestartableTimer(options.clock, () => this.check());
    for (const family of this.#deferral.pending) options.rib.setDeferral(family, true);
  }

  /** Families whose route selection still waits for the peers. */
  get pending(): readonly Family[] {
    return [...this.#deferral.pending];
  }

  /** What OPENs that leave now say of our restart. */
  get flags(): RestartFlags {
    return { restarting: this.#deferral.pending.size > 0, forwarding: this.#options.preserved };
  }

  /** Calls once for each family when its routes have been selected for the first time, at once for those that already are. */
  onEnd(listener: (family: Family) => void): void {
    this.#listeners.push(listener);
    for (const family of this.#ended) listener(family);
  }

  /** The families that nothing waits for are done. */
  start(): void {
    for (const family of FAMILIES) {
      if (!this.#deferral.pending.has(family)) this.#end(family, 'nothing-preserved');
    }
  }

  /** The peers are known and started: time runs from here. Not before: one that has not been started would count as one that is not coming. */
  begin(): void {
    this.#deferral.begin(this.#options.clock.now());
    this.check();
  }

  /** Peers came, went or progressed, or time passed. */
  check(): void {
    const { clock, rib } = this.#options;
    if (this.#deferral.pending.size === 0) return;
    const now = clock.now();
    const peers = [...this.#options.peers()].map((peer) => deferralPeer(peer, now));
    for (const { family, why } of this.#deferral.check(peers, now)) {
      rib.setDeferral(family, false);
      this.#end(family, why);
    }
    for (const peer of this.#options.peers()) peer.updateRestartFlags();
    const next = this.#deferral.nextCheckMs(peers, now);
    if (next === undefined) this.#timer.stop();
    else this.#timer.start(next);
  }

  /** Time ends nothing any more. */
  stop(): void {
    this.#timer.stop();
  }

  /** Tells when the decisions that are due now have been made. */
  #end(family: Family, why: DeferralEnd): void {
    this.#options.loop.whenIdle(() => {
      this.#ended.add(family);
      this.#options.log({ type: 'deferral-ended', family, why });
      for (const listener of this.#listeners) listener(family);
    });
  }
}
