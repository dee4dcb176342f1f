/**
 * Two hosts with Docker's own engine each, and one etcd: containers reach each other by the routes of BGP and see each other's own
 * addresses, ports are published to the other host, and policy by containers' labels holds across hosts. Needs root and Debian's docker.io.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentHost, POOLS, UPLINK } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { type Dockerd, importImage, installDocker } from './support/dockerd.ts';

const ADDRESSES = {
  h1: ['192.0.2.11', '2001:db8:2::11'],
  h2: ['192.0.2.12', '2001:db8:2::12'],
} as const;
const NAMES = ['h1', 'h2'] as const;
const ENDPOINT = 'http://192.0.2.1:2379';
/** Calico's keys. */
const HANDLES = '/calico/ipam/v2/handle/';
const ENDPOINTS = '/calico/resources/v3/projectcalico.org/workloadendpoints/';
const PATIENCE = { timeoutMs: 25_000 };
const ONLY_WEB = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: only-web}
spec:
  selector: role == 'db'
  types: [Ingress]
  ingress:
    - action: Allow
      source: {selector: role == 'web'}`;
/** Answers every connection with the address that it comes from. */
const SERVER = `require('node:net').createServer((s) => { s.on('error', () => {}); s.end(s.remoteAddress); }).listen(80, '::')`;

interface Site {
  readonly host: AgentHost;
  readonly docker: Dockerd;
}

describe('Docker on two hosts', function () {
  this.timeout(90_000);
  let wire: Netns;
  let h1: Site;
  let h2: Site;

  const makeHost = (name: (typeof NAMES)[number]): AgentHost => {
    const netns = createNetns();
    netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
    const [ipv4, ipv6] = ADDRESSES[name];
    connect(
      { netns, name: UPLINK, addresses: [`${ipv4}/24`, `${ipv6}/64`] },
      { netns: wire, name: `to-${name}` },
    );
    wire.sh(`ip link set to-${name} master br0`);
    const host = new AgentHost(netns, wire, name);
    writeFileSync(
      host.config,
      `nodeName: ${name}\nstore: {kind: etcd, path: ${host.store}, endpoints: ["${ENDPOINT}"]}\nsocket: ${host.socket}\nlog: {level: debug}\n`,
    );
    return host;
  };
  const site = async (name: (typeof NAMES)[number]): Promise<Site> => {
    const host = makeHost(name);
    return { host, docker: await installDocker(host) };
  };
  const startEtcd = async (folder: string): Promise<void> => {
    mkdirSync(folder);
    const child = wire.spawn(
      ...(['setpriv', '--pdeathsig', 'KILL', 'env', 'GOMAXPROCS=1', 'etcd'] as const),
      ...['--data-dir', folder, '--unsafe-no-fsync', '--logger', 'zap', '--log-level', 'error'],
      ...['--listen-client-urls', 'http://0.0.0.0:2379', '--advertise-client-urls', ENDPOINT],
      ...['--listen-peer-urls', 'http://127.0.0.1:2380'],
    );
    child.stdout?.resume();
    child.stderr?.resume();
    await eventually('etcd answers', async () => (await keys('/x')) !== undefined, PATIENCE);
  };
  const keys = async (prefix: string): Promise<string | undefined> => {
    const words = [
      '--endpoints',
      ENDPOINT,
      '--command-timeout',
      '2s',
      'get',
      '--prefix',
      '--keys-only',
      prefix,
    ];
    const { status, stdout } = await wire.tryRunAsync('env', 'ETCDCTL_API=3', 'etcdctl', ...words);
    return status === 0 ? stdout : undefined;
  };
  const isOpen = async ({ docker }: Site, name: string): Promise<void> =>
    void (await eventually(
      `${name} is up`,
      async () => (await docker.host.endpoints()).find((each) => each.name === name)?.state === 'up',
      PATIENCE,
    ));
  /** Words that run the rest in a container's network namespace. */
  const within = async ({ docker }: Site, name: string): Promise<[string, string]> => [
    'nsenter',
    `--net=/proc/${await docker.docker(`inspect -f {{.State.Pid}} ${name}`)}/ns/net`,
  ];
  /** What the server says to whoever asks from a namespace: the address that it sees; empty: nothing. */
  const ask = async (netns: Netns, words: readonly string[], address: string, port = 80): Promise<string> => {
    const client = `const s = require('node:net').connect(${port}, '${address}');
      s.on('data', (d) => { console.log(String(d)); process.exit(0); }).on('error', () => process.exit(1));
      setTimeout(() => process.exit(2), 2000);`;
    const [command = '', ...rest] = [...words, process.execPath, '-e', client];
    const { stdout } = await netns.tryRunAsync(command, ...rest);
    return stdout.trim().replace(/^::ffff:/, '');
  };
  const sees = async (
    netns: Netns,
    words: readonly string[],
    [address, port]: readonly [string, number],
    source: string,
  ): Promise<void> =>
    void (await eventually(
      `${source} is seen by who answers at ${address}`,
      async () => (await ask(netns, words, address, port)) === source,
      PATIENCE,
    ));

  before(async () => {
    wire = createNetns();
    wire.sh('ip link add br0 type bridge');
    for (const address of ['192.0.2.1/24', '2001:db8:2::1/64'])
      wire.sh(`ip address add ${address} dev br0 nodad`);
    wire.sh('ip link set br0 up');
    h1 = await site('h1');
    h2 = await site('h2');
    await startEtcd(join(h1.host.folder, 'etcd'));
    // One after the other: a busy machine takes its time over each.
    for (const { host } of [h1, h2]) await host.start();
    await h1.host.apply(...POOLS);
    for (const { docker } of [h1, h2]) {
      await docker.start();
      await importImage(docker);
      await docker.docker('network create -d ocicat --ipam-driver ocicat --ipv6 net1');
    }
  });

  after(async () => {
    for (const each of [h1, h2]) await each?.docker.dispose();
    for (const each of [h1, h2]) each?.host.dispose();
    await removeAllNetns();
  });

  it('containers reach each other by the routes of BGP, and see each other’s own address', async () => {
    await h1.docker.run('web', '--net net1 --label role=web');
    await h1.docker.run('other', '--net net1 --label role=other');
    await h2.docker.run('db', '--net net1 --label role=db -p 8080:80');
    await isOpen(h2, 'db');
    const [enter, ...words] = await within(h2, 'db');
    const server = h2.host.netns.spawn(enter, ...words, process.execPath, '-e', SERVER);
    server.stdout?.resume();
    server.stderr?.resume();
    const web = await within(h1, 'web');
    const [own, targets] = [await h1.docker.addresses('web'), await h2.docker.addresses('db')];
    for (const [index, source] of own.entries())
      await sees(h1.host.netns, web, [targets[index] ?? '', 80], source);
    assert.match((await keys(HANDLES)) ?? '', /libnetwork\.address\./);
    assert.match((await keys(ENDPOINTS)) ?? '', /libnetwork\/h2-libnetwork-/);
    assert.match(
      h1.host.netns.sh('ip -4 route show proto 171'),
      /^10\.65\.1\.\d+\/\d+ (nhid \d+ )?via 192\.0\.2\.12 /m,
    );
    assert.match(
      h1.host.netns.sh('ip -6 route show proto 171'),
      /^fd00:65:1::\S+ (nhid \d+ )?via (2001:db8:2::12|fe80::)/m,
    );
    for (const address of own)
      assert.equal((await h2.docker.exec('db', `/bin/ping -c 1 -W 2 ${address}`)).status, 0);
  });

  it('a published port is reached from the other host, its containers and outside, each by its own address', async () => {
    const web = await within(h1, 'web');
    const own = await h1.docker.addresses('web');
    for (const [index, address] of ADDRESSES.h2.entries()) {
      await sees(h1.host.netns, ['env'], [address, 8080], ADDRESSES.h1[index] ?? '');
      await sees(h1.host.netns, web, [address, 8080], own[index] ?? '');
      await sees(wire, ['env'], [address, 8080], ['192.0.2.1', '2001:db8:2::1'][index] ?? '');
    }
  });

  it('policy by the labels of containers holds across hosts', async () => {
    const [ipv4, ipv6] = await h2.docker.addresses('db');
    const [web, other] = [await within(h1, 'web'), await within(h1, 'other')];
    const [own, strange] = [await h1.docker.addresses('web'), await h1.docker.addresses('other')];
    await sees(h1.host.netns, other, [ipv4, 80], strange[0]);
    await h1.host.apply(ONLY_WEB);
    await eventually(
      'the stranger is shut out',
      async () => (await ask(h1.host.netns, other, ipv4)) === '',
      PATIENCE,
    );
    assert.equal(await ask(h1.host.netns, other, ipv6), '');
    await sees(h1.host.netns, web, [ipv4, 80], own[0]);
    await sees(h1.host.netns, web, [ipv6, 80], own[1]);
    await h1.host.ocicat('delete GlobalNetworkPolicy only-web');
  });

  it('leaves nothing behind in the store', async () => {
    await h2.docker.docker('rm -f db');
    await h2.docker.docker('network rm net1');
    await h1.docker.docker('rm -f web other');
    await eventually('no address is held', async () => (await keys(HANDLES))?.trim() === '', PATIENCE);
    assert.equal((await keys(ENDPOINTS))?.trim(), '');
    await h1.host.ocicat('ipam check');
  });
});
