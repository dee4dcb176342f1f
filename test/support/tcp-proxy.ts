/** A TCP relay on loopback that can be cut and mended: the network between a client and one server. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** Relays to one port of 127.0.0.1. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #targetPort: number;
  #isCut = false;
  #isSilent = false;
  #isMute = false;
  #accepted = 0;
  /** octets from the server after which the relay cuts itself */
  #cutAfter = Number.POSITIVE_INFINITY;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((socket) => this.#relay(socket));
  }

  static async open(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Connections that were ever tried. */
  get accepted(): number {
    return this.#accepted;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Breaks every connection and refuses new ones. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** As `cut`, once the server has sent so many octets more. */
  cutAfter(octets: number): void {
    this.#cutAfter = octets;
  }

  /** Swallows everything, as a firewall does: connections stay, nothing arrives. */
  silence(): void {
    this.#isSilent = true;
  }

  /** Swallows what the server says; what is said to it arrives. */
  mute(): void {
    this.#isMute = true;
  }

  /** Relays to another port from now on. */
  redirect(port: number): void {
    this.#targetPort = port;
    this.mend();
  }

  mend(): void {
    this.#isCut = false;
    this.#isSilent = false;
    this.#isMute = false;
    this.#cutAfter = Number.POSITIVE_INFINITY;
    // What was swallowed is missing in the streams.
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(near: Socket): void {
    this.#accepted++;
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = createConnection(this.#targetPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (data) => {
        if (this.#isSilent || (this.#isMute && from === far)) return;
        to.write(data);
        if (from !== far) return;
        this.#cutAfter -= data.length;
        if (this.#cutAfter <= 0) this.cut();
      });
      from.on('error', () => {});
      from.once('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
