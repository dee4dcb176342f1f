/** Peers that restart (RFC 4724), next hops that come and go, multipath, policy changes, inspection, slices. */
import assert from 'node:assert/strict';
import { builtinExport, builtinImport } from '../../../../bgp/policy/builtin.ts';
import type { NextHopState } from '../../../../bgp/types.ts';
import { type Family, formatAddress } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import {
  ACCEPT_ALL,
  address,
  attributes,
  bestOf,
  contextOf,
  FOREVER,
  LOCAL_AS,
  makeRib,
  path,
  peerConfig,
  prefix,
  selectedOf,
  settle,
  TestPeer,
  viewsOf,
} from './support.ts';

const NET = '198.51.100.0/24';
const NET6 = '2001:db8:1::/48';
const REACHABLE: NextHopState = { reachable: true, metric: 0 };

function twoPeers(rib = makeRib()): { rib: ReturnType<typeof makeRib>; a: TestPeer; b: TestPeer } {
  const a = new TestPeer(rib, { name: 'a', address: address('192.0.2.1') }, { routerId: 1 });
  const b = new TestPeer(rib, { name: 'b', address: address('192.0.2.2'), peerAs: 65002 }, { routerId: 2 });
  return { rib, a, b };
}

const FROM_B = attributes({ nextHop: address('192.0.2.2'), ...path(65002) });

