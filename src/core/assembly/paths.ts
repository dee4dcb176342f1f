/**
 * The inside of Adj-RIB-In (bgp/rib/path-table.ts says what it is for): chains of records by prefix, pages of records by peer.
 *
 * Pages of one peer are a chain in the order in which it took them; so are those that nobody has. References on attributes are the caller's
 * matter.
 */
import { at, get, pointer, put, set } from './fields';
import { addPathIds, allocate, growRecords, release } from './host';
import {
  PATH_PAGE_BITS,
  PATHS_ATTRIBUTE,
  PATHS_CAPACITY,
  PATHS_EFFECTIVE,
  PATHS_FREE_PAGES,
  PATHS_GENERATION,
  PATHS_HEAD,
  PATHS_NEXT,
  PATHS_NEXT_PAGE,
  PATHS_PAGE_PEER,
  PATHS_PAGES,
  PATHS_PATH_ID,
  PATHS_PEER_BITS,
  PATHS_PEERS,
  PATHS_PEERS_ROOM,
  PATHS_PREFIX,
  PATHS_TICK,
} from './layout';

const NONE = -1;
const PAGE = 1 << PATH_PAGE_BITS;

/** Fields of what is known of a peer. Pages and records are one more than their numbers: 0 stands for none. */
/** chain through `next` of its free records, which end with NONE there */
const PEER_FREE = 0;
/** records of the newest page that it has not had yet */
const PEER_LEFT = 1;
const PEER_COUNT = 2;
const PEER_FIRST_PAGE = 3;
const PEER_LAST_PAGE = 4;
const PEER_OCTETS: usize = 32;
const FEWEST_PEERS = 16;

/** The peer of a record. */
export function peerOfRecord(paths: usize, record: i32): i32 {
  return <i32>load<u16>(pointer(paths, PATHS_PAGE_PEER) + ((<usize>(record >>> PATH_PAGE_BITS)) << 1));
}

/** Records of a peer. */
export function pathCount(paths: usize, peer: i32): i32 {
  return peer < get(paths, PATHS_PEERS_ROOM) ? get(peerAt(paths, peer), PEER_COUNT) : 0;
}

/** The path identifier of a record. */
export function pathIdOf(paths: usize, record: i32): i32 {
  const pathIds = pointer(paths, PATHS_PATH_ID);
  return pathIds === 0 ? 0 : at(pathIds, record);
}

/** The record of a peer's path to a prefix, or -1. */
export function pathFind(paths: usize, prefix: i32, peer: i32, pathId: i32): i32 {
  let record = at(pointer(paths, PATHS_HEAD), prefix);
  // The records of a prefix lie far apart: who is surely not there is not looked for.
  if (record === NONE || (<i32>load<u16>(peerBits(paths, prefix)) & (1 << (peer & 15))) === 0) return NONE;
  const next = pointer(paths, PATHS_NEXT);
  const pathIds = pointer(paths, PATHS_PATH_ID);
  while (record !== NONE) {
    if (peerOfRecord(paths, record) === peer && (pathIds === 0 ? 0 : at(pathIds, record)) === pathId) break;
    record = at(next, record);
  }
  return record;
}

/** Adds a record; the best path of a prefix stays the first one. */
export function pathAdd(
  paths: usize,
  prefix: i32,
  peer: i32,
  pathId: i32,
  attribute: i32,
  effective: i32,
  tick: i32,
  generation: i32,
): i32 {
  const record = takeRecord(paths, peer);
  if (pathId !== 0 && get(paths, PATHS_PATH_ID) === 0) addPathIds(paths);
  const head = pointer(paths, PATHS_HEAD);
  const next = pointer(paths, PATHS_NEXT);
  const first = at(head, prefix);
  const bits = peerBits(paths, prefix);
  const bit = 1 << (peer & 15);
  if (first === NONE) {
    put(next, record, NONE);
    put(head, prefix, record);
    store<u16>(bits, bit);
  } else {
    put(next, record, at(next, first));
    put(next, first, record);
    store<u16>(bits, <i32>load<u16>(bits) | bit);
  }
  put(pointer(paths, PATHS_PREFIX), record, prefix);
  put(pointer(paths, PATHS_ATTRIBUTE), record, attribute);
  put(pointer(paths, PATHS_EFFECTIVE), record, effective);
  put(pointer(paths, PATHS_TICK), record, tick);
  store<u8>(pointer(paths, PATHS_GENERATION) + <usize>record, generation);
  const pathIds = pointer(paths, PATHS_PATH_ID);
  if (pathIds !== 0) put(pathIds, record, pathId);
  return record;
}

