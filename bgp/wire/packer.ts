/**
 * Writing UPDATEs: many NLRI that share attributes into one message, straight into the send buffer (RFC 4271 4.3, RFC 4760, RFC 7911 3). Order of
 * attributes and separation of fields by RFC 7606 5.1: MP attributes first, one kind of NLRI in a message.
 */
import type { Family } from '../../src/net/address.ts';
import { hasWideAs, narrowAsPath, withoutConfederation } from './as-path.ts';
import {
  attributeSlice,
  attributesStart,
  valueEnd,
  valueStart,
  writeAttribute,
  writeHead,
} from './attribute-key.ts';
import { copyOctets, putUint16, uint16, uint32 } from './bytes.ts';
import { nlriOctets, putNlri } from './nlri.ts';
import {
  AFI,
  AS_TRANS,
  ATTRIBUTE,
  FLAG,
  HEADER_OCTETS,
  MAX_EXTENDED_MESSAGE_OCTETS,
  MESSAGE_TYPE,
  SAFI_UNICAST,
} from './registry.ts';
import type { AttributeKey } from './types.ts';

/** How a peer wants its UPDATEs, fixed by the negotiation. */
export interface PackOptions {
  /** RFC 6793; without it AS numbers are narrowed and AS4_PATH, AS4_AGGREGATOR added where needed */
  readonly as4: boolean;
  /** RFC 8950: IPv4 NLRI may go with an IPv6 next hop */
  readonly extendedNextHop: boolean;
  /** RFC 7911: NLRI of this family carry path identifiers */
  readonly addPath: boolean;
  /** greatest message in octets: 4096, or 65535 by RFC 8654 */
  readonly maxLength: number;
}

/**
 * Whether a message was begun. `no-room`: not with the octets left in the buffer; take a fresh one. `unsendable`: these attributes can never go to this
 * peer (too long for a message, no next hop, or one of a kind that it does not take); the route must be withdrawn instead (RFC 8654 5).
 */
export type PackStart = 'begun' | 'no-room' | 'unsendable';

/** Octets of the flags, code, 2-octet length, AFI and SAFI of an MP attribute. */
const MP_HEAD_OCTETS = 7;
/** Octets of a NEXT_HOP attribute. */
const NEXT_HOP_OCTETS = 7;
/** Octets of a path identifier (RFC 7911 3). */
const PATH_ID_OCTETS = 4;
const ADDRESS_OCTETS = { ipv4: 4, ipv6: 16 } as const;

/**
 * Writes one UPDATE at a time: `beginReach` or `beginWithdraw`, `add` until it is false or nothing is left, `finish`. Reusable and
 * allocation-free for each route. Attributes go straight from the key into the message, unless the peer wants narrow AS numbers: then those of the
 * last key are kept, so that a second message with them costs a copy only.
 */
export class UpdatePacker {
  #target: Uint8Array = new Uint8Array(0);
  #start = 0;
  /** where the next NLRI goes */
  #at = 0;
  /** first octet that NLRI may not take */
  #limit = 0;
  #firstNlri = 0;
  #addPath = false;
  /** offset of the MP attribute, or -1 when NLRI or withdrawn routes stand in the body */
  #mpAt = -1;
  #isReach = false;

  /** the attributes of the message, all but NEXT_HOP and MP_REACH_NLRI, from `#attributesAt` on: the key's own, or the narrow ones */
  #attributes: Uint8Array = new Uint8Array(0);
  #attributesAt = 0;
  #attributesEnd = 0;
  /** the attributes of the key below with two-octet AS numbers */
  readonly #narrow = new Uint8Array(4 * MAX_EXTENDED_MESSAGE_OCTETS + 64);
  #narrowLength = 0;
  #narrowKey: AttributeKey | undefined;

