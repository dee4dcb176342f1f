/**
 * Changes to an attribute key in one pass over its octets, without decoding it: what filters' operations and the export rules of
 * RFC 4271 5.1 need. Form of a key: `AttributeKey` in bgp/wire/types.ts.
 */
import { attributeSlice } from '../wire/attribute-key.ts';
import { copyOctets, uint32, Views } from '../wire/bytes.ts';
import { ATTRIBUTE } from '../wire/registry.ts';
import type { AttributeKey, LargeCommunity } from '../wire/types.ts';

/** What to change; absent and undefined fields leave the key as it is. */
export interface KeyEdits {
  /** 0, 4, 16 or 32 octets */
  readonly nextHop?: Uint8Array | undefined;
  /** AS numbers to stand in front of the AS_PATH, the leftmost first */
  readonly prepend?: readonly number[] | undefined;
  /** a value, or 'remove' */
  readonly med?: number | 'remove' | undefined;
  readonly localPref?: number | 'remove' | undefined;
  /** is added unless it is there already (RFC 1997) */
  readonly community?: number;
  /** is added unless it is there already (RFC 8092 5) */
  readonly largeCommunity?: LargeCommunity;
  /** leaves out optional non-transitive attributes but MED, and extended communities that stay within an AS (RFC 4360 6) */
  readonly leaveAs?: boolean;
}

const OPTIONAL = 0x80;
const TRANSITIVE = 0x40;
const EXTENDED_LENGTH = 0x10;
const AS_SEQUENCE = 2;
const LARGEST_KEY = 1 << 17;

let target = new Uint8Array(4096);
let fill = 0;
let views = new Views(target, 0);

/** The changed key, in a buffer that the next call overwrites: intern or copy it. */
export function rewriteKey(key: AttributeKey, edits: KeyEdits): AttributeKey {
  reserve(key);
  fill = 0;
  const nextHopOctets = key[0] ?? 0;
  if (edits.nextHop === undefined) {
    copy(key, 0, 1 + nextHopOctets);
  } else {
    target[fill++] = edits.nextHop.length;
    copy(edits.nextHop, 0, edits.nextHop.length);
  }
  // of INSERTABLE: the first that has not been passed
  let next = 0;
  let at = 1 + nextHopOctets;
  while (at + 3 <= key.length) {
    const flags = key[at] ?? 0;
    const code = key[at + 1] ?? 0;
    const extended = (flags & EXTENDED_LENGTH) !== 0;
    const length = extended ? ((key[at + 2] ?? 0) << 8) | (key[at + 3] ?? 0) : (key[at + 2] ?? 0);
    const value = at + (extended ? 4 : 3);
    while ((INSERTABLE[next] ?? 256) < code) insertAttribute(edits, INSERTABLE[next++] ?? 0);
    if (INSERTABLE[next] === code) next++;
    const end = value + length;
    if (!replaceAttribute(key, edits, flags, code, value, end)) copy(key, at, end);
    at = end;
  }
  while (next < INSERTABLE.length) insertAttribute(edits, INSERTABLE[next++] ?? 0);
  return views.of(fill);
}

/** Grows the buffer when a key might not fit; edits add less than 2 KiB. */
function reserve(key: AttributeKey): void {
  if (key.length > LARGEST_KEY) throw new RangeError(`attributes of ${key.length} octets`);
  const needed = key.length + 2048;
  if (needed <= target.length) return;
  target = new Uint8Array(2 * needed);
  views = new Views(target, 0);
}

function copy(source: Uint8Array, start: number, end: number): void {
  fill = copyOctets(source, start, end, target, fill);
}

function put32(value: number): void {
  target[fill++] = value >>> 24;
  target[fill++] = value >>> 16;
  target[fill++] = value >>> 8;
  target[fill++] = value;
}

function putHeader(flags: number, code: number, length: number): void {
  const extended = length > 255;
  target[fill++] = (flags & ~EXTENDED_LENGTH) | (extended ? EXTENDED_LENGTH : 0);
  target[fill++] = code;
  if (extended) target[fill++] = length >>> 8;
  target[fill++] = length;
}

/** Codes that an edit can add to a key that lacks them, in order. */
const INSERTABLE: readonly number[] = [2, 4, 5, 8, 32];

function insertAttribute(edits: KeyEdits, code: number): void {
  if (code === 2 && edits.prepend !== undefined && edits.prepend.length > 0) {
    putHeader(TRANSITIVE, 2, 2 + 4 * edits.prepend.length);
    target[fill++] = AS_SEQUENCE;
    target[fill++] = edits.prepend.length;
    for (const as of edits.prepend) put32(as);
  } else if (code === 4 && typeof edits.med === 'number') {
    putHeader(OPTIONAL, 4, 4);
    put32(edits.med);
  } else if (code === 5 && typeof edits.localPref === 'number') {
    putHeader(TRANSITIVE, 5, 4);
    put32(edits.localPref);
  } else if (code === 8 && edits.community !== undefined) {
    putHeader(OPTIONAL | TRANSITIVE, 8, 4);
    put32(edits.community);
  } else if (code === 32 && edits.largeCommunity !== undefined) {
    putHeader(OPTIONAL | TRANSITIVE, 32, 12);
    putLarge(edits.largeCommunity);
  }
}

