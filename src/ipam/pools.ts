/** Which pools a request may take addresses from. Pure. */
import { BLOCK_SIZES, type IpPool } from '../model/ip-pool.ts';
import type { IpReservation } from '../model/ip-reservation.ts';
import { type Address, FAMILIES, type Family, formatAddress } from '../net/address.ts';
import {
  formatPrefix,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixContainsAddress,
} from '../net/prefix.ts';
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
  /** empty: every namespace */
  readonly namespaceSelector: string;
  readonly allowedUses: readonly string[];
  readonly assignmentMode: 'Automatic' | 'Manual';
}

/** Whether a nodeSelector selects this host's node. Called with non-empty selectors only. */
export type SelectsNode = (nodeSelector: string) => boolean;

/** Whether a namespaceSelector selects a namespace. Called with non-empty selectors only. */
export type SelectsNamespace = (namespaceSelector: string, namespace: string) => boolean;

/** What an address is for. */
export type PoolUse = 'Workload' | 'Tunnel';

/** What pools are chosen for. */
export interface PoolDemand {
  readonly selectsNode: SelectsNode;
  readonly selectsNamespace: SelectsNamespace;
  readonly use: PoolUse;
  /** of the workload; without one, pools confined to namespaces do not serve */
  readonly namespace?: string | undefined;
  /**
   * Names or CIDRs, in the order in which they are to be tried: these pools alone, whatever their selectors and assignmentMode say (as in
   * Calico). Default: every pool that may serve, by name.
   */
  readonly requested?: readonly string[] | undefined;
}

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
    namespaceSelector: spec.namespaceSelector ?? '',
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

/** A test for prefixes that lie within one of the prefixes as a whole. */
export function blockReservedBy(prefixes: readonly Prefix[]): (block: Prefix) => boolean {
  return (block) => prefixes.some((prefix) => prefixContains(prefix, block));
}

/** The pool that holds an address, or undefined. Pools do not overlap, but for one that is being split, which is disabled. */
export function poolHolding(pools: readonly Pool[], address: Address): Pool | undefined {
  const holding = pools.filter(({ cidr }) => prefixContainsAddress(cidr, address));
  return holding.find(({ isDisabled }) => !isDisabled) ?? holding[0];
}

/** The families of requested pools (names or CIDRs); of those that do not exist nothing can be said. */
export function familiesOfPools(pools: readonly Pool[], requested: readonly string[]): readonly Family[] {
  return FAMILIES.filter((family) =>
    requested.some((name) => poolNamed(pools, name)?.cidr.family === family),
  );
}

/** Chooses the pools of a family for automatic assignment. A requested pool that is unknown or of the other family is rejected too. */
export function choosePools(pools: readonly Pool[], family: Family, demand: PoolDemand): PoolChoice {
  const eligible: Pool[] = [];
  const rejected: PoolRejection[] = [];
  const consider = (pool: Pool, reason: string | undefined): void => {
    if (reason === undefined) eligible.push(pool);
    else rejected.push({ pool: pool.name, reason });
  };
  if (demand.requested === undefined) {
    const ordered = pools
      .filter(({ cidr }) => cidr.family === family)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const pool of ordered) {
      const reason =
        reasonAgainst(pool, demand.use) ??
        reasonAgainstSelectors(pool, demand) ??
        reasonAgainstAutomatic(pool);
      consider(pool, reason ?? reasonAgainstSize(pool));
    }
    return { eligible, rejected };
  }
  for (const name of demand.requested) {
    const pool = poolNamed(pools, name);
    if (pool === undefined) rejected.push({ pool: name, reason: 'it does not exist' });
    else if (pool.cidr.family !== family)
      rejected.push({ pool: name, reason: `it is not an ${familyName(family)} pool` });
    else consider(pool, reasonAgainst(pool, demand.use) ?? reasonAgainstSize(pool));
  }
  return { eligible, rejected };
}

/** Whether blocks of the pool may belong to this node: it is enabled and selects the node. */
export function mayHaveBlocks(pool: Pool, selectsNode: SelectsNode): boolean {
  return !pool.isDisabled && (pool.nodeSelector === '' || selectsNode(pool.nodeSelector));
}

/** Why a workload on this node cannot have this very address; undefined: it may, as far as pools are concerned. */
export function reasonAgainstAddress(
  pools: readonly Pool[],
  address: Address,
  selectsNode: SelectsNode,
  use: PoolUse = 'Workload',
): string | undefined {
  const pool = poolHolding(pools, address);
  if (pool === undefined) {
    const known = pools
      .filter(({ cidr }) => cidr.family === address.family)
      .map(({ cidr }) => formatPrefix(cidr));
    return `${formatAddress(address)} is in no IPPool (${known.length === 0 ? `there is no ${familyName(address.family)} pool` : known.join(', ')})`;
  }
  const reason = reasonAgainst(pool, use) ?? reasonAgainstNode(pool, selectsNode);
  return reason && `${formatAddress(address)} is in IPPool ${pool.name}, which cannot be used: ${reason}`;
}

/** `IPv4` or `IPv6`. */
export function familyName(family: Family): string {
  return family === 'ipv4' ? 'IPv4' : 'IPv6';
}

function poolNamed(pools: readonly Pool[], text: string): Pool | undefined {
  return pools.find(({ name }) => name === text) ?? pools.find(({ cidr }) => formatPrefix(cidr) === text);
}

function reasonAgainst(pool: Pool, use: PoolUse): string | undefined {
  if (pool.isDisabled) return 'it is disabled';
  if (!pool.allowedUses.includes(use))
    return `its allowedUses (${pool.allowedUses.join(', ')}) leave out ${use}`;
  return undefined;
}

function reasonAgainstNode({ nodeSelector }: Pool, selectsNode: SelectsNode): string | undefined {
  if (nodeSelector === '' || selectsNode(nodeSelector)) return undefined;
  return `its nodeSelector '${nodeSelector}' does not select this node`;
}

function reasonAgainstSelectors(pool: Pool, demand: PoolDemand): string | undefined {
  const ofNode = reasonAgainstNode(pool, demand.selectsNode);
  if (ofNode !== undefined) return ofNode;
  const { namespaceSelector } = pool;
  if (namespaceSelector === '' || namespaceSelector === 'all()') return undefined;
  const { namespace } = demand;
  if (namespace !== undefined && demand.selectsNamespace(namespaceSelector, namespace)) return undefined;
  const which =
    namespace === undefined ? 'no namespace is given' : `it does not select namespace ${namespace}`;
  return `its namespaceSelector '${namespaceSelector}': ${which}`;
}

function reasonAgainstAutomatic(pool: Pool): string | undefined {
  if (pool.assignmentMode === 'Manual')
    return 'its assignmentMode is Manual: only requests that name the pool or an address of it are served';
  return undefined;
}

function reasonAgainstSize(pool: Pool): string | undefined {
  return pool.blockSize < pool.cidr.length ? 'it is smaller than one block' : undefined;
}
