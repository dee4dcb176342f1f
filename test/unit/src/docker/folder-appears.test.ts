import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whenAppears } from '../../../../src/docker/folder-appears.ts';
import { eventually } from '../../../support/eventually.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../support/temporary-folder.ts';

describe('waiting for a folder', () => {
  after(removeTemporaryFolders);

  const fails = (error: unknown): never => {
    throw error;
  };

  it('that is there already: told at once', () => {
    let times = 0;
    whenAppears(temporaryFolder(), () => times++, fails)();
    assert.equal(times, 1);
  });

  it('that comes later: told once, whatever else happens beside it', async () => {
    const parent = temporaryFolder();
    let times = 0;
    whenAppears(join(parent, 'docker'), () => times++, fails);
    writeFileSync(join(parent, 'docker.pid'), '1');
    mkdirSync(join(parent, 'other'));
    assert.equal(times, 0);
    mkdirSync(join(parent, 'docker'));
    await eventually('it is told', () => times === 1);
    mkdirSync(join(parent, 'docker', 'plugins'));
    writeFileSync(join(parent, 'docker.pid'), '2');
    const marker = new Promise<void>((resolve) => {
      whenAppears(join(parent, 'marker'), resolve, fails);
    });
    mkdirSync(join(parent, 'marker'));
    await marker;
    assert.equal(times, 1);
  });

  it('that comes after the wait was ended: not told', async () => {
    const parent = temporaryFolder();
    whenAppears(join(parent, 'docker'), () => assert.fail('told'), fails)();
    const marker = new Promise<void>((resolve) => {
      whenAppears(join(parent, 'marker'), resolve, fails);
    });
    mkdirSync(join(parent, 'docker'));
    mkdirSync(join(parent, 'marker'));
    await marker;
  });

  it('without a parent: said, not thrown', () => {
    const errors: unknown[] = [];
    whenAppears(
      join(temporaryFolder(), 'absent', 'docker'),
      () => assert.fail('told'),
      (error) => errors.push(error),
    );
    assert.equal(errors.length, 1);
  });
});