function putLarge(community: LargeCommunity): void {
  put32(community.global);
  put32(community.local1);
  put32(community.local2);
}

/** Writes an attribute's changed form. False: it stays as it is. */
function replaceAttribute(
  key: AttributeKey,
  edits: KeyEdits,
  flags: number,
  code: number,
  value: number,
  end: number,
): boolean {
  switch (code) {
    case 2:
      if (edits.prepend === undefined || edits.prepend.length === 0) return false;
      prependPath(key, value, end, edits.prepend);
      return true;
    case 4:
      if (edits.med === undefined) return false;
      if (edits.med !== 'remove') insertAttribute(edits, 4);
      return true;
    case 5:
      if (edits.localPref === undefined) return false;
      if (edits.localPref !== 'remove') insertAttribute(edits, 5);
      return true;
    case 8:
      if (edits.community === undefined || holds(key, value, end, [edits.community])) return false;
      putHeader(flags, 8, end - value + 4);
      copy(key, value, end);
      put32(edits.community);
      return true;
    case 16:
    case 25:
      if (edits.leaveAs !== true) return false;
      keepTransitiveCommunities(key, flags, code, value, end);
      return true;
    case 32: {
      const large = edits.largeCommunity;
      if (large === undefined || holds(key, value, end, [large.global, large.local1, large.local2]))
        return false;
      putHeader(flags, 32, end - value + 12);
      copy(key, value, end);
      putLarge(large);
      return true;
    }
    default:
      return edits.leaveAs === true && (flags & (OPTIONAL | TRANSITIVE)) === OPTIONAL;
  }
}

/** RFC 4271 5.1.2 b: in front of a leading sequence if there is room (255 members), else as a segment of its own. */
function prependPath(key: AttributeKey, value: number, end: number, prepend: readonly number[]): void {
  const leading = end - value >= 2 && key[value] === AS_SEQUENCE ? (key[value + 1] ?? 0) : 0;
  const joins = leading > 0 && leading + prepend.length <= 255;
  putHeader(TRANSITIVE, 2, end - value + 4 * prepend.length + (joins ? 0 : 2));
  target[fill++] = AS_SEQUENCE;
  target[fill++] = prepend.length + (joins ? leading : 0);
  for (const as of prepend) put32(as);
  copy(key, joins ? value + 2 : value, end);
}

/** Bit 0x40 of an extended community's type says that it stays within the AS (RFC 4360 2; RFC 5701 for those with IPv6 addresses). */
function keepTransitiveCommunities(
  key: AttributeKey,
  flags: number,
  code: number,
  value: number,
  end: number,
): void {
  const size = code === ATTRIBUTE.extendedCommunities ? 8 : 20;
  let kept = 0;
  for (let at = value; at + size <= end; at += size) if (((key[at] ?? 0) & 0x40) === 0) kept++;
  if (kept === 0) return;
  putHeader(flags, code, size * kept);
  for (let at = value; at + size <= end; at += size) {
    if (((key[at] ?? 0) & 0x40) === 0) copy(key, at, at + size);
  }
}

/** Whether a list of fixed-size entries of 32-bit words holds an entry. */
function holds(key: AttributeKey, value: number, end: number, entry: readonly number[]): boolean {
  for (let at = value; at + 4 * entry.length <= end; at += 4 * entry.length) {
    if (entry.every((word, i) => uint32(key, at + 4 * i) === word >>> 0)) return true;
  }
  return false;
}

/** Whether a key carries a community (RFC 1997) or a large community (RFC 8092). */
export function keyHasCommunity(key: AttributeKey, community: number | LargeCommunity): boolean {
  const code = typeof community === 'number' ? ATTRIBUTE.communities : ATTRIBUTE.largeCommunities;
  const entry =
    typeof community === 'number' ? [community] : [community.global, community.local1, community.local2];
  const value = attributeSlice(key, code);
  return value !== undefined && holds(value, 0, value.length, entry);
}

/** Whether a key has a LOCAL_PREF, and that value. */
export function keyHasLocalPref(key: AttributeKey, localPref: number): boolean {
  const value = attributeSlice(key, ATTRIBUTE.localPref);
  return value !== undefined && value.length === 4 && uint32(value, 0) === localPref;
}

/** Whether the AS_PATH of a key starts with these AS numbers, segment borders left aside; sets do not match. */
export function keyPathStartsWith(key: AttributeKey, asNumbers: readonly number[]): boolean {
  if (asNumbers.length === 0) return true;
  const path = attributeSlice(key, ATTRIBUTE.asPath);
  let seen = 0;
  for (let at = 0; path !== undefined && at + 2 <= path.length && seen < asNumbers.length; ) {
    const count = path[at + 1] ?? 0;
    if (path[at] !== AS_SEQUENCE) return false;
    for (let i = 0; i < count && seen < asNumbers.length; i++, seen++) {
      if (uint32(path, at + 2 + 4 * i) !== asNumbers[seen]) return false;
    }
    at += 2 + 4 * count;
  }
  return seen === asNumbers.length;
}
