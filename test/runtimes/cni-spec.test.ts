/** The CNI plugin by the specification's own cases, version by version, against a real agent and a real kernel. Needs root. */
import assert from 'node:assert/strict';
import { readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CNI_VERSIONS } from '../../src/cni/version.ts';
import { type AgentHost, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns } from '../support/netns.ts';
import { type AttachmentOptions, runPlugin } from './support/cni-executor.ts';
import {
  failed,
  type Installed,
  nothingRemains,
  pingsRouter,
  removeHosts,
  resultOf,
  silent,
  startInstalled,
  succeeded,
  tidy,
} from './support/cni-host.ts';

describe('CNI specification', function () {
  this.timeout(60_000);
  let it1: Installed;
  let host: AgentHost;

  before(async () => {
    it1 = await startInstalled();
    host = it1.host;
  });
  after(removeHosts);
  afterEach(() => tidy(host));

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
});
