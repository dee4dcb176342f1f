/** What a neighbour is called in tables. */
import type { PeerView } from '../../api/views.ts';
import { isLinkLocal, parseAddress } from '../../net/address.ts';

/**
 * Its address; a link-local one with its interface, and the interface alone, as in FRR, while nobody is known there. A star in front, as in FRR
 * too, means that it came by itself.
 */
export function neighbourName({ address, dynamic, transport }: PeerView): string {
  const parsed = parseAddress(address);
  const { interface: device } = transport;
  const star = dynamic ? '*' : '';
  if (device === undefined || parsed === undefined) return star + address;
  if (parsed.bytes.every((octet) => octet === 0)) return star + device;
  return `${star}${address}${isLinkLocal(parsed) ? `%${device}` : ''}`;
}
