/**
 * One watch on one member, on etcd3's bare stream. The library's own watcher resumes at the store's present revision and so loses what
 * was not delivered yet; here the caller says where to start, and knows after each response how far it came.
 */
import type { Etcd3, IWatchResponse } from 'etcd3';
import { WATCHED_RANGE } from './keys.ts';
import type { RawEntry } from './raw.ts';
import { rawEntry } from './writer.ts';

/** A change of a key: an entry, or its absence as of a revision. */
export type RawChange =
  | { readonly type: 'put'; readonly entry: RawEntry }
  | { readonly type: 'delete'; readonly key: string; readonly revision: number };

/** Why a watch ended. `compacted`: what it should have brought is gone, so everything must be listed anew. */
export type WatchEnd = { readonly type: 'lost'; readonly reason: string } | { readonly type: 'compacted' };

/** Told by a watch. `onChanges`: all changes up to `upTo` have been delivered now. */
export interface WatchListener {
  onChanges(changes: readonly RawChange[], upTo: number): void;
  onEnd(end: WatchEnd): void;
}

const CREATE_TIMEOUT_MS = 6_000;
const PROGRESS_TIMEOUT_MS = 2_000;
const INVALID_WATCH_ID = '-1';

type Stream = Awaited<ReturnType<Etcd3['watchClient']['watch']>>;

/** An established watch. */
export class WatchStream {
  readonly #client: Etcd3;
  readonly #stream: Stream;
  readonly #listener: WatchListener;
  readonly #created = Promise.withResolvers<void>();
  #isOpen = true;
  /** the highest revision that the member is known to have applied */
  #memberRevision = 0;
  #clusterId = '';
  #onProgress: (() => void) | undefined;

  private constructor(client: Etcd3, stream: Stream, listener: WatchListener) {
    this.#client = client;
    this.#stream = stream;
    this.#listener = listener;
    // The promise is looked at only while the watch is being created.
    this.#created.promise.catch(() => {});
    stream.on('data', (response) => this.#onResponse(response));
    stream.on('error', (error) => this.#end({ type: 'lost', reason: error.message }));
    stream.on('end', () => this.#end({ type: 'lost', reason: 'the member ended the watch' }));
  }

  /** Watches from a revision on (inclusive). Owns the client. Rejects when the member does not set up the watch in time. */
  static async open(client: Etcd3, from: number, listener: WatchListener): Promise<WatchStream> {
    const opening = client.watchClient.watch();
    const stream = await withTimeout(opening, CREATE_TIMEOUT_MS, 'the connection').catch((error: unknown) => {
      void opening.then((late) => late.cancel()).catch(() => {});
      client.close();
      throw error;
    });
    const watch = new WatchStream(client, stream, listener);
    stream.write({
      create_request: {
        key: Buffer.from(WATCHED_RANGE.first),
        range_end: Buffer.from(WATCHED_RANGE.end),
        start_revision: from,
        progress_notify: true,
      },
    });
    try {
      await withTimeout(watch.#created.promise, CREATE_TIMEOUT_MS, 'the watch');
    } catch (error) {
      watch.close();
      throw error;
    }
    return watch;
  }

  /** Identifies the cluster, so that a restored or exchanged one is noticed. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** How far the member is, by an answer on this very stream; undefined when none comes in time. */
  async memberRevision(): Promise<number | undefined> {
    if (!this.#isOpen) return undefined;
    const answered = Promise.withResolvers<void>();
    this.#onProgress = answered.resolve;
    this.#stream.write({ progress_request: {} });
    try {
      await withTimeout(answered.promise, PROGRESS_TIMEOUT_MS, 'the progress of the watch');
      return this.#memberRevision;
    } catch {
      return undefined;
    }
  }

  /** Ends the watch and its connection. Nothing is told after this. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onProgress?.();
    this.#created.reject(new Error('closed'));
    this.#stream.cancel();
    this.#client.close();
  }

  #end(end: WatchEnd): void {
    if (!this.#isOpen) return;
    this.#created.reject(new Error(end.type === 'lost' ? end.reason : 'compacted'));
    this.close();
    this.#listener.onEnd(end);
  }

  #onResponse(response: IWatchResponse): void {
    if (!this.#isOpen) return;
    const revision = Number(response.header.revision);
    this.#clusterId = response.header.cluster_id;
    this.#memberRevision = Math.max(this.#memberRevision, revision);
    if (response.canceled) {
      if (Number(response.compact_revision) > 0) this.#end({ type: 'compacted' });
      else this.#end({ type: 'lost', reason: response.cancel_reason || 'the member cancelled the watch' });
      return;
    }
    if (response.created) {
      this.#created.resolve();
      return;
    }
    this.#onProgress?.();
    // The answer to a question for progress may overtake events (etcd issue 15220); it says where the member is, not the watch.
    if (response.watch_id === INVALID_WATCH_ID) return;
    const last = response.events.at(-1);
    // Batches of a watch that catches up bear the store's present revision; only their events say how far they go.
    const upTo = last === undefined ? revision : Number(last.kv.mod_revision);
    this.#listener.onChanges(response.events.map(changeOf), upTo);
  }
}

function changeOf({ type, kv }: IWatchResponse['events'][number]): RawChange {
  return type === 'Delete'
    ? { type: 'delete', key: kv.key.toString('utf8'), revision: Number(kv.mod_revision) }
    : { type: 'put', entry: rawEntry(kv) };
}

async function withTimeout<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`etcd: no answer about ${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
