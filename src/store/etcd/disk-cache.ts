/**
 * The last known state on disk, for a start while etcd is down: a file with everything, replaced as a whole now and then, and beside it
 * the changes since, appended as they happen. Nothing here is ever newer than etcd, and reading it twice or half does no harm, because
 * every line bears its revision.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, syncFolder } from '../file/atomic-files.ts';
import type { RawEntry } from './raw.ts';

/** What was known in the last run. */
export interface CachedState {
  readonly clusterId: string;
  readonly entries: readonly RawEntry[];
  /** the highest revision among them */
  readonly revision: number;
}

/** What this class works with. */
export interface DiskCacheOptions {
  /** a folder of its own */
  readonly folder: string;
  readonly clusterId: () => string | undefined;
  /** everything that is known now */
  readonly entries: () => Iterable<RawEntry>;
  /** undefined: the trouble is over */
  readonly onTrouble: (reason: string | undefined) => void;
}

const FORMAT = 1;
const STATE = 'state.jsonl';
const CHANGES = /^changes-(\d+)\.jsonl$/;
/** Others' changes are gathered for so long. */
const GATHER_MS = 250;
/** The changes may grow to the size of the state, or to this. */
const MIN_REWRITE_OCTETS = 1 << 20;
const CHUNK_OCTETS = 1 << 18;
const RETRY_MS = 10_000;

