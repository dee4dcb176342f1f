/** The door between the speaker and its sockets: what TCP gives, and what a test's memory gives in its place. */
import type { Address, Family } from '../../src/net/address.ts';

export interface ChannelHandlers {
  /** octets that came in; the array is the channel's again when the call returns */
  onData(octets: Uint8Array): void;
  /** the connection is gone, whoever closed it; comes once, and never after `finish` or `destroy` */
  onClose(reason: string): void;
}

/** A TCP connection that is up. Nothing is read before `start`. */
export interface Channel {
  readonly localAddress: Address;
  readonly localPort: number;
  readonly remoteAddress: Address;
  readonly remotePort: number;
  /** the interface that a link-local remote address belongs to */
  readonly remoteInterface?: string;
  start(handlers: ChannelHandlers): void;
  pause(): void;
  resume(): void;
  /** Writes; `octets` may not change until `done`, which comes when the kernel has taken them all, never before this call returns. */
  write(octets: Uint8Array, done: () => void): void;
  /** Half-closes after what was written, throws away what still comes in, and destroys at the peer's close or after `drainMs`. */
  finish(drainMs: number): void;
  /** Closes at once. */
  destroy(): void;
}

export interface DialOptions {
  readonly address: Address;
  readonly port: number;
  readonly localAddress: Address | undefined;
  readonly ttl: number;
  readonly minTtl: number | undefined;
  /** TCP MD5 key (RFC 2385); a connection that cannot have it fails */
  readonly password?: string | undefined;
  /** bound to this interface, which is also the scope of a link-local address */
  readonly interface?: string | undefined;
}

/** A peer's TCP MD5 key, for a listening socket: of one address, or of a whole prefix. */
export interface PeerKey {
  readonly address: Address;
  /** of the prefix; undefined: the address alone */
  readonly prefixLength?: number | undefined;
  /** of a link-local address */
  readonly interface?: string | undefined;
  /** undefined takes the key away */
  readonly password: string | undefined;
}

export interface DialHandlers {
  onUp(channel: Channel): void;
  /** never before `dial` returns */
  onFail(reason: string): void;
}

/** Where to listen: one address of ours, or all of a family. */
export type ListenAddress = Address | { readonly any: Family };

export interface ListenHandlers {
  onListening(port: number): void;
  onAccept(channel: Channel): void;
  /** the socket could not be opened, or broke later; nothing more comes from it */
  onError(error: ListenError): void;
}

export interface Listener {
  /**
   * Answers dials with TTL 255, which a peer with TTL security requires of the very first packet (RFC 5082 3); an accepted connection gets its
   * own TTL afterwards. For listeners with such peers, once they listen.
   */
  raiseTtl(): void;
  /** Sets, changes or removes the MD5 key of a peer; of the socket's own family only. Returns what went wrong. */
  setKey(key: PeerKey): string | undefined;
  close(): Promise<void>;
}

/** Opens sockets. Socket options that could not be set are told to `onWarning`, the connection is used all the same. */
export interface Network {
  listen(address: ListenAddress, port: number, handlers: ListenHandlers): Listener;
  /** Returns how to give up: after that no handler is called. */
  dial(options: DialOptions, handlers: DialHandlers): { cancel(): void };
  /** Sets a peer's TTL and its least TTL on a connection that it opened. Returns what went wrong. */
  applyTtl(channel: Channel, ttl: number, minTtl: number | undefined): string | undefined;
  /** Keeps a connection that the peer opened on one interface. Returns what went wrong. */
  applyInterface(channel: Channel, name: string): string | undefined;
  /** Changes the MD5 key of a connection that is up. Returns what went wrong. */
  applyKey(channel: Channel, password: string): string | undefined;
}

/** Why there is no listening socket. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  /** errno name, `EADDRINUSE` */
  readonly code: string;
  readonly port: number;
  /** what to do about it */
  readonly remedy: string;
  /** whether the machine has no such address family at all, so that trying again is of no use */
  readonly unsupported: boolean;

  constructor(code: string, where: string, port: number) {
    const remedy = remedyOf(code, port);
    super(`cannot listen for BGP on ${where} port ${port}: ${code}; ${remedy}`);
    this.code = code;
    this.port = port;
    this.remedy = remedy;
    this.unsupported = code === 'EAFNOSUPPORT';
  }
}

function remedyOf(code: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `another program has the port (\`ss -ltnp 'sport = :${port}'\` names it): stop it, or set another listenPort`;
    case 'EACCES':
      return `ports below 1024 need CAP_NET_BIND_SERVICE: run as root, or set another listenPort`;
    case 'EADDRNOTAVAIL':
      return 'the address is not on this machine: add it, or listen on another';
    case 'EAFNOSUPPORT':
      return 'the kernel has no such address family; peers of the other family work';
    default:
      return 'it is tried again';
  }
}
