/** BGP over the kernel's TCP: the only file of the library that opens a socket. */
import { createServer, type ListenOptions, type OnReadOpts, type Server, Socket } from 'node:net';
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  parseAddress,
} from '../../src/net/address.ts';
import {
  type Channel,
  type ChannelHandlers,
  type DialHandlers,
  type DialOptions,
  type ListenAddress,
  ListenError,
  type Listener,
  type ListenHandlers,
  type Network,
} from './channel.ts';
import {
  bindToInterface,
  closeTcpSocket,
  DEFAULT_TTL,
  descriptorOf,
  openTcpSocket,
  setMd5Key,
  setTtl,
} from './socket-options.ts';

/** SYNs of peers that wait for us while a long turn runs */
const BACKLOG = 128;
/** One buffer for all connections: a read is used up before the next begins. */
const receiveBuffer = new Uint8Array(65536);

/** The machine's network. `onWarning` hears of socket options that could not be set. */
export function tcpNetwork(onWarning: (message: string) => void): Network {
  return {
    listen: (address, port, handlers) => listen(address, port, handlers, onWarning),
    dial: (options, handlers) => dial(options, handlers, onWarning),
    applyTtl(channel, ttl, minTtl) {
      if (!(channel instanceof TcpChannel) || (ttl === DEFAULT_TTL && minTtl === undefined)) return undefined;
      return channel.setTtl(ttl, minTtl)?.message;
    },
    applyInterface: (channel, name) =>
      channel instanceof TcpChannel ? channel.bindTo(name)?.message : undefined,
    applyKey: (channel, password) =>
      channel instanceof TcpChannel ? channel.setKey(password)?.message : undefined,
  };
}

class TcpChannel implements Channel {
  readonly localAddress: Address;
  readonly localPort: number;
  readonly remoteAddress: Address;
  readonly remotePort: number;
  readonly remoteInterface?: string;
  readonly #socket: Socket;
  #handlers: ChannelHandlers | undefined;
  #error: string | undefined;

