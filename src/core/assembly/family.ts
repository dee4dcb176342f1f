/** What becomes of a family's prefixes: who waits for a decision, what is decided, and who is told (bgp/rib/family-rib.ts). */
import { attributeRelease, attributeRetain } from './attributes';
import { bestOf, isBefore, isCandidate, isOrdered, rankOfAttributes, UNDECIDED } from './decision';
import { at, get, pointer, put, set } from './fields';
import { groupForget, groupOnBest } from './groups';
import {
  beatenByTie,
  decided,
  decideSteps,
  dirtied,
  growChanged,
  growDirty,
  releaseSet,
  retainSet,
  selectSet,
  shrinkLists,
} from './host';
import {
  ATTRIBUTE_NEXT_HOP,
  ATTRIBUTE_WITH_MED,
  FAMILY_ATTRIBUTES,
  FAMILY_BATCH,
  FAMILY_BEST_ATTRIBUTE,
  FAMILY_BEST_PEER,
  FAMILY_CHANGED,
  FAMILY_CHANGED_COUNT,
  FAMILY_CHANGED_ROOM,
  FAMILY_CURRENT,
  FAMILY_CURRENT_AT,
  FAMILY_CURRENT_COUNT,
  FAMILY_CURRENT_ROOM,
  FAMILY_DIRTY,
  FAMILY_DIRTY_COUNT,
  FAMILY_DIRTY_ROOM,
  FAMILY_FLAGS,
  FAMILY_GROUP_COUNT,
  FAMILY_GROUPS,
  FAMILY_HELD_BACK,
  FAMILY_HOLDERS,
  FAMILY_LOOKS_AT_ALL,
  FAMILY_MOVED,
  FAMILY_MOVED_FROM,
  FAMILY_PATHS,
  FAMILY_PREFIXES,
  FAMILY_REPLACED,
  FAMILY_REPORTS_CHANGES,
  FAMILY_SELECTED,
  FAMILY_TAKES_SEVERAL,
  FAMILY_TELLS_DECIDED,
  LARGE_LIST,
  LOCAL_PEER,
  NO_PATH,
  PATHS_EFFECTIVE,
  PATHS_HEAD,
  PATHS_NEXT,
  PREFIX_CHANGED,
  PREFIX_DIRTY,
} from './layout';
import { pathMoveToFront, peerOfRecord } from './paths';
import { prefixDelete, prefixIsUsed } from './prefix-table';

const NONE = -1;
/** stands for no attributes, and for no code of an unusable path either */
const NONE_YET = 0x7fffffff;

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

/** A path came to a prefix: it is decided anew, unless the best path is sure to stay. */
export function familyPathAdded(family: usize, prefix: i32, record: i32): void {
  if (!isBeaten(family, prefix, record)) familyMarkDirty(family, prefix);
}

/** A path is about to leave a prefix: it is decided anew, unless the best path is sure to stay. */
export function familyPathLeaves(family: usize, prefix: i32, record: i32): void {
  if (!isBystander(family, prefix, record)) familyMarkDirty(family, prefix);
}

/** Decides up to `limit` prefixes that wait for it; returns how many it did. */
export function familyDecide(family: usize, limit: i32): i32 {
  let done = 0;
  while (done < limit) {
    const from = get(family, FAMILY_CURRENT_AT);
    const end = get(family, FAMILY_CURRENT_COUNT);
    if (from === end) {
      if (get(family, FAMILY_DIRTY_COUNT) === 0) {
        set(family, FAMILY_CURRENT_AT, 0);
        set(family, FAMILY_CURRENT_COUNT, 0);
        const room = max(get(family, FAMILY_DIRTY_ROOM), get(family, FAMILY_CURRENT_ROOM));
        if (room > LARGE_LIST) shrinkLists(family);
        break;
      }
      takeUp(family);
      continue;
    }
    const to = min(end, from + min(FAMILY_BATCH, limit - done));
    set(family, FAMILY_CURRENT_AT, to);
    decideBatch(family, from, to);
    done += to - from;
  }
  return done;
}

