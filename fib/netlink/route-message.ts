/** RTM_*ROUTE: one mutable record that is reused for every message, so that a dump of 500,000 routes makes no garbage. */
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_INET, AF_INET6, NLMSG_HEADER_BYTES, RT_SCOPE, RTA, RTN } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const RTMSG_BYTES = 12;
/** where a message has its prefix length, and the address of an RTA_DST that comes first */
const LENGTH_AT = NLMSG_HEADER_BYTES + 1;
const DESTINATION_AT = NLMSG_HEADER_BYTES + RTMSG_BYTES + 4;
const RTNEXTHOP_BYTES = 8;

/**
 * One route as decoded. Addresses stay in the datagram: `...At` are offsets into `bytes`, -1 when absent. Valid until the datagram's
 * buffer is received into again.
 */
export class RouteRecord {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** AF_INET, AF_INET6, or another family that callers skip */
  family = 0;
  length = 0;
  sourceLength = 0;
  tos = 0;
  table = 0;
  protocol = 0;
  scope = 0;
  /** RTN_* */
  type = 0;
  /** RTM_F_* and, for a single next hop, RTNH_F_* */
  flags = 0;
  /** destination words, host bits zero; IPv4 uses the first */
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  metric = 0;
  ifindex = 0;
  nextHopId = 0;
  prefsrcAt = -1;
  /** offset of a gateway of `gatewayFamily` */
  gatewayAt = -1;
  gatewayFamily = 0;
  /** the array of struct rtnexthop */
  multipathAt = -1;
  multipathEnd = -1;
}

const attributes = new AttributeCursor();

/** Decodes an RTM_NEWROUTE or RTM_DELROUTE into `into`. False when it is malformed. */
export function decodeRoute(message: MessageBody, into: RouteRecord): boolean {
  const at = message.bodyStart;
  if (at + RTMSG_BYTES > message.bodyEnd) return false;
  const { bytes, view } = message;
  into.bytes = bytes;
  into.view = view;
  into.family = bytes[at] ?? 0;
  into.length = bytes[at + 1] ?? 0;
  into.sourceLength = bytes[at + 2] ?? 0;
  into.tos = bytes[at + 3] ?? 0;
  into.table = bytes[at + 4] ?? 0;
  into.protocol = bytes[at + 5] ?? 0;
  into.scope = bytes[at + 6] ?? 0;
  into.type = bytes[at + 7] ?? 0;
  into.flags = view.getUint32(at + 8, true);
  into.w0 = into.w1 = into.w2 = into.w3 = 0;
  into.metric = into.ifindex = into.nextHopId = into.gatewayFamily = 0;
  into.prefsrcAt = into.gatewayAt = into.multipathAt = into.multipathEnd = -1;
  const octets = into.family === AF_INET ? 4 : 16;
  if (into.length > octets * 8) return false;
  attributes.reset(bytes, view, at + RTMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    const { start, length } = attributes;
    switch (attributes.type) {
      case RTA.DST:
        if (length < octets) return false;
        into.w0 = view.getInt32(start);
        if (octets === 16) {
          into.w1 = view.getInt32(start + 4);
          into.w2 = view.getInt32(start + 8);
          into.w3 = view.getInt32(start + 12);
        }
        break;
      case RTA.OIF:
        into.ifindex = attributes.i32();
        break;
      case RTA.PRIORITY:
        into.metric = attributes.u32();
        break;
      case RTA.TABLE:
        into.table = attributes.u32();
        break;
      case RTA.NH_ID:
        into.nextHopId = attributes.u32();
        break;
      case RTA.PREFSRC:
        if (length >= octets) into.prefsrcAt = start;
        break;
      case RTA.GATEWAY:
        if (length >= octets) {
          into.gatewayAt = start;
          into.gatewayFamily = into.family;
        }
        break;
      case RTA.VIA:
        readVia(attributes, into);
        break;
      case RTA.MULTIPATH:
        into.multipathAt = start;
        into.multipathEnd = start + length;
        break;
    }
  }
  return true;
}

