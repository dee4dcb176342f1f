/**
 * A batch of routes on its way into messages for one peer (bgp/rib/output-batch.ts): those with the same attributes together, wherever they
 * stood in the batch.
 */
import { attributeKey, attributeOctets } from './attributes';
import { at, get, pointer, put, set, setPointer } from './fields';
import { allocate, release } from './host';
import {
  BATCH_ATTRIBUTES,
  BATCH_CAPACITY,
  BATCH_COUNT,
  BATCH_HAS_UNSENDABLE,
  BATCH_LEFT,
  BATCH_LEFT_COUNT,
  BATCH_NEXT,
  BATCH_NLRI_OCTETS,
  BATCH_PACKER,
  BATCH_PREFIXES,
  BATCH_RECORDS,
  BATCH_ROOM,
  BATCH_SET_COUNT,
  BATCH_SETS,
  BATCH_SLOT_MASK,
  BATCH_SLOTS,
  BATCH_WITHDRAWN,
  BATCH_WITHDRAWN_COUNT,
  FAMILY_PREFIXES,
  OUTPUT_FAMILY,
  PACK_BEGUN,
  PACK_NARROW_KEY,
  PACK_UNSENDABLE,
} from './layout';
import { outputMarkAnnounced, outputMarkWithdrawn, outputWasSent } from './output';
import { packBeginReach, packBeginWithdraw, packFinish, packPrefix } from './packer';

const NONE = -1;
/** Header, lengths and MP attribute around the attributes of a message, at most. */
const MESSAGE_OVERHEAD = 72;
/** A set of attributes of the batch: octets, and where its numbers stand. */
const SET_BITS: usize = 4;
const ATTRIBUTE: usize = 0;
const FIRST: usize = 4;
const LAST: usize = 8;
const SLOT: usize = 12;

/** Whether no more should be put in. */
export function batchIsFull(batch: usize): bool {
  const capacity = get(batch, BATCH_CAPACITY);
  return (
    get(batch, BATCH_ROOM) <= 0 ||
    get(batch, BATCH_COUNT) === capacity ||
    get(batch, BATCH_WITHDRAWN_COUNT) === capacity
  );
}

/** Puts in a prefix that is to be announced with some attributes; `record` counts where several paths to a prefix are. */
export function batchAnnounce(batch: usize, prefix: i32, record: i32, attribute: i32): void {
  const entry = get(batch, BATCH_COUNT);
  if (entry === get(batch, BATCH_CAPACITY)) grow(batch);
  set(batch, BATCH_COUNT, entry + 1);
  put(pointer(batch, BATCH_PREFIXES), entry, prefix);
  put(pointer(batch, BATCH_RECORDS), entry, record);
  put(pointer(batch, BATCH_NEXT), entry, NONE);
  const slot = slotOf(batch, attribute);
  const known = at(pointer(batch, BATCH_SLOTS), slot);
  if (known !== 0) {
    const each = setAt(batch, known - 1);
    put(pointer(batch, BATCH_NEXT), load<i32>(each, LAST), entry);
    store<i32>(each, entry, LAST);
    set(batch, BATCH_ROOM, get(batch, BATCH_ROOM) - get(batch, BATCH_NLRI_OCTETS));
    return;
  }
  const count = get(batch, BATCH_SET_COUNT);
  const each = setAt(batch, count);
  store<i32>(each, attribute, ATTRIBUTE);
  store<i32>(each, entry, FIRST);
  store<i32>(each, entry, LAST);
  store<i32>(each, slot, SLOT);
  put(pointer(batch, BATCH_SLOTS), slot, count + 1);
  set(batch, BATCH_SET_COUNT, count + 1);
  const octets =
    MESSAGE_OVERHEAD +
    attributeOctets(pointer(batch, BATCH_ATTRIBUTES), attribute) +
    get(batch, BATCH_NLRI_OCTETS);
  set(batch, BATCH_ROOM, get(batch, BATCH_ROOM) - octets);
}

/** Puts in a prefix that is to be withdrawn. */
export function batchWithdraw(batch: usize, prefix: i32): void {
  const count = get(batch, BATCH_WITHDRAWN_COUNT);
  put(pointer(batch, BATCH_WITHDRAWN), count, prefix);
  set(batch, BATCH_WITHDRAWN_COUNT, count + 1);
  set(batch, BATCH_ROOM, get(batch, BATCH_ROOM) - get(batch, BATCH_NLRI_OCTETS));
}

/** The attributes of a set of the batch, by its number. */
export function batchSetAttribute(batch: usize, index: i32): i32 {
  return load<i32>(setAt(batch, index), ATTRIBUTE);
}

/** The first entry of a set of the batch. */
export function batchSetFirst(batch: usize, index: i32): i32 {
  return load<i32>(setAt(batch, index), FIRST);
}

/** Empties it. */
export function batchClear(batch: usize): void {
  const slots = pointer(batch, BATCH_SLOTS);
  for (let i = get(batch, BATCH_SET_COUNT) - 1; i >= 0; i--) put(slots, load<i32>(setAt(batch, i), SLOT), 0);
  set(batch, BATCH_SET_COUNT, 0);
  set(batch, BATCH_COUNT, 0);
  set(batch, BATCH_WITHDRAWN_COUNT, 0);
  set(batch, BATCH_LEFT_COUNT, 0);
  set(batch, BATCH_HAS_UNSENDABLE, 0);
}

