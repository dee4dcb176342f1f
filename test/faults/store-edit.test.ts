/** The store of a running agent edited by a person, and bad input to `ocicat apply`. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentHost, createHost, disposeHosts, POOLS, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';

const SET = (nets: string): string =>
  `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: office}\nspec: {nets: ${nets}}\n`;

function put(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

describe('agent: a store that people edit', function () {
  this.timeout(60_000);
  let host: AgentHost;

  beforeEach(async () => {
    host = createHost();
    await host.start();
    await host.apply(...POOLS);
  });
  afterEach(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  const nets = async (): Promise<unknown> =>
    (await host.api.call<{ spec: { nets: string[] } }>('GET', '/v1/resources/globalnetworksets/office')).spec
      .nets;

  it('takes up an edit without restart; a bad one leaves the last good version in force and shows in status', async () => {
    await host.apply(SET('[10.1.0.0/16]'));
    const file = join(host.store, 'GlobalNetworkSet', 'office.yaml');
    put(file, SET('[10.2.0.0/16]'));
    await eventually('the edit is in force', async () => JSON.stringify(await nets()) === '["10.2.0.0/16"]');
    for (const [bad, reason] of [
      [SET('[10.3.0.0/99]'), /10\.3\.0\.0\/99/],
      ['kind: [', /YAML/],
      [SET('[10.2.0.0/16]').replace('spec:', 'colour: red\nspec:'), /colour/],
    ] as const) {
      put(file, bad);
      const finding = await eventually('status tells of it', async () =>
        (await host.findings('store-problem')).find(({ message }) => reason.test(message)),
      );
      assert.match(finding.message, /GlobalNetworkSet\/office\.yaml/);
      assert.match(finding.message, /last good version stays in force/);
      assert.deepEqual(await nets(), ['10.2.0.0/16']);
      assert.equal((await host.cli(['status'])).status, 1);
    }
    put(file, SET('[10.4.0.0/16]'));
    await eventually('it is mended', async () => (await host.findings('store-problem')).length === 0);
    assert.deepEqual(await nets(), ['10.4.0.0/16']);
    rmSync(file);
    await eventually(
      'it is gone',
      async () => (await host.cli(['get', 'globalnetworkset', 'office'])).status === 1,
    );
  });

  it('a bad file that is new is named and nothing of it is in force', async () => {
    const folder = join(host.store, 'IPPool');
    put(join(folder, 'overlap.yaml'), `${poolYaml('overlap', '10.65.1.128/25')}\n`);
    const finding = await eventually(
      'status tells of it',
      async () => (await host.findings('store-problem'))[0],
    );
    assert.match(finding.message, /overlap\.yaml.*10\.65\.1\.128\/25 overlaps .*IPPool four/);
    assert.match(finding.message, /nothing is in force/);
    const { addresses } = await host.add('c1', createNetns());
    assert.equal(addresses.length, 2);
  });

  it("a person's edit is not lost to a write of the agent's that follows at once", async () => {
    const container = createNetns();
    await host.add('c1', container, { labels: { app: 'web' } });
    const folder = join(host.store, 'WorkloadEndpoint');
    const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
    const file = join(folder, name);
    for (let round = 0; round < 10; round++) {
      put(file, readFileSync(file, 'utf8').replace(/app: .*/, `app: edited-${round}`));
      // The agent writes the same resource, before or after it has seen the edit.
      const view = await host.add('c1', container);
      assert.deepEqual(view.labels, { app: `edited-${round}` });
      assert.match(readFileSync(file, 'utf8'), new RegExp(`app: edited-${round}`));
    }
  });

  it('apply refuses all of its input with file, document, path and reason when one document is bad', async () => {
    const folder = join(host.folder, 'manifests');
    mkdirSync(folder);
    writeFileSync(join(folder, '1-good.yaml'), SET('[10.1.0.0/16]'));
    const file = join(folder, '2-bad.yaml');
    const peer = (spec: string): string =>
      `apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: tor}\nspec: {node: h1, peerIP: 192.0.2.1, asNumber: 65001${spec}}\n`;
    for (const [text, reason] of [
      [peer(', colour: red'), /document 2: BGPPeer tor: spec\.colour: /],
      [peer('').replace('65001', '4294967296'), /document 2: BGPPeer tor: spec\.asNumber: /],
      [peer('').replace('BGPPeer', 'BGPPear'), /document 2: BGPPear tor: kind: /],
      [
        peer('').replace('192.0.2.1', '192.0.2.999'),
        /document 2: BGPPeer tor: spec\.peerIP: .*192\.0\.2\.999/,
      ],
      [poolYaml('bad', '10.70.0.5/24'), /document 2: IPPool bad: spec\.cidr: /],
      [
        poolYaml('bad', '10.65.0.0/16'),
        /document 2: IPPool bad: spec\.cidr: 10\.65\.0\.0\/16 overlaps 10\.65\.1\.0\/24/,
      ],
      ['kind: {{', /document 2: YAML/],
      ['kind: IPPool\nkind: Node\n', /document 2: YAML.*unique/],
    ] as const) {
      writeFileSync(file, `${poolYaml('fine', '10.66.0.0/24')}\n---\n${text}`);
      const result = await host.cli(['apply', '-f', folder]);
      assert.equal(result.status, 2, `${text}\n${result.stdout}${result.stderr}`);
      assert.match(result.stderr, /nothing was applied/);
      assert.ok(result.stderr.includes(`${file}: document 2`), result.stderr);
      assert.match(result.stderr, reason);
      assert.doesNotMatch(result.stderr, /\n\s+at /);
    }
    const pools = await host.api.call<unknown[]>('GET', '/v1/resources/ippools');
    assert.equal(pools.length, 2);
    assert.equal((await host.cli(['get', 'globalnetworkset', 'office'])).status, 1);
  });

  it('refuses by name what this version does not carry out', async () => {
    for (const [yaml, path, reason] of [
      [
        'apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {name: default}\nspec: {serviceClusterIPs: [{cidr: 10.96.0.0/12}]}',
        'spec.serviceClusterIPs',
        /not supported by this version/,
      ],
      [
        'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {selector: all(), ingress: [{action: Allow, http: {methods: [GET]}}]}',
        'spec.ingress[0].http',
        /not supported by this version/,
      ],
    ] as const) {
      const result = await host.cli(['apply', '-f', '-'], yaml);
      assert.equal(result.status, 2, result.stdout);
      assert.ok(result.stderr.includes(`: ${path}: `), result.stderr);
      assert.match(result.stderr, reason);
    }
  });
});
