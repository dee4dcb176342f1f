/** How full pools and blocks are, who has borrowed what, and this host's numbers for metrics. Pure. */
import { type Address, addressBits, addressesEqual, formatAddress } from '../net/address.ts';
import { formatPrefix, type Prefix, prefixContains, prefixesOverlap } from '../net/prefix.ts';
import type { BlockDocument } from '../store/ipam-documents.ts';
import {
  type Allocation,
  allocationsOf,
  blockPrefix,
  coolingCount,
  freeOrdinals,
  type IsReserved,
  ownerOfBlock,
  userOf,
} from './block.ts';
import type { Pool } from './pools.ts';

/** Counts of addresses. An address in use that was reserved later counts as both. */
export interface Usage {
  readonly cidr: string;
  /** as a number; exact up to 2^53 */
  readonly capacity: number;
  /** with those that cool down */
  readonly inUse: number;
  readonly reserved: number;
  readonly free: number;
  readonly cooling: number;
}

/** A block's counts. */
export interface BlockUsage extends Usage {
  readonly host: string | null;
}

/** A pool's counts with its blocks; `name` null: blocks that no pool holds. */
export interface PoolUsage extends Usage {
  readonly name: string | null;
  readonly blocks: readonly BlockUsage[];
}

/** An address that another host uses than the one whose block it is in. */
export interface BorrowedAddress {
  readonly ip: string;
  readonly borrowingNode: string;
  readonly block: string;
  /** empty: the block belongs to no host */
  readonly blockOwner: string;
  readonly type: string;
  readonly allocatedTo: string;
}

/** Usage by pool, in the order given, then what lies in no pool. */
export function utilization(
  pools: readonly Pool[],
  blocks: readonly BlockDocument[],
  reserved: readonly Prefix[],
): readonly PoolUsage[] {
  const isReserved: IsReserved = (address) => reserved.some((prefix) => containsAddress(prefix, address));
  const byPool = Map.groupBy(blocks, (block) =>
    pools.find(({ cidr }) => prefixContains(cidr, blockPrefix(block))),
  );
  const usages = pools.map((pool): PoolUsage => {
    const own = blockUsages(byPool.get(pool) ?? [], reserved, isReserved);
    const capacity = 2 ** (addressBits(pool.cidr.family) - pool.cidr.length);
    const reservedCount = reservedIn(pool.cidr, reserved);
    const inUse = sum(own, 'inUse');
    // What blocks say is exact; outside of them everything that is not reserved is free.
    const outside = capacity - sum(own, 'capacity') - (reservedCount - sum(own, 'reserved'));
    return {
      name: pool.name,
      cidr: formatPrefix(pool.cidr),
      capacity,
      inUse,
      reserved: reservedCount,
      free: sum(own, 'free') + Math.max(0, outside),
      cooling: sum(own, 'cooling'),
      blocks: own,
    };
  });
  const stray = blockUsages(byPool.get(undefined) ?? [], reserved, isReserved);
  if (stray.length === 0) return usages;
  const total = {
    capacity: sum(stray, 'capacity'),
    inUse: sum(stray, 'inUse'),
    reserved: sum(stray, 'reserved'),
  };
  const rest = { free: sum(stray, 'free'), cooling: sum(stray, 'cooling') };
  return [...usages, { name: null, cidr: '', ...total, ...rest, blocks: stray }];
}

/** Number of addresses of a prefix that reservations cover. */
export function reservedIn(within: Prefix, reserved: readonly Prefix[]): number {
  const parts = reserved.filter((prefix) => prefixesOverlap(prefix, within));
  if (parts.some((prefix) => prefixContains(prefix, within)))
    return 2 ** (addressBits(within.family) - within.length);
  const outermost = parts.filter(
    (prefix, index) =>
      !parts.some(
        (other, at) =>
          at !== index && prefixContains(other, prefix) && (other.length < prefix.length || at < index),
      ),
  );
  return outermost.reduce((count, prefix) => count + 2 ** (addressBits(prefix.family) - prefix.length), 0);
}

/** Borrowed addresses, and the number of those of which nobody recorded the host. */
export function borrowedAddresses(blocks: readonly BlockDocument[]): {
  readonly borrowed: readonly BorrowedAddress[];
  readonly unknown: number;
} {
  const borrowed: BorrowedAddress[] = [];
  let unknown = 0;
  for (const block of blocks) {
    const owner = ownerOfBlock(block) ?? '';
    for (const allocation of allocationsOf(block)) {
      const node = allocation.attributes['node'];
      if (node === undefined) unknown++;
      else if (node !== owner)
        borrowed.push({
          ip: formatAddress(allocation.address),
          borrowingNode: node,
          block: block.cidr,
          blockOwner: owner,
          ...describeHolder(allocation),
        });
    }
  }
  return { borrowed, unknown };
}

/** What holds an allocation, for people. */
export function describeHolder({ attributes }: Allocation): {
  readonly type: string;
  readonly allocatedTo: string;
} {
  const { namespace = 'default', pod, endpoint, type } = attributes;
  if (pod !== undefined) return { type: 'pod', allocatedTo: `${namespace}/${pod}` };
  if (endpoint !== undefined) return { type: 'endpoint', allocatedTo: `${namespace}/${endpoint}` };
  return { type: type ?? '', allocatedTo: '' };
}

/** The allocation of an address, or why there is none. */
export function findAllocation(
  block: BlockDocument,
  address: Address,
): { readonly allocation: Allocation; readonly user: string | undefined } | undefined {
  const allocation = allocationsOf(block).find((each) => addressesEqual(each.address, address));
  return allocation && { allocation, user: userOf(block, allocation) };
}

function blockUsages(
  blocks: readonly BlockDocument[],
  reserved: readonly Prefix[],
  isReserved: IsReserved,
): readonly BlockUsage[] {
  return blocks.map((block) => {
    const prefix = blockPrefix(block);
    const capacity = 2 ** (addressBits(prefix.family) - prefix.length);
    const touches = reserved.some((each) => prefixesOverlap(each, prefix));
    const free = touches ? Array.from(freeOrdinals(block, isReserved)).length : block.unallocated.length;
    return {
      cidr: block.cidr,
      host: ownerOfBlock(block) ?? null,
      capacity,
      inUse: capacity - block.unallocated.length,
      reserved: touches ? reservedIn(prefix, reserved) : 0,
      free,
      cooling: coolingCount(block),
    };
  });
}

function sum(
  usages: readonly Usage[],
  field: 'capacity' | 'inUse' | 'reserved' | 'free' | 'cooling',
): number {
  return usages.reduce((total, usage) => total + usage[field], 0);
}

function containsAddress(prefix: Prefix, address: Address): boolean {
  return prefixContains(prefix, {
    family: address.family,
    bytes: address.bytes,
    length: addressBits(address.family),
  });
}
