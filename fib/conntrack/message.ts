/** ctnetlink messages: entries of connection tracking, to list and to delete (linux/netfilter/nfnetlink_conntrack.h). */
import { type Address, addressFromBytes, type Family } from '../../src/net/address.ts';
import { AttributeCursor, type MessageBody } from '../netlink/reader.ts';
import { AF_INET, AF_INET6 } from '../netlink/registry.ts';
import type { MessageWriter } from '../netlink/writer.ts';

export const NETLINK_NETFILTER = 12;

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT = { NEW: 0, GET: 1, DELETE: 2 } as const;
const NFGENMSG_BYTES = 4;

const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, STATUS: 3, ID: 12, FILTER: 25, STATUS_MASK: 26 } as const;
const CTA_TUPLE = { IP: 1, PROTO: 2 } as const;
const CTA_IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
const CTA_PROTO = { NUM: 1, SRC_PORT: 2, DST_PORT: 3 } as const;
const CTA_FILTER = { ORIG_FLAGS: 1, REPLY_FLAGS: 2 } as const;
/** IPS_DST_NAT of the status bits, big-endian */
const IPS_DST_NAT = Uint8Array.of(0, 0, 0, 1 << 5);
/** parts of a tuple that a dump is to compare */
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_PROTO_DST_PORT = 1 << 5;

