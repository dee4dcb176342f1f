/**
 * Copies of the last valid content of every resource file, so that an invalid edit keeps the last good version in force across a restart
 * too. A copy names its own hash; a copy that a power failure tore is no copy.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { contentHash, errorCode } from './atomic-files.ts';
import { INTERNAL_FOLDER } from './names.ts';

/** Keeps one copy a file. File names are relative to the store's root. */
export class LastGood {
  readonly #folder: string;

  constructor(root: string) {
    this.#folder = join(root, INTERNAL_FOLDER, 'good');
  }

  /** Not synced: a copy that is lost costs a fallback, never a resource. */
  save(file: string, content: Uint8Array): void {
    const path = join(this.#folder, file);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const temporary = `${path}.new`;
    const copy = Buffer.concat([Buffer.from(`${contentHash(content)}\n`), content]);
    writeFileSync(temporary, copy, { mode: 0o600 });
    renameSync(temporary, path);
  }

  /** The copy of a file's last valid content, or undefined. */
  async load(file: string): Promise<Uint8Array | undefined> {
    let copy: Buffer;
    try {
      copy = await readFile(join(this.#folder, file));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    const end = copy.indexOf('\n');
    const content = copy.subarray(end + 1);
    return copy.toString('latin1', 0, Math.max(0, end)) === contentHash(content) ? content : undefined;
  }

  forget(file: string): void {
    rmSync(join(this.#folder, file), { force: true });
  }

  /** Forgets copies in a folder of files that are not there any more: they were removed while nobody looked. */
  async prune(folder: string, present: ReadonlySet<string>): Promise<void> {
    let names: readonly string[];
    try {
      names = await readdir(join(this.#folder, folder));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      throw error;
    }
    for (const name of names) if (!present.has(`${folder}/${name}`)) this.forget(`${folder}/${name}`);
  }
}
