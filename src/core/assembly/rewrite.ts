/**
 * Changes to an attribute key in one pass over its octets, without decoding it (bgp/policy/key-rewrite.ts says what for). Form of a key:
 * `AttributeKey` in bgp/wire/types.ts.
 */
import { at, get } from './fields';
import {
  REWRITE_ADDS_COMMUNITY,
  REWRITE_ADDS_LARGE,
  REWRITE_CHANGES,
  REWRITE_COMMUNITY,
  REWRITE_LARGE,
  REWRITE_LEAVES_AS,
  REWRITE_LOCAL_PREF,
  REWRITE_MED,
  REWRITE_NEXT_HOP,
  REWRITE_NEXT_HOP_OCTETS,
  REWRITE_PREPEND,
  REWRITE_PREPEND_COUNT,
  REWRITE_REMOVES_LOCAL_PREF,
  REWRITE_REMOVES_MED,
  REWRITE_SETS_LOCAL_PREF,
  REWRITE_SETS_MED,
  REWRITE_SETS_NEXT_HOP,
} from './layout';

const OPTIONAL = 0x80;
const TRANSITIVE = 0x40;
const EXTENDED_LENGTH = 0x10;
const AS_SEQUENCE = 2;

const AS_PATH = 2;
const MED = 4;
const LOCAL_PREF = 5;
const COMMUNITIES = 8;
const EXTENDED_COMMUNITIES = 16;
const IPV6_EXTENDED_COMMUNITIES = 25;
const LARGE_COMMUNITIES = 32;
const NO_MORE = 256;
/** What the length of an attribute can say; one that would be longer stays as it is. */
const LENGTH_MOST = 0xffff;

/** Writes the changed key to `to`, where there must be room for 2 KiB more than it has. Returns its octets. */
export function keyRewrite(edits: usize, key: usize, octets: i32, to: usize): i32 {
  const changes = get(edits, REWRITE_CHANGES);
  const end = key + <usize>octets;
  const attributes = key + 1 + <usize>load<u8>(key);
  let out = to;
  if ((changes & REWRITE_SETS_NEXT_HOP) === 0) {
    out = copy(key, attributes, out);
  } else {
    const nextHop = edits + (REWRITE_NEXT_HOP << 2);
    const nextHopOctets = get(edits, REWRITE_NEXT_HOP_OCTETS);
    store<u8>(out, nextHopOctets);
    out = copy(nextHop, nextHop + <usize>nextHopOctets, out + 1);
  }
  // of those that an edit can add: the first that has not been passed
  let next = AS_PATH;
  for (let start = attributes; start + 3 <= end; ) {
    const flags = <i32>load<u8>(start);
    const code = <i32>load<u8>(start, 1);
    const extended = (flags & EXTENDED_LENGTH) !== 0;
    const length = extended
      ? ((<i32>load<u8>(start, 2)) << 8) | <i32>load<u8>(start, 3)
      : <i32>load<u8>(start, 2);
    const value = start + (extended ? 4 : 3);
    const after = value + <usize>length;
    for (; next < code; next = insertable(next)) out = insert(edits, changes, next, out);
    if (next === code) next = insertable(next);
    out = replace(edits, changes, start, flags, code, value, after, out);
    start = after;
  }
  for (; next < NO_MORE; next = insertable(next)) out = insert(edits, changes, next, out);
  return <i32>(out - to);
}

/** The code after this one of those that an edit can add to a key that lacks them. */
function insertable(code: i32): i32 {
  if (code === AS_PATH) return MED;
  if (code === MED) return LOCAL_PREF;
  if (code === LOCAL_PREF) return COMMUNITIES;
  return code === COMMUNITIES ? LARGE_COMMUNITIES : NO_MORE;
}

/** Writes an attribute that the key lacks, if it is to have it. Returns where the next one goes, as all of these do. */
function insert(edits: usize, changes: i32, code: i32, to: usize): usize {
  if (code === AS_PATH) {
    const count = get(edits, REWRITE_PREPEND_COUNT);
    if (count === 0) return to;
    return putPrepended(edits, count, 0, putHeader(TRANSITIVE, AS_PATH, 2 + 4 * count, to));
  }
  if (code === MED) {
    if ((changes & REWRITE_SETS_MED) === 0) return to;
    return put32(get(edits, REWRITE_MED), putHeader(OPTIONAL, MED, 4, to));
  }
  if (code === LOCAL_PREF) {
    if ((changes & REWRITE_SETS_LOCAL_PREF) === 0) return to;
    return put32(get(edits, REWRITE_LOCAL_PREF), putHeader(TRANSITIVE, LOCAL_PREF, 4, to));
  }
  if (code === COMMUNITIES) {
    if ((changes & REWRITE_ADDS_COMMUNITY) === 0) return to;
    return put32(get(edits, REWRITE_COMMUNITY), putHeader(OPTIONAL | TRANSITIVE, COMMUNITIES, 4, to));
  }
  if ((changes & REWRITE_ADDS_LARGE) === 0) return to;
  return putLarge(edits, putHeader(OPTIONAL | TRANSITIVE, LARGE_COMMUNITIES, 12, to));
}

