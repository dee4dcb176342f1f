/** Whether anything lives in containers' network namespaces, from the process table. */
import type { Stats } from 'node:fs';
import { readdir, readlink, stat } from 'node:fs/promises';

/**
 * `gone`: there is nothing at its path. `empty`: it is there, kept by its mount alone, and no process is in it. `used`: one is. `unknown`: the
 * namespace cannot be found, or not every process can be seen.
 */
export type SandboxState = 'gone' | 'empty' | 'used' | 'unknown';

/** Name of the namespace of all processes of a machine: PROC_PID_INIT_INO of Linux' proc_ns.h. */
const ALL_PROCESSES = 'pid:[4026531836]';

/** Tells the state of the namespace at a path, as of a look at all processes. */
export type SandboxStates = (path: string) => Promise<SandboxState>;

/** Looks once at every process and thread. */
export async function lookAtProcesses(proc = '/proc'): Promise<SandboxStates> {
  const used = await namespacesInUse(proc).catch(() => undefined);
  return async (path) => {
    try {
      const namespace = await statOrGone(path);
      if (namespace === undefined) return 'gone';
      // Where the mount went, or is not seen by this process, its file is left.
      if (used?.device !== namespace.dev) return 'unknown';
      return used.inodes.has(namespace.ino) ? 'used' : 'empty';
    } catch {
      return 'unknown';
    }
  };
}

/** Of all processes; undefined: not all can be seen. Rejects when one cannot be looked at. */
async function namespacesInUse(
  proc: string,
): Promise<{ readonly device: number; readonly inodes: ReadonlySet<number> } | undefined> {
  if ((await readlink(`${proc}/self/ns/pid`)) !== ALL_PROCESSES) return undefined;
  const { dev: device } = await stat(`${proc}/self/ns/net`);
  const inodes = new Set<number>();
  for (const pid of await numbersIn(proc)) {
    // The machine's first process is in no container, and not everywhere may root look at it.
    if (pid === '1') continue;
    for (const thread of await numbersIn(`${proc}/${pid}/task`)) {
      const own = await statOrGone(`${proc}/${pid}/task/${thread}/ns/net`);
      if (own !== undefined) inodes.add(own.ino);
    }
  }
  return { device, inodes };
}

async function numbersIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => /^\d+$/.test(name));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function statOrGone(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

// A process may end while it is looked at: its entries are not there any more, or cannot be read.
function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
