/** A peer made by hand: what the speaker does with messages and silences that no proper speaker would send. */
import assert from 'node:assert/strict';
import type { Channel } from '../../../../bgp/transport/channel.ts';
import { MessageStream } from '../../../../bgp/transport/message-stream.ts';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { encodeKeepalive } from '../../../../bgp/wire/messages.ts';
import { decodeNotification, encodeNotification, notification } from '../../../../bgp/wire/notification.ts';
import { encodeOpen } from '../../../../bgp/wire/open.ts';
import type { Capability } from '../../../../bgp/wire/types.ts';
import { address, type Host, learned, prefix, stateOf, World } from './world.ts';

/** A hand-made peer at 192.0.2.2 that listens and takes one connection. */
class Peer {
  readonly world = new World();
  readonly host: Host;
  readonly received: string[] = [];
  channel: Channel | undefined;
  stream: MessageStream | undefined;

  constructor(change: Partial<PeerConfig> = {}) {
    this.host = this.world.host(1, change);
    this.world.internet.host(address('192.0.2.2')).listen(address('192.0.2.2'), 179, {
      onListening: () => {},
      onAccept: (channel) => {
        this.channel = channel;
        this.stream = new MessageStream(channel, {
          onMessage: (type, octets, _start, body, end) => {
            const error = decodeNotification(octets.subarray(body, end));
            this.received.push(type === 3 ? `${error.code}/${error.subcode}` : `${type}`);
          },
          onFrameError: () => {},
          onClose: () => this.received.push('closed'),
          onWritable: () => {},
          mayRead: () => 1,
        });
        this.stream.start();
      },
      onError: () => {},
    });
    this.host.speaker.start();
    this.world.clock.until('connected', () => this.received.length > 0);
  }

  open(holdTimeSec = 90, capabilities: readonly Capability[] = FOUR_OCTET): this {
    this.stream?.send(encodeOpen({ as: 65002, holdTimeSec, routerId: 0xc0000202, capabilities }));
    return this;
  }

  establish(holdTimeSec = 90): this {
    this.open(holdTimeSec).stream?.send(encodeKeepalive());
    this.world.clock.until('established', () => stateOf(this.host) === 'Established');
    return this;
  }

  send(hex: string): this {
    const body = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    this.stream?.send(new Uint8Array(body));
    return this;
  }

  /** What the speaker said last, once it has closed. */
  farewell(): string {
    this.world.clock.until('closed', () => this.received.includes('closed'), 700_000);
    return this.received.at(-2) ?? '';
  }
}

const FOUR_OCTET: readonly Capability[] = [{ kind: 'four-octet-as', as: 65002 }];
const MARKER = 'ff'.repeat(16);
const EMPTY_UPDATE = `${MARKER} 0017 02 0000 0000`;
/** 10.9.0.0/16, ORIGIN igp, AS_PATH 65002, NEXT_HOP 192.0.2.2 */
const GOOD_UPDATE = `${MARKER} 002e 02 0000 0014 40010100 4002060201 0000fdea 400304c0000202 100a09`;
/** the same with ORIGIN 7 */
const BAD_ORIGIN = GOOD_UPDATE.replace('40010100', '40010107');

