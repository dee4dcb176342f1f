/** A store that is locked while its contents move: every door for containers says so, what runs goes on, and all is well when it is unlocked. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Executor, type PluginRun } from '../runtimes/support/cni-executor.ts';
import { type AgentHost, createHost, disposeHosts, LAUNCHER, POOLS, runCli } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';

const ETCD = 'http://192.0.2.1:2379';

describe('a locked datastore', function () {
  this.timeout(60_000);
  let host: AgentHost;
  let docker: string;
  let executor: Executor;

  before(async () => {
    host = createHost();
    docker = join(host.folder, 'ocicat.sock');
    const data = join(host.folder, 'etcd');
    mkdirSync(data);
    const etcd = host.router.spawn(
      'env',
      'GOMAXPROCS=1',
      'etcd',
      ...['--data-dir', data, '--unsafe-no-fsync', '--logger', 'zap', '--log-level', 'error'],
      ...['--listen-client-urls', 'http://0.0.0.0:2379', '--advertise-client-urls', ETCD],
      ...['--listen-peer-urls', 'http://127.0.0.1:2380'],
    );
    etcd.stdout?.resume();
    etcd.stderr?.resume();
    writeFileSync(
      host.config,
      `nodeName: h1\nstore: {kind: etcd, path: ${host.store}, endpoints: ["${ETCD}"]}\nsocket: ${host.socket}\ndocker: {plugin: "on", pluginSocket: ${docker}}\n`,
    );
    await eventually('etcd listens', () => /:2379 /.test(host.router.sh('ss -Hltn')));
    await host.start();
    await host.apply(...POOLS);
    const binDir = join(host.folder, 'bin');
    const queue = join(host.folder, 'cni-queue');
    const folders = ['--bin-dir', binDir, '--conf-dir', join(host.folder, 'net.d'), '--queue', queue];
    const installed = await runCli(['cni', 'install', ...folders], { socket: host.socket });
    assert.equal(installed.status, 0, installed.stderr);
    executor = new Executor(binDir, {
      name: 'net1',
      type: 'ocicat-cni',
      cniVersion: '1.1.0',
      socket: host.socket,
      queue,
    });
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  const lock = async (word: 'lock' | 'unlock'): Promise<void> => {
    const { status, stderr } = await host.netns.tryRunAsync(
      'sh',
      ...[LAUNCHER, 'datastore', word, '--store', `etcd:${ETCD}`],
    );
    assert.equal(status, 0, stderr);
    await eventually(
      `the agent sees the ${word}`,
      async () => ((await host.findings('store-locked')).length === 1) === (word === 'lock'),
    );
  };
  const ask = (method: string, body: object): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const call = request({ socketPath: docker, path: `/${method}`, method: 'POST' }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        answer.once('end', () => resolve(JSON.parse(text)));
      });
      call.once('error', reject);
      call.setTimeout(20_000, () => call.destroy(new Error(`${method}: no answer`)));
      call.end(JSON.stringify(body));
    });
  const codeOf = ({ json, stdout }: PluginRun): unknown => {
    assert.ok(typeof json === 'object' && json !== null, stdout);
    assert.match(String(Reflect.get(json, 'msg')), /lock/);
    return Reflect.get(json, 'code');
  };

  it('CNI: ADD and CHECK 11 (try again later), STATUS 50, a DEL is queued and done when it is unlocked', async () => {
    const container = createNetns();
    const old = { id: 'old', netns: container.path };
    assert.equal((await executor.add(old)).status, 0);
    await lock('lock');
    assert.equal(codeOf(await executor.add({ id: 'new', netns: createNetns().path })), 11);
    assert.equal(codeOf(await executor.check(old)), 11);
    assert.equal(codeOf(await executor.status()), 50);
    assert.equal((await executor.del(old)).status, 0);
    assert.deepEqual(
      (await host.endpoints()).map(({ name, state }) => `${name} ${state}`),
      ['old up'],
    );
    await assert.rejects(host.add('by-hand', createNetns()), /lock/);
    await lock('unlock');
    await eventually('the DEL is done', async () => (await host.endpoints()).length === 0);
    assert.equal((await executor.status()).status, 0);
  });

  it('Docker: an address is refused with the reason, and given when it is unlocked', async () => {
    await lock('lock');
    const wanted = { PoolID: 'ipv4', Address: '', Options: {} };
    const refused = await ask('IpamDriver.RequestAddress', wanted);
    // Docker reads one field or the other.
    for (const field of ['Err', 'Error'])
      assert.match(String(refused[field]), /locked.*try again when it is unlocked/);
    for (const method of ['CreateEndpoint', 'Join', 'Leave', 'DeleteEndpoint'])
      assert.match(
        String((await ask(`NetworkDriver.${method}`, { EndpointID: 'e1' }))['Err']),
        /locked/,
        method,
      );
    assert.equal((await ask('NetworkDriver.EndpointOperInfo', {}))['Err'], undefined);
    await lock('unlock');
    const given = await ask('IpamDriver.RequestAddress', wanted);
    assert.match(String(given['Address']), /^10\.65\.1\.\d+\/32$/);
  });
});
