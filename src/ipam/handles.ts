/**
 * The index from a handle to its blocks. It is written before an address is given out and after one is released, so that at any moment,
 * also after a crash, a handle leads to every address that it holds (and at worst to one that it does not).
 */
import { DocumentDamaged } from '../store/errors.ts';
import { blockKey, handleKey } from '../store/ipam-documents.ts';
import type { IpamStore } from '../store/ipam-store.ts';
import { isRace } from './claims.ts';

/** Sets how many addresses a handle holds in a block; an index without any is removed. */
export async function setHandleCount(
  store: IpamStore,
  handle: string,
  cidr: string,
  count: number,
): Promise<void> {
  const key = handleKey(handle);
  for (;;) {
    const present = await store.get(key);
    if ((present?.value.block[cidr] ?? 0) === count) return;
    const { [cidr]: _replaced, ...others } = present?.value.block ?? {};
    const block = count === 0 ? others : { ...others, [cidr]: count };
    try {
      if (present === undefined) await store.create(key, { block, deleted: false });
      else if (Object.keys(block).length === 0) await store.delete(key, present.revision);
      else await store.update(key, { ...present.value, block }, present.revision);
      return;
    } catch (error) {
      if (!isRace(error)) throw error;
    }
  }
}

/**
 * Makes the index agree with the blocks: `counts` has, for each block that was read, the number of addresses by handle. Entries for blocks
 * that do not exist go; entries for others (of other hosts, or damaged) are left alone.
 */
export async function mendHandles(
  store: IpamStore,
  counts: ReadonlyMap<string, ReadonlyMap<string, number>>,
): Promise<void> {
  for (const { key, value } of await store.list('handle')) {
    for (const cidr of Object.keys(value.block)) {
      const actual = counts.get(cidr);
      if (actual !== undefined) await setHandleCount(store, key.name, cidr, actual.get(key.name) ?? 0);
      else if (await isAbsent(store, cidr)) await setHandleCount(store, key.name, cidr, 0);
    }
  }
  for (const [cidr, byHandle] of counts) {
    for (const [handle, count] of byHandle) await setHandleCount(store, handle, cidr, count);
  }
}

async function isAbsent(store: IpamStore, cidr: string): Promise<boolean> {
  try {
    return (await store.get(blockKey(cidr))) === undefined;
  } catch (error) {
    if (error instanceof DocumentDamaged) return false;
    throw error;
  }
}
