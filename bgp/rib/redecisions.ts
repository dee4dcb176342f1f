/**
 * Prefixes that are decided anew although no path to them came or went: since the next hop of one changed, or something that concerns a whole
 * family. Worked off in slices.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';

/** prefixes of a family in one piece */
const SLICE = 512;
/** records of each family that are looked at in one piece of the walk for changed next hops */
const RECORDS_SLICE = 4096;

export class Redecisions {
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #onWork: () => void;
  /** next hops that changed, so that routes over them must be decided anew */
  #touched = new Set<number>();
  /** those of them for which the walk over all records is under way, and how far it is */
  #walkedFor = new Set<number>();
  #walkAt = 0;
  /** the next prefix id of a whole family; -1: no walk under way */
  readonly #next: Record<Family, number> = { ipv4: -1, ipv6: -1 };

  constructor(tables: RibTables, families: Readonly<Record<Family, FamilyRib>>, onWork: () => void) {
    this.#tables = tables;
    this.#families = families;
    this.#onWork = onWork;
  }

  /** Whether there is anything to do. */
  get isPending(): boolean {
    return this.#hasNextHops || FAMILIES.some((family) => this.#next[family] >= 0);
  }

  /** Whether nothing is left to do for a family. */
  isSettled(family: Family): boolean {
    return this.#next[family] < 0 && !this.#hasNextHops;
  }

  /** A next hop changed in a way that makes a difference to routes; -1 is ignored. */
  touch(nextHop: number): void {
    if (nextHop < 0) return;
    this.#touched.add(nextHop);
    this.#onWork();
  }

  /** All prefixes of a family are to be decided anew. */
  beginAll(family: Family): void {
    this.#next[family] = 0;
    this.#onWork();
  }

  /** Does one bounded piece. */
  run(): void {
    this.#runTouched();
    for (const family of FAMILIES) if (this.#next[family] >= 0) this.#runFamily(family);
  }

  get #hasNextHops(): boolean {
    return this.#touched.size + this.#walkedFor.size > 0;
  }

  /** One walk over the records for all next hops that changed before it began. */
  #runTouched(): void {
    if (this.#walkedFor.size === 0) {
      if (this.#touched.size === 0) return;
      this.#walkedFor = this.#touched;
      this.#touched = new Set();
      this.#walkAt = 0;
    }
    const { attributes } = this.#tables;
    const from = this.#walkAt;
    const to = from + RECORDS_SLICE;
    this.#walkAt = to;
    let isOver = true;
    for (const family of FAMILIES) {
      const rib = this.#families[family];
      const { prefix, effective, recordLimit } = rib.paths;
      if (to < recordLimit) isOver = false;
      for (let record = from; record < Math.min(to, recordLimit); record++) {
        const attribute = effective[record] ?? -1;
        if ((prefix[record] ?? -1) < 0 || attribute < 0) continue;
        if (this.#walkedFor.has(attributes.nextHop[attribute] ?? -1)) rib.markDirty(prefix[record] ?? -1);
      }
    }
    if (isOver) this.#walkedFor.clear();
  }

  #runFamily(family: Family): void {
    const rib = this.#families[family];
    const end = Math.min(rib.prefixes.idLimit, this.#next[family] + SLICE);
    for (let prefix = this.#next[family]; prefix < end; prefix++) {
      if (rib.prefixes.has(prefix)) rib.markDirty(prefix);
    }
    this.#next[family] = end >= rib.prefixes.idLimit ? -1 : end;
  }
}
