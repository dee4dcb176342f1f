/** RTM_*ADDR: addresses of interfaces. */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import type { InterfaceAddress } from '../../src/net/prefix.ts';
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, IFA, IFA_F, NLM_F, RT_SCOPE, RTM } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const IFADDRMSG_BYTES = 8;

/** An address of an interface as the kernel describes it. */
export interface AddressMessage {
  readonly ifindex: number;
  /** the interface's own address */
  readonly address: Address;
  /** prefix length of its subnet */
  readonly length: number;
  /** the other end of a point-to-point interface */
  readonly peer?: Address;
  /** IFA_F_* */
  readonly flags: number;
  /** RT_SCOPE_* */
  readonly scope: number;
}

const attributes = new AttributeCursor();

/** Decodes an RTM_NEWADDR or RTM_DELADDR. Undefined when it is malformed or of another family. */
export function decodeAddress(message: MessageBody): AddressMessage | undefined {
  const at = message.bodyStart;
  if (at + IFADDRMSG_BYTES > message.bodyEnd) return undefined;
  const { bytes, view } = message;
  const family = bytes[at];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const octets = family === AF_INET ? 4 : 16;
  let flags = bytes[at + 2] ?? 0;
  let local: Uint8Array | undefined;
  let remote: Uint8Array | undefined;
  attributes.reset(bytes, view, at + IFADDRMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === IFA.LOCAL && attributes.length === octets) local = attributes.copy();
    else if (attributes.type === IFA.ADDRESS && attributes.length === octets) remote = attributes.copy();
    else if (attributes.type === IFA.FLAGS) flags = attributes.u32();
  }
  const own = local ?? remote;
  if (own === undefined) return undefined;
  const decoded = {
    ifindex: view.getUint32(at + 4, true),
    address: addressFromBytes(own),
    length: bytes[at + 1] ?? 0,
    flags,
    scope: bytes[at + 3] ?? 0,
  };
  const isPeer = local !== undefined && remote?.some((octet, index) => octet !== local[index]);
  return isPeer && remote !== undefined ? { ...decoded, peer: addressFromBytes(remote) } : decoded;
}

/** Writes the RTM_GETADDR of a dump. */
export function writeAddressDump(writer: MessageWriter): void {
  writer.begin(RTM.GETADDR, 0);
  writeHeader(writer, AF_UNSPEC, 0, 0, 0, 0);
  writer.end();
}

/** Writes the RTM_NEWADDR that adds an address without duplicate address detection, or changes it if it is there. */
export function writeAddressAddition(
  writer: MessageWriter,
  ifindex: number,
  value: InterfaceAddress,
  scope: number,
): void {
  writer.begin(RTM.NEWADDR, NLM_F.CREATE | NLM_F.REPLACE);
  writeBody(
    writer,
    ifindex,
    value,
    value.address.family === 'ipv6' ? IFA_F.NODAD | IFA_F.PERMANENT : IFA_F.PERMANENT,
    scope,
  );
  writer.end();
}

/** Writes the RTM_DELADDR of an address. */
export function writeAddressDeletion(writer: MessageWriter, ifindex: number, value: InterfaceAddress): void {
  writer.begin(RTM.DELADDR, 0);
  writeBody(writer, ifindex, value, 0, RT_SCOPE.UNIVERSE);
  writer.end();
}

function writeBody(
  writer: MessageWriter,
  ifindex: number,
  value: InterfaceAddress,
  flags: number,
  scope: number,
): void {
  const family = value.address.family === 'ipv4' ? AF_INET : AF_INET6;
  writeHeader(writer, family, value.length, flags, scope, ifindex);
  writer.attributeBytes(IFA.LOCAL, value.address.bytes);
  writer.attributeBytes(IFA.ADDRESS, value.address.bytes);
}

function writeHeader(
  writer: MessageWriter,
  family: number,
  length: number,
  flags: number,
  scope: number,
  ifindex: number,
): void {
  writer.u8(family);
  writer.u8(length);
  writer.u8(flags);
  writer.u8(scope);
  writer.u32(ifindex);
}
