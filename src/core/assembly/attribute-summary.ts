/**
 * What the decision process needs of a set of attributes, read in one pass over the octets of its key without decoding it. The key's form is
 * that of `AttributeKey` (bgp/wire/types.ts): next-hop length, next hop, attributes in order of code, four octets an AS number.
 */
import { pointer, put } from './fields';
import {
  ATTRIBUTE_CLUSTER_LENGTH,
  ATTRIBUTE_FLAGS,
  ATTRIBUTE_LINK_BANDWIDTH,
  ATTRIBUTE_LOCAL_PREF,
  ATTRIBUTE_MED,
  ATTRIBUTE_NEIGHBOUR_AS,
  ATTRIBUTE_ORIGIN,
  ATTRIBUTE_ORIGINATOR_ID,
  ATTRIBUTE_PATH_HASH,
  ATTRIBUTE_PATH_LENGTH,
  ATTRIBUTE_RANK,
  DEFAULT_LOCAL_PREF,
  GRACEFUL_SHUTDOWN,
  HAS_LOCAL_PREF,
  HAS_MED,
  HAS_ORIGINATOR,
  HAS_OTC,
  LLGR_STALE,
  NO_ADVERTISE,
  NO_BANDWIDTH,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  NO_LLGR,
} from './layout';

/** attribute codes as IANA has them */
const ORIGIN = 1;
export const AS_PATH = 2;
const MULTI_EXIT_DISC = 4;
const LOCAL_PREF = 5;
const COMMUNITIES = 8;
const ORIGINATOR_ID = 9;
const CLUSTER_LIST = 10;
const EXTENDED_COMMUNITIES = 16;
const ONLY_TO_CUSTOMER = 35;

const EXTENDED_LENGTH = 0x10;
/** AS_PATH segment types, RFC 4271 4.3; those of confederations (RFC 5065 3) count nothing */
const AS_SET = 1;
const AS_SEQUENCE = 2;
const INCOMPLETE = 2;

/** of MurmurHash3's finaliser (public domain), as halves since no number of TypeScript holds them */
const MIX = ((<u64>0xff51afd7) << 32) | <u64>0xed558ccd;
const LAST_MIX = ((<u64>0xc4ceb9fe) << 32) | <u64>0x1a85ec53;

/** Fills the columns of an id, `nextHop` excepted, from its key between two addresses; returns its flags. */
export function summarize(attributes: usize, id: i32, start: usize, end: usize): i32 {
  let flags = 0;
  let origin = INCOMPLETE;
  let med: i32 = 0;
  let localPref: u32 = DEFAULT_LOCAL_PREF;
  let pathLength: i32 = 0;
  let pathHash: i32 = 0;
  let neighbourAs: i32 = 0;
  let originatorId: i32 = 0;
  let clusterLength: i32 = 0;
  let bandwidth = <f32>NO_BANDWIDTH;
  let at = firstAttribute(start);
  while (at + 3 <= end) {
    const value = valueStart(at);
    const after = valueEnd(at);
    switch (<i32>load<u8>(at, 1)) {
      case ORIGIN:
        origin = <i32>load<u8>(value);
        break;
      case AS_PATH:
        pathHash = hashOctets(value, after - value, 0);
        pathLength = countPath(value, after);
        neighbourAs = leftmostAs(value, after);
        break;
      case MULTI_EXIT_DISC:
        med = word(value);
        flags |= HAS_MED;
        break;
      case LOCAL_PREF:
        localPref = <u32>word(value);
        flags |= HAS_LOCAL_PREF;
        break;
      case COMMUNITIES:
        flags |= communityFlags(value, after);
        break;
      case ORIGINATOR_ID:
        originatorId = word(value);
        flags |= HAS_ORIGINATOR;
        break;
      case CLUSTER_LIST:
        clusterLength = <i32>(after - value) >> 2;
        break;
      case EXTENDED_COMMUNITIES:
        bandwidth = linkBandwidth(value, after);
        break;
      case ONLY_TO_CUSTOMER:
        flags |= HAS_OTC;
        break;
    }
    at = after;
  }
  put(pointer(attributes, ATTRIBUTE_LOCAL_PREF), id, <i32>localPref);
  put(pointer(attributes, ATTRIBUTE_MED), id, med);
  put(pointer(attributes, ATTRIBUTE_NEIGHBOUR_AS), id, neighbourAs);
  put(pointer(attributes, ATTRIBUTE_ORIGINATOR_ID), id, originatorId);
  put(pointer(attributes, ATTRIBUTE_PATH_HASH), id, pathHash);
  store<f32>(pointer(attributes, ATTRIBUTE_LINK_BANDWIDTH) + ((<usize>id) << 2), bandwidth);
  store<u16>(pointer(attributes, ATTRIBUTE_PATH_LENGTH) + ((<usize>id) << 1), pathLength);
  store<u16>(pointer(attributes, ATTRIBUTE_CLUSTER_LENGTH) + ((<usize>id) << 1), clusterLength);
  store<u16>(pointer(attributes, ATTRIBUTE_FLAGS) + ((<usize>id) << 1), flags);
  store<u8>(pointer(attributes, ATTRIBUTE_ORIGIN) + <usize>id, origin);
  const rank = rankOf(flags, localPref, pathLength, origin);
  store<f64>(pointer(attributes, ATTRIBUTE_RANK) + ((<usize>id) << 3), rank);
  return flags;
}

/**
 * Long-lived staleness, LOCAL_PREF, length of AS_PATH and origin in one number of 51 bits, which orders paths as the decision process does
 * by these in turn: smaller is better.
 */
