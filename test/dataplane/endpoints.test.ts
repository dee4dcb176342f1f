import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { EndpointError } from '../../fib/endpoints/endpoint-error.ts';
import { EndpointLinks } from '../../fib/endpoints/endpoint-links.ts';
import { type EndpointSpec, hostLinkName } from '../../fib/endpoints/plan.ts';
import type { PreparedEndpoint } from '../../fib/endpoints/preparation.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { KernelWatch } from '../../fib/routes/kernel-watch.ts';
import { RouteTable } from '../../fib/routes/route-table.ts';
import { HostSysctls } from '../../fib/sysctl/host-sysctls.ts';
import { type Address, parseAddress } from '../../src/net/address.ts';
import { hostPrefix } from '../../src/net/prefix.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

function addresses(...texts: string[]): Address[] {
  return texts.map((text) => {
    const parsed = parseAddress(text);
    assert.ok(parsed, text);
    return parsed;
  });
}

/** A host as the agent runs it, as far as endpoints go. */
class Host {
  readonly netns: Netns;
  readonly links: EndpointLinks;
  readonly kernel: KernelWatch;
  readonly routes: RouteTable;
  readonly sysctls: HostSysctls;

  constructor() {
    this.netns = createNetns();
    this.links = EndpointLinks.open({ netns: this.netns.path });
    this.kernel = KernelWatch.open({ netns: this.netns.path });
    this.routes = new RouteTable(this.kernel);
    this.sysctls = HostSysctls.open({
      netns: this.netns.path,
      journal: { load: () => ({}), save: () => {} },
    });
    this.sysctls.enableForwarding({ families: ['ipv4', 'ipv6'], uplinks: [] });
  }

  async attach(spec: EndpointSpec): Promise<PreparedEndpoint> {
    const prepared = this.links.prepare(spec);
    for (const address of spec.addresses) {
      this.routes.setRoute(hostPrefix(address), 'endpoint', {
        kind: 'unicast',
        nextHops: [{ ifindex: prepared.hostIfindex }],
      });
    }
    this.links.activate(spec, prepared);
    while (this.routes.apply(100).more);
    assert.ok(await this.links.operational(spec));
    return prepared;
  }

  close(): void {
    this.sysctls.close();
    this.routes.close();
    this.kernel.close();
    this.links.close();
  }
}

