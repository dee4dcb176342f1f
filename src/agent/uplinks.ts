/** Which links carry this host's traffic to its peers, and what follows for containers: MTU and forwarding. Pure. */
import type { Link } from '../../fib/routes/link-table.ts';
import { type Address, addressesEqual } from '../net/address.ts';
import { prefixContainsAddress, prefixOf } from '../net/prefix.ts';

/** IPv6 needs it (RFC 8200 5); an MTU below breaks containers in ways nobody understands. */
const MIN_MTU = 1280;
/** While no uplink is known. */
const DEFAULT_MTU = 1500;
/** RT_SCOPE_UNIVERSE */
const GLOBAL_SCOPE = 0;
/** What a veth takes. */
const MAX_MTU = 65535;

/** The links that hold a node address or the subnet of a peer, and those of these names, by index. Container links and loopback are none. */
export function uplinks(
  links: readonly Link[],
  nodeAddresses: readonly Address[],
  peers: readonly Address[],
  linkPrefix: string,
  names: readonly string[] = [],
): Link[] {
  return links.filter((link) => {
    if (link.isLoopback || link.name.startsWith(linkPrefix)) return false;
    if (names.includes(link.name)) return true;
    return link.addresses.some(
      ({ address, length }) =>
        nodeAddresses.some((own) => addressesEqual(own, address)) ||
        peers.some((peer) => prefixContainsAddress(prefixOf(address, length), peer)),
    );
  });
}

/**
 * The links that must forward IPv4: the uplinks, and with address translation every link with a global address, since published ports
 * are reached, and replies to masqueraded connections come in, over any of them.
 */
export function forwardingLinks(
  links: readonly Link[],
  carriers: readonly Link[],
  translates: boolean,
  linkPrefix: string,
): Link[] {
  if (!translates) return [...carriers];
  return links.filter((link) => {
    if (carriers.includes(link)) return true;
    if (link.isLoopback || link.name.startsWith(linkPrefix) || !link.isUp) return false;
    return link.addresses.some(({ address, scope }) => address.family === 'ipv4' && scope === GLOBAL_SCOPE);
  });
}

/** The MTU of the links that carry packets to other hosts: the lowest of the uplinks. */
export function uplinkMtu(carriers: readonly Link[]): number {
  if (carriers.length === 0) return DEFAULT_MTU;
  return Math.min(...carriers.map(({ mtu }) => mtu));
}

/** The MTU of containers' links: that of the uplinks without the octets that encapsulation adds to a packet. */
export function endpointMtu(carriers: readonly Link[], overhead = 0): number {
  return Math.min(MAX_MTU, Math.max(MIN_MTU, uplinkMtu(carriers) - overhead));
}
