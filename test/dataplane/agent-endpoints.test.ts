/** Endpoints of a real agent: what `ocicat endpoint add` and `delete` make and leave, and what the agent does when others meddle. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentHost, createHost, disposeHosts, POOLS, poolYaml, UPLINK } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

async function startHost(...documents: readonly string[]): Promise<AgentHost> {
  const host = createHost();
  await host.start();
  if (documents.length > 0) await host.apply(...documents);
  return host;
}

/** Pings of the host's uplink addresses never pass policy towards the host; the router behind it answers. */
function pingsRouter(host: AgentHost, container: Netns, families: readonly (4 | 6)[] = [4, 6]): void {
  if (families.includes(4)) {
    host.router.tryRun('ip', 'route', 'replace', '10.65.0.0/16', 'via', '192.0.2.2');
    container.run('ping', '-c1', '-W5', '-n', '192.0.2.1');
  }
  if (families.includes(6)) {
    host.router.tryRun('ip', 'route', 'replace', 'fd00:65::/32', 'via', '2001:db8:2::2');
    container.run('ping', '-c1', '-W5', '-n', '2001:db8:2::1');
  }
}

/** Everything of endpoints that is left in kernel and store. */
async function remains(host: AgentHost): Promise<object> {
  return {
    links: host.links(),
    routes: host.ownRoutes().filter((line) => !line.startsWith('blackhole')),
    chains: [...host.endpointChains('ipv4'), ...host.endpointChains('ipv6')],
    resources: (await host.api.call<unknown[]>('GET', '/v1/resources/workloadendpoints')).length,
    endpoints: (await host.endpoints()).length,
  };
}

const NOTHING = { links: [], routes: [], chains: [], resources: 0, endpoints: 0 };

async function nothingRemains(host: AgentHost): Promise<void> {
  await eventually('nothing of endpoints is left', async () => {
    assert.deepEqual(await remains(host), NOTHING);
    return true;
  });
}

/** Endpoint names by address that the store holds as given. */
async function refused(host: AgentHost, line: string, status: number, text: RegExp): Promise<void> {
  const result = await host.cli(line.split(' '));
  assert.equal(result.status, status, `${line}: ${result.stdout}${result.stderr}`);
  assert.match(result.stderr, text);
  assert.match(result.stderr, /^ocicat: /);
  assert.doesNotMatch(result.stderr, /\n\s+at /, 'no stack trace');
}

