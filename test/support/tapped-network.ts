/** A network that is looked at: whole BGP messages as they came and went, for tests of the codec against real routers. */

import type { Channel, ChannelHandlers, Network } from '../../bgp/transport/channel.ts';
import type { Address } from '../../src/net/address.ts';

/** Gets each message, header included. */
export interface Tap {
  onReceived(octets: Uint8Array, from: Address): void;
  onSent(octets: Uint8Array, to: Address): void;
}

/** Passes everything on. */
export function tappedNetwork(inner: Network, tap: Tap): Network {
  return {
    listen: (address, port, handlers) =>
      inner.listen(address, port, {
        ...handlers,
        onAccept: (channel) => handlers.onAccept(new TappedChannel(channel, tap)),
        onListening: (bound) => handlers.onListening(bound),
        onError: (error) => handlers.onError(error),
      }),
    dial: (options, handlers) =>
      inner.dial(options, {
        onUp: (channel) => handlers.onUp(new TappedChannel(channel, tap)),
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
  readonly #tap: Tap;
  #waiting = new Uint8Array(0);

  constructor(inner: Channel, tap: Tap) {
    this.inner = inner;
    this.localAddress = inner.localAddress;
    this.localPort = inner.localPort;
    this.remoteAddress = inner.remoteAddress;
    this.remotePort = inner.remotePort;
    if (inner.remoteInterface !== undefined) this.remoteInterface = inner.remoteInterface;
    this.#tap = tap;
  }

  start(handlers: ChannelHandlers): void {
    this.inner.start({
      onData: (octets) => {
        this.#read(octets);
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
    // What is written at once are whole messages.
    eachMessage(octets, (message) => this.#tap.onSent(message, this.remoteAddress));
    this.inner.write(octets, done);
  }

  finish(drainMs: number): void {
    this.inner.finish(drainMs);
  }

  destroy(): void {
    this.inner.destroy();
  }

  #read(octets: Uint8Array): void {
    const all = new Uint8Array(this.#waiting.length + octets.length);
    all.set(this.#waiting);
    all.set(octets, this.#waiting.length);
    const end = eachMessage(all, (message) => this.#tap.onReceived(message, this.remoteAddress));
    this.#waiting = all.slice(end);
  }
}

/** Calls for each whole message, and returns where the last one ends. */
function eachMessage(octets: Uint8Array, onMessage: (message: Uint8Array) => void): number {
  let at = 0;
  while (octets.length - at >= 19) {
    const length = ((octets[at + 16] ?? 0) << 8) | (octets[at + 17] ?? 0);
    if (length < 19 || octets.length - at < length) break;
    onMessage(octets.slice(at, at + length));
    at += length;
  }
  return at;
}
