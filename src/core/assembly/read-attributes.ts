/**
 * The path attributes of a plain UPDATE (read-update.ts): where each stands, and how they are written into an attribute key. They are checked as
 * bgp/wire/attribute-table.ts has it and written as bgp/wire/attribute-key.ts does; those that are rare or take long to check make the message none
 * of the plain ones.
 */
import { get, pointer, set } from './fields';
import {
  AS_PATH_MOST,
  READ_AS4,
  READ_ATTRIBUTES_MOST,
  READ_COUNT,
  READ_ENTRIES,
  READ_FIRST_AS,
  READ_FIRST_AS_REQUIRED,
  READ_IBGP,
  READ_NO_SETS,
  READ_TERMS,
} from './layout';

// Path attribute type codes
export const ORIGIN: u32 = 1;
export const AS_PATH: u32 = 2;
export const NEXT_HOP: u32 = 3;
const MULTI_EXIT_DISC: u32 = 4;
const LOCAL_PREF: u32 = 5;
const ATOMIC_AGGREGATE: u32 = 6;
const AGGREGATOR: u32 = 7;
const COMMUNITIES: u32 = 8;
const ORIGINATOR_ID: u32 = 9;
const CLUSTER_LIST: u32 = 10;
export const MP_REACH_NLRI: u32 = 14;
export const MP_UNREACH_NLRI: u32 = 15;
const EXTENDED_COMMUNITIES: u32 = 16;
const AS4_PATH: u32 = 17;
const AS4_AGGREGATOR: u32 = 18;
const IPV6_EXTENDED_COMMUNITIES: u32 = 25;
const AIGP: u32 = 26;
const LARGE_COMMUNITIES: u32 = 32;
const ONLY_TO_CUSTOMER: u32 = 35;
const PREFIX_SID: u32 = 40;

const OPTIONAL: u32 = 0x80;
const TRANSITIVE: u32 = 0x40;
const PARTIAL: u32 = 0x20;
const EXTENDED_LENGTH: u32 = 0x10;
const KIND_MASK: u32 = OPTIONAL | TRANSITIVE;
/** no attribute's Optional and Transitive bits */
const NO_KIND: u32 = 1;

const AS_SET: u32 = 1;
const AS_SEQUENCE: u32 = 2;

/** comparing each with each takes too long beyond */
const LARGE_COMMUNITIES_MOST: usize = 64;

/** octets of an entry: code, flags, start and end of the value */
const ENTRY_OCTETS: usize = 16;

export function uint16At(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at));
}

export function valueStartOf(entry: usize): usize {
  return load<usize>(entry, 8);
}

export function valueEndOf(entry: usize): usize {
  return load<usize>(entry, 12);
}

/** Notes the attributes in `[start, end)` in ascending order of code. False: the message is none of the plain ones. */
export function scanAttributes(reader: usize, start: usize, end: usize): bool {
  const entries = pointer(reader, READ_ENTRIES);
  let last = entries;
  let at = start;
  set(reader, READ_COUNT, 0);
  while (at < end) {
    const flags: u32 = load<u8>(at);
    const extended = (flags & EXTENDED_LENGTH) !== 0;
    const valueStart = at + (extended ? 4 : 3);
    if (valueStart > end) return false;
    const code: u32 = load<u8>(at, 1);
    const valueEnd = valueStart + (extended ? uint16At(at + 2) : <u32>load<u8>(at, 2));
    if (valueEnd > end) return false;
    if (!isPlain(reader, code, flags, valueStart, valueEnd)) return false;
    if (last === entries + <usize>READ_ATTRIBUTES_MOST * ENTRY_OCTETS) return false;
    let entry = last;
    while (entry > entries && load<u32>(entry - ENTRY_OCTETS) > code) {
      memory.copy(entry, entry - ENTRY_OCTETS, ENTRY_OCTETS);
      entry -= ENTRY_OCTETS;
    }
    if (entry > entries && load<u32>(entry - ENTRY_OCTETS) === code) return false;
    store<u32>(entry, code);
    store<u32>(entry, flags, 4);
    store<usize>(entry, valueStart, 8);
    store<usize>(entry, valueEnd, 12);
    last += ENTRY_OCTETS;
    at = valueEnd;
  }
  set(reader, READ_COUNT, <i32>((last - entries) / ENTRY_OCTETS));
  return true;
}

