/** Everything that Calico and Ocicat keep in etcd, as of one revision. */
import type { Cluster } from './cluster.ts';
import { WATCHED_RANGE } from './keys.ts';
import type { RawEntry } from './raw.ts';
import { rawEntry } from './writer.ts';

/** A part of the list. `revision` and `clusterId` are those of the whole. */
export interface Page {
  readonly entries: readonly RawEntry[];
  readonly revision: number;
  readonly clusterId: string;
}

// A page is decoded in one go: so many octets make that a few milliseconds.
const PAGE_OCTETS = 1 << 19;
const FIRST_LIMIT = 150;
const MAX_LIMIT = 1_000;

/**
 * Lists in pages, all of the first one's revision, at least one; the next is on its way while one is looked at. Rejects with
 * `StoreUnavailable`, also when the revision is compacted meanwhile.
 */
export async function* listPages(cluster: Cluster): AsyncGenerator<Page, void, void> {
  const { first, end } = WATCHED_RANGE;
  let pending: ReturnType<Cluster['range']> | undefined = cluster.range({
    key: first,
    end,
    limit: FIRST_LIMIT,
  });
  let revision = 0;
  let clusterId = '';
  while (pending !== undefined) {
    const page: Awaited<typeof pending> = await pending;
    pending = undefined;
    if (revision === 0) {
      revision = Number(page.header.revision);
      clusterId = page.header.cluster_id;
    }
    let octets = 0;
    const entries: RawEntry[] = [];
    for (const kv of page.kvs) {
      octets += kv.key.length + kv.value.length;
      entries.push(rawEntry(kv));
    }
    const last = entries.at(-1);
    if (page.more && last !== undefined) {
      const limit = Math.max(1, Math.min(MAX_LIMIT, Math.floor((PAGE_OCTETS * entries.length) / octets)));
      pending = cluster.range({ key: `${last.key}\0`, end, limit, revision });
      // Whoever stops half-way does not wait for it.
      pending.catch(() => {});
    }
    yield { entries, revision, clusterId };
  }
}

/** The whole list. Rejects with `StoreUnavailable`. */
export async function listAll(cluster: Cluster): Promise<readonly RawEntry[]> {
  const entries: RawEntry[] = [];
  for await (const page of listPages(cluster)) entries.push(...page.entries);
  return entries;
}
