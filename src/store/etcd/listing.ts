/** Everything that Calico and Ocicat keep in etcd, as of one revision. */
import type { Cluster } from './cluster.ts';
import { WATCHED_RANGE } from './keys.ts';
import type { Listing } from './mirror.ts';
import type { RawEntry } from './raw.ts';
import { rawEntry } from './writer.ts';

// A page is decoded in one go: blocks of 4 KiB make this a few milliseconds.
const PAGE_SIZE = 150;

/** Lists in pages, all of the first one's revision. Rejects with `StoreUnavailable`, also when that is compacted meanwhile. */
export async function listAll(cluster: Cluster): Promise<Listing & { readonly clusterId: string }> {
  const entries: RawEntry[] = [];
  let from: string = WATCHED_RANGE.first;
  let revision = 0;
  let clusterId = '';
  for (;;) {
    const page = await cluster.range({
      key: from,
      end: WATCHED_RANGE.end,
      limit: PAGE_SIZE,
      ...(revision === 0 ? {} : { revision }),
    });
    if (revision === 0) {
      revision = Number(page.header.revision);
      clusterId = page.header.cluster_id;
    }
    for (const kv of page.kvs) entries.push(rawEntry(kv));
    const last = entries.at(-1);
    if (!page.more || last === undefined) return { entries, revision, clusterId };
    from = `${last.key}\0`;
  }
}
