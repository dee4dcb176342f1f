/**
 * UDP sockets as BFD needs them and Node's own are not: the TTL, destination and interface of each packet are seen (recvmsg with control messages), the
 * TTL sent is 255, and a link-local peer has its scope. Through the C library; loaded in the BFD thread alone.
 */
import koffi from 'koffi';
import { type Address, addressOctets, type Family } from '../../src/net/address.ts';
import {
  type BfdListener,
  type BfdNetwork,
  type BfdSender,
  type Datagram,
  GTSM_TTL,
  type SenderOptions,
  type SendProblem,
} from './network.ts';

const libc = koffi.load(null);
const cSocket: (domain: number, type: number, protocol: number) => number = libc.func(
  'int socket(int domain, int type, int protocol)',
);
const cBind: (fd: number, address: Uint8Array, length: number) => number = libc.func(
  'int bind(int fd, const void *address, uint32_t length)',
);
const cSetsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number =
  libc.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');
const cSendto: (
  fd: number,
  data: Uint8Array,
  length: number,
  flags: number,
  address: Uint8Array,
  addressLength: number,
) => number = libc.func(
  'int64_t sendto(int fd, const void *data, uint64_t length, int flags, const void *address, uint32_t address_length)',
);
const cRecvmsg: (fd: number, message: Uint8Array, flags: number) => number = libc.func(
  'int64_t recvmsg(int fd, void *message, int flags)',
);
const cInterfaceIndex: (name: string) => number = libc.func('unsigned int if_nametoindex(const char *name)');
const cClose: (fd: number) => number = libc.func('int close(int fd)');

const AF = { ipv4: 2, ipv6: 10 } as const;
/** SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
const SOCKET_TYPE = 2 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IP_RECVTTL = 12;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_PKTINFO = 50;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_HOPLIMIT = 52;
const IPV6_TCLASS = 67;
/** MSG_DONTWAIT | MSG_NOSIGNAL */
const MESSAGE_FLAGS = 0x40 | 0x4000;
/** CS6, network control */
const TRAFFIC_CLASS = 0xc0;

/** RFC 5881 4 */
const SOURCE_PORTS = { first: 49152, count: 16384 } as const;
const PORT_ATTEMPTS = 64;
/** Packets read in a row before the timers get their turn. */
const DRAIN_MAX = 512;
/** More than any control packet, authenticated or not. */
const PACKET_MAX = 512;

/** struct sockaddr_in and sockaddr_in6 */
const SOCKADDR = {
  ipv4: { octets: 16, address: 4 },
  ipv6: { octets: 28, address: 8, scope: 24 },
} as const;
/** struct msghdr and cmsghdr of a 64-bit Linux */
const MSGHDR = { octets: 56, name: 0, nameLength: 8, iov: 16, iovLength: 24, control: 32, controlLength: 40 };
const CMSG = { header: 16, level: 8, type: 12 };
const NAME_OCTETS = 128;
const CONTROL_OCTETS = 256;

const ERRNO = koffi.os.errno;
const ERRNO_NAMES = new Map(Object.entries(ERRNO).map(([name, value]) => [value, name]));
/** Errors after which a socket is of no more use: its interface or address is gone. */
const BROKEN: ReadonlySet<string> = new Set(['ENODEV', 'ENXIO', 'EADDRNOTAVAIL', 'EINVAL', 'EBADF']);

/** The kernel's UDP; `random` picks source ports. */
export function kernelNetwork(random: () => number): BfdNetwork {
  return {
    listen: (family, port, onPacket) => listen(family, port, onPacket),
    openSender: (options) => openSender(options, random),
  };
}

