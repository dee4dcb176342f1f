import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { DiskCache } from '../../../../../src/store/etcd/disk-cache.ts';
import { type Listing, Mirror } from '../../../../../src/store/etcd/mirror.ts';
import type { RawEntry } from '../../../../../src/store/etcd/raw.ts';
import { eventually } from '../../../../support/eventually.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../../support/temporary-folder.ts';

const entry = (key: string, modRevision: number): RawEntry => ({
  key,
  text: `${key}@${modRevision}`,
  modRevision,
  createRevision: modRevision,
});

async function replace(
  mirror: Mirror,
  { entries, revision }: Listing,
  isOtherHistory: boolean,
): Promise<void> {
  const taking = mirror.beginList(revision, isOtherHistory);
  // In two parts, as from etcd.
  await taking.take(entries.slice(0, 1));
  await taking.take(entries.slice(1));
  taking.finish();
}

/** What the sink was told, and what it therefore holds. */
class Told {
  readonly lines: string[] = [];
  readonly held = new Map<string, number>();
  readonly mirror = new Mirror({
    put: ({ key, modRevision }) => {
      assert((this.held.get(key) ?? 0) < modRevision, `${key}@${modRevision} is news`);
      this.held.set(key, modRevision);
      this.lines.push(`+${key}@${modRevision}`);
    },
    remove: (key, revision) => {
      assert.equal(this.held.get(key), revision);
      this.held.delete(key);
      this.lines.push(`-${key}@${revision}`);
    },
  });
}

describe('etcd mirror', () => {
  it('an answer that overtakes the watch counts, and the watch’s later word about it does not', () => {
    const { mirror, lines } = new Told();
    mirror.put(entry('a', 5));
    mirror.put(entry('a', 9));
    mirror.put(entry('a', 7));
    mirror.put(entry('a', 9));
    mirror.absent('a', 8);
    mirror.absent('a', 12);
    mirror.put(entry('a', 11));
    mirror.absent('a', 12);
    mirror.watchedUpTo(12);
    mirror.put(entry('a', 13));
    assert.deepEqual(lines, ['+a@5', '+a@9', '-a@9', '+a@13']);
  });

  it('a list tells differences only, and leaves alone what is newer than it', async () => {
    const { mirror, lines } = new Told();
    for (const each of [entry('gone', 3), entry('same', 4), entry('changed', 5), entry('ours', 12)])
      mirror.put(each);
    mirror.absent('deleted-by-us', 13);
    lines.splice(0);
    await replace(
      mirror,
      {
        entries: [entry('same', 4), entry('changed', 8), entry('new', 9), entry('deleted-by-us', 6)],
        revision: 10,
      },
      false,
    );
    assert.deepEqual(lines, ['+changed@8', '+new@9', '-gone@3']);
  });

  it('another history replaces everything, whatever the numbers', async () => {
    const held = new Map<string, number>();
    const mirror = new Mirror({
      put: ({ key, modRevision }) => void held.set(key, modRevision),
      remove: (key) => void held.delete(key),
    });
    for (const each of [entry('a', 100), entry('b', 101)]) mirror.put(each);
    await replace(mirror, { entries: [entry('a', 2), entry('c', 3)], revision: 4 }, true);
    assert.deepEqual(Object.fromEntries(held), { a: 2, c: 3 });
    mirror.put(entry('a', 5));
    assert.equal(held.get('a'), 5);
  });

  it('a seed gives way to a list that came first', async () => {
    const told = new Told();
    await replace(told.mirror, { entries: [entry('a', 7)], revision: 8 }, false);
    assert.equal(await told.mirror.seed({ entries: [entry('a', 3), entry('old', 2)], revision: 3 }), false);
    assert.deepEqual(told.lines, ['+a@7']);
  });

  it('a seed that comes in the middle of a list neither goes back nor stays', async () => {
    const told = new Told();
    const taking = told.mirror.beginList(8, false);
    await taking.take([entry('a', 7)]);
    assert.equal(
      await told.mirror.seed({ entries: [entry('a', 3), entry('b', 2), entry('old', 4)], revision: 4 }),
      true,
    );
    await taking.take([entry('b', 6)]);
    taking.finish();
    assert.deepEqual(told.lines, ['+a@7', '+b@2', '+old@4', '+b@6', '-old@4']);
    assert.deepEqual(Object.fromEntries(told.held), { a: 7, b: 6 });
  });

  it('in whatever order words come, the end is the same and no step goes back', () => {
    // A history of three keys; its events reach the mirror by the watch in order, and early or twice by answers.
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), isDelete: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        fc.array(fc.nat(29), { maxLength: 40 }),
        (steps, early) => {
          const told = new Told();
          const truth = new Map<string, number>();
          const say = (index: number): void => {
            const event = steps[index];
            if (event === undefined) return;
            if (event.isDelete) told.mirror.absent(event.key, index + 1);
            else told.mirror.put(entry(event.key, index + 1));
          };
          for (const [index, { key, isDelete }] of steps.entries()) {
            if (isDelete) truth.delete(key);
            else truth.set(key, index + 1);
          }
          for (const index of early.slice(0, 20)) say(index);
          for (const index of steps.keys()) {
            say(index);
            told.mirror.watchedUpTo(index + 1);
          }
          for (const index of early.slice(20)) if (index >= steps.length) say(index);
          assert.deepEqual(told.held, truth);
        },
      ),
    );
  });
});