describe('fib/endpoints in a real kernel', () => {
  const hosts: Host[] = [];
  before(prepareNamespaces);
  afterEach(async () => {
    for (const host of hosts.splice(0)) host.close();
    await removeAllNetns();
  });

  async function start(): Promise<Host> {
    const host = new Host();
    hosts.push(host);
    await host.kernel.start();
    return host;
  }

  const spec = (netns: Netns, id: string, last: number, mtu = 1500): EndpointSpec => ({
    id,
    netns: netns.path,
    addresses: addresses(`10.65.0.${last}`, `2001:db8:65::${last}`),
    mtu,
  });

  it('two containers reach each other and the host in both families, on a host without a default route', async () => {
    const host = await start();
    host.netns.sh('ip address add 192.0.2.1/32 dev lo');
    host.netns.sh('ip -6 address add 2001:db8::1/128 dev lo');
    const one = createNetns();
    const two = createNetns();
    const first = await host.attach(spec(one, 'default.one', 1));
    await host.attach(spec(two, 'default.two', 2));
    assert.deepEqual([first.hostIfname, first.isNew, first.isUp], [hostLinkName('default.one'), true, false]);
    // No proxy ARP and no waiting for duplicate address detection: the first packet goes through.
    host.netns.sysctl(`net/ipv4/conf/${first.hostIfname}/proxy_arp`, 0);
    for (const target of ['10.65.0.2', '2001:db8:65::2', '192.0.2.1', '2001:db8::1']) {
      one.sh(`ping -c1 -W1 ${target}`);
    }
    for (const target of ['10.65.0.1', '2001:db8:65::1']) host.netns.sh(`ping -c1 -W1 ${target}`);
    assert.match(
      one.sh('ip -4 route show'),
      /^default via 169\.254\.1\.1 dev eth0 onlink \n169\.254\.1\.1 dev eth0 scope link \n$/,
    );
    assert.match(one.sh('ip -6 route show default'), /^default via fe80::ecee:eeff:feee:eeee dev eth0/);
    assert.match(one.sh('ip neigh show'), /169\.254\.1\.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT/);
    assert.match(host.netns.sh('ip -6 address show scope link'), /fe80::ecee:eeff:feee:eeee\/64/);
    assert.match(one.sh('cat /proc/sys/net/ipv4/ip_forward'), /^0$/m);
    for (const [key, value] of [
      [`net/ipv4/conf/${first.hostIfname}/rp_filter`, '1'],
      [`net/ipv6/conf/${first.hostIfname}/accept_ra`, '0'],
      [`net/ipv4/neigh/${first.hostIfname}/proxy_delay`, '0'],
    ] as const) {
      assert.equal(host.netns.sh(`cat /proc/sys/${key}`).trim(), value, key);
    }
    assert.equal(host.links.list().length, 2);
    assert.equal(host.links.detach('default.one'), true);
    assert.equal(host.links.detach('default.one'), false);
    assert.equal(one.tryRun('ip', 'link', 'show', 'eth0').status, 1);
    await eventually('the route waits for its interface', () => {
      host.kernel.drain();
      return !host.netns.sh('ip route show').includes('10.65.0.1');
    });
    assert.deepEqual(
      host.links.list().map(({ ifname }) => ifname),
      [hostLinkName('default.two')],
    );
  });

  it('lets nothing through before it is activated', async () => {
    const host = await start();
    const one = createNetns();
    const prepared = host.links.prepare(spec(one, 'default.one', 1));
    assert.match(host.netns.sh(`ip -o link show ${prepared.hostIfname}`), /state DOWN/);
    host.netns.sh('ip address add 192.0.2.1/32 dev lo');
    assert.notEqual(one.tryRun('ping', '-c1', '-W1', '192.0.2.1').status, 0);
    assert.equal(host.links.list()[0]?.isUp, false);
  });

  it('a second attach gives the same result and repairs what somebody broke', async () => {
    const host = await start();
    const one = createNetns();
    host.netns.sh('ip address add 192.0.2.1/32 dev lo');
    const wish = spec(one, 'default.one', 1);
    const first = await host.attach(wish);
    const again = await host.attach(wish);
    assert.deepEqual(again, { ...first, isNew: false, isUp: true });
    const state = (): string =>
      [
        'ip -o address show dev eth0',
        'ip route show',
        'ip -6 route show default',
        'ip neigh show nud permanent',
      ]
        .map((line) => one.sh(line))
        .join('') + host.netns.sh(`ip neigh show dev ${first.hostIfname} nud permanent`);
    const whole = state();
    for (const damage of [
      'ip address del 10.65.0.1/32 dev eth0',
      'ip -6 address del 2001:db8:65::1/128 dev eth0',
      'ip route del default',
      'ip neigh del 169.254.1.1 dev eth0',
      'ip address add 10.65.0.77/32 dev eth0',
      'ip link set eth0 down',
      'ip link set eth0 mtu 1400',
    ]) {
      one.sh(damage);
      await host.attach(wish);
      assert.equal(state(), whole, damage);
      one.sh('ping -c1 -W1 192.0.2.1');
    }
    host.netns.sh(`ip link set ${first.hostIfname} down`);
    await host.attach(wish);
    assert.equal(state(), whole);
    await eventually('the routes are back', () => {
      while (host.routes.apply(10).more);
      return one.tryRun('ping', '-c1', '-W1', '192.0.2.1').status === 0;
    });
  });

  it('a second attach with other addresses leaves nothing of the first', async () => {
    const host = await start();
    const one = createNetns();
    const { hostIfname } = await host.attach(spec(one, 'default.one', 1));
    await host.attach(spec(one, 'default.one', 2));
    const inside = one.sh('ip -o address show dev eth0 scope global');
    assert.match(inside, /10\.65\.0\.2\/32/);
    assert.match(inside, /2001:db8:65::2\/128/);
    assert.equal(inside.trim().split('\n').length, 2, inside);
    const entries = host.netns.sh(`ip neigh show dev ${hostIfname} nud permanent`).trim().split('\n').sort();
    assert.deepEqual(
      entries.map((line) => line.split(' ')[0]),
      ['10.65.0.2', '2001:db8:65::2'],
    );
  });

  it('moves with its container to another namespace, and is gone with it', async () => {
    const host = await start();
    const one = createNetns();
    const two = createNetns();
    await host.attach(spec(one, 'default.one', 1));
    const moved = await host.attach(spec(two, 'default.one', 1));
    assert.equal(moved.isNew, true);
    assert.equal(one.tryRun('ip', 'link', 'show', 'eth0').status, 1);
    await two.remove();
    await eventually('the kernel has cleaned up', () => host.links.list().length === 0);
    assert.equal(host.links.detach('default.one'), false);
  });

  it('sets the MTU of both ends, and changes it live', async () => {
    const host = await start();
    const one = createNetns();
    const { hostIfname } = await host.attach(spec(one, 'default.one', 1, 1450));
    const mtus = (): string[] =>
      [host.netns.sh(`ip -o link show ${hostIfname}`), one.sh('ip -o link show eth0')].map(
        (line) => /mtu (\d+)/.exec(line)?.[1] ?? '',
      );
    assert.deepEqual(mtus(), ['1450', '1450']);
    host.links.setMtu('default.one', one.path, 'eth0', 9000);
    assert.deepEqual(mtus(), ['9000', '9000']);
  });

  it('says clearly why it cannot attach, and changes nothing', async () => {
    const host = await start();
    const one = createNetns();
    const refuses = (wish: EndpointSpec, code: string, text: RegExp): void => {
      assert.throws(
        () => host.links.prepare(wish),
        (error) => error instanceof EndpointError && error.code === code && text.test(error.message),
        code,
      );
    };
    const wish = spec(one, 'default.one', 1);
    refuses({ ...wish, netns: '/run/netns/ocit-none' }, 'no-netns', /ENOENT/);
    refuses({ ...wish, netns: '/etc/hostname' }, 'no-netns', /EINVAL/);
    refuses({ ...wish, mtu: 100 }, 'invalid', /MTU 100/);
    refuses({ ...wish, addresses: [] }, 'invalid', /no address/);
    host.netns.sh(`ip link add ${hostLinkName('default.one')} type bridge`);
    refuses(wish, 'name-taken', /not ours \(bridge\)/);
    assert.throws(() => host.links.detach('default.one'), /not ours/);
    host.netns.sh(`ip link del ${hostLinkName('default.one')}`);
    connect({ netns: one, name: 'eth0' }, { netns: createNetns(), name: 'x' });
    refuses(wish, 'interface-exists', /eth0 already/);
    assert.deepEqual(host.links.list(), []);
    one.sh('ip address add 198.51.100.1/24 dev eth0');
    one.sh('ip route add default via 198.51.100.2');
    refuses({ ...wish, containerIfname: 'eth1' }, 'default-route-exists', /another interface/);
    assert.match(one.sh('ip route show default'), /via 198\.51\.100\.2/);
    assert.equal(host.links.detach('default.one'), true);
  });

  it('copes with being killed at any point of an attach or a detach', async function () {
    this.timeout(60_000);
    const host = await start();
    const script = fileURLToPath(new URL('../support/attach-loop.ts', import.meta.url));
    host.netns.sh('ip address add 192.0.2.1/32 dev lo');
    const one = createNetns();
    for (let round = 0; round < 8; round++) {
      const child = spawn(process.execPath, [script, host.netns.path, one.path, 'default.one']);
      await once(child.stdout, 'data');
      // Anywhere within a cycle of a few milliseconds: busy waiting, timers are too coarse.
      const until = performance.now() + 3 + round * 1.7;
      while (performance.now() < until);
      child.kill('SIGKILL');
      await once(child, 'exit');
      if (round % 2 === 0) {
        await host.attach(spec(one, 'default.one', 1));
        one.sh('ping -c1 -W1 192.0.2.1');
        one.sh('ip -6 route get 2001:db8::1');
      }
      host.links.detach('default.one');
      assert.deepEqual(host.links.list(), []);
      assert.equal(one.tryRun('ip', 'link', 'show', 'eth0').status, 1);
    }
  });

  it('forwarding: guards uplinks on router advertisements, records, puts drift right, restores', async () => {
    const netns = createNetns();
    const router = createNetns();
    connect({ netns, name: 'up0' }, { netns: router, name: 'down0' });
    let saved: Readonly<Record<string, string>> = {};
    const drifts: string[] = [];
    const read = (key: string): string => netns.sh(`cat /proc/sys/${key}`).trim();
    const keys = [
      'net/ipv6/conf/up0/accept_ra',
      'net/ipv6/conf/all/forwarding',
      'net/ipv4/conf/up0/forwarding',
    ];
    const before = keys.map(read);
    assert.deepEqual(before, ['1', '0', '0']);
    const sysctls = HostSysctls.open({
      netns: netns.path,
      journal: {
        load: () => saved,
        save: (values) => {
          saved = values;
        },
      },
      onDrift: ({ key }) => drifts.push(key),
    });
    try {
      sysctls.enableForwarding({ families: ['ipv4', 'ipv6'], uplinks: ['up0'] });
      assert.deepEqual(keys.map(read), ['2', '1', '1']);
      assert.deepEqual(saved, { [keys[0] ?? '']: '1', [keys[1] ?? '']: '0', [keys[2] ?? '']: '0' });
      assert.equal(read('net/ipv4/ip_forward'), '0');
      netns.sysctl('net/ipv4/conf/up0/forwarding', 0);
      netns.sysctl('net/ipv6/conf/all/forwarding', 0);
      await eventually('both are put right', () => drifts.length === 2);
      assert.deepEqual(keys.map(read), ['2', '1', '1']);
      sysctls.restore();
      assert.deepEqual(keys.map(read), before);
      assert.deepEqual(saved, {});
    } finally {
      sysctls.close();
    }
  });
});
