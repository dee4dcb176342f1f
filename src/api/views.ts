/**
 * What the API answers, as plain JSON: stable camelCase keys, addresses and prefixes as canonical text, times as epoch milliseconds.
 */
import type { WorkloadPort } from '../model/workload-endpoint.ts';
import type { Family } from '../net/address.ts';
import type { PeerDetailView, PrefixLimitView } from './peer-views.ts';

/** How serious something that `status` shows is. */
export type Severity = 'error' | 'warning' | 'info';

/** Something the operator should know, and what to do about it. */
export interface Finding {
  readonly severity: Severity;
  /** stable word for scripts: `no-pool`, `foreign-drop`, `bgp-port-busy` ... */
  readonly code: string;
  readonly message: string;
  /** a command or the YAML that cures it */
  readonly remedy?: string;
}

/** A candidate of address autodetection. */
export interface AddressCandidate {
  readonly interface: string;
  readonly address: string;
  readonly family: Family;
  readonly chosen: boolean;
  readonly reason: string;
}

/** `GET /v1/status` */
export interface StatusView {
  readonly node: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly ready: boolean;
  readonly routerId?: string;
  readonly asNumber?: number;
  readonly addresses: Readonly<Partial<Record<Family, string>>>;
  readonly addressCandidates: readonly AddressCandidate[];
  readonly store: { readonly kind: string; readonly path: string; readonly inSync: boolean };
  readonly bgp: {
    readonly listening: boolean;
    readonly port: number;
    readonly peers: number;
    readonly established: number;
    /** RFC 4724: the families whose route selection still waits for End-of-RIB */
    readonly deferral: readonly Family[];
    readonly locRib: Readonly<Record<Family, number>>;
  };
  readonly fib: {
    readonly desired: number;
    readonly pending: number;
    readonly failed: number;
    readonly mtu?: number;
  };
  readonly policy: {
    readonly backend: string;
    readonly endpointsReady: number;
    readonly policies: number;
    readonly sets: number;
    readonly pending: boolean;
  };
  readonly endpoints: number;
  readonly blocks: readonly string[];
  readonly findings: readonly Finding[];
}

/** `GET /v1/status` of a speaker on its own, `ocicat bgp speak` */
export interface SpeakerStatusView {
  readonly kind: 'speaker';
  readonly version: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly ready: boolean;
  /** the configuration */
  readonly file: string;
  readonly routerId?: string;
  readonly asNumber?: number;
  readonly bgp: Omit<StatusView['bgp'], 'listening' | 'port'> & {
    readonly listeningPorts: readonly number[];
  };
  readonly staticRoutes: { readonly configured: number; readonly announced: number };
  /** absent: routes go to no kernel */
  readonly fib?: { readonly desired: number; readonly pending: number; readonly failed: number };
  readonly findings: readonly Finding[];
}

/** `GET /v1/bgp/peers` row */
export interface PeerView extends PeerDetailView {
  readonly name: string;
  readonly resource: string;
  /** the BGPPeer that is its peer group */
  readonly group?: string;
  /** came by itself, out of a listen-range */
  readonly dynamic?: true;
  readonly address: string;
  readonly asNumber: number;
  readonly localAs: number;
  readonly kind: 'ebgp' | 'ibgp';
  readonly state: string;
  readonly since: number;
  readonly establishedAt?: number;
  readonly routerId?: string;
  readonly localAddress?: string;
  readonly holdTimeSec?: number;
  readonly keepaliveTimeSec?: number;
  readonly policy: { readonly import: string; readonly export: string };
  readonly families: Readonly<Record<Family, PeerFamilyView>>;
  readonly counters: Readonly<Record<string, number>>;
  readonly lastReset?: {
    readonly at: number;
    readonly direction: string;
    readonly text: string;
    /** of the NOTIFICATION, if one went */
    readonly code?: number;
    readonly subcode?: number;
  };
  readonly lastError?: string;
  readonly nextConnectAt?: number;
  readonly outputQueuedOctets: number;
  readonly gracefulRestart: {
    readonly peerCapable: boolean;
    readonly peerRestartTimeSec?: number;
    readonly peerFamilies: readonly Family[];
    readonly helperUntil?: number;
  };
}

export interface PeerFamilyView {
  readonly negotiated: boolean;
  readonly received: number;
  readonly accepted: number;
  readonly filtered: number;
  readonly advertised: number;
  readonly stale: number;
  readonly endOfRibReceived: boolean;
  readonly endOfRibSent: boolean;
  /** not taken, for the limit */
  readonly discarded: number;
  /** prefixes of which the peer is still to be told, at most */
  readonly pending: number;
  readonly prefixLimit?: PrefixLimitView;
}

/** `GET /v1/bgp/summary` */
export interface BgpSummaryView {
  readonly routerId: string;
  readonly asNumber: number;
  /** where peers can reach us now */
  readonly listeningPorts: readonly number[];
  /** RFC 4724: the families whose route selection still waits for End-of-RIB */
  readonly deferral: readonly Family[];
  /** RFC 8326: `draining` while everything goes out tagged, `drained` once the sessions have been ended for it */
  readonly service: 'in-service' | 'draining' | 'drained';
  /** prefixes with a path */
  readonly locRib: Readonly<Record<Family, number>>;
  readonly peers: readonly PeerView[];
}

