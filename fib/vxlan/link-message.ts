/** IFLA_INFO_DATA of a VXLAN device (linux/if_link.h): making one, and reading what one is. Ports are big-endian, the rest is not. */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { beginLinkCreation } from '../netlink/link-message.ts';
import { AttributeCursor, type MessageBody } from '../netlink/reader.ts';
import { IFLA, IFLA_INFO } from '../netlink/registry.ts';
import type { MessageWriter } from '../netlink/writer.ts';

const IFINFOMSG_BYTES = 16;
const IFLA_VXLAN = { ID: 1, LOCAL: 4, LEARNING: 7, PORT: 15, LOCAL6: 17 } as const;

/** What cannot be changed on a VXLAN device once it is made. */
export interface VxlanTunnel {
  /** VXLAN network identifier, 24 bits */
  readonly vni: number;
  /** UDP port, 1..65535 */
  readonly port: number;
  /** source of the outer packets; its family is that of the tunnel */
  readonly local: Address;
}

/** A VXLAN device as the kernel has it. */
export interface VxlanLink {
  readonly ifindex: number;
  /** of the device, whatever its kind */
  readonly kind: string;
  /** absent when the device is none of VXLAN, or has no source address */
  readonly tunnel?: VxlanTunnel;
  /** whether it learns where MAC addresses are from what it receives */
  readonly isLearning: boolean;
}

const attributes = new AttributeCursor();
const info = new AttributeCursor();
const data = new AttributeCursor();

/** Writes the RTM_NEWLINK that makes a VXLAN device which is down and learns nothing. EEXIST when name or VNI and port are taken. */
export function writeVxlanCreation(
  writer: MessageWriter,
  name: string,
  tunnel: VxlanTunnel,
  mac: Uint8Array,
  mtu: number,
): void {
  beginLinkCreation(writer);
  writer.attributeString(IFLA.IFNAME, name);
  writer.attributeBytes(IFLA.ADDRESS, mac);
  writer.attributeU32(IFLA.MTU, mtu);
  const linkInfo = writer.beginAttribute(IFLA.LINKINFO);
  writer.attributeString(IFLA_INFO.KIND, 'vxlan');
  const details = writer.beginAttribute(IFLA_INFO.DATA);
  writer.attributeU32(IFLA_VXLAN.ID, tunnel.vni);
  const isIpv4 = tunnel.local.family === 'ipv4';
  writer.attributeBytes(isIpv4 ? IFLA_VXLAN.LOCAL : IFLA_VXLAN.LOCAL6, tunnel.local.bytes);
  writer.attributeU8(IFLA_VXLAN.LEARNING, 0);
  writer.attributeBytes(IFLA_VXLAN.PORT, new Uint8Array([tunnel.port >>> 8, tunnel.port & 0xff]));
  writer.endAttribute(details);
  writer.endAttribute(linkInfo);
  writer.end();
}

/** Decodes an RTM_NEWLINK as far as VXLAN goes. Undefined when it is malformed. */
export function decodeVxlanLink(message: MessageBody): VxlanLink | undefined {
  const at = message.bodyStart;
  if (at + IFINFOMSG_BYTES > message.bodyEnd) return undefined;
  const ifindex = message.view.getInt32(at + 4, true);
  let kind = '';
  let vni = 0;
  let port = 0;
  let local: Address | undefined;
  let isLearning = false;
  attributes.reset(message.bytes, message.view, at + IFINFOMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type !== IFLA.LINKINFO) continue;
    info.enter(attributes);
    while (info.next()) {
      if (info.type === IFLA_INFO.KIND) kind = info.text();
      if (info.type !== IFLA_INFO.DATA || kind !== 'vxlan') continue;
      data.enter(info);
      while (data.next()) {
        if (data.type === IFLA_VXLAN.ID) vni = data.u32();
        else if (data.type === IFLA_VXLAN.LEARNING) isLearning = data.u8() !== 0;
        else if (data.type === IFLA_VXLAN.PORT && data.length === 2) {
          port = data.view.getUint16(data.start);
        } else if (
          (data.type === IFLA_VXLAN.LOCAL && data.length === 4) ||
          (data.type === IFLA_VXLAN.LOCAL6 && data.length === 16)
        ) {
          local = addressFromBytes(data.copy());
        }
      }
    }
  }
  return { ifindex, kind, isLearning, ...(local === undefined ? {} : { tunnel: { vni, port, local } }) };
}