  /**
   * Starts an UPDATE that announces routes of `family` with the attributes of `key` (export form: next hop set) at `target[offset..]`.
   */
  beginReach(
    target: Uint8Array,
    offset: number,
    family: Family,
    key: AttributeKey,
    options: PackOptions,
  ): PackStart {
    const nextHopOctets = key[0] ?? 0;
    const inBody = family === 'ipv4' && nextHopOctets === 4;
    if (!inBody && !(nextHopOctets >= 16 && (family === 'ipv6' || options.extendedNextHop))) {
      return 'unsendable';
    }
    // Narrowing halves an AS_PATH at best; such a key fits into no message, nor into the buffer.
    if (key.length > 2 * MAX_EXTENDED_MESSAGE_OCTETS) return 'unsendable';
    this.#setAttributes(key, options.as4);
    const octets = this.#attributesEnd - this.#attributesAt + (inBody ? NEXT_HOP_OCTETS : 0);
    const largest = nlriOctets(ADDRESS_OCTETS[family] * 8) + (options.addPath ? PATH_ID_OCTETS : 0);
    const mpOctets = inBody ? 0 : MP_HEAD_OCTETS + 1 + nextHopOctets + 1;
    const fixed = HEADER_OCTETS + 4 + mpOctets + octets;
    if (fixed + largest > options.maxLength) return 'unsendable';
    if (fixed + largest > target.length - offset) return 'no-room';

    this.#open(target, offset, options);
    this.#isReach = true;
    putUint16(target, offset + HEADER_OCTETS, 0);
    const attributesAt = offset + HEADER_OCTETS + 4;
    if (inBody) {
      this.#mpAt = -1;
      putUint16(target, attributesAt - 2, octets);
      this.#at = this.#putAttributesWithNextHop(key, attributesAt);
    } else {
      this.#mpAt = attributesAt;
      let at = putMpHead(target, attributesAt, ATTRIBUTE.mpReachNlri, family);
      at = copyOctets(key, 0, 1 + nextHopOctets, target, at);
      target[at] = 0;
      this.#at = at + 1;
      // The other attributes follow the NLRI, so their room is kept free.
      this.#limit -= octets;
    }
    this.#firstNlri = this.#at;
    return 'begun';
  }

  /** Starts an UPDATE that withdraws routes of `family`: IPv4 in the body, IPv6 in MP_UNREACH_NLRI. Never 'unsendable'. */
  beginWithdraw(target: Uint8Array, offset: number, family: Family, options: PackOptions): PackStart {
    const largest = nlriOctets(ADDRESS_OCTETS[family] * 8) + (options.addPath ? PATH_ID_OCTETS : 0);
    if (HEADER_OCTETS + 4 + MP_HEAD_OCTETS + largest > target.length - offset) return 'no-room';
    this.#open(target, offset, options);
    this.#isReach = false;
    if (family === 'ipv4') {
      this.#mpAt = -1;
      this.#at = offset + HEADER_OCTETS + 2;
      // Room for the attributes' length, which follows the withdrawn routes.
      this.#limit -= 2;
    } else {
      putUint16(target, offset + HEADER_OCTETS, 0);
      this.#mpAt = offset + HEADER_OCTETS + 4;
      this.#at = putMpHead(target, this.#mpAt, ATTRIBUTE.mpUnreachNlri, family);
    }
    this.#firstNlri = this.#at;
    return 'begun';
  }

