/** Starts a racing process, and collects what it said. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('./race-child.ts', import.meta.url));
const TIMEOUT_MS = 60_000;

/** What a host was told: handle -> its addresses, or `open` when the answer to the last request is not known. */
export type Told = Map<string, readonly string[] | 'open'>;

/** One host. */
export class RaceProcess {
  readonly host: string;
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<boolean>;
  #said = '';
  #complaint = '';

  constructor(host: string, args: readonly string[], killAt: number | undefined) {
    this.host = host;
    const env = killAt === undefined ? {} : { OCICAT_TEST_KILL_AT: String(killAt) };
    this.#child = spawn(process.execPath, [CHILD, host, ...args], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<boolean>();
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
      if (this.#said.includes('ready')) ready.resolve();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint += text;
    });
    this.#child.stdin?.on('error', () => {});
    this.#child.on('error', ended.reject);
    this.#child.on('close', (code, signal) => {
      ready.resolve();
      if (code === 0) ended.resolve(false);
      else if (signal === 'SIGKILL') ended.resolve(true);
      else ended.reject(new Error(`${host} failed (${code ?? signal}): ${this.#complaint}`));
    });
    this.ready = ready.promise;
    this.#ended = ended.promise;
    this.#ended.catch(() => {});
  }

  go(): void {
    this.#child.stdin?.write('go\n');
  }

  /** Resolves when it has ended: whether it killed itself. Rejects when it failed in any other way. */
  async ended(): Promise<boolean> {
    return await this.#ended;
  }

  get lines(): readonly string[] {
    return this.#said.split('\n').filter((line) => line !== '');
  }

  /** What it was told in the end. */
  get told(): Told {
    const told: Told = new Map();
    for (const line of this.lines) {
      const [verb, handle = '', ...addresses] = line.split(' ');
      if (verb === 'assigning' || verb === 'releasing') {
        const before = told.get(handle);

        // An address that is held already stays held whatever becomes of the request.
        if (verb === 'releasing' || before === undefined) told.set(handle, 'open');
      } else if (verb === 'assigned') told.set(handle, addresses);
      else if (verb === 'released' || (verb === 'refused' && told.get(handle) === 'open'))
        told.delete(handle);
    }
    return told;
  }
}