  constructor(socket: Socket, localAddress: Address, remoteAddress: Address) {
    this.#socket = socket;
    this.localAddress = localAddress;
    this.localPort = socket.localPort ?? 0;
    this.remoteAddress = remoteAddress;
    this.remotePort = socket.remotePort ?? 0;
    const zone = /%(.*)$/.exec(socket.remoteAddress ?? '')?.[1];
    if (zone !== undefined) this.remoteInterface = zone;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#error = errorText(error);
    });
    socket.on('end', () => this.#closed('the peer closed the connection'));
    socket.on('close', () => this.#closed(this.#error ?? 'the connection was closed'));
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    if (this.#socket.destroyed) {
      queueMicrotask(() => this.#closed(this.#error ?? 'the connection was closed'));
      return;
    }
    this.#socket.resume();
  }

  /** Input, whichever way the socket reads. */
  receive(octets: Uint8Array): void {
    this.#handlers?.onData(octets);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  write(octets: Uint8Array, done: () => void): void {
    this.#socket.write(octets, (error) => {
      if (!error) done();
    });
  }

  finish(drainMs: number): void {
    this.#handlers = undefined;
    if (this.#socket.destroyed) return;
    const timer = setTimeout(() => this.#socket.destroy(), drainMs);
    this.#socket.once('close', () => clearTimeout(timer));
    this.#socket.end();
    this.#socket.resume();
  }

  destroy(): void {
    this.#handlers = undefined;
    this.#socket.destroy();
  }

  setTtl(ttl: number, minTtl: number | undefined): Error | undefined {
    const fd = descriptorOf(this.#socket);
    if (fd === undefined) return new Error('the TTL cannot be set: the socket has no descriptor');
    return setTtl(fd, this.remoteAddress.family, ttl, minTtl);
  }

  bindTo(name: string): Error | undefined {
    const fd = descriptorOf(this.#socket);
    if (fd === undefined) return new Error(`cannot bind to interface ${name}: the socket has no descriptor`);
    return bindToInterface(fd, name);
  }

  setKey(password: string): Error | undefined {
    const fd = descriptorOf(this.#socket);
    if (fd === undefined) return new Error('the MD5 key cannot be set: the socket has no descriptor');
    return setMd5Key(fd, this.remoteAddress, password, { interface: this.remoteInterface });
  }

  #closed(reason: string): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    this.#socket.destroy();
    handlers?.onClose(reason);
  }
}

function dial(
  options: DialOptions,
  handlers: DialHandlers,
  onWarning: (message: string) => void,
): { cancel(): void } {
  let channel: TcpChannel | undefined;
  let over = false;
  const onread: OnReadOpts = {
    buffer: receiveBuffer,
    callback: (count, buffer) => {
      channel?.receive(buffer.subarray(0, count));
      return true;
    },
  };
  const made = dialSocket(options, onread, onWarning);
  if (made instanceof Error) {
    let given = false;
    queueMicrotask(() => {
      if (!given) handlers.onFail(made.message);
    });
    return {
      cancel() {
        given = true;
      },
    };
  }
  const socket = made;
  const fail = (reason: string): void => {
    if (over) return;
    over = true;
    socket.destroy();
    handlers.onFail(reason);
  };
  const onError = (error: Error): void => fail(errorText(error));
  socket.on('error', onError);
  socket.once('close', () => fail('the connection was closed'));
  socket.once('connect', () => {
    if (over) return;
    const local = addressOf(socket.localAddress);
    const remote = addressOf(socket.remoteAddress);
    if (local === undefined || remote === undefined) {
      fail('the connection was closed');
      return;
    }
    over = true;
    socket.pause();
    channel = new TcpChannel(socket, local, remote);
    handlers.onUp(channel);
  });
  socket.connect({
    host: hostOf(options),
    port: options.port,
    ...(options.localAddress && { localAddress: formatAddress(options.localAddress) }),
  });
  return {
    cancel() {
      over = true;
      socket.destroy();
    },
  };
}

/** A link-local address goes with its scope. */
function hostOf({ address, interface: scope }: DialOptions): string {
  const text = formatAddress(address);
  return scope !== undefined && address.family === 'ipv6' && isLinkLocal(address) ? `${text}%${scope}` : text;
}

/**
 * TTL, MD5 key and interface have to be right from the first packet on, so the socket is made before Node would. A TTL that cannot be
 * set is told of; without the key or the interface that was asked for there is no connection.
 */
function dialSocket(
  options: DialOptions,
  onread: OnReadOpts,
  onWarning: (message: string) => void,
): Socket | Error {
  const { address, ttl, minTtl, password } = options;
  const strict = password !== undefined || options.interface !== undefined;
  if (ttl === DEFAULT_TTL && minTtl === undefined && !strict) return new Socket({ onread });
  const fd = openTcpSocket(address.family);
  if (fd instanceof Error) {
    if (strict) return fd;
    onWarning(fd.message);
    return new Socket({ onread });
  }
  const problem = setTtl(fd, address.family, ttl, minTtl);
  if (problem !== undefined) onWarning(problem.message);
  const refused =
    (options.interface !== undefined ? bindToInterface(fd, options.interface) : undefined) ??
    (password !== undefined ? setMd5Key(fd, address, password, scopeOf(options)) : undefined);
  if (refused !== undefined) {
    closeTcpSocket(fd);
    return refused;
  }
  try {
    return new Socket({ fd, onread });
  } catch (error) {
    closeTcpSocket(fd);
    if (strict) return new Error(errorText(error));
    onWarning(errorText(error));
    return new Socket({ onread });
  }
}

/** Of a link-local address the kernel wants the interface with the key. */
function scopeOf({
  address,
  interface: name,
}: {
  readonly address: Address;
  readonly interface?: string | undefined;
}) {
  return { interface: address.family === 'ipv6' && isLinkLocal(address) ? name : undefined };
}

function listen(
  address: ListenAddress,
  port: number,
  handlers: ListenHandlers,
  onWarning: (message: string) => void,
): Listener {
  const family: Family = 'any' in address ? address.any : address.family;
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    const local = addressOf(socket.localAddress);
    const remote = addressOf(socket.remoteAddress);
    if (local === undefined || remote === undefined) {
      socket.destroy();
      return;
    }
    const channel = new TcpChannel(socket, local, remote);
    // Not as a Buffer, whose slices are no copies: what is kept of a message would keep the whole chunk.
    socket.on('data', ({ buffer, byteOffset, length }: Buffer) =>
      channel.receive(new Uint8Array(buffer, byteOffset, length)),
    );
    socket.pause();
    handlers.onAccept(channel);
  });
  const where = 'any' in address ? (family === 'ipv4' ? '0.0.0.0' : '::') : formatAddress(address);
  server.on('error', (error) => {
    server.close(() => {});
    handlers.onError(new ListenError(errorCode(error), where, port));
  });
  server.on('listening', () => {
    const bound = server.address();
    handlers.onListening(typeof bound === 'object' && bound !== null ? bound.port : port);
  });
  const options: ListenOptions = { host: where, port, backlog: BACKLOG, ipv6Only: family === 'ipv6' };
  server.listen(options);
  return {
    raiseTtl: () => raiseTtl(server, family, onWarning),
    setKey(key) {
      if (key.address.family !== family) return undefined;
      const fd = descriptorOf(server);
      if (fd === undefined) return 'the MD5 key cannot be set: the socket has no descriptor';
      const scope = { ...scopeOf(key), prefixLength: key.prefixLength };
      return setMd5Key(fd, key.address, key.password, scope)?.message;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

function raiseTtl(server: Server, family: Family, onWarning: (message: string) => void): void {
  const fd = descriptorOf(server);
  if (fd === undefined) return;
  const problem = setTtl(fd, family, 255, undefined);
  if (problem !== undefined) onWarning(problem.message);
}

/** Reads what Node says of an end of a socket; a zone is left out, the kernel has it. */
function addressOf(text: string | undefined): Address | undefined {
  return text === undefined ? undefined : parseAddress(text.replace(/%.*$/, ''));
}

function errorCode(error: Error): string {
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : 'EUNKNOWN';
}

/** `connect ECONNREFUSED`, without the addresses, which whoever reads it has. */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = Reflect.get(error, 'code');
  const call: unknown = Reflect.get(error, 'syscall');
  if (typeof code !== 'string') return error.message;
  return typeof call === 'string' ? `${call} ${code}` : code;
}
