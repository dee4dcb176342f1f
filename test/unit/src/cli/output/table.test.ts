import assert from 'node:assert/strict';
import fc from 'fast-check';
import stringWidth from 'string-width';
import { type Column, paint, renderTable } from '../../../../../src/cli/output/table.ts';

interface Row {
  readonly name: string;
  readonly count: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'Name', cell: (row) => row.name },
  { title: 'Count', align: 'right', cell: (row) => String(row.count) },
];

describe('renderTable', () => {
  it('aligns left and right under the titles, without trailing blanks', () => {
    const rows = [
      { name: 'a', count: 7 },
      { name: 'a long name', count: 12345 },
    ];
    assert.equal(
      renderTable(COLUMNS, rows, false),
      'Name         Count\na                7\na long name  12345\n',
    );
    const last: Column<Row>[] = [...COLUMNS].reverse();
    assert.equal(renderTable(last, rows, false), 'Count  Name\n    7  a\n12345  a long name\n');
  });

  it('shows titles alone when there is no row', () => {
    assert.equal(renderTable(COLUMNS, [], false), 'Name  Count\n');
  });

  it('counts display width: wide characters, combining marks, colours', () => {
    const rows = [
      { name: '東京', count: 1 },
      { name: 'e\u0301', count: 2 },
    ];
    assert.equal(renderTable(COLUMNS, rows, false), 'Name  Count\n東京      1\ne\u0301         2\n');
    const toned: Column<Row>[] = [
      { title: 'State', cell: () => ({ text: 'up', tone: 'good' }) },
      { title: 'Name', cell: (row) => row.name },
    ];
    const coloured = renderTable(toned, rows, true);
    assert.ok(coloured.includes('\u001b[32mup\u001b[39m'));
    assert.equal(stripped(coloured), renderTable(toned, rows, false));
  });

  it('every column starts at the same place in every line (property)', () => {
    const cell = fc.stringMatching(/^[a-z東é]{0,12}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 }), (rows) => {
        const columns: Column<readonly [string, string]>[] = [
          { title: 'A', cell: ([text]) => text },
          { title: 'B', cell: ([, text]) => `|${text}` },
        ];
        const lines = renderTable(columns, rows, false).trimEnd().split('\n').slice(1);
        const starts = lines.map((line) => stringWidth(line.slice(0, line.indexOf('|'))));
        assert.equal(new Set(starts).size, 1);
        assert.equal(lines.length, rows.length);
      }),
    );
  });
});

describe('paint', () => {
  it('paints only with colour on, and never plain text', () => {
    assert.equal(paint('x', 'bad', false), 'x');
    assert.equal(paint('x', 'plain', true), 'x');
    assert.equal(stripped(paint('x', 'bad', true)), 'x');
    assert.notEqual(paint('x', 'bad', true), 'x');
  });
});

function stripped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  return text.replace(/\u001b\[\d+m/g, '');
}
