/** What tunnel devices of every kind have in common: one inner address, an MTU, and being up. */
import { type Address, addressBits, addressesEqual, formatAddress } from '../../src/net/address.ts';
import { writeAddressAddition, writeAddressDeletion } from '../netlink/address-message.ts';
import { writeLinkChange } from '../netlink/link-message.ts';
import { RT_SCOPE } from '../netlink/registry.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Link } from '../routes/link-table.ts';

/** EADDRNOTAVAIL, ENOENT, ENODEV: it is gone already. */
export const GONE = [99, 2, 19] as const;

/** A device as it should be. */
export interface TunnelSettings {
  readonly name: string;
  readonly mtu: number;
  /** 6 octets; absent: the device has none */
  readonly mac?: Uint8Array;
  /** the inner address of this end; stands on the device as /32 or /128, and no other does */
  readonly address: Address;
}

/** Writes what differs between `link`, as the kernel has it, and the settings. Throws a NetlinkError. */
export function settleTunnelLink(
  socket: NetlinkSocket,
  { name, mtu, mac, address }: TunnelSettings,
  ifindex: number,
  link: Link | undefined,
): void {
  const hasMac = mac === undefined || (link !== undefined && Buffer.compare(link.mac, mac) === 0);
  const change = {
    ...(link?.isUp === true ? {} : { up: true }),
    ...(link?.mtu === mtu ? {} : { mtu }),
    ...(hasMac ? {} : { mac }),
  };
  const length = addressBits(address.family);
  const isPlaced = link?.addresses.some(
    (own) => own.length === length && addressesEqual(own.address, address),
  );
  if (isPlaced !== true) {
    socket.request(`give ${name} the address ${formatAddress(address)}`, (writer) =>
      writeAddressAddition(writer, ifindex, { address, length }, RT_SCOPE.UNIVERSE),
    );
  }
  for (const own of link?.addresses ?? []) {
    if (own.scope !== RT_SCOPE.UNIVERSE || addressesEqual(own.address, address)) continue;
    socket.request(
      `take ${formatAddress(own.address)} from ${name}`,
      (writer) => writeAddressDeletion(writer, ifindex, own),
      GONE,
    );
  }
  if (Object.keys(change).length > 0)
    socket.request(`set up ${name}`, (writer) => writeLinkChange(writer, ifindex, change));
}
