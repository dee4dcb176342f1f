/**
 * Keeps a mirror in step with etcd: one consistent list, then a watch from exactly there, again on another member from exactly where it
 * came to whenever it ends. A guard notices members that answer nothing or are cut off from the quorum.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from './backoff.ts';
import { type Cluster, explain, isCompacted } from './cluster.ts';
import { listPages } from './listing.ts';
import type { ListTaking, Mirror } from './mirror.ts';
import { type RawChange, type WatchEnd, WatchStream } from './watch-stream.ts';

/** Told about the state of the connection. */
export interface FollowerListener {
  /** a list was taken over, or changes were delivered */
  onProgress(revision: number): void;
  /** the first list of this run was taken over */
  onListed(): void;
  onReachable(): void;
  /** etcd could not be read for a while */
  onUnreachable(reason: string): void;
}

/** Times, changed by tests. */
export interface FollowerTimes {
  /** how often the guard looks */
  readonly guardMs: number;
  /** how long a member may lag behind the quorum */
  readonly lagMs: number;
  /** a failure that lasts longer than this is told */
  readonly toleranceMs: number;
}

export const DEFAULT_TIMES: FollowerTimes = { guardMs: 4_000, lagMs: 5_000, toleranceMs: 3_000 };

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;
/** A watch that held so long was no flapping. */
const STEADY_MS = 5_000;

/** Follows etcd until it is closed. */
export class Follower {
  readonly #cluster: Cluster;
  readonly #mirror: Mirror;
  readonly #listener: FollowerListener;
  readonly #times: FollowerTimes;
  readonly #abort = new AbortController();
  readonly #backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
  #running: Promise<void> | undefined;
  /** the first revision that has not been delivered; 0: a list is due */
  #next = 0;
  /** what was listed or watched is of this cluster */
  #clusterId: string | undefined;
  #isOtherHistory = false;
  #seededUpTo = 0;
  #failingSince: number | undefined;
  #member: number;

