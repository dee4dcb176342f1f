/** What the main thread and the BFD thread say to each other: plain values, all of them. */
import type { BfdSessionConfig, BfdStateChange, BfdStatus, BfdTimers } from './types.ts';

export type ToThread =
  | {
      readonly type: 'add';
      readonly id: number;
      readonly config: BfdSessionConfig;
      /** the session's counters, written by the thread and read by the main thread at any time: see COUNTER */
      readonly counters: Uint32Array<SharedArrayBuffer>;
    }
  | { readonly type: 'update'; readonly id: number; readonly timers: BfdTimers }
  | { readonly type: 'remove'; readonly id: number }
  /** AdminDown to every peer, all sockets closed, then the thread ends by itself */
  | { readonly type: 'close' };

/** A status without what is counted. */
export type SessionReport = Omit<BfdStatus, 'counters'>;

export type FromThread =
  | {
      readonly type: 'state';
      readonly id: number;
      readonly change: BfdStateChange;
      readonly report: SessionReport;
    }
  | { readonly type: 'report'; readonly id: number; readonly report: SessionReport }
  | { readonly type: 'warning'; readonly message: string };

/** Places in a session's counters, each a number modulo 2^32. */
export const COUNTER = { sent: 0, received: 1, discarded: 2, sendErrors: 3 } as const;
export const COUNTERS = 4;

/** Fresh counters, all 0. */
export function newCounters(): Uint32Array<SharedArrayBuffer> {
  return new Uint32Array(new SharedArrayBuffer(COUNTERS * Uint32Array.BYTES_PER_ELEMENT));
}
