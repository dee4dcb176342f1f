/** A BGP peer made of a bare TCP connection on the loopback interface: it says what it is told to say, whether that is proper or not. */
import { connect, type Socket } from 'node:net';
import { nextFrame } from '../../bgp/wire/frame.ts';
import { encodeKeepalive } from '../../bgp/wire/messages.ts';
import { encodeOpen } from '../../bgp/wire/open.ts';
import { MESSAGE_TYPE } from '../../bgp/wire/registry.ts';
import type { Capability } from '../../bgp/wire/types.ts';

export interface RawPeerOptions {
  /** where the speaker listens, on 127.0.0.1 */
  readonly port: number;
  /** an address of the loopback interface, 127.0.0.0/8 */
  readonly from: string;
  readonly as: number;
  readonly capabilities: readonly Capability[];
  readonly holdTimeSec?: number;
}

export class RawPeer {
  readonly from: string;
  /** types of the messages that came in, NOTIFICATIONs left out */
  readonly received: number[] = [];
  /** `3/1`, `3/9 800e00`: the NOTIFICATION that came in */
  notification: string | undefined;
  /** body of the last UPDATE, hexadecimal */
  lastUpdate = '';
  isClosed = false;
  readonly #options: RawPeerOptions;
  readonly #socket: Socket;
  #buffer = new Uint8Array(0);

  constructor(options: RawPeerOptions) {
    this.#options = options;
    this.from = options.from;
    this.#socket = connect({ host: '127.0.0.1', port: options.port, localAddress: options.from });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // A reset connection is a closed one here.
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Sends octets as they are; before the connection is up they wait. */
  send(octets: Uint8Array): this {
    this.#socket.write(octets);
    return this;
  }

  open(): this {
    const { as, capabilities, holdTimeSec = 90 } = this.#options;
    const [a = 127, b = 0, c = 0, d = 1] = this.from.split('.').map(Number);
    const routerId = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    return this.send(encodeOpen({ as, holdTimeSec, routerId, capabilities }));
  }

  keepalive(): this {
    return this.send(encodeKeepalive());
  }

  /** OPEN and KEEPALIVE were received: the speaker awaits our KEEPALIVE or is established. */
  get isAnswered(): boolean {
    return this.received.includes(MESSAGE_TYPE.open) && this.received.includes(MESSAGE_TYPE.keepalive);
  }

  /** Reads nothing more: the kernel's buffers fill, and then the speaker's writes wait. */
  stopReading(): void {
    this.#socket.pause();
  }

  goOnReading(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.destroy();
  }

  #read(chunk: Uint8Array): void {
    let buffer = new Uint8Array(this.#buffer.length + chunk.length);
    buffer.set(this.#buffer);
    buffer.set(chunk, this.#buffer.length);
    for (;;) {
      const frame = nextFrame(buffer, 0, buffer.length, true);
      if (frame.kind === 'error') throw new Error(`the speaker sent what is no message: ${frame.reason}`);
      if (frame.kind === 'incomplete') break;
      const body = buffer.subarray(frame.bodyStart, frame.end);
      if (frame.type === MESSAGE_TYPE.notification) {
        const data = body.subarray(2).toHex();
        this.notification = `${body[0]}/${body[1]}${data === '' ? '' : ` ${data}`}`;
      } else this.received.push(frame.type);
      if (frame.type === MESSAGE_TYPE.update) this.lastUpdate = body.toHex();
      buffer = buffer.slice(frame.end);
    }
    this.#buffer = buffer;
  }
}
