/** Announcing several paths to a prefix to one peer, and what it has been sent of them (bgp/rib/sent-paths.ts, add-path-output.ts). */
import { attributeKey, attributeOctets, attributeRelease, attributeRetain } from './attributes';
import { at, get, pointer, put, set } from './fields';
import { growSent, lookAgain, withdrawUnsendable } from './host';
import {
  BATCH_ATTRIBUTES,
  BATCH_NEXT,
  BATCH_PACKER,
  BATCH_PREFIXES,
  BATCH_RECORDS,
  BATCH_SET_COUNT,
  FAMILY_HOLDERS,
  FAMILY_PREFIXES,
  PACK_BEGUN,
  PACK_NARROW_KEY,
  PACK_UNSENDABLE,
  SENT_AGAIN,
  SENT_ATTRIBUTE,
  SENT_FAMILY,
  SENT_FIRST,
  SENT_NEXT,
  SENT_PREFIX,
  SENT_PREFIX_COUNT,
  SENT_PREFIX_ROOM,
  SENT_RECORD_ROOM,
} from './layout';
import { batchSetAttribute, batchSetFirst } from './output-batch';
import { packBeginReach, packFinish, packPrefix } from './packer';

const NONE = -1;

/** Writes the announcements of a batch for a peer and notes them. What there is no room for is looked at again later. */
export function pathsWrite(batch: usize, sent: usize): void {
  const count = get(batch, BATCH_SET_COUNT);
  for (let i = 0; i < count; i++) announce(batch, sent, batchSetAttribute(batch, i), batchSetFirst(batch, i));
  packFinish(pointer(batch, BATCH_PACKER));
}

/** Writes the announcements that share attributes, of a chain of entries. */
function announce(batch: usize, sent: usize, attribute: i32, first: i32): void {
  const packer = pointer(batch, BATCH_PACKER);
  const attributes = pointer(batch, BATCH_ATTRIBUTES);
  const next = pointer(batch, BATCH_NEXT);
  const key = attributeKey(attributes, attribute);
  const octets = attributeOctets(attributes, attribute);
  set(packer, PACK_NARROW_KEY, 0);
  // Withdrawals may be under way.
  packFinish(packer);
  let entry = first;
  while (entry !== NONE) {
    const start = packBeginReach(packer, key, octets);
    if (start === PACK_UNSENDABLE) {
      for (; entry !== NONE; entry = at(next, entry)) {
        withdrawUnsendable(
          sent,
          at(pointer(batch, BATCH_PREFIXES), entry),
          at(pointer(batch, BATCH_RECORDS), entry),
        );
      }
      return;
    }
    if (start !== PACK_BEGUN) break;
    const after = fillMessage(batch, sent, attribute, entry);
    packFinish(packer);
    if (after === entry) break;
    entry = after;
  }
  for (; entry !== NONE; entry = at(next, entry)) lookAgain(sent, at(pointer(batch, BATCH_PREFIXES), entry));
}

/** Puts entries from `from` on into the message that was begun; returns the first that it has no room for, or -1. */
function fillMessage(batch: usize, sent: usize, attribute: i32, from: i32): i32 {
  const packer = pointer(batch, BATCH_PACKER);
  const attributes = pointer(batch, BATCH_ATTRIBUTES);
  const prefixes = pointer(pointer(sent, SENT_FAMILY), FAMILY_PREFIXES);
  const next = pointer(batch, BATCH_NEXT);
  for (let entry = from; entry !== NONE; entry = at(next, entry)) {
    const prefix = at(pointer(batch, BATCH_PREFIXES), entry);
    const record = at(pointer(batch, BATCH_RECORDS), entry);
    if (record >= get(sent, SENT_RECORD_ROOM) || prefix >= get(sent, SENT_PREFIX_ROOM)) growSent(sent);
    const known = at(pointer(sent, SENT_PREFIX), record);
    if (known === prefix + 1 && at(pointer(sent, SENT_ATTRIBUTE), record) === attribute) continue;
    if (known !== 0 && known !== prefix + 1) {
      // The peer has the record for another prefix: that one waits for its decision, or in the queue, to be withdrawn.
      lookAgain(sent, prefix);
      continue;
    }
    // A path's identifier is its record + 1 (bgp/rib/path-messages.ts).
    if (!packPrefix(packer, prefixes, prefix, record + 1)) return entry;
    noteAnnounced(sent, attributes, prefix, record, attribute);
  }
  return NONE;
}

/** Notes that a path is announced. Its record does not stand for another prefix. */
function noteAnnounced(sent: usize, attributes: usize, prefix: i32, record: i32, attribute: i32): void {
  attributeRetain(attributes, attribute, 1);
  const known = pointer(sent, SENT_PREFIX);
  if (at(known, record) === prefix + 1) {
    const old = at(pointer(sent, SENT_ATTRIBUTE), record);
    put(pointer(sent, SENT_ATTRIBUTE), record, attribute);
    if (old !== SENT_AGAIN) attributeRelease(attributes, old);
    return;
  }
  const firsts = pointer(sent, SENT_FIRST);
  const first = at(firsts, prefix);
  if (first === 0) {
    const holders = pointer(pointer(sent, SENT_FAMILY), FAMILY_HOLDERS) + ((<usize>prefix) << 1);
    store<u16>(holders, load<u16>(holders) + 1);
    set(sent, SENT_PREFIX_COUNT, get(sent, SENT_PREFIX_COUNT) + 1);
  }
  put(pointer(sent, SENT_NEXT), record, first);
  put(firsts, prefix, record + 1);
  put(known, record, prefix + 1);
  put(pointer(sent, SENT_ATTRIBUTE), record, attribute);
}
