/**
 * What one peer has been sent of the paths of one family (RFC 7911): columns by record, and for each prefix a chain of the records that it was
 * sent for. A record that goes back to Adj-RIB-In may stand for another prefix before the peer has been told; until then its entry here is
 * that of the old one. Zero stands for empty throughout, so that what is never written costs no memory.
 */
import {
  SENT_AGAIN,
  SENT_ATTRIBUTE,
  SENT_FAMILY,
  SENT_FIELDS,
  SENT_FIRST,
  SENT_NEXT,
  SENT_PREFIX,
  SENT_PREFIX_COUNT,
  SENT_PREFIX_ROOM,
  SENT_RECORD_ROOM,
} from '../../src/core/assembly/layout.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';

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

/** What comes up while announcements are written. */
export interface SentPathsOwner {
  /** A prefix is to be looked at again. */
  lookAgain(prefix: number): void;
  /** The attributes of a path fit into no message: the peer must not keep what it had of it. */
  withdrawUnsendable(prefix: number, record: number): void;
}

const UNSAID: Withdrawals = { withdraw: () => true };

/** Owner of a reference to each attribute id that was sent, and of one count in `holders` of each prefix. */
export class SentPaths {
  /** where its block stands for the inner loops, which note what is announced (src/core/assembly/sent-paths.ts) */
  readonly address: number;
  readonly #rib: FamilyRib;
  readonly #tables: RibTables;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** by prefix id: first record of its chain + 1 */
  #first: Int32Array<SharedArrayBuffer>;
  /** by record: the next one of the same prefix + 1 */
  #next: Int32Array<SharedArrayBuffer>;
  /** by record: prefix id + 1; negative between `keep` and `dropUnkept` */
  #prefix: Int32Array<SharedArrayBuffer>;
  /** by record: attributes sent, or SENT_AGAIN */
  #attribute: Int32Array<SharedArrayBuffer>;

  constructor(rib: FamilyRib, tables: RibTables, owner: SentPathsOwner) {
    const { core } = tables;
    this.#rib = rib;
    this.#tables = tables;
    this.#first = core.int32(0);
    this.#next = core.int32(0);
    this.#prefix = core.int32(0);
    this.#attribute = core.int32(0);
    this.#block = core.block(SENT_FIELDS, {
      growSent: () => this.#grow(),
      lookAgain: (prefix) => owner.lookAgain(prefix),
      withdrawUnsendable: (prefix, record) => owner.withdrawUnsendable(prefix, record),
    });
    this.address = this.#block.byteOffset;
    this.#block[SENT_FAMILY] = rib.address;
  }

  /** Prefixes of which the peer has at least one path. */
  get prefixCount(): number {
    return this.#block[SENT_PREFIX_COUNT] ?? 0;
  }

  /**
   * The attributes that the peer has been sent with a path, or a negative number. If it has the path, it is to keep it: the next `dropUnkept`
   * of the prefix passes it over.
   */
  keep(prefix: number, record: number): number {
    if (this.#prefix[record] !== prefix + 1) return NOT_SENT;
    this.#prefix[record] = -prefix - 1;
    return this.#attribute[record] ?? SENT_AGAIN;
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
  dispose(): void {
    const { core } = this.#tables;
    for (let prefix = 0; this.prefixCount > 0 && prefix < this.#first.length; prefix++) {
      this.dropUnkept(prefix, UNSAID);
    }
    for (const { byteOffset, byteLength } of [this.#first, this.#next, this.#prefix, this.#attribute]) {
      core.release(byteOffset, byteLength);
    }
    core.releaseBlock(this.#block);
  }

  /** What the peer has, by prefix id. Other paths may come and go while somebody reads. */
  *all(): IterableIterator<SentPath> {
    for (let prefix = 0; prefix < this.#first.length; prefix++) yield* this.of(prefix);
  }

  /** What the peer has of a prefix. */
  of(prefix: number): SentPath[] {
    const found: SentPath[] = [];
    for (let at = this.#first[prefix] ?? 0; at > 0; at = this.#next[at - 1] ?? 0) {
      const attribute = this.#attribute[at - 1] ?? SENT_AGAIN;
      if (attribute !== SENT_AGAIN) found.push({ prefix, record: at - 1, attribute });
    }
    return found;
  }

  #unlink(prefix: number, record: number, before: number, after: number): void {
    if (before > 0) this.#next[before - 1] = after;
    else this.#first[prefix] = after;
    this.#prefix[record] = 0;
    this.#letGo(record);
    if (this.#first[prefix] !== 0) return;
    this.#block[SENT_PREFIX_COUNT] = this.prefixCount - 1;
    const { holders } = this.#rib;
    holders[prefix] = (holders[prefix] ?? 0) - 1;
    this.#rib.freeIfUnused(prefix);
  }

  #letGo(record: number): void {
    const attribute = this.#attribute[record] ?? SENT_AGAIN;
    if (attribute === SENT_AGAIN) return;
    this.#attribute[record] = SENT_AGAIN;
    this.#tables.attributes.release(attribute);
  }

  #grow(): void {
    const { core } = this.#tables;
    const block = this.#block;
    const prefixes = this.#rib.prefixes.capacity;
    const records = this.#rib.paths.prefix.length;
    if (prefixes > this.#first.length) this.#first = core.moved(this.#first, core.int32(prefixes));
    if (records > this.#prefix.length) {
      this.#next = core.moved(this.#next, core.int32(records));
      this.#prefix = core.moved(this.#prefix, core.int32(records));
      this.#attribute = core.moved(this.#attribute, core.int32(records));
    }
    block[SENT_FIRST] = this.#first.byteOffset;
    block[SENT_PREFIX_ROOM] = this.#first.length;
    block[SENT_NEXT] = this.#next.byteOffset;
    block[SENT_PREFIX] = this.#prefix.byteOffset;
    block[SENT_ATTRIBUTE] = this.#attribute.byteOffset;
    block[SENT_RECORD_ROOM] = this.#prefix.length;
  }
}
