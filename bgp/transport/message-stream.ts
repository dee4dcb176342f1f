/**
 * BGP messages over a channel. Reading: whole messages are handed over where they lie in the receive buffer; only one that a read cut in
 * two is copied, and what there is no time for yet. Writing: control messages first, then whatever the puller has, one buffer at a time and
 * only when the kernel took the last one, so that a slow peer holds up nothing but itself and nothing queues up for it.
 */
import { nextFrame } from '../wire/frame.ts';
import { HEADER_OCTETS, MAX_EXTENDED_MESSAGE_OCTETS, MESSAGE_TYPE } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';
import type { Channel } from './channel.ts';
import { MessageCounts } from './message-counts.ts';

/** NOTIFICATION, then close: time for the peer to read it. */
const DRAIN_MS = 1000;
/** One write: some messages of the longest kind, or one extended message. */
const OUTPUT_OCTETS = MAX_EXTENDED_MESSAGE_OCTETS + 1;
/** Control messages that wait behind a write; whoever sends more to a stuck peer has a bug. */
const CONTROL_QUEUE_MAX = 64;

/** Output buffers that no stream is writing from. */
const spareBuffers: Uint8Array[] = [];
const SPARE_MAX = 16;

export interface MessageHandlers {
  /** `octets[start..end)` is one whole message, its body from `bodyStart`; valid during the call */
  onMessage(type: number, octets: Uint8Array, start: number, bodyStart: number, end: number): void;
  /**
   * asked before `onMessage`: takes in the UPDATEs at the start of `octets[start..end)` that need no looking at one by one, those that begin before
   * `start + most`, and returns how many octets and messages these were
   */
  readonly takePlain?:
    | ((
        octets: Uint8Array,
        start: number,
        end: number,
        most: number,
      ) => { readonly octets: number; readonly messages: number })
    | undefined;
  /** the stream cannot be understood from here on; nothing more is read */
  onFrameError(error: NotificationError, reason: string, octets: Uint8Array): void;
  /** the peer is gone */
  onClose(reason: string): void;
  /** the kernel took what was written: there is room for more */
  onWritable(): void;
  /**
   * asked before and after each chunk, and within it as often as it wants to be: there is time for messages up to so many octets, or one longer one,
   * before it is asked again. 0: no time, and `resumeReading` is waited for
   */
  mayRead(): number;
}

/** Writes whole messages at `offset` and returns how many octets; 0 when there is nothing to send. */
export type Puller = (target: Uint8Array, offset: number) => number;

/** Sees whole messages as they come and go; the octets are borrowed. */
export type MessageTap = (direction: 'received' | 'sent', message: Uint8Array) => void;

export class MessageStream {
  readonly channel: Channel;
  /** told of every message while it is set */
  tap: MessageTap | undefined;
  readonly counts = { received: new MessageCounts(), sent: new MessageCounts() } as const;
  readonly #handlers: MessageHandlers;
  /** the front of a message whose rest has not come yet */
  #partial = new Uint8Array(4096);
  #partialOctets = 0;
  #extendedMessage = false;
  /** what came when there was no time for it, and how much of that has been taken in since */
  #held: Uint8Array | undefined;
  #heldAt = 0;
  #pieces = 0;
  /** octets of messages that may be taken in before `mayRead` is asked again */
  #granted = 0;
  /** there was no time to go on: `resumeReading` will come */
  #waits = false;
  /** the connection is over: what came before is taken in whether or not there is time */
  #ending = false;
  readonly #control: Uint8Array[] = [];
  #writing = 0;
  #closed = false;

  constructor(channel: Channel, handlers: MessageHandlers) {
    this.channel = channel;
    this.#handlers = handlers;
  }

  /** Octets that were given to the kernel and not taken yet, and control messages behind them. */
  get queuedOctets(): number {
    return this.#control.reduce((sum, frame) => sum + frame.length, this.#writing);
  }

  /** The number of the piece of input that is being taken in, so of what came at the same time; 0 when nothing is. */
  piece = 0;

  /** Whether octets of the peer wait here for their turn. */
  get hasUnread(): boolean {
    return this.#held !== undefined;
  }

