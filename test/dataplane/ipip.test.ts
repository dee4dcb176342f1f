/**
 * IPIP by this machine's kernel: the probe against what `ip` says, and pools with ipipMode on a real agent: carried out where the kernel
 * has IPIP, refused in words that help where it has not. One of the two runs; its title says which. Needs root.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { probeIpip, probeKind } from '../../fib/ipip/probe.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { type AgentHost, createHost, disposeHosts, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';

const POOL = poolYaml('tunnelled', '10.66.0.0/24', '  ipipMode: Always\n');
const hasIpip = kernelHasIpip();

/** What iproute2 says of the kernel, in a namespace of its own. */
function kernelHasIpip(): boolean {
  const netns = createNetns();
  const { status, stderr } = netns.tryRun('sh', '-c', 'ip link add ipip1 type ipip local 192.0.2.1');
  netns.removeNow();
  if (status === 0) return true;
  assert.match(stderr, /Unknown device type|not supported/);
  return false;
}

describe('IPIP', function () {
  this.timeout(60_000);
  let host: AgentHost;

  before(async () => {
    await prepareNamespaces();
    host = createHost();
    await host.start();
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('the probe agrees with iproute2, tells kinds apart, and makes no link', () => {
    const netns = createNetns();
    const before = netns.sh('ip -o link');
    assert.equal(probeKind('vxlan', netns.path).has, true);
    const unknown = probeKind('nosuchkind', netns.path);
    assert.deepEqual(unknown, { has: false, reason: 'it knows no nosuchkind devices' });
    const { has } = probeIpip(netns.path);
    assert.equal(has, hasIpip);
    const links = netns.sh('ip -o link').split('\n');
    // The kernel itself adds this one with its module.
    assert.deepEqual(links.filter((line) => !/ tunl0@/.test(line)).join('\n'), before);
  });

  if (hasIpip) {
    it('this kernel has IPIP: a pool with ipipMode gets a device, an address and a smaller MTU, and all goes with it', async () => {
      await host.apply(POOL);
      await eventually('the device is there', () => {
        const shown = host.netns.tryRun('ip', '-d', 'address', 'show', 'dev', 'ipip.ocicat').stdout;
        assert.match(shown, /mtu 1480 /);
        assert.match(shown, /ipip remote any local 192\.0\.2\.2 ttl 64 /);
        assert.match(shown, /inet 10\.66\.0\.\d+\/32 scope global/);
        return true;
      });
      const node = await host.ocicat('get node h1 -o yaml');
      assert.match(node, /ipv4IPIPTunnelAddr: 10\.66\.0\.\d+/);
      assert.deepEqual(await host.findings('ipip-not-ready'), []);
      const pid = host.pid;
      const index = host.netns.sh('ip -o link show ipip.ocicat').split(':', 1);
      await host.stop();
      await host.start();
      assert.notEqual(host.pid, pid);
      assert.deepEqual(host.netns.sh('ip -o link show ipip.ocicat').split(':', 1), index);
      await host.ocicat('delete ippool tunnelled');
      await eventually('the device is gone', () => !/ipip\.ocicat/.test(host.netns.sh('ip -o link')));
    });
  } else {
    it('this kernel has no IPIP: apply refuses the pool with what to do instead, and the same with vxlanMode is taken', async () => {
      const refused = await host.cli(['apply', '-f', '-'], POOL);
      assert.equal(refused.status, 2, refused.stdout);
      assert.match(refused.stderr, /IPPool tunnelled: spec\.ipipMode: this host's kernel cannot make IPIP/);
      assert.match(refused.stderr, /use vxlanMode with the same value/);
      assert.deepEqual(await host.api.call('GET', '/v1/resources/ippools'), []);
      await host.apply(POOL.replace('ipipMode', 'vxlanMode'));
      await eventually('the device is there', () => /vxlan\.ocicat/.test(host.netns.sh('ip -o link')));
      await host.ocicat('delete ippool tunnelled');
    });

    it('this kernel has no IPIP: a pool that a person puts into the store is not in force, and status says why', async () => {
      const file = join(host.store, 'IPPool', 'tunnelled.yaml');
      writeFileSync(file, POOL);
      const finding = await eventually(
        'status tells of it',
        async () => (await host.findings('store-problem'))[0],
      );
      assert.match(finding.message, /tunnelled\.yaml: spec\.ipipMode: .*cannot make IPIP tunnels/);
      assert.match(finding.message, /nothing is in force in its place/);
      await assert.rejects(host.add('c1', createNetns()), /no IPPool|no address/i);
      rmSync(file);
      await eventually('status is silent', async () => (await host.findings('store-problem')).length === 0);
    });
  }
});
