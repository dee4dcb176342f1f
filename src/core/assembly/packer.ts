/**
 * Writing UPDATEs (bgp/wire/packer.ts says how it is used): NLRI that share attributes go into one message, straight to where it will be sent from.
 * Numbers are written four octets at a time, so there must be some octets of room beyond the end.
 */
import { valueEnd } from './attribute-summary';
import { get, pointer, set, setPointer } from './fields';
import { narrowAttributes } from './host';
import {
  PACK_ADD_PATH,
  PACK_ADDRESS_OCTETS,
  PACK_AS4,
  PACK_AT,
  PACK_ATTRIBUTES,
  PACK_ATTRIBUTES_END,
  PACK_BEGUN,
  PACK_END,
  PACK_EXTENDED_NEXT_HOP,
  PACK_FIRST_NLRI,
  PACK_IS_REACH,
  PACK_LIMIT,
  PACK_LONGEST,
  PACK_MP,
  PACK_NARROW,
  PACK_NARROW_KEY,
  PACK_NARROW_OCTETS,
  PACK_NO_ROOM,
  PACK_OPTIONS,
  PACK_START,
  PACK_UNSENDABLE,
  PREFIX_LENGTHS,
  PREFIX_WORDS,
} from './layout';

/** Octets of marker, length and type (RFC 4271 4.1). */
const HEADER_OCTETS: i32 = 19;
const UPDATE: u8 = 2;
/** Octets of the lengths of withdrawn routes and attributes. */
const LENGTHS_OCTETS: i32 = 4;
/** Octets of the flags, code, 2-octet length, AFI and SAFI of an MP attribute. */
const MP_HEAD_OCTETS: i32 = 7;
/** Octets of a NEXT_HOP attribute, and of its head. */
const NEXT_HOP_OCTETS: i32 = 7;
const NEXT_HOP_HEAD: usize = 3;
/** Octets of a path identifier (RFC 7911 3). */
const PATH_ID_OCTETS: i32 = 4;
/** A longer key fits into no message, nor where the narrow attributes go: narrowing halves an AS_PATH at best. */
const LONGEST_KEY: i32 = 2 * 65535;

const NEXT_HOP: u8 = 3;
const MP_REACH_NLRI: u8 = 14;
const MP_UNREACH_NLRI: u8 = 15;
const TRANSITIVE: u8 = 0x40;
const OPTIONAL_EXTENDED_LENGTH: u8 = 0x90;
const SAFI_UNICAST: u8 = 1;

/** Starts an UPDATE that announces routes with the attributes of a key in export form, its next hop set. */
export function packBeginReach(packer: usize, key: usize, octets: i32): i32 {
  const nextHopOctets = <i32>load<u8>(key);
  const options = get(packer, PACK_OPTIONS);
  const isIpv4 = get(packer, PACK_ADDRESS_OCTETS) === 4;
  const inBody = isIpv4 && nextHopOctets === 4;
  const inMp = nextHopOctets >= 16 && (!isIpv4 || (options & PACK_EXTENDED_NEXT_HOP) !== 0);
  if (!inBody && !inMp) return PACK_UNSENDABLE;
  if (octets > LONGEST_KEY) return PACK_UNSENDABLE;
  setAttributes(packer, key, octets);
  const attributes = pointer(packer, PACK_ATTRIBUTES);
  const attributeOctets = <i32>(pointer(packer, PACK_ATTRIBUTES_END) - attributes);
  const inMessage = attributeOctets + (inBody ? NEXT_HOP_OCTETS : 0);
  const mpOctets = inBody ? 0 : MP_HEAD_OCTETS + 1 + nextHopOctets + 1;
  const least = HEADER_OCTETS + LENGTHS_OCTETS + mpOctets + inMessage + longestNlri(packer);
  if (least > get(packer, PACK_LONGEST)) return PACK_UNSENDABLE;
  const start = pointer(packer, PACK_START);
  if (least > roomOf(packer)) return PACK_NO_ROOM;

  setLimit(packer);
  set(packer, PACK_IS_REACH, 1);
  putUint16(start + HEADER_OCTETS, 0);
  let at = start + HEADER_OCTETS + LENGTHS_OCTETS;
  if (inBody) {
    set(packer, PACK_MP, 0);
    putUint16(at - 2, inMessage);
    at = putAttributesWithNextHop(packer, key, at);
  } else {
    setPointer(packer, PACK_MP, at);
    at = putMpHead(packer, at, MP_REACH_NLRI);
    at = copy(key, key + 1 + nextHopOctets, at);
    store<u8>(at++, 0);
    // The other attributes follow the NLRI, so their room is kept free.
    set(packer, PACK_LIMIT, get(packer, PACK_LIMIT) - attributeOctets);
  }
  setPointer(packer, PACK_FIRST_NLRI, at);
  setPointer(packer, PACK_AT, at);
  return PACK_BEGUN;
}

