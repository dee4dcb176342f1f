/** The command line: parses it, runs the command, and turns errors into a sentence and an exit code. What a command needs is loaded when it runs. */
import { Command, CommanderError } from 'commander';
import { AgentUnreachable } from '../api/client.ts';
import { ApiError, type Problem } from '../api/problem.ts';
import { VERSION } from '../version.ts';
import { CommandFailure, EXIT, makeContext } from './context.ts';
import { registerCommands } from './groups.ts';
import { processTerminal, type Terminal } from './output/emit.ts';
import { paint, type Tone } from './output/table.ts';

/** Parses the arguments (without node and script), runs the command, and resolves with the exit code. Never rejects. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command('ocicat')
    .description('Direct routing for containers on bare metal: agent, BGP, routes, policy.')
    .version(VERSION, '-V, --version')
    .option('--socket <path>', 'socket of the agent (default: $OCICAT_SOCKET or /run/ocicat/api.sock)')
    .enablePositionalOptions()
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      outputError: (text, write) =>
        write(paint(text.replace(/^error: /, 'ocicat: '), 'bad', terminal.colour)),
    })
    .exitOverride();
  const context = makeContext(terminal, () => program.opts<{ socket?: string }>().socket);
  try {
    await registerCommands(program, context, args[0]);
    pointToHelp(program, 'ocicat');
    const [word, ...asked] = args;
    // Commander's own "help" answers with the first level of commands, whatever is asked.
    if (word === 'help') checkWords(program, asked);
    await program.parseAsync(word === 'help' ? [...asked, '--help'] : args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return explain(error, terminal);
  }
}

/** An error names the command whose help tells more. */
function pointToHelp(command: Command, words: string): void {
  command.showHelpAfterError(`(see "${words} --help")`);
  for (const each of command.commands) pointToHelp(each, `${words} ${each.name()}`);
}

/** Throws a `CommandFailure` unless these are words of a command, of which help is to be had. */
function checkWords(program: Command, words: readonly string[]): void {
  let at = program;
  for (const [index, word] of words.entries()) {
    const next = at.commands.find((each) => each.name() === word);
    if (next === undefined)
      throw new CommandFailure(
        `there is no command "${['ocicat', ...words.slice(0, index + 1)].join(' ')}"`,
        EXIT.usage,
        `(see "${['ocicat', ...words.slice(0, index)].join(' ')} --help")`,
      );
    at = next;
  }
}

// One place turns errors into a sentence, a hint and an exit code.
function explain(error: unknown, terminal: Terminal): number {
  const say = (tone: Tone, text: string): void => terminal.err(`${paint(text, tone, terminal.colour)}\n`);
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CommandFailure) {
    if (error.message !== '') say('bad', `ocicat: ${error.message}`);
    if (error.hint !== undefined) say('dim', error.hint);
    return error.exitCode;
  }
  if (error instanceof AgentUnreachable) {
    say('bad', `ocicat: ${error.message}`);
    say(
      'dim',
      'Is it running? Start it with "ocicat agent" (as root), or name its socket with --socket or OCICAT_SOCKET.',
    );
    return EXIT.unreachable;
  }
  if (error instanceof ApiError) {
    say('bad', `ocicat: ${error.problem.message}`);
    for (const line of detailLines(error.problem)) terminal.err(`${line}\n`);
    if (error.problem.hint !== undefined) say('dim', error.problem.hint);
    return error.problem.code === 'invalid' ? EXIT.usage : EXIT.failure;
  }
  say('bad', `ocicat: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return EXIT.failure;
}

function detailLines(problem: Problem): string[] {
  return (problem.details ?? []).map((detail) => {
    const where = [
      detail.file,
      detail.document === undefined ? undefined : `document ${detail.document}`,
      detail.kind === undefined ? undefined : `${detail.kind} ${detail.name ?? '?'}`,
      detail.path,
    ].filter((part) => part !== undefined && part !== '');
    return `  ${where.join(': ')}: ${detail.reason}`;
  });
}

process.exitCode = await run(process.argv.slice(2), processTerminal());
