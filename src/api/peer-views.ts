/** What `GET /v1/bgp/peers` tells of a session beside its state and its routes. Times are epoch milliseconds. */
import type { Family } from '../net/address.ts';

export interface PeerDetailView {
  readonly localRouterId: string;
  /** the TCP connection of the session, or of the attempt that is furthest */
  readonly connection?: {
    readonly local: ConnectionEndView;
    readonly remote: ConnectionEndView;
    readonly direction: 'outgoing' | 'incoming';
  };
  readonly transport: TransportView;
  readonly timers: TimersView;
  /** what both OPENs agree on */
  readonly terms?: TermsView;
  readonly capabilities: {
    /** in words, in the order of the OPEN */
    readonly sent: readonly string[];
    readonly received: readonly string[];
    /** side by side */
    readonly compared: readonly CapabilityRow[];
  };
  /** by type, over all sessions */
  readonly messages: { readonly received: MessagesView; readonly sent: MessagesView };
  /** the last of each direction, over all sessions */
  readonly lastNotification: { readonly sent?: NotificationView; readonly received?: NotificationView };
  readonly bfd?: BfdView;
}

export interface ConnectionEndView {
  readonly address: string;
  /** TCP port */
  readonly port: number;
}

/** A capability (RFC 5492); a side that did not advertise it has no value. */
export interface CapabilityRow {
  readonly code: number;
  readonly name: string;
  readonly sent?: CapabilityValue;
  readonly received?: CapabilityValue;
}

export interface CapabilityValue {
  /** in words; empty where the capability says nothing but that it is there */
  readonly text: string;
  /** its fields; octets as hexadecimal text */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A NOTIFICATION, decoded. */
export interface NotificationView {
  readonly at: number;
  readonly code: number;
  readonly subcode: number;
  /** hexadecimal; empty for none */
  readonly data: string;
  /** names, numbers and what the data say */
  readonly text: string;
  /** RFC 9003 */
  readonly shutdownCommunication?: string;
  /** what we found wrong, of those that we sent */
  readonly reason?: string;
}

/** How the connection is made and guarded, as configured. */
export interface TransportView {
  /** TCP port that we dial */
  readonly port: number;
  readonly passive: boolean;
  /** address that we dial from */
  readonly sourceAddress?: string;
  readonly interface?: string;
  /** TTL of what we send */
  readonly ttl: number;
  /** RFC 5082: packets that arrive with less are dropped */
  readonly minTtl?: number;
  /** RFC 2385 */
  readonly md5: boolean;
  /** whether the peer may be on no subnet of ours */
  readonly multihop: boolean;
  /** whether BFD is to watch the peer; `bfd` has its session */
  readonly bfd: boolean;
}

export type TimerName =
  | 'hold'
  | 'keepalive'
  | 'send-hold'
  | 'connect-retry'
  | 'idle-hold'
  | 'restart'
  | 'stale'
  | 'long-lived';

export interface TimersView {
  readonly configured: {
    readonly holdTimeSec: number;
    /** absent: a third of the hold time agreed upon */
    readonly keepaliveTimeSec?: number;
    readonly connectRetrySec: number;
    readonly connectRetryMaxSec: number;
  };
  /** absent before the peer's OPEN */
  readonly negotiated?: { readonly holdTimeSec: number; readonly keepaliveTimeSec: number };
  /** of those that run */
  readonly remainingMs: Readonly<Partial<Record<TimerName, number>>>;
}

export interface TermsView {
  readonly fourOctetAs: boolean;
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  readonly maxMessageOctets: number;
  readonly extendedNextHop: boolean;
  /** RFC 7911: families in which the peer sends several paths, and takes them */
  readonly addPathReceive: readonly Family[];
  readonly addPathSend: readonly Family[];
  /** how many paths to a prefix are sent there; absent: all */
  readonly addPathSendMax?: number;
  /** RFC 8538 */
  readonly gracefulNotification: boolean;
}

/** Messages by type. */
export interface MessagesView {
  readonly open: number;
  readonly update: number;
  readonly notification: number;
  readonly keepalive: number;
  readonly routeRefresh: number;
}

/** A limit on prefixes, and how near it is. */
export interface PrefixLimitView {
  readonly limit: number;
  readonly count: 'received' | 'accepted';
  readonly warnPercent: number;
  readonly action:
    | { readonly kind: 'warn' }
    | { readonly kind: 'discard' }
    | { readonly kind: 'stop'; readonly restartSec?: number };
  /** prefixes that count now */
  readonly current: number;
}

/** A BFD session (RFC 5880). */
export interface BfdView {
  readonly state: string;
  readonly since: number;
  readonly diagnostic: number;
  readonly diagnosticText: string;
  readonly multihop: boolean;
  readonly localDiscriminator: number;
  readonly remote?: object;
  readonly txIntervalMs?: number;
  readonly detectionTimeMs?: number;
  readonly upCount: number;
  readonly downCount: number;
  readonly lastDown?: { readonly at: number; readonly diagnosticText: string };
  /** what keeps it from working */
  readonly problem?: string;
  readonly counters: Readonly<
    Record<'packetsSent' | 'packetsReceived' | 'packetsDiscarded' | 'sendErrors', number>
  >;
}
