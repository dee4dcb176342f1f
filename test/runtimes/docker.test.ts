/** Docker's own engine with our network and IPAM drivers: real dockerd, real containers, a real agent. Needs root and Debian's docker.io. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { hostLinkName } from '../../fib/endpoints/plan.ts';
import { type AgentHost, createHost, disposeHosts, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { removeAllNetns } from '../support/netns.ts';
import { type Dockerd, importImage, installDocker } from './support/dockerd.ts';

const HOST_IPV4 = '192.0.2.2';
const HOST_IPV6 = '2001:db8:2::2';
/** Docker takes its time on a busy machine. */
const PATIENCE = { timeoutMs: 25_000 };

const onlyWebToDatabase = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: database}
spec:
  selector: role == 'db'
  types: [Ingress]
  ingress:
    - action: Allow
      source: {selector: role == 'web'}`;

/** Asks for the id of a container's endpoint in its one network. */
function endpointFormat(container: string): string {
  return `inspect -f {{range.NetworkSettings.Networks}}{{.EndpointID}}{{end}} ${container}`;
}

describe('Docker', function () {
  this.timeout(60_000);
  let host: AgentHost;
  let docker: Dockerd;

  before(async () => {
    host = createHost();
    host.router.sh(`ip route add 10.65.1.0/24 via ${HOST_IPV4}`);
    host.router.sh(`ip route add fd00:65:1::/112 via ${HOST_IPV6}`);
    docker = await installDocker(host);
    await host.start();
    await host.apply(...POOLS);
    await docker.start();
    await importImage(docker);
    await docker.docker('network create -d ocicat --ipam-driver ocicat --ipv6 --label env=prod n1');
  });

  after(async () => {
    await docker?.dispose();
    disposeHosts();
    await removeAllNetns();
  });

  const pings = async (name: string, address: string): Promise<boolean> =>
    (await docker.exec(name, `/bin/ping -c 1 -W 1 ${address}`)).status === 0;
  const reaches = async (name: string, address: string): Promise<void> =>
    void (await eventually(`${name} reaches ${address}`, () => pings(name, address), PATIENCE));
  const routerReaches = async (address: string): Promise<void> =>
    void (await eventually(
      `the router reaches ${address}`,
      async () => (await host.router.tryRunAsync('ping', '-c', '1', '-W', '1', address)).status === 0,
      PATIENCE,
    ));

  const state = async (container: string): Promise<string | undefined> =>
    (await host.endpoints()).find(({ name }) => name === container)?.state;

  it('connects containers in both families, with the gateway known before the first packet', async () => {
    await docker.run('web', '--net n1 --label role=web');
    await docker.run('db', '--net n1 --label role=db');
    for (const address of await docker.addresses('db')) {
      await reaches('web', address);
      await routerReaches(address);
    }
    await reaches('web', '192.0.2.1');
    await reaches('web', '2001:db8:2::1');
    const neighbours = await docker.exec('web', '/bin/ip neigh');
    assert.match(neighbours.stdout, /169\.254\.1\.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee .*PERMANENT/);
    assert.match(
      neighbours.stdout,
      /fe80::ecee:eeff:feee:eeee dev eth0 lladdr ee:ee:ee:ee:ee:ee .*PERMANENT/,
    );
  });

  it('gives endpoints the labels of network and container', async () => {
    const [endpoint] = (await host.endpoints()).filter(({ name }) => name === 'db');
    assert.deepEqual(endpoint?.labels, {
      env: 'prod',
      role: 'db',
      'ocicat.dev/network': 'n1',
      'ocicat.dev/container': 'db',
    });
    assert.equal(endpoint.state, 'up');
    assert.equal(endpoint.namespace, 'libnetwork');
  });

  it('enforces policy by the labels of containers', async () => {
    await docker.run('other', '--net n1 --label role=other');
    const [ipv4, ipv6] = await docker.addresses('db');
    await reaches('other', ipv4);
    await host.apply(onlyWebToDatabase);
    await eventually('the policy closes', async () => !(await pings('other', ipv4)));
    assert.equal(await pings('other', ipv6), false);
    await reaches('web', ipv4);
    await reaches('web', ipv6);
    // A container that comes later is judged by its labels from its first packet on.
    const late = `run --rm --net n1 --label role=web busybox:test /bin/ping -c 1 -W 2 ${ipv4}`;
    assert.equal((await docker.try(late)).status, 0);
    await host.ocicat('delete GlobalNetworkPolicy database');
    await docker.docker('rm -f other');
  });

  it('publishes ports: from outside, from a container through the host, and not for another', async () => {
    await docker.docker(
      'run -d --name page --net n1 -p 8080:80 -p 127.0.0.1:8081:80 busybox:test /bin/nc -ll -p 80 -e /bin/echo hello',
    );
    const ask = async (line: string, where: () => Promise<{ stdout: string }>): Promise<void> =>
      void (await eventually(line, async () => (await where()).stdout.includes('hello')));
    await ask('the router reads', () =>
      host.router.tryRunAsync('sh', '-c', `busybox nc -w 2 ${HOST_IPV4} 8080 < /dev/null`),
    );
    await ask('a container reads', () => docker.exec('web', `/bin/nc -w 2 ${HOST_IPV4} 8080`));
    await ask('itself reads', () => docker.exec('page', `/bin/nc -w 2 ${HOST_IPV4} 8080`));
    await ask('the host reads', () =>
      host.netns.tryRunAsync('sh', '-c', 'busybox nc -w 2 127.0.0.1 8081 < /dev/null'),
    );
    const second = await docker.try('run --rm --net n1 -p 8080:80 busybox:test /bin/true');
    assert.match(second.stderr, /port 8080 of the host is taken/);
    const chosen = await docker.try('run --rm --net n1 -p 80 busybox:test /bin/true');
    assert.match(chosen.stderr, /name the host's port too/);
    // The agent itself has that one, and it is not taken from it.
    const own = await docker.try('run --rm --net n1 -p 179:80 busybox:test /bin/true');
    assert.match(own.stderr, /port 179 of the host is taken/);
    await docker.docker('rm -f page');
  });

  it('publishes ports over IPv6, on all addresses and on one', async () => {
    const publishing = '-p 8082:80 -p [2001:db8:2::2]:8083:80';
    await docker.docker(
      `run -d --name six --net n1 ${publishing} busybox:test /bin/nc -ll -p 80 -e /bin/echo hello`,
    );
    const reads = async (text: string, line: string): Promise<void> =>
      void (await eventually(line, async () =>
        (await host.router.tryRunAsync('sh', '-c', line)).stdout.includes(text),
      ));
    await reads('hello', `busybox nc -w 2 ${HOST_IPV4} 8082 < /dev/null`);
    await reads('hello', `nc -6 -w 2 ${HOST_IPV6} 8082 < /dev/null`);
    await reads('hello', `nc -6 -w 2 ${HOST_IPV6} 8083 < /dev/null`);
    await docker.docker('rm -f six');
  });

  it('publishes UDP ports, in both families', async () => {
    await docker.docker('run -d --name dns --net n1 -p 8084:53/udp busybox:test /bin/sleep 600');
    const pid = (await docker.docker('inspect -f {{.State.Pid}} dns')).trim();
    // Not busybox's nc: it answers one datagram and ends.
    const server = host.netns.spawn(
      'nsenter',
      `--net=/proc/${pid}/ns/net`,
      process.execPath,
      '-e',
      `const s = require('node:dgram').createSocket('udp6');
       s.on('message', (_, from) => s.send('hello', from.port, from.address)).bind(53, '::');`,
    );
    for (const [kind, address] of [
      ['udp4', HOST_IPV4],
      ['udp6', HOST_IPV6],
    ] as const) {
      const client = `const s = require('node:dgram').createSocket('${kind}');
        s.on('message', (m) => { console.log(String(m)); process.exit(0); });
        s.send('x', 8084, '${address}');
        setTimeout(() => process.exit(3), 2000);`;
      await eventually(`an answer from ${address}`, async () =>
        (await host.router.tryRunAsync(process.execPath, '-e', client)).stdout.includes('hello'),
      );
    }
    server.kill('SIGKILL');
    await docker.docker('rm -f dns');
  });

  it('refuses what it cannot do, saying what to do instead', async () => {
    const refused = async (line: string, reason: RegExp): Promise<void> => {
      const result = await docker.try(line);
      assert.notEqual(result.status, 0, line);
      assert.match(result.stderr, reason);
    };
    const create = 'network create -d ocicat';
    await refused(`${create} n2`, /add --ipam-driver ocicat/);
    await refused(
      `${create} --ipam-driver ocicat --subnet 10.9.0.0/16 n2`,
      /IPPools are four \(10\.65\.1\.0\/24\)/,
    );
    await refused(`${create} --ipam-driver ocicat --ipam-opt pool=x n2`, /ipv4-pool and ipv6-pool/);
    await refused(`${create} --ipam-driver ocicat -o mtu=9 n2`, /label\.KEY=VALUE/);
    await refused(`${create} --ipam-driver ocicat -o label.a/b/c=9 n2`, /-o label\.a\/b\/c=9: /);
    await refused(`${create} --ipam-driver ocicat --internal n2`, /--internal: not supported/);
    await refused(
      `${create} --ipam-driver ocicat --ip-range 10.65.1.0/28 --subnet 10.65.1.0/24 n2`,
      /--ip-range/,
    );
    await refused(
      `${create} --ipam-driver ocicat --gateway 10.65.1.1 --subnet 10.65.1.0/24 n2`,
      /always 169\.254/,
    );
    assert.doesNotMatch(await docker.docker('network ls'), /n2/);
    const run = 'run --rm --net n1 --mac-address';
    await refused(`${run} 01:00:00:00:00:01 busybox:test /bin/true`, /--mac-address 01:.* unicast/);
    await refused(`${run} 00:00:00:00:00:00 busybox:test /bin/true`, /is all zeros/);
    await refused(`${run} ee:ee:ee:ee:ee:ee busybox:test /bin/true`, /is the gateway's/);
    await refused('network rm n1', /has active endpoints/);
    const names = (await host.endpoints()).map(({ name, state: found }) => `${name} ${found}`);
    assert.deepEqual(names.sort(), ['db up', 'web up']);
  });

  it('takes a fixed address from a network with a subnet, and labels from its options', async () => {
    await docker.docker(
      'network create -d ocicat --ipam-driver ocicat --subnet 10.65.1.0/24 -o label.tier=front n3',
    );
    await docker.docker(
      'run -d --name fixed --net n3 --ip 10.65.1.77 --mac-address 02:00:00:00:00:77 busybox:test /bin/sleep 1000',
    );
    await routerReaches('10.65.1.77');
    const [endpoint] = (await host.endpoints()).filter(({ name }) => name === 'fixed');
    assert.equal(endpoint?.mac, '02:00:00:00:00:77');
    assert.equal(endpoint.labels['tier'], 'front');
    const taken = await docker.try('run --rm --net n3 --ip 10.65.1.77 busybox:test /bin/true');
    assert.match(taken.stderr, /10\.65\.1\.77 is in use/);
    const second = await docker.try('network connect n1 fixed');
    assert.match(second.stderr, /on an Ocicat network already/);
    await docker.docker('rm -f fixed');
    await docker.docker('network rm n3');
    assert.equal(
      (await host.endpoints()).some(({ name }) => name === 'fixed'),
      false,
    );
  });

  it('outlives a killed agent; what Docker removes meanwhile is done as soon as it is back', async () => {
    await docker.run('gone', '--net n1');
    const [ipv4] = await docker.addresses('db');
    await eventually('gone is open', async () =>
      (await host.endpoints()).some(({ name }) => name === 'gone'),
    );
    await host.stop('SIGKILL');
    await reaches('web', ipv4);
    // Docker asks again after 1, 2, 4, 8 s, whether or not its client waits so long.
    const removal = docker.try('rm -f gone');
    await host.start();
    await removal;
    await eventually(
      'gone is gone',
      async () => !(await host.endpoints()).some(({ name }) => name === 'gone'),
      PATIENCE,
    );
    await reaches('web', ipv4);
    await docker.run('late', '--net n1');
    await reaches('late', ipv4);
    await docker.docker('rm -f late');
  });

  it('makes a lost interface anew inside the running container, also one that was lost while the agent was away', async () => {
    const [ipv4, ipv6] = await docker.addresses('db');
    const link = hostLinkName(`libnetwork.${await docker.docker(endpointFormat('db'))}`);
    const pid = await docker.docker('inspect -f {{.State.Pid}} db');
    // As Docker had made it, but for numbers and flags of interfaces, and the word by which ours names an on-link gateway.
    const inside = async (): Promise<string[]> => {
      const script = 'ip addr show eth0; ip -4 route; ip -6 route';
      const { stdout } = await host.netns.tryRunAsync(
        'nsenter',
        `--net=/proc/${pid}/ns/net`,
        'sh',
        '-c',
        script,
      );
      const parts = /inet6? \S+|link\/ether \S+|mtu \d+|(?<=\n)(?:default|169\.254).* dev eth0/g;
      return [...stdout.matchAll(parts)].map(([part]) => part).sort();
    };
    const before = await inside();
    assert.equal(before.length, 8, before.join('\n'));
    const repaired = async (): Promise<void> => {
      await routerReaches(ipv4);
      await routerReaches(ipv6);
      await reaches('db', '192.0.2.1');
      await eventually('it is up', async () => (await state('db')) === 'up', PATIENCE);
      assert.deepEqual(await inside(), before);
    };
    host.netns.sh(`ip link delete ${link}`);
    await repaired();
    await host.stop();
    host.netns.sh(`ip link delete ${link}`);
    await host.start();
    await repaired();
    assert.match(host.log, /a container's interface was gone: it was made anew/);
  });

  it('gives a renamed link its own name again, also one that was renamed while the agent was away', async () => {
    const name = hostLinkName(`libnetwork.${await docker.docker(endpointFormat('web'))}`);
    const indexOf = (link: string): string | undefined =>
      /^\d+/.exec(host.netns.sh(`ip -o link show ${link}`))?.[0];
    const index = indexOf(name);
    for (const isAway of [false, true]) {
      if (isAway) await host.stop();
      host.netns.sh(`ip link set dev ${name} name other0`);
      if (isAway) await host.start();
      await eventually('it is called as before', () => host.links().includes(name));
      assert.equal(indexOf(name), index);
      const [ipv4] = await docker.addresses('web');
      await routerReaches(ipv4);
    }
  });

  it('gives running containers the MTU of the uplink, whenever that changes', async () => {
    const has = async (mtu: number): Promise<void> => {
      host.netns.sh(`ip link set up0 mtu ${mtu}`);
      await eventually(
        `both ends have MTU ${mtu}`,
        async () => {
          const [view] = (await host.endpoints()).filter(({ name }) => name === 'web');
          const outside = host.netns.sh(`ip link show ${view?.interface}`);
          const { stdout: inside } = await docker.exec('web', '/bin/ip link show eth0');
          return [inside, outside].every((text) => text.includes(` mtu ${mtu} `));
        },
        PATIENCE,
      );
    };
    await has(1400);
    await has(1500);
  });

  it('says what to do when a lost interface cannot be made anew', async () => {
    await docker.run('lost', '--net n1');
    const [ipv4] = await docker.addresses('lost');
    await routerReaches(ipv4);
    const link = hostLinkName(`libnetwork.${await docker.docker(endpointFormat('lost'))}`);
    const sandbox = await docker.docker('inspect -f {{.NetworkSettings.SandboxKey}} lost');
    host.netns.run(docker.enter[0] ?? '', ...docker.enter.slice(1), 'umount', sandbox);
    host.netns.sh(`ip link delete ${link}`);
    await eventually('it has failed', async () => (await state('lost')) === 'failed', PATIENCE);
    const view = (await host.endpoints()).find(({ name }) => name === 'lost');
    assert.match(view?.reason ?? '', /its interface is gone, and cannot be made anew: restart the container/);
    assert.equal(host.links().includes(link), false);
    assert.equal((await host.findings('endpoint-down'))[0]?.remedy, 'docker restart lost');
    await docker.docker('restart -t 0 lost');
    await routerReaches((await docker.addresses('lost'))[0]);
    await eventually('it is up', async () => (await state('lost')) === 'up', PATIENCE);
    await docker.docker('rm -f lost');
  });

  it('sweeps endpoints that Docker lost, and leaves the others alone', async () => {
    const id = 'f'.repeat(64);
    await host.apply(`apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata:
  name: h1-libnetwork-libnetwork-${id}
  namespace: libnetwork
  annotations: {ocicat.dev/endpoint-id: libnetwork.${id}, ocicat.dev/handed: open, ocicat.dev/netns: /run/none}