function listen(family: Family, port: number, onPacket: (datagram: Datagram) => void): BfdListener | string {
  const fd = cSocket(AF[family], SOCKET_TYPE, 0);
  if (fd < 0) return `BFD cannot open a socket: ${lastError()}`;
  const ok =
    family === 'ipv4'
      ? set(fd, IPPROTO_IP, IP_RECVTTL, 1) && set(fd, IPPROTO_IP, IP_PKTINFO, 1)
      : set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
        set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
        set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  const any = { family, bytes: new Uint8Array(addressOctets(family)) };
  if (!ok || !bind(fd, socketAddress(any, port, 0))) {
    const why = lastError();
    cClose(fd);
    const hint = why === 'EADDRINUSE' ? '; another BFD daemon has it: only one can run on a host' : '';
    return `BFD cannot listen on UDP port ${port} (${family}): ${why}${hint}`;
  }
  return new Listener(fd, family, onPacket);
}

class Listener implements BfdListener {
  readonly #fd: number;
  readonly #family: Family;
  readonly #onPacket: (datagram: Datagram) => void;
  readonly #name = aligned(NAME_OCTETS);
  readonly #data = aligned(PACKET_MAX);
  readonly #control = aligned(CONTROL_OCTETS);
  readonly #iov = aligned(16);
  readonly #header = aligned(MSGHDR.octets);
  readonly #watch: ReturnType<typeof koffi.node.poll>;
  #scheduled = false;
  #closed = false;

  constructor(fd: number, family: Family, onPacket: (datagram: Datagram) => void) {
    this.#fd = fd;
    this.#family = family;
    this.#onPacket = onPacket;
    const iov = viewOf(this.#iov);
    iov.setBigUint64(0, koffi.address(this.#data), true);
    iov.setBigUint64(8, BigInt(PACKET_MAX), true);
    this.#watch = koffi.node.poll(fd, { readable: true }, this.#onReadable);
  }

  // Not from inside libuv's callback: koffi opens no callback scope there, so ticks and promises would wait.
  readonly #onReadable = (): void => {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      this.#watch.start({ readable: true }, this.#onReadable);
      this.drain();
    });
  };

  drain(): void {
    for (let count = 0; count < DRAIN_MAX && !this.#closed; count++) {
      const octets = this.#receive();
      if (octets < 0) return;
      const datagram = this.#datagram(octets);
      if (datagram !== undefined) this.#onPacket(datagram);
    }
  }

