/** What the product admits into a store beside validity: fields that this version carries out, and pools that do not overlap. */
import { findPoolOverlaps, type IpPool } from '../model/ip-pool.ts';
import { checkSupport } from '../model/support.ts';
import type { Resource } from '../model/types.ts';
import type { Admission } from './codec.ts';

/** Reasons why a valid resource may not be in force beside the others; empty: it may. */
export const admitByModel: Admission = (resource, others) => [
  ...checkSupport(resource).refused.map(({ path, reason }) => `${path}: ${reason}`),
  ...(resource.kind === 'IPPool' ? overlapsOf(resource, others) : []),
];

function overlapsOf(pool: IpPool, others: Iterable<Resource>): readonly string[] {
  const reasons: string[] = [];
  for (const other of others) {
    if (other.kind !== 'IPPool' || findPoolOverlaps([other, pool]).length === 0) continue;
    reasons.push(
      `spec.cidr: ${pool.spec.cidr} overlaps IPPool ${other.metadata.name} (${other.spec.cidr}): give each pool addresses of its own`,
    );
  }
  return reasons;
}

/**
 * Admission in a store that other hosts share. What concerns another host alone (its endpoints, its node, its peers) is judged by that
 * host: here only its labels and addresses count, and fields that only its own agent carries out are no reason to leave it out.
 */
export function admitOnNode(node: string): Admission {
  return (resource, others) => (isOfAnotherHost(resource, node) ? [] : admitByModel(resource, others));
}

function isOfAnotherHost(resource: Resource, node: string): boolean {
  switch (resource.kind) {
    case 'Node':
      return resource.metadata.name !== node;
    case 'WorkloadEndpoint':
      return resource.spec.node !== undefined && resource.spec.node !== node;
    case 'BGPPeer':
      return resource.spec.node !== undefined && resource.spec.node !== node;
    case 'BGPConfiguration':
      return resource.metadata.name.startsWith('node.') && resource.metadata.name !== `node.${node}`;
    default:
      return false;
  }
}
