/** The IPAM side of the etcd store: reads come from the mirror, every write is a transaction. */
import { AlreadyExists, DocumentDamaged, NotFound, RevisionConflict } from '../errors.ts';
import {
  formatIpamJson,
  formatIpamKey,
  type IpamDocuments,
  type IpamKey,
  type IpamKind,
} from '../ipam-documents.ts';
import type { IpamEntry, IpamEvent, IpamFilter, IpamStore } from '../ipam-store.ts';
import type { Revision, Subscription } from '../types.ts';
import type { IpamMirror } from './ipam-mirror.ts';
import { ipamKey } from './keys.ts';
import type { Swap } from './writer.ts';

/** How a key is written; what came of it has been noted in the mirror before the answer. */
export interface KeyWriter {
  create(etcdKey: string, text: string): Promise<Swap>;
  replace(etcdKey: string, text: string, expected: number): Promise<Swap>;
  remove(etcdKey: string, expected: number | undefined): Promise<Swap>;
  /** Asks etcd itself about a key whose last write got no answer. Rejects with `StoreUnavailable`. */
  settle(etcdKey: string): Promise<void>;
  /** Throws `StoreUnavailable` when nothing is known yet or the store is closed. */
  assertReadable(): void;
  whenReadable(work: () => Subscription): Subscription;
}

/** A revision of the interface as etcd's number; one that was never etcd's matches nothing. */
export function revisionNumber(revision: Revision): number {
  return /^[1-9]\d{0,15}$/.test(revision) ? Number(revision) : Number.MAX_SAFE_INTEGER;
}

/** Blocks, affinities, handles and configuration in etcd. */
export class EtcdIpam implements IpamStore {
  readonly #mirror: IpamMirror;
  readonly #writer: KeyWriter;

  constructor(mirror: IpamMirror, writer: KeyWriter) {
    this.#mirror = mirror;
    this.#writer = writer;
  }

  async get<K extends IpamKind>(key: IpamKey<K>): Promise<IpamEntry<K> | undefined> {
    this.#writer.assertReadable();
    await this.#writer.settle(ipamKey(key));
    return this.#present(key);
  }

  async list<K extends IpamKind>(kind: K, filter: IpamFilter = {}): Promise<readonly IpamEntry<K>[]> {
    this.#writer.assertReadable();
    return this.#mirror.list(kind, filter);
  }

  async create<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K]): Promise<IpamEntry<K>> {
    const swap = await this.#writer.create(ipamKey(key), formatIpamJson(value));
    if (!swap.ok) throw new AlreadyExists(formatIpamKey(key));
    return { key, value, revision: String(swap.revision) };
  }

  async update<K extends IpamKind>(
    key: IpamKey<K>,
    value: IpamDocuments[K],
    expected: Revision,
  ): Promise<IpamEntry<K>> {
    this.#assertSound(key);
    const swap = await this.#writer.replace(ipamKey(key), formatIpamJson(value), revisionNumber(expected));
    if (!swap.ok) throw refusal(key, expected, swap);
    return { key, value, revision: String(swap.revision) };
  }

  async delete(key: IpamKey, expected: Revision): Promise<void> {
    this.#assertSound(key);
    const swap = await this.#writer.remove(ipamKey(key), revisionNumber(expected));
    if (!swap.ok) throw refusal(key, expected, swap);
  }

  watch(listener: (event: IpamEvent) => void): Subscription {
    return this.#writer.whenReadable(() => this.#mirror.watch(listener));
  }

  #present<K extends IpamKind>(key: IpamKey<K>): IpamEntry<K> | undefined {
    const found = this.#mirror.get(key);
    if (found === undefined || !('damage' in found)) return found;
    throw new DocumentDamaged(ipamKey(key), found.damage);
  }

  #assertSound(key: IpamKey): void {
    this.#present(key);
  }
}

function refusal(key: IpamKey, expected: Revision, swap: Extract<Swap, { ok: false }>): Error {
  const { current } = swap;
  if (current === undefined) return new NotFound(formatIpamKey(key));
  return new RevisionConflict(formatIpamKey(key), expected, String(current.modRevision));
}
