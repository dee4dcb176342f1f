/** `ocicat ipam` against a real agent: who has what, what is in use stays, settings, pools cut in parts, metrics. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { AddressView, SettingsView } from '../../src/agent/ipam/views.ts';
import type { CheckReport } from '../../src/ipam/report.ts';
import type { PoolUsage } from '../../src/ipam/utilization.ts';
import { type AgentHost, createHost, disposeHosts, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';

async function json<T>(host: AgentHost, line: string): Promise<T> {
  const value: T = JSON.parse(await host.ocicat(`${line} -o json`));
  return value;
}

function metrics(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.end();
  });
}

describe('agent: ipam', function () {
  this.timeout(60_000);
  afterEach(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('shows, checks, releases, configures and splits', async () => {
    const host = createHost();
    await host.start();
    await host.apply(...POOLS);
    const container = createNetns();
    await host.ocicat(`endpoint add c1 --netns ${container.path}`);
    const [endpoint] = await host.endpoints();
    const [address = ''] = endpoint?.addresses ?? [];

    const view = await json<AddressView>(host, `ipam show --ip ${address}`);
    assert.equal(view.state, 'in-use');
    assert(view.state === 'in-use');
    assert.deepEqual(view.owners, ['Workload(default/c1)']);
    assert.equal(view.node, host.nodeName);
    assert.match(await host.ocicat(`ipam show --ip ${address}`), /is in use[\s\S]*endpoint: c1/);
    const usage = await json<PoolUsage[]>(host, 'ipam show');
    assert.deepEqual(
      usage.map(({ inUse, blocks }) => [inUse, blocks.length]),
      [
        [1, 1],
        [1, 1],
      ],
    );
    assert.match(await host.ocicat('ipam show --show-blocks'), /IP Pool[\s\S]*Block/);
    assert.match(await host.ocicat('ipam show --show-borrowed'), /no address is borrowed/);

    // The first agent of a store forbids borrowing.
    const settings = await json<SettingsView>(host, 'ipam show --show-configuration');
    assert.deepEqual(settings, {
      strictAffinity: true,
      autoAllocateBlocks: true,
      maxBlocksPerHost: 0,
      ipCooldownSeconds: 0,
      isDefault: false,
    });
    await host.ocicat('ipam configure --max-blocks-per-host 5 --ip-cooldown-seconds 1');
    const both = await host.cli('ipam configure --strictaffinity false'.split(' '));
    assert.equal(both.status, 2);
    assert.match(both.stderr, /maxBlocksPerHost needs strictAffinity/);

    const used = await host.cli(['ipam', 'release', '--ip', address]);
    assert.equal(used.status, 1);
    assert.match(used.stdout, /not released: it is in use by Workload\(default\/c1\)/);

    // An IPAMConfiguration resource rules the settings.
    const resource = join(host.folder, 'configuration.yaml');
    writeFileSync(
      resource,
      'apiVersion: projectcalico.org/v3\nkind: IPAMConfiguration\nmetadata: {name: default}\nspec: {strictAffinity: true, autoAllocateBlocks: true}\n',
    );
    await host.ocicat(`apply -f ${resource}`);
    await eventually('the settings follow', async () => {
      const now = await json<SettingsView>(host, 'ipam show --show-configuration');
      return now.maxBlocksPerHost === 0 && now.ipCooldownSeconds === 0;
    });

    const report = join(host.folder, 'report.json');
    const checked = await json<CheckReport>(host, 'ipam check');
    assert.deepEqual(checked.counts, { blocks: 2, allocations: 2, inUse: 2, leaked: 0, problems: 0 });
    writeFileSync(report, JSON.stringify(checked));
    assert.match(await host.ocicat(`ipam release --from-report ${report}`), /nothing to release/);
    assert.match(readFileSync(report, 'utf8'), /"sequenceNumber":"\d+"/);

    const [pool] = usage;
    await host.ocicat(`ipam split 2 --cidr ${pool?.cidr}`);
    const after = await json<PoolUsage[]>(host, 'ipam show');
    assert.equal(after.length, 3);
    assert.equal(
      after.reduce((sum, { inUse }) => sum + inUse, 0),
      2,
    );
    assert.equal((await json<CheckReport>(host, 'ipam check')).counts.problems, 0);
    const other = createNetns();
    await host.ocicat(`endpoint add c2 --netns ${other.path}`);

    const text = await metrics(host.socket);
    assert.match(text, /^ipam_allocations_in_use\{ippool="split-[^"]+-\d",node="[^"]+"\} \d$/m);
    assert.match(text, /^ipam_violations\{kind="affinity-without-block",node="[^"]+"\} 0$/m);

    await host.ocicat('endpoint delete c1');
    const gone = await host.cli(['ipam', 'release', '--ip', address]);
    assert.equal(gone.status, 1);
    assert.match(gone.stdout, /is not assigned/);
  });
});
