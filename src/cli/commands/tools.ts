/** `ocicat validate` and `ocicat selector`: tools that need no agent (the latter asks it when given an expression). */
import { type Command, InvalidArgumentError } from 'commander';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { readInputs } from '../input.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { renderTable } from '../output/table.ts';

/** `GET /v1/selector` answer */
export interface SelectorMatches {
  readonly canonical: string;
  readonly matches: readonly { readonly kind: string; readonly namespace?: string; readonly name: string }[];
}

export function registerTools(program: Command, context: CommandContext): void {
  program
    .command('validate')
    .description('check resources without an agent')
    .option('-f, --filename <path>', 'file, folder or - for standard input (repeatable)', collect, [])
    .option('-o, --output <form>', 'table or json', validateForm, 'table')
    .addHelpText('after', '\nExit code: 0 all valid, 1 any invalid, 2 nothing to check.')
    .action(async (options: { filename: string[]; output: 'table' | 'json' }) => {
      const { runValidate } = await import('../validate.ts');
      const code = runValidate(await readInputs(options.filename), options.output, context.terminal);
      if (code !== EXIT.ok) throw new CommandFailure('', code);
    });
  program
    .command('selector')
    .description(
      'what a selector matches now, or with --jsonl evaluate lines of {"id", "selector", "labels"}',
    )
    .argument('[expression]', 'such as: app == "web" && env in {"prod", "test"}')
    .option('--jsonl', 'read lines from standard input and answer each with a line; needs no agent')
    .addOption(outputOption())
    .action(async (expression: string | undefined, options: { jsonl?: boolean; output: OutputForm }) => {
      if (options.jsonl === true) {
        const { runSelectorLines } = await import('../selector.ts');
        await runSelectorLines(process.stdin, (text) => context.terminal.out(text));
        return;
      }
      if (expression === undefined) throw new CommandFailure('give an expression, or --jsonl', EXIT.usage);
      await showMatches(context, expression, options.output);
    });
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function validateForm(text: string): 'table' | 'json' {
  if (text === 'table' || text === 'json') return text;
  throw new InvalidArgumentError('choose table or json.');
}

async function showMatches(context: CommandContext, expression: string, form: OutputForm): Promise<void> {
  const { terminal } = context;
  const path = `/v1/selector?expression=${encodeURIComponent(expression)}`;
  const answer = await context.client().call<SelectorMatches>('GET', path);
  await emit(terminal, form, answer, () => {
    const table = renderTable(
      [
        { title: 'KIND', cell: (row) => row.kind },
        { title: 'NAMESPACE', cell: (row) => row.namespace ?? '-' },
        { title: 'NAME', cell: (row) => row.name },
      ],
      answer.matches,
      terminal.colour,
    );
    return `${answer.canonical}\n\n${answer.matches.length === 0 ? 'matches nothing here\n' : table}`;
  });
}
