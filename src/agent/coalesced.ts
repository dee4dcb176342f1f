/** Runs one task at a time, once for all triggers that came meanwhile; what the run asks for is scheduled, nothing is polled. */

/** What a run asks for. */
export interface NextRun {
  /** run again after this time unless triggered earlier; undefined: only when triggered */
  readonly afterMs?: number;
}

/** A task with coalesced triggers. Errors of a run go to `onError` and are retried with doubling delay, 100 ms to 30 s. */
export class CoalescedTask {
  readonly #run: () => Promise<NextRun> | NextRun;
  readonly #onError: (error: unknown) => void;
  #running = false;
  #triggered = false;
  #closed = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(run: () => Promise<NextRun> | NextRun, onError: (error: unknown) => void) {
    this.#run = run;
    this.#onError = onError;
  }

  /** Asks for a run: in this turn's end, or after the one under way. */
  trigger(): void {
    if (this.#closed) return;
    this.#triggered = true;
    if (!this.#running) {
      this.#running = true;
      queueMicrotask(() => void this.#loop());
    }
  }

  /** Resolves when no run is under way or asked for (a retry that waits for its time does not count). */
  idle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Stops for good; a run under way is finished first. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.idle();
  }

  async #loop(): Promise<void> {
    while (this.#triggered && !this.#closed) {
      this.#triggered = false;
      clearTimeout(this.#timer);
      try {
        const { afterMs } = await this.#run();
        this.#failures = 0;
        if (afterMs !== undefined) this.#schedule(afterMs);
      } catch (error) {
        this.#onError(error);
        this.#schedule(Math.min(100 * 2 ** this.#failures++, 30_000));
      }
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.trigger(), delayMs);
    this.#timer.unref();
  }
}
