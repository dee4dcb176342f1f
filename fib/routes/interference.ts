/**
 * Somebody else deletes or changes our routes: counts it, tells of it at a bearable rate, and slows us down where another program keeps at
 * it, so that two daemons do not fight at full speed.
 */
import type { Prefix } from '../../src/net/prefix.ts';

const WINDOW_MS = 10_000;
/** repairs at once of one prefix within the window, before they are delayed */
const FREE_REPAIRS = 5;
const MAX_WATCHED = 10_000;
const REPORTS_PER_SECOND = 20;

interface Fight {
  startMs: number;
  count: number;
}

/** Damps repairs of one family's prefixes. */
export class InterferenceGuard {
  readonly #report: ((prefix: Prefix) => void) | undefined;
  readonly #fights = new Map<number, Fight>();
  #reportStartMs = Number.NEGATIVE_INFINITY;
  #reports = 0;
  /** interferences since the start */
  total = 0;

  constructor(report: ((prefix: Prefix) => void) | undefined) {
    this.#report = report;
  }

  /**
   * Notes one interference with the prefix of an id. Returns 0 when the repair may go ahead at once, else how many repairs too many there
   * were, for a back-off.
   */
  note(id: number, nowMs: number, prefixOf: (id: number) => Prefix): number {
    this.total++;
    if (nowMs - this.#reportStartMs >= 1000) {
      this.#reportStartMs = nowMs;
      this.#reports = 0;
    }
    if (this.#reports++ < REPORTS_PER_SECOND) this.#report?.(prefixOf(id));
    let fight = this.#fights.get(id);
    if (fight === undefined || nowMs - fight.startMs > WINDOW_MS * Math.max(1, fight.count - FREE_REPAIRS)) {
      if (fight === undefined && this.#fights.size >= MAX_WATCHED) this.#fights.clear();
      fight = { startMs: nowMs, count: 0 };
      this.#fights.set(id, fight);
    }
    fight.count++;
    return Math.max(0, fight.count - FREE_REPAIRS);
  }
}
