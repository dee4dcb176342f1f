/** RTM_*NEIGH: ARP and neighbour discovery entries. */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_INET, AF_INET6, NDA, NLM_F, NUD, RTM } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const NDMSG_BYTES = 12;

/** A neighbour entry as the kernel describes it. */
export interface NeighbourMessage {
  readonly ifindex: number;
  readonly address: Address;
  /** hardware address; empty while it is unknown */
  readonly mac: Uint8Array;
  /** NUD_* bits */
  readonly state: number;
}

const attributes = new AttributeCursor();

/** Decodes an RTM_NEWNEIGH or RTM_DELNEIGH. Undefined when it is malformed or not about an IP address. */
export function decodeNeighbour(message: MessageBody): NeighbourMessage | undefined {
  const at = message.bodyStart;
  if (at + NDMSG_BYTES > message.bodyEnd) return undefined;
  const family = message.bytes[at];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  let address: Uint8Array | undefined;
  let mac: Uint8Array = new Uint8Array(0);
  attributes.reset(message.bytes, message.view, at + NDMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === NDA.DST && attributes.length === (family === AF_INET ? 4 : 16)) {
      address = attributes.copy();
    } else if (attributes.type === NDA.LLADDR) mac = attributes.copy();
  }
  if (address === undefined) return undefined;
  return {
    ifindex: message.view.getInt32(at + 4, true),
    address: addressFromBytes(address),
    mac,
    state: message.view.getUint16(at + 8, true),
  };
}

/** Writes the RTM_GETNEIGH of a dump of one interface's entries of one family (AF_*). */
export function writeNeighbourDump(writer: MessageWriter, family: number, ifindex: number): void {
  const NDA_IFINDEX = 8;
  writer.begin(RTM.GETNEIGH, 0);
  writeHeader(writer, family, 0, 0);
  if (ifindex !== 0) writer.attributeU32(NDA_IFINDEX, ifindex);
  writer.end();
}

/** Writes the RTM_NEWNEIGH that sets a permanent entry, whatever was there. */
export function writePermanentNeighbour(
  writer: MessageWriter,
  ifindex: number,
  address: Address,
  mac: Uint8Array,
): void {
  writer.begin(RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.REPLACE);
  writeHeader(writer, familyOf(address), ifindex, NUD.PERMANENT);
  writer.attributeBytes(NDA.DST, address.bytes);
  writer.attributeBytes(NDA.LLADDR, mac);
  writer.end();
}

/** Writes the RTM_NEWNEIGH that makes the kernel ask a known neighbour now whether it is still there; the answer is a notification. */
export function writeNeighbourProbe(writer: MessageWriter, ifindex: number, address: Address): void {
  writer.begin(RTM.NEWNEIGH, NLM_F.REPLACE);
  writeHeader(writer, familyOf(address), ifindex, NUD.PROBE);
  writer.attributeBytes(NDA.DST, address.bytes);
  writer.end();
}

/** Writes the RTM_DELNEIGH of an entry. */
export function writeNeighbourDeletion(writer: MessageWriter, ifindex: number, address: Address): void {
  writer.begin(RTM.DELNEIGH, 0);
  writeHeader(writer, familyOf(address), ifindex, 0);
  writer.attributeBytes(NDA.DST, address.bytes);
  writer.end();
}

function familyOf(address: Address): number {
  return address.family === 'ipv4' ? AF_INET : AF_INET6;
}

function writeHeader(writer: MessageWriter, family: number, ifindex: number, state: number): void {
  writer.u8(family);
  writer.u8(0);
  writer.u16(0);
  writer.u32(ifindex);
  writer.u16(state);
  writer.u8(0);
  writer.u8(0);
}
