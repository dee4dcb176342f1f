/** Reading the documents of a host's allocations, from the store itself. */
import type { Address, Family } from '../net/address.ts';
import { formatPrefix, prefixOf } from '../net/prefix.ts';
import { DocumentDamaged } from '../store/errors.ts';
import { affinityParts, type BlockDocument, blockKey, handleKey } from '../store/ipam-documents.ts';
import type { IpamEntry } from '../store/ipam-store.ts';
import { type Allocation, allocationsOf, hostOfBlock, userOf } from './block.ts';
import type { IpamContext } from './context.ts';
import { poolHolding } from './pools.ts';

/** A block with those of its allocations that are meant. */
export interface HeldInBlock {
  readonly entry: IpamEntry<'block'>;
  readonly allocations: readonly Allocation[];
}

/** The block as it is now; `undefined` also when its document is damaged: its addresses stay taken. */
export async function readBlock(context: IpamContext, cidr: string): Promise<IpamEntry<'block'> | undefined> {
  try {
    const entry = await context.store.get(blockKey(cidr));
    if (entry === undefined) context.view.index.delete(cidr);
    return entry;
  } catch (error) {
    if (error instanceof DocumentDamaged) return undefined;
    throw error;
  }
}

/** Blocks whose claim is confirmed on both sides. Claims that are half-way are completed or given up. */
export async function ownBlocks(context: IpamContext, family?: Family): Promise<IpamEntry<'block'>[]> {
  const { store, host, claims } = context;
  const found: IpamEntry<'block'>[] = [];
  for (const affinity of await store.list('affinity', family === undefined ? { host } : { host, family })) {
    if (affinity.value.state !== 'confirmed') await claims.settle(affinity);
    const entry = await readBlock(context, affinityParts(affinity.key).cidr);
    if (entry === undefined || hostOfBlock(entry.value) !== host) continue;
    context.view.note(entry);
    found.push(entry);
  }
  return found;
}

/** The block of whatever size that holds an address. */
export async function blockHolding(
  context: IpamContext,
  address: Address,
): Promise<IpamEntry<'block'> | undefined> {
  const known = context.view.index.holding(address);
  const pool = poolHolding(context.pools(), address);
  const cidr = known?.cidr ?? (pool && formatPrefix(prefixOf(address, pool.blockSize)));
  return cidr === undefined ? undefined : await readBlock(context, cidr);
}

/** Blocks to which a handle's index leads. */
export async function indexedBlocks(context: IpamContext, handle: string): Promise<readonly string[]> {
  return Object.keys((await context.store.get(handleKey(handle)))?.value.block ?? {});
}

/** What a handle holds on this host, block by block. Another host's holder of the same name is not meant. */
export async function heldByHandle(context: IpamContext, handle: string): Promise<readonly HeldInBlock[]> {
  const found: HeldInBlock[] = [];
  for (const cidr of await indexedBlocks(context, handle)) {
    const entry = await readBlock(context, cidr);
    if (entry === undefined) continue;
    if (countOf(entry.value, handle) === 0) continue;
    const allocations = allocationsHere(context, entry.value).filter((each) => each.handle === handle);
    if (allocations.length > 0) found.push({ entry, allocations });
  }
  return found;
}

/** Everything that this host uses: in its own blocks and in those of others. */
export async function heldHere(context: IpamContext): Promise<readonly HeldInBlock[]> {
  const { host, view } = context;
  const blocks = await ownBlocks(context);
  const seen = new Set(blocks.map(({ key }) => key.name));
  for (const block of view.index.all()) {
    if (seen.has(block.cidr) || (block.host !== host && block.borrowed?.has(host) !== true)) continue;
    const entry = await readBlock(context, block.cidr);
    if (entry !== undefined) blocks.push(entry);
  }
  return blocks.map((entry) => ({ entry, allocations: allocationsHere(context, entry.value) }));
}

/** Number of addresses that a handle holds in a block, whichever host uses them. */
export function countOf(block: BlockDocument, handle: string): number {
  const indexes = new Set<number>();
  for (const [index, { handle_id }] of block.attributes.entries())
    if (handle_id === handle) indexes.add(index);
  if (indexes.size === 0) return 0;
  return block.allocations.reduce<number>(
    (count, index) => (index !== null && indexes.has(index) ? count + 1 : count),
    0,
  );
}

function allocationsHere({ host }: IpamContext, block: BlockDocument): readonly Allocation[] {
  return allocationsOf(block).filter((allocation) => userOf(block, allocation) === host);
}
