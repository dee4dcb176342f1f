/**
 * Which routes of ours that nobody wants may go, and when: leftovers of an earlier life from their sweep on, the others at once, unless the
 * brake on mass deletion has hold of them.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { DeletionBrake } from './deletion-brake.ts';
import { type FamilyRoutes, FLAG, NONE } from './family-routes.ts';
import type { TargetTable } from './targets.ts';
import type { BrakeEvent, BrakeView, SweepScope } from './types.ts';

/** What removals need of their route table. */
export interface RemovalDependencies {
  readonly families: Readonly<Record<Family, FamilyRoutes>>;
  readonly targets: TargetTable;
  /** milliseconds, monotonic */
  readonly clock: () => number;
  /** the brake took hold or let go */
  readonly onBrake: ((event: BrakeEvent) => void) | undefined;
}

/** Who may confirm that nearly all learned routes of a family are to go: returns why, or undefined when it knows nothing. */
export type RemovalConfirmer = (family: Family) => string | undefined;

/** Owner of what has been swept, and of the brakes. */
export class Removals {
  readonly #families: Readonly<Record<Family, FamilyRoutes>>;
  readonly #targets: TargetTable;
  readonly #clock: () => number;
  readonly #swept = { ipv4: { learned: false, local: false }, ipv6: { learned: false, local: false } };
  readonly #brakes: Readonly<Record<Family, DeletionBrake>>;
  #confirm: RemovalConfirmer | undefined;

  constructor({ families, targets, clock, onBrake }: RemovalDependencies) {
    this.#families = families;
    this.#targets = targets;
    this.#clock = clock;
    const brake = (family: Family): DeletionBrake =>
      new DeletionBrake(families[family], {
        countLearned: (routes) => this.#countLearned(routes),
        confirm: () => this.#confirm?.(family),
        report: (event) => onBrake?.(event),
      });
    this.#brakes = { ipv4: brake('ipv4'), ipv6: brake('ipv6') };
  }

  /** At most one; undefined: none. */
  confirmBy(confirm: RemovalConfirmer | undefined): void {
    this.#confirm = confirm;
  }

  /** Dooms leftovers of this scope that nobody wants, and from now on any that turn up. */
  sweep(family: Family, scope: SweepScope): void {
    this.#swept[family][scope] = true;
    const routes = this.#families[family];
    for (let id = 0; id < routes.table.idLimit; id++) {
      if (routes.table.has(id) && routes.desired(id) < 0) this.doomIfSwept(routes, id);
    }
  }

  /** Marks an undesired route in the kernel for deletion if its kind has been swept. */
  doomIfSwept(routes: FamilyRoutes, id: number): void {
    const kernel = routes.kernelAt(id);
    if (kernel === NONE && !routes.extras.has(id)) return;
    const swept = this.#swept[routes.family];
    const isUnwanted =
      kernel < 0
        ? swept.local && swept.learned
        : swept[this.#targets.get(kernel).isLocal ? 'local' : 'learned'];
    if (!isUnwanted) return;
    // Who uses none of its former routes may have forgotten them.
    routes.doom(id, kernel < 0 || this.#targets.get(kernel).isLocal);
    routes.markDirty(id);
  }

  /** Whether an undesired route may be deleted now. A suspect that may not comes back to the queue of work when its brake lets go. */
  mayDelete(routes: FamilyRoutes, id: number): boolean {
    if (!routes.has(id, FLAG.DOOMED)) return false;
    if (!routes.has(id, FLAG.SUSPECT)) return true;
    // It may just have become one.
    const brake = this.#brakes[routes.family];
    if (!brake.isHolding) brake.decide(this.#clock());
    return !brake.isHolding;
  }

  /** Lets a family's brake decide anew, before its suspects are looked at. */
  decide(family: Family): void {
    this.#brakes[family].decide(this.#clock());
  }

  /** When a family's brake wants to decide again, in the clock's milliseconds. */
  nextMs(family: Family): number | undefined {
    return this.#brakes[family].nextMs;
  }

  /** What the brakes hold. */
  held(): BrakeView[] {
    return FAMILIES.flatMap((family) => this.#brakes[family].view() ?? []);
  }

  /** Lets go what the brakes hold; whether they held anything. */
  release(why: string): boolean {
    return FAMILIES.filter((family) => this.#brakes[family].release(why)).length > 0;
  }

  #countLearned(routes: FamilyRoutes): number {
    let count = 0;
    for (let id = 0; id < routes.table.idLimit; id++) {
      const kernel = routes.kernelAt(id);
      if (kernel >= 0 && !this.#targets.get(kernel).isLocal) count++;
    }
    return count;
  }
}
