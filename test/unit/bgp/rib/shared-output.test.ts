/** Members of an update group that are written what another one was: never what has changed meanwhile, and never their own. */
import assert from 'node:assert/strict';
import { address, attributes, makeRib, path, Receiver, settle, TestPeer, textOf } from './support.ts';

/** Peers of one update group, the first `senders` of one AS. */
function group(count: number): TestPeer[] {
  const rib = makeRib();
  return Array.from(
    { length: count },
    (_, index) =>
      new TestPeer(
        rib,
        {
          name: `p${index}`,
          address: address(`192.0.2.${1 + index}`),
          peerAs: index < 2 ? 65001 : 65100 + index,
        },
        { routerId: 1 + index },
      ),
  );
}

/** Reads what is waiting without having the RIB work. */
function pull(...peers: TestPeer[]): void {
  for (const { receiver, rib, id } of peers) receiver.pull(rib, id);
}

/** What a peer holds, as text that is equal for equal tables. */
function held({ receiver }: TestPeer): string[] {
  return [...receiver.table].map(([text, value]) => `${text} ${textOf(value)}`).sort();
}

describe('shared output', () => {
  it('goes to all who stand at the same place, attributes and prefixes the same', () => {
    const [sender, , ...readers] = group(6);
    assert.ok(sender);
    pull(...readers);
    sender.announce(['10.1.0.0/16', '10.2.0.0/16'], attributes(path(65001, 65200)));
    sender.announce(['2001:db8:1::/48'], attributes({ ...path(65001), nextHop: address('2001:db8::1') }));
    settle(sender.rib);
    pull(...readers);
    sender.withdraw(['10.1.0.0/16']);
    sender.announce(['10.3.0.0/16'], attributes(path(65001, 65300)));
    settle(sender.rib);
    pull(...readers);
    const [first] = readers;
    assert.ok(first);
    assert.deepEqual([...first.receiver.table.keys()].sort(), [
      '10.2.0.0/16',
      '10.3.0.0/16',
      '2001:db8:1::/48',
    ]);
    for (const reader of readers) {
      assert.deepEqual(held(reader), held(first));
      assert.deepEqual([reader.receiver.announced, reader.receiver.withdrawn], [4, 1]);
    }
  });

  it('is forgotten when one of its routes changes: nobody is told what was', () => {
    const [sender, , early, late] = group(4);
    assert.ok(sender && early && late);
    pull(early, late);
    sender.announce(['10.1.0.0/16'], attributes(path(65001, 65200)));
    settle(sender.rib);
    pull(early);
    sender.announce(['10.1.0.0/16'], attributes(path(65001, 65300)));
    settle(sender.rib);
    pull(late, early);
    assert.deepEqual([early.receiver.announced, late.receiver.announced], [2, 1]);
    assert.deepEqual(held(late), held(early));
  });

  it('is forgotten when another peer sends the same: that one does not get its own back', () => {
    const [first, second, reader] = group(3);
    assert.ok(first && second && reader);
    pull(first, second, reader);
    // As many as one look at the log, or at the notes for one peer, takes in.
    const prefixes = Array.from({ length: 1 << 13 }, (_, i) => `10.${i >> 8}.${i & 0xff}.0/24`);
    for (const sender of [first, second])
      for (let from = 0; from < prefixes.length; from += 512)
        sender.announce(prefixes.slice(from, from + 512), attributes(path(65001)));
    settle(first.rib);
    reader.receiver.pull(reader.rib, reader.id, 1);
    assert.equal(reader.receiver.announced, prefixes.length);
    for (let from = 0; from < prefixes.length; from += 512) first.withdraw(prefixes.slice(from, from + 512));
    settle(first.rib);
    for (let i = 0; i < 4; i++) second.receiver.pull(second.rib, second.id, 1);
    assert.equal(second.receiver.announced, 0);
    pull(reader);
    assert.equal(reader.receiver.announced, prefixes.length);
  });

  it('does not outlive the id of a prefix whose last holder went down', () => {
    const [sender, , early, late] = group(4);
    assert.ok(sender && early && late);
    pull(sender, early, late);
    sender.announce(['10.1.0.0/16'], attributes(path(65001)));
    settle(sender.rib);
    pull(early);
    sender.withdraw(['10.1.0.0/16']);
    settle(sender.rib);
    early.down();
    sender.announce(['10.2.0.0/16'], attributes(path(65001)));
    settle(sender.rib);
    pull(late);
    assert.deepEqual([...late.receiver.table.keys()], ['10.2.0.0/16']);
    assert.equal(late.receiver.announced, 1);
  });

  it('is not for a peer that agreed on other messages', () => {
    const [sender, , wide] = group(3);
    assert.ok(sender && wide);
    const narrow = new TestPeer(sender.rib, { name: 'n', address: address('192.0.2.99'), peerAs: 65199 });
    const context = { ...narrow.context, as4: false };
    narrow.down().up({ context });
    // The receiving side of that session reads two-octet AS numbers.
    narrow.receiver = new Receiver(narrow.config, { as4: false });
    pull(wide, narrow);
    sender.announce(['10.1.0.0/16'], attributes(path(65001, 4_200_000_001)));
    settle(sender.rib);
    pull(wide, narrow);
    assert.equal(wide.receiver.table.size, 1);
    assert.deepEqual(held(narrow), held(wide));
  });
});
