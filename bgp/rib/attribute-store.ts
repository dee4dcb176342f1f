/**
 * Path attributes, interned by their octets: equal attributes have one small id however many routes carry them. Ids are reference
 * counted. What the decision process compares stands in columns, read once when an id is made; all else is decoded on request.
 */
import { Core } from '../../src/core/core.ts';
import { asPathOccurrences } from '../wire/as-path.ts';
import { attributeSlice, valueEnd, valueStart } from '../wire/attribute-key.ts';
import { octetsEqual } from '../wire/bytes.ts';
import { ATTRIBUTE } from '../wire/registry.ts';
import type { AttributeKey } from '../wire/types.ts';
import { grownFloat32, grownFloat64, grownInt32, grownUint8, grownUint16, grownUint32 } from './columns.ts';
import { emptySummary, HAS_MED, hashOctets, rankOf, summarize } from './key-summary.ts';
import type { NextHopTable } from './next-hops.ts';

const CHUNK_BITS = 18;
const CHUNK_OCTETS = 1 << CHUNK_BITS;
/** octets are given out in multiples of this, so that freed room is found again by size */
const GRAIN = 16;
/** in place of a rank, which is never negative: the columns have not been read out of the octets */
const NOT_READ = -1;

/** Numbers in an entry, and which is which. */
const ENTRY = 4;
const LOCATION = 0;
const LENGTH = 1;
const HASH = 2;
const REFERENCES = 3;

/** Told about an id just before it goes away, while its octets can still be read. */
export type FreeListener = (id: number) => void;

/** Owner of all attribute ids of a RIB. The columns are replaced when they grow: never keep a reference to one. */
export class AttributeStore {
  localPref = new Uint32Array(256);
  /** what the first steps of the decision compare, in one number: smaller is better (`rankOf`) */
  rank = new Float64Array(256);
  pathLength = new Uint16Array(256);
  origin = new Uint8Array(256);
  med = new Uint32Array(256);
  neighbourAs = new Uint32Array(256);
  originatorId = new Uint32Array(256);
  clusterLength = new Uint16Array(256);
  pathHash = new Int32Array(256);
  /** octets per second (RFC 10005), or NO_BANDWIDTH */
  linkBandwidth = new Float32Array(256);
  flags = new Uint16Array(256);
  /** id in the next-hop table, or -1 for none */
  nextHop = new Int32Array(256);

  /** what belongs to the RIB lives there */
  readonly core: Core;
  /** of the ids whose columns are filled, those with a MED */
  withMed = 0;
  readonly #nextHops: NextHopTable;
  readonly #chunks: Uint8Array[] = [];
  /** octets used in the newest chunk */
  #chunkFill = CHUNK_OCTETS;
  readonly #freeRoom = new Map<number, number[]>();
  /** ENTRY numbers an id, side by side so that they share a cache line: LOCATION in the chunks, LENGTH in octets, HASH, REFERENCES */
  #entries = new Int32Array(ENTRY * 256);
  /** open addressing, two entries a slot: the hash, and the id + 1 or 0, so that a probe stays in one cache line */
  #slots = new Int32Array(2 * 1024);
  #capacity = 256;
  #used = 0;
  readonly #freeIds: number[] = [];
  readonly #freeListeners: FreeListener[] = [];
  readonly #summary = emptySummary();
  /** makes the slots unknown to a peer that would choose its attributes so that they collide */
  readonly #seed = (Math.random() * 0x1_0000_0000) | 0;

  /** `core`: where it is to live; default: in memory of its own. */
  constructor(nextHops: NextHopTable, core = new Core()) {
    this.#nextHops = nextHops;
    this.core = core;
  }

  /** Attribute sets in use. */
  get size(): number {
    return this.#used - this.#freeIds.length;
  }

