/** IPPool: the addresses that workloads get, cut into blocks. */
import { parseInterfaceAddress, parsePrefix, prefixesOverlap, prefixOf } from '../net/prefix.ts';
import type { ResourceOf } from './metadata-types.ts';
import { checkNotGlobal, network, selector } from './scalars.ts';
import {
  boolean,
  integer,
  list,
  object,
  oneOf,
  optional,
  type Problems,
  required,
  strictlyOneOf,
} from './schema.ts';

export type EncapsulationMode = 'Never' | 'Always' | 'CrossSubnet';
export type AllowedUse = 'Workload' | 'Tunnel' | 'LoadBalancer';

export interface IpPoolSpec {
  /** CIDR without host bits */
  readonly cidr: string;
  readonly vxlanMode?: EncapsulationMode;
  readonly ipipMode?: EncapsulationMode;
  readonly natOutgoing?: boolean;
  /** no new addresses are given out */
  readonly disabled?: boolean;
  readonly disableBGPExport?: boolean;
  /** prefix length of a block: 20..32 (default 26), 116..128 (default 122); 0 stands for the default */
  readonly blockSize?: number;
  readonly nodeSelector?: string;
  readonly namespaceSelector?: string;
  readonly allowedUses?: readonly AllowedUse[];
  readonly assignmentMode?: 'Automatic' | 'Manual';
}

export type IpPool = ResourceOf<'IPPool', IpPoolSpec>;

/** Block sizes (prefix lengths) by family. */
export const BLOCK_SIZES = {
  ipv4: { minimum: 20, maximum: 32, default: 26 },
  ipv6: { minimum: 116, maximum: 128, default: 122 },
} as const;

export const ipPoolSpec = object<IpPoolSpec>(
  {
    cidr: required(network()),
    vxlanMode: optional(oneOf('Never', 'Always', 'CrossSubnet')),
    ipipMode: optional(oneOf('Never', 'Always', 'CrossSubnet')),
    natOutgoing: optional(boolean()),
    disabled: optional(boolean()),
    disableBGPExport: optional(boolean()),
    blockSize: optional(integer(0, 128)),
    nodeSelector: optional(selector(checkNotGlobal)),
    namespaceSelector: optional(selector(checkNotGlobal)),
    allowedUses: optional(list(oneOf('Workload', 'Tunnel', 'LoadBalancer'), 10)),
    assignmentMode: optional(strictlyOneOf('Automatic', 'Manual')),
  },
  checkPool,
);

function checkPool(value: IpPoolSpec, path: string, problems: Problems): void {
  const cidr = parsePrefix(value.cidr);
  if (cidr === undefined) return;
  const sizes = BLOCK_SIZES[cidr.family];
  const blockSize = value.blockSize || sizes.default;
  if (blockSize < sizes.minimum || blockSize > sizes.maximum) {
    problems.add(
      `${path}.blockSize`,
      `${blockSize} is out of range: ${sizes.minimum} to ${sizes.maximum} for an ${cidr.family === 'ipv4' ? 'IPv4' : 'IPv6'} pool`,
    );
  } else if (cidr.length > blockSize && value.disabled !== true) {
    problems.add(
      `${path}.cidr`,
      `${value.cidr} is smaller than one block (/${blockSize}): make the pool larger or set blockSize to ${cidr.length} or more`,
    );
  }
  for (const linkLocal of ['169.254.0.0/16', 'fe80::/10']) {
    const range = parseInterfaceAddress(linkLocal);
    if (range !== undefined && prefixesOverlap(prefixOf(range.address, range.length), cidr)) {
      problems.add(`${path}.cidr`, `${value.cidr} overlaps the link-local range ${linkLocal}`);
    }
  }
  const ipip = (value.ipipMode ?? 'Never') !== 'Never';
  const vxlan = (value.vxlanMode ?? 'Never') !== 'Never';
  if (ipip && vxlan) problems.add(`${path}.ipipMode`, 'ipipMode and vxlanMode cannot both be enabled');
  if (ipip && cidr.family === 'ipv6') problems.add(`${path}.ipipMode`, 'IPIP is not supported on IPv6 pools');
  if (value.allowedUses?.includes('LoadBalancer')) {
    if (ipip || vxlan) problems.add(`${path}.allowedUses`, 'a LoadBalancer pool cannot use IPIP or VXLAN');
    if (value.allowedUses.some((use) => use !== 'LoadBalancer')) {
      problems.add(`${path}.allowedUses`, 'LoadBalancer cannot be combined with Workload or Tunnel');
    }
    if (value.disableBGPExport === true) {
      problems.add(`${path}.disableBGPExport`, 'a LoadBalancer pool cannot disable BGP export');
    }
    if ((value.nodeSelector ?? 'all()') !== 'all()') {
      problems.add(`${path}.nodeSelector`, 'a LoadBalancer pool must have nodeSelector all()');
    }
  }
  if (value.allowedUses?.includes('Tunnel') && value.namespaceSelector !== undefined) {
    problems.add(`${path}.namespaceSelector`, 'a pool for tunnels cannot have a namespaceSelector');
  }
}

/** On a pool that was cut out of another: that one's name. While the former is there, disabled, the two may share addresses. */
export const SPLIT_ANNOTATION = 'ocicat.dev/split-from';

function isPartOf(part: IpPool, whole: IpPool): boolean {
  return (
    whole.spec.disabled === true && part.metadata.annotations?.[SPLIT_ANNOTATION] === whole.metadata.name
  );
}

/** Two pools that share addresses. */
export interface PoolOverlap {
  readonly first: IpPool;
  readonly second: IpPool;
}

/** Every pair of pools with overlapping CIDRs, in the order given. A pool never overlaps another version of itself (same name). */
export function findPoolOverlaps(pools: readonly IpPool[]): readonly PoolOverlap[] {
  const overlaps: PoolOverlap[] = [];
  const parsed = pools.map((pool) => ({ pool, cidr: parsePrefix(pool.spec.cidr) }));
  for (const [index, second] of parsed.entries()) {
    for (const first of parsed.slice(0, index)) {
      if (first.cidr === undefined || second.cidr === undefined) continue;
      if (first.pool.metadata.name === second.pool.metadata.name) continue;
      if (isPartOf(first.pool, second.pool) || isPartOf(second.pool, first.pool)) continue;
      if (prefixesOverlap(first.cidr, second.cidr)) overlaps.push({ first: first.pool, second: second.pool });
    }
  }
  return overlaps;
}
