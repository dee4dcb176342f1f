/** Podman with its CNI back end, on two nodes. Needs root, podman, runc, conmon and busybox-static. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { disposeHosts } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { removeAllNetns } from '../support/netns.ts';
import { makeRootfs } from './support/busybox.ts';
import { install, twoNodes, untilRouted } from './support/nodes.ts';
import { Podman } from './support/podman.ts';

const NETWORK = 'pods';

describe('podman with the CNI plugin', function () {
  this.timeout(120_000);
  let podmans: readonly [Podman, Podman];
  let first: Podman;
  let second: Podman;

  before(async () => {
    const nodes = await twoNodes(NETWORK);
    const [a, b] = nodes.map((node) => {
      const rootfs = join(node.host.folder, 'rootfs');
      makeRootfs(rootfs);
      return new Podman(node, rootfs, NETWORK);
    });
    assert.ok(a !== undefined && b !== undefined);
    podmans = [a, b];
    [first, second] = podmans;
    first.node.host.router.sh('ip route add 10.65.0.0/16 via 192.0.2.2');
  });
  afterEach(async () => {
    for (const podman of podmans ?? []) {
      if (!podman.node.host.isRunning) await podman.node.host.start();
      await podman.run('rm', '--force', '--all', '--time', '0');
      await eventually('no endpoint is left', async () => (await podman.node.host.endpoints()).length === 0);
    }
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('run: addresses of both families, the default route; nothing left afterwards', async () => {
    const shown = await first.run(
      'run',
      '--rm',
      '--rootfs',
      first.rootfs,
      'ip',
      '-o',
      'addr',
      'show',
      'eth0',
    );
    assert.match(shown, /inet 10\.65\.1\.\d+\/32/);
    assert.match(shown, /inet6 fd00:65:1::\S*\/128/);
    await eventually('no link is left', () => first.node.host.links().length === 0);
  });

  it('containers of two nodes reach each other, in both families, by ping and TCP', async () => {
    await first.start('web', [], ['httpd', '-f', '-h', '/var/www', '-p', '80']);
    await second.start('client');
    const [web] = await first.node.host.endpoints();
    const [v4 = '', v6 = ''] = web?.addresses ?? [];
    await untilRouted(second.node, ['10.65.1.', 'fd00:65:1::']);
    await untilRouted(first.node, ['10.65.2.', 'fd00:65:2::']);
    await second.run('exec', 'client', 'ping', '-c1', '-W5', v4);
    await second.run('exec', 'client', 'ping', '-c1', '-W5', v6);
    const get = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${v4} 80`;
    assert.match(await second.run('exec', 'client', 'sh', '-c', get), /hello from the container/);
    // Podman's names are what policies select by.
    assert.equal(web?.labels['ocicat.dev/pod'], 'web');
    await first.node.host.apply(
      `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: shut}
spec:
  selector: ocicat.dev/pod == "web"
  types: [Ingress]
  ingress: [{action: Deny}]`,
    );
    try {
      await eventually('the policy holds', async () => {
        return (await second.try('exec', 'client', 'ping', '-c1', '-W1', v4)).status !== 0;
      });
    } finally {
      await first.node.host.ocicat('delete globalnetworkpolicy shut');
    }
  });

  it('a fixed address and MAC, an interface name, a published port', async () => {
    const options = `${NETWORK}:ip=10.65.1.99,mac=02:11:22:33:44:55,interface_name=data0`;
    await first.start(
      'web',
      ['--network', options, '-p', '8085:80'],
      ['httpd', '-f', '-h', '/var/www', '-p', '80'],
    );
    const shown = await first.run('exec', 'web', 'ip', 'addr', 'show', 'data0');
    assert.match(shown, /10\.65\.1\.99\/32/);
    assert.match(shown, /02:11:22:33:44:55/);
    const answer = first.node.host.router.run(
      'sh',
      '-c',
      "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 192.0.2.2 8085",
    );
    assert.match(answer, /hello from the container/);
    assert.match(await first.run('port', 'web'), /8085/);
  });

  it('two containers that want one fixed address: the second is told who has it', async () => {
    await first.start('one', ['--network', `${NETWORK}:ip=10.65.1.98`]);
    const refused = await first.try(
      'run',
      '--rm',
      '--network',
      `${NETWORK}:ip=10.65.1.98`,
      '--rootfs',
      first.rootfs,
      'true',
    );
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /10\.65\.1\.98 is in use/);
    assert.equal((await first.node.host.endpoints()).length, 1);
  });

  it('the main process is killed: podman detaches, and nothing is left', async () => {
    await first.start('victim');
    const pid = Number(await first.run('inspect', '--format', '{{.State.Pid}}', 'victim'));
    assert.ok(pid > 1);
    process.kill(pid, 'SIGKILL');
    await eventually('the endpoint is gone', async () => (await first.node.host.endpoints()).length === 0);
    await eventually('no link is left', () => first.node.host.links().length === 0);
  });

  it('restart: the same container in a new namespace', async () => {
    await first.start('again');
    const before = (await first.node.host.endpoints())[0];
    await first.run('restart', '--time', '0', 'again');
    const after = (await first.node.host.endpoints())[0];
    assert.equal(after?.state, 'up');
    assert.equal(after?.interface, before?.interface);
    assert.notEqual(after?.netns, before?.netns);
    await first.run('exec', 'again', 'ping', '-c1', '-W5', '192.0.2.1');
  });

  it('network reload: detached and attached again in the same namespace', async () => {
    await first.start('kept');
    await first.run('network', 'reload', 'kept');
    assert.deepEqual(
      (await first.node.host.endpoints()).map(({ state }) => state),
      ['up'],
    );
    await first.run('exec', 'kept', 'ping', '-c1', '-W5', '192.0.2.1');
  });

  it('a second network: one more interface, reached by its own addresses', async () => {
    await install(first.node.host, 'more');
    await first.start('two');
    await first.run('network', 'connect', 'more', 'two');
    const endpoints = await first.node.host.endpoints();
    assert.deepEqual(endpoints.map(({ labels }) => labels['ocicat.dev/network']).sort(), ['more', NETWORK]);
    for (const { addresses } of endpoints)
      first.node.host.router.run('ping', '-c1', '-W5', addresses[0] ?? '');
    await first.run('network', 'disconnect', 'more', 'two');
    assert.equal((await first.node.host.endpoints()).length, 1);
  });

  it('agent down: run says so, rm works, and the agent clears up when it is back', async () => {
    await first.start('old');
    await first.node.host.stop('SIGKILL');
    const refused = await first.try('run', '--rm', '--rootfs', first.rootfs, 'true');
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /ocicat agent does not answer/);
    await first.run('rm', '--force', '--time', '0', 'old');
    const queue = join(first.node.host.folder, 'cni-queue');
    assert.ok(existsSync(queue));
    await first.node.host.start();
    await eventually('the queue is worked off', () => readdirSync(queue).length === 0);
    assert.deepEqual(await first.node.host.endpoints(), []);
    await eventually('no link is left', () => first.node.host.links().length === 0);
  });

  it('four at once', async () => {
    const names = ['p1', 'p2', 'p3', 'p4'];
    await Promise.all(names.map((name) => first.start(name)));
    const addresses = (await first.node.host.endpoints()).flatMap((endpoint) => endpoint.addresses);
    assert.equal(new Set(addresses).size, 8);
  });
});
