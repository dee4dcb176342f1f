/**
 * What the kernel has, kept by notifications: interfaces, addresses, foreign routes; and our own routes' changes handed on to their
 * owner. It subscribes first and reads everything then, so nothing falls between. A lost notification leads to a new reading.
 */
import { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import { type AddressMessage, decodeAddress, writeAddressDump } from '../netlink/address-message.ts';
import { NetlinkError } from '../netlink/error-message.ts';
import { decodeLink, type LinkMessage, writeLinkDump } from '../netlink/link-message.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { decodeNextHop, type NextHopObject, writeNextHopDump } from '../netlink/nexthop-message.ts';
import type { MessageBody } from '../netlink/reader.ts';
import { AF_INET, AF_INET6, NLM_F, RTM, RTM_F_CLONED, RTNLGRP } from '../netlink/registry.ts';
import { decodeRoute, RouteRecord, writeRouteDump } from '../netlink/route-message.ts';
import { type DumpState, NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { ForeignRoutes } from './foreign-routes.ts';
import { type Link, LinkTable } from './link-table.ts';
import { DEFAULT_PROTOCOL, DEFAULT_TABLE } from './types.ts';

const SLICE_MS = 4;
const ENOENT = 2;
const EOPNOTSUPP = 95;
const READ_ATTEMPTS = 5;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 10_000;

/** What `KernelWatch` tells. Records are valid only during the call. */
export interface KernelListener {
  /** A route of our protocol in our table is there (a change, or an entry of a reading), or is gone. */
  ownRoute?(record: RouteRecord, isDeletion: boolean): void;
  /** A foreign route in our table came, changed or went; the mirror is up to date. `isReplacement`: it took another's place. */
  foreignRoute?(record: RouteRecord, isDeletion: boolean, isReplacement: boolean): void;
  /** An interface or its addresses changed; not called during the first reading. */
  link?(before: Link | undefined, after: Link | undefined): void;
  /** All next-hop objects, in a reading, before the routes. */
  nextHops?(objects: readonly NextHopObject[]): void;
  /** A next-hop object was made, changed or deleted by somebody else. */
  nextHop?(object: NextHopObject, isDeletion: boolean): void;
  /** A reading of everything begins (or begins anew), or has ended. */
  readStart?(): void;
  readEnd?(): void;
  /** A batch of notifications has been handed over. */
  drained?(): void;
}

/** Options of `KernelWatch.open`. */
export interface KernelWatchOptions {
  /** path of the network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  /** our routing protocol number, default 171 */
  readonly protocol?: number | undefined;
  /** the table that our routes go to, default 254 (main) */
  readonly table?: number | undefined;
  /** receive buffer for notifications, default 8 MiB; an overrun leads to a new reading */
  readonly bufferBytes?: number | undefined;
  /** called when a reading fails; it is tried again with back-off */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** The kernel's state in one network namespace. */
export class KernelWatch {
  readonly protocol: number;
  readonly table: number;
  readonly links = new LinkTable();
  /** what all tables of routes live in */
  readonly core = new Core();
  /** foreign routes in our table */
  readonly foreign: Readonly<Record<Family, ForeignRoutes>> = {
    ipv4: new ForeignRoutes('ipv4', this.core),
    ipv6: new ForeignRoutes('ipv6', this.core),
  };
  /** foreign routes by which the host itself finds its way: those of the main table */
  readonly lookup: Readonly<Record<Family, ForeignRoutes>>;
  /** for requests and batches of routes; its own notifications are not heard */
  readonly socket: NetlinkSocket;
  readonly #dumpSocket: NetlinkSocket;
  readonly #monitor: NetlinkMonitor;
  readonly #listeners = new Set<KernelListener>();
  readonly #record = new RouteRecord();
  readonly #onError: (error: unknown) => void;
  #hasNextHopObjects = true;
  #isReading = false;
  /** notifications were lost since the reading began */
  #hasLost = false;
  #isReady = false;
  #isClosed = false;
  #retryMs = RETRY_FIRST_MS;
  #retryTimer: NodeJS.Timeout | undefined;

  private constructor(options: KernelWatchOptions) {
    this.protocol = options.protocol ?? DEFAULT_PROTOCOL;
    this.table = options.table ?? DEFAULT_TABLE;
    this.lookup =
      this.table === DEFAULT_TABLE
        ? this.foreign
        : { ipv4: new ForeignRoutes('ipv4', this.core), ipv6: new ForeignRoutes('ipv6', this.core) };
    this.#onError = options.onError ?? (() => {});
    this.socket = NetlinkSocket.open({ netns: options.netns });
    this.#dumpSocket = NetlinkSocket.open({ netns: options.netns });
    this.#monitor = NetlinkMonitor.open(
      {
        groups: [
          RTNLGRP.LINK,
          RTNLGRP.IPV4_IFADDR,
          RTNLGRP.IPV6_IFADDR,
          RTNLGRP.IPV4_ROUTE,
          RTNLGRP.IPV6_ROUTE,
          RTNLGRP.NEXTHOP,
        ],
        netns: options.netns,
        ignorePortId: this.socket.portId,
        bufferBytes: options.bufferBytes,
      },
      {
        message: (message) => this.#take(message),
        overrun: () => this.readAgain(),
        drained: () => {
          for (const listener of this.#listeners) listener.drained?.();
        },
      },
    );
    this.links.onChange(({ before, after }) => {
      this.#forgetSilentlyDeleted(before, after);
      if (this.#isReady) for (const listener of this.#listeners) listener.link?.(before, after);
    });
  }

  /** Opens the sockets. Add the listeners, then call `start`. Throws a NetlinkError. */
  static open(options: KernelWatchOptions = {}): KernelWatch {
    return new KernelWatch(options);
  }

  /** Reads everything for the first time, in slices. Rejects with a NetlinkError. */
  async start(): Promise<void> {
    await this.#readAll();
  }

  /** Whether everything has been read and nothing is known to have been missed. */
  get isCurrent(): boolean {
    return this.#isReady && !this.#isReading;
  }

  /** Whether the kernel has next-hop objects (Linux 5.3 and later have). */
  get hasNextHopObjects(): boolean {
    return this.#hasNextHopObjects;
  }

  /** Calls the listener from now on; returns what ends that. */
  listen(listener: KernelListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes all notifications that wait now. */
  drain(): void {
    this.#monitor.drain();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    this.#monitor.close();
    this.socket.close();
    this.#dumpSocket.close();
  }

  /** Reads everything again: after an overrun, or when someone doubts. Returns at once. */
  readAgain(): void {
    if (this.#isClosed) return;
    if (this.#isReading) {
      this.#hasLost = true;
      return;
    }
    this.#readAll().then(
      () => {
        this.#retryMs = RETRY_FIRST_MS;
      },
      (error: unknown) => {
        if (this.#isClosed) return;
        this.#onError(error);
        // Still not current; owners wait.
        this.#isReading = true;
        this.#retryTimer = setTimeout(() => {
          this.#isReading = false;
          this.readAgain();
        }, this.#retryMs);
        this.#retryTimer.unref();
        this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
      },
    );
  }

  async #readAll(): Promise<void> {
    this.#isReading = true;
    try {
      for (let attempt = 1; ; attempt++) {
        this.#hasLost = false;
        const isConsistent = await this.#readOnce();
        if (this.#isClosed) return;
        this.#monitor.drain();
        // On a table that never rests the last reading must do: the notifications since then are all known.
        if ((isConsistent && !this.#hasLost) || attempt >= READ_ATTEMPTS) break;
      }
    } finally {
      this.#isReading = false;
    }
    this.#isReady = true;
    for (const listener of this.#listeners) listener.readEnd?.();
  }

  async #readOnce(): Promise<boolean> {
    this.#monitor.drain();
    let isConsistent = true;
    const links: LinkMessage[] = [];
    const addresses: AddressMessage[] = [];
    const read = async (
      what: string,
      write: (writer: MessageWriter) => void,
      take: (message: MessageBody) => void,
    ): Promise<void> => {
      this.#dumpSocket.beginDump(what, write);
      let state: DumpState = 'more';
      let sliceEnd = performance.now() + SLICE_MS;
      while (state === 'more') {
        state = this.#dumpSocket.stepDump(take);
        if (state === 'more' && performance.now() > sliceEnd) {
          await new Promise((resolve) => setImmediate(resolve));
          if (this.#isClosed) return;
          sliceEnd = performance.now() + SLICE_MS;
        }
      }
      if (state === 'interrupted') isConsistent = false;
    };
    const readRoutes = async (family: Family, af: number, table: number): Promise<void> => {
      try {
        await read(
          `read the ${family} routes`,
          (writer) => writeRouteDump(writer, RTM.GETROUTE, af, table, 0),
          (message) => this.#takeRoute(message, false),
        );
      } catch (error) {
        // A table begins to exist with its first route.
        if (!(error instanceof NetlinkError) || error.errno !== ENOENT) throw error;
      }
    };
    await read('read the interfaces', writeLinkDump, (message) => {
      const link = decodeLink(message);
      if (link !== undefined) links.push(link);
    });
    await read('read the addresses', writeAddressDump, (message) => {
      const address = decodeAddress(message);
      if (address !== undefined) addresses.push(address);
    });
    if (this.#isClosed) return false;
    const objects: NextHopObject[] = [];
    try {
      await read('read the next-hop objects', writeNextHopDump, (message) => {
        const object = decodeNextHop(message);
        if (object !== undefined) objects.push(object);
      });
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== EOPNOTSUPP) throw error;
      this.#hasNextHopObjects = false;
    }
    if (this.#isClosed) return false;
    this.links.replaceAll(links, addresses);
    for (const listener of this.#listeners) listener.readStart?.();
    for (const listener of this.#listeners) listener.nextHops?.(objects);
    for (const [family, af] of [
      ['ipv4', AF_INET],
      ['ipv6', AF_INET6],
    ] as const) {
      this.foreign[family].clear();
      this.lookup[family].clear();
      for (const table of new Set([this.table, DEFAULT_TABLE])) {
        await readRoutes(family, af, table);
      }
    }
    return isConsistent;
  }

  #take(message: MessageBody): void {
    switch (message.type) {
      case RTM.NEWROUTE:
      case RTM.DELROUTE:
        this.#takeRoute(message, message.type === RTM.DELROUTE);
        break;
      case RTM.NEWNEXTHOP:
      case RTM.DELNEXTHOP: {
        const object = decodeNextHop(message);
        if (object === undefined) return;
        for (const listener of this.#listeners) listener.nextHop?.(object, message.type === RTM.DELNEXTHOP);
        break;
      }
      default:
        this.links.take(message);
    }
  }

  #takeRoute(message: MessageBody, isDeletion: boolean): void {
    const record = this.#record;
    if (!decodeRoute(message, record) || record.flags & RTM_F_CLONED) return;
    if (record.family !== AF_INET && record.family !== AF_INET6) return;
    const isLookup = record.table === DEFAULT_TABLE;
    if (record.table !== this.table && !isLookup) return;
    if (record.protocol === this.protocol) {
      // In the main table such a one is of an earlier life with another table: no way on, and not ours to judge here.
      if (record.table !== this.table) return;
      for (const listener of this.#listeners) listener.ownRoute?.(record, isDeletion);
      return;
    }
    const mirror = record.table === this.table ? this.foreign : this.lookup;
    const foreign = mirror[record.family === AF_INET ? 'ipv4' : 'ipv6'];
    const isReplacement = !isDeletion && (message.flags & NLM_F.REPLACE) !== 0;
    if (isDeletion) foreign.remove(record);
    else foreign.add(record, isReplacement);
    for (const listener of this.#listeners) listener.foreignRoute?.(record, isDeletion, isReplacement);
  }

  /** The kernel flushes a device's IPv4 routes without a word when it goes down, away, or loses its last IPv4 address. */
  #forgetSilentlyDeleted(before: Link | undefined, after: Link | undefined): void {
    if (before === undefined || !losesIpv4(before, after)) return;
    // Without an IPv4 address a next hop is dead if there was one, and alive (RFC 8950) if there never was.
    const isAlive = (ifindex: number): boolean | undefined => {
      const link = this.links.get(ifindex);
      if (link?.isUp !== true) return false;
      return hasIpv4(link) ? true : undefined;
    };
    for (const routes of new Set([this.foreign.ipv4, this.lookup.ipv4]))
      if (routes.removeByInterface(before.ifindex, isAlive)) this.readAgain();
  }
}

/** Whether a change makes the kernel flush the interface's IPv4 routes. */
export function losesIpv4(before: Link, after: Link | undefined): boolean {
  if (after === undefined || (before.isUp && !after.isUp)) return true;
  return hasIpv4(before) && !hasIpv4(after);
}

/** Whether an interface has an IPv4 address. */
export function hasIpv4({ addresses }: Link): boolean {
  return addresses.some(({ address }) => address.family === 'ipv4');
}
