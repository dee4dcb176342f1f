/**
 * The inside of the store of path attributes (bgp/rib/attribute-store.ts): octets to ids, references, what the decision reads of them.
 *
 * A hash table with linear probing finds an id again: two words a slot, the hash and the id + 1 or 0, so that a probe stays in one cache line; at most
 * half of the slots are taken. Keys stand in chunks of memory; the room of one that goes is found again by its size.
 */
import {
  AS_PATH,
  findAttribute,
  hashOctets,
  pathOccurrences,
  sameOctets,
  summarize,
  valueEnd,
  valueStart,
} from './attribute-summary';
import { forgetForm } from './exports';
import { at, get, pointer, put, set, touch } from './fields';
import { allocate, attributeFreed, attributeOverReleased, growAttributes, release } from './host';
import {
  ATTRIBUTE_ARENA,
  ATTRIBUTE_ARENA_LEFT,
  ATTRIBUTE_CAPACITY,
  ATTRIBUTE_ENTRIES,
  ATTRIBUTE_EXPORT_COUNT,
  ATTRIBUTE_EXPORTS,
  ATTRIBUTE_FIRST_FREE,
  ATTRIBUTE_FLAGS,
  ATTRIBUTE_FREE_ROOM,
  ATTRIBUTE_NEXT_HOP,
  ATTRIBUTE_NEXT_HOPS,
  ATTRIBUTE_NOTED,
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
  HAS_MED,
} from './layout';
import { nextHopInterest, nextHopOfKey, nextHopRelease } from './next-hops';

const NONE = -1;
/** in place of a rank, which is never negative: the columns have not been read out of the octets */
const NOT_READ: f64 = -1;
/** keys are stored in chunks of so many octets */
const CHUNK: usize = 1 << 18;
/** octets of a key are given out in multiples of 2^this, so that freed room is found again by size */
const GRAIN_BITS = 4;
/** octets of an entry as a power of two, and what stands where in it */
const ENTRY_BITS = 4;
const LOCATION = 0;
const LENGTH = 4;
const HASH = 8;
const REFERENCES = 12;

/** The id of the attributes with the key at an address, with one reference taken for the caller. The key is copied. */
export function attributeIntern(attributes: usize, key: usize, octets: usize): i32 {
  const id = attributeInternForm(attributes, key, octets);
  if (load<f64>(pointer(attributes, ATTRIBUTE_RANK) + ((<usize>id) << 3)) < 0) {
    const flags = summarize(attributes, id, key, key + octets);
    if ((flags & HAS_MED) !== 0) set(attributes, ATTRIBUTE_WITH_MED, get(attributes, ATTRIBUTE_WITH_MED) + 1);
  }
  return id;
}

/** As `attributeIntern`, for attributes that no path enters a decision with: of the columns only the next hop is filled. */
export function attributeInternForm(attributes: usize, key: usize, octets: usize): i32 {
  const hash = hashOctets(key, octets, get(attributes, ATTRIBUTE_SEED));
  let slot = slotOf(attributes, key, octets, hash);
  const found = load<i32>(slot, 4) - 1;
  if (found >= 0) {
    attributeRetain(attributes, found, 1);
    return found;
  }
  const size = get(attributes, ATTRIBUTE_SIZE) + 1;
  if (2 * size > get(attributes, ATTRIBUTE_SLOT_MASK) + 1) {
    growSlots(attributes);
    slot = slotOf(attributes, key, octets, hash);
  }
  const location = takeRoom(attributes, octets);
  memory.copy(location, key, octets);
  let id = get(attributes, ATTRIBUTE_FIRST_FREE);
  if (id !== NONE) {
    set(attributes, ATTRIBUTE_FIRST_FREE, load<i32>(entryOf(attributes, id), LOCATION));
  } else {
    id = get(attributes, ATTRIBUTE_USED);
    if (id === get(attributes, ATTRIBUTE_CAPACITY)) growAttributes(attributes);
    set(attributes, ATTRIBUTE_USED, id + 1);
  }
  set(attributes, ATTRIBUTE_SIZE, size);
  const entry = entryOf(attributes, id);
  store<usize>(entry, location, LOCATION);
  store<usize>(entry, octets, LENGTH);
  store<i32>(entry, hash, HASH);
  store<i32>(entry, 1, REFERENCES);
  store<i32>(slot, hash);
  store<i32>(slot, id + 1, 4);
  store<f64>(pointer(attributes, ATTRIBUTE_RANK) + ((<usize>id) << 3), NOT_READ);
  const nextHop = nextHopOfKey(pointer(attributes, ATTRIBUTE_NEXT_HOPS), location);
  put(pointer(attributes, ATTRIBUTE_NEXT_HOP), id, nextHop);
  return id;
}

