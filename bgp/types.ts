/**
 * What users of the speaker say and see: peer configuration, filters' results, route changes, status.
 */
import type { Address, Family } from '../src/net/address.ts';
import type { Prefix } from '../src/net/prefix.ts';
import type { BfdStatus, BfdTimers } from './bfd/types.ts';
import type {
  MessageTypeCounts,
  NotificationRecord,
  PeerStanding,
  PeerTimers,
  PrefixLimitStatus,
} from './peer-status.ts';
import type { FilterChain } from './policy/types.ts';
import type { NotificationError, PathAttributes } from './wire/types.ts';

/** How to hold one peer. Everything that is not optional has been decided by whoever made it; the speaker knows no defaults of its own. */
export interface PeerConfig {
  /** unique name; the agent uses the peer's address text */
  readonly name: string;
  /**
   * Of an unnumbered peer the link-local address of the neighbour on `interface`, as its owner has found it; :: while it is not known: the peer
   * then waits, passive
   */
  readonly address: Address;
  /** TCP port to dial, 1..65535 */
  readonly port: number;
  /** expected AS of the peer, 1..4294967295 */
  readonly peerAs: number;
  /** instead of `peerAs` alone: any of these, or any but ours; the peer's OPEN says which. `peerAs` is what counts until then */
  readonly acceptedAs?: readonly number[] | 'external';
  /** our AS towards this peer */
  readonly localAs: number;
  /** bind the connection to this address */
  readonly localAddress?: Address;
  /** only wait for the peer to dial */
  readonly passive: boolean;
  /** never dials and refuses connections until enabled again: Idle(Admin) */
  readonly adminDown: boolean;
  /** what the peer is told when `adminDown` ends its session (RFC 9003), of at most 255 octets of UTF-8 */
  readonly shutdownText?: string;
  /** 0 or 3..65535 */
  readonly holdTimeSec: number;
  /** time between KEEPALIVEs at most, from 1 to a third of the hold time; default: a third of the hold time agreed upon */
  readonly keepaliveTimeSec?: number;
  /** base of the connect-retry back-off, in seconds, and its cap */
  readonly connectRetrySec: number;
  readonly connectRetryMaxSec: number;
  /** TTL of sent packets: 1 for a directly connected eBGP peer, 255 with TTL security, 64 for iBGP and multihop */
  readonly ttl: number;
  /** RFC 5082: drop packets that arrive with a lower TTL */
  readonly minTtl?: number;
  /** families to offer */
  readonly families: readonly Family[];
  /**
   * RFC 4724: offered restart time, 0..4095; undefined offers no graceful restart. With `notification` (RFC 8538) it holds over
   * NOTIFICATIONs too, but for those that end the session for good, which then go as a hard reset (6/9)
   */
  readonly gracefulRestart?: {
    readonly restartTimeSec: number;
    readonly maxHelperTimeSec: number;
    readonly notification?: boolean;
  };
  /**
   * RFC 9494, beside `gracefulRestart`: for how long our routes may be kept after the restart time (0..16777215 s), and for how long we keep the
   * peer's at most. The kept routes are used where there is nothing else
   */
  readonly longLivedGracefulRestart?: { readonly staleTimeSec: number; readonly maxHelperTimeSec: number };
  /**
   * RFC 9494 4.6, iBGP: without that capability the peer gets long-lived stale routes all the same, with NO_EXPORT and LOCAL_PREF 0; default: it
   * gets none
   */
  readonly longLivedPartial?: boolean;
  /** undefined on an eBGP peer: nothing passes (RFC 8212) */
  readonly importPolicy?: FilterChain;
  readonly exportPolicy?: FilterChain;
  /** next hop that we announce: 'self' (our session address; eBGP default), 'keep' (as received) or 'auto' (RFC 4271 5.1.3) */
  readonly nextHop: 'auto' | 'self' | 'keep';
  /** how often our AS may stand in a received AS_PATH */
  readonly allowOwnAs: number;

  // All that follows is off when absent.