describe('RIB as graceful-restart helper, RFC 4724 4.2', () => {
  it('keeps the routes of the kept families as stale, drops the others', () => {
    const { rib, a } = twoPeers();
    a.announce([NET], attributes()).announce([NET6], attributes({ nextHop: address('2001:db8::1') }));
    settle(rib);
    a.down(['ipv4']);
    settle(rib);
    assert.equal(bestOf(rib, NET), 'a');
    assert.equal(viewsOf(rib, NET)[0]?.stale, true);
    assert.equal(bestOf(rib, NET6), undefined);
    assert.equal(rib.familyStatus(a.id, 'ipv4').stale, 1);
    assert.equal(rib.familyStatus(a.id, 'ipv6').received, 0);
  });

  it('sweeps what was not sent again at End-of-RIB, and leaves alone what was', () => {
    const { rib, a, b } = twoPeers();
    a.announce([NET, '10.0.0.0/8'], attributes());
    b.read();
    const announced = b.receiver.announced;
    a.down(['ipv4']);
    settle(rib);
    a.up({ routerId: 1 }).announce([NET], attributes());
    settle(rib);
    assert.deepEqual(
      viewsOf(rib, NET).map((view) => view.stale),
      [false],
    );
    assert.equal(rib.familyStatus(a.id, 'ipv4').stale, 1);
    rib.endOfRib(a.id, 'ipv4');
    assert.deepEqual([...b.read().keys()], [NET]);
    assert.equal(b.receiver.announced, announced, 'what came back unchanged is not announced again');
    assert.equal(rib.familyStatus(a.id, 'ipv4').stale, 0);
    assert.equal(rib.familyStatus(a.id, 'ipv4').endOfRibReceived, true);
  });

  it('purges stale routes in time, and those left from the restart before', () => {
    const { rib, a } = twoPeers();
    a.announce([NET, '10.0.0.0/8'], attributes());
    a.down(['ipv4']).up({ routerId: 1 }).announce(['10.0.0.0/8'], attributes()).down(['ipv4']);
    settle(rib);
    assert.equal(bestOf(rib, NET), undefined, 'stale twice');
    assert.equal(bestOf(rib, '10.0.0.0/8'), 'a');
    rib.purgeStale(a.id, ['ipv4']);
    settle(rib);
    assert.equal(bestOf(rib, '10.0.0.0/8'), undefined);
  });

  it('a session without the family loses what was kept', () => {
    const { rib, a } = twoPeers();
    a.announce([NET], attributes());
    settle(rib);
    a.down(['ipv4']);
    a.up({ context: contextOf(peerConfig(), { families: { ipv4: false, ipv6: true } }) });
    settle(rib);
    assert.equal(bestOf(rib, NET), undefined);
  });

  it('giving up a peer that is down already removes what was kept', () => {
    const { rib, a } = twoPeers();
    a.announce([NET], attributes());
    a.down(['ipv4']);
    rib.peerDown(a.id, ['ipv4']);
    settle(rib);
    assert.equal(bestOf(rib, NET), 'a');
    rib.peerDown(a.id, []);
    settle(rib);
    assert.equal(bestOf(rib, NET), undefined);
  });

  it('routes of a new session are safe while those of the old one are still being removed', () => {
    const { rib, a } = twoPeers();
    const many = Array.from({ length: 600 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    for (const text of many) a.announce([text], attributes());
    settle(rib);
    a.down().up({ routerId: 1 });
    for (const text of many.slice(0, 300)) a.announce([text], attributes());
    settle(rib);
    assert.equal(rib.familyStatus(a.id, 'ipv4').received, 300);
    assert.equal(rib.sizes.prefixes.ipv4, 300);
    assert.equal(rib.familyStatus(a.id, 'ipv4').stale, 0);
  });
});

describe('RIB as restarting speaker, RFC 4724 4.1', () => {
  it('selects nothing learned and sends no End-of-RIB while deferring, but sends our own routes at once', () => {
    const { rib, a, b } = twoPeers();
    rib.setDeferral('ipv4', true);
    rib.originate(prefix('203.0.113.0/24'));
    a.announce([NET], attributes());
    assert.deepEqual([...b.read().keys()], ['203.0.113.0/24']);
    assert.deepEqual([...b.receiver.endOfRib], ['ipv6']);
    assert.deepEqual(selectedOf(rib, NET), []);
    rib.setDeferral('ipv4', false);
    assert.equal(b.read().size, 2);
    assert.equal(b.receiver.endOfRib.has('ipv4'), true);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.1']);
  });
});

describe('RIB and next hops', () => {
  it('tells which next hops it wants to know about, and until when', () => {
    const rib = makeRib({ trackNextHops: true });
    const heard: string[] = [];
    rib.onNextHopInterest((nextHop, wanted) => heard.push(`${wanted ? '+' : '-'}${formatAddress(nextHop)}`));
    const { a, b } = twoPeers(rib);
    a.announce([NET, '10.0.0.0/8'], attributes());
    settle(rib);
    assert.equal(b.read().size, 0);
    rib.setNextHopState(address('192.0.2.1'), REACHABLE);
    assert.equal(b.read().size, 2);
    a.withdraw([NET]);
    a.announce(['10.0.0.0/8'], attributes({ communities: [1] }));
    settle(rib);
    assert.equal(bestOf(rib, '10.0.0.0/8'), 'a');
    assert.deepEqual(heard, ['+192.0.2.1'], 'nor of our own address, with which we announce');
    a.withdraw(['10.0.0.0/8']);
    settle(rib);
    assert.deepEqual(heard, ['+192.0.2.1', '-192.0.2.1']);
    a.announce(['10.0.0.0/8'], attributes());
    settle(rib);
    assert.equal(bestOf(rib, '10.0.0.0/8'), undefined, 'an old answer does not count');
    assert.deepEqual(heard, ['+192.0.2.1', '-192.0.2.1', '+192.0.2.1']);
  });

  it('takes an answer that comes while it asks', () => {
    const rib = makeRib({ trackNextHops: true });
    rib.onNextHopInterest((nextHop, wanted) => {
      if (wanted) rib.setNextHopState(nextHop, REACHABLE);
    });
    const a = new TestPeer(rib, { name: 'a' });
    a.announce([NET], attributes());
    settle(rib);
    assert.equal(bestOf(rib, NET), 'a');
  });

  it('uses no route over an unresolved next hop, and follows what the kernel says', () => {
    const { rib, a, b } = twoPeers(makeRib({ trackNextHops: true }));
    a.announce([NET], attributes());
    b.announce([NET], FROM_B);
    settle(rib);
    assert.equal(bestOf(rib, NET), undefined);
    assert.deepEqual(
      viewsOf(rib, NET).map((view) => view.unusable),
      ['next-hop-unresolved', 'next-hop-unresolved'],
    );
    rib.setNextHopState(address('192.0.2.2'), { reachable: true, metric: 10 });
    settle(rib);
    assert.equal(bestOf(rib, NET), 'b');
    rib.setNextHopState(address('192.0.2.1'), { reachable: true, metric: 20 });
    settle(rib);
    assert.equal(bestOf(rib, NET), 'b');
    assert.equal(viewsOf(rib, NET).find((view) => view.best)?.reason, 'igp-metric');
    rib.setNextHopState(address('192.0.2.1'), { reachable: true, metric: 5 });
    settle(rib);
    assert.equal(bestOf(rib, NET), 'a');
    rib.setNextHopState(address('192.0.2.1'), { reachable: false, why: 'link down' });
    settle(rib);
    assert.equal(bestOf(rib, NET), 'b');
  });

  it("a next hop's change decides only the routes that use it", () => {
    const { rib, a, b } = twoPeers(makeRib({ trackNextHops: true }));
    a.announce([NET], attributes());
    b.announce(['10.0.0.0/8'], FROM_B);
    rib.setNextHopState(address('192.0.2.1'), REACHABLE);
    rib.setNextHopState(address('192.0.2.2'), REACHABLE);
    settle(rib);
    const changed: string[] = [];
    rib.subscribe({
      onLocRibChange(family, ids, count) {
        for (const id of ids.subarray(0, count))
          changed.push(formatPrefix(rib.prefixTable(family).prefixOf(id)));
      },
    });
    rib.setNextHopState(address('192.0.2.2'), { reachable: false, why: 'gone' });
    settle(rib);
    assert.deepEqual(changed, ['10.0.0.0/8']);
    rib.setNextHopState(address('192.0.2.2'), { reachable: false, why: 'still gone' });
    assert.equal(rib.hasWork, false, 'no change, no work');
  });

  it('RFC 4271 5.1.3: a route whose next hop is our own address is not used', () => {
    const { rib, a } = twoPeers();
    a.announce([NET], attributes({ nextHop: address('192.0.2.254') }));
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), []);
    assert.equal(viewsOf(rib, NET)[0]?.unusable, 'next-hop-self');
  });
});

