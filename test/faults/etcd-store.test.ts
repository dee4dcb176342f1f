/** The etcd store over a real etcd: what every store promises, Calico's keys and JSON, and what others left in the same etcd. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Etcd3 } from 'etcd3';
import { makeKey } from '../../src/model/types.ts';
import { admitOnNode } from '../../src/store/admission.ts';
import { DocumentDamaged, NotFound, RevisionConflict, StoreLocked } from '../../src/store/errors.ts';
import { type EtcdStore, openEtcdStore } from '../../src/store/etcd/etcd-store.ts';
import { affinityKey, blockKey, CONFIG_KEY } from '../../src/store/ipam-documents.ts';
import { EtcdCluster } from '../support/etcd.ts';
import { eventually } from '../support/eventually.ts';
import { peer, pool, storeConformance } from '../support/store-conformance.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const RESOURCES = '/calico/resources/v3/projectcalico.org';
const IPAM = '/calico/ipam/v2';

describe('etcd store', function () {
  this.timeout(30_000);
  let etcd: EtcdCluster;
  let client: Etcd3;

  const open = async (folder = join(temporaryFolder(), 'etcd')): Promise<EtcdStore> =>
    await openEtcdStore({
      etcd: { endpoints: etcd.endpoints },
      cacheFolder: folder,
      admit: admitOnNode('h1'),
    });
  const opened = async (store: EtcdStore): Promise<EtcdStore> => {
    await eventually('the store is in sync', () => store.availability().state === 'available');
    return store;
  };

  before(async () => {
    etcd = await EtcdCluster.start();
    client = etcd.client();
  });
  after(async () => await etcd.close());
  afterEach(async () => {
    removeTemporaryFolders();
    await client.delete().all();
  });

  storeConformance('the etcd store', async () => {
    const folder = join(temporaryFolder(), 'etcd');
    const reopen = async () => await opened(await open(folder));
    return { store: await reopen(), reopen };
  });

  describe("speaks Calico's tongue", () => {
    let store: EtcdStore;
    beforeEach(async () => {
      store = await opened(await open());
    });
    afterEach(async () => await store.close());

    const value = async (key: string): Promise<Record<string, unknown>> => {
      const read: unknown = await client.get(key).json();
      assert(typeof read === 'object' && read !== null, `${key} is there`);
      return { ...read };
    };

    it("resources stand under Calico's keys, with the metadata that its clients insist on", async () => {
      const { resource, revision } = await store.create(pool('lab4', '10.1.0.0/24'));
      const stored = await value(`${RESOURCES}/ippools/lab4`);
      assert.deepEqual(Object.keys(stored), ['kind', 'apiVersion', 'metadata', 'spec']);
      assert.deepEqual(stored['metadata'], resource.metadata);
      assert.match(resource.metadata.uid ?? '', /^[0-9a-f-]{36}$/);
      assert.match(resource.metadata.creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      // An update that brings no metadata, as from a YAML file, keeps them.
      const updated = await store.update(pool('lab4', '10.2.0.0/24'), revision);
      assert.equal(updated.resource.metadata.uid, resource.metadata.uid);
      assert.equal(updated.resource.metadata.creationTimestamp, resource.metadata.creationTimestamp);
    });

    it('policies bear the annotation by which Calico knows their name, and people never see it', async () => {
      const { resource } = await store.create({
        apiVersion: 'projectcalico.org/v3',
        kind: 'NetworkPolicy',
        metadata: { name: 'web', namespace: 'prod' },
        spec: { selector: 'all()' },
      });
      assert.equal(resource.metadata.annotations, undefined);
      const stored = await value(`${RESOURCES}/networkpolicies/prod/web`);
      const { annotations } = { annotations: undefined, ...Object(stored['metadata']) };
      assert.deepEqual(annotations, { 'projectcalico.org/metadata': '{"name":"web"}' });
    });

    it("IPAM documents stand under Calico's keys", async () => {
      const affinity = { state: 'confirmed', deleted: false } as const;
      await store.ipam.create(affinityKey('h1', '10.1.0.0/26'), affinity);
      await store.ipam.create(affinityKey('h1', 'fd00:1::/122'), affinity);
      await store.ipam.create(CONFIG_KEY, {
        strict_affinity: true,
        auto_allocate_blocks: true,
        maxBlocksPerHost: 0,
      });
      assert.deepEqual((await client.getAll().prefix('/calico/').keys()).sort(), [
        `${IPAM}/config`,
        `${IPAM}/host/h1/ipv4/block/10.1.0.0-26`,
        `${IPAM}/host/h1/ipv6/block/fd00:1::-122`,
      ]);
      assert.deepEqual(await value(`${IPAM}/host/h1/ipv4/block/10.1.0.0-26`), affinity);
    });

    it('what a Calico host writes is seen, with what Go leaves out or writes as null', async () => {
      const seen: string[] = [];
      store.watch((event) => {
        if (event.type === 'upsert') seen.push(event.key.name);
      });
      await client.put(`${RESOURCES}/nodes/calico1`).value(
        JSON.stringify({
          kind: 'Node',
          apiVersion: 'projectcalico.org/v3',
          metadata: {
            name: 'calico1',
            uid: 'u',
            creationTimestamp: '2025-01-01T00:00:00Z',
            labels: { rack: 'a' },
          },
          spec: {
            addresses: [{ address: '192.0.2.7/24', type: 'CalicoNodeIP' }],
            // This host could not do IPIP; that one can, and it is its own affair.
            bgp: { ipv4Address: '192.0.2.7/24', ipv4IPIPTunnelAddr: '10.9.0.1' },
          },
          status: {},
        }),
      );
      const allocations = Array.from({ length: 64 }, (_, i) => (i === 3 ? 0 : null));
      await client
        .put(`${IPAM}/assignment/ipv4/block/10.9.0.0-26`)
        .value(
          `{"cidr":"10.9.0.0/26","affinity":"host:calico1","allocations":${JSON.stringify(allocations)},` +
            '"unallocated":[0,1,2],"attributes":[{"handle_id":"k8s-pod-network.c","secondary":{"node":"calico1"}}],' +
            '"sequenceNumber":1731930519123456789,"sequenceNumberForAllocation":{"3":1731930519123456700},"deleted":false}',
        );
      await client.put(`${IPAM}/config`).value('{"auto_allocate_blocks":true}');
      await eventually('the node', () => seen.includes('calico1'));
      const block = await eventually('the block', async () => await store.ipam.get(blockKey('10.9.0.0/26')));
      assert.equal(block.value.sequenceNumber, 1731930519123456789n);
      // Written back, no digit and no field is lost.
      await store.ipam.update(block.key, { ...block.value, unallocated: [1, 2] }, block.revision);
      const text = await client.get(`${IPAM}/assignment/ipv4/block/10.9.0.0-26`).string();
      assert.match(text ?? '', /"sequenceNumber":1731930519123456789,/);
      assert.match(text ?? '', /"3":1731930519123456700/);
      await eventually('the configuration', async () => await store.ipam.get(CONFIG_KEY));
      assert.equal((await store.ipam.get(CONFIG_KEY))?.value.strict_affinity, false);
      assert.deepEqual(store.problems(), []);
    });

    it('what always stands in a Calico cluster is no problem; what has no effect here is one', async () => {
      const put = async (plural: string, name: string, kind: string, spec: object): Promise<void> => {
        await client
          .put(`${RESOURCES}/${plural}/${name}`)
          .value(JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name }, spec }));
      };
      await put('clusterinformations', 'default', 'ClusterInformation', { datastoreReady: true });
      for (const tier of ['default', 'kube-admin', 'kube-baseline']) await put('tiers', tier, 'Tier', {});
      await put('ippools', 'odd', 'IPPool', { cidr: '10.8.0.0/16', fieldOfTomorrow: true });
      await put('bgppeers', 'tor', 'BGPPeer', { peerIP: '192.0.2.1', asNumber: 64512 });
      await eventually('the last of them', async () => (await store.list('BGPPeer')).length === 1);
      assert.deepEqual(
        store.problems().map(({ location, key }) => [location, key?.name]),
        [[`${RESOURCES}/ippools/odd`, 'odd']],
      );
      assert.match(store.problems()[0]?.reasons[0] ?? '', /fieldOfTomorrow/);
      assert.deepEqual(await store.list('IPPool'), []);
    });

    it('an invalid version is replaced only by somebody who has seen it', async () => {
      const one = await store.create(peer('tor', '192.0.2.1'));
      await client.put(`${RESOURCES}/bgppeers/tor`).value('{"kind":"BGPPeer"');
      const problem = await eventually('the problem', () => store.problems()[0]);
      assert.equal(problem.location, `${RESOURCES}/bgppeers/tor`);
      assert.equal(await store.get(makeKey('BGPPeer', 'tor')), undefined);
      await assert.rejects(store.update(peer('tor', '192.0.2.2'), one.revision), RevisionConflict);
      await assert.rejects(store.delete(makeKey('BGPPeer', 'tor'), one.revision), RevisionConflict);
      await store.update(peer('tor', '192.0.2.2'), problem.revision ?? '');
      assert.deepEqual(store.problems(), []);
      assert.equal((await store.list('BGPPeer')).length, 1);
    });

    it('of pools that overlap the one created first counts, on every host, whatever the order of events', async () => {
      const raw = async (name: string, cidr: string): Promise<void> => {
        await client.put(`${RESOURCES}/ippools/${name}`).value(JSON.stringify(pool(name, cidr)));
      };
      await raw('z-first', '10.1.0.0/16');
      await raw('a-second', '10.1.2.0/24');
      await raw('other', '10.7.0.0/24');
      const names = async (of: EtcdStore): Promise<string[]> =>
        (await of.list('IPPool')).map(({ resource }) => resource.metadata.name);
      await eventually('both pools in force', async () => (await names(store)).length === 2);
      const late = await opened(await open());
      try {
        assert.deepEqual(await names(store), ['other', 'z-first']);
        assert.deepEqual(await names(late), ['other', 'z-first']);
        await raw('z-first', '10.200.0.0/16');
        await eventually('the second comes into force', async () => (await names(store)).length === 3);
        await raw('z-first', '10.1.0.0/16');
        await eventually('and goes again', async () => (await names(store)).join() === 'other,z-first');
        await client.delete().key(`${RESOURCES}/ippools/z-first`);
        await eventually('and comes again', async () => (await names(late)).join() === 'a-second,other');
        assert.deepEqual(late.problems(), []);
      } finally {
        await late.close();
      }
    });

    it('a damaged IPAM document stays as it is, and is named', async () => {
      const key = `${IPAM}/assignment/ipv4/block/10.9.0.0-26`;
      await client.put(key).value('{"cidr":');
      await eventually('the problem', () => store.problems().some(({ location }) => location === key));
      await assert.rejects(store.ipam.get(blockKey('10.9.0.0/26')), DocumentDamaged);
      assert.equal(await client.get(key).string(), '{"cidr":');
      await client.delete().key(key);
      await eventually('the problem goes', () => store.problems().length === 0);
    });

    it('datastoreReady false is told, and true again', async () => {
      const put = async (datastoreReady: boolean): Promise<void> => {
        await client.put(`${RESOURCES}/clusterinformations/default`).value(
          JSON.stringify({
            kind: 'ClusterInformation',
            metadata: { name: 'default' },
            spec: { datastoreReady },
          }),
        );
      };
      await put(false);
      await eventually('locked', () => store.lockReason());
      await put(true);
      await eventually('unlocked', () => store.lockReason() === undefined);
    });

    it('two hosts see the same, and a stale revision of either is refused', async () => {
      const other = await opened(await open());
      try {
        const one = await store.create(peer('tor', '192.0.2.1'));
        await eventually('the other host sees it', async () => await other.get(makeKey('BGPPeer', 'tor')));
        const two = await other.update(peer('tor', '192.0.2.2'), one.revision);
        await assert.rejects(store.update(peer('tor', '192.0.2.3'), one.revision), RevisionConflict);
        // The conflict itself brings the newer version: nobody has to wait for the watch.
        assert.equal((await store.get(makeKey('BGPPeer', 'tor')))?.revision, two.revision);
        await other.delete(makeKey('BGPPeer', 'tor'), two.revision);
        await assert.rejects(store.update(peer('tor', '192.0.2.3'), two.revision), NotFound);
        assert.equal(await store.get(makeKey('BGPPeer', 'tor')), undefined);
      } finally {
        await other.close();
      }
    });

    it('keys outside the two trees are nobody’s business', async () => {
      await client.put('/calico/felix/v2/no-region/host/x/status').value('{}');
      await client.put('/registry/pods/x').value('{}');
      await store.create(peer('tor', '192.0.2.1'));
      assert.deepEqual(store.problems(), []);
    });
  });

  it('a second agent on the same folder is refused', async () => {
    const folder = join(temporaryFolder(), 'etcd');
    const store = await open(folder);
    await assert.rejects(open(folder), StoreLocked);
    await store.close();
  });
});
