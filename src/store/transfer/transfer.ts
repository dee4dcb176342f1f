/** Bringing entries into a place: first a plan that names everything which stands against it, then all of it or nothing. */
import { findPoolOverlaps, type IpPool } from '../../model/ip-pool.ts';
import { CLUSTER_INFORMATION_KEY } from '../etcd/keys.ts';
import { type Entry, groupOf, meaningOf, sameContent } from './entry.ts';
import type { Place, Write } from './places.ts';

/** What a person allows. */
export interface TransferOptions {
  /** replace what is there and differs */
  readonly overwrite: boolean;
  /** go on without what the target cannot hold */
  readonly leaveOut: boolean;
}

/** How many entries of a group are new, differ, stand there already, or are left out. */
export interface GroupCount {
  readonly group: string;
  created: number;
  replaced: number;
  unchanged: number;
  leftOut: number;
}

/** What would be done. */
export interface Plan {
  readonly writes: readonly Write[];
  readonly groups: readonly GroupCount[];
  /** empty: it can be done */
  readonly obstacles: readonly string[];
  /** one sentence for each entry that is left out */
  readonly leftOut: readonly string[];
}

/** Compares entries with what a place holds. Pure but for what the place says of single entries. */
export function planTransfer(
  entries: readonly Entry[],
  present: readonly Entry[],
  place: Pick<Place, 'name' | 'reasonsAgainst'>,
  options: TransferOptions,
): Plan {
  const there = new Map(present.map((entry) => [entry.key, entry]));
  const groups = new Map<string, GroupCount>();
  const writes: Write[] = [];
  const obstacles: string[] = [];
  const leftOut: string[] = [];
  for (const entry of entries) {
    // Each place keeps its own: identity and lock are not moved.
    if (entry.key === CLUSTER_INFORMATION_KEY) continue;
    const group = groupOf(entry.key);
    const count = groups.get(group) ?? { group, created: 0, replaced: 0, unchanged: 0, leftOut: 0 };
    groups.set(group, count);
    const former = there.get(entry.key);
    if (former !== undefined && sameContent(entry, former)) {
      count.unchanged++;
      continue;
    }
    const reasons = place.reasonsAgainst(entry);
    if (reasons.length > 0) {
      const sentence = `${entry.key}: ${reasons.join('; ')}`;
      if (options.leaveOut) {
        count.leftOut++;
        leftOut.push(sentence);
      } else {
        obstacles.push(`${sentence} (--leave-out goes on without it)`);
      }
    } else if (former === undefined) {
      count.created++;
      writes.push({ entry, replaces: undefined });
    } else if (options.overwrite) {
      count.replaced++;
      writes.push({ entry, replaces: former });
    } else {
      obstacles.push(
        `${entry.key} stands in ${place.name} already, with another content (--overwrite replaces it)`,
      );
    }
  }
  obstacles.push(...overlaps(writes, present));
  return { writes, groups: [...groups.values()], obstacles, leftOut };
}

/** Carries a plan out under the lock of the target. Rejects with `TransferFailed`, or before anything was written. */
export async function carryOut(plan: Plan, target: Place): Promise<void> {
  const unlock = await target.lock();
  try {
    await target.write(plan.writes);
  } finally {
    await unlock();
  }
}

function overlaps(writes: readonly Write[], present: readonly Entry[]): string[] {
  const pools = new Map<string, IpPool>();
  for (const entry of [...present, ...writes.map((write) => write.entry)]) {
    if (groupOf(entry.key) !== 'ippools') continue;
    const meaning = meaningOf(entry);
    if (meaning.type === 'resource' && meaning.resource.kind === 'IPPool')
      pools.set(entry.key, meaning.resource);
  }
  return findPoolOverlaps([...pools.values()]).map(
    ({ first, second }) =>
      `IPPool ${first.metadata.name} (${first.spec.cidr}) and ${second.metadata.name} (${second.spec.cidr}) would overlap`,
  );
}