describe('RIB multipath', () => {
  it('selects equal paths together, hands out one array per set, and tells the listener of each change once', () => {
    const rib = makeRib({ maxPaths: 4, relaxAsPath: true });
    const { a, b } = twoPeers(rib);
    const batches: number[] = [];
    rib.subscribe({ onLocRibChange: (_family: Family, _ids, count) => batches.push(count) });
    a.announce([NET, '10.0.0.0/8'], attributes());
    b.announce([NET, '10.0.0.0/8'], FROM_B);
    settle(rib);
    assert.deepEqual(batches, [2]);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.1', '192.0.2.2']);
    const table = rib.prefixTable('ipv4');
    const [one, two] = [NET, '10.0.0.0/8'].map((text) => table.findPrefix(prefix(text)));
    assert.ok(one !== undefined && two !== undefined);
    assert.equal(rib.selectedNextHops('ipv4', one), rib.selectedNextHops('ipv4', two));
    assert.equal(rib.selectedNextHopSetId('ipv4', one), rib.selectedNextHopSetId('ipv4', two));
    assert.equal(rib.sizes.nextHopSets, 1);
    assert.deepEqual(
      viewsOf(rib, NET).map((view) => view.best || view.multipath),
      [true, true],
    );
    b.withdraw([NET]);
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.1']);
    a.announce(['10.0.0.0/8'], attributes({ communities: [5] }));
    settle(rib);
    assert.deepEqual(
      batches,
      [2, 1],
      'other attributes over the same next hops are no change for forwarding',
    );
    rib.originate(prefix(NET));
    settle(rib);
    assert.equal(rib.selectedNextHopSetId('ipv4', one), -2);
    assert.deepEqual(selectedOf(rib, NET), []);
  });

  it('takes no path of another AS unless relaxed', () => {
    const { rib, a, b } = twoPeers(makeRib({ maxPaths: 4 }));
    a.announce([NET], attributes());
    b.announce([NET], FROM_B);
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.1']);
  });

  it('RFC 7911: several paths of one peer stand side by side', () => {
    const rib = makeRib({ maxPaths: 4 });
    const context = contextOf(peerConfig(), { addPathReceive: { ipv4: true, ipv6: false } });
    const a = new TestPeer(rib, {}, { context });
    a.announce([NET], attributes({ nextHop: address('192.0.2.7') }), 1_000_000, 1);
    a.announce([NET], attributes({ nextHop: address('192.0.2.8') }), 1_000_000, 2);
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.7', '192.0.2.8']);
    a.withdraw([NET], 1);
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.8']);
    assert.equal(viewsOf(rib, NET)[0]?.pathId, 2);
  });

  it('RFC 7911: an identifier of 0 is one like any other, also as the first that comes', () => {
    const rib = makeRib({ maxPaths: 4 });
    const context = contextOf(peerConfig(), { addPathReceive: { ipv4: true, ipv6: false } });
    const a = new TestPeer(rib, {}, { context });
    a.announce([NET], attributes({ nextHop: address('192.0.2.7') }), 1_000_000, 0);
    a.withdraw([NET], 1);
    a.announce([NET], attributes({ nextHop: address('192.0.2.8') }), 1_000_000, 1);
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.7', '192.0.2.8']);
    a.withdraw([NET], 0);
    settle(rib);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.8']);
  });
});

