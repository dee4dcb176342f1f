/** IFLA_INFO_DATA of an IPIP device (linux/if_tunnel.h, RFC 2003): making one, and reading what one is. Addresses are big-endian. */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { beginLinkCreation } from '../netlink/link-message.ts';
import { AttributeCursor, type MessageBody } from '../netlink/reader.ts';
import { IFLA, IFLA_INFO } from '../netlink/registry.ts';
import type { MessageWriter } from '../netlink/writer.ts';

const IFINFOMSG_BYTES = 16;
const IFLA_IPTUN = { LOCAL: 2, REMOTE: 3, TTL: 4, PMTUDISC: 10 } as const;
/** Of the outer packets: not the inner one's, so that `traceroute` in a container ends at no router in between. */
const OUTER_TTL = 64;
export const IPIP_KIND = 'ipip';

/** An IPIP device as the kernel has it. */
export interface IpipLink {
  readonly ifindex: number;
  /** of the device, whatever its kind */
  readonly kind: string;
  /** source of the outer packets; absent: any */
  readonly local?: Address;
  /** absent: the gateway of each packet's route */
  readonly remote?: Address;
}

const attributes = new AttributeCursor();
const info = new AttributeCursor();
const data = new AttributeCursor();

/**
 * Writes the RTM_NEWLINK that makes an IPIP device which is down and has no remote end: each packet goes to the gateway of its route. It has
 * a source address, so that it can stand beside the kernel's own `tunl0`. EEXIST when the name, or a device with this source, is there.
 */
export function writeIpipCreation(writer: MessageWriter, name: string, local: Address, mtu: number): void {
  beginLinkCreation(writer);
  writer.attributeU32(IFLA.MTU, mtu);
  writer.attributeString(IFLA.IFNAME, name);
  const linkInfo = writer.beginAttribute(IFLA.LINKINFO);
  writer.attributeString(IFLA_INFO.KIND, IPIP_KIND);
  const details = writer.beginAttribute(IFLA_INFO.DATA);
  writer.attributeBytes(IFLA_IPTUN.LOCAL, local.bytes);
  writer.attributeU8(IFLA_IPTUN.PMTUDISC, 1);
  writer.attributeU8(IFLA_IPTUN.TTL, OUTER_TTL);
  writer.endAttribute(details);
  writer.endAttribute(linkInfo);
  writer.end();
}

/**
 * Writes an RTM_NEWLINK that can never make anything: its source address has one octet. A kernel that knows the kind finds that fault
 * (ERANGE or EINVAL); one that does not never looks at it (EOPNOTSUPP). `kind`: of the device.
 */
export function writeKindProbe(writer: MessageWriter, kind: string): void {
  beginLinkCreation(writer);
  const linkInfo = writer.beginAttribute(IFLA.LINKINFO);
  writer.attributeString(IFLA_INFO.KIND, kind);
  const details = writer.beginAttribute(IFLA_INFO.DATA);
  writer.attributeU8(IFLA_IPTUN.LOCAL, 0);
  writer.endAttribute(details);
  writer.endAttribute(linkInfo);
  writer.end();
}

/** Decodes an RTM_NEWLINK as far as IPIP goes. Undefined when it is malformed. */
export function decodeIpipLink(message: MessageBody): IpipLink | undefined {
  const at = message.bodyStart;
  if (at + IFINFOMSG_BYTES > message.bodyEnd) return undefined;
  const ifindex = message.view.getInt32(at + 4, true);
  let kind = '';
  let local: Address | undefined;
  let remote: Address | undefined;
  attributes.reset(message.bytes, message.view, at + IFINFOMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type !== IFLA.LINKINFO) continue;
    info.enter(attributes);
    while (info.next()) {
      if (info.type === IFLA_INFO.KIND) kind = info.text();
      if (info.type !== IFLA_INFO.DATA || kind !== IPIP_KIND) continue;
      data.enter(info);
      while (data.next()) {
        if (data.length !== 4) continue;
        // 0.0.0.0 stands for any.
        const address = data.u32() === 0 ? undefined : addressFromBytes(data.copy());
        if (data.type === IFLA_IPTUN.LOCAL) local = address;
        else if (data.type === IFLA_IPTUN.REMOTE) remote = address;
      }
    }
  }
  return {
    ifindex,
    kind,
    ...(local === undefined ? {} : { local }),
    ...(remote === undefined ? {} : { remote }),
  };
}
