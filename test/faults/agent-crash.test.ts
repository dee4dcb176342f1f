/** The agent is killed at any instant while endpoints come and go; and its store changes while it is down. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type AgentHost, createHost, disposeHosts, POOLS, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

/** Waits until kernel and store agree on the endpoints, and nothing else of ours is there. */
async function consistent(host: AgentHost): Promise<void> {
  await eventually('kernel and store agree', async () => {
    const endpoints = await host.endpoints();
    const interfaces = endpoints.map((each) => each.interface).sort();
    assert.deepEqual(
      endpoints.map(({ state }) => state).filter((state) => state !== 'up'),
      [],
    );
    assert.deepEqual(host.links().sort(), interfaces);
    const routed = host
      .ownRoutes()
      .filter((line) => line.includes(' dev oci'))
      .map((line) => line.split(' ')[0])
      .sort();
    const addresses = endpoints.flatMap((each) => each.addresses).sort();
    assert.deepEqual(routed, addresses);
    assert.equal(new Set(addresses).size, addresses.length, 'no address twice');
    const chains = interfaces.flatMap((link) => [`oci-fw-${link}`, `oci-tw-${link}`]).sort();
    for (const family of ['ipv4', 'ipv6'] as const) {
      assert.deepEqual(host.endpointChains(family).sort(), chains);
    }
    return true;
  });
}

describe('agent: crashes and changes behind its back', function () {
  this.timeout(120_000);
  afterEach(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('killed at any instant of adding and deleting: no address twice, none lost, nothing left over', async () => {
    const host = createHost();
    await host.start();
    await host.apply(
      poolYaml('tiny4', '10.65.9.0/29', '  blockSize: 29\n'),
      poolYaml('tiny6', 'fd00:65:9::/125', '  blockSize: 125\n'),
    );
    const containers = new Map<string, Netns>(['a', 'b', 'c', 'd'].map((name) => [name, createNetns()]));
    const known = new Map<string, readonly string[]>();
    for (let round = 0; round < 8; round++) {
      // Each container comes and goes as fast as it can, until the agent is gone.
      const busy = [...containers].map(async ([name, netns], index) => {
        for (let step = round + index; ; step++) {
          try {
            if (step % 3 === 2) {
              known.delete(name);
              await host.delete(name);
            } else {
              const added = host.add(name, netns);
              known.delete(name);
              known.set(name, (await added).addresses);
            }
          } catch {
            return;
          }
        }
      });
      await delay(5 + ((round * 37) % 190));
      await host.stop('SIGKILL');
      await Promise.all(busy);
      await host.start();
      await consistent(host);
      const now = new Map((await host.endpoints()).map(({ name, addresses }) => [name, addresses]));
      // What was answered is kept: who asked may rely on it.
      for (const [name, addresses] of known) assert.deepEqual(now.get(name), addresses, name);
      for (const [name, netns] of containers) {
        if (!now.has(name)) assert.equal(netns.tryRun('ip', 'link', 'show', 'eth0').status, 1, name);
      }
    }
    for (const name of containers.keys()) await host.delete(name);
    await consistent(host);
    // All eight addresses of each pool can still be given.
    const given = new Set<string>();
    for (let index = 0; index < 8; index++) {
      for (const address of (await host.add(`all${index}`, createNetns())).addresses) given.add(address);
    }
    assert.equal(given.size, 16);
    assert.equal((await host.status()).blocks.length, 2);
  });

  it('takes up at its start what was edited, added and removed while it was down', async () => {
    const host = createHost();
    await host.start();
    await host.apply(...POOLS);
    const [one, two] = [createNetns(), createNetns()];
    const first = await host.add('one', one, { labels: { app: 'web' } });
    const second = await host.add('two', two, { labels: { app: 'web' } });
    await host.stop('SIGTERM');
    const folder = join(host.store, 'WorkloadEndpoint');
    const [fileOne, fileTwo] = ['one', 'two'].map((name) => {
      const found = readdirSync(folder).find((file) => file.includes(`-${name}-`));
      assert.ok(found !== undefined, readdirSync(folder).join());
      return join(folder, found);
    });
    assert.ok(fileOne !== undefined && fileTwo !== undefined);
    rmSync(fileOne);
    const text = readFileSync(fileTwo, 'utf8');
    assert.match(text, /app: web/);
    // As editors do it: another file, renamed.
    writeFileSync(`${fileTwo}~`, text.replace('app: web', 'app: db'));
    renameSync(`${fileTwo}~`, fileTwo);
    const policies = join(host.store, 'GlobalNetworkPolicy');
    const yaml = `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: db}\nspec: {selector: app == 'db', types: [Ingress]}\n`;
    const added = host.store && join(policies, 'db.yaml');
    try {
      writeFileSync(added, yaml);
    } catch {
      assert.fail(`the store has no folder GlobalNetworkPolicy: ${readdirSync(host.store).join()}`);
    }
    await host.start();
    await consistent(host);
    const endpoints = await host.endpoints();
    assert.deepEqual(
      endpoints.map(({ name, addresses, labels }) => ({ name, addresses, labels })),
      [{ name: 'two', addresses: second.addresses, labels: { app: 'db' } }],
    );
    assert.match(endpoints[0]?.policies.join() ?? '', /db/);
    assert.equal(one.tryRun('ip', 'link', 'show', 'eth0').status, 1);
    // The address of the endpoint that was removed is free.
    const again = await host.add('three', one, { ips: first.addresses });
    assert.deepEqual(again.addresses, first.addresses);
  });

  it('keeps policy and links in force while it is dead, and makes no gap when it comes back', async () => {
    const host = createHost();
    await host.start();
    await host.apply(...POOLS);
    host.router.sh('ip route add 10.65.0.0/16 via 192.0.2.2');
    const [open, shut] = [createNetns(), createNetns()];
    await host.add('open', open);
    await host.add('shut', shut, { labels: { shut: 'yes' } });
    await host.apply(
      `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: shut}\nspec: {selector: shut == 'yes', types: [Ingress, Egress]}`,
    );
    const pings = (from: Netns): boolean => from.tryRun('ping', '-c1', '-W1', '-n', '192.0.2.1').status === 0;
    await eventually('policy is in force', () => !pings(shut));
    // New connections all the time, from both: none of the one may get through, none of the other may be lost.
    const flood = (from: Netns) => {
      const child = from.spawn('ping', '-i', '0.005', '-W', '1', '-n', '192.0.2.1');
      let text = '';
      child.stdout?.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      return async (): Promise<{ sent: number; received: number }> => {
        child.kill('SIGINT');
        const found = await eventually(
          'ping tells',
          () => /(\d+) packets transmitted, (\d+) received/.exec(text) ?? undefined,
        );
        return { sent: Number(found[1]), received: Number(found[2]) };
      };
    };
    const ends = [flood(open), flood(shut)] as const;
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await host.stop(signal);
      assert.ok(pings(open) && !pings(shut), `while it is dead after ${signal}`);
      await host.start();
      await consistent(host);
    }
    const [opened, closed] = [await ends[0](), await ends[1]()];
    assert.ok(opened.sent > 100 && opened.sent - opened.received <= 1, JSON.stringify(opened));
    assert.ok(closed.sent > 100, JSON.stringify(closed));
    assert.equal(closed.received, 0);
  });
});
