/** Reading of big-endian numbers at an offset, without a view object; octets past the end read as zero. */

export function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** Unsigned. */
export function uint32(bytes: Uint8Array, at: number): number {
  return int32(bytes, at) >>> 0;
}

/** As a signed 32-bit number, the form in which prefix tables take address words. */
export function int32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)
  );
}

export function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The octets of unsigned 32-bit numbers, one after the other. */
export function uint32Bytes(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  for (const [index, value] of values.entries()) putUint32(bytes, 4 * index, value);
  return bytes;
}

/** All unsigned 32-bit numbers of a value whose length is a multiple of four. */
export function uint32List(value: Uint8Array): number[] {
  const list: number[] = [];
  for (let at = 0; at + 4 <= value.length; at += 4) list.push(uint32(value, at));
  return list;
}

/** Copies `end - start` octets; a loop, as attribute values are too short for a bulk copy to pay. Returns the offset after them. */
export function copyOctets(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  let to = at;
  for (let from = start; from < end; from++) target[to++] = source[from] ?? 0;
  return to;
}

/** Whether two runs of octets are the same. */
export function octetsEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lower-case hexadecimal, two digits an octet. */
export function hexOf(bytes: Uint8Array): string {
  return bytes.toHex();
}

const EMPTY = new Uint8Array(0);

/** No octets. */
export function noOctets(): Uint8Array {
  return EMPTY;
}

/** Views of fewer octets are kept. */
const VIEWS_MAX = 512;

/**
 * Views of one buffer from one place on, by length. A view is as much garbage as the small key that it shows, so those of usual lengths are made
 * once: who holds one sees what is written there later.
 */
export class Views {
  readonly #buffer: Uint8Array;
  readonly #from: number;
  readonly #made: (Uint8Array | undefined)[] = new Array(VIEWS_MAX).fill(undefined);

  constructor(buffer: Uint8Array, from: number) {
    this.#buffer = buffer;
    this.#from = from;
  }

  /** The view of so many octets. */
  of(octets: number): Uint8Array {
    const kept = this.#made[octets];
    if (kept !== undefined) return kept;
    const made = this.#buffer.subarray(this.#from, this.#from + octets);
    if (octets < VIEWS_MAX) this.#made[octets] = made;
    return made;
  }
}
