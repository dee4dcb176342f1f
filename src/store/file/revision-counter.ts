/**
 * Revisions of the file store: `<counter>-<content hash>`. The hash decides whether two are the same version, so that a revision read
 * before a restart still holds after it while the file has not changed; the counter orders what happened, and never goes back.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Revision } from '../types.ts';
import { type ContentHash, errorCode } from './atomic-files.ts';
import { INTERNAL_FOLDER } from './names.ts';

// Numbers are taken from the disk in lots, so that giving one out costs no write; what a crash leaves of a lot is skipped.
const LOT = 1_000_000;

/** Gives out revisions. One for a store folder at a time: the store's lock sees to that. */
export class RevisionCounter {
  readonly #path: string;
  #next: number;
  #limit: number;

  /** Reads and advances the counter on the disk. Throws a system error when that is impossible. */
  constructor(root: string) {
    this.#path = join(root, INTERNAL_FOLDER, 'revision');
    this.#next = readCounter(this.#path);
    this.#limit = this.#next + LOT;
    writeCounter(this.#path, this.#limit);
  }

  next(hash: ContentHash): Revision {
    if (this.#next >= this.#limit) {
      writeCounter(this.#path, this.#limit + LOT);
      this.#limit += LOT;
    }
    return `${this.#next++}-${hash}`;
  }
}

/** Whether two revisions of one key stand for the same content. */
export function isSameRevision(a: Revision, b: Revision): boolean {
  return a.slice(a.indexOf('-') + 1) === b.slice(b.indexOf('-') + 1);
}

function readCounter(path: string): number {
  try {
    const value = Number(readFileSync(path, 'utf8'));
    return Number.isSafeInteger(value) && value > 0 ? value : 1;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 1;
    throw error;
  }
}

function writeCounter(path: string, value: number): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, `${value}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
}