/** Where an attribute is noted; 0: the message has none of that code. */
export function entryOf(reader: usize, code: u32): usize {
  let entry = pointer(reader, READ_ENTRIES);
  const end = entry + <usize>get(reader, READ_COUNT) * ENTRY_OCTETS;
  for (; entry < end; entry += ENTRY_OCTETS) {
    const found = load<u32>(entry);
    if (found === code) return entry;
    if (found > code) return 0;
  }
  return 0;
}

/** Writes all that belong into an attribute key in canonical form to `to`. Returns the address after them. */
export function writeAttributes(reader: usize, to: usize): usize {
  const as4 = (get(reader, READ_TERMS) & READ_AS4) !== 0;
  let entry = pointer(reader, READ_ENTRIES);
  const end = entry + <usize>get(reader, READ_COUNT) * ENTRY_OCTETS;
  let at = to;
  for (; entry < end; entry += ENTRY_OCTETS) {
    const code = load<u32>(entry);
    const flags = load<u32>(entry, 4);
    if (code === NEXT_HOP || code === MP_REACH_NLRI || code === MP_UNREACH_NLRI) continue;
    const kind = kindOf(code);
    // RFC 4271 5: unknown optional non-transitive attributes are quietly ignored.
    if (kind === NO_KIND && (flags & TRANSITIVE) === 0) continue;
    const start = valueStartOf(entry);
    const octets = valueEndOf(entry) - start;
    const canonical = canonicalFlags(kind, flags);
    if (as4 || (code !== AS_PATH && code !== AGGREGATOR)) {
      at = writeHead(at, canonical, code, octets);
      memory.copy(at, start, octets);
      at += octets;
    } else if (code === AGGREGATOR) {
      at = writeHead(at, canonical, code, 8);
      store<u32>(at, bswap<u32>(uint16At(start)));
      store<u32>(at, load<u32>(start, 2), 4);
      at += 8;
    } else {
      at = writeHead(at, canonical, code, widenedOctets(start, start + octets));
      at = widen(start, start + octets, at);
    }
  }
  return at;
}

/** The Optional and Transitive bits of an attribute as registered; NO_KIND: of one that we do not know. */
function kindOf(code: u32): u32 {
  switch (code) {
    case ORIGIN:
    case AS_PATH:
    case NEXT_HOP:
    case LOCAL_PREF:
    case ATOMIC_AGGREGATE:
      return TRANSITIVE;
    case MULTI_EXIT_DISC:
    case ORIGINATOR_ID:
    case CLUSTER_LIST:
    case MP_REACH_NLRI:
    case MP_UNREACH_NLRI:
      return OPTIONAL;
    case AGGREGATOR:
    case COMMUNITIES:
    case EXTENDED_COMMUNITIES:
    case IPV6_EXTENDED_COMMUNITIES:
    case LARGE_COMMUNITIES:
    case ONLY_TO_CUSTOMER:
      return OPTIONAL | TRANSITIVE;
    default:
      return NO_KIND;
  }
}

/** Partial only where it may be set (RFC 4271 4.3). */
function canonicalFlags(kind: u32, flags: u32): u32 {
  if (kind === NO_KIND) return (flags & KIND_MASK) | PARTIAL;
  return kind === KIND_MASK ? kind | (flags & PARTIAL) : kind;
}

/** Whether nothing is wrong with an attribute, and it is one of the usual ones. */
function isPlain(reader: usize, code: u32, flags: u32, start: usize, end: usize): bool {
  const kind = kindOf(code);
  if (kind !== NO_KIND && (flags & KIND_MASK) !== kind) return false;
  const octets = end - start;
  const internal = (get(reader, READ_TERMS) & READ_IBGP) !== 0;
  switch (code) {
    case ORIGIN:
      return octets === 1 && load<u8>(start) <= 2;
    case AS_PATH:
      return isPlainAsPath(reader, start, end);
    case NEXT_HOP:
    case MULTI_EXIT_DISC:
    case ONLY_TO_CUSTOMER:
      return octets === 4;
    case LOCAL_PREF:
    case ORIGINATOR_ID:
      return internal && octets === 4;
    case CLUSTER_LIST:
      return internal && octets > 0 && octets % 4 === 0;
    case ATOMIC_AGGREGATE:
      return octets === 0;
    case AGGREGATOR:
      return isPlainAggregator(reader, start, octets);
    case COMMUNITIES:
      return octets > 0 && octets % 4 === 0;
    case EXTENDED_COMMUNITIES:
      return octets > 0 && octets % 8 === 0;
    case IPV6_EXTENDED_COMMUNITIES:
      return octets > 0 && octets % 20 === 0;
    case LARGE_COMMUNITIES:
      return octets > 0 && octets % 12 === 0 && areDistinct(start, octets / 12);
    case MP_REACH_NLRI:
    case MP_UNREACH_NLRI:
      return true;
    case AS4_PATH:
    case AS4_AGGREGATOR:
    case AIGP:
    case PREFIX_SID:
      return false;
    default:
      return (flags & OPTIONAL) !== 0;
  }
}

