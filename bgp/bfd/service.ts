/**
 * BFD for the main thread: sessions are added and removed here and live in a thread of their own, which is there while there is a session. Loaded
 * only when one is wanted.
 */
import { Worker } from 'node:worker_threads';
import { DIAGNOSTIC, diagnosticText } from './packet.ts';
import {
  COUNTER,
  type FromThread,
  newCounters,
  type SessionReport,
  type ToThread,
} from './thread-messages.ts';
import type { BfdHandle, BfdSessionConfig, BfdStateChange, BfdStatus, BfdTimers } from './types.ts';

const RESTART_MS = 1_000;
const RESTART_MAX_MS = 60_000;
/** Time for the thread to say goodbye and end. */
const CLOSE_MS = 2_000;

export interface BfdServiceOptions {
  /** what people should know: the thread ended, a port is taken */
  readonly warn: (message: string) => void;
}

interface Entry {
  readonly id: number;
  config: BfdSessionConfig;
  readonly counters: Uint32Array<SharedArrayBuffer>;
  readonly onState: (change: BfdStateChange) => void;
  report: SessionReport;
}

export class BfdService {
  readonly #warn: (message: string) => void;
  readonly #entries = new Map<number, Entry>();
  #worker: Worker | undefined;
  #nextId = 1;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = RESTART_MS;
  #ending = new Set<Promise<void>>();
  #closed = false;

  constructor(options: BfdServiceOptions) {
    this.#warn = options.warn;
  }

  /** Starts to watch a peer. `onState` gets every change of state, in order, however late the main thread is. */
  addSession(config: BfdSessionConfig, onState: (change: BfdStateChange) => void): BfdHandle {
    if (this.#closed) throw new Error('BFD has been closed');
    const entry: Entry = {
      id: this.#nextId++,
      config,
      counters: newCounters(),
      onState,
      report: idle(config.multihop, undefined),
    };
    this.#entries.set(entry.id, entry);
    this.#send({ type: 'add', id: entry.id, config, counters: entry.counters });
    return {
      status: () => statusOf(entry),
      update: (timers) => this.#update(entry, timers),
      remove: () => this.#remove(entry),
    };
  }

  /** All sessions, in the order in which they were added. */
  sessions(): readonly { readonly config: BfdSessionConfig; readonly status: BfdStatus }[] {
    return [...this.#entries.values()].map((entry) => ({ config: entry.config, status: statusOf(entry) }));
  }

  /** Says goodbye to every peer and ends the thread. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#entries.clear();
    this.#endThread();
    await Promise.all(this.#ending);
  }

  #update(entry: Entry, timers: BfdTimers): void {
    if (this.#entries.get(entry.id) !== entry) return;
    entry.config = { ...entry.config, ...timers };
    this.#worker?.postMessage({ type: 'update', id: entry.id, timers } satisfies ToThread);
  }

  #remove(entry: Entry): void {
    if (!this.#entries.delete(entry.id)) return;
    this.#worker?.postMessage({ type: 'remove', id: entry.id } satisfies ToThread);
    if (this.#entries.size === 0) this.#endThread();
  }

  /** To the thread, which is started with its first session. */
  #send(message: ToThread): void {
    if (this.#worker !== undefined) {
      this.#worker.postMessage(message);
      return;
    }
    if (this.#restart === undefined) this.#startThread();
  }

  /** Starts the thread with all sessions that there are. */
  #startThread(): void {
    this.#restart = undefined;
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const worker = new Worker(new URL(file, import.meta.url), { name: 'bfd' });
    this.#worker = worker;
    // The peers keep the process alive, not their watch.
    worker.unref();
    worker.on('message', (message: FromThread) => {
      if (this.#worker === worker) this.#receive(message);
    });
    worker.on('error', (error: unknown) => {
      this.#threadLost(worker, error instanceof Error ? error.message : String(error));
    });
    worker.on('exit', (code) => this.#threadLost(worker, `exit ${code}`));
    for (const { id, config, counters } of this.#entries.values()) {
      worker.postMessage({ type: 'add', id, config, counters } satisfies ToThread);
    }
  }

  /** It ended without having been asked to. Nothing is known of the peers then, so nobody is told that one is down. */
  #threadLost(worker: Worker, why: string): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const problem = `the BFD thread ended (${why}) and is started again in ${this.#restartMs / 1000} s`;
    this.#warn(problem);
    for (const entry of this.#entries.values()) entry.report = idle(entry.config.multihop, problem);
    this.#restart = setTimeout(() => this.#startThread(), this.#restartMs);
    this.#restart.unref();
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
  }

  #receive(message: FromThread): void {
    if (message.type === 'warning') {
      this.#warn(message.message);
      return;
    }
    const entry = this.#entries.get(message.id);
    if (entry === undefined) return;
    entry.report = message.report;
    if (message.type !== 'state') return;
    if (message.change.to === 'Up') this.#restartMs = RESTART_MS;
    entry.onState(message.change);
  }

  #endThread(): void {
    clearTimeout(this.#restart);
    this.#restart = undefined;
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    const ended = new Promise<void>((resolve) => {
      const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
      worker.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#ending.add(ended);
    void ended.then(() => this.#ending.delete(ended));
    worker.postMessage({ type: 'close' } satisfies ToThread);
  }
}

/** What there is to say of a session that the thread has not told of. */
function idle(multihop: boolean, problem: string | undefined): SessionReport {
  return {
    state: 'Down',
    since: Date.now(),
    diagnostic: DIAGNOSTIC.none,
    diagnosticText: diagnosticText(DIAGNOSTIC.none),
    localDiscriminator: 0,
    multihop,
    upCount: 0,
    downCount: 0,
    ...(problem !== undefined && { problem }),
  };
}

function statusOf({ report, counters }: Entry): BfdStatus {
  const count = (place: number): number => Atomics.load(counters, place);
  return {
    ...report,
    counters: {
      packetsSent: count(COUNTER.sent),
      packetsReceived: count(COUNTER.received),
      packetsDiscarded: count(COUNTER.discarded),
      sendErrors: count(COUNTER.sendErrors),
    },
  };
}
