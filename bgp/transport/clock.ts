/** Time as the speaker sees it. Tests put a clock of their own in its place. */

/** A timer that was started. */
export interface TimerHandle {
  cancel(): void;
}

export interface Clock {
  /** milliseconds, never going back; the origin means nothing */
  now(): number;
  /** epoch milliseconds, for people */
  wallNow(): number;
  /** calls once after `delayMs` */
  after(delayMs: number, callback: () => void): TimerHandle;
  /** calls once, after the input and output that is waiting now */
  soon(callback: () => void): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  soon(callback) {
    setImmediate(callback);
  },
};

/**
 * A timer that is started over and over, as a hold timer is with each message. Starting it later than it would fire costs a
 * comparison; the clock's timer is set anew only when it fires too early.
 */
export class RestartableTimer {
  readonly #clock: Clock;
  readonly #callback: () => void;
  #deadline: number | undefined;
  #delayMs = 0;
  #armed: TimerHandle | undefined;
  #armedFor = 0;

  constructor(clock: Clock, callback: () => void) {
    this.#clock = clock;
    this.#callback = callback;
  }

  /** Milliseconds until it fires; undefined when it does not run. */
  get remainingMs(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.max(0, this.#deadline - this.#clock.now());
  }

  /** Starts it, or starts it over. */
  start(delayMs: number): void {
    this.#delayMs = delayMs;
    this.#deadline = this.#clock.now() + delayMs;
    if (this.#armed !== undefined && this.#armedFor <= this.#deadline) return;
    this.#arm(this.#deadline);
  }

  /** Starts it over with the delay it last had, if it runs. */
  touch(): void {
    if (this.#deadline !== undefined) this.#deadline = this.#clock.now() + this.#delayMs;
  }

  stop(): void {
    this.#deadline = undefined;
    this.#armed?.cancel();
    this.#armed = undefined;
  }

  #arm(deadline: number): void {
    this.#armed?.cancel();
    this.#armedFor = deadline;
    this.#armed = this.#clock.after(Math.max(0, deadline - this.#clock.now()), () => {
      this.#armed = undefined;
      if (this.#deadline === undefined) return;
      if (this.#deadline > this.#clock.now()) {
        this.#arm(this.#deadline);
        return;
      }
      this.#deadline = undefined;
      this.#callback();
    });
  }
}
