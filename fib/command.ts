/** Running the kernel's tools. Drivers take a `CommandRunner`, so that the same code works in another network namespace. */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
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

/** A tool that stays, and works on what comes on its standard input. */
export interface RunningTool {
  /** Feeds it. What a tool that is gone is fed is lost. */
  write(text: string): void;
  /** Ends its input, by which it ends itself. */
  end(): void;
  kill(): void;
}

/** Who hears what a running tool says. */
export interface ToolListener {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Told once: it is gone and has said everything. `status` is undefined when it could not be started or was killed. */
  closed(status: number | undefined): void;
}

/** Starts a tool that stays. Never throws: a tool that could not be started is told as closed, the reason on stderr. */
export type ToolStarter = (command: string, args: readonly string[], listener: ToolListener) => RunningTool;

/**
 * A starter that puts `prefix` before each command, as `commandRunner` does. The tool ends with this process, since its input then
 * ends, and does not keep it running.
 */
export function toolStarter(prefix: readonly string[] = []): ToolStarter {
  return (command, args, listener) => {
    const [file = command, ...rest] = [...prefix, command, ...args];
    const child = spawn(file, rest, { env: { ...process.env, LC_ALL: 'C' } });
    let isClosed = false;
    const closed = (status: number | undefined): void => {
      if (isClosed) return;
      isClosed = true;
      listener.closed(status);
    };
    child.on('error', (error) => {
      if (child.pid !== undefined) return; // it could not be killed: it is told when it ends
      listener.stderr(error.message);
      closed(undefined);
    });
    child.on('close', (status) => closed(status ?? undefined));
    child.stdin.on('error', () => {}); // it ended: told by `close`
    child.stdout.setEncoding('utf8').on('data', (text: string) => listener.stdout(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => listener.stderr(text));
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) {
      if (stream instanceof Socket) stream.unref();
    }
    return {
      write: (text) => void child.stdin.write(text),
      end: () => void child.stdin.end(),
      kill: () => void child.kill('SIGKILL'),
    };
  };
}
