/**
 * Adj-RIB-In of one family: a record for each path received, in columns. The records of a prefix form a chain, and records live in pages that
 * belong to one peer (so that losing a peer visits its routes only, and no column names the peer). Nothing leads from attributes to their
 * records: whoever needs those walks over a column, which takes a million records some milliseconds.
 */
import { grownCapacity, type PrefixTable } from '../../src/net/prefix-table.ts';
import type { AttributeStore } from './attribute-store.ts';
import { grownInt32, grownUint8, grownUint16, grownUint32 } from './columns.ts';
import type { NextHopTable } from './next-hops.ts';

const PAGE_BITS = 8;
const PAGE = 1 << PAGE_BITS;
const NONE = -1;

/** The records of one peer. */
interface PeerRecords {
  readonly pages: number[];
  /** chain through `next` of this peer's free records */
  free: number;
  /** records given out so far from the newest page */
  fill: number;
  count: number;
}

/** Owner of the path records. Columns are replaced when they grow: never keep a reference to one. */
export class PathTable {
  /** by prefix id: first record, or -1. Once the prefix is decided, that is the best path, if there is one */
  head: Int32Array<ArrayBuffer>;
  /** by prefix id: a bit for each remainder of the numbers of its peers by 16; one that is set may be out of date, one that is not never is */
  #peerBits: Uint16Array<ArrayBuffer>;
  /** by record: next record of the same prefix, or -1 */
  next = new Int32Array(0);
  /** by record: prefix id, or -1 for a free record */
  prefix = new Int32Array(0);
  /** by record: attributes as received */
  attribute = new Int32Array(0);
  /** by record: attributes after import policy, or a negative `unusable` code (import-group.ts) */
  effective = new Int32Array(0);
  /** by record: time of arrival in ticks of the RIB's clock */
  tick = new Uint32Array(0);
  /** by record: generation of the peer's session, modulo 256; an older one is stale */
  generation = new Uint8Array(0);
  /** by record; made when the first path identifier other than 0 arrives (RFC 7911) */
  #pathId: Uint32Array<ArrayBuffer> | undefined;
  /** by attribute id: records that were received with it */
  #uses: Int32Array<ArrayBuffer> = new Int32Array(256);
  /** by page: the peer that owns it */
  #pagePeer = new Uint16Array(16);
  #pages = 0;
  readonly #freePages: number[] = [];
  readonly #peers: (PeerRecords | undefined)[] = [];
  readonly #attributes: AttributeStore;
  readonly #nextHops: NextHopTable;

  constructor(prefixes: PrefixTable, attributes: AttributeStore, nextHops: NextHopTable) {
    this.#attributes = attributes;
    this.#nextHops = nextHops;
    this.head = new Int32Array(prefixes.capacity);
    this.#peerBits = new Uint16Array(prefixes.capacity);
    prefixes.onGrow((capacity) => {
      this.head = grownInt32(this.head, capacity);
      this.#peerBits = grownUint16(this.#peerBits, capacity);
    });
    prefixes.onOpen((from, to) => this.head.fill(NONE, from, to));
  }

  /** The peer of a record. */
  peerOf(record: number): number {
    return this.#pagePeer[record >>> PAGE_BITS] ?? 0;
  }

  pathIdOf(record: number): number {
    return this.#pathId?.[record] ?? 0;
  }

  /** Records of a peer. */
  countOf(peer: number): number {
    return this.#peers[peer]?.count ?? 0;
  }

