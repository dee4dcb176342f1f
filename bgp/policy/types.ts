/**
 * Filters as data. A chain is evaluated rule by rule, the first match decides; at its end the fall-through holds.
 * They are compiled by the RIB so that a route costs a table look-up, not a walk.
 */
import type { Prefix } from '../../src/net/prefix.ts';
import type { LargeCommunity } from '../wire/types.ts';

/** How a rule's CIDR is compared with the route's prefix (Calico BGPFilter's operators). */
export type PrefixOperator = 'Equal' | 'NotEqual' | 'In' | 'NotIn';

/** Absent fields match everything. */
export interface FilterMatch {
  readonly prefix?: { readonly cidr: Prefix; readonly operator: PrefixOperator };
  /** inclusive bounds of the route's prefix length */
  readonly prefixLength?: { readonly min: number; readonly max: number };
  /** any of these prefixes, each with inclusive length bounds */
  readonly prefixList?: readonly {
    readonly cidr: Prefix;
    readonly minLength: number;
    readonly maxLength: number;
  }[];
  /** where the route comes from: originated by this speaker, or learned */
  readonly source?: 'local' | 'peer';
  /** kind of the peer whose session is filtered */
  readonly peerKind?: 'ebgp' | 'ibgp';
  readonly community?: number | LargeCommunity;
  /** the AS_PATH starts with these */
  readonly asPathPrefix?: readonly number[];
  /** LOCAL_PREF is there and has this value */
  readonly localPref?: number;
  /**
   * Pattern (`*` for any characters) of the interface that the route leads to; a route without one, or with several, does not match. Asked
   * on export only: chains for import never match it.
   */
  readonly interface?: string;
}

/** What an accepted route is changed by, in order. */
export type FilterOperation =
  | { readonly kind: 'add-community'; readonly community: number | LargeCommunity }
  | { readonly kind: 'prepend-as-path'; readonly asNumbers: readonly number[] }
  | { readonly kind: 'set-local-pref'; readonly value: number }
  | { readonly kind: 'set-med'; readonly value: number };

export interface FilterRule {
  /** shown to people: `builtin: martian 127.0.0.0/8`, `BGPFilter deny-default importV4[0]` */
  readonly name: string;
  readonly match: FilterMatch;
  readonly action: 'accept' | 'reject';
  readonly operations?: readonly FilterOperation[];
}

/** An ordered list of rules with a name (`builtin`, or the names of the BGPFilters). */
export interface FilterChain {
  readonly name: string;
  readonly rules: readonly FilterRule[];
  readonly fallThrough: 'accept' | 'reject';
}
