/**
 * What users of the speaker say and see: peer configuration, filters' results, route changes, status.
 */
import type { Address, Family } from '../src/net/address.ts';
import type { Prefix } from '../src/net/prefix.ts';
import type { FilterChain } from './policy/types.ts';
import type { NotificationError, PathAttributes } from './wire/types.ts';

/** How to hold one peer. Everything that is not optional has been decided by whoever made it; the speaker knows no defaults of its own. */
export interface PeerConfig {
  /** unique name; the agent uses the peer's address text */
  readonly name: string;
  readonly address: Address;
  /** TCP port to dial, 1..65535 */
  readonly port: number;
  /** expected AS of the peer, 1..4294967295 */
  readonly peerAs: number;
  /** our AS towards this peer */
  readonly localAs: number;
  /** bind the connection to this address */
  readonly localAddress?: Address;
  /** only wait for the peer to dial */
  readonly passive: boolean;
  /** never dials and refuses connections until enabled again: Idle(Admin) */
  readonly adminDown: boolean;
  /** 0 or 3..65535 */
  readonly holdTimeSec: number;
  /** base of the connect-retry back-off, in seconds, and its cap */
  readonly connectRetrySec: number;
  readonly connectRetryMaxSec: number;
  /** TTL of sent packets: 1 for a directly connected eBGP peer, 255 with TTL security, 64 for iBGP and multihop */
  readonly ttl: number;
  /** RFC 5082: drop packets that arrive with a lower TTL */
  readonly minTtl?: number;
  /** families to offer */
  readonly families: readonly Family[];
  /** RFC 4724: offered restart time, 0..4095; undefined offers no graceful restart */
  readonly gracefulRestart?: { readonly restartTimeSec: number; readonly maxHelperTimeSec: number };
  /** undefined on an eBGP peer: nothing passes (RFC 8212) */
  readonly importPolicy?: FilterChain;
  readonly exportPolicy?: FilterChain;
  /** next hop that we announce: 'self' (our session address; eBGP default), 'keep' (as received) or 'auto' (RFC 4271 5.1.3) */
  readonly nextHop: 'auto' | 'self' | 'keep';
  readonly allowOwnAs: number;
}

/** RFC 4271 8.2.2, with the administrative stop told apart. */
export type SessionState =
  | 'Idle'
  | 'Idle(Admin)'
  | 'Connect'
  | 'Active'
  | 'OpenSent'
  | 'OpenConfirm'
  | 'Established';

/** Why a route is not used, or why it is best: names of the decision steps (RFC 4271 9.1.2.2 and BGP.md's order). */
export type DecisionReason =
  | 'only-path'
  | 'local-origin'
  | 'local-pref'
  | 'as-path-length'
  | 'origin'
  | 'med'
  | 'ebgp-over-ibgp'
  | 'igp-metric'
  | 'oldest-path'
  | 'router-id'
  | 'cluster-list-length'
  | 'peer-address'
  | 'path-id';

/** Why a received path takes no part in the decision. */
export type UnusableReason =
  | 'as-path-loop'
  | 'originator-loop'
  | 'cluster-loop'
  | 'import-policy'
  | 'no-import-policy'
  | 'next-hop-unresolved'
  | 'next-hop-self';

/** A path as the CLI shows it; made on request only. */
export interface PathView {
  readonly prefix: Prefix;
  readonly source:
    | { readonly kind: 'local' }
    | { readonly kind: 'peer'; readonly peer: string; readonly routerId: number };
  readonly pathId?: number;
  readonly attributes: PathAttributes;
  readonly best: boolean;
  /** equal-cost companion of the best path */
  readonly multipath: boolean;
  /** kept over a restart of the peer, not refreshed yet */
  readonly stale: boolean;
  readonly unusable?: UnusableReason;
  /** which filter rule decided (name and rule), for import-policy */
  readonly policyNote?: string;
  /** for the best path: what decided against the runner-up; for others: what it lost by */
  readonly reason?: DecisionReason;
  /** epoch milliseconds */
  readonly receivedAt: number;
}

/** State of a next hop as the host's kernel has it. */
export type NextHopState =
  | { readonly reachable: false; readonly why: string }
  | { readonly reachable: true; readonly metric: number };

/** The best paths of a prefix changed. `nextHops` is empty when the prefix is gone or locally originated. */
export interface RouteChange {
  readonly prefix: Prefix;
  readonly local: boolean;
  readonly nextHops: readonly Address[];
}

/** Receives changes of the Loc-RIB in batches. Ids and columns are the RIB's own; valid only during the call. */
export interface LocRibListener {
  /**
   * `ids[0..count)` are the prefix ids of `family` whose selected paths changed since the last call; the listener asks the RIB for each.
   */
  onLocRibChange(family: Family, ids: Int32Array, count: number): void;
}

export interface PeerCounters {
  readonly messagesReceived: number;
  readonly messagesSent: number;
  readonly updatesReceived: number;
  readonly updatesSent: number;
  readonly establishedCount: number;
  readonly droppedCount: number;
  readonly treatAsWithdraw: number;
  readonly attributeDiscards: number;
}

export interface PeerFamilyStatus {
  readonly negotiated: boolean;
  /** prefixes in Adj-RIB-In */
  readonly received: number;
  readonly accepted: number;
  readonly filtered: number;
  /** prefixes in Adj-RIB-Out */
  readonly advertised: number;
  readonly stale: number;
  readonly endOfRibReceived: boolean;
  readonly endOfRibSent: boolean;
}

/** A session's end, decoded, as tables and logs show it. */
export interface LastReset {
  /** epoch milliseconds */
  readonly at: number;
  readonly direction: 'sent' | 'received' | 'none';
  readonly error?: NotificationError;
  readonly text: string;
}

/** Everything there is to know of a peer, made on request. Times are epoch milliseconds. */
export interface PeerStatus {
  readonly name: string;
  readonly address: Address;
  readonly peerAs: number;
  readonly localAs: number;
  readonly kind: 'ebgp' | 'ibgp';
  readonly state: SessionState;
  readonly establishedAt?: number;
  /** since when the present state lasts */
  readonly since: number;
  readonly peerRouterId?: number;
  readonly localAddress?: Address;
  readonly holdTimeSec?: number;
  readonly keepaliveTimeSec?: number;
  readonly capabilitiesSent: readonly string[];
  readonly capabilitiesReceived: readonly string[];
  readonly families: Readonly<Record<Family, PeerFamilyStatus>>;
  readonly counters: PeerCounters;
  readonly lastReset?: LastReset;
  readonly lastError?: string;
  readonly nextConnectAt?: number;
  /** octets waiting for the peer to read */
  readonly outputQueued: number;
  readonly gracefulRestart: {
    readonly peerCapable: boolean;
    readonly peerRestartTimeSec?: number;
    readonly peerFamilies: readonly Family[];
    /** the peer is gone and its routes are kept until then */
    readonly helperUntil?: number;
  };
  /** RFC 8212: 'missing' when an eBGP peer has no policy and so exchanges nothing */
  readonly importPolicy: string;
  readonly exportPolicy: string;
}