  #open(target: Uint8Array, offset: number, options: PackOptions): void {
    this.#target = target;
    this.#start = offset;
    this.#limit = offset + Math.min(options.maxLength, target.length - offset);
    this.#addPath = options.addPath;
  }

  /**
   * Adds a prefix with host bits zero, as 32-bit words (w1..w3 are 0 for IPv4); `pathId` counts only with ADD-PATH. False: the message is full and
   * this prefix is not in it.
   */
  add(length: number, w0: number, w1: number, w2: number, w3: number, pathId: number): boolean {
    const octets = nlriOctets(length) + (this.#addPath ? PATH_ID_OCTETS : 0);
    if (this.#at + octets > this.#limit) return false;
    this.#at = putNlri(this.#target, this.#at, this.#addPath, pathId, length, w0, w1, w2, w3);
    return true;
  }

  /** Completes the message and returns its length in octets; 0 when no prefix was added, and then nothing is to be sent. */
  finish(): number {
    if (this.#at === this.#firstNlri) return 0;
    const target = this.#target;
    const start = this.#start;
    if (this.#mpAt >= 0) {
      putUint16(target, this.#mpAt + 2, this.#at - this.#mpAt - 4);
      if (this.#isReach) {
        this.#at = copyOctets(this.#attributes, this.#attributesAt, this.#attributesEnd, target, this.#at);
      }
      putUint16(target, this.#mpAt - 2, this.#at - this.#mpAt);
    } else if (!this.#isReach) {
      putUint16(target, start + HEADER_OCTETS, this.#at - this.#firstNlri);
      putUint16(target, this.#at, 0);
      this.#at += 2;
    }
    target.fill(0xff, start, start + 16);
    putUint16(target, start + 16, this.#at - start);
    target[start + 18] = MESSAGE_TYPE.update;
    return this.#at - start;
  }

  #setAttributes(key: AttributeKey, as4: boolean): void {
    if (as4) {
      this.#attributes = key;
      this.#attributesAt = attributesStart(key);
      this.#attributesEnd = key.length;
      return;
    }
    if (this.#narrowKey !== key) this.#narrowLength = narrowAttributes(key, this.#narrow);
    this.#narrowKey = key;
    this.#attributes = this.#narrow;
    this.#attributesAt = 0;
    this.#attributesEnd = this.#narrowLength;
  }

  /** Writes the attributes with NEXT_HOP in its place; returns the offset after them. */
  #putAttributesWithNextHop(key: AttributeKey, at: number): number {
    const attributes = this.#attributes;
    const target = this.#target;
    const end = this.#attributesEnd;
    let after = this.#attributesAt;
    while (after < end && (attributes[after + 1] ?? 0) < ATTRIBUTE.nextHop)
      after = valueEnd(attributes, after);
    const before = copyOctets(attributes, this.#attributesAt, after, target, at);
    const value = writeHead(target, before, FLAG.transitive, ATTRIBUTE.nextHop, 4);
    return copyOctets(attributes, after, end, target, copyOctets(key, 1, 5, target, value));
  }
}

/** RFC 6793 4.2.2: writes the attributes of a key, all but the next hop, for a peer without four-octet AS numbers; returns their length. */
function narrowAttributes(key: AttributeKey, target: Uint8Array): number {
  const added = oldSpeakerAttributes(key);
  let nextAdded = 0;
  let to = 0;
  for (let at = attributesStart(key); at < key.length; ) {
    const code = key[at + 1] ?? 0;
    const end = valueEnd(key, at);
    for (let extra = added[nextAdded]; extra !== undefined && extra.code < code; extra = added[nextAdded]) {
      to = writeAttribute(target, to, extra.flags, extra.code, extra.value);
      nextAdded++;
    }
    if (code === ATTRIBUTE.asPath || code === ATTRIBUTE.aggregator) {
      to = writeNarrow(key, at, end, target, to);
    } else {
      to = copyOctets(key, at, end, target, to);
    }
    at = end;
  }
  for (; nextAdded < added.length; nextAdded++) {
    const extra = added[nextAdded];
    if (extra !== undefined) to = writeAttribute(target, to, extra.flags, extra.code, extra.value);
  }
  return to;
}

/** RFC 6793 4.2.2: AS_PATH and AGGREGATOR with two-octet numbers. */
function writeNarrow(key: AttributeKey, at: number, end: number, target: Uint8Array, to: number): number {
  const code = key[at + 1] ?? 0;
  const flags = (key[at] ?? 0) & ~FLAG.extendedLength;
  const value = key.subarray(valueStart(key, at), end);
  if (code === ATTRIBUTE.asPath) {
    const narrow = new Uint8Array(value.length);
    const octets = narrowAsPath(value, narrow, 0);
    return writeAttribute(target, to, flags, code, narrow.subarray(0, octets));
  }
  const valueAt = writeHead(target, to, flags, code, 6);
  const as = uint32(value, 0);
  putUint16(target, valueAt, as > 0xffff ? AS_TRANS : as);
  return copyOctets(value, 4, 8, target, valueAt + 2);
}

/** RFC 6793 4.2.2: AS4_PATH and AS4_AGGREGATOR, present only when a number does not fit into two octets. */
function oldSpeakerAttributes(
  key: AttributeKey,
): { readonly code: number; readonly flags: number; readonly value: Uint8Array }[] {
  const flags = FLAG.optional | FLAG.transitive;
  const added: { readonly code: number; readonly flags: number; readonly value: Uint8Array }[] = [];
  const path = attributeSlice(key, ATTRIBUTE.asPath);
  if (path !== undefined && hasWideAs(path)) {
    const value = withoutConfederation(path);
    if (value.length > 0) added.push({ code: ATTRIBUTE.as4Path, flags, value });
  }
  const aggregator = attributeSlice(key, ATTRIBUTE.aggregator);
  if (aggregator !== undefined && uint16(aggregator, 0) !== 0) {
    added.push({ code: ATTRIBUTE.as4Aggregator, flags, value: aggregator });
  }
  return added;
}

/** Flags, code, a length to be filled in, AFI and SAFI. Returns the offset after them. */
function putMpHead(target: Uint8Array, at: number, code: number, family: Family): number {
  target[at] = FLAG.optional | FLAG.extendedLength;
  target[at + 1] = code;
  putUint16(target, at + 4, AFI[family]);
  target[at + 6] = SAFI_UNICAST;
  return at + MP_HEAD_OCTETS;
}

/** The End-of-RIB marker of a family (RFC 4724 2). */
export function encodeEndOfRib(family: Family): Uint8Array {
  const attributeOctets = family === 'ipv4' ? 0 : 6;
  const message = new Uint8Array(HEADER_OCTETS + 4 + attributeOctets).fill(0xff, 0, 16);
  putUint16(message, 16, message.length);
  message[18] = MESSAGE_TYPE.update;
  putUint16(message, 21, attributeOctets);
  if (family === 'ipv6') {
    message.set([FLAG.optional, ATTRIBUTE.mpUnreachNlri, 3, AFI.ipv6 >> 8, AFI.ipv6, SAFI_UNICAST], 23);
  }
  return message;
}
