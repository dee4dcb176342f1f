/** Growing waits with jitter, so that many hosts that lost one etcd do not come back in step. */

/** A sequence of waits. `random` gives 0..1. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#random = random;
    this.#nextMs = firstMs;
  }

  /** The next wait in milliseconds: between half and all of a value that doubles up to the limit. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * 2, this.#maxMs);
    return ms / 2 + (ms / 2) * this.#random();
  }

  /** Starts over: what was tried has worked. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
