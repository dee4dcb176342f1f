/** Export rules that ask for the interface a route leads to: what has one, and that its changes are followed under the sessions. */
import assert from 'node:assert/strict';
import type { FilterChain } from '../../../../bgp/policy/types.ts';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import type { NextHopState } from '../../../../bgp/types.ts';
import { parseAddress } from '../../../../src/net/address.ts';
import { address, attributes, contextOf, makeRib, peerConfig, prefix, TestPeer } from './support.ts';

const NETS = { ipv4: '10.1.0.0/16', ipv6: '2001:db8:1::/48' } as const;
const HOPS = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;

function only(pattern: string, source?: 'local' | 'peer'): FilterChain {
  return {
    name: pattern,
    rules: [
      { name: 'by interface', match: { interface: pattern, ...(source && { source }) }, action: 'accept' },
    ],
    fallThrough: 'reject',
  };
}

function by(name: string | undefined, metric = 0): NextHopState {
  return { reachable: true, metric, ...(name !== undefined && { interface: name }) };
}

function scene(chain: FilterChain, session: ConstructorParameters<typeof TestPeer>[2] = {}) {
  const rib = makeRib({ trackNextHops: true });
  const from = new TestPeer(rib, { name: 'from', peerAs: 65001 });
  const to = new TestPeer(
    rib,
    { name: 'to', address: address('192.0.2.2'), peerAs: 65002, exportPolicy: chain },
    session,
  );
  return { rib, from, to };
}

const told = (peer: TestPeer): string[] => [...peer.read().keys()].sort();
const tell = (rib: Rib, text: string, state: NextHopState): void => rib.setNextHopState(address(text), state);

describe('interfaces in export rules', () => {
  for (const family of ['ipv4', 'ipv6'] as const) {
    it(`${family}: a learned route has that of its next hop, and moves with it`, () => {
      const { rib, from, to } = scene(only('eth*'));
      from.announce([NETS[family]], attributes({ nextHop: address(HOPS[family]) }));
      assert.deepEqual(told(to), []);
      tell(rib, HOPS[family], by('eth0'));
      assert.deepEqual(told(to), [NETS[family]]);
      const { announced } = to.receiver;
      tell(rib, HOPS[family], by('eth1'));
      assert.deepEqual(told(to), [NETS[family]]);
      assert.equal(to.receiver.announced, announced, 'nothing is said twice');
      tell(rib, HOPS[family], by('bond0'));
      assert.deepEqual(told(to), []);
      tell(rib, HOPS[family], by('eth0'));
      assert.deepEqual(told(to), [NETS[family]]);
      // Several ways: as in BIRD it has none.
      tell(rib, HOPS[family], by(undefined));
      assert.deepEqual(told(to), []);
    });
  }

  it('a route of ours has the one that it was originated with, a block none', () => {
    const { rib, to } = scene(only('cali*', 'local'));
    rib.originate(prefix('10.65.0.1/32'), {}, undefined, 'cali1');
    rib.originate(prefix('10.65.0.2/32'), {}, undefined, 'tap2');
    rib.originate(prefix('10.65.1.0/26'));
    assert.deepEqual(told(to), ['10.65.0.1/32']);
    rib.originate(prefix('10.65.0.2/32'), {}, undefined, 'cali2');
    rib.originate(prefix('10.65.0.1/32'));
    assert.deepEqual(told(to), ['10.65.0.2/32']);
    rib.withdraw(prefix('10.65.0.2/32'));
    assert.deepEqual(told(to), []);
    // The prefix id may be another route's now: what was known of the old one is gone.
    rib.originate(prefix('10.65.0.3/32'));
    assert.deepEqual(told(to), []);
  });

  it('a learned route does not take over the interface of one of ours', () => {
    const { rib, from, to } = scene(only('cali*'));
    tell(rib, HOPS.ipv4, by('eth0'));
    rib.originate(prefix(NETS.ipv4), {}, undefined, 'cali1');
    from.announce([NETS.ipv4], attributes());
    tell(rib, HOPS.ipv4, by('eth0'));
    assert.deepEqual(told(to), [NETS.ipv4]);
    rib.withdraw(prefix(NETS.ipv4));
    assert.deepEqual(told(to), []);
  });

  it('a link-local next hop has the interface of its link, also where nobody follows next hops', () => {
    const rib = makeRib();
    const linkLocal = parseAddress('fe80::1');
    assert.ok(linkLocal);
    const from = new TestPeer(rib, { name: 'from', peerAs: 65001, address: linkLocal, interface: 'eth3' });
    const to = new TestPeer(rib, { name: 'to', peerAs: 65002, exportPolicy: only('eth3') });
    from.announce([NETS.ipv6], attributes({ nextHop: linkLocal }));
    assert.deepEqual(told(to), [NETS.ipv6]);
  });

  it('peers that get several paths to a prefix: by the interface of each path', () => {
    const config = peerConfig({ peerAs: 65002 });
    const { rib, from, to } = scene(only('eth0'), {
      addPathSend: { ipv4: true, ipv6: false },
      context: contextOf(config),
    });
    const other = new TestPeer(rib, { name: 'other', peerAs: 65003, address: address('192.0.2.3') });
    from.announce([NETS.ipv4], attributes());
    other.announce([NETS.ipv4], attributes({ nextHop: address('192.0.2.3') }));
    tell(rib, HOPS.ipv4, by('eth0'));
    tell(rib, '192.0.2.3', by('eth1'));
    const paths = (): number => {
      while (rib.work(() => false));
      while (rib.fill(to.id, new Uint8Array(65536), 0) > 0);
      return [...rib.advertised(to.id, 'ipv4')].length;
    };
    assert.equal(paths(), 1);
    tell(rib, '192.0.2.3', by('eth0'));
    assert.equal(paths(), 2);
    tell(rib, HOPS.ipv4, by('eth1'));
    assert.equal(paths(), 1);
  });

  it('rules that come and go under the session are heeded; where none asks, a change of interface makes no work', () => {
    const all: FilterChain = { name: 'all', rules: [], fallThrough: 'accept' };
    const { rib, from, to } = scene(all);
    from.announce([NETS.ipv4], attributes());
    tell(rib, HOPS.ipv4, by('eth0'));
    assert.deepEqual(told(to), [NETS.ipv4]);
    tell(rib, HOPS.ipv4, by('eth1'));
    assert.equal(rib.hasWork, false);
    to.update({ exportPolicy: only('eth0') });
    assert.deepEqual(told(to), []);
    tell(rib, HOPS.ipv4, by('eth0'));
    assert.equal(rib.hasWork, true);
    assert.deepEqual(told(to), [NETS.ipv4]);
    to.update({ exportPolicy: all });
    assert.deepEqual(told(to), [NETS.ipv4]);
    tell(rib, HOPS.ipv4, by('eth2'));
    assert.equal(rib.hasWork, false);
  });
});
