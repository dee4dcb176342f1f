import assert from 'node:assert/strict';
import fc from 'fast-check';
import { KINDS } from '../../../../../src/model/kinds.ts';
import { makeKey } from '../../../../../src/model/types.ts';
import { NotStorable } from '../../../../../src/store/errors.ts';
import { isEditorFile, keyOfFile, resourceFile } from '../../../../../src/store/file/names.ts';

describe('file store names', () => {
  const table: [ReturnType<typeof makeKey>, string][] = [
    [makeKey('IPPool', 'lab4'), 'IPPool/lab4.yaml'],
    [makeKey('NetworkPolicy', 'allow.web', 'prod'), 'NetworkPolicy/prod.allow.web.yaml'],
    [makeKey('NetworkSet', 'a'), 'NetworkSet/default.a.yaml'],
    [makeKey('Node', '../../etc/passwd'), 'Node/%2E./..%2Fetc%2Fpasswd.yaml'.replace('%2E./', '%2E.%2F')],
    [makeKey('Node', '.hidden'), 'Node/%2Ehidden.yaml'],
  ];
  for (const [key, file] of table) {
    it(`${key.namespace ?? ''} ${key.name} -> ${file}`, () => assert.equal(resourceFile(key), file));
  }

  it('every name leads to one file below its folder, and back', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        name,
        fc.stringMatching(/^[a-z0-9-]{1,8}$/),
        (kind, text, namespace) => {
          const key = makeKey(kind, text, namespace);
          const [folder, file, ...rest] = resourceFile(key).split('/');
          assert.deepEqual([folder, rest], [kind, []]);
          assert.deepEqual(keyOfFile(kind, file ?? ''), key);
          assert(file !== undefined && !file.startsWith('.'));
        },
      ),
    );
  });

  it('refuses names that no file can have', () => {
    assert.throws(() => resourceFile(makeKey('Node', '')), NotStorable);
    assert.throws(() => resourceFile(makeKey('Node', 'x'.repeat(260))), NotStorable);
  });

  it('knows files of editors', () => {
    for (const file of [
      '.lab4.yaml.swp',
      'lab4.yaml~',
      '#lab4.yaml#',
      '4913',
      'a.yaml.bak',
      '.#a.yaml',
      'a.yaml.dpkg-old',
    ]) {
      assert(isEditorFile(file), file);
    }
    assert(!isEditorFile('lab4.yaml'));
  });
});
