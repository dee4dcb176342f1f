/**
 * The best of a prefix's paths where nothing asks for the steps of the decision (bgp/rib/decision.ts) one by one: no path has a MED, and one path is
 * taken. The steps before MED are one comparison of ranks; those after it order paths whoever else is there.
 */
import { at, get, pointer } from './fields';
import {
  ATTRIBUTE_CLUSTER_LENGTH,
  ATTRIBUTE_FLAGS,
  ATTRIBUTE_NEXT_HOP,
  ATTRIBUTE_ORIGINATOR_ID,
  ATTRIBUTE_RANK,
  ATTRIBUTE_WITH_MED,
  FAMILY_ATTRIBUTES,
  FAMILY_COMPARES_ROUTER_ID,
  FAMILY_DEFERRED,
  FAMILY_NEXT_HOPS,
  FAMILY_PATHS,
  FAMILY_PEERS,
  FAMILY_TAKES_SEVERAL,
  HAS_ORIGINATOR,
  LOCAL_AHEAD,
  LOCAL_PEER,
  NEXT_HOP_METRIC,
  NEXT_HOP_USABLE,
  PATHS_EFFECTIVE,
  PATHS_HEAD,
  PATHS_NEXT,
  PATHS_TICK,
  PEERS_ADDRESS_RANK,
  PEERS_EXTERNAL,
  PEERS_ROUTER_ID,
} from './layout';
import { pathIdOf, peerOfRecord } from './paths';

const NONE = -1;
/** in place of a record: the steps must be gone through one by one */
export const UNDECIDED = -2;
/** Whether a path takes part in the decision at present. */
export function isCandidate(family: usize, record: i32): bool {
  const paths = pointer(family, FAMILY_PATHS);
  const effective = at(pointer(paths, PATHS_EFFECTIVE), record);
  if (effective < 0) return false;
  if (peerOfRecord(paths, record) === LOCAL_PEER) return true;
  if (get(family, FAMILY_DEFERRED) !== 0) return false;
  const nextHop = at(pointer(pointer(family, FAMILY_ATTRIBUTES), ATTRIBUTE_NEXT_HOP), effective);
  if (nextHop < 0) return false;
  return load<u8>(pointer(pointer(family, FAMILY_NEXT_HOPS), NEXT_HOP_USABLE) + <usize>nextHop) === 1;
}

/** The record of the best path to a prefix, NONE or UNDECIDED. */
export function bestOf(family: usize, prefix: i32): i32 {
  const paths = pointer(family, FAMILY_PATHS);
  const first = at(pointer(paths, PATHS_HEAD), prefix);
  if (first < 0) return NONE;
  const nexts = pointer(paths, PATHS_NEXT);
  // Most prefixes have one path.
  if (at(nexts, first) < 0) return isCandidate(family, first) ? first : NONE;
  if (!isOrdered(family)) return UNDECIDED;
  let best = NONE;
  let bestRank: f64 = 0;
  for (let record = first; record >= 0; record = at(nexts, record)) {
    if (!isCandidate(family, record)) continue;
    const rank = rankOf(family, record);
    if (best < 0 || rank < bestRank || (rank === bestRank && isBefore(family, record, best))) {
      best = record;
      bestRank = rank;
    }
  }
  return best;
}

/** Whether any two paths can be told apart by themselves. */
export function isOrdered(family: usize): bool {
  return (
    get(family, FAMILY_TAKES_SEVERAL) === 0 &&
    get(pointer(family, FAMILY_ATTRIBUTES), ATTRIBUTE_WITH_MED) === 0
  );
}

/** One number for the steps before `med`: smaller is better. */
export function rankOf(family: usize, record: i32): f64 {
  const paths = pointer(family, FAMILY_PATHS);
  const rank = rankOfAttributes(family, at(pointer(paths, PATHS_EFFECTIVE), record));
  return peerOfRecord(paths, record) === LOCAL_PEER ? rank - <f64>LOCAL_AHEAD : rank;
}

/** The same of attributes, for paths that are not local. */
export function rankOfAttributes(family: usize, attribute: i32): f64 {
  return load<f64>(pointer(pointer(family, FAMILY_ATTRIBUTES), ATTRIBUTE_RANK) + ((<usize>attribute) << 3));
}

/** Of two paths of the same rank: whether the steps from `ebgp-over-ibgp` on prefer the first. */
export function isBefore(family: usize, a: i32, b: i32): bool {
  const paths = pointer(family, FAMILY_PATHS);
  const peers = pointer(family, FAMILY_PEERS);
  const peerA = peerOfRecord(paths, a);
  const peerB = peerOfRecord(paths, b);
  const external = pointer(peers, PEERS_EXTERNAL);
  const isExternal = load<u8>(external + <usize>peerA) === 1;
  if (isExternal !== (load<u8>(external + <usize>peerB) === 1)) return isExternal;
  const effective = pointer(paths, PATHS_EFFECTIVE);
  const attributeA = at(effective, a);
  const attributeB = at(effective, b);
  const metricA = metricOf(family, attributeA);
  const metricB = metricOf(family, attributeB);
  if (metricA !== metricB) return metricA < metricB;
  if (isExternal && get(family, FAMILY_COMPARES_ROUTER_ID) === 0) {
    const tickA = <u32>at(pointer(paths, PATHS_TICK), a);
    const tickB = <u32>at(pointer(paths, PATHS_TICK), b);
    if (tickA !== tickB) return tickA < tickB;
  }
  const routerA = routerIdOf(family, attributeA, peerA);
  const routerB = routerIdOf(family, attributeB, peerB);
  if (routerA !== routerB) return routerA < routerB;
  const clusters = pointer(pointer(family, FAMILY_ATTRIBUTES), ATTRIBUTE_CLUSTER_LENGTH);
  const clustersA = load<u16>(clusters + ((<usize>attributeA) << 1));
  const clustersB = load<u16>(clusters + ((<usize>attributeB) << 1));
  if (clustersA !== clustersB) return clustersA < clustersB;
  const addressRank = pointer(peers, PEERS_ADDRESS_RANK);
  const addressA = at(addressRank, peerA);
  const addressB = at(addressRank, peerB);
  if (addressA !== addressB) return addressA < addressB;
  return <u32>pathIdOf(paths, a) < <u32>pathIdOf(paths, b);
}

function metricOf(family: usize, attribute: i32): u32 {
  const nextHop = at(pointer(pointer(family, FAMILY_ATTRIBUTES), ATTRIBUTE_NEXT_HOP), attribute);
  return nextHop < 0 ? 0 : <u32>at(pointer(pointer(family, FAMILY_NEXT_HOPS), NEXT_HOP_METRIC), nextHop);
}

/** ORIGINATOR_ID, else the peer's BGP identifier (RFC 4456 9). */
function routerIdOf(family: usize, attribute: i32, peer: i32): u32 {
  const attributes = pointer(family, FAMILY_ATTRIBUTES);
  const flags = load<u16>(pointer(attributes, ATTRIBUTE_FLAGS) + ((<usize>attribute) << 1));
  return (flags & HAS_ORIGINATOR) !== 0
    ? <u32>at(pointer(attributes, ATTRIBUTE_ORIGINATOR_ID), attribute)
    : <u32>at(pointer(pointer(family, FAMILY_PEERS), PEERS_ROUTER_ID), peer);
}
