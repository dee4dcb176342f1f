/** ipset's netlink messages, as far as small changes need them (linux/netfilter/ipset/ip_set.h, protocol 6 and 7). */
import { addressBits, type Family, parseAddress } from '../../src/net/address.ts';
import { errnoName, type Verdict } from '../netlink/error-message.ts';
import { AttributeCursor, type MessageBody } from '../netlink/reader.ts';
import { AF_INET, AF_INET6, NLM_F } from '../netlink/registry.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import type { KernelTypeName, SetCommand } from './commands.ts';

const NFNL_SUBSYS_IPSET = 6;
const NFGENMSG_BYTES = 4;
const NLA_F_NET_BYTEORDER = 0x4000;

const IPSET_CMD = { PROTOCOL: 1, CREATE: 2, DESTROY: 3, ADD: 9, DEL: 10, TYPE: 13 } as const;
const IPSET_ATTR = {
  PROTOCOL: 1,
  SETNAME: 2,
  TYPENAME: 3,
  /** in answers about a type: the highest revision */
  REVISION: 4,
  FAMILY: 5,
  DATA: 7,
  PROTOCOL_MIN: 10,
} as const;
/** Attributes inside DATA. */
const IPSET_ATTR_DATA = {
  IP: 1,
  CIDR: 3,
  PORT: 4,
  PROTO: 7,
  CADT_FLAGS: 8,
  LINENO: 9,
  MAXELEM: 19,
  IFACE: 23,
} as const;
const IPSET_ATTR_IPADDR = { ipv4: 1, ipv6: 2 } as const;
const IPSET_FLAG_PHYSDEV = Uint8Array.of(0, 0, 0, 2);

const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132, udplite: 136 };

/** The protocol that we speak best; kernels before 4.20 know 6 only. */
export const IPSET_PROTOCOL = 7;

/** Changes that are sent by netlink. */
export type SmallSetCommand = Exclude<SetCommand, { readonly verb: 'flush' | 'swap' }>;

/** What is known of the kernel when a message is written. */
export interface IpsetDialect {
  readonly protocol: number;
  /** revision to ask for in new sets of a type */
  readonly revisionOf: (type: KernelTypeName, family: Family) => number;
}

/** Asks which protocol the kernel speaks. */
export function writeProtocolQuery(writer: MessageWriter): void {
  begin(writer, IPSET_CMD.PROTOCOL, 0, IPSET_PROTOCOL);
  writer.end();
}

/** The protocol to speak, from the answer; undefined when the kernel speaks none of ours. */
export function decodeProtocol(body: MessageBody): number | undefined {
  let highest = 0;
  let lowest: number | undefined;
  eachAttribute(body, (attribute) => {
    if (attribute.type === IPSET_ATTR.PROTOCOL) highest = attribute.u8();
    else if (attribute.type === IPSET_ATTR.PROTOCOL_MIN) lowest = attribute.u8();
  });
  return (lowest ?? highest) <= IPSET_PROTOCOL && highest >= 6
    ? Math.min(highest, IPSET_PROTOCOL)
    : undefined;
}

/** Asks which revisions of a set type the kernel has. */
export function writeTypeQuery(
  writer: MessageWriter,
  protocol: number,
  type: KernelTypeName,
  family: Family,
): void {
  begin(writer, IPSET_CMD.TYPE, 0, protocol);
  writer.attributeString(IPSET_ATTR.TYPENAME, type);
  writer.attributeU8(IPSET_ATTR.FAMILY, familyNumber(family));
  writer.end();
}

/** The highest revision, from the answer. */
export function decodeTypeRevision(body: MessageBody): number {
  let revision = 0;
  eachAttribute(body, (attribute) => {
    if (attribute.type === IPSET_ATTR.REVISION) revision = attribute.u8();
  });
  return revision;
}

/** Writes one command as a message. Returns false, and writes nothing, when the entry cannot be understood. */
export function writeSetCommand(
  writer: MessageWriter,
  command: SmallSetCommand,
  isLenient: boolean,
  dialect: IpsetDialect,
): boolean {
  const { protocol } = dialect;
  const exclusive = isLenient ? 0 : NLM_F.EXCL;
  switch (command.verb) {
    case 'create': {
      begin(writer, IPSET_CMD.CREATE, NLM_F.CREATE | exclusive, protocol, command.set);
      writer.attributeString(IPSET_ATTR.TYPENAME, command.type);
      writer.attributeU8(IPSET_ATTR.REVISION, dialect.revisionOf(command.type, command.family));
      writer.attributeU8(IPSET_ATTR.FAMILY, familyNumber(command.family));
      const data = writer.beginAttribute(IPSET_ATTR.DATA);
      writer.attributeBytes(IPSET_ATTR_DATA.MAXELEM | NLA_F_NET_BYTEORDER, bigEndian(command.maxElem));
      writer.endAttribute(data);
      break;
    }
    case 'destroy':
      begin(writer, IPSET_CMD.DESTROY, exclusive, protocol, command.set);
      break;
    case 'add':
    case 'del': {
      const entry = parseEntry(command.entry);
      if (entry === undefined) return false;
      const code = command.verb === 'add' ? IPSET_CMD.ADD : IPSET_CMD.DEL;
      begin(writer, code, exclusive, protocol, command.set);
      writeEntry(writer, entry);
      break;
    }
  }
  writer.end();
  return true;
}

