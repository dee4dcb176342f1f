/** A process that writes resources is killed at every step that changes the disk, and people edit while programs write. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { serialiseResource } from '../../src/model/documents.ts';
import { makeKey } from '../../src/model/types.ts';
import { RevisionConflict } from '../../src/store/errors.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import { yamlCodec } from '../../src/store/yaml-codec.ts';
import { eventually } from '../support/eventually.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';
import { NAMES, networkSet } from './support/crash-scenario.ts';
import { runChild } from './support/run-child.ts';

/** Marks that a resource may bear now; undefined: it may be absent. */
type Expectation = Map<string, Set<string | undefined>>;

function account(lines: readonly string[], expected: Expectation): void {
  for (const line of lines) {
    const [verb, name = '', mark] = line.split(' ');
    if (verb === 'writing' || verb === 'deleting') (expected.get(name) ?? new Set([undefined])).add(mark);
    if (verb === 'wrote' || verb === 'deleted') expected.set(name, new Set([mark]));
    if (verb === 'writing' && !expected.has(name)) expected.set(name, new Set([undefined, mark]));
  }
}

async function examine(root: string, expected: Expectation): Promise<void> {
  const folder = join(root, 'GlobalNetworkSet');
  for (const file of readdirSync(folder)) {
    assert(yamlCodec.decode(readFileSync(join(folder, file), 'utf8')).ok, `${file} is whole`);
  }
  const store = await openFileStore({ root });
  try {
    assert.deepEqual(store.problems(), []);
    assert.deepEqual(readdirSync(join(root, '.ocicat/tmp')), []);
    for (const name of NAMES) {
      const stored = await store.get(makeKey('GlobalNetworkSet', name));
      const mark = stored?.resource.metadata.labels?.['mark'];
      const allowed = expected.get(name) ?? new Set([undefined]);
      assert(allowed.has(mark), `${name} bears ${mark}, not one of ${Array.from(allowed).join(', ')}`);
      expected.set(name, new Set([mark]));
    }
  } finally {
    await store.close();
  }
}

describe('file store and SIGKILL', function () {
  this.timeout(180_000);
  afterEach(removeTemporaryFolders);

  it('killed before every single step of its work', async () => {
    let step = 0;
    for (let isDone = false; !isDone; ) {
      const batch = await Promise.all(
        [step, step + 1].map(async (killAtStep) => {
          const root = join(temporaryFolder(), 'store');
          const run = await runChild('resources', root, 3, 9, { killAtStep });
          const expected: Expectation = new Map();
          account(run.lines, expected);
          await examine(root, expected);
          return run.wasKilled;
        }),
      );
      isDone = batch.includes(false);
      step += batch.length;
    }
    assert(step > 25, `only ${step} steps`);
  });

  it('killed at random moments, again and again, on one store', async () => {
    const root = join(temporaryFolder(), 'store');
    const expected: Expectation = new Map();
    for (let seed = 1; seed <= 15; seed++) {
      const run = await runChild('resources', root, seed, 2_000, { killAfterMs: (seed * 41) % 150 });
      account(run.lines, expected);
      await examine(root, expected);
    }
  });

  it('a person who edits while a program writes never loses an edit', async () => {
    const root = join(temporaryFolder(), 'store');
    const store = await openFileStore({ root });
    const key = makeKey('GlobalNetworkSet', 'one');
    const path = join(root, 'GlobalNetworkSet', 'one.yaml');
    await store.create(networkSet('one', 'x'));
    let isOver = false;
    let written = 0;
    let refused = 0;
    const program = (async () => {
      while (!isOver) {
        const current = await store.get(key);
        assert(current?.resource.kind === 'GlobalNetworkSet');
        const { resource, revision } = current;
        const labels = { ...resource.metadata.labels, program: String(written) };
        try {
          await store.update({ ...resource, metadata: { ...resource.metadata, labels } }, revision);
          written++;
        } catch (error) {
          if (!(error instanceof RevisionConflict)) throw error;
          refused++;
        }
      }
    })();
    for (let edit = 1; edit <= 25; edit++) {
      const before = written;
      await eventually('the program writes', () => written > before, { intervalMs: 1 });
      for (let i = 0; i < edit % 7; i++) await turn();
      const decoded = yamlCodec.decode(readFileSync(path, 'utf8'));
      assert(decoded.ok, 'a reader never sees half a file');
      const { resource } = decoded;
      assert.equal(
        resource.metadata.labels?.['person'] ?? '0',
        String(edit - 1),
        'the last edit still stands',
      );
      const labels = { ...resource.metadata.labels, person: String(edit) };
      writeFileSync(
        `${path}~`,
        serialiseResource({ ...networkSet('one', 'x'), metadata: { ...resource.metadata, labels } }),
      );
      renameSync(`${path}~`, path);
    }
    isOver = true;
    await program;
    await store.close();
    assert.match(readFileSync(path, 'utf8'), /person: ["']?25["']?/);
    assert(refused > 0, 'edits met writes');
  });
});
