/** An agent whose routes go to another table than main, with another metric and protocol. Needs root. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { type AgentHost, createHost, disposeHosts, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';

describe('agent: routes in a table of their own', function () {
  this.timeout(60_000);
  let host: AgentHost;

  before(async () => {
    host = createHost();
    appendFileSync(host.config, 'routes: {table: 1007, metric: 77, protocol: 172}\n');
    await host.start();
    await host.apply(poolYaml('one', '10.65.9.0/26', '  blockSize: 26\n'));
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('containers are reached once a rule leads there, and status says that one is missing until then', async () => {
    host.router.sh('ip route replace 10.65.0.0/16 via 192.0.2.2');
    const container = createNetns();
    const environment = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'a',
      CNI_NETNS: container.path,
      CNI_IFNAME: 'eth0',
    };
    const config = { cniVersion: '1.0.0', name: 'net', type: 'ocicat-cni', socket: host.socket };
    const { ok } = await host.api.call<{ ok: boolean }>('POST', '/v1/cni', { environment, config });
    assert.ok(ok);
    const ours = host.netns.sh('ip -4 route show table 1007').replaceAll(/ +/g, ' ');
    assert.match(ours, /^10\.65\.9\.\d+ dev oci\w+ proto 172 scope link metric 77 *$/m);
    assert.match(ours, /^blackhole 10\.65\.9\.0\/26 proto 172 metric 77 *$/m);
    assert.equal(host.netns.sh('ip -4 route show proto 172'), '', 'nothing in main');
    const missing = async (): Promise<string[]> =>
      (await host.status()).findings.flatMap(({ code, remedy }) =>
        code === 'table-without-rule' ? [remedy?.split(' #')[0]?.trim() ?? ''] : [],
      );
    const [remedy = ''] = await missing();
    assert.equal(remedy, 'ip -4 rule add lookup 1007');
    const pings = (): boolean => container.tryRun('ping', '-c1', '-W1', '-n', '192.0.2.1').status === 0;
    assert.equal(pings(), false);
    host.netns.sh(remedy);
    assert.deepEqual(await missing(), []);
    await eventually('the router answers', pings);

    // The next life knows its routes again.
    await host.stop('SIGKILL');
    await host.start();
    assert.equal(host.netns.sh('ip -4 route show table 1007').replaceAll(/ +/g, ' '), ours);
    assert.ok(pings());
  });
});
