/**
 * Adj-RIB-In of one family: a record for each path received, in columns. The records of a prefix form a chain, and records live in pages that
 * belong to one peer (so that losing a peer visits its routes only, and no column names the peer). Nothing leads from attributes to their
 * records: whoever needs those walks over a column, which takes a million records some milliseconds. What is done for each path is done in
 * src/core/assembly/paths.ts.
 */
import {
  PATH_PAGE_BITS,
  PATHS_ATTRIBUTE,
  PATHS_CAPACITY,
  PATHS_CONFLICTS,
  PATHS_EFFECTIVE,
  PATHS_FIELDS,
  PATHS_GENERATION,
  PATHS_HEAD,
  PATHS_NEXT,
  PATHS_NEXT_PAGE,
  PATHS_PAGE_PEER,
  PATHS_PAGES,
  PATHS_PATH_ID,
  PATHS_PEER_BITS,
  PATHS_PREFIX,
  PATHS_TICK,
} from '../../src/core/assembly/layout.ts';
import type { CoreCalls } from '../../src/core/calls.ts';
import type { Core } from '../../src/core/core.ts';
import { grownCapacity, type PrefixTable } from '../../src/net/prefix-table.ts';
import type { AttributeStore } from './attribute-store.ts';

const FEWEST_RECORDS = 4 << PATH_PAGE_BITS;
const NONE = -1;

/** Owner of the path records. Columns are replaced when they grow: never keep a reference to one. */
export class PathTable {
  /** where its block stands for the inner loops (src/core/assembly) */
  readonly address: number;
  /** by prefix id: first record, or -1. Once the prefix is decided, that is the best path, if there is one */
  head: Int32Array<SharedArrayBuffer>;
  /** by prefix id: a bit for each remainder of the numbers of its peers by 16; one that is set may be out of date, one that is not never is */
  #peerBits: Uint16Array<SharedArrayBuffer>;
  /** by record: next record of the same prefix, or -1 */
  next: Int32Array<SharedArrayBuffer>;
  /** by record: prefix id, or -1 for a free record */
  prefix: Int32Array<SharedArrayBuffer>;
  /** by record: attributes as received */
  attribute: Int32Array<SharedArrayBuffer>;
  /** by record: attributes after import policy, or a negative `unusable` code (import-group.ts) */
  effective: Int32Array<SharedArrayBuffer>;
  /** by record: time of arrival in ticks of the RIB's clock */
  tick: Uint32Array<SharedArrayBuffer>;
  /** by record: generation of the peer's session, modulo 256; an older one is stale */
  generation: Uint8Array<SharedArrayBuffer>;
  /** by record; made when the first path identifier other than 0 arrives (RFC 7911) */
  #pathId: Uint32Array<SharedArrayBuffer> | undefined;
  /** by page: the peer that owns it */
  #pagePeer: Uint16Array<SharedArrayBuffer>;
  #nextPage: Int32Array<SharedArrayBuffer>;
  readonly #core: Core;
  readonly #calls: CoreCalls;
  readonly #block: Int32Array<SharedArrayBuffer>;
  readonly #attributes: AttributeStore;

