/** Compare-and-swap on single keys, told truly even when an answer was lost on the way. */
import type { IKeyValue, ITxnResponse } from 'etcd3';
import { OutcomeUnknown } from '../errors.ts';
import { type Cluster, isCompacted } from './cluster.ts';
import type { RawEntry } from './raw.ts';

/** Changes of a key since an attempt without an answer that are looked through for it. */
const MOST_LOOKED_BACK = 32;

/** What a swap did. When it failed, `current` is what stands in the key at `revision` (undefined: nothing). */
export type Swap =
  | { readonly ok: true; readonly revision: number; readonly createRevision: number }
  | { readonly ok: false; readonly revision: number; readonly current: RawEntry | undefined };

/** Stores a key that must not be there. Rejects with `StoreUnavailable`. */
export async function createKey(cluster: Cluster, key: string, text: string): Promise<Swap> {
  return await swap(cluster, key, text, { target: 'Create', create_revision: 0 });
}

/** Replaces a key that must be at a revision. Rejects with `StoreUnavailable`. */
export async function replaceKey(
  cluster: Cluster,
  key: string,
  text: string,
  expected: number,
): Promise<Swap> {
  return await swap(cluster, key, text, { target: 'Mod', mod_revision: expected });
}

/** Deletes a key that must be at a revision, or whatever stands there. Rejects with `StoreUnavailable`. */
export async function deleteKey(cluster: Cluster, key: string, expected: number | undefined): Promise<Swap> {
  const octets = Buffer.from(key);
  const { value, isRepeated } = await cluster.txn({
    compare: [
      expected === undefined
        ? { target: 'Create', result: 'Greater', key: octets, create_revision: 0 }
        : { target: 'Mod', result: 'Equal', key: octets, mod_revision: expected },
    ],
    success: [{ request_delete_range: { key: octets } }],
    failure: [{ request_range: { key: octets } }],
  });
  const revision = Number(value.header.revision);
  if (value.succeeded) return { ok: true, revision, createRevision: 0 };
  const current = currentOf(value);
  // Gone, and an earlier attempt of ours got no answer: that was it.
  if (current === undefined && isRepeated) return { ok: true, revision, createRevision: 0 };
  return { ok: false, revision, current };
}

/** Whether etcd takes writes again. The condition never holds, so nothing is ever written. Rejects with `StoreUnavailable`. */
export async function probeWrite(cluster: Cluster, key: string): Promise<void> {
  const octets = Buffer.from(key);
  await cluster.txn({
    compare: [{ target: 'Version', result: 'Less', key: octets, version: 0 }],
    success: [{ request_put: { key: octets, value: Buffer.alloc(0) } }],
  });
}

/** Reads an answer's key and value. */
export function rawEntry(kv: IKeyValue): RawEntry {
  return {
    key: kv.key.toString('utf8'),
    text: kv.value.toString('utf8'),
    modRevision: Number(kv.mod_revision),
    createRevision: Number(kv.create_revision),
  };
}

async function swap(
  cluster: Cluster,
  key: string,
  text: string,
  condition:
    | { readonly target: 'Create'; readonly create_revision: 0 }
    | { readonly target: 'Mod'; readonly mod_revision: number },
): Promise<Swap> {
  const octets = Buffer.from(key);
  const { value, isRepeated } = await cluster.txn({
    compare: [{ ...condition, result: 'Equal', key: octets }],
    success: [{ request_put: { key: octets, value: Buffer.from(text) } }, { request_range: { key: octets } }],
    failure: [{ request_range: { key: octets } }],
  });
  const revision = Number(value.header.revision);
  const current = currentOf(value);
  if (value.succeeded) return { ok: true, revision, createRevision: current?.createRevision ?? revision };
  // An attempt before this one got no answer. If it was that which replaced what stood there, somebody may have built on it since.
  const former = condition.target === 'Mod' ? condition.mod_revision : 0;
  if (isRepeated && current !== undefined && current.modRevision > former) {
    const next = await successorOf(cluster, key, former, current);
    if (next.text === text) {
      return { ok: true, revision: next.modRevision, createRevision: next.createRevision };
    }
  }
  return { ok: false, revision, current };
}

/**
 * What took the place of what stood at a key at revision `former` (0: nothing), looked for backwards from what stands there now. Rejects with
 * `OutcomeUnknown` when that is too long ago, and with `StoreUnavailable`.
 */
async function successorOf(
  cluster: Cluster,
  key: string,
  former: number,
  current: RawEntry,
): Promise<RawEntry> {
  let entry = current;
  for (let looked = 0; looked < MOST_LOOKED_BACK; looked++) {
    const before = await entryAt(cluster, key, entry.modRevision - 1);
    if ((before?.modRevision ?? 0) === former) return entry;
    // Deleted meanwhile: what was before that is of no use any more.
    if (before === undefined) break;
    entry = before;
  }
  throw new OutcomeUnknown(`${key} has changed too often since; whether the write took effect is not known`);
}

async function entryAt(cluster: Cluster, key: string, revision: number): Promise<RawEntry | undefined> {
  try {
    const [kv] = (await cluster.range({ key, revision })).kvs;
    return kv === undefined ? undefined : rawEntry(kv);
  } catch (error) {
    if (!isCompacted(error)) throw error;
    throw new OutcomeUnknown(`${key} at revision ${revision} has been compacted away`, { cause: error });
  }
}

function currentOf(answer: ITxnResponse): RawEntry | undefined {
  for (const { response_range } of answer.responses) {
    const [kv] = response_range?.kvs ?? [];
    if (kv !== undefined) return rawEntry(kv);
  }
  return undefined;
}
