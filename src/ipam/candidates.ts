/** The order in which a host tries the blocks of a pool: each host starts elsewhere, so that hosts rarely want the same block. Pure. */
import { addressBits, addToAddress } from '../net/address.ts';
import { formatPrefix, networkAddress, type Prefix, prefixOf } from '../net/prefix.ts';
import type { Pool } from './pools.ts';

/** Every block of a pool once: from a place given by the host's name to the end, then from the beginning. */
export function* candidateBlocks(pool: Pool, host: string): Generator<Prefix> {
  if (pool.blockSize < pool.cidr.length) return;
  const count = 1n << BigInt(pool.blockSize - pool.cidr.length);
  const size = 1n << BigInt(addressBits(pool.cidr.family) - pool.blockSize);
  const first = hashOfName(host) % count;
  for (let i = 0n; i < count; i++) {
    const address = addToAddress(networkAddress(pool.cidr), ((first + i) % count) * size);
    if (address !== undefined) yield prefixOf(address, pool.blockSize);
  }
}

/**
 * The first candidate that `isTaken` does not name, or undefined. It costs at most one step more than there are blocks taken,
 * however large the pool is.
 */
export function firstFreeBlock(
  pool: Pool,
  host: string,
  isTaken: (cidr: string, block: Prefix) => boolean,
): Prefix | undefined {
  for (const block of candidateBlocks(pool, host)) if (!isTaken(formatPrefix(block), block)) return block;
  return undefined;
}

// FNV-1a, 64 bits (public domain).
/** A number that depends on the name alone. */
export function hashOfName(name: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const octet of new TextEncoder().encode(name)) {
    hash = ((hash ^ BigInt(octet)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash;
}
