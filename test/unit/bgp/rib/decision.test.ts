/** The decision process step by step, RFC 4271 9.1.2.2. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type CandidateView,
  DECISION_STEPS,
  type DecisionOptions,
  DecisionProcess,
} from '../../../../bgp/rib/decision.ts';
import type { DecisionReason } from '../../../../bgp/types.ts';
import { LOCAL_AHEAD } from '../../../../src/core/assembly/layout.ts';

interface Candidate {
  readonly local: boolean;
  readonly localPref: number;
  readonly pathLength: number;
  readonly origin: number;
  readonly med: number;
  readonly neighbourAs: number;
  readonly external: boolean;
  readonly metric: number;
  readonly arrival: number;
  readonly routerId: number;
  readonly clusterLength: number;
  readonly addressRank: number;
  readonly pathId: number;
  readonly path: string;
  readonly longLivedStale: boolean;
}

const USUAL: Candidate = {
  local: false,
  localPref: 100,
  pathLength: 2,
  origin: 0,
  med: 0,
  neighbourAs: 65001,
  external: true,
  metric: 0,
  arrival: 10,
  routerId: 5,
  clusterLength: 0,
  addressRank: 5,
  pathId: 0,
  path: '65001 65002',
  longLivedStale: false,
};

const OPTIONS: DecisionOptions = {
  alwaysCompareMed: false,
  compareRouterId: false,
  relaxAsPath: false,
  maxPaths: 1,
};

function viewOf(all: readonly Candidate[]): CandidateView {
  const at = (record: number): Candidate => all[record] ?? USUAL;
  return {
    rank: (record) => {
      const { local, longLivedStale, localPref, pathLength, origin } = at(record);
      const stale = longLivedStale ? 2 ** 50 : 0;
      const rank = stale + (0xffff_ffff - localPref) * 2 ** 18 + pathLength * 4 + origin;
      return local ? rank - LOCAL_AHEAD : rank;
    },
    isLocal: (record) => at(record).local,
    isLongLivedStale: (record) => at(record).longLivedStale,
    localPref: (record) => at(record).localPref,
    pathLength: (record) => at(record).pathLength,
    origin: (record) => at(record).origin,
    med: (record) => at(record).med,
    neighbourAs: (record) => at(record).neighbourAs,
    isExternal: (record) => at(record).external,
    metric: (record) => at(record).metric,
    arrival: (record) => at(record).arrival,
    routerId: (record) => at(record).routerId,
    clusterLength: (record) => at(record).clusterLength,
    addressRank: (record) => at(record).addressRank,
    pathId: (record) => at(record).pathId,
    samePath: (a, b) => at(a).path === at(b).path,
  };
}

function processOf(all: readonly Candidate[], options: Partial<DecisionOptions> = {}): DecisionProcess {
  return new DecisionProcess(viewOf(all), { ...OPTIONS, ...options });
}

function load(decision: DecisionProcess, order: readonly number[]): number {
  decision.reserve(order.length);
  decision.candidates.set(order);
  return order.length;
}

function decide(all: readonly Candidate[], order: readonly number[], options: Partial<DecisionOptions> = {}) {
  const decision = processOf(all, options);
  const best = decision.run(load(decision, order));
  const together = Array.from(decision.multipath.subarray(0, decision.multipathCount));
  const reasons = decision.explain(load(decision, order));
  return { best, together, reasons };
}

interface Case {
  readonly reason: DecisionReason;
  readonly what: string;
  readonly better: Partial<Candidate>;
  readonly worse: Partial<Candidate>;
  readonly options?: Partial<DecisionOptions>;
}

/** Each better one is made worse in the steps that come later, so that the case proves the order too. */
const CASES: readonly Case[] = [
  { reason: 'local-origin', what: 'a route of our own', better: { local: true, localPref: 1 }, worse: {} },
  {
    reason: 'long-lived-stale',
    what: 'a route that is not long-lived stale',
    better: { localPref: 1 },
    worse: { longLivedStale: true },
  },
  {
    reason: 'local-pref',
    what: 'the higher LOCAL_PREF',
    better: { localPref: 200, pathLength: 9 },
    worse: {},
  },
  {
    reason: 'local-pref',
    what: 'LOCAL_PREF as an unsigned number',
    better: { localPref: 0xffffffff },
    worse: { localPref: 0x7fffffff },
  },
  { reason: 'as-path-length', what: 'the shorter AS_PATH', better: { pathLength: 1, origin: 2 }, worse: {} },
  { reason: 'origin', what: 'IGP before EGP', better: { med: 99 }, worse: { origin: 1 } },
  { reason: 'origin', what: 'EGP before incomplete', better: { origin: 1, med: 99 }, worse: { origin: 2 } },
  { reason: 'med', what: 'the lower MED of one AS', better: { med: 1, external: false }, worse: { med: 2 } },
  {
    reason: 'ebgp-over-ibgp',
    what: 'MED not between ASes',
    better: { med: 9, metric: 7 },
    worse: { med: 1, neighbourAs: 65009, external: false },
  },
  {
    reason: 'med',
    what: 'MED between ASes when always compared',
    better: { med: 1, neighbourAs: 65009, external: false },
    worse: { med: 9 },
    options: { alwaysCompareMed: true },
  },
  { reason: 'ebgp-over-ibgp', what: 'external first', better: { metric: 50 }, worse: { external: false } },
  { reason: 'igp-metric', what: 'the nearer next hop', better: { arrival: 99 }, worse: { metric: 1 } },
  { reason: 'oldest-path', what: 'the older external path', better: { routerId: 9 }, worse: { arrival: 11 } },
  {
    reason: 'router-id',
    what: 'the lower router id of internal paths, whatever their age',
    better: { external: false, arrival: 99, routerId: 4, clusterLength: 3 },
    worse: { external: false },
  },
  {
    reason: 'router-id',
    what: 'the lower router id when told to compare it',
    better: { arrival: 99, routerId: 4 },
    worse: {},
    options: { compareRouterId: true },
  },
  {
    reason: 'router-id',
    what: 'router ids as unsigned numbers',
    better: { routerId: 0x7fffffff },
    worse: { routerId: 0x80000000 },
  },
  {
    reason: 'cluster-list-length',
    what: 'the shorter CLUSTER_LIST',
    better: { addressRank: 9 },
    worse: { clusterLength: 1 },
  },
  {
    reason: 'peer-address',
    what: 'the lower peer address',
    better: { pathId: 9 },
    worse: { addressRank: 6 },
  },
  { reason: 'path-id', what: 'the lower path identifier', better: { pathId: 1 }, worse: { pathId: 2 } },
];

