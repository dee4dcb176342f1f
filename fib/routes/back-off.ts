/**
 * Prefixes that wait before they are written again: the kernel refused them, or somebody else keeps undoing them. The kernel's words about
 * refusals are kept with them.
 */
import type { Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import type { Verdict } from '../netlink/error-message.ts';
import { type FamilyRoutes, FLAG } from './family-routes.ts';
import { InterferenceGuard } from './interference.ts';
import { RetryQueue } from './retry-queue.ts';

const MAX_TEXTS = 1000;

/** Owner of the retries of one route table, and of its guards against fights with other programs. */
export class RouteBackOff {
  readonly #families: Readonly<Record<Family, FamilyRoutes>>;
  readonly #clock: () => number;
  readonly #retries: Readonly<Record<Family, RetryQueue>> = {
    ipv4: new RetryQueue(),
    ipv6: new RetryQueue(),
  };
  readonly #guards: Readonly<Record<Family, InterferenceGuard>>;
  readonly #texts: string[] = [''];
  /** a prefix has been held since the last look: the owner must learn when it is due */
  #hasNewHold = false;

  /** `report` is told of interferences, at most 20 times a second and family. */
  constructor(
    families: Readonly<Record<Family, FamilyRoutes>>,
    clock: () => number,
    report: ((prefix: Prefix) => void) | undefined,
  ) {
    this.#families = families;
    this.#clock = clock;
    this.#guards = { ipv4: new InterferenceGuard(report), ipv6: new InterferenceGuard(report) };
  }

  /** The kernel's words, by the index that `FamilyRoutes.text` holds. */
  get texts(): readonly string[] {
    return this.#texts;
  }

  /** Interferences since the start. */
  get interferences(): number {
    return this.#guards.ipv4.total + this.#guards.ipv6.total;
  }

  /** Notes that the kernel refused what is wanted at a prefix: its next attempt comes later than the last. */
  refused(routes: FamilyRoutes, id: number, verdict: Verdict): void {
    const attempts = Math.min(255, (routes.attempts[id] ?? 0) + 1);
    routes.set(id, FLAG.FAILED);
    routes.attempts[id] = attempts;
    routes.errno[id] = verdict.errno;
    routes.text[id] = this.#textId(verdict.text);
    this.#retries[routes.family].push(id, attempts, this.#clock());
  }

  /** Notes that somebody changed what was as desired. Whether the prefix is held now, since that goes on and on. */
  holds(routes: FamilyRoutes, id: number): boolean {
    const guard = this.#guards[routes.family];
    const excess = guard.note(id, this.#clock(), (each) => routes.table.prefixOf(each));
    if (excess === 0) return false;
    routes.set(id, FLAG.HELD);
    this.#retries[routes.family].push(id, excess, this.#clock());
    this.#hasNewHold = true;
    return true;
  }

  /** Whether a prefix has been held since this was asked last. */
  takeNewHold(): boolean {
    const had = this.#hasNewHold;
    this.#hasNewHold = false;
    return had;
  }

  /** Puts the prefixes of a family that are due to work. */
  resume(family: Family): void {
    const routes = this.#families[family];
    this.#retries[family].takeDue(this.#clock(), (id) => {
      if (routes.has(id, FLAG.FAILED | FLAG.HELD)) routes.markDirty(id);
    });
  }

  /** When the next prefix of a family is due, in the clock's milliseconds; undefined: none waits. */
  nextMs(family: Family): number | undefined {
    return this.#retries[family].nextDueMs();
  }

  #textId(text: string): number {
    const known = this.#texts.indexOf(text);
    if (known >= 0) return known;
    return this.#texts.length < MAX_TEXTS ? this.#texts.push(text) - 1 : 0;
  }
}
