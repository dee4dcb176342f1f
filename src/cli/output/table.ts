/** Tables for people: columns align by display width, nothing is cut, colour only where the caller says so. */
import { createRequire } from 'node:module';
import { styleText } from 'node:util';

/** What a cell's text means, for colour. */
export type Tone = 'good' | 'bad' | 'warn' | 'dim' | 'plain';

/** A cell: text, or text with a tone. */
export type Cell = string | { readonly text: string; readonly tone: Tone };

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly cell: (row: Row) => Cell;
}

const STYLES = { good: 'green', bad: 'red', warn: 'yellow', dim: 'dim' } as const;

/** Paints text for a terminal; plain text when colour is off. */
export function paint(text: string, tone: Tone, colour: boolean): string {
  return !colour || tone === 'plain' ? text : styleText(STYLES[tone], text, { validateStream: false });
}

// Printable ASCII: as wide as it is long.
const NARROW = /^[ -~]*$/;
const requireHere = createRequire(import.meta.url);

// The tables of Unicode take 3 MiB, which a long-running command must not hold and most output does not need.
function widthOf(text: string): number {
  if (NARROW.test(text)) return text.length;
  const unicode: typeof import('string-width') = requireHere('string-width');
  return unicode.default(text);
}

/**
 * Renders rows as lines, titles first, two spaces between columns, no trailing blanks. The last left-aligned column is not padded.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  colour: boolean,
): string {
  const cells = rows.map((row) =>
    columns.map((column) => {
      const cell = column.cell(row);
      return typeof cell === 'string' ? { text: cell, tone: 'plain' as const } : cell;
    }),
  );
  const widths = columns.map((column, index) =>
    cells.reduce((width, row) => Math.max(width, widthOf(row[index]?.text ?? '')), widthOf(column.title)),
  );
  const line = (texts: readonly { text: string; tone: Tone }[]): string =>
    texts
      .map(({ text, tone }, index) => {
        const gap = ' '.repeat(Math.max(0, (widths[index] ?? 0) - widthOf(text)));
        const painted = paint(text, tone, colour);
        return columns[index]?.align === 'right' ? gap + painted : painted + gap;
      })
      .join('  ')
      .trimEnd();
  const titles = line(columns.map((column) => ({ text: column.title, tone: 'dim' as const })));
  return [titles, ...cells.map(line)].map((text) => `${text}\n`).join('');
}
