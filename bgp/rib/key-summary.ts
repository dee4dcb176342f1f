/**
 * What the decision process needs of an attribute key, read in one pass over its octets without decoding it.
 * The key's form is that of `AttributeKey` (bgp/wire/types.ts): next-hop length, next hop, attributes in order of code.
 */
import { linkBandwidth, NO_BANDWIDTH } from '../policy/link-bandwidth.ts';
import { uint32 } from '../wire/bytes.ts';
import { ATTRIBUTE } from '../wire/registry.ts';

/** Bits of the `flags` column. */
export const HAS_LOCAL_PREF = 1;
export const HAS_MED = 2;
export const HAS_ORIGINATOR = 4;
export const NO_EXPORT = 8;
export const NO_ADVERTISE = 16;
export const NO_EXPORT_SUBCONFED = 32;
/** RFC 8326 */
export const GRACEFUL_SHUTDOWN = 64;
/** RFC 9494 */
export const LLGR_STALE = 128;
export const NO_LLGR = 256;
/** RFC 9234 */
export const HAS_OTC = 512;

/** LOCAL_PREF of a route that carries none (RFC 4271 leaves it to us; 100 is what everybody uses). */
export const DEFAULT_LOCAL_PREF = 100;

/** AS_PATH segment types, RFC 4271 4.3 and RFC 5065 3. */
const AS_SET = 1;
const AS_SEQUENCE = 2;

/** Filled in by `summarize`; one object is reused for all keys. */
export interface KeySummary {
  flags: number;
  localPref: number;
  /** RFC 4271 9.1.2.2 a: a set counts 1, confederation segments 0 (RFC 5065 5.3) */
  pathLength: number;
  /** 0 igp, 1 egp, 2 incomplete */
  origin: number;
  /** a missing MED counts 0 */
  med: number;
  /** leftmost AS of the path when it starts with a sequence, else 0 */
  neighbourAs: number;
  originatorId: number;
  clusterLength: number;
  /** hash of the AS_PATH's octets, to compare paths quickly */
  pathHash: number;
  /** octets per second (RFC 10005), or NO_BANDWIDTH */
  linkBandwidth: number;
}

/** A summary to hand to `summarize`. */
export function emptySummary(): KeySummary {
  return {
    flags: 0,
    localPref: DEFAULT_LOCAL_PREF,
    pathLength: 0,
    origin: 2,
    med: 0,
    neighbourAs: 0,
    originatorId: 0,
    clusterLength: 0,
    pathHash: 0,
    linkBandwidth: NO_BANDWIDTH,
  };
}

/** What a local path is ahead by: more than any `rankOf`. */
export const LOCAL_AHEAD = 2 ** 51;

/**
 * Long-lived staleness, LOCAL_PREF, length of AS_PATH and origin in one number of 51 bits, which orders paths as the decision process does
 * by these in turn: smaller is better.
 */
export function rankOf(summary: Pick<KeySummary, 'flags' | 'localPref' | 'pathLength' | 'origin'>): number {
  const { flags, localPref, pathLength, origin } = summary;
  const stale = (flags & LLGR_STALE) !== 0 ? 2 ** 50 : 0;
  return stale + (0xffff_ffff - localPref) * 2 ** 18 + pathLength * 4 + origin;
}

/** Reads the columns of a key that stands in `bytes` from `start` to `end`. */
export function summarize(bytes: Uint8Array, start: number, end: number, into: KeySummary): void {
  into.flags = 0;
  into.localPref = DEFAULT_LOCAL_PREF;
  into.pathLength = 0;
  into.origin = 2;
  into.med = 0;
  into.neighbourAs = 0;
  into.originatorId = 0;
  into.clusterLength = 0;
  into.pathHash = 0;
  into.linkBandwidth = NO_BANDWIDTH;
  let at = start + 1 + (bytes[start] ?? 0);
  while (at + 3 <= end) {
    const code = bytes[at + 1] ?? 0;
    const extended = ((bytes[at] ?? 0) & 0x10) !== 0;
    const length = extended ? ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0) : (bytes[at + 2] ?? 0);
    const value = at + (extended ? 4 : 3);
    summarizeAttribute(bytes, code, value, value + length, into);
    at = value + length;
  }
}

function summarizeAttribute(
  bytes: Uint8Array,
  code: number,
  value: number,
  end: number,
  into: KeySummary,
): void {
  switch (code) {
    case ATTRIBUTE.origin:
      into.origin = bytes[value] ?? 2;
      break;
    case ATTRIBUTE.asPath:
      summarizePath(bytes, value, end, into);
      break;
    case ATTRIBUTE.multiExitDisc:
      into.med = uint32(bytes, value);
      into.flags |= HAS_MED;
      break;
    case ATTRIBUTE.localPref:
      into.localPref = uint32(bytes, value);
      into.flags |= HAS_LOCAL_PREF;
      break;
    case ATTRIBUTE.communities:
      for (let at = value; at + 4 <= end; at += 4) {
        if (bytes[at] !== 0xff || bytes[at + 1] !== 0xff) continue;
        if (bytes[at + 2] === 0) {
          if (bytes[at + 3] === 0) into.flags |= GRACEFUL_SHUTDOWN;
          else if (bytes[at + 3] === 6) into.flags |= LLGR_STALE;
          else if (bytes[at + 3] === 7) into.flags |= NO_LLGR;
          continue;
        }
        // RFC 1997: the well-known communities are 0xffffff01 to 0xffffff03.
        if (bytes[at + 2] !== 0xff) continue;
        if (bytes[at + 3] === 1) into.flags |= NO_EXPORT;
        else if (bytes[at + 3] === 2) into.flags |= NO_ADVERTISE;
        else if (bytes[at + 3] === 3) into.flags |= NO_EXPORT_SUBCONFED;
      }
      break;
    case ATTRIBUTE.extendedCommunities:
      into.linkBandwidth = linkBandwidth(bytes, value, end);
      break;
    case ATTRIBUTE.originatorId:
      into.originatorId = uint32(bytes, value);
      into.flags |= HAS_ORIGINATOR;
      break;
    case ATTRIBUTE.onlyToCustomer:
      into.flags |= HAS_OTC;
      break;
    case ATTRIBUTE.clusterList:
      into.clusterLength = (end - value) >> 2;
      break;
  }
}

function summarizePath(bytes: Uint8Array, value: number, end: number, into: KeySummary): void {
  into.pathHash = hashOctets(bytes, value, end);
  let first = true;
  for (let at = value; at + 2 <= end; ) {
    const type = bytes[at];
    const count = bytes[at + 1] ?? 0;
    if (type === AS_SEQUENCE) {
      into.pathLength += count;
      if (first && count > 0) into.neighbourAs = uint32(bytes, at + 2);
    } else if (type === AS_SET) {
      into.pathLength += 1;
    }
    if (type === AS_SEQUENCE || type === AS_SET) first = false;
    at += 2 + 4 * count;
  }
}

/**
 * A hash of a run of octets, four at a time, as a signed 32-bit number (multiplication and fold with constants of MurmurHash3's finaliser, public
 * domain). `seed` makes it unknown to whoever chose the octets.
 */
export function hashOctets(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  let hash = seed ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24);
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0xc2b2ae35);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
