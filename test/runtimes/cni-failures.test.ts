/** CNI orders that fail, come while the agent is down, again, or at once: nothing is left behind, nothing done twice. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentHost, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
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

describe('CNI failures', function () {
  this.timeout(60_000);
  let it1: Installed;
  let host: AgentHost;

  before(async () => {
    it1 = await startInstalled();
    host = it1.host;
  });
  after(removeHosts);
  afterEach(() => tidy(host));

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
