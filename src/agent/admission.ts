/** May a resource be in force beside the others? The same rules for `apply` and for files that people edit in the store. */
import { findPoolOverlaps } from '../model/ip-pool.ts';
import { checkSupport } from '../model/support.ts';
import type { Resource } from '../model/types.ts';

/** Reasons against; empty: it may. Pure. */
export function admit(resource: Resource, others: Iterable<Resource>): string[] {
  const reasons = checkSupport(resource).refused.map(({ path, reason }) =>
    path === '' ? reason : `${path}: ${reason}`,
  );
  if (resource.kind !== 'IPPool') return reasons;
  const pools = [...others].filter((other) => other.kind === 'IPPool');
  for (const { first, second } of findPoolOverlaps([...pools, resource])) {
    if (second !== resource) continue;
    reasons.push(
      `spec.cidr: ${resource.spec.cidr} overlaps ${first.spec.cidr} of IPPool ${first.metadata.name}`,
    );
  }
  return reasons;
}