/** Writes what becomes of an attribute that stands at `start`, with its value from `value` to before `end`. */
function replace(
  edits: usize,
  changes: i32,
  start: usize,
  flags: i32,
  code: i32,
  value: usize,
  end: usize,
  to: usize,
): usize {
  switch (code) {
    case AS_PATH:
      if (get(edits, REWRITE_PREPEND_COUNT) === 0) break;
      if (<i32>(end - value) + 4 * get(edits, REWRITE_PREPEND_COUNT) + 2 > LENGTH_MOST) break;
      return prependPath(edits, value, end, to);
    case MED:
      if ((changes & (REWRITE_SETS_MED | REWRITE_REMOVES_MED)) === 0) break;
      return insert(edits, changes, MED, to);
    case LOCAL_PREF:
      if ((changes & (REWRITE_SETS_LOCAL_PREF | REWRITE_REMOVES_LOCAL_PREF)) === 0) break;
      return insert(edits, changes, LOCAL_PREF, to);
    case COMMUNITIES:
      if ((changes & REWRITE_ADDS_COMMUNITY) === 0) break;
      if (<i32>(end - value) + 4 > LENGTH_MOST) break;
      if (holds(value, end, edits + (REWRITE_COMMUNITY << 2), 1)) break;
      return put32(
        get(edits, REWRITE_COMMUNITY),
        copy(value, end, putHeader(flags, code, <i32>(end - value) + 4, to)),
      );
    case EXTENDED_COMMUNITIES:
    case IPV6_EXTENDED_COMMUNITIES:
      if ((changes & REWRITE_LEAVES_AS) === 0) break;
      return keepTransitiveCommunities(flags, code, value, end, to);
    case LARGE_COMMUNITIES:
      if ((changes & REWRITE_ADDS_LARGE) === 0) break;
      if (<i32>(end - value) + 12 > LENGTH_MOST) break;
      if (holds(value, end, edits + (REWRITE_LARGE << 2), 3)) break;
      return putLarge(edits, copy(value, end, putHeader(flags, code, <i32>(end - value) + 12, to)));
    default:
      if ((changes & REWRITE_LEAVES_AS) === 0) break;
      if ((flags & (OPTIONAL | TRANSITIVE)) === OPTIONAL) return to;
  }
  return copy(start, end, to);
}

/** RFC 4271 5.1.2 b: in front of a leading sequence if there is room (255 members), else as a segment of its own. */
function prependPath(edits: usize, value: usize, end: usize, to: usize): usize {
  const count = get(edits, REWRITE_PREPEND_COUNT);
  const hasSequence = end - value >= 2 && load<u8>(value) === AS_SEQUENCE;
  const leading = hasSequence ? <i32>load<u8>(value, 1) : 0;
  const joins = leading > 0 && leading + count <= 255;
  const octets = <i32>(end - value) + 4 * count + (joins ? 0 : 2);
  const out = putPrepended(edits, count, joins ? leading : 0, putHeader(TRANSITIVE, AS_PATH, octets, to));
  return copy(joins ? value + 2 : value, end, out);
}

/** The start of an AS_PATH: a sequence of the AS numbers to prepend, and so many more that follow. */
function putPrepended(edits: usize, count: i32, more: i32, to: usize): usize {
  store<u8>(to, AS_SEQUENCE);
  store<u8>(to, count + more, 1);
  let out = to + 2;
  for (let i = 0; i < count; i++) out = put32(get(edits, <usize>(REWRITE_PREPEND + i)), out);
  return out;
}

/** Bit 0x40 of an extended community's type says that it stays within the AS (RFC 4360 2; RFC 5701 for those with IPv6 addresses). */
function keepTransitiveCommunities(flags: i32, code: i32, value: usize, end: usize, to: usize): usize {
  const size: usize = code === EXTENDED_COMMUNITIES ? 8 : 20;
  let kept = 0;
  for (let entry = value; entry + size <= end; entry += size) if ((load<u8>(entry) & 0x40) === 0) kept++;
  if (kept === 0) return to;
  let out = putHeader(flags, code, <i32>size * kept, to);
  for (let entry = value; entry + size <= end; entry += size) {
    if ((load<u8>(entry) & 0x40) === 0) out = copy(entry, entry + size, out);
  }
  return out;
}

/** Whether a list of entries of so many 32-bit words holds an entry, which stands in a block. */
function holds(value: usize, end: usize, entry: usize, words: i32): bool {
  const size = (<usize>words) << 2;
  for (let start = value; start + size <= end; start += size) {
    let same = 0;
    while (same < words && bswap<i32>(at(start, same)) === at(entry, same)) same++;
    if (same === words) return true;
  }
  return false;
}

function putLarge(edits: usize, to: usize): usize {
  const first = put32(get(edits, REWRITE_LARGE), to);
  return put32(get(edits, REWRITE_LARGE + 2), put32(get(edits, REWRITE_LARGE + 1), first));
}

function putHeader(flags: i32, code: i32, length: i32, to: usize): usize {
  const extended = length > 255;
  store<u8>(to, (flags & ~EXTENDED_LENGTH) | (extended ? EXTENDED_LENGTH : 0));
  store<u8>(to, code, 1);
  if (!extended) {
    store<u8>(to, length, 2);
    return to + 3;
  }
  store<u8>(to, length >>> 8, 2);
  store<u8>(to, length, 3);
  return to + 4;
}

function put32(value: i32, to: usize): usize {
  store<i32>(to, bswap<i32>(value));
  return to + 4;
}

/** Copies octets that do not overlap their copy. Returns where it ends. */
function copy(start: usize, end: usize, to: usize): usize {
  const octets = end - start;
  memory.copy(to, start, octets);
  return to + octets;
}