describe('speaker: a peer that misbehaves', () => {
  const resets: readonly [name: string, code: string, play: (peer: Peer) => void][] = [
    ['a marker that is not all ones', '1/1', (peer) => peer.send('00'.repeat(19))],
    ['a length of 18', '1/2', (peer) => peer.send(`${MARKER} 0012 04`)],
    ['a message type 9', '1/3', (peer) => peer.send(`${MARKER} 0013 09`)],
    ['version 3', '2/1', (peer) => peer.send(`${MARKER} 001d 01 03 fdea 005a c0000202 00`)],
    ['an OPEN from another AS', '2/2', (peer) => peer.send(`${MARKER} 001d 01 04 fdeb 005a c0000202 00`)],
    ['hold time 2', '2/6', (peer) => peer.open(2)],
    ['KEEPALIVE before OPEN', '5/1', (peer) => peer.stream?.send(encodeKeepalive())],
    ['UPDATE before OPEN', '5/1', (peer) => peer.send(EMPTY_UPDATE)],
    ['UPDATE before KEEPALIVE', '5/2', (peer) => peer.open().send(EMPTY_UPDATE)],
    ['a second OPEN', '5/3', (peer) => peer.establish().open()],
    [
      'an UPDATE whose lengths overrun',
      '3/1',
      (peer) => peer.establish().send(`${MARKER} 0017 02 ffff 0000`),
    ],
    ['silence before OPEN for 240 s', '4/0', () => {}],
    ['silence after KEEPALIVE for the hold time', '4/0', (peer) => peer.establish(9)],
  ];
  for (const [name, code, play] of resets) {
    it(`${name}: ${code}`, () => {
      const peer = new Peer();
      play(peer);
      assert.equal(peer.farewell(), code);
      assert.match(stateOf(peer.host), /Idle|Connect|Active/);
      assert.ok(
        peer.host.events.some((event) => event.type === 'notification' && event.direction === 'sent'),
      );
    });
  }

  it('a NOTIFICATION is not answered', () => {
    const peer = new Peer().establish();
    peer.stream?.send(encodeNotification(notification(6, 4)));
    assert.notEqual(peer.farewell(), '6/4');
    assert.ok(!peer.received.some((text) => text.includes('/')));
    assert.match(peer.host.speaker.peer('peer')?.lastReset?.text ?? '', /Administrative Reset \(6\/4\)/);
  });

  it('a malformed attribute costs its routes, not the session (RFC 7606), and is told with its octets', () => {
    const peer = new Peer().establish().send(GOOD_UPDATE);
    peer.world.clock.until('route', () => learned(peer.host).join() === '10.9.0.0/16');
    peer.send(BAD_ORIGIN);
    peer.world.clock.until('withdrawn', () => learned(peer.host).length === 0);
    assert.equal(stateOf(peer.host), 'Established');
    const told = peer.host.events.find((event) => event.type === 'malformed');
    assert.ok(told?.type === 'malformed');
    assert.equal(told.action, 'treat-as-withdraw');
    assert.equal(told.hex, BAD_ORIGIN.replaceAll(' ', ''));
    assert.equal(peer.host.speaker.peer('peer')?.counters.treatAsWithdraw, 1);
  });

  it('a thousand malformed messages make few log events', () => {
    const peer = new Peer().establish();
    for (let i = 0; i < 50; i++) {
      for (let j = 0; j < 20; j++) peer.send(BAD_ORIGIN);
      peer.world.clock.advance(10);
    }
    peer.world.clock.until(
      'all counted',
      () => (peer.host.speaker.peer('peer')?.counters.treatAsWithdraw ?? 0) >= 900,
    );
    assert.ok(peer.host.events.filter((event) => event.type === 'malformed').length <= 12);
  });

  it('a peer that does not read is given up by the send hold timer (RFC 9687), and costs nothing meanwhile', () => {
    const peer = new Peer().establish(9);
    const { speaker } = peer.host;
    peer.channel?.pause();
    const { clock } = peer.world;
    let up = 0;
    for (let second = 0; second < 479; second += 2) {
      peer.stream?.send(encodeKeepalive());
      if (second < 100) speaker.originate(prefix(`10.${second}.0.0/16`));
      clock.advance(2000);
      if (stateOf(peer.host) === 'Established') up = second;
    }
    assert.ok(up >= 470, `given up after ${up} s`);
    const queued = speaker.peer('peer')?.outputQueued ?? 0;
    assert.ok(queued < 70_000, `${queued} octets wait`);
    for (let second = 0; second < 20 && stateOf(peer.host) === 'Established'; second += 2) {
      peer.stream?.send(encodeKeepalive());
      clock.advance(2000);
    }
    assert.match(speaker.peer('peer')?.lastReset?.text ?? '', /Send Hold Timer Expired/);
  });

  it('hold time 0: no KEEPALIVEs, no hold timer', () => {
    const peer = new Peer().establish(0);
    peer.world.clock.advance(10_000);
    const count = peer.received.length;
    peer.world.clock.advance(3_600_000);
    assert.equal(peer.received.length, count);
    assert.equal(stateOf(peer.host), 'Established');
  });

  it('KEEPALIVEs come at a third of the hold time, less up to a quarter, and never twice in a second', () => {
    for (const [hold, least, most] of [
      [90, 30, 41],
      [3, 850, 1000],
    ] as const) {
      const peer = new Peer({ holdTimeSec: 90 }).establish(hold);
      const { clock } = peer.world;
      const before = peer.received.length;
      for (let second = 0; second < 900; second++) {
        peer.stream?.send(encodeKeepalive());
        clock.advance(1000);
      }
      const came = peer.received.length - before;
      assert.ok(came >= least && came <= most, `hold ${hold}: ${came} in 900 s`);
    }
  });

  it('a route refresh is answered with the routes', () => {
    const peer = new Peer();
    peer.host.speaker.originate(prefix('10.1.0.0/16'));
    peer.establish();
    const updates = (): number => peer.received.filter((type) => type === '2').length;
    peer.world.clock.until('table and End-of-RIB', () => updates() === 2);
    peer.send(`${MARKER} 0017 05 0001 00 01`);
    peer.world.clock.until('again', () => updates() === 3);
    peer.send(`${MARKER} 0017 05 0002 00 01`);
    peer.world.clock.advance(1000);
    assert.equal(updates(), 3, 'a family that was not negotiated is ignored');
    assert.equal(stateOf(peer.host), 'Established');
  });
});
