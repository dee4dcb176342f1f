/**
 * Two agents on one etcd: containers on both, routes by BGP between the two Nodes, policy by labels across hosts, borrowed addresses, and
 * etcd gone for a while. Real agents, real etcd, real packets. Needs root.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentHost, poolYaml, UPLINK } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

const ADDRESSES = {
  h1: ['192.0.2.11/24', '2001:db8:2::11/64'],
  h2: ['192.0.2.12/24', '2001:db8:2::12/64'],
} as const;
const NAMES = ['h1', 'h2'] as const;
const ENDPOINT = 'http://192.0.2.1:2379';
const CONFIG_KEY = '/calico/ipam/v2/config';
const PATIENCE = { timeoutMs: 25_000 };
/** Of each family two blocks, which the two hosts share: whoever needs a third borrows. */
const POOLS = [
  poolYaml('four', '10.67.0.0/29', '  blockSize: 30\n'),
  poolYaml('six', 'fd00:67::/125', '  blockSize: 126\n'),
];
/** Containers on a host until its own blocks are full. */
const PER_BLOCK = 4;

const POLICY = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: only-friends}
spec:
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      source: {selector: role == 'friend'}`;

interface Container {
  readonly netns: Netns;
  readonly addresses: readonly string[];
}

describe('agents on one etcd', function () {
  this.timeout(90_000);
  let router: Netns;
  let folder = '';
  let etcd: ChildProcess | undefined;
  let hosts: Readonly<Record<(typeof NAMES)[number], AgentHost>>;

  const startEtcd = async (): Promise<void> => {
    const child = router.spawn(
      'env',
      ...['GOMAXPROCS=1', 'etcd', '--data-dir', folder, '--unsafe-no-fsync'],
      ...['--logger', 'zap', '--log-level', 'error'],
      ...['--listen-client-urls', 'http://0.0.0.0:2379', '--advertise-client-urls', ENDPOINT],
      ...['--listen-peer-urls', 'http://127.0.0.1:2380'],
    );
    child.stdout?.resume();
    child.stderr?.resume();
    etcd = child;
    await eventually('etcd answers', async () => (await etcdctl('get', CONFIG_KEY)) !== undefined, PATIENCE);
  };
  const stopEtcd = async (): Promise<void> => {
    const child = etcd;
    if (child === undefined) return;
    child.kill('SIGKILL');
    await eventually('etcd ends', () => child.exitCode !== null || child.signalCode !== null, PATIENCE);
    etcd = undefined;
  };
  const etcdctl = async (...words: string[]): Promise<string | undefined> => {
    const options = ['ETCDCTL_API=3', 'etcdctl', '--endpoints', ENDPOINT, '--command-timeout', '2s'];
    const { status, stdout } = await router.tryRunAsync('env', ...options, ...words);
    return status === 0 ? stdout : undefined;
  };
  const add = async (
    on: AgentHost,
    name: string,
    labels: Record<string, string> = {},
  ): Promise<Container> => {
    const netns = createNetns();
    const view = await eventually(
      `${name} is added`,
      () => on.add(name, netns, { labels }).catch(() => undefined),
      PATIENCE,
    );
    assert.equal(view.addresses.length, 2);
    return { netns, addresses: view.addresses };
  };
  const ping = async (from: Netns, address: string): Promise<boolean> =>
    (await from.tryRunAsync('ping', '-c', '1', '-W', '1', address)).status === 0;
  const reaches = async (from: Container, to: Container): Promise<void> => {
    for (const address of to.addresses)
      await eventually(`${address} is reached`, () => ping(from.netns, address), PATIENCE);
  };
  const reachesNot = async (from: Container, to: Container): Promise<void> => {
    for (const address of to.addresses)
      await eventually(
        `${address} is reached no more`,
        async () => !(await ping(from.netns, address)),
        PATIENCE,
      );
  };
  const single = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;
  /** who made a host's route to exactly a prefix */
  const source = async (on: AgentHost, prefix: string): Promise<string | null | undefined> =>
    (await on.routes(prefix)).find((route) => route.prefix === prefix)?.source;

  const makeHost = (name: (typeof NAMES)[number]): AgentHost => {
    const netns = createNetns();
    netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
    connect({ netns, name: UPLINK, addresses: ADDRESSES[name] }, { netns: router, name: `to-${name}` });
    router.sh(`ip link set to-${name} master br0`);
    const host = new AgentHost(netns, router, name);
    writeFileSync(
      host.config,
      `nodeName: ${name}\nstore: {kind: etcd, path: ${host.store}, endpoints: ["${ENDPOINT}"]}\nsocket: ${host.socket}\nlog: {level: debug}\ndocker: {plugin: "off"}\n`,
    );
    return host;
  };

  before(async () => {
    router = createNetns();
    router.sh('ip link add br0 type bridge');
    router.sh('ip address add 192.0.2.1/24 dev br0');
    router.sh('ip link set br0 up');
    hosts = { h1: makeHost('h1'), h2: makeHost('h2') };
    folder = join(hosts.h1.folder, 'etcd');
    mkdirSync(folder);
    await startEtcd();
    for (const name of NAMES) hosts[name].launch();
    for (const name of NAMES) await hosts[name].ready();
    await hosts.h1.apply(...POOLS);
  });

  after(async () => {
    await stopEtcd();
    for (const name of NAMES) hosts?.[name].dispose();
    await removeAllNetns();
  });

  let server: Container;
  let friend: Container;
  let stranger: Container;

  it('the first one says in Calico’s key that nothing is borrowed', async () => {
    const [key, value = ''] = ((await etcdctl('get', CONFIG_KEY)) ?? '').split('\n');
    assert.equal(key, CONFIG_KEY);
    assert.deepEqual(JSON.parse(value), {
      strict_affinity: true,
      auto_allocate_blocks: true,
      maxBlocksPerHost: 0,
    });
  });

  it('containers of both reach each other by the routes of BGP, a block each', async () => {
    server = await add(hosts.h1, 'server', { role: 'server' });
    friend = await add(hosts.h2, 'friend', { role: 'friend' });
    stranger = await add(hosts.h2, 'stranger', { role: 'stranger' });
    await reaches(server, friend);
    await reaches(friend, server);
    assert.match(
      hosts.h1.netns.sh('ip -4 route show proto 171'),
      /^10\.67\.0\.[04]\/30 (nhid \d+ )?via 192\.0\.2\.12 /m,
    );
    assert.match(hosts.h2.netns.sh('ip -6 route show proto 171'), /^fd00:67::[04]?\/126 /m);
    const affinities = (await etcdctl('get', '--prefix', '--keys-only', '/calico/ipam/v2/host/')) ?? '';
    assert.deepEqual(
      [...affinities.matchAll(/host\/(h\d)\/(ipv\d)\/block/g)].map(([, host, family]) => `${host} ${family}`),
      ['h1 ipv4', 'h1 ipv6', 'h2 ipv4', 'h2 ipv6'],
    );
  });

  it('policy by labels holds across hosts', async () => {
    await reaches(stranger, server);
    await hosts.h2.apply(POLICY);
    await reachesNot(stranger, server);
    await reaches(friend, server);
  });

  it('lends addresses of a full host’s neighbour as single routes, and withdraws them with the container', async () => {
    const { h1, h2 } = hosts;
    // Nothing is borrowed until somebody says so, in the document that Calico reads too.
    for (let index = 2; index < PER_BLOCK; index++) await add(h2, `filler-${index}`);
    await assert.rejects(h2.add('borrower', createNetns()));
    const config = ((await etcdctl('get', CONFIG_KEY, '--print-value-only')) ?? '').trim();
    await etcdctl('put', CONFIG_KEY, config.replace('"strict_affinity":true', '"strict_affinity":false'));
    const borrower = await add(h2, 'borrower', { role: 'friend' });
    for (const address of borrower.addresses) {
      await eventually(
        `h1 has ${address}`,
        async () => (await source(h1, single(address))) === 'bgp',
        PATIENCE,
      );
    }
    await reaches(server, borrower);
    await reaches(borrower, server);
    assert.match(await h1.ocicat(`ipam show --ip=${borrower.addresses[0]}`), /h2/);
    await h2.delete('borrower');
    for (const address of borrower.addresses) {
      await eventually(
        `${address} is withdrawn`,
        async () => (await source(h1, single(address))) === undefined,
        PATIENCE,
      );
    }
    assert.match(await h1.ocicat('ipam check'), /ok|No problems|0 problems/i);
  });

  it('without etcd traffic flows on, and an agent restarts on what it knew last, and says so', async () => {
    const { h1 } = hosts;
    await stopEtcd();
    await reaches(friend, server);
    await h1.stop('SIGKILL');
    await reaches(friend, server);
    h1.launch();
    await h1.ready();
    await eventually(
      'it says so',
      async () => /kept on disk/.test(JSON.stringify(await h1.status())),
      PATIENCE,
    );
    await reaches(friend, server);
    await reachesNot(stranger, server);
    await startEtcd();
    await eventually(
      'it is back',
      async () => !/kept on disk|did not answer/.test(JSON.stringify(await h1.status())),
      PATIENCE,
    );
    await hosts.h2.ocicat('delete gnp only-friends');
    await reaches(stranger, server);
  });
});
