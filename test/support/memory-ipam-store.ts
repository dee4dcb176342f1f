/**
 * An IPAM store in memory for tests of what stands on stores: compare-and-swap as the interface says, with a hook before each write
 * that may throw (a crash, a failing disk) or write something itself (someone who is faster).
 */
import { AlreadyExists, NotFound, RevisionConflict } from '../../src/store/errors.ts';
import {
  affinityParts,
  familyOfCidr,
  formatIpamKey,
  type IpamDocuments,
  type IpamKey,
  type IpamKind,
} from '../../src/store/ipam-documents.ts';
import {
  type IpamEntry,
  type IpamEvent,
  type IpamFilter,
  type IpamStore,
  isEntryOf,
} from '../../src/store/ipam-store.ts';
import type { Revision, Subscription } from '../../src/store/types.ts';

/** Documents in memory. */
export class MemoryIpamStore implements IpamStore {
  readonly #entries = new Map<string, IpamEntry>();
  readonly #listeners = new Set<(event: IpamEvent) => void>();
  #counter = 0;
  /** called before each write with a description of it */
  beforeWrite: (step: string) => void | Promise<void> = () => {};
  /** called after a replacement took effect; what it throws is the answer */
  afterUpdate: (step: string) => void = () => {};

  async get<K extends IpamKind>(key: IpamKey<K>): Promise<IpamEntry<K> | undefined> {
    const entry = this.#entries.get(formatIpamKey(key));
    return entry !== undefined && isEntryOf(key.kind, entry) ? entry : undefined;
  }

  async list<K extends IpamKind>(kind: K, filter: IpamFilter = {}): Promise<readonly IpamEntry<K>[]> {
    const found: IpamEntry<K>[] = [];
    for (const entry of this.#entries.values()) {
      if (isEntryOf(kind, entry) && matches(entry.key, filter)) found.push(entry);
    }
    return found;
  }

  async create<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K]): Promise<IpamEntry<K>> {
    await this.beforeWrite(`create ${formatIpamKey(key)}`);
    if (this.#entries.has(formatIpamKey(key))) throw new AlreadyExists(formatIpamKey(key));
    return this.#put(key, value);
  }

  async update<K extends IpamKind>(
    key: IpamKey<K>,
    value: IpamDocuments[K],
    expected: Revision,
  ): Promise<IpamEntry<K>> {
    await this.beforeWrite(`update ${formatIpamKey(key)}`);
    this.#assertRevision(key, expected);
    const entry = this.#put(key, value);
    this.afterUpdate(`update ${formatIpamKey(key)}`);
    return entry;
  }

  async delete(key: IpamKey, expected: Revision): Promise<void> {
    await this.beforeWrite(`delete ${formatIpamKey(key)}`);
    this.#assertRevision(key, expected);
    this.#entries.delete(formatIpamKey(key));
    for (const listener of this.#listeners) listener({ type: 'delete', key });
  }

  watch(listener: (event: IpamEvent) => void): Subscription {
    queueMicrotask(() => {
      for (const entry of this.#entries.values()) listener({ type: 'upsert', entry });
      listener({ type: 'in-sync' });
      this.#listeners.add(listener);
    });
    return { close: () => void this.#listeners.delete(listener) };
  }

  #put<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K]): IpamEntry<K> {
    const entry: IpamEntry<K> = { key, value: structuredClone(value), revision: String(++this.#counter) };
    this.#entries.set(formatIpamKey(key), entry);
    for (const listener of this.#listeners) listener({ type: 'upsert', entry });
    return entry;
  }

  #assertRevision(key: IpamKey, expected: Revision): void {
    const entry = this.#entries.get(formatIpamKey(key));
    if (entry === undefined) throw new NotFound(formatIpamKey(key));
    if (entry.revision !== expected) throw new RevisionConflict(formatIpamKey(key), expected, entry.revision);
  }
}

function matches(key: IpamKey, filter: IpamFilter): boolean {
  if (key.kind === 'block') return filter.family === undefined || familyOfCidr(key.name) === filter.family;
  if (key.kind !== 'affinity') return true;
  const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
  if (filter.host !== undefined && filter.host !== host) return false;
  return filter.family === undefined || familyOfCidr(cidr) === filter.family;
}