/** Starts an UPDATE that withdraws routes: IPv4 in the body, IPv6 in MP_UNREACH_NLRI. */
export function packBeginWithdraw(packer: usize): i32 {
  if (HEADER_OCTETS + LENGTHS_OCTETS + MP_HEAD_OCTETS + longestNlri(packer) > roomOf(packer))
    return PACK_NO_ROOM;
  setLimit(packer);
  set(packer, PACK_IS_REACH, 0);
  let at = pointer(packer, PACK_START) + HEADER_OCTETS;
  if (get(packer, PACK_ADDRESS_OCTETS) === 4) {
    set(packer, PACK_MP, 0);
    at += 2;
    // Room for the attributes' length, which follows the withdrawn routes.
    set(packer, PACK_LIMIT, get(packer, PACK_LIMIT) - 2);
  } else {
    putUint16(at, 0);
    at += LENGTHS_OCTETS;
    setPointer(packer, PACK_MP, at);
    at = putMpHead(packer, at, MP_UNREACH_NLRI);
  }
  setPointer(packer, PACK_FIRST_NLRI, at);
  setPointer(packer, PACK_AT, at);
  return PACK_BEGUN;
}

/** Adds a prefix given by its words, of which w1 to w3 count in IPv6 only. False: the message is full, and this prefix is not in it. */
export function packWords(packer: usize, bits: i32, w0: i32, w1: i32, w2: i32, w3: i32, pathId: i32): bool {
  const at = takeNlri(packer, bits, pathId);
  if (at === 0) return false;
  store<i32>(at, bswap(w0));
  if (bits > 32) {
    store<i32>(at, bswap(w1), 4);
    store<i32>(at, bswap(w2), 8);
    store<i32>(at, bswap(w3), 12);
  }
  return true;
}

/** As `packWords`, a prefix of a table. */
export function packPrefix(packer: usize, table: usize, prefix: i32, pathId: i32): bool {
  const bits = <i32>load<u8>(pointer(table, PREFIX_LENGTHS) + <usize>prefix);
  const at = takeNlri(packer, bits, pathId);
  if (at === 0) return false;
  const words = pointer(table, PREFIX_WORDS);
  if (get(packer, PACK_ADDRESS_OCTETS) === 4) {
    store<i32>(at, bswap(load<i32>(words + ((<usize>prefix) << 2))));
    return true;
  }
  const from = words + ((<usize>prefix) << 4);
  store<i32>(at, bswap(load<i32>(from)));
  if (bits > 32) {
    store<i32>(at, bswap(load<i32>(from, 4)), 4);
    store<i32>(at, bswap(load<i32>(from, 8)), 8);
    store<i32>(at, bswap(load<i32>(from, 12)), 12);
  }
  return true;
}

/** Completes the message, behind which the next one will begin, and returns its octets; 0: no prefix was added, so nothing is to be sent. */
export function packFinish(packer: usize): i32 {
  const start = pointer(packer, PACK_START);
  const first = pointer(packer, PACK_FIRST_NLRI);
  let at = pointer(packer, PACK_AT);
  if (at === first) {
    endMessage(packer, start);
    return 0;
  }
  const mp = pointer(packer, PACK_MP);
  const isReach = get(packer, PACK_IS_REACH) !== 0;
  if (mp !== 0) {
    putUint16(mp + 2, <i32>(at - mp) - 4);
    if (isReach) at = copy(pointer(packer, PACK_ATTRIBUTES), pointer(packer, PACK_ATTRIBUTES_END), at);
    putUint16(mp - 2, <i32>(at - mp));
  } else if (!isReach) {
    putUint16(start + HEADER_OCTETS, <i32>(at - first));
    putUint16(at, 0);
    at += 2;
  }
  store<u64>(start, -1);
  store<u64>(start, -1, 8);
  putUint16(start + 16, <i32>(at - start));
  store<u8>(start, UPDATE, 18);
  endMessage(packer, at);
  return <i32>(at - start);
}

/** Puts a withdrawal into the message of withdrawals under way, or into a new one behind what is under way. False: there is no room. */
export function packWithdrawal(packer: usize, table: usize, prefix: i32, pathId: i32): bool {
  const isUnderWay = get(packer, PACK_AT) !== get(packer, PACK_START);
  if (isUnderWay && get(packer, PACK_IS_REACH) === 0 && packPrefix(packer, table, prefix, pathId))
    return true;
  packFinish(packer);
  return packBeginWithdraw(packer) === PACK_BEGUN && packPrefix(packer, table, prefix, pathId);
}

