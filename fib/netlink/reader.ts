/**
 * Bounds-checked cursors over received netlink octets. Nothing here throws: what does not fit ends the walk, and a value that is
 * too short reads as zero.
 */
import { NLMSG_HEADER_BYTES } from './registry.ts';

const TYPE_MASK = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
const decoder = new TextDecoder();

/** Walks the messages of one received datagram. Fields describe the message that `next` moved to. */
export class MessageCursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #end: number;
  #at: number;
  type = 0;
  flags = 0;
  sequence = 0;
  portId = 0;
  /** first octet of the body, and the one after its last */
  bodyStart = 0;
  bodyEnd = 0;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
  }

  /** Moves to the next message; false at the end or at a malformed header. */
  next(): boolean {
    if (this.#at + NLMSG_HEADER_BYTES > this.#end) return false;
    const length = this.view.getUint32(this.#at, true);
    if (length < NLMSG_HEADER_BYTES || this.#at + length > this.#end) return false;
    this.type = this.view.getUint16(this.#at + 4, true);
    this.flags = this.view.getUint16(this.#at + 6, true);
    this.sequence = this.view.getUint32(this.#at + 8, true);
    this.portId = this.view.getUint32(this.#at + 12, true);
    this.bodyStart = this.#at + NLMSG_HEADER_BYTES;
    this.bodyEnd = this.#at + length;
    this.#at += (length + 3) & ~3;
    return true;
  }
}

/** Walks the attributes between two offsets. Fields describe the attribute that `next` moved to; `reset` makes it reusable. */
export class AttributeCursor {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #end = 0;
  type = 0;
  /** first octet of the value, and its length */
  start = 0;
  length = 0;

  /** Starts a walk over [start, end) of the octets that `view` covers. */
  reset(bytes: Uint8Array, view: DataView, start: number, end: number): this {
    this.bytes = bytes;
    this.view = view;
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
    return this;
  }

  /** Starts a walk over the value of the attribute that `outer` stands on. */
  enter(outer: AttributeCursor): this {
    return this.reset(outer.bytes, outer.view, outer.start, outer.start + outer.length);
  }

  /** Moves to the next attribute; false at the end or at a malformed one. */
  next(): boolean {
    if (this.#at + 4 > this.#end) return false;
    const length = this.view.getUint16(this.#at, true);
    if (length < 4 || this.#at + length > this.#end) return false;
    this.type = this.view.getUint16(this.#at + 2, true) & TYPE_MASK;
    this.start = this.#at + 4;
    this.length = length - 4;
    this.#at += (length + 3) & ~3;
    return true;
  }

  u8(): number {
    return this.length >= 1 ? (this.bytes[this.start] ?? 0) : 0;
  }

  u16(): number {
    return this.length >= 2 ? this.view.getUint16(this.start, true) : 0;
  }

  u32(): number {
    return this.length >= 4 ? this.view.getUint32(this.start, true) : 0;
  }

  i32(): number {
    return this.length >= 4 ? this.view.getInt32(this.start, true) : 0;
  }

  /** A copy of the value. */
  copy(): Uint8Array {
    return this.bytes.slice(this.start, this.start + this.length);
  }

  /** The value as text, up to its first zero octet. */
  text(): string {
    const value = this.bytes.subarray(this.start, this.start + this.length);
    const zero = value.indexOf(0);
    return decoder.decode(zero < 0 ? value : value.subarray(0, zero));
  }
}

/** What decoders take: the octets of a datagram and the bounds of one message's body. `MessageCursor` is one. */
export interface MessageBody {
  readonly type: number;
  /** NLM_F_* of its header */
  readonly flags: number;
  /** of the request that it answers, or that caused it; 0 and 0: the kernel's own doing */
  readonly sequence: number;
  readonly portId: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}
