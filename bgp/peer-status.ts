/** What the status of a peer is made of, beside what `types.ts` has of it. Pure data; times are epoch milliseconds. */
import type { Address, Family } from '../src/net/address.ts';
import type { PrefixLimit } from './types.ts';
import type { Capability, NotificationError } from './wire/types.ts';

/** Messages by type, over all sessions of the peer. */
export interface MessageTypeCounts {
  readonly open: number;
  readonly update: number;
  readonly notification: number;
  readonly keepalive: number;
  /** RFC 2918; the beginnings and ends of RFC 7313 count too */
  readonly routeRefresh: number;
}

/** One end of a connection. */
export interface ConnectionEnd {
  readonly address: Address;
  /** TCP port */
  readonly port: number;
}

/** The TCP connection of the session, or of the attempt that is furthest. */
export interface PeerConnectionStatus {
  readonly local: ConnectionEnd;
  readonly remote: ConnectionEnd;
  /** who dialled */
  readonly direction: 'outgoing' | 'incoming';
}

/** How the connection is made and guarded, as configured. */
export interface PeerTransport {
  /** port that we dial */
  readonly port: number;
  readonly passive: boolean;
  /** address that we dial from */
  readonly sourceAddress?: Address;
  readonly interface?: string;
  /** TTL of what we send */
  readonly ttl: number;
  /** RFC 5082: packets that arrive with less are dropped */
  readonly minTtl?: number;
  /** RFC 2385 */
  readonly md5: boolean;
  /** whether the peer may be on no subnet of ours: always so with iBGP */
  readonly multihop: boolean;
  /** RFC 5880 */
  readonly bfd: boolean;
}

/** What both OPENs agree on, beside hold time and families. */
export interface SessionTerms {
  /** RFC 6793 */
  readonly fourOctetAs: boolean;
  /** RFC 2918 */
  readonly routeRefresh: boolean;
  /** RFC 7313 */
  readonly enhancedRouteRefresh: boolean;
  /** 4096, or 65535 with RFC 8654 */
  readonly maxMessageOctets: number;
  /** RFC 8950: IPv4 routes with IPv6 next hops */
  readonly extendedNextHop: boolean;
  /** RFC 7911: families in which the peer sends several paths to a prefix, and in which it takes them */
  readonly addPathReceive: readonly Family[];
  readonly addPathSend: readonly Family[];
  /** how many paths to a prefix are sent where several are; undefined: all, or nowhere */
  readonly addPathSendMax?: number;
  /** RFC 8538: graceful restart holds over NOTIFICATIONs too */
  readonly gracefulNotification: boolean;
}

/** The capabilities of the OPENs of the connection that is furthest; empty where there is none. */
export interface PeerCapabilities {
  readonly sent: readonly Capability[];
  readonly received: readonly Capability[];
}

/** Names of timers, RFC 4271 8.1.3, RFC 9687, RFC 4724 4.2, RFC 9494 4.2. */
export type PeerTimerName =
  | 'hold'
  | 'keepalive'
  | 'send-hold'
  | 'connect-retry'
  | 'idle-hold'
  | 'restart'
  | 'stale'
  | 'long-lived';

export interface PeerTimers {
  readonly configured: {
    readonly holdTimeSec: number;
    /** undefined: a third of the hold time agreed upon */
    readonly keepaliveTimeSec?: number;
    /** base and cap of the back-off */
    readonly connectRetrySec: number;
    readonly connectRetryMaxSec: number;
  };
  /** undefined before the peer's OPEN */
  readonly negotiated?: {
    /** 0: neither hold nor keepalive timer */
    readonly holdTimeSec: number;
    readonly keepaliveTimeSec: number;
  };
  /** milliseconds left of the timers that run */
  readonly remainingMs: Readonly<Partial<Record<PeerTimerName, number>>>;
}

/** A NOTIFICATION, decoded. */
export interface NotificationRecord {
  readonly at: number;
  readonly error: NotificationError;
  /** `Cease/Administrative Shutdown (6/2): maintenance` */
  readonly text: string;
  /** what we found wrong, of those that we sent */
  readonly reason?: string;
}

/**
 * What of a peer stays as it is while neither its configuration changes nor its session takes a step: one and the same object until then, so that
 * whoever renders it may keep what became of it.
 */
export interface PeerStanding {
  readonly name: string;
  readonly address: Address;
  readonly peerAs: number;
  readonly localAs: number;
  readonly kind: 'ebgp' | 'ibgp';
  readonly localRouterId: number;
  readonly peerRouterId?: number;
  readonly localAddress?: Address;
  readonly connection?: PeerConnectionStatus;
  readonly transport: PeerTransport;
  /** undefined before both OPENs */
  readonly terms?: SessionTerms;
  readonly capabilities: PeerCapabilities;
  /** in words */
  readonly capabilitiesSent: readonly string[];
  readonly capabilitiesReceived: readonly string[];
  readonly holdTimeSec?: number;
  readonly keepaliveTimeSec?: number;
  /** RFC 8212: 'missing' when an eBGP peer has no policy and so exchanges nothing */
  readonly importPolicy: string;
  readonly exportPolicy: string;
}

/** How near a family is to its limit. */
export interface PrefixLimitStatus extends PrefixLimit {
  /** prefixes that count now */
  readonly current: number;
}