/** As `pathAdd` for `count` prefixes with ids in a row, to which there is no path yet, without path identifiers. */
export function pathAddFirst(
  paths: usize,
  prefixes: i32,
  count: i32,
  peer: i32,
  attribute: i32,
  effective: i32,
  tick: i32,
  generation: i32,
): void {
  const bit = 1 << (peer & 15);
  const end = prefixes + count;
  let prefix = prefixes;
  while (prefix < end) {
    let record = takeRecord(paths, peer);
    const owner = peerAt(paths, peer);
    // The rest of a page is this peer's too; a record that is used again stands anywhere.
    const isNewest = record >>> PATH_PAGE_BITS === get(owner, PEER_LAST_PAGE) - 1;
    const left = get(owner, PEER_LEFT);
    const follows = isNewest && (record & (PAGE - 1)) === PAGE - 1 - left;
    const more = follows ? min(left, end - prefix - 1) : 0;
    set(owner, PEER_LEFT, left - more);
    set(owner, PEER_COUNT, get(owner, PEER_COUNT) + more);
    const head = pointer(paths, PATHS_HEAD);
    const bits = pointer(paths, PATHS_PEER_BITS);
    const next = pointer(paths, PATHS_NEXT);
    const prefixOf = pointer(paths, PATHS_PREFIX);
    const attributes = pointer(paths, PATHS_ATTRIBUTE);
    const effectives = pointer(paths, PATHS_EFFECTIVE);
    const ticks = pointer(paths, PATHS_TICK);
    const generations = pointer(paths, PATHS_GENERATION);
    const pathIds = pointer(paths, PATHS_PATH_ID);
    const stop = prefix + 1 + more;
    while (prefix < stop) {
      put(head, prefix, record);
      store<u16>(bits + ((<usize>prefix) << 1), bit);
      put(prefixOf, record, prefix);
      put(next, record, NONE);
      put(attributes, record, attribute);
      put(effectives, record, effective);
      put(ticks, record, tick);
      store<u8>(generations + <usize>record, generation);
      if (pathIds !== 0) put(pathIds, record, 0);
      prefix++;
      record++;
    }
  }
}

/** Makes a record the first of its prefix. */
export function pathMoveToFront(paths: usize, prefix: i32, record: i32): void {
  const head = pointer(paths, PATHS_HEAD);
  const next = pointer(paths, PATHS_NEXT);
  const first = at(head, prefix);
  if (first === record || first === NONE) return;
  let before = first;
  while (at(next, before) !== record) {
    before = at(next, before);
    if (before === NONE) return;
  }
  put(next, before, at(next, record));
  put(next, record, first);
  put(head, prefix, record);
}

/** Frees a record; returns its attributes as received. */
export function pathRemove(paths: usize, record: i32): i32 {
  const head = pointer(paths, PATHS_HEAD);
  const next = pointer(paths, PATHS_NEXT);
  const prefixes = pointer(paths, PATHS_PREFIX);
  const prefix = at(prefixes, record);
  let before = at(head, prefix);
  if (before === record) {
    put(head, prefix, at(next, record));
  } else {
    while (at(next, before) !== record) before = at(next, before);
    put(next, before, at(next, record));
  }
  put(prefixes, record, NONE);
  const owner = peerAt(paths, peerOfRecord(paths, record));
  put(next, record, get(owner, PEER_FREE) - 1);
  set(owner, PEER_FREE, record + 1);
  const left = get(owner, PEER_COUNT) - 1;
  set(owner, PEER_COUNT, left);
  if (left === 0) releasePages(paths, owner);
  return at(pointer(paths, PATHS_ATTRIBUTE), record);
}

