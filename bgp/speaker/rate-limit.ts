/** Keeps a peer that errs thousands of times from filling the log. */
import type { Clock } from '../transport/clock.ts';

/** Lets `burst` events pass at once and one more each `intervalMs`, and counts the rest. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #intervalMs: number;
  #tokens: number;
  #refilledAt: number;
  #suppressed = 0;

  constructor(clock: Clock, burst: number, intervalMs: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#intervalMs = intervalMs;
    this.#tokens = burst;
    this.#refilledAt = clock.now();
  }

  /** How many were left out since the last that passed, or undefined when this one is to be left out too. */
  take(): number | undefined {
    const now = this.#clock.now();
    const earned = Math.floor((now - this.#refilledAt) / this.#intervalMs);
    if (earned > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + earned);
      this.#refilledAt += earned * this.#intervalMs;
    }
    if (this.#tokens === 0) {
      this.#suppressed += 1;
      return undefined;
    }
    this.#tokens -= 1;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    return suppressed;
  }
}
