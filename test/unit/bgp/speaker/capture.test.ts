/** Watching a peer's messages: what is shown when watching begins within a session, and that a file of it can be read. */
import assert from 'node:assert/strict';
import { PcapPackets, pcapHeader } from '../../../../bgp/capture/pcap-writer.ts';
import { readCapture } from '../../../../bgp/capture/read.ts';
import type { WatchedMessage } from '../../../../bgp/speaker/capture.ts';
import { messageTypeName } from '../../../../bgp/wire/format.ts';
import { DEFAULT_VERDICT_CONTEXT, verdictOf } from '../../../../bgp/wire/verdict.ts';
import { prefix, World } from './world.ts';

const ADD_PATH = { addPath: { receive: ['ipv4'], send: ['ipv4'] } } as const;

/** Two sides that are up, with path identifiers both ways. */
function pair() {
  const world = new World();
  const one = world.host(1, ADD_PATH);
  const two = world.host(2, ADD_PATH);
  one.speaker.start();
  two.speaker.start();
  world.clock.advance(20_000);
  assert.equal(one.speaker.peers()[0]?.state, 'Established');
  const seen: WatchedMessage[] = [];
  const watch = (): (() => void) | undefined =>
    one.speaker.watch(one.config.name, (watched) =>
      seen.push({ ...watched, message: watched.message.slice() }),
    );
  return { world, one, two, seen, watch };
}

const nameOf = ({ direction, message }: WatchedMessage): string =>
  `${direction} ${messageTypeName(message[18] ?? 0)}`;

describe('capture of a session', () => {
  it('begins with the OPENs and first KEEPALIVEs of the session that is up, as of their time', () => {
    const { world, seen, watch } = pair();
    const began = world.clock.wallNow();
    const stop = watch();
    assert.deepEqual(seen.map(nameOf).sort(), [
      'received keepalive',
      'received open',
      'sent keepalive',
      'sent open',
    ]);
    for (const watched of seen) {
      assert.ok(watched.earlier && watched.at < began - 10_000, nameOf(watched));
      assert.equal(verdictOf(watched.message, watched.context).verdict, 'valid', nameOf(watched));
    }
    stop?.();
    world.clock.advance(10_000);
    assert.equal(seen.length, 4);
  });

  it('of a session that begins later shows each message once, and none as earlier', () => {
    const { world, one, seen, watch } = pair();
    watch();
    seen.length = 0;
    one.speaker.reset(one.config.name, 'hard');
    world.clock.advance(20_000);
    assert.ok(seen.every(({ earlier }) => !earlier));
    const opens = seen.filter((watched) => nameOf(watched) === 'sent open');
    assert.ok(opens.length > 0);
    // Both may have dialled: then there are two connections for a moment.
    assert.equal(
      new Set(opens.map(({ local, remote }) => `${local.port} ${remote.port}`)).size,
      opens.length,
    );
  });

  it('written to a file, reads with the terms of the session, path identifiers included', () => {
    const { world, one, two, seen, watch } = pair();
    watch();
    one.speaker.originate(prefix('10.1.0.0/16'));
    two.speaker.originate(prefix('10.2.0.0/16'));
    world.clock.advance(2000);
    const packets = new PcapPackets();
    const file = Buffer.concat([
      pcapHeader(),
      ...seen.map(({ at, direction, local, remote, message }) =>
        direction === 'sent'
          ? packets.records(at, local, remote, message)
          : packets.records(at, remote, local, message),
      ),
    ]);
    const items = [...readCapture(file, { port: 179, otherwise: DEFAULT_VERDICT_CONTEXT })];
    const announced: string[] = [];
    for (const item of items) {
      assert.ok(item.kind === 'message', JSON.stringify(item));
      const { verdict, why, decoded } = verdictOf(item.message, item.context);
      assert.equal(verdict, 'valid', why);
      announced.push(JSON.stringify(decoded));
    }
    const all = announced.join('\n');
    assert.match(all, /"prefix":"10\.1\.0\.0\/16","pathId":\d+/);
    assert.match(all, /"prefix":"10\.2\.0\.0\/16","pathId":\d+/);
  });
});
