/** A host in a namespace of its own and a programmer as the agent runs it, for tests of `fib/routes` in a real kernel. */
import assert from 'node:assert/strict';
import { NetlinkMonitor } from '../../fib/netlink/monitor.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { RTM, RTNLGRP } from '../../fib/netlink/registry.ts';
import { viewOfPrefix } from '../../fib/routes/inspect.ts';
import { KernelWatch, type KernelWatchOptions } from '../../fib/routes/kernel-watch.ts';
import { RouteTable, type RouteTableOptions } from '../../fib/routes/route-table.ts';
import type { RouteTarget } from '../../fib/routes/types.ts';
import { formatPrefix } from '../../src/net/prefix.ts';
import { address, prefix } from '../support/net.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

/** A host with two uplinks, `eth0` to 192.0.2.2 / 2001:db8::2 and `eth1` to 198.51.100.2 / 2001:db8:1::2. */
export function twoUplinks(): { host: Netns; peer: Netns } {
  const host = createNetns();
  const peer = createNetns();
  connect(
    { netns: host, name: 'eth0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
    { netns: peer, name: 'eth0', addresses: ['192.0.2.2/24', '2001:db8::2/64'] },
  );
  connect(
    { netns: host, name: 'eth1', addresses: ['198.51.100.1/24', '2001:db8:1::1/64'] },
    { netns: peer, name: 'eth1', addresses: ['198.51.100.2/24', '2001:db8:1::2/64'] },
  );
  return { host, peer };
}

const RTPROT_KERNEL = 2;

/** Counts route notifications, by a socket of its own that hears everybody. */
export class Witness {
  added = 0;
  deleted = 0;
  overruns = 0;
  readonly #monitor: NetlinkMonitor;

  constructor(netns: Netns) {
    this.#monitor = NetlinkMonitor.open(
      { groups: [RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE], netns: netns.path },
      {
        message: ({ type, bytes, bodyStart }) => {
          // The kernel's own come when it pleases: for an address that is ready at last.
          if (bytes[bodyStart + 5] === RTPROT_KERNEL) return;
          if (type === RTM.NEWROUTE) this.added++;
          if (type === RTM.DELROUTE) this.deleted++;
        },
        overrun: () => {
          this.overruns++;
        },
      },
    );
  }

  /** What was heard since the last call. */
  take(): { added: number; deleted: number } {
    this.#monitor.drain();
    assert.equal(this.overruns, 0);
    const { added, deleted } = this;
    this.added = this.deleted = 0;
    return { added, deleted };
  }

  close(): void {
    this.#monitor.close();
  }
}

/** Of the route table, and of what it watches. */
export type ProgrammerOptions = RouteTableOptions &
  Pick<KernelWatchOptions, 'protocol' | 'table' | 'bufferBytes'>;

/** A programmer as the agent runs it: applies whenever there is work. */
export class Programmer {
  readonly kernel: KernelWatch;
  readonly routes: RouteTable;
  readonly interfered: string[] = [];
  #scheduled = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  isAutomatic = true;
  written = 0;

  constructor(netns: Netns, options: ProgrammerOptions = {}) {
    const { protocol, table, bufferBytes } = options;
    this.kernel = KernelWatch.open({ netns: netns.path, protocol, table, bufferBytes });
    this.routes = new RouteTable(this.kernel, {
      ...options,
      onWork: () => this.#schedule(),
      onInterference: (changed) => this.interfered.push(formatPrefix(changed)),
    });
  }

  static async start(netns: Netns, options: ProgrammerOptions = {}): Promise<Programmer> {
    const programmer = new Programmer(netns, options);
    await programmer.kernel.start();
    return programmer;
  }

  #schedule(): void {
    if (this.#scheduled || !this.isAutomatic) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      const { more, written, retryAtMs } = this.routes.apply(5);
      this.written += written;
      clearTimeout(this.#retry);
      if (more) this.#schedule();
      else if (retryAtMs !== undefined)
        this.#retry = setTimeout(() => this.#schedule(), Math.max(1, retryAtMs - performance.now()));
    });
  }

  /** Applies until nothing is left, right now. */
  settle(): void {
    while (this.routes.apply(1000).more);
  }

  via(...hops: readonly (readonly [string, string | undefined, number?])[]): RouteTarget {
    return {
      kind: 'unicast',
      nextHops: hops.map(([device, gateway, weight]) => ({
        ifindex: this.ifindex(device),
        gateway: gateway === undefined ? undefined : address(gateway),
        weight: weight ?? 1,
      })),
    };
  }

  ifindex(device: string): number {
    const link = this.kernel.links.byName(device);
    assert.ok(link, device);
    return link.ifindex;
  }

  state(text: string): string | undefined {
    return viewOfPrefix(this.routes, prefix(text))?.state;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.routes.close();
    this.kernel.close();
  }
}

/** What a file's tests share: namespaces and sockets go after each test. */
export class RoutesBench {
  readonly #open: { close(): void }[] = [];

  /** Registers the hooks; call it inside `describe`. */
  constructor() {
    before(prepareNamespaces);
    afterEach(async () => {
      for (const each of this.#open.splice(0)) each.close();
      await removeAllNetns();
    });
  }

  /** Closes it after the test. */
  opened<T extends { close(): void }>(each: T): T {
    this.#open.push(each);
    return each;
  }

  async programmer(netns: Netns, options: ProgrammerOptions = {}): Promise<Programmer> {
    return this.opened(await Programmer.start(netns, options));
  }

  witness(netns: Netns): Witness {
    return this.opened(new Witness(netns));
  }
}

/** `ip ARGS` inside, on one line, without the ids of next-hop objects. */
export function show(netns: Netns, ...args: string[]): string {
  return netns
    .run('ip', ...args)
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ nhid \d+/g, '')
    .trim();
}
