/** An update group with one member: no form is made of what that one sent itself, and nobody misses it when others come. */
import assert from 'node:assert/strict';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import { address, attributes, makeRib, path, settle, TestPeer } from './support.ts';

/** in the order of their texts */
const NETS = ['198.51.100.0/24', '2001:db8:1::/48', '203.0.113.0/24'];

/** A peer of the update group that goes by the name of our address towards it. */
function peerAt(rib: Rib, host: number, group: number): TestPeer {
  return new TestPeer(
    rib,
    { name: `p${host}`, address: address(`192.0.2.${host}`), peerAs: 65000 + host },
    {
      routerId: host,
      localAddress: { ipv4: address(`192.0.2.${group}`), ipv6: address(`2001:db8::${group}`) },
    },
  );
}

function announce(sender: TestPeer, as: number, ...nets: string[]): void {
  for (const net of nets) {
    const nextHop = address(net.includes(':') ? '2001:db8::1' : '192.0.2.1');
    sender.announce([net], attributes({ ...path(as, 65100), nextHop }));
  }
}

function held(peer: TestPeer): string[] {
  return [...peer.read().keys()].sort();
}

describe('update group with one member', () => {
  it('has no forms of what its member sent; the others have theirs', () => {
    const rib = makeRib();
    const sender = peerAt(rib, 1, 251);
    const receiver = peerAt(rib, 2, 252);
    announce(sender, 65001, ...NETS);
    settle(rib);
    assert.deepEqual(held(receiver), NETS);
    assert.deepEqual(held(sender), []);
    // One set of attributes a family, as received and as the receiver is told.
    assert.equal(rib.sizes.attributes, 4);
  });

  it('a second member is told all of it, and hears of changes from then on', () => {
    const rib = makeRib();
    const sender = peerAt(rib, 1, 251);
    announce(sender, 65001, ...NETS);
    settle(rib);
    assert.equal(rib.sizes.attributes, 2);
    const second = peerAt(rib, 3, 251);
    settle(rib);
    assert.deepEqual(held(second), NETS);
    sender.withdraw([NETS[0] ?? '']);
    announce(sender, 65009, NETS[1] ?? '');
    settle(rib);
    assert.deepEqual(held(second), NETS.slice(1));
    assert.deepEqual(held(sender), []);
  });

  it('is told when another peer has the better path, and when its own is the best again', () => {
    const rib = makeRib();
    const member = peerAt(rib, 1, 251);
    const other = peerAt(rib, 2, 252);
    announce(member, 65001, ...NETS);
    settle(rib);
    other.announce([NETS[0] ?? ''], attributes({ ...path(65002), nextHop: address('192.0.2.2') }));
    settle(rib);
    assert.deepEqual(held(member), NETS.slice(0, 1));
    assert.deepEqual(held(other), NETS.slice(1));
    other.withdraw([NETS[0] ?? '']);
    settle(rib);
    assert.deepEqual(held(member), []);
    assert.deepEqual(held(other), NETS);
  });

  it('that a second one leaves: what it sends later is told to nobody of its group', () => {
    const rib = makeRib();
    const member = peerAt(rib, 1, 251);
    const second = peerAt(rib, 3, 251);
    announce(member, 65001, ...NETS);
    settle(rib);
    assert.deepEqual(held(second), NETS);
    second.down();
    settle(rib);
    const before = rib.sizes.attributes;
    announce(member, 65009, ...NETS);
    settle(rib);
    assert.deepEqual(held(member), []);
    assert.ok(rib.sizes.attributes < before, 'the forms of what was sent before are gone');
    assert.deepEqual(held(second.up({ routerId: 3 })), NETS);
  });
});
