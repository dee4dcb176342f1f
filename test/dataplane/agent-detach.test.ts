/** CNI DEL answers before the kernel has taken the link away: what must hold from that moment on. Needs root. */
import assert from 'node:assert/strict';
import { type AgentHost, createHost, disposeHosts, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

interface Answer {
  readonly ok: boolean;
  readonly output?: { readonly ips?: readonly { readonly address: string }[] };
}

describe('agent: after the answer to a DEL', function () {
  this.timeout(60_000);
  let host: AgentHost;

  before(async () => {
    host = createHost();
    await host.start();
    // One address in all.
    await host.apply(poolYaml('one', '10.65.9.1/32', '  blockSize: 32\n'));
  });
  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  async function call(command: 'ADD' | 'DEL', id: string, container: Netns): Promise<Answer> {
    const environment = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: container.path,
      CNI_IFNAME: 'eth0',
    };
    const config = { cniVersion: '1.0.0', name: 'net', type: 'ocicat-cni', socket: host.socket };
    const answer = await host.api.call<Answer>('POST', '/v1/cni', { environment, config });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    return answer;
  }

  const pings = (container: Netns) => container.tryRun('ping', '-c1', '-W1', '-n', '192.0.2.1').status === 0;

  it('nothing flows, although the container end may still stand', async () => {
    host.router.tryRun('ip', 'route', 'replace', '10.65.0.0/16', 'via', '192.0.2.2');
    const container = createNetns();
    await call('ADD', 'a', container);
    await eventually('the router answers', () => pings(container));
    await call('DEL', 'a', container);
    assert.equal(pings(container), false);
    assert.deepEqual(await host.endpoints(), []);
    await eventually('the link is gone', () => host.links().length === 0);
  });

  it('the only address goes to the next container once nothing leads to the former; the same id waits for itself', async () => {
    const containers = Array.from({ length: 4 }, () => createNetns());
    let former: Netns | undefined;
    for (const [index, container] of containers.entries()) {
      const { output } = await call('ADD', `b${index}`, container);
      assert.deepEqual(
        output?.ips?.map(({ address }) => address),
        ['10.65.9.1/32'],
      );
      assert.equal(former?.tryRun('ip', 'link', 'show', 'eth0').status ?? 1, 1, 'the former has no link');
      assert.equal(host.links().length, 1);
      await eventually('the router answers', () => pings(container));
      await call('DEL', `b${index}`, container);
      await call('ADD', `b${index}`, container);
      await eventually('the router answers again', () => pings(container));
      await call('DEL', `b${index}`, container);
      former = container;
    }
  });

  it('an agent that is killed then sweeps what is left at its start', async () => {
    const container = createNetns();
    await call('ADD', 'c', container);
    await call('DEL', 'c', container);
    await host.stop('SIGKILL');
    await host.start();
    assert.deepEqual(host.links(), []);
    await call('ADD', 'd', container);
    await call('DEL', 'd', container);
    await host.stop();
    assert.deepEqual(host.links(), [], 'an agent that stops ends it first');
  });
});
