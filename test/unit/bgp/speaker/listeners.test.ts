import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { SpeakerEvent } from '../../../../bgp/speaker/events.ts';
import { Listeners } from '../../../../bgp/speaker/listeners.ts';
import { tcpNetwork } from '../../../../bgp/transport/tcp.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { address } from './world.ts';

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
});
