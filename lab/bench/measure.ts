/** What the benchmarks read off processes, and make of their figures. */
import { readFileSync } from 'node:fs';

const TICKS_PER_SEC = 100;

/** User and system time of a process so far, seconds. Throws when it is gone. */
export function cpuSecOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SEC;
}

/**
 * Resident memory of a process, MiB: now (`VmRSS`), at its peak (`VmHWM`), or of what it holds now that which no file backs (`RssAnon`).
 * Throws when it is gone.
 */
export function memoryMibOf(pid: number, field: 'VmRSS' | 'VmHWM' | 'RssAnon'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
}

/** The middle one of some figures, the upper of two; NaN of none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The value that `share`, 0 to 1, of some figures do not exceed; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
