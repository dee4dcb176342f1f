/**
 * Watches a device while the table passes through it: a session of its own with a hold time of 3 s that gets no routes, on which the gaps between
 * messages are measured, BFD at 300 ms x 3, and `bgp peers` over the device's API every 20 ms. In a thread of its own, so that the harness's
 * work is not taken for the device's. Samples bear the time of `performance.timeOrigin + performance.now()`, in milliseconds, of when they began.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { ApiClient } from '../../../src/api/client.ts';
import { BFD_TIMERS } from './bfd-peer.ts';
import { BfdSocket } from './bfd-socket.ts';
import { BenchSession, type SessionOptions } from './session.ts';

export interface WatchOptions {
  readonly session: SessionOptions;
  readonly apiSocket: string | undefined;
  /** BFD too, between the addresses of the session */
  readonly hasBfd?: boolean;
}

/** A duration and when it began. */
export interface Sample {
  readonly at: number;
  readonly ms: number;
}

/** What BFD with the device came to while something passed through it. */
export interface BfdSeen {
  /** longest time between two of its packets, ms */
  readonly longestGapMs: number;
  /** times either side took the other for gone */
  readonly flaps: number;
}

/** What BFD with the device came to in all. */
export interface BfdWatched {
  /** between two of its packets while the session was up */
  readonly gaps: readonly Sample[];
  /** times either side took the other for gone */
  readonly flaps: number;
}

/** What was seen since the watch began. */
export interface Watched {
  /** between messages on the idle session */
  readonly gaps: readonly Sample[];
  /** from question to answer */
  readonly answers: readonly Sample[];
  readonly bfd: BfdWatched | undefined;
  readonly fault: string | undefined;
}

export const WATCH_HOLD_TIME_SEC = 3;
const ASK_EVERY_MS = 20;
/** questions under way; beyond that the device is not asked more */
const PENDING_MAX = 200;
const READY_TIMEOUT_MS = 40_000;
const BFD_TIMEOUT_MS = 20_000;
const STOP = 'stop';
const READY = 'ready';

/** The time that samples bear. */
export function sampleTime(): number {
  return performance.timeOrigin + performance.now();
}

/** Such a thread. */
export class Watch {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Resolves once the session is up. */
  static async start(options: WatchOptions): Promise<Watch> {
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    const answer = await answerOf(worker, READY_TIMEOUT_MS);
    if (answer !== READY) throw new Error(`the watched session: ${String(answer)}`);
    return new Watch(worker);
  }

  /** Ends it. */
  async stop(): Promise<Watched> {
    this.#worker.postMessage(STOP);
    const answer = await answerOf(this.#worker, READY_TIMEOUT_MS);
    await this.#worker.terminate();
    if (!isWatched(answer)) throw new Error(`the watched session: ${String(answer)}`);
    return answer;
  }
}

function isWatched(value: unknown): value is Watched {
  return typeof value === 'object' && value !== null && 'gaps' in value && 'answers' in value;
}

function answerOf(worker: Worker, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the watching thread does not answer')), timeoutMs);
    worker.once('message', (value: unknown) => {
      clearTimeout(timer);
      worker.removeAllListeners('error');
      resolve(value);
    });
    worker.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

function isWatchOptions(value: unknown): value is WatchOptions {
  return typeof value === 'object' && value !== null && 'session' in value;
}

async function watch({ session: sessionOptions, apiSocket, hasBfd }: WatchOptions): Promise<void> {
  const gaps: Sample[] = [];
  const answers: Sample[] = [];
  let fault: string | undefined;
  let lastAt: number | undefined;
  const onMessage = (): void => {
    const now = sampleTime();
    if (lastAt !== undefined) gaps.push({ at: lastAt, ms: now - lastAt });
    lastAt = now;
  };
  const session = await BenchSession.open({ ...sessionOptions, onMessage });
  const { localAddress, peerAddress } = sessionOptions;
  const bfd =
    hasBfd === true
      ? new BfdSocket({ localAddress, peerAddress, ...BFD_TIMERS, clock: sampleTime })
      : undefined;
  await bfd?.up(BFD_TIMEOUT_MS);
  const api = apiSocket === undefined ? undefined : new ApiClient(apiSocket);
  let pending = 0;
  // Asked whether or not the earlier ones are answered: a stall counts for all that it holds up.
  const ask = (): void => {
    if (api === undefined || pending >= PENDING_MAX) return;
    const at = sampleTime();
    pending++;
    api.call('GET', '/v1/bgp/peers').then(
      () => {
        pending--;
        answers.push({ at, ms: sampleTime() - at });
      },
      (error: unknown) => {
        pending--;
        fault ??= String(error);
      },
    );
  };
  const timer = setInterval(ask, ASK_EVERY_MS);
  parentPort?.on('message', () => {
    clearInterval(timer);
    if (lastAt !== undefined) gaps.push({ at: lastAt, ms: sampleTime() - lastAt });
    fault ??= session.fault;
    session.close();
    const watched: Watched = {
      gaps,
      answers,
      bfd: bfd && { gaps: bfd.silences(), flaps: bfd.flaps },
      fault,
    };
    bfd?.close();
    parentPort?.postMessage(watched);
  });
  parentPort?.postMessage(READY);
}

if (!isMainThread && isWatchOptions(workerData)) await watch(workerData);
