/** Messages full of prefixes that nobody had: taken in, decided and exported together, to the same end as one by one. */
import assert from 'node:assert/strict';
import { address, attributes, makeRib, path, settle, TestPeer } from './support.ts';

const host = (index: number): string => `10.0.${index >> 8}.${index & 255}/32`;
const hosts = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => host(from + index));
const EMPTY = { attributes: 0, nextHops: 0, nextHopSets: 0, prefixes: { ipv4: 0, ipv6: 0 } };
const FROM_B = attributes({ nextHop: address('192.0.2.2'), ...path(65002) });

function peers(rib = makeRib()): { rib: ReturnType<typeof makeRib>; a: TestPeer; b: TestPeer; c: TestPeer } {
  const a = new TestPeer(rib, { name: 'a', address: address('192.0.2.1') }, { routerId: 1 });
  const b = new TestPeer(rib, { name: 'b', address: address('192.0.2.2'), peerAs: 65002 }, { routerId: 2 });
  const c = new TestPeer(rib, { name: 'c', address: address('192.0.2.3'), peerAs: 65003 }, { routerId: 3 });
  return { rib, a, b, c };
}

describe('messages of new prefixes', () => {
  it('of more than fit into a page of records, from two peers in turns', () => {
    const { rib, a, b, c } = peers();
    a.announce(hosts(0, 300), attributes());
    b.announce(hosts(300, 700), FROM_B);
    a.announce(hosts(700, 1000), attributes());
    settle(rib);
    assert.deepEqual([...c.read().keys()].sort(), hosts(0, 1000).sort());
    assert.deepEqual(rib.countsOf(a.id, 'ipv4'), { received: 600, accepted: 600, discarded: 0 });
    assert.deepEqual(rib.countsOf(b.id, 'ipv4'), { received: 400, accepted: 400, discarded: 0 });
    for (const index of [0, 255, 256, 299, 300, 699, 700, 999]) {
      const from = index >= 300 && index < 700 ? 65002 : 65001;
      const received = c.read().get(host(index));
      assert.deepEqual(received?.asPath, [{ type: 'sequence', asNumbers: [64500, from] }], host(index));
    }
    a.down();
    settle(rib);
    assert.deepEqual([...c.read().keys()].sort(), hosts(300, 700).sort());
    b.down();
    settle(rib);
    c.read();
    assert.deepEqual(rib.sizes, EMPTY);
  });

  it('records that were given back are used again before the rest of the page', () => {
    const { rib, a, c } = peers();
    a.announce(hosts(0, 100), attributes());
    settle(rib);
    a.announce(['10.9.9.9/32'], attributes());
    // These ids come back only when they were withdrawn everywhere, but the records at once.
    a.withdraw([host(3), host(40), host(41)]);
    a.announce(hosts(100, 400), attributes());
    settle(rib);
    const expected = [...hosts(0, 3), ...hosts(4, 40), ...hosts(42, 400), '10.9.9.9/32'];
    assert.deepEqual([...c.read().keys()].sort(), expected.sort());
    a.withdraw(expected);
    settle(rib);
    assert.equal(c.read().size, 0);
    assert.deepEqual(rib.sizes, EMPTY);
  });

  it('a prefix that stands twice in its message, with others around it', () => {
    const { rib, a, c } = peers();
    a.announce([host(1), host(2), host(1), host(3), host(3)], attributes());
    settle(rib);
    assert.deepEqual([...c.read().keys()].sort(), [host(1), host(2), host(3)]);
    assert.deepEqual(rib.countsOf(a.id, 'ipv4'), { received: 3, accepted: 3, discarded: 0 });
    a.down();
    settle(rib);
    assert.equal(c.read().size, 0);
    assert.deepEqual(rib.sizes, EMPTY);
  });

  it('those beyond the limit of the peer are left out', () => {
    const rib = makeRib();
    const limit = { limit: 300, count: 'received', warnPercent: 75, action: { kind: 'discard' } } as const;
    const a = new TestPeer(rib, { name: 'a', address: address('192.0.2.1'), maxPrefixes: { ipv4: limit } });
    const c = new TestPeer(rib, { name: 'c', address: address('192.0.2.3'), peerAs: 65003 });
    a.announce(hosts(0, 290), attributes());
    a.announce(hosts(290, 320), attributes());
    assert.deepEqual(rib.countsOf(a.id, 'ipv4'), { received: 300, accepted: 300, discarded: 20 });
    assert.equal(rib.sizes.prefixes.ipv4, 300);
    assert.deepEqual([...c.read().keys()].sort(), hosts(0, 300).sort());
  });

  it('those that are looped are kept, counted as rejected, and go to nobody', () => {
    const { rib, a, c } = peers();
    a.announce(hosts(0, 300), attributes(path(65001, 64500)));
    a.announce(hosts(300, 310), attributes());
    settle(rib);
    assert.deepEqual(rib.countsOf(a.id, 'ipv4'), { received: 310, accepted: 10, discarded: 0 });
    assert.deepEqual([...c.read().keys()].sort(), hosts(300, 310).sort());
    a.down();
    settle(rib);
    c.read();
    assert.deepEqual(rib.sizes, EMPTY);
  });

  it('another path that comes before they are decided has its say', () => {
    const { rib, a, b, c } = peers();
    b.announce(hosts(0, 300), attributes({ nextHop: address('192.0.2.2'), ...path(65002, 65100) }));
    a.announce(hosts(100, 200), attributes());
    settle(rib);
    const firstHops = (from: number, to: number): Set<number | undefined> =>
      new Set(hosts(from, to).map((text) => c.read().get(text)?.asPath[0]?.asNumbers[1]));
    assert.deepEqual(firstHops(0, 100), new Set([65002]));
    assert.deepEqual(firstHops(100, 200), new Set([65001]));
    assert.deepEqual(firstHops(200, 300), new Set([65002]));
    b.down();
    settle(rib);
    assert.deepEqual([...c.read().keys()].sort(), hosts(100, 200).sort());
    a.down();
    settle(rib);
    c.read();
    assert.deepEqual(rib.sizes, EMPTY);
  });

  it('IPv6 as well', () => {
    const { rib, a, c } = peers();
    const nets = Array.from({ length: 200 }, (_, index) => `2001:db8:${index.toString(16)}::/48`);
    a.announce(nets, attributes({ nextHop: address('2001:db8::1') }));
    settle(rib);
    assert.deepEqual([...c.read().keys()].sort(), nets.map((net) => net.replace(':0::', '::')).sort());
    a.down();
    settle(rib);
    assert.equal(c.read().size, 0);
    assert.deepEqual(rib.sizes, EMPTY);
  });
});
