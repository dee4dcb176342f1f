/** What this host knows of the interface under a session: for next hops (RFC 4271 5.1.3, RFC 2545 3). */
import { networkInterfaces } from 'node:os';
import { type Address, addressesEqual, isLinkLocal } from '../../src/net/address.ts';
import {
  type InterfaceAddress,
  type Prefix,
  parseInterfaceAddress,
  prefixContainsAddress,
  prefixOf,
} from '../../src/net/prefix.ts';

/** Our addresses on the interface of a session, and whether the peer is on one of its subnets. */
export interface SessionAddresses {
  readonly ipv4?: Address;
  /** global */
  readonly ipv6?: Address;
  readonly linkLocal?: Address;
  readonly peerConnected: boolean;
  /** the subnets of the interface, empty unless `peerConnected` */
  readonly connectedSubnets: readonly Prefix[];
}

/**
 * Looks up the interface that has `local`. The session's own address always stands for its family; of the other family it is the first
 * address of the same interface. A link-local address is on several interfaces at once: then the name says which.
 */
export function sessionAddresses(local: Address, peer: Address, interfaceName?: string): SessionAddresses {
  const all = interfaceOf(local, interfaceName);
  const subnets = all.map(({ address, length }) => prefixOf(address, length));
  const peerConnected = subnets.some((subnet) => prefixContainsAddress(subnet, peer));
  const first = (wanted: (address: Address) => boolean): Address | undefined =>
    all.find(({ address }) => wanted(address))?.address;
  const ipv4 = local.family === 'ipv4' ? local : first((address) => address.family === 'ipv4');
  const linkLocal = first((address) => address.family === 'ipv6' && isLinkLocal(address));
  const ipv6 =
    local.family === 'ipv6' && !isLinkLocal(local)
      ? local
      : first((address) => address.family === 'ipv6' && !isLinkLocal(address));
  return {
    ...(ipv4 && { ipv4 }),
    ...(ipv6 && { ipv6 }),
    ...(linkLocal && { linkLocal }),
    peerConnected,
    connectedSubnets: peerConnected ? subnets : [],
  };
}

function interfaceOf(local: Address, wanted: string | undefined): readonly InterfaceAddress[] {
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    if (wanted !== undefined && name !== wanted) continue;
    const addresses: InterfaceAddress[] = [];
    for (const { cidr } of entries ?? []) {
      const parsed = cidr === null ? undefined : parseInterfaceAddress(cidr);
      if (parsed !== undefined) addresses.push(parsed);
    }
    if (addresses.some(({ address }) => addressesEqual(address, local))) return addresses;
  }
  return [];
}
