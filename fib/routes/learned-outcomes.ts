/**
 * What became of the learned routes: which prefixes the kernel has taken and which it refused, lost or cannot be given, so that whoever
 * advertises them to others can wait for the kernel (RFC 4271 9.1.3). A bit a prefix, and a list of those where it changed.
 *
 * Only what settles is told: a route that is about to be replaced, or that somebody deleted and that is about to be put right, stays taken
 * until the kernel says no.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { type FamilyRoutes, FLAG, NONE } from './family-routes.ts';

/** Who hears of it. It must not change routes. */
export interface OutcomeListener {
  /** learned routes whose outcome changed: prefix ids of `routes`, of which `isTaken` tells the present state. Valid until it returns */
  onOutcomes(routes: FamilyRoutes, ids: Int32Array, count: number): void;
  /** the work that was due has been done */
  onSettled(): void;
}

/** Owner of the outcomes of one route table. */
export class LearnedOutcomes {
  readonly #families: Readonly<Record<Family, FamilyRoutes>>;
  readonly #changed: Record<Family, Int32Array> = { ipv4: new Int32Array(64), ipv6: new Int32Array(64) };
  readonly #counts: Record<Family, number> = { ipv4: 0, ipv6: 0 };
  #listener: OutcomeListener | undefined;

  constructor(families: Readonly<Record<Family, FamilyRoutes>>) {
    this.#families = families;
  }

  /** At most one listener; undefined: none. */
  listen(listener: OutcomeListener | undefined): void {
    this.#listener = listener;
  }

  /** Whether nothing of a family waits to be written. */
  isSettled(family: Family): boolean {
    return this.#families[family].dirtyCount === 0;
  }

  /** A learned route is wanted that was not before: what the kernel has of ours at the prefix, from an earlier life too, counts. */
  begin(routes: FamilyRoutes, id: number): void {
    if (routes.kernelAt(id) >= 0) routes.set(id, FLAG.TAKEN);
    else routes.clear(id, FLAG.TAKEN);
  }

  /** The kernel has given its answer on a prefix, or will not be asked for now. */
  settle(routes: FamilyRoutes, id: number, taken: boolean): void {
    if (routes.has(id, FLAG.TAKEN) === taken) return;
    if (taken) routes.set(id, FLAG.TAKEN);
    else routes.clear(id, FLAG.TAKEN);
    if (this.#listener === undefined || (routes.bgp[id] ?? NONE) < 0) return;
    const { family } = routes;
    const count = this.#counts[family]++;
    if (count === this.#changed[family].length) {
      const grown = new Int32Array(2 * count);
      grown.set(this.#changed[family]);
      this.#changed[family] = grown;
    }
    this.#changed[family][count] = id;
  }

  /** Tells the listener. `isSettled`: no more is to be done at once. */
  deliver(isSettled: boolean): void {
    for (const family of FAMILIES) {
      const count = this.#counts[family];
      if (count === 0) continue;
      this.#counts[family] = 0;
      this.#listener?.onOutcomes(this.#families[family], this.#changed[family], count);
    }
    if (isSettled) this.#listener?.onSettled();
  }
}

/** Whether the kernel has taken what is wanted at a prefix, or has at least its predecessor. */
export function isTaken(routes: FamilyRoutes, id: number): boolean {
  return routes.has(id, FLAG.TAKEN);
}