describe('RIB and unusable paths', () => {
  it('keeps them with the reason', () => {
    const rib = makeRib({ routerId: 7 });
    const external = new TestPeer(rib, { name: 'e' });
    const internal = new TestPeer(rib, { name: 'i', address: address('192.0.2.9'), peerAs: LOCAL_AS });
    const strict = new TestPeer(rib, { name: 's', address: address('192.0.2.8'), importPolicy: undefined });
    const allowing = new TestPeer(rib, { name: 'w', address: address('192.0.2.7'), allowOwnAs: 1 });
    external.announce(['10.0.0.0/24'], attributes(path(65001, LOCAL_AS)));
    internal.announce(['10.0.1.0/24'], attributes({ asPath: [], originatorId: 7 }));
    internal.announce(['10.0.2.0/24'], attributes({ asPath: [], originatorId: 8, clusterList: [9, 7] }));
    strict.announce(['10.0.3.0/24'], attributes());
    allowing.announce(['10.0.4.0/24'], attributes(path(65001, LOCAL_AS)));
    allowing.announce(['10.0.5.0/24'], attributes(path(65001, LOCAL_AS, LOCAL_AS)));
    settle(rib);
    const reasons = [0, 1, 2, 3, 4, 5].map((i) => viewsOf(rib, `10.0.${i}.0/24`, true)[0]?.unusable);
    assert.deepEqual(reasons, [
      'as-path-loop',
      'originator-loop',
      'cluster-loop',
      'no-import-policy',
      undefined,
      'as-path-loop',
    ]);
    assert.deepEqual(
      [...rib.routes({ family: 'ipv4' })].map((view) => formatPrefix(view.prefix)),
      ['10.0.4.0/24'],
    );
    const status = rib.familyStatus(internal.id, 'ipv4');
    assert.deepEqual([status.received, status.accepted, status.filtered], [2, 0, 2]);
  });

  it('names the rule that rejected, and the conflicts over our own blocks with peer and AS path', () => {
    const rib = makeRib();
    const importPolicy = (...blocks: string[]) =>
      builtinImport({ ownBlocks: blocks.map(prefix), connectedSubnets: [prefix('192.0.2.0/24')] });
    const a = new TestPeer(rib, { name: 'tor', importPolicy: importPolicy(), exportPolicy: builtinExport() });
    a.announce(
      ['10.0.0.64/26', '10.0.0.70/32', '192.0.2.0/24', '0.0.0.0/0', NET],
      attributes(path(65001, 65009)),
    );
    settle(rib);
    assert.deepEqual(selectedOf(rib, '10.0.0.70/32'), ['192.0.2.1']);
    assert.equal(rib.conflictCount, 0);
    assert.equal(viewsOf(rib, '0.0.0.0/0', true)[0]?.policyNote, 'builtin: default route');
    assert.equal(viewsOf(rib, '192.0.2.0/24', true)[0]?.policyNote, 'builtin: connected subnet 192.0.2.0/24');
    a.update({ importPolicy: importPolicy('10.0.0.64/26') });
    settle(rib);
    assert.deepEqual(selectedOf(rib, '10.0.0.70/32'), []);
    assert.deepEqual(selectedOf(rib, NET), ['192.0.2.1']);
    assert.deepEqual(
      rib.conflicts().map((each) => [formatPrefix(each.prefix), each.peer, each.rule, each.asPath]),
      ['10.0.0.64/26', '10.0.0.70/32'].map((text) => [
        text,
        'tor',
        'builtin: own block 10.0.0.64/26',
        [65001, 65009],
      ]),
    );
    a.update({ importPolicy: importPolicy() });
    settle(rib);
    assert.equal(rib.conflictCount, 0);
    assert.deepEqual(rib.conflicts(), []);
    assert.deepEqual(selectedOf(rib, '10.0.0.70/32'), ['192.0.2.1']);
  });

  it('evaluates anew from what was received when import policy changes', () => {
    const { rib, a } = twoPeers();
    a.announce([NET], attributes());
    settle(rib);
    a.update({ importPolicy: { name: 'none', rules: [], fallThrough: 'reject' } });
    settle(rib);
    assert.equal(bestOf(rib, NET), undefined);
    a.update({
      importPolicy: {
        name: 'pref',
        fallThrough: 'reject',
        rules: [
          { name: 'p', match: {}, action: 'accept', operations: [{ kind: 'set-local-pref', value: 250 }] },
        ],
      },
    });
    settle(rib);
    assert.equal(viewsOf(rib, NET)[0]?.attributes.localPref, 250);
    assert.equal(viewsOf(rib, NET, true)[0]?.attributes.localPref, undefined, 'as received');
    a.update({ importPolicy: ACCEPT_ALL });
    settle(rib);
    assert.equal(viewsOf(rib, NET)[0]?.attributes.localPref, undefined);
  });
});

