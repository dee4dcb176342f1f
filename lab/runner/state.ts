/**
 * What is known of a lab that stands: a small file under /run/ocilab, so that a later run can use it or take it down, also
 * after a crash. Processes are known by number and start time, since numbers are used again.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** A process on this machine. `startTicks` is its start time in clock ticks since boot (/proc/PID/stat, field 22). */
const processId = z.object({ pid: z.number().int().positive(), startTicks: z.string() });
export type ProcessId = z.infer<typeof processId>;

const state = z.object({
  /** The run that is working on the lab; the lab may stand without one. */
  owner: processId.optional(),
  /** Process 1 of each node that has been started. */
  nodes: z.record(z.string(), processId),
});
export type LabState = z.infer<typeof state>;

const FOLDER = '/run/ocilab';

/** The folder of a lab: its state file, its nodes' logs and work folders. */
export function labFolder(lab: string): string {
  return join(FOLDER, lab);
}

/** The state of a lab, or undefined when there is none or its file cannot be read. */
export async function readState(lab: string): Promise<LabState | undefined> {
  try {
    return state.parse(JSON.parse(await readFile(join(labFolder(lab), 'state.json'), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Replaces the state file at once. */
export async function writeState(lab: string, value: LabState): Promise<void> {
  const folder = labFolder(lab);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `state.json.${process.pid}`);
  await writeFile(temporary, JSON.stringify(value));
  await rename(temporary, join(folder, 'state.json'));
}

/** Removes a lab's folder. */
export async function removeState(lab: string): Promise<void> {
  await rm(labFolder(lab), { recursive: true, force: true });
}

/** The identity of a process that runs now, or undefined when it does not. */
export async function identify(pid: number): Promise<ProcessId | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in parentheses that may itself hold blanks and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [status] = fields;
    const startTicks = fields[19];
    return status === 'Z' || startTicks === undefined ? undefined : { pid, startTicks };
  } catch {
    return undefined;
  }
}

/** Whether that very process still runs. */
export async function isAlive(known: ProcessId): Promise<boolean> {
  const now = await identify(known.pid);
  return now?.startTicks === known.startTicks;
}
