/**
 * The desired routes of one kernel table and the work of making the kernel agree: plan, write in batches, verify by what the kernel
 * answers and announces, adopt, sweep. It never writes over a route of another protocol.
 *
 * Key of a route in the kernel is (prefix, metric). Where a foreign route has ours, ours is not installed (`blocked`) until it is gone;
 * with another metric both stand and the lower metric forwards. Both show in `conflicts`.
 */
import { type Address, FAMILIES, type Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import type { PrefixTable } from '../../src/net/prefix-table.ts';
import type { Verdict } from '../netlink/error-message.ts';
import type { BatchResult } from '../netlink/socket.ts';
import { DeletionBrake } from './deletion-brake.ts';
import { FamilyRoutes, FLAG, NONE, UNKNOWN } from './family-routes.ts';
import { InterferenceGuard } from './interference.ts';
import { KernelFollower } from './kernel-follower.ts';
import type { KernelWatch } from './kernel-watch.ts';
import { isTaken, LearnedOutcomes } from './learned-outcomes.ts';
import { NextHopObjects } from './next-hop-objects.ts';
import { RetryQueue } from './retry-queue.ts';
import { BATCH_MESSAGES, OP, RouteBatch } from './route-batch.ts';
import { NO_FORM, NOT_NOW, REFUSED, TargetForms } from './target-forms.ts';
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

const EEXIST = 17;
const ESRCH = 3;
const ENOENT = 2;
const EINVAL = 22;
const MAX_TEXTS = 1000;
/** How long a neighbour that failed stays out of groups whatever is wanted. */
const SUSPENSION_MS = 2000;
const NO_EXTRAS: readonly number[] = [];

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

/** Desired routes against one kernel table, both families. The table number and the protocol are those of the `KernelWatch`. */
export class RouteTable {
  readonly kernel: KernelWatch;
  readonly targets: TargetTable;
  readonly families: Readonly<Record<Family, FamilyRoutes>> = {
    ipv4: new FamilyRoutes('ipv4'),
    ipv6: new FamilyRoutes('ipv6'),
  };
  /** which learned routes the kernel took */
  readonly outcomes = new LearnedOutcomes(this.families);
  /** the kernel's words about refusals, by the index that `FamilyRoutes.text` holds */
  readonly texts: string[] = [''];
  readonly #options: RouteTableOptions;
  readonly #clock: () => number;
  readonly #retries: Readonly<Record<Family, RetryQueue>> = {
    ipv4: new RetryQueue(),
    ipv6: new RetryQueue(),
  };
  readonly #swept = { ipv4: { learned: false, local: false }, ipv6: { learned: false, local: false } };
  readonly #guards: Readonly<Record<Family, InterferenceGuard>>;
  readonly #brakes: Readonly<Record<Family, DeletionBrake>>;
  #confirmRemoval: ((family: Family) => string | undefined) | undefined;
  /** prefix ids whose foreign route may be replaced, once */
  readonly #seized: Readonly<Record<Family, Set<number>>> = { ipv4: new Set(), ipv6: new Set() };
  #seizesNow = false;
  /** since the last batch: routes whose next-hop object the kernel refuses */
  #refusedPlans = 0;
  readonly #batch = new RouteBatch();
  #hadWork = false;
  /** a retry was queued outside `apply`: the owner must learn when it is due */
  #hasNewRetry = false;
  readonly #objects: NextHopObjects | undefined;
  readonly #forms: TargetForms;
  readonly #follower: KernelFollower;
  #hasUnusedObjects = false;
  #hasDoubts = false;
  readonly #stopListening: () => void;

  /** Create it before `kernel.start()`, so that it sees the routes that are there. */
  constructor(kernel: KernelWatch, options: RouteTableOptions = {}) {
    this.kernel = kernel;
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.targets = new TargetTable({
      table: kernel.table,
      protocol: kernel.protocol,
      metric: options.metric ?? DEFAULT_METRIC,
    });
    this.#guards = {
      ipv4: new InterferenceGuard(options.onInterference),
      ipv6: new InterferenceGuard(options.onInterference),
    };
    this.#brakes = { ipv4: this.#makeBrake('ipv4'), ipv6: this.#makeBrake('ipv6') };
    this.#objects =
      options.nextHopObjects === false
        ? undefined
        : new NextHopObjects(kernel, (gone, changed) => {
            this.#forms.forgetObjects(new Set([...gone, ...changed]));
            this.#hasUnusedObjects = true;
            this.#follower.objectsLost(gone, changed);
          });
    this.#forms = new TargetForms(this.targets, this.#objects, kernel.links);
    this.#follower = new KernelFollower({
      kernel,
      targets: this.targets,
      families: this.families,
      isWanted: (routes, id, target) => this.isWanted(routes, id, target),
      doomIfSwept: (routes, id) => this.#doomIfSwept(routes, id),
      repair: (routes, id, isInterference) => this.#repair(routes, id, isInterference),
      announceWork: () => this.#announceWork(),
      sourceLost: (address) => this.#forms.forgetSource(address),
    });
    this.#stopListening = kernel.listen(this.#follower);
  }

  /** Source of this host's own packets over learned routes of a family, if one is set. */
  preferredSource(family: Family): Address | undefined {
    return this.#options.preferredSource?.[family];
  }

  /** How often somebody else deleted or changed a route of ours since the start. */
  get interferences(): number {
    return this.#guards.ipv4.total + this.#guards.ipv6.total;
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
    return FAMILIES.flatMap((family) => this.#brakes[family].view() ?? []);
  }

  /** Lets go what the brake on mass deletion holds; whether it held anything. `why` is for the log. */
  releaseHeld(why: string): boolean {
    const released = FAMILIES.filter((family) => this.#brakes[family].release(why));
    this.#changed();
    return released.length > 0;
  }

  /** Who may confirm that nearly all learned routes of a family are to go: returns why, or undefined when it knows nothing. */
  confirmRemovalBy(confirm: ((family: Family) => string | undefined) | undefined): void {
    this.#confirmRemoval = confirm;
  }

  /** Lets the next write of a prefix replace the foreign route that blocks it. Does nothing for a prefix that nobody wants. */
  seize(prefix: Prefix): void {
    const routes = this.families[prefix.family];
    const id = routes.table.findPrefix(prefix);
    if (id < 0 || routes.desired(id) < 0) return;
    this.#seized[prefix.family].add(id);
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
    this.#swept[family][scope] = true;
    const routes = this.families[family];
    for (let id = 0; id < routes.table.idLimit; id++) {
      if (routes.table.has(id) && routes.desired(id) < 0) this.#doomIfSwept(routes, id);
    }
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
        this.#brakes[family].decide(this.#clock());
        this.#retries[family].takeDue(this.#clock(), (id) => {
          if (routes.has(id, FLAG.FAILED | FLAG.HELD)) routes.markDirty(id);
        });
        if (routes.dirtyCount === 0) continue;
        const result = this.#applyBatch(routes);
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
    if (!more) this.#sweepObjects();
    return this.#result(more, written, failed);
  }

  #result(more: boolean, written: number, failed: number): ApplyResult {
    this.#hadWork = more;
    this.outcomes.deliver(!more);
    const due = [
      this.#objects?.nextLiftMs,
      ...FAMILIES.flatMap((family) => [this.#retries[family].nextDueMs(), this.#brakes[family].nextMs]),
    ].filter((at) => at !== undefined);
    return due.length === 0
      ? { more, written, failed }
      : { more, written, failed, retryAtMs: Math.min(...due) };
  }

  #applyBatch(routes: FamilyRoutes): { written: number; failed: number } {
    const batch = this.#batch;
    batch.reset();
    // Planned-away prefixes count too, so that a slice stays bounded.
    for (let looked = 0; !batch.isFull && looked < 8 * BATCH_MESSAGES; looked++) {
      const id = routes.nextDirty();
      if (id === NONE) break;
      this.#plan(routes, id);
    }
    let failed = this.#refusedPlans;
    this.#refusedPlans = 0;
    if (batch.count === 0) return { written: 0, failed };
    if (this.#seizesNow) {
      // What our own socket asks for is not announced to us, and the mirror still has what was replaced.
      this.#seizesNow = false;
      setImmediate(() => this.kernel.readAgain());
    }
    let result: BatchResult;
    try {
      result = this.kernel.socket.batch(batch.writer, batch.count);
    } catch (error) {
      for (let index = 0; index < batch.count; index++) this.#onUncertain(routes, index);
      throw error;
    }
    const { failures } = result;
    for (let index = 0; index < batch.count; index++) {
      const verdict = failures.size === 0 ? undefined : failures.get(index);
      if (verdict !== undefined) {
        if (this.#onRefusal(routes, index, verdict)) failed++;
      } else if (result.uncertain) {
        this.#onUncertain(routes, index);
      } else {
        this.#onWritten(routes, index);
      }
    }
    if (this.#hasDoubts) {
      this.#hasDoubts = false;
      setImmediate(() => this.kernel.readAgain());
    }
    return { written: batch.count - failures.size, failed };
  }

  #plan(routes: FamilyRoutes, id: number): void {
    const wanted = routes.desired(id);
    const kernel = routes.kernelAt(id);
    const seized = this.#seized[routes.family];
    const isSeized = seized.size > 0 && seized.delete(id);
    routes.clear(id, FLAG.WAITING | FLAG.BLOCKED | FLAG.HELD);
    const extras = routes.extras.get(id) ?? NO_EXTRAS;
    if (wanted < 0) {
      if (!routes.has(id, FLAG.DOOMED)) return;
      if (routes.has(id, FLAG.SUSPECT)) {
        // It may just have become one.
        const brake = this.#brakes[routes.family];
        if (!brake.isHolding) brake.decide(this.#clock());
        if (brake.isHolding) return;
      }
      if (kernel !== NONE) this.#addDeletion(routes, id, OP.DELETE, kernel);
      for (const extra of extras) this.#addDeletion(routes, id, OP.DELETE_EXTRA, extra);
      if (kernel === NONE && extras.length === 0) routes.release(id);
      return;
    }
    let form = this.#forms.peek(wanted);
    if (form === NO_FORM || kernel !== form) form = this.#forms.of(wanted);
    if (form === NOT_NOW) {
      routes.set(id, FLAG.WAITING);
      this.outcomes.settle(routes, id, kernel >= 0 && isTaken(routes, id));
      return;
    }
    if (form === REFUSED) {
      this.#noteFailure(routes, id, this.#forms.refusal);
      this.outcomes.settle(routes, id, false);
      this.#refusedPlans++;
      return;
    }
    const { metric, fields } = this.targets.get(form);
    if (kernel !== form) {
      const { table } = routes;
      const isIpv4 = routes.family === 'ipv4';
      const isTaken = this.kernel.foreign[routes.family].has(
        metric,
        table.lengthOf(id),
        table.wordOf(id, 0),
        isIpv4 ? 0 : table.wordOf(id, 1),
        isIpv4 ? 0 : table.wordOf(id, 2),
        isIpv4 ? 0 : table.wordOf(id, 3),
      );
      if (isTaken && !isSeized) {
        routes.set(id, FLAG.BLOCKED);
        this.outcomes.settle(routes, id, false);
        routes.clear(id, FLAG.FORCE);
        return;
      }
      if (isSeized && isTaken) this.#seizesNow = true;
      const sameKey = kernel >= 0 && this.targets.get(kernel).metric === metric;
      const isReplacement = sameKey || isSeized || routes.has(id, FLAG.FORCE);
      routes.clear(id, FLAG.FORCE);
      this.#batch.addWrite(routes, id, isReplacement ? OP.REPLACE : OP.CREATE, form, fields);
      // The new one stands before the old one goes.
      if (kernel >= 0 && !sameKey) this.#addDeletion(routes, id, OP.DELETE_EXTRA, kernel);
    }
    for (const extra of extras) this.#addDeletion(routes, id, OP.DELETE_EXTRA, extra);
    if (kernel === form) {
      routes.forgetFailure(id);
      this.outcomes.settle(routes, id, true);
    }
  }

  #addDeletion(routes: FamilyRoutes, id: number, op: number, target: number): void {
    const metric = target >= 0 ? this.targets.get(target).metric : 0;
    this.#batch.addDeletion(routes, id, op, target, this.kernel, metric);
  }

  /** Whether the kernel did it is not known: find out by trying again. */
  #onUncertain(routes: FamilyRoutes, index: number): void {
    const id = this.#batch.ids[index] ?? NONE;
    const op = this.#batch.ops[index];
    if (op !== OP.DELETE_EXTRA) routes.kernel[id] = UNKNOWN;
    routes.markDirty(id);
  }

  #onWritten(routes: FamilyRoutes, index: number): void {
    const id = this.#batch.ids[index] ?? NONE;
    const op = this.#batch.ops[index];
    const target = this.#batch.targets[index] ?? NONE;
    if (op === OP.DELETE_EXTRA) {
      routes.removeExtra(id, target);
      routes.release(id);
    } else if (op === OP.DELETE) {
      this.#hasUnusedObjects = true;
      routes.kernel[id] = NONE;
      routes.spare(id);
      routes.forgetFailure(id);
      routes.release(id);
    } else {
      if (op === OP.REPLACE) this.#hasUnusedObjects = true;
      routes.kernel[id] = target;
      routes.set(id, FLAG.SEEN);
      routes.forgetFailure(id);
      this.outcomes.settle(routes, id, true);
    }
  }

  /** Returns whether the refusal is a failure to report; some only say that the kernel is not as we thought. */
  #onRefusal(routes: FamilyRoutes, index: number, verdict: Verdict): boolean {
    const id = this.#batch.ids[index] ?? NONE;
    const op = this.#batch.ops[index];
    const isDeletion = op === OP.DELETE || op === OP.DELETE_EXTRA;
    if (isDeletion && verdict.errno === ESRCH) {
      this.#onWritten(routes, index);
      return false;
    }
    if (op === OP.CREATE && verdict.errno === EEXIST) {
      // Either a foreign route that the next look at the mirror shows, or ours after all.
      routes.set(id, FLAG.FORCE);
      routes.markDirty(id);
      return false;
    }
    // A multipath IPv6 route goes in one next hop after the other, so a refused one may be there in part.
    if (!isDeletion && routes.family === 'ipv6') routes.kernel[id] = UNKNOWN;
    const target = this.#batch.targets[index] ?? NONE;
    if (!isDeletion && this.targets.get(target).nextHopId !== 0) {
      // Perhaps its object is not there any more.
      if (verdict.errno === EINVAL || verdict.errno === ENOENT) this.#hasDoubts = true;
    }
    this.#noteFailure(routes, id, verdict);
    // With a new object the next attempt may do.
    if (!isDeletion && (!this.#hasDoubts || routes.attempts[id] !== 1))
      this.outcomes.settle(routes, id, false);
    return true;
  }

  #noteFailure(routes: FamilyRoutes, id: number, verdict: Verdict): void {
    const attempts = Math.min(255, (routes.attempts[id] ?? 0) + 1);
    routes.set(id, FLAG.FAILED);
    routes.attempts[id] = attempts;
    routes.errno[id] = verdict.errno;
    routes.text[id] = this.#textId(verdict.text);
    this.#retries[routes.family].push(id, attempts, this.#clock());
  }

  #textId(text: string): number {
    const known = this.texts.indexOf(text);
    if (known >= 0) return known;
    return this.texts.length < MAX_TEXTS ? this.texts.push(text) - 1 : 0;
  }

  #doomIfSwept(routes: FamilyRoutes, id: number): void {
    const kernel = routes.kernelAt(id);
    if (kernel === NONE && !routes.extras.has(id)) return;
    const swept = this.#swept[routes.family];
    const isUnwanted =
      kernel < 0
        ? swept.local && swept.learned
        : swept[this.targets.get(kernel).isLocal ? 'local' : 'learned'];
    if (!isUnwanted) return;
    // Who uses none of its former routes may have forgotten them.
    routes.doom(id, kernel < 0 || this.targets.get(kernel).isLocal);
    routes.markDirty(id);
  }

  /** Work on a prefix because of what the kernel announced: at once, or later if somebody keeps undoing it. */
  #repair(routes: FamilyRoutes, id: number, isInterference: boolean): void {
    if (isInterference) {
      const guard = this.#guards[routes.family];
      const excess = guard.note(id, this.#clock(), (each) => routes.table.prefixOf(each));
      if (excess > 0) {
        routes.set(id, FLAG.HELD);
        this.outcomes.settle(routes, id, routes.kernelAt(id) >= 0 && isTaken(routes, id));
        this.#retries[routes.family].push(id, excess, this.#clock());
        this.#hasNewRetry = true;
        return;
      }
    }
    routes.markDirty(id);
  }

  /** Deletes next-hop objects that no route needs any more: after a loss, and when all work is done. */
  #sweepObjects(): void {
    if (this.#objects === undefined || this.#objects.size === 0 || !this.#hasUnusedObjects) return;
    const used = new Set<number>();
    for (const family of FAMILIES) {
      const routes = this.families[family];
      const note = (target: number): void =>
        void (target >= 0 && used.add(this.targets.get(target).nextHopId));
      for (let id = 0; id < routes.table.idLimit; id++) {
        const kernel = routes.kernelAt(id);
        // Nobody knows what it points to.
        if (kernel === UNKNOWN) return;
        note(kernel);
      }
      for (const extras of routes.extras.values()) extras.forEach(note);
    }
    this.#hasUnusedObjects = false;
    this.#forms.forgetObjects(this.#objects.sweep(used));
  }

  #retryWaiting(): void {
    for (const family of FAMILIES) {
      const routes = this.families[family];
      for (let id = 0; id < routes.table.idLimit; id++)
        if (routes.has(id, FLAG.WAITING)) routes.markDirty(id);
    }
  }

  #makeBrake(family: Family): DeletionBrake {
    return new DeletionBrake(this.families[family], {
      countLearned: (routes) => this.#countLearned(routes),
      confirm: () => this.#confirmRemoval?.(family),
      report: (event) => this.#options.onBrake?.(event),
    });
  }

  #countLearned(routes: FamilyRoutes): number {
    let count = 0;
    for (let id = 0; id < routes.table.idLimit; id++) {
      const kernel = routes.kernelAt(id);
      if (kernel >= 0 && !this.targets.get(kernel).isLocal) count++;
    }
    return count;
  }

  #changed(): void {
    if (!this.#hadWork) this.#announceWork();
  }

  #announceWork(): void {
    if (this.#hadWork) return;
    if (!this.#hasNewRetry && FAMILIES.every((family) => this.families[family].dirtyCount === 0)) return;
    this.#hasNewRetry = false;
    this.#hadWork = true;
    this.#options.onWork?.();
  }
}
