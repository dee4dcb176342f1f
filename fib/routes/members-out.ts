/**
 * Multipath routes of which some next hops carry nothing now, while the others do: a link is down, or a neighbour is known to be dead. Such a
 * route forwards, so it counts as installed; what is out is shown.
 */
import { holdsHop } from './hops.ts';
import type { RouteTable } from './route-table.ts';
import type { RouteNextHop } from './types.ts';

const NOTHING: readonly RouteNextHop[] = [];
const TARGET_BITS = 26;

/** Answers for one walk over routes: many share a target, so each pair is looked at once. */
export class MembersOut {
  readonly #table: RouteTable;
  readonly #known = new Map<number, readonly RouteNextHop[]>();
  #lastKey = -1;
  #last: readonly RouteNextHop[] = NOTHING;

  constructor(table: RouteTable) {
    this.#table = table;
  }

  /**
   * The next hops of the target `wanted` that carry nothing, where the kernel has the target `kernel` and forwards over the others of `wanted`.
   * Empty when all of them carry, and when none does.
   */
  of(wanted: number, kernel: number): readonly RouteNextHop[] {
    if (wanted < 0 || kernel < 0) return NOTHING;
    const key = wanted * 2 ** TARGET_BITS + kernel;
    if (key === this.#lastKey) return this.#last;
    let out = this.#known.get(key);
    if (out === undefined) {
      out = this.#find(wanted, kernel);
      this.#known.set(key, out);
    }
    this.#lastKey = key;
    this.#last = out;
    return out;
  }

  #find(wanted: number, kernel: number): readonly RouteNextHop[] {
    const desired = this.#table.targets.get(wanted).target.nextHops;
    if (desired.length < 2) return NOTHING;
    const standing = this.#table.targetInKernel(kernel).nextHops;
    if (standing.some((hop) => !holdsHop(desired, hop))) return NOTHING;
    const out = desired.filter((hop) => !isUsable(this.#table, hop) || !holdsHop(standing, hop));
    return out.length === desired.length ? NOTHING : out;
  }
}

/** Next hops of a target whose interface is down, without carrier or gone: what a route waits for. */
export function lacking(table: RouteTable, wanted: number): readonly RouteNextHop[] {
  if (wanted < 0) return NOTHING;
  return table.targets.get(wanted).target.nextHops.filter((hop) => !isUsable(table, hop));
}

function isUsable(table: RouteTable, { ifindex }: RouteNextHop): boolean {
  const link = table.kernel.links.get(ifindex);
  return link?.isUp === true && link.hasCarrier;
}
