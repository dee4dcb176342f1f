/**
 * The decision process (RFC 4271 9.1.2.2) as a list of named steps. Each step removes the candidates that are worse than another; what is
 * left after the last step is the best path. Since every step looks at the whole set, the result does not depend on the order
 * in which paths arrived, MED included; only the step `oldest-path` asks for arrival times, and says so. Where no path has a MED and one path is
 * taken, src/core/assembly/decision.ts comes to the same by comparing paths two by two.
 */
import type { DecisionReason } from '../types.ts';

/** What the steps ask about a candidate, which is named by its record number. Numbers are unsigned. */
export interface CandidateView {
  isLocal(record: number): boolean;
  /** one number for the steps before `med`: smaller is better */
  rank(record: number): number;
  /** RFC 9494: carries LLGR_STALE */
  isLongLivedStale(record: number): boolean;
  localPref(record: number): number;
  pathLength(record: number): number;
  origin(record: number): number;
  med(record: number): number;
  /** 0 when the AS_PATH is empty or starts with a set: then it is the local AS (RFC 4271 9.1.2.2 c) */
  neighbourAs(record: number): number;
  isExternal(record: number): boolean;
  /** cost to reach the next hop */
  metric(record: number): number;
  /** time of arrival, smaller is older */
  arrival(record: number): number;
  /** ORIGINATOR_ID, else the peer's BGP identifier (RFC 4456 9) */
  routerId(record: number): number;
  clusterLength(record: number): number;
  /** position of the peer's address among all peers' addresses */
  addressRank(record: number): number;
  pathId(record: number): number;
  /** whether two candidates carry the same AS_PATH */
  samePath(a: number, b: number): boolean;
}

export interface DecisionOptions {
  /** compare MED between different neighbour ASes too */
  readonly alwaysCompareMed: boolean;
  /** go on to the router id where an older external path would win */
  readonly compareRouterId: boolean;
  /** multipath takes any AS_PATH of the same length */
  readonly relaxAsPath: boolean;
  /** at most so many equal-cost paths, 1 or more */
  readonly maxPaths: number;
}

/** One step: keeps the candidates that are not worse, in place, and returns how many are left. */
export interface DecisionStep {
  readonly reason: DecisionReason;
  reduce(view: CandidateView, candidates: Int32Array, count: number, options: DecisionOptions): number;
}

/** The steps in order. Equal-cost multipath stops before `oldest-path`. */
export const DECISION_STEPS: readonly DecisionStep[] = [
  lowest('local-origin', (view, record) => (view.isLocal(record) ? 0 : 1)),
  // RFC 9494 4.3: less preferred than any route that is not stale.
  lowest('long-lived-stale', (view, record) => (view.isLongLivedStale(record) ? 1 : 0)),
  lowest('local-pref', (view, record) => -view.localPref(record)),
  lowest('as-path-length', (view, record) => view.pathLength(record)),
  lowest('origin', (view, record) => view.origin(record)),
  { reason: 'med', reduce: reduceByMed },
  lowest('ebgp-over-ibgp', (view, record) => (view.isExternal(record) ? 0 : 1)),
  lowest('igp-metric', (view, record) => view.metric(record)),
  { reason: 'oldest-path', reduce: reduceByAge },
  lowest('router-id', (view, record) => view.routerId(record)),
  lowest('cluster-list-length', (view, record) => view.clusterLength(record)),
  lowest('peer-address', (view, record) => view.addressRank(record)),
  lowest('path-id', (view, record) => view.pathId(record)),
];

/** The steps before this one are taken at once, by `rank`. */
const FIRST_UNRANKED = DECISION_STEPS.findIndex((step) => step.reason === 'med');
/** Steps that tell paths apart for forwarding; what survives them may share the load. */
const FORWARDING_STEPS = DECISION_STEPS.findIndex((step) => step.reason === 'oldest-path');

/** Runs the steps over a set of candidates in arrays of its own, so that a decision allocates nothing. */
export class DecisionProcess {
  /** to be filled with the candidates' records before `run` */
  candidates = new Int32Array(64);
  /** after `run`: the paths that may be used together, the best among them first */
  readonly multipath: Int32Array;
  multipathCount = 0;
  readonly #view: CandidateView;
  readonly #options: DecisionOptions;

  constructor(view: CandidateView, options: DecisionOptions) {
    this.#view = view;
    this.#options = options;
    this.multipath = new Int32Array(Math.max(1, options.maxPaths));
  }

  /** Whether several paths may be used together. */
  get takesSeveral(): boolean {
    return this.#options.maxPaths > 1;
  }

  /** Makes room for that many candidates. */
  reserve(count: number): void {
    if (count <= this.candidates.length) return;
    const grown = new Int32Array(Math.max(count, this.candidates.length * 2));
    grown.set(this.candidates);
    this.candidates = grown;
  }

