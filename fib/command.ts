/** Running the kernel's tools. Drivers take a `CommandRunner`, so that the same code works in another network namespace. */
import { execa } from 'execa';

/** How a command ended. */
export interface CommandOutcome {
  /** exit status; undefined when it could not be started, was killed by a signal or took too long */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command with text on its standard input. Never throws: what went wrong is in the outcome. */
export type CommandRunner = (
  command: string,
  args: readonly string[],
  input?: string,
) => Promise<CommandOutcome>;

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_CHARACTERS = 512 * 1024 * 1024;

/** A runner that puts `prefix` before each command (`nsenter --net=PATH`), or nothing. A command is killed after 60 s. */
export function commandRunner(prefix: readonly string[] = []): CommandRunner {
  return async (command, args, input = '') => {
    const [file = command, ...rest] = [...prefix, command, ...args];
    const result = await execa(file, rest, {
      input,
      reject: false,
      stripFinalNewline: false,
      timeout: TIMEOUT_MS,
      maxBuffer: MAX_OUTPUT_CHARACTERS,
      // Messages of the tools are read: they must not be translated.
      env: { LC_ALL: 'C' },
    });
    const stderr =
      result.exitCode === undefined ? `${result.stderr ?? ''}${result.shortMessage ?? ''}` : result.stderr;
    return { status: result.exitCode, stdout: result.stdout ?? '', stderr: stderr ?? '' };
  };
}
