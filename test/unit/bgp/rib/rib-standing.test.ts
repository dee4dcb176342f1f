/** Paths that come and go without a new decision, since the one that stands is sure to: the same as deciding again each time. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { address, attributes, LOCAL_AS, makeRib, settle, TestPeer } from './support.ts';

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
  return [...rib.routes({ family: 'ipv4' }), ...rib.routes({ family: 'ipv6' })]
    .filter(({ best }) => best)
    .map(
      (view) =>
        `${formatPrefix(view.prefix)} ${JSON.stringify(view.source)} ${view.attributes.nextHop && formatAddress(view.attributes.nextHop)}`,
    )
    .sort();
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
