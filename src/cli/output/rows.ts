/** Collecting a streamed list for a table, and streaming it as a JSON array, with a bound on what is held for a table. */
import type { ApiClient } from '../../api/client.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { emit, type OutputForm } from './emit.ts';
import { type Column, renderTable } from './table.ts';

/** Rows after which a table goes on with the column widths it has. */
const TABLE_CHUNK = 5000;

export interface ListOptions<Row> {
  readonly path: string;
  readonly form: OutputForm;
  readonly columns: (wide: boolean) => readonly Column<Row>[];
  /** said on standard error, with exit code 1, when there is no row */
  readonly nothing: string;
  /** printed before the table, and after it with the number of rows */
  readonly legend?: string;
  readonly summary?: (count: number) => string;
  /** order of a table that fits into one chunk; longer lists, JSON and YAML come as the agent has them */
  readonly compare?: (a: Row, b: Row) => number;
}

/** Fetches a list and writes it in the form asked for. JSON is written row by row, so that a full table needs no memory. */
export async function showList<Row>(
  context: CommandContext,
  client: ApiClient,
  options: ListOptions<Row>,
): Promise<void> {
  const { terminal } = context;
  const rows = client.rows<Row>(options.path);
  let count = 0;
  if (options.form === 'json') {
    for await (const row of rows) terminal.out(`${count++ === 0 ? '[' : ','}\n  ${JSON.stringify(row)}`);
    terminal.out(count === 0 ? '[]\n' : '\n]\n');
  } else if (options.form === 'yaml') {
    const all: Row[] = [];
    for await (const row of rows) all.push(row);
    count = all.length;
    await emit(terminal, 'yaml', all, () => '');
  } else {
    let chunk: Row[] = [];
    const columns = options.columns(options.form === 'wide');
    const flush = (): void => {
      if (chunk.length === 0) return;
      if (count === chunk.length && options.compare !== undefined) chunk.sort(options.compare);
      if (count === chunk.length && options.legend !== undefined) terminal.out(`${options.legend}\n`);
      terminal.out(renderTable(columns, chunk, terminal.colour));
      chunk = [];
    };
    for await (const row of rows) {
      count++;
      if (chunk.push(row) >= TABLE_CHUNK) flush();
    }
    flush();
    if (count > 0 && options.summary !== undefined) terminal.out(`\n${options.summary(count)}\n`);
  }
  if (count === 0) throw new CommandFailure(options.nothing, EXIT.failure);
}
