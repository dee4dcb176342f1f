/** Building captures and dumps by hand: frames around IP packets, pcap and pcapng files, MRT records. */

import type { Endpoint } from '../../../../bgp/capture/messages.ts';
import { PcapPackets, pcapHeader } from '../../../../bgp/capture/pcap-writer.ts';
import { putUint16, putUint32 } from '../../../../bgp/wire/bytes.ts';
import { type Address, parseAddress } from '../../../../src/net/address.ts';

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

export const endpoint = (text: string, port: number): Endpoint => ({ address: address(text), port });

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** The IP packet of one segment, as the writer makes it, with another sequence number and flags. */
export function ipPacket(
  from: Endpoint,
  to: Endpoint,
  sequence: number,
  payload: Uint8Array,
  flags = 0x18,
): Uint8Array {
  const record = new PcapPackets().records(0, from, to, payload.length === 0 ? Uint8Array.of(0) : payload);
  const packet = record.slice(16, payload.length === 0 ? -1 : undefined);
  const isIpv4 = from.address.family === 'ipv4';
  if (isIpv4) putUint16(packet, 2, packet.length);
  else putUint16(packet, 4, packet.length - 40);
  const tcp = isIpv4 ? 20 : 40;
  putUint32(packet, tcp + 4, sequence);
  packet[tcp + 13] = flags;
  return packet;
}

export const SYN = 2;
export const RST = 4;

/** A frame of a link type around an IP packet. */
export function frame(linkType: number, packet: Uint8Array): Uint8Array {
  const type = (packet[0] ?? 0) >> 4 === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  const heads: Readonly<Record<number, readonly number[]>> = {
    0: [2, 0, 0, 0],
    1: [...new Array<number>(12).fill(2), ...type],
    101: [],
    113: [...new Array<number>(14).fill(0), ...type],
    276: [...type, ...new Array<number>(18).fill(0)],
  };
  return concat(Uint8Array.from(heads[linkType] ?? []), packet);
}

/** The same with two VLAN tags, on Ethernet. */
export function taggedFrame(packet: Uint8Array): Uint8Array {
  const plain = frame(1, packet);
  return concat(plain.subarray(0, 12), Uint8Array.of(0x88, 0xa8, 0, 1, 0x81, 0, 0, 2), plain.subarray(12));
}

/** A pcap file. */
export function pcap(
  frames: readonly Uint8Array[],
  options: { linkType?: number; little?: boolean; nano?: boolean } = {},
): Uint8Array {
  const { linkType = 101, little = false, nano = false } = options;
  const words = (values: readonly number[]): Uint8Array => {
    const octets = new Uint8Array(4 * values.length);
    const view = new DataView(octets.buffer);
    for (const [index, value] of values.entries()) view.setUint32(4 * index, value, little);
    return octets;
  };
  const header = new Uint8Array(pcapHeader());
  const view = new DataView(header.buffer);
  view.setUint32(0, nano ? 0xa1b23c4d : 0xa1b2c3d4, little);
  view.setUint32(20, linkType, little);
  return concat(
    header,
    ...frames.flatMap((each, index) => [
      words([100, index * (nano ? 1000 : 1), each.length, each.length]),
      each,
    ]),
  );
}

/** A pcapng file with one section, an interface of microseconds and one of nanoseconds, packets alternating, and a block of an unknown type. */
export function pcapng(
  frames: readonly Uint8Array[],
  options: { linkType?: number; little?: boolean } = {},
): Uint8Array {
  const { linkType = 101, little = true } = options;
  const block = (type: number, body: Uint8Array): Uint8Array => {
    const padded = (body.length + 3) & ~3;
    const octets = new Uint8Array(12 + padded);
    const view = new DataView(octets.buffer);
    view.setUint32(0, type, little);
    view.setUint32(4, octets.length, little);
    octets.set(body, 8);
    view.setUint32(8 + padded, octets.length, little);
    return octets;
  };
  const body = (octets: number, write: (view: DataView) => void): Uint8Array => {
    const bytes = new Uint8Array(octets);
    write(new DataView(bytes.buffer));
    return bytes;
  };
  const described = (nano: boolean): Uint8Array =>
    block(
      1,
      body(nano ? 20 : 8, (view) => {
        view.setUint16(0, linkType, little);
        if (!nano) return;
        view.setUint16(8, 9, little);
        view.setUint16(10, 1, little);
        view.setUint8(12, 9);
      }),
    );
  return concat(
    block(
      0x0a0d0d0a,
      body(16, (view) => {
        view.setUint32(0, 0x1a2b3c4d, little);
        view.setUint16(4, 1, little);
        view.setBigInt64(8, -1n, little);
      }),
    ),
    described(false),
    described(true),
    block(0x0bad, Uint8Array.of(1, 2, 3)),
    ...frames.map((each, index) => {
      const ticks = 100_000_000n * (index % 2 === 0 ? 1n : 1000n);
      const head = body(20, (view) => {
        view.setUint32(0, index % 2, little);
        view.setUint32(4, Number(ticks >> 32n), little);
        view.setUint32(8, Number(ticks & 0xffffffffn), little);
        view.setUint32(12, each.length, little);
        view.setUint32(16, each.length, little);
      });
      return block(6, concat(head, each));
    }),
  );
}

/** Octets of numbers with their widths: `be([1, 2], [300, 4])`. */
export function be(...fields: readonly (readonly [value: number, octets: 1 | 2 | 4])[]): Uint8Array {
  return concat(
    ...fields.map(([value, octets]) => {
      const bytes = new Uint8Array(4);
      putUint32(bytes, 0, value);
      return bytes.subarray(4 - octets);
    }),
  );
}

/** An MRT record at second 100. */
export function mrt(type: number, subtype: number, body: Uint8Array): Uint8Array {
  return concat(be([100, 4], [type, 2], [subtype, 2], [body.length, 4]), body);
}