  constructor(cluster: Cluster, mirror: Mirror, listener: FollowerListener, times: FollowerTimes) {
    this.#cluster = cluster;
    this.#mirror = mirror;
    this.#listener = listener;
    this.#times = times;
    this.#member = cluster.preferred;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** The mirror holds what was known in the last run: of this cluster, up to this revision. */
  noteSeed(clusterId: string, revision: number): void {
    this.#clusterId ??= clusterId;
    this.#seededUpTo = revision;
  }

  /** The cluster that was heard, or from which the seed came. */
  get clusterId(): string | undefined {
    return this.#clusterId;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  get #isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const startedAt = performance.now();
      try {
        if (this.#next === 0) await this.#list();
        if (!this.#isClosed && this.#next !== 0) await this.#watch();
      } catch (error) {
        if (this.#isClosed) return;
        if (isCompacted(error)) this.#next = 0;
        this.#failed(explain(error));
      }
      this.#member = (this.#member + 1) % this.#cluster.size;
      if (performance.now() - startedAt > STEADY_MS) this.#backoff.reset();
      await this.#pause(this.#backoff.next());
    }
  }

  async #list(): Promise<void> {
    let taking: ListTaking | undefined;
    let revision = 0;
    for await (const page of listPages(this.#cluster)) {
      if (this.#isClosed) return;
      revision = page.revision;
      this.#noteCluster(page.clusterId);
      taking ??= this.#mirror.beginList(revision, this.#isOtherHistory || revision < this.#seededUpTo);
      await taking.take(page.entries);
    }
    this.#isOtherHistory ||= revision < this.#seededUpTo;
    // What the last run left came in meanwhile, and it is of another history than this list.
    if (taking === undefined || (this.#isOtherHistory && !taking.isOtherHistory)) return;
    const isFirst = !this.#mirror.isListed;
    taking.finish();
    this.#isOtherHistory = false;
    this.#seededUpTo = 0;
    this.#next = revision + 1;
    this.#reached();
    if (isFirst) this.#listener.onListed();
    this.#listener.onProgress(revision);
  }

  #noteCluster(id: string): void {
    if (this.#clusterId !== undefined && this.#clusterId !== id) this.#isOtherHistory = true;
    this.#clusterId = id;
  }

  async #watch(): Promise<void> {
    const member = this.#member;
    const ended = Promise.withResolvers<WatchEnd>();
    const client = await this.#cluster.connect(member);
    if (this.#isClosed) {
      client.close();
      return;
    }
    const watch = await WatchStream.open(client, this.#next, {
      onChanges: (changes, upTo) => this.#deliver(changes, upTo),
      onEnd: ended.resolve,
    });
    const stop = (): void => ended.resolve({ type: 'lost', reason: 'closed' });
    this.#abort.signal.addEventListener('abort', stop, { once: true });
    // Closed while the stream was opened: the event has gone by.
    if (this.#abort.signal.aborted) stop();
    try {
      if (watch.clusterId !== this.#clusterId) {
        this.#startOver();
        return;
      }
      this.#reached();
      const guard = new AbortController();
      const guarding = this.#guard(watch, member, guard.signal).then((reason) =>
        ended.resolve({ type: 'lost', reason }),
      );
      const end = await ended.promise;
      guard.abort();
      await guarding;
      if (end.type === 'compacted') this.#next = 0;
      else if (!this.#isClosed) this.#failed(`${this.#cluster.endpoint(member)}: ${end.reason}`);
    } finally {
      this.#abort.signal.removeEventListener('abort', stop);
      watch.close();
    }
  }

  #deliver(changes: readonly RawChange[], upTo: number): void {
    for (const change of changes) {
      if (change.type === 'put') this.#mirror.put(change.entry);
      else this.#mirror.absent(change.key, change.revision);
    }
    this.#next = Math.max(this.#next, upTo + 1);
    this.#mirror.watchedUpTo(upTo);
    this.#listener.onProgress(upTo);
  }

  /** Resolves with the reason when the watch is not to be trusted any more, or when told to stop. */
  async #guard(watch: WatchStream, member: number, signal: AbortSignal): Promise<string> {
    let behindSince: number | undefined;
    while (!signal.aborted) {
      const wait = behindSince === undefined ? this.#times.guardMs : this.#times.guardMs / 4;
      await this.#pause(wait * (0.8 + 0.4 * Math.random()), signal);
      if (signal.aborted) break;
      const delivered = this.#next - 1;
      let quorum: number;
      try {
        quorum = await this.#cluster.revision(member);
        this.#reached();
      } catch (error) {
        // No member has a quorum: a watch elsewhere would be no better.
        this.#failed(explain(error));
        continue;
      }
      if (signal.aborted) break;
      if (quorum < delivered) {
        this.#startOver();
        return 'the revisions of etcd went back: it was restored from a backup';
      }
      const reached = await watch.memberRevision();
      if (signal.aborted) break;
      if (reached !== undefined && reached >= quorum) {
        behindSince = undefined;
        continue;
      }
      behindSince ??= performance.now();
      if (reached === undefined || performance.now() - behindSince > this.#times.lagMs) {
        return reached === undefined ? 'the watch does not answer' : 'the member is cut off from the others';
      }
    }
    return 'stopped';
  }

  #startOver(): void {
    this.#isOtherHistory = true;
    this.#next = 0;
  }

  #reached(): void {
    this.#failingSince = undefined;
    this.#listener.onReachable();
  }

  #failed(reason: string): void {
    const now = performance.now();
    this.#failingSince ??= now;
    if (now - this.#failingSince >= this.#times.toleranceMs) this.#listener.onUnreachable(reason);
  }

  async #pause(ms: number, signal: AbortSignal = this.#abort.signal): Promise<void> {
    try {
      await delay(ms, undefined, { signal, ref: false });
    } catch {
      // Told to stop.
    }
  }
}
