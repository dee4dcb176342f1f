/** The CNI plugin by the specification's own cases, version by version, against a real agent and a real kernel. Needs root. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CNI_VERSIONS } from '../../src/cni/version.ts';
import { type AgentHost, createHost, disposeHosts, POOLS, poolYaml, runCli } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { type AttachmentOptions, Executor, type PluginRun, runPlugin } from './support/cni-executor.ts';

interface ResultShape {
  readonly cniVersion: string;
  readonly interfaces: readonly { name: string; mac: string; sandbox?: string; mtu?: number }[];
  readonly ips: readonly { address: string; interface: number; gateway: string; version?: string }[];
  readonly routes: readonly { dst: string; gw: string }[];
}

interface Installed {
  readonly host: AgentHost;
  readonly binDir: string;
  readonly plugin: string;
  readonly queue: string;
  readonly executor: (version: string) => Executor;
}

async function installed(host: AgentHost): Promise<Installed> {
  const binDir = join(host.folder, 'bin');
  const queue = join(host.folder, 'cni-queue');
  const folders = ['--bin-dir', binDir, '--conf-dir', join(host.folder, 'net.d'), '--queue', queue];
  const result = await runCli(['cni', 'install', ...folders], { socket: host.socket });
  assert.equal(result.status, 0, result.stderr);
  const config = { name: 'net1', type: 'ocicat-cni', socket: host.socket, queue };
  return {
    host,
    binDir,
    plugin: join(binDir, 'ocicat-cni'),
    queue,
    executor: (version) => new Executor(binDir, { ...config, cniVersion: version }),
  };
}

function succeeded(run: PluginRun): unknown {
  assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
  assert.equal(run.stderr, '');
  return run.json;
}

/** A success without output. */
function silent(run: PluginRun): void {
  assert.deepEqual([run.status, run.stdout], [0, ''], run.stderr);
}

function failed(run: PluginRun, code: number, message: RegExp): void {
  assert.equal(run.status, 1, run.stdout);
  const error = run.json;
  assert.ok(typeof error === 'object' && error !== null);
  assert.equal(Reflect.get(error, 'code'), code, run.stdout);
  assert.match(String(Reflect.get(error, 'msg')), message);
  assert.equal(typeof Reflect.get(error, 'cniVersion'), 'string');
}

function resultOf(run: PluginRun): ResultShape {
  const json = succeeded(run);
  assert.ok(typeof json === 'object' && json !== null && 'interfaces' in json, run.stdout);
  const text: ResultShape = JSON.parse(run.stdout);
  return text;
}

/** Answers to both families, which proves addresses, routes, neighbour entries and policy at once. */
function pingsRouter(host: AgentHost, container: Netns, source?: string): void {
  host.router.tryRun('ip', 'route', 'replace', '10.65.0.0/16', 'via', '192.0.2.2');
  host.router.tryRun('ip', 'route', 'replace', 'fd00:65::/32', 'via', '2001:db8:2::2');
  const from = source === undefined ? [] : ['-I', source];
  if (source === undefined || !source.includes(':'))
    container.run('ping', '-c1', '-W5', '-n', ...from, '192.0.2.1');
  if (source === undefined || source.includes(':'))
    container.run('ping', '-c1', '-W5', '-n', ...from, '2001:db8:2::1');
}

async function nothingRemains(host: AgentHost): Promise<void> {
  await eventually('nothing of endpoints is left', async () => {
    assert.deepEqual(await host.endpoints(), []);
    assert.deepEqual(host.links(), []);
    assert.deepEqual(
      host.ownRoutes().filter((line) => !line.startsWith('blackhole')),
      [],
    );
    return true;
  });
}