/** Takes `count` further references. */
export function attributeRetain(attributes: usize, id: i32, count: i32): void {
  const entry = entryOf(attributes, id);
  store<i32>(entry, load<i32>(entry, REFERENCES) + count, REFERENCES);
}

/** Gives a reference back; the last one frees the id. */
export function attributeRelease(attributes: usize, id: i32): void {
  // What is no id has no entry: never written to, whatever went wrong.
  if (id < 0) attributeOverReleased(attributes, id);
  const entry = entryOf(attributes, id);
  const left = load<i32>(entry, REFERENCES) - 1;
  if (left < 0) attributeOverReleased(attributes, id);
  store<i32>(entry, left, REFERENCES);
  if (left === 0) free(attributes, id);
}

/** Takes references for `count` paths that were received with these attributes, whose next hop is of interest from now on. */
export function attributeHold(attributes: usize, id: i32, count: i32): void {
  if (count === 0) return;
  const uses = pointer(attributes, ATTRIBUTE_USES);
  const before = at(uses, id);
  put(uses, id, before + count);
  attributeRetain(attributes, id, count);
  if (before === 0) nextHopInterest(pointer(attributes, ATTRIBUTE_NEXT_HOPS), nextHop(attributes, id), 1);
}

/** Gives back what `attributeHold` took for one path. */
export function attributeLetGo(attributes: usize, id: i32): void {
  const uses = pointer(attributes, ATTRIBUTE_USES);
  const left = at(uses, id) - 1;
  put(uses, id, left);
  if (left === 0) nextHopInterest(pointer(attributes, ATTRIBUTE_NEXT_HOPS), nextHop(attributes, id), -1);
  attributeRelease(attributes, id);
}

/** How many times an AS stands in the AS_PATH. */
export function attributeOccurrences(attributes: usize, id: i32, as: i32): i32 {
  const path = findPath(attributes, id);
  return path === 0 ? 0 : pathOccurrences(valueStart(path), valueEnd(path), as);
}

/** Whether two sets of attributes carry the same AS_PATH; their columns have been read. */
export function attributeSamePath(attributes: usize, a: i32, b: i32): bool {
  if (a === b) return true;
  const hashes = pointer(attributes, ATTRIBUTE_PATH_HASH);
  if (at(hashes, a) !== at(hashes, b)) return false;
  const lengths = pointer(attributes, ATTRIBUTE_PATH_LENGTH);
  if (load<u16>(lengths + ((<usize>a) << 1)) !== load<u16>(lengths + ((<usize>b) << 1))) return false;
  const pathA = findPath(attributes, a);
  const pathB = findPath(attributes, b);
  if (pathA === 0 || pathB === 0) return pathA === pathB;
  const startA = valueStart(pathA);
  const startB = valueStart(pathB);
  const octets = valueEnd(pathA) - startA;
  return valueEnd(pathB) - startB === octets && sameOctets(startA, startB, octets);
}

/** Where the key of an id stands. */
export function attributeKey(attributes: usize, id: i32): usize {
  return load<usize>(entryOf(attributes, id), LOCATION);
}

/** Octets of its key. */
export function attributeOctets(attributes: usize, id: i32): i32 {
  return load<i32>(entryOf(attributes, id), LENGTH);
}

/** Where the AS_PATH of an id begins, or 0. */
function findPath(attributes: usize, id: i32): usize {
  const entry = entryOf(attributes, id);
  const start = load<usize>(entry, LOCATION);
  return findAttribute(start, start + load<usize>(entry, LENGTH), AS_PATH);
}

function nextHop(attributes: usize, id: i32): i32 {
  return at(pointer(attributes, ATTRIBUTE_NEXT_HOP), id);
}

function entryOf(attributes: usize, id: i32): usize {
  return pointer(attributes, ATTRIBUTE_ENTRIES) + ((<usize>id) << ENTRY_BITS);
}

/** Where a key's slot stands, or the empty one where it belongs. */
function slotOf(attributes: usize, key: usize, octets: usize, hash: i32): usize {
  const slots = pointer(attributes, ATTRIBUTE_SLOTS);
  const mask = get(attributes, ATTRIBUTE_SLOT_MASK);
  let at = hash & mask;
  while (true) {
    const slot = slots + ((<usize>at) << 3);
    const id = load<i32>(slot, 4) - 1;
    if (id < 0) return slot;
    if (load<i32>(slot) === hash) {
      const entry = entryOf(attributes, id);
      if (load<usize>(entry, LENGTH) === octets && sameOctets(load<usize>(entry, LOCATION), key, octets)) {
        return slot;
      }
    }
    at = (at + 1) & mask;
  }
}

