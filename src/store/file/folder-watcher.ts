/**
 * Follows the folders of a store through inotify. Nothing is polled: every look at the disk follows an announcement of the kernel.
 *
 * A file counts as changed when it has been quiet for a moment, because editors write in several steps (truncate and write, or move away
 * and write anew). An announcement says only where to look; after a burst that may have overflowed the kernel's queue, which Node
 * does not report, or after the loss of a watch, everything is listed again.
 */
import { type FSWatcher, type Stats, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from './atomic-files.ts';

/** What the watcher calls, and asks. Files are named `folder/file`. */
export interface FolderWatcherHandlers {
  /** whether the file is just as it is known to be, as after a write of our own: such announcements need no look */
  isKnown(file: string): boolean;
  /** the file has changed, appeared or gone, and has been quiet since; must not reject */
  onChanged(file: string): Promise<void>;
  /** compare this folder, or with undefined everything, with what is known */
  onRescan(folder: string | undefined): void;
  /** why changes cannot be followed any more, or undefined when they can again */
  onTrouble(trouble: WatchTrouble | undefined): void;
}

/** Why changes are not followed. The watcher tries again by itself. */
export interface WatchTrouble {
  readonly reason: string;
  /** the store folder itself is not where it was */
  readonly isRootGone: boolean;
}

const SETTLE_MS = 50;
// A file that never comes to rest is looked at after this time all the same.
const MAX_SETTLE_MS = 1_000;
// Half of the smallest queue in use (fs.inotify.max_queued_events is 16384 by default).
const BURST_EVENTS = 8_192;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 30_000;

interface Settling {
  readonly firstMs: number;
  timer: NodeJS.Timeout;
}

interface WatchedFolder {
  readonly watcher: FSWatcher;
  readonly inode: number;
}

/** Watches a root folder and the folders directly in it that are named. */
export class FolderWatcher {
  readonly #root: string;
  readonly #folders: readonly string[];
  readonly #handlers: FolderWatcherHandlers;
  readonly #watched = new Map<string, WatchedFolder>();
  readonly #settling = new Map<string, Settling>();
  readonly #waiting = new Map<string, (() => void)[]>();
  #rootInode: number | undefined;
  #eventsInBurst = 0;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MIN_MS;
  #isClosed = false;

  constructor(root: string, folders: readonly string[], handlers: FolderWatcherHandlers) {
    this.#root = root;
    this.#folders = folders;
    this.#handlers = handlers;
  }

  /** Starts to watch. Trouble is reported, not thrown. List the folders after this call, so that nothing falls between. */
  start(): void {
    try {
      this.#rootInode ??= statSync(this.#root).ino;
      this.#watchFolder('');
      for (const folder of this.#folders) this.#watchFolder(folder);
    } catch (error) {
      this.#lost({ reason: describeWatchError(error), isRootGone: false });
    }
  }

  /** Looks at a file soon, as if the kernel had announced a change. */
  markChanged(file: string): void {
    if (this.#isClosed) return;
    const nowMs = performance.now();
    const settling = this.#settling.get(file);
    if (settling === undefined) {
      this.#settling.set(file, {
        firstMs: nowMs,
        timer: setTimeout(() => void this.#settled(file), SETTLE_MS),
      });
    } else if (nowMs - settling.firstMs < MAX_SETTLE_MS) {
      settling.timer.refresh();
    }
  }

  /** Resolves when the file, if it is being changed, has come to rest and been looked at. */
  async settled(file: string): Promise<void> {
    if (!this.#settling.has(file)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(file);
    if (waiting === undefined) this.#waiting.set(file, [resolve]);
    else waiting.push(resolve);
    await promise;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
    for (const { timer } of this.#settling.values()) clearTimeout(timer);
    this.#settling.clear();
    for (const resolvers of this.#waiting.values()) for (const resolve of resolvers) resolve();
    this.#waiting.clear();
  }

  async #settled(file: string): Promise<void> {
    this.#settling.delete(file);
    const waiting = this.#waiting.get(file) ?? [];
    this.#waiting.delete(file);
    await this.#handlers.onChanged(file);
    for (const resolve of waiting) resolve();
    if (this.#settling.size > 0) return;
    if (this.#eventsInBurst > BURST_EVENTS) this.#handlers.onRescan(undefined);
    this.#eventsInBurst = 0;
  }

  /** Watches a folder, '' being the root. Throws a system error. */
  #watchFolder(folder: string): void {
    const path = join(this.#root, folder);
    const inode = statSync(path).ino;
    const known = this.#watched.get(folder);
    if (known?.inode === inode) return;
    known?.watcher.close();
    this.#watched.delete(folder);
    const watcher = watch(path, { persistent: false, encoding: 'utf8' }, (_event, file) =>
      folder === '' ? this.#onRootEvent(file) : this.#onFolderEvent(folder, file),
    );
    watcher.on('error', (error) => this.#lost({ reason: describeWatchError(error), isRootGone: false }));
    this.#watched.set(folder, { watcher, inode });
  }

  #onFolderEvent(folder: string, file: string | null): void {
    if (this.#isClosed) return;
    this.#eventsInBurst++;
    if (file === null) {
      this.#handlers.onRescan(folder);
      return;
    }
    const name = `${folder}/${file}`;
    if (!this.#handlers.isKnown(name)) this.markChanged(name);
    else if (this.#eventsInBurst > BURST_EVENTS) {
      this.#eventsInBurst = 0;
      this.#handlers.onRescan(undefined);
    }
  }

  #onRootEvent(name: string | null): void {
    if (this.#isClosed) return;
    const stats = this.#rootStats();
    if (stats?.ino !== this.#rootInode) {
      this.#lost(this.#rootGone());
      return;
    }
    if (name !== null && !this.#folders.includes(name)) {
      this.#handlers.onRescan('');
      return;
    }
    const folders = name === null ? this.#folders : [name];
    for (const folder of folders) {
      try {
        this.#watchFolder(folder);
      } catch (error) {
        if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') {
          this.#lost({ reason: describeWatchError(error), isRootGone: false });
          return;
        }
        this.#watched.get(folder)?.watcher.close();
        this.#watched.delete(folder);
      }
      this.#handlers.onRescan(folder);
    }
  }

  #rootStats(): Stats | undefined {
    return statSync(this.#root, { throwIfNoEntry: false });
  }

  #rootGone(): WatchTrouble {
    return {
      reason: `the store folder ${this.#root} was moved, removed or replaced: put it back, or restart the agent`,
      isRootGone: true,
    };
  }

  #lost(trouble: WatchTrouble): void {
    if (this.#isClosed || this.#retry !== undefined) return;
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
    this.#handlers.onTrouble(trouble);
    this.#retry = setTimeout(() => this.#recover(), this.#retryMs).unref();
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
  }

  #recover(): void {
    this.#retry = undefined;
    if (this.#rootStats()?.ino !== this.#rootInode) {
      this.#lost(this.#rootGone());
      return;
    }
    this.start();
    if (this.#retry !== undefined) return;
    this.#retryMs = RETRY_MIN_MS;
    this.#handlers.onTrouble(undefined);
    this.#handlers.onRescan(undefined);
  }
}

function describeWatchError(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOSPC':
      return 'hand edits cannot be followed: this machine is out of inotify watches (raise sysctl fs.inotify.max_user_watches)';
    case 'EMFILE':
      return 'hand edits cannot be followed: this machine is out of inotify instances (raise sysctl fs.inotify.max_user_instances)';
    default:
      return `hand edits cannot be followed: ${error instanceof Error ? error.message : String(error)}`;
  }
}
