/** What a store told against what etcd's own history says: proof that no event was lost and none invented. */
import assert from 'node:assert/strict';
import type { Etcd3 } from 'etcd3';
import type { EtcdStore } from '../../src/store/etcd/etcd-store.ts';
import type { Store } from '../../src/store/types.ts';
import { eventually } from './eventually.ts';

const PREFIX = '/calico/resources/v3/projectcalico.org/bgppeers/';

/** Writes the next version of one of the peers `w0`.. and now and then deletes one. The caller bears errors. */
export async function writeStep(client: Etcd3, step: number, keys = 7): Promise<void> {
  const name = `w${step % keys}`;
  if (step % 11 === 10) {
    await client.delete().key(`${PREFIX}${name}`);
    return;
  }
  await client.put(`${PREFIX}${name}`).value(
    JSON.stringify({
      kind: 'BGPPeer',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name, uid: name, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { peerIP: `192.0.${(step >> 8) & 255}.${step & 255}`, asNumber: 64512 },
    }),
  );
}

/** Writes steps until told to stop; a step that fails is tried again. Resolves with the number of steps. */
export function keepWriting(client: Etcd3, pauseMs = 2): { stop(): Promise<number> } {
  let isStopped = false;
  const running = (async () => {
    let step = 0;
    while (!isStopped) {
      try {
        await writeStep(client, step);
        step++;
      } catch {
        // The member was killed; a write that may have happened stands in the history.
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return step;
  })();
  return {
    stop: async () => {
      isStopped = true;
      return await running;
    },
  };
}

/** Records what a store tells from now on: `+name@revision`, `-name@revision of what went`. */
export class Ledger {
  readonly told: string[] = [];
  #inSyncs = 0;

  constructor(store: Store) {
    store.watch((event) => {
      if (event.type === 'upsert') this.told.push(`+${event.key.name}@${event.revision}`);
      else if (event.type === 'delete') this.told.push(`-${event.key.name}@${event.revision}`);
      else if (event.type === 'in-sync') this.#inSyncs++;
    });
  }

  /** The store said that it is in sync. */
  async inSync(): Promise<void> {
    await eventually('in sync', () => this.#inSyncs === 1);
  }

  /** Waits until the store has told the last of etcd's history, then compares all of it. */
  async assertWhole(client: Etcd3): Promise<void> {
    const expected = await history(client);
    await eventually(
      'the last event',
      () => this.told.at(-1) === expected.at(-1) && this.told.length >= expected.length,
      { timeoutMs: 20_000 },
    );
    assert.deepEqual(this.told, expected);
    assert.equal(this.#inSyncs, 1);
  }

  /** As `assertWhole` where versions may be left out: nothing twice, nothing backwards, nothing that never was. */
  assertSound(): void {
    const last = new Map<string, { readonly isThere: boolean; readonly revision: number }>();
    for (const line of this.told) {
      const [name = '', text = ''] = line.slice(1).split('@');
      const [revision, before] = [Number(text), last.get(name)];
      if (line.startsWith('+'))
        assert(revision > (before?.revision ?? 0), `${line} after ${before?.revision}`);
      else assert.deepEqual({ isThere: true, revision }, before, `${line} ends what was told last`);
      last.set(name, { isThere: line.startsWith('+'), revision });
    }
  }
}

/** Waits until the store holds exactly what etcd holds. */
export async function assertSameContents(store: EtcdStore, client: Etcd3): Promise<void> {
  await eventually('store and etcd hold the same', async () => {
    const { kvs } = await client.getAll().prefix(PREFIX).exec();
    const expected = kvs.map(
      ({ key, mod_revision }) => `${key.toString().slice(PREFIX.length)}@${mod_revision}`,
    );
    const held = (await store.list('BGPPeer')).map(
      ({ resource, revision }) => `${resource.metadata.name}@${revision}`,
    );
    assert.deepEqual(held.sort(), expected.sort());
    return true;
  });
}

/** All of etcd's history of the peers, from its first revision. */
async function history(client: Etcd3): Promise<string[]> {
  const { header } = await client.getAll().prefix(PREFIX).limit(1).exec();
  const end = Number(header.revision);
  const stream = await client.watchClient.watch();
  const lines: string[] = [];
  const mods = new Map<string, string>();
  try {
    await new Promise<void>((resolve, reject) => {
      stream.on('error', reject);
      stream.on('data', (response) => {
        for (const { type, kv } of response.events) {
          const name = kv.key.toString().slice(PREFIX.length);
          if (type === 'Delete') lines.push(`-${name}@${mods.get(name)}`);
          else {
            lines.push(`+${name}@${kv.mod_revision}`);
            mods.set(name, kv.mod_revision);
          }
          if (Number(kv.mod_revision) >= end) resolve();
        }
      });
      stream.write({
        create_request: {
          key: Buffer.from(PREFIX),
          range_end: Buffer.from(`${PREFIX.slice(0, -1)}0`),
          start_revision: 1,
        },
      });
    });
  } finally {
    stream.on('error', () => {});
    stream.cancel();
  }
  return lines;
}