/** Frees a prefix id without path, decision to make or peer that holds it. */
export function familyFreeIfUnused(family: usize, prefix: i32): void {
  if (at(pointer(pointer(family, FAMILY_PATHS), PATHS_HEAD), prefix) !== NONE) return;
  if (at(pointer(family, FAMILY_BEST_ATTRIBUTE), prefix) !== NONE) return;
  if (load<u16>(pointer(family, FAMILY_HOLDERS) + ((<usize>prefix) << 1)) !== 0) return;
  if (load<u8>(pointer(family, FAMILY_FLAGS) + <usize>prefix) !== 0) return;
  const prefixes = pointer(family, FAMILY_PREFIXES);
  if (!prefixIsUsed(prefixes, prefix)) return;
  const groups = pointer(family, FAMILY_GROUPS);
  for (let i = 0; i < get(family, FAMILY_GROUP_COUNT); i++) groupForget(at(groups, i), prefix);
  prefixDelete(prefixes, prefix);
}

/** Prefixes that wait for a decision. */
function pendingOf(family: usize): i32 {
  return get(family, FAMILY_DIRTY_COUNT) + get(family, FAMILY_CURRENT_COUNT) - get(family, FAMILY_CURRENT_AT);
}

/** The prefixes that wait become the list that is worked off. */
function takeUp(family: usize): void {
  const emptied = get(family, FAMILY_CURRENT);
  const room = get(family, FAMILY_CURRENT_ROOM);
  set(family, FAMILY_CURRENT, get(family, FAMILY_DIRTY));
  set(family, FAMILY_CURRENT_ROOM, get(family, FAMILY_DIRTY_ROOM));
  set(family, FAMILY_CURRENT_COUNT, get(family, FAMILY_DIRTY_COUNT));
  set(family, FAMILY_CURRENT_AT, 0);
  set(family, FAMILY_DIRTY, emptied);
  set(family, FAMILY_DIRTY_ROOM, room);
  set(family, FAMILY_DIRTY_COUNT, 0);
}

/**
 * Whether a new path cannot change a decision that stands: it loses to the best path, alone with it as among all. For a path that the new one
 * would put out by its MED is not the best one, and all other steps order paths whoever else is there.
 */
function isBeaten(family: usize, prefix: i32, record: i32): bool {
  const best = firstIfBest(family, prefix);
  if (best < 0) return false;
  const effective = at(pointer(pointer(family, FAMILY_PATHS), PATHS_EFFECTIVE), record);
  if (effective < 0 || bestPeerOf(family, prefix) === LOCAL_PEER) return true;
  const rank = rankOfAttributes(family, effective);
  const bestRank = rankOfAttributes(family, at(pointer(family, FAMILY_BEST_ATTRIBUTE), prefix));
  if (rank !== bestRank) return rank > bestRank;
  if (!isCandidate(family, record)) return true;
  return isOrdered(family) ? !isBefore(family, record, best) : beatenByTie(family, best, record) !== 0;
}

/** Whether a path takes no part in a decision that stands, not even by keeping another one out by its MED. */
function isBystander(family: usize, prefix: i32, record: i32): bool {
  const best = firstIfBest(family, prefix);
  if (best < 0 || best === record) return false;
  const effective = at(pointer(pointer(family, FAMILY_PATHS), PATHS_EFFECTIVE), record);
  if (effective < 0 || bestPeerOf(family, prefix) === LOCAL_PEER) return true;
  if (get(pointer(family, FAMILY_ATTRIBUTES), ATTRIBUTE_WITH_MED) === 0) return true;
  const bestRank = rankOfAttributes(family, at(pointer(family, FAMILY_BEST_ATTRIBUTE), prefix));
  return rankOfAttributes(family, effective) > bestRank;
}

