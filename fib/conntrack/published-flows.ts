/**
 * Connection tracking of published UDP ports. A flow keeps the translation that it began with, and UDP flows have no end: a client that
 * goes on sending would reach the address of a container that is gone (perhaps another one's by now), or miss one that has come.
 */
import { addressesEqual, type Family, formatAddress } from '../../src/net/address.ts';
import { type Prefix, prefixContainsAddress } from '../../src/net/prefix.ts';
import { decodeAddress, writeAddressDump } from '../netlink/address-message.ts';
import { NetlinkError } from '../netlink/error-message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import type { FlowForgetter, PublishedPort } from '../rules/types.ts';
import {
  type ConntrackEntry,
  type ConntrackFilter,
  decodeConntrack,
  NETLINK_NETFILTER,
  writeConntrackDeletion,
  writeConntrackDump,
} from './message.ts';

const UDP = 17;
const ENOENT = 2;
const EINVAL = 22;
const EOPNOTSUPP = 95;

/** Deletes entries of connection tracking in one network namespace. Calls are synchronous. */
export class PublishedFlows implements FlowForgetter {
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
        const filter = { protocol: port.protocol, port: port.hostPort };
        for (const entry of list(flows, port.family, filter)) {
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

  /**
   * Forgets UDP flows that are translated to an address inside `pools` but by none of `ports`: their mappings went while nobody watched.
   * Returns how many. Throws a NetlinkError.
   */
  forgetStrays(pools: readonly Prefix[], ports: readonly PublishedPort[]): number {
    const known = new Set(ports.map(({ address, port, hostPort }) => `${hostPort} ${address} ${port}`));
    const flows = NetlinkSocket.open({ netns: this.#netns, protocol: NETLINK_NETFILTER });
    try {
      let count = 0;
      for (const family of new Set(pools.map((pool) => pool.family))) {
        for (const entry of list(flows, family, { protocol: UDP, translatedOnly: true })) {
          if (!isStray(entry, pools, known)) continue;
          flows.request('forget a flow', (writer) => writeConntrackDeletion(writer, entry), [ENOENT]);
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

function list(socket: NetlinkSocket, family: Family, filter: ConntrackFilter): ConntrackEntry[] {
  const what = `list flows of protocol ${filter.protocol}`;
  try {
    const write = (writer: MessageWriter) => writeConntrackDump(writer, family, filter);
    return socket.dumpList(what, write, decodeConntrack);
  } catch (error) {
    // Kernels before 5.8 cannot choose for us; callers look at each entry anyway.
    const isTooOld = error instanceof NetlinkError && (error.errno === EINVAL || error.errno === EOPNOTSUPP);
    if (!isTooOld) throw error;
    return socket.dumpList(what, (writer) => writeConntrackDump(writer, family), decodeConntrack);
  }
}

function isStray(
  { original, reply }: ConntrackEntry,
  pools: readonly Prefix[],
  known: ReadonlySet<string>,
): boolean {
  if (original.protocol !== UDP || addressesEqual(reply.source, original.destination)) return false;
  if (!pools.some((pool) => prefixContainsAddress(pool, reply.source))) return false;
  return !known.has(`${original.destinationPort} ${formatAddress(reply.source)} ${reply.sourcePort}`);
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
