/** The kernel's neighbour entries of chosen interfaces: read once, then followed by its notifications; and the kernel asked whether one still answers. */
import { type Address, isLinkLocal } from '../../src/net/address.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { decodeNeighbour, writeNeighbourDump, writeNeighbourProbe } from '../netlink/neighbour-message.ts';
import type { MessageBody } from '../netlink/reader.ts';
import { AF_INET6, NUD, RTM, RTNLGRP } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';

/** States in which the kernel knows the neighbour's hardware address and has no reason to doubt that it is there. */
const BELIEVED = NUD.REACHABLE | NUD.STALE | NUD.DELAY | NUD.PROBE | NUD.PERMANENT;
const BUFFER_BYTES = 1024 * 1024;

/** What `NeighbourWatch` tells, of link-local IPv6 addresses on chosen interfaces only. */
export interface NeighbourListener {
  /** `isThere`: the kernel believes in it; else it asked in vain. Entries that are merely forgotten are not told of. */
  neighbour(ifindex: number, address: Address, isThere: boolean): void;
  /** notifications were lost: entries have to be read again */
  overrun(): void;
}

/** Follows neighbour entries until closed. */
export class NeighbourWatch {
  readonly #socket: NetlinkSocket;
  readonly #monitor: NetlinkMonitor;
  readonly #listener: NeighbourListener;
  readonly #wanted: (ifindex: number) => boolean;

  /** Throws a NetlinkError. */
  constructor(wanted: (ifindex: number) => boolean, listener: NeighbourListener, netns?: string) {
    this.#listener = listener;
    this.#wanted = wanted;
    this.#socket = NetlinkSocket.open({ netns });
    this.#monitor = NetlinkMonitor.open(
      { groups: [RTNLGRP.NEIGH], netns, bufferBytes: BUFFER_BYTES },
      { message: (message) => this.#take(message), overrun: () => listener.overrun() },
    );
  }

  /** Tells of the entries that an interface has now. Throws a NetlinkError. */
  read(ifindex: number): void {
    this.#socket.dump(
      'read the neighbours',
      (writer) => writeNeighbourDump(writer, AF_INET6, ifindex),
      (message) => this.#take(message),
      () => {},
    );
  }

  /** Makes the kernel ask a neighbour whether it is there; that it is not, is told within some seconds. */
  probe(ifindex: number, address: Address): void {
    try {
      // Without an entry there is nothing to ask about; traffic will make one.
      this.#socket.tryRequest((writer) => writeNeighbourProbe(writer, ifindex, address));
    } catch {
      // Nothing depends on it: a neighbour that is gone is noticed when packets are sent to it.
    }
  }

  close(): void {
    this.#monitor.close();
    this.#socket.close();
  }

  #take(message: MessageBody): void {
    if (message.type !== RTM.NEWNEIGH) return;
    const entry = decodeNeighbour(message);
    if (entry === undefined || !this.#wanted(entry.ifindex)) return;
    const { ifindex, address, state } = entry;
    if (address.family !== 'ipv6' || !isLinkLocal(address)) return;
    if ((state & BELIEVED) !== 0) this.#listener.neighbour(ifindex, address, true);
    else if ((state & NUD.FAILED) !== 0) this.#listener.neighbour(ifindex, address, false);
  }
}
