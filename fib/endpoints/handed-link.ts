/**
 * Endpoints whose container end another program moves: Docker's engine takes an interface out of the host's namespace into the container's,
 * renames it there and gives it the addresses and routes that it was told. Until then the end waits here, down, under a name of its own.
 * The engine does so once in an interface's life: one that is lost later is made anew in the container's namespace, by us.
 */
import { decodeLink, type LinkMessage, writeLinkDump } from '../netlink/link-message.ts';
import { writePermanentNeighbour } from '../netlink/neighbour-message.ts';
import { IFF } from '../netlink/registry.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { type EndpointSpec, familiesOf, GATEWAYS, HOST_MAC, hostLinkName } from './plan.ts';
import { lackingAddresses } from './verify.ts';

/** Between prefix and hash of the waiting end: no hex digit, so it never equals a host end's name. */
const WAITING_MARK = 't';

/** The name under which a container end waits to be taken: 15 characters with the default prefix. Throws a RangeError for a longer prefix. */
export function waitingLinkName(id: string, prefix: string): string {
  return hostLinkName(id, `${prefix}${WAITING_MARK}`);
}

/** The container end where the other program put it, under whatever name; undefined: it is not there. Throws a NetlinkError. */
export function findHandedEnd(inside: NetlinkSocket, hostIfindex: number): LinkMessage | undefined {
  return inside
    .dumpList('list the interfaces', writeLinkDump, decodeLink)
    .find(({ kind, peerIfindex }) => kind === 'veth' && peerIfindex === hostIfindex);
}

/**
 * The container end where the other program put it, by its hardware address: for one whose host end cannot be asked. Undefined: it is not there.
 * Throws a NetlinkError.
 */
export function findHandedEndByMac(inside: NetlinkSocket, mac: Uint8Array): LinkMessage | undefined {
  return inside
    .dumpList('list the interfaces', writeLinkDump, decodeLink)
    .find(({ kind, address }) => kind === 'veth' && Buffer.compare(address, mac) === 0);
}

/** The name that Docker's engine gives the next interface of a container: `eth` and the first free number. Throws a NetlinkError. */
export function nextInterfaceName(inside: NetlinkSocket): string {
  const names = new Set(
    inside.dumpList('list the interfaces', writeLinkDump, decodeLink).map(({ name }) => name),
  );
  let number = 0;
  while (names.has(`eth${number}`)) number++;
  return `eth${number}`;
}

/**
 * Whether the other program has done its part: the end is up and has its addresses. Then the end gets the permanent neighbour entries of
 * its gateways too, so that nothing depends on proxy ARP. Throws a NetlinkError.
 */
export function finishHandedEnd(inside: NetlinkSocket, end: LinkMessage, spec: EndpointSpec): boolean {
  if ((end.flags & IFF.UP) === 0 || lackingAddresses(spec, inside, end).length > 0) return false;
  for (const family of familiesOf(spec)) {
    inside.request(`add the gateway's neighbour entry`, (writer) => {
      writePermanentNeighbour(writer, end.ifindex, GATEWAYS[family], HOST_MAC);
    });
  }
  return true;
}
