/** `ocicat datastore`: contents go from one store to another and back, whole or not at all. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Etcd3 } from 'etcd3';
import { type CommandContext, CommandFailure } from '../../src/cli/context.ts';
import { exportStore, importStore, lockStore, migrateStore } from '../../src/cli/datastore.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import { affinityKey, blockKey, CONFIG_KEY, handleKey } from '../../src/store/ipam-documents.ts';
import { openEtcdPlace, openFilePlace, type Place, TransferFailed } from '../../src/store/transfer/places.ts';
import { carryOut, planTransfer } from '../../src/store/transfer/transfer.ts';
import { EtcdCluster } from '../support/etcd.ts';
import { peer, pool } from '../support/store-conformance.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const RESOURCES = '/calico/resources/v3/projectcalico.org';
const SEQUENCE = 1_731_930_519_123_456_789n;

describe('ocicat datastore', function () {
  this.timeout(30_000);
  let etcd: EtcdCluster;
  let client: Etcd3;
  let root: string;
  let out: string;

  const context = (): CommandContext => ({
    terminal: {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        out += text;
      },
      colour: false,
      now: () => 0,
    },
    client: () => {
      throw new Error('no agent is needed');
    },
  });
  const etcdName = (): string => `etcd:${etcd.endpoints.join(',')}`;
  const read = async (place: Place): Promise<Record<string, unknown>> => {
    try {
      const entries = (await place.read()).filter(({ key }) => !key.endsWith('/clusterinformations/default'));
      return Object.fromEntries(
        entries.map(({ key, text }) => [
          key,
          text.replace(/"(uid|creationTimestamp)":"[^"]*",?/g, '').replace(',}', '}'),
        ]),
      );
    } finally {
      await place.close();
    }
  };
  const ofFile = async (path = root): Promise<Record<string, unknown>> =>
    await read(await openFilePlace(path, 'read'));
  const ofEtcd = async (): Promise<Record<string, unknown>> =>
    await read(openEtcdPlace({ endpoints: etcd.endpoints }));
  const isLocked = async (): Promise<boolean> =>
    /"datastoreReady":false/.test(
      (await client.get(`${RESOURCES}/clusterinformations/default`).string()) ?? '',
    );

  before(async () => {
    etcd = await EtcdCluster.start();
    client = etcd.client();
  });
  after(async () => await etcd.close());
  beforeEach(async () => {
    out = '';
    root = join(temporaryFolder(), 'store');
    const store = await openFileStore({ root });
    await store.create(pool('lab4', '10.1.0.0/16'));
    await store.create(pool('lab6', 'fd00:1::/48'));
    await store.create(peer('tor', '192.0.2.1'));
    await store.create({
      apiVersion: 'projectcalico.org/v3',
      kind: 'NetworkPolicy',
      metadata: { name: 'web', namespace: 'prod', labels: { a: 'yes' } },
      spec: {
        selector: "app == 'web'",
        ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: ['1:99'] } }],
      },
    });
    await store.ipam.create(blockKey('10.1.0.0/30'), {
      cidr: '10.1.0.0/30',
      affinity: 'host:h1',
      allocations: [0, null, null, null],
      unallocated: [1, 2, 3],
      attributes: [{ handle_id: 'net.c1', secondary: { node: 'h1' } }],
      sequenceNumber: SEQUENCE,
      sequenceNumberForAllocation: { '0': SEQUENCE },
      deleted: false,
    });
    await store.ipam.create(affinityKey('h1', '10.1.0.0/30'), { state: 'confirmed', deleted: false });
    await store.ipam.create(handleKey('net.c1'), { block: { '10.1.0.0/30': 1 }, deleted: false });
    await store.ipam.create(CONFIG_KEY, {
      strict_affinity: true,
      auto_allocate_blocks: true,
      maxBlocksPerHost: 0,
    });
    await store.close();
  });
  afterEach(async () => {
    removeTemporaryFolders();
    await client.delete().all();
  });

  it('embedded store, etcd, YAML file, another embedded store: the same all the way', async () => {
    const whole = await ofFile();
    assert.equal(Object.keys(whole).length, 8);
    await migrateStore(context(), `file:${root}`, etcdName(), {});
    assert.deepEqual(await ofEtcd(), whole);
    assert.equal(await isLocked(), false);
    const file = join(temporaryFolder(), 'all.yaml');
    await exportStore(context(), etcdName(), file);
    const text = readFileSync(file, 'utf8');
    assert.match(text, new RegExp(`"sequenceNumber":${SEQUENCE}`));
    assert.equal(text.split('===\n').length, 3);
    const other = join(temporaryFolder(), 'other');
    await importStore(context(), [file], `file:${other}`, {});
    assert.deepEqual(await ofFile(other), whole);
    assert.match(out, /8 entries written to the embedded store/);
    await importStore(context(), [file], `file:${other}`, {});
    assert.match(out, /0 entries written/);
  });

  it('a folder holds one file a resource, and comes back', async () => {
    const whole = await ofFile();
    const folder = join(temporaryFolder(), 'out');
    await exportStore(context(), `file:${root}`, `${folder}/`);
    assert.deepEqual(readdirSync(folder), [
      'bgppeers.tor.yaml',
      'clusterinformations.default.json',
      'ipam.json',
      'ippools.lab4.yaml',
      'ippools.lab6.yaml',
      'networkpolicies.prod.web.yaml',
    ]);
    await importStore(context(), [folder], etcdName(), {});
    assert.deepEqual(await ofEtcd(), whole);
  });

  it('kinds of Calico that this version does not carry out survive from etcd to etcd, and are named elsewhere', async () => {
    await client.put(`${RESOURCES}/tiers/security`).value(
      JSON.stringify({
        kind: 'Tier',
        apiVersion: 'projectcalico.org/v3',
        metadata: { name: 'security', uid: 'u', creationTimestamp: '2025-01-01T00:00:00Z' },
        spec: { order: 10 },
      }),
    );
    await importStore(context(), [await exported(`file:${root}`)], etcdName(), {});
    const file = await exported(etcdName());
    await client.delete().all();
    await importStore(context(), [file], etcdName(), {});
    const tier: unknown = await client.get(`${RESOURCES}/tiers/security`).json();
    assert.deepEqual(Object(tier)['spec'], { order: 10 });
    const other = `file:${join(temporaryFolder(), 'other')}`;
    await assert.rejects(importStore(context(), [file], other, {}), /does not hold tiers security/);
    await importStore(context(), [file], other, { leaveOut: true });
    assert.match(out, /left out: .*tiers\/security/);
  });

  it('a dry run says everything and does nothing', async () => {
    await migrateStore(context(), `file:${root}`, etcdName(), { dryRun: true });
    assert.match(out, /ippools\s+2\s+0\s+0\s+0/);
    assert.match(out, /dry run: 8 entries/);
    assert.deepEqual(await ofEtcd(), {});
  });

  it('what differs is replaced only when told to, and what overlaps is refused', async () => {
    await client.put(`${RESOURCES}/bgppeers/tor`).value(JSON.stringify(peer('tor', '192.0.2.99')));
    await assert.rejects(
      migrateStore(context(), `file:${root}`, etcdName(), {}),
      (error: unknown) =>
        error instanceof CommandFailure && /bgppeers\/tor .*--overwrite/.test(error.message),
    );
    assert.equal(Object.keys(await ofEtcd()).length, 1);
    await migrateStore(context(), `file:${root}`, etcdName(), { overwrite: true });
    assert.deepEqual(await ofEtcd(), await ofFile());
    await client.put(`${RESOURCES}/ippools/wide`).value(JSON.stringify(pool('wide', '10.0.0.0/8')));
    await client.delete().key(`${RESOURCES}/ippools/lab4`);
    await assert.rejects(migrateStore(context(), `file:${root}`, etcdName(), {}), /would overlap/);
  });

  it('bad input is named whole, and nothing is written', async () => {
    const file = join(temporaryFolder(), 'bad.yaml');
    writeFileSync(
      file,
      'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: a}\nspec: {cidr: nonsense}\n===\n{}\n===\n{"blocks": [{"Key": "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26", "Value": {"cidr": 1}}]}\n',
    );
    await assert.rejects(importStore(context(), [file], etcdName(), {}), (error: unknown) => {
      assert(error instanceof CommandFailure);
      assert.match(error.message, /spec\.cidr/);
      assert.match(error.message, /10\.0\.0\.0-26: cidr/);
      return true;
    });
    assert.deepEqual(await ofEtcd(), {});
  });

  it('a write that fails half-way is taken back', async () => {
    await client.put(`${RESOURCES}/bgppeers/tor`).value(JSON.stringify(peer('tor', '192.0.2.99')));
    const before = await ofEtcd();
    const source = await openFilePlace(root, 'read');
    const entries = await source.read();
    await source.close();
    const target = openEtcdPlace({ endpoints: etcd.endpoints });
    try {
      const plan = planTransfer(entries, await target.read(), target, { overwrite: true, leaveOut: false });
      // Somebody is faster, at the last key.
      const last = plan.writes.at(-1)?.entry.key ?? '';
      await client.put(last).value('{"taken":true}');
      await assert.rejects(carryOut(plan, target), (error: unknown) => {
        assert(error instanceof TransferFailed);
        assert.deepEqual(error.leftovers, []);
        return true;
      });
      await client.delete().key(last);
    } finally {
      await target.close();
    }
    assert.deepEqual(await ofEtcd(), before);
    assert.equal(await isLocked(), false);
  });

  it('migrating out of an etcd leaves it locked; lock and unlock are calicoctl’s', async () => {
    await client.put(`${RESOURCES}/bgppeers/tor`).value(JSON.stringify(peer('tor', '192.0.2.99')));
    await migrateStore(context(), etcdName(), `file:${join(temporaryFolder(), 'other')}`, {});
    assert.equal(await isLocked(), true);
    await lockStore(context(), etcdName(), true);
    assert.match(out, /was already locked/);
    await lockStore(context(), etcdName(), false);
    assert.equal(await isLocked(), false);
    await lockStore(context(), etcdName(), true);
    assert.equal(await isLocked(), true);
  });

  it('a store in use, a store that is not there, a name that is none: one sentence', async () => {
    const store = await openFileStore({ root });
    await assert.rejects(exportStore(context(), `file:${root}`, '-'), /in use by another process/);
    await store.close();
    await assert.rejects(exportStore(context(), 'file:/nonexistent/store', '-'), /there is no store/);
    await assert.rejects(exportStore(context(), 'redis:x', '-'), /names no store/);
  });

  async function exported(store: string): Promise<string> {
    const file = join(temporaryFolder(), 'export.yaml');
    await exportStore(context(), store, file);
    return file;
  }
});
