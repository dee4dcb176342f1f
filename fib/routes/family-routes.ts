/**
 * One family's routes in columns over a prefix table: what each source wants, what the kernel has, and which prefixes need work.
 * A learned route costs two target ids and its flags, no object (LAYOUT.md). Pure bookkeeping: `RouteWriter` talks to the kernel.
 */
import type { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import { PrefixTable } from '../../src/net/prefix-table.ts';
import { ROUTE_SOURCES, type RouteSource } from './types.ts';

/** Column value: no target. */
export const NONE = -1;
/** Kernel column: there may be a route of ours, we do not know which. Whatever is below it is `doubtful`. */
export const UNKNOWN = -2;

/** Kernel column: a target may be there, in whole, in part or not at all. Its metric must not be forgotten: another one is another route. */
export function doubtful(target: number): number {
  return target >= 0 ? UNKNOWN - 1 - target : UNKNOWN;
}

/** What the kernel column knows of or suspects: a target id, NONE or UNKNOWN. */
export function perhaps(kernel: number): number {
  return kernel < UNKNOWN ? UNKNOWN - 1 - kernel : kernel;
}

export const FLAG = {
  /** stands in a queue of work */
  DIRTY: 1,
  /** a foreign route holds the place */
  BLOCKED: 2,
  /** the kernel refused; `errno`, `attempts` and `text` say how */
  FAILED: 4,
  /** not desired, to be deleted (without it an undesired kernel route is a leftover) */
  DOOMED: 8,
  /** an interface of the target is down or gone */
  WAITING: 16,
  /** met during a resync */
  SEEN: 32,
  /** ours stands there in spite of the mirror of the kernel's state: replace instead of create */
  FORCE: 64,
  /** somebody keeps undoing it: waits for its turn in the retry queue */
  HELD: 128,
  /** DOOMED, and nothing explains why: see `DeletionBrake` */
  SUSPECT: 256,
  /** the kernel took what was wanted, and has not refused or lost it since: see `LearnedOutcomes` */
  TAKEN: 512,
  /** something else than a peer wants it: see `LocalWishes` */
  LOCAL: 1024,
} as const;

/** What is wanted at a prefix otherwise than by peers: target ids. Few prefixes have any, so these are objects. */
type LocalWishes = Record<Exclude<RouteSource, 'bgp'>, number>;

const NO_WISHES: LocalWishes = { endpoint: NONE, block: NONE, remote: NONE };

/** so many of a scattered queue stay together: what is read and written of them lies in the same cache lines */
const RUN = 16;

/**
 * Work first in, first out, or scattered: short runs in any order, but all that is there at a moment goes before what comes later. Every id is
 * in it at most once.
 *
 * Linux keeps IPv4 routes in a trie whose nodes grow and shrink with what is below them. Routes that come or go in the order of their
 * prefixes, as peers send them, make it resize one node after the other, again and again: scattered ones are written in two thirds of the
 * time and deleted in a third of it.
 */
class IdQueue {
  /** a ring whose size is a power of two */
  #ids: Int32Array;
  #head = 0;
  #length = 0;
  readonly #isScattered: boolean;
  /** what is left of those that go before all others */
  #generation = 0;
  /** what is left of the present run */
  #run = 0;
  #random = 0x9e37_79b1;

  constructor(capacity: number, isScattered = false) {
    this.#ids = new Int32Array(capacity);
    this.#isScattered = isScattered;
  }

  get length(): number {
    return this.#length;
  }

  push(id: number): void {
    if (this.#length === this.#ids.length) this.#grow();
    this.#ids[(this.#head + this.#length) & (this.#ids.length - 1)] = id;
    this.#length++;
  }

  shift(): number {
    if (this.#isScattered) this.#mix();
    const id = this.#ids[this.#head] ?? NONE;
    this.#head = (this.#head + 1) & (this.#ids.length - 1);
    this.#length--;
    // What has never been written to costs no memory.
    if (this.#length === 0) this.#head = 0;
    return id;
  }

  /** At the end of a run: puts another one of the present generation first. */
  #mix(): void {
    if (this.#run > 0) {
      this.#run--;
      return;
    }
    if (this.#generation === 0) this.#generation = this.#length;
    const runs = Math.floor(this.#generation / RUN);
    const length = Math.min(RUN, this.#generation);
    this.#generation -= length;
    this.#run = length - 1;
    if (runs < 2) return;
    // Xorshift (Marsaglia 2003).
    let random = this.#random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    this.#random = random;
    const ids = this.#ids;
    const mask = ids.length - 1;
    let first = this.#head;
    let other = (first + RUN * Math.floor(((random >>> 0) / 0x1_0000_0000) * runs)) & mask;
    for (let count = 0; count < RUN; count++) {
      const kept = ids[first] ?? NONE;
      ids[first] = ids[other] ?? NONE;
      ids[other] = kept;
      first = (first + 1) & mask;
      other = (other + 1) & mask;
    }
  }

  #grow(): void {
    const ids = new Int32Array(4 * this.#ids.length);
    ids.set(this.#ids.subarray(this.#head));
    ids.set(this.#ids.subarray(0, this.#head), this.#ids.length - this.#head);
    this.#ids = ids;
    this.#head = 0;
  }
}

/** Columns of one family. Fields are typed arrays indexed by prefix id; they are replaced when the table grows. */
export class FamilyRoutes {
  readonly family: Family;
  readonly table: PrefixTable;
  /** what peers want: a target id, or NONE */
  bgp: Int32Array;
  /** what the kernel has of ours: a target id, NONE, UNKNOWN or `doubtful` */
  kernel: Int32Array;
  flags: Uint16Array;
  /** this and the next two are written for routes that the kernel refuses only: the others cost no memory in them */
  attempts: Uint8Array;
  errno: Uint16Array;
  /** index into the owner's list of kernel texts */
  text: Uint16Array;
  /** further routes of ours at a prefix, with another metric: target ids. Rare: after a change of metric */
  readonly extras = new Map<number, number[]>();
  /** prefixes that an endpoint or block wants, or that hold such a route: few, for walks that need not see learned ones */
  readonly localIds = new Set<number>();
  readonly #local = new Map<number, LocalWishes>();
  #suspects = 0;
  readonly #urgent: IdQueue;
  readonly #normal: IdQueue;

  /** `core`: where it is to live; default: in memory of its own. */
  constructor(family: Family, initialCapacity = 1024, core?: Core) {
    this.family = family;
    this.table = new PrefixTable(family, initialCapacity, core);
    const { capacity } = this.table;
    this.bgp = new Int32Array(capacity);
    this.kernel = new Int32Array(capacity);
    this.flags = new Uint16Array(capacity);
    this.attempts = new Uint8Array(capacity);
    this.errno = new Uint16Array(capacity);
    this.text = new Uint16Array(capacity);
    this.#urgent = new IdQueue(256);
    this.#normal = new IdQueue(1024, family === 'ipv4');
    this.table.onGrow((grown) => {
      this.bgp = growColumn(this.bgp, grown);
      this.kernel = growColumn(this.kernel, grown);
      this.flags = growShorts(this.flags, grown);
      this.attempts = growOctets(this.attempts, grown);
      this.errno = growShorts(this.errno, grown);
      this.text = growShorts(this.text, grown);
    });
    this.table.onOpen((from, to) => {
      this.bgp.fill(NONE, from, to);
      this.kernel.fill(NONE, from, to);
    });
  }

  /** The target that wins at a prefix, or NONE. */
  desired(id: number): number {
    if (this.has(id, FLAG.LOCAL)) {
      const wishes = this.#local.get(id) ?? NO_WISHES;
      if (wishes.endpoint >= 0) return wishes.endpoint;
      if (wishes.block >= 0) return wishes.block;
      if (wishes.remote >= 0) return wishes.remote;
    }
    return this.bgp[id] ?? NONE;
  }

  /** The sources that want a prefix, in order of precedence. */
  sourcesOf(id: number): RouteSource[] {
    return ROUTE_SOURCES.filter((source) => this.#wish(id, source) >= 0);
  }

  #wish(id: number, source: RouteSource): number {
    return source === 'bgp' ? (this.bgp[id] ?? NONE) : (this.#local.get(id) ?? NO_WISHES)[source];
  }

  #setWish(id: number, source: RouteSource, target: number): void {
    if (source === 'bgp') {
      this.bgp[id] = target;
      return;
    }
    const wishes = { ...(this.#local.get(id) ?? NO_WISHES), [source]: target };
    if (wishes.endpoint < 0 && wishes.block < 0 && wishes.remote < 0) {
      this.#local.delete(id);
      this.clear(id, FLAG.LOCAL);
    } else {
      this.#local.set(id, wishes);
      this.set(id, FLAG.LOCAL);
    }
  }

  /** What the kernel has of ours at a prefix: a target id, NONE, UNKNOWN or `doubtful`. */
  kernelAt(id: number): number {
    return this.kernel[id] ?? NONE;
  }

  has(id: number, flag: number): boolean {
    return ((this.flags[id] ?? 0) & flag) !== 0;
  }

  set(id: number, flag: number): void {
    this.flags[id] = (this.flags[id] ?? 0) | flag;
  }

  clear(id: number, flag: number): void {
    this.flags[id] = (this.flags[id] ?? 0) & ~flag;
  }

  /** Routes that are doomed without an explanation. */
  get suspects(): number {
    return this.#suspects;
  }

  /** Marks a route for deletion. */
  doom(id: number, isExplained: boolean): void {
    if (!isExplained && !this.has(id, FLAG.SUSPECT)) this.#suspects++;
    this.set(id, isExplained ? FLAG.DOOMED : FLAG.DOOMED | FLAG.SUSPECT);
  }

  /** Takes that back: it is wanted again, or gone. */
  spare(id: number): void {
    if (this.has(id, FLAG.SUSPECT)) this.#suspects--;
    this.clear(id, FLAG.DOOMED | FLAG.SUSPECT);
  }

  /** Puts a prefix into the queue of work, once. Local routes go before learned ones. */
  markDirty(id: number): void {
    if (this.has(id, FLAG.DIRTY)) return;
    this.set(id, FLAG.DIRTY);
    const isLocal =
      this.has(id, FLAG.LOCAL) && (this.#wish(id, 'endpoint') >= 0 || this.#wish(id, 'block') >= 0);
    (isLocal ? this.#urgent : this.#normal).push(id);
  }

  /** Prefixes in the queue of work. */
  get dirtyCount(): number {
    return this.#urgent.length + this.#normal.length;
  }

  /** Takes the next prefix out of the queue of work, NONE if it is empty. */
  nextDirty(): number {
    const queue = this.#urgent.length > 0 ? this.#urgent : this.#normal;
    if (queue.length === 0) return NONE;
    const id = queue.shift();
    this.clear(id, FLAG.DIRTY);
    return id;
  }

  /**
   * Sets what a source wants. Returns whether that changes what is to be in the kernel. `isExplained`: there is a known reason if nobody
   * wants the prefix from now on.
   */
  setDesired(id: number, source: RouteSource, target: number, isExplained = true): boolean {
    const before = this.desired(id);
    this.#setWish(id, source, target);
    if ((source === 'endpoint' || source === 'block') && target >= 0) this.localIds.add(id);
    const after = this.desired(id);
    if (after >= 0) this.spare(id);
    if (before === after) return false;
    if (after < 0) this.doom(id, isExplained || this.kernelAt(id) === NONE);
    this.forgetFailure(id);
    this.markDirty(id);
    return true;
  }

  forgetFailure(id: number): void {
    if (this.has(id, FLAG.FAILED)) {
      this.attempts[id] = 0;
      this.errno[id] = 0;
      this.text[id] = 0;
    }
    this.clear(id, FLAG.FAILED | FLAG.BLOCKED | FLAG.WAITING);
  }

  /** Gives the prefix id back if nobody wants the prefix, the kernel has nothing there and no work waits. */
  release(id: number): void {
    if (
      this.desired(id) >= 0 ||
      this.kernelAt(id) !== NONE ||
      this.has(id, FLAG.DIRTY) ||
      this.extras.has(id)
    ) {
      return;
    }
    this.spare(id);
    this.forgetFailure(id);
    this.flags[id] = 0;
    this.localIds.delete(id);
    this.table.delete(id);
  }

  /** Calls with every target id in any column. */
  forEachTarget(visit: (target: number) => void): void {
    for (let id = 0; id < this.table.idLimit; id++) {
      visit(this.bgp[id] ?? NONE);
      visit(perhaps(this.kernelAt(id)));
    }
    for (const wishes of this.#local.values()) for (const target of Object.values(wishes)) visit(target);
    for (const extras of this.extras.values()) for (const extra of extras) visit(extra);
  }

  /** Notes that there is, or may be, a further route of ours at a prefix. */
  addExtra(id: number, target: number): void {
    const extras = this.extras.get(id) ?? [];
    if (!extras.includes(target)) this.extras.set(id, [...extras, target]);
  }

  /** Forgets a further route of ours at a prefix. */
  removeExtra(id: number, target: number): void {
    const rest = this.extras.get(id)?.filter((other) => other !== target) ?? [];
    if (rest.length === 0) this.extras.delete(id);
    else this.extras.set(id, rest);
  }
}

function growColumn(old: Int32Array, capacity: number): Int32Array {
  const column = new Int32Array(capacity);
  column.set(old);
  return column;
}

function growOctets(old: Uint8Array, capacity: number): Uint8Array {
  const column = new Uint8Array(capacity);
  column.set(old);
  return column;
}

function growShorts(old: Uint16Array, capacity: number): Uint16Array {
  const column = new Uint16Array(capacity);
  column.set(old);
  return column;
}
