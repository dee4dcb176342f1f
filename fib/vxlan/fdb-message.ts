/** RTM_*NEIGH of AF_BRIDGE: the forwarding entries of a VXLAN device, from the MAC address of a tunnel end to the host that has it. */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { AttributeCursor, type MessageBody } from '../netlink/reader.ts';
import { NDA, NLM_F, NUD, RTM } from '../netlink/registry.ts';
import type { MessageWriter } from '../netlink/writer.ts';

/** Address family of forwarding entries (linux/socket.h). */
export const AF_BRIDGE = 7;
const NDMSG_BYTES = 12;
const NUD_NOARP = 0x40;
/** The entry is the device's own, not that of a bridge above it. */
const NTF_SELF = 0x02;

/** A forwarding entry. */
export interface FdbEntry {
  readonly ifindex: number;
  /** 6 octets */
  readonly mac: Uint8Array;
  /** outer destination */
  readonly destination: Address;
  /** NUD_* bits */
  readonly state: number;
}

const attributes = new AttributeCursor();

/** Decodes a forwarding entry. Undefined when it is malformed, of another family, or names no outer destination. */
export function decodeFdbEntry(message: MessageBody): FdbEntry | undefined {
  const at = message.bodyStart;
  if (at + NDMSG_BYTES > message.bodyEnd || message.bytes[at] !== AF_BRIDGE) return undefined;
  let mac: Uint8Array | undefined;
  let destination: Address | undefined;
  attributes.reset(message.bytes, message.view, at + NDMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === NDA.LLADDR && attributes.length === 6) mac = attributes.copy();
    else if (attributes.type === NDA.DST && (attributes.length === 4 || attributes.length === 16)) {
      destination = addressFromBytes(attributes.copy());
    }
  }
  if (mac === undefined || destination === undefined) return undefined;
  const ifindex = message.view.getInt32(at + 4, true);
  return { ifindex, mac, destination, state: message.view.getUint16(at + 8, true) };
}

/** Writes the RTM_NEWNEIGH that sets a permanent entry, whatever was there for the MAC address. */
export function writeFdbEntry(
  writer: MessageWriter,
  ifindex: number,
  mac: Uint8Array,
  destination: Address,
): void {
  writer.begin(RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.REPLACE);
  writeHeader(writer, ifindex, NUD.PERMANENT | NUD_NOARP);
  writer.attributeBytes(NDA.LLADDR, mac);
  writer.attributeBytes(NDA.DST, destination.bytes);
  writer.end();
}

/** Writes the RTM_DELNEIGH of an entry. */
export function writeFdbDeletion(
  writer: MessageWriter,
  ifindex: number,
  mac: Uint8Array,
  destination: Address,
): void {
  writer.begin(RTM.DELNEIGH, 0);
  writeHeader(writer, ifindex, 0);
  writer.attributeBytes(NDA.LLADDR, mac);
  writer.attributeBytes(NDA.DST, destination.bytes);
  writer.end();
}

function writeHeader(writer: MessageWriter, ifindex: number, state: number): void {
  writer.u8(AF_BRIDGE);
  writer.u8(0);
  writer.u16(0);
  writer.u32(ifindex);
  writer.u16(state);
  writer.u8(NTF_SELF);
  writer.u8(0);
}
