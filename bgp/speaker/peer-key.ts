/** How peers are told apart: by address, a link-local one together with the interface that is its scope (RFC 4007 6). */
import { type Address, formatAddress, isLinkLocal, isUnspecified } from '../../src/net/address.ts';

/** Text that is equal for the same peer. An interface counts for link-local IPv6 addresses, and for :: alone. */
export function peerKey(address: Address, interfaceName: string | undefined): string {
  const text = formatAddress(address);
  return needsScope(address) && interfaceName !== undefined ? `${text}%${interfaceName}` : text;
}

/** Whether an address means nothing without an interface. :: is a neighbour on it that is not known yet. */
export function needsScope(address: Address): boolean {
  return address.family === 'ipv6' && (isLinkLocal(address) || isUnspecified(address));
}
