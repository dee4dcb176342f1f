/**
 * A set of prefixes of one family, each with a small dense id, in typed arrays: open addressing, no object per prefix. Owners keep
 * their own columns (best path, next hop, flags) in arrays indexed by the id.
 *
 * Routing tables come nearly sorted, and a look-up costs what it misses in the processor's cache. So 16 neighbouring prefixes (equal
 * but for their last four bits) have their home slots in one cache line: the hash is of what they share and chooses the line, the
 * last four bits choose the slot in it, its lane. Probing goes from line to line in one lane, so that neighbours whose line is taken
 * move on together.
 */
import { addressOctets, type Family } from './address.ts';
import type { Prefix } from './prefix.ts';

const NONE = -1;
/** ids are opened, their owners' columns initialised, in blocks of so many */
const OPEN_BLOCK = 4096;
/** up to so many ids the table grows fourfold: pages of memory that nothing was written to cost nothing, copies do */
const FOURFOLD_BELOW = 1 << 20;
/** slots of 4 octets in a cache line of 64 */
const LANES = 16;
const LANE_MASK = LANES - 1;

/** Called when columns must grow: they need room for `capacity` ids. What is new in them need not be initialised yet. */
export type GrowListener = (capacity: number) => void;

/** Called before any id of `from..to-1` is given out for the first time: columns get their initial values there. */
export type OpenListener = (from: number, to: number) => void;

/**
 * Prefix <-> id. Ids are 0..capacity-1 and are reused after `delete`. An IPv4 prefix is one 32-bit word, an IPv6 prefix four;
 * words are passed as separate numbers (unsigned or signed, only the 32 bits matter), so that nothing is allocated.
 */
export class PrefixTable {
  readonly family: Family;
  readonly #wordsPerPrefix: 1 | 4;
  #capacity: number;
  /** network address words, `wordsPerPrefix` an id */
  #words: Int32Array;
  /** prefix length by id; 255 marks an id that is free again */
  #lengths: Uint8Array;
  /** chain of free ids */
  #nextFree: Int32Array;
  #firstFree = NONE;
  #used = 0;
  #opened = 0;
  #size = 0;
  /** slot -> id + 1, or 0 when empty; length is a power of two, at most half full, each lane at most three quarters */
  #slots: Int32Array;
  /** ids by lane */
  readonly #laneSizes = new Int32Array(LANES);
  /** makes the slots unknown to a peer that would choose its prefixes so that they collide */
  readonly #seed = (Math.random() * 0x1_0000_0000) | 0;
  readonly #growListeners: GrowListener[] = [];
  readonly #openListeners: OpenListener[] = [];

  constructor(family: Family, initialCapacity = 1024) {
    this.family = family;
    this.#wordsPerPrefix = family === 'ipv4' ? 1 : 4;
    this.#capacity = Math.max(16, initialCapacity);
    this.#words = new Int32Array(this.#capacity * this.#wordsPerPrefix);
    this.#lengths = new Uint8Array(this.#capacity);
    this.#nextFree = new Int32Array(this.#capacity);
    this.#slots = new Int32Array(slotCount(this.#capacity));
  }

  /** Prefixes in the table. */
  get size(): number {
    return this.#size;
  }

  /** Columns indexed by id need this many entries. */
  get capacity(): number {
    return this.#capacity;
  }

  /** One more than the highest id ever given out: the bound of a walk over all ids. */
  get idLimit(): number {
    return this.#used;
  }

  /** Registers a listener that enlarges its columns; it is called before an id beyond the old capacity is given out. */
  onGrow(listener: GrowListener): void {
    this.#growListeners.push(listener);
  }

