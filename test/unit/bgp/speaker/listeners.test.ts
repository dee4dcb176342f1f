import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { SpeakerEvent } from '../../../../bgp/speaker/events.ts';
import { Listeners } from '../../../../bgp/speaker/listeners.ts';
import type { Network } from '../../../../bgp/transport/channel.ts';
import { tcpNetwork } from '../../../../bgp/transport/tcp.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { address, prefix, stateOf, World } from './world.ts';

describe('listeners', () => {
  it('tell of a port that is taken, and take it when it is free', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const events: SpeakerEvent[] = [];
    const clock = new FakeClock();
    const listeners = new Listeners({
      clock,
      network: tcpNetwork(() => {}),
      log: (event) => events.push(event),
      onAccept: (channel) => channel.destroy(),
    });
    const failures = (): (number | undefined)[] =>
      events.flatMap((event) => (event.type === 'listen-failed' ? [event.retryInMs] : []));
    listeners.start({ port, addresses: [address('127.0.0.1')] });
    await eventually('the first failure', () => failures().length === 1);
    clock.advance(1000);
    await eventually('the second', () => failures().length === 2);
    assert.deepEqual(failures(), [1000, 2000]);
    assert.deepEqual(listeners.ports, []);
    other.close();
    await once(other, 'close');
    clock.advance(2000);
    await eventually('listening', () => listeners.ports[0] === port);
    await listeners.close();
  });

  /** A network whose listening sockets take no MD5 key while there is a reason. */
  function keyless(network: Network, reason: () => string | undefined): Network {
    return {
      ...network,
      listen: (...place) => ({ ...network.listen(...place), setKey: reason }),
      dial: (...dial) => network.dial(...dial),
      applyTtl: (...call) => network.applyTtl(...call),
      applyInterface: (...call) => network.applyInterface(...call),
      applyKey: (...call) => network.applyKey(...call),
    };
  }

  it('a socket that takes no key: the peer is down with that reason, nobody gets in, and it is tried again', () => {
    const world = new World();
    let reason: string | undefined = 'the TCP MD5 key cannot be set: ENOPROTOOPT';
    const own = address('192.0.2.1');
    const one = world.host(
      1,
      { passive: true, password: 'secret' },
      { network: keyless(world.internet.host(own), () => reason) },
    );
    const two = world.host(2);
    for (const { speaker } of [one, two]) speaker.start();
    const told = (): number => one.events.filter(({ type }) => type === 'warning').length;
    world.clock.advance(40_000);
    assert.notEqual(stateOf(one), 'Established');
    assert.match(
      one.speaker.peer('peer')?.lastError ?? '',
      /^listening on 192\.0\.2\.1, peer 192\.0\.2\.2: .*ENOPROTOOPT$/,
    );
    assert.deepEqual([one.speaker.keyProblems.length, told()], [1, 1]);
    reason = undefined;
    world.clock.advance(120_000);
    assert.equal(stateOf(one), 'Established');
    assert.deepEqual([one.speaker.keyProblems, one.speaker.peer('peer')?.lastError], [[], undefined]);
  });

  it('the same for a range', () => {
    const world = new World();
    let reason: string | undefined = 'ENOPROTOOPT';
    const own = address('192.0.2.1');
    const one = world.host(1, {}, { network: keyless(world.internet.host(own), () => reason) });
    const two = world.host(2);
    const { name: _name, address: _address, passive: _passive, adminDown: _down, ...template } = one.config;
    one.speaker.setPeers([]);
    one.speaker.setDynamicPeers([
      { name: 'r', prefix: prefix('192.0.2.0/24'), limit: 3, template: { ...template, password: 'secret' } },
    ]);
    for (const { speaker } of [one, two]) speaker.start();
    world.clock.advance(40_000);
    assert.deepEqual(one.speaker.peers(), []);
    assert.match(one.speaker.keyProblems[0] ?? '', /peer 192\.0\.2\.0\/24: ENOPROTOOPT/);
    reason = undefined;
    world.clock.advance(120_000);
    assert.deepEqual(
      one.speaker.peers().map(({ state, dynamic }) => [state, dynamic]),
      [['Established', 'r']],
    );
  });
});
