/**
 * UPDATE messages as the harness reads and writes them, on its own and not by the speaker's code, so that an error there is seen
 * (RFC 4271 section 4.3, RFC 4760, RFC 7911).
 */
import type { Family } from '../../../src/net/address.ts';

export const HEADER_OCTETS = 19;
export const MAX_MESSAGE_OCTETS = 4096;
export const UPDATE = 2;
/** Path attribute types. */
export const CODE = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  med: 4,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  mpReach: 14,
  mpUnreach: 15,
  extendedCommunities: 16,
  largeCommunities: 32,
} as const;
export const AFI = { ipv4: 1, ipv6: 2 } as const satisfies Record<Family, number>;
const EXTENDED_LENGTH = 0x10;

/** A path attribute as it stands on the wire. */
export interface RawAttribute {
  readonly code: number;
  readonly flags: number;
  readonly value: Uint8Array;
}

/** An NLRI. Words are signed; `w1` to `w3` are 0 for IPv4; `pathId` is 0 without ADD-PATH. */
export type NlriVisitor = (
  length: number,
  pathId: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
) => void;

/** Where the parts of an UPDATE stand in the octets it was found in: half-open ranges. */
export interface UpdateParts {
  readonly withdrawn: readonly FamilyRange[];
  readonly announced: readonly FamilyRange[];
  readonly attributesAt: number;
  readonly attributesEnd: number;
  /** next hop in MP_REACH_NLRI */
  readonly mpNextHop: Uint8Array | undefined;
}

export interface FamilyRange {
  readonly family: Family;
  readonly from: number;
  readonly to: number;
}

/** The path attributes in `octets[from, to)`. Throws where one runs past the end. */
export function* attributesIn(octets: Uint8Array, from: number, to: number): Generator<RawAttribute> {
  for (let at = from; at < to; ) {
    const flags = octets[at] ?? 0;
    const isExtended = (flags & EXTENDED_LENGTH) !== 0;
    const valueAt = at + (isExtended ? 4 : 3);
    const length = isExtended ? uint16(octets, at + 2) : (octets[at + 2] ?? 0);
    if (valueAt + length > to) throw new Error(`attribute ${octets[at + 1]} runs past the end`);
    yield { code: octets[at + 1] ?? 0, flags, value: octets.subarray(valueAt, valueAt + length) };
    at = valueAt + length;
  }
}

/** The parts of the UPDATE that begins, header first, at `at`. */
export function partsOf(octets: Uint8Array, at: number): UpdateParts {
  const end = at + uint16(octets, at + 16);
  const withdrawnEnd = at + 21 + uint16(octets, at + 19);
  const attributesAt = withdrawnEnd + 2;
  const attributesEnd = attributesAt + uint16(octets, withdrawnEnd);
  const withdrawn: FamilyRange[] = [];
  const announced: FamilyRange[] = [];
  if (withdrawnEnd > at + 21) withdrawn.push({ family: 'ipv4', from: at + 21, to: withdrawnEnd });
  if (end > attributesEnd) announced.push({ family: 'ipv4', from: attributesEnd, to: end });
  let mpNextHop: Uint8Array | undefined;
  for (const { code, value } of attributesIn(octets, attributesAt, attributesEnd)) {
    const family = uint16(value, 0) === AFI.ipv6 ? 'ipv6' : 'ipv4';
    const from = value.byteOffset - octets.byteOffset;
    const to = from + value.length;
    if (code === CODE.mpUnreach) withdrawn.push({ family, from: from + 3, to });
    if (code !== CODE.mpReach) continue;
    const nextHopOctets = value[3] ?? 0;
    mpNextHop = value.subarray(4, 4 + nextHopOctets);
    announced.push({ family, from: from + 5 + nextHopOctets, to });
  }
  return { withdrawn, announced, attributesAt, attributesEnd, mpNextHop };
}

