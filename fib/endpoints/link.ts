/** One link, in whichever namespace the socket works: what is done alike to both ends of a pair. All throw a NetlinkError. */
import {
  decodeLink,
  type LinkMessage,
  writeLinkChange,
  writeLinkDeletion,
  writeLinkQuery,
} from '../netlink/link-message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';

const ENODEV = 19;

/** The link of that name, if there is one. */
export function findLink(socket: NetlinkSocket, name: string): LinkMessage | undefined {
  return socket.query(`look for ${name}`, (writer) => writeLinkQuery(writer, name), decodeLink);
}

/** Does nothing if it has that MTU already. */
export function setLinkMtu(socket: NetlinkSocket, link: LinkMessage, mtu: number): void {
  if (link.mtu === mtu) return;
  socket.request(`set the MTU of ${link.name} to ${mtu}`, (writer) =>
    writeLinkChange(writer, link.ifindex, { mtu }),
  );
}

/** Lets packets through. */
export function setLinkUp(socket: NetlinkSocket, ifindex: number, name: string): void {
  socket.request(`set ${name} up`, (writer) => writeLinkChange(writer, ifindex, { up: true }));
}

/** Lets no packets through any more. That it is gone is as well. */
export function setLinkDown(socket: NetlinkSocket, ifindex: number, name: string): void {
  socket.request(`set ${name} down`, (writer) => writeLinkChange(writer, ifindex, { up: false }), [ENODEV]);
}

/** Deletes it, and a pair's other end with it. That it is gone already is as well. */
export function deleteLink(socket: NetlinkSocket, ifindex: number, name: string): void {
  socket.request(`delete ${name}`, (writer) => writeLinkDeletion(writer, ifindex), [ENODEV]);
}
