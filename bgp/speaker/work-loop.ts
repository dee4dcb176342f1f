/**
 * Shares the event loop: routes are decided, output is made and input is read in slices of a few milliseconds with the loop between
 * them, so that a burst of a million routes delays no keepalive. Input stops while a slice is used up and goes on after decisions and
 * output had their turn.
 */
import type { Clock } from '../transport/clock.ts';

const DECISION_SLICE_MS = 3;
const OUTPUT_SLICE_MS = 3;
const INPUT_SLICE_MS = 4;

/** Who decides routes. */
export interface Work {
  /** works until `isOver()`; whether more is left */
  work(isOver: () => boolean): boolean;
}

/** Who has output. `pump` writes at most one buffer and returns whether it did. */
export interface Pump {
  pump(): boolean;
}

/** Who was told to stop reading. */
export interface Reader {
  resumeReading(): void;
}

export class WorkLoop {
  readonly #clock: Clock;
  readonly #work: Work;
  readonly #pumps = new Set<Pump>();
  #paused: Reader[] = [];
  #scheduled = false;
  #stopped = false;
  /** when this turn's first input came */
  #inputSince: number | undefined;
  /** when decisions and output had their turn last, if there was input since */
  #breathSince: number | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(clock: Clock, work: Work) {
    this.#clock = clock;
    this.#work = work;
  }

  /** Asks for a turn. */
  request(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#turn());
  }

  /** Takes part in every turn from now on. */
  add(pump: Pump): void {
    this.#pumps.add(pump);
  }

  remove(pump: Pump): void {
    this.#pumps.delete(pump);
  }

  /** Calls once, when every decision that is due has been made. */
  whenIdle(callback: () => void): void {
    this.#whenIdle.push(callback);
    this.request();
  }

  /** Whether a connection may be read from (or on) in this turn; if not, it is resumed after the next, when its turn comes. */
  mayRead(reader: Reader): boolean {
    const now = this.#clock.now();
    this.#inputSince ??= now;
    this.request();
    if (now - this.#inputSince < INPUT_SLICE_MS) return true;
    this.#paused.push(reader);
    return false;
  }

  #isInputOver(): boolean {
    return this.#inputSince !== undefined && this.#clock.now() - this.#inputSince >= INPUT_SLICE_MS;
  }

  /**
   * Between two messages of one read, which may hold thousands of routes: decisions and output have their turn at once when the input's slice is
   * used up.
   */
  breathe(): void {
    const now = this.#clock.now();
    this.#inputSince ??= now;
    this.#breathSince ??= now;
    if (now - this.#breathSince < INPUT_SLICE_MS || this.#stopped) return;
    this.request();
    this.#work.work(this.#within(DECISION_SLICE_MS));
    this.#output();
    this.#breathSince = this.#clock.now();
  }

  /** No turn comes any more. */
  stop(): void {
    this.#stopped = true;
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#stopped) return;
    this.#inputSince = undefined;
    this.#breathSince = undefined;
    const more = this.#work.work(this.#within(DECISION_SLICE_MS));
    const outputLeft = this.#output();
    this.#resumeReaders();
    if (this.#paused.length > 0) this.request();
    if (more || outputLeft) {
      this.request();
      return;
    }
    const idle = this.#whenIdle;
    this.#whenIdle = [];
    for (const callback of idle) callback();
  }

  /** Each of them may have kept input: whoever does not fit into the slice comes first in the next turn. */
  #resumeReaders(): void {
    const paused = this.#paused;
    this.#paused = [];
    let resumed = 0;
    while (resumed < paused.length && !this.#isInputOver()) paused[resumed++]?.resumeReading();
    this.#paused = [...paused.slice(resumed), ...this.#paused];
  }

  /** One buffer for each pump while time lasts; who came last goes first the next time. */
  #output(): boolean {
    const isOver = this.#within(OUTPUT_SLICE_MS);
    for (const pump of [...this.#pumps]) {
      if (isOver()) return true;
      if (!pump.pump()) continue;
      this.#pumps.delete(pump);
      this.#pumps.add(pump);
    }
    return false;
  }

  #within(milliseconds: number): () => boolean {
    const end = this.#clock.now() + milliseconds;
    return () => this.#clock.now() >= end;
  }
}
