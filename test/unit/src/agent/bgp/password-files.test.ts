import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PasswordFiles, readPassword } from '../../../../../src/agent/bgp/password-files.ts';
import { eventually } from '../../../../support/eventually.ts';

describe('src/agent/bgp/password-files', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat-password-'));
    file = join(folder, 'key');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const problemOf = (): string => {
    const result = readPassword(file);
    return 'problem' in result ? result.problem : '';
  };

  it('reads the first line of a file that only its owner can read', () => {
    writeFileSync(file, 'secret\nmore\n', { mode: 0o600 });
    assert.deepEqual(readPassword(file), { password: 'secret' });
  });

  it('refuses what cannot be a key, without showing it', () => {
    assert.match(problemOf(), /cannot be read \(ENOENT\)/);
    writeFileSync(file, 'secret', { mode: 0o600 });
    chmodSync(file, 0o640);
    assert.match(problemOf(), /mode 640, must be 600/);
    chmodSync(file, 0o600);
    writeFileSync(file, '\n');
    assert.match(problemOf(), /has 0 octets/);
    writeFileSync(file, 's'.repeat(81));
    assert.match(problemOf(), /has 81 octets, must have 1 to 80/);
    assert.doesNotMatch(problemOf(), /sss/);
    assert.match(JSON.stringify(readPassword(folder)), /not a plain file/);
  });

  it('follows a file that is replaced, and keeps the last key when it goes', async () => {
    let changes = 0;
    const files = new PasswordFiles(() => changes++);
    try {
      assert.match(JSON.stringify(files.get(file)), /ENOENT/);
      writeFileSync(file, 'one', { mode: 0o600 });
      await eventually('the key is read', () => 'password' in files.get(file));
      writeFileSync(`${file}.new`, 'two', { mode: 0o600 });
      renameSync(`${file}.new`, file);
      await eventually('the new key is read', () => JSON.stringify(files.get(file)).includes('two'));
      rmSync(file);
      await eventually('it is missed', () => files.problems().length === 1);
      assert.deepEqual(files.get(file), { password: 'two' });
      assert.ok(changes >= 3);
    } finally {
      files.close();
    }
  });
});
