/** Peers on an interface whose neighbour becomes known only while the speaker runs. */
import assert from 'node:assert/strict';
import { checkPeers, PeerConfigError } from '../../../../bgp/speaker/config.ts';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { address, learned, peerConfig, prefix, stateOf, World } from './world.ts';

/** On an interface, its neighbour not known yet. */
function waiting(name: string, device: string): PeerConfig {
  return { ...peerConfig(name, '::', 65001, 65002), interface: device, passive: true };
}

describe('unnumbered peers', () => {
  it('one waits on each interface; :: is nothing else', () => {
    checkPeers([waiting('eth0', 'eth0'), waiting('eth1', 'eth1')]);
    const { interface: _device, ...without } = waiting('eth0', 'eth0');
    const bad: PeerConfig[] = [
      without,
      { ...waiting('eth0', 'eth0'), passive: false },
      { ...peerConfig('peer', '0.0.0.0', 65001, 65002), interface: 'eth0', passive: true },
      {
        ...waiting('eth0', 'eth0'),
        bfd: { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false },
      },
    ];
    for (const peer of bad) assert.throws(() => checkPeers([peer]), PeerConfigError);
    assert.throws(() => checkPeers([waiting('a', 'eth0'), waiting('b', 'eth0')]), PeerConfigError);
  });

  it('a peer comes up as soon as its address is known, and again under another one', () => {
    const world = new World();
    const one = world.host(1, { graceful: false });
    const two = world.host(2, { graceful: false });
    const known = one.config;
    two.speaker.originate(prefix('10.0.0.0/8'));
    one.speaker.setPeers([{ ...known, address: address('::'), interface: 'eth0', passive: true }]);
    one.speaker.start();
    world.clock.advance(20_000);
    assert.equal(stateOf(one), 'Active');
    two.speaker.start();
    one.speaker.setPeers([{ ...known, interface: 'eth0' }]);
    world.clock.advance(20_000);
    assert.equal(stateOf(one), 'Established');
    assert.deepEqual(learned(one), ['10.0.0.0/8']);
    one.speaker.setPeers([{ ...known, address: address('192.0.2.77'), interface: 'eth0' }]);
    world.clock.advance(1_000);
    assert.notEqual(stateOf(one), 'Established');
    assert.deepEqual(learned(one), [], 'routes go with the neighbour that they came from');
  });

  it('after a restart selection waits for a peer that is found only then', () => {
    const world = new World();
    const two = world.host(2);
    two.speaker.originate(prefix('10.0.0.0/8'));
    two.speaker.start();
    const one = world.host(
      1,
      {},
      { gracefulRestart: { forwardingPreserved: { ipv4: true, ipv6: false }, deferralSec: 30 } },
    );
    const known = one.config;
    one.speaker.setPeers([{ ...known, address: address('::'), interface: 'eth0', passive: true }]);
    const ended: string[] = [];
    one.speaker.start();
    one.speaker.onDeferralEnd((family) => {
      if (family === 'ipv4') ended.push(learned(one).join());
    });
    world.clock.advance(500);
    one.speaker.setPeers([{ ...known, interface: 'eth0' }]);
    world.clock.advance(20_000);
    assert.deepEqual(ended, ['10.0.0.0/8'], 'all routes were there when it ended');
  });
});
