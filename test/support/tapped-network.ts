/** A network whose input is looked at on its way: whole BGP messages as they came, for tests of the codec against real routers. */

import type { Channel, ChannelHandlers, Network } from '../../bgp/transport/channel.ts';
import type { Address } from '../../src/net/address.ts';

/** Passes everything on; `onMessage` gets each message received, header included. */
export function tappedNetwork(
  inner: Network,
  onMessage: (octets: Uint8Array, from: Address) => void,
): Network {
  return {
    listen: (address, port, handlers) =>
      inner.listen(address, port, {
        ...handlers,
        onAccept: (channel) => handlers.onAccept(new TappedChannel(channel, onMessage)),
        onListening: (bound) => handlers.onListening(bound),
        onError: (error) => handlers.onError(error),
      }),
    dial: (options, handlers) =>
      inner.dial(options, {
        onUp: (channel) => handlers.onUp(new TappedChannel(channel, onMessage)),
        onFail: (reason) => handlers.onFail(reason),
      }),
    applyTtl: (channel, ttl, minTtl) => inner.applyTtl(innerOf(channel), ttl, minTtl),
    applyKey: (channel, password) => inner.applyKey(innerOf(channel), password),
    applyInterface: (channel, name) => inner.applyInterface(innerOf(channel), name),
  };
}

function innerOf(channel: Channel): Channel {
  return channel instanceof TappedChannel ? channel.inner : channel;
}

class TappedChannel implements Channel {
  readonly inner: Channel;
  readonly localAddress: Channel['localAddress'];
  readonly localPort: number;
  readonly remoteAddress: Channel['remoteAddress'];
  readonly remotePort: number;
  readonly remoteInterface?: string;
  readonly #onMessage: (octets: Uint8Array, from: Address) => void;
  #waiting = new Uint8Array(0);

  constructor(inner: Channel, onMessage: (octets: Uint8Array, from: Address) => void) {
    this.inner = inner;
    this.localAddress = inner.localAddress;
    this.localPort = inner.localPort;
    this.remoteAddress = inner.remoteAddress;
    this.remotePort = inner.remotePort;
    if (inner.remoteInterface !== undefined) this.remoteInterface = inner.remoteInterface;
    this.#onMessage = onMessage;
  }

  start(handlers: ChannelHandlers): void {
    this.inner.start({
      onData: (octets) => {
        this.#tap(octets);
        handlers.onData(octets);
      },
      onClose: (reason) => handlers.onClose(reason),
    });
  }

  pause(): void {
    this.inner.pause();
  }

  resume(): void {
    this.inner.resume();
  }

  write(octets: Uint8Array, done: () => void): void {
    this.inner.write(octets, done);
  }

  finish(drainMs: number): void {
    this.inner.finish(drainMs);
  }

  destroy(): void {
    this.inner.destroy();
  }

  #tap(octets: Uint8Array): void {
    const all = new Uint8Array(this.#waiting.length + octets.length);
    all.set(this.#waiting);
    all.set(octets, this.#waiting.length);
    let at = 0;
    while (all.length - at >= 19) {
      const length = ((all[at + 16] ?? 0) << 8) | (all[at + 17] ?? 0);
      if (length < 19 || all.length - at < length) break;
      this.#onMessage(all.slice(at, at + length), this.remoteAddress);
      at += length;
    }
    this.#waiting = all.slice(at);
  }
}
