/** Paths that come and go without a new decision, since the one that stands is sure to: the same as deciding again each time. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import { address, attributes, LOCAL_AS, makeRib, selectedOf, settle, TestPeer } from './support.ts';

/** Two peers of one AS, so that MEDs are compared, one of another and an internal one. */
const PEERS = [
  { name: 'a', address: address('192.0.2.1'), peerAs: 65001 },
  { name: 'b', address: address('192.0.2.2'), peerAs: 65001 },
  { name: 'c', address: address('192.0.2.3'), peerAs: 65002 },
  { name: 'd', address: address('192.0.2.4'), peerAs: LOCAL_AS },
];
const PREFIXES = ['10.0.0.0/8', '2001:db8:1::/48'];

const step = fc.record({
  peer: fc.nat(PEERS.length - 1),
  prefix: fc.constantFrom(...PREFIXES),
  withdraw: fc.boolean(),
  neighbour: fc.constantFrom(65001, 65002),
  tail: fc.constantFrom<number[]>([], [], [65100]),
  med: fc.constantFrom(undefined, undefined, 5, 10),
  localPref: fc.constantFrom(undefined, 200),
  looped: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
  laterMs: fc.constantFrom(0, 0, 1_000),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function run(rib: Rib, steps: readonly Step[], afterEach: (rib: Rib) => void): string[] {
  const peers = PEERS.map((changes, index) => new TestPeer(rib, changes, { routerId: 100 - index }));
  let now = 1_000_000;
  for (const each of steps) {
    const peer = peers[each.peer];
    now += each.laterMs;
    const isInternal = each.peer === 3;
    const hops = [...(each.looped ? [LOCAL_AS] : []), ...each.tail];
    const first = isInternal ? each.neighbour : (PEERS[each.peer]?.peerAs ?? 0);
    if (each.withdraw) peer?.withdraw([each.prefix]);
    else {
      peer?.announce(
        [each.prefix],
        attributes({
          asPath: [{ type: 'sequence', asNumbers: [first, ...hops] }],
          nextHop: address(
            each.prefix.includes(':') ? `2001:db8::${each.peer + 1}` : `192.0.2.${each.peer + 1}`,
          ),
          ...(each.med !== undefined && { med: each.med }),
          ...(isInternal && { localPref: each.localPref ?? 100 }),
        }),
        now,
      );
    }
    afterEach(rib);
  }
  settle(rib);
  // Each peer has a next hop of its own. Not what the inspection says: that decides for itself.
  return PREFIXES.map((text) => `${text} ${selectedOf(rib, text).join(' ')}`);
}

describe('decisions that stand', () => {
  for (const options of [{}, { alwaysCompareMed: true }, { compareRouterId: true }, { maxPaths: 4 }]) {
    it(`are what deciding once at the end comes to: ${JSON.stringify(options)}`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
          const decidedEachTime = run(makeRib(options), steps, settle);
          const decidedOnce = run(makeRib(options), steps, () => {});
          assert.deepEqual(decidedEachTime, decidedOnce);
        }),
        { numRuns: 200 },
      );
    });
  }

  it('fall when a path goes that kept another out by its MED', () => {
    const rib = makeRib();
    const [a, b, c] = PEERS.slice(0, 3).map((changes) => new TestPeer(rib, changes));
    const say = (peer: TestPeer | undefined, as: number, med: number | undefined, now: number): void => {
      const asPath = [{ type: 'sequence' as const, asNumbers: [as] }];
      const nextHop = address(`192.0.2.${as === 65002 ? 3 : med === 5 ? 1 : 2}`);
      peer?.announce(['10.0.0.0/8'], attributes({ asPath, nextHop, ...(med !== undefined && { med }) }), now);
      settle(rib);
    };
    // b's is the oldest, then c's; a's puts b's out, and c's, which is older, is the best of the two.
    say(b, 65001, 10, 1_000_000);
    say(c, 65002, undefined, 2_000_000);
    say(a, 65001, 5, 3_000_000);
    assert.deepEqual(selectedOf(rib, '10.0.0.0/8'), ['192.0.2.3']);
    a?.withdraw(['10.0.0.0/8']);
    settle(rib);
    assert.deepEqual(selectedOf(rib, '10.0.0.0/8'), ['192.0.2.2']);
  });

  it('are not made anew for a path that loses, nor when one goes that lost', () => {
    const rib = makeRib();
    const [a, b] = PEERS.slice(0, 2).map((changes) => new TestPeer(rib, changes));
    a?.announce(['10.0.0.0/8'], attributes());
    settle(rib);
    b?.announce(['10.0.0.0/8'], attributes({ asPath: [{ type: 'sequence', asNumbers: [65001, 65009] }] }));
    assert.equal(rib.hasWork, false);
    b?.withdraw(['10.0.0.0/8']);
    assert.equal(rib.hasWork, false);
    a?.withdraw(['10.0.0.0/8']);
    assert.equal(rib.hasWork, true);
    settle(rib);
    assert.deepEqual(rib.sizes.prefixes, { ipv4: 0, ipv6: 0 });
  });
});
