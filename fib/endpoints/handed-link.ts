/**
 * Endpoints whose container end another program moves: Docker's engine takes an interface out of the host's namespace into the container's,
 * renames it there and gives it the addresses and routes that it was told. Until then the end waits here, down, under a name of its own.
 */
import { closeSync, openSync } from 'node:fs';
import { decodeLink, type LinkMessage, writeLinkDump, writeVethCreation } from '../netlink/link-message.ts';
import { writePermanentNeighbour } from '../netlink/neighbour-message.ts';
import { IFF } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { containerMac, type EndpointSpec, GATEWAYS, HOST_MAC, hostLinkName } from './plan.ts';

/** Between prefix and hash of the waiting end: no hex digit, so it never equals a host end's name. */
const WAITING_MARK = 't';
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

/** The name under which a container end waits to be taken: 15 characters with the default prefix. Throws a RangeError for a longer prefix. */
export function waitingLinkName(id: string, prefix: string): string {
  return hostLinkName(id, `${prefix}${WAITING_MARK}`);
}

/** Makes the pair with both ends in the host's namespace, down. Throws a NetlinkError. */
export function createWaitingPair(
  socket: NetlinkSocket,
  spec: EndpointSpec,
  hostIfname: string,
  prefix: string,
  netns: string | undefined,
): void {
  const name = waitingLinkName(spec.id, prefix);
  const netnsFd = openSync(netns ?? OWN_NAMESPACE, 'r');
  try {
    socket.request(`make the pair ${hostIfname} - ${name}`, (writer) => {
      writeVethCreation(
        writer,
        { name: hostIfname, mac: HOST_MAC, mtu: spec.mtu },
        { name, mac: spec.mac ?? containerMac(spec.id), mtu: spec.mtu, netnsFd },
      );
    });
  } finally {
    closeSync(netnsFd);
  }
}

/**
 * Once the container end stands in its namespace: gives it the permanent neighbour entries of its gateways, so that nothing depends on
 * proxy ARP. Returns false when the end is not there or not up yet. Throws a NetlinkError when the namespace cannot be entered.
 */
export function finishHandedLink(
  netns: string,
  hostIfindex: number,
  families: Iterable<'ipv4' | 'ipv6'>,
): boolean {
  const inside = NetlinkSocket.open({ netns });
  try {
    const isTheEnd = (link: LinkMessage): boolean => link.kind === 'veth' && link.peerIfindex === hostIfindex;
    const end = inside.dumpList('list the interfaces', writeLinkDump, decodeLink).find(isTheEnd);
    if (end === undefined || (end.flags & IFF.UP) === 0) return false;
    for (const family of families) {
      inside.request(`add the gateway's neighbour entry`, (writer) => {
        writePermanentNeighbour(writer, end.ifindex, GATEWAYS[family], HOST_MAC);
      });
    }
    return true;
  } finally {
    inside.close();
  }
}
