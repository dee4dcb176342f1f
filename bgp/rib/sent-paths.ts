/**
 * What one peer has been sent of the paths of one family (RFC 7911): columns by record, and for each prefix a chain of the records that it was
 * sent for. A record that goes back to Adj-RIB-In may stand for another prefix before the peer has been told; until then its entry here is
 * that of the old one. Zero stands for empty throughout, so that what is never written costs no memory.
 */
import { grownInt32 } from './columns.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';

/** In place of the attributes sent: the peer has the path, but is to be sent it again. */
const AGAIN = -1;
/** In place of the attributes sent: the peer does not have the path. */
const NOT_SENT = -2;

/** A path as the peer knows it. */
export interface SentPath {
  readonly prefix: number;
  readonly record: number;
  readonly attribute: number;
}

/** Where the peer is told that it no longer has a path. */
export interface Withdrawals {
  /** False: there is no room for that now. */
  withdraw(prefix: number, record: number): boolean;
}

const UNSAID: Withdrawals = { withdraw: () => true };

/** Owner of a reference to each attribute id that was sent, and of one count in `holders` of each prefix. */
export class SentPaths {
  /** prefixes of which the peer has at least one path */
  prefixCount = 0;
  readonly #rib: FamilyRib;
  readonly #tables: RibTables;
  /** by prefix id: first record of its chain + 1 */
  #first = new Int32Array(0);
  /** by record: the next one of the same prefix + 1 */
  #next = new Int32Array(0);
  /** by record: prefix id + 1; negative between `keep` and `dropUnkept` */
  #prefix = new Int32Array(0);
  /** by record: attributes sent, or AGAIN */
  #attribute = new Int32Array(0);

  constructor(rib: FamilyRib, tables: RibTables) {
    this.#rib = rib;
    this.#tables = tables;
  }

  /** Whether the peer has been sent a path with these attributes. Not between `keep` and `dropUnkept`. */
  has(prefix: number, record: number, attribute: number): boolean {
    return this.#prefix[record] === prefix + 1 && this.#attribute[record] === attribute;
  }

  /** Whether the peer still has the record for another prefix: it can stand for this one only once that is withdrawn. */
  isOfAnother(prefix: number, record: number): boolean {
    const known = this.#prefix[record] ?? 0;
    return known !== 0 && known !== prefix + 1;
  }

  /** Notes that a path is announced. Its record must not stand for another prefix. */
  announced(prefix: number, record: number, attribute: number): void {
    const { attributes } = this.#tables;
    attributes.retain(attribute);
    if (this.#prefix[record] === prefix + 1) {
      const old = this.#attribute[record] ?? AGAIN;
      this.#attribute[record] = attribute;
      if (old !== AGAIN) attributes.release(old);
      return;
    }
    if (prefix >= this.#first.length) this.#first = grownInt32(this.#first, this.#rib.prefixes.capacity);
    if (record >= this.#prefix.length) this.#growRecords();
    const first = this.#first[prefix] ?? 0;
    if (first === 0) {
      const { holders } = this.#rib;
      holders[prefix] = (holders[prefix] ?? 0) + 1;
      this.prefixCount++;
    }
    this.#next[record] = first;
    this.#first[prefix] = record + 1;
    this.#prefix[record] = prefix + 1;
    this.#attribute[record] = attribute;
  }

  /**
   * The attributes that the peer has been sent with a path, or a negative number. If it has the path, it is to keep it: the next `dropUnkept`
   * of the prefix passes it over.
   */
  keep(prefix: number, record: number): number {
    if (this.#prefix[record] !== prefix + 1) return NOT_SENT;
    this.#prefix[record] = -prefix - 1;
    return this.#attribute[record] ?? AGAIN;
  }

  /**
   * Takes the paths of a prefix out that nobody called `keep` for since the last time, as long as there is room to tell the peer.
   * Returns whether all are out. The prefix id may be free afterwards.
   */
  dropUnkept(prefix: number, withdrawals: Withdrawals): boolean {
    let isDone = true;
    let before = 0;
    for (let at = this.#first[prefix] ?? 0; at > 0; ) {
      const record = at - 1;
      const after = this.#next[record] ?? 0;
      const isKept = (this.#prefix[record] ?? 0) < 0;
      if (isKept) this.#prefix[record] = prefix + 1;
      // Once there is no room, the rest of the walk only takes the marks back.
      if (!isKept && isDone) isDone = withdrawals.withdraw(prefix, record);
      if (isKept || !isDone) before = at;
      else this.#unlink(prefix, record, before, after);
      at = after;
    }
    return isDone;
  }

  /** As `dropUnkept`, of one path, if the peer has it. */
  dropOne(prefix: number, record: number, withdrawals: Withdrawals): boolean {
    if (this.#prefix[record] !== prefix + 1) return true;
    for (let at = this.#first[prefix] ?? 0; at > 0; at = this.#next[at - 1] ?? 0) {
      if (at - 1 !== record) this.keep(prefix, at - 1);
    }
    return this.dropUnkept(prefix, withdrawals);
  }

  /** Everything is to be sent again. */
  forgetAttributes(): void {
    for (let record = 0; record < this.#prefix.length; record++) {
      if (this.#prefix[record] !== 0) this.#letGo(record);
    }
  }

  /** The session is gone: nobody has anything. */
  clear(): void {
    for (let prefix = 0; this.prefixCount > 0 && prefix < this.#first.length; prefix++) {
      this.dropUnkept(prefix, UNSAID);
    }
  }

  /** What the peer has, by prefix id. Other paths may come and go while somebody reads. */
  *all(): IterableIterator<SentPath> {
    for (let prefix = 0; prefix < this.#first.length; prefix++) yield* this.of(prefix);
  }

  /** What the peer has of a prefix. */
  of(prefix: number): SentPath[] {
    const found: SentPath[] = [];
    for (let at = this.#first[prefix] ?? 0; at > 0; at = this.#next[at - 1] ?? 0) {
      const attribute = this.#attribute[at - 1] ?? AGAIN;
      if (attribute !== AGAIN) found.push({ prefix, record: at - 1, attribute });
    }
    return found;
  }

  #unlink(prefix: number, record: number, before: number, after: number): void {
    if (before > 0) this.#next[before - 1] = after;
    else this.#first[prefix] = after;
    this.#prefix[record] = 0;
    this.#letGo(record);
    if (this.#first[prefix] !== 0) return;
    this.prefixCount--;
    const { holders } = this.#rib;
    holders[prefix] = (holders[prefix] ?? 0) - 1;
    this.#rib.freeIfUnused(prefix);
  }

  #letGo(record: number): void {
    const attribute = this.#attribute[record] ?? AGAIN;
    if (attribute === AGAIN) return;
    this.#attribute[record] = AGAIN;
    this.#tables.attributes.release(attribute);
  }

  #growRecords(): void {
    const capacity = this.#rib.paths.prefix.length;
    this.#next = grownInt32(this.#next, capacity);
    this.#prefix = grownInt32(this.#prefix, capacity);
    this.#attribute = grownInt32(this.#attribute, capacity);
  }
}