function rankOf(flags: i32, localPref: u32, pathLength: i32, origin: i32): f64 {
  const stale: u64 = (flags & LLGR_STALE) !== 0 ? 1 : 0;
  return <f64>((stale << 50) + ((<u64>~localPref) << 18) + ((<u64>pathLength) << 2) + <u64>origin);
}

function communityFlags(value: usize, end: usize): i32 {
  let flags = 0;
  for (let at = value; at + 4 <= end; at += 4) {
    const community = word(at);
    if (community >>> 16 !== 0xffff) continue;
    switch (community & 0xffff) {
      case 0x0000:
        flags |= GRACEFUL_SHUTDOWN;
        break;
      case 0x0006:
        flags |= LLGR_STALE;
        break;
      case 0x0007:
        flags |= NO_LLGR;
        break;
      // RFC 1997: the well-known communities are 0xffffff01 to 0xffffff03.
      case 0xff01:
        flags |= NO_EXPORT;
        break;
      case 0xff02:
        flags |= NO_ADVERTISE;
        break;
      case 0xff03:
        flags |= NO_EXPORT_SUBCONFED;
        break;
    }
  }
  return flags;
}

/**
 * Octets per second in an EXTENDED COMMUNITIES attribute (RFC 10005), or NO_BANDWIDTH. Of several communities the lowest counts, whether
 * transitive or not; what is no bandwidth (negative, infinite, not a number) does not count.
 */
function linkBandwidth(value: usize, end: usize): f32 {
  let lowest = <f32>NO_BANDWIDTH;
  for (let at = value; at + 8 <= end; at += 8) {
    // Two-octet AS specific, sub-type 4; the non-transitive bit (RFC 4360 3.1) makes no difference.
    if ((load<u8>(at) & 0xbf) !== 0 || load<u8>(at, 1) !== 4) continue;
    const bandwidth = reinterpret<f32>(word(at + 4));
    if (!(bandwidth >= 0 && bandwidth <= f32.MAX_VALUE)) continue;
    if (lowest < 0 || bandwidth < lowest) lowest = bandwidth;
  }
  return lowest;
}

/** RFC 4271 9.1.2.2 a: a set counts 1, confederation segments 0 (RFC 5065 5.3). */
function countPath(value: usize, end: usize): i32 {
  let length: i32 = 0;
  for (let at = value; at + 2 <= end; at += segmentOctets(at)) {
    const type = <i32>load<u8>(at);
    if (type === AS_SEQUENCE) length += <i32>load<u8>(at, 1);
    else if (type === AS_SET) length++;
  }
  return length;
}

/** The leftmost AS of a path that starts with a sequence, else 0. */
function leftmostAs(value: usize, end: usize): i32 {
  for (let at = value; at + 2 <= end; at += segmentOctets(at)) {
    const type = <i32>load<u8>(at);
    if (type === AS_SEQUENCE && load<u8>(at, 1) > 0) return word(at + 2);
    if (type === AS_SEQUENCE || type === AS_SET) return 0;
  }
  return 0;
}

/** How many times an AS stands in an AS_PATH between two addresses, in whatever kind of segment (RFC 4271 9.1.2, loop check). */
export function pathOccurrences(value: usize, end: usize, as: i32): i32 {
  const sought = bswap(as);
  let found = 0;
  let at = value;
  while (at + 2 <= end) {
    const segmentEnd = at + segmentOctets(at);
    for (at += 2; at < segmentEnd; at += 4) if (load<i32>(at) === sought) found++;
  }
  return found;
}

function segmentOctets(segment: usize): usize {
  return 2 + ((<usize>load<u8>(segment, 1)) << 2);
}

/** Where the attribute with a code begins in a key, or 0. */
export function findAttribute(start: usize, end: usize, code: i32): usize {
  let at = firstAttribute(start);
  while (at < end) {
    const found = <i32>load<u8>(at, 1);
    if (found === code) return at;
    if (found > code) return 0;
    at = valueEnd(at);
  }
  return 0;
}

function firstAttribute(start: usize): usize {
  return start + 1 + <usize>load<u8>(start);
}

/** The value of an attribute that stands at an address. */
export function valueStart(at: usize): usize {
  return at + ((load<u8>(at) & EXTENDED_LENGTH) !== 0 ? 4 : 3);
}

/** The end of the attribute that stands at an address. */
export function valueEnd(at: usize): usize {
  return (load<u8>(at) & EXTENDED_LENGTH) !== 0
    ? at + 4 + <usize>bswap(load<u16>(at, 2))
    : at + 3 + <usize>load<u8>(at, 2);
}

/** Four octets in network order. */
function word(at: usize): i32 {
  return bswap(load<i32>(at));
}

/**
 * A hash of a run of octets, eight at a time, by multiplication and fold. `seed` makes it
 * unknown to whoever chose the octets.
 */
export function hashOctets(start: usize, octets: usize, seed: i32): i32 {
  let hash = ((<u64>(<u32>seed)) << 32) ^ <u64>octets;
  const end = start + octets;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    hash = (hash ^ load<u64>(at)) * MIX;
    hash ^= hash >>> 32;
  }
  if (at < end) {
    let last: u64 = 0;
    for (; at < end; at++) last = (last << 8) | <u64>load<u8>(at);
    hash = (hash ^ last) * MIX;
    hash ^= hash >>> 32;
  }
  hash *= LAST_MIX;
  return <i32>(hash >>> 32);
}

/** Whether two runs of as many octets are the same. */
export function sameOctets(a: usize, b: usize, octets: usize): bool {
  let at: usize = 0;
  for (; at + 8 <= octets; at += 8) if (load<u64>(a + at) !== load<u64>(b + at)) return false;
  for (; at < octets; at++) if (load<u8>(a + at) !== load<u8>(b + at)) return false;
  return true;
}
