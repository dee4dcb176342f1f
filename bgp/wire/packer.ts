/**
 * Writing UPDATEs: many NLRI that share attributes into one message, straight into the send buffer (RFC 4271 4.3, RFC 4760, RFC 7911 3). Order of
 * attributes and separation of fields by RFC 7606 5.1: MP attributes first, one kind of NLRI in a message.
 */
import {
  CORE_SCRATCH_OCTETS,
  PACK_ADD_PATH,
  PACK_ADDRESS_OCTETS,
  PACK_AS4,
  PACK_AT,
  PACK_END,
  PACK_EXTENDED_NEXT_HOP,
  PACK_FIELDS,
  PACK_FIRST_NLRI,
  PACK_LONGEST,
  PACK_NARROW,
  PACK_NARROW_KEY,
  PACK_OPTIONS,
  PACK_START,
} from '../../src/core/assembly/layout.ts';
import { Core } from '../../src/core/core.ts';
import { addressOctets, type Family } from '../../src/net/address.ts';
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

/** By what the inner loops answer: PACK_BEGUN, PACK_NO_ROOM, PACK_UNSENDABLE. */
const STARTS: readonly PackStart[] = ['begun', 'no-room', 'unsendable'];

/** Octets that messages may take together, whatever the room that a caller has: two of the longest. */
const ROOM_OCTETS = 1 << 17;
/** Beyond the end of the room, as numbers are written four octets at a time. */
const SPARE_OCTETS = 64;
const NARROW_OCTETS = 4 * MAX_EXTENDED_MESSAGE_OCTETS + 64;

/**
 * Writes one UPDATE at a time: `beginReach` or `beginWithdraw`, `add` until it is false or nothing is left, `finish`. The messages are made in the
 * memory of the inner loops, by them (src/core/assembly/packer.ts), and copied from there. Attributes go straight from the key into the message,
 * unless the peer wants narrow AS numbers.
 */
export class UpdatePacker {
  /** where its block stands for the inner loops */
  readonly address: number;
  readonly #core: Core;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** where messages are made */
  readonly #room: number;
  #target: Uint8Array = new Uint8Array(0);
  #offset = 0;

  /** `core`: where it is to live; default: in memory of its own. */
  constructor(core = new Core()) {
    this.#core = core;
    this.#block = core.block(PACK_FIELDS, { narrowAttributes: (key, octets) => this.#narrow(key, octets) });
    this.address = this.#block.byteOffset;
    this.#room = core.allocate(ROOM_OCTETS + SPARE_OCTETS);
    this.#block[PACK_NARROW] = core.allocate(NARROW_OCTETS);
  }

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
    const core = this.#core;
    if (key.length > CORE_SCRATCH_OCTETS) return 'unsendable';
    this.#begin(target, offset, family, options);
    core.octets.set(key, core.scratch);
    return STARTS[core.calls.packBeginReach(this.address, core.scratch, key.length)] ?? 'no-room';
  }

  /** Starts an UPDATE that withdraws routes of `family`: IPv4 in the body, IPv6 in MP_UNREACH_NLRI. Never 'unsendable'. */
  beginWithdraw(target: Uint8Array, offset: number, family: Family, options: PackOptions): PackStart {
    this.#begin(target, offset, family, options);
    return STARTS[this.#core.calls.packBeginWithdraw(this.address)] ?? 'no-room';
  }

  /**
   * Adds a prefix with host bits zero, as 32-bit words (w1..w3 are 0 for IPv4); `pathId` counts only with ADD-PATH. False: the message is full and
   * this prefix is not in it.
   */
  add(length: number, w0: number, w1: number, w2: number, w3: number, pathId: number): boolean {
    return this.#core.calls.packWords(this.address, length, w0, w1, w2, w3, pathId) !== 0;
  }

  /** Completes the message and returns its length in octets; 0 when no prefix was added, and then nothing is to be sent. */
  finish(): number {
    const octets = this.#core.calls.packFinish(this.address);
    this.copyTo(this.#target, this.#offset);
    return octets;
  }

  /** From now on messages of a family are made, one after the other, that take so many octets together. Returns how many there is room for. */
  open(family: Family, options: PackOptions, octets: number): number {
    const room = Math.min(ROOM_OCTETS, octets);
    const block = this.#block;
    block[PACK_ADDRESS_OCTETS] = addressOctets(family);
    block[PACK_OPTIONS] =
      (options.as4 ? PACK_AS4 : 0) +
      (options.extendedNextHop ? PACK_EXTENDED_NEXT_HOP : 0) +
      (options.addPath ? PACK_ADD_PATH : 0);
    block[PACK_LONGEST] = options.maxLength;
    block[PACK_START] = this.#room;
    block[PACK_AT] = this.#room;
    block[PACK_FIRST_NLRI] = this.#room;
    block[PACK_END] = this.#room + room;
    block[PACK_NARROW_KEY] = 0;
    return room;
  }

  /** Copies the messages that were made since `open` to `target` from `at`; returns their octets. */
  copyTo(target: Uint8Array, at: number): number {
    const octets = ((this.#block[PACK_START] ?? 0) >>> 0) - this.#room;
    if (octets > 0) target.set(this.#core.octets.subarray(this.#room, this.#room + octets), at);
    return octets;
  }

  #begin(target: Uint8Array, offset: number, family: Family, options: PackOptions): void {
    this.#target = target;
    this.#offset = offset;
    this.open(family, options, target.length - offset);
  }

  #narrow(key: number, octets: number): number {
    const { octets: memory } = this.#core;
    const narrow = (this.#block[PACK_NARROW] ?? 0) >>> 0;
    return narrowAttributes(
      memory.subarray(key, key + octets),
      memory.subarray(narrow, narrow + NARROW_OCTETS),
    );
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
