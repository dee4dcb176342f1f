/** From a captured frame to the TCP segment in it: link layers of LINKTYPE_ numbers, IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293). */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { uint16, uint32 } from '../wire/bytes.ts';

/** One TCP segment. */
export interface TcpSegment {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  /** unsigned 32-bit */
  readonly sequence: number;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  /** octets that the capture kept: borrowed */
  readonly payload: Uint8Array;
  /** octets that there were: more than `payload` when the capture kept only the front of packets */
  readonly payloadOctets: number;
}

const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const VLAN_TYPES = [0x8100, 0x88a8, 0x9100];
const PROTOCOL = { tcp: 6, authentication: 51 } as const;
/** IPv6 extension headers of one layout (RFC 8200 4): hop-by-hop options, routing, destination options */
const SKIPPED_HEADERS = [0, 43, 60];
const TCP_FLAG = { fin: 1, syn: 2, rst: 4 } as const;

/** Octets of the link header before an EtherType, by LINKTYPE_: Ethernet, Linux cooked capture v1 and v2. */
const ETHERTYPE_AT: ReadonlyMap<number, { readonly type: number; readonly payload: number }> = new Map([
  [1, { type: 12, payload: 14 }],
  [113, { type: 14, payload: 16 }],
  [276, { type: 0, payload: 20 }],
]);
/** LINKTYPE_ numbers of bare IP, with the octets before it: BSD loopback, raw IP under its several numbers, IPv4, IPv6. */
const BARE_IP: ReadonlyMap<number, number> = new Map([
  [0, 4],
  [12, 0],
  [14, 0],
  [101, 0],
  [108, 4],
  [228, 0],
  [229, 0],
]);

/** Whether packets of this link type can be read. */
export function isKnownLinkType(linkType: number): boolean {
  return ETHERTYPE_AT.has(linkType) || BARE_IP.has(linkType);
}

/** The TCP segment of a frame; undefined when it holds none, or only a fragment of one. Never throws. */
export function tcpSegmentOf(linkType: number, frame: Uint8Array): TcpSegment | undefined {
  const bare = BARE_IP.get(linkType);
  if (bare !== undefined) return segmentOfIp(frame.subarray(bare));
  const layout = ETHERTYPE_AT.get(linkType);
  if (layout === undefined) return undefined;
  let type = uint16(frame, layout.type);
  let at = layout.payload;
  while (VLAN_TYPES.includes(type) && at + 4 <= frame.length) {
    type = uint16(frame, at + 2);
    at += 4;
  }
  return type === ETHERTYPE.ipv4 || type === ETHERTYPE.ipv6 ? segmentOfIp(frame.subarray(at)) : undefined;
}

function segmentOfIp(packet: Uint8Array): TcpSegment | undefined {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4) return segmentOfIpv4(packet);
  return version === 6 ? segmentOfIpv6(packet) : undefined;
}

function segmentOfIpv4(packet: Uint8Array): TcpSegment | undefined {
  const headerOctets = ((packet[0] ?? 0) & 15) * 4;
  if (headerOctets < 20 || packet.length < headerOctets || packet[9] !== PROTOCOL.tcp) return undefined;
  // More Fragments, or an offset
  if ((uint16(packet, 6) & 0x3fff) !== 0) return undefined;
  // 0: the network card was to cut it into segments.
  const total = uint16(packet, 2) || packet.length;
  if (total < headerOctets) return undefined;
  return segmentOf(
    packet.subarray(headerOctets, total),
    total - headerOctets,
    packet.subarray(12, 16),
    packet.subarray(16, 20),
  );
}

function segmentOfIpv6(packet: Uint8Array): TcpSegment | undefined {
  if (packet.length < 40) return undefined;
  const length = uint16(packet, 4);
  const end = length === 0 ? packet.length : 40 + length;
  let next = packet[6] ?? 0;
  let at = 40;
  while (next !== PROTOCOL.tcp) {
    const following = packet[at];
    const units = packet[at + 1];
    if (following === undefined || units === undefined) return undefined;
    if (next === PROTOCOL.authentication) at += (units + 2) * 4;
    else if (SKIPPED_HEADERS.includes(next)) at += (units + 1) * 8;
    else return undefined;
    next = following;
  }
  if (at > end) return undefined;
  return segmentOf(packet.subarray(at, end), end - at, packet.subarray(8, 24), packet.subarray(24, 40));
}

function segmentOf(
  tcp: Uint8Array,
  octets: number,
  source: Uint8Array,
  destination: Uint8Array,
): TcpSegment | undefined {
  const headerOctets = ((tcp[12] ?? 0) >> 4) * 4;
  if (headerOctets < 20 || tcp.length < 20 || octets < headerOctets) return undefined;
  const flags = tcp[13] ?? 0;
  return {
    source: addressFromBytes(source),
    sourcePort: uint16(tcp, 0),
    destination: addressFromBytes(destination),
    destinationPort: uint16(tcp, 2),
    sequence: uint32(tcp, 4),
    syn: (flags & TCP_FLAG.syn) !== 0,
    fin: (flags & TCP_FLAG.fin) !== 0,
    rst: (flags & TCP_FLAG.rst) !== 0,
    payload: tcp.subarray(headerOctets),
    payloadOctets: octets - headerOctets,
  };
}
