/**
 * A raw ICMPv6 socket on one interface, for router discovery. Node has none, hence the C library. The kernel does the checking that it can: the
 * checksum, both ways; an ICMPV6_FILTER that lets solicitations, advertisements and echo replies through and nothing else; and a packet filter that
 * drops solicitations and advertisements that a router has forwarded (RFC 4861 6.1: hop limit 255). The alternatives were a packet socket, which sees every frame of the link and would have to
 * rebuild all of this, and recvmsg(2) with its control messages, which costs a structure of pointers for each message to learn one octet.
 */

import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { NetlinkError } from '../netlink/error-message.ts';
import * as libc from '../netlink/libc.ts';
import { inNamespaceOrHere } from '../netlink/namespace.ts';
import { filterProgram } from '../netlink/packet-filter.ts';
import { AF_INET6 } from '../netlink/registry.ts';
import { ICMPV6 } from './icmpv6.ts';

const SOCK_RAW_NONBLOCK = 3 | 0o4000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const IPV6_MULTICAST_LOOP = 19;
const IPV6_JOIN_GROUP = 20;
const IPPROTO_ICMPV6 = 58;
const ICMPV6_FILTER = 1;
const HOP_LIMIT = 255;
/** struct sockaddr_in6 */
const SOCKADDR_BYTES = 28;
const SOCKADDR_ADDRESS = 8;
const SOCKADDR_SCOPE = 24;
const EAGAIN = 11;
/** As much as a flood may keep waiting. */
const RECEIVE_BUFFER_BYTES = 64 * 1024;
const MESSAGE_BYTES = 1500;
/** Messages handled in one turn; the rest in the next. */
const MESSAGES_A_TURN = 32;

/** ff02::1 and ff02::2. */
export const ALL_NODES = multicast(1);
export const ALL_ROUTERS = multicast(2);

/** An ICMPv6 socket on one interface, until closed. It does not keep the process alive. */
export class Icmpv6Socket {
  readonly #fd: number;
  readonly #ifindex: number;
  readonly #watch: libc.ReadableWatch;
  readonly #onMessage: (message: Uint8Array, source: Address) => void;
  readonly #buffer = new Uint8Array(MESSAGE_BYTES);
  readonly #sender = new Uint8Array(SOCKADDR_BYTES);
  #closed = false;

  private constructor(
    fd: number,
    ifindex: number,
    onMessage: (message: Uint8Array, source: Address) => void,
  ) {
    this.#fd = fd;
    this.#ifindex = ifindex;
    this.#onMessage = onMessage;
    this.#watch = libc.watchReadable(fd, () => this.#receive());
  }

  /**
   * Opens a socket in the current or the given network namespace, on that interface, and joins ff02::1 and ff02::2. `onMessage` gets solicitations,
   * advertisements and echo replies from others, valid only during the call. Throws a NetlinkError: EPERM without CAP_NET_RAW.
   */
  static open(
    link: { readonly name: string; readonly ifindex: number },
    onMessage: (message: Uint8Array, source: Address) => void,
    netns?: string,
  ): Icmpv6Socket {
    const opened = inNamespaceOrHere(netns, () => libc.socket(AF_INET6, SOCK_RAW_NONBLOCK, IPPROTO_ICMPV6));
    if ('errno' in opened) throw new NetlinkError('open an ICMPv6 socket', opened.errno);
    const fd = opened.value;
    const steps: readonly [string, () => libc.CallResult][] = [
      ['filter ICMPv6 types', () => libc.setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, typeFilter())],
      ['filter by hop limit', () => libc.attachFilter(fd, hopLimitFilter())],
      [
        `bind to interface ${link.name}`,
        () => libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode(`${link.name}\0`)),
      ],
      ['bound its buffer', () => libc.setsockoptInt(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES)],
      ['set the hop limit', () => libc.setsockoptInt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOP_LIMIT)],
      ['set the hop limit', () => libc.setsockoptInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOP_LIMIT)],
      ['not hear itself', () => libc.setsockoptInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0)],
      ['choose the interface', () => libc.setsockoptInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, link.ifindex)],
      ...[ALL_NODES, ALL_ROUTERS].map((group): [string, () => libc.CallResult] => [
        'join the group of all routers',
        () => libc.setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, membership(group, link.ifindex)),
      ]),
    ];
    for (const [what, step] of steps) {
      const done = step();
      if (!('errno' in done)) continue;
      libc.close(fd);
      throw new NetlinkError(`${what} of an ICMPv6 socket on ${link.name}`, done.errno);
    }
    return new Icmpv6Socket(fd, link.ifindex, onMessage);
  }

  /** Sends a message to a link-local address or a group of the link. Returns the errno, 0 when it went. */
  send(message: Uint8Array, to: Address): number {
    const address = new Uint8Array(SOCKADDR_BYTES);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_INET6, true);
    address.set(to.bytes, SOCKADDR_ADDRESS);
    view.setUint32(SOCKADDR_SCOPE, this.#ifindex, true);
    const sent = libc.sendTo(this.#fd, message, address);
    return sent < 0 ? -sent : 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    libc.close(this.#fd);
  }

  #receive(): void {
    for (let count = 0; count < MESSAGES_A_TURN && !this.#closed; count++) {
      const received = libc.receiveFrom(this.#fd, this.#buffer, this.#sender);
      if (received === -EAGAIN) return;
      // The interface went down or away: that is announced elsewhere.
      if (received < 0) return;
      const source = addressFromBytes(this.#sender.subarray(SOCKADDR_ADDRESS, SOCKADDR_ADDRESS + 16));
      this.#onMessage(this.#buffer.subarray(0, received), source);
    }
  }
}

/** struct icmp6_filter: a bit set blocks a type. */
function typeFilter(): Uint8Array {
  const filter = new Uint8Array(32).fill(0xff);
  for (const type of [ICMPV6.echoReply, ICMPV6.routerSolicitation, ICMPV6.routerAdvertisement]) {
    const octet = type >> 3;
    filter[octet] = (filter[octet] ?? 0) & ~(1 << (type & 7));
  }
  return filter;
}

/** struct ipv6_mreq */
function membership(group: Address, ifindex: number): Uint8Array {
  const request = new Uint8Array(20);
  request.set(group.bytes);
  new DataView(request.buffer).setInt32(16, ifindex, true);
  return request;
}

/**
 * A classic BPF program: drop what did not arrive with hop limit 255, octet 7 of the network header. Echo replies have any; those from link-local
 * addresses, which alone count, no router forwards.
 */
function hopLimitFilter(): Uint8Array {
  const SKF_NET_OFF = 0xfff00000;
  return filterProgram([
    [0x30, 0, 0, 0], // ldb [type]
    [0x15, 3, 0, ICMPV6.echoReply], // jeq, to the last
    [0x30, 0, 0, SKF_NET_OFF + 7], // ldb [network header + 7]
    [0x15, 1, 0, HOP_LIMIT], // jeq, to the last
    [0x06, 0, 0, 0], // ret 0: drop
    [0x06, 0, 0, 0xffffffff], // ret all
  ]);
}

function multicast(last: number): Address {
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0x02]);
  bytes[15] = last;
  return { family: 'ipv6', bytes };
}
