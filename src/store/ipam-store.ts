/** The small key-value side of a store, for IPAM: documents under keys, compare-and-swap on every write. */
import type { Family } from '../net/address.ts';
import type { IpamDocuments, IpamKey, IpamKind } from './ipam-documents.ts';
import type { Revision, Subscription } from './types.ts';

/** A document with its key and version. */
export interface IpamEntry<K extends IpamKind = IpamKind> {
  readonly key: IpamKey<K>;
  readonly value: IpamDocuments[K];
  readonly revision: Revision;
}

/** Tells what kind of document an entry holds. */
export function isEntryOf<K extends IpamKind>(kind: K, entry: IpamEntry): entry is IpamEntry<K> {
  return entry.key.kind === kind;
}

/** What to list. */
export interface IpamFilter {
  /** only affinities of this host; ignored for other kinds */
  readonly host?: string;
  /** only blocks and affinities of this family; ignored for other kinds */
  readonly family?: Family;
}

/** As `StoreEvent`: coalescing is allowed, deletion is absence, `in-sync` comes once. */
export type IpamEvent =
  | { readonly type: 'upsert'; readonly entry: IpamEntry }
  | { readonly type: 'delete'; readonly key: IpamKey }
  | { readonly type: 'in-sync' };

/** Rejections are the classes of `errors.ts`. */
export interface IpamStore {
  /** Rejects with `DocumentDamaged` when the document is there but cannot be read. */
  get<K extends IpamKind>(key: IpamKey<K>): Promise<IpamEntry<K> | undefined>;
  /** All readable documents of a kind, in no particular order. Damaged ones are left out, and stand in the store's problems. */
  list<K extends IpamKind>(kind: K, filter?: IpamFilter): Promise<readonly IpamEntry<K>[]>;
  /** Rejects with `AlreadyExists`, also when the document that is there is damaged. */
  create<K extends IpamKind>(key: IpamKey<K>, value: IpamDocuments[K]): Promise<IpamEntry<K>>;
  /** Rejects with `NotFound` or `RevisionConflict`. */
  update<K extends IpamKind>(
    key: IpamKey<K>,
    value: IpamDocuments[K],
    expected: Revision,
  ): Promise<IpamEntry<K>>;
  /** Rejects with `NotFound` or `RevisionConflict`. */
  delete(key: IpamKey, expected: Revision): Promise<void>;
  /** Delivers all documents, then `in-sync`, then changes. The listener is called synchronously and in order. */
  watch(listener: (event: IpamEvent) => void): Subscription;
}
