/**
 * The values that cross the wire room's door: what a decoder is told about a session, and what it says of a message.
 * No decoder throws on input from a peer (RFC 7606): it returns a verdict.
 */
import type { Address, Family } from '../../src/net/address.ts';

/** A flag for each family. */
export type PerFamily<T> = Readonly<Record<Family, T>>;

/** All that a decoder may know of the session, fixed once the session is negotiated. */
export interface DecodeContext {
  readonly peerKind: 'ebgp' | 'ibgp';
  readonly localAs: number;
  readonly peerAs: number;
  /** RFC 6793: both sides sent capability 65 */
  readonly as4: boolean;
  /** RFC 8654 */
  readonly extendedMessage: boolean;
  /** RFC 7911: whether NLRI from the peer carry path identifiers */
  readonly addPathReceive: PerFamily<boolean>;
  /** negotiated families; NLRI of any other family is ignored intact */
  readonly families: PerFamily<boolean>;
  /** RFC 8950: IPv4 NLRI may come with an IPv6 next hop */
  readonly extendedNextHop: boolean;
  /** RFC 4271 6.3: routes from an external peer whose AS_PATH does not start with its AS are withdrawn. Off when absent, as in BIRD */
  readonly enforceFirstAs?: boolean;
  /** RFC 9774 3: routes whose AS_PATH holds an AS_SET are withdrawn. Off when absent, as BIRD and FRR 8 accept sets */
  readonly rejectAsSets?: boolean;
}

