/** The `-o` flag: one place that decides how a command's result reaches the terminal. */
import { InvalidArgumentError, Option } from 'commander';

/** Output forms of every command that shows something. */
export type OutputForm = 'table' | 'wide' | 'json' | 'yaml';

const FORMS: readonly OutputForm[] = ['table', 'wide', 'json', 'yaml'];

/** `-o, --output FORM`, also `--json` for habit's sake where commander allows one option only through this one. */
export function outputOption(): Option {
  return new Option('-o, --output <form>', 'table, wide, json or yaml').default('table').argParser(parseForm);
}

function parseForm(text: string): OutputForm {
  const form = FORMS.find((known) => known === text);
  if (form === undefined) throw new InvalidArgumentError(`choose one of ${FORMS.join(', ')}.`);
  return form;
}

/** What a shell reports of a process that SIGPIPE ended. */
const SIGPIPE_STATUS = 141;

/** Where a command writes. Passed in, so that commands can be tested without a process. */
export interface Terminal {
  readonly out: (text: string) => void;
  /** resolves when what was written has found a reader; absent: at once */
  readonly drained?: () => Promise<void>;
  readonly err: (text: string) => void;
  readonly colour: boolean;
  /** epoch milliseconds */
  readonly now: () => number;
}

/**
 * The process's own terminal; colour only on a TTY and only without NO_COLOR (no-color.org). A reader that has gone (`| head`) ends the process
 * quietly, as SIGPIPE would.
 */
export function processTerminal(): Terminal {
  const { stdout } = process;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(SIGPIPE_STATUS);
  });
  return {
    out: (text) => void stdout.write(text),
    drained: () =>
      stdout.writableNeedDrain
        ? new Promise((resolve) => stdout.once('drain', () => resolve()))
        : Promise.resolve(),
    err: (text) => void process.stderr.write(text),
    colour: process.stdout.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb',
    now: () => Date.now(),
  };
}

/** Writes a value as JSON or YAML, or calls `table` for the two forms meant for people. */
export async function emit(
  terminal: Terminal,
  form: OutputForm,
  value: unknown,
  table: (wide: boolean) => string,
): Promise<void> {
  if (form === 'json') terminal.out(`${JSON.stringify(value, null, 2)}\n`);
  else if (form === 'yaml') {
    const { stringify } = await import('yaml');
    terminal.out(stringify(value));
  } else terminal.out(table(form === 'wide'));
}
