/** Tables of text. */

/** Rows under a head, columns aligned: the first `leftColumns` to the left, the others to the right. One line a row, without trailing blanks. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  leftColumns: number,
): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return column < leftColumns ? cell.padEnd(width) : cell.padStart(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A number as people read it, `100,000`. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** A figure with so many decimals; empty when there is none. */
export function figure(value: number | undefined, decimals: number): string {
  return value === undefined || !Number.isFinite(value) ? '' : value.toFixed(decimals);
}
