/**
 * Shares the event loop: in each of its iterations routes are decided, output is made and input is taken in for two milliseconds each at most, so
 * that a burst of a million routes delays no keepalive and no answer of the API. Input stops, also in the middle of what was read, when its slice is
 * used up, and goes on after decisions and output had their turn. An answer of the API takes two iterations, and one more for each 200 KiB that the
 * client has to read first: for as long as one is under way the slices are short.
 */
import type { Clock } from '../transport/clock.ts';

/** For decisions, for output and for input. */
const SLICE_MS = 2;
/** The same while somebody else needs the event loop, and for how many turns after he was last heard of. */
const HURRIED_SLICE_MS = 0.5;
const HURRIED_TURNS = 4;
/**
 * The first slice of a burst, doubled with each that is used up: the first UPDATE goes out early, and code that has not run for long, or never, gets
 * little to do at once.
 */
const FIRST_INPUT_SLICE_MS = 0.5;
/** What is taken in between two readings of the clock: some 100 us of work in short slices, four times that in full ones. */
const SHORT_PIECE_OCTETS = 4096;
const PIECE_OCTETS = 16384;

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
  /** when the first input since the last turn came */
  #inputSince: number | undefined;
  #inputSliceMs = FIRST_INPUT_SLICE_MS;
  #hurriedTurns = 0;
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

  /** Somebody else, the API for one, needs some turns of the event loop: the next few of ours are short. */
  hurry(): void {
    this.#hurriedTurns = HURRIED_TURNS;
  }

  /** Calls once, when every decision that is due has been made. */
  whenIdle(callback: () => void): void {
    this.#whenIdle.push(callback);
    this.request();
  }

  /**
   * How many octets of messages (or one message that is longer) a connection may have taken in before it asks again. 0: none before the next turn; it is
   * resumed after that, when it is next in line.
   */
  mayRead(reader: Reader): number {
    this.request();
    if (!this.#isInputOver()) {
      return Math.min(this.#sliceMs, this.#inputSliceMs) < SLICE_MS ? SHORT_PIECE_OCTETS : PIECE_OCTETS;
    }
    this.#paused.push(reader);
    return 0;
  }

  /** No turn comes any more. */
  stop(): void {
    this.#stopped = true;
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#stopped) return;
    this.#inputSince = undefined;
    const sliceMs = this.#sliceMs;
    const more = this.#work.work(this.#within(sliceMs));
    const outputLeft = this.#output(sliceMs);
    // Before more is taken in, which is decided in the next turn only.
    if (!more && !outputLeft) this.#callIdle();
    const inputLeft = this.#paused.length > 0;
    this.#inputSliceMs = inputLeft ? Math.min(SLICE_MS, 2 * this.#inputSliceMs) : FIRST_INPUT_SLICE_MS;
    this.#resumeReaders();
    this.#hurriedTurns = Math.max(0, this.#hurriedTurns - 1);
    if (inputLeft || more || outputLeft) this.request();
  }

  #callIdle(): void {
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

  /** Whether the slice is used up that the first question since the last turn began. */
  #isInputOver(): boolean {
    const now = this.#clock.now();
    this.#inputSince ??= now;
    return now - this.#inputSince >= Math.min(this.#sliceMs, this.#inputSliceMs);
  }

  /** One buffer for each pump while time lasts; who came last goes first the next time. */
  #output(sliceMs: number): boolean {
    const isOver = this.#within(sliceMs);
    for (const pump of [...this.#pumps]) {
      if (isOver()) return true;
      if (!pump.pump()) continue;
      this.#pumps.delete(pump);
      this.#pumps.add(pump);
    }
    return false;
  }

  get #sliceMs(): number {
    return this.#hurriedTurns > 0 ? HURRIED_SLICE_MS : SLICE_MS;
  }

  #within(milliseconds: number): () => boolean {
    const end = this.#clock.now() + milliseconds;
    return () => this.#clock.now() >= end;
  }
}
