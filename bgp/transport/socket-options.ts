/**
 * Socket options that Node cannot set: IP_TTL and IP_MINTTL (RFC 5082) and their IPv6 kin, through the C library. koffi is loaded at
 * the first use, so a speaker whose peers need none of this runs where koffi does not.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Family } from '../../src/net/address.ts';

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

/** The TTL that Linux gives to a socket by itself. */
export const DEFAULT_TTL = 64;

interface CLibrary {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Int32Array, length: number): number;
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
  if (libc.setsockopt(fd, level, ttlOption, Int32Array.of(ttl), 4) !== 0) {
    return new Error(`cannot send with TTL ${ttl}: ${libc.lastError()}`);
  }
  if (minTtl !== undefined && libc.setsockopt(fd, level, minOption, Int32Array.of(minTtl), 4) !== 0) {
    return new Error(`cannot require TTL ${minTtl}: ${libc.lastError()}`);
  }
  return undefined;
}

/** The descriptor under a socket. Node does not publish it; undefined should it move. */
export function descriptorOf(socket: Socket): number | undefined {
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
      'int setsockopt(int fd, int level, int name, const int *value, uint32_t length)',
    );
    const close = libc.func('int close(int fd)');
    const names = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));
    return {
      socket: (domain, type, protocol) => socket(domain, type, protocol),
      setsockopt: (fd, level, name, value, length) => setsockopt(fd, level, name, value, length),
      close: (fd) => close(fd),
      lastError: () => names.get(koffi.errno()) ?? `errno ${koffi.errno()}`,
    };
  } catch (error) {
    return new Error('the TTL of BGP packets cannot be set: koffi cannot be loaded', { cause: error });
  }
}
