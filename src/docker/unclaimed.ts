/**
 * Addresses that Docker has asked for and not given to an endpoint. It names the endpoint some milliseconds later, or releases the
 * address; now and then it does neither (when the address of the other family is refused), and then nobody would ever release it.
 */
export class UnclaimedAddresses {
  readonly #afterMs: number;
  readonly #onUnclaimed: () => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** `onUnclaimed` is called for each address that was not claimed `afterMs` after it was given. */
  constructor(afterMs: number, onUnclaimed: () => void) {
    this.#afterMs = afterMs;
    this.#onUnclaimed = onUnclaimed;
  }

  given(address: string): void {
    this.claimed(address);
    const timer = setTimeout(() => {
      this.#timers.delete(address);
      this.#onUnclaimed();
    }, this.#afterMs);
    timer.unref();
    this.#timers.set(address, timer);
  }

  /** An endpoint has it, or it was released. */
  claimed(address: string): void {
    clearTimeout(this.#timers.get(address));
    this.#timers.delete(address);
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
