/** Two routers, a thousand routes over both: one is lost, and the traffic is on the other before any route has been touched. */
import assert from 'node:assert/strict';
import type { Rib } from '../../bgp/rib/rib.ts';
import { eventually } from '../support/eventually.ts';
import { address } from '../support/net.ts';
import { connect, createNetns, type Netns } from '../support/netns.ts';
import { Stream } from '../support/stream.ts';
import { fed, Neighbour } from './learned-support.ts';
import { type Programmer, RoutesBench, show } from './routes-support.ts';

const COUNT = 1000;
const PREFIXES = {
  ipv4: Array.from({ length: COUNT }, (_, i) => `10.${i >> 8}.${i & 0xff}.0/24`),
  ipv6: Array.from({ length: COUNT }, (_, i) => `2001:db8:${(0x1000 + i).toString(16)}::/48`),
};
/** What asks the kernel for all of them is not asked all the time. */
const SLOWLY = { timeoutMs: 20_000, intervalMs: 200 };
const TARGETS = ['10.0.7.1', '2001:db8:1007::1'];

interface Router {
  readonly netns: Netns;
  /** of the host, towards it */
  readonly device: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly neighbour: Neighbour;
}

describe('failing over between two routers', function () {
  this.timeout(60_000);
  const bench = new RoutesBench();

  /** A host, two routers, and a server behind both. */
  async function site(): Promise<{ host: Netns; server: Netns; p: Programmer; rib: Rib; routers: Router[] }> {
    const host = createNetns();
    const server = createNetns();
    for (const target of TARGETS)
      server.sh(`ip address add ${target}/${target.includes(':') ? 128 : 32} dev lo`);
    const links = [0, 1].map((index) => {
      const netns = createNetns();
      const device = `eth${index}`;
      const net = { ipv4: `192.0.${2 + index}`, ipv6: `2001:db8:${index}:` };
      connect(
        { netns: host, name: device, addresses: [`${net.ipv4}.1/24`, `${net.ipv6}:1/64`] },
        { netns, name: 'down0', addresses: [`${net.ipv4}.2/24`, `${net.ipv6}:2/64`] },
      );
      connect(
        { netns, name: 'up0', addresses: [`198.51.${index}.1/24`, `2001:db8:${index + 8}::1/64`] },
        { netns: server, name: device, addresses: [`198.51.${index}.2/24`, `2001:db8:${index + 8}::2/64`] },
      );
      netns.sysctl('net.ipv4.ip_forward', 1);
      netns.sysctl('net.ipv6.conf.all.forwarding', 1);
      netns.sh(`ip route add 10.0.0.0/8 via 198.51.${index}.2`);
      netns.sh(`ip -6 route add 2001:db8:1000::/36 via 2001:db8:${index + 8}::2`);
      return { netns, device, ipv4: `${net.ipv4}.2`, ipv6: `${net.ipv6}:2` };
    });
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    const routers = links.map((link, index) => {
      const { ipv4 } = link;
      const neighbour = new Neighbour(rib, {
        name: link.device,
        address: address(ipv4),
        peerAs: 65001 + index,
      });
      return { ...link, neighbour };
    });
    for (const router of routers) announce(router);
    await installed(p);
    // Until its link-local address is known to be the only one (RFC 4862 5.4), nobody asks for neighbours.
    for (const netns of [host, server, ...links.map((link) => link.netns)])
      await eventually(
        'no address is tentative',
        () => netns.sh('ip -6 address show tentative').trim() === '',
      );
    return { host, server, p, rib, routers };
  }

  function announce({ neighbour, ipv4, ipv6 }: Router): void {
    neighbour.announce(PREFIXES.ipv4, { nextHop: address(ipv4) });
    neighbour.announce(PREFIXES.ipv6, { nextHop: address(ipv6) });
  }

  const installed = (p: Programmer): Promise<unknown> =>
    eventually('all routes are in', () => counts(p).every((count) => count === COUNT), SLOWLY);

  function counts({ routes }: Programmer): number[] {
    return (['ipv4', 'ipv6'] as const).map((family) => {
      let count = 0;
      const { table } = routes.families[family];
      for (let id = 0; id < table.idLimit; id++) {
        if (
          table.has(id) &&
          routes.isWanted(routes.families[family], id, routes.families[family].kernelAt(id))
        )
          count++;
      }
      return count;
    });
  }

  const groups = (host: Netns): string[] =>
    host
      .sh('ip nexthop show')
      .split('\n')
      .filter((line) => line.includes('group'));
  const routesOver = (host: Netns, device: string): number =>
    ['-4', '-6'].reduce(
      (sum, family) =>
        sum +
        show(host, family, 'route', 'show', 'proto', '171').split(new RegExp(`dev ${device}\\b`)).length -
        1,
      0,
    );

  const stream = (host: Netns, server: Netns): Promise<Stream> =>
    Stream.start(
      'host to server',
      ([command = '', ...args]) => host.spawn(command, ...args),
      ([command = '', ...args]) => server.spawn(command, ...args),
      TARGETS,
    );

  it('a session is reset: one message takes the router out of a thousand routes, and it comes back without loss', async () => {
    const { host, server, p, routers } = await site();
    const packets = bench.opened(await stream(host, server));
    assert.equal(groups(host).length, 2, 'one group for each family');
    for (const router of routers) {
      const { written } = p;
      router.netns.sysctl('net.ipv4.ip_forward', 0);
      router.neighbour.down();
      // Nothing has had its turn since.
      assert.equal(p.written, written);
      assert.equal(show(host, 'route', 'get', '10.0.7.1').includes(`dev ${router.device} `), false);
      assert.deepEqual(
        groups(host)
          .map((line) => line.split('/').length)
          .sort(),
        [1, 2],
      );
      await eventually('the routes are tidied', () => routesOver(host, router.device) === 0, SLOWLY);
      assert.deepEqual(counts(p), [COUNT, COUNT]);
      router.netns.sysctl('net.ipv4.ip_forward', 1);
      router.neighbour.up();
      announce(router);
      await eventually('both routers again', () => routesOver(host, router.device) === 2 * COUNT, {
        timeoutMs: 20_000,
      });
    }
    const { sent, lost } = await packets.end();
    assert.ok(lost.ipv4 < 1000 && lost.ipv4 < sent.ipv4 / 2, JSON.stringify({ sent, lost }));
    // IPv6 was never blocked: taking out and putting back loses nothing by itself.
    assert.equal(lost.ipv6, 0, JSON.stringify({ sent, lost }));
    await eventually('no object is left over', () => groups(host).length === 2);
  });

  it('the link to a router loses its carrier: the other one has the traffic', async () => {
    const { host, server, p, routers } = await site();
    const packets = bench.opened(await stream(host, server));
    for (const router of routers) {
      router.netns.sh('ip link set down0 down');
      await eventually('the routes are tidied', () => routesOver(host, router.device) === 0, {
        timeoutMs: 20_000,
      });
      await installed(p);
      assert.equal(show(host, 'route', 'get', '10.0.7.1').includes(`dev ${router.device} `), false);
      router.neighbour.down();
      router.netns.sh('ip link set down0 up');
      router.netns.sh(`ip address add ${router.ipv6}/64 dev down0 nodad`);
      router.neighbour.up();
      announce(router);
      await eventually('both routers again', () => routesOver(host, router.device) === 2 * COUNT, {
        timeoutMs: 20_000,
      });
    }
    const { sent, lost } = await packets.end();
    // The kernel tells of a lost carrier up to a second late.
    assert.ok(lost.ipv4 < 3000 && lost.ipv6 < 3000, JSON.stringify({ sent, lost }));
  });

  it('own objects are known by their protocol, adopted with their routes without a write, and swept when no route is left', async () => {
    const { host, p, rib } = await site();
    host.sh('ip nexthop add id 7 via 192.0.2.2 dev eth0 proto static');
    const objects = host.sh('ip nexthop show proto 171');
    assert.equal(objects.trim().split('\n').length, 6, objects);
    const kernel =
      show(host, 'route', 'show', 'proto', '171') + show(host, '-6', 'route', 'show', 'proto', '171');
    const seen = bench.witness(host);
    p.close();
    const next = await bench.programmer(host);
    const again = fed(bench, next);
    for (const [index, device] of ['eth0', 'eth1'].entries()) {
      const neighbour = new Neighbour(again, {
        name: device,
        address: address(`192.0.${2 + index}.2`),
        peerAs: 65001 + index,
      });
      neighbour.announce(PREFIXES.ipv4, { nextHop: address(`192.0.${2 + index}.2`) });
      neighbour.announce(PREFIXES.ipv6, { nextHop: address(`2001:db8:${index}::2`) });
    }
    await installed(next);
    next.routes.sweep('ipv4', 'learned');
    next.routes.sweep('ipv6', 'learned');
    next.settle();
    assert.equal(next.written, 0);
    assert.deepEqual(seen.take(), { added: 0, deleted: 0 });
    assert.equal(host.sh('ip nexthop show proto 171'), objects);
    assert.equal(
      show(host, 'route', 'show', 'proto', '171') + show(host, '-6', 'route', 'show', 'proto', '171'),
      kernel,
    );
    // Somebody deletes an object, and with it all its routes.
    const [group] = groups(host);
    host.sh(`ip nexthop del id ${/\bid (\d+)/.exec(group ?? '')?.[1] ?? ''}`);
    await eventually('the routes are back', () => routesOver(host, 'eth0') === 2 * COUNT, SLOWLY);
    await installed(next);
    for (const family of ['ipv4', 'ipv6'] as const) {
      const table = again.prefixTable(family);
      for (let id = 0; id < table.idLimit; id++) if (table.has(id)) next.routes.removeLearned(table, id);
    }
    await eventually('nothing of ours is left', () => host.sh('ip nexthop show proto 171') === '');
    assert.match(host.sh('ip nexthop show'), /^id 7 /);
    assert.ok(rib.sizes.prefixes.ipv4 > 0);
  });
});