/** No message is under way; the next one begins at an address. */
function endMessage(packer: usize, at: usize): void {
  setPointer(packer, PACK_START, at);
  setPointer(packer, PACK_AT, at);
  setPointer(packer, PACK_FIRST_NLRI, at);
}

/** Writes path identifier and length of an NLRI and takes its room; returns where the address goes, or 0 when the message is full. */
function takeNlri(packer: usize, bits: i32, pathId: i32): usize {
  const hasPathId = (get(packer, PACK_OPTIONS) & PACK_ADD_PATH) !== 0;
  const octets: i32 = (hasPathId ? PATH_ID_OCTETS : 0) + 1 + ((bits + 7) >> 3);
  let at = pointer(packer, PACK_AT);
  const end = at + <usize>octets;
  if (end > pointer(packer, PACK_LIMIT)) return 0;
  if (hasPathId) {
    store<i32>(at, bswap(pathId));
    at += PATH_ID_OCTETS;
  }
  store<u8>(at, bits);
  setPointer(packer, PACK_AT, end);
  return at + 1;
}

/** Octets that are left. */
function roomOf(packer: usize): i32 {
  return get(packer, PACK_END) - get(packer, PACK_START);
}

/** Octets of the longest NLRI of the family. */
function longestNlri(packer: usize): i32 {
  const hasPathId = (get(packer, PACK_OPTIONS) & PACK_ADD_PATH) !== 0;
  return 1 + get(packer, PACK_ADDRESS_OCTETS) + (hasPathId ? PATH_ID_OCTETS : 0);
}

function setLimit(packer: usize): void {
  const longest = min(get(packer, PACK_LONGEST), roomOf(packer));
  set(packer, PACK_LIMIT, get(packer, PACK_START) + longest);
}

/** Finds the attributes of a key as the peer takes them. */
function setAttributes(packer: usize, key: usize, octets: i32): void {
  if ((get(packer, PACK_OPTIONS) & PACK_AS4) !== 0) {
    setPointer(packer, PACK_ATTRIBUTES, key + 1 + <usize>load<u8>(key));
    setPointer(packer, PACK_ATTRIBUTES_END, key + <usize>octets);
    return;
  }
  if (pointer(packer, PACK_NARROW_KEY) !== key) {
    set(packer, PACK_NARROW_OCTETS, narrowAttributes(packer, key, octets));
    setPointer(packer, PACK_NARROW_KEY, key);
  }
  const narrow = pointer(packer, PACK_NARROW);
  setPointer(packer, PACK_ATTRIBUTES, narrow);
  setPointer(packer, PACK_ATTRIBUTES_END, narrow + <usize>get(packer, PACK_NARROW_OCTETS));
}

/** Writes the attributes with NEXT_HOP in its place; returns the address after them. */
function putAttributesWithNextHop(packer: usize, key: usize, at: usize): usize {
  const attributes = pointer(packer, PACK_ATTRIBUTES);
  const end = pointer(packer, PACK_ATTRIBUTES_END);
  let after = attributes;
  while (after < end && load<u8>(after, 1) < NEXT_HOP) after = valueEnd(after);
  const nextHop = copy(attributes, after, at);
  store<u8>(nextHop, TRANSITIVE);
  store<u8>(nextHop, NEXT_HOP, 1);
  store<u8>(nextHop, 4, 2);
  store<u32>(nextHop + NEXT_HOP_HEAD, load<u32>(key, 1));
  return copy(after, end, nextHop + NEXT_HOP_OCTETS);
}

/** Flags, code, a length to be filled in, AFI and SAFI. Returns the address after them. */
function putMpHead(packer: usize, at: usize, code: u8): usize {
  store<u8>(at, OPTIONAL_EXTENDED_LENGTH);
  store<u8>(at, code, 1);
  putUint16(at + 4, get(packer, PACK_ADDRESS_OCTETS) === 4 ? 1 : 2);
  store<u8>(at, SAFI_UNICAST, 6);
  return at + MP_HEAD_OCTETS;
}

function putUint16(at: usize, value: i32): void {
  store<u16>(at, bswap(<u16>value));
}

/** Copies the octets from an address to before another one; attributes are too short for a bulk copy to pay. Returns the address after the copy. */
function copy(from: usize, end: usize, to: usize): usize {
  let source = from;
  let target = to;
  for (; source + 8 <= end; source += 8, target += 8) store<u64>(target, load<u64>(source));
  for (; source < end; source++, target++) store<u8>(target, load<u8>(source));
  return target;
}
