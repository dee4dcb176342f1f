/** Published ports by CNI: who may have which port of the host, and what a refused one is told. A real agent and kernel. Needs root. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type AgentHost, createHost, disposeHosts, POOLS, runCli } from '../support/agent.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';
import { type AttachmentOptions, Executor, type PluginRun } from './support/cni-executor.ts';

interface PortMapping {
  readonly hostPort: number;
  readonly protocol?: string;
  readonly hostIP?: string;
}

describe('CNI: ports of the host', function () {
  this.timeout(60_000);
  let host: AgentHost;
  let executor: Executor;

  before(async () => {
    host = createHost();
    await host.start();
    await host.apply(...POOLS);
    const binDir = join(host.folder, 'bin');
    const queue = join(host.folder, 'cni-queue');
    const folders = ['--bin-dir', binDir, '--conf-dir', join(host.folder, 'net.d'), '--queue', queue];
    const installed = await runCli(['cni', 'install', ...folders], { socket: host.socket });
    assert.equal(installed.status, 0, installed.stderr);
    const config = { name: 'net1', type: 'ocicat-cni', cniVersion: '1.0.0', socket: host.socket, queue };
    executor = new Executor(binDir, config);
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });
  afterEach(async () => {
    for (const { name, namespace } of await host.endpoints())
      await host.api.call('DELETE', `/v1/endpoints/${namespace}/${name}`);
  });

  const asking = (id: string, ...ports: readonly PortMapping[]): AttachmentOptions => ({
    id,
    netns: createNetns().path,
    runtimeConfig: {
      portMappings: ports.map((port) => ({ protocol: 'tcp', ...port, containerPort: 80 })),
    },
  });
  const names = async (): Promise<string[]> => (await host.endpoints()).map(({ name }) => name).sort();
  const refused = (run: PluginRun, message: RegExp): void => {
    assert.equal(run.status, 1, run.stdout);
    const { json } = run;
    assert.ok(typeof json === 'object' && json !== null);
    // A code of our own: trying again later does not help.
    assert.equal(Reflect.get(json, 'code'), 100, run.stdout);
    assert.match(String(Reflect.get(json, 'msg')), message);
  };
  const granted = (run: PluginRun): void => assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);

  it('a port that is taken is refused with port and holder named, and leaves nothing; it is free after the DEL', async () => {
    const first = asking('first', { hostPort: 8099 });
    granted(await executor.add(first));
    const links = host.links();
    const second = asking('second', { hostPort: 8098 }, { hostPort: 8099 });
    refused(await executor.add(second), /8099.*first/);
    assert.deepEqual(await names(), ['first']);
    assert.deepEqual(host.links(), links);
    granted(await executor.del(second));
    granted(await executor.del(first));
    granted(await executor.add(second));
    granted(await executor.del(second));
  });

  it('the same ADD again is no conflict with itself', async () => {
    const first = asking('first', { hostPort: 8099 });
    granted(await executor.add(first));
    granted(await executor.add(first));
    granted(await executor.del(first));
  });

  it('the same number of another protocol, or on another address of the host, is another port', async () => {
    const all = [
      asking('tcp', { hostPort: 8099, hostIP: '192.0.2.2' }),
      asking('udp', { hostPort: 8099, protocol: 'udp' }),
      asking('local', { hostPort: 8099, hostIP: '127.0.0.1' }),
    ];
    for (const one of all) granted(await executor.add(one));
    refused(await executor.add(asking('any', { hostPort: 8099 })), /8099/);
    refused(await executor.add(asking('same', { hostPort: 8099, hostIP: '192.0.2.2' })), /8099.*tcp/);
    for (const one of all) granted(await executor.del(one));
  });

  it('two at once for one port: one has it, the other is refused, and nothing of that is left', async () => {
    const both = [asking('left', { hostPort: 8099 }), asking('right', { hostPort: 8099 })];
    const runs = await Promise.all(both.map((one) => executor.add(one)));
    const lost = runs.filter(({ status }) => status !== 0);
    assert.equal(lost.length, 1, JSON.stringify(runs));
    for (const run of lost) refused(run, /8099/);
    assert.equal((await names()).length, 1);
    assert.equal(host.links().length, 1);
    for (const one of both) granted(await executor.del(one));
    assert.deepEqual(host.links(), []);
  });

  it('a port that `ocicat endpoint add` published is taken for CNI too', async () => {
    await host.add('by-hand', createNetns(), { ports: [{ hostPort: 8099, port: 80, protocol: 'TCP' }] });
    refused(await executor.add(asking('late', { hostPort: 8099 })), /8099.*by-hand/);
  });
});
