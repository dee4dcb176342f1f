/**
 * One direction of a TCP connection put back in order: segments that come early wait, what came before is dropped, and of octets that came
 * twice the first count. Octets that the capture lacks leave a gap, which is told when too much waits behind it.
 */

/** What comes out, in order. */
export interface StreamReceiver {
  onData(octets: Uint8Array, at: number): void;
  /** so many octets are missing here */
  onGap(octets: number, at: number): void;
}

/** Octets and segments that wait for the ones before them at most; beyond that these count as not captured. */
const WAITING_OCTETS_MAX = 4 << 20;
const WAITING_SEGMENTS_MAX = 4096;
/** Sequence numbers are compared within half their circle (RFC 9293 3.4). */
const HALF = 2 ** 31;
const CIRCLE = 2 ** 32;

interface Waiting {
  /** offset in the stream, unbounded */
  readonly offset: number;
  readonly octets: Uint8Array;
  /** octets that there were */
  readonly length: number;
  readonly at: number;
}

export class TcpStream {
  readonly #receiver: StreamReceiver;
  /** sequence number that is due, and the offset in the stream that it stands for */
  #nextSequence: number | undefined;
  #nextOffset = 0;
  #synSequence: number | undefined;
  #waiting: Waiting[] = [];
  #waitingOctets = 0;

  constructor(receiver: StreamReceiver) {
    this.#receiver = receiver;
  }

  /** Whether the beginning of the connection was captured. */
  get hasSyn(): boolean {
    return this.#synSequence !== undefined;
  }

  /** Whether the stream's place is known: a SYN or data came. */
  get isStarted(): boolean {
    return this.#nextSequence !== undefined;
  }

  /** Takes in a SYN. False when another one, or data, came before: then it belongs to a new connection. */
  start(sequence: number): boolean {
    if (this.#synSequence === sequence) return true;
    if (this.isStarted) return false;
    this.#synSequence = sequence;
    this.#nextSequence = (sequence + 1) % CIRCLE;
    return true;
  }

  /** Takes in a segment's data. `length` is what there was on the wire: what the capture lacks of it becomes a gap. */
  add(sequence: number, octets: Uint8Array, length: number, at: number): void {
    if (length === 0) return;
    this.#nextSequence ??= sequence;
    const ahead = (sequence - this.#nextSequence + CIRCLE) % CIRCLE;
    const offset = this.#nextOffset + (ahead < HALF ? ahead : ahead - CIRCLE);
    if (offset + length <= this.#nextOffset) return;
    this.#insert({ offset, octets, length, at });
    this.#deliver();
    while (this.#waitingOctets > WAITING_OCTETS_MAX || this.#waiting.length > WAITING_SEGMENTS_MAX)
      this.#skip();
  }

  /** Nothing more comes: tells the gaps and what waits behind them. */
  end(): void {
    while (this.#waiting.length > 0) this.#skip();
  }

  #insert(segment: Waiting): void {
    let index = this.#waiting.length;
    while (index > 0 && (this.#waiting[index - 1]?.offset ?? 0) > segment.offset) index--;
    this.#waiting.splice(index, 0, segment);
    this.#waitingOctets += segment.octets.length;
  }

  #deliver(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (first.offset > this.#nextOffset) return;
      this.#waiting.shift();
      this.#waitingOctets -= first.octets.length;
      const skip = this.#nextOffset - first.offset;
      if (skip >= first.length) continue;
      const fresh = first.octets.subarray(skip);
      if (fresh.length > 0) {
        this.#advance(fresh.length);
        this.#receiver.onData(fresh, first.at);
      }
      // The capture kept only the front of this packet; a retransmission may still have the rest.
    }
  }

  #skip(): void {
    const first = this.#waiting[0];
    if (first === undefined) return;
    const missing = first.offset - this.#nextOffset;
    this.#advance(missing);
    this.#receiver.onGap(missing, first.at);
    this.#deliver();
  }

  #advance(octets: number): void {
    this.#nextOffset += octets;
    this.#nextSequence = ((this.#nextSequence ?? 0) + octets) % CIRCLE;
  }
}
