/** What every store promises, as one table of tests: run over the embedded store and over etcd alike. */
import assert from 'node:assert/strict';
import type { BgpPeer } from '../../src/model/bgp-peer.ts';
import type { IpPool } from '../../src/model/ip-pool.ts';
import type { NetworkPolicy } from '../../src/model/network-policy.ts';
import { formatKey, makeKey, type Resource } from '../../src/model/types.ts';
import { AlreadyExists, NotAdmitted, NotFound, RevisionConflict } from '../../src/store/errors.ts';
import {
  affinityKey,
  type BlockDocument,
  blockKey,
  CONFIG_KEY,
  formatIpamKey,
  handleKey,
} from '../../src/store/ipam-documents.ts';
import type { Store } from '../../src/store/types.ts';
import { eventually } from './eventually.ts';

/** A store under test. */
export interface StoreUnderTest {
  readonly store: Store;
  /** opens it anew over the same contents */
  reopen(): Promise<Store>;
}

const API = 'projectcalico.org/v3';
const LAB4 = makeKey('IPPool', 'lab4');

export function pool(name: string, cidr: string): IpPool {
  return { apiVersion: API, kind: 'IPPool', metadata: { name }, spec: { cidr } };
}

export function peer(name: string, peerIP: string): BgpPeer {
  return { apiVersion: API, kind: 'BGPPeer', metadata: { name }, spec: { peerIP, asNumber: 64512 } };
}

function policy(namespace: string, name: string): NetworkPolicy {
  return {
    apiVersion: API,
    kind: 'NetworkPolicy',
    metadata: { name, namespace, annotations: { 'example.org/note': 'kept' } },
    spec: {
      selector: 'all()',
      ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }],
    },
  };
}

const block = (cidr: string, sequenceNumber: bigint): BlockDocument => ({
  cidr,
  affinity: 'host:h1',
  allocations: [0, null, null, null],
  unallocated: [1, 2, 3],
  attributes: [{ handle_id: 'h', secondary: { node: 'h1' } }],
  sequenceNumber,
  sequenceNumberForAllocation: { '0': sequenceNumber },
  deleted: false,
});

