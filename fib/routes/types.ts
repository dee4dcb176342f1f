/** The values in which routes are told to the FIB programmer and shown by it. */
import type { Address, Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';

/** Route and next-hop protocol number by which our own routes are recognised without any memory. Never 11, 12, 80 or 186. */
export const DEFAULT_PROTOCOL = 171;
/** Metric of all our routes in both families; IPv6 routes without a metric get the same number from the kernel. */
export const DEFAULT_METRIC = 1024;
/** The main routing table. */
export const DEFAULT_TABLE = 254;

/** What happens to packets: sent on, dropped silently, or answered with an ICMP error. */
export type RouteKind = 'unicast' | 'blackhole' | 'unreachable' | 'prohibit';

/** One way on: an interface, and the neighbour on it (absent: the destination itself is on the link). */
export interface RouteNextHop {
  readonly ifindex: number;
  /** may be of the other family: an IPv4 route via an IPv6 neighbour (RFC 8950) */
  readonly gateway?: Address | undefined;
  /** take the gateway to be on the link although no subnet says so */
  readonly onlink?: boolean | undefined;
  /** share among equal-cost paths, 1..256; default 1 */
  readonly weight?: number | undefined;
}

/** What a route does, without its destination. Interned: many routes share one. */
export interface RouteTarget {
  readonly kind: RouteKind;
  /** one or more for `unicast`, none for the others */
  readonly nextHops: readonly RouteNextHop[];
  /** preferred source address for packets of this host */
  readonly prefsrc?: Address | undefined;
  /** default: the table's */
  readonly metric?: number | undefined;
}

/** Who wants a route. For one prefix the first in this order wins. */
export const ROUTE_SOURCES = ['endpoint', 'block', 'remote', 'bgp'] as const;
/**
 * `endpoint`: a container's address; `block`: the blackhole of a local block; `remote`: to another host's block, known
 * from the store instead of a peer; `bgp`: learned from a peer.
 */
export type RouteSource = (typeof ROUTE_SOURCES)[number];

/** What may be swept at one go: learned routes per family after End-of-RIB, local ones after the store is in sync. */
export type SweepScope = 'learned' | 'local';

/**
 * Where a route stands in the kernel.
 * - `installed`: as desired
 * - `partial`: of several next hops some carry the traffic; the others are out (`RouteView.out`)
 * - `pending`: not written yet
 * - `waiting`: an interface of it is down or gone; written when it comes up
 * - `failed`: the kernel refused; tried again with back-off
 * - `blocked`: a foreign route has the same prefix and metric; it stays, ours is not installed
 * - `leftover`: ours from an earlier life, not desired (yet); kept until the sweep
 * - `removing`: ours, not desired any more, deletion not written yet
 * - `held`: ours, not desired any more; it stays since nearly all learned routes would go without a cause that we know
 */
export type RouteState =
  | 'installed'
  | 'partial'
  | 'pending'
  | 'waiting'
  | 'failed'
  | 'blocked'
  | 'leftover'
  | 'removing'
  | 'held';

/** Learned routes of a family that the brake on mass deletion keeps. */
export interface BrakeView {
  readonly family: Family;
  readonly held: number;
  /** learned routes of ours in the kernel when the brake took hold */
  readonly of: number;
}

/** What the brake on mass deletion did: holds routes, lets them go (`why`), or has nothing to hold any more. */
export type BrakeEvent =
  | (BrakeView & { readonly kind: 'held' | 'gone' })
  | (BrakeView & { readonly kind: 'released'; readonly why: string });

/** A route of somebody else, as the kernel has it. */
export interface ForeignRoute {
  readonly prefix: Prefix;
  /** rtnetlink protocol number */
  readonly protocol: number;
  /** `kernel`, `static`, `bird` ... */
  readonly owner: string;
  readonly metric: number;
  /** also kinds that we never write: `local`, `broadcast`, `other` */
  readonly kind: RouteKind | 'local' | 'broadcast' | 'other';
  readonly nextHops: readonly RouteNextHop[];
}

/** A route's refusal by the kernel. */
export interface RouteFailure {
  readonly prefix: Prefix;
  readonly errno: number;
  /** errno's name, `ENETUNREACH` */
  readonly code: string;
  /** the kernel's own words, may be empty */
  readonly text: string;
  readonly attempts: number;
}

/**
 * A foreign route for a prefix that we want.
 * - `blocks`: same metric, so ours is not installed
 * - `shadows`: it has the lower metric and wins over ours, which is installed behind it
 * - `shadowed`: ours has the lower metric and wins
 */
export interface RouteConflict {
  readonly prefix: Prefix;
  readonly effect: 'blocks' | 'shadows' | 'shadowed';
  readonly foreign: ForeignRoute;
}

/** One prefix: what is desired beside what the kernel has. */
export interface RouteView {
  readonly prefix: Prefix;
  readonly state: RouteState;
  /** the source that wins, absent for leftovers */
  readonly source?: RouteSource;
  /** all sources that want the prefix, in order of precedence */
  readonly sources: readonly RouteSource[];
  readonly desired?: RouteTarget;
  /** what the kernel has of ours */
  readonly kernel?: RouteTarget;
  /** of the desired next hops those that carry nothing now: of a `partial` route, and of one that is `waiting` for their interfaces */
  readonly out?: readonly RouteNextHop[];
  readonly failure?: RouteFailure;
  readonly foreign: readonly ForeignRoute[];
}

/** Numbers for status and metrics, one family. */
export interface RouteCounts {
  readonly family: Family;
  readonly desired: number;
  readonly installed: number;
  /** of several next hops some are out; not counted as `installed` */
  readonly partial: number;
  readonly pending: number;
  readonly waiting: number;
  readonly failed: number;
  readonly blocked: number;
  readonly leftover: number;
  readonly held: number;
}

/** What a call of `apply` did. */
export interface ApplyResult {
  /** more can be done at once: call again in the next turn */
  readonly more: boolean;
  /** messages that the kernel took */
  readonly written: number;
  /** messages that it refused */
  readonly failed: number;
  /** when the next retry of failed routes is due, in the clock's milliseconds */
  readonly retryAtMs?: number;
}
