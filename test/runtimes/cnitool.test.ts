/**
 * The reference executor, libcni, as its own command cnitool runs it: ADD, CHECK, DEL, GC and STATUS of specification 1.1.0 against a real
 * agent. lab/setup.sh builds cnitool where Go and its module proxy are to be had, else notes why not. Needs root.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AgentHost, createHost, disposeHosts, POOLS, runCli } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { type CommandResult, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { Executor } from './support/cni-executor.ts';

const TOOLS = fileURLToPath(new URL('../../node_modules/.ocicat-tools/', import.meta.url));
const CNITOOL = join(TOOLS, 'cnitool');
const WHY_NOT = join(TOOLS, 'cnitool.missing');

if (existsSync(CNITOOL)) describeWithCnitool();
else {
  describe('libcni by cnitool', () => {
    it('is not tested on this machine: cnitool is not to be had, and the set-up says why', () => {
      assert.ok(existsSync(WHY_NOT), 'neither cnitool nor a reason: run "sh lab/setup.sh test"');
      console.log(`      cnitool: ${readFileSync(WHY_NOT, 'utf8').trim()}`);
    });
  });
}

function describeWithCnitool(): void {
  describe('libcni by cnitool', function () {
    this.timeout(60_000);
    let host: AgentHost;
    let binDir: string;
    let config: Readonly<Record<string, unknown>>;

    before(async () => {
      host = createHost();
      await host.start();
      await host.apply(...POOLS);
      binDir = join(host.folder, 'bin');
      const queue = join(host.folder, 'cni-queue');
      const folders = ['--bin-dir', binDir, '--conf-dir', join(host.folder, 'net.d'), '--queue', queue];
      const installed = await runCli(['cni', 'install', ...folders], { socket: host.socket });
      assert.equal(installed.status, 0, installed.stderr);
      config = { type: 'ocicat-cni', socket: host.socket, queue };
      for (const name of ['lists', 'var-lib']) mkdirSync(join(host.folder, name));
      const list = { cniVersion: '1.1.0', name: 'net1', plugins: [config] };
      writeFileSync(join(host.folder, 'lists', '10-net1.conflist'), JSON.stringify(list));
    });
    after(async () => {
      disposeHosts();
      await removeAllNetns();
    });
    afterEach(async () => {
      if (!host.isRunning) await host.start();
      await cnitool('gc', createNetns());
      for (const { name, namespace } of await host.endpoints())
        await host.api.call('DELETE', `/v1/endpoints/${namespace}/${name}`);
    });

    // libcni keeps its results in /var/lib/cni: in a mount namespace the test's own folder stands there.
    function cnitool(verb: string, netns: Netns): Promise<CommandResult> {
      const { folder } = host;
      return host.netns.tryRunAsync(
        'env',
        ...[`CNI_PATH=${binDir}`, `NETCONFPATH=${join(folder, 'lists')}`, 'CNI_IFNAME=eth0'],
        ...['unshare', '-m', 'sh', '-c', 'mount --bind "$1" /var/lib && shift && exec "$@"', 'sh'],
        ...[join(folder, 'var-lib'), CNITOOL, verb, 'net1', netns.path],
      );
    }
    async function succeeds(verb: string, netns: Netns): Promise<string> {
      const { status, stdout, stderr } = await cnitool(verb, netns);
      assert.equal(status, 0, `${verb}: ${stdout}${stderr}`);
      return stdout;
    }
    async function fails(verb: string, netns: Netns, reason: RegExp): Promise<void> {
      const { status, stdout, stderr } = await cnitool(verb, netns);
      assert.notEqual(status, 0, `${verb}: ${stdout}`);
      assert.match(stderr, reason);
    }

    it('ADD, the same ADD again, CHECK before and after tampering, DEL, DEL again', async () => {
      const container = createNetns();
      const first: unknown = JSON.parse(await succeeds('add', container));
      assert.ok(typeof first === 'object' && first !== null);
      assert.equal(Reflect.get(first, 'cniVersion'), '1.1.0');
      assert.deepEqual(JSON.parse(await succeeds('add', container)), first);
      await succeeds('check', container);
      container.sh('ip link set eth0 down');
      container.sh('ip -4 address flush dev eth0');
      await fails('check', container, /eth0 of container cnitool-\w+ in net1 is not as it was made/);
      await succeeds('del', container);
      await succeeds('del', container);
      assert.deepEqual(await host.endpoints(), []);
      assert.deepEqual(host.links(), []);
    });

    it('GC: what libcni knows and is not wanted any more goes; what another runtime made stays', async () => {
      for (const container of [createNetns(), createNetns()]) await succeeds('add', container);
      const other = new Executor(binDir, { ...config, cniVersion: '1.1.0', name: 'net1' });
      assert.equal((await other.add({ id: 'others', netns: createNetns().path })).status, 0);
      assert.equal((await host.endpoints()).length, 3);
      await succeeds('gc', createNetns());
      assert.deepEqual(
        (await host.endpoints()).map(({ name }) => name),
        ['others'],
      );
    });

    it('STATUS: fine, with the agent down a reason; a DEL then is queued and done at its start', async () => {
      const container = createNetns();
      await succeeds('add', container);
      await succeeds('status', container);
      await host.stop('SIGKILL');
      await fails('status', container, /agent does not answer/);
      await fails('add', createNetns(), /agent does not answer/);
      await succeeds('del', container);
      await host.start();
      await eventually('the DEL is done', async () => (await host.endpoints()).length === 0);
      await succeeds('status', container);
    });
  });
}
