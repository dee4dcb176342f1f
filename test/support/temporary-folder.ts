/** Folders for tests, removed afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made: string[] = [];

/** Makes an empty folder and returns its path. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'ocit-'));
  made.push(path);
  return path;
}

/** Removes all folders that `temporaryFolder` made. Call in `afterEach`. */
export function removeTemporaryFolders(): void {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
}
