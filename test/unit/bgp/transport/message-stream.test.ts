import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Channel, ChannelHandlers } from '../../../../bgp/transport/channel.ts';
import { MessageStream } from '../../../../bgp/transport/message-stream.ts';
import { hexOf } from '../../../../bgp/wire/bytes.ts';
import { encodeKeepalive } from '../../../../bgp/wire/messages.ts';
import { encodeNotification, notification } from '../../../../bgp/wire/notification.ts';
import { address } from '../speaker/world.ts';

/** A channel whose other end is the test. */
class TestChannel implements Channel {
  readonly localAddress = address('192.0.2.1');
  readonly remoteAddress = address('192.0.2.2');
  readonly localPort = 179;
  readonly remotePort = 40000;
  handlers: ChannelHandlers | undefined;
  paused = false;
  readonly log: string[] = [];
  readonly pending: (() => void)[] = [];

  start(handlers: ChannelHandlers): void {
    this.handlers = handlers;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  write(octets: Uint8Array, done: () => void): void {
    this.log.push(hexOf(octets).replaceAll('f'.repeat(32), ''));
    this.pending.push(done);
  }
  finish(): void {
    this.log.push('finish');
  }
  destroy(): void {
    this.log.push('destroy');
  }
}

/** An UPDATE of the given length, its body a pattern. */
function update(length: number, seed: number): Uint8Array {
  const message = new Uint8Array(length).fill(0xff, 0, 16);
  message[16] = length >> 8;
  message[17] = length & 0xff;
  message[18] = 2;
  for (let i = 19; i < length; i++) message[i] = (i * 7 + seed) & 0xff;
  return message;
}

function streamOf(channel: TestChannel, more: { mayRead?: () => number; onWritable?: () => void } = {}) {
  const messages: string[] = [];
  const errors: string[] = [];
  const stream = new MessageStream(channel, {
    onMessage: (_type, octets, start, body, end) => {
      assert.equal(body - start, 19);
      messages.push(hexOf(octets.subarray(start, end)));
    },
    onFrameError: (error, _reason) => {
      errors.push(`${error.code}/${error.subcode}`);
      stream.close(encodeNotification(error));
    },
    onClose: (reason) => errors.push(reason),
    onWritable: more.onWritable ?? (() => {}),
    mayRead: more.mayRead ?? (() => 1024),
  });
  stream.start();
  return { stream, messages, errors };
}

describe('message stream: reading', () => {
  const lengths = [23, 24, 100, 4095, 4096];

  it('finds the same messages however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...lengths), { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }),
        (sizes, cuts) => {
          const sent = sizes.map((length, i) => update(length, i));
          const all = new Uint8Array(Buffer.concat(sent));
          const channel = new TestChannel();
          const { messages } = streamOf(channel);
          // The buffer is the channel's own and is written over by the next read.
          const buffer = new Uint8Array(65536);
          for (let at = 0, i = 0; at < all.length; i++) {
            const piece = all.subarray(at, at + (cuts[i % cuts.length] ?? 1));
            buffer.fill(0xaa);
            buffer.set(piece);
            channel.handlers?.onData(buffer.subarray(0, piece.length));
            at += piece.length;
          }
          assert.deepEqual(messages, sent.map(hexOf));
        },
      ),
    );
  });

  it('hands over some at a time to whoever can take them so, in their order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...lengths), { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 20 }),
        fc.constantFrom(1, 1024, 8192),
        fc.boolean(),
        (sizes, cuts, granted, watched) => {
          const sent = sizes.map((length, i) => update(length, i));
          const all = new Uint8Array(Buffer.concat(sent));
          const channel = new TestChannel();
          const messages: string[] = [];
          let together = 0;
          const stream = new MessageStream(channel, {
            onMessage: (_type, octets, start, _body, end) =>
              messages.push(hexOf(octets.subarray(start, end))),
            // Those of 100 octets it does not want.
            takePlain: (octets, start, end, most) => {
              let at = start;
              let count = 0;
              while (at < start + most && at + 18 <= end) {
                const length = ((octets[at + 16] ?? 0) << 8) | (octets[at + 17] ?? 0);
                if (length === 100 || at + length > end) break;
                messages.push(hexOf(octets.subarray(at, at + length)));
                at += length;
                count++;
              }
              together += count;
              return { octets: at - start, messages: count };
            },
            onFrameError: () => assert.fail('no frame is wrong'),
            onClose: () => {},
            onWritable: () => {},
            mayRead: () => granted,
          });
          let seen = 0;
          if (watched) stream.tap = () => seen++;
          stream.start();
          for (let at = 0, i = 0; at < all.length; i++) {
            const piece = all.subarray(at, at + (cuts[i % cuts.length] ?? 1));
            channel.handlers?.onData(piece);
            at += piece.length;
          }
          assert.deepEqual(messages, sent.map(hexOf));
          assert.equal(stream.counts.received.byType.update, sent.length);
          assert.equal(seen, watched ? sent.length : 0);
          if (watched) assert.equal(together, 0);
        },
      ),
    );
  });

  it('octet by octet', () => {
    const sent = [encodeKeepalive(), update(300, 1), encodeKeepalive()];
    const channel = new TestChannel();
    const { messages, stream } = streamOf(channel);
    for (const octet of Buffer.concat(sent)) channel.handlers?.onData(Uint8Array.of(octet));
    assert.deepEqual(messages, sent.map(hexOf));
    assert.equal(stream.counts.received.total, 3);
    assert.equal(stream.counts.received.byType.update, 1);
  });

  it('reads nothing behind a header error, and never hands over what it has closed on', () => {
    const channel = new TestChannel();
    const { messages, errors } = streamOf(channel);
    const bad = update(23, 0);
    bad[18] = 9;
    channel.handlers?.onData(new Uint8Array(Buffer.concat([encodeKeepalive(), bad, encodeKeepalive()])));
    assert.deepEqual(errors, ['1/3']);
    assert.equal(messages.length, 1);
    assert.equal(channel.log.at(-1), 'finish');
  });

  it('pauses when it is told to, and goes on', () => {
    const channel = new TestChannel();
    let may = true;
    const { messages, stream } = streamOf(channel, {
      mayRead: () => {
        may = !may;
        return may ? 0 : 1;
      },
    });
    channel.handlers?.onData(encodeKeepalive());
    assert.ok(channel.paused);
    assert.equal(messages.length, 1, 'what was read counts');
    stream.resumeReading();
    assert.ok(!channel.paused);
  });

  it('keeps a chunk that comes when it is no time for it, and takes it in first of all when it goes on', () => {
    const channel = new TestChannel();
    let may = false;
    const { messages, stream } = streamOf(channel, { mayRead: () => (may ? 1024 : 0) });
    const sent = [update(30, 1), update(40, 2), update(50, 3)];
    const octets = new Uint8Array(Buffer.concat(sent));
    // The channel's buffer is written over by the next read.
    const buffer = octets.slice(0, 45);
    channel.handlers?.onData(buffer);
    buffer.fill(0xaa);
    channel.handlers?.onData(octets.subarray(45, 70));
    assert.ok(channel.paused);
    assert.deepEqual(messages, []);
    may = true;
    stream.resumeReading();
    assert.ok(!channel.paused);
    assert.deepEqual(messages, sent.slice(0, 2).map(hexOf));
    channel.handlers?.onData(octets.subarray(70));
    assert.deepEqual(messages, sent.map(hexOf));
  });

  it('stops between any two messages of a chunk, keeps the rest and goes on there', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...lengths), { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.constantFrom(0, 1, 200, 1024), { minLength: 1, maxLength: 30 }),
        (sizes, cuts, answers) => {
          const sent = sizes.map((length, i) => update(length, i));
          const all = new Uint8Array(Buffer.concat(sent));
          const channel = new TestChannel();
          let asked = 0;
          let refused = false;
          const mayRead = (): number => {
            assert.ok(!refused, 'asked again before it was told to go on');
            const answer = answers[asked++ % answers.length] ?? 0;
            refused = answer === 0;
            return answer;
          };
          const { messages, stream } = streamOf(channel, { mayRead });
          const buffer = new Uint8Array(65536);
          for (let at = 0, i = 0; at < all.length || refused; i++) {
            if (refused) {
              refused = false;
              stream.resumeReading();
              assert.equal(channel.paused, refused);
              continue;
            }
            const piece = all.subarray(at, at + (cuts[i % cuts.length] ?? 1));
            buffer.fill(0xaa);
            buffer.set(piece);
            channel.handlers?.onData(buffer.subarray(0, piece.length));
            at += piece.length;
          }
          assert.deepEqual(messages, sent.map(hexOf));
        },
      ),
    );
  });

  it('one message at a time where there is time for no more, also when what it kept grows', () => {
    const channel = new TestChannel();
    const { messages, stream } = streamOf(channel, { mayRead: () => 0 });
    const sent = [update(1030, 1), update(500, 2), update(540, 3), update(50, 4)];
    const octets = new Uint8Array(Buffer.concat(sent));
    channel.handlers?.onData(octets.subarray(0, 1060));
    stream.resumeReading();
    assert.equal(messages.length, 1);
    channel.handlers?.onData(octets.subarray(1060));
    for (const _ of sent.slice(1)) stream.resumeReading();
    assert.deepEqual(messages, sent.map(hexOf));
    assert.ok(channel.paused);
    stream.resumeReading();
    assert.ok(!channel.paused);
  });

  it('asks again after as many octets of messages as there was time for', () => {
    const channel = new TestChannel();
    let asked = 0;
    const grants = [1, 100, 1024];
    const { messages } = streamOf(channel, { mayRead: () => grants[asked++] ?? 1024 });
    // One message, then up to a hundred octets, which the second of two goes beyond, then all others.
    const sent = [update(60, 1), update(60, 2), update(60, 3), update(60, 4), update(60, 5), update(60, 6)];
    channel.handlers?.onData(new Uint8Array(Buffer.concat(sent)));
    assert.deepEqual(messages, sent.map(hexOf));
    // Before the chunk, after the first message, after the third, and at the end.
    assert.equal(asked, 4);
  });

  it('takes in what it kept before it tells that the peer is gone', () => {
    const channel = new TestChannel();
    const { messages, errors } = streamOf(channel, { mayRead: () => 0 });
    channel.handlers?.onData(update(30, 1));
    channel.handlers?.onClose('gone');
    assert.equal(messages.length, 1);
    assert.deepEqual(errors, ['gone']);
  });
});

