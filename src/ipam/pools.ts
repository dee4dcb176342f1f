/** Which pools a request may take addresses from. Pure. */
import { BLOCK_SIZES, type IpPool } from '../model/ip-pool.ts';
import type { IpReservation } from '../model/ip-reservation.ts';
import { type Address, type Family, formatAddress } from '../net/address.ts';
import { formatPrefix, type Prefix, parsePrefix, prefixContainsAddress } from '../net/prefix.ts';
import type { IsReserved } from './block.ts';

/** What IPAM needs to know of an IPPool, defaults filled in. */
export interface Pool {
  readonly name: string;
  readonly cidr: Prefix;
  /** prefix length of a block */
  readonly blockSize: number;
  readonly isDisabled: boolean;
  /** empty: every node */
  readonly nodeSelector: string;
  readonly allowedUses: readonly string[];
  readonly assignmentMode: 'Automatic' | 'Manual';
}

/** Whether a nodeSelector selects this host's node. Called with non-empty selectors only. */
export type SelectsNode = (nodeSelector: string) => boolean;

/** A pool that cannot serve, and why. */
export interface PoolRejection {
  readonly pool: string;
  readonly reason: string;
}

/** Pools that can serve, in the order in which they are to be tried, and the others. */
export interface PoolChoice {
  readonly eligible: readonly Pool[];
  readonly rejected: readonly PoolRejection[];
}

/** The pool of a resource; undefined when its CIDR is malformed, which validation excludes. */
export function poolOfResource(resource: IpPool): Pool | undefined {
  const { spec, metadata } = resource;
  const cidr = parsePrefix(spec.cidr);
  if (cidr === undefined) return undefined;
  return {
    name: metadata.name,
    cidr,
    blockSize: spec.blockSize || BLOCK_SIZES[cidr.family].default,
    isDisabled: spec.disabled ?? false,
    nodeSelector: spec.nodeSelector ?? '',
    allowedUses: spec.allowedUses ?? ['Workload', 'Tunnel'],
    assignmentMode: spec.assignmentMode ?? 'Automatic',
  };
}

/** The prefixes that reservations keep back. */
export function reservedPrefixes(reservations: Iterable<IpReservation>): readonly Prefix[] {
  const found: Prefix[] = [];
  for (const { spec } of reservations) {
    for (const text of spec.reservedCIDRs ?? []) {
      const prefix = parsePrefix(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
      if (prefix !== undefined) found.push(prefix);
    }
  }
  return found;
}

/** A test for addresses within any of the prefixes. */
export function reservedBy(prefixes: readonly Prefix[]): IsReserved {
  return (address) => prefixes.some((prefix) => prefixContainsAddress(prefix, address));
}

/** The pool that holds an address, or undefined. Pools do not overlap. */
export function poolHolding(pools: readonly Pool[], address: Address): Pool | undefined {
  return pools.find(({ cidr }) => prefixContainsAddress(cidr, address));
}

/**
 * Chooses pools for automatic assignment to workloads: the requested ones in their order, else every pool by name. A requested pool that
 * is unknown or of the other family is rejected too.
 */
export function choosePools(
  pools: readonly Pool[],
  family: Family,
  selectsNode: SelectsNode,
  requested?: readonly string[],
): PoolChoice {
  const eligible: Pool[] = [];
  const rejected: PoolRejection[] = [];
  const consider = (pool: Pool): void => {
    const reason = reasonAgainst(pool, selectsNode) ?? reasonAgainstAutomatic(pool);
    if (reason === undefined) eligible.push(pool);
    else rejected.push({ pool: pool.name, reason });
  };
  if (requested === undefined) {
    const ordered = pools
      .filter(({ cidr }) => cidr.family === family)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const pool of ordered) consider(pool);
    return { eligible, rejected };
  }
  for (const name of requested) {
    const pool = pools.find((each) => each.name === name);
    if (pool === undefined) rejected.push({ pool: name, reason: 'it does not exist' });
    else if (pool.cidr.family !== family)
      rejected.push({ pool: name, reason: `it is not an ${familyName(family)} pool` });
    else consider(pool);
  }
  return { eligible, rejected };
}

/** Why a workload on this node cannot have this very address; undefined: it may, as far as pools are concerned. */
export function reasonAgainstAddress(
  pools: readonly Pool[],
  address: Address,
  selectsNode: SelectsNode,
): string | undefined {
  const pool = poolHolding(pools, address);
  if (pool === undefined) {
    const known = pools
      .filter(({ cidr }) => cidr.family === address.family)
      .map(({ cidr }) => formatPrefix(cidr));
    return `${formatAddress(address)} is in no IPPool (${known.length === 0 ? `there is no ${familyName(address.family)} pool` : known.join(', ')})`;
  }
  const reason = reasonAgainst(pool, selectsNode);
  return reason && `${formatAddress(address)} is in IPPool ${pool.name}, which cannot be used: ${reason}`;
}

/** `IPv4` or `IPv6`. */
export function familyName(family: Family): string {
  return family === 'ipv4' ? 'IPv4' : 'IPv6';
}

function reasonAgainst(pool: Pool, selectsNode: SelectsNode): string | undefined {
  if (pool.isDisabled) return 'it is disabled';
  if (!pool.allowedUses.includes('Workload'))
    return `its allowedUses (${pool.allowedUses.join(', ')}) leave out Workload`;
  if (pool.nodeSelector !== '' && !selectsNode(pool.nodeSelector)) {
    return `its nodeSelector '${pool.nodeSelector}' does not select this node`;
  }
  return undefined;
}

function reasonAgainstAutomatic(pool: Pool): string | undefined {
  if (pool.assignmentMode === 'Manual')
    return 'its assignmentMode is Manual: only addresses asked for by value come from it';
  if (pool.blockSize < pool.cidr.length) return 'it is smaller than one block';
  return undefined;
}
