/**
 * Connection tracking of published UDP ports. A flow keeps the translation that it began with, and UDP flows have no end: a client that
 * goes on sending would reach the address of a container that is gone (perhaps another one's by now), or miss one that has come.
 */
import { addressesEqual, type Family, formatAddress } from '../../src/net/address.ts';
import { decodeAddress, writeAddressDump } from '../netlink/address-message.ts';
import { NetlinkError } from '../netlink/error-message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { PublishedPort } from '../rules/types.ts';
import {
  type ConntrackEntry,
  decodeConntrack,
  NETLINK_NETFILTER,
  writeConntrackDeletion,
  writeConntrackDump,
  writeWholeConntrackDump,
} from './message.ts';

const ENOENT = 2;
const EINVAL = 22;
const EOPNOTSUPP = 95;

/** Deletes entries of connection tracking in one network namespace. Calls are synchronous. */
export class PublishedFlows {
  readonly #netns: string | undefined;

  /** `netns`: path of the host's network namespace; default: the one we are in. */
  constructor(netns?: string) {
    this.#netns = netns;
  }

  /**
   * Forgets flows towards the host ports of mappings that came or went: those translated to the mapping's workload, and those that
   * reach this host itself untranslated. The next packet of each is then looked at anew. Returns how many. Throws a NetlinkError.
   */
  forget(ports: readonly PublishedPort[]): number {
    if (ports.length === 0) return 0;
    const flows = NetlinkSocket.open({ netns: this.#netns, protocol: NETLINK_NETFILTER });
    try {
      const own = this.#ownAddresses();
      let count = 0;
      for (const port of ports) {
        for (const entry of list(flows, port)) {
          if (!concerns(entry, port, own)) continue;
          const what = `forget a flow to port ${port.hostPort}`;
          flows.request(what, (writer) => writeConntrackDeletion(writer, entry), [ENOENT]);
          count++;
        }
      }
      return count;
    } finally {
      flows.close();
    }
  }

  #ownAddresses(): ReadonlySet<string> {
    const socket = NetlinkSocket.open({ netns: this.#netns });
    try {
      const own = socket.dumpList('read the addresses', writeAddressDump, decodeAddress);
      return new Set(own.map(({ address }) => formatAddress(address)));
    } finally {
      socket.close();
    }
  }
}

function list(socket: NetlinkSocket, { family, protocol, hostPort }: PublishedPort): ConntrackEntry[] {
  const what = `list flows to port ${hostPort}`;
  try {
    return socket.dumpList(
      what,
      (writer) => writeConntrackDump(writer, family, protocol, hostPort),
      decodeConntrack,
    );
  } catch (error) {
    // Kernels before 5.8 cannot choose for us.
    const isTooOld = error instanceof NetlinkError && (error.errno === EINVAL || error.errno === EOPNOTSUPP);
    if (!isTooOld) throw error;
    return listAll(socket, what, family);
  }
}

function listAll(socket: NetlinkSocket, what: string, family: Family): ConntrackEntry[] {
  return socket.dumpList(what, (writer) => writeWholeConntrackDump(writer, family), decodeConntrack);
}

/** Whether a flow goes, or would now go, by a mapping. Flows that are only forwarded and happen to have that port are left alone. */
export function concerns(
  { original, reply }: ConntrackEntry,
  port: PublishedPort,
  own: ReadonlySet<string>,
): boolean {
  if (original.protocol !== port.protocol || original.destinationPort !== port.hostPort) return false;
  const target = formatAddress(original.destination);
  if (port.hostAddress !== undefined && port.hostAddress !== target) return false;
  const isTranslated = !addressesEqual(reply.source, original.destination);
  if (isTranslated) return formatAddress(reply.source) === port.address && reply.sourcePort === port.port;
  return own.has(target);
}
