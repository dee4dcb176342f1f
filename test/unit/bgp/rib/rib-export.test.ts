/** What goes out: attributes by RFC 4271 5.1, well-known communities, split horizon, refresh, End-of-RIB, slow peers. */
import assert from 'node:assert/strict';
import type { PeerSession } from '../../../../bgp/rib/peers.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import {
  ACCEPT_ALL,
  address,
  attributes,
  contextOf,
  LOCAL_AS,
  makeRib,
  type PeerChanges,
  path,
  peerConfig,
  prefix,
  settle,
  TestPeer,
} from './support.ts';

const NET = '198.51.100.0/24';

/** What a peer is told of one route that another one sent. */
function told(
  from: PeerChanges,
  to: PeerChanges,
  sent: PathAttributes,
  session: Partial<PeerSession> = {},
): PathAttributes | undefined {
  const rib = makeRib();
  const sender = new TestPeer(rib, { name: 'from', address: address('192.0.2.1'), peerAs: 65001, ...from });
  const receiver = new TestPeer(
    rib,
    { name: 'to', address: address('192.0.2.2'), peerAs: 65002, ...to },
    session,
  );
  sender.announce([NET], sent);
  return receiver.read().get(NET);
}

const IBGP = { peerAs: LOCAL_AS };

describe('RIB export', () => {
  it('to eBGP: prepends our AS, takes the next hop itself, strips LOCAL_PREF, MED, and what stays within an AS', () => {
    const sent = attributes({
      med: 10,
      communities: [0xfde80001],
      extendedCommunities: [0x0002fde800000001n, 0x4002fde800000002n],
      largeCommunities: [{ global: 1, local1: 2, local2: 3 }],
      atomicAggregate: true,
    });
    const { med, extendedCommunities, ...rest } = sent;
    assert.deepEqual(told({}, {}, sent), {
      ...rest,
      extendedCommunities: [0x0002fde800000001n],
      nextHop: address('192.0.2.254'),
      ...path(LOCAL_AS, 65001),
    });
  });

  it('iBGP to eBGP: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST stay at home', () => {
    const out = told(IBGP, {}, attributes({ asPath: [], localPref: 300, originatorId: 7, clusterList: [8] }));
    assert.deepEqual(out, { origin: 'igp', nextHop: address('192.0.2.254'), ...path(LOCAL_AS) });
  });

  it('to iBGP: keeps next hop, MED and AS_PATH, and says LOCAL_PREF 100', () => {
    const sent = attributes({ med: 10 });
    assert.deepEqual(told({}, IBGP, sent), { ...sent, localPref: 100 });
  });

  it('to iBGP with next hop self', () => {
    const out = told({}, { ...IBGP, nextHop: 'self' }, attributes());
    assert.deepEqual(out?.nextHop, address('192.0.2.254'));
  });

  it('iBGP to iBGP: nothing', () => {
    assert.equal(told(IBGP, IBGP, attributes({ localPref: 100 })), undefined);
  });

  for (const [community, ebgp, ibgp] of [
    [0xffffff01, false, true],
    [0xffffff02, false, false],
    [0xffffff03, false, true],
    [0xffffff04, true, true],
  ] as const) {
    it(`RFC 1997: community ${community.toString(16)} goes ${ebgp ? '' : 'not '}to eBGP, ${ibgp ? '' : 'not '}to iBGP`, () => {
      const sent = attributes({ communities: [community] });
      assert.equal(told({}, {}, sent) !== undefined, ebgp);
      assert.equal(told({}, IBGP, sent) !== undefined, ibgp);
    });
  }

  it('RFC 8212: without policy an eBGP peer gets nothing and nothing is taken from it', () => {
    assert.equal(told({}, { exportPolicy: undefined }, attributes()), undefined);
    assert.equal(told({ importPolicy: undefined }, {}, attributes()), undefined);
    assert.notEqual(told({ importPolicy: undefined, ...IBGP }, {}, attributes({ localPref: 1 })), undefined);
    assert.notEqual(told({}, { exportPolicy: undefined, ...IBGP }, attributes()), undefined);
  });

  describe('next hop towards eBGP, RFC 4271 5.1.3', () => {
    const shared = { connectedSubnets: [prefix('192.0.2.0/24')] };
    const cases: [string, string, PeerChanges, Partial<PeerSession>, string | undefined][] = [
      ['auto: of a third party in the shared subnet, kept', '192.0.2.77', {}, shared, '192.0.2.77'],
      ['auto: of a third party elsewhere, self', '203.0.113.7', {}, shared, '192.0.2.254'],
      ['auto: without a known subnet, self', '192.0.2.77', {}, {}, '192.0.2.254'],
      [
        'auto: of a peer more than a hop away, self',
        '192.0.2.77',
        {},
        { ...shared, peerConnected: false },
        '192.0.2.254',
      ],
      ["auto: the receiver's own address, self", '192.0.2.2', {}, shared, '192.0.2.254'],
      ['self', '192.0.2.77', { nextHop: 'self' }, shared, '192.0.2.254'],
      ['keep', '203.0.113.7', { nextHop: 'keep' }, {}, '203.0.113.7'],
      ["keep: never the receiver's own address", '192.0.2.2', { nextHop: 'keep' }, {}, undefined],
      ['no address of the family: not announced', '192.0.2.77', {}, { localAddress: {} }, undefined],
    ];
    for (const [name, nextHop, to, session, expected] of cases) {
      it(name, () => {
        const out = told({}, to, attributes({ nextHop: address(nextHop) }), session);
        assert.equal(out?.nextHop && formatAddress(out.nextHop), expected);
      });
    }

    it('peers on one subnet: the third party itself gets our address, the others its own, at each change', () => {
      const rib = makeRib();
      const [sender, other, third] = [1, 2, 3].map(
        (last) =>
          new TestPeer(
            rib,
            { name: `${last}`, address: address(`192.0.2.${last}`), peerAs: 65000 + last },
            shared,
          ),
      );
      for (const nextHop of ['192.0.2.3', '192.0.2.77', '192.0.2.3']) {
        sender?.announce(['10.0.0.0/8'], attributes({ nextHop: address(nextHop) }));
        const told = [other, third].map((peer) => {
          const out = peer?.read().get('10.0.0.0/8')?.nextHop;
          return out && formatAddress(out);
        });
        assert.deepEqual(told, [nextHop, nextHop === '192.0.2.3' ? '192.0.2.254' : nextHop]);
      }
      sender?.withdraw(['10.0.0.0/8']);
      for (const peer of [other, third]) assert.equal(peer?.read().size, 0);
      for (const peer of [sender, other, third]) if (peer !== undefined) rib.removePeer(peer.id);
      settle(rib);
      assert.deepEqual([rib.sizes.attributes, rib.sizes.nextHops, rib.sizes.prefixes.ipv4], [0, 0, 0]);
    });

    it('IPv6: global and link-local address to a neighbour, the global one alone to others (RFC 2545 3)', () => {
      const both = {
        localAddress: { ipv6: address('2001:db8::fe'), linkLocal: address('fe80::fe') },
      };
      for (const [peerConnected, linkLocal] of [
        [true, address('fe80::fe')],
        [false, undefined],
      ] as const) {
        const rib = makeRib();
        const peer = new TestPeer(rib, {}, { ...both, peerConnected });
        rib.originate(prefix('2001:db8:5::/48'));
        const out = peer.read().get('2001:db8:5::/48');
        assert.deepEqual(out?.nextHop, address('2001:db8::fe'));
        assert.deepEqual(out?.linkLocalNextHop, linkLocal);
      }
    });

    it('RFC 8950: an IPv4 route goes with an IPv6 next hop when that was agreed', () => {
      const rib = makeRib();
      const context = contextOf(peerConfig(), { extendedNextHop: true });
      const peer = new TestPeer(rib, {}, { context, localAddress: { ipv6: address('2001:db8::fe') } });
      rib.originate(prefix(NET));
      settle(rib);
      const buffer = new Uint8Array(4096);
      assert.ok(rib.fill(peer.id, buffer, 0) > 0);
      assert.equal(rib.familyStatus(peer.id, 'ipv4').advertised, 1);
    });
  });

  it('our own routes: no MED lost, AS_PATH of ourselves alone, next hop self to everybody', () => {
    const rib = makeRib();
    const external = new TestPeer(rib, { name: 'e' });
    const internal = new TestPeer(rib, { name: 'i', address: address('192.0.2.9'), ...IBGP });
    rib.originate(prefix(NET), { med: 5, communities: [1] });
    const common = { origin: 'igp', nextHop: address('192.0.2.254'), med: 5, communities: [1] };
    assert.deepEqual(external.read().get(NET), { ...common, ...path(LOCAL_AS) });
    assert.deepEqual(internal.read().get(NET), { ...common, asPath: [], localPref: 100 });
    rib.originate(prefix(NET), { med: 6 });
    assert.equal(external.read().get(NET)?.med, 6);
    assert.equal(external.receiver.withdrawn, 0, 'implicit withdrawal');
  });

  it('export operations apply before our AS is put in front', () => {
    const rib = makeRib();
    const peer = new TestPeer(rib, {
      exportPolicy: {
        name: 'ops',
        fallThrough: 'reject',
        rules: [
          {
            name: 'all',
            match: {},
            action: 'accept',
            operations: [
              { kind: 'prepend-as-path', asNumbers: [64999, 64998] },
              { kind: 'set-med', value: 3 },
              { kind: 'set-local-pref', value: 9 },
            ],
          },
        ],
      },
    });
    rib.originate(prefix(NET));
    const out = peer.read().get(NET);
    assert.deepEqual(out?.asPath, path(LOCAL_AS, 64999, 64998).asPath);
    assert.equal(out?.med, 3);
    assert.equal(out?.localPref, undefined);
  });

  it('nobody gets back what he sent, also when two peers of one group send what looks the same to others', () => {
    const rib = makeRib();
    const [a, b, c] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(
      (text, index) =>
        new TestPeer(rib, { name: text, address: address(text), peerAs: index < 2 ? 65001 : 65003 }),
    );
    assert.ok(a && b && c);
    a.announce([NET], attributes({ nextHop: address('192.0.2.1') }), 1_000_000);
    assert.deepEqual(
      [a, b, c].map((peer) => peer.read().has(NET)),
      [false, true, true],
    );
    b.announce([NET], attributes({ nextHop: address('192.0.2.2') }), 1_001_000);
    const before = c.receiver.announced;
    assert.deepEqual(
      [a, b, c].map((peer) => peer.read().has(NET)),
      [false, true, true],
    );
    a.withdraw([NET]);
    assert.deepEqual(
      [a, b, c].map((peer) => peer.read().has(NET)),
      [true, false, true],
    );
    assert.equal(c.receiver.announced, before, 'the third party sees no difference and is told nothing');
  });

  it('sends End-of-RIB once per family, after the table, and the table again on refresh', () => {
    const rib = makeRib();
    for (let i = 0; i < 500; i++) rib.originate(prefix(`10.${i >> 8}.${i & 255}.0/24`));
    const peer = new TestPeer(rib, {});
    settle(rib);
    while (peer.receiver.pull(rib, peer.id, 1, 200)) {
      if (peer.receiver.table.size < 500) assert.equal(peer.receiver.endOfRib.has('ipv4'), false);
    }
    assert.equal(peer.receiver.table.size, 500);
    assert.deepEqual([...peer.receiver.endOfRib], ['ipv4', 'ipv6']);
    const messages = peer.receiver.messages;
    assert.equal(peer.receiver.announced, 500);
    rib.refresh(peer.id, 'ipv4');
    assert.equal(rib.hasOutput(peer.id), true);
    peer.read();
    assert.equal(peer.receiver.announced, 1000);
    assert.ok(peer.receiver.messages - messages <= 2, 'packed into full messages');
    assert.equal(peer.receiver.pull(rib, peer.id), false);
  });

  it('packs routes with the same attributes together though they came mixed', () => {
    const rib = makeRib();
    const from = new TestPeer(rib, {});
    const to = new TestPeer(rib, { name: 'to', address: address('192.0.2.2'), peerAs: 65002 });
    to.read();
    const before = to.receiver.messages;
    for (let i = 0; i < 200; i++)
      from.announce([`10.0.${i}.0/24`], attributes({ ...path(65001, 65100 + (i % 4)) }));
    assert.equal(to.read().size, 200);
    assert.equal(to.receiver.messages - before, 4);
  });

  it('a peer that does not read costs a bounded log and is told the outcome only', () => {
    const rib = makeRib();
    const from = new TestPeer(rib, {});
    const slow = new TestPeer(rib, { name: 'slow', address: address('192.0.2.2'), peerAs: 65002 });
    const quick = new TestPeer(rib, { name: 'quick', address: address('192.0.2.3'), peerAs: 65003 });
    slow.read();
    quick.read();
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 100; i++) from.announce([`10.0.${i}.0/24`], attributes(path(65001, 65000 - round)));
      quick.read();
    }
    assert.equal(quick.receiver.announced, 4000);
    slow.read();
    assert.equal(slow.receiver.announced, 100);
    for (let i = 0; i < 100; i++) from.withdraw([`10.0.${i}.0/24`]);
    settle(rib);
    for (let i = 0; i < 50; i++) from.announce([`10.0.${i}.0/24`], attributes(path(65001, 1)));
    assert.equal(slow.read().size, 50);
    assert.equal(slow.receiver.announced, 150);
    assert.equal(slow.receiver.withdrawn, 50);
  });

  it('holds everything when all tables outgrow their first size, and shrinks to nothing', () => {
    const rib = makeRib({ trackNextHops: true });
    const to = new TestPeer(rib, { name: 'to', address: address('192.0.2.200'), peerAs: 65002 });
    to.read();
    const senders = Array.from(
      { length: 40 },
      (_, n) => new TestPeer(rib, { name: `s${n}`, address: address(`192.0.2.${n + 1}`), peerAs: 65100 + n }),
    );
    for (const [n, sender] of senders.entries()) {
      for (let i = 0; i < 80; i++) {
        const nextHop = address(`192.0.2.${n + 1 + 40 * (i % 3)}`);
        rib.setNextHopState(nextHop, { reachable: true, metric: 0 });
        sender.announce(
          [`10.${n}.${i}.0/24`, `172.16.${i}.0/24`],
          attributes({ ...path(65100 + n, 64000 + i), nextHop }),
        );
        rib.setNextHopState(nextHop, { reachable: true, metric: 0 });
      }
    }
    assert.equal(to.read().size, 41 * 80);
    for (const [n] of senders.entries()) {
      for (let i = 0; i < 80; i++) {
        const got = to.receiver.table.get(`10.${n}.${i}.0/24`)?.asPath;
        assert.deepEqual(got, path(LOCAL_AS, 65100 + n, 64000 + i).asPath);
      }
    }
    assert.deepEqual(
      to.receiver.table.get('172.16.7.0/24')?.asPath,
      path(LOCAL_AS, 65100, 64007).asPath,
      'lowest router id or address among equals',
    );
    for (const sender of senders) rib.removePeer(sender.id);
    assert.equal(to.read().size, 0);
    assert.deepEqual(rib.sizes, {
      attributes: 0,
      nextHops: 0,
      nextHopSets: 0,
      prefixes: { ipv4: 0, ipv6: 0 },
    });
  });

  it('a peer that does not read while only its own presence changes is caught up by a walk', () => {
    const rib = makeRib();
    const [a, b, c] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(
      (text, index) =>
        new TestPeer(rib, { name: text, address: address(text), peerAs: index < 2 ? 65001 : 65003 }),
    );
    assert.ok(a && b && c);
    const fromA = attributes({ nextHop: address('192.0.2.1') });
    a.announce([NET], fromA, 1_000_000);
    b.announce([NET], attributes({ nextHop: address('192.0.2.2') }), 1_001_000);
    for (const peer of [a, b, c]) peer.read();
    const before = c.receiver.announced;
    for (let round = 0; round < 10; round++) {
      a.withdraw([NET]);
      settle(rib);
      a.announce([NET], fromA, 1_002_000 + 1000 * round);
      settle(rib);
      b.withdraw([NET]);
      settle(rib);
      b.announce([NET], attributes({ nextHop: address('192.0.2.2') }), 1_002_500 + 1000 * round);
      settle(rib);
    }
    assert.deepEqual(
      [a, b, c].map((peer) => peer.read().has(NET)),
      [false, true, true],
    );
    assert.equal(c.receiver.announced, before);
  });

  it('a change of export policy sends the difference', () => {
    const rib = makeRib();
    const from = new TestPeer(rib, {});
    const to = new TestPeer(rib, { name: 'to', address: address('192.0.2.2'), peerAs: 65002 });
    rib.originate(prefix(NET));
    from.announce(['10.0.0.0/8'], attributes());
    assert.deepEqual([...to.read().keys()].sort(), ['10.0.0.0/8', NET]);
    to.update({
      exportPolicy: {
        name: 'own',
        rules: [{ name: 'own', match: { source: 'local' }, action: 'accept' }],
        fallThrough: 'reject',
      },
    });
    assert.deepEqual([...to.read().keys()], [NET]);
    to.update({ exportPolicy: undefined });
    assert.equal(to.read().size, 0);
    to.update({ exportPolicy: ACCEPT_ALL });
    assert.equal(to.read().size, 2);
  });

  it('attributes too long for a message are not sent, and what they replace is withdrawn (RFC 8654 5)', () => {
    const rib = makeRib();
    const peer = new TestPeer(rib, {});
    rib.originate(prefix(NET));
    assert.equal(peer.read().size, 1);
    rib.originate(prefix(NET), { communities: Array.from({ length: 1100 }, (_, index) => index) });
    assert.equal(peer.read().size, 0);
    assert.equal(rib.hasOutput(peer.id), false);
    assert.equal(rib.familyStatus(peer.id, 'ipv4').advertised, 0);
  });

  it('fill writes nothing into a buffer without room, and goes on later', () => {
    const rib = makeRib();
    const peer = new TestPeer(rib, {});
    rib.originate(prefix(NET));
    settle(rib);
    assert.equal(rib.fill(peer.id, new Uint8Array(30), 0), 0);
    assert.equal(rib.fill(peer.id, new Uint8Array(100), 100), 0);
    assert.equal(rib.hasOutput(peer.id), true);
    assert.equal(peer.read().size, 1);
  });

  it('shows what was advertised', () => {
    const rib = makeRib();
    const peer = new TestPeer(rib, {});
    rib.originate(prefix(NET));
    settle(rib);
    assert.equal([...rib.advertised(peer.id, 'ipv4')].length, 0, 'not before it is sent');
    peer.read();
    const [view] = rib.advertised(peer.id, 'ipv4');
    assert.deepEqual(view?.attributes, peer.receiver.table.get(NET));
    assert.deepEqual(view?.source, { kind: 'local' });
  });
});