describe('RIB inspection and slices', () => {
  it('tells when a path came, to within a tick, and keeps the time over a repeat', () => {
    const { rib, a } = twoPeers();
    rib.originate(prefix('10.0.0.0/8'));
    const start = 1_700_000_000_000;
    a.announce(['10.1.0.0/16'], attributes(), start);
    a.announce([NET], attributes(), start + 5000);
    a.announce([NET], attributes(), start + 9000);
    settle(rib);
    const at = viewsOf(rib, NET)[0]?.receivedAt ?? 0;
    assert.ok(at > start + 4900 && at <= start + 5000, `${at - start}`);
  });

  it('finds the longest match that has a usable path, and what lost by what', () => {
    const { rib, a, b } = twoPeers();
    a.announce(['10.0.0.0/8', '10.1.0.0/16'], attributes());
    b.announce(['10.1.0.0/16'], attributes({ nextHop: address('192.0.2.2'), ...path(65002, 65003) }));
    settle(rib);
    const find = (text: string) => [
      ...rib.routes({ family: 'ipv4', prefix: prefix(text), longestMatch: true }),
    ];
    assert.deepEqual(
      find('10.1.2.3/32').map((view) => [formatPrefix(view.prefix), view.best, view.reason]),
      [
        ['10.1.0.0/16', true, 'as-path-length'],
        ['10.1.0.0/16', false, 'as-path-length'],
      ],
    );
    assert.deepEqual(
      find('10.2.0.0/32').map((view) => view.reason),
      ['only-path'],
    );
    assert.deepEqual(find('11.0.0.0/32'), []);
    assert.equal([...rib.received(b.id, 'ipv4')].length, 1);
    assert.deepEqual([...rib.routes({ family: 'ipv4', peer: a.id })].length, 2);
  });

  it('survives changes while somebody reads', () => {
    const { rib, a } = twoPeers();
    for (let i = 0; i < 50; i++) a.announce([`10.0.${i}.0/24`], attributes());
    settle(rib);
    const reader = rib.routes({ family: 'ipv4' });
    assert.equal(reader.next().done, false);
    rib.removePeer(a.id);
    settle(rib);
    assert.equal([...reader].length, 0);
  });

  it('stops at the deadline, says that more is left, and asks for work once', () => {
    let calls = 0;
    const rib = makeRib({ onWork: () => calls++ });
    assert.equal(calls, 0);
    for (let i = 0; i < 2000; i++) rib.originate(prefix(`10.${i >> 8}.${i & 255}.0/24`));
    assert.equal(calls, 1);
    let turns = 1;
    while (rib.work(() => true)) turns++;
    assert.equal(turns, 8, '256 decisions a slice');
    assert.equal(rib.work(FOREVER), false);
    rib.withdraw(prefix('10.0.0.0/24'));
    assert.equal(calls, 2);
    assert.equal(rib.withdraw(prefix('99.0.0.0/24')), false);
  });

  it('takes peer ids back only when nothing is left of the peer', () => {
    const { rib, a, b } = twoPeers();
    a.announce([NET], attributes());
    b.announce([NET], FROM_B);
    settle(rib);
    rib.removePeer(a.id);
    const c = new TestPeer(rib, { name: 'c', address: address('192.0.2.3'), peerAs: 65003 });
    assert.notEqual(c.id, a.id);
    settle(rib);
    assert.equal(bestOf(rib, NET), 'b');
    assert.equal(new TestPeer(rib, { name: 'd', address: address('192.0.2.4') }).id, a.id);
    assert.throws(() => rib.peerDown(999, []));
  });

  it('refuses a number of paths that makes no sense', () => {
    assert.throws(() => makeRib({ maxPaths: 0 }), /maxPaths/);
  });
});
