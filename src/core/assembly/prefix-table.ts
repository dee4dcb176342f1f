/**
 * The inside of a table of prefixes (src/net/prefix-table.ts says what it is for): look-ups, new ids, ids that go.
 *
 * Prefixes of one /16 (IPv6: of one /32, mixed) share a bucket, which is a hash table of its own with linear probing: 2^n slots in one piece of
 * memory, each holding id + 1, or 0 when it is empty. At most three quarters of a bucket's slots are taken.
 */
import { at, get, pointer, put, set, touch } from './fields';
import { allocate, openPrefixes, release } from './host';
import {
  FREE_LENGTH,
  PREFIX_ARENA,
  PREFIX_ARENA_LEFT,
  PREFIX_BUCKET_MASK,
  PREFIX_BUCKETS,
  PREFIX_BUCKETS_TAKEN,
  PREFIX_CHUNKS,
  PREFIX_FIRST_FREE,
  PREFIX_FREE_PIECES,
  PREFIX_LENGTHS,
  PREFIX_OPENED,
  PREFIX_SEED,
  PREFIX_SIZE,
  PREFIX_USED,
  PREFIX_WORDS,
  PREFIX_WORDS_EACH,
} from './layout';

const NONE = -1;
const BUCKET_BITS = 16;
/** octets of a bucket's entry: where its slots are, and its shape */
const BUCKET_OCTETS: usize = 8;
/** a table with no more prefixes than this has one bucket */
const ONE_BUCKET = 1024;
/** slots of the smallest bucket, as a power of two: a cache line of 64 octets */
const FEWEST_SLOT_BITS = 4;
/** a new bucket never has more, whatever the others have */
const MOST_FIRST_SLOT_BITS = 6;
/** memory for slots is taken in chunks of so many octets, by small and by large tables */
const SMALL_CHUNK: usize = 1 << 12;
const LARGE_CHUNK: usize = 1 << 20;
/** at the start of a chunk: address of the one before, and octets */
const CHUNK_HEAD: usize = 64;

/** The id of a prefix, or -1. Host bits must be zero; w1 to w3 are 0 in IPv4. */
export function prefixFind(table: usize, length: i32, w0: i32, w1: i32, w2: i32, w3: i32): i32 {
  const slot = slotOf(table, bucketOf(table, w0), length, w0, w1, w2, w3);
  return slot === 0 ? NONE : load<i32>(slot) - 1;
}

/** The id of a prefix, which is added if it is not in the table yet. */
export function prefixIntern(table: usize, length: i32, w0: i32, w1: i32, w2: i32, w3: i32): i32 {
  let bucket = bucketOf(table, w0);
  let slot = slotOf(table, bucket, length, w0, w1, w2, w3);
  if (slot !== 0) {
    const found = load<i32>(slot);
    if (found !== 0) return found - 1;
  }
  if (isFull(bucket)) {
    bucket = makeRoom(table, bucket, w0);
    slot = slotOf(table, bucket, length, w0, w1, w2, w3);
  }
  let id = get(table, PREFIX_FIRST_FREE);
  if (id !== NONE) {
    set(table, PREFIX_FIRST_FREE, firstWord(table, id));
  } else {
    id = get(table, PREFIX_USED);
    if (id === get(table, PREFIX_OPENED)) openPrefixes(table);
    set(table, PREFIX_USED, id + 1);
  }
  store<u8>(pointer(table, PREFIX_LENGTHS) + <usize>id, length);
  const words = pointer(table, PREFIX_WORDS);
  if (get(table, PREFIX_WORDS_EACH) === 1) {
    put(words, id, w0);
  } else {
    const to = words + ((<usize>id) << 4);
    store<i32>(to, w0);
    store<i32>(to, w1, 4);
    store<i32>(to, w2, 8);
    store<i32>(to, w3, 12);
  }
  store<i32>(slot, id + 1);
  store<i32>(bucket, load<i32>(bucket, 4) + 32, 4);
  set(table, PREFIX_SIZE, get(table, PREFIX_SIZE) + 1);
  return id;
}

