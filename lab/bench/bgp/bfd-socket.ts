/** A `BfdPeer` on UDP: single hop (RFC 5881), with the TTL of 255 that this asks for both ways. */
import * as libc from '../../../fib/netlink/libc.ts';
import { BFD_PORT, BFD_STATE, BfdPeer, type Silence } from './bfd-peer.ts';
import { addressOctets } from './jobs.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const IPPROTO_IP = 0;
const IP_TTL = 2;
const IP_MINTTL = 21;
const TTL = 255;
/** RFC 5881 section 4 */
const SOURCE_PORT = 49_152;
const LEAST_WAIT_MS = 1;

export interface BfdSocketOptions {
  readonly localAddress: string;
  readonly peerAddress: string;
  readonly intervalMs: number;
  readonly multiplier: number;
  /** the clock that silences bear the time of, ms */
  readonly clock: () => number;
}

/** Such a session. IPv4 alone. */
export class BfdSocket {
  readonly #peer: BfdPeer;
  readonly #clock: () => number;
  readonly #listener: number;
  readonly #sender: number;
  readonly #target: Uint8Array;
  readonly #watch: libc.ReadableWatch;
  readonly #packet = new Uint8Array(512);
  readonly #from = new Uint8Array(16);
  #timer: NodeJS.Timeout;
  #onUp: (() => void) | undefined;

  /** Throws where the addresses are not this machine's. */
  constructor({ localAddress, peerAddress, intervalMs, multiplier, clock }: BfdSocketOptions) {
    this.#clock = clock;
    this.#peer = new BfdPeer({ intervalMs, multiplier, discriminator: 1, random: Math.random }, clock());
    this.#listener = boundSocket(localAddress, BFD_PORT);
    libc.setsockoptInt(this.#listener, IPPROTO_IP, IP_MINTTL, TTL);
    this.#sender = boundSocket(localAddress, SOURCE_PORT);
    libc.setsockoptInt(this.#sender, IPPROTO_IP, IP_TTL, TTL);
    this.#target = socketAddress(peerAddress, BFD_PORT);
    this.#watch = libc.watchReadable(this.#listener, () => this.#drain());
    this.#timer = setTimeout(() => this.#turn(), 0);
  }

  get flaps(): number {
    return this.#peer.flaps;
  }

  /** See `BfdPeer.silences`. */
  silences(): readonly Silence[] {
    return this.#peer.silences(this.#clock());
  }

  /** Resolves once it is up. Rejects after `timeoutMs`. */
  async up(timeoutMs: number): Promise<void> {
    if (this.#peer.state === BFD_STATE.up) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`BFD with the device is not up after ${timeoutMs / 1000} s`)),
        timeoutMs,
      );
      this.#onUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#watch.close();
    libc.close(this.#listener);
    libc.close(this.#sender);
  }

  #drain(): void {
    for (;;) {
      const received = libc.receiveFrom(this.#listener, this.#packet, this.#from);
      if (received < 0) break;
      this.#send(this.#peer.receive(this.#packet.subarray(0, received), this.#clock()));
    }
    this.#turn();
    if (this.#peer.state === BFD_STATE.up) this.#onUp?.();
  }

  #turn(): void {
    this.#send(this.#peer.tick(this.#clock()));
    clearTimeout(this.#timer);
    const wait = Math.max(LEAST_WAIT_MS, this.#peer.dueAt - this.#clock());
    this.#timer = setTimeout(() => this.#expired(), wait);
  }

  /** What came while this thread did not run is looked at before the time is said to be over. */
  #expired(): void {
    this.#drain();
  }

  #send(packet: Uint8Array | undefined): void {
    if (packet !== undefined) libc.sendTo(this.#sender, packet, this.#target);
  }
}

function boundSocket(address: string, port: number): number {
  const opened = libc.socket(AF_INET, SOCK_DGRAM, 0);
  if ('errno' in opened) throw new Error(`BFD: no socket: errno ${opened.errno}`);
  const bound = libc.bind(opened.value, socketAddress(address, port));
  if ('errno' in bound) {
    libc.close(opened.value);
    throw new Error(`BFD: ${address}:${port}: errno ${bound.errno}`);
  }
  return opened.value;
}

/** sockaddr_in */
function socketAddress(address: string, port: number): Uint8Array {
  const octets = new Uint8Array(16);
  const view = new DataView(octets.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  octets.set(addressOctets(address), 4);
  return octets;
}
