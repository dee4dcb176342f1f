/** What becomes of a family's prefixes: who waits for a decision. */
import { get, pointer, put, set } from './fields';
import { dirtied, growDirty } from './host';
import {
  FAMILY_CURRENT_AT,
  FAMILY_CURRENT_COUNT,
  FAMILY_DIRTY,
  FAMILY_DIRTY_COUNT,
  FAMILY_DIRTY_ROOM,
  FAMILY_FLAGS,
  PREFIX_DIRTY,
} from './layout';

/** Has a prefix decided anew. */
export function familyMarkDirty(family: usize, prefix: i32): void {
  const flags = pointer(family, FAMILY_FLAGS) + <usize>prefix;
  const known = load<u8>(flags);
  if ((known & PREFIX_DIRTY) !== 0) return;
  store<u8>(flags, known | PREFIX_DIRTY);
  const count = get(family, FAMILY_DIRTY_COUNT);
  if (count === get(family, FAMILY_DIRTY_ROOM)) growDirty(family, count + 1);
  put(pointer(family, FAMILY_DIRTY), count, prefix);
  set(family, FAMILY_DIRTY_COUNT, count + 1);
  if (pendingOf(family) === 1) dirtied(family);
}

/** As `familyMarkDirty` for `count` prefixes with ids in a row, of which none waits for a decision. */
export function familyMarkNew(family: usize, first: i32, count: i32): void {
  const wasIdle = pendingOf(family) === 0;
  const before = get(family, FAMILY_DIRTY_COUNT);
  if (before + count > get(family, FAMILY_DIRTY_ROOM)) growDirty(family, before + count);
  memory.fill(pointer(family, FAMILY_FLAGS) + <usize>first, <u8>PREFIX_DIRTY, <usize>count);
  const dirty = pointer(family, FAMILY_DIRTY);
  for (let i = 0; i < count; i++) put(dirty, before + i, first + i);
  set(family, FAMILY_DIRTY_COUNT, before + count);
  if (wasIdle) dirtied(family);
}

/** Prefixes that wait for a decision. */
function pendingOf(family: usize): i32 {
  return get(family, FAMILY_DIRTY_COUNT) + get(family, FAMILY_CURRENT_COUNT) - get(family, FAMILY_CURRENT_AT);
}
