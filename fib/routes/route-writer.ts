/**
 * Writes what is wanted: plans a prefix's messages from what is wanted and what the kernel has, sends them in batches, and takes the kernel's
 * answers into the columns. Hot: nothing is allocated a route.
 */
import type { Family } from '../../src/net/address.ts';
import type { Verdict } from '../netlink/error-message.ts';
import type { BatchResult } from '../netlink/socket.ts';
import type { RouteBackOff } from './back-off.ts';
import { MOST_MESSAGES } from './batch-size.ts';
import { doubtful, type FamilyRoutes, FLAG, NONE, perhaps } from './family-routes.ts';
import type { KernelWatch } from './kernel-watch.ts';
import { isTaken, type LearnedOutcomes } from './learned-outcomes.ts';
import type { Removals } from './removals.ts';
import { OP, RouteBatch } from './route-batch.ts';
import { NO_FORM, NOT_NOW, REFUSED, type TargetForms } from './target-forms.ts';
import type { TargetTable } from './targets.ts';

const EEXIST = 17;
const ESRCH = 3;
const ENOENT = 2;
const EINVAL = 22;
/** prefixes that are looked at for one batch: most need a message */
const LOOKED_AT = 8 * MOST_MESSAGES;
const NO_EXTRAS: readonly number[] = [];

/** The parts of a route table that writing goes by. */
export interface WriterDependencies {
  readonly kernel: KernelWatch;
  readonly targets: TargetTable;
  readonly forms: TargetForms;
  readonly outcomes: LearnedOutcomes;
  readonly removals: Removals;
  readonly backOff: RouteBackOff;
}

/** Writes the routes of one kernel table. It never writes over a route of another protocol, but for a prefix that was seized. */
export class RouteWriter {
  readonly #kernel: KernelWatch;
  readonly #targets: TargetTable;
  readonly #forms: TargetForms;
  readonly #outcomes: LearnedOutcomes;
  readonly #removals: Removals;
  readonly #backOff: RouteBackOff;
  readonly #batch = new RouteBatch();
  /** prefix ids whose foreign route may be replaced, once */
  readonly #seized: Readonly<Record<Family, Set<number>>> = { ipv4: new Set(), ipv6: new Set() };
  /** the batch replaces a foreign route */
  #seizesNow = false;
  /** since the last batch: routes whose next-hop object the kernel refuses */
  #refusedPlans = 0;
  /** the kernel may not have the next-hop objects that we think it has */
  #hasDoubts = false;

  constructor({ kernel, targets, forms, outcomes, removals, backOff }: WriterDependencies) {
    this.#kernel = kernel;
    this.#targets = targets;
    this.#forms = forms;
    this.#outcomes = outcomes;
    this.#removals = removals;
    this.#backOff = backOff;
  }

  /** Lets the next write of a prefix replace the foreign route that blocks it. */
  seize(family: Family, id: number): void {
    this.#seized[family].add(id);
  }

