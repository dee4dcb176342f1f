/** Compares one container's attachment with what is to be, without changing anything: what a CHECK answers with. */
import { addressBits, addressesEqual, FAMILIES, formatAddress } from '../../src/net/address.ts';
import { decodeAddress, writeAddressDump } from '../netlink/address-message.ts';
import type { LinkMessage } from '../netlink/link-message.ts';
import { decodeNeighbour, writeNeighbourDump } from '../netlink/neighbour-message.ts';
import { AF_INET, AF_INET6, IFF, NUD } from '../netlink/registry.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { isSendingLimited } from './bandwidth.ts';
import { missingContainerRoutes } from './container-routes.ts';
import { findLink } from './link.ts';
import { type EndpointSpec, GATEWAYS, HOST_MAC } from './plan.ts';

/** What the attachment lacks, in words; empty: nothing. Throws a NetlinkError when a side cannot be read. */
export function lackingOf(
  spec: EndpointSpec,
  hostIfname: string,
  host: NetlinkSocket,
  inside: NetlinkSocket,
): string[] {
  const ifname = spec.containerIfname ?? 'eth0';
  const outer = findLink(host, hostIfname);
  const inner = findLink(inside, ifname);
  if (outer === undefined) return [`the host has no interface ${hostIfname}`];
  if (inner === undefined) return [`${spec.netns} has no interface ${ifname}`];
  if (inner.peerIfindex !== outer.ifindex || outer.peerIfindex !== inner.ifindex) {
    return [`${ifname} in ${spec.netns} is not the other end of ${hostIfname}`];
  }
  const lacking: string[] = [];
  for (const [link, where] of [
    [outer, 'on the host'],
    [inner, 'in the container'],
  ] as const) {
    if ((link.flags & IFF.UP) === 0) lacking.push(`${link.name} ${where} is down`);
    if (link.mtu !== spec.mtu)
      lacking.push(`${link.name} ${where} has MTU ${link.mtu} instead of ${spec.mtu}`);
  }
  const mac = spec.mac ?? inner.address;
  if (Buffer.compare(inner.address, mac) !== 0) {
    lacking.push(`${ifname} has the MAC ${macText(inner.address)} instead of ${macText(mac)}`);
  }
  lacking.push(...lackingAddresses(spec, inside, inner));
  for (const family of FAMILIES) {
    const own = spec.addresses.filter((address) => address.family === family);
    if (own.length === 0) continue;
    if (!hasNeighbour(inside, inner.ifindex, GATEWAYS[family], HOST_MAC))
      lacking.push(`the container's neighbour entry of ${formatAddress(GATEWAYS[family])} is missing`);
    for (const address of own) {
      if (!hasNeighbour(host, outer.ifindex, address, mac))
        lacking.push(`the host's neighbour entry of ${formatAddress(address)} is missing`);
    }
    lacking.push(...missingContainerRoutes(inside, family, inner.ifindex, own));
  }
  const { ingress, egress } = spec.bandwidth ?? {};
  if (ingress !== undefined && !isSendingLimited(host, outer.ifindex, ingress)) {
    lacking.push('the limit of what it receives is missing');
  }
  if (egress !== undefined && !isSendingLimited(inside, inner.ifindex, egress)) {
    lacking.push('the limit of what it sends is missing');
  }
  return lacking;
}

/** Which addresses an interface lacks, in words. Throws a NetlinkError. */
export function lackingAddresses(spec: EndpointSpec, inside: NetlinkSocket, inner: LinkMessage): string[] {
  const present = inside
    .dumpList('read the addresses', writeAddressDump, decodeAddress)
    .filter(({ ifindex }) => ifindex === inner.ifindex);
  return spec.addresses.flatMap((address) =>
    present.some(
      (each) => each.length === addressBits(address.family) && addressesEqual(each.address, address),
    )
      ? []
      : [`${inner.name} has not the address ${formatAddress(address)}`],
  );
}

function hasNeighbour(
  socket: NetlinkSocket,
  ifindex: number,
  address: EndpointSpec['addresses'][number],
  mac: Uint8Array,
): boolean {
  const family = address.family === 'ipv4' ? AF_INET : AF_INET6;
  return socket
    .dumpList(
      'read the neighbour entries',
      (writer) => writeNeighbourDump(writer, family, ifindex),
      decodeNeighbour,
    )
    .some(
      (entry) =>
        entry.ifindex === ifindex &&
        (entry.state & NUD.PERMANENT) !== 0 &&
        addressesEqual(entry.address, address) &&
        Buffer.compare(entry.mac, mac) === 0,
    );
}

function macText(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}