  /** Columns indexed by attribute id need this many entries; it only grows. */
  get capacity(): number {
    return this.#capacity;
  }

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
    const id = this.internForm(key);
    if (this.rank[id] === NOT_READ) this.#readColumns(id, key);
    return id;
  }

  /** As `intern`, for attributes that no path enters a decision with: of the columns only `nextHop` is filled. */
  internForm(key: AttributeKey): number {
    const hash = hashOctets(key, 0, key.length, this.#seed);
    let slot = this.#findSlot(key, hash);
    const found = (this.#slots[slot + 1] ?? 0) - 1;
    if (found >= 0) {
      this.retain(found);
      return found;
    }
    const id = this.#freeIds.pop() ?? this.#used++;
    if (id >= this.#capacity) this.#growColumns();
    if (this.size * 4 > this.#slots.length) {
      this.#rehash();
      slot = this.#findSlot(key, hash);
    }
    const location = this.#allocate(key.length);
    this.#chunks[location >>> CHUNK_BITS]?.set(key, location & (CHUNK_OCTETS - 1));
    const entry = ENTRY * id;
    const entries = this.#entries;
    entries[entry + LOCATION] = location;
    entries[entry + LENGTH] = key.length;
    entries[entry + HASH] = hash;
    entries[entry + REFERENCES] = 1;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = id + 1;
    this.rank[id] = NOT_READ;
    this.nextHop[id] = this.#nextHops.internFromKey(key);
    return id;
  }

  /** Takes further references. */
  retain(id: number, count = 1): void {
    const at = ENTRY * id + REFERENCES;
    this.#entries[at] = (this.#entries[at] ?? 0) + count;
  }

  /** Gives a reference back; the last one frees the id. */
  release(id: number): void {
    const at = ENTRY * id + REFERENCES;
    const left = (this.#entries[at] ?? 0) - 1;
    this.#entries[at] = left;
    if (left === 0) this.#free(id);
    else if (left < 0) throw new Error(`attribute id ${id} released more often than taken`);
  }

  /** The key's octets: a view, valid until the id is freed. Allocates a view object, so not for every route. */
  key(id: number): AttributeKey {
    const location = this.#entries[ENTRY * id + LOCATION] ?? 0;
    const offset = location & (CHUNK_OCTETS - 1);
    const chunk = this.#chunks[location >>> CHUNK_BITS];
    if (chunk === undefined) throw new Error(`no attributes with id ${id}`);
    return chunk.subarray(offset, offset + this.keyLength(id));
  }

  /** How many times an AS stands in the AS_PATH; without a view of the key, as every new id is asked for loops. */
  occurrences(id: number, as: number): number {
    const location = this.#entries[ENTRY * id + LOCATION] ?? 0;
    const chunk = this.#chunks[location >>> CHUNK_BITS];
    if (chunk === undefined) return 0;
    const start = location & (CHUNK_OCTETS - 1);
    const end = start + this.keyLength(id);
    // The codes ascend, and only ORIGIN stands before AS_PATH.
    let at = start + 1 + (chunk[start] ?? 0);
    while (at < end && (chunk[at + 1] ?? 0) < ATTRIBUTE.asPath) at = valueEnd(chunk, at);
    if (at >= end || chunk[at + 1] !== ATTRIBUTE.asPath) return 0;
    return asPathOccurrences(chunk, valueStart(chunk, at), valueEnd(chunk, at), as);
  }

  /** Whether two attribute sets carry the same AS_PATH. */
  samePath(a: number, b: number): boolean {
    if (a === b) return true;
    if (this.pathHash[a] !== this.pathHash[b] || this.pathLength[a] !== this.pathLength[b]) return false;
    const pathA = attributeSlice(this.key(a), ATTRIBUTE.asPath);
    const pathB = attributeSlice(this.key(b), ATTRIBUTE.asPath);
    if (pathA === undefined || pathB === undefined) return pathA === pathB;
    return octetsEqual(pathA, pathB);
  }

  /** Octets in a key. */
  keyLength(id: number): number {
    return this.#entries[ENTRY * id + LENGTH] ?? 0;
  }

  /** Where these attributes stand, or the empty slot where they belong. */
  #findSlot(key: AttributeKey, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (2 * hash) & mask;
    for (;;) {
      const id = (slots[slot + 1] ?? 0) - 1;
      if (id < 0) return slot;
      if (slots[slot] === hash && this.#same(id, key)) return slot;
      slot = (slot + 2) & mask;
    }
  }

  #same(id: number, key: AttributeKey): boolean {
    const location = this.#entries[ENTRY * id + LOCATION] ?? 0;
    const chunk = this.#chunks[location >>> CHUNK_BITS];
    const offset = location & (CHUNK_OCTETS - 1);
    if (chunk === undefined || this.keyLength(id) !== key.length) return false;
    for (let i = 0; i < key.length; i++) if (chunk[offset + i] !== key[i]) return false;
    return true;
  }

  #readColumns(id: number, key: AttributeKey): void {
    const summary = this.#summary;
    summarize(key, 0, key.length, summary);
    this.localPref[id] = summary.localPref;
    this.rank[id] = rankOf(summary);
    this.pathLength[id] = summary.pathLength;
    this.origin[id] = summary.origin;
    this.med[id] = summary.med;
    this.neighbourAs[id] = summary.neighbourAs;
    this.originatorId[id] = summary.originatorId;
    this.clusterLength[id] = summary.clusterLength;
    this.pathHash[id] = summary.pathHash;
    this.linkBandwidth[id] = summary.linkBandwidth;
    this.flags[id] = summary.flags;
    if ((summary.flags & HAS_MED) !== 0) this.withMed++;
  }

  #free(id: number): void {
    for (const listener of this.#freeListeners) listener(id);
    if (this.rank[id] !== NOT_READ && ((this.flags[id] ?? 0) & HAS_MED) !== 0) this.withMed--;
    const nextHop = this.nextHop[id] ?? -1;
    if (nextHop >= 0) this.#nextHops.release(nextHop);
    this.#removeSlot(id);
    const room = Math.ceil(this.keyLength(id) / GRAIN);
    const location = this.#entries[ENTRY * id + LOCATION] ?? 0;
    const list = this.#freeRoom.get(room);
    if (list === undefined) this.#freeRoom.set(room, [location]);
    else list.push(location);
    this.#freeIds.push(id);
  }

  #removeSlot(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (2 * (this.#entries[ENTRY * id + HASH] ?? 0)) & mask;
    while (slots[slot + 1] !== id + 1) slot = (slot + 2) & mask;
    let hole = slot;
    for (;;) {
      slot = (slot + 2) & mask;
      if (slots[slot + 1] === 0) break;
      const hash = slots[slot] ?? 0;
      if (((slot - 2 * hash) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = hash;
        slots[hole + 1] = slots[slot + 1] ?? 0;
        hole = slot;
      }
    }
    slots[hole + 1] = 0;
  }

  #allocate(octets: number): number {
    const room = Math.ceil(octets / GRAIN);
    const reused = this.#freeRoom.get(room)?.pop();
    if (reused !== undefined) return reused;
    if (octets > CHUNK_OCTETS)
      throw new RangeError(`attributes of ${octets} octets cannot come from a message`);
    if (this.#chunkFill + room * GRAIN > CHUNK_OCTETS) {
      this.#chunks.push(new Uint8Array(CHUNK_OCTETS));
      this.#chunkFill = 0;
    }
    const location = ((this.#chunks.length - 1) << CHUNK_BITS) | this.#chunkFill;
    this.#chunkFill += room * GRAIN;
    return location;
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 4);
    const mask = slots.length - 1;
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue;
      const hash = old[from] ?? 0;
      let slot = (2 * hash) & mask;
      while (slots[slot + 1] !== 0) slot = (slot + 2) & mask;
      slots[slot] = hash;
      slots[slot + 1] = old[from + 1] ?? 0;
    }
    this.#slots = slots;
  }

  #growColumns(): void {
    // What is not written to costs no memory, a copy does.
    this.#capacity *= this.#capacity < 1 << 16 ? 16 : 2;
    const capacity = this.#capacity;
    this.localPref = grownUint32(this.localPref, capacity);
    this.rank = grownFloat64(this.rank, capacity);
    this.pathLength = grownUint16(this.pathLength, capacity);
    this.origin = grownUint8(this.origin, capacity);
    this.med = grownUint32(this.med, capacity);
    this.neighbourAs = grownUint32(this.neighbourAs, capacity);
    this.originatorId = grownUint32(this.originatorId, capacity);
    this.clusterLength = grownUint16(this.clusterLength, capacity);
    this.flags = grownUint16(this.flags, capacity);
    this.pathHash = grownInt32(this.pathHash, capacity);
    this.linkBandwidth = grownFloat32(this.linkBandwidth, capacity);
    this.nextHop = grownInt32(this.nextHop, capacity);
    this.#entries = grownInt32(this.#entries, ENTRY * capacity);
  }
}
