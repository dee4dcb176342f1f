/** Learned routes are told to others only once the FIB has taken them (RFC 4271 9.1.3). */
import assert from 'node:assert/strict';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import {
  address,
  attributes,
  FOREVER,
  makeRib,
  path,
  prefix,
  Receiver,
  ScriptedFib,
  settle,
  TestPeer,
  viewsOf,
} from './support.ts';

const NET = '10.1.0.0/16';
const NET6 = '2001:db8:1::/48';

function via(index: number, text = NET): PathAttributes {
  const nextHop = address(text.includes(':') ? `2001:db8::${index}` : `192.0.2.${index}`);
  return attributes({ nextHop, ...path(65000 + index) });
}

/** Two senders and a receiver around a RIB with a FIB. */
function scene(rib: Rib = makeRib({ maxPaths: 2, relaxAsPath: true })) {
  const peer = (index: number): TestPeer =>
    new TestPeer(
      rib,
      { name: `p${index}`, address: address(`192.0.2.${index}`), peerAs: 65000 + index },
      { routerId: index },
    );
  const fib = new ScriptedFib(rib);
  return { rib, fib, first: peer(1), second: peer(2), to: peer(3) };
}

describe('FIB before advertisement', () => {
  for (const text of [NET, NET6]) {
    it(`${text}: nobody hears of it before the FIB has it, everybody when it is gone from there`, () => {
      const { fib, first, to, rib } = scene();
      const value = prefix(text);
      to.read();
      assert.equal(to.receiver.endOfRib.size, 2);
      first.announce([text], via(1, text));
      assert.deepEqual([...to.read().keys()], []);
      assert.deepEqual(rib.advertisedTo(value), []);
      assert.equal(viewsOf(rib, text)[0]?.awaitsFib, true);
      fib.work();
      assert.deepEqual([...to.read().keys()], [text]);
      assert.equal(viewsOf(rib, text)[0]?.awaitsFib, undefined);
      fib.setRefused(text, true);
      fib.work();
      assert.deepEqual([...to.read().keys()], []);
      fib.setRefused(text, false);
      fib.work();
      assert.deepEqual([...to.read().keys()], [text]);
      first.withdraw([text]);
      assert.deepEqual([...to.read().keys()], []);
      fib.work();
      // It comes again: what was taken before does not count.
      first.announce([text], via(1, text));
      assert.deepEqual([...to.read().keys()], []);
      fib.work();
      assert.deepEqual([...to.read().keys()], [text]);
    });
  }

  it('another next hop, more of them and fewer: changes are told at once, and nothing is withdrawn in between', () => {
    const { fib, first, second, to } = scene();
    first.announce([NET], via(1));
    settle(first.rib);
    fib.work();
    to.read();
    second.announce([NET], via(2));
    to.read();
    first.withdraw([NET]);
    assert.equal(to.read().get(NET)?.asPath[0]?.asNumbers[1], 65002);
    first.announce([NET], { ...via(1), communities: [7] });
    second.withdraw([NET]);
    assert.equal(to.read().get(NET)?.asPath[0]?.asNumbers[1], 65001);
    assert.equal(to.receiver.withdrawn, 0);
    fib.setRefused(NET, true);
    fib.work();
    assert.equal(to.read().size, 0);
    second.announce([NET], via(2));
    first.withdraw([NET]);
    assert.equal(to.read().size, 0, 'another next hop for what was refused waits too');
  });

  it('what we originate does not wait, nor does it open the way for a learned route after it', () => {
    const { rib, fib, first, to } = scene();
    fib.setRefused(NET, true);
    rib.originate(prefix(NET));
    first.announce([NET], via(1));
    fib.work();
    assert.deepEqual(to.read().get(NET)?.asPath[0]?.asNumbers, [64500]);
    rib.withdraw(prefix(NET));
    assert.equal(to.read().size, 0);
    fib.setRefused(NET, false);
    fib.work();
    assert.deepEqual(to.read().get(NET)?.asPath[0]?.asNumbers, [64500, 65001]);
  });

  it('End-of-RIB goes out when the FIB has done what it was told: what it had already is told before', () => {
    const { rib, fib, first, to } = scene();
    fib.taken.add('10.2.0.0/16');
    first.announce([NET, '10.2.0.0/16'], via(1));
    assert.deepEqual([...to.read().keys()], ['10.2.0.0/16'], 'adopted from an earlier life');
    assert.deepEqual([...to.receiver.endOfRib], ['ipv6']);
    assert.equal(rib.hasOutput(to.id), false);
    fib.setRefused(NET, true);
    fib.work();
    assert.deepEqual([...to.read().keys()], ['10.2.0.0/16']);
    assert.ok(to.receiver.endOfRib.has('ipv4'), 'what is refused holds up nothing');
  });

  it('a restarting speaker tells what it adopted as soon as it selects', () => {
    const { rib, fib, first, to } = scene();
    fib.taken.add(NET);
    rib.setDeferral('ipv4', true);
    first.announce([NET], via(1));
    rib.endOfRib(first.id, 'ipv4');
    assert.equal(to.read().size, 0);
    rib.setDeferral('ipv4', false);
    settle(rib);
    to.receiver.pull(rib, to.id);
    assert.deepEqual([...to.receiver.table.keys()], [NET]);
  });

  it('peers that get several paths wait as well; a session that comes later gets only what the FIB has', () => {
    const { rib, fib, first, second, to } = scene();
    const addPathReceive = { ipv4: true, ipv6: false };
    const many = new TestPeer(
      rib,
      { name: 'many', address: address('192.0.2.4'), peerAs: 65004 },
      { addPathSend: addPathReceive, routerId: 4 },
    );
    many.receiver = new Receiver(many.config, { addPathReceive });
    first.announce([NET, '10.2.0.0/16'], via(1));
    second.announce([NET], via(2));
    fib.setRefused('10.2.0.0/16', true);
    assert.equal(many.read().size, 0);
    fib.work();
    assert.deepEqual([...many.read().keys()], [NET]);
    assert.equal(many.receiver.announced, 2, 'both paths');
    to.down().up();
    assert.deepEqual([...to.read().keys()], [NET]);
    fib.setRefused(NET, true);
    fib.work();
    assert.equal(rib.hasOutput(many.id), true);
    settle(rib);
    const buffer = new Uint8Array(4096);
    assert.ok(rib.fill(many.id, buffer, 0) > 0);
    assert.deepEqual(rib.advertisedTo(prefix(NET)), ['p3']);
  });

  it('nothing waits before there is a FIB, nor after it; routes selected by then do not wait either', () => {
    const rib = makeRib();
    const { first, to, fib } = (() => {
      const early = new TestPeer(rib, { name: 'early', address: address('192.0.2.9'), peerAs: 65009 });
      early.announce(['10.9.0.0/16'], attributes({ ...path(65009) }));
      settle(rib);
      return scene(rib);
    })();
    first.announce([NET], via(1));
    assert.deepEqual([...to.read().keys()], ['10.9.0.0/16']);
    fib.setRefused(NET, true);
    fib.work();
    assert.deepEqual([...to.read().keys()], ['10.9.0.0/16']);
    rib.awaitForwarding(undefined);
    rib.work(FOREVER);
    assert.deepEqual([...to.read().keys()].sort(), [NET, '10.9.0.0/16']);
  });
});
