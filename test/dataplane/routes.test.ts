import assert from 'node:assert/strict';
import {
  listRoutes,
  routeConflicts,
  routeCounts,
  routeFailures,
  viewOfAddress,
  viewOfPrefix,
} from '../../fib/routes/inspect.ts';
import { takeOver } from '../../fib/routes/take-over.ts';
import type { RouteTarget } from '../../fib/routes/types.ts';
import { formatPrefix } from '../../src/net/prefix.ts';
import { PrefixTable } from '../../src/net/prefix-table.ts';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import { Programmer, RoutesBench, show, twoUplinks } from './routes-support.ts';

describe('fib/routes in a real kernel', () => {
  const bench = new RoutesBench();

  it('writes each kind of route in both families', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host);
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
    const next = new Programmer(host);
    next.isAutomatic = false;
    bench.opened(next);
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

  it('drops, or answers with an ICMP error, what is to go nowhere (blackhole, unreachable, prohibit)', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host);
    for (const [index, kind] of (['blackhole', 'unreachable', 'prohibit'] as const).entries()) {
      const texts = [`10.${index}.0.0/16`, `2001:db8:${index + 10}::/48`];
      for (const text of texts) p.routes.setRoute(prefix(text), 'block', { kind, nextHops: [] });
      p.settle();
      // What connect(2) of this host gets.
      const code = {
        blackhole: 'Invalid argument',
        unreachable: 'No route to host',
        prohibit: 'Permission denied',
      };
      for (const to of [`10.${index}.0.1`, `2001:db8:${index + 10}::1`]) {
        const family = to.includes(':') ? '-6' : '-4';
        const said = host.run('sh', '-c', `ip ${family} route get ${to} 2>&1 || true`);
        assert.match(said, new RegExp(`${code[kind]}|^${kind} `), `${kind} ${to}: ${said}`);
      }
      for (const text of texts) assert.equal(p.state(text), 'installed', `${kind} ${text}`);
    }
    for (const text of ['10.0.0.0/16', '2001:db8:a::/48']) {
      p.routes.setRoute(prefix(text), 'block', { kind: 'prohibit', nextHops: [] });
      p.settle();
      assert.equal(p.state(text), 'installed');
      assert.match(show(host, text.includes(':') ? '-6' : '-4', 'route', 'show', text), /^prohibit /);
    }
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
    const first = await bench.programmer(host);
    first.routes.setRoute(prefix('172.16.0.0/26'), 'block', { kind: 'blackhole', nextHops: [] });
    fill(first, 5000);
    first.settle();
    assert.equal(routeCounts(first.routes, 'ipv4').installed, 5001);
    assert.equal(routeCounts(first.routes, 'ipv6').installed, 5000);
    first.close();

    const seen = bench.witness(host);
    const second = await bench.programmer(host);
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
    const p = await bench.programmer(host);
    const seen = bench.witness(host);
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

  it('replaces next hops, kinds and metrics without a gap in both families', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host);
    for (const [text, one, two] of [
      ['10.1.0.0/16', '192.0.2.2', '198.51.100.2'],
      ['2001:db8:a::/48', '2001:db8::2', '2001:db8:1::2'],
    ] as const) {
      const both = p.via(['eth0', one], ['eth1', two]);
      p.routes.setRoute(prefix(text), 'bgp', p.via(['eth0', one]));
      p.settle();
      const seen = bench.witness(host);
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

  it('takes a prefix over from others on request only, and never from the kernel itself', async () => {
    const { host } = twoUplinks();
    host.sh('ip route add 10.9.0.0/16 via 198.51.100.2 metric 1024 proto static');
    host.sh('ip -6 route add 2001:db8:9::/48 via 2001:db8:1::2 proto bird');
    host.sh('ip route add 10.8.0.0/16 via 198.51.100.2');
    const p = await bench.programmer(host);
    const owners = (text: string): string => {
      const result = takeOver(p.routes, prefix(text));
      return result.ok ? result.taken.map(({ owner }) => owner).join() : result.reason;
    };
    for (const text of ['10.9.0.0/16', '10.8.0.0/16'])
      p.routes.setRoute(prefix(text), 'bgp', p.via(['eth0', '192.0.2.2']));
    for (const text of ['2001:db8:9::/48', '2001:db8::/64'])
      p.routes.setRoute(prefix(text), 'bgp', p.via(['eth0', '2001:db8::2']));
    p.settle();
    assert.equal(p.state('10.9.0.0/16'), 'blocked');
    const seen = bench.witness(host);
    assert.equal(owners('10.9.0.0/16'), 'static');
    assert.equal(owners('2001:db8:9::/48'), 'bird');
    assert.equal(owners('10.8.0.0/16'), 'boot');
    assert.match(owners('2001:db8::/64'), /^the kernel's own route/);
    assert.equal(owners('10.7.0.0/16'), 'we have no route for it');
    await eventually('ours are in', () =>
      ['10.9.0.0/16', '2001:db8:9::/48', '10.8.0.0/16'].every(
        (text) => p.state(text) === 'installed' && viewOfPrefix(p.routes, prefix(text))?.foreign.length === 0,
      ),
    );
    assert.equal(
      seen.take().deleted,
      1,
      'only the one that won is deleted, the others are replaced without a gap',
    );
    assert.equal(owners('10.9.0.0/16'), 'no route of others is in the way');
    for (const text of ['10.9.0.0/16', '10.8.0.0/16'])
      assert.equal(show(host, 'route', 'show', text), `${text} via 192.0.2.2 dev eth0 proto 171 metric 1024`);
    assert.match(
      show(host, '-6', 'route', 'show', '2001:db8:9::/48'),
      /^2001:db8:9::\/48 via 2001:db8::2 dev eth0 proto 171/,
    );
    assert.match(show(host, '-6', 'route', 'show', '2001:db8::/64'), /proto kernel/);
  });
});
