/**
 * Reads the body of an UPDATE that is plain: nothing is wrong with it, at most one run of NLRI is withdrawn and one announced, and all its attributes
 * are of the usual kinds (read-attributes.ts). Whatever else comes, bgp/wire/update.ts reads; there alone it is judged what is wrong with a message.
 * What is read here, is read as there.
 */
import { get, pointer, set } from './fields';
import {
  READ_ADD_PATH_IPV4,
  READ_ADD_PATH_IPV6,
  READ_EXTENDED_NEXT_HOP,
  READ_IPV4,
  READ_IPV6,
  READ_KEY_OCTETS,
  READ_KEY_ROOM,
  READ_MESSAGE_MOST,
  READ_REACH_ADD_PATH,
  READ_REACH_END,
  READ_REACH_IPV6,
  READ_REACH_START,
  READ_TERMS,
  READ_WITHDRAWN_ADD_PATH,
  READ_WITHDRAWN_END,
  READ_WITHDRAWN_IPV6,
  READ_WITHDRAWN_START,
} from './layout';
import {
  AS_PATH,
  entryOf,
  MP_REACH_NLRI,
  MP_UNREACH_NLRI,
  NEXT_HOP,
  ORIGIN,
  scanAttributes,
  uint16At,
  valueEndOf,
  valueStartOf,
  writeAttributes,
} from './read-attributes';

/** octets of marker, length and type (RFC 4271 4.1) */
const HEADER_OCTETS: usize = 19;
/** a header and the two lengths in an UPDATE */
const LEAST_OCTETS: usize = 23;
/** the longest message, without its header (RFC 8654 3) */
const MOST_OCTETS: usize = 65535 - HEADER_OCTETS;
const UPDATE: u32 = 2;

/** Reads the message at the start of `[start, end)`. Its octets; 0: it is no plain UPDATE, or not whole. */
export function readPlainMessage(reader: usize, start: usize, end: usize): usize {
  if (end - start < LEAST_OCTETS || load<u64>(start) !== -1 || load<u64>(start, 8) !== -1) return 0;
  const octets: usize = uint16At(start + 16);
  if (<u32>load<u8>(start, 18) !== UPDATE || octets < LEAST_OCTETS) return 0;
  if (octets > pointer(reader, READ_MESSAGE_MOST) || octets > end - start) return 0;
  return readPlainUpdate(reader, start + HEADER_OCTETS, start + octets) ? octets : 0;
}

/**
 * Reads the body in `[start, end)`. True: it is plain, and the fields READ_WITHDRAWN_*, READ_REACH_* and READ_KEY_OCTETS say what it holds; the
 * attribute key stands in the key room. False: it is not, or holds no routes at all.
 */
export function readPlainUpdate(reader: usize, start: usize, end: usize): bool {
  if (end - start < 4 || end - start > MOST_OCTETS) return false;
  const withdrawnEnd = start + 2 + uint16At(start);
  if (withdrawnEnd + 2 > end) return false;
  const attributes = withdrawnEnd + 2;
  const nlri = attributes + uint16At(withdrawnEnd);
  if (nlri > end) return false;
  set(reader, READ_WITHDRAWN_START, 0);
  set(reader, READ_WITHDRAWN_END, 0);
  set(reader, READ_REACH_START, 0);
  set(reader, READ_REACH_END, 0);
  if (!scanAttributes(reader, attributes, nlri)) return false;
  if (withdrawnEnd > start + 2 && !noteWithdrawn(reader, start + 2, withdrawnEnd, false)) return false;
  const unreach = entryOf(reader, MP_UNREACH_NLRI);
  if (unreach !== 0 && !readMpUnreach(reader, valueStartOf(unreach), valueEndOf(unreach))) return false;
  const reach = entryOf(reader, MP_REACH_NLRI);
  if (nlri === end && reach === 0) return pointer(reader, READ_WITHDRAWN_START) !== 0;
  if (entryOf(reader, ORIGIN) === 0 || entryOf(reader, AS_PATH) === 0) return false;
  if (reach === 0) return readBodyReach(reader, nlri, end);
  return nlri === end && readMpReach(reader, valueStartOf(reach), valueEndOf(reach));
}

/** NLRI of the message itself, with the next hop of NEXT_HOP. */
function readBodyReach(reader: usize, start: usize, end: usize): bool {
  const nextHop = entryOf(reader, NEXT_HOP);
  if (nextHop === 0 || isMartian(valueStartOf(nextHop), 4)) return false;
  if (!noteReach(reader, start, end, false)) return false;
  writeKey(reader, valueStartOf(nextHop), 4);
  return true;
}

