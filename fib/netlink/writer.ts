/** Writes netlink messages, one after the other, into one growing buffer that is reused between batches. */
import { NLMSG_HEADER_BYTES } from './registry.ts';

const NESTED = 0x8000;
const encoder = new TextEncoder();

/**
 * A growing writer of netlink messages. Usage: `begin`, body and attributes, `end`; then `bytes()` for all messages so far.
 * The view that `bytes()` returns is valid until the next write.
 */
export class MessageWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  /** the same memory; messages begin at whole words */
  #words: Int32Array;
  #length = 0;
  #messageAt = -1;

  constructor(initialBytes = 4096) {
    this.#bytes = new Uint8Array(wholeWords(initialBytes));
    this.#view = new DataView(this.#bytes.buffer);
    this.#words = new Int32Array(this.#bytes.buffer);
  }

  /** Octets written. */
  get length(): number {
    return this.#length;
  }

  /** Everything written since the last `reset`. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets everything written. */
  reset(): void {
    this.#length = 0;
    this.#messageAt = -1;
  }

  /** Starts a message; its length, sequence number and port id are filled in later. */
  begin(type: number, flags: number): void {
    this.#messageAt = this.#length;
    this.#reserve(NLMSG_HEADER_BYTES);
    this.#view.setUint32(this.#messageAt, 0, true);
    this.#view.setUint16(this.#messageAt + 4, type, true);
    this.#view.setUint16(this.#messageAt + 6, flags, true);
    this.#view.setUint32(this.#messageAt + 8, 0, true);
    this.#view.setUint32(this.#messageAt + 12, 0, true);
  }

  /** Ends the message that `begin` started. */
  end(): void {
    this.#align();
    this.#view.setUint32(this.#messageAt, this.#length - this.#messageAt, true);
    this.#messageAt = -1;
  }

  /** A copy of what has been written since an offset, where a message began, for `repeat`. */
  copyFrom(at: number): Int32Array {
    return this.#words.slice(at >>> 2, this.#length >>> 2);
  }

  /** Writes a whole message again that `copyFrom` returned; returns its offset, for the changes to be made in it. */
  repeat(message: Int32Array): number {
    const at = this.#reserve(message.length << 2);
    const words = this.#words;
    for (let index = 0, to = at >>> 2; index < message.length; index++, to++) words[to] = message[index] ?? 0;
    return at;
  }

  /** Changes an octet that has been written. */
  setU8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  /** Changes a word that has been written, network order. */
  setWord(at: number, value: number): void {
    this.#view.setInt32(at, value);
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  raw(value: Uint8Array): void {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
  }

  /** Attribute with one octet. */
  attributeU8(type: number, value: number): void {
    this.#attributeHeader(type, 1);
    this.u8(value);
    this.#align();
  }

  /** Attribute with a 32-bit number. */
  attributeU32(type: number, value: number): void {
    this.#attributeHeader(type, 4);
    this.u32(value);
  }

  /** Attribute with octets. */
  attributeBytes(type: number, value: Uint8Array): void {
    this.#attributeHeader(type, value.length);
    this.raw(value);
    this.#align();
  }

  /** Attribute with 32-bit words in network order: `count` of the four are written (an address without an object). */
  attributeWords(type: number, count: number, w0: number, w1: number, w2: number, w3: number): void {
    this.#attributeHeader(type, 4 * count);
    const at = this.#reserve(4 * count);
    this.#view.setInt32(at, w0);
    if (count === 1) return;
    this.#view.setInt32(at + 4, w1);
    this.#view.setInt32(at + 8, w2);
    this.#view.setInt32(at + 12, w3);
  }

  /** Attribute with a zero-terminated string. */
  attributeString(type: number, value: string): void {
    const text = encoder.encode(value);
    this.#attributeHeader(type, text.length + 1);
    this.raw(text);
    this.u8(0);
    this.#align();
  }

  /** Attribute without a value. */
  attributeFlag(type: number): void {
    this.#attributeHeader(type, 0);
  }

  /** Starts an attribute whose value is written next; returns what `endAttribute` needs. */
  beginAttribute(type: number, nested = true): number {
    return this.#attributeHeader(nested ? type | NESTED : type, 0);
  }

  /** Ends what `beginAttribute` started. */
  endAttribute(at: number): void {
    this.#view.setUint16(at, this.#length - at, true);
    this.#align();
  }

  /** Starts a struct that begins with its own u16 length (rtnexthop); returns what `endLength` needs. */
  beginLength(): number {
    return this.#reserve(2);
  }

  /** Ends what `beginLength` started. */
  endLength(at: number): void {
    this.#view.setUint16(at, this.#length - at, true);
  }

  #attributeHeader(type: number, length: number): number {
    const at = this.#reserve(4);
    this.#view.setUint16(at, length + 4, true);
    this.#view.setUint16(at + 2, type, true);
    return at;
  }

  #align(): void {
    while (this.#length & 3) this.u8(0);
  }

  #reserve(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const grown = new Uint8Array(wholeWords(Math.max(this.#bytes.length * 2, at + count)));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
      this.#words = new Int32Array(grown.buffer);
    }
    this.#length = at + count;
    return at;
  }
}

function wholeWords(octets: number): number {
  return (octets + 3) & ~3;
}
