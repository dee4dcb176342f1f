import assert from 'node:assert/strict';
import { PeerConnection } from '../../../../bgp/speaker/connection.ts';
import type { Channel } from '../../../../bgp/transport/channel.ts';
import { encodeKeepalive } from '../../../../bgp/wire/messages.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { address } from './world.ts';

const SILENT: Channel = {
  localAddress: address('192.0.2.1'),
  localPort: 179,
  remoteAddress: address('192.0.2.2'),
  remotePort: 40000,
  start() {},
  pause() {},
  resume() {},
  write() {},
  finish() {},
  destroy() {},
};

function connection(
  clock: FakeClock,
  channel = SILENT,
  mayRead = (): number => 1024,
): { connection: PeerConnection; fired: string[] } {
  const fired: string[] = [];
  const handlers = {
    onMessage() {},
    onFrameError() {},
    onClose() {},
    onWritable() {},
    mayRead,
  };
  return { connection: new PeerConnection(1, channel, clock, handlers, (timer) => fired.push(timer)), fired };
}

describe('connection timers', () => {
  it('a hold timer that is late because the process was busy lets the input that waits be read first', () => {
    const clock = new FakeClock();
    const { connection: busy, fired } = connection(clock);
    busy.startTimer('hold', 1000);
    // Comes at the very moment of expiry, after the timer: the message that was waiting in the socket.
    clock.after(1000, () => busy.startTimer('hold', 1000));
    clock.advance(1500);
    assert.deepEqual(fired, []);
    clock.advance(600);
    assert.deepEqual(fired, ['hold']);
  });

  it('a hold timer does not fire while what the peer sent waits for its turn', () => {
    const clock = new FakeClock();
    let onData: ((octets: Uint8Array) => void) | undefined;
    let isTurn = false;
    const channel: Channel = {
      ...SILENT,
      start: (handlers) => (onData = (octets) => handlers.onData(octets)),
    };
    const { connection: waiting, fired } = connection(clock, channel, () => (isTurn ? 1024 : 0));
    waiting.stream.start();
    waiting.startTimer('hold', 3000);
    onData?.(encodeKeepalive());
    clock.advance(20_000);
    assert.deepEqual(fired, []);
    isTurn = true;
    waiting.stream.resumeReading();
    clock.advance(1_500);
    assert.deepEqual(fired, ['hold']);
  });

  it('messages that came together start the hold timer over once, and each later read starts it over again', () => {
    const clock = new FakeClock();
    let onData: ((octets: Uint8Array) => void) | undefined;
    const channel: Channel = {
      ...SILENT,
      start: (handlers) => (onData = (octets) => handlers.onData(octets)),
    };
    const fired: string[] = [];
    const arrivals: number[] = [];
    const handlers = {
      onMessage: () => {
        alive.startTimer('hold', 3000);
        arrivals.push(alive.arrivedAt());
      },
      onFrameError() {},
      onClose() {},
      onWritable() {},
      mayRead: () => 1,
    };
    const alive = new PeerConnection(1, channel, clock, handlers, (timer) => fired.push(timer));
    alive.stream.start();
    const three = new Uint8Array([...encodeKeepalive(), ...encodeKeepalive(), ...encodeKeepalive()]);
    const start = clock.wallNow();
    for (let read = 0; read < 4; read++) {
      onData?.(three);
      clock.advance(2900);
      assert.equal(alive.remainingMs('hold'), 100);
    }
    assert.deepEqual(
      arrivals.map((at) => at - start),
      [0, 2900, 5800, 8700].flatMap((at) => [at, at, at]),
    );
    // Stopped and started outside of any message, it counts from that moment.
    alive.stopTimer('hold');
    alive.startTimer('hold', 3000);
    clock.advance(2900);
    alive.startTimer('hold', 3000);
    clock.advance(2900);
    assert.deepEqual(fired, []);
    clock.advance(200);
    assert.deepEqual(fired, ['hold']);
  });

  it('none fires after close', () => {
    const clock = new FakeClock();
    const { connection: closed, fired } = connection(clock);
    for (const timer of ['hold', 'keepalive', 'send-hold'] as const) closed.startTimer(timer, 1000);
    clock.after(1000, () => closed.close(undefined));
    clock.advance(999);
    closed.stopTimer('keepalive');
    clock.advance(10_000);
    assert.deepEqual(fired, []);
  });

  it('the send hold timer starts over while nothing waits to be written', () => {
    const clock = new FakeClock();
    const { connection: idle, fired } = connection(clock);
    idle.startTimer('send-hold', 1000);
    clock.advance(5000);
    assert.deepEqual(fired, []);
    idle.send(Uint8Array.of(1));
    clock.advance(999);
    assert.deepEqual(fired, []);
    clock.advance(1);
    assert.deepEqual(fired, ['send-hold']);
  });
});
