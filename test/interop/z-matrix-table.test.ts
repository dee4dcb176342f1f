/** The last file of the stage: prints the interoperability matrix of what the others have seen. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { matrixMarkdown, matrixRows, matrixText, withMatrix } from '../support/matrix-table.ts';

const README = new URL('../../README.md', import.meta.url);

describe('interoperability matrix: the table', () => {
  it('every feature was seen with somebody', () => {
    console.log(`\n${matrixText()}\n`);
    if (process.env['OCICAT_MATRIX_README'] === '1') {
      writeFileSync(README, withMatrix(readFileSync(README, 'utf8'), matrixMarkdown()));
    }
    const unseen = matrixRows().filter(({ cells }) => cells.every((cell) => cell === '-'));
    assert.deepEqual(
      unseen.map(({ feature }) => feature),
      [],
    );
  });
});