  /** Whether a write is under way. */
  get isBacklogged(): boolean {
    return this.#writing > 0;
  }

  /** Starts reading. */
  start(): void {
    this.channel.start({
      onData: (octets) => this.#receive(octets),
      onClose: (reason) => {
        // What came before the end may say why.
        this.#ending = true;
        this.#waits = false;
        this.#takeHeld();
        if (this.#closed) return;
        this.#closed = true;
        this.#handlers.onClose(reason);
      },
    });
  }

  /** RFC 8654 was negotiated: longer messages may come. */
  allowExtendedMessages(): void {
    this.#extendedMessage = true;
    const larger = new Uint8Array(MAX_EXTENDED_MESSAGE_OCTETS);
    larger.set(this.#partial.subarray(0, this.#partialOctets));
    this.#partial = larger;
  }

  /** The time has come: what was held is taken in, and unless that used it up, reading goes on. */
  resumeReading(): void {
    this.#waits = false;
    // How much time there is, the answer after the first message says.
    this.#granted = 1;
    this.#takeHeld();
    if (!this.#closed && !this.#waits) this.channel.resume();
  }

  /** Sends a message that does not wait for the puller's. KEEPALIVEs that would stand one behind the other count once. */
  send(message: Uint8Array): void {
    if (this.#closed) return;
    const last = this.#control.at(-1);
    const isKeepalive = message[HEADER_OCTETS - 1] === MESSAGE_TYPE.keepalive;
    if (isKeepalive && last?.[HEADER_OCTETS - 1] === MESSAGE_TYPE.keepalive) return;
    if (this.#control.length >= CONTROL_QUEUE_MAX) return;
    this.#control.push(message);
    this.pump(undefined);
  }

  /** Writes one buffer full if the last was taken. Returns whether it wrote. */
  pump(pull: Puller | undefined): boolean {
    if (this.#closed || this.#writing > 0) return false;
    if (pull === undefined && this.#control.length === 0) return false;
    const buffer = spareBuffers.pop() ?? new Uint8Array(OUTPUT_OCTETS);
    let octets = 0;
    for (let frame = this.#control[0]; frame !== undefined; frame = this.#control[0]) {
      if (octets + frame.length > buffer.length) break;
      buffer.set(frame, octets);
      octets += frame.length;
      this.#control.shift();
    }
    if (pull !== undefined) octets += pull(buffer, octets);
    if (octets === 0) {
      keepSpare(buffer);
      return false;
    }
    this.#countSent(buffer, octets);
    this.#writing = octets;
    this.channel.write(buffer.subarray(0, octets), () => {
      keepSpare(buffer);
      this.#writing = 0;
      if (this.#closed) return;
      this.pump(undefined);
      this.#handlers.onWritable();
    });
    return true;
  }

  /**
   * Sends `last`, if given, and closes: half-closes and drains for 1 s at most, for closing with input unread makes the kernel send a
   * reset, and the peer never reads why. Without `last` it closes at once.
   */
  close(last: Uint8Array | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    if (last === undefined) {
      this.channel.destroy();
      return;
    }
    this.counts.sent.add(last[HEADER_OCTETS - 1] ?? 0);
    this.tap?.('sent', last);
    this.channel.write(last, () => {});
    this.channel.finish(DRAIN_MS);
  }

  #receive(octets: Uint8Array): void {
    if (this.#closed) return;
    // A channel may still hand over what it had read when it was paused.
    const at = this.#waits || !this.#mayGoOn() ? 0 : this.#take(octets, 0);
    if (!this.#waits) return;
    this.channel.pause();
    if (at < octets.length) this.#hold(octets.subarray(at));
  }

  #mayGoOn(): boolean {
    if (this.#ending) return true;
    this.#granted = this.#handlers.mayRead();
    this.#waits = this.#granted === 0;
    return !this.#waits;
  }

  /** Keeps a copy, behind what is held already. */
  #hold(octets: Uint8Array): void {
    const before = this.#held?.subarray(this.#heldAt) ?? new Uint8Array(0);
    const held = new Uint8Array(before.length + octets.length);
    held.set(before);
    held.set(octets, before.length);
    this.#held = held;
    this.#heldAt = 0;
  }

  /** Goes on with what is held, while there is time. */
  #takeHeld(): void {
    const held = this.#held;
    if (held === undefined) return;
    if (!this.#closed) this.#heldAt = this.#take(held, this.#heldAt);
    if (this.#heldAt < held.length && !this.#closed) return;
    this.#held = undefined;
    this.#heldAt = 0;
  }

  /** Hands over the messages of a chunk from `start`, while there is time. Returns how far it came. */
  #take(octets: Uint8Array, start: number): number {
    let at = start;
    while (this.#partialOctets > 0 && at < octets.length) {
      at = this.#completePartial(octets, at);
      this.piece = 0;
      if (this.#waits || this.#closed) return at;
    }
    const taken = this.#frames(octets, at, octets.length);
    this.piece = 0;
    return taken;
  }

  /** Moves as much to the partial message as it lacks, and hands it over when it is whole. Returns where to go on. */
  #completePartial(octets: Uint8Array, at: number): number {
    const have = this.#partialOctets;
    const length =
      have < HEADER_OCTETS ? HEADER_OCTETS : ((this.#partial[16] ?? 0) << 8) | (this.#partial[17] ?? 0);
    const taken = Math.min(length - have, octets.length - at);
    this.#partial.set(octets.subarray(at, at + taken), have);
    this.#partialOctets = 0;
    this.#frames(this.#partial, 0, have + taken);
    return at + taken;
  }

  /** Hands over the whole messages in `octets[start..end)` while there is time and keeps the piece behind them. Returns how far it came. */
  #frames(octets: Uint8Array, start: number, end: number): number {
    let at = start;
    let pieceEnd = start;
    while (at < end) {
      if (at >= pieceEnd) {
        pieceEnd = at + this.#granted;
        this.piece = ++this.#pieces;
      }
      const plain = this.#takePlain(octets, at, end, pieceEnd - at);
      if (plain > 0) {
        at += plain;
        if (this.#closed) return at;
        if ((at >= pieceEnd || at >= end) && !this.#mayGoOn()) return at;
        continue;
      }
      const frame = nextFrame(octets, at, end, this.#extendedMessage);
      if (frame.kind === 'error') {
        this.tap?.('received', octets.subarray(at, end));
        this.#handlers.onFrameError(frame.error, frame.reason, octets.subarray(at, end));
        return end;
      }
      if (frame.kind === 'incomplete') {
        if (octets === this.#partial) this.#partial.copyWithin(0, at, end);
        else this.#partial.set(octets.subarray(at, end));
        this.#partialOctets = end - at;
        return end;
      }
      this.counts.received.add(frame.type);
      this.tap?.('received', octets.subarray(at, frame.end));
      this.#handlers.onMessage(frame.type, octets, at, frame.bodyStart, frame.end);
      at = frame.end;
      if (this.#closed) return at;
      if ((at >= pieceEnd || at >= end) && !this.#mayGoOn()) return at;
    }
    return at;
  }

  /** Octets of messages that were taken in as they are. Whoever watches wants to see each of them. */
  #takePlain(octets: Uint8Array, start: number, end: number, most: number): number {
    if (this.tap !== undefined || octets === this.#partial) return 0;
    const taken = this.#handlers.takePlain?.(octets, start, end, most);
    if (taken === undefined || taken.octets === 0) return 0;
    this.counts.received.add(MESSAGE_TYPE.update, taken.messages);
    return taken.octets;
  }

  #countSent(buffer: Uint8Array, octets: number): void {
    for (let at = 0; at + HEADER_OCTETS <= octets; ) {
      const length = ((buffer[at + 16] ?? 0) << 8) | (buffer[at + 17] ?? 0);
      if (length < HEADER_OCTETS) return;
      this.counts.sent.add(buffer[at + HEADER_OCTETS - 1] ?? 0);
      this.tap?.('sent', buffer.subarray(at, at + length));
      at += length;
    }
  }
}

function keepSpare(buffer: Uint8Array): void {
  if (spareBuffers.length < SPARE_MAX) spareBuffers.push(buffer);
}