/** Whether an id stands for a prefix at present. */
export function prefixIsUsed(table: usize, id: i32): bool {
  return (
    id >= 0 &&
    id < get(table, PREFIX_USED) &&
    load<u8>(pointer(table, PREFIX_LENGTHS) + <usize>id) !== FREE_LENGTH
  );
}

/** Removes an id that is in use; it may be given out again. */
export function prefixDelete(table: usize, id: i32): void {
  const bucket = bucketOf(table, firstWord(table, id));
  const start = load<usize>(bucket);
  const shape = load<i32>(bucket, 4) - 32;
  const bits = shape & 31;
  const mask = (1 << bits) - 1;
  let hole = homeOfId(table, id, bits);
  while (at(start, hole) !== id + 1) hole = (hole + 1) & mask;
  store<u8>(pointer(table, PREFIX_LENGTHS) + <usize>id, FREE_LENGTH);
  setFirstWord(table, id, get(table, PREFIX_FIRST_FREE));
  set(table, PREFIX_FIRST_FREE, id);
  set(table, PREFIX_SIZE, get(table, PREFIX_SIZE) - 1);
  store<i32>(bucket, shape, 4);
  if (shape >>> 5 === 0) {
    freePiece(table, start, bits);
    set(table, PREFIX_BUCKETS_TAKEN, get(table, PREFIX_BUCKETS_TAKEN) - 1);
    store<u64>(bucket, 0);
    return;
  }
  // Backward-shift deletion keeps probe runs whole without tombstones.
  for (let slot = (hole + 1) & mask; ; slot = (slot + 1) & mask) {
    const moved = at(start, slot);
    if (moved === 0) break;
    const home = homeOfId(table, moved - 1, bits);
    if (((slot - home) & mask) >= ((slot - hole) & mask)) {
      put(start, hole, moved);
      hole = slot;
    }
  }
  put(start, hole, 0);
}

/** Gives back what the slots and buckets stand in. */
export function prefixDispose(table: usize): void {
  release(pointer(table, PREFIX_BUCKETS), BUCKET_OCTETS * (<usize>get(table, PREFIX_BUCKET_MASK) + 1));
  let chunk = pointer(table, PREFIX_CHUNKS);
  while (chunk !== 0) {
    const next = load<usize>(chunk);
    release(chunk, load<usize>(chunk, 4));
    chunk = next;
  }
}

/** Where the entry of the bucket stands of prefixes that begin with a word. */
function bucketOf(table: usize, w0: i32): usize {
  const top = get(table, PREFIX_WORDS_EACH) === 1 ? w0 : (w0 ^ get(table, PREFIX_SEED)) * 0x9e3779b1;
  const index = (top >>> (32 - BUCKET_BITS)) & get(table, PREFIX_BUCKET_MASK);
  return pointer(table, PREFIX_BUCKETS) + <usize>index * BUCKET_OCTETS;
}

/** Where a prefix's slot stands, or the empty one where it belongs; 0 when its bucket has no slots. */
function slotOf(table: usize, bucket: usize, length: i32, w0: i32, w1: i32, w2: i32, w3: i32): usize {
  const start = load<usize>(bucket);
  if (start === 0) return 0;
  const bits = load<i32>(bucket, 4) & 31;
  const mask = (1 << bits) - 1;
  const lengths = pointer(table, PREFIX_LENGTHS);
  const words = pointer(table, PREFIX_WORDS);
  const narrow = get(table, PREFIX_WORDS_EACH) === 1;
  let slot = home(get(table, PREFIX_SEED), length, w0, w1, w2, w3) >>> (32 - bits);
  while (true) {
    const id = at(start, slot) - 1;
    if (id < 0) return start + ((<usize>slot) << 2);
    if (<i32>load<u8>(lengths + <usize>id) === length) {
      if (narrow) {
        if (at(words, id) === w0) return start + ((<usize>slot) << 2);
      } else {
        const its = words + ((<usize>id) << 4);
        if (
          load<i32>(its) === w0 &&
          load<i32>(its, 4) === w1 &&
          load<i32>(its, 8) === w2 &&
          load<i32>(its, 12) === w3
        ) {
          return start + ((<usize>slot) << 2);
        }
      }
    }
    slot = (slot + 1) & mask;
  }
}