describe('etcd disk cache', () => {
  let folder: string;
  let now: Map<string, RawEntry>;
  let troubles: (string | undefined)[];
  const open = (clusterId: string | undefined = 'c1'): DiskCache =>
    new DiskCache({
      folder,
      clusterId: () => clusterId,
      entries: () => now.values(),
      onTrouble: (reason) => troubles.push(reason),
    });
  const loaded = async (): Promise<Record<string, number> | undefined> => {
    const state = await open().load();
    return state && Object.fromEntries(state.entries.map(({ key, modRevision }) => [key, modRevision]));
  };
  const put = (cache: DiskCache, each: RawEntry): void => {
    now.set(each.key, each);
    cache.put(each);
  };

  beforeEach(() => {
    folder = temporaryFolder();
    now = new Map();
    troubles = [];
  });
  afterEach(removeTemporaryFolders);

  it('holds nothing at first, then what was put, less what went', async () => {
    assert.equal(await loaded(), undefined);
    const cache = open();
    put(cache, entry('a', 1));
    put(cache, entry('b', 2));
    put(cache, entry('a', 3));
    cache.remove('b', 2);
    await cache.close();
    assert.deepEqual(await loaded(), { a: 3 });
    const state = await open().load();
    assert.deepEqual([state?.clusterId, state?.revision], ['c1', 3]);
  });

  it('a write that is flushed is there without a close', async () => {
    const cache = open();
    put(cache, entry('a', 1));
    cache.flush();
    assert.deepEqual(await loaded(), { a: 1 });
    await cache.close();
  });

  it('a torn line loses itself alone, and a run after it goes on', async () => {
    const cache = open();
    put(cache, entry('a', 1));
    await cache.close();
    for (const name of readdirSync(folder)) appendFileSync(join(folder, name), '["b","tex');
    const next = open();
    assert.deepEqual((await next.load())?.entries.length, 1);
    put(next, entry('c', 4));
    await next.close();
    assert.deepEqual(await loaded(), { a: 1, c: 4 });
  });

  it('is written anew, with what changes meanwhile, and the old changes go', async () => {
    const cache = open();
    for (let i = 1; i <= 50; i++) put(cache, entry(`k${i}`, i));
    cache.flush();
    cache.rewrite();
    put(cache, entry('late', 60));
    cache.flush();
    await cache.close();
    const state = await loaded();
    assert.equal(Object.keys(state ?? {}).length, 51);
    assert.equal(readdirSync(folder).filter((name) => name.startsWith('changes-')).length, 1);
  });

  it('does not grow without bound', async () => {
    const cache = open();
    const text = 'x'.repeat(100_000);
    for (let i = 1; i <= 100; i++) {
      put(cache, { ...entry('a', i), text });
      cache.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('written anew', () => readdirSync(folder).includes('state.jsonl'));
    await cache.close();
    assert.deepEqual(await loaded(), { a: 100 });
  });

  it('changes of another cluster are not mixed in', async () => {
    writeFileSync(join(folder, 'state.jsonl'), '{"format":1,"cluster":"c1"}\n["a","t",1,1]\n');
    writeFileSync(
      join(folder, 'changes-1.jsonl'),
      '{"format":1,"cluster":"c2"}\n["a","u",1,9]\n["b","u",1,9]\n',
    );
    assert.deepEqual(await loaded(), { a: 1 });
  });

  it('a folder that cannot be written is a trouble, not a failure', async () => {
    const cache = open();
    rmSync(folder, { recursive: true });
    put(cache, entry('a', 1));
    cache.flush();
    assert.match(troubles.at(-1) ?? '', /cannot be written/);
    await cache.close();
  });
});