function free(attributes: usize, id: i32): void {
  const noted = pointer(attributes, ATTRIBUTE_NOTED) + <usize>id;
  if (load<u8>(noted) !== 0) {
    store<u8>(noted, 0);
    attributeFreed(attributes, id);
  }
  const exports = pointer(attributes, ATTRIBUTE_EXPORTS);
  for (let i = 0; i < get(attributes, ATTRIBUTE_EXPORT_COUNT); i++)
    forgetForm(pointer(exports, <usize>i), id);
  if (load<f64>(pointer(attributes, ATTRIBUTE_RANK) + ((<usize>id) << 3)) >= 0) {
    const flags = <i32>load<u16>(pointer(attributes, ATTRIBUTE_FLAGS) + ((<usize>id) << 1));
    if ((flags & HAS_MED) !== 0) set(attributes, ATTRIBUTE_WITH_MED, get(attributes, ATTRIBUTE_WITH_MED) - 1);
  }
  nextHopRelease(pointer(attributes, ATTRIBUTE_NEXT_HOPS), nextHop(attributes, id));
  removeSlot(attributes, id);
  const entry = entryOf(attributes, id);
  giveRoom(attributes, load<usize>(entry, LOCATION), load<usize>(entry, LENGTH));
  store<i32>(entry, get(attributes, ATTRIBUTE_FIRST_FREE), LOCATION);
  set(attributes, ATTRIBUTE_FIRST_FREE, id);
  set(attributes, ATTRIBUTE_SIZE, get(attributes, ATTRIBUTE_SIZE) - 1);
}

/** Backward-shift deletion keeps probe runs whole without tombstones. */
function removeSlot(attributes: usize, id: i32): void {
  const slots = pointer(attributes, ATTRIBUTE_SLOTS);
  const mask = get(attributes, ATTRIBUTE_SLOT_MASK);
  let hole = load<i32>(entryOf(attributes, id), HASH) & mask;
  while (load<i32>(slots + ((<usize>hole) << 3), 4) !== id + 1) hole = (hole + 1) & mask;
  for (let from = (hole + 1) & mask; ; from = (from + 1) & mask) {
    const slot = slots + ((<usize>from) << 3);
    if (load<i32>(slot, 4) === 0) break;
    if (((from - load<i32>(slot)) & mask) >= ((from - hole) & mask)) {
      store<u64>(slots + ((<usize>hole) << 3), load<u64>(slot));
      hole = from;
    }
  }
  store<u64>(slots + ((<usize>hole) << 3), 0);
}

/** Twice as many slots: what is not there takes no pages, and look-ups that go all over the place stay among fewer. */
function growSlots(attributes: usize): void {
  const old = pointer(attributes, ATTRIBUTE_SLOTS);
  const oldEnd = old + ((<usize>get(attributes, ATTRIBUTE_SLOT_MASK) + 1) << 3);
  const octets = (oldEnd - old) << 1;
  const slots = allocate(octets);
  touch(slots, octets);
  const mask = <i32>(octets >>> 3) - 1;
  for (let from = old; from < oldEnd; from += 8) {
    if (load<i32>(from, 4) === 0) continue;
    let to = load<i32>(from) & mask;
    while (load<i32>(slots + ((<usize>to) << 3), 4) !== 0) to = (to + 1) & mask;
    store<u64>(slots + ((<usize>to) << 3), load<u64>(from));
  }
  set(attributes, ATTRIBUTE_SLOTS, <i32>slots);
  set(attributes, ATTRIBUTE_SLOT_MASK, mask);
  release(old, oldEnd - old);
}

/** Room for the octets of a key. */
function takeRoom(attributes: usize, octets: usize): usize {
  const grains = (octets + (1 << GRAIN_BITS) - 1) >>> GRAIN_BITS;
  const chain = pointer(attributes, ATTRIBUTE_FREE_ROOM) + (grains << 2);
  const freed = load<usize>(chain);
  if (freed !== 0) {
    store<usize>(chain, load<usize>(freed));
    return freed;
  }
  const room = grains << GRAIN_BITS;
  if (room > pointer(attributes, ATTRIBUTE_ARENA_LEFT)) {
    set(attributes, ATTRIBUTE_ARENA, <i32>allocate(CHUNK));
    set(attributes, ATTRIBUTE_ARENA_LEFT, <i32>CHUNK);
  }
  const location = pointer(attributes, ATTRIBUTE_ARENA);
  set(attributes, ATTRIBUTE_ARENA, <i32>(location + room));
  set(attributes, ATTRIBUTE_ARENA_LEFT, get(attributes, ATTRIBUTE_ARENA_LEFT) - <i32>room);
  return location;
}

function giveRoom(attributes: usize, location: usize, octets: usize): void {
  const grains = (octets + (1 << GRAIN_BITS) - 1) >>> GRAIN_BITS;
  const chain = pointer(attributes, ATTRIBUTE_FREE_ROOM) + (grains << 2);
  store<usize>(location, load<usize>(chain));
  store<usize>(chain, location);
}