/** The kernel's refusal in words. */
export function refusalText({ errno, text }: Verdict): string {
  const words = ERROR_WORDS[errno] ?? errnoName(errno);
  return text === '' ? words : `${words} (${text})`;
}

/** Errors of ipset's own begin at 4096, those of its hash types at 4352. */
const ERROR_WORDS: Readonly<Record<number, string>> = {
  2: 'the set does not exist',
  17: 'a set of this name exists already',
  4097: 'the kernel speaks another ipset protocol',
  4098: 'the kernel lacks this set type',
  4099: 'the kernel can hold no more sets',
  4100: 'the set is in use by a rule or another set',
  4103: 'the entry is there already, or is not there',
  4104: 'a prefix length out of range',
  4106: 'the set is of the other address family',
  4109: 'an IPv4 address is missing',
  4110: 'an IPv6 address is missing',
  4352: 'the set is full',
  4353: 'the set cannot hold this entry',
  4354: 'a protocol that the set cannot hold',
  4355: 'the protocol is missing',
};

interface Entry {
  readonly family: Family;
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly rest:
    | { readonly kind: 'none' }
    | { readonly kind: 'port'; readonly protocol: number; readonly port: number }
    | { readonly kind: 'link'; readonly name: string; readonly isBridgePort: boolean };
}

/** Reads `NET`, `ADDRESS,PROTOCOL:PORT`, `NET,LINK` and `NET,physdev:LINK`. */
function parseEntry(text: string): Entry | undefined {
  const [net = '', rest] = splitOnce(text, ',');
  const [addressText, lengthText] = splitOnce(net, '/');
  const address = parseAddress(addressText);
  if (address === undefined) return undefined;
  const { family, bytes } = address;
  const bits = addressBits(family);
  const length = lengthText === undefined ? bits : decimal(lengthText, bits);
  if (length === undefined) return undefined;
  if (rest === undefined) return { family, bytes, length, rest: { kind: 'none' } };
  const [before, portText] = splitOnce(rest, ':');
  if (portText === undefined) {
    return { family, bytes, length, rest: { kind: 'link', name: rest, isBridgePort: false } };
  }
  if (before === 'physdev') {
    return { family, bytes, length, rest: { kind: 'link', name: portText, isBridgePort: true } };
  }
  const protocol = PROTOCOL_NUMBERS[before] ?? decimal(before, 255);
  const port = decimal(portText, 65_535);
  if (protocol === undefined || port === undefined) return undefined;
  return { family, bytes, length, rest: { kind: 'port', protocol, port } };
}

function writeEntry(writer: MessageWriter, { family, bytes, length, rest }: Entry): void {
  const data = writer.beginAttribute(IPSET_ATTR.DATA);
  const ip = writer.beginAttribute(IPSET_ATTR_DATA.IP);
  writer.attributeBytes(IPSET_ATTR_IPADDR[family] | NLA_F_NET_BYTEORDER, bytes);
  writer.endAttribute(ip);
  if (length < addressBits(family)) writer.attributeU8(IPSET_ATTR_DATA.CIDR, length);
  if (rest.kind === 'port') {
    writer.attributeBytes(
      IPSET_ATTR_DATA.PORT | NLA_F_NET_BYTEORDER,
      Uint8Array.of(rest.port >> 8, rest.port & 255),
    );
    writer.attributeU8(IPSET_ATTR_DATA.PROTO, rest.protocol);
  } else if (rest.kind === 'link') {
    writer.attributeString(IPSET_ATTR_DATA.IFACE, rest.name);
    if (rest.isBridgePort) {
      writer.attributeBytes(IPSET_ATTR_DATA.CADT_FLAGS | NLA_F_NET_BYTEORDER, IPSET_FLAG_PHYSDEV);
    }
  }
  writer.attributeBytes(IPSET_ATTR_DATA.LINENO | NLA_F_NET_BYTEORDER, bigEndian(0));
  writer.endAttribute(data);
}

function begin(writer: MessageWriter, command: number, flags: number, protocol: number, set?: string): void {
  writer.begin((NFNL_SUBSYS_IPSET << 8) | command, flags);
  writer.u8(AF_INET); // struct nfgenmsg, the same for both families
  writer.u8(0);
  writer.u16(0);
  writer.attributeU8(IPSET_ATTR.PROTOCOL, protocol);
  if (set !== undefined) writer.attributeString(IPSET_ATTR.SETNAME, set);
}

function eachAttribute(body: MessageBody, visit: (attribute: AttributeCursor) => void): void {
  const cursor = new AttributeCursor();
  cursor.reset(body.bytes, body.view, body.bodyStart + NFGENMSG_BYTES, body.bodyEnd);
  while (cursor.next()) visit(cursor);
}

function familyNumber(family: Family): number {
  return family === 'ipv4' ? AF_INET : AF_INET6;
}

function bigEndian(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function decimal(text: string, max: number): number | undefined {
  const value = Number(text);
  return /^\d{1,5}$/.test(text) && value <= max ? value : undefined;
}
