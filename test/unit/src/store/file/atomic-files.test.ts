import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreUnavailable } from '../../../../../src/store/errors.ts';
import { AtomicFiles, contentHash } from '../../../../../src/store/file/atomic-files.ts';
import type { FaultPoint } from '../../../../../src/store/file/fault-point.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../../support/temporary-folder.ts';

const FILE = 'Kind/a.yaml';

interface Bench {
  readonly root: string;
  readonly files: AtomicFiles;
  readonly text: () => string;
  readonly leftovers: () => readonly string[];
  /** what an editor does: write beside, rename over */
  readonly edit: (text: string) => void;
}

async function bench(fault?: FaultPoint): Promise<Bench> {
  const root = temporaryFolder();
  mkdirSync(join(root, '.ocicat'));
  const files = new AtomicFiles(root, fault);
  await files.recover([]);
  return {
    root,
    files,
    text: () => readFileSync(join(root, FILE), 'utf8'),
    leftovers: () => readdirSync(join(root, '.ocicat/tmp')),
    edit(text) {
      writeFileSync(join(root, 'edited'), text);
      renameSync(join(root, 'edited'), join(root, FILE));
    },
  };
}

const octets = (text: string) => Buffer.from(text);
const hash = (text: string) => contentHash(octets(text));

describe('atomic files', () => {
  afterEach(removeTemporaryFolders);

  it('creates once, replaces and removes only what is expected', async () => {
    const { files, text, leftovers, root } = await bench();
    assert.deepEqual(await files.create(FILE, octets('1')), { ok: true, hash: hash('1') });
    assert.deepEqual(await files.create(FILE, octets('2')), { ok: false, actual: hash('1') });
    assert.deepEqual(await files.replace(FILE, octets('2'), hash('0')), { ok: false, actual: hash('1') });
    assert.deepEqual(await files.replace(FILE, octets('2'), hash('1')), { ok: true, hash: hash('2') });
    assert.equal(text(), '2');
    assert.deepEqual(await files.remove(FILE, hash('1')), { ok: false, actual: hash('2') });
    assert.deepEqual(await files.remove(FILE, hash('2')), { ok: true, hash: hash('2') });
    assert.deepEqual(await files.replace(FILE, octets('3'), hash('2')), { ok: false, actual: undefined });
    assert.deepEqual(leftovers(), []);
    assert(!existsSync(join(root, FILE)));
  });

  for (const [step, edits, expected] of [
    ['exchange', ['edit'], 'edit'],
    ['unlink', ['edit'], 'edit'],
    ['verify', ['late edit'], 'late edit'],
  ] as const) {
    it(`an edit in the instant before ${step} stands`, async () => {
      let left = 1;
      const made: Bench = await bench((name) => {
        if (name !== `${FILE}:${step}` || left-- <= 0) return;
        for (const edit of edits) made.edit(edit);
      });
      await made.files.create(FILE, octets('old'));
      const swap =
        step === 'unlink'
          ? await made.files.remove(FILE, hash('old'))
          : await made.files.replace(FILE, octets('new'), hash('old'));
      assert.equal(made.text(), expected);
      // An edit after the exchange replaces what we wrote, which is its right: the write itself had succeeded.
      assert.equal(swap.ok, step === 'verify');
      assert.deepEqual(made.leftovers(), []);
    });
  }

  it('edits in the instant before and after the exchange: the later stands', async () => {
    const seen = new Set<string>();
    const made: Bench = await bench((name) => {
      if (seen.has(name)) return;
      seen.add(name);
      if (name === `${FILE}:exchange`) made.edit('first edit');
      if (name === `${FILE}:verify`) made.edit('second edit');
    });
    await made.files.create(FILE, octets('old'));
    const swap = await made.files.replace(FILE, octets('new'), hash('old'));
    assert.equal(swap.ok, false);
    assert.equal(made.text(), 'second edit');
    assert.deepEqual(made.leftovers(), []);
  });

  it('an edit that a crash left displaced is put back at the next start', async () => {
    const made: Bench = await bench((name) => {
      if (name === `${FILE}:exchange`) made.edit('edit');
      if (name === `${FILE}:verify`) throw new Error('crash');
    });
    await made.files.create(FILE, octets('old'));
    await assert.rejects(made.files.replace(FILE, octets('new'), hash('old')));
    assert.equal(made.text(), 'new');
    assert.deepEqual(await new AtomicFiles(made.root).recover([FILE]), [FILE]);
    assert.equal(made.text(), 'edit');
    assert.deepEqual(made.leftovers(), []);
  });

  for (const step of ['write', 'sync', 'exchange', 'verify', 'discard', 'sync-folder']) {
    it(`an interruption before ${step} leaves the old or the new content, and nothing behind after recovery`, async () => {
      const made = await bench((name) => {
        if (name === `${FILE}:${step}` && isArmed) throw Object.assign(new Error('stop'), { code: 'EIO' });
      });
      let isArmed = false;
      await made.files.create(FILE, octets('old'));
      isArmed = true;
      await assert.rejects(made.files.replace(FILE, octets('new'), hash('old')), StoreUnavailable);
      assert.equal(made.text(), ['write', 'sync', 'exchange'].includes(step) ? 'old' : 'new');
      assert.deepEqual(await new AtomicFiles(made.root).recover([FILE]), []);
      assert.equal(made.text(), ['write', 'sync', 'exchange'].includes(step) ? 'old' : 'new');
      assert.deepEqual(made.leftovers(), []);
    });
  }

  it('a full disk is one clear error and changes nothing', async () => {
    const made = await bench((name) => {
      if (name === `${FILE}:sync` && isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    });
    let isFull = false;
    await made.files.create(FILE, octets('old'));
    isFull = true;
    await assert.rejects(
      made.files.replace(FILE, octets('new'), hash('old')),
      /no space left on the disk; nothing was changed/,
    );
    assert.equal(made.text(), 'old');
    assert.deepEqual(made.leftovers(), []);
  });
});
