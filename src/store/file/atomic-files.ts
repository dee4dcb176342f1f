/**
 * Compare-and-swap on files: a file is replaced as a whole, only if its content is still the one expected, and is on the disk when
 * the call returns. A reader, and a start after a crash at any point, sees the old content or the new one, never a mixture.
 *
 * New content is written beside (in the internal folder), synced, and exchanged with the file in one step. Only then is it checked what
 * the file was: if an editor slipped in a change after our last look, the two are exchanged back. So not even the shortest race
 * overwrites a person's work. Leftovers of a crash between these steps carry in their names what `recover` needs to finish the job.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreUnavailable } from '../errors.ts';
import { type FaultPoint, noFault } from './fault-point.ts';
import { exchangeFiles } from './libc.ts';
import { INTERNAL_FOLDER } from './names.ts';

/** Hash of a file's content, 32 hexadecimal digits. */
export type ContentHash = string;

/** What a swap did. `conflict`: the file is not what was expected; `actual` is undefined when there is none. Nothing was changed. */
export type SwapResult =
  | { readonly ok: true; readonly hash: ContentHash }
  | { readonly ok: false; readonly actual: ContentHash | undefined };

const MAX_TURNS = 100;
const TEMPORARY_FOLDER = join(INTERNAL_FOLDER, 'tmp');
const LEFTOVER = /^([0-9a-f]{32})-([0-9a-f]{32}|none)-([0-9a-f]{32}|none)-[0-9a-f]+$/;

