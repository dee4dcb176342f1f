/** What is left of containers that ended while neither engine nor agent ran, of which the engine knows nothing any more. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentHost, createHost, disposeHosts, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { removeAllNetns } from '../support/netns.ts';
import { type Dockerd, importImage, installDocker } from './support/dockerd.ts';

const PATIENCE = { timeoutMs: 25_000 };

describe('Docker has lost its state', function () {
  this.timeout(60_000);
  let host: AgentHost;
  let docker: Dockerd;
  const pids = new Map<string, number>();
  const sandboxes = new Map<string, string>();
  const addresses = new Map<string, string>();

  before(async () => {
    host = createHost();
    host.router.sh('ip route add 10.65.1.0/24 via 192.0.2.2');
    docker = await installDocker(host);
    await host.start();
    await host.apply(...POOLS);
    await docker.start();
    await importImage(docker);
    await docker.docker('network create -d ocicat --ipam-driver ocicat --ipv6 n1');
    for (const name of ['living', 'emptied', 'ended']) {
      await docker.run(name, '--net n1');
      pids.set(name, Number(await docker.docker(`inspect -f {{.State.Pid}} ${name}`)));
      sandboxes.set(name, await docker.docker(`inspect -f {{.NetworkSettings.SandboxKey}} ${name}`));
      addresses.set(name, (await docker.addresses(name))[0]);
    }
    await eventually('all are up', async () => (await states()).length === 3);
    await Promise.all([docker.stop('SIGKILL'), host.stop('SIGKILL')]);
    end('emptied');
    await remove('ended');
    rmSync(join(docker.folder, 'data'), { recursive: true, force: true });
    await Promise.all([host.start(), docker.start()]);
  });

  after(async () => {
    for (const name of pids.keys()) end(name);
    await docker?.dispose();
    disposeHosts();
    await removeAllNetns();
  });

  /** Ends a container's process, which leaves its namespace to the mount. */
  function end(name: string): void {
    const pid = pids.get(name);
    if (pid === undefined) return;
    pids.delete(name);
    process.kill(pid, 'SIGKILL');
  }

  async function remove(name: string): Promise<void> {
    end(name);
    const [command = '', ...words] = docker.enter;
    const path = sandboxes.get(name) ?? '';
    host.netns.run(command, ...words, 'umount', path);
    host.netns.run(command, ...words, 'rm', path);
  }

  const states = async (): Promise<string[]> =>
    (await host.endpoints()).map(({ name, state }) => `${name} ${state}`).sort();

  const reached = async (name: string): Promise<boolean> =>
    (await host.router.tryRunAsync('ping', '-c', '1', '-W', '1', addresses.get(name) ?? '')).status === 0;

  const findings = async (): Promise<string[]> =>
    (await host.findings('docker-lost-endpoint'))
      .map(({ severity, message }) => `${severity} ${message}`)
      .sort();

  it('what is gone without a trace is removed as soon as the engine answers', async () => {
    await eventually('it is gone', async () => (await states()).join() === 'emptied up,living up', PATIENCE);
    assert.deepEqual(
      host.ownRoutes().filter((line) => line.startsWith(`${addresses.get('ended')} `)),
      [],
    );
  });

  it('a container that lives on stays and is reached; one whose namespace is empty has its time to show', async () => {
    await eventually('both are named', async () => {
      const [emptied, living] = await findings();
      assert.match(emptied ?? '', /^info .*libnetwork\/emptied; nothing speaks for it, and it is removed/);
      assert.match(living ?? '', /^warning .*libnetwork\/living; it stays, since processes run in its/);
      return true;
    });
    assert.ok(await reached('living'));
    assert.deepEqual(await states(), ['emptied up', 'living up']);
  });

  it('what vanishes later is removed when the kernel announces that, unless the engine is away', async () => {
    await docker.stop();
    await remove('emptied');
    await eventually('it has failed', async () => (await states()).includes('emptied failed'), PATIENCE);
    assert.ok(await reached('living'));
    await docker.start();
    await eventually('it is gone', async () => (await states()).join() === 'living up', PATIENCE);
    await remove('living');
    await eventually('none is left', async () => (await states()).length === 0, PATIENCE);
    assert.deepEqual(await findings(), []);
  });

  it('their addresses go back, for others to have', async () => {
    const address = addresses.get('living') ?? '';
    // Not before Docker has had its time to name the endpoint of an address that it asked for.
    await eventually(
      'it is free',
      async () => !(await host.ocicat(`ipam show --ip ${address}`)).includes('in use'),
      { timeoutMs: 45_000, intervalMs: 200 },
    );
    await importImage(docker);
    await docker.docker('network create -d ocicat --ipam-driver ocicat --ipv6 --subnet 10.65.1.0/24 n2');
    await docker.run('heir', `--net n2 --ip ${address}`);
    await eventually('it is reached', () => reached('living'), PATIENCE);
    await docker.docker('rm -f heir');
  });
});