  /** RFC 7313: route refreshes with a beginning and an end, so that what is not sent again goes */
  readonly enhancedRouteRefresh?: boolean;
  /** RFC 8654: messages of up to 65535 octets */
  readonly extendedMessages?: boolean;
  /** RFC 8950: IPv4 routes with IPv6 next hops, both ways */
  readonly extendedNextHop?: boolean;
  /** RFC 7911: families in which several paths to a prefix are taken, and sent; of the latter the best `sendMax` (default: all) */
  readonly addPath?: {
    readonly receive?: readonly Family[];
    readonly send?: readonly Family[];
    readonly sendMax?: number;
  };
  /** RFC 9234, eBGP only: our role towards the peer; `strict` refuses a peer that tells none (2/11) */
  readonly role?: { readonly local: PeerRole; readonly strict: boolean };
  /** how many prefixes of a family are taken from the peer, and what happens beyond */
  readonly maxPrefixes?: Readonly<Partial<Record<Family, PrefixLimit>>>;
  /** RFC 2385: key of TCP MD5 signatures, 1..80 octets of UTF-8. Never shown. Another key is put under a running session */
  readonly password?: string;
  /** binds the session to this interface; needed for a link-local peer address, whose scope it is */
  readonly interface?: string;
  /**
   * Fast external failover: the link that this single-hop session runs over. When it carries nothing the session ends at once, its routes go even
   * under graceful restart, and it is tried again as soon as the link is back; without, its end is left to the hold timer
   */
  readonly failoverLink?: string;
  /** eBGP without multihop: connections of a peer that is on no subnet of ours are refused */
  readonly requireConnected?: boolean;
  /** RFC 7947: this eBGP peer is a client of ours as a route server: AS_PATH, NEXT_HOP and MED of others go to it as they came */
  readonly routeServerClient?: boolean;
  /** RFC 4456: this iBGP peer is our client */
  readonly routeReflectorClient?: boolean;
  /**
   * RFC 7705, where `localAs` is not the speaker's own AS: without `noPrepend` it is put in front of what the peer sends, without `replaceAs`
   * our own AS stands behind it in what we send. (With both, the peer's session is as if the speaker's AS were `localAs`.)
   */
  readonly localAsOptions?: { readonly noPrepend: boolean; readonly replaceAs: boolean };
  /** eBGP: the peer's AS is replaced by ours in what we send, so that sites with one AS see each other */
  readonly asOverride?: boolean;
  /** eBGP: private AS numbers (RFC 6996) are taken out of what we send, or each replaced by ours */
  readonly removePrivateAs?: 'remove' | 'replace';
  /** RFC 4271 6.3: routes of an external peer that do not start with its AS are withdrawn */
  readonly enforceFirstAs?: boolean;
  /** RFC 8326: everything that the peer gets is tagged 65535:0 (and has LOCAL_PREF 0 on iBGP), so that it looks for other ways */
  readonly gracefulShutdown?: boolean;
  /**
   * RFC 5880: watches the peer; when BFD goes down the BGP session ends at once with 6/10 (RFC 9384). Single hop (RFC 5881), or `multihop` (RFC 5883),
   * where `minTtl` (1..255) says how far packets may have come. A peer without BFD is used all the same,
   * but for one that asks for strict mode itself
   */
  readonly bfd?: BfdTimers & {
    readonly multihop: boolean;
    readonly minTtl?: number;
    /** draft-ietf-idr-bgp-bfd-strict-mode: the session is held back until BFD is up, where the peer wants that too (capability 74) */
    readonly strict?: boolean;
  };
}

/**
 * Peers that need not be configured one by one: whoever dials us from the prefix becomes a passive peer, until its session is gone for good.
 * Its name is its address.
 */
export interface DynamicPeers {
  /** those of one name, each with a prefix of its own, share their limit */
  readonly name: string;
  readonly prefix: Prefix;
  /** sessions at a time, 1..65535; further connections are closed */
  readonly limit: number;
  /** everything else, `acceptedAs` included */
  readonly template: Omit<PeerConfig, 'name' | 'address' | 'passive' | 'adminDown'>;
}

/** What we are to the peer, RFC 9234 4.1. */
export type PeerRole = 'provider' | 'rs' | 'rs-client' | 'customer' | 'peer';

/** A limit for the prefixes of one family, RFC 4271 6.7. */
export interface PrefixLimit {
  /** prefixes, 1..4294967295 */
  readonly limit: number;
  /** counts what the peer sends, or what import policy lets pass */
  readonly count: 'received' | 'accepted';
  /** a warning at this percentage of the limit, 1..100 */
  readonly warnPercent: number;
  /**
   * Beyond the limit: only say so; take no further prefix (`received` is what counts then); or end the session with 6/1, to start again after
   * `restartSec` or, without, when somebody does so
   */
  readonly action:
    | { readonly kind: 'warn' }
    | { readonly kind: 'discard' }
    | { readonly kind: 'stop'; readonly restartSec?: number };
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
  | 'long-lived-stale'
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
  | 'route-leak'
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
  /** best, but nobody is told of it: the FIB has not taken it */
  readonly awaitsFib?: true;
  /** epoch milliseconds */
  readonly receivedAt: number;
}

/** State of a next hop as the host's kernel has it. */
export type NextHopState =
  | { readonly reachable: false; readonly why: string }
  | {
      readonly reachable: true;
      readonly metric: number;
      /** the one interface that it is reached by; undefined when there are several, or it is not known */
      readonly interface?: string;
    };

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
  /** A session ended and none of its routes is kept: called at once, before the first of them is taken out. It must not change routes. */
  onPeerDown?(peer: PeerConfig): void;
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
  /** prefixes that were not taken, for the limit */
  readonly discarded: number;
  /** prefixes of which the peer is still to be told, at most: one that changed again meanwhile may count twice */
  readonly pending: number;
  /** as configured */
  readonly prefixLimit?: PrefixLimitStatus;
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
export interface PeerStatus extends PeerStanding {
  /** the fields of `PeerStanding` again, as one object that stays */
  readonly standing: PeerStanding;
  readonly state: SessionState;
  readonly establishedAt?: number;
  /** since when the present state lasts */
  readonly since: number;
  readonly timers: PeerTimers;
  readonly families: Readonly<Record<Family, PeerFamilyStatus>>;
  readonly counters: PeerCounters;
  readonly messages: { readonly received: MessageTypeCounts; readonly sent: MessageTypeCounts };
  readonly lastReset?: LastReset;
  /** the last NOTIFICATION of each direction, over all sessions */
  readonly lastNotification: { readonly sent?: NotificationRecord; readonly received?: NotificationRecord };
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
  /** the peer came by itself: name of the prefixes that it came from, see `DynamicPeers` */
  readonly dynamic?: string;
  /** undefined: BFD is not configured, or not loaded yet */
  readonly bfd?: BfdStatus;
}