/** Writes and reads the copy. */
export class DiskCache {
  readonly #options: DiskCacheOptions;
  #pending: string[] = [];
  #pendingOctets = 0;
  #timer: NodeJS.Timeout | undefined;
  #fd: number | undefined;
  #generation = 0;
  #changesOctets = 0;
  #stateOctets = 0;
  #rewriting: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: DiskCacheOptions) {
    this.#options = options;
  }

  /** Looks whether there is a copy, without reading it. Call before anything else. Never rejects. */
  async find(): Promise<boolean> {
    const { folder } = this.#options;
    try {
      const names = await readdir(folder);
      this.#generation = Math.max(0, ...names.filter((name) => CHANGES.test(name)).map(generationOf));
      if (names.includes(STATE)) this.#stateOctets = (await stat(join(folder, STATE))).size;
      return names.some((name) => name === STATE || CHANGES.test(name));
    } catch (error) {
      this.#options.onTrouble(troubleText('the last known state cannot be read', error));
      return false;
    }
  }

  /** Reads the copy; undefined when there is none that can be read, or it is being written anew. Never rejects. */
  async load(): Promise<CachedState | undefined> {
    const { folder } = this.#options;
    const generation = this.#generation;
    try {
      const names = (await readdir(folder)).filter((name) => CHANGES.test(name)).sort(byGeneration);
      const state = new CachedEntries();
      const text = await readFile(join(folder, STATE), 'utf8').catch((error: unknown) => {
        if (errorCode(error) === 'ENOENT') return '';
        throw error;
      });
      state.read(text);
      for (const name of names) state.read(await readFile(join(folder, name), 'utf8'));
      return this.#generation === generation ? state.result() : undefined;
    } catch (error) {
      if (this.#generation !== generation) return undefined;
      this.#options.onTrouble(troubleText('the last known state cannot be read', error));
      return undefined;
    }
  }

  /** A key has a new version. */
  put({ key, text, createRevision, modRevision }: RawEntry): void {
    this.#add(JSON.stringify([key, text, createRevision, modRevision]));
  }

  /** A key went; `revision` is the version that went. */
  remove(key: string, revision: number): void {
    this.#add(JSON.stringify([key, null, 0, revision]));
  }

  /** Brings what was gathered to the file now: a write of this host must be known after a crash. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0 || this.#options.clusterId() === undefined) return;
    const limit = Math.max(MIN_REWRITE_OCTETS, this.#stateOctets);
    if (this.#rewriting === undefined && this.#changesOctets + this.#pendingOctets > limit) {
      this.rewrite();
      return;
    }
    const text = this.#pending.join('');
    try {
      this.#fd ??= this.#openChanges();
      writeSync(this.#fd, text);
      this.#changesOctets += text.length;
      this.#options.onTrouble(undefined);
    } catch (error) {
      this.#fail(error);
    }
    this.#pending = [];
    this.#pendingOctets = 0;
  }

  /** Writes everything anew. */
  rewrite(): void {
    if (this.#rewriting !== undefined || this.#isClosed) return;
    this.#rewriting = this.#rewrite()
      .then(() => this.#options.onTrouble(undefined))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#rewriting = undefined;
      });
  }

  async close(): Promise<void> {
    this.flush();
    await this.#rewriting;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #add(line: string): void {
    if (this.#isClosed) return;
    this.#pending.push(`${line}\n`);
    this.#pendingOctets += line.length;
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS).unref();
  }

  #openChanges(): number {
    const path = join(this.#options.folder, `changes-${this.#generation}.jsonl`);
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
    // After a line that a crash tore, too, this begins on a line of its own.
    writeSync(fd, `\n${this.#header()}\n`);
    return fd;
  }

  async #rewrite(): Promise<void> {
    const { folder } = this.#options;
    // What changes from here on goes to the next file of changes; the older ones are in the state.
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#generation++;
    this.#changesOctets = 0;
    this.#pending = [];
    this.#pendingOctets = 0;
    const temporary = join(folder, `${STATE}.new`);
    const handle = await open(temporary, 'w', 0o600);
    let octets = 0;
    try {
      let chunk = `${this.#header()}\n`;
      for (const { key, text, createRevision, modRevision } of this.#options.entries()) {
        chunk += `${JSON.stringify([key, text, createRevision, modRevision])}\n`;
        if (chunk.length < CHUNK_OCTETS) continue;
        octets += chunk.length;
        await handle.write(chunk);
        chunk = '';
      }
      octets += chunk.length;
      await handle.write(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, join(folder, STATE));
    await syncFolder(folder);
    this.#stateOctets = octets;
    for (const name of await readdir(folder)) {
      if (CHANGES.test(name) && generationOf(name) < this.#generation) await rm(join(folder, name));
    }
  }

  #header(): string {
    return JSON.stringify({ format: FORMAT, cluster: this.#options.clusterId() ?? '' });
  }

  #fail(error: unknown): void {
    this.#options.onTrouble(troubleText('the last known state cannot be written', error));
    if (this.#isClosed) return;
    // The next attempt writes everything, whatever was lost.
    this.#stateOctets = 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.rewrite(), RETRY_MS).unref();
  }
}

/** Lines put together: of each key the latest version. */
class CachedEntries {
  readonly #entries = new Map<string, RawEntry>();
  #clusterId: string | undefined;
  #revision = 0;

  read(text: string): void {
    let isOurs = false;
    for (const line of text.split('\n')) {
      const value = parseLine(line);
      if (value === undefined) continue;
      if (!Array.isArray(value)) {
        const cluster = clusterOf(value);
        this.#clusterId ??= cluster;
        isOurs = cluster !== undefined && cluster === this.#clusterId;
      } else if (isOurs) {
        this.#apply(value);
      }
    }
  }

  result(): CachedState | undefined {
    if (this.#clusterId === undefined) return undefined;
    return { clusterId: this.#clusterId, entries: [...this.#entries.values()], revision: this.#revision };
  }

  #apply([key, text, createRevision, modRevision]: readonly unknown[]): void {
    if (typeof key !== 'string' || typeof createRevision !== 'number' || typeof modRevision !== 'number')
      return;
    this.#revision = Math.max(this.#revision, modRevision);
    const known = this.#entries.get(key)?.modRevision ?? 0;
    if (text === null && known <= modRevision) this.#entries.delete(key);
    if (typeof text === 'string' && known < modRevision) {
      this.#entries.set(key, { key, text, createRevision, modRevision });
    }
  }
}

// A line that was torn by a crash is no line.
function parseLine(line: string): object | undefined {
  if (line === '') return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function clusterOf(value: object): string | undefined {
  if (!('format' in value) || value.format !== FORMAT || !('cluster' in value)) return undefined;
  return typeof value.cluster === 'string' && value.cluster !== '' ? value.cluster : undefined;
}

function generationOf(name: string): number {
  return Number(CHANGES.exec(name)?.[1] ?? 0);
}

function byGeneration(a: string, b: string): number {
  return generationOf(a) - generationOf(b);
}

function troubleText(what: string, error: unknown): string {
  return `${what} (${error instanceof Error ? error.message : String(error)}): a start while etcd is down would have to wait for etcd`;
}
