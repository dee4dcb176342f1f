/** What users of BFD say and see. Addresses are values of src/net; times on the wire are microseconds, here milliseconds. */
import type { Address } from '../../src/net/address.ts';
import type { BfdState } from './packet.ts';

/** How to watch a peer. Changes of these under a session are negotiated without a flap. */
export interface BfdTimers {
  /** how often we are willing to send once the session is up, 10..60000 ms; 300 is a good value */
  readonly minTxMs: number;
  /** how often we can take packets, 10..60000 ms */
  readonly minRxMs: number;
  /** so many packets of ours in a row may be lost, 1..255 */
  readonly multiplier: number;
}

/** One session. Another with the same peer, interface and `multihop` cannot be. */
export interface BfdSessionConfig extends BfdTimers {
  readonly peer: Address;
  /** source of our packets, and the only destination at which the peer's count */
  readonly local?: Address;
  /** single hop: sent and received here only; needed for a link-local peer */
  readonly interface?: string;
  /** RFC 5883 on port 4784 instead of RFC 5881 on port 3784 */
  readonly multihop: boolean;
  /** multihop only: packets with a lower TTL are dropped, 1..255; with single hop it is always 255 */
  readonly minTtl?: number;
}

/** A session changed its state. */
export interface BfdStateChange {
  readonly from: BfdState;
  readonly to: BfdState;
  readonly diagnostic: number;
  /** `AdminDown`: the peer ended the session on purpose, which is no failure (RFC 5882 3.2) */
  readonly remoteState: BfdState;
  /** epoch milliseconds */
  readonly at: number;
}

export interface BfdCounters {
  readonly packetsSent: number;
  readonly packetsReceived: number;
  /** packets for this session that were thrown away: wrong TTL, address or interface */
  readonly packetsDiscarded: number;
  readonly sendErrors: number;
}

/** Everything there is to know of a session. */
export interface BfdStatus {
  readonly state: BfdState;
  /** epoch milliseconds */
  readonly since: number;
  readonly diagnostic: number;
  readonly diagnosticText: string;
  readonly localDiscriminator: number;
  readonly multihop: boolean;
  /** undefined while no packet of the peer counts */
  readonly remote?: {
    readonly state: BfdState;
    readonly diagnostic: number;
    readonly diagnosticText: string;
    readonly discriminator: number;
    readonly minTxMs: number;
    readonly minRxMs: number;
    readonly multiplier: number;
    readonly demand: boolean;
    readonly controlPlaneIndependent: boolean;
  };
  /** between our packets, before jitter; undefined: none are sent */
  readonly txIntervalMs?: number;
  /** the session ends when nothing comes for this long; undefined before the first packet */
  readonly detectionTimeMs?: number;
  /** how often it came up, and went down from there */
  readonly upCount: number;
  readonly downCount: number;
  /** the last time that it went down from Up */
  readonly lastDown?: { readonly at: number; readonly diagnosticText: string };
  /** what keeps it from working: sockets that cannot be opened, packets that cannot be sent */
  readonly problem?: string;
  readonly counters: BfdCounters;
}

/** A session at work. */
export interface BfdHandle {
  status(): BfdStatus;
  /** New timers, negotiated by a poll sequence. */
  update(timers: BfdTimers): void;
  /** Tells the peer that this is on purpose (AdminDown), and ends. */
  remove(): void;
}
