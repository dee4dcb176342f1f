/**
 * Encapsulation between three hosts with one etcd: two on one subnet, the third behind a router that knows no container. Real agents, real
 * packets. Needs root.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatPrefix, parseInterfaceAddress, prefixOf } from '../../src/net/prefix.ts';
import { AgentHost, poolYaml, UPLINK } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

const DEVICES = ['vxlan.ocicat', 'vxlan-v6.ocicat'] as const;
const HOST_ADDRESSES: Readonly<Record<string, readonly [string, string]>> = {
  h1: ['192.0.2.11', '2001:db8:2::11'],
  h2: ['192.0.2.12', '2001:db8:2::12'],
  h3: ['198.51.100.13', '2001:db8:3::13'],
};
const POOL_IPV4 = '10.66.0.0/24';
const POOL_IPV6 = 'fd00:66::/112';

interface Container {
  readonly netns: Netns;
  readonly addresses: readonly string[];
}

function pools(mode: string): string[] {
  return [
    poolYaml('four', POOL_IPV4, `  blockSize: 28\n  vxlanMode: ${mode}\n`),
    poolYaml('six', POOL_IPV6, `  blockSize: 124\n  vxlanMode: ${mode}\n`),
  ];
}

describe('VXLAN between hosts', function () {
  this.timeout(60_000);
  let router: Netns;
  const hosts: Record<string, AgentHost> = {};
  const containers: Record<string, Container> = {};
  let folder = '';

  const host = (name: string): AgentHost => {
    const found = hosts[name];
    assert.ok(found, name);
    return found;
  };
  const container = (name: string): Container => {
    const found = containers[name];
    assert.ok(found, name);
    return found;
  };

  before(async () => {
    router = createNetns();
    router.sh('ip link add br0 type bridge');
    for (const address of ['192.0.2.1/24', '2001:db8:2::1/64']) {
      router.run('ip', 'address', 'add', address, 'dev', 'br0', ...(address.includes(':') ? ['nodad'] : []));
    }
    router.sh('ip link set br0 up');
    for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) router.sysctl(key, 1);
    for (const [name, [ipv4, ipv6]] of Object.entries(HOST_ADDRESSES)) {
      const netns = createNetns();
      netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
      const isBehind = name === 'h3';
      const end = { netns: router, name: `to-${name}` };
      connect(
        { netns, name: UPLINK, addresses: [`${ipv4}/24`, `${ipv6}/64`] },
        isBehind ? { ...end, addresses: ['198.51.100.1/24', '2001:db8:3::1/64'] } : end,
      );
      if (!isBehind) router.sh(`ip link set to-${name} master br0`);
      netns.sh(`ip route add default via ${isBehind ? '198.51.100.1' : '192.0.2.1'}`);
      netns.sh(`ip route add default via ${isBehind ? '2001:db8:3::1' : '2001:db8:2::1'}`);
      hosts[name] = new AgentHost(netns, router, name);
    }
    // Counts what is forwarded: tunnels by outer family, and container packets as they are.
    for (const [command, pool] of [
      ['iptables', POOL_IPV4],
      ['ip6tables', POOL_IPV6],
    ] as const) {
      router.sh(`${command} -A FORWARD -p udp --dport 4789`);
      router.sh(`${command} -A FORWARD -s ${pool}`);
    }
    folder = join(host('h1').folder, 'etcd');
    mkdirSync(folder);
    const etcd = router.spawn(
      'env',
      'GOMAXPROCS=1',
      'etcd',
      ...['--data-dir', folder, '--unsafe-no-fsync', '--logger', 'zap', '--log-level', 'error'],
      ...['--listen-client-urls', 'http://0.0.0.0:2379', '--advertise-client-urls', 'http://192.0.2.1:2379'],
      ...['--listen-peer-urls', 'http://127.0.0.1:2380'],
    );
    etcd.stdout?.resume();
    etcd.stderr?.resume();
    for (const [name, each] of Object.entries(hosts)) {
      const endpoint = `http://${name === 'h3' ? '198.51.100.1' : '192.0.2.1'}:2379`;
      writeFileSync(
        each.config,
        `nodeName: ${name}\nstore: {kind: etcd, path: ${each.store}, endpoints: ["${endpoint}"]}\nsocket: ${each.socket}\nlog: {level: debug}\ndocker: {plugin: "off"}\n`,
      );
    }
    await eventually('etcd listens', () => /:2379 /.test(router.sh('ss -Hltn')));
    for (const each of Object.values(hosts)) each.launch();
    for (const each of Object.values(hosts)) await each.ready();
    await host('h1').apply(...pools('CrossSubnet'));
    for (const [index, name] of Object.keys(hosts).entries()) {
      const netns = createNetns();
      await eventually('pools are known', async () => {
        const view = await host(name)
          .add(`c${index + 1}`, netns)
          .catch(() => undefined);
        if (view === undefined) return false;
        containers[`c${index + 1}`] = { netns, addresses: view.addresses };
        return view.addresses.length === 2;
      });
    }
  });

  after(async () => {
    for (const each of Object.values(hosts)) each.dispose();
    await removeAllNetns();
    rmSync(folder, { recursive: true, force: true });
  });

  const ping = async (from: Netns, address: string, ...options: string[]): Promise<boolean> =>
    (await from.tryRunAsync('ping', '-c', '1', '-W', '1', ...options, address)).status === 0;
  const reaches = async (from: string, to: string): Promise<void> => {
    for (const address of container(to).addresses) {
      await eventually(`${from} reaches ${to} at ${address}`, () => ping(container(from).netns, address), {
        timeoutMs: 20_000,
      });
    }
  };
  /** packets that the router forwarded: tunnelled and plain, both families */
  const forwarded = (): { tunnelled: number[]; plain: number[] } => {
    const counts = ['iptables', 'ip6tables'].map((command) =>
      [...router.sh(`${command} -w -L FORWARD -v -x -n`).matchAll(/^\s*(\d+)\s+\d+\s+(?!pkts)/gm)].map(
        ([, n]) => Number(n),
      ),
    );
    return { tunnelled: counts.map(([n = 0]) => n), plain: counts.map(([, n = 0]) => n) };
  };
  const linkField = (name: string, device: string, pattern: RegExp): string => {
    const found = pattern.exec(host(name).netns.sh(`ip -j -s link show dev ${device}`));
    assert.ok(found?.[1] !== undefined, device);
    return found[1];
  };
  /** packets that came out of the tunnel, by family of the outer packets */
  const received = (name: string): number[] =>
    DEVICES.map((device) => Number(linkField(name, device, /"rx":\{"bytes":\d+,"packets":(\d+)/)));
  /** everything of the tunnel that the kernel of a host holds, with the devices' indexes */
  const tunnel = (name: string): string => {
    const { netns } = host(name);
    const parts = DEVICES.flatMap((device) => [
      linkField(name, device, /"ifindex":(\d+)/),
      netns.sh(`bridge fdb show dev ${device}`),
      netns.sh(`ip -4 neigh show nud permanent dev ${device}`),
      netns.sh(`ip -6 neigh show nud permanent dev ${device}`),
      netns.sh(`ip -4 route show dev ${device}`),
      netns.sh(`ip -6 route show proto 171 dev ${device}`),
    ]);
    return parts.join('').split('\n').sort().join('\n');
  };

  /** who made h1's routes to the blocks of c2 */
  const sources = async (): Promise<(string | null | undefined)[]> => {
    const found: (string | null | undefined)[] = [];
    for (const address of container('c2').addresses) {
      const length = address.includes(':') ? 124 : 28;
      const interfaceAddress = parseInterfaceAddress(`${address}/${length}`);
      assert.ok(interfaceAddress);
      const prefix = formatPrefix(prefixOf(interfaceAddress.address, length));
      for (const route of await host('h1').routes(prefix))
        if (route.prefix === prefix) found.push(route.source);
    }
    return found;
  };

  it('sends plain on a shared subnet', async () => {
    await reaches('c1', 'c2');
    await reaches('c2', 'c1');
    assert.deepEqual(received('h1'), [0, 0]);
    assert.deepEqual(received('h2'), [0, 0]);
    assert.match(
      host('h1').netns.sh('ip -4 route show proto 171'),
      /\/28 (nhid \d+ )?via 192\.0\.2\.12 dev up0/,
    );
    assert.deepEqual(await sources(), ['remote', 'remote']);
    assert.match(
      host('h1').netns.sh('ip -6 route show proto 171'),
      /\/124 (nhid \d+ )?via 2001:db8:2::12 dev up0/,
    );
  });

  it('sends encapsulated across subnets', async () => {
    const before = forwarded();
    for (const [from, to] of [
      ['c1', 'c3'],
      ['c2', 'c3'],
      ['c3', 'c1'],
    ] as const) {
      await reaches(from, to);
    }
    const after = forwarded();
    for (const index of [0, 1]) {
      assert.ok((after.tunnelled[index] ?? 0) >= (before.tunnelled[index] ?? 0) + 6, 'tunnelled');
    }
    // Packets between h1 and h2 cross its bridge and are counted too.
    assert.deepEqual(after.plain, before.plain, 'the router has seen no container address');
    for (const count of received('h3')) assert.ok(count >= 3);
    // The host itself speaks from its tunnel address.
    for (const address of container('c3').addresses) assert.ok(await ping(host('h1').netns, address));
  });

  it('leaves room for the outer headers, to the octet', async () => {
    const { netns } = container('c1');
    assert.match(netns.sh('ip link show eth0'), /mtu 1430 /);
    const { addresses } = container('c3');
    for (const address of addresses) {
      const octets = 1430 - (address.includes(':') ? 48 : 28);
      assert.ok(await ping(netns, address, '-M', 'do', '-s', String(octets)), `${octets} octets pass`);
      assert.ok(!(await ping(netns, address, '-M', 'do', '-s', String(octets + 1))));
    }
    assert.match(host('h1').netns.sh('ip link show vxlan.ocicat'), /mtu 1450 /);
    assert.match(host('h1').netns.sh('ip link show vxlan-v6.ocicat'), /mtu 1430 /);
  });

  it('writes tunnel address and MAC to its Node, and holds the address in IPAM', async () => {
    const text = await host('h3').ocicat('get node h1 -o yaml');
    const address = /ipv4VXLANTunnelAddr: (\S+)/.exec(text)?.[1] ?? '';
    assert.match(text, /vxlanTunnelMACAddr: 66:/);
    assert.match(text, /ipv6VXLANTunnelAddr: fd00:66::/);
    assert.match(text, /vxlanTunnelMACAddrV6: 66:/);
    assert.match(await host('h3').ocicat(`ipam show --ip=${address}`), /vxlan-tunnel-addr-h1/);
    assert.match(await host('h1').ocicat('ipam check'), /ok|No problems|0 problems/i);
    assert.deepEqual(await host('h1').findings('vxlan-not-ready'), []);
  });

  it('a restart of the agent leaves everything as it is', async () => {
    const before = tunnel('h1');
    await host('h1').stop('SIGKILL');
    await reaches('c1', 'c3');
    await host('h1').start();
    await reaches('c1', 'c3');
    assert.equal(tunnel('h1'), before);
  });

  it('puts right what others change', async () => {
    const before = tunnel('h1');
    const { netns } = host('h1');
    const [entry = ''] = netns.sh('bridge fdb show dev vxlan.ocicat').split('\n');
    const mac = entry.split(' ')[0] ?? '';
    netns.sh(`bridge fdb del ${mac} dev vxlan.ocicat`);
    netns.sh('bridge fdb add 66:00:00:00:00:01 dev vxlan.ocicat dst 192.0.2.99');
    netns.sh('ip -4 neigh flush nud permanent dev vxlan.ocicat');
    await eventually('entries are back', () => tunnel('h1') === before);
    netns.sh('ip link delete vxlan.ocicat');
    await reaches('c1', 'c3');
  });

  it('Always: also on a shared subnet', async () => {
    await host('h1').apply(...pools('Always'));
    await eventually('tunnelled', async () => {
      const before = received('h2');
      await reaches('c1', 'c2');
      return received('h2').every((count, index) => count > (before[index] ?? 0));
    });
    assert.deepEqual(await host('h1').findings('route-failed'), []);
  });

  it("Never: nothing is left, and the routes are BGP's", async () => {
    await host('h1').apply(...pools('Never'));
    await eventually('routes of BGP', async () => (await sources()).join() === 'bgp,bgp');
    await reaches('c1', 'c2');
    for (const name of Object.keys(hosts)) {
      const { netns } = host(name);
      await eventually(`${name} has no tunnel`, () => !/ocicat/.test(netns.sh('ip -o link show type vxlan')));
      await eventually(`Node ${name} has no tunnel address`, async () => {
        return !/VXLAN|vxlan/.test(await host('h1').ocicat(`get node ${name} -o yaml`));
      });
      await eventually(`${name}'s containers have the whole MTU`, () =>
        /mtu 1500 /.test(container(name.replace('h', 'c')).netns.sh('ip link show eth0')),
      );
    }
  });
});