/** Where `forEachNextHop` stands. */
export interface NextHopRecord {
  ifindex: number;
  /** 1..256 */
  weight: number;
  /** RTNH_F_* */
  flags: number;
  /** offset of the gateway in the record's bytes, or -1 */
  gatewayAt: number;
  /** AF_INET or AF_INET6 when there is a gateway */
  gatewayFamily: number;
}

const nextHop: NextHopRecord = { ifindex: 0, weight: 1, flags: 0, gatewayAt: -1, gatewayFamily: 0 };
const nested = new AttributeCursor();

/** Calls `visit` for each next hop of a decoded route, with a record that is reused. Routes without an interface have none. */
export function forEachNextHop(route: RouteRecord, visit: (hop: Readonly<NextHopRecord>) => void): void {
  if (route.multipathAt < 0) {
    if (route.ifindex === 0 && route.gatewayAt < 0) return;
    nextHop.ifindex = route.ifindex;
    nextHop.weight = 1;
    nextHop.flags = route.flags & 0xff;
    nextHop.gatewayAt = route.gatewayAt;
    nextHop.gatewayFamily = route.gatewayFamily;
    visit(nextHop);
    return;
  }
  const octets = route.family === AF_INET ? 4 : 16;
  let at = route.multipathAt;
  while (at + RTNEXTHOP_BYTES <= route.multipathEnd) {
    const length = route.view.getUint16(at, true);
    if (length < RTNEXTHOP_BYTES || at + length > route.multipathEnd) return;
    nextHop.flags = route.bytes[at + 2] ?? 0;
    nextHop.weight = (route.bytes[at + 3] ?? 0) + 1;
    nextHop.ifindex = route.view.getInt32(at + 4, true);
    nextHop.gatewayAt = -1;
    nextHop.gatewayFamily = 0;
    nested.reset(route.bytes, route.view, at + RTNEXTHOP_BYTES, at + length);
    while (nested.next()) {
      if (nested.type === RTA.GATEWAY && nested.length >= octets) {
        nextHop.gatewayAt = nested.start;
        nextHop.gatewayFamily = route.family;
      } else if (nested.type === RTA.VIA) {
        readVia(nested, nextHop);
      }
    }
    visit(nextHop);
    at += (length + 3) & ~3;
  }
}

// struct rtvia: u16 family, then the address.
function readVia(attribute: AttributeCursor, into: { gatewayAt: number; gatewayFamily: number }): void {
  const family = attribute.u16();
  if (attribute.length >= (family === AF_INET6 ? 18 : 6)) {
    into.gatewayAt = attribute.start + 2;
    into.gatewayFamily = family;
  }
}

/** One next hop to encode. */
export interface NextHopFields {
  readonly ifindex: number;
  /** 1..256 */
  readonly weight: number;
  /** RTNH_F_ONLINK or 0 */
  readonly flags: number;
  /** 4 or 16 octets */
  readonly gateway?: Uint8Array | undefined;
}

/** What `writeRoute` needs beside the destination. */
export interface RouteFields {
  readonly type: number;
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  readonly scope: number;
  readonly prefsrc?: Uint8Array | undefined;
  readonly nextHops: readonly NextHopFields[];
  /** id of a next-hop object instead of `nextHops` */
  readonly nextHopId?: number | undefined;
}

