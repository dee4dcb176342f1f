import assert from 'node:assert/strict';
import { type NextHopResolution, NextHopTracker } from '../../fib/routes/next-hops.ts';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import { RoutesBench, twoUplinks } from './routes-support.ts';

describe('fib/routes next hops in a real kernel', () => {
  const bench = new RoutesBench();

  it('follows next hops as links, addresses and foreign routes come and go', async () => {
    const { host, peer } = twoUplinks();
    const p = await bench.programmer(host);
    const tracker = new NextHopTracker(p.kernel);
    bench.opened(tracker);
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

  it('a foreign route that is more specific than the subnet leads elsewhere, as in the kernel itself', async () => {
    const { host } = twoUplinks();
    const p = await bench.programmer(host);
    const tracker = new NextHopTracker(p.kernel);
    bench.opened(tracker);
    const linkOf = (text: string): number | undefined => {
      const found = tracker.resolve(address(text));
      return found.reachable ? found.nextHops[0]?.ifindex : undefined;
    };
    const [eth0, eth1] = [p.ifindex('eth0'), p.ifindex('eth1')];
    for (const [gateway, command] of [
      ['192.0.2.2', 'ip route add 192.0.2.2/32 dev eth1'],
      ['2001:db8::2', 'ip -6 route add 2001:db8::2/128 dev eth1'],
    ] as const) {
      assert.equal(linkOf(gateway), eth0, gateway);
      host.sh(command);
      await eventually(`${gateway} leads elsewhere`, () => linkOf(gateway) === eth1);
      host.sh(command.replace('add', 'del'));
      await eventually(`${gateway} is on the link again`, () => linkOf(gateway) === eth0);
    }
    // Whoever names the link has said where it leads.
    host.sh('ip route add 192.0.2.2/32 dev eth1');
    await eventually('seen', () => linkOf('192.0.2.2') === eth1);
    const bound = tracker.resolve(address('192.0.2.2'), eth0);
    assert.ok(bound.reachable && bound.nextHops[0]?.ifindex === eth0);
  });
});
