/** Stores as ends of a transfer: read as a whole, locked, and written so that either everything or nothing of it has happened. */

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { KINDS } from '../../model/kinds.ts';
import { isRecord } from '../../model/record.ts';
import { checkSupport } from '../../model/support.ts';
import { keyOf } from '../../model/types.ts';
import { admitByModel } from '../admission.ts';
import { AlreadyExists, RevisionConflict, StoreError, StoreUnavailable } from '../errors.ts';
import { Cluster } from '../etcd/cluster.ts';
import type { EtcdEndpoints } from '../etcd/endpoints.ts';
import { CLUSTER_INFORMATION_KEY, ipamKey, resourceKey } from '../etcd/keys.ts';
import { listAll } from '../etcd/listing.ts';
import { encodeResource } from '../etcd/resource-json.ts';
import { createKey, deleteKey, rawEntry, replaceKey } from '../etcd/writer.ts';
import { type FileStore, openFileStore } from '../file/file-store.ts';
import {
  formatIpamJson,
  IPAM_KINDS,
  type IpamKey,
  type IpamKind,
  parseIpamDocument,
} from '../ipam-documents.ts';
import type { IpamEntry } from '../ipam-store.ts';
import { type Entry, meaningOf } from './entry.ts';

/** An entry to write, and the version that it replaces. */
export interface Write {
  readonly entry: Entry;
  readonly replaces: Entry | undefined;
}

/** One end of a transfer. */
export interface Place {
  readonly name: string;
  read(): Promise<readonly Entry[]>;
  /** Why an entry cannot stand there. */
  reasonsAgainst(entry: Entry): readonly string[];
  /** Keeps agents from giving out and taking back addresses. Resolves with what undoes it. */
  lock(): Promise<() => Promise<void>>;
  /** Writes all, or takes back what was written and rejects with `TransferFailed`. */
  write(writes: readonly Write[]): Promise<void>;
  close(): Promise<void>;
}

/** A transfer ended half-way. `leftovers`: keys that could not be put back. */
export class TransferFailed extends Error {
  readonly leftovers: readonly string[];

  constructor(reason: string, leftovers: readonly string[]) {
    super(
      leftovers.length === 0
        ? `${reason}; everything that was written has been taken back`
        : `${reason}; these could not be put back and are to be looked at: ${leftovers.join(', ')}`,
    );
    this.name = 'TransferFailed';
    this.leftovers = leftovers;
  }
}

/** The embedded store in a folder. It is open here alone: the agent must be stopped. To be read, it must be there. */
export async function openFilePlace(root: string, use: 'read' | 'write'): Promise<Place> {
  if (use === 'read' && !existsSync(root)) throw new StoreUnavailable(`there is no store in ${root}`);
  const store = await openFileStore({ root, admit: admitByModel });
  return {
    name: `the embedded store ${root}`,
    read: async () => await readFileStore(store),
    reasonsAgainst: (entry) => {
      const meaning = meaningOf(entry);
      if (meaning.type === 'invalid') return meaning.reasons;
      if (meaning.type === 'other')
        return [`the embedded store of this version does not hold ${meaning.what}`];
      if (meaning.type === 'ipam') return [];
      return checkSupport(meaning.resource).refused.map(({ path, reason }) => `${path}: ${reason}`);
    },
    lock: async () => async () => {},
    write: async (writes) =>
      await writeAll(writes, async (entry, replaces) => await writeToFileStore(store, entry, replaces)),
    close: async () => await store.close(),
  };
}

/** An etcd. It locks as calicoctl does: `datastoreReady: false` in ClusterInformation. */
export function openEtcdPlace(options: EtcdEndpoints): Place {
  const cluster = new Cluster(options);
  return {
    name: `etcd ${options.endpoints.join(', ')}`,
    read: async () => (await listAll(cluster)).map(({ key, text }) => ({ key, text })),
    reasonsAgainst: (entry) => {
      const meaning = meaningOf(entry);
      return meaning.type === 'invalid' ? meaning.reasons : [];
    },
    lock: async () => {
      const wasReady = await setReady(cluster, false);
      return async () => {
        if (wasReady) await setReady(cluster, true);
      };
    },
    write: async (writes) =>
      await writeAll(writes, async (entry, replaces) => await writeToEtcd(cluster, entry, replaces)),
    close: async () => cluster.close(),
  };
}