/** Registers the tests. `open` makes an empty store for each. */
export function storeConformance(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps what every store promises`, () => {
    let under: StoreUnderTest;
    let store: Store;
    let events: string[];

    const watch = (): void => {
      events = [];
      store.watch((event) => {
        if (event.type === 'upsert') events.push(`+${formatKey(event.key)}@${event.revision}`);
        else if (event.type === 'delete') events.push(`-${formatKey(event.key)}@${event.revision}`);
        else if (event.type === 'in-sync') events.push(event.type);
      });
    };
    const inSync = async (): Promise<void> => {
      await eventually('in sync', () => events.includes('in-sync'));
    };

    beforeEach(async () => {
      under = await open();
      store = under.store;
      watch();
      await inSync();
    });
    afterEach(async () => {
      await store.close();
    });

    it('creates, reads, lists, replaces and deletes with compare-and-swap, and tells each step', async () => {
      const one = await store.create(pool('lab4', '10.1.0.0/24'));
      assert.deepEqual(await store.get(LAB4), one);
      await assert.rejects(store.create(pool('lab4', '10.1.0.0/24')), AlreadyExists);
      const two = await store.update(pool('lab4', '10.2.0.0/24'), one.revision);
      assert.notEqual(two.revision, one.revision);
      await assert.rejects(store.update(pool('lab4', '10.3.0.0/24'), one.revision), RevisionConflict);
      await assert.rejects(store.delete(LAB4, one.revision), RevisionConflict);
      const other = await store.create(pool('a', '10.9.0.0/24'));
      assert.deepEqual(
        (await store.list('IPPool')).map(({ resource }) => resource.metadata.name),
        ['a', 'lab4'],
      );
      await store.delete(LAB4, two.revision);
      assert.equal(await store.get(LAB4), undefined);
      await assert.rejects(store.delete(LAB4), NotFound);
      await assert.rejects(store.update(pool('lab4', '10.3.0.0/24'), two.revision), NotFound);
      assert.deepEqual(events, [
        'in-sync',
        `+IPPool/lab4@${one.revision}`,
        `+IPPool/lab4@${two.revision}`,
        `+IPPool/a@${other.revision}`,
        `-IPPool/lab4@${two.revision}`,
      ]);
    });

    it('writing the same again changes nothing', async () => {
      const one = await store.create(peer('p', '192.0.2.1'));
      assert.equal((await store.update(one.resource, one.revision)).revision, one.revision);
      assert.equal(events.length, 2);
    });

    it('deletes whatever is there when no version is named', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      await store.delete(LAB4);
      assert.deepEqual(await store.list('IPPool'), []);
    });

    it('keeps namespaces apart and lists them in order', async () => {
      for (const [namespace, each] of [
        ['prod', 'a'],
        ['dev', 'b'],
        ['dev', 'a'],
      ] as const) {
        await store.create(policy(namespace, each));
      }
      const keys = (await store.list('NetworkPolicy')).map(({ resource }) => [
        resource.metadata.namespace,
        resource.metadata.name,
      ]);
      assert.deepEqual(keys, [
        ['dev', 'a'],
        ['dev', 'b'],
        ['prod', 'a'],
      ]);
    });

    it('gives back what was written: spec, labels, annotations', async () => {
      const given = policy('prod', 'web');
      const { resource } = await store.create(given);
      assert.deepEqual(resource.spec, given.spec);
      assert.deepEqual(resource.metadata.annotations, given.metadata.annotations);
      const read: Resource | undefined = (await store.get(makeKey('NetworkPolicy', 'web', 'prod')))?.resource;
      assert.deepEqual(read, resource);
    });

    it('revisions and contents hold over a restart', async () => {
      const one = await store.create(pool('lab4', '10.1.0.0/24'));
      await store.close();
      store = await under.reopen();
      watch();
      await inSync();
      assert.deepEqual(
        events.map((event) => event.split('@')[0]),
        ['+IPPool/lab4', 'in-sync'],
      );
      await store.update(pool('lab4', '10.2.0.0/24'), one.revision);
    });

    it('twenty writers that retry lose no change', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      const increment = async (): Promise<void> => {
        for (;;) {
          const current = await store.get(LAB4);
          assert(current?.resource.kind === 'IPPool');
          const { resource, revision } = current;
          const count = `${Number(resource.metadata.labels?.['count'] ?? '0') + 1}`;
          try {
            await store.update(
              { ...resource, metadata: { ...resource.metadata, labels: { count } } },
              revision,
            );
            return;
          } catch (error) {
            if (!(error instanceof RevisionConflict)) throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      assert.equal((await store.get(LAB4))?.resource.metadata.labels?.['count'], '20');
    });

    it('of twenty creators one wins', async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, async (_, i) => await store.create(peer('same', `192.0.2.${i + 1}`))),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    });

    it('refuses what may not stand beside the others', async () => {
      await store.create(pool('lab4', '10.1.0.0/16'));
      await assert.rejects(store.create(pool('b', '10.1.2.0/24')), NotAdmitted);
      assert.deepEqual(store.problems(), []);
    });

    it('a closed watch is told nothing more, a late one everything', async () => {
      let count = 0;
      store.watch(() => count++).close();
      await store.create(pool('lab4', '10.1.0.0/24'));
      assert.equal(count, 0);
      const late: string[] = [];
      store.watch((event) => late.push(event.type));
      await eventually('the late watch', () => late.includes('in-sync'));
      assert.deepEqual(late, ['upsert', 'in-sync']);
    });

    it('is available and not locked', () => {
      assert.deepEqual(store.availability(), { state: 'available' });
      assert.equal(store.lockReason(), undefined);
    });

    describe('IPAM documents', () => {
      const KEY = blockKey('10.1.0.0/30');

      it('are created, replaced and deleted with compare-and-swap, to the last digit', async () => {
        const told: string[] = [];
        store.ipam.watch((event) => {
          if (event.type === 'upsert')
            told.push(`+${formatIpamKey(event.entry.key)}@${event.entry.revision}`);
          else if (event.type === 'delete') told.push(`-${formatIpamKey(event.key)}`);
          else told.push(event.type);
        });
        await eventually('IPAM in sync', () => told.includes('in-sync'));
        const one = await store.ipam.create(KEY, block('10.1.0.0/30', 1_700_000_000_123_456_789n));
        await assert.rejects(store.ipam.create(KEY, block('10.1.0.0/30', 1n)), AlreadyExists);
        const read = await store.ipam.get(KEY);
        assert.equal(read?.revision, one.revision);
        assert.deepEqual(read?.value, block('10.1.0.0/30', 1_700_000_000_123_456_789n));
        const two = await store.ipam.update(
          KEY,
          block('10.1.0.0/30', 1_700_000_000_123_456_790n),
          one.revision,
        );
        await assert.rejects(
          store.ipam.update(KEY, block('10.1.0.0/30', 2n), one.revision),
          RevisionConflict,
        );
        await assert.rejects(store.ipam.delete(KEY, one.revision), RevisionConflict);
        assert.equal((await store.ipam.get(KEY))?.value.sequenceNumber, 1_700_000_000_123_456_790n);
        await store.ipam.delete(KEY, two.revision);
        await assert.rejects(store.ipam.update(KEY, block('10.1.0.0/30', 2n), two.revision), NotFound);
        assert.equal(await store.ipam.get(KEY), undefined);
        assert.deepEqual(told, [
          'in-sync',
          `+block 10.1.0.0/30@${one.revision}`,
          `+block 10.1.0.0/30@${two.revision}`,
          '-block 10.1.0.0/30',
        ]);
      });

      it('are listed by host and family, both families alike', async () => {
        const state = { state: 'confirmed', deleted: false } as const;
        for (const host of ['h1', 'h2']) {
          for (const cidr of ['10.1.0.0/30', 'fd00:1::/122']) {
            await store.ipam.create(affinityKey(host, cidr), state);
          }
        }
        const names = async (filter: Parameters<typeof store.ipam.list>[1]): Promise<string[]> =>
          (await store.ipam.list('affinity', filter)).map(({ key }) => key.name).sort();
        assert.equal((await names({})).length, 4);
        assert.deepEqual(await names({ host: 'h1' }), ['h1/10.1.0.0/30', 'h1/fd00:1::/122']);
        assert.deepEqual(await names({ host: 'h2', family: 'ipv6' }), ['h2/fd00:1::/122']);
        assert.deepEqual(await store.ipam.list('block'), []);
      });

      it('of every kind survive a restart', async () => {
        await store.ipam.create(KEY, block('10.1.0.0/30', 7n));
        await store.ipam.create(handleKey('net.c1'), { block: { '10.1.0.0/30': 1 }, deleted: false });
        const config = { strict_affinity: true, auto_allocate_blocks: true, maxBlocksPerHost: 0 };
        await store.ipam.create(CONFIG_KEY, config);
        await store.close();
        store = await under.reopen();
        watch();
        await inSync();
        assert.deepEqual((await store.ipam.get(KEY))?.value, block('10.1.0.0/30', 7n));
        assert.deepEqual((await store.ipam.get(handleKey('net.c1')))?.value.block, { '10.1.0.0/30': 1 });
        assert.deepEqual((await store.ipam.get(CONFIG_KEY))?.value, config);
      });

      it('ten writers that retry count every address', async () => {
        const key = handleKey('net.c2');
        await store.ipam.create(key, { block: { '10.1.0.0/30': 0 }, deleted: false });
        const increment = async (): Promise<void> => {
          for (;;) {
            const entry = await store.ipam.get(key);
            assert(entry !== undefined);
            const count = (entry.value.block['10.1.0.0/30'] ?? 0) + 1;
            try {
              await store.ipam.update(
                key,
                { ...entry.value, block: { '10.1.0.0/30': count } },
                entry.revision,
              );
              return;
            } catch (error) {
              if (!(error instanceof RevisionConflict)) throw error;
            }
          }
        };
        await Promise.all(Array.from({ length: 10 }, increment));
        assert.equal((await store.ipam.get(key))?.value.block['10.1.0.0/30'], 10);
      });
    });
  });
}
