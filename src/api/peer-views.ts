/** What `GET /v1/bgp/peers` tells of a session beside its state and its routes. Times are epoch milliseconds. */
import type { BfdStatus } from '../../bgp/bfd/types.ts';
import type { MessageTypeCounts, PeerTimers, PeerTransport, SessionTerms } from '../../bgp/peer-status.ts';

export interface PeerDetailView {
  readonly localRouterId: string;
  /** the TCP connection of the session, or of the attempt that is furthest */
  readonly connection?: {
    readonly local: ConnectionEndView;
    readonly remote: ConnectionEndView;
    readonly direction: 'outgoing' | 'incoming';
  };
  readonly transport: Omit<PeerTransport, 'sourceAddress'> & { readonly sourceAddress?: string };
  readonly timers: PeerTimers;
  /** what both OPENs agree on */
  readonly terms?: SessionTerms;
  readonly capabilities: {
    /** in words, in the order of the OPEN */
    readonly sent: readonly string[];
    readonly received: readonly string[];
    /** side by side */
    readonly compared: readonly CapabilityRow[];
  };
  /** by type, over all sessions */
  readonly messages: { readonly received: MessageTypeCounts; readonly sent: MessageTypeCounts };
  /** the last of each direction, over all sessions */
  readonly lastNotification: { readonly sent?: NotificationView; readonly received?: NotificationView };
  readonly bfd?: BfdStatus;
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
