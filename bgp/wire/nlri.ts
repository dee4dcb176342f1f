/** NLRI fields: checking them once (RFC 7606 5.3), then walking them without allocation (RFC 4271 4.3, RFC 7911 3). */
import { addressBits, type Family } from '../../src/net/address.ts';
import { maskWord } from '../../src/net/prefix-table.ts';
import { int32, uint32 } from './bytes.ts';
import type { NlriRange } from './types.ts';

/** Octets that a prefix of this many bits occupies, its length octet included. */
export function nlriOctets(bits: number): number {
  return 1 + ((bits + 7) >> 3);
}

/** Says what is wrong with a run of NLRI (RFC 7606 5.3), or undefined when it can be walked to its end. */
export function nlriProblem(
  bytes: Uint8Array,
  start: number,
  end: number,
  family: Family,
  addPath: boolean,
): string | undefined {
  const maxBits = addressBits(family);
  const idOctets = addPath ? 4 : 0;
  let at = start;
  while (at < end) {
    at += idOctets;
    if (at >= end) return 'a path identifier runs past the end of the field';
    const bits = bytes[at] ?? 0;
    if (bits > maxBits) return `a prefix length of ${bits} is above ${maxBits}`;
    at += nlriOctets(bits);
  }
  return at === end ? undefined : 'the last prefix runs past the end of the field';
}

/**
 * Walks a validated range. Reusable: `reset`, then `next` until it is false; after each true the fields hold one NLRI.
 * Words are signed 32-bit numbers with host bits cleared, as `PrefixTable` takes them; w1..w3 are 0 for IPv4.
 */
export class NlriWalker {
  /** prefix length, 0..32 or 0..128 */
  length = 0;
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  /** RFC 7911: unsigned 32-bit, 0 when the range carries none */
  pathId = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #addPath = false;

  /** Starts over at the beginning of a range of `body`. */
  reset(body: Uint8Array, range: NlriRange): void {
    this.#bytes = body;
    this.#at = range.start;
    this.#end = range.end;
    this.#addPath = range.addPath;
    this.w1 = 0;
    this.w2 = 0;
    this.w3 = 0;
    this.pathId = 0;
  }

  /** Moves to the next NLRI; false at the end of the range. */
  next(): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    if (at >= this.#end) return false;
    if (this.#addPath) {
      this.pathId = uint32(bytes, at);
      at += 4;
    }
    const length = bytes[at++] ?? 0;
    this.length = length;
    // Octets after the prefix are masked away, as its trailing bits must be (RFC 4271 4.3).
    this.w0 = length === 0 ? 0 : maskWord(wordAt(bytes, at), length);
    if (length > 32) {
      this.w1 = maskWord(wordAt(bytes, at + 4), length - 32);
      this.w2 = length > 64 ? maskWord(wordAt(bytes, at + 8), length - 64) : 0;
      this.w3 = length > 96 ? maskWord(wordAt(bytes, at + 12), length - 96) : 0;
    } else {
      this.w1 = 0;
      this.w2 = 0;
      this.w3 = 0;
    }
    this.#at = at + ((length + 7) >> 3);
    return true;
  }
}

// An index past the end of a typed array would throw the whole walk off the engine's fast path.
function wordAt(bytes: Uint8Array, at: number): number {
  if (at + 4 <= bytes.length) return int32(bytes, at);
  let word = 0;
  for (let i = 0; i < 4; i++) if (at + i < bytes.length) word |= (bytes[at + i] ?? 0) << (24 - 8 * i);
  return word;
}
