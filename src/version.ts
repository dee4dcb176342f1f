/** The product's version, from package.json, which stands one folder up in a checkout and two in the published tree. */
import { readFileSync } from 'node:fs';

function readVersion(): string {
  for (const candidate of ['../package.json', '../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(candidate, import.meta.url), 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && 'name' in parsed) {
        if (parsed.name === 'ocicat' && typeof parsed.version === 'string') return parsed.version;
      }
    } catch {}
  }
  return 'unknown';
}

export const VERSION: string = readVersion();
