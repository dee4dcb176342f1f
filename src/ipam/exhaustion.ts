/** The message when pools are used up: it names the pools, their blocks and who holds the addresses. Pure. */
import { addressBits } from '../net/address.ts';
import { prefixContains } from '../net/prefix.ts';
import type { BlockDocument } from '../store/ipam-documents.ts';
import {
  allocationsOf,
  blockCapacity,
  blockPrefix,
  freeOrdinals,
  hostOfBlock,
  type IsReserved,
  usedCount,
} from './block.ts';
import type { Pool } from './pools.ts';

const HOLDERS_SHOWN = 3;
const BLOCKS_SHOWN = 4;

/** What is known when no address could be found. */
export interface Exhaustion {
  readonly pools: readonly Pool[];
  /** every block there is */
  readonly blocks: readonly BlockDocument[];
  readonly host: string;
  readonly isReserved: IsReserved;
  /** why no further block was claimed, when there was room for one */
  readonly claimLimit?: string;
}

/** `IPPool lab4 is full: 64 of 64 addresses in use (block ...)`, one such part a pool. */
export function describeExhaustion(exhaustion: Exhaustion): string {
  const parts = exhaustion.pools.map((pool) => describePool(pool, exhaustion));
  if (exhaustion.claimLimit !== undefined) parts.push(exhaustion.claimLimit);
  return parts.join('; ');
}

function describePool(pool: Pool, { blocks, host, isReserved }: Exhaustion): string {
  const within = blocks.filter((block) => prefixContains(pool.cidr, blockPrefix(block)));
  const own = within.filter((block) => hostOfBlock(block) === host);
  const used = within.reduce((sum, block) => sum + usedCount(block), 0);
  const reserved = own.reduce((sum, block) => sum + reservedCount(block, isReserved), 0);
  const others = within.length - own.length;
  const details = [
    own.length === 0 ? 'this host has no block of it' : describeBlocks(own),
    ...(reserved > 0 ? [`${reserved} reserved`] : []),
    ...(others > 0 ? [`${others} ${others === 1 ? 'block belongs' : 'blocks belong'} to other hosts`] : []),
    ...(own.length === 0 ? [] : [describeHolders(own)]),
  ];
  const size = 2n ** BigInt(addressBits(pool.cidr.family) - pool.cidr.length);
  return `IPPool ${pool.name} is full: ${used} of ${size} addresses in use (${details.join('; ')})`;
}

function describeBlocks(blocks: readonly BlockDocument[]): string {
  const shown = blocks
    .slice(0, BLOCKS_SHOWN)
    .map((block) => `${block.cidr} ${usedCount(block)} of ${blockCapacity(blockPrefix(block))}`);
  const more = blocks.length - shown.length;
  return `${blocks.length === 1 ? 'block' : 'blocks'} ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function describeHolders(blocks: readonly BlockDocument[]): string {
  const holders = Array.from(
    new Set(blocks.flatMap((block) => allocationsOf(block).map(({ handle }) => handle ?? 'unknown'))),
  );
  const shown = holders.slice(0, HOLDERS_SHOWN);
  const more = holders.length - shown.length;
  return holders.length === 0
    ? 'held by nobody'
    : `held by ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function reservedCount(block: BlockDocument, isReserved: IsReserved): number {
  return block.unallocated.length - Array.from(freeOrdinals(block, isReserved)).length;
}
