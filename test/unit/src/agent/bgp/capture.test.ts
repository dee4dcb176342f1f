/** What lies between a speaker that never waits and a reader who may be slow. */
import assert from 'node:assert/strict';
import type { WatchedMessage } from '../../../../../bgp/speaker/capture.ts';
import { encodeKeepalive } from '../../../../../bgp/wire/messages.ts';
import { DEFAULT_VERDICT_CONTEXT } from '../../../../../bgp/wire/verdict.ts';
import { CaptureQueue, captureRows } from '../../../../../src/agent/bgp/capture.ts';
import type { CapturedRow } from '../../../../../src/api/views.ts';
import { address, prefix, stateOf, World } from '../../../bgp/speaker/world.ts';

const END = { address: address('192.0.2.1'), port: 179 };

function watched(message: Uint8Array): WatchedMessage {
  return {
    direction: 'received',
    at: 0,
    message,
    context: DEFAULT_VERDICT_CONTEXT,
    local: END,
    remote: END,
    earlier: false,
  };
}

describe('capture queue', () => {
  it('keeps copies, in order', () => {
    const queue = new CaptureQueue();
    const buffer = Uint8Array.of(1, 2, 3);
    queue.push(watched(buffer));
    buffer[0] = 9;
    queue.push(watched(buffer));
    const { messages, lost } = queue.take();
    assert.deepEqual(
      messages.map(({ message }) => message.toHex()),
      ['010203', '090203'],
    );
    assert.equal(lost, 0);
    assert.ok(queue.isEmpty);
    assert.deepEqual(queue.take(), { messages: [], lost: 0 });
  });

  it('is bounded by messages and by octets, counts what it leaves out, and takes on again once it was read', () => {
    for (const [octets, most] of [
      [19, 4096],
      [65_535, 128],
    ] as const) {
      const queue = new CaptureQueue();
      for (let i = 0; i < 5000; i++) queue.push(watched(new Uint8Array(octets)));
      const { messages, lost } = queue.take();
      assert.equal(messages.length, most);
      assert.equal(lost, 5000 - most);
      queue.push(watched(encodeKeepalive()));
      assert.deepEqual([queue.take().messages.length, queue.isEmpty], [1, true]);
    }
  });

  it('waiting ends with a message, with the signal, or with the time', async () => {
    const queue = new CaptureQueue();
    const control = new AbortController();
    const woken = queue.wait(60_000, control.signal);
    queue.push(watched(encodeKeepalive()));
    await woken;
    await queue.wait(60_000, control.signal);
    queue.take();
    const aborted = queue.wait(60_000, control.signal);
    control.abort();
    await aborted;
    await queue.wait(60_000, control.signal);
    await queue.wait(1, new AbortController().signal);
  });
});

describe('capture rows', () => {
  it('of a session that is up: a sign of life, how it began, then what passes; the watch ends with the reader', async () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2, { passive: true })];
    a.speaker.start();
    b.speaker.start();
    world.clock.until('up', () => stateOf(a) === 'Established' && stateOf(b) === 'Established');
    world.clock.advance(1000);
    const control = new AbortController();
    const rows = captureRows(a.speaker, 'peer', control.signal);
    assert.ok(rows !== undefined);
    b.speaker.originate(prefix('10.1.0.0/16'));
    world.clock.advance(100);
    const shown: string[] = [];
    for await (const row of rows) {
      shown.push(textOf(row));
      if (shown.length === 6) break;
    }
    assert.equal(shown[0], 'sign of life');
    assert.deepEqual(shown.slice(1, 5).sort(), [
      'received keepalive valid earlier',
      'received open valid earlier',
      'sent keepalive valid earlier',
      'sent open valid earlier',
    ]);
    assert.equal(shown[5], 'received update valid');
    assert.equal(captureRows(a.speaker, 'nobody', control.signal), undefined);
  });
});

function textOf(row: CapturedRow | undefined): string {
  if (row === undefined) return 'sign of life';
  if ('lost' in row) return `${row.lost} lost`;
  return `${row.direction} ${row.verdict.type} ${row.verdict.verdict}${row.earlier === true ? ' earlier' : ''}`;
}
