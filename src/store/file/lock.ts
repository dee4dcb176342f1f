/** The lock that keeps two agents from sharing one store folder. flock(2), so a dead owner never has to be waited for or guessed at. */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StoreLocked } from '../errors.ts';
import { tryLockFile } from './libc.ts';
import { INTERNAL_FOLDER } from './names.ts';

/** A lock that is held. */
export interface StoreLock {
  release(): void;
}

/**
 * Locks a store folder, whose internal folder must be there. The lock file holds the owner's process id and start time, for people only.
 * Throws `StoreLocked` when a living process holds it.
 */
export function lockStore(root: string): StoreLock {
  const path = join(root, INTERNAL_FOLDER, 'lock');
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    if (!tryLockFile(fd, path)) {
      throw new StoreLocked(
        `the store ${root} is in use by another process (${describeOwner(path)}): stop that one, or give this agent a store folder of its own`,
      );
    }
    ftruncateSync(fd);
    writeSync(fd, `pid ${process.pid}, started ${new Date().toISOString()}\n`, 0);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  let isHeld = true;
  return {
    release() {
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}

function describeOwner(path: string): string {
  return readFileSync(path, 'utf8').trim() || 'unknown';
}
