/** What a CNI configuration, its arguments and capabilities say of an endpoint, and other plugins of the chain, as a runtime gives them. */
import assert from 'node:assert/strict';
import type { AgentHost } from '../support/agent.ts';
import { createNetns } from '../support/netns.ts';
import type { AttachmentOptions } from './support/cni-executor.ts';
import {
  failed,
  type Installed,
  nothingRemains,
  pingsRouter,
  removeHosts,
  resultOf,
  silent,
  startInstalled,
  tidy,
} from './support/cni-host.ts';

describe('CNI arguments', function () {
  this.timeout(60_000);
  let it1: Installed;
  let host: AgentHost;

  before(async () => {
    it1 = await startInstalled();
    host = it1.host;
  });
  after(removeHosts);
  afterEach(() => tidy(host));

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
});