describe('message stream: writing', () => {
  const keepalive = hexOf(encodeKeepalive().subarray(16));

  it('writes one buffer at a time, control messages before updates', () => {
    const channel = new TestChannel();
    let writable = 0;
    const { stream } = streamOf(channel, { onWritable: () => writable++ });
    const pull = (target: Uint8Array, offset: number): number => {
      target.set(update(23, 1), offset);
      return 23;
    };
    assert.ok(stream.pump(pull));
    assert.ok(!stream.pump(pull), 'the last write is not done');
    stream.send(encodeKeepalive());
    stream.send(encodeKeepalive());
    stream.send(encodeNotification(notification(6, 4)));
    assert.equal(channel.log.length, 1);
    assert.equal(stream.queuedOctets, 23 + 19 + 21, 'the second KEEPALIVE is not queued');
    channel.pending.shift()?.();
    assert.equal(channel.log.length, 2);
    assert.ok(channel.log[1]?.startsWith(keepalive));
    assert.equal(writable, 1);
    channel.pending.shift()?.();
    assert.equal(stream.queuedOctets, 0);
    assert.deepEqual([stream.counts.sent.total, stream.counts.sent.byType.update], [3, 1]);
  });

  it('closes with a last message, or at once', () => {
    const polite = new TestChannel();
    streamOf(polite).stream.close(encodeNotification(notification(6, 2)));
    assert.deepEqual(polite.log, ['0015030602', 'finish']);
    const curt = new TestChannel();
    streamOf(curt).stream.close(undefined);
    assert.deepEqual(curt.log, ['destroy']);
  });
});
