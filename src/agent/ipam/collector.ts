/**
 * Frees what containers of this host left behind: addresses of handles that showed no sign of life in the store, this kernel and the
 * runtimes for the whole grace time, looked at again right before the release, which is refused when anything of the handle changed.
 * Also gives up blocks that stay empty, but for one of each pool. Never touches what other hosts use.
 */
import type { Ipam } from '../../ipam/ipam.ts';
import { formatAddress } from '../../net/address.ts';
import type { Log } from '../log.ts';
import { type HeldAddress, type LeakCandidate, LeakTracker } from './leaks.ts';

/** What the collector works with. */
export interface CollectorOptions {
  readonly ipam: Ipam;
  readonly log: Log;
  /** why an address must stay; undefined: nothing speaks for it */
  readonly signOfLife: (held: HeldAddress) => string | undefined;
  /** Whether store and kernel are known well enough to judge at all. */
  readonly canJudge: () => boolean;
  /** a look is taken each half of it */
  readonly graceMs: number;
  /** monotonic, ms; default: the process's clock */
  readonly clock?: () => number;
}

/** What the collector has done and is about to do. */
export interface CollectorState {
  readonly candidates: readonly LeakCandidate[];
  /** addresses freed in the life of this process */
  readonly reclaimed: number;
  readonly blocksGivenUp: number;
}

/** Looks from time to time. */
export class IpamCollector {
  readonly #options: CollectorOptions;
  readonly #graceMs: number;
  readonly #clock: () => number;
  readonly #tracker: LeakTracker;
  /** CIDR -> sequence number of blocks that were empty at the last look */
  #empty = new Map<string, bigint>();
  #reclaimed = 0;
  #blocksGivenUp = 0;
  #timer: NodeJS.Timeout | undefined;
  #look: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#graceMs = options.graceMs;
    this.#clock = options.clock ?? (() => performance.now());
    this.#tracker = new LeakTracker(this.#graceMs);
  }

  get state(): CollectorState {
    return {
      candidates: this.#tracker.candidates,
      reclaimed: this.#reclaimed,
      blocksGivenUp: this.#blocksGivenUp,
    };
  }

  /** Begins to look, each half of the grace time. */
  start(): void {
    this.#schedule();
  }

  /** Stops; a look under way is finished. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#look;
  }

  /** Takes one look now. */
  async look(): Promise<void> {
    const { ipam, canJudge, signOfLife } = this.#options;
    if (!canJudge()) return;
    const held = await ipam.assignments();
    for (const candidate of this.#tracker.observe(held, signOfLife, this.#clock())) {
      if (this.#isClosed) return;
      await this.#reclaim(candidate);
    }
    await this.#giveUpBlocks();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#look = this.look().catch((error: unknown) =>
        this.#options.log.warn({ error }, 'addresses could not be looked through; tried again later'),
      );
      void this.#look.then(() => this.#schedule());
    }, this.#graceMs / 2).unref();
  }

  async #reclaim(candidate: LeakCandidate): Promise<void> {
    const { ipam, log, signOfLife, canJudge } = this.#options;
    const isUnused = (): boolean =>
      canJudge() && candidate.held.every((each) => signOfLife(each) === undefined);
    const released = await ipam.releaseExactly(candidate.handle, candidate.held, isUnused);
    if (released.length === 0) return;
    this.#tracker.forget(candidate.handle);
    this.#reclaimed += released.length;
    log.info(
      { handle: candidate.handle, released: released.map(formatAddress) },
      'freed addresses that nothing on this host uses any more',
    );
  }

  async #giveUpBlocks(): Promise<void> {
    const { ipam, log } = this.#options;
    const empty = new Map(ipam.surplusBlocks().map(({ cidr, sequenceNumber }) => [cidr, sequenceNumber]));
    for (const [cidr, sequenceNumber] of empty) {
      if (this.#isClosed || this.#empty.get(cidr) !== sequenceNumber) continue;
      if (!(await ipam.giveUpBlock(cidr, sequenceNumber))) continue;
      empty.delete(cidr);
      this.#blocksGivenUp++;
      log.info({ block: cidr }, 'gave up a block that stayed empty');
    }
    this.#empty = empty;
  }
}
