/**
 * The store over etcd, shared by all hosts: Calico's keys and JSON, read from a mirror in memory that one watch keeps in step, written by
 * transactions that compare revisions. Without etcd the last known state stays in force, also over a restart.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kind } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { formatKey, keyOf, type Resource, type ResourceOfKind } from '../../model/types.ts';
import type { Admission } from '../codec.ts';
import {
  AlreadyExists,
  NotAdmitted,
  NotFound,
  NotStorable,
  OutcomeUnknown,
  RevisionConflict,
  StoreUnavailable,
} from '../errors.ts';
import { errorCode, unavailable } from '../file/atomic-files.ts';
import { EventHub } from '../file/event-hub.ts';
import { lockStore, type StoreLock } from '../file/lock.ts';
import { INTERNAL_FOLDER } from '../file/names.ts';
import type { IpamStore } from '../ipam-store.ts';
import { listOfKind } from '../order.ts';
import type {
  Revision,
  Store,
  StoreAvailability,
  Stored,
  StoreListener,
  StoreProblem,
  Subscription,
} from '../types.ts';
import { Cluster, explain, isNoSpace } from './cluster.ts';
import { DiskCache } from './disk-cache.ts';
import type { EtcdEndpoints } from './endpoints.ts';
import { EtcdIpam, type KeyWriter, revisionNumber } from './etcd-ipam.ts';
import { DEFAULT_TIMES, Follower, type FollowerTimes } from './follower.ts';
import { IpamMirror } from './ipam-mirror.ts';
import { IPAM_CONFIG_KEY, IPAM_PREFIX, resourceKey } from './keys.ts';
import { Mirror } from './mirror.ts';
import { decodeResource, encodeResource, identityOf } from './resource-json.ts';
import { ResourceMirror } from './resource-mirror.ts';
import { createKey, deleteKey, probeWrite, rawEntry, replaceKey, type Swap } from './writer.ts';

/** How to open an etcd store. */
export interface EtcdStoreOptions {
  readonly etcd: EtcdEndpoints;
  /** folder of the last known state; it is made when absent (its parent must be there), for its owner only */
  readonly cacheFolder: string;
  /** default: everything is admitted */
  readonly admit?: Admission;
  /** how long a start waits for etcd before the last known state comes into force */
  readonly startGraceMs?: number;
  readonly times?: Partial<FollowerTimes>;
}

// etcd refuses requests beyond 1.5 MiB.
const MAX_VALUE_OCTETS = 1_500_000;
const START_GRACE_MS = 3_000;
const SPACE_PROBE_MS = 5_000;

/**
 * Opens the store. It does not wait for etcd: reads reject with `StoreUnavailable`, and watches wait, until the contents are known for the
 * first time. Rejects with `StoreLocked` when another agent on this host uses the folder, and with `StoreUnavailable` when it cannot be used.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<EtcdStore> {
  const { cacheFolder } = options;
  let lock: StoreLock | undefined;
  try {
    await mkdir(join(cacheFolder, INTERNAL_FOLDER), { recursive: true, mode: 0o700 });
    lock = lockStore(cacheFolder);
  } catch (error) {
    if (errorCode(error) === 'locked') throw error;
    throw unavailable(`cannot use ${cacheFolder} for the last known state`, error);
  }
  const store = new EtcdStore(options, lock);
  await store.start();
  return store;
}

/** An open etcd store. Made by `openEtcdStore`. */
export class EtcdStore implements Store {
  readonly #lock: StoreLock;
  readonly #cluster: Cluster;
  readonly #hub: EventHub;
  readonly #resources: ResourceMirror;
  readonly #documents: IpamMirror;
  readonly #mirror: Mirror;
  readonly #follower: Follower;
  readonly #cache: DiskCache;
  readonly #writer: KeyWriter;
  readonly #ipam: EtcdIpam;
  readonly #startGraceMs: number;
  readonly #readable = Promise.withResolvers<void>();
  readonly #writes = new Set<Promise<unknown>>();
  /** keys whose last write by this host got no answer */
  readonly #unsure = new Set<string>();
  #isReadable = false;
  #isClosed = false;
  #seededAt: string | undefined;
  #unreachable: string | undefined = 'etcd has not answered yet';
  #noSpace: string | undefined;
  #seedTimer: NodeJS.Timeout | undefined;
  #probeTimer: NodeJS.Timeout | undefined;