  /** The best of the first `count` candidates, or -1 when there is none. Also fills `multipath`. */
  run(count: number): number {
    const candidates = this.candidates;
    let left = this.#bestRanked(count);
    for (let i = FIRST_UNRANKED; i < FORWARDING_STEPS && left > 1; i++) left = this.#step(i, left);
    const equal = left;
    if (equal > 1 && this.#options.maxPaths > 1) {
      // The last steps work on a copy behind the survivors, which multipath still needs.
      this.reserve(2 * equal);
      this.candidates.copyWithin(equal, 0, equal);
      const tail = this.candidates.subarray(equal, 2 * equal);
      for (let i = FORWARDING_STEPS; i < DECISION_STEPS.length && left > 1; i++) {
        left = DECISION_STEPS[i]?.reduce(this.#view, tail, left, this.#options) ?? left;
      }
      this.#collectMultipath(tail[0] ?? -1, equal);
      return tail[0] ?? -1;
    }
    for (let i = FORWARDING_STEPS; i < DECISION_STEPS.length && left > 1; i++) left = this.#step(i, left);
    return this.single(left > 0 ? (candidates[0] ?? -1) : -1);
  }

  /** The result of a decision without a choice: that path, or none for -1. */
  single(best: number): number {
    this.multipathCount = best < 0 ? 0 : 1;
    this.multipath[0] = best;
    return best;
  }

  /**
   * As `run`, telling for each candidate what it lost by, and for the best what decided against the last other one. Allocates: for
   * inspection only.
   */
  explain(count: number): Map<number, DecisionReason> {
    const reasons = new Map<number, DecisionReason>();
    let left = Array.from(this.candidates.subarray(0, count));
    let decisive: DecisionReason = 'only-path';
    const scratch = new Int32Array(count);
    for (const step of DECISION_STEPS) {
      if (left.length <= 1) break;
      scratch.set(left);
      const kept = step.reduce(this.#view, scratch, left.length, this.#options);
      if (kept === left.length) continue;
      decisive = step.reason;
      const survivors = Array.from(scratch.subarray(0, kept));
      for (const record of left) if (!survivors.includes(record)) reasons.set(record, step.reason);
      left = survivors;
    }
    const best = left[0];
    if (best !== undefined) reasons.set(best, decisive);
    return reasons;
  }

  /** Keeps the candidates of the best rank; returns how many. */
  #bestRanked(count: number): number {
    if (count < 2) return count;
    const { candidates } = this;
    const view = this.#view;
    let best = view.rank(candidates[0] ?? -1);
    let kept = 1;
    for (let i = 1; i < count; i++) {
      const record = candidates[i] ?? -1;
      const rank = view.rank(record);
      if (rank > best) continue;
      if (rank < best) {
        best = rank;
        kept = 0;
      }
      candidates[kept++] = record;
    }
    return kept;
  }

  #step(index: number, count: number): number {
    return DECISION_STEPS[index]?.reduce(this.#view, this.candidates, count, this.#options) ?? count;
  }

  #collectMultipath(best: number, equal: number): void {
    const view = this.#view;
    const peers = this.candidates.subarray(0, equal);
    // Which ones fit under the cap may not depend on the order of arrival.
    peers.sort(
      (a, b) => view.addressRank(a) - view.addressRank(b) || view.pathId(a) - view.pathId(b) || a - b,
    );
    this.multipath[0] = best;
    let count = 1;
    for (const record of peers) {
      if (count === this.multipath.length) break;
      if (record === best) continue;
      if (!this.#options.relaxAsPath && !view.samePath(best, record)) continue;
      this.multipath[count++] = record;
    }
    this.multipathCount = count;
  }
}

/** A step that keeps the candidates with the lowest key. */
function lowest(reason: DecisionReason, key: (view: CandidateView, record: number) => number): DecisionStep {
  return {
    reason,
    reduce(view, candidates, count) {
      let least = key(view, candidates[0] ?? -1);
      let kept = 1;
      for (let i = 1; i < count; i++) {
        const record = candidates[i] ?? -1;
        const value = key(view, record);
        if (value > least) continue;
        if (value < least) {
          least = value;
          kept = 0;
        }
        candidates[kept++] = record;
      }
      return kept;
    },
  };
}

/** RFC 4271 9.1.2.2 c: out goes a path with a higher MED than another one from the same neighbour AS. */
function reduceByMed(
  view: CandidateView,
  candidates: Int32Array,
  count: number,
  options: DecisionOptions,
): number {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const record = candidates[i] ?? -1;
    let beaten = false;
    // Candidates before `kept` are those that survived; a beaten one is beaten by a survivor too, but that may come later.
    for (let j = 0; j < count && !beaten; j++) {
      const other = j < kept || j >= i ? (candidates[j] ?? -1) : -1;
      if (other < 0 || other === record) continue;
      if (view.med(other) >= view.med(record)) continue;
      beaten = options.alwaysCompareMed || view.neighbourAs(other) === view.neighbourAs(record);
    }
    if (!beaten) candidates[kept++] = record;
  }
  return kept;
}

/** RFC 5004: among external paths the oldest stays, so that equal newcomers do not make routes flap. */
function reduceByAge(
  view: CandidateView,
  candidates: Int32Array,
  count: number,
  options: DecisionOptions,
): number {
  if (options.compareRouterId) return count;
  for (let i = 0; i < count; i++) if (!view.isExternal(candidates[i] ?? -1)) return count;
  let least = view.arrival(candidates[0] ?? -1);
  let kept = 1;
  for (let i = 1; i < count; i++) {
    const record = candidates[i] ?? -1;
    const value = view.arrival(record);
    if (value > least) continue;
    if (value < least) {
      least = value;
      kept = 0;
    }
    candidates[kept++] = record;
  }
  return kept;
}
