/**
 * What one peer has been told of a family (bgp/rib/peer-output.ts), and how it goes on in the log of its update group: what it is to be told goes into a
 * batch, notes for the other members to a list of theirs (bgp/rib/shared-output.ts).
 */
import { familyFreeIfUnused } from './family';
import { at, get, pointer, put, set } from './fields';
import { groupForm } from './groups';
import { desiredForm, isOwnNextHop } from './host';
import {
  ATTRIBUTE_NEXT_HOP,
  BATCH_ATTRIBUTES,
  FAMILY_BEST_PEER,
  FAMILY_HOLDERS,
  FAMILY_PREFIXES,
  FREE_LENGTH,
  GROUP_FAMILY,
  GROUP_LOG,
  GROUP_LOG_COUNT,
  GROUP_POSITION,
  NOT_EXPORTED,
  OUTPUT_CURSOR,
  OUTPUT_FAMILY,
  OUTPUT_GROUP,
  OUTPUT_PEER,
  OUTPUT_SENT,
  OUTPUT_SENT_COUNT,
  OUTPUT_SENT_WORDS,
  PREFIX_LENGTHS,
  SHARED_ANNOUNCED,
  SHARED_ANNOUNCED_COUNT,
  SHARED_CANCELLED,
  SHARED_NEXT_HOP_COUNT,
  SHARED_NEXT_HOPS,
  SHARED_SENDER_COUNT,
  SHARED_SENDERS,
  SHARED_UNTOLD,
  SHARED_UNTOLD_COUNT,
  SHARED_WITHDRAWN,
  SHARED_WITHDRAWN_COUNT,
} from './layout';
import { batchAnnounce, batchIsFull, batchWithdraw } from './output-batch';

const NONE = -1;

/** Whether a prefix was announced to the peer. */
export function outputWasSent(output: usize, prefix: i32): bool {
  return (at(pointer(output, OUTPUT_SENT), prefix >>> 5) & (1 << (prefix & 31))) !== 0;
}

/** Notes that a prefix was announced to the peer. */
export function outputMarkAnnounced(output: usize, prefix: i32): void {
  const sent = pointer(output, OUTPUT_SENT);
  const word = at(sent, prefix >>> 5);
  const bit = 1 << (prefix & 31);
  if ((word & bit) !== 0) return;
  put(sent, prefix >>> 5, word | bit);
  set(output, OUTPUT_SENT_COUNT, get(output, OUTPUT_SENT_COUNT) + 1);
  const holders = holdersOf(output, prefix);
  store<u16>(holders, load<u16>(holders) + 1);
}

/** Notes that a prefix was withdrawn from the peer, if it was announced; nobody else may need it any more. */
export function outputMarkWithdrawn(output: usize, prefix: i32): void {
  const sent = pointer(output, OUTPUT_SENT);
  const word = at(sent, prefix >>> 5);
  const bit = 1 << (prefix & 31);
  if ((word & bit) === 0) return;
  put(sent, prefix >>> 5, word & ~bit);
  set(output, OUTPUT_SENT_COUNT, get(output, OUTPUT_SENT_COUNT) - 1);
  letGo(output, prefix);
}

/** The peer is gone: nothing has been announced to it. */
export function outputClear(output: usize): void {
  const words = get(output, OUTPUT_SENT_WORDS);
  for (let i = 0; i < words; i++) {
    let word = at(pointer(output, OUTPUT_SENT), i);
    if (word === 0) continue;
    put(pointer(output, OUTPUT_SENT), i, 0);
    for (; word !== 0; word &= word - 1) letGo(output, 32 * i + ctz(word));
  }
  set(output, OUTPUT_SENT_COUNT, 0);
}

/**
 * Takes what the peer has not read of its group's log into a batch, while that has room and not more than `limit` entries; returns how many those were.
 * `shared`: where notes are taken for the other members, or 0.
 */
export function outputTakeLog(output: usize, batch: usize, limit: i32, shared: usize): i32 {
  const group = pointer(output, OUTPUT_GROUP);
  const family = pointer(group, GROUP_FAMILY);
  const peer = get(output, OUTPUT_PEER);
  const from = get(output, OUTPUT_CURSOR);
  const end = min(get(group, GROUP_LOG_COUNT), from + limit);
  const attributes = pointer(batch, BATCH_ATTRIBUTES);
  // Neighbours in the log mostly have the same attributes, and all have few next hops.
  let latest = NOT_EXPORTED;
  let mayHave = false;
  let latestNextHop = NONE;
  let isOwn = false;
  let latestSender = NONE;
  let position = from;
  for (; position < end && !batchIsFull(batch); position++) {
    const prefix = at(pointer(group, GROUP_LOG), position);
    if (at(pointer(group, GROUP_POSITION), prefix) !== position) continue;
    const sender = <i32>load<u16>(pointer(family, FAMILY_BEST_PEER) + ((<usize>prefix) << 1));
    // Nobody gets back what he sent; the others may.
    const isOwnRoute = sender === peer;
    const out = isOwnRoute && shared === 0 ? NOT_EXPORTED : groupForm(group, prefix);
    const form = isOwnRoute ? NOT_EXPORTED : out;
    if (form !== latest) {
      latest = form;
      mayHave = false;
      if (form >= 0) {
        const nextHop = at(pointer(attributes, ATTRIBUTE_NEXT_HOP), form);
        if (nextHop !== latestNextHop) isOwn = isOwnNextHop(output, nextHop) !== 0;
        mayHave = !isOwn;
        if (mayHave && shared !== 0 && nextHop !== latestNextHop) {
          note(shared, SHARED_NEXT_HOPS, SHARED_NEXT_HOP_COUNT, nextHop);
        }
        latestNextHop = nextHop;
      }
    }
    if (mayHave) {
      batchAnnounce(batch, prefix, NONE, form);
      if (shared === 0) continue;
      note(shared, SHARED_ANNOUNCED, SHARED_ANNOUNCED_COUNT, prefix);
      if (sender === latestSender) continue;
      latestSender = sender;
      note(shared, SHARED_SENDERS, SHARED_SENDER_COUNT, sender);
      continue;
    }
    const wasTold = outputWasSent(output, prefix);
    if (form >= 0) takeOther(output, batch, prefix, wasTold);
    else if (wasTold) batchWithdraw(batch, prefix);
    if (shared === 0) continue;
    if (out >= 0) set(shared, SHARED_CANCELLED, 1);
    else if (wasTold) note(shared, SHARED_WITHDRAWN, SHARED_WITHDRAWN_COUNT, prefix);
    else note(shared, SHARED_UNTOLD, SHARED_UNTOLD_COUNT, prefix);
  }
  set(output, OUTPUT_CURSOR, position);
  return position - from;
}

