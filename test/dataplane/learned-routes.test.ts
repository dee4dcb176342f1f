/** The bridge from the Loc-RIB to the kernel: what peers announce stands in a real kernel's table. */
import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import { connect, createNetns, type Netns } from '../support/netns.ts';
import { TestPeer } from '../unit/bgp/rib/support.ts';
import { fed, Neighbour } from './learned-support.ts';
import { RoutesBench, show, twoUplinks } from './routes-support.ts';

describe('src/agent/learned-routes in a real kernel', () => {
  const bench = new RoutesBench();

  it('IPv4 and IPv6 routes over the same link-local next hop on two links (RFC 8950)', async () => {
    const host = createNetns();
    const peers: Netns[] = [];
    for (const name of ['eth0', 'eth1']) {
      const peer = createNetns();
      peers.push(peer);
      connect({ netns: host, name }, { netns: peer, name: 'up0', addresses: ['fe80::1/64'] });
      peer.sh('ip address add 10.1.0.1/32 dev lo');
      peer.sh('ip address add 2001:db8:a::1/128 dev lo');
    }
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    const neighbours = ['eth0', 'eth1'].map(
      (name, index) =>
        new Neighbour(rib, { name, address: address('fe80::1'), interface: name, peerAs: 65001 + index }),
    );
    const kernel = (): string => show(host, 'route', 'show', '10.1.0.0/16');
    neighbours[0]?.announce(['10.1.0.0/16'], { nextHop: address('fe80::1') });
    await eventually('the IPv4 route is in', () => p.state('10.1.0.0/16') === 'installed');
    assert.match(kernel(), /via inet6 fe80::1 dev eth0 proto 171/);
    neighbours[1]?.announce(['10.1.0.0/16'], { nextHop: address('fe80::1') });
    await eventually('over both links', () => kernel().includes('dev eth0') && kernel().includes('dev eth1'));
    neighbours[0]?.withdraw(['10.1.0.0/16']);
    await eventually('over the other link', () => !kernel().includes('dev eth0'));
    assert.match(kernel(), /via inet6 fe80::1 dev eth1 proto 171/);
    neighbours[0]?.announce(['2001:db8:a::/48'], { nextHop: address('fe80::1') });
    await eventually('the IPv6 route is in', () => p.state('2001:db8:a::/48') === 'installed');
    assert.match(show(host, '-6', 'route', 'show', '2001:db8:a::/48'), /via fe80::1 dev eth0/);

    // With packets: the IPv4 ones leave over a link on which this host has no IPv4 address.
    host.sh('ip address add 192.0.2.7/32 dev lo');
    peers[1]?.sh('ip route add 192.0.2.7/32 via inet6 fe80::2 dev up0');
    host.sh('ip -6 address add fe80::2/64 dev eth1 nodad');
    host.sh('ping -c 1 -W 5 -I 192.0.2.7 10.1.0.1');

    // The link goes, and comes back as another one of the same name.
    host.sh('ip link del eth1');
    await eventually('no route over the lost link', () => kernel() === '');
    const again = createNetns();
    connect({ netns: host, name: 'eth1' }, { netns: again, name: 'up0', addresses: ['fe80::1/64'] });
    await eventually('back over the new link', () => /via inet6 fe80::1 dev eth1/.test(kernel()));
  });

  it('next-hop objects with an IPv6 gateway serve IPv4 routes, also of a foreign daemon', async () => {
    const host = createNetns();
    const peer = createNetns();
    connect({ netns: host, name: 'eth0' }, { netns: peer, name: 'up0', addresses: ['fe80::1/64'] });
    host.sh('ip nexthop add id 7 via fe80::1 dev eth0');
    host.sh('ip route add 203.0.113.0/24 nhid 7 proto static');
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    new Neighbour(rib, { peerAs: 65001 }).announce(['10.1.0.0/16'], { nextHop: address('203.0.113.1') });
    await eventually('the route is in', () => p.state('10.1.0.0/16') === 'installed');
    assert.match(show(host, 'route', 'show', '10.1.0.0/16'), /via inet6 fe80::1 dev eth0 proto 171/);
    assert.equal(
      p.kernel.foreign.ipv4.at(p.kernel.foreign.ipv4.table.findPrefix(prefix('203.0.113.0/24'))).length,
      1,
    );
  });

  it('next hops behind learned routes are found by them, and no route leads to itself', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    const external = new Neighbour(rib, { name: 'external', peerAs: 65001 });
    const internal = new Neighbour(rib, { name: 'internal', address: address('192.0.2.9'), peerAs: 64500 });
    const kernel = (text: string): string => show(host, 'route', 'show', text);
    internal.announce(['10.1.0.0/16'], { nextHop: address('203.0.113.7') });
    internal.announce(['2001:db8:a::/48'], { nextHop: address('2001:db8:9::7') });
    external.announce(['203.0.113.0/24'], { nextHop: address('192.0.2.2') });
    external.announce(['2001:db8:9::/48'], { nextHop: address('2001:db8::2') });
    await eventually(
      'both families are found',
      () => p.state('10.1.0.0/16') === 'installed' && p.state('2001:db8:a::/48') === 'installed',
    );
    assert.match(kernel('10.1.0.0/16'), /via 192\.0\.2\.2 dev eth0/);
    assert.match(show(host, '-6', 'route', 'show', '2001:db8:a::/48'), /via 2001:db8::2 dev eth0/);

    // A longer route whose next hop is inside of it is passed over.
    internal.announce(['203.0.113.0/25'], { nextHop: address('203.0.113.7') });
    await eventually('it is found by the shorter one', () => p.state('203.0.113.0/25') === 'installed');
    external.announce(['203.0.113.0/24'], { nextHop: address('198.51.100.2') });
    await eventually('both follow', () =>
      ['10.1.0.0/16', '203.0.113.0/25'].every((text) => kernel(text).includes('via 198.51.100.2 dev eth1')),
    );
    host.sh('ip route add 203.0.113.0/26 via 192.0.2.2');
    await eventually('a longer route of the kernel wins', () =>
      kernel('10.1.0.0/16').includes('via 192.0.2.2'),
    );
    host.sh('ip route del 203.0.113.0/26');
    await eventually('and gives way', () => kernel('10.1.0.0/16').includes('via 198.51.100.2'));
    external.withdraw(['203.0.113.0/24']);
    await eventually('nothing is left of them', () =>
      ['10.1.0.0/16', '203.0.113.0/25'].every((text) => kernel(text) === ''),
    );

    // Two that would need each other.
    internal.announce(['198.18.0.0/16'], { nextHop: address('198.19.0.1') });
    internal.announce(['198.19.0.0/16'], { nextHop: address('198.18.0.1') });
    internal.announce(['10.2.0.0/16'], { nextHop: address('192.0.2.2') });
    await eventually('what can be found is in', () => p.state('10.2.0.0/16') === 'installed');
    assert.equal(kernel('198.18.0.0/16') + kernel('198.19.0.0/16'), '');
    external.announce(['198.18.0.0/15'], { nextHop: address('192.0.2.2') });
    await eventually('both by a third', () =>
      ['198.18.0.0/16', '198.19.0.0/16'].every((text) => kernel(text).includes('via 192.0.2.2 dev eth0')),
    );
    host.sh('ip link set eth0 down');
    await eventually('and out with its link', () => kernel('198.18.0.0/16') === '');
  });

  it('another protocol, metric and table, a preferred source; next hops are still looked up in the main table', async () => {
    const { host } = twoUplinks();
    host.sh('ip address add 192.0.2.77/32 dev lo');
    host.sh('ip -6 address add 2001:db8:77::1/128 dev lo nodad');
    host.sh('ip route add 203.0.113.0/24 via 198.51.100.2');
    host.sh('ip route add 10.1.0.0/16 via 198.51.100.2 metric 77');
    host.sh('ip rule add to 10.0.0.0/8 lookup 1007');
    const p = await bench.programmer(host, {
      protocol: 172,
      table: 1007,
      metric: 77,
      preferredSource: { ipv4: address('192.0.2.77'), ipv6: address('2001:db8:77::1') },
    });
    const neighbour = new Neighbour(fed(bench, p), { peerAs: 65001 });
    neighbour.announce(['10.1.0.0/16'], { nextHop: address('203.0.113.7') });
    neighbour.announce(['10.2.0.0/16'], { nextHop: address('2001:db8::2') });
    neighbour.announce(['2001:db8:a::/48'], { nextHop: address('2001:db8::2') });
    await eventually('all are in', () =>
      ['10.1.0.0/16', '10.2.0.0/16', '2001:db8:a::/48'].every((text) => p.state(text) === 'installed'),
    );
    assert.equal(
      show(host, 'route', 'show', 'table', '1007'),
      '10.1.0.0/16 via 198.51.100.2 dev eth1 proto 172 src 192.0.2.77 metric 77 ' +
        '10.2.0.0/16 via inet6 2001:db8::2 dev eth0 proto 172 src 192.0.2.77 metric 77',
    );
    assert.match(
      show(host, '-6', 'route', 'show', 'table', '1007'),
      /^2001:db8:a::\/48 via 2001:db8::2 dev eth0 proto 172 src 2001:db8:77::1 metric 77/,
    );
    assert.equal(show(host, 'route', 'show', 'proto', '172'), '', 'nothing in the main table');
    assert.match(show(host, 'route', 'get', '10.2.3.4'), /src 192\.0\.2\.77/);
    for (const line of host.sh('ip nexthop show').trim().split('\n')) assert.match(line, /proto 172/);
    host.sh('ip route del 203.0.113.0/24');
    await eventually('it goes with the way to its next hop', () => p.state('10.1.0.0/16') === undefined);
    assert.match(show(host, 'route', 'show', '10.1.0.0/16'), /via 198\.51\.100\.2 dev eth1 metric 77/);
  });

  it('paths that carry a link bandwidth share the traffic in proportion (RFC 10005), over their next hops\u2019 links', async () => {
    const { host } = twoUplinks();
    host.sh('ip route add 203.0.113.0/24 nexthop via 192.0.2.2 weight 3 nexthop via 198.51.100.2');
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    const peers = ['192.0.2.9', '192.0.2.10'].map(
      (text, index) => new Neighbour(rib, { name: text, address: address(text), peerAs: 65001 + index }),
    );
    const gigabits = (count: number): { extendedCommunities: readonly bigint[] } => {
      const float = new DataView(new ArrayBuffer(4));
      float.setFloat32(0, (count * 1e9) / 8);
      return { extendedCommunities: [(0x4004_fde9n << 32n) | BigInt(float.getUint32(0))] };
    };
    const kernel = (text: string): string =>
      /weight.*/.exec(show(host, 'route', 'show', text).replaceAll(/via \S+ /g, ''))?.[0] ?? '';
    for (const [index, nextHop] of ['192.0.2.2', '198.51.100.2'].entries()) {
      peers[index]?.announce(['10.1.0.0/16'], {
        nextHop: address(nextHop),
        ...gigabits(index === 0 ? 40 : 10),
      });
      peers[index]?.announce(['10.2.0.0/16'], {
        nextHop: address(nextHop),
        ...(index === 0 && gigabits(40)),
      });
      peers[index]?.announce(['2001:db8:a::/48'], {
        nextHop: address(index === 0 ? '2001:db8::2' : '2001:db8:1::2'),
        ...gigabits(index === 0 ? 10 : 25),
      });
    }
    // What is found by a route that shares so does too.
    peers[0]?.announce(['10.4.0.0/16'], { nextHop: address('10.1.0.7') });
    // 40 over a way of two links that has 3 to 1 of its own, and 10 over the second of them alone: 30 to 20.
    peers[0]?.announce(['10.3.0.0/16'], { nextHop: address('203.0.113.7'), ...gigabits(40) });
    peers[1]?.announce(['10.3.0.0/16'], { nextHop: address('198.51.100.2'), ...gigabits(10) });
    await eventually('all are in', () =>
      ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16', '10.4.0.0/16', '2001:db8:a::/48'].every(
        (text) => p.state(text) === 'installed',
      ),
    );
    assert.match(kernel('10.1.0.0/16'), /^weight 4 nexthop dev eth1 weight 1$/);
    assert.match(kernel('10.4.0.0/16'), /^weight 4 nexthop dev eth1 weight 1$/);
    assert.match(kernel('10.2.0.0/16'), /^weight 1 nexthop dev eth1 weight 1$/);
    assert.match(show(host, '-6', 'route', 'show', '2001:db8:a::/48'), /eth0 weight 2 .*eth1 weight 5/);
    assert.match(kernel('10.3.0.0/16'), /^weight 3 nexthop dev eth1 weight 2$/);
    peers[0]?.announce(['10.1.0.0/16'], { nextHop: address('192.0.2.2'), ...gigabits(25) });
    await eventually('it follows', () =>
      kernel('10.1.0.0/16').startsWith('weight 5 nexthop dev eth1 weight 2'),
    );
  });

  it('others hear of what the kernel has taken, and no more when it is kept out; what it has already counts', async () => {
    const { host } = twoUplinks();
    const foreign = ['10.1.0.0/16 via 198.51.100.2', '2001:db8:a::/48 via 2001:db8:1::2'];
    for (const each of foreign) host.sh(`ip route add ${each} metric 1024`);
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    const from = new Neighbour(rib, { name: 'from', peerAs: 65001 });
    const to = new TestPeer(rib, { name: 'to', address: address('192.0.2.9'), peerAs: 65009 });
    const isTold = (...wanted: string[]): boolean => [...to.read().keys()].sort().join() === wanted.join();
    from.announce(['10.1.0.0/16', '10.2.0.0/16'], { nextHop: address('192.0.2.2') });
    from.announce(['2001:db8:a::/48', '2001:db8:b::/48'], { nextHop: address('2001:db8::2') });
    await eventually('what is free is told', () => isTold('10.2.0.0/16', '2001:db8:b::/48'));
    assert.equal(p.state('10.1.0.0/16'), 'blocked');
    assert.equal(to.receiver.endOfRib.size, 2, 'what is kept out holds up nothing');
    for (const each of foreign) host.sh(`ip route del ${each}`);
    const all = ['10.1.0.0/16', '10.2.0.0/16', '2001:db8:a::/48', '2001:db8:b::/48'];
    await eventually('the rest follows', () => isTold(...all));

    from.announce(['10.1.0.0/16', '10.2.0.0/16'], { nextHop: address('198.51.100.2') });
    assert.equal(to.read().size, 4);
    await eventually('over the other link', () =>
      show(host, 'route', 'show', '10.2.0.0/16').includes('eth1'),
    );
    host.sh('ip route del 10.2.0.0/16');
    await eventually('put right', () => show(host, 'route', 'show', '10.2.0.0/16').includes('proto 171'));
    assert.equal(to.read().size, 4);
    assert.equal(to.receiver.withdrawn, 0, 'nobody noticed');
    host.sh('ip route replace 10.1.0.0/16 via 192.0.2.2 metric 1024');
    await eventually('another one took its place', () => isTold(...all.slice(1)));

    // The next life finds one with another next hop than it will want, before it has written anything.
    p.close();
    const next = await bench.programmer(host);
    next.isAutomatic = false;
    const again = fed(bench, next);
    const late = new TestPeer(again, { name: 'late', address: address('192.0.2.9'), peerAs: 65009 });
    const sender = new Neighbour(again, { name: 'from', peerAs: 65001 });
    sender.announce(['10.2.0.0/16', '10.3.0.0/16'], { nextHop: address('192.0.2.2') });
    await eventually('its next hop is found', () => late.read().size > 0);
    assert.deepEqual([...late.read().keys()], ['10.2.0.0/16']);
    assert.deepEqual([...late.receiver.endOfRib], ['ipv6'], 'IPv4 waits for 10.3.0.0/16');
    next.settle();
    assert.deepEqual([...late.read().keys()].sort(), ['10.2.0.0/16', '10.3.0.0/16']);
    assert.equal(late.receiver.endOfRib.size, 2);
  });

  it('what the kernel refuses is not told either, until it takes it', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host, { preferredSource: { ipv4: address('192.0.2.77') } });
    const rib = fed(bench, p);
    const to = new TestPeer(rib, { name: 'to', address: address('192.0.2.9'), peerAs: 65009 });
    const from = new Neighbour(rib, { name: 'from', peerAs: 65001 });
    from.announce(['10.1.0.0/16'], { nextHop: address('192.0.2.2') });
    await eventually('no such source', () => p.state('10.1.0.0/16') === 'failed');
    assert.equal(to.read().size, 0);
    assert.equal(to.receiver.endOfRib.size, 2);
    host.sh('ip address add 192.0.2.77/32 dev lo');
    await eventually('told', () => to.read().size === 1);
    assert.equal(p.state('10.1.0.0/16'), 'installed');

    // With the waiting turned off.
    host.sh('ip route add 10.2.0.0/16 via 198.51.100.2 metric 1024');
    const hasty = fed(bench, await bench.programmer(host), 2, true);
    const third = new TestPeer(hasty, { name: 'to', address: address('192.0.2.9'), peerAs: 65009 });
    new Neighbour(hasty, { peerAs: 65001 }).announce(['10.2.0.0/16'], { nextHop: address('192.0.2.2') });
    await eventually('told all the same', () => third.read().size === 1);
  });
});