  /** The record of a peer's path to a prefix, or -1. */
  find(prefix: number, peer: number, pathId: number): number {
    let record = this.head[prefix] ?? NONE;
    // The records of a prefix lie far apart: who is surely not there is not looked for.
    if (record === NONE || ((this.#peerBits[prefix] ?? 0) & (1 << (peer & 15))) === 0) return NONE;
    while (record !== NONE) {
      if (this.peerOf(record) === peer && this.pathIdOf(record) === pathId) return record;
      record = this.next[record] ?? NONE;
    }
    return NONE;
  }

  /** One more than the highest record ever given out: the bound of a walk over all of them. */
  get recordLimit(): number {
    return this.#pages << PAGE_BITS;
  }

  /** Adds a record. Its reference on `attribute` is for the caller to take, by `hold`. */
  add(
    prefix: number,
    peer: number,
    pathId: number,
    attribute: number,
    effective: number,
    tick: number,
    generation: number,
  ): number {
    const record = this.#take(peer);
    this.prefix[record] = prefix;
    const first = this.head[prefix] ?? NONE;
    if (first === NONE) {
      this.next[record] = NONE;
      this.head[prefix] = record;
    } else {
      this.next[record] = this.next[first] ?? NONE;
      this.next[first] = record;
    }
    const bit = 1 << (peer & 15);
    this.#peerBits[prefix] = first === NONE ? bit : (this.#peerBits[prefix] ?? 0) | bit;
    this.effective[record] = effective;
    this.tick[record] = tick;
    this.generation[record] = generation;
    if (pathId !== 0 && this.#pathId === undefined) this.#pathId = new Uint32Array(this.prefix.length);
    if (this.#pathId !== undefined) this.#pathId[record] = pathId;
    this.attribute[record] = attribute;
    return record;
  }

  /**
   * As `add` for `count` prefixes with ids in a row, to which there is no path yet, without path identifiers: what most of a table is at first. One
   * loop over columns at hand in place of a call for each.
   */
  addFirst(
    prefixes: number,
    count: number,
    peer: number,
    attribute: number,
    effective: number,
    tick: number,
    generation: number,
  ): void {
    const bit = 1 << (peer & 15);
    let prefix = prefixes;
    const end = prefixes + count;
    while (prefix < end) {
      const reused = (this.#peers[peer]?.free ?? NONE) !== NONE;
      let record = this.#take(peer);
      const owner = this.#peers[peer];
      // The rest of a page is this peer's too; a record that is used again stands anywhere.
      const more = owner === undefined || reused ? 0 : Math.min(PAGE - owner.fill, end - prefix - 1);
      if (owner !== undefined) {
        owner.fill += more;
        owner.count += more;
      }
      const { head, next, prefix: prefixOf, attribute: received, effective: effectives } = this;
      const { tick: ticks, generation: generations } = this;
      const peerBits = this.#peerBits;
      const pathIds = this.#pathId;
      const stop = prefix + 1 + more;
      for (; prefix < stop; prefix++, record++) {
        head[prefix] = record;
        peerBits[prefix] = bit;
        prefixOf[record] = prefix;
        next[record] = NONE;
        received[record] = attribute;
        effectives[record] = effective;
        ticks[record] = tick;
        generations[record] = generation;
        if (pathIds !== undefined) pathIds[record] = 0;
      }
    }
  }

  /** Makes a record the first of its prefix. */
  moveToFront(prefix: number, record: number): void {
    const first = this.head[prefix] ?? NONE;
    if (first === record || first === NONE) return;
    let before = first;
    while (this.next[before] !== record) {
      before = this.next[before] ?? NONE;
      if (before === NONE) return;
    }
    this.next[before] = this.next[record] ?? NONE;
    this.next[record] = first;
    this.head[prefix] = record;
  }

  /** Gives a record other attributes. */
  replace(record: number, attribute: number, effective: number, tick: number): void {
    const old = this.attribute[record] ?? NONE;
    // The new ones first, so that a next hop common to both is not given up and wanted again.
    this.hold(attribute, 1);
    this.attribute[record] = attribute;
    this.effective[record] = effective;
    this.tick[record] = tick;
    this.#letGo(old);
  }

  /** Frees a record and its reference on the attributes. */
  remove(record: number): void {
    const prefix = this.prefix[record] ?? NONE;
    const after = this.next[record] ?? NONE;
    let at = this.head[prefix] ?? NONE;
    if (at === record) {
      this.head[prefix] = after;
    } else {
      while (at !== NONE && this.next[at] !== record) at = this.next[at] ?? NONE;
      if (at !== NONE) this.next[at] = after;
    }
    const attribute = this.attribute[record] ?? NONE;
    this.prefix[record] = NONE;
    const peer = this.peerOf(record);
    const records = this.#peers[peer];
    if (records !== undefined) {
      this.next[record] = records.free;
      records.free = record;
      records.count--;
      if (records.count === 0) this.#releasePages(peer, records);
    }
    this.#letGo(attribute);
  }

  /**
   * Walks a peer's records from a cursor (0 at first, then `walked`): the next record at or after it, or -1 at the end. Records may be removed
   * and added while walking; added ones may or may not be seen.
   */
  nextRecordOf(peer: number, cursor: number): number {
    const pages = this.#peers[peer]?.pages;
    if (pages === undefined) return NONE;
    for (let at = cursor; at < pages.length * PAGE; at++) {
      const record = ((pages[at >>> PAGE_BITS] ?? 0) << PAGE_BITS) | (at & (PAGE - 1));
      if (this.prefix[record] !== NONE) {
        this.walked = at + 1;
        return record;
      }
    }
    return NONE;
  }

  /** Cursor behind the record that `nextRecordOf` returned last. */
  walked = 0;

  #take(peer: number): number {
    let records = this.#peers[peer];
    if (records === undefined) {
      records = { pages: [], free: NONE, fill: PAGE, count: 0 };
      this.#peers[peer] = records;
    }
    records.count++;
    if (records.free !== NONE) {
      const record = records.free;
      records.free = this.next[record] ?? NONE;
      return record;
    }
    if (records.fill === PAGE) {
      const page = this.#freePages.pop() ?? this.#pages++;
      if (page >= this.#pagePeer.length)
        this.#pagePeer = grownUint16(this.#pagePeer, this.#pagePeer.length * 2);
      if (page << PAGE_BITS >= this.prefix.length) this.#grow();
      this.prefix.fill(NONE, page << PAGE_BITS, (page + 1) << PAGE_BITS);
      this.#pagePeer[page] = peer;
      records.pages.push(page);
      records.fill = 0;
    }
    const page = records.pages[records.pages.length - 1] ?? 0;
    return (page << PAGE_BITS) | records.fill++;
  }

  #releasePages(peer: number, records: PeerRecords): void {
    for (const page of records.pages) this.#freePages.push(page);
    records.pages.length = 0;
    records.free = NONE;
    records.fill = PAGE;
    this.#peers[peer] = undefined;
  }

  /** Takes references on attributes for `count` records that were added with them. */
  hold(attribute: number, count: number): void {
    if (count === 0) return;
    if (attribute >= this.#uses.length) this.#uses = grownInt32(this.#uses, this.#attributes.capacity);
    const uses = this.#uses[attribute] ?? 0;
    if (uses === 0) this.#nextHops.addInterest(this.#attributes.nextHop[attribute] ?? NONE);
    this.#uses[attribute] = uses + count;
    this.#attributes.retain(attribute, count);
  }

  #letGo(attribute: number): void {
    const uses = (this.#uses[attribute] ?? 0) - 1;
    this.#uses[attribute] = uses;
    if (uses === 0) this.#nextHops.removeInterest(this.#attributes.nextHop[attribute] ?? NONE);
    this.#attributes.release(attribute);
  }

  #grow(): void {
    const old = this.prefix.length;
    const capacity = Math.max(4 * PAGE, grownCapacity(old));
    this.next = grownInt32(this.next, capacity);
    this.prefix = grownInt32(this.prefix, capacity);
    this.attribute = grownInt32(this.attribute, capacity);
    this.effective = grownInt32(this.effective, capacity);
    this.tick = grownUint32(this.tick, capacity);
    this.generation = grownUint8(this.generation, capacity);
    if (this.#pathId !== undefined) this.#pathId = grownUint32(this.#pathId, capacity);
  }
}