/** Sets `datastoreReady`; resolves with whether it was true (or not set) before. Creates ClusterInformation when there is none. */
export async function setReady(cluster: Cluster, isReady: boolean): Promise<boolean> {
  for (;;) {
    const { kvs } = await cluster.range({ key: CLUSTER_INFORMATION_KEY });
    const [kv] = kvs;
    if (kv === undefined) {
      const text = JSON.stringify({
        kind: 'ClusterInformation',
        apiVersion: 'projectcalico.org/v3',
        metadata: {
          name: 'default',
          uid: randomUUID(),
          creationTimestamp: `${new Date().toISOString().slice(0, 19)}Z`,
        },
        spec: { clusterGUID: randomUUID().replaceAll('-', ''), datastoreReady: isReady },
      });
      if ((await createKey(cluster, CLUSTER_INFORMATION_KEY, text)).ok) return true;
      continue;
    }
    const { text, modRevision } = rawEntry(kv);
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) throw new Error(`${CLUSTER_INFORMATION_KEY} is damaged: mend or delete it`);
    const spec = isRecord(value['spec']) ? value['spec'] : {};
    const wasReady = spec['datastoreReady'] !== false;
    if (wasReady === isReady) return wasReady;
    const changed = JSON.stringify({ ...value, spec: { ...spec, datastoreReady: isReady } });
    if ((await replaceKey(cluster, CLUSTER_INFORMATION_KEY, changed, modRevision)).ok) return wasReady;
  }
}

type Undo = () => Promise<void>;

/** Writes one after the other; after a failure the former state is restored in reverse order. */
async function writeAll(
  writes: readonly Write[],
  write: (entry: Entry, replaces: Entry | undefined) => Promise<Undo>,
): Promise<void> {
  const undos: [string, Undo][] = [];
  for (const { entry, replaces } of writes) {
    try {
      undos.push([entry.key, await write(entry, replaces)]);
    } catch (error) {
      const leftovers: string[] = [];
      for (const [key, undo] of undos.reverse()) {
        try {
          await undo();
        } catch {
          leftovers.push(key);
        }
      }
      const reason = error instanceof Error ? error.message : String(error);
      throw new TransferFailed(`${entry.key} could not be written: ${reason}`, leftovers);
    }
  }
}

async function writeToEtcd(cluster: Cluster, entry: Entry, replaces: Entry | undefined): Promise<Undo> {
  if (replaces === undefined) {
    const swap = await createKey(cluster, entry.key, entry.text);
    if (!swap.ok) throw new AlreadyExists(entry.key);
    return async () => {
      const undone = await deleteKey(cluster, entry.key, swap.revision);
      if (!undone.ok) throw new Error('changed meanwhile');
    };
  }
  const { kvs } = await cluster.range({ key: entry.key });
  const current = kvs[0] && rawEntry(kvs[0]);
  if (current === undefined || current.text !== replaces.text) {
    throw new RevisionConflict(entry.key, 'as read', current && String(current.modRevision));
  }
  const swap = await replaceKey(cluster, entry.key, entry.text, current.modRevision);
  if (!swap.ok) throw new RevisionConflict(entry.key, String(current.modRevision), undefined);
  return async () => {
    const undone = await replaceKey(cluster, entry.key, replaces.text, swap.revision);
    if (!undone.ok) throw new Error('changed meanwhile');
  };
}

async function readFileStore(store: FileStore): Promise<readonly Entry[]> {
  const damaged = store
    .problems()
    .filter(({ key, location }) => key !== undefined || location.startsWith('ipam/'));
  if (damaged.length > 0) {
    const list = damaged.map(({ location, reasons }) => `${location}: ${reasons.join('; ')}`).join('\n');
    throw new StoreError('damaged', `mend or remove first what cannot be read:\n${list}`);
  }
  const entries: Entry[] = [];
  for (const kind of KINDS) {
    for (const { resource } of await store.list(kind)) {
      entries.push({ key: resourceKey(keyOf(resource)), text: encodeResource(resource, {}, Date.now()) });
    }
  }
  for (const kind of IPAM_KINDS) {
    for (const { key, value } of await listIpam(store, kind)) {
      entries.push({ key: ipamKey(key), text: formatIpamJson(value) });
    }
  }
  return entries;
}

async function listIpam(store: FileStore, kind: IpamKind): Promise<readonly IpamEntry[]> {
  return await store.ipam.list(kind);
}

async function writeToFileStore(store: FileStore, entry: Entry, replaces: Entry | undefined): Promise<Undo> {
  const meaning = meaningOf(entry);
  if (meaning.type === 'resource') {
    const { key, resource } = meaning;
    const former = replaces === undefined ? undefined : await store.get(key);
    const written =
      former === undefined ? await store.create(resource) : await store.update(resource, former.revision);
    return async () => {
      if (former === undefined) await store.delete(key, written.revision);
      else await store.update(former.resource, written.revision);
    };
  }
  if (meaning.type === 'ipam') return await writeIpam(store, meaning.key, meaning.value);
  throw new Error('it is nothing that the embedded store holds');
}

async function writeIpam<K extends IpamKind>(
  store: FileStore,
  key: IpamKey<K>,
  json: unknown,
): Promise<Undo> {
  const parsed = parseIpamDocument(key.kind, json);
  if (!parsed.ok) throw new Error(parsed.reason);
  const former = await store.ipam.get(key);
  if (former === undefined) {
    const written = await store.ipam.create(key, parsed.value);
    return async () => await store.ipam.delete(key, written.revision);
  }
  const written = await store.ipam.update(key, parsed.value, former.revision);
  return async () => {
    await store.ipam.update(key, former.value, written.revision);
  };
}
