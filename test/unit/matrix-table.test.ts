/** README.md shows the interoperability matrix as the tests have it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { FEATURES, KINDS, matrixMarkdown, matrixOf, withMatrix } from '../support/matrix-table.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

describe('README: the interoperability matrix', () => {
  it('has just the features of the tests, in their order, each seen with a router', () => {
    const rows = (matrixOf(readme) ?? '').split('\n').map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    const [head, , ...body] = rows;
    assert.equal(head?.length, KINDS.length + 1);
    assert.deepEqual(
      body.map(([feature]) => feature),
      [...FEATURES],
    );
    for (const [feature = '', ...cells] of body)
      assert.ok(
        cells.some((cell) => cell !== '-'),
        feature,
      );
  });

  it('can be written anew', () => {
    const written = withMatrix(readme, matrixMarkdown());
    assert.equal(matrixOf(written), matrixMarkdown());
    assert.equal(withMatrix(written, matrixOf(readme) ?? ''), readme);
  });
});