/** RFC 7606 7.7, RFC 7607 2 */
function isPlainAggregator(reader: usize, start: usize, octets: usize): bool {
  if ((get(reader, READ_TERMS) & READ_AS4) !== 0) return octets === 8 && load<u32>(start) !== 0;
  return octets === 6 && load<u16>(start) !== 0;
}

/** RFC 7606 7.2, RFC 7607 2, RFC 5065 5; RFC 9774 3 and the first-AS check of RFC 4271 6.3 when asked for */
function isPlainAsPath(reader: usize, start: usize, end: usize): bool {
  const terms = get(reader, READ_TERMS);
  const wide = (terms & READ_AS4) !== 0;
  if (<i32>(end - start) * (wide ? 1 : 2) > AS_PATH_MOST) return false;
  let at = start;
  while (at < end) {
    if (end - at < 2) return false;
    const type: u32 = load<u8>(at);
    const count: usize = load<u8>(at, 1);
    if (count === 0 || (type !== AS_SEQUENCE && (type !== AS_SET || (terms & READ_NO_SETS) !== 0)))
      return false;
    at += 2;
    const segmentEnd = at + count * (wide ? 4 : 2);
    if (segmentEnd > end) return false;
    if (wide) {
      for (; at < segmentEnd; at += 4) if (load<u32>(at) === 0) return false;
    } else {
      for (; at < segmentEnd; at += 2) if (load<u16>(at) === 0) return false;
    }
  }
  if ((terms & READ_FIRST_AS_REQUIRED) === 0) return true;
  if (start === end || <u32>load<u8>(start) !== AS_SEQUENCE) return false;
  const first = wide ? bswap<u32>(load<u32>(start, 2)) : uint16At(start + 2);
  return first === <u32>get(reader, READ_FIRST_AS);
}

/** Whether no large community stands there twice; it is left out in a key then (RFC 8092 5). */
function areDistinct(start: usize, count: usize): bool {
  if (count > LARGE_COMMUNITIES_MOST) return false;
  const end = start + 12 * count;
  for (let at = start + 12; at < end; at += 12) {
    for (let before = start; before < at; before += 12) {
      if (load<u64>(before) === load<u64>(at) && load<u32>(before, 8) === load<u32>(at, 8)) return false;
    }
  }
  return true;
}

/** Octets of an AS_PATH of 2-octet numbers once it has 4-octet ones. */
function widenedOctets(start: usize, end: usize): usize {
  let octets: usize = 0;
  for (let at = start; at < end; ) {
    const count: usize = load<u8>(at, 1);
    octets += 2 + 4 * count;
    at += 2 + 2 * count;
  }
  return octets;
}

/** Writes an AS_PATH of 2-octet numbers with 4-octet ones. Returns the address after it. */
function widen(start: usize, end: usize, to: usize): usize {
  let into = to;
  for (let at = start; at < end; ) {
    const count: usize = load<u8>(at, 1);
    store<u16>(into, load<u16>(at));
    at += 2;
    into += 2;
    for (const segmentEnd = at + 2 * count; at < segmentEnd; at += 2, into += 4) {
      store<u32>(into, (<u32>load<u16>(at)) << 16);
    }
  }
  return into;
}

/** Type and length of an attribute; Extended Length is set when it must be. Returns the address of the value. */
function writeHead(at: usize, flags: u32, code: u32, octets: usize): usize {
  store<u8>(at, <u8>(octets > 255 ? flags | EXTENDED_LENGTH : flags));
  store<u8>(at, <u8>code, 1);
  if (octets <= 255) {
    store<u8>(at, <u8>octets, 2);
    return at + 3;
  }
  store<u16>(at, bswap<u16>(<u16>octets), 2);
  return at + 4;
}
