/**
 * The desired routes of one kernel table: who wants what, and when there is work to make the kernel agree. `RouteWriter` writes, `KernelFollower`
 * hears what the kernel announces, `RouteBackOff` and `Removals` hold back what must wait. No route of another protocol is written over.
 *
 * Key of a route in the kernel is (prefix, metric). Where a foreign route has ours, ours is not installed (`blocked`) until it is gone;
 * with another metric both stand and the lower metric forwards. Both show in `conflicts`.
 */
import { type Address, FAMILIES, type Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import type { PrefixTable } from '../../src/net/prefix-table.ts';
import { RouteBackOff } from './back-off.ts';
import { BatchSize } from './batch-size.ts';
import { FamilyRoutes, FLAG, NONE } from './family-routes.ts';
import { KernelFollower } from './kernel-follower.ts';
import type { KernelWatch } from './kernel-watch.ts';
import { isTaken, LearnedOutcomes } from './learned-outcomes.ts';
import { NextHopObjects } from './next-hop-objects.ts';
import { type RemovalConfirmer, Removals } from './removals.ts';
import { RouteWriter } from './route-writer.ts';
import { TargetForms } from './target-forms.ts';
import { TargetTable } from './targets.ts';
import {
  type ApplyResult,
  type BrakeEvent,
  type BrakeView,
  DEFAULT_METRIC,
  type RouteSource,
  type RouteTarget,
  type SweepScope,
} from './types.ts';

/** How long a neighbour that failed stays out of groups whatever is wanted. */
const SUSPENSION_MS = 2000;

/** Options of a `RouteTable`. */
export interface RouteTableOptions {
  /** routes with gateways point to next-hop objects where the kernel has them; default true */
  readonly nextHopObjects?: boolean | undefined;
  /** metric of routes whose target names none, default 1024 */
  readonly metric?: number | undefined;
  /** source of this host's own packets over learned routes, for who makes those */
  readonly preferredSource?: Readonly<Partial<Record<Family, Address>>> | undefined;
  /** called when there is something for `apply` to do after there was nothing: schedule it */
  readonly onWork?: (() => void) | undefined;
  /**
   * Called when somebody else changed or deleted a route of ours, at most 20 times a second and family; `apply` will put it right, with
   * back-off if that goes on.
   */
  readonly onInterference?: ((prefix: Prefix) => void) | undefined;
  /** called when the brake on mass deletion takes hold or lets go */
  readonly onBrake?: ((event: BrakeEvent) => void) | undefined;
  /** milliseconds, monotonic; default performance.now */
  readonly clock?: (() => number) | undefined;
}

/** prefixes that there is room for at first */
const FIRST_CAPACITY = 1024;

/** Desired routes against one kernel table, both families. The table number and the protocol are those of the `KernelWatch`. */
export class RouteTable {
  readonly kernel: KernelWatch;
  readonly targets: TargetTable;
  readonly families: Readonly<Record<Family, FamilyRoutes>>;
  /** which learned routes the kernel took */
  readonly outcomes: LearnedOutcomes;
  readonly #options: RouteTableOptions;
  readonly #clock: () => number;
  readonly #objects: NextHopObjects | undefined;
  readonly #forms: TargetForms;
  readonly #removals: Removals;
  readonly #backOff: RouteBackOff;
  readonly #writer: RouteWriter;
  readonly #batchSize = new BatchSize();
  readonly #follower: KernelFollower;
  /** work has been announced and is not done yet */
  #hadWork = false;
  readonly #stopListening: () => void;

  /** Create it before `kernel.start()`, so that it sees the routes that are there. */
  constructor(kernel: KernelWatch, options: RouteTableOptions = {}) {
    this.kernel = kernel;
    this.families = {
      ipv4: new FamilyRoutes('ipv4', FIRST_CAPACITY, kernel.core),
      ipv6: new FamilyRoutes('ipv6', FIRST_CAPACITY, kernel.core),
    };
    this.outcomes = new LearnedOutcomes(this.families);
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.targets = new TargetTable({
      table: kernel.table,
      protocol: kernel.protocol,
      metric: options.metric ?? DEFAULT_METRIC,
    });
    this.#objects =
      options.nextHopObjects === false
        ? undefined
        : new NextHopObjects(kernel, (gone, changed) => {
            this.#forms.forgetObjects(new Set([...gone, ...changed]));
            this.#forms.noteUnused();
            this.#follower.objectsLost(gone, changed);
          });
    const { targets, families, outcomes } = this;
    const forms = new TargetForms(targets, this.#objects, kernel.links);
    const removals = new Removals({ families, targets, clock: this.#clock, onBrake: options.onBrake });
    const backOff = new RouteBackOff(families, this.#clock, options.onInterference);
    this.#forms = forms;
    this.#removals = removals;
    this.#backOff = backOff;
    this.#writer = new RouteWriter({ kernel, targets, forms, outcomes, removals, backOff });
    this.#follower = new KernelFollower({
      kernel,
      targets,
      families,
      isWanted: (routes, id, target) => this.isWanted(routes, id, target),
      doomIfSwept: (routes, id) => removals.doomIfSwept(routes, id),
      repair: (routes, id, isInterference) => this.#repair(routes, id, isInterference),
      announceWork: () => this.#announceWork(),
      sourceLost: (address) => forms.forgetSource(address),
    });
    this.#stopListening = kernel.listen(this.#follower);
  }

  /** Source of this host's own packets over learned routes of a family, if one is set. */
  preferredSource(family: Family): Address | undefined {
    return this.#options.preferredSource?.[family];
  }

  /** How often somebody else deleted or changed a route of ours since the start. */
  get interferences(): number {
    return this.#backOff.interferences;
  }

  /** The kernel's words about refusals, by the index that `FamilyRoutes.text` holds. */
  get texts(): readonly string[] {
    return this.#backOff.texts;
  }

  /** Stops following the kernel; what is in the kernel stays. */
  close(): void {
    this.#stopListening();
    this.#objects?.close();
  }

  /** Whether a target in the kernel is what is wanted at a prefix, in the form in which it stands there. */
  isWanted(routes: FamilyRoutes, id: number, kernel: number): boolean {
    const wanted = routes.desired(id);
    return wanted >= 0 && kernel >= 0 && this.#forms.peek(wanted) === kernel;
  }

  /** What a target in the kernel does, with the next hops of the object that it may go by. */
  targetInKernel(kernel: number): RouteTarget {
    const { target, nextHopId } = this.targets.get(kernel);
    const nextHops = nextHopId === 0 ? undefined : this.#objects?.hopsOf(nextHopId);
    return nextHops === undefined ? target : { ...target, nextHops };
  }

  /**
   * A neighbour is known to be dead although its link is up: routes over it and others go over the others at once, by one message to the kernel.
   * For `SUSPENSION_MS` it stays out of them, by when new wishes are expected. Routes over it alone are left as they are. An IPv6 link-local
   * address is meant on `ifindex` alone.
   */
  failNextHop(gateway: Address, ifindex?: number): void {
    this.kernel.drain();
    this.#objects?.fail(gateway.bytes, ifindex, this.#clock() + SUSPENSION_MS);
    this.#changed();
  }

  /** What the brake on mass deletion holds. */
  held(): BrakeView[] {
    return this.#removals.held();
  }

  /** Lets go what the brake on mass deletion holds; whether it held anything. `why` is for the log. */
  releaseHeld(why: string): boolean {
    const held = this.#removals.release(why);
    this.#changed();
    return held;
  }

  /** Who may confirm that nearly all learned routes of a family are to go: returns why, or undefined when it knows nothing. */
  confirmRemovalBy(confirm: RemovalConfirmer | undefined): void {
    this.#removals.confirmBy(confirm);
  }

  /** Lets the next write of a prefix replace the foreign route that blocks it. Does nothing for a prefix that nobody wants. */
  seize(prefix: Prefix): void {
    const routes = this.families[prefix.family];
    const id = routes.table.findPrefix(prefix);
    if (id < 0 || routes.desired(id) < 0) return;
    this.#writer.seize(prefix.family, id);
    routes.markDirty(id);
    this.#changed();
  }

  /** Sets what `source` wants for a prefix. Throws a RangeError for an impossible target. */
  setRoute(prefix: Prefix, source: RouteSource, target: RouteTarget): void {
    const routes = this.families[prefix.family];
    const targetId = this.targets.intern(target);
    routes.setDesired(routes.table.internPrefix(prefix), source, targetId);
    this.#changed();
  }

  /** Takes back what `source` wants for a prefix. Does nothing if it wants nothing. */
  removeRoute(prefix: Prefix, source: RouteSource): void {
    const routes = this.families[prefix.family];
    const id = routes.table.findPrefix(prefix);
    if (id < 0) return;
    routes.setDesired(id, source, NONE);
    routes.release(id);
    this.#changed();
  }

  /**
   * Hot path of learned routes: the prefix is an id of another table of the same family, the target one of `targets.pin`.
   * Allocates nothing. Returns whether the kernel has a route of ours there and has not refused this one.
   */
  setLearned(from: PrefixTable, prefixId: number, targetId: number): boolean {
    const routes = this.families[from.family];
    const isIpv4 = from.family === 'ipv4';
    const id = routes.table.intern(
      from.lengthOf(prefixId),
      from.wordOf(prefixId, 0),
      isIpv4 ? 0 : from.wordOf(prefixId, 1),
      isIpv4 ? 0 : from.wordOf(prefixId, 2),
      isIpv4 ? 0 : from.wordOf(prefixId, 3),
    );
    if ((routes.bgp[id] ?? NONE) < 0) this.outcomes.begin(routes, id);
    routes.setDesired(id, 'bgp', targetId);
    this.#changed();
    return isTaken(routes, id);
  }

  /**
   * Hot path: takes a learned route back. Does nothing if there is none. `isExplained`: it was withdrawn, its session ended, its next hop is
   * gone; what is removed otherwise may be held by the brake on mass deletion.
   */
  removeLearned(from: PrefixTable, prefixId: number, isExplained = true): void {
    const routes = this.families[from.family];
    const isIpv4 = from.family === 'ipv4';
    const id = routes.table.find(
      from.lengthOf(prefixId),
      from.wordOf(prefixId, 0),
      isIpv4 ? 0 : from.wordOf(prefixId, 1),
      isIpv4 ? 0 : from.wordOf(prefixId, 2),
      isIpv4 ? 0 : from.wordOf(prefixId, 3),
    );
    if (id < 0) return;
    routes.setDesired(id, 'bgp', NONE, isExplained);
    routes.release(id);
    this.#changed();
  }

  /**
   * Leftovers of an earlier life of this scope that nobody has asked for by now are not wanted: marks them for deletion, and from now
   * on any that turn up. `local` are routes without a gateway (endpoints, blocks), `learned` the others.
   */
  sweep(family: Family, scope: SweepScope): void {
    this.#removals.sweep(family, scope);
    this.#changed();
  }

  /**
   * Works off what needs writing in batches, for about `budgetMs`; one batch is done at least. Does nothing while the kernel's state is
   * being read: `onWork` tells when that is over. Throws a NetlinkError if the kernel cannot be spoken to.
   */
  apply(budgetMs: number): ApplyResult {
    const end = this.#clock() + budgetMs;
    this.#forms.forgetRefusals();
    if (this.#objects?.lift(this.#clock()) === true) this.#retryWaiting();
    let written = 0;
    let failed = 0;
    let more = true;
    while (more) {
      this.kernel.drain();
      if (!this.kernel.isCurrent) return this.#result(false, written, failed);
      more = false;
      for (const family of FAMILIES) {
        const routes = this.families[family];
        this.#removals.decide(family);
        this.#backOff.resume(family);
        if (routes.dirtyCount === 0) continue;
        const before = this.#clock();
        const result = this.#writer.writeBatch(routes, this.#batchSize.messages);
        this.#batchSize.took(this.#clock() - before, result.sent);
        written += result.written;
        failed += result.failed;
        if (routes.dirtyCount > 0) more = true;
      }
      if (this.#clock() >= end) break;
    }
    const hasCollected = this.targets.collect((mark) => {
      for (const family of FAMILIES) this.families[family].forEachTarget(mark);
    });
    if (hasCollected) this.#forms.forgetCollected();
    if (!more) this.#forms.sweepObjects(this.families);
    return this.#result(more, written, failed);
  }

  #result(more: boolean, written: number, failed: number): ApplyResult {
    this.#hadWork = more;
    this.outcomes.deliver(!more);
    const due = [
      this.#objects?.nextLiftMs,
      ...FAMILIES.flatMap((family) => [this.#backOff.nextMs(family), this.#removals.nextMs(family)]),
    ].filter((at) => at !== undefined);
    return due.length === 0
      ? { more, written, failed }
      : { more, written, failed, retryAtMs: Math.min(...due) };
  }

  /** Work on a prefix because of what the kernel announced: at once, or later if somebody keeps undoing it. */
  #repair(routes: FamilyRoutes, id: number, isInterference: boolean): void {
    if (isInterference && this.#backOff.holds(routes, id))
      this.outcomes.settle(routes, id, routes.kernelAt(id) >= 0 && isTaken(routes, id));
    else routes.markDirty(id);
  }

  /** A next hop that was kept out may be used again. */
  #retryWaiting(): void {
    for (const family of FAMILIES) {
      const routes = this.families[family];
      for (let id = 0; id < routes.table.idLimit; id++)
        if (routes.has(id, FLAG.WAITING)) routes.markDirty(id);
    }
  }

  #changed(): void {
    if (!this.#hadWork) this.#announceWork();
  }

  #announceWork(): void {
    if (this.#hadWork) return;
    const isIdle = FAMILIES.every((family) => this.families[family].dirtyCount === 0);
    // Of a prefix that is held the owner must learn when it is due.
    if (!this.#backOff.takeNewHold() && isIdle) return;
    this.#hadWork = true;
    this.#options.onWork?.();
  }
}