/**
 * Takes prefix ids `from..end-1` into a batch, while that has room; returns the first that was not looked at. Unless forced, an announcement that the
 * peer has is not repeated.
 */
export function outputTakeWalk(output: usize, batch: usize, from: i32, end: i32, isForced: i32): i32 {
  const group = pointer(output, OUTPUT_GROUP);
  const family = pointer(group, GROUP_FAMILY);
  const lengths = pointer(pointer(family, FAMILY_PREFIXES), PREFIX_LENGTHS);
  const peer = get(output, OUTPUT_PEER);
  const attributes = pointer(batch, BATCH_ATTRIBUTES);
  let latestNextHop = NONE;
  let isOwn = false;
  let prefix = from;
  for (; prefix < end && !batchIsFull(batch); prefix++) {
    if (<i32>load<u8>(lengths + <usize>prefix) === FREE_LENGTH) continue;
    const sender = <i32>load<u16>(pointer(family, FAMILY_BEST_PEER) + ((<usize>prefix) << 1));
    // Nobody gets back what he sent.
    let form = sender === peer ? NOT_EXPORTED : groupForm(group, prefix);
    if (form >= 0) {
      const nextHop = at(pointer(attributes, ATTRIBUTE_NEXT_HOP), form);
      if (nextHop !== latestNextHop) isOwn = isOwnNextHop(output, nextHop) !== 0;
      latestNextHop = nextHop;
      if (isOwn) form = desiredForm(output, prefix);
    }
    const wasTold = outputWasSent(output, prefix);
    if (form < 0) {
      if (wasTold) batchWithdraw(batch, prefix);
    } else if (isForced !== 0 || !wasTold) {
      batchAnnounce(batch, prefix, NONE, form);
    }
  }
  return prefix;
}

/** Whether what was noted for the members of a group is what this one is to be told: it has what is withdrawn, and not what was gone for the writer. */
export function sharedSuits(shared: usize, output: usize): bool {
  const withdrawn = pointer(shared, SHARED_WITHDRAWN);
  for (let i = get(shared, SHARED_WITHDRAWN_COUNT) - 1; i >= 0; i--) {
    if (!outputWasSent(output, at(withdrawn, i))) return false;
  }
  const untold = pointer(shared, SHARED_UNTOLD);
  for (let i = get(shared, SHARED_UNTOLD_COUNT) - 1; i >= 0; i--) {
    if (outputWasSent(output, at(untold, i))) return false;
  }
  return true;
}

/** Notes that a peer has been told what was noted for the members of its group. */
export function sharedTold(shared: usize, output: usize): void {
  const withdrawn = pointer(shared, SHARED_WITHDRAWN);
  const withdrawnCount = get(shared, SHARED_WITHDRAWN_COUNT);
  for (let i = 0; i < withdrawnCount; i++) outputMarkWithdrawn(output, at(withdrawn, i));
  const announced = pointer(shared, SHARED_ANNOUNCED);
  const announcedCount = get(shared, SHARED_ANNOUNCED_COUNT);
  for (let i = 0; i < announcedCount; i++) outputMarkAnnounced(output, at(announced, i));
}

/** The peer is the next hop of what the group exports: it may get something else. */
function takeOther(output: usize, batch: usize, prefix: i32, wasTold: bool): void {
  const form = desiredForm(output, prefix);
  if (form >= 0) batchAnnounce(batch, prefix, NONE, form);
  else if (wasTold) batchWithdraw(batch, prefix);
}

function note(shared: usize, list: usize, counter: usize, value: i32): void {
  const count = get(shared, counter);
  put(pointer(shared, list), count, value);
  set(shared, counter, count + 1);
}

/** Takes back that a prefix was announced to the peer. */
function letGo(output: usize, prefix: i32): void {
  const holders = holdersOf(output, prefix);
  const left = load<u16>(holders) - 1;
  store<u16>(holders, left);
  if (left === 0) familyFreeIfUnused(pointer(output, OUTPUT_FAMILY), prefix);
}

/** Where it stands how many peers have a prefix (16 bits). */
function holdersOf(output: usize, prefix: i32): usize {
  return pointer(pointer(output, OUTPUT_FAMILY), FAMILY_HOLDERS) + ((<usize>prefix) << 1);
}
