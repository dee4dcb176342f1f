/** Running other programs: always with a time limit, never through a shell. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A problem that ends the lab, in words for a person. */
export class LabError extends Error {
  override readonly name = 'LabError';
}

/** How a program ended. */
export interface Finished {
  /** Exit status; 124 when the time limit ended it, 127 when it could not be started. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Runs a program to its end, gathering what it prints. Never throws for a program that fails. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const [program = '', ...words] = command;
  const { timeoutMs = 20_000, env = process.env, signal } = options;
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let late = false;
  const kill = () => child.kill('SIGKILL');
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, timeoutMs);
  signal?.addEventListener('abort', kill);
  try {
    const [status] = await ended(child, () => late);
    if (late) return { status: 124, stdout, stderr: `${stderr}not finished within ${timeoutMs / 1000} s\n` };
    return { status, stdout, stderr };
  } catch (error) {
    return { status: 127, stdout, stderr: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', kill);
  }
}

/**
 * A program that starts another in the background may leave its pipes open for ever, so its end counts when it exits and
 * its pipes have closed or had a moment to.
 */
async function ended(child: ReturnType<typeof spawn>, isLate: () => boolean): Promise<[number]> {
  const closed = once(child, 'close');
  closed.catch(() => undefined);
  const [status, signal] = await once(child, 'exit');
  if (!isLate()) {
    const grace = new AbortController();
    const timer = setTimeout(() => grace.abort(), 500);
    await Promise.race([closed, once(grace.signal, 'abort')]);
    clearTimeout(timer);
  }
  child.stdout?.destroy();
  child.stderr?.destroy();
  return [typeof status === 'number' ? status : 128 + (signal === 'SIGKILL' ? 9 : 15)];
}

/** Runs a program that must succeed. Throws a LabError with the command and what it said. */
export async function mustRun(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const finished = await run(command, options);
  if (finished.status === 0) return finished.stdout;
  throw new LabError(`${command.join(' ')}: ${said(finished)}`);
}

/** What a failed program said, for an error message. */
export function said(finished: Finished): string {
  const text = `${finished.stderr.trim()}\n${finished.stdout.trim()}`.trim();
  return `exit status ${finished.status}${text === '' ? '' : `: ${text}`}`;
}
