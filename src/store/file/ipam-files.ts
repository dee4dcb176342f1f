/**
 * The IPAM documents of a file store: `ipam/<kind>/<name>.json`, one document a file, read once at the start and written through.
 *
 * Blocks, affinities and the configuration are on the disk when a call returns. Handles are not waited for: they are an index that is made
 * anew from the blocks at the start (`mendHandles`), where one that a power failure lost, undid or tore is as good as a damaged one. When
 * only the process ends, they are there like everything else, in the order written.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AlreadyExists, DocumentDamaged, NotFound, RevisionConflict } from '../errors.ts';
import {
  affinityParts,
  familyOfCidr,
  formatIpamJson,
  formatIpamKey,
  IPAM_KINDS,
  type IpamDocuments,
  type IpamKey,
  type IpamKind,
  parseIpamDocument,
  parseIpamJson,
} from '../ipam-documents.ts';
import type { IpamEntry, IpamEvent, IpamFilter, IpamStore } from '../ipam-store.ts';
import { KeyedMutex } from '../keyed-mutex.ts';
import type { Revision, Subscription } from '../types.ts';
import {
  type AtomicFiles,
  type ContentHash,
  contentHash,
  errorCode,
  type SwapOptions,
} from './atomic-files.ts';
import type { EventHub } from './event-hub.ts';
import { IPAM_FOLDER, ipamFile } from './names.ts';
import { isSameRevision, type RevisionCounter } from './revision-counter.ts';

type Entries = { readonly [K in IpamKind]: Map<string, IpamEntry<K>> };

/** What this class works with. */
export interface IpamFilesOptions {
  readonly root: string;
  readonly files: AtomicFiles;
  readonly revisions: RevisionCounter;
  readonly hub: EventHub;
}

/** The IPAM side of the file store. */
export class IpamFiles implements IpamStore {
  readonly #options: IpamFilesOptions;
  /** by `formatIpamKey` */
  readonly #entries: Entries = {
    block: new Map(),
    affinity: new Map(),
    handle: new Map(),
    config: new Map(),
  };
  /** file -> reason */
  readonly #damaged = new Map<string, string>();
  readonly #listeners = new Set<(event: IpamEvent) => void>();
  readonly #mutex = new KeyedMutex();

  constructor(options: IpamFilesOptions) {
    this.#options = options;
  }

  /** Reads every document. Damaged ones are reported and stay as they are. Rejects with a system error. */
  async load(): Promise<void> {
    for (const kind of IPAM_KINDS) {
      const folder = join(this.#options.root, IPAM_FOLDER, kind);
      const names = await readdir(folder);
      for (const name of names) await this.#loadFile(kind, `${IPAM_FOLDER}/${kind}/${name}`);
    }
  }

  async get<K extends IpamKind>(key: IpamKey<K>): Promise<IpamEntry<K> | undefined> {
    const file = ipamFile(key);
    const reason = this.#damaged.get(file);
    if (reason !== undefined) throw new DocumentDamaged(file, reason);
    return this.#mapOf(key.kind).get(formatIpamKey(key));
  }

  async list<K extends IpamKind>(kind: K, filter: IpamFilter = {}): Promise<readonly IpamEntry<K>[]> {
    return Array.from(this.#mapOf(kind).values()).filter(({ key }) => matches(key, filter));
  }

  async create<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K]): Promise<IpamEntry<K>> {
    const file = ipamFile(key);
    return await this.#mutex.run(file, async () => {
      if (this.#damaged.has(file) || this.#mapOf(key.kind).has(formatIpamKey(key)))
        throw new AlreadyExists(formatIpamKey(key));
      const swap = await this.#options.files.create(file, encode(key, value), durability(key));
      if (swap.ok) return this.#accept(key, value, swap.hash);
      await this.#loadFile(key.kind, file);
      throw new AlreadyExists(formatIpamKey(key));
    });
  }

  async update<K extends IpamKind>(
    key: IpamKey<K>,
    value: IpamDocuments[K],
    expected: Revision,
  ): Promise<IpamEntry<K>> {
    const file = ipamFile(key);
    return await this.#mutex.run(file, async () => {
      const hash = this.#hashToReplace(key, expected);
      const swap = await this.#options.files.replace(file, encode(key, value), hash, durability(key));
      if (swap.ok) return this.#accept(key, value, swap.hash);
      throw await this.#changedOnDisk(key, expected);
    });
  }

  async delete(key: IpamKey, expected: Revision): Promise<void> {
    const file = ipamFile(key);
    await this.#mutex.run(file, async () => {
      const hash = this.#hashToReplace(key, expected);
      const swap = await this.#options.files.remove(file, hash, durability(key));
      if (!swap.ok) throw await this.#changedOnDisk(key, expected);
      this.#forget(key);
    });
  }

  watch(listener: (event: IpamEvent) => void): Subscription {
    let isOpen = true;
    queueMicrotask(() => {
      if (!isOpen) return;
      for (const entry of this.#all()) listener({ type: 'upsert', entry });
      listener({ type: 'in-sync' });
      if (isOpen) this.#listeners.add(listener);
    });
    return {
      close: () => {
        isOpen = false;
        this.#listeners.delete(listener);
      },
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#mutex.idle();
  }

  async #loadFile<K extends IpamKind>(kind: K, file: string): Promise<void> {
    let content: Buffer;
    try {
      content = await readFile(join(this.#options.root, file));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      throw error;
    }
    const decoded = decode(kind, file, content);
    if (decoded.ok) {
      this.#damaged.delete(file);
      this.#options.hub.solve(file);
      this.#accept(decoded.key, decoded.value, contentHash(content));
      return;
    }
    if (kind === 'handle') {
      // Only an index: IPAM makes it anew from the blocks.
      await this.#options.files.remove(file, contentHash(content));
      this.#options.hub.report({ location: `${file} (rebuilt)`, reasons: [decoded.reason] });
      return;
    }
    this.#damaged.set(file, decoded.reason);
    this.#options.hub.report({
      location: file,
      reasons: [
        `${decoded.reason}; its addresses stay taken: restore the file from a backup, or remove it when nothing uses its addresses, and restart the agent`,
      ],
    });
  }

  #accept<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K], hash: ContentHash): IpamEntry<K> {
    const entry: IpamEntry<K> = { key, value, revision: this.#options.revisions.next(hash) };
    this.#mapOf(key.kind).set(formatIpamKey(key), entry);
    const event: IpamEvent = { type: 'upsert', entry };
    for (const listener of this.#listeners) listener(event);
    return entry;
  }

  #forget(key: IpamKey): void {
    this.#entries[key.kind].delete(formatIpamKey(key));
    for (const listener of this.#listeners) listener({ type: 'delete', key });
  }

  async #changedOnDisk<K extends IpamKind>(key: IpamKey<K>, expected: Revision): Promise<RevisionConflict> {
    this.#mapOf(key.kind).delete(formatIpamKey(key));
    await this.#loadFile(key.kind, ipamFile(key));
    const actual = this.#mapOf(key.kind).get(formatIpamKey(key))?.revision;
    if (actual === undefined) this.#forget(key);
    return new RevisionConflict(
      formatIpamKey(key),
      expected,
      actual,
      `its file ${ipamFile(key)} was changed from outside`,
    );
  }

  #hashToReplace<K extends IpamKind>(key: IpamKey<K>, expected: Revision): ContentHash {
    const file = ipamFile(key);
    const reason = this.#damaged.get(file);
    if (reason !== undefined) throw new DocumentDamaged(file, reason);
    const entry = this.#mapOf(key.kind).get(formatIpamKey(key));
    if (entry === undefined) throw new NotFound(formatIpamKey(key));
    if (!isSameRevision(entry.revision, expected))
      throw new RevisionConflict(formatIpamKey(key), expected, entry.revision);
    return entry.revision.slice(entry.revision.indexOf('-') + 1);
  }

  #mapOf<K extends IpamKind>(kind: K): Map<string, IpamEntry<K>> {
    const map: Map<string, IpamEntry<K>> = this.#entries[kind];
    return map;
  }

  *#all(): Generator<IpamEntry> {
    for (const kind of IPAM_KINDS) for (const entry of this.#entries[kind].values()) yield entry;
  }
}

