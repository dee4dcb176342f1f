/**
 * Socket options that Node cannot set: IP_TTL and IP_MINTTL (RFC 5082) and their IPv6 kin, TCP_MD5SIG (RFC 2385) and SO_BINDTODEVICE, through the
 * C library. koffi is loaded at
 * the first use, so a speaker whose peers need none of this runs where koffi does not.
 */
import { createRequire } from 'node:module';
import type { Server, Socket } from 'node:net';
import type { Address, Family } from '../../src/net/address.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IP_TTL = 2;
const IP_MINTTL = 21;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_MINHOPCOUNT = 73;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_MD5SIG_EXT = 32;
/** struct tcp_md5sig of <linux/tcp.h> */
const MD5SIG = { octets: 216, flags: 128, prefixLength: 129, keyLength: 130, key: 136 } as const;
const MD5SIG_FLAG_PREFIX = 1;
/** struct sockaddr_in and sockaddr_in6 */
const SOCKADDR_ADDRESS = { ipv4: 4, ipv6: 8 } as const;
const SOCKADDR_SCOPE = 24;

/** The TTL that Linux gives to a socket by itself. */
export const DEFAULT_TTL = 64;

interface CLibrary {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  interfaceIndex(name: string): number;
  close(fd: number): number;
  lastError(): string;
}

let library: CLibrary | Error | undefined;

/** An unconnected TCP socket's file descriptor, or what went wrong. */
export function openTcpSocket(family: Family): number | Error {
  const libc = load();
  if (libc instanceof Error) return libc;
  const domain = family === 'ipv4' ? AF_INET : AF_INET6;
  const fd = libc.socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? new Error(`socket: ${libc.lastError()}`) : fd;
}

/** Closes a descriptor of `openTcpSocket` that no `Socket` has taken over. */
export function closeTcpSocket(fd: number): void {
  const libc = load();
  if (!(libc instanceof Error)) libc.close(fd);
}

/** Sets the TTL of sent packets, and with `minTtl` drops packets that arrive with a lower one. Returns what went wrong. */
export function setTtl(
  fd: number,
  family: Family,
  ttl: number,
  minTtl: number | undefined,
): Error | undefined {
  const libc = load();
  if (libc instanceof Error) return libc;
  const [level, ttlOption, minOption] =
    family === 'ipv4' ? [IPPROTO_IP, IP_TTL, IP_MINTTL] : [IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_MINHOPCOUNT];
  if (libc.setsockopt(fd, level, ttlOption, int32Octets(ttl), 4) !== 0) {
    return new Error(`cannot send with TTL ${ttl}: ${libc.lastError()}`);
  }
  if (minTtl !== undefined && libc.setsockopt(fd, level, minOption, int32Octets(minTtl), 4) !== 0) {
    return new Error(`cannot require TTL ${minTtl}: ${libc.lastError()}`);
  }
  return undefined;
}

/**
 * Requires and sends TCP MD5 signatures (RFC 2385) with this key for segments from and to an address, on a listening, connecting or connected
 * socket; without a password the key of that address goes. With a prefix length, of all addresses in that prefix. Returns what went wrong.
 */
export function setMd5Key(
  fd: number,
  address: Address,
  password: string | undefined,
  scope: { readonly prefixLength?: number | undefined; readonly interface?: string | undefined } = {},
): Error | undefined {
  const libc = load();
  if (libc instanceof Error) return libc;
  const key = new TextEncoder().encode(password ?? '');
  const value = new Uint8Array(MD5SIG.octets);
  const view = new DataView(value.buffer);
  view.setUint16(0, address.family === 'ipv4' ? AF_INET : AF_INET6, true);
  value.set(address.bytes, SOCKADDR_ADDRESS[address.family]);
  view.setUint16(MD5SIG.keyLength, key.length, true);
  value.set(key, MD5SIG.key);
  let flags = 0;
  if (scope.interface !== undefined) {
    const index = libc.interfaceIndex(scope.interface);
    if (index === 0)
      return new Error(`no MD5 key for interface ${scope.interface}: there is none of that name`);
    view.setUint32(SOCKADDR_SCOPE, index, true);
  }
  if (scope.prefixLength !== undefined) {
    flags |= MD5SIG_FLAG_PREFIX;
    value[MD5SIG.prefixLength] = scope.prefixLength;
  }
  value[MD5SIG.flags] = flags;
  const option = flags === 0 ? TCP_MD5SIG : TCP_MD5SIG_EXT;
  if (libc.setsockopt(fd, IPPROTO_TCP, option, value, value.length) === 0) return undefined;
  const why = libc.lastError();
  // There was none: that is what was asked for.
  if (password === undefined && why === 'ENOENT') return undefined;
  return new Error(`the TCP MD5 key cannot be set: ${why}`);
}

/** Keeps a socket on one interface (SO_BINDTODEVICE). Returns what went wrong. */
export function bindToInterface(fd: number, name: string): Error | undefined {
  const libc = load();
  if (libc instanceof Error) return libc;
  const value = new TextEncoder().encode(`${name}\0`);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, value, value.length) === 0) return undefined;
  return new Error(`cannot bind to interface ${name}: ${libc.lastError()}`);
}

function int32Octets(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** The descriptor under a socket. Node does not publish it; undefined should it move. */
export function descriptorOf(socket: Socket | Server): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

function load(): CLibrary | Error {
  library ??= open();
  return library;
}

function open(): CLibrary | Error {
  try {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
    const libc = koffi.load('libc.so.6');
    const socket = libc.func('int socket(int domain, int type, int protocol)');
    const setsockopt = libc.func(
      'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
    );
    const close = libc.func('int close(int fd)');
    const interfaceIndex = libc.func('unsigned int if_nametoindex(const char *name)');
    const names = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));
    return {
      socket: (domain, type, protocol) => socket(domain, type, protocol),
      setsockopt: (fd, level, name, value, length) => setsockopt(fd, level, name, value, length),
      interfaceIndex: (name) => interfaceIndex(name),
      close: (fd) => close(fd),
      lastError: () => names.get(koffi.errno()) ?? `errno ${koffi.errno()}`,
    };
  } catch (error) {
    return new Error('options of BGP sockets cannot be set: koffi cannot be loaded', { cause: error });
  }
}
