/** What container runtimes of a crashed test run leave: their processes and mounts, known by the folder of the run's host. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Ends the processes whose command line names the folder, and takes away the mounts in it, so that it can be removed. */
export function removeRuntimeLeftovers(folder: string): void {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || !textOf(`/proc/${pid}/cmdline`).includes(`${folder}/`)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  const mounts = textOf('/proc/self/mounts')
    .split('\n')
    .flatMap((line) => line.split(' ')[1] ?? [])
    .filter((path) => path.startsWith(`${folder}/`));
  for (const path of mounts.reverse()) {
    try {
      execFileSync('umount', ['--lazy', path], { stdio: 'pipe' });
    } catch {
      // Its runtime was faster.
    }
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
