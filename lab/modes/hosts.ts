/** Two hosts on one segment and a container's namespace on each, under names of our own; removed again, also what a crash left. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { LabError, mustRun, run } from '../runner/process.ts';
import { waitUntilNothing } from '../runner/wait.ts';

const STOP_TIMEOUT_MS = 10_000;

const PREFIX = 'ocimodes';
const LAUNCHER = resolve(import.meta.dirname, '../../src/cli/ocicat.sh');
const SETUP_TIMEOUT_MS = 60_000;

/** Where a set-up's container is reached, and in which namespace its programs run. */
export interface Place {
  readonly address: string;
  /** the address that the container itself has, where that is another one */
  readonly own: string;
  readonly namespace: string;
}

/** Two hosts as they stand. */
export interface Hosts {
  /** runs a set-up's commands on host 1 or 2 */
  setUp(host: 1 | 2, script: string): Promise<Place>;
  remove(): Promise<void>;
}

/** Namespaces named by a process that is gone are removed. */
export async function sweepHosts(): Promise<void> {
  for (const name of await readdir('/run/netns').catch(() => [])) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || (await isAlive(pid))) continue;
    await run(['ip', 'netns', 'del', name]);
  }
}

async function isAlive(pid: string): Promise<boolean> {
  return await readFile(`/proc/${pid}/stat`).then(
    () => true,
    () => false,
  );
}

/** Makes host 1 and host 2, joined by one link with addresses 10.80.0.1 and .2, and a namespace for the container of each. */
export async function buildHosts(folder: string): Promise<Hosts> {
  const name = (what: string): string => `${PREFIX}-${process.pid}-${what}`;
  const namespaces = ['h1', 'h2', 'c1', 'c2'].map(name);
  const remove = async (): Promise<void> => {
    for (const host of [1, 2]) await stopAgent(join(folder, `h${host}`));
    for (const namespace of namespaces) await run(['ip', 'netns', 'del', namespace]);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const namespace of namespaces) await mustRun(['ip', 'netns', 'add', namespace]);
    const [h1, h2] = [name('h1'), name('h2')];
    await mustRun([
      'ip',
      '-n',
      h1,
      'link',
      'add',
      'eth1',
      'type',
      'veth',
      'peer',
      'name',
      'eth1',
      'netns',
      h2,
    ]);
    for (const [host, namespace] of [h1, h2].entries()) {
      await mustRun(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
      await mustRun(['ip', '-n', namespace, 'addr', 'add', `10.80.0.${host + 1}/24`, 'dev', 'eth1']);
      await mustRun(['ip', '-n', namespace, 'link', 'set', 'eth1', 'up']);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    remove,
    async setUp(host, script) {
      const scratch = join(folder, `h${host}`);
      await mkdir(scratch, { recursive: true });
      const text = await readFile(script, 'utf8');
      const env = {
        ...process.env,
        HOST: String(host),
        HOST_ADDRESS: `10.80.0.${host}`,
        OTHER_ADDRESS: `10.80.0.${3 - host}`,
        UPLINK: 'eth1',
        CONTAINER: name(`c${host}`),
        RUN: scratch,
        OCICAT_NODE_NAME: `h${host}`,
        OCICAT_STORE_PATH: join(scratch, 'store'),
        OCICAT_SOCKET: join(scratch, 'api.sock'),
      };
      // The agent takes the place of its subshell, so that $! is its own process id.
      const prelude = `set -eu; ocicat() { [ "$1" != agent ] || exec '${LAUNCHER}' "$@"; '${LAUNCHER}' "$@"; }\n`;
      const printed = await mustRun(['ip', 'netns', 'exec', name(`h${host}`), 'sh', '-c', prelude + text], {
        env,
        timeoutMs: SETUP_TIMEOUT_MS,
      });
      const address = /^address=(.*)$/m.exec(printed)?.[1];
      if (address === undefined) throw new LabError(`${script} does not say where the container is`);
      const inHost = /^namespace=host$/m.test(printed);
      const own = /^own=(.*)$/m.exec(printed)?.[1] ?? address;
      return { address, own, namespace: name(inHost ? `h${host}` : `c${host}`) };
    },
  };
}

async function stopAgent(folder: string): Promise<void> {
  const pid = Number(await readFile(join(folder, 'agent.pid'), 'utf8').catch(() => ''));
  if (!(pid > 1)) return;
  try {
    process.kill(pid, 'SIGTERM');
  } catch {}
  // Until it has ended it writes into its folder.
  const isThere = async (): Promise<string[]> => (existsSync(`/proc/${pid}`) ? ['the end of the agent'] : []);
  const left = await waitUntilNothing(isThere, { timeoutMs: STOP_TIMEOUT_MS, intervalMs: 50 });
  if (left.length > 0) process.kill(pid, 'SIGKILL');
}
