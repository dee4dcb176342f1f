/**
 * Compare-and-swap on files: a file is replaced as a whole, only if its content is still the one expected, and is on the disk when
 * the call returns. A reader, and a start after a crash at any point, sees the old content or the new one, never a mixture.
 *
 * Two waits for the disk make a write: the content before its name appears, then the name. In between the swap is what every reader and
 * every later process sees; only a power failure could undo it. `onSwapped` is called there, so that work which does not outlive a power
 * failure either (links, chains) goes on meanwhile. Everything but these waits is a short system call, done at once: a turn
 * through the thread pool costs several times as much.
 *
 * New content is written beside (in the internal folder), synced, and exchanged with the file in one step. Only then is it checked what
 * the file was: if an editor slipped in a change after our last look, the two are exchanged back. So not even the shortest race
 * overwrites a person's work. Leftovers of a crash between these steps carry in their names what `recover` needs to finish the job.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fsync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
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

/** How to write. */
export interface SwapOptions {
  /** called once the swap is seen by every reader, and survives the end of this process */
  readonly onSwapped?: (hash: ContentHash) => void;
  /** false: a power failure may undo the swap or tear the content; for what can be made anew. Default: true */
  readonly isDurable?: boolean;
}

const synced = promisify(fsync);
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
  async create(file: string, content: Uint8Array, options: SwapOptions = {}): Promise<SwapResult> {
    return await this.#guarded(file, async () => {
      const hash = contentHash(content);
      const target = join(this.#root, file);
      const temporary = await this.#writeTemporary(file, content, { expected: 'none', hash }, options);
      try {
        this.#fault(`${file}:link`);
        linkSync(temporary, target);
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
        return { ok: false, actual: hashOfFile(target) };
      } finally {
        unlinkSync(temporary);
      }
      return await this.#swapped(file, hash, options);
    });
  }

  /** Replaces a file whose content has the hash expected. Rejects with `StoreUnavailable`. */
  async replace(
    file: string,
    content: Uint8Array,
    expected: ContentHash,
    options: SwapOptions = {},
  ): Promise<SwapResult> {
    return await this.#guarded(file, async () => {
      const hash = contentHash(content);
      const target = join(this.#root, file);
      const actual = hashOfFile(target);
      if (actual !== expected) return { ok: false, actual };
      const temporary = await this.#writeTemporary(file, content, { expected, hash }, options);
      // From here to the discard, an error leaves the temporary file to `recover`: it may hold a person's work.
      const displaced = this.#exchange(file, temporary, { expected, written: hash });
      this.#fault(`${file}:discard`);
      if (displaced !== expected) {
        unlinkSync(temporary);
        return { ok: false, actual: displaced };
      }
      return await this.#swapped(file, hash, options, temporary);
    });
  }

  /** Removes a file whose content has the hash expected. Rejects with `StoreUnavailable`. */
  async remove(file: string, expected: ContentHash, options: SwapOptions = {}): Promise<SwapResult> {
    return await this.#guarded(file, async () => {
      const target = join(this.#root, file);
      const actual = hashOfFile(target);
      if (actual !== expected) return { ok: false, actual };
      const aside = join(this.#root, TEMPORARY_FOLDER, temporaryName(file, expected, 'none'));
      this.#fault(`${file}:unlink`);
      try {
        renameSync(target, aside);
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return { ok: false, actual: undefined };
        throw error;
      }
      const displaced = hashOfFile(aside);
      if (displaced !== expected) {
        linkSync(aside, target);
        unlinkSync(aside);
        return { ok: false, actual: displaced };
      }
      this.#fault(`${file}:discard`);
      return await this.#swapped(file, expected, options, aside);
    });
  }

  /**
   * Ends what a crash interrupted: a write that was not exchanged in is dropped, a person's content that was displaced is put back.
   * `files` are all files there are. Returns the files whose content was put back.
   */
  async recover(files: Iterable<string>): Promise<readonly string[]> {
    const folder = join(this.#root, TEMPORARY_FOLDER);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const leftovers = readdirSync(folder);
    if (leftovers.length === 0) return [];
    const byPathHash = new Map(Array.from(files, (file) => [pathHash(file), file]));
    const restored: string[] = [];
    for (const leftover of leftovers) {
      const [, path, expected, written] = LEFTOVER.exec(leftover) ?? [];
      const temporary = join(folder, leftover);
      const file = path === undefined ? undefined : byPathHash.get(path);
      if (file !== undefined && written !== 'none' && expected !== 'none') {
        const target = join(this.#root, file);
        const [present, displaced] = [hashOfFile(target), hashOfFile(temporary)];
        if (present === written && displaced !== written && displaced !== expected) {
          renameSync(temporary, target);
          await syncFolder(dirname(target));
          restored.push(file);
          continue;
        }
      }
      unlinkSync(temporary);
    }
    return restored;
  }

  async #writeTemporary(
    file: string,
    content: Uint8Array,
    { expected, hash }: { readonly expected: ContentHash | 'none'; readonly hash: ContentHash },
    { isDurable = true }: SwapOptions,
  ): Promise<string> {
    makeFolder(dirname(join(this.#root, file)));
    const temporary = join(this.#root, TEMPORARY_FOLDER, temporaryName(file, expected, hash));
    this.#fault(`${file}:write`);
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      writeFileSync(fd, content);
      this.#fault(`${file}:sync`);
      if (isDurable) await synced(fd);
    } catch (error) {
      unlinkIfThere(temporary);
      throw error;
    } finally {
      closeSync(fd);
    }
    return temporary;
  }

  /**
   * Puts the temporary file in the target's place and returns the hash of what was there. If that is not as expected it is put back, and
   * the temporary file holds what was written.
   */
  #exchange(
    file: string,
    temporary: string,
    { expected, written }: { readonly expected: ContentHash; readonly written: ContentHash },
  ): ContentHash | undefined {
    const target = join(this.#root, file);
    try {
      this.#fault(`${file}:exchange`);
      exchangeFiles(temporary, target);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'ENOENT') return undefined;
      if (code !== 'EINVAL' && code !== 'ENOSYS') {
        unlinkSync(temporary);
        throw error;
      }
      return this.#renameInstead(temporary, target, expected);
    }
    this.#fault(`${file}:verify`);
    const displaced = hashOfFile(temporary);
    if (displaced === expected) return displaced;
    // Each turn expects to get back what the turn before put in; something else is an even newer edit, which has to stand.
    let inTarget: ContentHash | undefined = written;
    let inTemporary = displaced;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      exchangeFiles(temporary, target);
      const got = hashOfFile(temporary);
      if (got === inTarget) return displaced;
      inTarget = inTemporary;
      inTemporary = got;
    }
    throw new Error(`${file} is being changed too fast`);
  }

  /** For file systems that cannot exchange: the look just before the rename is the best there is. */
  #renameInstead(temporary: string, target: string, expected: ContentHash): ContentHash | undefined {
    const present = hashOfFile(target);
    if (present !== expected) return present;
    linkSync(target, `${temporary}-old`);
    renameSync(temporary, target);
    renameSync(`${temporary}-old`, temporary);
    return present;
  }

  /** `discarded`: what the swap displaced. Freeing it waits for the disk's journal too, so it goes along with the folder's sync. */
  async #swapped(
    file: string,
    hash: ContentHash,
    { onSwapped, isDurable = true }: SwapOptions,
    discarded?: string,
  ): Promise<SwapResult> {
    onSwapped?.(hash);
    this.#fault(`${file}:sync-folder`);
    const discarding = discarded === undefined ? undefined : unlink(discarded);
    await Promise.all([discarding, isDurable ? syncFolder(dirname(join(this.#root, file))) : undefined]);
    return { ok: true, hash };
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
export function hashOfFile(path: string): ContentHash | undefined {
  try {
    return contentHash(readFileSync(path));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await synced(fd);
  } finally {
    closeSync(fd);
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
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
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
