/**
 * Unnumbered peers: an agent between two FRRs, a BIRD and a speaker alone, on links without any address but the link-local ones, which none of them is
 * told. Both families are exchanged and forwarded; a neighbour that goes, comes back or is another one is followed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts, LAUNCHER, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { resourceText } from '../support/resource-text.ts';
import { Daemons } from '../support/routers.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const SLOW = { timeoutMs: 40_000, intervalMs: 100 };
/** Both FRRs have it, on a link each. */
const LEAF = 'fe80::1';

/** zebra and bgpd with whoever is on `eth0` as their peer. */
class UnnumberedFrr {
  readonly netns: Netns;
  readonly #daemons: Daemons;
  readonly #as: number;
  readonly #announce: readonly string[];

  constructor(netns: Netns, as: number, announce: readonly string[]) {
    this.netns = netns;
    this.#as = as;
    this.#announce = announce;
    this.#daemons = new Daemons(netns, 'frr');
    execFileSync('chown', ['frr:frr', this.#daemons.directory]);
  }

  async start(): Promise<void> {
    const path = (name: string): string => this.#daemons.path(name);
    const networks = (family: 'ipv4' | 'ipv6'): string =>
      this.#announce
        .filter((prefix) => prefix.includes(':') === (family === 'ipv6'))
        .map((prefix) => `  network ${prefix}`)
        .join('\n');
    writeFileSync(path('zebra.conf'), 'hostname leaf\n');
    writeFileSync(
      path('bgpd.conf'),
      `frr defaults traditional
log file ${path('bgpd.log')}
router bgp ${this.#as}
 bgp router-id 10.255.0.${this.#as % 256}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor eth0 interface remote-as external
 neighbor eth0 timers 3 9
 neighbor eth0 timers connect 1
 neighbor eth0 capability extended-nexthop
 address-family ipv4 unicast
${networks('ipv4')}
 exit-address-family
 address-family ipv6 unicast
  neighbor eth0 activate
${networks('ipv6')}
 exit-address-family
`,
    );
    const common = ['--vty_socket', this.#daemons.directory, '-z', path('zserv.api')];
    this.#daemons.spawn('/usr/lib/frr/zebra', ...common, '-f', path('zebra.conf'), '-i', path('zebra.pid'));
    await eventually('zebra answers', () => existsSync(path('zserv.api')), SLOW);
    this.#daemons.spawn('/usr/lib/frr/bgpd', ...common, '-f', path('bgpd.conf'), '-i', path('bgpd.pid'));
    await eventually('bgpd answers', () => existsSync(path('bgpd.vty')), SLOW);
  }

  command(...lines: readonly string[]): Promise<string> {
    const args = lines.flatMap((line) => ['-c', line]);
    return this.#daemons.run('vtysh', '--vty_socket', this.#daemons.directory, ...args);
  }

  async end(): Promise<void> {
    await this.#daemons.kill();
    this.#daemons.dispose();
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}

/** A namespace behind a link of the host: `eth0` there, with this link-local address alone; and addresses to announce, on `lo`. */
function behind(host: AgentHost, name: string, linkLocal: string, own: readonly string[] = []): Netns {
  const netns = createNetns();
  netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
  netns.sysctl('net/ipv6/conf/default/addr_gen_mode', 1);
  for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) netns.sysctl(key, 1);
  connect({ netns: host.netns, name }, { netns, name: 'eth0', addresses: [`${linkLocal}/64`] });
  for (const address of own) netns.sh(`ip address add ${address} dev lo`);
  return netns;
}

describe('unnumbered peers: FRR, BIRD and ourselves', function () {
  this.timeout(120_000);
  let host: AgentHost;
  let container: Netns;
  const leaves: UnnumberedFrr[] = [];
  const ends: (() => Promise<void>)[] = [];

  const peer = (name: string, of = host): Promise<PeerView> =>
    of.api.call<PeerView>('GET', `/v1/bgp/peers/${encodeURIComponent(name)}`);
  const established = (name: string, address: string, of = host): Promise<PeerView> =>
    eventually(
      `${name} is established with ${address}`,
      async () => {
        const view = await peer(name, of);
        assert.deepEqual([view.state, view.address], ['Established', address]);
        return view;
      },
      SLOW,
    );
  const route = (prefix: string, of: Netns = host.netns): string =>
    of
      .run('ip', prefix.includes(':') ? '-6' : '-4', 'route', 'show', prefix)
      .replaceAll(/\s+/g, ' ')
      .trim();
  const routed = (prefix: string, pattern: RegExp, of: Netns = host.netns): Promise<unknown> =>
    eventually(
      `${prefix} is routed`,
      () => {
        assert.match(route(prefix, of), pattern);
        return true;
      },
      SLOW,
    );
  const pings = (netns: Netns, to: string, from?: string): Promise<unknown> =>
    eventually(
      `${to} answers`,
      async () => {
        const source = from === undefined ? [] : ['-I', from];
        const result = await netns.tryRunAsync('ping', '-c', '1', '-W', '1', ...source, to);
        assert.equal(result.status, 0, result.stdout + result.stderr);
        return true;
      },
      SLOW,
    );

  before(async () => {
    host = createHost();
    for (const [index, as] of [65001, 65002].entries()) {
      const own = [`203.0.113.${index + 1}/32`, `2001:db8:f::${index + 1}/128`];
      const netns = behind(host, `eth${index + 1}`, LEAF, own);
      leaves.push(new UnnumberedFrr(netns, as, [...own, '10.20.0.0/16', '2001:db8:20::/48']));
    }
    await Promise.all([...leaves.map((leaf) => leaf.start()), host.start()]);
    // A neighbour that does not answer is given up sooner.
    for (const name of ['eth1', 'eth2']) host.netns.sysctl(`net/ipv6/neigh/${name}/retrans_time_ms`, 200);
    for (const leaf of leaves) ends.push(() => leaf.end());
    await host.apply(
      resourceText('Node', 'h1', { bgp: { ipv4Address: '192.0.2.2/24', asNumber: 65101 } }),
      ...POOLS,
      resourceText('BGPPeer', 'leaf1', { node: 'h1' }, { interface: 'eth1', 'remote-as': 'external' }),
      resourceText('BGPPeer', 'leaf2', { node: 'h1', asNumber: 65002 }, { interface: 'eth2' }),
      resourceText('BGPPeer', 'nobody', { node: 'h1', asNumber: 65009 }, { interface: 'eth9' }),
    );
    container = createNetns();
    await host.add('c1', container);
  });
  after(async () => {
    disposeHosts();
    await Promise.all(ends.map((end) => end()));
    removeTemporaryFolders();
    await removeAllNetns();
  });

  it('peers with both, which have one address on two links, in both families', async () => {
    const [one, two] = await Promise.all([established('eth1', LEAF), established('eth2', LEAF)]);
    assert.deepEqual([one.asNumber, two.asNumber, one.resource], [65001, 65002, 'BGPPeer leaf1']);
    for (const { families } of [one, two])
      assert.deepEqual([families.ipv4.negotiated, families.ipv6.negotiated], [true, true]);
    const waiting = await peer('eth9');
    assert.deepEqual([waiting.state, waiting.address], ['Idle', '::']);
    assert.equal(waiting.lastError, 'link eth9 is down: there is no such link');
    const [finding] = await host.findings('peer-not-found');
    assert.match(
      finding?.message ?? '',
      /BGPPeer nobody waits for its neighbour on eth9: there is no interface/,
    );
    await host.ocicat('delete bgppeer nobody');
  });

  it('routes go into the kernel over the right link, IPv4 by way of IPv6, and packets follow them both ways', async () => {
    await Promise.all([
      routed('203.0.113.1', /via inet6 fe80::1 dev eth1 /),
      routed('203.0.113.2', /via inet6 fe80::1 dev eth2 /),
      routed('2001:db8:f::1', /via fe80::1 dev eth1 /),
      routed('2001:db8:f::2', /via fe80::1 dev eth2 /),
      routed('10.20.0.0/16', /nexthop via inet6 fe80::1 dev eth1 .*nexthop via inet6 fe80::1 dev eth2 /),
      routed('2001:db8:20::/48', /nexthop via fe80::1 dev eth1 .*nexthop via fe80::1 dev eth2 /),
    ]);
    for (const [index, { netns }] of leaves.entries()) {
      await pings(container, `203.0.113.${index + 1}`);
      await pings(container, `2001:db8:f::${index + 1}`);
      const addresses = container.run('ip', '-o', 'address', 'show', 'scope', 'global');
      for (const [, own = ''] of addresses.matchAll(/inet6? ([0-9a-f.:]+)\/\d+/g))
        await pings(netns, own, own.includes(':') ? `2001:db8:f::${index + 1}` : `203.0.113.${index + 1}`);
    }
    for (const { netns } of leaves)
      assert.equal(
        netns.run('ip', '-6', 'route', 'show', 'default'),
        '',
        'nobody takes us for a default router',
      );
  });

  it('a link that goes down takes its routes along, and brings them back', async () => {
    const [leaf] = leaves;
    assert.ok(leaf);
    leaf.netns.sh('ip link set eth0 down');
    await routed('10.20.0.0/16', /^10\.20\.0\.0\/16 (nhid \d+ )?via inet6 fe80::1 dev eth2 /);
    await routed('203.0.113.1', /^$/);
    leaf.netns.sh('ip link set eth0 up');
    // IPv6 addresses go with the link.
    leaf.netns.sh(`ip address add ${LEAF}/64 dev eth0`);
    await routed('203.0.113.1', /via inet6 fe80::1 dev eth1 /);
    await routed('2001:db8:20::/48', /nexthop via fe80::1 dev eth1 .*nexthop via fe80::1 dev eth2 /);
    await established('eth1', LEAF);
  });

  it('neither a link that flaps here nor a flushed neighbour table loses the neighbour', async () => {
    host.netns.sh('ip link set eth2 down');
    await routed('10.20.0.0/16', /^10\.20\.0\.0\/16 (nhid \d+ )?via inet6 fe80::1 dev eth1 /);
    host.netns.sh('ip link set eth2 up');
    await routed('10.20.0.0/16', /nexthop via inet6 fe80::1 dev eth1 .*nexthop via inet6 fe80::1 dev eth2 /);
    const before = await established('eth2', LEAF);
    host.netns.sh('ip neighbour flush dev eth2');
    await pings(container, '203.0.113.2');
    const after = await established('eth2', LEAF);
    assert.equal(after.establishedAt, before.establishedAt);
  });

  it('a neighbour that is replaced is followed, with and without the link going down', async () => {
    const [leaf] = leaves;
    assert.ok(leaf);
    leaf.netns.sh('ip link set eth0 down');
    leaf.netns.sh('ip link set eth0 address 02:00:00:00:77:77');
    leaf.netns.sh('ip link set eth0 up');
    leaf.netns.sh('ip address add fe80::77/64 dev eth0');
    await established('eth1', 'fe80::77');
    await routed('203.0.113.1', /via inet6 fe80::77 dev eth1 /);
    await routed('2001:db8:f::1', /via fe80::77 dev eth1 /);
    await pings(container, '203.0.113.1');
    leaf.netns.sh('ip address add fe80::78/64 dev eth0');
    leaf.netns.sh('ip address del fe80::77/64 dev eth0');
    await established('eth1', 'fe80::78');
    await routed('203.0.113.1', /via inet6 fe80::78 dev eth1 /);
    await pings(container, '2001:db8:f::1');
  });

  it('an agent that starts again loses nothing', async () => {
    await host.stop('SIGKILL');
    assert.match(route('10.20.0.0/16'), /dev eth1 .*dev eth2 /);
    await host.start();
    await Promise.all([established('eth1', 'fe80::78'), established('eth2', LEAF)]);
    await routed('10.20.0.0/16', /dev eth1 .*dev eth2 /);
    await pings(container, '203.0.113.2');
  });

  it('BIRD, which advertises nothing, takes whoever comes over its link', async () => {
    const netns = behind(host, 'eth3', 'fe80::b', ['198.51.100.1/32']);
    const daemons = new Daemons(netns, 'bird');
    ends.push(async () => {
      await daemons.kill();
      daemons.dispose();
    });
    const channel = 'import all; export where source = RTS_STATIC; extended next hop; next hop self;';
    writeFileSync(
      daemons.path('bird.conf'),
      `router id 10.255.0.9;
protocol device {}
protocol direct { ipv4; ipv6; interface "lo"; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol static { ipv4; route 198.51.100.0/24 blackhole; }
protocol static { ipv6; route 2001:db8:b::/48 blackhole; }
protocol bgp {
  local as 65003;
  neighbor range fe80::/64 external;
  interface "eth0";
  ipv4 { ${channel} };
  ipv6 { ${channel.replace('extended next hop; ', '')} };
}
`,
    );
    daemons.spawn('bird', '-f', '-c', daemons.path('bird.conf'), '-s', daemons.path('bird.ctl'));
    await eventually('bird answers', () => existsSync(daemons.path('bird.ctl')), SLOW);
    await host.apply(resourceText('BGPPeer', 'bird', { node: 'h1', asNumber: 65003 }, { interface: 'eth3' }));
    await established('eth3', 'fe80::b');
    await routed('198.51.100.0/24', /via inet6 fe80::b dev eth3 /);
    await routed('2001:db8:b::/48', /via fe80::b dev eth3 /);
    await pings(container, '198.51.100.1');
  });

  it('a speaker alone finds the agent, and the agent it', async () => {
    const netns = behind(host, 'eth5', 'fe80::5', ['203.0.113.5/32', '2001:db8:f::5/128']);
    const folder = temporaryFolder();
    const file = join(folder, 'speak.yaml');
    writeFileSync(
      file,
      [
        resourceText('Node', 'r5', { bgp: { asNumber: 65005 } }),
        resourceText('BGPFilter', 'all', {}),
        resourceText('BGPPeer', 'up', { filters: ['all'] }, { interface: 'eth0', 'remote-as': 'external' }),
        JSON.stringify({
          apiVersion: 'ocicat.dev/v1',
          kind: 'StaticRoutes',
          metadata: { name: 'here' },
          spec: { routes: [{ prefix: '203.0.113.5/32' }, { prefix: '2001:db8:f::5/128' }] },
        }),
      ].join('\n---\n'),
    );
    const socket = join(folder, 'speak.sock');
    const child = netns.spawn('sh', LAUNCHER, '--socket', socket, 'bgp', 'speak', '--config', file, '--fib');
    ends.push(() => ended(child));
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    await host.apply(
      resourceText('BGPPeer', 'speaker', { node: 'h1' }, { interface: 'eth5', 'remote-as': 'external' }),
    );
    try {
      await established('eth5', 'fe80::5');
      await pings(container, '203.0.113.5');
      await pings(container, '2001:db8:f::5');
    } catch (error) {
      throw new Error(`${error}; log of the speaker:\n${log}`, { cause: error });
    }
  });
});