  /** Registers a listener that initialises its columns, block by block as ids come into use; called at once for the ids opened so far. */
  onOpen(listener: OpenListener): void {
    this.#openListeners.push(listener);
    if (this.#opened > 0) listener(0, this.#opened);
  }

  /** Ids below this one have been opened. */
  get openLimit(): number {
    return this.#opened;
  }

  /** Whether the id stands for a prefix at present. */
  has(id: number): boolean {
    return id >= 0 && id < this.#used && this.#lengths[id] !== 255;
  }

  /** The prefix length of an id, 0..128. */
  lengthOf(id: number): number {
    return this.#lengths[id] ?? 255;
  }

  /** Word `index` (0, or 0..3 for IPv6) of an id's network address, as a signed 32-bit number. */
  wordOf(id: number, index: number): number {
    return this.#words[id * this.#wordsPerPrefix + index] ?? 0;
  }

  /** The id of a prefix, or -1. Host bits must be zero. For IPv4 pass w1..w3 as 0. */
  find(length: number, w0: number, w1 = 0, w2 = 0, w3 = 0): number {
    const slot = this.#slotOf(length, w0 | 0, w1 | 0, w2 | 0, w3 | 0);
    return (this.#slots[slot] ?? 0) - 1;
  }

  /** The id of a prefix, which is added if it is not in the table yet. Host bits must be zero. */
  intern(length: number, w0: number, w1 = 0, w2 = 0, w3 = 0): number {
    let slot = this.#slotOf(length, w0 | 0, w1 | 0, w2 | 0, w3 | 0);
    const found = this.#slots[slot] ?? 0;
    if (found !== 0) return found - 1;
    if (2 * this.#size >= this.#slots.length) {
      this.#rehash(this.#slots.length * growth(this.#slots.length / 2));
      slot = this.#slotOf(length, w0 | 0, w1 | 0, w2 | 0, w3 | 0);
    }
    let id = this.#firstFree;
    if (id !== NONE) {
      this.#firstFree = this.#nextFree[id] ?? NONE;
    } else {
      if (this.#used === this.#opened) this.#open();
      id = this.#used++;
    }
    const lane = slot & LANE_MASK;
    const laneSize = (this.#laneSizes[lane] ?? 0) + 1;
    this.#laneSizes[lane] = laneSize;
    this.#lengths[id] = length;
    const at = id * this.#wordsPerPrefix;
    this.#words[at] = w0;
    if (this.#wordsPerPrefix === 4) {
      this.#words[at + 1] = w1;
      this.#words[at + 2] = w2;
      this.#words[at + 3] = w3;
    }
    this.#slots[slot] = id + 1;
    this.#size++;
    // A lane must keep empty slots: its probe runs end there.
    if (laneSize * LANES * 4 > this.#slots.length * 3) this.#rehash(this.#slots.length * 2);
    return id;
  }

  /** Removes an id; it may be given out again. Does nothing if it is not in use. */
  delete(id: number): void {
    if (!this.has(id)) return;
    const mask = this.#slots.length - 1;
    let slot = this.#slotOf(
      this.lengthOf(id),
      this.wordOf(id, 0),
      this.#wordsPerPrefix === 4 ? this.wordOf(id, 1) : 0,
      this.#wordsPerPrefix === 4 ? this.wordOf(id, 2) : 0,
      this.#wordsPerPrefix === 4 ? this.wordOf(id, 3) : 0,
    );
    this.#lengths[id] = 255;
    this.#nextFree[id] = this.#firstFree;
    this.#firstFree = id;
    this.#size--;
    const lane = slot & LANE_MASK;
    this.#laneSizes[lane] = (this.#laneSizes[lane] ?? 0) - 1;
    // Backward-shift deletion keeps probe runs whole without tombstones.
    let hole = slot;
    for (;;) {
      slot = (slot + LANES) & mask;
      const moved = this.#slots[slot] ?? 0;
      if (moved === 0) break;
      const home = this.#homeOfId(moved - 1) & mask;
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        this.#slots[hole] = moved;
        hole = slot;
      }
    }
    this.#slots[hole] = 0;
  }

  /** The id of a prefix value, or -1. */
  findPrefix(prefix: Prefix): number {
    const view = new DataView(prefix.bytes.buffer, prefix.bytes.byteOffset, prefix.bytes.length);
    if (this.#wordsPerPrefix === 1) return this.find(prefix.length, view.getInt32(0));
    return this.find(prefix.length, view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
  }

  /** As `intern`, for a prefix value. */
  internPrefix(prefix: Prefix): number {
    const view = new DataView(prefix.bytes.buffer, prefix.bytes.byteOffset, prefix.bytes.length);
    if (this.#wordsPerPrefix === 1) return this.intern(prefix.length, view.getInt32(0));
    return this.intern(
      prefix.length,
      view.getInt32(0),
      view.getInt32(4),
      view.getInt32(8),
      view.getInt32(12),
    );
  }

  /** The prefix value of an id (allocates). */
  prefixOf(id: number): Prefix {
    const bytes = new Uint8Array(addressOctets(this.family));
    this.writeAddress(id, bytes, 0);
    return { family: this.family, bytes, length: this.lengthOf(id) };
  }

  /** Writes the 4 or 16 octets of an id's network address into `target` at `offset`. */
  writeAddress(id: number, target: Uint8Array, offset: number): void {
    for (let i = 0; i < this.#wordsPerPrefix; i++) {
      const word = this.wordOf(id, i);
      target[offset + 4 * i] = word >>> 24;
      target[offset + 4 * i + 1] = word >>> 16;
      target[offset + 4 * i + 2] = word >>> 8;
      target[offset + 4 * i + 3] = word;
    }
  }

  /**
   * The id of the longest prefix of at most `maxLength` bits that holds the address given by its words and satisfies `accept`,
   * or -1. It costs up to `maxLength + 1` hash look-ups.
   */
  longestMatch(
    maxLength: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    accept?: (id: number) => boolean,
  ): number {
    for (let length = maxLength; length >= 0; length--) {
      const id = this.find(
        length,
        maskWord(w0, length),
        maskWord(w1, length - 32),
        maskWord(w2, length - 64),
        maskWord(w3, length - 96),
      );
      if (id !== NONE && (accept === undefined || accept(id))) return id;
    }
    return NONE;
  }

  #slotOf(length: number, w0: number, w1: number, w2: number, w3: number): number {
    const mask = this.#slots.length - 1;
    let slot = homeSlot(this.#seed, length, w0, w1, w2, w3) & mask;
    for (;;) {
      const id = (this.#slots[slot] ?? 0) - 1;
      if (id < 0) return slot;
      if (this.#lengths[id] === length) {
        const at = id * this.#wordsPerPrefix;
        if (
          this.#words[at] === w0 &&
          (this.#wordsPerPrefix === 1 ||
            (this.#words[at + 1] === w1 && this.#words[at + 2] === w2 && this.#words[at + 3] === w3))
        ) {
          return slot;
        }
      }
      slot = (slot + LANES) & mask;
    }
  }

  #homeOfId(id: number): number {
    if (this.#wordsPerPrefix === 1)
      return homeSlot(this.#seed, this.lengthOf(id), this.wordOf(id, 0), 0, 0, 0);
    return homeSlot(
      this.#seed,
      this.lengthOf(id),
      this.wordOf(id, 0),
      this.wordOf(id, 1),
      this.wordOf(id, 2),
      this.wordOf(id, 3),
    );
  }

  /** Opens a further block of ids. */
  #open(): void {
    if (this.#opened === this.#capacity) this.#grow();
    const from = this.#opened;
    this.#opened = Math.min(this.#capacity, from + OPEN_BLOCK);
    for (const listener of this.#openListeners) listener(from, this.#opened);
  }

  #grow(): void {
    this.#capacity *= growth(this.#capacity);
    const words = new Int32Array(this.#capacity * this.#wordsPerPrefix);
    words.set(this.#words);
    this.#words = words;
    const lengths = new Uint8Array(this.#capacity);
    lengths.set(this.#lengths);
    this.#lengths = lengths;
    const nextFree = new Int32Array(this.#capacity);
    nextFree.set(this.#nextFree);
    this.#nextFree = nextFree;
    for (const listener of this.#growListeners) listener(this.#capacity);
  }

  #rehash(slotTotal: number): void {
    const slots = new Int32Array(slotTotal);
    const mask = slotTotal - 1;
    this.#laneSizes.fill(0);
    for (let id = 0; id < this.#used; id++) {
      if (this.#lengths[id] === 255) continue;
      let slot = this.#homeOfId(id) & mask;
      const lane = slot & LANE_MASK;
      const laneSize = (this.#laneSizes[lane] ?? 0) + 1;
      this.#laneSizes[lane] = laneSize;
      if (laneSize * LANES * 4 > slotTotal * 3) {
        this.#rehash(slotTotal * 2);
        return;
      }
      while (slots[slot] !== 0) slot = (slot + LANES) & mask;
      slots[slot] = id + 1;
    }
    this.#slots = slots;
  }
}

/** Clears the bits of a 32-bit word after the first `bits` (any integer: 0 or less clears all, 32 or more none). */
export function maskWord(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word | 0 : word & (-1 << (32 - bits));
}

/** By how much a table of so many ids grows. */
function growth(capacity: number): 2 | 4 {
  return capacity < FOURFOLD_BELOW ? 4 : 2;
}

function slotCount(capacity: number): number {
  return Math.max(4 * LANES, 2 ** Math.ceil(Math.log2(capacity * 2)));
}

// The line: multiply and fold (the finaliser constants of MurmurHash3, public domain) what 16 neighbours share. The lane: their last four
// bits, permuted by the hash, since whole tables have prefixes whose last bits are zero.
function homeSlot(seed: number, length: number, w0: number, w1: number, w2: number, w3: number): number {
  const lastBits = (32 - length) & 31;
  const shared = ~(LANE_MASK << lastBits);
  let lane = 0;
  let h = seed ^ Math.imul(length, 0x9e3779b1);
  if (length <= 32) {
    lane = w0 >>> lastBits;
    h = Math.imul(h ^ (w0 & shared), 0x85ebca6b);
    h ^= h >>> 15;
  } else {
    h = Math.imul(h ^ w0, 0x85ebca6b);
    h ^= h >>> 15;
    if (length <= 64) {
      lane = w1 >>> lastBits;
      h = Math.imul(h ^ (w1 & shared), 0xc2b2ae35);
    } else {
      h = Math.imul(h ^ w1, 0xc2b2ae35);
      h = Math.imul(h ^ (h >>> 13) ^ (length <= 96 ? w2 & shared : w2), 0x85ebca6b);
      if (length <= 96) lane = w2 >>> lastBits;
      else {
        lane = w3 >>> lastBits;
        h = Math.imul(h ^ (h >>> 16) ^ (w3 & shared), 0xc2b2ae35);
      }
    }
    h ^= h >>> 13;
  }
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return (h << 4) | ((lane ^ (h >>> 28)) & LANE_MASK);
}
