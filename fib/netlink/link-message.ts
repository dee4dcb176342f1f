/** RTM_*LINK: interfaces, and the making of veth pairs. */
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_UNSPEC, IFF, IFLA, IFLA_INFO, NLM_F, RTM, VETH_INFO_PEER } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const IFINFOMSG_BYTES = 16;

/** An interface as the kernel describes it. */
export interface LinkMessage {
  readonly ifindex: number;
  readonly name: string;
  /** IFF_* */
  readonly flags: number;
  readonly mtu: number;
  /** hardware address, usually 6 octets, empty if there is none */
  readonly address: Uint8Array;
  /** IFLA_INFO_KIND: `veth`, `bridge`, `vxlan`, empty for hardware */
  readonly kind: string;
  /** RFC 2863 operational state: 6 is up */
  readonly operState: number;
  readonly carrier: boolean;
  /** index of the other end or the lower device; 0 if none */
  readonly peerIfindex: number;
  /** bridge or bond that it belongs to; 0 if none */
  readonly masterIfindex: number;
}

const attributes = new AttributeCursor();
const info = new AttributeCursor();

/** Decodes an RTM_NEWLINK or RTM_DELLINK. Undefined when it is malformed, or about a bridge port (AF_BRIDGE). */
export function decodeLink(message: MessageBody): LinkMessage | undefined {
  const at = message.bodyStart;
  if (at + IFINFOMSG_BYTES > message.bodyEnd || message.bytes[at] !== AF_UNSPEC) return undefined;
  const flags = message.view.getUint32(at + 8, true);
  let name = '';
  let mtu = 0;
  let address: Uint8Array = new Uint8Array(0);
  let kind = '';
  let operState = 0;
  let carrier = (flags & IFF.LOWER_UP) !== 0;
  let peerIfindex = 0;
  let masterIfindex = 0;
  attributes.reset(message.bytes, message.view, at + IFINFOMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === IFLA.IFNAME) name = attributes.text();
    else if (attributes.type === IFLA.MTU) mtu = attributes.u32();
    else if (attributes.type === IFLA.ADDRESS) address = attributes.copy();
    else if (attributes.type === IFLA.OPERSTATE) operState = attributes.u8();
    else if (attributes.type === IFLA.CARRIER) carrier = attributes.u8() !== 0;
    else if (attributes.type === IFLA.LINK) peerIfindex = attributes.i32();
    else if (attributes.type === IFLA.MASTER) masterIfindex = attributes.i32();
    else if (attributes.type === IFLA.LINKINFO) {
      info.enter(attributes);
      while (info.next()) if (info.type === IFLA_INFO.KIND) kind = info.text();
    }
  }
  const ifindex = message.view.getInt32(at + 4, true);
  return { ifindex, name, flags, mtu, address, kind, operState, carrier, peerIfindex, masterIfindex };
}

function writeHeader(writer: MessageWriter, ifindex: number, flags: number, change: number): void {
  writer.u8(AF_UNSPEC);
  writer.u8(0);
  writer.u16(0);
  writer.u32(ifindex);
  writer.u32(flags);
  writer.u32(change);
}

/** Begins the RTM_NEWLINK that makes an interface (EEXIST when there is one); its attributes and `end` are the caller's. */
export function beginLinkCreation(writer: MessageWriter): void {
  writer.begin(RTM.NEWLINK, NLM_F.CREATE | NLM_F.EXCL);
  writeHeader(writer, 0, 0, 0);
}

/** Writes the RTM_GETLINK of a dump. */
export function writeLinkDump(writer: MessageWriter): void {
  writer.begin(RTM.GETLINK, 0);
  writeHeader(writer, 0, 0, 0);
  writer.end();
}

/** Writes the RTM_GETLINK of one interface by its name or index. */
export function writeLinkQuery(writer: MessageWriter, which: string | number): void {
  writer.begin(RTM.GETLINK, 0);
  writeHeader(writer, typeof which === 'number' ? which : 0, 0, 0);
  if (typeof which === 'string') writer.attributeString(IFLA.IFNAME, which);
  writer.end();
}

/** One end of a veth pair to be made. */
export interface VethEndFields {
  readonly name: string;
  /** 6 octets; a random address when absent */
  readonly mac?: Uint8Array | undefined;
  readonly mtu: number;
}

/** The far end of a veth pair. */
export interface VethPeerFields extends VethEndFields {
  /** open descriptor of the network namespace in which it is made */
  readonly netnsFd: number;
}

/** Writes the RTM_NEWLINK that makes a veth pair, both ends down, the peer in its namespace. EEXIST when a name is taken. */
export function writeVethCreation(writer: MessageWriter, host: VethEndFields, peer: VethPeerFields): void {
  beginLinkCreation(writer);
  writeEnd(writer, host);
  const linkInfo = writer.beginAttribute(IFLA.LINKINFO);
  writer.attributeString(IFLA_INFO.KIND, 'veth');
  const data = writer.beginAttribute(IFLA_INFO.DATA);
  const peerInfo = writer.beginAttribute(VETH_INFO_PEER);
  writeHeader(writer, 0, 0, 0);
  writeEnd(writer, peer);
  writer.attributeU32(IFLA.NET_NS_FD, peer.netnsFd);
  writer.endAttribute(peerInfo);
  writer.endAttribute(data);
  writer.endAttribute(linkInfo);
  writer.end();
}

function writeEnd(writer: MessageWriter, end: VethEndFields): void {
  writer.attributeString(IFLA.IFNAME, end.name);
  if (end.mac !== undefined) writer.attributeBytes(IFLA.ADDRESS, end.mac);
  writer.attributeU32(IFLA.MTU, end.mtu);
}

/** What `writeLinkChange` changes; absent fields stay as they are. */
export interface LinkChange {
  /** at most 15 octets; kernels before 6.2 rename only what is down (EBUSY) */
  readonly name?: string;
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: Uint8Array;
}

/** Writes the RTM_NEWLINK that changes an existing interface. */
export function writeLinkChange(writer: MessageWriter, ifindex: number, change: LinkChange): void {
  writer.begin(RTM.NEWLINK, 0);
  writeHeader(writer, ifindex, change.up ? IFF.UP : 0, change.up === undefined ? 0 : IFF.UP);
  if (change.name !== undefined) writer.attributeString(IFLA.IFNAME, change.name);
  if (change.mtu !== undefined) writer.attributeU32(IFLA.MTU, change.mtu);
  if (change.mac !== undefined) writer.attributeBytes(IFLA.ADDRESS, change.mac);
  writer.end();
}

/** Writes the RTM_DELLINK of an interface. */
export function writeLinkDeletion(writer: MessageWriter, ifindex: number): void {
  writer.begin(RTM.DELLINK, 0);
  writeHeader(writer, ifindex, 0, 0);
  writer.end();
}