describe('decision process', () => {
  for (const { reason, what, better, worse, options } of CASES) {
    it(`${reason}: ${what}`, () => {
      const all = [
        { ...USUAL, ...worse },
        { ...USUAL, ...better },
      ];
      for (const order of [
        [0, 1],
        [1, 0],
      ]) {
        const { best, reasons } = decide(all, order, options);
        assert.equal(best, 1);
        assert.deepEqual([reasons.get(0), reasons.get(1)], [reason, reason]);
      }
    });
  }

  it('has a case for every step', () => {
    assert.deepEqual(
      [...new Set(CASES.map((each) => each.reason))].sort(),
      DECISION_STEPS.map((s) => s.reason).sort(),
    );
  });

  it('names a path that is alone as such, and finds none among none', () => {
    assert.deepEqual([...decide([USUAL], [0]).reasons], [[0, 'only-path']]);
    assert.equal(decide([], []).best, -1);
    assert.equal(decide([], []).together.length, 0);
  });

  it('tells each loser what it lost by', () => {
    const all = [
      USUAL,
      { ...USUAL, pathLength: 3 },
      { ...USUAL, med: 5 },
      { ...USUAL, addressRank: 6 },
      { ...USUAL, localPref: 50 },
    ];
    const { best, reasons } = decide(all, [4, 3, 2, 1, 0]);
    assert.equal(best, 0);
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((record) => reasons.get(record)),
      ['peer-address', 'as-path-length', 'med', 'peer-address', 'local-pref'],
    );
  });

  it('RFC 4271 9.1.2.2 c: MED removes a path even if its better one loses later, in any order', () => {
    // Pairwise comparison goes round in a circle here: a beats b (router id), b beats c (router id), c beats a (MED).
    const all = [
      { ...USUAL, med: 20, routerId: 1, neighbourAs: 65001 },
      { ...USUAL, med: 0, routerId: 2, neighbourAs: 65002 },
      { ...USUAL, med: 10, routerId: 3, neighbourAs: 65001 },
    ];
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      assert.equal(decide(all, order).best, 1);
    }
  });

  const candidate = fc.record({
    local: fc.boolean(),
    localPref: fc.constantFrom(100, 200),
    pathLength: fc.constantFrom(1, 2),
    origin: fc.constantFrom(0, 2),
    med: fc.nat(3),
    neighbourAs: fc.constantFrom(0, 65001, 65002),
    external: fc.boolean(),
    metric: fc.constantFrom(0, 10),
    arrival: fc.nat(3),
    routerId: fc.nat(3),
    clusterLength: fc.nat(1),
    path: fc.constantFrom('x', 'y'),
    longLivedStale: fc.boolean(),
  });
  const candidates = fc
    .array(candidate, { minLength: 1, maxLength: 8 })
    .map((all) => all.map((each, index) => ({ ...each, addressRank: index, pathId: 0 })));

  it('does not depend on the order of the candidates, nor does multipath', () => {
    fc.assert(
      fc.property(
        candidates.chain((all) =>
          fc.tuple(
            fc.constant(all),
            fc.shuffledSubarray([...all.keys()], { minLength: all.length, maxLength: all.length }),
            fc.record({
              alwaysCompareMed: fc.boolean(),
              compareRouterId: fc.boolean(),
              relaxAsPath: fc.boolean(),
              maxPaths: fc.integer({ min: 1, max: 4 }),
            }),
          ),
        ),
        ([all, order, options]) => {
          const straight = decide(all, [...all.keys()], options);
          const shuffled = decide(all, order, options);
          assert.equal(shuffled.best, straight.best);
          assert.deepEqual(shuffled.together, straight.together);
          assert.deepEqual([...shuffled.reasons].sort(), [...straight.reasons].sort());
          assert.equal(straight.together[0], straight.best);
          assert.equal(new Set(straight.together).size, straight.together.length);
          assert.ok(straight.together.length <= options.maxPaths);
        },
      ),
    );
  });

  it('comes to what all its steps taken one by one come to', () => {
    fc.assert(
      fc.property(candidates, fc.boolean(), fc.boolean(), (drawn, withMeds, compareRouterId) => {
        const all = withMeds ? drawn : drawn.map((each) => ({ ...each, med: 0 }));
        const options = { ...OPTIONS, compareRouterId };
        const view = viewOf(all);
        const left = Int32Array.from(all.keys());
        let count = all.length;
        for (const step of DECISION_STEPS) count = step.reduce(view, left, count, options);
        assert.equal(decide(all, [...all.keys()], options).best, left[0]);
      }),
      { numRuns: 500 },
    );
  });

  it('takes a path away without changing what is left, unless it was best or kept others out by MED', () => {
    fc.assert(
      fc.property(candidates, fc.nat(), (all, pick) => {
        const { best } = decide(all, [...all.keys()], { alwaysCompareMed: true });
        const gone = pick % all.length;
        if (gone === best) return;
        const rest = [...all.keys()].filter((record) => record !== gone);
        // With age out of the picture every step is one order over all paths.
        const options = { alwaysCompareMed: true, compareRouterId: true };
        const before = decide(all, [...all.keys()], options).best;
        if (gone !== before) assert.equal(decide(all, rest, options).best, before);
      }),
    );
  });

  describe('multipath', () => {
    const equal = [
      { ...USUAL, routerId: 3, addressRank: 1 },
      { ...USUAL, routerId: 1, addressRank: 2 },
      { ...USUAL, routerId: 2, addressRank: 3, path: '65001 65009' },
      { ...USUAL, routerId: 0, addressRank: 4, pathLength: 3 },
    ];
    it('takes equal paths with the same AS_PATH, best first', () => {
      assert.deepEqual(decide(equal, [0, 1, 2, 3], { maxPaths: 8 }).together, [1, 0]);
    });
    it('relaxed: takes those of the same length', () => {
      assert.deepEqual(decide(equal, [3, 2, 1, 0], { maxPaths: 8, relaxAsPath: true }).together, [1, 0, 2]);
    });
    it('stops at maxPaths, in order of the peers, and takes one path by default', () => {
      assert.deepEqual(decide(equal, [3, 2, 1, 0], { maxPaths: 2, relaxAsPath: true }).together, [1, 0]);
      assert.deepEqual(decide(equal, [3, 2, 1, 0], { relaxAsPath: true }).together, [1]);
    });
    it('does not mix external and internal, nor near and far', () => {
      const mixed = [USUAL, { ...USUAL, external: false }, { ...USUAL, metric: 1 }];
      assert.deepEqual(decide(mixed, [0, 1, 2], { maxPaths: 8 }).together, [0]);
    });
    it('has room for more candidates than it began with', () => {
      const many = Array.from({ length: 300 }, (_, index) => ({
        ...USUAL,
        routerId: 300 - index,
        addressRank: index,
      }));
      const { best, together } = decide(many, [...many.keys()], { maxPaths: 64 });
      assert.equal(best, 299);
      assert.equal(together.length, 64);
    });
  });
});
