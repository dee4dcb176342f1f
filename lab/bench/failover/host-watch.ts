/** What the kernel of the host announces while a router dies: when the link was seen to be lost, when the traffic was moved, by how much work. */
import { decodeLink } from '../../../fib/netlink/link-message.ts';
import { NetlinkMonitor } from '../../../fib/netlink/monitor.ts';
import { decodeNextHop, writeNextHopDump } from '../../../fib/netlink/nexthop-message.ts';
import type { MessageBody } from '../../../fib/netlink/reader.ts';
import { RTM, RTNLGRP } from '../../../fib/netlink/registry.ts';
import { NetlinkSocket } from '../../../fib/netlink/socket.ts';
import { formatAddress } from '../../../src/net/address.ts';
import { monotonicMs } from './clock.ts';

const BUFFER_BYTES = 256 * 1024 * 1024;

/** Since `expect`. Times are those of `clock.ts`. */
export interface HostEvents {
  /** the link to the router has no carrier, or is down */
  readonly linkAt: number | undefined;
  /** the first of the router's next-hop objects is gone; undefined: the kernel did that without a word */
  readonly switchedAt: number | undefined;
  /** requests of whoever it may be that had changed next-hop objects or routes by then, that one included */
  readonly requests: number;
  /** changes of routes by then */
  readonly routes: number;
}

/** Watches one namespace. */
export class HostWatch {
  /** `clock.ts`: when a route last changed */
  lastRouteAt = 0;
  readonly #netns: string;
  readonly #monitor: NetlinkMonitor;
  #ifname = '';
  #objects: ReadonlySet<number> = new Set();
  #linkAt: number | undefined;
  #switchedAt: number | undefined;
  readonly #requests = new Set<string>();
  #routes = 0;
  #routesAtSwitch = 0;
  #hasLost = false;

  /** `netns`: its path */
  constructor(netns: string) {
    this.#netns = netns;
    this.#monitor = NetlinkMonitor.open(
      {
        groups: [RTNLGRP.LINK, RTNLGRP.NEXTHOP, RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE],
        netns,
        bufferBytes: BUFFER_BYTES,
      },
      {
        message: (message) => this.#take(message),
        overrun: () => {
          this.#hasLost = true;
        },
      },
    );
  }

  /** From now on the end of the router with this address behind this interface is expected. */
  expect(ifname: string, gateway: string): void {
    this.#monitor.drain();
    const socket = NetlinkSocket.open({ netns: this.#netns });
    const objects = socket.dumpList('read the next hops', writeNextHopDump, decodeNextHop);
    socket.close();
    const own = objects.filter((object) => object.gateway && formatAddress(object.gateway) === gateway);
    this.#objects = new Set(own.map(({ id }) => id));
    this.#ifname = ifname;
    this.#linkAt = undefined;
    this.#switchedAt = undefined;
    this.#requests.clear();
    this.#routes = 0;
    this.#hasLost = false;
  }

  /** Throws when notifications were lost. */
  events(): HostEvents {
    this.#monitor.drain();
    if (this.#hasLost) throw new Error('the kernel dropped notifications');
    return {
      linkAt: this.#linkAt,
      switchedAt: this.#switchedAt,
      requests: this.#switchedAt === undefined ? 0 : this.#requests.size,
      routes: this.#switchedAt === undefined ? 0 : this.#routesAtSwitch,
    };
  }

  close(): void {
    this.#monitor.close();
  }

  #take(message: MessageBody): void {
    switch (message.type) {
      case RTM.NEWLINK: {
        if (this.#linkAt !== undefined) return;
        const link = decodeLink(message);
        if (link?.name === this.#ifname && !link.carrier) this.#linkAt = monotonicMs();
        return;
      }
      case RTM.NEWROUTE:
      case RTM.DELROUTE:
        this.#routes++;
        this.lastRouteAt = monotonicMs();
        break;
      case RTM.NEWNEXTHOP:
      case RTM.DELNEXTHOP:
        break;
      default:
        return;
    }
    if (this.#switchedAt !== undefined) return;
    if (message.portId !== 0) this.#requests.add(`${message.portId} ${message.sequence}`);
    if (message.type !== RTM.DELNEXTHOP) return;
    const object = decodeNextHop(message);
    if (object === undefined || !this.#objects.has(object.id)) return;
    this.#switchedAt = monotonicMs();
    this.#routesAtSwitch = this.#routes;
  }
}
