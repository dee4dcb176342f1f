/**
 * Which handles seem to be left over. Pure: it is told what is held and what of it shows a sign of life, again and again, and says who
 * showed none for the whole grace time. A handle is given up as a whole or not at all.
 */
import { type Address, formatAddress } from '../../net/address.ts';

/** An address that this host holds. */
export interface HeldAddress {
  readonly address: Address;
  readonly handle: string;
  readonly sequenceNumber: bigint;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A handle without any sign of life. */
export interface LeakCandidate {
  readonly handle: string;
  readonly held: readonly HeldAddress[];
  /** when it was first seen so, on the clock of `observe` */
  readonly sinceMs: number;
}

/** Remembers candidates from one look to the next. */
export class LeakTracker {
  readonly #graceMs: number;
  /** by handle; `mark` names the very allocations */
  #candidates = new Map<string, LeakCandidate & { readonly mark: string }>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  get candidates(): readonly LeakCandidate[] {
    return Array.from(this.#candidates.values());
  }

  /**
   * Takes a look. `signOfLife` says why an address must stay; undefined: nothing speaks for it. `nowMs` is a monotonic time.
   * Returns the candidates whose grace is over. One that was given out anew meanwhile starts anew.
   */
  observe(
    held: readonly HeldAddress[],
    signOfLife: (held: HeldAddress) => string | undefined,
    nowMs: number,
  ): readonly LeakCandidate[] {
    const byHandle = Map.groupBy(held, ({ handle }) => handle);
    const found = new Map<string, LeakCandidate & { readonly mark: string }>();
    const due: LeakCandidate[] = [];
    for (const [handle, addresses] of byHandle) {
      if (addresses.some((each) => signOfLife(each) !== undefined)) continue;
      const mark = addresses
        .map(({ address, sequenceNumber }) => `${formatAddress(address)}@${sequenceNumber}`)
        .sort()
        .join(' ');
      const known = this.#candidates.get(handle);
      const isSame = known?.mark === mark;
      const candidate = { handle, held: addresses, sinceMs: isSame ? known.sinceMs : nowMs, mark };
      found.set(handle, candidate);
      if (isSame && nowMs - candidate.sinceMs >= this.#graceMs) due.push(candidate);
    }
    this.#candidates = found;
    return due;
  }

  /** The candidate has been dealt with. */
  forget(handle: string): void {
    this.#candidates.delete(handle);
  }
}