/** MP_REACH_NLRI (RFC 4760 3). */
function readMpReach(reader: usize, start: usize, end: usize): bool {
  if (end - start < 5 || !isKnownFamily(start)) return false;
  const ipv6 = uint16At(start) === 2;
  const octets: usize = load<u8>(start, 3);
  const nextHop = start + 4;
  const nlri = nextHop + octets + 1;
  if (nlri >= end) return false;
  if (octets === 4) {
    if (ipv6) return false;
  } else if (octets === 16 || octets === 32) {
    if (!ipv6 && (get(reader, READ_TERMS) & READ_EXTENDED_NEXT_HOP) === 0) return false;
  } else return false;
  // Peers without a global address send :: and the link-local one.
  const linkLocalAlone = octets === 32 && isUnspecified(nextHop) && isLinkLocal(nextHop + 16);
  if (!linkLocalAlone && isMartian(nextHop, octets)) return false;
  if (!noteReach(reader, nlri, end, ipv6)) return false;
  writeKey(reader, nextHop, octets);
  return true;
}

/** MP_UNREACH_NLRI with routes (RFC 4760 4). */
function readMpUnreach(reader: usize, start: usize, end: usize): bool {
  if (end - start <= 3 || !isKnownFamily(start)) return false;
  if (pointer(reader, READ_WITHDRAWN_START) !== 0) return false;
  return noteWithdrawn(reader, start + 3, end, uint16At(start) === 2);
}

/** Whether AFI and SAFI are those of IPv4 or IPv6 unicast. */
function isKnownFamily(at: usize): bool {
  const afi = uint16At(at);
  return (afi === 1 || afi === 2) && load<u8>(at, 2) === 1;
}

function noteWithdrawn(reader: usize, start: usize, end: usize, ipv6: bool): bool {
  if (!isWhole(reader, start, end, ipv6)) return false;
  set(reader, READ_WITHDRAWN_START, <i32>start);
  set(reader, READ_WITHDRAWN_END, <i32>end);
  set(reader, READ_WITHDRAWN_IPV6, ipv6 ? 1 : 0);
  set(reader, READ_WITHDRAWN_ADD_PATH, hasPathIds(reader, ipv6) ? 1 : 0);
  return true;
}

function noteReach(reader: usize, start: usize, end: usize, ipv6: bool): bool {
  if (!isWhole(reader, start, end, ipv6)) return false;
  set(reader, READ_REACH_START, <i32>start);
  set(reader, READ_REACH_END, <i32>end);
  set(reader, READ_REACH_IPV6, ipv6 ? 1 : 0);
  set(reader, READ_REACH_ADD_PATH, hasPathIds(reader, ipv6) ? 1 : 0);
  return true;
}

function hasPathIds(reader: usize, ipv6: bool): bool {
  return (get(reader, READ_TERMS) & (ipv6 ? READ_ADD_PATH_IPV6 : READ_ADD_PATH_IPV4)) !== 0;
}

/** Whether NLRI are of a family that was negotiated and can be walked to their end (RFC 7606 5.3). */
function isWhole(reader: usize, start: usize, end: usize, ipv6: bool): bool {
  if ((get(reader, READ_TERMS) & (ipv6 ? READ_IPV6 : READ_IPV4)) === 0) return false;
  const most: u32 = ipv6 ? 128 : 32;
  const idOctets: usize = hasPathIds(reader, ipv6) ? 4 : 0;
  let at = start;
  while (at < end) {
    at += idOctets;
    if (at >= end) return false;
    const bits: u32 = load<u8>(at);
    if (bits > most) return false;
    at += 1 + ((bits + 7) >>> 3);
  }
  return at === end;
}

/** RFC 4271 6.3: whether an address cannot be that of a host to forward to; of two addresses the first. */
function isMartian(at: usize, octets: usize): bool {
  const first: u32 = load<u8>(at);
  if (octets === 4) return first === 0 || first === 127 || first >= 224;
  if (first === 0xff) return true;
  if (load<u64>(at) !== 0 || load<u32>(at, 8) !== 0 || load<u16>(at, 12) !== 0) return false;
  return load<u8>(at, 14) === 0 && load<u8>(at, 15) <= 1;
}

function isUnspecified(at: usize): bool {
  return load<u64>(at) === 0 && load<u64>(at, 8) === 0;
}

/** fe80::/10 */
function isLinkLocal(at: usize): bool {
  return load<u8>(at) === 0xfe && (load<u8>(at, 1) & 0xc0) === 0x80;
}

/** The attribute key of the message, with its next hop of 4, 16 or 32 octets in canonical form. */
function writeKey(reader: usize, nextHop: usize, nextHopOctets: usize): void {
  let from = nextHop;
  let octets = nextHopOctets;
  if (octets === 32) {
    // RFC 2545 3: the second address is link-local or worthless; a first one that is none leaves the second.
    if (!isLinkLocal(from + 16)) octets = 16;
    else if (isUnspecified(from) || isLinkLocal(from)) {
      from += 16;
      octets = 16;
    }
  }
  const key = pointer(reader, READ_KEY_ROOM);
  store<u8>(key, <u8>octets);
  memory.copy(key + 1, from, octets);
  set(reader, READ_KEY_OCTETS, <i32>(writeAttributes(reader, key + 1 + octets) - key));
}