/** What a BGP message is and what its receiver does about it, as `ocicat bgp decode` has it. */
export interface VerdictView {
  readonly verdict: 'valid' | 'attr-discard' | 'treat-as-withdraw' | 'session-reset' | 'close';
  readonly error: { readonly code: number; readonly subcode: number; readonly data: string } | null;
  readonly type: string | null;
  readonly decoded: object | null;
  readonly why: string;
}

/** `GET /v1/bgp/peers/:peer/capture` row: a message as it came or went, or how many could not be shown because the reader was slow */
export type CapturedRow =
  | {
      readonly direction: 'received' | 'sent';
      readonly at: number;
      readonly local: { readonly address: string; readonly port: number };
      readonly remote: { readonly address: string; readonly port: number };
      /** the whole message */
      readonly hex: string;
      /** as its receiver judges it; `type`, `decoded` and the rest as in `ocicat bgp decode` */
      readonly verdict: VerdictView;
      /** it went before the capture began, at the session's start: an OPEN or a first KEEPALIVE */
      readonly earlier?: true;
    }
  | { readonly lost: number };

/** `GET /v1/bgp/routes` row: one path */
export interface PathRow {
  readonly prefix: string;
  readonly family: Family;
  readonly best: boolean;
  readonly multipath: boolean;
  readonly stale: boolean;
  readonly valid: boolean;
  /** why it takes no part in the decision */
  readonly unusable?: string;
  readonly policyNote?: string;
  /** why the best is best, or what this one lost by */
  readonly reason?: string;
  /** best, but nobody is told of it before the kernel has taken it */
  readonly awaitsFib?: true;
  /** 'local' or the peer's name */
  readonly from: string;
  /** RFC 7911 */
  readonly pathId?: number;
  readonly fromRouterId?: string;
  readonly nextHop?: string;
  readonly linkLocalNextHop?: string;
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly asPath: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly communities: readonly string[];
  readonly largeCommunities: readonly string[];
  readonly extendedCommunities: readonly string[];
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  readonly atomicAggregate: boolean;
  readonly aggregator?: string;
  readonly receivedAt: number;
  /** where one prefix of the Loc-RIB is asked for, with its best path: the peers that have been told of it */
  readonly advertisedTo?: readonly string[];
}

/** `GET /v1/routes` row: a route that we want beside what the kernel has */
export interface FibRouteView {
  readonly prefix: string;
  readonly family: Family;
  readonly kind: string;
  /** endpoint, block, remote, bgp, or foreign */
  readonly source: string;
  /** installed, partial, pending, waiting, failed, conflict, stale, removing, held, foreign */
  readonly state: string;
  readonly nextHops: readonly string[];
  /** what the kernel holds for the prefix, in words */
  readonly kernel: string;
  readonly metric: number;
  readonly table: number;
  /** of `nextHops` those that carry nothing now, as there: a link is down or a neighbour dead */
  readonly out?: readonly string[];
  /** how often the kernel has refused it */
  readonly attempts?: number;
  readonly error?: string;
}

/** `POST /v1/routes/release` answer: what the brake on mass deletion had held */
export interface ReleasedRoutesView {
  readonly released: readonly { readonly family: Family; readonly count: number }[];
}

/** `POST /v1/routes/take` answer */
export interface TakenRoutesView {
  readonly prefix: string;
  /** the routes of others that made room, in words */
  readonly taken: readonly string[];
}

/** `GET /v1/endpoints` row */
export interface EndpointView {
  readonly name: string;
  readonly namespace: string;
  readonly interface: string;
  readonly addresses: readonly string[];
  readonly mac: string;
  readonly mtu: number;
  readonly netns: string;
  /** up, pending, failed, gone */
  readonly state: string;
  readonly reason?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly profiles: readonly string[];
  readonly policies: readonly string[];
  /** ports of the host that lead to it */
  readonly published: readonly WorkloadPort[];
}

/** `POST /v1/endpoints` body */
export interface EndpointRequest {
  readonly name: string;
  readonly namespace?: string;
  readonly netns: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ips?: readonly string[];
  readonly interface?: string;
  readonly profiles?: readonly string[];
  /** named and published ports; when absent, those of an earlier attachment stay */
  readonly ports?: readonly WorkloadPort[];
}

/** One line of what `apply` or `delete` did. */
export interface AppliedView {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly action: 'created' | 'updated' | 'unchanged' | 'deleted';
  readonly warnings?: readonly string[];
  /** what all resources of the call together do to BGP sessions of this node; stands with one of them */
  readonly sessions?: readonly SessionEffect[];
}

/** What a change does to a BGP session. */
export interface SessionEffect {
  readonly peer: string;
  /** `BGPPeer tor1`, `mesh h2` */
  readonly resource: string;
  /** `reset`: ends and comes back; `live`: changes under the session */
  readonly effect: 'added' | 'removed' | 'reset' | 'live';
  /** what changes, by the names of peer settings */
  readonly reasons: readonly string[];
}