  constructor(prefixes: PrefixTable, attributes: AttributeStore) {
    const { core } = attributes;
    this.#core = core;
    this.#calls = core.calls;
    this.#attributes = attributes;
    this.head = core.int32(prefixes.capacity);
    this.#peerBits = core.uint16(prefixes.capacity);
    this.next = core.int32(FEWEST_RECORDS);
    this.prefix = core.int32(FEWEST_RECORDS);
    this.attribute = core.int32(FEWEST_RECORDS);
    this.effective = core.int32(FEWEST_RECORDS);
    this.tick = core.uint32(FEWEST_RECORDS);
    this.generation = core.uint8(FEWEST_RECORDS);
    this.#pagePeer = core.uint16(FEWEST_RECORDS >> PATH_PAGE_BITS);
    this.#nextPage = core.int32(FEWEST_RECORDS >> PATH_PAGE_BITS);
    this.#block = core.block(PATHS_FIELDS, {
      growRecords: () => this.#grow(),
      addPathIds: () => this.#addPathIds(),
    });
    this.address = this.#block.byteOffset;
    this.#publish();
    prefixes.onGrow((capacity) => {
      this.head = core.moved(this.head, core.int32(capacity));
      this.#peerBits = core.moved(this.#peerBits, core.uint16(capacity));
      this.#publish();
    });
    prefixes.onOpen((from, to) => this.head.fill(NONE, from, to));
  }

  /** The peer of a record. */
  peerOf(record: number): number {
    return this.#pagePeer[record >>> PATH_PAGE_BITS] ?? 0;
  }

  pathIdOf(record: number): number {
    return this.#pathId?.[record] ?? 0;
  }

  /** Paths that claim a block of our own. */
  get conflicts(): number {
    return this.#block[PATHS_CONFLICTS] ?? 0;
  }

  /** Records of a peer. */
  countOf(peer: number): number {
    return this.#calls.pathCount(this.address, peer);
  }

  /** The record of a peer's path to a prefix, or -1. */
  find(prefix: number, peer: number, pathId: number): number {
    return this.#calls.pathFind(this.address, prefix, peer, pathId);
  }

  /** One more than the highest record ever given out: the bound of a walk over all of them. */
  get recordLimit(): number {
    return (this.#block[PATHS_PAGES] ?? 0) << PATH_PAGE_BITS;
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
    return this.#calls.pathAdd(this.address, prefix, peer, pathId, attribute, effective, tick, generation);
  }

  /** Makes a record the first of its prefix. */
  moveToFront(prefix: number, record: number): void {
    this.#calls.pathMoveToFront(this.address, prefix, record);
  }

  /** Frees a record and its reference on the attributes. */
  remove(record: number): void {
    this.#attributes.letGo(this.#calls.pathRemove(this.address, record));
  }

  /**
   * Walks a peer's records from a cursor (0 at first, then `walked`): the next record at or after it, or -1 at the end. Records may be removed
   * and added while walking; added ones may or may not be seen.
   */
  nextRecordOf(peer: number, cursor: number): number {
    const record = this.#calls.pathNextOf(this.address, peer, cursor);
    if (record >= 0) this.walked = record + 1;
    return record;
  }

  /** Cursor behind the record that `nextRecordOf` returned last. */
  walked = 0;

  /** Takes references on attributes for `count` records that were added with them. */
  hold(attribute: number, count: number): void {
    this.#attributes.hold(attribute, count);
  }

  #grow(): void {
    const core = this.#core;
    const capacity = grownCapacity(this.prefix.length);
    const pages = capacity >> PATH_PAGE_BITS;
    this.next = core.moved(this.next, core.int32(capacity));
    this.prefix = core.moved(this.prefix, core.int32(capacity));
    this.attribute = core.moved(this.attribute, core.int32(capacity));
    this.effective = core.moved(this.effective, core.int32(capacity));
    this.tick = core.moved(this.tick, core.uint32(capacity));
    this.generation = core.moved(this.generation, core.uint8(capacity));
    this.#pagePeer = core.moved(this.#pagePeer, core.uint16(pages));
    this.#nextPage = core.moved(this.#nextPage, core.int32(pages));
    if (this.#pathId !== undefined) this.#pathId = core.moved(this.#pathId, core.uint32(capacity));
    this.#publish();
  }

  #addPathIds(): void {
    this.#pathId = this.#core.uint32(this.prefix.length);
    this.#publish();
  }

  /** Tells the inner loops where the columns are. */
  #publish(): void {
    const block = this.#block;
    block[PATHS_HEAD] = this.head.byteOffset;
    block[PATHS_PEER_BITS] = this.#peerBits.byteOffset;
    block[PATHS_NEXT] = this.next.byteOffset;
    block[PATHS_PREFIX] = this.prefix.byteOffset;
    block[PATHS_ATTRIBUTE] = this.attribute.byteOffset;
    block[PATHS_EFFECTIVE] = this.effective.byteOffset;
    block[PATHS_TICK] = this.tick.byteOffset;
    block[PATHS_GENERATION] = this.generation.byteOffset;
    block[PATHS_PATH_ID] = this.#pathId?.byteOffset ?? 0;
    block[PATHS_CAPACITY] = this.prefix.length;
    block[PATHS_PAGE_PEER] = this.#pagePeer.byteOffset;
    block[PATHS_NEXT_PAGE] = this.#nextPage.byteOffset;
  }
}
