/** When to try again what failed, and when to look again for what others changed. Pure: tells times, waits for nothing. */

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
const FIRST_CHECK_MS = 5_000;
const MAX_CHECK_MS = 180_000;

/** Owner of the two delays. */
export class Pace {
  #retryMs = FIRST_RETRY_MS;
  #checkMs = FIRST_CHECK_MS;

  /** An apply failed: the time after which to try again, twice as long with each. */
  failed(): number {
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    return retryMs;
  }

  succeeded(): void {
    this.#retryMs = FIRST_RETRY_MS;
  }

  /** The time after which to check. */
  get checkMs(): number {
    return this.#checkMs;
  }

  /** What was just written is checked soon. */
  wrote(): void {
    this.#checkMs = FIRST_CHECK_MS;
  }

  /** A check that was due after `checkMs` found nothing: the next one is due after twice that. */
  foundNothing(checkMs: number): void {
    this.#checkMs = Math.min(checkMs * 2, MAX_CHECK_MS);
  }
}
