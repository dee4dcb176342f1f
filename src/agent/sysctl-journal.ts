/** The record of the host's former settings, one small JSON file beside the store, written before a setting is changed. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SysctlJournal } from '../../fib/sysctl/host-sysctls.ts';

/** A journal in a file. `load` of a file that is absent gives no values; one that is unreadable throws. */
export function fileSysctlJournal(path: string): SysctlJournal {
  return {
    load() {
      let text: string;
      try {
        text = readFileSync(path, 'utf8');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
        throw error;
      }
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed !== 'object' || parsed === null)
        throw new Error(`${path} is damaged: expected a map of settings`);
      return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, String(value)]));
    },
    save(values) {
      mkdirSync(dirname(path), { recursive: true });
      const temporary = `${path}.new`;
      const fd = openSync(temporary, 'w', 0o600);
      try {
        writeSync(fd, `${JSON.stringify(values, null, 2)}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, path);
    },
  };
}