/** Calls `visit` for each NLRI of a range. */
export function eachNlri(
  octets: Uint8Array,
  from: number,
  to: number,
  hasPathIds: boolean,
  visit: NlriVisitor,
): void {
  const words = new Int32Array(4);
  for (let at = from; at < to; ) {
    let pathId = 0;
    if (hasPathIds) {
      pathId = uint32(octets, at);
      at += 4;
    }
    const length = octets[at++] ?? 0;
    words.fill(0);
    for (let bit = 0; bit < length; bit += 8) {
      const word = bit >> 5;
      words[word] = (words[word] ?? 0) | ((octets[at++] ?? 0) << (24 - (bit & 31)));
    }
    visit(length, pathId, words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0);
  }
}

/** How many NLRI a range holds. */
export function countNlri(octets: Uint8Array, from: number, to: number, hasPathIds: boolean): number {
  const idOctets = hasPathIds ? 4 : 0;
  let count = 0;
  for (let at = from; at < to; count++) at += idOctets + 1 + (((octets[at + idOctets] ?? 0) + 7) >> 3);
  return count;
}

export function uint16(octets: Uint8Array, at: number): number {
  return ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
}

export function uint32(octets: Uint8Array, at: number): number {
  return ((uint16(octets, at) << 16) | uint16(octets, at + 2)) >>> 0;
}

/** One path attribute, with the extended length where it is needed. */
export function encodeAttribute(code: number, flags: number, value: Uint8Array): Uint8Array {
  const isExtended = value.length > 255;
  const octets = new Uint8Array((isExtended ? 4 : 3) + value.length);
  octets[0] = (flags & ~EXTENDED_LENGTH) | (isExtended ? EXTENDED_LENGTH : 0);
  octets[1] = code;
  if (isExtended) octets[2] = value.length >> 8;
  octets[isExtended ? 3 : 2] = value.length & 0xff;
  octets.set(value, octets.length - value.length);
  return octets;
}

/** A growing run of messages. */
export class MessageWriter {
  #buffer = Buffer.alloc(1 << 20);
  length = 0;

  /** Begins an UPDATE; returns where it stands. */
  begin(): number {
    this.#room(2 * MAX_MESSAGE_OCTETS);
    const start = this.length;
    this.#buffer.fill(0xff, start, start + 16);
    this.#buffer[start + 18] = UPDATE;
    this.length = start + HEADER_OCTETS;
    return start;
  }

  /** Ends the message that began at `start`. Throws when it is longer than a message may be. */
  end(start: number): void {
    if (this.length - start > MAX_MESSAGE_OCTETS)
      throw new Error(`an UPDATE of ${this.length - start} octets`);
    this.setUint16(start + 16, this.length - start);
  }

  uint8(value: number): void {
    this.#buffer[this.length++] = value;
  }

  uint16(value: number): void {
    this.length = this.#buffer.writeUInt16BE(value, this.length);
  }

  setUint16(at: number, value: number): void {
    this.#buffer.writeUInt16BE(value, at);
  }

  octets(value: Uint8Array): void {
    this.#buffer.set(value, this.length);
    this.length += value.length;
  }

  /** An NLRI of `words`, one or four, from `at` on; `pathId` undefined without ADD-PATH. */
  nlri(words: Uint32Array, at: number, length: number, pathId: number | undefined): void {
    if (pathId !== undefined) this.length = this.#buffer.writeUInt32BE(pathId, this.length);
    this.#buffer[this.length++] = length;
    for (let bit = 0; bit < length; bit += 8)
      this.#buffer[this.length++] = ((words[at + (bit >> 5)] ?? 0) >>> (24 - (bit & 31))) & 0xff;
  }

  take(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  #room(octets: number): void {
    if (this.length + octets <= this.#buffer.length) return;
    const larger = Buffer.alloc(this.#buffer.length * 2);
    larger.set(this.#buffer.subarray(0, this.length));
    this.#buffer = larger;
  }
}
