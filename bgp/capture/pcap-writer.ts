/**
 * BGP messages as a packet capture, for tcpdump, tshark and `ocicat bgp decode`: classic pcap of raw IP packets. The packets are made up
 * around the messages: addresses and ports are the session's, the rest of the IP and TCP headers is plausible, checksums and sequence
 * numbers are right.
 */
import type { Address } from '../../src/net/address.ts';
import { putUint16, putUint32, uint16 } from '../wire/bytes.ts';
import type { Endpoint } from './messages.ts';

const LINKTYPE_RAW = 101;
const SNAP_OCTETS = 262_144;
const TCP_OCTETS = 20;
const TCP_FLAGS_PSH_ACK = 0x18;
const PROTOCOL_TCP = 6;
/** Octets of a message in one packet: above, it is cut, as an IP packet holds 65535 octets in all. */
const SEGMENT_OCTETS = 16_384;

/** The header of a capture file. */
export function pcapHeader(): Uint8Array {
  const header = new Uint8Array(24);
  putUint32(header, 0, 0xa1b2c3d4);
  putUint16(header, 4, 2);
  putUint16(header, 6, 4);
  putUint32(header, 16, SNAP_OCTETS);
  putUint32(header, 20, LINKTYPE_RAW);
  return header;
}

/** Makes the packets of any number of sessions. */
export class PcapPackets {
  /** next sequence number by direction; each begins at 1 */
  readonly #sequences = new Map<string, number>();

  /** The records of the packets that carry `message`. `at`: epoch milliseconds. Both ends must be of one family. */
  records(at: number, from: Endpoint, to: Endpoint, message: Uint8Array): Uint8Array {
    const [there, back] = [`${keyOf(from)} ${keyOf(to)}`, `${keyOf(to)} ${keyOf(from)}`];
    const acknowledged = this.#sequences.get(back) ?? 1;
    const records: Uint8Array[] = [];
    for (let start = 0; start < message.length; start += SEGMENT_OCTETS) {
      const payload = message.subarray(start, start + SEGMENT_OCTETS);
      const sequence = this.#sequences.get(there) ?? 1;
      this.#sequences.set(there, (sequence + payload.length) % 2 ** 32);
      records.push(recordOf(at, ipPacket(from, to, tcpSegment(from, to, sequence, acknowledged, payload))));
    }
    return joined(records);
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${address.bytes.join('.')} ${port}`;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function recordOf(at: number, packet: Uint8Array): Uint8Array {
  const record = new Uint8Array(16 + packet.length);
  const microseconds = Math.round(at * 1000);
  putUint32(record, 0, Math.floor(microseconds / 1_000_000));
  putUint32(record, 4, microseconds % 1_000_000);
  putUint32(record, 8, packet.length);
  putUint32(record, 12, packet.length);
  record.set(packet, 16);
  return record;
}

function tcpSegment(
  from: Endpoint,
  to: Endpoint,
  sequence: number,
  acknowledged: number,
  payload: Uint8Array,
): Uint8Array {
  const tcp = new Uint8Array(TCP_OCTETS + payload.length);
  putUint16(tcp, 0, from.port);
  putUint16(tcp, 2, to.port);
  putUint32(tcp, 4, sequence);
  putUint32(tcp, 8, acknowledged);
  tcp[12] = (TCP_OCTETS / 4) << 4;
  tcp[13] = TCP_FLAGS_PSH_ACK;
  putUint16(tcp, 14, 0xffff);
  tcp.set(payload, TCP_OCTETS);
  putUint16(tcp, 16, checksum(tcp, pseudoHeaderSum(from.address, to.address, tcp.length)));
  return tcp;
}

/** RFC 9293 3.1, RFC 8200 8.1: addresses, length and protocol count too. */
function pseudoHeaderSum(from: Address, to: Address, octets: number): number {
  return wordSum(from.bytes) + wordSum(to.bytes) + octets + PROTOCOL_TCP;
}

function ipPacket(from: Endpoint, to: Endpoint, tcp: Uint8Array): Uint8Array {
  return from.address.family === 'ipv4'
    ? ipv4Packet(from.address, to.address, tcp)
    : ipv6Packet(from.address, to.address, tcp);
}

function ipv4Packet(from: Address, to: Address, tcp: Uint8Array): Uint8Array {
  const packet = new Uint8Array(20 + tcp.length);
  packet[0] = 0x45;
  // Precedence Internetwork Control, as routers send BGP
  packet[1] = 0xc0;
  putUint16(packet, 2, packet.length);
  // Don't Fragment
  putUint16(packet, 6, 0x4000);
  packet[8] = 64;
  packet[9] = PROTOCOL_TCP;
  packet.set(from.bytes, 12);
  packet.set(to.bytes, 16);
  putUint16(packet, 10, checksum(packet.subarray(0, 20), 0));
  packet.set(tcp, 20);
  return packet;
}

function ipv6Packet(from: Address, to: Address, tcp: Uint8Array): Uint8Array {
  const packet = new Uint8Array(40 + tcp.length);
  packet[0] = 0x6c;
  putUint16(packet, 4, tcp.length);
  packet[6] = PROTOCOL_TCP;
  packet[7] = 64;
  packet.set(from.bytes, 8);
  packet.set(to.bytes, 24);
  packet.set(tcp, 40);
  return packet;
}

function wordSum(octets: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < octets.length; at += 2) sum += uint16(octets, at);
  return sum;
}

/** RFC 1071, of octets whose own checksum field is 0. */
function checksum(octets: Uint8Array, start: number): number {
  let sum = start + wordSum(octets);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
