/**
 * The store of resources, as everybody else sees it: versions, compare-and-swap on every write, and one way to list and follow it.
 * The embedded file store and etcd implement it. It promises what etcd can promise and no more: listeners see every key's latest
 * version in the end, but versions between two may be coalesced, and a deletion is simply the absence of the key.
 */

import type { Kind } from '../model/kinds.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import type { Resource, ResourceOfKind } from '../model/types.ts';
import type { IpamStore } from './ipam-store.ts';

/** A version of one key. Opaque: compare for equality only. No two different contents of a key share one. */
export type Revision = string;

/** A resource together with the version under which it is stored. */
export interface Stored<R extends Resource = Resource> {
  readonly resource: R;
  readonly revision: Revision;
}

/** Why something that is stored is not in force as it stands. */
export interface StoreProblem {
  /** what is wrong, for keys of tables: a file relative to the store folder, or an etcd key */
  readonly location: string;
  /** the resource that it stands for, when that can be told */
  readonly key?: ResourceKey;
  /** one sentence a reason: path inside the document, what is wrong, what to do */
  readonly reasons: readonly string[];
  /** version of the resource that stays in force meanwhile; absent: none does */
  readonly inForce?: Revision;
  /**
   * The version of the invalid content. A caller who has seen it and means to replace it passes it to `update` or `delete`;
   * with any other revision these are refused, so that no program overwrites what a person is still writing.
   */
  readonly revision?: Revision;
}

/** Whether the store can be read and written now. */
export type StoreAvailability =
  | { readonly state: 'available' }
  /** the last known contents stay in force; the store tries again by itself */
  | { readonly state: 'unavailable'; readonly reason: string };

/** What a listener is told. Each key's events are in order; `revision` of a deletion is that of the version which was deleted. */
export type StoreEvent =
  | {
      readonly type: 'upsert';
      readonly key: ResourceKey;
      readonly resource: Resource;
      readonly revision: Revision;
    }
  | { readonly type: 'delete'; readonly key: ResourceKey; readonly revision: Revision }
  /** the initial snapshot is complete: exactly once in the life of a subscription */
  | { readonly type: 'in-sync' }
  /** replaces an earlier problem of the same location */
  | { readonly type: 'problem'; readonly problem: StoreProblem }
  | { readonly type: 'problem-solved'; readonly location: string }
  | { readonly type: 'availability'; readonly availability: StoreAvailability };

/** Called synchronously and in order. It must not throw and must not block; work is deferred by the listener itself. */
export type StoreListener = (event: StoreEvent) => void;

/** An open watch. */
export interface Subscription {
  /** No event is delivered after this returns. May be called twice. */
  close(): void;
}

/** The store of resources and, beside it, of IPAM documents. Every method may reject with `StoreUnavailable`. */
export interface Store {
  /** The version in force, or undefined. */
  get(key: ResourceKey): Promise<Stored | undefined>;
  /** All resources of a kind that are in force, ordered by namespace and name. */
  list<K extends Kind>(kind: K): Promise<readonly Stored<ResourceOfKind<K>>[]>;
  /** Stores a resource that is not there yet. Rejects with `AlreadyExists`. */
  create(resource: Resource): Promise<Stored>;
  /** Replaces exactly the version given. Rejects with `NotFound` or `RevisionConflict`. Returns the new version. */
  update(resource: Resource, expected: Revision): Promise<Stored>;
  /** Deletes the version given, or whichever is there when none is given. Rejects with `NotFound` or `RevisionConflict`. */
  delete(key: ResourceKey, expected?: Revision): Promise<void>;
  /** Delivers all that is in force as upserts (and the problems), then `in-sync`, then changes as they happen. */
  watch(listener: StoreListener): Subscription;
  /** What is stored but not in force, ordered by location. */
  problems(): readonly StoreProblem[];
  availability(): StoreAvailability;
  /** Why endpoints may be neither added nor removed now, although the store works: somebody moves its contents. Undefined: they may. */
  lockReason(): string | undefined;
  /** Blocks, affinities, handles and the IPAM configuration. */
  readonly ipam: IpamStore;
  /** Ends all watches and gives up the store. Writes under way are finished first. */
  close(): Promise<void>;
}
