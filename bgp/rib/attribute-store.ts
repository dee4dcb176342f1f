/**
 * Path attributes, interned by their octets: equal attributes have one small id however many routes carry them. Ids are reference
 * counted. What the decision process compares stands in columns, read once when an id is made; all else is decoded on request.
 */
import {
  ATTRIBUTE_CAPACITY,
  ATTRIBUTE_CLUSTER_LENGTH,
  ATTRIBUTE_ENTRIES,
  ATTRIBUTE_EXPORT_COUNT,
  ATTRIBUTE_EXPORTS,
  ATTRIBUTE_FIELDS,
  ATTRIBUTE_FIRST_FREE,
  ATTRIBUTE_FLAGS,
  ATTRIBUTE_FREE_ROOM,
  ATTRIBUTE_LINK_BANDWIDTH,
  ATTRIBUTE_LOCAL_PREF,
  ATTRIBUTE_MED,
  ATTRIBUTE_NEIGHBOUR_AS,
  ATTRIBUTE_NEXT_HOP,
  ATTRIBUTE_NEXT_HOPS,
  ATTRIBUTE_NOTED,
  ATTRIBUTE_ORIGIN,
  ATTRIBUTE_ORIGINATOR_ID,
  ATTRIBUTE_PATH_HASH,
  ATTRIBUTE_PATH_LENGTH,
  ATTRIBUTE_RANK,
  ATTRIBUTE_SEED,
  ATTRIBUTE_SIZE,
  ATTRIBUTE_SLOT_MASK,
  ATTRIBUTE_SLOTS,
  ATTRIBUTE_USED,
  ATTRIBUTE_USES,
  ATTRIBUTE_WITH_MED,
  CORE_SCRATCH_OCTETS,
  REWRITE_CHANGED_MOST,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { AttributeKey } from '../wire/types.ts';
import type { NextHopTable } from './next-hops.ts';

const NONE = -1;
const FIRST_CAPACITY = 256;
/** the next capacities, then twofold: what a full table needs at once, as old columns keep their pages */
const SMALL = 1 << 12;
const LARGE = 1 << 18;
const FIRST_SLOTS = 1024;
/** Numbers in an entry, and which is which. */
const ENTRY = 4;
const LOCATION = 0;
const LENGTH = 1;

/** Told about a noted id just before it goes away, while its octets can still be read. */
export type FreeListener = (id: number) => void;

/**
 * Owner of all attribute ids of a RIB; what it does is done in src/core/assembly/attributes.ts. The columns are replaced when they grow: never keep
 * a reference to one.
 */
export class AttributeStore {
  localPref: Uint32Array<SharedArrayBuffer>;
  /**
   * What the first steps of the decision compare: long-lived staleness, LOCAL_PREF, length of AS_PATH and origin in one number, of which the smaller is
   * better.
   */
  rank: Float64Array<SharedArrayBuffer>;
  /** RFC 4271 9.1.2.2 a: a set counts 1, confederation segments 0 (RFC 5065 5.3) */
  pathLength: Uint16Array<SharedArrayBuffer>;
  /** 0 igp, 1 egp, 2 incomplete */
  origin: Uint8Array<SharedArrayBuffer>;
  /** a missing MED counts 0 */
  med: Uint32Array<SharedArrayBuffer>;
  /** leftmost AS of the path when it starts with a sequence, else 0 */
  neighbourAs: Uint32Array<SharedArrayBuffer>;
  originatorId: Uint32Array<SharedArrayBuffer>;
  clusterLength: Uint16Array<SharedArrayBuffer>;
  /** octets per second (RFC 10005), or NO_BANDWIDTH */
  linkBandwidth: Float32Array<SharedArrayBuffer>;
  /** HAS_LOCAL_PREF and so on */
  flags: Uint16Array<SharedArrayBuffer>;
  /** id in the next-hop table, or -1 for none */
  nextHop: Int32Array<SharedArrayBuffer>;

  /** what belongs to the RIB lives there */
  readonly core: Core;
  /** where its block stands for the inner loops */
  readonly address: number;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** hash of the AS_PATH's octets, to compare paths quickly */
  #pathHash: Int32Array<SharedArrayBuffer>;
  /** paths that were received with an id */
  #uses: Int32Array<SharedArrayBuffer>;
  /** ENTRY numbers an id, side by side so that they share a cache line */
  #entries: Int32Array<SharedArrayBuffer>;
  /** 1: noted */
  #noted: Uint8Array<SharedArrayBuffer>;
  readonly #freeListeners: FreeListener[] = [];
  #exports: readonly number[] = [];
  #keyRoom = 0;

  /** It lives where the next hops do. */
  constructor(nextHops: NextHopTable) {
    const { core } = nextHops;
    this.core = core;
    this.localPref = core.uint32(FIRST_CAPACITY);
    this.rank = core.float64(FIRST_CAPACITY);
    this.pathLength = core.uint16(FIRST_CAPACITY);
    this.origin = core.uint8(FIRST_CAPACITY);
    this.med = core.uint32(FIRST_CAPACITY);
    this.neighbourAs = core.uint32(FIRST_CAPACITY);
    this.originatorId = core.uint32(FIRST_CAPACITY);
    this.clusterLength = core.uint16(FIRST_CAPACITY);
    this.linkBandwidth = core.float32(FIRST_CAPACITY);
    this.flags = core.uint16(FIRST_CAPACITY);
    this.nextHop = core.int32(FIRST_CAPACITY);
    this.#pathHash = core.int32(FIRST_CAPACITY);
    this.#uses = core.int32(FIRST_CAPACITY);
    this.#noted = core.uint8(FIRST_CAPACITY);
    this.#entries = core.int32(ENTRY * FIRST_CAPACITY);
    const block = core.block(ATTRIBUTE_FIELDS, {
      growAttributes: () => this.#grow(),
      attributeFreed: (id) => this.#freed(id),
      attributeOverReleased: (id) => {
        throw new Error(`attribute id ${id} released more often than taken`);
      },
    });
    this.#block = block;
    this.address = block.byteOffset;
    block[ATTRIBUTE_CAPACITY] = FIRST_CAPACITY;
    block[ATTRIBUTE_FIRST_FREE] = NONE;
    block[ATTRIBUTE_SLOTS] = core.allocate(8 * FIRST_SLOTS);
    block[ATTRIBUTE_SLOT_MASK] = FIRST_SLOTS - 1;
    block[ATTRIBUTE_FREE_ROOM] = core.allocate(CORE_SCRATCH_OCTETS / 4 + 4);
    block[ATTRIBUTE_NEXT_HOPS] = nextHops.address;
    block[ATTRIBUTE_SEED] = Math.random() * 0x1_0000_0000;
    this.#publish();
  }

  /** Attribute sets in use. */
  get size(): number {
    return this.#block[ATTRIBUTE_SIZE] ?? 0;
  }

  /** Columns indexed by attribute id need this many entries; it only grows. */
  get capacity(): number {
    return this.#block[ATTRIBUTE_CAPACITY] ?? 0;
  }

  /** Of the ids whose columns are filled, those with a MED. */
  get withMed(): number {
    return this.#block[ATTRIBUTE_WITH_MED] ?? 0;
  }

  /** One more than the highest id ever given out. */
  get idLimit(): number {
    return this.#block[ATTRIBUTE_USED] ?? 0;
  }

  /** Where a key may be made, as long as rewriting makes them: one room for all, until it is interned. */
  get keyRoom(): number {
    if (this.#keyRoom === 0) this.#keyRoom = this.core.allocate(REWRITE_CHANGED_MOST);
    return this.#keyRoom;
  }

  /** Somebody remembers something made of these attributes: the listeners are told when they go. */
  note(id: number): void {
    this.#noted[id] = 1;
  }

  /** From now on the plain forms of an export go with the attributes that they were made of; `address` is its block's. */
  addExport(address: number): void {
    this.#setExports([...this.#exports, address]);
  }

  /** Ends what `addExport` began. */
  removeExport(address: number): void {
    this.#setExports(this.#exports.filter((other) => other !== address));
  }

  #setExports(addresses: readonly number[]): void {
    const { core } = this;
    const block = this.#block;
    if (this.#exports.length > 0) core.release(block[ATTRIBUTE_EXPORTS] ?? 0, 4 * this.#exports.length);
    this.#exports = addresses;
    block[ATTRIBUTE_EXPORT_COUNT] = addresses.length;
    if (addresses.length === 0) return;
    const list = core.int32(addresses.length);
    list.set(addresses);
    block[ATTRIBUTE_EXPORTS] = list.byteOffset;
  }

  /** Registers a listener to the ends of those ids that were noted. */
  onFree(listener: FreeListener): void {
    this.#freeListeners.push(listener);
  }

  /** Removes a listener given to `onFree`. */
  offFree(listener: FreeListener): void {
    const at = this.#freeListeners.indexOf(listener);
    if (at >= 0) this.#freeListeners.splice(at, 1);
  }

  /** The id of these attributes, with one reference taken for the caller. The key is copied. */
  intern(key: AttributeKey): number {
    this.#pass(key);
    return this.core.calls.attributeIntern(this.address, this.core.scratch, key.length);
  }

  /** As `intern`, for attributes that no path enters a decision with: of the columns only `nextHop` is filled. */
  internForm(key: AttributeKey): number {
    this.#pass(key);
    return this.core.calls.attributeInternForm(this.address, this.core.scratch, key.length);
  }

  /** Takes further references. */
  retain(id: number, count = 1): void {
    this.core.calls.attributeRetain(this.address, id, count);
  }

  /** Gives a reference back; the last one frees the id. */
  release(id: number): void {
    this.core.calls.attributeRelease(this.address, id);
  }

  /** Takes references for `count` paths that were received with these attributes, whose next hop is of interest from now on. */
  hold(id: number, count: number): void {
    this.core.calls.attributeHold(this.address, id, count);
  }

  /** Gives back what `hold` took for one path. */
  letGo(id: number): void {
    this.core.calls.attributeLetGo(this.address, id);
  }

  /** The key's octets: a view, valid until the id is freed. Allocates a view object, so not for every route. */
  key(id: number): AttributeKey {
    const location = (this.#entries[ENTRY * id + LOCATION] ?? 0) >>> 0;
    return this.core.octets.subarray(location, location + this.keyLength(id));
  }

  /** How many times an AS stands in the AS_PATH. */
  occurrences(id: number, as: number): number {
    return this.core.calls.attributeOccurrences(this.address, id, as);
  }

  /** Whether two attribute sets carry the same AS_PATH. */
  samePath(a: number, b: number): boolean {
    return this.core.calls.attributeSamePath(this.address, a, b) !== 0;
  }

  /** Octets in a key. */
  keyLength(id: number): number {
    return this.#entries[ENTRY * id + LENGTH] ?? 0;
  }

  /** Puts a key where the inner loops find it. */
  #pass(key: AttributeKey): void {
    if (key.length > CORE_SCRATCH_OCTETS)
      throw new RangeError(`attributes of ${key.length} octets cannot come from a message`);
    this.core.octets.set(key, this.core.scratch);
  }

  #freed(id: number): void {
    for (const listener of this.#freeListeners) listener(id);
  }

  #grow(): void {
    const { core } = this;
    const had = this.capacity;
    // What is not written to costs no memory, a copy does.
    const capacity = had < SMALL ? SMALL : had < LARGE ? LARGE : 2 * had;
    this.#block[ATTRIBUTE_CAPACITY] = capacity;
    this.localPref = core.moved(this.localPref, core.uint32(capacity));
    this.rank = core.moved(this.rank, core.float64(capacity));
    this.pathLength = core.moved(this.pathLength, core.uint16(capacity));
    this.origin = core.moved(this.origin, core.uint8(capacity));
    this.med = core.moved(this.med, core.uint32(capacity));
    this.neighbourAs = core.moved(this.neighbourAs, core.uint32(capacity));
    this.originatorId = core.moved(this.originatorId, core.uint32(capacity));
    this.clusterLength = core.moved(this.clusterLength, core.uint16(capacity));
    this.linkBandwidth = core.moved(this.linkBandwidth, core.float32(capacity));
    this.flags = core.moved(this.flags, core.uint16(capacity));
    this.nextHop = core.moved(this.nextHop, core.int32(capacity));
    this.#pathHash = core.moved(this.#pathHash, core.int32(capacity));
    this.#uses = core.moved(this.#uses, core.int32(capacity));
    this.#noted = core.moved(this.#noted, core.uint8(capacity));
    this.#entries = core.moved(this.#entries, core.int32(ENTRY * capacity));
    this.#publish();
  }

  /** Tells the inner loops where the columns are. */
  #publish(): void {
    const block = this.#block;
    block[ATTRIBUTE_LOCAL_PREF] = this.localPref.byteOffset;
    block[ATTRIBUTE_RANK] = this.rank.byteOffset;
    block[ATTRIBUTE_PATH_LENGTH] = this.pathLength.byteOffset;
    block[ATTRIBUTE_ORIGIN] = this.origin.byteOffset;
    block[ATTRIBUTE_MED] = this.med.byteOffset;
    block[ATTRIBUTE_NEIGHBOUR_AS] = this.neighbourAs.byteOffset;
    block[ATTRIBUTE_ORIGINATOR_ID] = this.originatorId.byteOffset;
    block[ATTRIBUTE_CLUSTER_LENGTH] = this.clusterLength.byteOffset;
    block[ATTRIBUTE_LINK_BANDWIDTH] = this.linkBandwidth.byteOffset;
    block[ATTRIBUTE_FLAGS] = this.flags.byteOffset;
    block[ATTRIBUTE_NEXT_HOP] = this.nextHop.byteOffset;
    block[ATTRIBUTE_PATH_HASH] = this.#pathHash.byteOffset;
    block[ATTRIBUTE_USES] = this.#uses.byteOffset;
    block[ATTRIBUTE_NOTED] = this.#noted.byteOffset;
    block[ATTRIBUTE_ENTRIES] = this.#entries.byteOffset;
  }
}
