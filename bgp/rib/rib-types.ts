/** What users of the RIB say to it and hear from it. */
import type { Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';

/** Fixed for the life of a RIB. */
export interface RibOptions {
  /** our AS; each peer's configuration may use another one towards that peer */
  readonly localAs: number;
  /** our BGP identifier, unsigned 32-bit */
  readonly routerId: number;
  /** RFC 4456 7: id of the cluster whose reflector we are, unsigned 32-bit; default: the BGP identifier */
  readonly clusterId?: number;
  /** equal-cost paths used together: 1 (no multipath) to 64 */
  readonly maxPaths: number;
  /** multipath takes paths of other ASes too, if the AS_PATH is as long */
  readonly relaxAsPath: boolean;
  /** compare MED between different neighbour ASes */
  readonly alwaysCompareMed: boolean;
  /** let the router id decide where else the oldest external path stays best (RFC 5004) */
  readonly compareRouterId: boolean;
  /** next hops are unreachable until `setNextHopState` says otherwise; without, all count as reachable with metric 0 */
  readonly trackNextHops: boolean;
  /** there is something to decide or to send: `work` and then `fill` should be called soon */
  readonly onWork: () => void;
}

/** What `Rib.routes` is to yield. Without anything but a family: every path that import policy let pass. */
export interface RouteQuery {
  readonly family: Family;
  /** only this prefix */
  readonly prefix?: Prefix;
  /** with `prefix`: the longest prefix with a path that holds its network address, at most `prefix.length` long */
  readonly longestMatch?: boolean;
  /** only prefixes inside this one, itself included; not together with `prefix` */
  readonly within?: Prefix;
  /** only paths of this peer (id) */
  readonly peer?: number;
  /** Adj-RIB-In as received: attributes before import policy, unusable paths included */
  readonly received?: boolean;
}

/** A route that claims one of our own blocks. */
export interface RouteConflict {
  readonly prefix: Prefix;
  readonly peer: string;
  /** name of the rule that rejected it */
  readonly rule: string;
  /** AS numbers from the neighbour to the originator, sets flattened */
  readonly asPath: readonly number[];
}
