/**
 * The brake on mass deletion. A route whose removal is not explained (no peer withdrew it, no session that brought it ended, no interface
 * went) is suspect: an import policy that rejects everything, routers that have restarted with empty tables. When that would take nearly all
 * learned routes of a family at once, they stay until a cause is confirmed, somebody releases them, or the time is up.
 */
import { type FamilyRoutes, FLAG } from './family-routes.ts';
import type { BrakeEvent, BrakeView } from './types.ts';

/** fewer suspects than these go at once */
const MIN_SUSPECTS = 100;
/** share of the learned routes in the kernel that holds them all */
const HOLD_SHARE = 0.9;
/** a decision is made when no further suspect has come for so long, */
const SETTLE_MS = 1000;
/** or at the latest so long after the first */
const SETTLE_MAX_MS = 10_000;
/** what nobody has put right or released by then is taken for the truth */
const HOLD_MAX_MS = 300_000;
/** a cause may get confirmed meanwhile */
const CHECK_MS = 1000;

/** What the brake needs of its route table. */
export interface BrakeDependencies {
  /** learned routes of ours in the kernel */
  countLearned(routes: FamilyRoutes): number;
  /** why the removal is right after all; undefined: nothing is known */
  confirm(routes: FamilyRoutes): string | undefined;
  report(event: BrakeEvent): void;
}

/** One family's brake. Pure: the time is told. */
export class DeletionBrake {
  readonly #routes: FamilyRoutes;
  readonly #deps: BrakeDependencies;
  #state: 'off' | 'settling' | 'held' | 'open' = 'off';
  #suspects = 0;
  #firstMs = 0;
  #grownMs = 0;
  #heldMs = 0;
  #of = 0;
  #nextMs: number | undefined;

  constructor(routes: FamilyRoutes, dependencies: BrakeDependencies) {
    this.#routes = routes;
    this.#deps = dependencies;
  }

  /** Whether suspects must stay now. */
  get isHolding(): boolean {
    return this.#state === 'settling' || this.#state === 'held';
  }

  /** When `decide` wants to be called again, in the clock's milliseconds. */
  get nextMs(): number | undefined {
    return this.#nextMs;
  }

  /** What is held, if anything is. */
  view(): BrakeView | undefined {
    if (this.#state !== 'held') return undefined;
    return { family: this.#routes.family, held: this.#routes.suspects, of: this.#of };
  }

  /** Decides anew, before suspects are looked at. */
  decide(nowMs: number): void {
    this.#nextMs = undefined;
    const { suspects } = this.#routes;
    if (suspects === 0) {
      if (this.#state === 'held') this.#deps.report({ ...this.#event(), kind: 'gone' });
      this.#state = 'off';
      return;
    }
    if (this.#state === 'open') return;
    if (this.#state === 'off') {
      if (suspects < MIN_SUSPECTS) return;
      this.#state = 'settling';
      this.#firstMs = nowMs;
      this.#grownMs = nowMs;
    }
    if (suspects > this.#suspects) this.#grownMs = nowMs;
    this.#suspects = suspects;
    if (this.#state === 'settling') this.#settle(nowMs);
    else this.#hold(nowMs);
  }

  /** Lets what is held go. Whether anything was. */
  release(why: string): boolean {
    if (this.#state !== 'held') return false;
    this.#open(why);
    return true;
  }

  #settle(nowMs: number): void {
    const settledMs = Math.min(this.#grownMs + SETTLE_MS, this.#firstMs + SETTLE_MAX_MS);
    if (nowMs < settledMs) {
      this.#nextMs = settledMs;
      return;
    }
    this.#of = this.#deps.countLearned(this.#routes);
    if (this.#suspects < HOLD_SHARE * this.#of) {
      this.#open(undefined);
      return;
    }
    const why = this.#deps.confirm(this.#routes);
    if (why !== undefined) {
      this.#open(why);
      return;
    }
    this.#state = 'held';
    this.#heldMs = nowMs;
    this.#deps.report({ ...this.#event(), kind: 'held' });
    this.#hold(nowMs);
  }

  #hold(nowMs: number): void {
    const endMs = this.#heldMs + HOLD_MAX_MS;
    if (this.#suspects < MIN_SUSPECTS || this.#suspects < HOLD_SHARE * this.#of) {
      this.#open('most of them are wanted again');
      return;
    }
    const why =
      nowMs >= endMs
        ? `nothing changed in ${HOLD_MAX_MS / 60_000} minutes`
        : this.#deps.confirm(this.#routes);
    if (why === undefined) this.#nextMs = Math.min(endMs, nowMs + CHECK_MS);
    else this.#open(why);
  }

  #open(why: string | undefined): void {
    if (why !== undefined) this.#deps.report({ ...this.#event(), kind: 'released', why });
    this.#state = 'open';
    this.#nextMs = undefined;
    const { table } = this.#routes;
    for (let id = 0; id < table.idLimit; id++) {
      if (this.#routes.has(id, FLAG.SUSPECT)) this.#routes.markDirty(id);
    }
  }

  #event(): { family: BrakeEvent['family']; held: number; of: number } {
    return { family: this.#routes.family, held: this.#routes.suspects, of: this.#of };
  }
}
