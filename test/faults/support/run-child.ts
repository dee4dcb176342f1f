/** Starts the crashing process and collects what it said before it died. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));
const TIMEOUT_MS = 30_000;

/** A run of the child. */
export interface ChildRun {
  readonly lines: readonly string[];
  /** killed by itself or by us; else it came to its end */
  readonly wasKilled: boolean;
}

/** When the child dies: before a fault step, or a while after it is ready. Neither: it ends by itself. */
export interface Death {
  readonly killAtStep?: number;
  readonly killAfterMs?: number;
}

/** Runs the child to its end. Rejects when it fails in any other way than by the kill. */
export async function runChild(
  mode: 'ipam' | 'resources',
  root: string,
  seed: number,
  operations: number,
  death: Death,
): Promise<ChildRun> {
  const env = death.killAtStep === undefined ? {} : { OCICAT_TEST_KILL_AT: String(death.killAtStep) };
  const child = spawn(process.execPath, [CHILD, mode, root, String(seed), String(operations)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGTERM',
  });
  let said = '';
  let complaint = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (death.killAfterMs !== undefined && said.includes('ready')) {
      timer ??= setTimeout(() => child.kill('SIGKILL'), death.killAfterMs);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const { promise, resolve, reject } = Promise.withResolvers<ChildRun>();
  child.on('error', reject);
  child.on('close', (code, signal) => {
    clearTimeout(timer);
    if (code !== 0 && signal !== 'SIGKILL')
      reject(new Error(`the child failed (${code ?? signal}): ${complaint}`));
    else resolve({ lines: said.split('\n').filter((line) => line !== ''), wasKilled: signal === 'SIGKILL' });
  });
  return await promise;
}