  /**
   * Writes the next batch of a family's queue of work, of at most `messages` (no more than MOST_MESSAGES). Returns how many messages it had, how many of them the kernel took, and how
   * many routes it refused. Throws a NetlinkError if the kernel cannot be spoken to.
   */
  writeBatch(routes: FamilyRoutes, messages: number): { sent: number; written: number; failed: number } {
    const batch = this.#batch;
    batch.reset();
    // Planned-away prefixes count too, so that a slice stays bounded.
    for (let looked = 0; batch.count < messages && looked < LOOKED_AT; looked++) {
      const id = routes.nextDirty();
      if (id === NONE) break;
      this.#plan(routes, id);
    }
    let failed = this.#refusedPlans;
    this.#refusedPlans = 0;
    if (batch.count === 0) return { sent: 0, written: 0, failed };
    if (this.#seizesNow) {
      // What our own socket asks for is not announced to us, and the mirror still has what was replaced.
      this.#seizesNow = false;
      setImmediate(() => this.#kernel.readAgain());
    }
    let result: BatchResult;
    try {
      result = this.#kernel.socket.batch(batch.writer, batch.count);
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
      setImmediate(() => this.#kernel.readAgain());
    }
    return { sent: batch.count, written: batch.count - failures.size, failed };
  }

  #plan(routes: FamilyRoutes, id: number): void {
    const wanted = routes.desired(id);
    const kernel = routes.kernelAt(id);
    const held = perhaps(kernel);
    const seized = this.#seized[routes.family];
    const isSeized = seized.size > 0 && seized.delete(id);
    routes.clear(id, FLAG.WAITING | FLAG.BLOCKED | FLAG.HELD);
    const extras = routes.extras.get(id) ?? NO_EXTRAS;
    if (wanted < 0) {
      if (!this.#removals.mayDelete(routes, id)) return;
      if (kernel !== NONE) this.#addDeletion(routes, id, OP.DELETE, held);
      for (const extra of extras) this.#addDeletion(routes, id, OP.DELETE_EXTRA, extra);
      if (kernel === NONE && extras.length === 0) routes.release(id);
      return;
    }
    let form = this.#forms.peek(wanted);
    if (form === NO_FORM || kernel !== form) form = this.#forms.of(wanted);
    if (form === NOT_NOW) {
      routes.set(id, FLAG.WAITING);
      this.#outcomes.settle(routes, id, kernel >= 0 && isTaken(routes, id));
      return;
    }
    if (form === REFUSED) {
      this.#backOff.refused(routes, id, this.#forms.refusal);
      this.#outcomes.settle(routes, id, false);
      this.#refusedPlans++;
      return;
    }
    const { metric, fields } = this.#targets.get(form);
    if (kernel !== form) {
      const { table } = routes;
      const isIpv4 = routes.family === 'ipv4';
      const isForeign = this.#kernel.foreign[routes.family].has(
        metric,
        table.lengthOf(id),
        table.wordOf(id, 0),
        isIpv4 ? 0 : table.wordOf(id, 1),
        isIpv4 ? 0 : table.wordOf(id, 2),
        isIpv4 ? 0 : table.wordOf(id, 3),
      );
      if (isForeign && !isSeized) {
        routes.set(id, FLAG.BLOCKED);
        this.#outcomes.settle(routes, id, false);
        routes.clear(id, FLAG.FORCE);
        return;
      }
      if (isSeized && isForeign) this.#seizesNow = true;
      const sameKey = held >= 0 && this.#targets.get(held).metric === metric;
      const isReplacement = (sameKey && kernel >= 0) || isSeized || routes.has(id, FLAG.FORCE);
      routes.clear(id, FLAG.FORCE);
      this.#batch.addWrite(routes, id, isReplacement ? OP.REPLACE : OP.CREATE, form, fields);
      // The new one stands before the old one goes.
      if (held >= 0 && !sameKey) this.#addDeletion(routes, id, OP.DELETE_EXTRA, held);
    }
    for (const extra of extras) {
      // One with the metric that is wanted is replaced: to delete it would delete what takes its place.
      if (this.#targets.get(extra).metric !== metric) this.#addDeletion(routes, id, OP.DELETE_EXTRA, extra);
      else if (kernel === form) routes.removeExtra(id, extra);
    }
    if (kernel === form) {
      routes.forgetFailure(id);
      this.#outcomes.settle(routes, id, true);
    }
  }

  #addDeletion(routes: FamilyRoutes, id: number, op: number, target: number): void {
    const metric = target >= 0 ? this.#targets.get(target).metric : 0;
    this.#batch.addDeletion(routes, id, op, target, this.#kernel, metric);
  }

  /** Whether the kernel did it is not known: find out by trying again. */
  #onUncertain(routes: FamilyRoutes, index: number): void {
    const id = this.#batch.ids[index] ?? NONE;
    const op = this.#batch.ops[index];
    const target = this.#batch.targets[index] ?? NONE;
    if (op !== OP.DELETE_EXTRA) routes.kernel[id] = doubtful(target);
    else routes.addExtra(id, target);
    routes.markDirty(id);
  }

  #onWritten(routes: FamilyRoutes, index: number): void {
    const id = this.#batch.ids[index] ?? NONE;
    const op = this.#batch.ops[index];
    const target = this.#batch.targets[index] ?? NONE;
    if (op === OP.DELETE_EXTRA) {
      routes.removeExtra(id, target);
      // The one that was to stand beside it was refused.
      if (perhaps(routes.kernelAt(id)) === target) routes.kernel[id] = NONE;
      routes.release(id);
    } else if (op === OP.DELETE) {
      this.#forms.noteUnused();
      routes.kernel[id] = NONE;
      routes.spare(id);
      routes.forgetFailure(id);
      routes.release(id);
    } else {
      if (op === OP.REPLACE) this.#forms.noteUnused();
      routes.kernel[id] = target;
      if (routes.extras.size > 0) this.#forgetReplaced(routes, id, target);
      routes.set(id, FLAG.SEEN);
      routes.forgetFailure(id);
      this.#outcomes.settle(routes, id, true);
    }
  }

  /** What was written has taken the place of a further route with its metric. */
  #forgetReplaced(routes: FamilyRoutes, id: number, target: number): void {
    const { metric } = this.#targets.get(target);
    for (const extra of routes.extras.get(id) ?? NO_EXTRAS)
      if (this.#targets.get(extra).metric === metric) routes.removeExtra(id, extra);
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
    const target = this.#batch.targets[index] ?? NONE;
    if (!isDeletion && routes.family === 'ipv6') routes.kernel[id] = doubtful(target);
    if (!isDeletion && this.#targets.get(target).nextHopId !== 0) {
      // Perhaps its object is not there any more.
      if (verdict.errno === EINVAL || verdict.errno === ENOENT) this.#hasDoubts = true;
    }
    this.#backOff.refused(routes, id, verdict);
    // With a new object the next attempt may do.
    if (!isDeletion && (!this.#hasDoubts || routes.attempts[id] !== 1))
      this.#outcomes.settle(routes, id, false);
    return true;
  }
}