/** Hash of a content. */
export function contentHash(content: Uint8Array): ContentHash {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

/** Compare-and-swap on the files below one folder. File names are relative to it. Calls for one file must not overlap. */
export class AtomicFiles {
  readonly #root: string;
  readonly #fault: FaultPoint;

  constructor(root: string, fault: FaultPoint = noFault) {
    this.#root = root;
    this.#fault = fault;
  }

  /** Writes a file that must not be there yet. Rejects with `StoreUnavailable`. */
  async create(file: string, content: Uint8Array): Promise<SwapResult> {
    return await this.#guarded(file, async () => {
      const hash = contentHash(content);
      const target = join(this.#root, file);
      const temporary = await this.#writeTemporary(file, content, 'none', hash);
      try {
        this.#fault(`${file}:link`);
        await link(temporary, target);
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
        return { ok: false, actual: await hashOfFile(target) };
      } finally {
        await unlink(temporary);
      }
      await this.#syncFolder(file);
      return { ok: true, hash };
    });
  }

  /** Replaces a file whose content has the hash expected. Rejects with `StoreUnavailable`. */
  async replace(file: string, content: Uint8Array, expected: ContentHash): Promise<SwapResult> {
    return await this.#guarded(file, async () => {
      const hash = contentHash(content);
      const target = join(this.#root, file);
      const actual = await hashOfFile(target);
      if (actual !== expected) return { ok: false, actual };
      const temporary = await this.#writeTemporary(file, content, expected, hash);
      // From here to the discard, an error leaves the temporary file to `recover`: it may hold a person's work.
      const displaced = await this.#exchange(file, temporary, { expected, written: hash });
      this.#fault(`${file}:discard`);
      await unlink(temporary);
      if (displaced !== expected) return { ok: false, actual: displaced };
      await this.#syncFolder(file);
      return { ok: true, hash };
    });
  }

  /** Removes a file whose content has the hash expected. Rejects with `StoreUnavailable`. */
  async remove(file: string, expected: ContentHash): Promise<SwapResult> {
    return await this.#guarded(file, async () => {
      const target = join(this.#root, file);
      const actual = await hashOfFile(target);
      if (actual !== expected) return { ok: false, actual };
      const aside = join(this.#root, TEMPORARY_FOLDER, temporaryName(file, expected, 'none'));
      this.#fault(`${file}:unlink`);
      try {
        await rename(target, aside);
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return { ok: false, actual: undefined };
        throw error;
      }
      const displaced = await hashOfFile(aside);
      if (displaced !== expected) {
        await link(aside, target);
        await unlink(aside);
        return { ok: false, actual: displaced };
      }
      this.#fault(`${file}:discard`);
      await unlink(aside);
      await this.#syncFolder(file);
      return { ok: true, hash: expected };
    });
  }

  /**
   * Ends what a crash interrupted: a write that was not exchanged in is dropped, a person's content that was displaced is put back.
   * `files` are all files there are. Returns the files whose content was put back.
   */
  async recover(files: Iterable<string>): Promise<readonly string[]> {
    const folder = join(this.#root, TEMPORARY_FOLDER);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const leftovers = await readdir(folder);
    if (leftovers.length === 0) return [];
    const byPathHash = new Map(Array.from(files, (file) => [pathHash(file), file]));
    const restored: string[] = [];
    for (const leftover of leftovers) {
      const [, path, expected, written] = LEFTOVER.exec(leftover) ?? [];
      const temporary = join(folder, leftover);
      const file = path === undefined ? undefined : byPathHash.get(path);
      if (file !== undefined && written !== 'none' && expected !== 'none') {
        const target = join(this.#root, file);
        const [present, displaced] = [await hashOfFile(target), await hashOfFile(temporary)];
        if (present === written && displaced !== written && displaced !== expected) {
          await rename(temporary, target);
          await syncFolder(dirname(target));
          restored.push(file);
          continue;
        }
      }
      await unlink(temporary);
    }
    return restored;
  }

  async #writeTemporary(
    file: string,
    content: Uint8Array,
    expected: ContentHash | 'none',
    hash: ContentHash,
  ): Promise<string> {
    await makeFolder(dirname(join(this.#root, file)));
    const temporary = join(this.#root, TEMPORARY_FOLDER, temporaryName(file, expected, hash));
    this.#fault(`${file}:write`);
    const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await handle.writeFile(content);
      this.#fault(`${file}:sync`);
      await handle.sync();
    } catch (error) {
      await unlinkIfThere(temporary);
      throw error;
    } finally {
      await handle.close();
    }
    return temporary;
  }

  /**
   * Puts the temporary file in the target's place and returns the hash of what was there. If that is not as expected it is put back, and
   * the temporary file holds what was written.
   */
  async #exchange(
    file: string,
    temporary: string,
    { expected, written }: { readonly expected: ContentHash; readonly written: ContentHash },
  ): Promise<ContentHash | undefined> {
    const target = join(this.#root, file);
    try {
      this.#fault(`${file}:exchange`);
      exchangeFiles(temporary, target);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'ENOENT') return undefined;
      if (code !== 'EINVAL' && code !== 'ENOSYS') {
        await unlink(temporary);
        throw error;
      }
      return await this.#renameInstead(temporary, target, expected);
    }
    this.#fault(`${file}:verify`);
    const displaced = await hashOfFile(temporary);
    if (displaced === expected) return displaced;
    // Each turn expects to get back what the turn before put in; something else is an even newer edit, which has to stand.
    let inTarget: ContentHash | undefined = written;
    let inTemporary = displaced;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      exchangeFiles(temporary, target);
      const got = await hashOfFile(temporary);
      if (got === inTarget) return displaced;
      inTarget = inTemporary;
      inTemporary = got;
    }
    throw new Error(`${file} is being changed too fast`);
  }

  /** For file systems that cannot exchange: the look just before the rename is the best there is. */
  async #renameInstead(
    temporary: string,
    target: string,
    expected: ContentHash,
  ): Promise<ContentHash | undefined> {
    const present = await hashOfFile(target);
    if (present !== expected) return present;
    await link(target, `${temporary}-old`);
    await rename(temporary, target);
    await rename(`${temporary}-old`, temporary);
    return present;
  }

  async #syncFolder(file: string): Promise<void> {
    this.#fault(`${file}:sync-folder`);
    await syncFolder(dirname(join(this.#root, file)));
  }

  async #guarded(file: string, work: () => Promise<SwapResult>): Promise<SwapResult> {
    try {
      return await work();
    } catch (error) {
      throw unavailable(`cannot write ${join(this.#root, file)}`, error);
    }
  }
}

/** Wraps a failure of the file system; `what` says what was being done. */
export function unavailable(what: string, error: unknown): StoreUnavailable {
  if (error instanceof StoreUnavailable) return error;
  return new StoreUnavailable(`${what}: ${explain(error)}`, { cause: error });
}

/** The `code` of a system error, such as ENOENT. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Hash of a file's content; undefined when there is no file. */
export async function hashOfFile(path: string): Promise<ContentHash | undefined> {
  try {
    return contentHash(await readFile(path));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function explain(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space left on the disk; nothing was changed. Make room and try again';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied; the agent must own its store folder';
    case 'EROFS':
      return 'the file system is mounted read-only';
    case 'EXDEV':
      return 'the store folder must be one file system: no mounts inside it';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** One level only: a store folder that was moved away must not come into being again by a write. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function pathHash(file: string): string {
  return contentHash(Buffer.from(file));
}

function temporaryName(file: string, expected: string, written: string): string {
  return `${pathHash(file)}-${expected}-${written}-${randomBytes(6).toString('hex')}`;
}
