import assert from 'node:assert/strict';
import { NetlinkMonitor } from '../../fib/netlink/monitor.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { RTM, RTNLGRP } from '../../fib/netlink/registry.ts';
import {
  foreignRoutesOfAddress,
  listRoutes,
  routeConflicts,
  routeCounts,
  routeFailures,
  viewOfAddress,
  viewOfPrefix,
} from '../../fib/routes/inspect.ts';
import { KernelWatch } from '../../fib/routes/kernel-watch.ts';
import { type NextHopResolution, NextHopTracker } from '../../fib/routes/next-hops.ts';
import { RouteTable } from '../../fib/routes/route-table.ts';
import type { RouteTarget } from '../../fib/routes/types.ts';
import { type Address, parseAddress } from '../../src/net/address.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../../src/net/prefix.ts';
import { PrefixTable } from '../../src/net/prefix-table.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  return parsed;
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed, text);
  return parsed;
}

/** A host with two uplinks, `eth0` to 192.0.2.2 / 2001:db8::2 and `eth1` to 198.51.100.2 / 2001:db8:1::2. */
function twoUplinks(): { host: Netns; peer: Netns } {
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

/** Counts route notifications, by a socket of its own that hears everybody. */
class Witness {
  added = 0;
  deleted = 0;
  overruns = 0;
  readonly #monitor: NetlinkMonitor;

  constructor(netns: Netns) {
    this.#monitor = NetlinkMonitor.open(
      { groups: [RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE], netns: netns.path },
      {
        message: ({ type }) => {
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

/** A programmer as the agent runs it: applies whenever there is work. */
class Programmer {
  readonly kernel: KernelWatch;
  readonly routes: RouteTable;
  readonly interfered: string[] = [];
  #scheduled = false;
  #closed = false;
  isAutomatic = true;
  written = 0;

  constructor(netns: Netns, bufferless = false) {
    this.kernel = KernelWatch.open({ netns: netns.path });
    this.isAutomatic = !bufferless;
    this.routes = new RouteTable(this.kernel, {
      onWork: () => this.#schedule(),
      onInterference: (changed) => this.interfered.push(formatPrefix(changed)),
    });
  }

  static async start(netns: Netns): Promise<Programmer> {
    const programmer = new Programmer(netns);
    await programmer.kernel.start();
    return programmer;
  }

  #schedule(): void {
    if (this.#scheduled || !this.isAutomatic) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      const { more, written } = this.routes.apply(5);
      this.written += written;
      if (more) this.#schedule();
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
    this.routes.close();
    this.kernel.close();
  }
}

describe('fib/routes in a real kernel', () => {
  const open: { close(): void }[] = [];
  before(prepareNamespaces);
  afterEach(async () => {
    for (const each of open.splice(0)) each.close();
    await removeAllNetns();
  });

  async function programmer(netns: Netns): Promise<Programmer> {
    const started = await Programmer.start(netns);
    open.push(started);
    return started;
  }

  function witness(netns: Netns): Witness {
    const opened = new Witness(netns);
    open.push(opened);
    return opened;
  }

  const show = (netns: Netns, ...args: string[]): string =>
    netns
      .run('ip', ...args)
      .replaceAll(/\s+/g, ' ')
      .trim();

  it('writes each kind of route in both families', async () => {
    const { host } = twoUplinks();
    const p = await programmer(host);
    p.routes.setRoute(prefix('10.1.0.0/16'), 'bgp', p.via(['eth0', '192.0.2.2']));
    p.routes.setRoute(prefix('2001:db8:a::/48'), 'bgp', p.via(['eth0', '2001:db8::2']));
    p.routes.setRoute(prefix('10.2.0.0/26'), 'block', { kind: 'blackhole', nextHops: [] });
    p.routes.setRoute(prefix('2001:db8:b::/122'), 'block', { kind: 'blackhole', nextHops: [] });
    p.routes.setRoute(prefix('10.2.0.1/32'), 'endpoint', p.via(['eth1', undefined]));
    p.routes.setRoute(prefix('2001:db8:b::1/128'), 'endpoint', p.via(['eth1', undefined]));
    p.routes.setRoute(prefix('10.3.0.0/16'), 'bgp', { kind: 'unreachable', nextHops: [] });
    p.routes.setRoute(prefix('2001:db8:c::/48'), 'bgp', { kind: 'prohibit', nextHops: [] });
    p.routes.setRoute(prefix('10.4.0.0/16'), 'bgp', {
      ...p.via(['eth0', '192.0.2.2', 3], ['eth1', '198.51.100.2']),
      prefsrc: address('192.0.2.1'),
    });
    p.routes.setRoute(
      prefix('2001:db8:d::/48'),
      'bgp',
      p.via(['eth0', '2001:db8::2'], ['eth1', '2001:db8:1::2']),
    );
    p.routes.setRoute(prefix('10.5.0.0/16'), 'bgp', p.via(['eth0', '2001:db8::2']));
    p.settle();
    assert.deepEqual(routeFailures(p.routes), []);
    const ipv4 = show(host, '-4', 'route', 'show', 'proto', '171');
    assert.match(ipv4, /10\.1\.0\.0\/16 via 192\.0\.2\.2 dev eth0 metric 1024/);
    assert.match(ipv4, /blackhole 10\.2\.0\.0\/26 metric 1024/);
    assert.match(ipv4, /10\.2\.0\.1 dev eth1 scope link metric 1024/);
    assert.match(ipv4, /unreachable 10\.3\.0\.0\/16/);
    assert.match(
      ipv4,
      /10\.4\.0\.0\/16 src 192\.0\.2\.1 metric 1024 nexthop via 192\.0\.2\.2 dev eth0 weight 3 nexthop via 198/,
    );
    assert.match(ipv4, /10\.5\.0\.0\/16 via inet6 2001:db8::2 dev eth0/);
    const ipv6 = show(host, '-6', 'route', 'show', 'proto', '171');
    assert.match(ipv6, /2001:db8:a::\/48 via 2001:db8::2 dev eth0 metric 1024/);
    assert.match(ipv6, /blackhole 2001:db8:b::\/122 dev lo metric 1024/);
    assert.match(ipv6, /2001:db8:b::1 dev eth1 metric 1024/);
    assert.match(ipv6, /prohibit 2001:db8:c::\/48/);
    assert.match(
      ipv6,
      /2001:db8:d::\/48 metric 1024 pref medium nexthop via 2001:db8::2 dev eth0 weight 1 nexthop via 2001:db8:1::2/,
    );
    // What the kernel says of them is what was wanted: a second programmer has nothing to do.
    const next = new Programmer(host, true);
    open.push(next);
    await next.kernel.start();
    for (const family of ['ipv4', 'ipv6'] as const) {
      for (const view of listRoutes(p.routes, family)) {
        assert.equal(view.state, 'installed', formatPrefix(view.prefix));
        assert.ok(view.desired && view.source);
        next.routes.setRoute(view.prefix, view.source, view.desired);
      }
    }
    assert.equal(next.routes.apply(100).written, 0);
    assert.equal(routeCounts(next.routes, 'ipv4').installed, 6);
    assert.equal(routeCounts(next.routes, 'ipv6').installed, 5);
    assert.equal(viewOfAddress(next.routes, address('10.2.0.1'))?.source, 'endpoint');
    assert.equal(viewOfAddress(next.routes, address('10.2.0.9'))?.source, 'block');
  });

  it('adopts 10,000 routes with no write at all, and sweeps only what nobody wants', async () => {
    const { host } = twoUplinks();
    const learned = new PrefixTable('ipv4');
    const learned6 = new PrefixTable('ipv6');
    const fill = (p: Programmer, count: number): void => {
      const v4 = p.routes.targets.pin(p.via(['eth0', '192.0.2.2']));
      const v6 = p.routes.targets.pin(p.via(['eth0', '2001:db8::2'], ['eth1', '2001:db8:1::2']));
      for (let i = 0; i < count; i++) {
        p.routes.setLearned(learned, learned.intern(24, (10 << 24) | (i << 8)), v4);
        p.routes.setLearned(learned6, learned6.intern(48, 0x20010db8, (i + 100) << 16), v6);
      }
    };
    const first = await programmer(host);
    first.routes.setRoute(prefix('172.16.0.0/26'), 'block', { kind: 'blackhole', nextHops: [] });
    fill(first, 5000);
    first.settle();
    assert.equal(routeCounts(first.routes, 'ipv4').installed, 5001);
    assert.equal(routeCounts(first.routes, 'ipv6').installed, 5000);
    first.close();

    const seen = witness(host);
    const second = await programmer(host);
    assert.equal(routeCounts(second.routes, 'ipv4').leftover, 5001);
    second.settle();
    fill(second, 4999);
    second.settle();
    assert.deepEqual(seen.take(), { added: 0, deleted: 0 });
    assert.equal(second.state('10.19.135.0/24'), 'leftover');
    second.routes.sweep('ipv4', 'learned');
    second.settle();
    assert.deepEqual(seen.take(), { added: 0, deleted: 1 });
    assert.equal(second.state('172.16.0.0/26'), 'leftover');
    second.routes.sweep('ipv4', 'local');
    second.routes.sweep('ipv6', 'learned');
    second.settle();
    assert.deepEqual(seen.take().added, 0);
    assert.deepEqual(
      [routeCounts(second.routes, 'ipv4'), routeCounts(second.routes, 'ipv6')].map(
        ({ installed, leftover }) => [installed, leftover],
      ),
      [
        [4999, 0],
        [4999, 0],
      ],
    );
    for (let i = 0; i < 4999; i++)
      second.routes.removeLearned(learned, learned.find(24, (10 << 24) | (i << 8)));
    second.settle();
    assert.equal(show(host, '-4', 'route', 'show', 'proto', '171'), '');
    assert.equal(second.routes.families.ipv4.table.size, 0);
  });

  it('never touches foreign routes: blocked behind an equal key, and in place when it goes', async () => {
    const { host } = twoUplinks();
    host.sh('ip route add 10.9.0.0/16 via 198.51.100.2 metric 1024');
    host.sh('ip -6 route add 2001:db8:9::/48 via 2001:db8:1::2');
    host.sh('ip route add 10.8.0.0/16 via 198.51.100.2');
    const p = await programmer(host);
    const seen = witness(host);
    for (const text of ['10.9.0.0/16', '10.8.0.0/16'])
      p.routes.setRoute(prefix(text), 'bgp', p.via(['eth0', '192.0.2.2']));
    p.routes.setRoute(prefix('2001:db8:9::/48'), 'bgp', p.via(['eth0', '2001:db8::2']));
    p.settle();
    assert.equal(seen.take().added, 1);
    assert.equal(p.state('10.9.0.0/16'), 'blocked');
    assert.equal(p.state('2001:db8:9::/48'), 'blocked');
    assert.equal(p.state('10.8.0.0/16'), 'installed');
    assert.deepEqual(
      routeConflicts(p.routes).map((c) => [
        formatPrefix(c.prefix),
        c.effect,
        c.foreign.owner,
        c.foreign.metric,
      ]),
      [
        ['10.8.0.0/16', 'shadows', 'boot', 0],
        ['10.9.0.0/16', 'blocks', 'boot', 1024],
        ['2001:db8:9::/48', 'blocks', 'boot', 1024],
      ],
    );
    p.routes.removeRoute(prefix('10.8.0.0/16'), 'bgp');
    p.settle();
    assert.match(
      show(host, 'route', 'show', '10.8.0.0/16'),
      /^10\.8\.0\.0\/16 via 198\.51\.100\.2 dev eth1$/,
    );
    host.sh('ip route del 10.9.0.0/16');
    host.sh('ip -6 route del 2001:db8:9::/48');
    await eventually(
      'ours are in',
      () => p.state('10.9.0.0/16') === 'installed' && p.state('2001:db8:9::/48') === 'installed',
    );
    assert.match(
      show(host, 'route', 'show', '10.9.0.0/16'),
      /via 192\.0\.2\.2 dev eth0 proto 171 metric 1024/,
    );
    // Somebody puts his own in its place: it is his now, ours waits and says so.
    host.sh('ip route replace 10.9.0.0/16 via 198.51.100.2 metric 1024');
    await eventually('the conflict is seen', () => p.state('10.9.0.0/16') === 'blocked');
    assert.deepEqual(p.interfered, ['10.9.0.0/16']);
    p.routes.removeRoute(prefix('10.9.0.0/16'), 'bgp');
    p.settle();
    assert.match(show(host, 'route', 'show', '10.9.0.0/16'), /via 198\.51\.100\.2/);
  });

  it('puts back what somebody deletes or changes, by event, and does not talk to itself', async () => {
    const { host } = twoUplinks();
    const p = await programmer(host);
    p.routes.setRoute(prefix('10.1.0.0/16'), 'bgp', p.via(['eth0', '192.0.2.2'], ['eth1', '198.51.100.2']));
    p.routes.setRoute(
      prefix('2001:db8:a::/48'),
      'bgp',
      p.via(['eth0', '2001:db8::2'], ['eth1', '2001:db8:1::2']),
    );
    p.settle();
    const full = {
      v4: show(host, 'route', 'show', '10.1.0.0/16'),
      v6: show(host, '-6', 'route', 'show', '2001:db8:a::/48'),
    };
    for (const [text, line] of [
      ['10.1.0.0/16', 'ip route del 10.1.0.0/16'],
      ['10.1.0.0/16', 'ip route change 10.1.0.0/16 via 192.0.2.9 metric 1024 proto 171'],
      ['2001:db8:a::/48', 'ip -6 route del 2001:db8:a::/48'],
      ['2001:db8:a::/48', 'ip -6 route del 2001:db8:a::/48 via 2001:db8::2'],
      ['2001:db8:a::/48', 'ip -6 route replace blackhole 2001:db8:a::/48 proto 171'],
    ] as const) {
      p.interfered.length = 0;
      host.sh(line);
      await eventually(
        `${line} is undone`,
        () => p.interfered.includes(text) && p.state(text) === 'installed',
      );
      assert.equal(show(host, 'route', 'show', '10.1.0.0/16'), full.v4, line);
      assert.equal(show(host, '-6', 'route', 'show', '2001:db8:a::/48'), full.v6, line);
    }
    const { written } = p;
    p.settle();
    assert.equal(p.written, written);
    // A stranger's route of our own protocol is removed only once a sweep said that nobody wants it.
    host.sh('ip route add 10.77.0.0/16 via 192.0.2.2 proto 171 metric 1024');
    await eventually('it is seen', () => p.state('10.77.0.0/16') === 'leftover');
    p.routes.sweep('ipv4', 'learned');
    await eventually('it is gone', () => show(host, 'route', 'show', '10.77.0.0/16') === '');
  });

  it('restores everything after link down and up, address loss, and a lost interface', async () => {
    const { host } = twoUplinks();
    const p = await programmer(host);
    const texts = ['10.1.0.0/16', '10.2.0.0/16', '2001:db8:a::/48'];
    p.routes.setRoute(prefix('10.1.0.0/16'), 'bgp', p.via(['eth0', '192.0.2.2']));
    p.routes.setRoute(prefix('10.2.0.0/16'), 'bgp', p.via(['eth0', '192.0.2.2'], ['eth1', '198.51.100.2']));
    p.routes.setRoute(prefix('2001:db8:a::/48'), 'bgp', p.via(['eth1', '2001:db8:1::2']));
    p.settle();
    const all = (state: string): boolean => texts.every((text) => p.state(text) === state);
    assert.ok(all('installed'));
    const before = show(host, 'route', 'show', 'proto', '171');
    host.sh('ip link set eth0 down');
    await eventually('the route waits', () => p.state('10.1.0.0/16') === 'waiting');
    assert.equal(p.state('10.2.0.0/16'), 'installed');
    host.sh('ip link set eth1 down');
    await eventually('all wait', () => all('waiting'));
    assert.deepEqual(routeFailures(p.routes), []);
    host.sh('ip link set eth0 up');
    host.sh('ip link set eth1 up');
    host.sh('ip address add 2001:db8:1::1/64 dev eth1 nodad');
    await eventually('all are back', () => all('installed'));
    assert.equal(show(host, 'route', 'show', 'proto', '171'), before);
    host.sh('ip address del 192.0.2.1/24 dev eth0');
    await eventually('the route is refused', () => p.state('10.1.0.0/16') === 'failed');
    const [failure] = routeFailures(p.routes);
    assert.equal(failure?.code, 'ENETUNREACH');
    assert.match(failure.text, /gateway/i);
    host.sh('ip address add 192.0.2.1/24 dev eth0');
    await eventually('it is back', () => all('installed'));
    assert.equal(show(host, 'route', 'show', 'proto', '171'), before);
    host.sh('ip link del eth0');
    await eventually('it waits', () => p.state('10.1.0.0/16') === 'waiting');
    host.sh('ip link del eth1');
    await eventually('all wait', () => all('waiting'));
    assert.deepEqual(p.interfered, [], 'the kernel itself is nobody who interferes');
  });

  it('replaces next hops, kinds and metrics without a gap in both families', async () => {
    const { host } = twoUplinks();
    const p = await programmer(host);
    for (const [text, one, two] of [
      ['10.1.0.0/16', '192.0.2.2', '198.51.100.2'],
      ['2001:db8:a::/48', '2001:db8::2', '2001:db8:1::2'],
    ] as const) {
      const both = p.via(['eth0', one], ['eth1', two]);
      p.routes.setRoute(prefix(text), 'bgp', p.via(['eth0', one]));
      p.settle();
      const seen = witness(host);
      for (const target of [
        both,
        p.via(['eth1', two]),
        both,
        p.via(['eth0', one, 2], ['eth1', two, 1]),
        p.via(['eth1', two]),
        { kind: 'blackhole', nextHops: [] },
        both,
        p.via(['eth1', undefined]),
        p.via(['eth0', one]),
      ] as RouteTarget[]) {
        p.routes.setRoute(prefix(text), 'bgp', target);
        p.settle();
        assert.equal(p.state(text), 'installed', JSON.stringify(target));
        assert.equal(seen.take().deleted, 0, `${text} ${JSON.stringify(target)}`);
        // One route, with just these next hops: nothing appended.
        const lines = host
          .run('ip', '-o', text.includes(':') ? '-6' : '-4', 'route', 'show', text)
          .trim()
          .split('\n');
        assert.equal(lines.length, 1, lines.join('\n'));
        assert.equal(
          (lines[0] ?? '').split('nexthop').length - 1 || 1,
          Math.max(1, target.nextHops.length),
          lines.join(),
        );
      }
      // Another metric is another route: the new one comes before the old one goes.
      p.routes.setRoute(prefix(text), 'bgp', { ...both, metric: 512 });
      p.settle();
      assert.deepEqual(seen.take(), { added: 1, deleted: 1 });
      assert.match(show(host, text.includes(':') ? '-6' : '-4', 'route', 'show', text), /metric 512/);
      seen.close();
    }
  });

  it("one refused route holds nothing else back, is listed with the kernel's words and retried with back-off", async () => {
    const { host } = twoUplinks();
    const kernel = KernelWatch.open({ netns: host.path });
    open.push(kernel);
    let now = 0;
    const routes = new RouteTable(kernel, { clock: () => now });
    await kernel.start();
    const eth0 = kernel.links.byName('eth0')?.ifindex ?? 0;
    const good: RouteTarget = {
      kind: 'unicast',
      nextHops: [{ ifindex: eth0, gateway: address('192.0.2.2') }],
    };
    for (let i = 0; i < 300; i++)
      routes.setRoute(prefix(`10.0.${i % 256}.${i < 256 ? 0 : 128}/25`), 'bgp', good);
    routes.setRoute(prefix('10.200.0.0/16'), 'bgp', {
      kind: 'unicast',
      nextHops: [{ ifindex: eth0, gateway: address('203.0.113.1') }],
    });
    for (let i = 0; i < 300; i++)
      routes.setRoute(prefix(`10.1.${i % 256}.${i < 256 ? 0 : 128}/25`), 'bgp', good);
    let result = routes.apply(0);
    while (result.more) result = routes.apply(0);
    assert.equal(routeCounts(routes, 'ipv4').installed, 600);
    const failure = routeFailures(routes);
    assert.deepEqual(
      failure.map(({ prefix: at, code, text, attempts }) => [formatPrefix(at), code, text, attempts]),
      [['10.200.0.0/16', 'ENETUNREACH', 'Nexthop has invalid gateway', 1]],
    );
    assert.equal(result.retryAtMs, 250);
    now = 249;
    assert.deepEqual(routes.apply(0), { more: false, written: 0, failed: 0, retryAtMs: 250 });
    now = 250;
    assert.deepEqual(routes.apply(0), { more: false, written: 0, failed: 1, retryAtMs: 750 });
    now = 750;
    assert.equal(routes.apply(0).retryAtMs, 1750);
    host.sh('ip address add 203.0.113.2/24 dev eth0');
    await eventually('an address event makes it try again at once', () => {
      routes.apply(0);
      return routeFailures(routes).length === 0;
    });
    routes.close();
  });

  it('does not fight at full speed with somebody who keeps deleting a route', async () => {
    const { host } = twoUplinks();
    const kernel = KernelWatch.open({ netns: host.path });
    open.push(kernel);
    let now = 0;
    const routes = new RouteTable(kernel, { clock: () => now });
    await kernel.start();
    const eth0 = kernel.links.byName('eth0')?.ifindex ?? 0;
    const at = prefix('10.1.0.0/16');
    routes.setRoute(at, 'bgp', {
      kind: 'unicast',
      nextHops: [{ ifindex: eth0, gateway: address('192.0.2.2') }],
    });
    routes.apply(0);
    for (let round = 1; round <= 5; round++) {
      host.sh('ip route del 10.1.0.0/16');
      assert.equal(routes.apply(0).written, 1, `round ${round}`);
    }
    host.sh('ip route del 10.1.0.0/16');
    assert.deepEqual(routes.apply(0), { more: false, written: 0, failed: 0, retryAtMs: 250 });
    assert.equal(viewOfPrefix(routes, at)?.state, 'pending');
    now = 250;
    assert.equal(routes.apply(0).written, 1);
    host.sh('ip route del 10.1.0.0/16');
    assert.equal(routes.apply(0).retryAtMs, 750);
    assert.equal(routes.interferences, 7);
    routes.close();
  });

  it('reads everything again when notifications were lost', async () => {
    const { host } = twoUplinks();
    const kernel = KernelWatch.open({ netns: host.path, bufferBytes: 4096 });
    open.push(kernel);
    let reads = 0;
    kernel.listen({
      readEnd: () => {
        reads++;
      },
    });
    const routes = new RouteTable(kernel);
    await kernel.start();
    const eth0 = kernel.links.byName('eth0')?.ifindex ?? 0;
    const target: RouteTarget = {
      kind: 'unicast',
      nextHops: [{ ifindex: eth0, gateway: address('192.0.2.2') }],
    };
    for (let i = 0; i < 256; i++) routes.setRoute(prefix(`10.0.${i}.0/24`), 'bgp', target);
    while (routes.apply(1000).more);
    const readsBefore = reads;
    // One process, so this one hears nothing until all is done: far more than the buffer holds.
    host.run('sh', '-c', 'for i in $(seq 0 255); do echo "route del 10.0.$i.0/24"; done | ip -batch -');
    host.sh('ip route add 172.16.0.0/12 via 192.0.2.2');
    await eventually('all are back', () => {
      while (routes.apply(100).more);
      return routeCounts(routes, 'ipv4').installed === 256 && reads > readsBefore;
    });
    assert.equal(host.sh('ip route show proto 171').trim().split('\n').length, 256);
    assert.equal(foreignRoutesOfAddress(routes, address('172.16.0.1'))[0]?.owner, 'boot');
    routes.close();
  });

  it('follows next hops as links, addresses and foreign routes come and go', async () => {
    const { host, peer } = twoUplinks();
    const p = await programmer(host);
    const tracker = new NextHopTracker(p.kernel);
    open.push(tracker);
    const changes: NextHopResolution[] = [];
    const onLink = tracker.track(address('192.0.2.2'), 0, (r) => changes.push(r));
    const eth0 = p.ifindex('eth0');
    const direct = {
      reachable: true,
      via: 'connected',
      nextHops: [{ ifindex: eth0, gateway: address('192.0.2.2'), weight: 1 }],
      metric: 0,
    };
    assert.deepEqual(onLink.resolution, direct);
    peer.sh('ip link set eth0 down');
    await eventually('carrier loss is seen', () => changes.length === 1 && !onLink.resolution.reachable);
    peer.sh('ip link set eth0 up');
    await eventually('carrier is back', () => onLink.resolution.reachable);
    assert.deepEqual(onLink.resolution, direct);
    const far = tracker.track(address('203.0.113.7'), 0, () => {});
    assert.deepEqual(far.resolution, { reachable: false, reason: 'no-route' });
    p.routes.setRoute(prefix('203.0.113.0/24'), 'bgp', p.via(['eth0', '192.0.2.2']));
    p.settle();
    assert.deepEqual(far.resolution, { reachable: false, reason: 'no-route' }, 'never over our own routes');
    host.sh('ip route add 203.0.113.0/25 via 198.51.100.2');
    await eventually('the foreign route is used', () => far.resolution.reachable);
    const routed: NextHopResolution = tracker.resolve(address('203.0.113.7'));
    assert.ok(routed.reachable && routed.via === 'routed');
    assert.deepEqual(routed.nextHops[0]?.gateway, address('198.51.100.2'));
    host.sh('ip route add blackhole 203.0.113.7/32');
    await eventually(
      'the more specific one wins',
      () => !far.resolution.reachable && far.resolution.reason === 'rejected',
    );
    host.sh('ip route del blackhole 203.0.113.7/32');
    host.sh('ip address del 198.51.100.1/24 dev eth1');
    await eventually(
      'gone with its address',
      () => !far.resolution.reachable && far.resolution.reason === 'no-route',
    );
    assert.deepEqual(tracker.resolve(address('192.0.2.1')), { reachable: false, reason: 'own-address' });
    assert.deepEqual(tracker.resolve(address('fe80::1')), { reachable: false, reason: 'interface-needed' });
    assert.ok(tracker.resolve(address('fe80::1'), eth0).reachable);
    onLink.release();
    far.release();
  });
});
