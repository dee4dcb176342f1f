/** Waiting for a folder that somebody else makes, by the kernel's word (inotify on its parent), not by asking again and again. */
import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/**
 * Calls `appeared` once, as soon as `path` is there: within this call if it is already. Its parent must be there, else it never will be, and
 * `failed` is called. Returns what ends the wait.
 */
export function whenAppears(
  path: string,
  appeared: () => void,
  failed: (error: unknown) => void,
): () => void {
  if (existsSync(path)) {
    appeared();
    return () => {};
  }
  const name = basename(path);
  let isOver = false;
  const look = (): void => {
    if (isOver || !existsSync(path)) return;
    end();
    appeared();
  };
  const watcher = (() => {
    try {
      return watch(dirname(path), { persistent: false }, (_, file) => {
        if (file === null || file === name) look();
      });
    } catch (error) {
      failed(error);
      return undefined;
    }
  })();
  const end = (): void => {
    isOver = true;
    watcher?.close();
  };
  watcher?.on('error', (error) => {
    end();
    failed(error);
  });
  // It may have come between the first look and the watch.
  look();
  return end;
}