  close(): void {
    this.#closed = true;
    this.#watch.close();
    cClose(this.#fd);
  }

  /** Octets of the next packet; -1 when there is none. */
  #receive(): number {
    const header = viewOf(this.#header);
    header.setBigUint64(MSGHDR.name, koffi.address(this.#name), true);
    header.setUint32(MSGHDR.nameLength, NAME_OCTETS, true);
    header.setBigUint64(MSGHDR.iov, koffi.address(this.#iov), true);
    header.setBigUint64(MSGHDR.iovLength, 1n, true);
    header.setBigUint64(MSGHDR.control, koffi.address(this.#control), true);
    header.setBigUint64(MSGHDR.controlLength, BigInt(CONTROL_OCTETS), true);
    return cRecvmsg(this.#fd, this.#header, MESSAGE_FLAGS);
  }

  #datagram(octets: number): Datagram | undefined {
    const family = this.#family;
    const at = SOCKADDR[family].address;
    let destination: Uint8Array | undefined;
    let interfaceIndex = 0;
    let ttl = -1;
    const control = viewOf(this.#control);
    const length = Number(viewOf(this.#header).getBigUint64(MSGHDR.controlLength, true));
    for (let offset = 0; offset + CMSG.header <= length; ) {
      const size = Number(control.getBigUint64(offset, true));
      if (size < CMSG.header || offset + size > length) break;
      const level = control.getInt32(offset + CMSG.level, true);
      const type = control.getInt32(offset + CMSG.type, true);
      const value = offset + CMSG.header;
      if (level === IPPROTO_IP && type === IP_TTL) ttl = control.getInt32(value, true);
      else if (level === IPPROTO_IPV6 && type === IPV6_HOPLIMIT) ttl = control.getInt32(value, true);
      else if (level === IPPROTO_IP && type === IP_PKTINFO) {
        interfaceIndex = control.getInt32(value, true);
        destination = this.#control.slice(value + 8, value + 12);
      } else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) {
        destination = this.#control.slice(value, value + 16);
        interfaceIndex = control.getInt32(value + 16, true);
      }
      offset += (size + 7) & ~7;
    }
    if (destination === undefined) return undefined;
    return {
      octets: this.#data.subarray(0, octets),
      source: { family, bytes: this.#name.slice(at, at + addressOctets(family)) },
      destination: { family, bytes: destination },
      interfaceIndex,
      ttl,
    };
  }
}

function openSender(options: SenderOptions, random: () => number): BfdSender | string {
  const { peer, port, local, interface: device } = options;
  const { family } = peer;
  const index = device === undefined ? 0 : cInterfaceIndex(device);
  if (device !== undefined && index === 0) return `BFD: there is no interface ${device}`;
  const fd = cSocket(AF[family], SOCKET_TYPE, 0);
  if (fd < 0) return `BFD cannot open a socket: ${lastError()}`;
  const ready =
    family === 'ipv4'
      ? set(fd, IPPROTO_IP, IP_TTL, GTSM_TTL) && set(fd, IPPROTO_IP, IP_TOS, TRAFFIC_CLASS)
      : set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
        set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, GTSM_TTL) &&
        set(fd, IPPROTO_IPV6, IPV6_TCLASS, TRAFFIC_CLASS);
  // Nothing is read from it: as little as the kernel allows may pile up there.
  set(fd, SOL_SOCKET, SO_RCVBUF, 0);
  const bound = ready && (device === undefined || bindToDevice(fd, device));
  const from = local ?? { family, bytes: new Uint8Array(addressOctets(family)) };
  const problem = bound ? bindSourcePort(fd, from, index, random) : lastError();
  if (problem !== undefined) {
    cClose(fd);
    return `BFD cannot send from there: ${problem}`;
  }
  const target = socketAddress(peer, port, index);
  return {
    interfaceIndex: device === undefined ? undefined : index,
    send(octets): SendProblem | undefined {
      if (cSendto(fd, octets, octets.length, MESSAGE_FLAGS, target, target.length) >= 0) return undefined;
      const why = lastError();
      return { text: `BFD cannot send: ${why}`, broken: BROKEN.has(why) };
    },
    close: () => {
      cClose(fd);
    },
  };
}

/** Any free port of RFC 5881 4's range; the kernel sees to it that no other session has it. */
function bindSourcePort(fd: number, from: Address, scope: number, random: () => number): string | undefined {
  let why = '';
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
    const port = SOURCE_PORTS.first + Math.floor(random() * SOURCE_PORTS.count);
    if (bind(fd, socketAddress(from, port, scope))) return undefined;
    why = lastError();
    if (why !== 'EADDRINUSE') return why;
  }
  return why;
}

function socketAddress(address: Address, port: number, scope: number): Uint8Array {
  const { family, bytes } = address;
  const octets = new Uint8Array(SOCKADDR[family].octets);
  const view = viewOf(octets);
  view.setUint16(0, AF[family], true);
  view.setUint16(2, port);
  octets.set(bytes, SOCKADDR[family].address);
  const linkLocal = family === 'ipv6' && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
  if (linkLocal) view.setUint32(SOCKADDR.ipv6.scope, scope, true);
  return octets;
}

function bind(fd: number, address: Uint8Array): boolean {
  return cBind(fd, address, address.length) === 0;
}

function bindToDevice(fd: number, name: string): boolean {
  const value = new TextEncoder().encode(`${name}\0`);
  return cSetsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, value, value.length) === 0;
}

function set(fd: number, level: number, option: number, value: number): boolean {
  return cSetsockopt(fd, level, option, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
}

function lastError(): string {
  return ERRNO_NAMES.get(koffi.errno()) ?? `errno ${koffi.errno()}`;
}

/** Octets whose place in memory stays: a small Uint8Array of V8 has none until it is asked for its buffer. */
function aligned(octets: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(octets));
}

function viewOf(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.length);
}