/** The next record of a peer after `walked` - 1, or the first one for 0; -1 at the end. */
export function pathNextOf(paths: usize, peer: i32, walked: i32): i32 {
  if (pathCount(paths, peer) === 0) return NONE;
  const prefixes = pointer(paths, PATHS_PREFIX);
  let page = walked === 0 ? get(peerAt(paths, peer), PEER_FIRST_PAGE) - 1 : (walked - 1) >>> PATH_PAGE_BITS;
  let record = walked === 0 ? page << PATH_PAGE_BITS : walked;
  // The peer has lost all that it had when the walk came here.
  if (peerOfRecord(paths, page << PATH_PAGE_BITS) !== peer) return NONE;
  while (true) {
    for (const end = (page + 1) << PATH_PAGE_BITS; record < end; record++) {
      if (at(prefixes, record) !== NONE) return record;
    }
    page = at(pointer(paths, PATHS_NEXT_PAGE), page) - 1;
    if (page < 0) return NONE;
    record = page << PATH_PAGE_BITS;
  }
}

/** A record for a peer, which is counted. */
function takeRecord(paths: usize, peer: i32): i32 {
  const owner = roomOf(paths, peer);
  set(owner, PEER_COUNT, get(owner, PEER_COUNT) + 1);
  const free = get(owner, PEER_FREE);
  if (free !== 0) {
    set(owner, PEER_FREE, at(pointer(paths, PATHS_NEXT), free - 1) + 1);
    return free - 1;
  }
  let left = get(owner, PEER_LEFT);
  if (left === 0) {
    takePage(paths, owner, peer);
    left = PAGE;
  }
  set(owner, PEER_LEFT, left - 1);
  return (get(owner, PEER_LAST_PAGE) << PATH_PAGE_BITS) - left;
}

/** Adds a page to those of a peer. */
function takePage(paths: usize, owner: usize, peer: i32): void {
  let page = get(paths, PATHS_FREE_PAGES) - 1;
  if (page >= 0) {
    set(paths, PATHS_FREE_PAGES, at(pointer(paths, PATHS_NEXT_PAGE), page));
  } else {
    page = get(paths, PATHS_PAGES);
    if (page << PATH_PAGE_BITS === get(paths, PATHS_CAPACITY)) growRecords(paths);
    set(paths, PATHS_PAGES, page + 1);
  }
  const octets = (<usize>4) << PATH_PAGE_BITS;
  memory.fill(pointer(paths, PATHS_PREFIX) + <usize>page * octets, 0xff, octets);
  store<u16>(pointer(paths, PATHS_PAGE_PEER) + ((<usize>page) << 1), peer);
  const nextPage = pointer(paths, PATHS_NEXT_PAGE);
  put(nextPage, page, 0);
  const last = get(owner, PEER_LAST_PAGE);
  if (last === 0) set(owner, PEER_FIRST_PAGE, page + 1);
  else put(nextPage, last - 1, page + 1);
  set(owner, PEER_LAST_PAGE, page + 1);
}

/** Gives back all pages of a peer that has no record. */
function releasePages(paths: usize, owner: usize): void {
  put(pointer(paths, PATHS_NEXT_PAGE), get(owner, PEER_LAST_PAGE) - 1, get(paths, PATHS_FREE_PAGES));
  set(paths, PATHS_FREE_PAGES, get(owner, PEER_FIRST_PAGE));
  memory.fill(owner, 0, PEER_OCTETS);
}

/** Where the fields of a peer stand, for which there is room. */
function peerAt(paths: usize, peer: i32): usize {
  return pointer(paths, PATHS_PEERS) + <usize>peer * PEER_OCTETS;
}

/** Where the fields of a peer stand. */
function roomOf(paths: usize, peer: i32): usize {
  const room = get(paths, PATHS_PEERS_ROOM);
  if (peer >= room) {
    let needed = max(FEWEST_PEERS, room);
    while (needed <= peer) needed *= 2;
    const old = pointer(paths, PATHS_PEERS);
    const octets = <usize>room * PEER_OCTETS;
    const longer = allocate(<usize>needed * PEER_OCTETS);
    memory.copy(longer, old, octets);
    if (room > 0) release(old, octets);
    set(paths, PATHS_PEERS, <i32>longer);
    set(paths, PATHS_PEERS_ROOM, needed);
  }
  return peerAt(paths, peer);
}

function peerBits(paths: usize, prefix: i32): usize {
  return pointer(paths, PATHS_PEER_BITS) + ((<usize>prefix) << 1);
}