/** The first word of a prefix; of a free id the next free one. */
function firstWord(table: usize, id: i32): i32 {
  return at(pointer(table, PREFIX_WORDS), get(table, PREFIX_WORDS_EACH) === 1 ? id : id << 2);
}

function setFirstWord(table: usize, id: i32, word: i32): void {
  put(pointer(table, PREFIX_WORDS), get(table, PREFIX_WORDS_EACH) === 1 ? id : id << 2, word);
}

function homeOfId(table: usize, id: i32, bits: i32): i32 {
  const length = <i32>load<u8>(pointer(table, PREFIX_LENGTHS) + <usize>id);
  const words = pointer(table, PREFIX_WORDS);
  const seed = get(table, PREFIX_SEED);
  if (get(table, PREFIX_WORDS_EACH) === 1) return home(seed, length, at(words, id), 0, 0, 0) >>> (32 - bits);
  const its = words + ((<usize>id) << 4);
  return (
    home(seed, length, load<i32>(its), load<i32>(its, 4), load<i32>(its, 8), load<i32>(its, 12)) >>>
    (32 - bits)
  );
}

/** Makes room in a full bucket for prefixes that begin with `w0`; returns where its entry stands, which may be another one now. */
function makeRoom(table: usize, bucket: usize, w0: i32): usize {
  if (get(table, PREFIX_BUCKET_MASK) !== 0 || get(table, PREFIX_SIZE) < ONE_BUCKET) {
    growBucket(table, bucket);
    return bucket;
  }
  freePiece(table, load<usize>(bucket), load<i32>(bucket, 4) & 31);
  release(pointer(table, PREFIX_BUCKETS), BUCKET_OCTETS);
  set(table, PREFIX_BUCKETS, <i32>allocate(BUCKET_OCTETS << BUCKET_BITS));
  set(table, PREFIX_BUCKET_MASK, (1 << BUCKET_BITS) - 1);
  set(table, PREFIX_BUCKETS_TAKEN, 0);
  const used = get(table, PREFIX_USED);
  const lengths = pointer(table, PREFIX_LENGTHS);
  for (let id = 0; id < used; id++) {
    if (load<u8>(lengths + <usize>id) !== FREE_LENGTH) insert(table, id);
  }
  const own = bucketOf(table, w0);
  if (isFull(own)) growBucket(table, own);
  return own;
}

/** Whether a bucket has no room for one more: some slots must stay empty, since probe runs end there. */
function isFull(bucket: usize): bool {
  const shape = load<i32>(bucket, 4);
  return load<usize>(bucket) === 0 || 4 * ((shape >>> 5) + 1) > 3 * (1 << (shape & 31));
}

/** Puts an id into its bucket, in which it is not yet. */
function insert(table: usize, id: i32): void {
  const bucket = bucketOf(table, firstWord(table, id));
  if (isFull(bucket)) growBucket(table, bucket);
  const shape = load<i32>(bucket, 4);
  putIntoSlot(table, load<usize>(bucket), shape & 31, id);
  store<i32>(bucket, shape + 32, 4);
}

function putIntoSlot(table: usize, start: usize, bits: i32, id: i32): void {
  const mask = (1 << bits) - 1;
  let slot = homeOfId(table, id, bits);
  while (at(start, slot) !== 0) slot = (slot + 1) & mask;
  put(start, slot, id + 1);
}

