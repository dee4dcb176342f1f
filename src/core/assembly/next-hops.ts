/** Counters of next hops (bgp/rib/next-hops.ts), and the way from the octets of one to its id for those that were asked for lately. */
import { hashOctets, sameOctets } from './attribute-summary';
import { at, pointer, put } from './fields';
import { freeNextHop, internNextHop, nextHopWanted } from './host';
import {
  NEXT_HOP_INTEREST,
  NEXT_HOP_RECENT,
  NEXT_HOP_RECENT_ENTRIES,
  NEXT_HOP_RECENT_OCTETS,
  NEXT_HOP_REFERENCES,
} from './layout';

const NONE = -1;
/** in an entry of `NEXT_HOP_RECENT`: id + 1 or 0, how many octets, and these */
const COUNT = 4;
const OCTETS = 8;

/** The id of the next hop of the key at an address, with a reference taken, or -1 when it has none. Of a global and link-local pair the global one. */
export function nextHopOfKey(nextHops: usize, key: usize): i32 {
  const octets = min(16, <i32>load<u8>(key));
  if (octets === 0) return NONE;
  const start = key + 1;
  const place = hashOctets(start, octets, 0) & (NEXT_HOP_RECENT_ENTRIES - 1);
  const recent = pointer(nextHops, NEXT_HOP_RECENT) + <usize>(place * NEXT_HOP_RECENT_OCTETS);
  const known = load<i32>(recent) - 1;
  if (known >= 0 && load<i32>(recent, COUNT) === octets && sameOctets(recent + OCTETS, start, octets)) {
    const references = pointer(nextHops, NEXT_HOP_REFERENCES);
    put(references, known, at(references, known) + 1);
    return known;
  }
  const id = internNextHop(nextHops, start, octets);
  store<i32>(recent, id + 1);
  store<i32>(recent, octets, COUNT);
  memory.copy(recent + OCTETS, start, octets);
  return id;
}

/** Gives a reference back; the last one frees the id. -1 is ignored. */
export function nextHopRelease(nextHops: usize, id: i32): void {
  if (id < 0) return;
  const references = pointer(nextHops, NEXT_HOP_REFERENCES);
  const left = at(references, id) - 1;
  put(references, id, left);
  if (left > 0) return;
  let recent = pointer(nextHops, NEXT_HOP_RECENT);
  for (let entry = 0; entry < NEXT_HOP_RECENT_ENTRIES; entry++, recent += NEXT_HOP_RECENT_OCTETS) {
    if (load<i32>(recent) === id + 1) store<i32>(recent, 0);
  }
  freeNextHop(nextHops, id);
}

/** A set of attributes with this next hop is on a route now (`by` 1), or its last route is gone (-1). */
export function nextHopInterest(nextHops: usize, id: i32, by: i32): void {
  if (id < 0) return;
  const interest = pointer(nextHops, NEXT_HOP_INTEREST);
  const before = at(interest, id);
  put(interest, id, before + by);
  if (before === 0) nextHopWanted(nextHops, id, 1);
  else if (before + by === 0) nextHopWanted(nextHops, id, 0);
}
