/** containerd by its CRI, as a kubelet uses it, on two nodes. Needs root, containerd, runc, busybox-static and the stock loopback plugin. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { disposeHosts } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { removeAllNetns } from '../support/netns.ts';
import { makeImage, makeRootfs } from './support/busybox.ts';
import { Containerd, type PodRequest } from './support/containerd.ts';
import { twoNodes, untilRouted } from './support/nodes.ts';

describe('containerd with the CNI plugin', function () {
  this.timeout(120_000);
  const daemons: Containerd[] = [];
  let first: Containerd;
  let second: Containerd;

  before(async () => {
    const nodes = await twoNodes('pods');
    const { folder } = nodes[0].host;
    makeRootfs(join(folder, 'rootfs'));
    const archive = join(folder, 'image.tar');
    makeImage(join(folder, 'rootfs'), archive, 'localhost/busybox:test');
    for (const node of nodes) {
      const daemon = new Containerd(node);
      daemons.push(daemon);
      await daemon.start();
      await daemon.importImage(archive);
      node.host.router.sh(
        `ip route add 10.65.0.0/16 via ${node.host.nodeName === 'h1' ? '192.0.2.2' : '192.0.2.3'}`,
      );
    }
    const [a, b] = daemons;
    assert.ok(a !== undefined && b !== undefined);
    [first, second] = [a, b];
  });
  afterEach(async () => {
    for (const daemon of daemons) {
      if (!daemon.node.host.isRunning) await daemon.node.host.start();
      for (const pod of await daemon.pods()) {
        await daemon.stopPod(pod);
        await daemon.removePod(pod);
      }
      await eventually('no endpoint is left', async () => (await daemon.node.host.endpoints()).length === 0);
    }
  });
  after(async () => {
    for (const daemon of daemons) await daemon.stop();
    disposeHosts();
    await removeAllNetns();
  });

  it('a pod has an address of each family, IPv4 first; stopped and removed again and again', async () => {
    const pod = await first.runPod({ name: 'web-0', namespace: 'shop' });
    const { ips, isReady } = await first.podStatus(pod);
    assert.ok(isReady);
    assert.deepEqual(
      ips.map((ip) => ip.replace(/\d+$/, 'N')),
      ['10.65.1.N', ips[1]?.replace(/\d+$/, 'N')],
    );
    assert.match(ips[1] ?? '', /^fd00:65:1::/);
    const [view] = await first.node.host.endpoints();
    assert.deepEqual([view?.namespace, view?.name, view?.state], ['shop', 'web-0', 'up']);
    await first.stopPod(pod);
    assert.deepEqual(await first.node.host.endpoints(), []);
    // These DELs come without namespace and result.
    await first.stopPod(pod);
    await first.removePod(pod);
    await eventually('no link is left', () => first.node.host.links().length === 0);
  });

  it('pods of two nodes reach each other', async () => {
    const request: PodRequest = { name: 'web' };
    const web = await first.runPod(request);
    await first.runContainer(web, request, ['/bin/httpd', '-f', '-h', '/var/www', '-p', '80']);
    const asking: PodRequest = { name: 'client' };
    const client = await second.runPod(asking);
    const container = await second.runContainer(client, asking, ['/bin/sleep', '600']);
    const { ips } = await first.podStatus(web);
    await untilRouted(second.node, ['10.65.1.', 'fd00:65:1::']);
    await untilRouted(first.node, ['10.65.2.', 'fd00:65:2::']);
    for (const ip of ips)
      assert.equal((await second.exec(container, 'ping', '-c1', '-W5', ip)).exitCode, 0, ip);
    const get = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${ips[0]} 80`;
    assert.match((await second.exec(container, 'sh', '-c', get)).stdout, /hello from the container/);
  });

  it('published ports, bandwidth and labels of annotations', async () => {
    const request: PodRequest = {
      name: 'web',
      ports: [{ container_port: 80, host_port: 8099 }],
      annotations: {
        'kubernetes.io/ingress-bandwidth': '8M',
        'ocicat.dev/labels': 'app=web,role=front',
        'cni.projectcalico.org/ipAddrs': '["10.65.1.88"]',
      },
    };
    const pod = await first.runPod(request);
    await first.runContainer(pod, request, ['/bin/httpd', '-f', '-h', '/var/www', '-p', '80']);
    const [view] = await first.node.host.endpoints();
    assert.equal(view?.labels['app'], 'web');
    assert.equal(view?.labels['role'], 'front');
    assert.equal((await first.podStatus(pod)).ips[0], '10.65.1.88');
    assert.match(first.node.host.netns.sh(`tc qdisc show dev ${view?.interface}`), /tbf .*rate 8Mbit/);
    const { router } = first.node.host;
    await eventually('the published port answers', () => {
      const get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 192.0.2.2 8099";
      return router.tryRun('sh', '-c', get).stdout.includes('hello from the container');
    });
  });

  it('a pod is killed: its endpoint stays until the pod is stopped', async () => {
    const pod = await first.runPod({ name: 'victim' });
    const { pid } = await first.podStatus(pod);
    assert.ok(pid > 1);
    process.kill(pid, 'SIGKILL');
    await eventually('the pod is not ready', async () => !(await first.podStatus(pod)).isReady);
    assert.equal((await first.node.host.endpoints()).length, 1);
    await first.stopPod(pod);
    assert.deepEqual(await first.node.host.endpoints(), []);
  });

  it('agent down: a new pod is refused with a reason, a pod can be removed, and its rest goes when the agent is back', async () => {
    const pod = await first.runPod({ name: 'old' });
    await first.node.host.stop('SIGKILL');
    await assert.rejects(first.runPod({ name: 'new' }), /ocicat agent does not answer/);
    await first.stopPod(pod);
    await first.removePod(pod);
    await first.node.host.start();
    const queue = join(first.node.host.folder, 'cni-queue');
    await eventually('the queue is worked off', () => existsSync(queue) && readdirSync(queue).length === 0);
    assert.deepEqual(await first.node.host.endpoints(), []);
  });

  it('no address left: the pod is refused with the pool named, and its address comes back when another goes', async () => {
    const list = { 'cni.projectcalico.org/ipv4pools': '["nosuch"]' };
    await assert.rejects(
      first.runPod({ name: 'none', annotations: list }),
      /IPPool nosuch: it does not exist/,
    );
    assert.deepEqual(await first.node.host.endpoints(), []);
  });

  it('the daemon restarts: pods keep their network and go by its DEL', async () => {
    const request: PodRequest = { name: 'stays' };
    const pod = await first.runPod(request);
    const { ips } = await first.podStatus(pod);
    await first.stop();
    await first.start();
    first.node.host.router.run('ping', '-c1', '-W5', ips[0] ?? '');
    await first.stopPod(pod);
    assert.deepEqual(await first.node.host.endpoints(), []);
  });

  it('the list goes and comes: the runtime notices at once', async () => {
    const list = join(first.node.confDir, '10-pods.conflist');
    renameSync(list, `${list}.away`);
    await eventually('the network is not ready', async () => !(await first.isNetworkReady()));
    renameSync(`${list}.away`, list);
    await eventually('the network is ready', async () => await first.isNetworkReady());
    const pod = await first.runPod({ name: 'after' });
    assert.ok((await first.podStatus(pod)).isReady);
  });

  it('ctr run --cni: a container with addresses of ours, reachable, and nothing of it when it ends', async () => {
    const { host } = first.node;
    const running = first.runWithCni('by-ctr', '/bin/sh', '-c', 'ip addr show eth0; sleep 600');
    const view = await eventually('the container is attached', async () => (await host.endpoints())[0]);
    assert.equal(view.addresses.length, 2);
    for (const address of view.addresses) {
      await eventually(
        `${address} answers`,
        async () =>
          (await host.netns.tryRunAsync('ping', '-c1', '-W1', address)).status === 0 &&
          (address.includes(':') ||
            (await host.router.tryRunAsync('ping', '-c1', '-W1', address)).status === 0),
      );
    }
    // It is attached before its process is started, and a start after the kill would fail.
    await eventually('it runs', async () => /^by-ctr\s.*RUNNING/m.test(await first.ctr('task', 'ls')));
    await first.ctr('task', 'kill', '-s', 'SIGKILL', 'by-ctr');
    const { stdout, stderr } = await running;
    for (const address of view.addresses) assert.ok(stdout.includes(address), stderr);
    await eventually('the endpoint is gone', async () => (await host.endpoints()).length === 0);
    assert.deepEqual(host.links(), []);
  });

  it('six pods at once', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(names.map((name) => first.runPod({ name })));
    const addresses = (await first.node.host.endpoints()).flatMap((endpoint) => endpoint.addresses);
    assert.equal(new Set(addresses).size, 12);
  });
});
