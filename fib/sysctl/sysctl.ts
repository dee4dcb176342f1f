/**
 * Kernel settings under /proc/sys. A key is the path below it with slashes (`net/ipv4/conf/eth0.100/forwarding`), since interface names may
 * hold dots. Everything is synchronous, so that it can be done inside another network namespace (see netlink/namespace.ts).
 */
import { readFileSync, writeFileSync } from 'node:fs';

/** A setting and the value that it is to have. */
export interface Sysctl {
  readonly key: string;
  readonly value: string;
}

/** A setting that could not be read or written. */
export class SysctlError extends Error {
  readonly key: string;

  constructor(key: string, what: string, cause: unknown) {
    super(`${what} /proc/sys/${key}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'SysctlError';
    this.key = key;
  }
}

/** The value without trailing white space; undefined when this kernel has no such setting or the interface is gone. */
export function readSysctl(key: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${key}`, 'utf8').trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new SysctlError(key, 'read', error);
  }
}

/**
 * Gives a setting its value unless it has it already. Returns the former value, the same as the new one if nothing was written. Throws
 * a SysctlError when it does not exist or cannot be written.
 */
export function ensureSysctl({ key, value }: Sysctl): string {
  const former = readSysctl(key);
  if (former === value) return former;
  try {
    writeFileSync(`/proc/sys/${key}`, value, { flag: 'r+' });
  } catch (error) {
    throw new SysctlError(key, `write ${value} to`, error);
  }
  return former ?? value;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENODEV');
}
