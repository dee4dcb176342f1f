/**
 * Attribute keys, the canonical form that `AttributeKey` documents: built from a checked UPDATE, read in part or whole, made from values.
 */
import { AS_PATH_MOST } from '../../src/core/assembly/layout.ts';
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { reconstructAsPath, widenAsPath } from './as-path.ts';
import type { AttributeScan } from './attribute-scan.ts';
import { ATTRIBUTE_TABLE, type Draft, ENCODED_ROWS } from './attribute-table.ts';
import { copyOctets, putUint16, uint16, Views } from './bytes.ts';
import { isLinkLocalAt, isUnspecified } from './multiprotocol.ts';
import { AS_TRANS, ATTRIBUTE, FLAG, MAX_EXTENDED_MESSAGE_OCTETS } from './registry.ts';
import type { AttributeKey, DecodeContext, PathAttributes } from './types.ts';

/** Octets kept free before the attributes: next hop length and next hop. */
const NEXT_HOP_ROOM = 33;

const KIND_MASK = FLAG.optional | FLAG.transitive;
const OPTIONAL_TRANSITIVE = FLAG.optional | FLAG.transitive;

/** Builds keys in a scratch buffer that is kept from message to message. */
export class KeyBuilder {
  /** AS_PATH can double when widened, and AS4_PATH can add as much as the message holds. */
  readonly #scratch = new Uint8Array(NEXT_HOP_ROOM + 4 * MAX_EXTENDED_MESSAGE_OCTETS);
  #end = NEXT_HOP_ROOM;
  /** numbers of the scan in ascending order of code */
  readonly #order = new Uint8Array(256);
  /** of the scratch buffer from the place of a next hop of 4 octets, which most keys have */
  readonly #views = new Views(this.#scratch, NEXT_HOP_ROOM - 5);

  /** Writes the attributes of a scanned message that has no error above attribute discard. */
  build(body: Uint8Array, scan: AttributeScan, context: DecodeContext): void {
    const count = this.#sort(scan);
    const as4 = context.as4 ? IGNORE_AS4 : readAs4(body, scan);
    let end = NEXT_HOP_ROOM;
    for (let i = 0; i < count; i++) {
      const number = this.#order[i] ?? 0;
      if (!scan.isUsable(number)) continue;
      const code = scan.code(number);
      if (code === ATTRIBUTE.asPath && as4.path !== undefined) {
        end = this.#writeReconstructed(body, scan, number, as4.path, end);
      } else if (code === ATTRIBUTE.aggregator && as4.aggregator !== undefined) {
        end = writeAttribute(
          this.#scratch,
          end,
          canonicalFlags(code, scan.flags(number)),
          code,
          as4.aggregator,
        );
      } else {
        end = this.#write(body, scan, number, context, end);
      }
    }
    this.#end = end;
  }

  /** The key with a next hop of 4, 16 or 32 octets from `body` in front: borrowed, until the next one is made. */
  withNextHop(body: Uint8Array, nextHopStart: number, nextHopOctets: number): AttributeKey {
    let start = nextHopStart;
    let octets = nextHopOctets;
    if (octets === 32) {
      // RFC 2545 3: the second address is link-local or worthless; a first one that is none leaves the second.
      if (!isLinkLocalAt(body, start + 16)) octets = 16;
      else if (isUnspecified(body, start) || isLinkLocalAt(body, start)) {
        start += 16;
        octets = 16;
      }
    }
    const from = NEXT_HOP_ROOM - octets - 1;
    this.#scratch[from] = octets;
    copyOctets(body, start, start + octets, this.#scratch, from + 1);
    return octets === 4 ? this.#views.of(this.#end - from) : this.#scratch.subarray(from, this.#end);
  }

  /** Insertion sort: attributes nearly always come in order already. */
  #sort(scan: AttributeScan): number {
    const order = this.#order;
    for (let i = 0; i < scan.count; i++) {
      const code = scan.code(i);
      let at = i;
      while (at > 0 && scan.code(order[at - 1] ?? 0) > code) {
        order[at] = order[at - 1] ?? 0;
        at--;
      }
      order[at] = i;
    }
    return scan.count;
  }

