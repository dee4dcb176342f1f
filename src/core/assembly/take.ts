/** The way into the RIB: NLRI that a peer announces and takes back, as they stand in its messages, become paths (bgp/rib/rib-input.ts). */
import { attributeHold, attributeLetGo } from './attributes';
import { familyMarkDirty, familyMarkNew, familyPathAdded, familyPathLeaves } from './family';
import { at, get, pointer, put, set } from './fields';
import { evaluateImport } from './host';
import {
  EFFECTIVE_CONFLICT,
  FAMILY_ATTRIBUTES,
  FAMILY_PATHS,
  FAMILY_PREFIXES,
  INPUT_ACCEPTED,
  INPUT_DISCARDED,
  INPUT_GENERATION,
  INPUT_LIMIT,
  INPUT_LONG_LIVED,
  INPUT_PEER,
  INPUT_STALE,
  PATHS_ATTRIBUTE,
  PATHS_CONFLICTS,
  PATHS_EFFECTIVE,
  PATHS_GENERATION,
  PATHS_PREFIX,
  PATHS_TICK,
  PREFIX_USED,
  TAKE_EVALUATE,
} from './layout';
import { pathAdd, pathAddFirst, pathCount, pathFind, pathNextOf, pathRemove } from './paths';
import { prefixFind, prefixIntern } from './prefix-table';

/**
 * Paths with these attributes to the NLRI of `start` to before `end`, which can be walked to their end. `addPath`: each follows a path identifier
 * (RFC 7911). `effective`: the attributes after import policy, or a negative code, where the prefixes make no difference, else TAKE_EVALUATE.
 */
export function takeReach(
  family: usize,
  input: usize,
  start: usize,
  end: usize,
  addPath: bool,
  attribute: i32,
  effective: i32,
  tick: i32,
): void {
  const prefixes = pointer(family, FAMILY_PREFIXES);
  const paths = pointer(family, FAMILY_PATHS);
  const peer = get(input, INPUT_PEER);
  const limit = get(input, INPUT_LIMIT);
  let room = limit < 0 ? i32.MAX_VALUE : limit - pathCount(paths, peer);
  let added = 0;
  // Prefixes that nobody had are taken together: `count` of them, with ids from `first` on, all with `alike` in effect.
  let first = 0;
  let count = 0;
  let alike = 0;
  let octet = start;
  while (octet < end) {
    let pathId = 0;
    if (addPath) {
      pathId = bswap(load<i32>(octet));
      octet += 4;
    }
    const length = <i32>load<u8>(octet++);
    const w0 = wordAt(octet, length);
    const w1 = wordAt(octet + 4, length - 32);
    const w2 = wordAt(octet + 8, length - 64);
    const w3 = wordAt(octet + 12, length - 96);
    octet += <usize>((length + 7) >>> 3);
    const used = get(prefixes, PREFIX_USED);
    const prefix =
      room > 0
        ? prefixIntern(prefixes, length, w0, w1, w2, w3)
        : prefixFind(prefixes, length, w0, w1, w2, w3);
    if (prefix === used && pathId === 0) {
      const its =
        effective === TAKE_EVALUATE ? evaluateImport(input, length, w0, w1, w2, w3, attribute) : effective;
      if (count > 0 && its !== alike) {
        takeFirst(family, input, first, count, attribute, alike, tick);
        count = 0;
      }
      if (count === 0) first = prefix;
      count++;
      alike = its;
      added++;
      room--;
      continue;
    }
    if (count > 0) {
      takeFirst(family, input, first, count, attribute, alike, tick);
      count = 0;
    }
    const record = prefix < 0 ? -1 : pathFind(paths, prefix, peer, pathId);
    if (record < 0) {
      if (room <= 0) {
        set(input, INPUT_DISCARDED, get(input, INPUT_DISCARDED) + 1);
        continue;
      }
    } else if (!refresh(paths, input, record) && at(pointer(paths, PATHS_ATTRIBUTE), record) === attribute) {
      continue;
    }
    const its =
      effective === TAKE_EVALUATE ? evaluateImport(input, length, w0, w1, w2, w3, attribute) : effective;
    if (record >= 0) {
      note(paths, input, at(pointer(paths, PATHS_EFFECTIVE), record), -1);
      note(paths, input, its, 1);
      takeInstead(family, record, attribute, its, tick);
      continue;
    }
    const came = pathAdd(paths, prefix, peer, pathId, attribute, its, tick, get(input, INPUT_GENERATION));
    added++;
    room--;
    note(paths, input, its, 1);
    // A first path also when it is unusable: a decision is what lets go of the prefix id later.
    familyPathAdded(family, prefix, came);
  }
  if (count > 0) takeFirst(family, input, first, count, attribute, alike, tick);
  attributeHold(pointer(family, FAMILY_ATTRIBUTES), attribute, added);
}

