/** The addresses of a container's end, and the host's entries that say where they are. Both repair: what is there and right stays. */
import { type Address, addressBits, addressesEqual, formatAddress } from '../../src/net/address.ts';
import {
  type AddressMessage,
  decodeAddress,
  writeAddressAddition,
  writeAddressDeletion,
  writeAddressDump,
} from '../netlink/address-message.ts';
import {
  decodeNeighbour,
  writeNeighbourDeletion,
  writeNeighbourDump,
  writePermanentNeighbour,
} from '../netlink/neighbour-message.ts';
import { AF_INET, AF_INET6, NUD, RT_SCOPE } from '../netlink/registry.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';

const ENOENT = 2;

/** Gives an interface these addresses as /32 and /128, and takes others of that length away. Throws a NetlinkError. */
export function setAddresses(inside: NetlinkSocket, ifindex: number, addresses: readonly Address[]): void {
  const present = inside
    .dumpList('read the addresses', writeAddressDump, decodeAddress)
    .filter((each) => each.ifindex === ifindex && each.scope === RT_SCOPE.UNIVERSE && isHostAddress(each));
  for (const address of addresses) {
    if (present.some((each) => addressesEqual(each.address, address))) continue;
    const value = { address, length: addressBits(address.family) };
    inside.request(`add ${formatAddress(address)}`, (writer) => {
      writeAddressAddition(writer, ifindex, value, RT_SCOPE.UNIVERSE);
    });
  }
  // Of an earlier attachment with other addresses.
  for (const stale of present) {
    if (addresses.some((address) => addressesEqual(address, stale.address))) continue;
    inside.request(`remove ${formatAddress(stale.address)}`, (writer) =>
      writeAddressDeletion(writer, ifindex, stale),
    );
  }
}

/** Gives a host end permanent neighbour entries for these addresses, and takes others away. Throws a NetlinkError. */
export function setNeighbours(
  host: NetlinkSocket,
  hostIfindex: number,
  addresses: readonly Address[],
  mac: Uint8Array,
): void {
  for (const address of addresses) {
    host.request(`add the neighbour entry of ${formatAddress(address)}`, (writer) => {
      writePermanentNeighbour(writer, hostIfindex, address, mac);
    });
  }
  for (const family of [AF_INET, AF_INET6]) {
    const entries = host.dumpList(
      'read the neighbour entries',
      (writer) => writeNeighbourDump(writer, family, hostIfindex),
      decodeNeighbour,
    );
    for (const { ifindex, address, state } of entries) {
      const isOurs = ifindex === hostIfindex && (state & NUD.PERMANENT) !== 0;
      if (!isOurs || addresses.some((each) => addressesEqual(each, address))) continue;
      host.request(
        `remove the neighbour entry of ${formatAddress(address)}`,
        (writer) => writeNeighbourDeletion(writer, hostIfindex, address),
        [ENOENT],
      );
    }
  }
}

function isHostAddress(message: AddressMessage): boolean {
  return message.length === addressBits(message.address.family);
}