/** Writes it for a peer, withdrawals first, and notes what the peer has been sent. */
export function batchWrite(batch: usize, output: usize): void {
  writeWithdrawals(batch, output);
  set(batch, BATCH_WITHDRAWN_COUNT, 0);
  const count = get(batch, BATCH_SET_COUNT);
  for (let i = 0; i < count; i++) {
    writeAnnouncements(batch, output, batchSetAttribute(batch, i), batchSetFirst(batch, i));
  }
  // Attributes that fit into no message: the peer must not keep what it had (RFC 8654 5).
  if (get(batch, BATCH_WITHDRAWN_COUNT) > 0) writeWithdrawals(batch, output);
}

function writeWithdrawals(batch: usize, output: usize): void {
  const packer = pointer(batch, BATCH_PACKER);
  const prefixes = pointer(pointer(output, OUTPUT_FAMILY), FAMILY_PREFIXES);
  const withdrawn = pointer(batch, BATCH_WITHDRAWN);
  const count = get(batch, BATCH_WITHDRAWN_COUNT);
  let from = 0;
  while (from < count) {
    if (packBeginWithdraw(packer) !== PACK_BEGUN) break;
    let to = from;
    for (; to < count; to++) {
      const prefix = at(withdrawn, to);
      // Noted at once, since a prefix may stand in the list twice.
      if (!outputWasSent(output, prefix)) continue;
      if (!packPrefix(packer, prefixes, prefix, 0)) break;
      outputMarkWithdrawn(output, prefix);
    }
    if (to === from) break;
    packFinish(packer);
    from = to;
  }
  for (; from < count; from++) postpone(batch, at(withdrawn, from));
}

function writeAnnouncements(batch: usize, output: usize, attribute: i32, first: i32): void {
  const packer = pointer(batch, BATCH_PACKER);
  const prefixes = pointer(pointer(output, OUTPUT_FAMILY), FAMILY_PREFIXES);
  const ids = pointer(batch, BATCH_PREFIXES);
  const next = pointer(batch, BATCH_NEXT);
  const key = attributeKey(pointer(batch, BATCH_ATTRIBUTES), attribute);
  const octets = attributeOctets(pointer(batch, BATCH_ATTRIBUTES), attribute);
  set(packer, PACK_NARROW_KEY, 0);
  let entry = first;
  while (entry !== NONE) {
    const start = packBeginReach(packer, key, octets);
    if (start === PACK_UNSENDABLE) {
      set(batch, BATCH_HAS_UNSENDABLE, 1);
      for (; entry !== NONE; entry = at(next, entry)) {
        if (outputWasSent(output, at(ids, entry))) batchWithdraw(batch, at(ids, entry));
      }
      return;
    }
    if (start !== PACK_BEGUN) break;
    const before = entry;
    while (entry !== NONE && packPrefix(packer, prefixes, at(ids, entry), 0)) {
      outputMarkAnnounced(output, at(ids, entry));
      entry = at(next, entry);
    }
    if (entry === before) break;
    packFinish(packer);
  }
  for (; entry !== NONE; entry = at(next, entry)) postpone(batch, at(ids, entry));
}

function postpone(batch: usize, prefix: i32): void {
  const count = get(batch, BATCH_LEFT_COUNT);
  put(pointer(batch, BATCH_LEFT), count, prefix);
  set(batch, BATCH_LEFT_COUNT, count + 1);
}

/** Where the numbers of a set of attributes of the batch stand. */
function setAt(batch: usize, index: i32): usize {
  return pointer(batch, BATCH_SETS) + ((<usize>index) << SET_BITS);
}

/** Where these attributes stand, or the empty slot where they belong. */
function slotOf(batch: usize, attribute: i32): i32 {
  const slots = pointer(batch, BATCH_SLOTS);
  const mask = get(batch, BATCH_SLOT_MASK);
  // Ids that lie side by side come up together, so their lowest bits spread them well.
  let slot = attribute & mask;
  while (true) {
    const known = at(slots, slot);
    if (known === 0 || load<i32>(setAt(batch, known - 1), ATTRIBUTE) === attribute) return slot;
    slot = (slot + 1) & mask;
  }
}

/** Makes room for twice the entries, and as many sets of attributes; at most a quarter of the slots is taken. */
function grow(batch: usize): void {
  const capacity = get(batch, BATCH_CAPACITY);
  const octets = (<usize>capacity) << 2;
  lengthen(batch, BATCH_PREFIXES, octets);
  lengthen(batch, BATCH_RECORDS, octets);
  lengthen(batch, BATCH_NEXT, octets);
  lengthen(batch, BATCH_WITHDRAWN, octets);
  lengthen(batch, BATCH_LEFT, 2 * octets);
  lengthen(batch, BATCH_SETS, 4 * octets);
  release(pointer(batch, BATCH_SLOTS), 4 * octets);
  setPointer(batch, BATCH_SLOTS, allocate(8 * octets));
  set(batch, BATCH_SLOT_MASK, 8 * capacity - 1);
  set(batch, BATCH_CAPACITY, 2 * capacity);
  const slots = pointer(batch, BATCH_SLOTS);
  for (let i = get(batch, BATCH_SET_COUNT) - 1; i >= 0; i--) {
    const each = setAt(batch, i);
    const slot = slotOf(batch, load<i32>(each, ATTRIBUTE));
    put(slots, slot, i + 1);
    store<i32>(each, slot, SLOT);
  }
}

/** Doubles what has so many octets. */
function lengthen(batch: usize, field: usize, octets: usize): void {
  const old = pointer(batch, field);
  const longer = allocate(2 * octets);
  memory.copy(longer, old, octets);
  release(old, octets);
  setPointer(batch, field, longer);
}