/** Takes the paths back to the NLRI of `start` to before `end`. */
export function takeWithdrawn(family: usize, input: usize, start: usize, end: usize, addPath: bool): void {
  const prefixes = pointer(family, FAMILY_PREFIXES);
  const paths = pointer(family, FAMILY_PATHS);
  const peer = get(input, INPUT_PEER);
  let octet = start;
  while (octet < end) {
    let pathId = 0;
    if (addPath) {
      pathId = bswap(load<i32>(octet));
      octet += 4;
    }
    const length = <i32>load<u8>(octet++);
    const w0 = wordAt(octet, length);
    const w1 = wordAt(octet + 4, length - 32);
    const w2 = wordAt(octet + 8, length - 64);
    const w3 = wordAt(octet + 12, length - 96);
    octet += <usize>((length + 7) >>> 3);
    const prefix = prefixFind(prefixes, length, w0, w1, w2, w3);
    if (prefix < 0) continue;
    const record = pathFind(paths, prefix, peer, pathId);
    if (record >= 0) takeAway(family, input, record);
  }
}

/** Removes a path. */
export function takeAway(family: usize, input: usize, record: i32): void {
  const paths = pointer(family, FAMILY_PATHS);
  note(paths, input, at(pointer(paths, PATHS_EFFECTIVE), record), -1);
  const generation = <i32>load<u8>(pointer(paths, PATHS_GENERATION) + <usize>record);
  if (generation !== get(input, INPUT_GENERATION)) set(input, INPUT_STALE, get(input, INPUT_STALE) - 1);
  familyPathLeaves(family, at(pointer(paths, PATHS_PREFIX), record), record);
  attributeLetGo(pointer(family, FAMILY_ATTRIBUTES), pathRemove(paths, record));
}

/**
 * Removes those of the peer's paths that are more generations old than `beyond`, of up to `limit` paths from where a walk stands (`pathNextOf`).
 * Returns where it stands now; -1: it has come to the end.
 */
export function takeOld(family: usize, input: usize, walked: i32, beyond: i32, limit: i32): i32 {
  const paths = pointer(family, FAMILY_PATHS);
  const peer = get(input, INPUT_PEER);
  let stands = walked;
  for (let done = 0; done < limit; done++) {
    const record = pathNextOf(paths, peer, stands);
    if (record < 0) return -1;
    stands = record + 1;
    const generation = <i32>load<u8>(pointer(paths, PATHS_GENERATION) + <usize>record);
    const age = (get(input, INPUT_GENERATION) - generation) & 0xff;
    if (age > beyond) takeAway(family, input, record);
  }
  return stands;
}

/** A path has other attributes in effect from now on. */
export function takeAnew(family: usize, input: usize, record: i32, effective: i32): void {
  const paths = pointer(family, FAMILY_PATHS);
  const effectives = pointer(paths, PATHS_EFFECTIVE);
  const before = at(effectives, record);
  if (before === effective) return;
  note(paths, input, before, -1);
  note(paths, input, effective, 1);
  put(effectives, record, effective);
  familyMarkDirty(family, at(pointer(paths, PATHS_PREFIX), record));
}

/** A path has been received with other attributes. */
export function takeInstead(family: usize, record: i32, attribute: i32, effective: i32, tick: i32): void {
  const paths = pointer(family, FAMILY_PATHS);
  const attributes = pointer(family, FAMILY_ATTRIBUTES);
  const column = pointer(paths, PATHS_ATTRIBUTE);
  const before = at(column, record);
  // The new ones first, so that a next hop common to both is not given up and wanted again.
  attributeHold(attributes, attribute, 1);
  put(column, record, attribute);
  put(pointer(paths, PATHS_EFFECTIVE), record, effective);
  put(pointer(paths, PATHS_TICK), record, tick);
  attributeLetGo(attributes, before);
  familyMarkDirty(family, at(pointer(paths, PATHS_PREFIX), record));
}

/** The first paths to `count` new prefixes with ids from `first` on. */
function takeFirst(
  family: usize,
  input: usize,
  first: i32,
  count: i32,
  attribute: i32,
  effective: i32,
  tick: i32,
): void {
  const paths = pointer(family, FAMILY_PATHS);
  const peer = get(input, INPUT_PEER);
  pathAddFirst(paths, first, count, peer, attribute, effective, tick, get(input, INPUT_GENERATION));
  note(paths, input, effective, count);
  familyMarkNew(family, first, count);
}

/** A path is announced again, so it is not stale; whether what is in effect may carry the mark of a long-lived stale one. */
function refresh(paths: usize, input: usize, record: i32): bool {
  const generation = pointer(paths, PATHS_GENERATION) + <usize>record;
  const current = get(input, INPUT_GENERATION);
  if (<i32>load<u8>(generation) === current) return false;
  store<u8>(generation, current);
  set(input, INPUT_STALE, get(input, INPUT_STALE) - 1);
  return get(input, INPUT_LONG_LIVED) !== 0;
}

/** Counts `by` paths more with these attributes in effect. */
function note(paths: usize, input: usize, effective: i32, by: i32): void {
  if (effective >= 0) set(input, INPUT_ACCEPTED, get(input, INPUT_ACCEPTED) + by);
  else if (effective === EFFECTIVE_CONFLICT) set(paths, PATHS_CONFLICTS, get(paths, PATHS_CONFLICTS) + by);
}

/** A word of an address, of which `bits` bits are left. What follows the prefix is masked away, as trailing bits must be (RFC 4271 4.3). */
function wordAt(octet: usize, bits: i32): i32 {
  if (bits <= 0) return 0;
  const word = bswap(load<i32>(octet));
  return bits >= 32 ? word : word & (-1 << (32 - bits));
}