/** What a NOTIFICATION carries, RFC 4271 4.5. `data` may be empty. */
export interface NotificationError {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/** An attribute that was dropped from an otherwise good message. */
export interface DiscardedAttribute {
  readonly code: number;
  readonly reason: string;
}

/** What a received message is, the strongest finding winning: reset > withdraw > discard (RFC 7606 3(h)). */
export type Verdict =
  | { readonly kind: 'ok' }
  | { readonly kind: 'attribute-discard' }
  | { readonly kind: 'treat-as-withdraw'; readonly error: NotificationError; readonly reason: string }
  | { readonly kind: 'session-reset'; readonly error: NotificationError; readonly reason: string };

/** A run of NLRI inside a message: validated, so walking it cannot fail. Offsets into the `body` of its update. */
export interface NlriRange {
  readonly family: Family;
  readonly start: number;
  readonly end: number;
  /** each NLRI is preceded by a 4-octet path identifier */
  readonly addPath: boolean;
}

/**
 * Path attributes in canonical form, the key by which they are interned:
 * octet 0 is the next hop's length (0, 4, 16, or 32 for global + link-local), then the next hop, then the attributes in ascending
 * order of code in wire form: flags normalised (optional/transitive as registered, Partial kept where it may be set, Extended Length only if longer than
 * 255 octets), AS_PATH with 4-octet AS numbers (AS4_PATH merged, RFC 6793 4.2.3), AGGREGATOR likewise; without NEXT_HOP,
 * MP_REACH_NLRI, MP_UNREACH_NLRI, AS4_PATH, AS4_AGGREGATOR and whatever was discarded. Unknown optional transitive attributes stay, with
 * Partial set; unknown optional non-transitive ones are left out.
 */
export type AttributeKey = Uint8Array;

/** Reachable NLRI that share a next hop and attributes. */
export interface ReachRun {
  readonly nlri: NlriRange;
  readonly attributes: AttributeKey;
}

/**
 * A decoded UPDATE. With verdict `treat-as-withdraw`, `withdrawn` also holds all NLRI that the message announced and `reach` is empty;
 * with `session-reset` both are empty. NLRI that the message both withdraws and announces counts as announced, so owners
 * apply `withdrawn` first, then `reach`. `body` is borrowed from the receive buffer: valid until the next read.
 */
export interface DecodedUpdate {
  readonly verdict: Verdict;
  readonly body: Uint8Array;
  readonly withdrawn: readonly NlriRange[];
  readonly reach: readonly ReachRun[];
  readonly discarded: readonly DiscardedAttribute[];
  /** RFC 4724 2: the family whose End-of-RIB this is */
  readonly endOfRib: Family | undefined;
}

/** One segment of an AS_PATH; `confed-*` only decoded, never originated (RFC 5065). */
export interface AsPathSegment {
  readonly type: 'set' | 'sequence' | 'confed-sequence' | 'confed-set';
  readonly asNumbers: readonly number[];
}

/** Path attributes decoded from an `AttributeKey` for people, filters and the decision process. */
export interface PathAttributes {
  /** absent for locally originated routes until exported */
  readonly nextHop?: Address;
  /** RFC 2545 3 */
  readonly linkLocalNextHop?: Address;
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly asPath: readonly AsPathSegment[];
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: boolean;
  readonly aggregator?: { readonly as: number; readonly address: Address };
  /** RFC 1997, unsigned 32-bit values in the order received */
  readonly communities?: readonly number[];
  /** router id as unsigned 32-bit */
  readonly originatorId?: number;
  readonly clusterList?: readonly number[];
  /** RFC 4360, raw 8-octet values */
  readonly extendedCommunities?: readonly bigint[];
  /** RFC 8092, duplicates removed */
  readonly largeCommunities?: readonly LargeCommunity[];
  /** RFC 9234 5 */
  readonly onlyToCustomer?: number;
  /** everything else, wire form kept */
  readonly unknown?: readonly { readonly flags: number; readonly code: number; readonly value: Uint8Array }[];
}

export interface LargeCommunity {
  readonly global: number;
  readonly local1: number;
  readonly local2: number;
}

/** A capability, RFC 5492. Those we know are decoded, the rest keep their octets. */
export type Capability =
  | { readonly kind: 'multiprotocol'; readonly afi: number; readonly safi: number }
  | { readonly kind: 'route-refresh' }
  | { readonly kind: 'enhanced-route-refresh' }
  | { readonly kind: 'extended-message' }
  | {
      readonly kind: 'extended-next-hop';
      readonly entries: readonly {
        readonly afi: number;
        readonly safi: number;
        readonly nextHopAfi: number;
      }[];
    }
  | { readonly kind: 'four-octet-as'; readonly as: number }
  | { readonly kind: 'role'; readonly role: number }
  | {
      readonly kind: 'graceful-restart';
      /** R bit: the speaker restarts */
      readonly restarting: boolean;
      /** N bit, RFC 8538 */
      readonly notification: boolean;
      /** 0..4095 */
      readonly restartTimeSec: number;
      readonly families: readonly {
        readonly afi: number;
        readonly safi: number;
        readonly forwarding: boolean;
      }[];
    }
  | {
      readonly kind: 'long-lived-graceful-restart';
      readonly families: readonly {
        readonly afi: number;
        readonly safi: number;
        readonly forwarding: boolean;
        readonly staleTimeSec: number;
      }[];
    }
  | {
      readonly kind: 'add-path';
      readonly entries: readonly {
        readonly afi: number;
        readonly safi: number;
        readonly send: boolean;
        readonly receive: boolean;
      }[];
    }
  | { readonly kind: 'fqdn'; readonly host: string; readonly domain: string }
  | { readonly kind: 'bfd-strict-mode' }
  | { readonly kind: 'software-version'; readonly version: string }
  | { readonly kind: 'unknown'; readonly code: number; readonly value: Uint8Array };

/** OPEN, RFC 4271 4.2. */
export interface OpenMessage {
  readonly version: number;
  /** the My Autonomous System field: AS_TRANS (23456) for larger numbers */
  readonly as2: number;
  readonly holdTimeSec: number;
  /** unsigned 32-bit */
  readonly routerId: number;
  /** in the order received; with `parametersError` those before the damage */
  readonly capabilities: readonly Capability[];
  /** the optional parameters are malformed (2/0) or of an unknown type (2/4): `validateOpen` reports it in its turn */
  readonly parametersError?: { readonly error: NotificationError; readonly reason: string };
}

/** A message other than UPDATE, decoded; or the reset that it deserves. */
export type DecodedMessage =
  | { readonly type: 'open'; readonly open: OpenMessage }
  | { readonly type: 'update'; readonly update: DecodedUpdate }
  | { readonly type: 'notification'; readonly error: NotificationError }
  | { readonly type: 'keepalive' }
  | { readonly type: 'route-refresh'; readonly afi: number; readonly safi: number; readonly subtype: number }
  | { readonly type: 'error'; readonly error: NotificationError; readonly reason: string };