describe('agent: endpoints', function () {
  this.timeout(60_000);
  afterEach(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('adds, adds again with the same result, deletes, deletes again', async () => {
    const host = await startHost(...POOLS);
    const container = createNetns();
    const line = `endpoint add c1 --netns ${container.path} --label app=web --label role=client -o json`;
    const first: unknown = JSON.parse(await host.ocicat(line));
    pingsRouter(host, container);
    const before = host.ownRoutes();
    assert.deepEqual(JSON.parse(await host.ocicat(line)), first);
    assert.deepEqual(host.ownRoutes(), before);
    assert.equal(host.links().length, 1);
    // Without labels: those that were given stay.
    assert.deepEqual(
      JSON.parse(await host.ocicat(`endpoint add c1 --netns ${container.path} -o json`)),
      first,
    );
    pingsRouter(host, container);
    const [view] = await host.endpoints();
    assert.deepEqual(view?.labels, { app: 'web', role: 'client' });
    assert.equal(view?.state, 'up');
    const inside = container.sh('ip -o address show dev eth0 scope global');
    for (const address of view?.addresses ?? []) assert.ok(inside.includes(`${address}/`), inside);

    assert.match(
      await host.ocicat('endpoint delete c1'),
      /detached, 10\.65\.1\.\d+, fd00:65:1::\S* released/,
    );
    await nothingRemains(host);
    assert.equal(container.tryRun('ip', 'link', 'show', 'eth0').status, 1);
    assert.match(await host.ocicat('endpoint delete c1'), /was not there/);
  });

  it('changes labels, addresses and namespace of an endpoint that is added anew', async () => {
    const host = await startHost(...POOLS);
    const [one, two] = [createNetns(), createNetns()];
    const first = await host.add('c1', one, { labels: { app: 'a' } });
    const second = await host.add('c1', two, { labels: { app: 'b' } });
    assert.deepEqual(second.addresses, first.addresses);
    assert.deepEqual(second.labels, { app: 'b' });
    assert.equal(one.tryRun('ip', 'link', 'show', 'eth0').status, 1);
    pingsRouter(host, two);
    await refused(
      host,
      `endpoint add c1 --netns ${two.path} --interface eth1`,
      1,
      /attached already, by interface eth0/,
    );
    // The same name in another policy namespace is another endpoint.
    await host.ocicat(`endpoint add c1 --netns ${one.path} --namespace prod`);
    assert.equal((await host.endpoints()).length, 2);
  });

  it('refuses addresses that cannot be had, each with one error', async () => {
    const host = await startHost(...POOLS);
    const [one, two] = [createNetns(), createNetns()];
    const netns = `--netns ${two.path}`;
    await host.ocicat(`endpoint add c1 --netns ${one.path} --ip 10.65.1.7 --ip fd00:65:1::7`);
    await refused(host, `endpoint add c2 ${netns} --ip 10.99.0.1`, 1, /10\.99\.0\.1.*no.*pool/i);
    await refused(host, `endpoint add c2 ${netns} --ip fd00:99::1`, 1, /fd00:99::1.*no.*pool/i);
    await refused(host, `endpoint add c2 ${netns} --ip 10.65.1.7`, 1, /10\.65\.1\.7.*default\.c1/);
    await refused(
      host,
      `endpoint add c2 ${netns} --ip 10.65.1.300`,
      2,
      /--ip 10\.65\.1\.300.*no IPv4 or IPv6/,
    );
    await refused(host, `endpoint add c2 ${netns} --ip 10.65.1.8 --ip 10.65.1.9`, 2, /one address a family/);
    await refused(host, `endpoint add c2 --netns relative/path`, 2, /absolute path/);
    await refused(host, `endpoint add C_2 ${netns}`, 2, /C_2/);
    await refused(host, `endpoint add c2 ${netns} --label UP/=x`, 2, /label/);
    // Nothing of all that stayed behind: the addresses named beside a bad one are free.
    assert.equal((await host.endpoints()).length, 1);
    assert.equal(host.links().length, 1);
    const view = await host.add('c2', two, { ips: ['10.65.1.8', 'fd00:65:1::8'] });
    assert.deepEqual(view.addresses, ['10.65.1.8', 'fd00:65:1::8']);
    pingsRouter(host, two);
  });

  it('refuses an address of a family that has no pool', async () => {
    const host = await startHost(poolYaml('four', '10.65.1.0/24'));
    const container = createNetns();
    await refused(host, `endpoint add c1 --netns ${container.path} --ip fd00:65:1::1`, 1, /fd00:65:1::1/);
    await nothingRemains(host);
  });

  it('says which pool is full and who holds it, and goes on when an address is back', async () => {
    const host = await startHost(poolYaml('tiny', '10.65.9.0/30', '  blockSize: 30\n'));
    const containers = [createNetns(), createNetns(), createNetns(), createNetns(), createNetns()];
    const given = new Set<string>();
    for (const [index, each] of containers.slice(0, 4).entries()) {
      const { addresses } = await host.add(`c${index}`, each);
      for (const address of addresses) given.add(address);
    }
    assert.equal(given.size, 4);
    const [, , , , last] = containers;
    assert.ok(last !== undefined);
    await refused(host, `endpoint add c4 --netns ${last.path}`, 1, /IPPool tiny is full: 4 of 4.*held by/);
    assert.equal(host.links().length, 4);
    const { released } = await host.delete('c2');
    const view = await host.add('c4', last);
    assert.deepEqual(view.addresses, released);
  });

  it('leaves nothing behind when the network namespace does not exist', async () => {
    const host = await startHost(poolYaml('tiny', '10.65.9.0/30', '  blockSize: 30\n'));
    for (let round = 0; round < 5; round++) {
      await refused(host, 'endpoint add c1 --netns /run/netns/ocit-none', 2, /\/run\/netns\/ocit-none/);
    }
    await refused(host, 'endpoint add c1 --netns /etc/hostname', 2, /\/etc\/hostname.*no network namespace/);
    await nothingRemains(host);
    // All four addresses of the pool are still there to be given.
    for (let index = 0; index < 4; index++) await host.add(`c${index}`, createNetns());
  });

  it('keeps an endpoint as it is when it is added again with a namespace that does not exist', async () => {
    const host = await startHost(...POOLS);
    const container = createNetns();
    const view = await host.add('c1', container);
    await refused(host, 'endpoint add c1 --netns /run/netns/ocit-none', 2, /\/run\/netns\/ocit-none/);
    assert.deepEqual(await host.endpoints(), [view]);
    pingsRouter(host, container);
  });

  it('tells what to do when there is no pool', async () => {
    const host = await startHost();
    const container = createNetns();
    await refused(host, `endpoint add c1 --netns ${container.path}`, 1, /no IPPool[\s\S]*ocicat status/);
    const status = await host.ocicat('status');
    assert.match(status, /kind: IPPool/);
    assert.match(status, /kind: BGPPeer/);
    await nothingRemains(host);
  });

  it('attaches with IPv4 pools only and with IPv6 pools only, without a default route', async () => {
    for (const [pool, family] of [
      [POOLS[0] ?? '', 4],
      [POOLS[1] ?? '', 6],
    ] as const) {
      const host = await startHost(pool);
      const container = createNetns();
      const { addresses } = await host.add('c1', container);
      assert.equal(addresses.length, 1);
      assert.equal(host.netns.sh('ip route show default') + host.netns.sh('ip -6 route show default'), '');
      pingsRouter(host, container, [family]);
      const other = family === 4 ? '-6' : '-4';
      assert.equal(container.sh(`ip ${other} route show default`), '');
    }
  });

  it('follows the MTU of the uplink, on both ends', async () => {
    const host = await startHost(...POOLS);
    const container = createNetns();
    await host.add('c1', container);
    const mtus = async (): Promise<object> => ({
      host: /mtu (\d+)/.exec(host.netns.sh(`ip -o link show ${host.links()[0]}`))?.[1],
      container: /mtu (\d+)/.exec(container.sh('ip -o link show eth0'))?.[1],
      shown: (await host.endpoints())[0]?.mtu,
    });
    const all = (mtu: number): object => ({ host: `${mtu}`, container: `${mtu}`, shown: mtu });
    assert.deepEqual(await mtus(), all(1500));
    for (const mtu of [1400, 9000]) {
      host.netns.sh(`ip link set ${UPLINK} mtu ${mtu}`);
      await eventually(`the MTU ${mtu} is there`, async () => {
        assert.deepEqual(await mtus(), all(mtu));
        return true;
      });
    }
    const later = createNetns();
    assert.equal((await host.add('c2', later)).mtu, 9000);
    assert.match(later.sh('ip -o link show eth0'), /mtu 9000/);
  });

  it('says so when a container is gone behind its back, and cleans up on delete', async () => {
    const host = await startHost(...POOLS);
    const [one, two] = [createNetns(), createNetns()];
    const { addresses } = await host.add('c1', one);
    await host.add('c2', two);
    await one.remove();
    const finding = await eventually('status tells of the container', async () => {
      const [found] = await host.findings('endpoint-down');
      return found;
    });
    assert.match(finding.message, /default\/c1 is gone/);
    assert.match(finding.remedy ?? '', /endpoint delete c1/);
    await eventually('its routes are gone', () => {
      const routes = host.ownRoutes().join('\n');
      return !addresses.some((address) => routes.includes(`${address} dev`));
    });
    pingsRouter(host, two);
    assert.match(await host.ocicat('endpoint delete c1'), /detached/);
    assert.deepEqual(
      (await host.endpoints()).map(({ name }) => name),
      ['c2'],
    );
    assert.deepEqual(await host.findings('endpoint-down'), []);
    // The address can be given again.
    assert.deepEqual((await host.add('c3', createNetns(), { ips: addresses })).addresses, addresses);
  });

  it('brings back a link that somebody deleted, at either end', async () => {
    const host = await startHost(...POOLS);
    const container = createNetns();
    const { addresses } = await host.add('c1', container);
    const [link = ''] = host.links();
    for (const [netns, damage] of [
      [host.netns, `ip link del ${link}`],
      [container, 'ip link del eth0'],
      [host.netns, `ip link set ${link} down`],
    ] as const) {
      netns.sh(damage);
      await eventually(`the container is attached again after "${damage}"`, () => {
        const routes = host.ownRoutes().join('\n');
        return (
          addresses.every((address) => routes.includes(`${address} dev ${link}`)) &&
          container.tryRun('ping', '-c1', '-W1', '-n', '169.254.1.1').status !== null &&
          /state UP/.test(host.netns.sh(`ip -o link show ${link}`))
        );
      });
      pingsRouter(host, container);
      assert.equal((await host.endpoints())[0]?.state, 'up');
    }
  });

  it('puts back routes that somebody deleted or replaced, at once', async () => {
    const host = await startHost(...POOLS);
    const container = createNetns();
    const { addresses } = await host.add('c1', container);
    const [four = '', six = ''] = addresses;
    const whole = host.ownRoutes();
    for (const damage of [
      `ip route del ${four}`,
      `ip -6 route del ${six}`,
      `ip route flush proto 171`,
      `ip -6 route flush proto 171`,
      `ip route replace ${four} dev ${UPLINK} proto 171 metric 1024`,
    ]) {
      const began = performance.now();
      host.netns.sh(damage);
      await eventually(
        `the routes are back after "${damage}"`,
        () => {
          assert.deepEqual(host.ownRoutes(), whole);
          return true;
        },
        { timeoutMs: 3000 },
      );
      assert.ok(performance.now() - began < 2000, 'an event, not a poll');
      pingsRouter(host, container);
    }
  });

  it('reports a foreign route for a prefix of ours and does not touch it', async () => {
    const host = await startHost(...POOLS);
    const container = createNetns();
    const fixed = '10.65.1.77';
    for (const [metric, text] of [
      [0, /wins over ours|10\.65\.1\.77/],
      [1024, /keeps ours out/],
    ] as const) {
      host.netns.sh(`ip route add ${fixed} via 192.0.2.1 proto static metric ${metric}`);
      const theirs = host.netns.sh(`ip route show ${fixed} proto static`);
      const adding = host.cli(['endpoint', 'add', 'c1', '--netns', container.path, '--ip', fixed]);
      const finding = await eventually('status tells of the foreign route', async () => {
        const [found] = await host.findings('foreign-route');
        return found;
      });
      assert.match(finding.message, text);
      assert.match(finding.remedy ?? '', /ip route show 10\.65\.1\.77/);
      const rows = await host.routes(`${fixed}/32`);
      assert.ok(
        rows.some(({ state }) => state === 'foreign'),
        JSON.stringify(rows),
      );
      assert.equal(host.netns.sh(`ip route show ${fixed} proto static`), theirs);
      // Once it is out of the way, ours is in force.
      host.netns.sh(`ip route del ${fixed} via 192.0.2.1 metric ${metric}`);
      assert.equal((await adding).status, 0);
      await eventually('our route is in force', () =>
        host.netns.sh(`ip route get ${fixed}`).includes('dev oci'),
      );
      assert.deepEqual(await host.findings('foreign-route'), []);
      await host.delete('c1');
    }
  });

  it('a second agent on the same store or socket ends with a clear message', async () => {
    const host = await startHost();
    const same = await host.secondAgent(host.config);
    assert.equal(same.status, 2, same.stderr);
    assert.match(same.stderr, /store.*(in use|open|another)/i);
    const other = join(host.folder, 'other.yaml');
    writeFileSync(other, `store: {path: ${join(host.folder, 'other-store')}}\nsocket: ${host.socket}\n`);
    const socket = await host.secondAgent(other);
    assert.equal(socket.status, 2, socket.stderr);
    assert.match(socket.stderr, /is an agent running already/);
    assert.doesNotMatch(same.stderr + socket.stderr, /\n\s+at /);
    assert.ok((await host.status()).ready);
  });

  it('refuses a configuration that it does not understand', async () => {
    const host = createHost();
    writeFileSync(host.config, 'nodeName: h1\nstorre: {}\n');
    const result = await host.secondAgent(host.config);
    assert.equal(result.status, 2);
    assert.match(result.stderr, new RegExp(`${host.config}.*storre`, 's'));
  });
});
