/**
 * What changes in an update group when best paths do (bgp/rib/update-group.ts): the form in which each prefix is exported, and the log that the
 * members read.
 */
import { exportedForm } from './exports';
import { at, get, pointer, put, set, touch } from './fields';
import { exportForm, growLog, senderChanged } from './host';
import {
  FAMILY_BEST_ATTRIBUTE,
  FAMILY_BEST_PEER,
  FAMILY_HELD_BACK,
  FAMILY_PREFIXES,
  GROUP_EXPORT,
  GROUP_FAMILY,
  GROUP_FURTHEST,
  GROUP_LOG,
  GROUP_LOG_COUNT,
  GROUP_LOG_ROOM,
  GROUP_LONE_PEER,
  GROUP_MEMBERS,
  GROUP_OUT,
  GROUP_POSITION,
  GROUP_SHARED_FROM,
  GROUP_SHARED_TO,
  GROUP_TOUCHED,
  NO_PEER,
  NOT_EXPORTED,
  PREFIX_OPENED,
  UNKNOWN_FORM,
} from './layout';

const NONE = -1;

/**
 * The best paths of the first `count` of these prefixes changed; the old ones came from `oldPeers` (16 bits each). Both are addresses.
 */
export function groupOnBest(group: usize, prefixes: usize, oldPeers: usize, count: i32): void {
  const family = pointer(group, GROUP_FAMILY);
  const bestAttribute = pointer(family, FAMILY_BEST_ATTRIBUTE);
  const bestPeer = pointer(family, FAMILY_BEST_PEER);
  const heldBack = pointer(family, FAMILY_HELD_BACK);
  const rules = pointer(group, GROUP_EXPORT);
  const lone = get(group, GROUP_LONE_PEER);
  // Neighbours mostly have the same attributes, and then the same form where prefixes have no say.
  let latestAttribute = -1;
  let latestPeer = -1;
  let form = NOT_EXPORTED;
  for (let i = 0; i < count; i++) {
    const prefix = at(prefixes, i);
    const attribute = at(bestAttribute, prefix);
    const peer = <i32>load<u16>(bestPeer + ((<usize>prefix) << 1));
    // No form is made of what the only member sent itself: it does not get it back.
    if (attribute < 0 || (heldBack !== 0 && load<u8>(heldBack + <usize>prefix) === 1)) {
      form = NOT_EXPORTED;
      latestAttribute = NONE;
    } else if (peer === lone) {
      form = UNKNOWN_FORM;
      latestAttribute = NONE;
    } else if (rules === 0) {
      form = exportForm(group, prefix);
    } else if (attribute !== latestAttribute || peer !== latestPeer) {
      form = exportedForm(rules, attribute, peer);
      latestAttribute = attribute;
      latestPeer = peer;
    }
    if (become(group, prefix, form)) continue;
    const oldPeer = <i32>load<u16>(oldPeers + ((<usize>i) << 1));
    if (form < 0 || oldPeer === peer) continue;
    // Same announcement, but nobody gets back what he sent: only the two senders see a difference.
    forgetShared(group, prefix);
    senderChanged(group, prefix, oldPeer, peer);
  }
}

/** A prefix id goes back to the table. */
export function groupForget(group: usize, prefix: i32): void {
  // What stands there so already is not written to: a column that nobody ever writes to takes no memory.
  if (knownForm(group, prefix) !== UNKNOWN_FORM) keepForm(group, prefix, UNKNOWN_FORM);
}

/** The form in which a prefix is exported, or NOT_EXPORTED. */
export function groupForm(group: usize, prefix: i32): i32 {
  const known = knownForm(group, prefix);
  if (known !== UNKNOWN_FORM) return known;
  const form = bestForm(group, prefix, NO_PEER);
  keepForm(group, prefix, form);
  return form;
}

/** The form in which the best path of a prefix is exported, or NOT_EXPORTED; of a path that comes from `lone` UNKNOWN_FORM, without making one. */
function bestForm(group: usize, prefix: i32, lone: i32): i32 {
  const family = pointer(group, GROUP_FAMILY);
  const attribute = at(pointer(family, FAMILY_BEST_ATTRIBUTE), prefix);
  if (attribute < 0) return NOT_EXPORTED;
  const heldBack = pointer(family, FAMILY_HELD_BACK);
  if (heldBack !== 0 && load<u8>(heldBack + <usize>prefix) === 1) return NOT_EXPORTED;
  const peer = <i32>load<u16>(pointer(family, FAMILY_BEST_PEER) + ((<usize>prefix) << 1));
  if (peer === lone) return UNKNOWN_FORM;
  const rules = pointer(group, GROUP_EXPORT);
  return rules === 0 ? exportForm(group, prefix) : exportedForm(rules, attribute, peer);
}

/** What is exported of a prefix may be something else. */
export function groupReconsider(group: usize, prefix: i32): void {
  become(group, prefix, bestForm(group, prefix, get(group, GROUP_LONE_PEER)));
}

/** This form is what is exported of a prefix from now on; whether it was not before. */
function become(group: usize, prefix: i32, form: i32): bool {
  const old = knownForm(group, prefix);
  if (form === old) return false;
  if (old === UNKNOWN_FORM && form === NOT_EXPORTED) return true;
  keepForm(group, prefix, form);
  append(group, prefix);
  return true;
}

function knownForm(group: usize, prefix: i32): i32 {
  return at(pointer(group, GROUP_OUT), prefix) + UNKNOWN_FORM;
}

function keepForm(group: usize, prefix: i32, form: i32): void {
  if (prefix >= get(group, GROUP_TOUCHED)) touchColumns(group);
  put(pointer(group, GROUP_OUT), prefix, form - UNKNOWN_FORM);
}

/** Takes memory for the entries of all prefix ids that are open; those of a group that is never told anything stay without. */
function touchColumns(group: usize): void {
  const from = get(group, GROUP_TOUCHED);
  const end = get(pointer(pointer(group, GROUP_FAMILY), FAMILY_PREFIXES), PREFIX_OPENED);
  const first = (<usize>from) << 2;
  const octets = (<usize>(end - from)) << 2;
  touch(pointer(group, GROUP_OUT) + first, octets);
  touch(pointer(group, GROUP_POSITION) + first, octets);
  set(group, GROUP_TOUCHED, end);
}

function append(group: usize, prefix: i32): void {
  if (get(group, GROUP_MEMBERS) === 0) return;
  forgetShared(group, prefix);
  const last = at(pointer(group, GROUP_POSITION), prefix);
  const isListed =
    last >= get(group, GROUP_FURTHEST) &&
    last < get(group, GROUP_LOG_COUNT) &&
    at(pointer(group, GROUP_LOG), last) === prefix;
  if (isListed) return;
  if (get(group, GROUP_LOG_COUNT) === get(group, GROUP_LOG_ROOM)) growLog(group);
  const count = get(group, GROUP_LOG_COUNT);
  put(pointer(group, GROUP_POSITION), prefix, count);
  put(pointer(group, GROUP_LOG), count, prefix);
  set(group, GROUP_LOG_COUNT, count + 1);
}

/** What is kept for other members is out of date if it tells of this prefix. */
function forgetShared(group: usize, prefix: i32): void {
  const position = at(pointer(group, GROUP_POSITION), prefix);
  if (position < get(group, GROUP_SHARED_FROM) || position >= get(group, GROUP_SHARED_TO)) return;
  if (at(pointer(group, GROUP_LOG), position) !== prefix) return;
  set(group, GROUP_SHARED_FROM, NONE);
  set(group, GROUP_SHARED_TO, NONE);
}
