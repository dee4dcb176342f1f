/**
 * A set of prefixes of one family, each with a small dense id, in typed arrays: no object per prefix. Owners keep their own columns (best
 * path, next hop, flags) in arrays indexed by the id.
 *
 * Routing tables come nearly sorted, and a look-up costs what it misses in the processor's cache. So prefixes that lie together are looked up
 * together: those of one /16 (IPv6: of one /32) share a bucket, which is a small hash table of its own in one piece of memory. A bucket
 * grows by itself, so no look-up ever waits for a whole table to be hashed anew.
 */
import { addressOctets, type Family } from './address.ts';
import type { Prefix } from './prefix.ts';

const NONE = -1;
/** ids are opened, their owners' columns initialised, in blocks of so many */
const OPEN_BLOCK = 4096;
const BUCKET_BITS = 16;
/** a table with no more prefixes than this has one bucket */
const ONE_BUCKET = 1024;
/** slots of the smallest bucket, as a power of two */
const FEWEST_SLOT_BITS = 4;
/** a new bucket never has more, whatever the others have */
const MOST_FIRST_SLOT_BITS = 6;
/** slots of 4 octets in a cache line of 64: larger buckets begin with one */
const LINE_SLOTS = 16;
const ARENA_LARGE = 1 << 16;
/** places of the arena before the first bucket: a bucket never begins at 0 */
const ARENA_START = LINE_SLOTS;

/** columns with more room than this get room for a million at once: what is not written to costs no memory, a copy does */
const SMALL = 1 << 14;
const LARGE = 1 << 20;

