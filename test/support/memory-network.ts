/**
 * TCP in memory, under a test's clock: ordered, delayed, cut to pieces as the test wishes; connections can be reset and the
 * network can be cut, then what was sent waits and arrives when it is whole again.
 */

import type {
  Channel,
  ChannelHandlers,
  Listener,
  ListenHandlers,
  Network,
} from '../../bgp/transport/channel.ts';
import type { Clock } from '../../bgp/transport/clock.ts';
import { type Address, addressesEqual } from '../../src/net/address.ts';

export interface MemoryInternetOptions {
  readonly clock: Clock;
  /** one way */
  readonly latencyMs?: number;
  /** how many octets the next delivery may have, 1 or more; default: all */
  readonly nextPiece?: () => number;
}

interface Port {
  readonly address: Address;
  readonly port: number;
  readonly handlers: ListenHandlers;
}

type Parcel =
  | { readonly kind: 'data'; octets: Uint8Array; readonly done: () => void }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' };

export class MemoryInternet {
  readonly clock: Clock;
  readonly latencyMs: number;
  readonly nextPiece: () => number;
  readonly #ports: Port[] = [];
  readonly #channels = new Set<MemoryChannel>();
  #cut = false;
  #nextPort = 40_000;

  constructor(options: MemoryInternetOptions) {
    this.clock = options.clock;
    this.latencyMs = options.latencyMs ?? 1;
    this.nextPiece = options.nextPiece ?? (() => Number.POSITIVE_INFINITY);
  }

  get isCut(): boolean {
    return this.#cut;
  }

  /** Nothing gets through until `heal`. */
  cut(): void {
    this.#cut = true;
  }

  heal(): void {
    this.#cut = false;
    for (const channel of this.#channels) channel.deliver();
  }

  /** Every connection ends on both sides, without what was still under way. */
  resetAll(): void {
    for (const channel of [...this.#channels]) channel.fail('reset by the test');
  }

  /** A host loses all its connections, and nobody tells the other sides. */
  vanish(address: Address): void {
    for (const channel of [...this.#channels]) {
      if (addressesEqual(channel.localAddress, address)) channel.vanish();
    }
  }

  forget(channel: MemoryChannel): void {
    this.#channels.delete(channel);
  }

  /** The network as a host with this address has it. */
  host(address: Address): Network {
    return {
      applyTtl: () => undefined,
      applyInterface: () => undefined,
      applyKey: () => undefined,
      listen: (_where, port, handlers): Listener => {
        const entry: Port = { address, port, handlers };
        this.#ports.push(entry);
        this.clock.soon(() => handlers.onListening(port));
        return {
          raiseTtl() {},
          setKey: () => undefined,
          close: async () => {
            this.#ports.splice(this.#ports.indexOf(entry), 1);
          },
        };
      },
      dial: (options, handlers) => {
        let over = false;
        const attempt = (): void => {
          if (over) return;
          if (this.#cut) {
            this.clock.after(1000, attempt);
            return;
          }
          over = true;
          const target = this.#ports.find(
            (entry) => entry.port === options.port && addressesEqual(entry.address, options.address),
          );
          if (target === undefined) {
            handlers.onFail('connect ECONNREFUSED');
            return;
          }
          const near = new MemoryChannel(this, address, this.#nextPort++, target.address, target.port);
          const far = new MemoryChannel(this, target.address, target.port, address, near.localPort);
          near.peer = far;
          far.peer = near;
          this.#channels.add(near).add(far);
          handlers.onUp(near);
          this.clock.after(this.latencyMs, () => target.handlers.onAccept(far));
        };
        this.clock.after(2 * this.latencyMs, attempt);
        return {
          cancel: () => {
            over = true;
          },
        };
      },
    };
  }
}

class MemoryChannel implements Channel {
  readonly localAddress: Address;
  readonly localPort: number;
  readonly remoteAddress: Address;
  readonly remotePort: number;
  peer: MemoryChannel | undefined;
  readonly #internet: MemoryInternet;
  readonly #arrived: Parcel[] = [];
  #handlers: ChannelHandlers | undefined;
  #draining = false;
  #paused = true;
  #closed = false;

  constructor(
    internet: MemoryInternet,
    local: Address,
    localPort: number,
    remote: Address,
    remotePort: number,
  ) {
    this.#internet = internet;
    this.localAddress = local;
    this.localPort = localPort;
    this.remoteAddress = remote;
    this.remotePort = remotePort;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.resume();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#internet.clock.soon(() => this.deliver());
  }

  write(octets: Uint8Array, done: () => void): void {
    this.#send({ kind: 'data', octets: octets.slice(), done });
  }

  finish(drainMs: number): void {
    this.#handlers = undefined;
    this.#draining = true;
    this.#send({ kind: 'end' });
    this.resume();
    this.#internet.clock.after(drainMs, () => this.destroy());
  }

  destroy(): void {
    if (this.#closed) return;
    this.#send({ kind: 'reset' });
    this.#end();
  }

  /** The connection is gone, and neither side hears of it. */
  vanish(): void {
    this.#end();
  }

  /** The connection is gone without a word to the other side. */
  fail(reason: string): void {
    const handlers = this.#handlers;
    this.#end();
    handlers?.onClose(reason);
  }

  /** Hands over what has arrived, as long as the owner reads. */
  deliver(): void {
    while (!this.#paused && !this.#closed && !this.#internet.isCut) {
      const parcel = this.#arrived[0];
      if (parcel === undefined) return;
      if (parcel.kind !== 'data') {
        this.#arrived.shift();
        this.fail(parcel.kind === 'end' ? 'the peer closed the connection' : 'read ECONNRESET');
        return;
      }
      const piece = parcel.octets.subarray(0, Math.max(1, this.#internet.nextPiece()));
      parcel.octets = parcel.octets.subarray(piece.length);
      if (parcel.octets.length === 0) {
        this.#arrived.shift();
        this.#internet.clock.soon(parcel.done);
      }
      if (!this.#draining) this.#handlers?.onData(piece);
    }
  }

  #send(parcel: Parcel): void {
    const { peer } = this;
    if (this.#closed || peer === undefined) return;
    this.#internet.clock.after(this.#internet.latencyMs, () => {
      if (peer.#closed) return;
      peer.#arrived.push(parcel);
      peer.deliver();
    });
  }

  #end(): void {
    this.#closed = true;
    this.#handlers = undefined;
    this.#arrived.length = 0;
    this.#internet.forget(this);
  }
}
