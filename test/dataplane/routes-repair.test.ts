import assert from 'node:assert/strict';
import {
  foreignRoutesOfAddress,
  routeCounts,
  routeFailures,
  viewOfPrefix,
} from '../../fib/routes/inspect.ts';
import { KernelWatch } from '../../fib/routes/kernel-watch.ts';
import { RouteTable } from '../../fib/routes/route-table.ts';
import type { RouteTarget, RouteView } from '../../fib/routes/types.ts';
import { formatPrefix } from '../../src/net/prefix.ts';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import type { Netns } from '../support/netns.ts';
import { RoutesBench, show, twoUplinks } from './routes-support.ts';

describe('fib/routes after changes by others, refusals and losses', () => {
  const bench = new RoutesBench();

  it('puts back what somebody deletes or changes, by event, and does not talk to itself', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host);
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

  for (const nextHopObjects of [true, false])
    it(`restores everything after link down and up, address loss, and a lost interface, ${nextHopObjects ? 'with' : 'without'} next-hop objects`, async () => {
      const { host } = twoUplinks();
      const p = await bench.programmer(host, { nextHopObjects });
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
      const multipath = viewOfPrefix(p.routes, prefix('10.2.0.0/16'));
      assert.equal(multipath?.state, 'partial');
      const out = (view: RouteView | undefined): (number | undefined)[] | undefined =>
        view?.out?.map(({ ifindex }) => ifindex);
      assert.deepEqual(out(multipath), [p.ifindex('eth0')]);
      assert.deepEqual(out(viewOfPrefix(p.routes, prefix('10.1.0.0/16'))), [p.ifindex('eth0')]);
      const { installed, partial, waiting, desired } = routeCounts(p.routes, 'ipv4');
      assert.deepEqual([installed, partial, waiting, desired], [0, 1, 1, 2]);
      assert.match(show(host, 'route', 'show', '10.2.0.0/16'), /via 198\.51\.100\.2 dev eth1/);
      host.sh('ip link set eth1 down');
      await eventually('all wait', () => all('waiting'));
      assert.deepEqual(routeFailures(p.routes), []);
      host.sh('ip link set eth0 up');
      host.sh('ip link set eth1 up');
      host.sh('ip address add 2001:db8:1::1/64 dev eth1 nodad');
      await eventually('all are back', () => all('installed'));
      assert.equal(show(host, 'route', 'show', 'proto', '171'), before);
      host.sh('ip address del 192.0.2.1/24 dev eth0');
      if (nextHopObjects) {
        // The kernel keeps routes by objects; who follows next hops takes them out.
        assert.equal(p.state('10.1.0.0/16'), 'installed');
      } else {
        await eventually('the route is refused', () => p.state('10.1.0.0/16') === 'failed');
        const [failure] = routeFailures(p.routes);
        assert.equal(failure?.code, 'ENETUNREACH');
        assert.match(failure.text, /gateway/i);
      }
      host.sh('ip address add 192.0.2.1/24 dev eth0');
      await eventually('it is back', () => all('installed'));
      assert.equal(show(host, 'route', 'show', 'proto', '171'), before);
      host.sh('ip link del eth0');
      await eventually('it waits', () => p.state('10.1.0.0/16') === 'waiting');
      host.sh('ip link del eth1');
      await eventually('all wait', () => all('waiting'));
      assert.deepEqual(p.interfered, [], 'the kernel itself is nobody who interferes');
    });

  it('a preferred source that goes takes its routes along without a word, and brings them back', async () => {
    const { host } = twoUplinks();
    const sources = { ipv4: '192.0.2.77', ipv6: '2001:db8:77::1' };
    const add = (): void => {
      host.sh(`ip address add ${sources.ipv4}/32 dev lo`);
      host.sh(`ip -6 address add ${sources.ipv6}/128 dev lo nodad`);
    };
    add();
    const p = await bench.programmer(host);
    const texts = ['10.1.0.0/16', '2001:db8:a::/48'] as const;
    p.routes.setRoute(prefix(texts[0]), 'bgp', {
      ...p.via(['eth0', '192.0.2.2']),
      prefsrc: address(sources.ipv4),
    });
    p.routes.setRoute(prefix(texts[1]), 'bgp', {
      ...p.via(['eth0', '2001:db8::2']),
      prefsrc: address(sources.ipv6),
    });
    const all = (state: string): boolean => texts.every((text) => p.state(text) === state);
    p.settle();
    assert.ok(all('installed'));
    for (let round = 0; round < 2; round++) {
      host.sh(`ip address del ${sources.ipv4}/32 dev lo`);
      host.sh(`ip -6 address del ${sources.ipv6}/128 dev lo`);
      await eventually('both are refused', () => all('failed'));
      assert.equal(show(host, 'route', 'show', 'proto', '171'), '');
      // Far enough into the back-off to tell a retry from one that is due.
      await eventually('refused again and again', () =>
        routeFailures(p.routes).every(({ attempts }) => attempts >= 4),
      );
      add();
      await eventually('back at once', () => all('installed'), { timeoutMs: 1000 });
      assert.match(show(host, 'route', 'show', texts[0]), /src 192\.0\.2\.77/);
      assert.match(show(host, '-6', 'route', 'show', texts[1]), /src 2001:db8:77::1/);
    }
    assert.deepEqual(p.interfered, []);
  });

  it('a change that is refused does not make it forget the former metric', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host, { nextHopObjects: false });
    for (const [text, one, two, lost] of [
      ['10.1.0.0/16', '192.0.2.2', '198.51.100.2', '198.51.100.1/24'],
      ['2001:db8:b::/48', '2001:db8::2', '2001:db8:1::2', '2001:db8:1::1/64'],
    ] as const) {
      const at = prefix(text);
      const both = p.via(['eth0', one], ['eth1', two]);
      const single = p.via(['eth0', one]);
      const refused = p.via(['eth0', one, 3], ['eth1', two, 1]);
      const become = (target: RouteTarget): string | undefined => {
        p.routes.setRoute(at, 'bgp', target);
        p.settle();
        return p.state(text);
      };
      const metrics = (): (string | undefined)[] =>
        [
          ...show(host, text.includes(':') ? '-6' : '-4', 'route', 'show', text).matchAll(/metric (\d+)/g),
        ].map(([, metric]) => metric);
      assert.equal(become(both), 'installed');
      host.sh(`ip address del ${lost} dev eth1`);
      assert.equal(become(refused), 'failed');
      assert.equal(become({ ...single, metric: 512 }), 'installed');
      assert.deepEqual(metrics(), ['512']);
      // What was refused with another metric has not come, but what stood there has gone.
      assert.equal(become(single), 'installed');
      assert.equal(become({ ...refused, metric: 512 }), 'failed');
      assert.equal(become(single), 'installed');
      assert.deepEqual(metrics(), ['1024']);
      assert.equal(become(refused), 'failed');
      p.routes.removeRoute(at, 'bgp');
      p.settle();
      assert.deepEqual(metrics(), []);
    }
  });

  it('takes what stands there as surplus over without a gap when it comes to be wanted', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host, { nextHopObjects: false });
    for (const [text, one, two] of [
      ['10.1.0.0/16', '192.0.2.2', '198.51.100.2'],
      ['2001:db8:b::/48', '2001:db8::2', '2001:db8:1::2'],
    ] as const) {
      p.routes.setRoute(prefix(text), 'bgp', p.via(['eth0', one]));
      p.settle();
      p.isAutomatic = false;
      host.sh(`ip route add ${text} via ${two} metric 512 proto 171`);
      p.kernel.drain();
      const seen = bench.witness(host);
      p.routes.setRoute(prefix(text), 'bgp', { ...p.via(['eth1', two]), metric: 512 });
      p.settle();
      assert.equal(seen.take().deleted, 1);
      assert.equal(p.state(text), 'installed');
      const lines = show(host, text.includes(':') ? '-6' : '-4', 'route', 'show', text);
      assert.deepEqual(lines.match(/metric \d+/g), ['metric 512'], lines);
    }
  });

  it("one refused route holds nothing else back, is listed with the kernel's words and retried with back-off", async () => {
    const { host } = twoUplinks();
    const kernel = KernelWatch.open({ netns: host.path });
    bench.opened(kernel);
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
    bench.opened(kernel);
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

  /** A watch that a few notifications overrun, and a table on it. */
  async function shortOfHearing(host: Netns): Promise<{ kernel: KernelWatch; routes: RouteTable }> {
    const kernel = KernelWatch.open({ netns: host.path, bufferBytes: 4096 });
    bench.opened(kernel);
    const routes = new RouteTable(kernel);
    await kernel.start();
    return { kernel, routes };
  }

  it('reads everything again when notifications were lost', async () => {
    const { host } = twoUplinks();
    const { kernel, routes } = await shortOfHearing(host);
    let reads = 0;
    kernel.listen({
      readEnd: () => {
        reads++;
      },
    });
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

  it('does not take for its own route what stands there with another metric after notifications were lost', async () => {
    const { host } = twoUplinks();
    const { kernel, routes } = await shortOfHearing(host);
    const eth0 = kernel.links.byName('eth0')?.ifindex ?? 0;
    const via = (gateway: string): RouteTarget => ({
      kind: 'unicast',
      nextHops: [{ ifindex: eth0, gateway: address(gateway) }],
    });
    const replaced = [
      ['10.9.0.0/16', '192.0.2.2'],
      ['2001:db8:a::/48', '2001:db8::2'],
    ] as const;
    for (const [text, gateway] of replaced) routes.setRoute(prefix(text), 'bgp', via(gateway));
    for (let i = 0; i < 256; i++) routes.setRoute(prefix(`10.0.${i}.0/24`), 'bgp', via('192.0.2.2'));
    while (routes.apply(1000).more);
    // Heard of are the first deletions; ours go after them, and others of our protocol stand in their place.
    const batch = [
      ...Array.from({ length: 256 }, (_, i) => `route del 10.0.${i}.0/24`),
      ...replaced.flatMap(([text, gateway]) => [
        `route del ${text} metric 1024`,
        `route add ${text} via ${gateway} dev eth0 metric 512 proto 171`,
      ]),
    ];
    host.run('sh', '-c', `printf '%s\\n' ${batch.map((line) => `'${line}'`).join(' ')} | ip -batch -`);
    await eventually('all are back', () => {
      while (routes.apply(100).more);
      return routeCounts(routes, 'ipv4').installed === 257 && routeCounts(routes, 'ipv6').installed === 1;
    });
    for (const [text] of replaced) {
      const lines = show(host, text.includes(':') ? '-6' : '-4', 'route', 'show', text);
      assert.deepEqual(lines.match(/metric \d+/g), ['metric 1024'], lines);
    }
    routes.close();
  });
});