/** One direction of a connection. */
export interface ConntrackTuple {
  readonly source: Address;
  readonly destination: Address;
  /** IANA number */
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** An entry of connection tracking. */
export interface ConntrackEntry {
  readonly family: Family;
  readonly original: ConntrackTuple;
  readonly reply: ConntrackTuple;
  /** opaque: names this very entry, so that a later one with the same tuple is not meant */
  readonly id: Uint8Array | undefined;
}

/** What a dump is to hold; kernels before 5.8 refuse to choose, those before 5.17 pass over `translatedOnly`. */
export interface ConntrackFilter {
  /** IANA number */
  readonly protocol: number;
  /** original destination port */
  readonly port?: number;
  /** only entries whose destination was translated */
  readonly translatedOnly?: boolean;
}

/** Writes the dump request for entries of a family. */
export function writeConntrackDump(writer: MessageWriter, family: Family, filter?: ConntrackFilter): void {
  begin(writer, IPCTNL_MSG_CT.GET, family);
  if (filter !== undefined) {
    const { protocol, port, translatedOnly } = filter;
    const tuple = writer.beginAttribute(CTA.TUPLE_ORIG);
    writeProto(writer, protocol, undefined, port);
    writer.endAttribute(tuple);
    if (translatedOnly === true) {
      writer.attributeBytes(CTA.STATUS, IPS_DST_NAT);
      writer.attributeBytes(CTA.STATUS_MASK, IPS_DST_NAT);
    }
    const parts = writer.beginAttribute(CTA.FILTER);
    const flags = FILTER_PROTO_NUM | (port === undefined ? 0 : FILTER_PROTO_DST_PORT);
    writer.attributeU32(CTA_FILTER.ORIG_FLAGS, flags);
    writer.attributeU32(CTA_FILTER.REPLY_FLAGS, 0);
    writer.endAttribute(parts);
  }
  writer.end();
}

/** Writes the deletion of an entry. */
export function writeConntrackDeletion(writer: MessageWriter, entry: ConntrackEntry): void {
  begin(writer, IPCTNL_MSG_CT.DELETE, entry.family);
  const { source, destination, protocol, sourcePort, destinationPort } = entry.original;
  const tuple = writer.beginAttribute(CTA.TUPLE_ORIG);
  const ip = writer.beginAttribute(CTA_TUPLE.IP);
  const isIpv4 = entry.family === 'ipv4';
  writer.attributeBytes(isIpv4 ? CTA_IP.V4_SRC : CTA_IP.V6_SRC, source.bytes);
  writer.attributeBytes(isIpv4 ? CTA_IP.V4_DST : CTA_IP.V6_DST, destination.bytes);
  writer.endAttribute(ip);
  writeProto(writer, protocol, sourcePort, destinationPort);
  writer.endAttribute(tuple);
  if (entry.id !== undefined) writer.attributeBytes(CTA.ID, entry.id);
  writer.end();
}

/** Decodes an entry of a dump. Undefined when it is malformed, or its protocol has no ports. */
export function decodeConntrack(message: MessageBody): ConntrackEntry | undefined {
  const { bytes, view, bodyStart, bodyEnd } = message;
  if (bodyStart + NFGENMSG_BYTES > bodyEnd) return undefined;
  const af = bytes[bodyStart];
  if (af !== AF_INET && af !== AF_INET6) return undefined;
  let original: ConntrackTuple | undefined;
  let reply: ConntrackTuple | undefined;
  let id: Uint8Array | undefined;
  const attributes = new AttributeCursor().reset(bytes, view, bodyStart + NFGENMSG_BYTES, bodyEnd);
  while (attributes.next()) {
    if (attributes.type === CTA.TUPLE_ORIG) original = decodeTuple(attributes);
    else if (attributes.type === CTA.TUPLE_REPLY) reply = decodeTuple(attributes);
    else if (attributes.type === CTA.ID) id = attributes.copy();
  }
  if (original === undefined || reply === undefined) return undefined;
  return { family: af === AF_INET ? 'ipv4' : 'ipv6', original, reply, id };
}

function decodeTuple(outer: AttributeCursor): ConntrackTuple | undefined {
  let source: Address | undefined;
  let destination: Address | undefined;
  let protocol: number | undefined;
  let sourcePort: number | undefined;
  let destinationPort: number | undefined;
  const part = new AttributeCursor().enter(outer);
  const value = new AttributeCursor();
  while (part.next()) {
    value.enter(part);
    while (value.next()) {
      if (part.type === CTA_TUPLE.IP) {
        const isIpv4 = value.type === CTA_IP.V4_SRC || value.type === CTA_IP.V4_DST;
        if (value.length !== (isIpv4 ? 4 : 16)) continue;
        const address = addressFromBytes(value.copy());
        if (value.type === CTA_IP.V4_SRC || value.type === CTA_IP.V6_SRC) source = address;
        else if (value.type === CTA_IP.V4_DST || value.type === CTA_IP.V6_DST) destination = address;
      } else if (part.type === CTA_TUPLE.PROTO) {
        if (value.type === CTA_PROTO.NUM) protocol = value.u8();
        else if (value.type === CTA_PROTO.SRC_PORT) sourcePort = bigEndian(value);
        else if (value.type === CTA_PROTO.DST_PORT) destinationPort = bigEndian(value);
      }
    }
  }
  if (
    source === undefined ||
    destination === undefined ||
    protocol === undefined ||
    sourcePort === undefined ||
    destinationPort === undefined
  ) {
    return undefined;
  }
  return { source, destination, protocol, sourcePort, destinationPort };
}

function bigEndian(value: AttributeCursor): number {
  const swapped = value.u16();
  return ((swapped & 0xff) << 8) | (swapped >> 8);
}

function begin(writer: MessageWriter, verb: number, family: Family): void {
  writer.begin((NFNL_SUBSYS_CTNETLINK << 8) | verb, 0);
  writer.u8(family === 'ipv4' ? AF_INET : AF_INET6);
  writer.u8(0); // NFNETLINK_V0
  writer.u16(0);
}

function writeProto(
  writer: MessageWriter,
  protocol: number,
  sourcePort: number | undefined,
  destinationPort: number | undefined,
): void {
  const proto = writer.beginAttribute(CTA_TUPLE.PROTO);
  writer.attributeU8(CTA_PROTO.NUM, protocol);
  if (sourcePort !== undefined) writer.attributeBytes(CTA_PROTO.SRC_PORT, portBytes(sourcePort));
  if (destinationPort !== undefined) writer.attributeBytes(CTA_PROTO.DST_PORT, portBytes(destinationPort));
  writer.endAttribute(proto);
}

function portBytes(port: number): Uint8Array {
  return new Uint8Array([port >> 8, port & 0xff]);
}