/** Slots of a new bucket, as a power of two: room for as many prefixes as the others have on average. */
function firstBits(table: usize): i32 {
  const average = get(table, PREFIX_SIZE) / max(1, get(table, PREFIX_BUCKETS_TAKEN));
  return min(MOST_FIRST_SLOT_BITS, max(FEWEST_SLOT_BITS, 32 - clz((average * 4) / 3)));
}

/** Gives a bucket twice as many slots. */
function growBucket(table: usize, bucket: usize): void {
  const old = load<usize>(bucket);
  const shape = load<i32>(bucket, 4);
  const oldBits = shape & 31;
  const bits = old === 0 ? firstBits(table) : oldBits + 1;
  const start = takePiece(table, bits);
  if (old === 0) {
    set(table, PREFIX_BUCKETS_TAKEN, get(table, PREFIX_BUCKETS_TAKEN) + 1);
  } else {
    for (let slot = 0; slot < 1 << oldBits; slot++) {
      const entry = at(old, slot);
      if (entry !== 0) putIntoSlot(table, start, bits, entry - 1);
    }
    freePiece(table, old, oldBits);
  }
  store<usize>(bucket, start);
  store<i32>(bucket, shape - oldBits + bits, 4);
}

/** A piece of memory with 2^bits slots, all empty. */
function takePiece(table: usize, bits: i32): usize {
  const octets = (<usize>4) << bits;
  const freed = pointer(table, <usize>(PREFIX_FREE_PIECES + bits));
  if (freed !== 0) {
    set(table, <usize>(PREFIX_FREE_PIECES + bits), load<i32>(freed));
    memory.fill(freed, 0, octets);
    return freed;
  }
  const chunk = get(table, PREFIX_BUCKET_MASK) === 0 ? SMALL_CHUNK : LARGE_CHUNK;
  if (octets > chunk) return takeChunk(table, octets);
  if (octets > pointer(table, PREFIX_ARENA_LEFT)) {
    set(table, PREFIX_ARENA, <i32>takeChunk(table, chunk));
    set(table, PREFIX_ARENA_LEFT, <i32>chunk);
  }
  const piece = pointer(table, PREFIX_ARENA);
  set(table, PREFIX_ARENA, <i32>(piece + octets));
  set(table, PREFIX_ARENA_LEFT, get(table, PREFIX_ARENA_LEFT) - <i32>octets);
  return piece;
}

/** Memory for slots; returns where they begin. */
function takeChunk(table: usize, octets: usize): usize {
  const chunk = allocate(CHUNK_HEAD + octets);
  touch(chunk, octets);
  store<usize>(chunk, pointer(table, PREFIX_CHUNKS));
  store<usize>(chunk, CHUNK_HEAD + octets, 4);
  set(table, PREFIX_CHUNKS, <i32>chunk);
  return chunk + CHUNK_HEAD;
}

function freePiece(table: usize, piece: usize, bits: i32): void {
  store<i32>(piece, get(table, <usize>(PREFIX_FREE_PIECES + bits)));
  set(table, <usize>(PREFIX_FREE_PIECES + bits), <i32>piece);
}

// Multiply and fold (the constants of MurmurHash3's finaliser, public domain): the high bits are the ones that count.
function home(seed: i32, length: i32, w0: i32, w1: i32, w2: i32, w3: i32): i32 {
  let h = ((w0 ^ seed) + length * 0x9e3779b1) * 0x85ebca6b;
  if (length > 32) {
    h = (h ^ (h >>> 15) ^ w1) * 0xc2b2ae35;
    if (length > 64) {
      h = (h ^ (h >>> 13) ^ w2) * 0x85ebca6b;
      h = (h ^ (h >>> 16) ^ w3) * 0xc2b2ae35;
    }
  }
  h ^= h >>> 15;
  return h * 0xc2b2ae35;
}
