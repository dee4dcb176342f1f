/**
 * The other side of a BFD session with the device: RFC 5880 in asynchronous mode, as strict as it reads, so that a device that is late is seen to
 * flap. Written for the harness and not by the speaker's code, so that an error there is seen. Pure: octets and times in, octets out.
 */

export const BFD_PORT = 3784;
/** that devices are asked for */
export const BFD_TIMERS = { intervalMs: 300, multiplier: 3 } as const;
/** RFC 5880 section 6.8.3: while a session is not up, at most one packet a second */
const SLOW_MS = 1000;
const PACKET_OCTETS = 24;
const VERSION = 1;
/** as they stand on the wire (RFC 5880 section 4.1) */
export const BFD_STATE = { adminDown: 0, down: 1, init: 2, up: 3 } as const;
const DIAGNOSTIC = { none: 0, detectionTimeExpired: 1, neighborSignaledDown: 3 } as const;
const FLAG = { poll: 0x20, final: 0x10, authentication: 0x04, multipoint: 0x01 } as const;

export interface BfdOptions {
  /** both its own interval to send and the least that it takes, ms */
  readonly intervalMs: number;
  readonly multiplier: number;
  /** not 0 */
  readonly discriminator: number;
  /** 0 to 1, for the jitter (RFC 5880 section 6.8.7) */
  readonly random: () => number;
}

/** A duration and when it began. */
export interface Silence {
  readonly at: number;
  readonly ms: number;
}

/** What is read of a packet. */
interface Packet {
  readonly state: number;
  readonly isPoll: boolean;
  readonly isFinal: boolean;
  readonly multiplier: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTxMs: number;
  readonly requiredMinRxMs: number;
}

/** One session. All times are of one clock, ms. */
export class BfdPeer {
  state: number = BFD_STATE.down;
  /** times the session left Up, whichever side ended it */
  flaps = 0;
  /** packets thrown away */
  discarded = 0;
  readonly #options: BfdOptions;
  #silences: Silence[] = [];
  #diagnostic: number = DIAGNOSTIC.none;
  #isPolling = false;
  #nextAt: number;
  #lastAt: number | undefined;
  // Not 0, which would say that it wants none (6.8.1).
  #remote = { discriminator: 0, desiredMinTxMs: 0, requiredMinRxMs: 0.001, multiplier: 0 };

  constructor(options: BfdOptions, now: number) {
    this.#options = options;
    this.#nextAt = now;
  }

  /** When `tick` is to be called again at the latest. */
  get dueAt(): number {
    return this.#lastAt === undefined ? this.#nextAt : Math.min(this.#nextAt, this.#expiresAt(this.#lastAt));
  }

  /** Takes a datagram that came at `now`; returns what is to be sent for it at once. */
  receive(octets: Uint8Array, now: number): Uint8Array | undefined {
    const packet = decode(octets);
    const { yourDiscriminator: yours = 0, state = 0 } = packet ?? {};
    const isOurs = yours === 0 ? state <= BFD_STATE.down : yours === this.#options.discriminator;
    if (packet === undefined || !isOurs) {
      this.discarded++;
      return undefined;
    }
    // It may have come too late to count, even if it is looked at before the timer.
    this.#expire(now);
    if (this.#lastAt !== undefined && this.state === BFD_STATE.up)
      this.#silences.push({ at: this.#lastAt, ms: now - this.#lastAt });
    this.#lastAt = now;
    this.#remote = {
      discriminator: packet.myDiscriminator,
      desiredMinTxMs: packet.desiredMinTxMs,
      requiredMinRxMs: packet.requiredMinRxMs,
      multiplier: packet.multiplier,
    };
    if (packet.isFinal) this.#isPolling = false;
    this.#step(packet.state, now);
    return packet.isPoll ? this.#encode(FLAG.final) : undefined;
  }