/** The record of the best path where there is one, nobody looks at the others, and no decision is due; else NONE. */
function firstIfBest(family: usize, prefix: i32): i32 {
  if (get(family, FAMILY_LOOKS_AT_ALL) !== 0) return NONE;
  const attribute = at(pointer(family, FAMILY_BEST_ATTRIBUTE), prefix);
  if (attribute < 0) return NONE;
  if ((load<u8>(pointer(family, FAMILY_FLAGS) + <usize>prefix) & PREFIX_DIRTY) !== 0) return NONE;
  const paths = pointer(family, FAMILY_PATHS);
  const first = at(pointer(paths, PATHS_HEAD), prefix);
  if (first < 0 || at(pointer(paths, PATHS_EFFECTIVE), first) !== attribute) return NONE;
  return peerOfRecord(paths, first) === bestPeerOf(family, prefix) ? first : NONE;
}

function bestPeerOf(family: usize, prefix: i32): i32 {
  return load<u16>(pointer(family, FAMILY_BEST_PEER) + ((<usize>prefix) << 1));
}

/** Decides prefixes of the list that is worked off, from `from` to before `to`, then tells of those that have another best path. */
function decideBatch(family: usize, from: i32, to: i32): void {
  const paths = pointer(family, FAMILY_PATHS);
  const heads = pointer(paths, PATHS_HEAD);
  const nexts = pointer(paths, PATHS_NEXT);
  const effectives = pointer(paths, PATHS_EFFECTIVE);
  const list = pointer(family, FAMILY_CURRENT);
  const flags = pointer(family, FAMILY_FLAGS);
  const bestAttributes = pointer(family, FAMILY_BEST_ATTRIBUTE);
  const bestPeers = pointer(family, FAMILY_BEST_PEER);
  const selected = pointer(family, FAMILY_SELECTED);
  const heldBack = pointer(family, FAMILY_HELD_BACK);
  const reportsChanges = get(family, FAMILY_REPORTS_CHANGES) !== 0;
  const attributes = pointer(family, FAMILY_ATTRIBUTES);
  const moved = pointer(family, FAMILY_MOVED);
  const movedFrom = pointer(family, FAMILY_MOVED_FROM);
  const replaced = pointer(family, FAMILY_REPLACED);
  let count = 0;
  let lost = false;
  // The latest prefix that came to its first and only path, and how many were decided like it: mostly those of a whole message. Their references on the
  // attributes are taken together; its set is the latest one.
  let alikeAttribute = NONE_YET;
  let alikePeer = 0;
  let alike = 0;
  // In the same way the set of the latest next hop, and the sets that were let go.
  let latestHop = NONE;
  let latestSet = NO_PATH;
  let taken = 0;
  let goneSet = NO_PATH;
  let gone = 0;
  const single = get(family, FAMILY_TAKES_SEVERAL) === 0;
  const hops = pointer(attributes, ATTRIBUTE_NEXT_HOP);
  for (let i = from; i < to; i++) {
    const prefix = at(list, i);
    store<u8>(flags + <usize>prefix, load<u8>(flags + <usize>prefix) & ~PREFIX_DIRTY);
    const oldAttribute = at(bestAttributes, prefix);
    const oldSet = at(selected, prefix);
    const first = at(heads, prefix);
    const isFirst =
      oldAttribute === NONE && oldSet === NO_PATH && first !== NONE && at(nexts, first) === NONE;
    if (isFirst && at(effectives, first) === alikeAttribute && peerOfRecord(paths, first) === alikePeer) {
      put(bestAttributes, prefix, alikeAttribute);
      store<u16>(bestPeers + ((<usize>prefix) << 1), <u16>alikePeer);
      put(selected, prefix, latestSet);
      taken++;
      if (reportsChanges) markChanged(family, prefix);
      if (heldBack !== 0) store<u8>(heldBack + <usize>prefix, 1);
      put(moved, count, prefix);
      store<u16>(movedFrom + ((<usize>count) << 1), 0);
      put(replaced, count++, NONE);
      alike++;
      continue;
    }
    let best = bestOf(family, prefix);
    // Only the steps one by one know of several paths that are used together: what they found lasts until the set is made.
    const bySteps = best === UNDECIDED;
    if (bySteps) best = decideSteps(family, prefix);
    const oldPeer = <i32>load<u16>(bestPeers + ((<usize>prefix) << 1));
    const attribute = best < 0 ? NONE : at(effectives, best);
    const peer = best < 0 ? 0 : peerOfRecord(paths, best);
    if (best >= 0 && best !== first) pathMoveToFront(paths, prefix, best);
    // The set of a prefix that has one path, or where one is taken, is that of its next hop.
    const hop = !bySteps && best >= 0 && peer !== LOCAL_PEER ? at(hops, attribute) : NONE;
    let chosen = oldSet;
    if (!single || hop < 0 || oldSet < 0 || at(hops, oldAttribute) !== hop) {
      if (hop >= 0 && hop === latestHop) {
        chosen = latestSet;
        taken++;
      } else {
        chosen = best < 0 ? NO_PATH : selectSet(family, best, bySteps ? 1 : 0);
        if (hop >= 0) {
          if (taken > 0) retainSet(family, latestSet, taken);
          taken = 0;
          latestHop = hop;
          latestSet = chosen;
          if (alike > 0) attributeRetain(attributes, alikeAttribute, alike);
          alike = 0;
          alikeAttribute = NONE_YET;
        }
      }
      put(selected, prefix, chosen);
      if (oldSet >= 0) {
        if (oldSet !== goneSet) {
          if (taken > 0) retainSet(family, latestSet, taken);
          taken = 0;
          if (gone > 0) releaseSet(family, goneSet, gone);
          goneSet = oldSet;
          gone = 0;
        }
        gone++;
      }
    }
    if (chosen !== oldSet) {
      if (reportsChanges) markChanged(family, prefix);
      // Another next hop for what the FIB has is a replacement; what comes new to it waits.
      if (heldBack !== 0 && (chosen < 0 || oldSet < 0))
        store<u8>(heldBack + <usize>prefix, chosen < 0 ? 0 : 1);
    }
    if (attribute === NONE) lost = true;
    if (attribute === oldAttribute && peer === oldPeer) continue;
    if (attribute >= 0) attributeRetain(attributes, attribute, 1);
    put(bestAttributes, prefix, attribute);
    store<u16>(bestPeers + ((<usize>prefix) << 1), <u16>peer);
    put(moved, count, prefix);
    store<u16>(movedFrom + ((<usize>count) << 1), <u16>oldPeer);
    put(replaced, count++, oldAttribute);
    if (!isFirst || chosen < 0 || hop < 0) continue;
    if (alike > 0) attributeRetain(attributes, alikeAttribute, alike);
    alikeAttribute = attribute;
    alikePeer = peer;
    alike = 0;
  }
  if (alike > 0) attributeRetain(attributes, alikeAttribute, alike);
  if (taken > 0) retainSet(family, latestSet, taken);
  if (gone > 0) releaseSet(family, goneSet, gone);
  const groups = pointer(family, FAMILY_GROUPS);
  for (let i = 0; count > 0 && i < get(family, FAMILY_GROUP_COUNT); i++) {
    groupOnBest(at(groups, i), moved, movedFrom, count);
  }
  for (let i = 0; i < count; i++) {
    const old = at(replaced, i);
    if (old >= 0) attributeRelease(attributes, old);
  }
  if (get(family, FAMILY_TELLS_DECIDED) !== 0) decided(family, from, to);
  if (!lost) return;
  for (let i = from; i < to; i++) {
    const prefix = at(pointer(family, FAMILY_CURRENT), i);
    if (at(pointer(family, FAMILY_BEST_ATTRIBUTE), prefix) === NONE) familyFreeIfUnused(family, prefix);
  }
}

function markChanged(family: usize, prefix: i32): void {
  const flags = pointer(family, FAMILY_FLAGS) + <usize>prefix;
  const known = load<u8>(flags);
  if ((known & PREFIX_CHANGED) !== 0) return;
  store<u8>(flags, known | PREFIX_CHANGED);
  const count = get(family, FAMILY_CHANGED_COUNT);
  if (count === get(family, FAMILY_CHANGED_ROOM)) growChanged(family);
  put(pointer(family, FAMILY_CHANGED), count, prefix);
  set(family, FAMILY_CHANGED_COUNT, count + 1);
}