/** Writes an RTM_NEWROUTE or RTM_DELROUTE for the destination given by its words. */
export function writeRoute(
  writer: MessageWriter,
  messageType: number,
  messageFlags: number,
  family: number,
  length: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  fields: RouteFields,
): void {
  const [only] = fields.nextHops;
  const single = fields.nextHops.length === 1 ? only : undefined;
  writer.begin(messageType, messageFlags);
  writeHeader(writer, family, length, fields, single?.flags ?? 0);
  if (length > 0) writer.attributeWords(RTA.DST, family === AF_INET ? 1 : 4, w0, w1, w2, w3);
  if (fields.table > 255) writer.attributeU32(RTA.TABLE, fields.table);
  if (fields.metric !== 0) writer.attributeU32(RTA.PRIORITY, fields.metric);
  if (fields.prefsrc !== undefined) writer.attributeBytes(RTA.PREFSRC, fields.prefsrc);
  if (fields.nextHopId !== undefined) {
    writer.attributeU32(RTA.NH_ID, fields.nextHopId);
  } else if (single !== undefined) {
    writer.attributeU32(RTA.OIF, single.ifindex);
    writeGateway(writer, family, single.gateway);
  } else if (fields.nextHops.length > 1) {
    const list = writer.beginAttribute(RTA.MULTIPATH);
    for (const hop of fields.nextHops) {
      const at = writer.beginLength();
      writer.u8(hop.flags);
      writer.u8(hop.weight - 1);
      writer.u32(hop.ifindex);
      writeGateway(writer, family, hop.gateway);
      writer.endLength(at);
    }
    writer.endAttribute(list);
  }
  writer.end();
}

/** Writes an RTM_DELROUTE that matches exactly (protocol, table, metric), whatever the next hops and the scope. */
export function writeRouteDeletion(
  writer: MessageWriter,
  family: number,
  length: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  key: { readonly table: number; readonly protocol: number; readonly metric: number; readonly type: number },
  messageType: number,
): void {
  writer.begin(messageType, 0);
  writeHeader(writer, family, length, { ...key, scope: RT_SCOPE.NOWHERE }, 0);
  if (length > 0) writer.attributeWords(RTA.DST, family === AF_INET ? 1 : 4, w0, w1, w2, w3);
  if (key.table > 255) writer.attributeU32(RTA.TABLE, key.table);
  if (key.metric !== 0) writer.attributeU32(RTA.PRIORITY, key.metric);
  writer.end();
}

/**
 * Writes a message of `writeRoute` or `writeRouteDeletion` again, copied from a writer, for another destination of the same family. Neither
 * may have the length 0.
 */
export function repeatRoute(
  writer: MessageWriter,
  message: Int32Array,
  family: number,
  length: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): void {
  const at = writer.repeat(message);
  writer.setU8(at + LENGTH_AT, length);
  writer.setWord(at + DESTINATION_AT, w0);
  if (family === AF_INET) return;
  writer.setWord(at + DESTINATION_AT + 4, w1);
  writer.setWord(at + DESTINATION_AT + 8, w2);
  writer.setWord(at + DESTINATION_AT + 12, w3);
}

/** Writes the RTM_GETROUTE of a dump; 0 for table or protocol means all (the kernel filters, GET_STRICT_CHK). */
export function writeRouteDump(
  writer: MessageWriter,
  messageType: number,
  family: number,
  table: number,
  protocol: number,
): void {
  writer.begin(messageType, 0);
  writeHeader(writer, family, 0, { table, protocol, scope: 0, type: RTN.UNSPEC }, 0);
  if (table > 255) writer.attributeU32(RTA.TABLE, table);
  writer.end();
}

function writeHeader(
  writer: MessageWriter,
  family: number,
  length: number,
  fields: {
    readonly table: number;
    readonly protocol: number;
    readonly scope: number;
    readonly type: number;
  },
  flags: number,
): void {
  writer.u8(family);
  writer.u8(length);
  writer.u8(0);
  writer.u8(0);
  writer.u8(fields.table > 255 ? 0 : fields.table);
  writer.u8(fields.protocol);
  writer.u8(fields.scope);
  writer.u8(fields.type);
  writer.u32(flags);
}

function writeGateway(writer: MessageWriter, family: number, gateway: Uint8Array | undefined): void {
  if (gateway === undefined) return;
  const gatewayFamily = gateway.length === 4 ? AF_INET : AF_INET6;
  if (gatewayFamily === family) {
    writer.attributeBytes(RTA.GATEWAY, gateway);
    return;
  }
  const at = writer.beginAttribute(RTA.VIA, false);
  writer.u16(gatewayFamily);
  writer.raw(gateway);
  writer.endAttribute(at);
}