describe('CNI specification', function () {
  this.timeout(60_000);
  let it1: Installed;
  let host: AgentHost;

  before(async () => {
    host = createHost();
    await host.start();
    await host.apply(...POOLS);
    it1 = await installed(host);
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });
  afterEach(async () => {
    if (!host.isRunning) await host.start();
    for (const { name, namespace } of await host.endpoints()) {
      await host.api.call('DELETE', `/v1/endpoints/${namespace}/${name}`);
    }
  });

  it('writes wrapper, plugin and list; the wrapper names its Node', () => {
    assert.deepEqual(readdirSync(it1.binDir).sort(), ['ocicat-cni', 'ocicat-cni.cjs']);
    assert.deepEqual(readdirSync(join(host.folder, 'net.d')), ['10-ocicat.conflist']);
  });

  it('VERSION: answered without the agent, whatever else the runtime sets', async () => {
    const environment = {
      CNI_COMMAND: 'VERSION',
      CNI_NETNS: 'dummy',
      CNI_IFNAME: 'dummy',
      CNI_PATH: 'dummy',
    };
    const input = '{"cniVersion":"1.0.0"}';
    const run = await runPlugin(it1.plugin, { ...environment, OCICAT_SOCKET: '/nowhere' }, input);
    assert.deepEqual(succeeded(run), { cniVersion: '1.0.0', supportedVersions: [...CNI_VERSIONS] });
  });

  for (const version of CNI_VERSIONS) {
    it(`${version}: ADD, ADD again, CHECK, DEL, DEL again`, async () => {
      const executor = it1.executor(version);
      const container = createNetns();
      const target: AttachmentOptions = { id: `c-${version}`, netns: container.path };
      const first = await executor.add(target);
      succeeded(first);
      assert.equal((await executor.add(target)).stdout, first.stdout);
      pingsRouter(host, container);
      const [view] = await host.endpoints();
      const [v4 = '', v6 = ''] = view?.addresses ?? [];
      if (version === '0.1.0' || version === '0.2.0') {
        assert.deepEqual(first.json, {
          cniVersion: version,
          ip4: { ip: `${v4}/32`, gateway: '169.254.1.1', routes: [{ dst: '0.0.0.0/0', gw: '169.254.1.1' }] },
          ip6: {
            ip: `${v6}/128`,
            gateway: 'fe80::ecee:eeff:feee:eeee',
            routes: [{ dst: '::/0', gw: 'fe80::ecee:eeff:feee:eeee' }],
          },
          dns: {},
        });
      } else {
        const mtu = version === '1.1.0' ? { mtu: view?.mtu } : {};
        const of = (family: string) => (version.startsWith('0.') ? { version: family } : {});
        assert.deepEqual(first.json, {
          cniVersion: version,
          interfaces: [
            { name: view?.interface, mac: 'ee:ee:ee:ee:ee:ee', ...mtu },
            { name: 'eth0', mac: view?.mac, sandbox: container.path, ...mtu },
          ],
          ips: [
            { ...of('4'), address: `${v4}/32`, gateway: '169.254.1.1', interface: 1 },
            { ...of('6'), address: `${v6}/128`, gateway: 'fe80::ecee:eeff:feee:eeee', interface: 1 },
          ],
          routes: [
            { dst: '0.0.0.0/0', gw: '169.254.1.1' },
            { dst: '::/0', gw: 'fe80::ecee:eeff:feee:eeee' },
          ],
          dns: {},
        });
      }
      const check = await executor.check(target);
      if (version < '0.4.0') failed(check, 1, /CHECK came with version 0\.4\.0/);
      else silent(check);
      silent(await executor.del(target));
      await nothingRemains(host);
      silent(await executor.del({ id: target.id }));
    });
  }

  it('DEL: of what was never added, without namespace, with one that is gone', async () => {
    const executor = it1.executor('1.0.0');
    silent(await executor.del({ id: 'never' }));
    silent(await executor.del({ id: 'never', netns: '/run/netns/not-there' }));
    const container = createNetns();
    resultOf(await executor.add({ id: 'c1', netns: container.path }));
    await container.remove();
    silent(await executor.del({ id: 'c1' }));
    await nothingRemains(host);
  });

  it('CHECK: names what somebody took away, and ADD puts it back', async () => {
    const executor = it1.executor('1.1.0');
    const container = createNetns();
    const target: AttachmentOptions = { id: 'c1', netns: container.path };
    const { interfaces, ips } = resultOf(await executor.add(target));
    const hostIf = interfaces[0]?.name ?? '';
    const [v4 = '', v6 = ''] = ips.map(({ address }) => address);
    const faults: [() => void, RegExp][] = [
      [() => container.sh(`ip address del ${v4} dev eth0`), /has not the address 10\.65\.1\./],
      [() => container.sh(`ip address del ${v6} dev eth0`), /has not the address fd00:65:1::/],
      [() => container.sh('ip route del default'), /ipv4 default route is missing/],
      [() => container.sh('ip -6 route del default'), /ipv6 default route is missing/],
      [() => container.sh('ip route del 169.254.1.1'), /route to 169\.254\.1\.1 is missing/],
      [() => container.sh('ip neigh del 169.254.1.1 dev eth0'), /neighbour entry of 169\.254\.1\.1/],
      [
        () => host.netns.sh(`ip neigh del ${v4.replace('/32', '')} dev ${hostIf}`),
        /host's neighbour entry of 10\.65/,
      ],
      [() => container.sh('ip link set eth0 mtu 1300'), /MTU 1300/],
      [() => container.sh('ip link set eth0 address 02:00:00:00:00:99'), /has the MAC 02:00:00:00:00:99/],
    ];
    for (const [fault, message] of faults) {
      silent(await executor.check(target));
      fault();
      failed(await executor.check(target), 102, message);
      resultOf(await executor.add(target));
      pingsRouter(host, container);
    }
    silent(await executor.check(target));
  });

  it('CHECK: of what was never added, without a result, in another namespace, by another path of the same', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    const target: AttachmentOptions = { id: 'c1', netns: container.path };
    failed(await executor.check({ ...target, prevResult: {} }), 3, /not attached to net1 by eth0/);
    const { cniVersion } = resultOf(await executor.add(target));
    failed(await executor.run('CHECK', target), 7, /prevResult/);
    failed(
      await executor.check({ ...target, prevResult: { cniVersion } }),
      102,
      /prevResult has no interface eth0/,
    );
    failed(await executor.check({ ...target, netns: createNetns().path }), 102, /another network namespace/);
    const link = join(host.folder, 'ns-link');
    symlinkSync(container.path, link);
    silent(await executor.check({ ...target, netns: link }));
  });

  it('a veth that is taken away comes back by itself', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    const target: AttachmentOptions = { id: 'c1', netns: container.path };
    resultOf(await executor.add(target));
    container.sh('ip link del eth0');
    await eventually('CHECK succeeds', async () => (await executor.check(target)).status === 0);
    pingsRouter(host, container);
  });

  it('GC: removes what is not listed, of this network alone; without a list nothing', async () => {
    const executor = it1.executor('1.1.0');
    const other = executor.with({ name: 'net2' });
    for (const id of ['keep', 'stale']) resultOf(await executor.add({ id, netns: createNetns().path }));
    resultOf(await other.add({ id: 'foreign', netns: createNetns().path }));
    resultOf(await executor.add({ id: 'dead', netns: createNetns().path }));
    const names = async (): Promise<string[]> => (await host.endpoints()).map(({ name }) => name).sort();
    silent(await executor.gc());
    assert.deepEqual(await names(), ['dead', 'foreign', 'keep', 'stale']);
    silent(await executor.gc([{ containerID: 'keep', ifname: 'eth0' }]));
    assert.deepEqual(await names(), ['foreign', 'keep']);
    silent(await executor.gc([]));
    assert.deepEqual(await names(), ['foreign']);
    failed(await it1.executor('1.0.0').gc([]), 1, /GC came with version 1\.1\.0/);
  });

  it('two interfaces of one container in one network are two endpoints, and both can be reached', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    const first = resultOf(await executor.add({ id: 'c1', netns: container.path }));
    const second = resultOf(await executor.add({ id: 'c1', netns: container.path, ifname: 'eth1' }));
    assert.equal((await host.endpoints()).length, 2);
    const addresses = [...first.ips, ...second.ips].map(({ address }) => address.split('/')[0] ?? '');
    assert.equal(new Set(addresses).size, 4);
    host.router.tryRun('ip', 'route', 'replace', '10.65.0.0/16', 'via', '192.0.2.2');
    host.router.tryRun('ip', 'route', 'replace', 'fd00:65::/32', 'via', '2001:db8:2::2');
    for (const address of addresses) host.router.run('ping', '-c1', '-W5', '-n', address);
    silent(await executor.check({ id: 'c1', netns: container.path }));
    silent(await executor.check({ id: 'c1', netns: container.path, ifname: 'eth1' }));
    // The first goes, the second stays; then the other way round.
    silent(await executor.del({ id: 'c1', netns: container.path, ifname: 'eth1' }));
    assert.doesNotMatch(container.sh('ip rule'), /10\.65/);
    silent(await executor.check({ id: 'c1', netns: container.path }));
    resultOf(await executor.add({ id: 'c1', netns: container.path, ifname: 'eth1' }));
    silent(await executor.del({ id: 'c1', netns: container.path }));
    assert.deepEqual(
      (await host.endpoints()).map(({ state }) => state),
      ['up'],
    );
  });

  it('a failed ADD leaves nothing', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    container.sh('ip link add eth0 type veth peer name x0');
    failed(await executor.add({ id: 'c1', netns: container.path }), 101, /has an interface eth0 already/);
    failed(await executor.add({ id: 'c1', netns: '/run/netns/not-there' }), 4, /CNI_NETNS/);
    failed(await executor.add({ id: 'c1', netns: host.config }), 101, /is no network namespace/);
    failed(await executor.add({ id: 'c1', netns: host.netns.path }), 101, /the host's own network namespace/);
    failed(
      await executor.with({ ipam: { ipv4_pools: ['nosuch'] } }).add({ id: 'c1', netns: createNetns().path }),
      11,
      /IPPool nosuch: it does not exist/,
    );
    await nothingRemains(host);
  });

  it('a failed second ADD leaves the first as it was', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    const target: AttachmentOptions = { id: 'c1', netns: container.path };
    const first = await executor.add(target);
    const blocked = createNetns();
    blocked.sh('ip link add eth0 type veth peer name x0');
    failed(
      await executor.run('ADD', { ...target, netns: blocked.path }),
      101,
      /has an interface eth0 already/,
    );
    failed(await executor.run('ADD', { ...target, netns: '/run/netns/not-there' }), 4, /CNI_NETNS/);
    failed(await executor.run('ADD', { ...target, args: 'IP=10.65.1.77' }), 100, /already holds/);
    await eventually('the first works again', async () => (await executor.check(target)).status === 0);
    assert.equal((await executor.add(target)).stdout, first.stdout);
    pingsRouter(host, container);
  });

  it('two at once for the last address: one gets it, the other is told who has it', async () => {
    await host.apply(poolYaml('tiny', '10.66.0.0/32', '  blockSize: 32\n'));
    try {
      const executor = it1.executor('1.0.0').with({ ipam: { ipv4_pools: ['tiny'] } });
      const runs = await Promise.all(['a', 'b'].map((id) => executor.add({ id, netns: createNetns().path })));
      assert.deepEqual(runs.map(({ status }) => status).sort(), [0, 1]);
      const loser = runs.find(({ status }) => status !== 0);
      assert.ok(loser !== undefined);
      failed(loser, 11, /tiny/);
      assert.equal((await host.endpoints()).length, 1);
      for (const id of ['a', 'b']) silent(await executor.del({ id }));
    } finally {
      await host.cli(['delete', 'ippool', 'tiny']);
    }
  });

  it('arguments in any order become namespace and labels; configuration and arguments add labels', async () => {
    const executor = it1.executor('1.0.0').with({
      labels: { tier: 'front' },
      args: { cni: { labels: [{ key: 'app', value: 'web' }] } },
    });
    const args = [
      'IgnoreUnknown=1',
      'K8S_POD_UID=7f1e',
      'K8S_POD_NAME=web-0',
      'K8S_POD_INFRA_CONTAINER_ID=abc',
      'K8S_POD_NAMESPACE=shop',
    ];
    for (const [index, order] of [args, [...args].reverse()].entries()) {
      resultOf(await executor.add({ id: `c${index}`, netns: createNetns().path, args: order.join(';') }));
      const [view] = await host.endpoints();
      assert.deepEqual([view?.namespace, view?.name], ['shop', 'web-0']);
      assert.deepEqual(view?.labels, {
        tier: 'front',
        app: 'web',
        'ocicat.dev/network': 'net1',
        'ocicat.dev/pod': 'web-0',
      });
      const selected = await host
        .ocicat('selector ocicat.dev/pod=="web-0"&&projectcalico.org/namespace=="shop" -o json')
        .catch(() => '');
      if (selected !== '') assert.match(selected, /web-0/);
      silent(await executor.del({ id: `c${index}` }));
    }
  });

  it('capabilities by keys of any case: ports, addresses, MAC, bandwidth', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    const target: AttachmentOptions = {
      id: 'c1',
      netns: container.path,
      runtimeConfig: {
        portMappings: [
          { HostPort: 8099, ContainerPort: 80, Protocol: 'tcp', HostIP: '' },
          { hostPort: 0, containerPort: 81, protocol: 'tcp' },
        ],
        Mac: '02:11:22:33:44:55',
        ips: ['10.65.1.77/24', 'fd00:65:1::77/64'],
        bandwidth: {
          IngressRate: 8_000_000,
          IngressBurst: 4_294_967_295,
          EgressRate: 4_000_000,
          EgressBurst: 800_000,
        },
      },
    };
    const result = resultOf(await executor.add(target));
    assert.deepEqual(
      result.ips.map(({ address }) => address),
      ['10.65.1.77/32', 'fd00:65:1::77/128'],
    );
    assert.equal(result.interfaces[1]?.mac, '02:11:22:33:44:55');
    const [view] = await host.endpoints();
    assert.deepEqual(view?.published, [{ protocol: 'TCP', port: 80, hostPort: 8099 }]);
    pingsRouter(host, container);
    assert.match(host.netns.sh(`tc qdisc show dev ${view?.interface}`), /tbf .*root .*rate 8Mbit/);
    assert.match(container.sh('tc qdisc show dev eth0'), /tbf .*root .*rate 4Mbit burst 100000b/);
    silent(await executor.check(target));
    container.sh('tc qdisc del dev eth0 root');
    failed(await executor.check(target), 102, /limit of what it sends is missing/);
    silent(await executor.del(target));
    await nothingRemains(host);
  });

  it('chosen pools, families, MTU', async () => {
    const executor = it1.executor('1.1.0').with({ ipam: { ipv6_pools: ['fd00:65:1::/112'] }, mtu: 1400 });
    const container = createNetns();
    const result = resultOf(await executor.add({ id: 'c1', netns: container.path }));
    assert.deepEqual(
      result.ips.map(({ address }) => address.split(':')[0]),
      ['fd00'],
    );
    assert.deepEqual(
      result.interfaces.map(({ mtu }) => mtu),
      [1400, 1400],
    );
    assert.match(container.sh('ip link show eth0'), /mtu 1400 /);
    silent(await executor.check({ id: 'c1', netns: container.path }));
  });

  it('a name that cannot stand in a resource is taken all the same', async () => {
    const executor = it1.executor('1.0.0').with({ name: 'My.Net_1' });
    const container = createNetns();
    const target = { id: 'Default-Some_Thing.1', netns: container.path, args: 'K8S_POD_NAME=Odd_Name' };
    resultOf(await executor.add(target));
    silent(await executor.check(target));
    pingsRouter(host, container);
    silent(await executor.del(target));
    await nothingRemains(host);
  });

  it('chains: after loopback it adds its own; after another main plugin it refuses', async () => {
    const executor = it1.executor('1.0.0');
    const container = createNetns();
    const loopback = {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: container.path }],
      ips: [{ address: '127.0.0.1/8', interface: 0 }],
    };
    const result = resultOf(
      await executor.run('ADD', { id: 'c1', netns: container.path, prevResult: loopback }),
    );
    assert.deepEqual(
      result.interfaces.map(({ name }) => name.slice(0, 3)),
      ['lo', 'oci', 'eth'],
    );
    assert.deepEqual(
      result.ips.map((ip) => ip.interface),
      [0, 2, 2],
    );
    silent(await executor.run('CHECK', { id: 'c1', netns: container.path, prevResult: result }));
    const bridged = { ...loopback, interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/x' }] };
    failed(
      await executor.run('ADD', { id: 'c2', netns: container.path, prevResult: bridged }),
      7,
      /before it in the chain/,
    );
  });

  it('errors: environment, configuration, version, unknown keys', async () => {
    const executor = it1.executor('1.0.0');
    const { path: netns } = createNetns();
    failed(await executor.run('BOGUS', { id: 'c1', netns }), 4, /CNI_COMMAND "BOGUS"/);
    failed(await executor.add({ id: '', netns }), 4, /CNI_CONTAINERID/);
    failed(await executor.add({ id: '../x', netns }), 4, /CNI_CONTAINERID/);
    failed(await executor.add({ id: 'c1', netns, ifname: 'a/b' }), 4, /CNI_IFNAME/);
    failed(await executor.add({ id: 'c1' }), 4, /CNI_NETNS/);
    failed(
      await executor.add({ id: 'c1', netns, args: 'K8S_POD_NAMESPACE=No_Such' }),
      4,
      /K8S_POD_NAMESPACE/,
    );
    failed(await executor.add({ id: 'c1', netns, args: 'broken' }), 4, /CNI_ARGS/);
    failed(await executor.add({ id: 'c1', netns, args: 'MAC=01:00:00:00:00:01' }), 7, /unicast/);
    failed(await executor.with({ cniVersion: '2.0.0' }).add({ id: 'c1', netns }), 1, /2\.0\.0/);
    failed(await executor.with({ bridge: 'br0' }).add({ id: 'c1', netns }), 2, /bridge: "br0"/);
    failed(await executor.with({ ipam: { type: 'host-local' } }).add({ id: 'c1', netns }), 2, /ipam\.type/);
    failed(
      await executor.with({ mtu: 99 }).add({ id: 'c1', netns }),
      7,
      /mtu: expected a whole number from 1280 to 65535, found 99/,
    );
    failed(await runPlugin(it1.plugin, { CNI_COMMAND: 'ADD' }, 'not json'), 6, /not JSON/);
    failed(await runPlugin(it1.plugin, { CNI_COMMAND: 'ADD' }, '[]'), 6, /not a JSON object/);
    // A DEL looks past what only an ADD needs.
    silent(await executor.with({ bridge: 'br0', mtu: 99 }).del({ id: 'c1' }));
    await nothingRemains(host);
  });

  it('STATUS: fine, without a pool 50', async () => {
    const executor = it1.executor('1.1.0');
    silent(await executor.status());
    failed(await it1.executor('1.0.0').status(), 1, /STATUS came with version 1\.1\.0/);
    await host.cli(['delete', 'ippool', 'four']);
    await host.cli(['delete', 'ippool', 'six']);
    failed(await executor.status(), 50, /no IPPool/);
    await host.apply(...POOLS);
    silent(await executor.status());
  });

  it('agent down: ADD and CHECK 11, STATUS 50, DEL is queued and worked off at the start', async () => {
    const executor = it1.executor('1.1.0');
    const container = createNetns();
    const kept = createNetns();
    resultOf(await executor.add({ id: 'gone', netns: container.path }));
    const before = resultOf(await executor.add({ id: 'kept', netns: kept.path }));
    await host.stop('SIGKILL');
    failed(
      await executor.add({ id: 'new', netns: createNetns().path }),
      11,
      /agent does not answer on .*api\.sock/,
    );
    failed(await executor.check({ id: 'kept', netns: kept.path }), 11, /does not answer/);
    failed(await executor.status(), 50, /nothing can be attached; what is attached keeps working/);
    silent(await executor.del({ id: 'gone' }));
    silent(await executor.del({ id: 'gone' }));
    silent(await executor.del({ id: 'never' }));
    assert.equal(readdirSync(it1.queue).filter((name) => name.endsWith('.json')).length, 2);
    pingsRouter(host, kept);
    await host.start();
    await eventually('the queue is empty', () => readdirSync(it1.queue).length === 0);
    assert.deepEqual(
      (await host.endpoints()).map(({ name }) => name),
      ['kept'],
    );
    assert.deepEqual(resultOf(await executor.add({ id: 'kept', netns: kept.path })), before);
  });

  it('a DEL that is queued while the agent runs is done at once, also after the folder was removed', async () => {
    const executor = it1.executor('1.0.0');
    const deaf = executor.with({ socket: join(host.folder, 'nobody.sock') });
    resultOf(await executor.add({ id: 'c1', netns: createNetns().path }));
    silent(await deaf.del({ id: 'c1' }));
    await nothingRemains(host);
    await eventually('the queue is empty', () => readdirSync(it1.queue).length === 0);
    await host.netns.tryRunAsync('rm', '-r', it1.queue);
    await eventually('the folder is there again', () => existsSync(it1.queue));
    resultOf(await executor.add({ id: 'c2', netns: createNetns().path }));
    silent(await deaf.del({ id: 'c2' }));
    await nothingRemains(host);
  });

  it('a queued DEL does not hit the ADD that came after it', async () => {
    const executor = it1.executor('1.0.0');
    const old = createNetns();
    const container = createNetns();
    resultOf(await executor.add({ id: 'c1', netns: old.path }));
    await host.stop('SIGKILL');
    silent(await executor.del({ id: 'c1' }));
    await host.start();
    // Whether the queue or this is first: the container is attached in the end.
    resultOf(await executor.add({ id: 'c1', netns: container.path }));
    await eventually('the queue is empty', () => readdirSync(it1.queue).length === 0);
    silent(await executor.check({ id: 'c1', netns: container.path }));
    pingsRouter(host, container);
  });

  it('a restart of the container: the same ID in another namespace', async () => {
    const executor = it1.executor('1.0.0');
    const old = createNetns();
    resultOf(await executor.add({ id: 'c1', netns: old.path }));
    silent(await executor.del({ id: 'c1', netns: old.path }));
    const container = createNetns();
    resultOf(await executor.add({ id: 'c1', netns: container.path }));
    await old.remove();
    silent(await executor.check({ id: 'c1', netns: container.path }));
  });

  it('eight at once', async () => {
    const executor = it1.executor('1.0.0');
    const targets = Array.from({ length: 8 }, (_, index) => ({ id: `p${index}`, netns: createNetns().path }));
    const results = (await Promise.all(targets.map((target) => executor.add(target)))).map(resultOf);
    const addresses = results.flatMap(({ ips }) => ips.map(({ address }) => address));
    assert.equal(new Set(addresses).size, 16);
    for (const run of await Promise.all(targets.map((target) => executor.check(target)))) silent(run);
    for (const run of await Promise.all(targets.map((target) => executor.del(target)))) silent(run);
    await nothingRemains(host);
  });
});