  /** Lets the time pass; returns what is to be sent now. */
  tick(now: number): Uint8Array | undefined {
    this.#expire(now);
    if (now < this.#nextAt) return undefined;
    const { intervalMs, multiplier, random } = this.#options;
    const interval = Math.max(
      this.state === BFD_STATE.up ? intervalMs : SLOW_MS,
      this.#remote.requiredMinRxMs,
    );
    const most = multiplier === 1 ? 0.9 : 1;
    this.#nextAt = now + interval * (0.75 + random() * (most - 0.75));
    if (this.#remote.requiredMinRxMs === 0) return undefined;
    return this.#encode(this.#isPolling ? FLAG.poll : 0);
  }

  /** Times between packets while the session was up, the one that lasts until `now` too. */
  silences(now: number): readonly Silence[] {
    if (this.#lastAt === undefined || this.state !== BFD_STATE.up) return this.#silences;
    return [...this.#silences, { at: this.#lastAt, ms: now - this.#lastAt }];
  }

  /** RFC 5880 section 6.8.4: its multiplier times the interval agreed on. */
  #expiresAt(lastAt: number): number {
    const { multiplier, desiredMinTxMs } = this.#remote;
    return lastAt + multiplier * Math.max(desiredMinTxMs, this.#options.intervalMs);
  }

  #expire(now: number): void {
    if (this.#lastAt === undefined || now < this.#expiresAt(this.#lastAt)) return;
    if (this.state === BFD_STATE.up) this.#silences.push({ at: this.#lastAt, ms: now - this.#lastAt });
    this.#lastAt = undefined;
    this.#remote.discriminator = 0;
    if (this.state === BFD_STATE.init || this.state === BFD_STATE.up)
      this.#become(BFD_STATE.down, DIAGNOSTIC.detectionTimeExpired, now);
  }

  /** RFC 5880 section 6.8.6, the last part. */
  #step(remote: number, now: number): void {
    const { adminDown, down, init, up } = BFD_STATE;
    if (remote === adminDown) {
      if (this.state !== down) this.#become(down, DIAGNOSTIC.neighborSignaledDown, now);
    } else if (this.state === down) {
      if (remote === down) this.#become(init, DIAGNOSTIC.none, now);
      else if (remote === init) this.#become(up, DIAGNOSTIC.none, now);
    } else if (this.state === init) {
      if (remote === init || remote === up) this.#become(up, DIAGNOSTIC.none, now);
    } else if (remote === down) this.#become(down, DIAGNOSTIC.neighborSignaledDown, now);
  }

  #become(state: number, diagnostic: number, now: number): void {
    if (this.state === BFD_STATE.up) this.flaps++;
    // The interval to send changes with it (6.8.3).
    this.#isPolling = state === BFD_STATE.up;
    this.state = state;
    this.#diagnostic = diagnostic;
    this.#nextAt = now;
  }

  #encode(flags: number): Uint8Array {
    const { intervalMs, multiplier, discriminator } = this.#options;
    const octets = new Uint8Array(PACKET_OCTETS);
    const view = new DataView(octets.buffer);
    octets.set([(VERSION << 5) | this.#diagnostic, (this.state << 6) | flags, multiplier, PACKET_OCTETS]);
    view.setUint32(4, discriminator);
    view.setUint32(8, this.#remote.discriminator);
    view.setUint32(12, (this.state === BFD_STATE.up ? intervalMs : SLOW_MS) * 1000);
    view.setUint32(16, intervalMs * 1000);
    return octets;
  }
}

/** A control packet without authentication (RFC 5880 section 4.1); undefined: to be discarded (section 6.8.6). */
function decode(octets: Uint8Array): Packet | undefined {
  if (octets.length < PACKET_OCTETS) return undefined;
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const [first, second, multiplier, length] = [0, 1, 2, 3].map((at) => view.getUint8(at));
  if (first === undefined || second === undefined || multiplier === undefined || length === undefined)
    return undefined;
  const myDiscriminator = view.getUint32(4);
  const isWrong =
    first >> 5 !== VERSION ||
    length < PACKET_OCTETS ||
    length > octets.length ||
    multiplier === 0 ||
    myDiscriminator === 0 ||
    (second & (FLAG.authentication | FLAG.multipoint)) !== 0;
  if (isWrong) return undefined;
  return {
    state: second >> 6,
    isPoll: (second & FLAG.poll) !== 0,
    isFinal: (second & FLAG.final) !== 0,
    multiplier,
    myDiscriminator,
    yourDiscriminator: view.getUint32(8),
    desiredMinTxMs: view.getUint32(12) / 1000,
    requiredMinRxMs: view.getUint32(16) / 1000,
  };
}