/** The next capacity of columns that are full. */
export function grownCapacity(capacity: number): number {
  if (capacity < SMALL) return 4 * capacity;
  return capacity < LARGE ? LARGE : 2 * capacity;
}

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
  /** two entries a bucket: where its slots begin in the arena (0: it has none), and prefixes * 32 + slots as a power of two */
  #buckets = new Int32Array(2);
  /** buckets - 1 */
  #bucketMask = 0;
  /** buckets with slots */
  #bucketsTaken = 0;
  /** the slots of all buckets: id + 1, or 0 when empty; at most three quarters of a bucket's are taken */
  #arena = new Int32Array(1024);
  #arenaUsed = ARENA_START;
  /** by power of two: chain of pieces of the arena that are free again */
  readonly #freePieces = new Int32Array(32);
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
    const at = this.#slotOf(this.#bucketOf(w0), length, w0 | 0, w1 | 0, w2 | 0, w3 | 0);
    return at === 0 ? NONE : (this.#arena[at] ?? 0) - 1;
  }

  /** The id of a prefix, which is added if it is not in the table yet. Host bits must be zero. */
  intern(length: number, w0: number, w1 = 0, w2 = 0, w3 = 0): number {
    let bucket = this.#bucketOf(w0);
    let at = this.#slotOf(bucket, length, w0 | 0, w1 | 0, w2 | 0, w3 | 0);
    if (at !== 0) {
      const found = this.#arena[at] ?? 0;
      if (found !== 0) return found - 1;
    }
    if (this.#isFull(bucket)) {
      bucket = this.#makeRoom(bucket, w0);
      at = this.#slotOf(bucket, length, w0 | 0, w1 | 0, w2 | 0, w3 | 0);
    }
    let id = this.#firstFree;
    if (id !== NONE) {
      this.#firstFree = this.#nextFree[id] ?? NONE;
    } else {
      if (this.#used === this.#opened) this.#open();
      id = this.#used++;
    }
    this.#lengths[id] = length;
    const word = id * this.#wordsPerPrefix;
    this.#words[word] = w0;
    if (this.#wordsPerPrefix === 4) {
      this.#words[word + 1] = w1;
      this.#words[word + 2] = w2;
      this.#words[word + 3] = w3;
    }
    this.#arena[at] = id + 1;
    this.#buckets[bucket + 1] = (this.#buckets[bucket + 1] ?? 0) + 32;
    this.#size++;
    return id;
  }

  /** Removes an id; it may be given out again. Does nothing if it is not in use. */
  delete(id: number): void {
    if (!this.has(id)) return;
    const bucket = this.#bucketOf(this.wordOf(id, 0));
    const start = this.#buckets[bucket] ?? 0;
    const shape = (this.#buckets[bucket + 1] ?? 0) - 32;
    const bits = shape & 31;
    const mask = (1 << bits) - 1;
    const arena = this.#arena;
    let hole = this.#homeOfId(id, bits);
    while (arena[start + hole] !== id + 1) hole = (hole + 1) & mask;
    this.#lengths[id] = 255;
    this.#nextFree[id] = this.#firstFree;
    this.#firstFree = id;
    this.#size--;
    this.#buckets[bucket + 1] = shape;
    if (shape >>> 5 === 0) {
      this.#freePiece(start, bits);
      this.#bucketsTaken--;
      this.#buckets[bucket] = 0;
      this.#buckets[bucket + 1] = 0;
      return;
    }
    // Backward-shift deletion keeps probe runs whole without tombstones.
    for (let slot = (hole + 1) & mask; ; slot = (slot + 1) & mask) {
      const moved = arena[start + slot] ?? 0;
      if (moved === 0) break;
      const home = this.#homeOfId(moved - 1, bits);
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        arena[start + hole] = moved;
        hole = slot;
      }
    }
    arena[start + hole] = 0;
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

  /** Index of the bucket of prefixes that begin with a word. */
  #bucketOf(w0: number): number {
    const top = this.#wordsPerPrefix === 1 ? w0 : Math.imul(w0 ^ this.#seed, 0x9e3779b1);
    return ((top >>> (32 - BUCKET_BITS)) & this.#bucketMask) << 1;
  }

  /** Where in the arena a prefix stands, or the empty slot where it belongs; 0 when its bucket has no slots. */
  #slotOf(bucket: number, length: number, w0: number, w1: number, w2: number, w3: number): number {
    const start = this.#buckets[bucket] ?? 0;
    if (start === 0) return 0;
    const bits = (this.#buckets[bucket + 1] ?? 0) & 31;
    const mask = (1 << bits) - 1;
    const arena = this.#arena;
    let slot = homeSlot(this.#seed, length, w0, w1, w2, w3) >>> (32 - bits);
    for (;;) {
      const id = (arena[start + slot] ?? 0) - 1;
      if (id < 0) return start + slot;
      if (this.#lengths[id] === length) {
        const at = id * this.#wordsPerPrefix;
        if (
          this.#words[at] === w0 &&
          (this.#wordsPerPrefix === 1 ||
            (this.#words[at + 1] === w1 && this.#words[at + 2] === w2 && this.#words[at + 3] === w3))
        ) {
          return start + slot;
        }
      }
      slot = (slot + 1) & mask;
    }
  }

  #homeOfId(id: number, bits: number): number {
    const length = this.lengthOf(id);
    if (this.#wordsPerPrefix === 1)
      return homeSlot(this.#seed, length, this.wordOf(id, 0), 0, 0, 0) >>> (32 - bits);
    const at = 4 * id;
    const words = this.#words;
    return (
      homeSlot(
        this.#seed,
        length,
        words[at] ?? 0,
        words[at + 1] ?? 0,
        words[at + 2] ?? 0,
        words[at + 3] ?? 0,
      ) >>>
      (32 - bits)
    );
  }

  /** Makes room in the bucket for prefixes that begin with `w0`; returns its index, which may be another one now. */
  #makeRoom(bucket: number, w0: number): number {
    if (this.#bucketMask !== 0 || this.#size < ONE_BUCKET) {
      this.#growBucket(bucket);
      return bucket;
    }
    this.#buckets = new Int32Array(2 << BUCKET_BITS);
    this.#bucketMask = (1 << BUCKET_BITS) - 1;
    this.#arena = new Int32Array(ARENA_LARGE);
    this.#arenaUsed = ARENA_START;
    this.#freePieces.fill(0);
    this.#bucketsTaken = 0;
    for (let id = 0; id < this.#used; id++) if (this.#lengths[id] !== 255) this.#insert(id);
    const own = this.#bucketOf(w0);
    if (this.#isFull(own)) this.#growBucket(own);
    return own;
  }

  /** Whether a bucket has no room for one more: some slots must stay empty, since probe runs end there. */
  #isFull(bucket: number): boolean {
    const shape = this.#buckets[bucket + 1] ?? 0;
    return this.#buckets[bucket] === 0 || 4 * ((shape >>> 5) + 1) > 3 * (1 << (shape & 31));
  }

  /** Puts an id into its bucket, in which it is not yet. */
  #insert(id: number): void {
    const bucket = this.#bucketOf(this.wordOf(id, 0));
    if (this.#isFull(bucket)) this.#growBucket(bucket);
    const start = this.#buckets[bucket] ?? 0;
    const shape = this.#buckets[bucket + 1] ?? 0;
    const mask = (1 << (shape & 31)) - 1;
    let slot = this.#homeOfId(id, shape & 31);
    while (this.#arena[start + slot] !== 0) slot = (slot + 1) & mask;
    this.#arena[start + slot] = id + 1;
    this.#buckets[bucket + 1] = shape + 32;
  }

  /** Slots of a new bucket, as a power of two: room for as many prefixes as the others have on average. */
  #firstBits(): number {
    const average = this.#size / Math.max(1, this.#bucketsTaken);
    return Math.min(MOST_FIRST_SLOT_BITS, Math.max(FEWEST_SLOT_BITS, 32 - Math.clz32((average * 4) / 3)));
  }

  /** Gives a bucket twice as many slots. */
  #growBucket(bucket: number): void {
    const oldStart = this.#buckets[bucket] ?? 0;
    const shape = this.#buckets[bucket + 1] ?? 0;
    const oldBits = shape & 31;
    if (oldStart === 0) this.#bucketsTaken++;
    const bits = oldStart === 0 ? this.#firstBits() : oldBits + 1;
    const start = this.#takePiece(bits);
    const arena = this.#arena;
    const mask = (1 << bits) - 1;
    if (oldStart !== 0) {
      for (let at = oldStart; at < oldStart + (1 << oldBits); at++) {
        const entry = arena[at] ?? 0;
        if (entry === 0) continue;
        let slot = this.#homeOfId(entry - 1, bits);
        while (arena[start + slot] !== 0) slot = (slot + 1) & mask;
        arena[start + slot] = entry;
      }
      this.#freePiece(oldStart, oldBits);
    }
    this.#buckets[bucket] = start;
    this.#buckets[bucket + 1] = shape - oldBits + bits;
  }

  /** A piece of the arena with 2^bits slots, all empty. */
  #takePiece(bits: number): number {
    const slots = 1 << bits;
    const free = this.#freePieces[bits] ?? 0;
    if (free !== 0) {
      this.#freePieces[bits] = this.#arena[free] ?? 0;
      this.#arena.fill(0, free, free + slots);
      return free;
    }
    const aligned = Math.min(slots, LINE_SLOTS);
    const start = (this.#arenaUsed + aligned - 1) & -aligned;
    this.#arenaUsed = start + slots;
    if (this.#arenaUsed > this.#arena.length) {
      let length = this.#arena.length;
      while (length < this.#arenaUsed) length *= 4;
      const arena = new Int32Array(length);
      arena.set(this.#arena);
      this.#arena = arena;
    }
    return start;
  }

  #freePiece(start: number, bits: number): void {
    this.#arena[start] = this.#freePieces[bits] ?? 0;
    this.#freePieces[bits] = start;
  }

  /** Opens a further block of ids. */
  #open(): void {
    if (this.#opened === this.#capacity) this.#grow();
    const from = this.#opened;
    this.#opened = Math.min(this.#capacity, from + OPEN_BLOCK);
    for (const listener of this.#openListeners) listener(from, this.#opened);
  }

  #grow(): void {
    this.#capacity = grownCapacity(this.#capacity);
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
}

/** Clears the bits of a 32-bit word after the first `bits` (any integer: 0 or less clears all, 32 or more none). */
export function maskWord(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word | 0 : word & (-1 << (32 - bits));
}

// Multiply and fold (the constants of MurmurHash3's finaliser, public domain): the high bits are the ones that count.
function homeSlot(seed: number, length: number, w0: number, w1: number, w2: number, w3: number): number {
  let h = Math.imul((w0 ^ seed) + Math.imul(length, 0x9e3779b1), 0x85ebca6b);
  if (length > 32) {
    h = Math.imul(h ^ (h >>> 15) ^ w1, 0xc2b2ae35);
    if (length > 64) {
      h = Math.imul(h ^ (h >>> 13) ^ w2, 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 16) ^ w3, 0xc2b2ae35);
    }
  }
  h ^= h >>> 15;
  return Math.imul(h, 0xc2b2ae35);
}