spec:
  node: h1
  orchestrator: libnetwork
  endpoint: ${id}
  workload: lost
  interfaceName: ${hostLinkName(`libnetwork.${id}`)}
  ipNetworks: [10.65.1.99/32]`);
    await eventually('the lost endpoint is there', async () =>
      (await host.endpoints()).some(({ name }) => name === 'lost'),
    );
    await host.stop();
    await host.start();
    await eventually('it is swept', async () => {
      assert.deepEqual((await host.endpoints()).map(({ name }) => name).sort(), ['db', 'web']);
      return true;
    });
    assert.equal(host.links().includes(hostLinkName(`libnetwork.${id}`)), false);
  });

  it('outlives a killed engine: containers are reachable, and start again', async () => {
    const [ipv4] = await docker.addresses('db');
    await docker.stop('SIGKILL');
    await routerReaches(ipv4);
    await docker.start();
    await docker.docker('start web db');
    const [again, again6] = await docker.addresses('db');
    await reaches('web', again);
    await reaches('web', again6);
    await eventually('only two endpoints are left', async () => {
      const found = (await host.endpoints()).map(({ name, state }) => `${name} ${state}`).sort();
      assert.deepEqual(found, ['db up', 'web up']);
      return true;
    });
  });

  it("keeps a container closed while Docker's API does not tell its labels, and says so", async () => {
    await host.stop();
    const config = readFileSync(host.config, 'utf8');
    writeFileSync(host.config, config.replace('plugin: "on"', 'plugin: "on", apiSocket: /run/absent.sock'));
    await host.start();
    await docker.run('held', '--net n1 --label role=held');
    const [ipv4] = await docker.addresses('held');
    const held = (await host.endpoints()).find(({ addresses }) => addresses.includes(ipv4));
    assert.equal(held?.state, 'held');
    assert.deepEqual(held.labels, {});
    assert.equal((await host.router.tryRunAsync('ping', '-c', '1', '-W', '1', ipv4)).status, 1);
    await eventually('status names it', async () => {
      const [finding] = await host.findings('docker');
      assert.match(finding?.message ?? '', /closed, for Docker's API at \/run\/absent\.sock/);
      return true;
    });
    await host.stop();
    writeFileSync(host.config, config);
    await host.start();
    await routerReaches(ipv4);
    assert.deepEqual(await host.findings('docker'), []);
    await docker.docker('rm -f held');
  });

  it('starts in any order: the engine first, the agent later', async () => {
    await docker.stop('SIGTERM');
    await host.stop();
    docker.flags = ['--live-restore'];
    // An engine that misses its driver while it starts asks for it again for some seconds.
    const engine = docker.start();
    await host.start();
    await engine;
    await docker.docker('start web db');
    const [ipv4] = await docker.addresses('db');
    await reaches('web', ipv4);
  });

  it('starts in any order beside containers that live on', async () => {
    const served = 'run -d --stop-signal KILL --name page --net n1 -p 8080:80 busybox:test';
    await docker.docker(`${served} /bin/nc -ll -p 80 -e /bin/echo hello`);
    const addresses = await docker.addresses('db');
    const read = `busybox nc -w 2 ${HOST_IPV4} 8080 < /dev/null`;
    const pageIsRead = async (): Promise<boolean> =>
      (await host.router.tryRunAsync('sh', '-c', read)).stdout.includes('hello');
    await eventually('the page is read', pageIsRead, PATIENCE);
    await Promise.all([docker.stop('SIGKILL'), host.stop('SIGKILL')]);
    assert.ok(await pageIsRead());
    const engine = docker.start();
    await host.start();
    await engine;
    assert.deepEqual(await docker.addresses('db'), addresses);
    for (const address of addresses) {
      await routerReaches(address);
      await reaches('web', address);
    }
    await eventually('the page is read', pageIsRead, PATIENCE);
    const found = (await host.endpoints()).map((each) => `${each.name} ${each.state}`).sort();
    assert.deepEqual(found, ['db up', 'page up', 'web up']);
    await docker.docker('rm -f page');
  });

  it('leaves nothing behind', async () => {
    await docker.docker('rm -f web db');
    await docker.docker('network rm n1');
    await eventually('every endpoint is gone', async () => (await host.endpoints()).length === 0);
    assert.deepEqual(host.links(), []);
    assert.deepEqual(
      host.ownRoutes().filter((line) => !line.startsWith('blackhole')),
      [],
    );
    await eventually('no address is held', async () => {
      const { blocks } = await host.status();
      assert.ok(blocks.length > 0);
      return !/libnetwork/.test(
        host.netns.run('sh', '-c', `grep -r libnetwork.address ${host.store} || true`),
      );
    });
  });
});