  constructor(options: EtcdStoreOptions, lock: StoreLock) {
    this.#lock = lock;
    this.#startGraceMs = options.startGraceMs ?? START_GRACE_MS;
    this.#cluster = new Cluster(options.etcd);
    this.#hub = new EventHub(() => this.#resources.snapshot());
    this.#resources = new ResourceMirror(this.#hub, options.admit ?? (() => []));
    this.#documents = new IpamMirror(this.#hub);
    this.#mirror = new Mirror({
      put: (entry, isBulk) => {
        // What comes in bulk is on the disk already, or goes there as a whole.
        if (!isBulk) this.#cache.put(entry);
        (entry.key.startsWith(IPAM_PREFIX) ? this.#documents : this.#resources).put(entry);
      },
      remove: (key, revision) => {
        this.#cache.remove(key, revision);
        (key.startsWith(IPAM_PREFIX) ? this.#documents : this.#resources).remove(key);
      },
    });
    this.#follower = new Follower(
      this.#cluster,
      this.#mirror,
      {
        onProgress: () => this.#markReadable(),
        onListed: () => this.#cache.rewrite(),
        onReachable: () => this.#setUnreachable(undefined),
        onUnreachable: (reason) => this.#setUnreachable(reason),
      },
      { ...DEFAULT_TIMES, ...options.times },
    );
    const location = join(options.cacheFolder, 'state.jsonl');
    this.#cache = new DiskCache({
      folder: options.cacheFolder,
      clusterId: () => this.#follower.clusterId,
      entries: () => this.#allEntries(),
      onTrouble: (reason) => {
        if (reason === undefined) this.#hub.solve(location);
        else if (this.#hub.problemAt(location)?.reasons[0] !== reason) {
          this.#hub.report({ location, reasons: [reason] });
        }
      },
    });
    const writer: KeyWriter = {
      create: async (key, text) =>
        await this.#write(key, text, async () => await createKey(this.#cluster, key, text)),
      replace: async (key, text, expected) =>
        await this.#write(key, text, async () => await replaceKey(this.#cluster, key, text, expected)),
      remove: async (key, expected) =>
        await this.#write(key, undefined, async () => await deleteKey(this.#cluster, key, expected)),
      settle: async (key) => await this.#settle(key),
      assertReadable: () => this.#assertReadable(),
      whenReadable: (work) => this.#whenReadable(work),
    };
    this.#writer = writer;
    this.#ipam = new EtcdIpam(this.#documents, writer);
  }

  get ipam(): IpamStore {
    return this.#ipam;
  }

  /** Begins to follow etcd. Called once, by `openEtcdStore`. */
  async start(): Promise<void> {
    this.#announce();
    const isCached = await this.#cache.find();
    this.#follower.start();
    if (isCached) this.#seedTimer = setTimeout(() => void this.#seed(), this.#startGraceMs);
  }

  lockReason(): string | undefined {
    if (this.#resources.isDatastoreReady) return undefined;
    return 'the datastore is locked (datastoreReady of ClusterInformation default is false): somebody moves its contents';
  }

  async get(key: ResourceKey): Promise<Stored | undefined> {
    this.#assertReadable();
    const etcdKey = resourceKey(key);
    await this.#settle(etcdKey);
    const known = this.#resources.get(etcdKey);
    if (known?.resource === undefined || !known.isInForce) return undefined;
    return { resource: known.resource, revision: String(known.modRevision) };
  }

  async list<K extends Kind>(kind: K): Promise<readonly Stored<ResourceOfKind<K>>[]> {
    this.#assertReadable();
    return listOfKind(kind, this.#resources.ofKind(kind));
  }

  async create(resource: Resource): Promise<Stored> {
    this.#assertReadable();
    const key = keyOf(resource);
    const etcdKey = resourceKey(key);
    const text = this.#encode(resource, key, {});
    const swap = await this.#writer.create(etcdKey, text);
    if (!swap.ok) throw new AlreadyExists(formatKey(key));
    return { resource: this.#reread(key, text), revision: String(swap.revision) };
  }

  async update(resource: Resource, expected: Revision): Promise<Stored> {
    this.#assertReadable();
    const key = keyOf(resource);
    const etcdKey = resourceKey(key);
    const known = this.#resources.get(etcdKey);
    this.#assertSeen(key, etcdKey, expected);
    const identity = known?.resource === undefined ? {} : identityOf(known.resource);
    const text = this.#encode(resource, key, identity);
    if (known?.resource !== undefined && known.isInForce && String(known.modRevision) === expected) {
      if (encodeResource(known.resource, identity, 0) === text)
        return { resource: known.resource, revision: expected };
    }
    const swap = await this.#writer.replace(etcdKey, text, revisionNumber(expected));
    if (!swap.ok) throw refusal(key, expected, swap);
    return { resource: this.#reread(key, text), revision: String(swap.revision) };
  }

  async delete(key: ResourceKey, expected?: Revision): Promise<void> {
    this.#assertReadable();
    const etcdKey = resourceKey(key);
    if (expected !== undefined) this.#assertSeen(key, etcdKey, expected);
    const swap = await this.#writer.remove(
      etcdKey,
      expected === undefined ? undefined : revisionNumber(expected),
    );
    if (!swap.ok) throw refusal(key, expected ?? 'any', swap);
  }

  watch(listener: StoreListener): Subscription {
    return this.#whenReadable(() => this.#hub.watch(listener));
  }

  problems(): readonly StoreProblem[] {
    return this.#hub.problems;
  }

  availability(): StoreAvailability {
    return this.#hub.availability;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#seedTimer);
    clearTimeout(this.#probeTimer);
    this.#hub.closeAll();
    this.#documents.close();
    await Promise.allSettled(this.#writes);
    await this.#follower.close();
    await this.#cache.close();
    this.#cluster.close();
    this.#lock.release();
  }

  #assertReadable(): void {
    if (this.#isClosed) throw new StoreUnavailable('the etcd store is closed');
    if (!this.#isReadable) throw new StoreUnavailable(this.#unreachable ?? 'etcd is being read');
  }

  #whenReadable(work: () => Subscription): Subscription {
    if (this.#isReadable) return work();
    let isOpen = true;
    let subscription: Subscription | undefined;
    void this.#readable.promise.then(() => {
      if (isOpen && !this.#isClosed) subscription = work();
    });
    return {
      close: () => {
        isOpen = false;
        subscription?.close();
      },
    };
  }

  /** An invalid version is replaced only by somebody who has seen it. */
  #assertSeen(key: ResourceKey, etcdKey: string, expected: Revision): void {
    const known = this.#resources.get(etcdKey);
    const problem = this.#hub.problemAt(etcdKey);
    if (known === undefined || known.isInForce || problem === undefined) return;
    if (problem.revision === expected) return;
    const detail = `the key ${etcdKey} holds an invalid version (${problem.reasons.join('; ')}): mend or delete it first`;
    throw new RevisionConflict(formatKey(key), expected, problem.revision, detail);
  }

  #encode(resource: Resource, key: ResourceKey, identity: ReturnType<typeof identityOf>): string {
    const reasons = this.#resources.reasonsAgainst(resource);
    if (reasons.length > 0) throw new NotAdmitted(formatKey(key), reasons);
    const text = encodeResource(resource, identity, Date.now());
    const octets = Buffer.byteLength(text);
    if (octets > MAX_VALUE_OCTETS) {
      throw new NotStorable(
        `${formatKey(key)} is too large: ${octets} octets of at most ${MAX_VALUE_OCTETS}`,
      );
    }
    return text;
  }

  // What is returned is what every host will read.
  #reread(key: ResourceKey, text: string): Resource {
    const decoded = decodeResource(key, text);
    if (decoded.ok) return decoded.resource;
    throw new NotStorable(`${formatKey(key)} is invalid: ${decoded.reasons.join('; ')}`);
  }

  /** Does a write and notes what came of it, so that the next read sees it. */
  async #write(key: string, text: string | undefined, work: () => Promise<Swap>): Promise<Swap> {
    this.#assertReadable();
    const writing = this.#attempt(work);
    this.#writes.add(writing);
    try {
      const swap = await writing;
      if (!swap.ok) {
        if (swap.current !== undefined) this.#mirror.put(swap.current);
        else this.#mirror.absent(key, swap.revision);
      } else if (text === undefined) {
        this.#mirror.absent(key, swap.revision);
      } else {
        this.#mirror.put({ key, text, modRevision: swap.revision, createRevision: swap.createRevision });
      }
      this.#cache.flush();
      return swap;
    } catch (error) {
      if (error instanceof OutcomeUnknown) this.#unsure.add(key);
      throw error;
    } finally {
      this.#writes.delete(writing);
    }
  }

  async #settle(key: string): Promise<void> {
    if (!this.#unsure.has(key)) return;
    const { header, kvs } = await this.#cluster.range({ key });
    const [kv] = kvs;
    if (kv === undefined) this.#mirror.absent(key, Number(header.revision));
    else this.#mirror.put(rawEntry(kv));
    this.#unsure.delete(key);
  }

  async #attempt(work: () => Promise<Swap>): Promise<Swap> {
    try {
      const swap = await work();
      if (this.#noSpace !== undefined) this.#setNoSpace(undefined);
      return swap;
    } catch (error) {
      if (isNoSpace(error)) this.#setNoSpace(explain(error));
      throw error;
    }
  }

  #setNoSpace(reason: string | undefined): void {
    this.#noSpace = reason;
    clearTimeout(this.#probeTimer);
    if (reason !== undefined && !this.#isClosed) {
      this.#probeTimer = setTimeout(() => {
        void probeWrite(this.#cluster, IPAM_CONFIG_KEY).then(
          () => this.#setNoSpace(undefined),
          () => this.#setNoSpace(this.#noSpace),
        );
      }, SPACE_PROBE_MS).unref();
    }
    this.#announce();
  }

  #setUnreachable(reason: string | undefined): void {
    if (reason === this.#unreachable) return;
    this.#unreachable = reason;
    if (reason === undefined) this.#seededAt = undefined;
    this.#announce();
  }

  #announce(): void {
    const reason = this.#unreachable ?? this.#noSpace;
    const origin =
      this.#seededAt === undefined ? '' : '; the state of the last run, kept on disk, is in force meanwhile';
    this.#hub.setAvailability(
      reason === undefined ? { state: 'available' } : { state: 'unavailable', reason: `${reason}${origin}` },
    );
  }

  #markReadable(): void {
    if (this.#isReadable) return;
    this.#isReadable = true;
    this.#readable.resolve();
  }

  async #seed(): Promise<void> {
    if (this.#isClosed || this.#mirror.isListed) return;
    const cached = await this.#cache.load();
    if (cached === undefined || this.#isClosed || this.#mirror.isListed) return;
    const { clusterId } = this.#follower;
    if (clusterId !== undefined && clusterId !== cached.clusterId) return;
    this.#follower.noteSeed(cached.clusterId, cached.revision);
    const isTaken = await this.#mirror.seed(cached);
    if (!isTaken || this.#isClosed) return;
    this.#seededAt = new Date().toISOString();
    this.#announce();
    this.#markReadable();
  }

  *#allEntries(): ReturnType<IpamMirror['raw']> {
    yield* this.#documents.raw();
    yield* this.#resources.raw((resource) => encodeResource(resource, {}, 0));
  }
}

function refusal(key: ResourceKey, expected: Revision, swap: Extract<Swap, { ok: false }>): Error {
  const { current } = swap;
  if (current === undefined) return new NotFound(formatKey(key));
  return new RevisionConflict(formatKey(key), expected, String(current.modRevision));
}
