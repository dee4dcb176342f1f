/** A clock that goes when the test says so. Callbacks run in order of time, then in the order in which they were asked for. */
import type { Clock, TimerHandle } from '../../bgp/transport/clock.ts';

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #now = 0;
  #order = 0;
  #entries: Entry[] = [];

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    const entry = { at: this.#now + delayMs, order: this.#order++, callback };
    this.#entries.push(entry);
    return {
      cancel: () => {
        this.#entries = this.#entries.filter((other) => other !== entry);
      },
    };
  }

  soon(callback: () => void): void {
    this.after(0, callback);
  }

  /** Runs everything that is due within the next `milliseconds`. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    while (this.#runNext(end));
    this.#now = end;
  }

  /** Advances until the condition holds. Throws when it does not within `limitMs`. */
  until(what: string, condition: () => boolean, limitMs = 600_000): void {
    const end = this.#now + limitMs;
    while (!condition()) {
      if (!this.#runNext(end)) throw new Error(`not within ${limitMs} ms of the fake clock: ${what}`);
    }
  }

  #runNext(end: number): boolean {
    let next: Entry | undefined;
    for (const entry of this.#entries) {
      if (next === undefined || entry.at < next.at || (entry.at === next.at && entry.order < next.order))
        next = entry;
    }
    if (next === undefined || next.at > end) return false;
    this.#entries = this.#entries.filter((other) => other !== next);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    return true;
  }
}