  #write(body: Uint8Array, scan: AttributeScan, number: number, context: DecodeContext, at: number): number {
    const code = scan.code(number);
    const row = ATTRIBUTE_TABLE[code];
    const flags = canonicalFlags(code, scan.flags(number));
    const start = scan.start(number);
    const end = scan.end(number);
    if (row === undefined) {
      // RFC 4271 5: unknown optional non-transitive attributes are quietly ignored.
      if ((flags & FLAG.transitive) === 0) return at;
      const value = writeHead(this.#scratch, at, flags, code, end - start);
      return copyOctets(body, start, end, this.#scratch, value);
    }
    if (row.canonicalise === undefined) return at;
    // The canonical length is known afterwards; only an AS_PATH or AGGREGATOR grows, and only a large-community list shrinks.
    const head = end - start > 127 ? 4 : 3;
    const written = row.canonicalise(body, start, end, context, this.#scratch, at + head) - (at + head);
    const wanted = written > 255 ? 4 : 3;
    if (wanted !== head) this.#scratch.copyWithin(at + wanted, at + head, at + head + written);
    writeHead(this.#scratch, at, flags, code, written);
    return at + wanted + written;
  }

  #writeReconstructed(
    body: Uint8Array,
    scan: AttributeScan,
    number: number,
    as4Path: Uint8Array,
    at: number,
  ): number {
    const start = scan.start(number);
    const wide = new Uint8Array(2 * (scan.end(number) - start));
    const octets = widenAsPath(body, start, scan.end(number), wide, 0);
    const widened = wide.subarray(0, octets);
    const reconstructed = reconstructAsPath(widened, as4Path);
    const value = reconstructed.length > AS_PATH_MOST ? widened : reconstructed;
    return writeAttribute(this.#scratch, at, FLAG.transitive, ATTRIBUTE.asPath, value);
  }
}

interface As4 {
  readonly path: Uint8Array | undefined;
  readonly aggregator: Uint8Array | undefined;
}

const IGNORE_AS4: As4 = { path: undefined, aggregator: undefined };

/** RFC 6793 4.2.3: which of AS4_PATH and AS4_AGGREGATOR count. */
function readAs4(body: Uint8Array, scan: AttributeScan): As4 {
  const usableValue = (code: number): Uint8Array | undefined => {
    const number = scan.indexOf(code);
    return number < 0 ? undefined : body.subarray(scan.start(number), scan.end(number));
  };
  const path = usableValue(ATTRIBUTE.as4Path);
  const as4Aggregator = usableValue(ATTRIBUTE.as4Aggregator);
  const aggregator = usableValue(ATTRIBUTE.aggregator);
  if (aggregator === undefined || as4Aggregator === undefined) return { path, aggregator: undefined };
  // Someone who does not know AS4_* aggregated after they were set: both are out of date.
  if (uint16(aggregator, 0) !== AS_TRANS) return IGNORE_AS4;
  return { path, aggregator: as4Aggregator };
}

/** Flags as they stand in a key, without Extended Length. Partial only where it may be set (RFC 4271 4.3). */
function canonicalFlags(code: number, flags: number): number {
  const row = ATTRIBUTE_TABLE[code];
  if (row === undefined) return (flags & KIND_MASK) | FLAG.partial;
  return row.flags === OPTIONAL_TRANSITIVE ? row.flags | (flags & FLAG.partial) : row.flags;
}

/** Writes type and length of an attribute; Extended Length is set when it must be. Returns the offset of the value. */
export function writeHead(
  target: Uint8Array,
  at: number,
  flags: number,
  code: number,
  octets: number,
): number {
  target[at + 1] = code;
  if (octets > 255) {
    target[at] = flags | FLAG.extendedLength;
    putUint16(target, at + 2, octets);
    return at + 4;
  }
  target[at] = flags & ~FLAG.extendedLength;
  target[at + 2] = octets;
  return at + 3;
}

/** Writes a whole attribute and returns the offset after it. */
export function writeAttribute(
  target: Uint8Array,
  at: number,
  flags: number,
  code: number,
  value: Uint8Array,
): number {
  return copyOctets(value, 0, value.length, target, writeHead(target, at, flags, code, value.length));
}

/** Offset of the first attribute in a key. */
export function attributesStart(key: AttributeKey): number {
  return 1 + (key[0] ?? 0);
}

/** The attribute that starts at `at` in a key: value start and end, end being where the next one starts. */
export function valueStart(key: AttributeKey, at: number): number {
  return at + (((key[at] ?? 0) & FLAG.extendedLength) !== 0 ? 4 : 3);
}

/** End of the attribute that starts at `at` in a key. */
export function valueEnd(key: AttributeKey, at: number): number {
  return ((key[at] ?? 0) & FLAG.extendedLength) !== 0
    ? at + 4 + uint16(key, at + 2)
    : at + 3 + (key[at + 2] ?? 0);
}

/** Offset of an attribute in a key, or -1. */
export function findAttribute(key: AttributeKey, code: number): number {
  for (let at = attributesStart(key); at < key.length; at = valueEnd(key, at)) {
    const found = key[at + 1] ?? 0;
    if (found === code) return at;
    if (found > code) return -1;
  }
  return -1;
}

/** The value of one attribute of a key, borrowed, or undefined when it is not there. */
export function attributeSlice(key: AttributeKey, code: number): Uint8Array | undefined {
  const at = findAttribute(key, code);
  return at < 0 ? undefined : key.subarray(valueStart(key, at), valueEnd(key, at));
}

/** The next hop of a key (the global one, or a link-local one that stands alone); undefined when it has none. */
export function nextHopOf(key: AttributeKey): Address | undefined {
  const octets = key[0] ?? 0;
  return octets === 0 ? undefined : addressFromBytes(key.subarray(1, octets === 4 ? 5 : 17));
}

/** Decodes a key. What it returns shares nothing with the key. */
export function decodeAttributes(key: AttributeKey): PathAttributes {
  const draft: Draft = { origin: 'incomplete', asPath: [] };
  const nextHop = nextHopOf(key);
  if (nextHop !== undefined) draft.nextHop = nextHop;
  if (key[0] === 32) draft.linkLocalNextHop = addressFromBytes(key.subarray(17, 33));
  const unknown: { readonly flags: number; readonly code: number; readonly value: Uint8Array }[] = [];
  for (let at = attributesStart(key); at < key.length; ) {
    const code = key[at + 1] ?? 0;
    const end = valueEnd(key, at);
    const value = key.subarray(valueStart(key, at), end);
    const decode = ATTRIBUTE_TABLE[code]?.decode;
    if (decode === undefined) {
      unknown.push({ flags: (key[at] ?? 0) & ~FLAG.extendedLength, code, value: value.slice() });
    } else {
      decode(value, draft);
    }
    at = end;
  }
  if (unknown.length > 0) draft.unknown = unknown;
  return draft;
}

/** The key of attributes. Empty lists stand for absent attributes. */
export function encodeAttributes(attributes: PathAttributes): AttributeKey {
  const parts: { readonly code: number; readonly flags: number; readonly value: Uint8Array }[] = [];
  for (const row of ENCODED_ROWS) {
    const value = row.encode?.(attributes);
    if (value !== undefined) parts.push({ code: row.code, flags: row.flags, value });
  }
  parts.push(...(attributes.unknown ?? []));
  parts.sort((a, b) => a.code - b.code);
  const nextHop = encodeNextHop(attributes.nextHop, attributes.linkLocalNextHop);
  const octets = parts.reduce((sum, { value }) => sum + value.length + (value.length > 255 ? 4 : 3), 0);
  const key = new Uint8Array(nextHop.length + octets);
  key.set(nextHop);
  let at = nextHop.length;
  for (const { flags, code, value } of parts) at = writeAttribute(key, at, flags, code, value);
  return key;
}

/** The front of a key: length octet and next hop. */
export function encodeNextHop(nextHop: Address | undefined, linkLocal: Address | undefined): Uint8Array {
  const first = nextHop ?? linkLocal;
  if (first === undefined) return Uint8Array.of(0);
  if (nextHop === undefined || linkLocal === undefined || first.family === 'ipv4') {
    return Uint8Array.of(first.bytes.length, ...first.bytes);
  }
  return Uint8Array.of(32, ...nextHop.bytes, ...linkLocal.bytes);
}
