/** RTM_*NEXTHOP: next-hop objects and groups, which routes may point to by id. */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, NHA, NLM_F, RTM, RTNH_F } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const NHMSG_BYTES = 8;
const GROUP_ENTRY_BYTES = 8;

/** A member of a next-hop group. */
export interface NextHopGroupMember {
  readonly id: number;
  /** 1..256 */
  readonly weight: number;
}

/** A next-hop object: a path, a group of paths, or a blackhole. */
export interface NextHopObject {
  readonly id: number;
  readonly protocol: number;
  readonly kind: 'path' | 'group' | 'blackhole';
  /** 0 unless it is a path */
  readonly ifindex: number;
  readonly gateway?: Address;
  readonly onlink: boolean;
  /** RTNH_F_* as the kernel reports them, DEAD and LINKDOWN included */
  readonly flags: number;
  readonly members: readonly NextHopGroupMember[];
}

const attributes = new AttributeCursor();

/** Decodes an RTM_NEWNEXTHOP or RTM_DELNEXTHOP. Undefined when it is malformed. */
export function decodeNextHop(message: MessageBody): NextHopObject | undefined {
  const at = message.bodyStart;
  if (at + NHMSG_BYTES > message.bodyEnd) return undefined;
  const { bytes, view } = message;
  const flags = view.getUint32(at + 4, true);
  let id = 0;
  let kind: NextHopObject['kind'] = 'path';
  let ifindex = 0;
  let gateway: Uint8Array | undefined;
  const members: NextHopGroupMember[] = [];
  attributes.reset(bytes, view, at + NHMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === NHA.ID) id = attributes.u32();
    else if (attributes.type === NHA.OIF) ifindex = attributes.u32();
    else if (attributes.type === NHA.BLACKHOLE) kind = 'blackhole';
    else if (attributes.type === NHA.GATEWAY && (attributes.length === 4 || attributes.length === 16)) {
      gateway = attributes.copy();
    } else if (attributes.type === NHA.GROUP) {
      kind = 'group';
      const end = attributes.start + attributes.length;
      for (let entry = attributes.start; entry + GROUP_ENTRY_BYTES <= end; entry += GROUP_ENTRY_BYTES) {
        members.push({ id: view.getUint32(entry, true), weight: (bytes[entry + 4] ?? 0) + 1 });
      }
    }
  }
  const decoded = {
    id,
    protocol: bytes[at + 2] ?? 0,
    kind,
    ifindex,
    onlink: (flags & RTNH_F.ONLINK) !== 0,
    flags,
    members,
  };
  return gateway === undefined ? decoded : { ...decoded, gateway: addressFromBytes(gateway) };
}

/**
 * Writes the RTM_NEWNEXTHOP that makes an object or replaces the one with its id; with NLM_F.EXCL in `messageFlags` only the former. `family`
 * matters for a path without gateway.
 */
export function writeNextHop(
  writer: MessageWriter,
  object: NextHopObject,
  family: 'ipv4' | 'ipv6',
  messageFlags: number = NLM_F.CREATE | NLM_F.REPLACE,
): void {
  const pathFamily = (object.gateway?.family ?? family) === 'ipv4' ? AF_INET : AF_INET6;
  writer.begin(RTM.NEWNEXTHOP, messageFlags);
  writeHeader(
    writer,
    object.kind === 'group' ? AF_UNSPEC : pathFamily,
    object.protocol,
    object.onlink ? RTNH_F.ONLINK : 0,
  );
  writer.attributeU32(NHA.ID, object.id);
  if (object.kind === 'blackhole') writer.attributeFlag(NHA.BLACKHOLE);
  if (object.kind === 'path') {
    writer.attributeU32(NHA.OIF, object.ifindex);
    if (object.gateway !== undefined) writer.attributeBytes(NHA.GATEWAY, object.gateway.bytes);
  }
  if (object.kind === 'group') {
    const at = writer.beginAttribute(NHA.GROUP, false);
    for (const member of object.members) {
      writer.u32(member.id);
      writer.u8(member.weight - 1);
      writer.u8(0);
      writer.u16(0);
    }
    writer.endAttribute(at);
  }
  writer.end();
}

/** Writes the RTM_DELNEXTHOP of an id. */
export function writeNextHopDeletion(writer: MessageWriter, id: number): void {
  writer.begin(RTM.DELNEXTHOP, 0);
  writeHeader(writer, AF_UNSPEC, 0, 0);
  writer.attributeU32(NHA.ID, id);
  writer.end();
}

/** Writes the RTM_GETNEXTHOP of a dump of all objects. */
export function writeNextHopDump(writer: MessageWriter): void {
  writer.begin(RTM.GETNEXTHOP, 0);
  writeHeader(writer, AF_UNSPEC, 0, 0);
  writer.end();
}

function writeHeader(writer: MessageWriter, family: number, protocol: number, flags: number): void {
  writer.u8(family);
  writer.u8(0);
  writer.u8(protocol);
  writer.u8(0);
  writer.u32(flags);
}
