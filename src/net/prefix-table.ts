/**
 * A set of prefixes of one family, each with a small dense id, in columns: no object per prefix. Owners keep their own columns (best
 * path, next hop, flags) in arrays indexed by the id.
 *
 * Routing tables come nearly sorted, and a look-up costs what it misses in the processor's cache. So prefixes that lie together are looked up
 * together: those of one /16 (IPv6: of one /32) share a bucket, which is a small hash table of its own in one piece of memory. A bucket
 * grows by itself, so no look-up ever waits for a whole table to be hashed anew. All that is in src/core/assembly/prefix-table.ts.
 */
import {
  FREE_LENGTH,
  PREFIX_BUCKETS,
  PREFIX_FIELDS,
  PREFIX_FIRST_FREE,
  PREFIX_LENGTHS,
  PREFIX_OPENED,
  PREFIX_SEED,
  PREFIX_SIZE,
  PREFIX_USED,
  PREFIX_WORDS,
  PREFIX_WORDS_EACH,
} from '../core/assembly/layout.ts';
import { Core } from '../core/core.ts';
import { addressOctets, type Family } from './address.ts';
import type { Prefix } from './prefix.ts';

const NONE = -1;
/** ids are opened, their owners' columns initialised, in blocks of so many */
const OPEN_BLOCK = 4096;

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
  /** where its block stands for the inner loops (src/core/assembly) */
  readonly address: number;
  readonly #core: Core;
  readonly #block: Int32Array<SharedArrayBuffer>;
  readonly #wordsPerPrefix: 1 | 4;
  #capacity: number;
  /** network address words, `wordsPerPrefix` an id; what is free chains (src/core/assembly/layout.ts) */
  #words: Int32Array<SharedArrayBuffer>;
  /** prefix length by id; FREE_LENGTH marks an id that is free again */
  #lengths: Uint8Array<SharedArrayBuffer>;
  readonly #growListeners: GrowListener[] = [];
  readonly #openListeners: OpenListener[] = [];

  /** `core`: where it is to live; default: in memory of its own. */
  constructor(family: Family, initialCapacity = 1024, core = new Core()) {
    this.family = family;
    this.#core = core;
    this.#wordsPerPrefix = family === 'ipv4' ? 1 : 4;
    this.#capacity = Math.max(16, initialCapacity);
    this.#words = core.int32(this.#capacity * this.#wordsPerPrefix);
    this.#lengths = core.uint8(this.#capacity);
    const block = core.block(PREFIX_FIELDS, { openPrefixes: () => this.#open() });
    this.#block = block;
    this.address = block.byteOffset;
    block[PREFIX_WORDS_EACH] = this.#wordsPerPrefix;
    block[PREFIX_FIRST_FREE] = NONE;
    block[PREFIX_BUCKETS] = core.allocate(8);
    block[PREFIX_SEED] = Math.random() * 0x1_0000_0000;
    this.#publish();
  }

  /** Prefixes in the table. */
  get size(): number {
    return this.#block[PREFIX_SIZE] ?? 0;
  }

  /** Columns indexed by id need this many entries. */
  get capacity(): number {
    return this.#capacity;
  }

  /** One more than the highest id ever given out: the bound of a walk over all ids. */
  get idLimit(): number {
    return this.#block[PREFIX_USED] ?? 0;
  }

  /** Registers a listener that enlarges its columns; it is called before an id beyond the old capacity is given out. */
  onGrow(listener: GrowListener): void {
    this.#growListeners.push(listener);
  }

  /** Registers a listener that initialises its columns, block by block as ids come into use; called at once for the ids opened so far. */
  onOpen(listener: OpenListener): void {
    this.#openListeners.push(listener);
    const { openLimit } = this;
    if (openLimit > 0) listener(0, openLimit);
  }

  /** Ids below this one have been opened. */
  get openLimit(): number {
    return this.#block[PREFIX_OPENED] ?? 0;
  }

  /** Whether the id stands for a prefix at present. */
  has(id: number): boolean {
    return id >= 0 && id < this.idLimit && this.#lengths[id] !== FREE_LENGTH;
  }

  /** The prefix length of an id, 0..128. */
  lengthOf(id: number): number {
    return this.#lengths[id] ?? FREE_LENGTH;
  }

  /** Word `index` (0, or 0..3 for IPv6) of an id's network address, as a signed 32-bit number. */
  wordOf(id: number, index: number): number {
    return this.#words[id * this.#wordsPerPrefix + index] ?? 0;
  }

  /** The id of a prefix, or -1. Host bits must be zero. For IPv4 pass w1..w3 as 0. */
  find(length: number, w0: number, w1 = 0, w2 = 0, w3 = 0): number {
    return this.#core.calls.prefixFind(this.address, length, w0, w1, w2, w3);
  }

  /** The id of a prefix, which is added if it is not in the table yet. Host bits must be zero. */
  intern(length: number, w0: number, w1 = 0, w2 = 0, w3 = 0): number {
    return this.#core.calls.prefixIntern(this.address, length, w0, w1, w2, w3);
  }

  /** Removes an id; it may be given out again. Does nothing if it is not in use. */
  delete(id: number): void {
    if (this.has(id)) this.#core.calls.prefixDelete(this.address, id);
  }

  /** Gives its memory back; it must not be used any more. */
  dispose(): void {
    const core = this.#core;
    core.calls.prefixDispose(this.address);
    for (const column of [this.#words, this.#lengths]) core.release(column.byteOffset, column.byteLength);
    core.releaseBlock(this.#block);
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

  /** Opens a further block of ids. */
  #open(): void {
    const from = this.openLimit;
    if (from === this.#capacity) this.#grow();
    const to = Math.min(this.#capacity, from + OPEN_BLOCK);
    this.#block[PREFIX_OPENED] = to;
    for (const listener of this.#openListeners) listener(from, to);
  }

  #grow(): void {
    const core = this.#core;
    this.#capacity = grownCapacity(this.#capacity);
    this.#words = core.moved(this.#words, core.int32(this.#capacity * this.#wordsPerPrefix));
    this.#lengths = core.moved(this.#lengths, core.uint8(this.#capacity));
    this.#publish();
    for (const listener of this.#growListeners) listener(this.#capacity);
  }

  /** Tells the inner loops where the columns are. */
  #publish(): void {
    this.#block[PREFIX_WORDS] = this.#words.byteOffset;
    this.#block[PREFIX_LENGTHS] = this.#lengths.byteOffset;
  }
}

/** Clears the bits of a 32-bit word after the first `bits` (any integer: 0 or less clears all, 32 or more none). */
export function maskWord(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word | 0 : word & (-1 << (32 - bits));
}
