/**
 * TCP MD5 keys (RFC 2385) out of files of the host. A file is read again when it changes; what cannot be used any more leaves the last good
 * key in force, so that replacing a file in two steps costs no session. Keys are never shown.
 */
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { PasswordResult } from './peer-types.ts';

/** The kernel's TCP_MD5SIG_MAXKEYLEN */
const KEY_OCTETS_MAX = 80;
const FILE_OCTETS_MAX = 4096;
/** A folder that is not there cannot be watched: it is looked for again after this time. */
const RETRY_MS = 5_000;
/** Writers truncate and write: both are one change. */
const SETTLE_MS = 50;

interface Watched {
  result: PasswordResult;
  /** cannot be read now, though a key is in force */
  problem: string | undefined;
}

export class PasswordFiles {
  readonly #onChange: () => void;
  readonly #files = new Map<string, Watched>();
  readonly #folders = new Map<string, FSWatcher | NodeJS.Timeout>();
  #settle: NodeJS.Timeout | undefined;

  /** `onChange`: a key or a problem is another one now. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The key in a file; the first question begins to follow it. */
  readonly get = (file: string): PasswordResult => {
    const known = this.#files.get(file);
    if (known !== undefined) return known.result;
    // Watched before it is read: a change between the two is seen.
    this.#watch(dirname(file));
    const result = readPassword(file);
    this.#files.set(file, { result, problem: undefined });
    return result;
  };

  /** Files whose key is in force but that cannot be read any more, with the reason. */
  problems(): string[] {
    return [...this.#files.values()].flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  }

  /** Follows these alone from now on. */
  retain(files: ReadonlySet<string>): void {
    for (const file of [...this.#files.keys()]) if (!files.has(file)) this.#files.delete(file);
    const folders = new Set([...this.#files.keys()].map(dirname));
    for (const folder of [...this.#folders.keys()]) if (!folders.has(folder)) this.#unwatch(folder);
  }

  close(): void {
    clearTimeout(this.#settle);
    for (const folder of [...this.#folders.keys()]) this.#unwatch(folder);
    this.#files.clear();
  }

  // The folder, because files are replaced by renaming another over them.
  #watch(folder: string): void {
    if (this.#folders.has(folder)) return;
    try {
      const watcher = watch(folder, () => this.#changed());
      watcher.on('error', () => this.#later(folder));
      this.#folders.set(folder, watcher);
    } catch {
      this.#later(folder);
    }
  }

  #later(folder: string): void {
    this.#unwatch(folder);
    const timer = setTimeout(() => {
      this.#folders.delete(folder);
      this.#watch(folder);
      this.#changed();
    }, RETRY_MS).unref();
    this.#folders.set(folder, timer);
  }

  #unwatch(folder: string): void {
    const watcher = this.#folders.get(folder);
    this.#folders.delete(folder);
    if (watcher === undefined) return;
    if ('close' in watcher && !('refresh' in watcher)) watcher.close();
    else clearTimeout(watcher);
  }

  #changed(): void {
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#readAll(), SETTLE_MS);
  }

  #readAll(): void {
    let changed = false;
    for (const [file, watched] of this.#files) {
      const result = readPassword(file);
      const before = watched.result;
      if ('problem' in result && 'password' in before) {
        changed ||= watched.problem !== result.problem;
        watched.problem = result.problem;
        continue;
      }
      changed ||=
        watched.problem !== undefined ||
        ('password' in result
          ? !('password' in before) || before.password !== result.password
          : !('problem' in before) || before.problem !== result.problem);
      watched.result = result;
      watched.problem = undefined;
    }
    if (changed) this.#onChange();
  }
}

/** Reads a key: the file's first line. It must be a plain file that only its owner, root or the agent's user, can read. */
export function readPassword(file: string): PasswordResult {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return { problem: `${file} is not a plain file` };
    if (stat.uid !== 0 && stat.uid !== process.getuid?.())
      return { problem: `${file} belongs to user ${stat.uid}, not to root` };
    if ((stat.mode & 0o077) !== 0)
      return {
        problem: `${file} may be read or written by others (mode ${(stat.mode & 0o777).toString(8)}, must be 600 or 400)`,
      };
    if (stat.size > FILE_OCTETS_MAX) return { problem: `${file} is longer than ${FILE_OCTETS_MAX} octets` };
    const [password = ''] = readFileSync(file, 'utf8').split(/\r?\n/, 1);
    const octets = Buffer.byteLength(password);
    if (octets < 1 || octets > KEY_OCTETS_MAX)
      return { problem: `the first line of ${file} has ${octets} octets, must have 1 to ${KEY_OCTETS_MAX}` };
    return { password };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return { problem: `${file} cannot be read (${code})` };
  }
}