function durability({ kind }: IpamKey): SwapOptions {
  return { isDurable: kind !== 'handle' };
}

/** The file's text: the key stands inside too, so that a copied or renamed file is noticed. */
function encode<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K]): Uint8Array {
  return Buffer.from(`${formatIpamJson({ kind: key.kind, name: key.name, value })}\n`);
}

type Decoded<K extends IpamKind> =
  | { readonly ok: true; readonly key: IpamKey<K>; readonly value: IpamDocuments[K] }
  | { readonly ok: false; readonly reason: string };

function decode<K extends IpamKind>(kind: K, file: string, content: Uint8Array): Decoded<K> {
  let json: unknown;
  try {
    json = parseIpamJson(Buffer.from(content).toString('utf8'));
  } catch (error) {
    return {
      ok: false,
      reason: `it is not JSON (${error instanceof Error ? error.message : String(error)})`,
    };
  }
  if (typeof json !== 'object' || json === null || !('name' in json) || !('value' in json)) {
    return { ok: false, reason: 'it has no name or value' };
  }
  const { name, value } = json;
  if (typeof name !== 'string' || ipamFile({ kind, name }) !== file) {
    return { ok: false, reason: `it holds the document of another name (${String(name)})` };
  }
  const parsed = parseIpamDocument(kind, value);
  return parsed.ok ? { ok: true, key: { kind, name }, value: parsed.value } : parsed;
}

function matches(key: IpamKey, filter: IpamFilter): boolean {
  if (key.kind === 'block') return filter.family === undefined || familyOfCidr(key.name) === filter.family;
  if (key.kind !== 'affinity') return true;
  const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
  if (filter.host !== undefined && filter.host !== host) return false;
  return filter.family === undefined || familyOfCidr(cidr) === filter.family;
}
