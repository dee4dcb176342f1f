/** One link, in whichever namespace the socket works: what is done alike to both ends of a pair. All throw a NetlinkError. */
import { NetlinkError } from '../netlink/error-message.ts';
import {
  decodeLink,
  type LinkMessage,
  writeLinkChange,
  writeLinkDeletion,
  writeLinkQuery,
} from '../netlink/link-message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';

const EBUSY = 16;
const ENODEV = 19;

/** The link of that name or index, if there is one. */
export function findLink(socket: NetlinkSocket, which: string | number): LinkMessage | undefined {
  return socket.query(`look for ${which}`, (writer) => writeLinkQuery(writer, which), decodeLink);
}

/** Gives it another name; a kernel that renames only what is down finds it so. */
export function renameLink(socket: NetlinkSocket, link: LinkMessage, name: string): void {
  const rename = (): void =>
    socket.request(`rename ${link.name} to ${name}`, (writer) =>
      writeLinkChange(writer, link.ifindex, { name }),
    );
  try {
    rename();
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== EBUSY) throw error;
    setLinkDown(socket, link.ifindex, link.name);
    rename();
  }
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
