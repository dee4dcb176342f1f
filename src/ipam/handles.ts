/**
 * The index from a handle to its blocks. It is written before an address is given out and after one is released, so that at any moment,
 * also after a crash, a handle leads to every address that it holds (and at worst to one that it does not).
 */
import { DocumentDamaged } from '../store/errors.ts';
import { blockKey, handleKey } from '../store/ipam-documents.ts';
import type { IpamStore } from '../store/ipam-store.ts';
import { KeyedMutex } from '../store/keyed-mutex.ts';
import type { Revision } from '../store/types.ts';
import { allocationsOf } from './block.ts';
import { isRace } from './claims.ts';
import { MAX_ATTEMPTS, TooMuchContention } from './errors.ts';

// Changes for several blocks at once would only make each other retry.
const changing = new WeakMap<IpamStore, KeyedMutex>();

/** Sets how many addresses a handle holds in a block; an index without any is removed. */
export async function setHandleCount(
  store: IpamStore,
  handle: string,
  cidr: string,
  count: number,
): Promise<void> {
  await changeHandle(store, handle, cidr, () => count);
}

async function changeHandle(
  store: IpamStore,
  handle: string,
  cidr: string,
  change: (present: number) => number,
): Promise<void> {
  const mutex = changing.get(store) ?? new KeyedMutex();
  changing.set(store, mutex);
  await mutex.run(handle, async () => await changeHandleAlone(store, handle, cidr, change));
}

async function changeHandleAlone(
  store: IpamStore,
  handle: string,
  cidr: string,
  change: (present: number) => number,
): Promise<void> {
  const key = handleKey(handle);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const present = await store.get(key);
    const before = present?.value.block[cidr] ?? 0;
    const count = change(before);
    if (before === count) return;
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
  throw new TooMuchContention(`index of handle ${handle}`, MAX_ATTEMPTS);
}

/** Deletes an index that leads to no address and is still at a version. False: it does lead somewhere, or is at another version or gone. */
export async function deleteEmptyHandle(
  store: IpamStore,
  handle: string,
  revision: Revision,
): Promise<boolean> {
  const present = await store.get(handleKey(handle));
  if (present === undefined || present.revision !== revision) return false;
  for (const cidr of Object.keys(present.value.block)) {
    const block = await store.get(blockKey(cidr));
    if (block !== undefined && allocationsOf(block.value).some((each) => each.handle === handle))
      return false;
  }
  try {
    await store.delete(present.key, revision);
    return true;
  } catch (error) {
    if (!isRace(error)) throw error;
    return false;
  }
}

/** What `mendHandles` may take for certain. */
export interface MendScope {
  /** block -> handle -> addresses, of the blocks that were read */
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Whether a block is known to exist; of those that are not, the store is asked. */
  readonly exists: (cidr: string) => boolean;
  /**
   * Whether entries that lead to too much may be corrected. Not where other hosts may borrow from the blocks: they write the entry first,
   * and the address a moment later.
   */
  readonly mayLower: boolean;
}

/**
 * Makes the index agree with the blocks. Entries for blocks that do not exist go; entries for others (of other hosts, or damaged) are
 * left alone.
 */
export async function mendHandles(store: IpamStore, scope: MendScope): Promise<void> {
  const { counts, exists, mayLower } = scope;
  if (mayLower) {
    for (const { key, value } of await store.list('handle')) {
      for (const cidr of Object.keys(value.block)) {
        const actual = counts.get(cidr);
        if (actual !== undefined) await setHandleCount(store, key.name, cidr, actual.get(key.name) ?? 0);
        else if (!exists(cidr) && (await isAbsent(store, cidr)))
          await setHandleCount(store, key.name, cidr, 0);
      }
    }
  }
  for (const [cidr, byHandle] of counts) {
    for (const [handle, count] of byHandle)
      await changeHandle(store, handle, cidr, (present) => (mayLower ? count : Math.max(present, count)));
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
