/** AS_PATH and AS4_PATH on the wire: RFC 4271 4.3, RFC 5065, RFC 6793, RFC 7607, checks of RFC 7606 7.2. */
import { int32, noOctets, putUint16, putUint32, uint16, uint32 } from './bytes.ts';
import { AS_TRANS, SEGMENT } from './registry.ts';
import type { AsPathSegment } from './types.ts';

const TYPES: readonly (AsPathSegment['type'] | undefined)[] = [
  undefined,
  'set',
  'sequence',
  'confed-sequence',
  'confed-set',
];

/** Members that one segment can hold, RFC 4271 4.3. */
const SEGMENT_MEMBERS_MAX = 255;

/** What an AS_PATH may not hold, beyond being well formed. */
export interface AsPathRules {
  /** RFC 5065 5: confederation segments come only from members of our confederation */
  readonly confederationSegments: boolean;
  /** RFC 9774 3 */
  readonly sets: boolean;
}

/** Says what is wrong with an AS_PATH or AS4_PATH value (RFC 7606 7.2), or undefined. */
export function asPathProblem(
  bytes: Uint8Array,
  start: number,
  end: number,
  asOctets: 2 | 4,
  rules: AsPathRules,
): string | undefined {
  let at = start;
  while (at < end) {
    if (end - at < 2) return 'a single octet is left after the last segment';
    const type = bytes[at] ?? 0;
    const count = bytes[at + 1] ?? 0;
    if (type < SEGMENT.set || type > SEGMENT.confedSet) return `segment type ${type} is unknown`;
    if (type >= SEGMENT.confedSequence && !rules.confederationSegments) {
      return 'confederation segments from a peer outside our confederation';
    }
    if (type === SEGMENT.set && !rules.sets) return 'an AS_SET';
    if (count === 0) return 'a segment without members';
    at += 2;
    const segmentEnd = at + count * asOctets;
    if (segmentEnd > end) return 'a segment runs past the end of the attribute';
    for (; at < segmentEnd; at += asOctets) {
      // RFC 7607 2. Signed, as the engine keeps numbers of 32 bits cheaply only so.
      if ((asOctets === 4 ? int32(bytes, at) : uint16(bytes, at)) === 0) return 'AS number 0';
    }
  }
  return undefined;
}

/** Writes a checked AS_PATH of 2-octet numbers with 4-octet numbers at `target[at..]`. Returns the offset after it. */
export function widenAsPath(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  let to = at;
  let from = start;
  while (from < end) {
    const count = bytes[from + 1] ?? 0;
    target[to] = bytes[from] ?? 0;
    target[to + 1] = count;
    to += 2;
    from += 2;
    for (let i = 0; i < count; i++, from += 2, to += 4) putUint32(target, to, uint16(bytes, from));
  }
  return to;
}

/** RFC 6793 4.2.2: writes a 4-octet AS_PATH with 2-octet numbers, AS_TRANS for those that do not fit. Returns the offset after it. */
export function narrowAsPath(value: Uint8Array, target: Uint8Array, at: number): number {
  let to = at;
  let from = 0;
  while (from < value.length) {
    const count = value[from + 1] ?? 0;
    target[to] = value[from] ?? 0;
    target[to + 1] = count;
    to += 2;
    from += 2;
    for (let i = 0; i < count; i++, from += 4, to += 2) {
      const as = uint32(value, from);
      putUint16(target, to, as > 0xffff ? AS_TRANS : as);
    }
  }
  return to;
}

/** Whether a 4-octet AS_PATH has a number that does not fit into two octets. */
export function hasWideAs(value: Uint8Array): boolean {
  for (let at = 0; at < value.length; ) {
    const end = at + 2 + 4 * (value[at + 1] ?? 0);
    for (at += 2; at < end; at += 4) if (uint16(value, at) !== 0) return true;
  }
  return false;
}

/** A 4-octet AS_PATH without its confederation segments, which may not stand in an AS4_PATH (RFC 6793 3). */
export function withoutConfederation(value: Uint8Array): Uint8Array {
  const segments = decodeAsPath(value);
  const kept = segments.filter((segment) => segment.type === 'sequence' || segment.type === 'set');
  return kept.length === segments.length ? value : encodeAsPath(kept);
}

/** Hops as the decision process counts them: a set is one (RFC 4271 9.1.2.2 a), confederation segments none (RFC 5065 5.3). */
export function asPathHopCount(value: Uint8Array): number {
  let hops = 0;
  for (let at = 0; at + 1 < value.length; at += 2 + 4 * (value[at + 1] ?? 0)) {
    if (value[at] === SEGMENT.sequence) hops += value[at + 1] ?? 0;
    else if (value[at] === SEGMENT.set) hops++;
  }
  return hops;
}

/** The neighbouring AS (first of a leading sequence) of a 4-octet AS_PATH; undefined if it is empty or starts with a set. */
export function asPathFirst(value: Uint8Array): number | undefined {
  for (let at = 0; at + 1 < value.length; at += 2 + 4 * (value[at + 1] ?? 0)) {
    const type = value[at] ?? 0;
    if (type === SEGMENT.sequence) return uint32(value, at + 2);
    if (type === SEGMENT.set) return undefined;
  }
  return undefined;
}

/**
 * RFC 6793 4.2.3: the path that a 2-octet AS_PATH (already widened) and an AS4_PATH make together. AS4_PATH is ignored when it counts
 * more hops than AS_PATH.
 */
export function reconstructAsPath(asPath: Uint8Array, as4Path: Uint8Array): Uint8Array {
  const tail = withoutConfederation(as4Path);
  let missing = asPathHopCount(asPath) - asPathHopCount(tail);
  if (missing < 0 || tail.length === 0) return asPath;
  const head: AsPathSegment[] = [];
  for (const segment of decodeAsPath(asPath)) {
    if (segment.type === 'confed-sequence' || segment.type === 'confed-set') {
      // Leading, or next to a prepended segment: every one that is reached is either.
      head.push(segment);
      continue;
    }
    if (missing === 0) break;
    if (segment.type === 'set') {
      head.push(segment);
      missing--;
    } else {
      const asNumbers = segment.asNumbers.slice(0, missing);
      head.push({ type: 'sequence', asNumbers });
      missing -= asNumbers.length;
      if (asNumbers.length < segment.asNumbers.length) break;
    }
  }
  const [first, ...rest] = decodeAsPath(tail);
  const last = head.at(-1);
  if (
    first?.type === 'sequence' &&
    last?.type === 'sequence' &&
    first.asNumbers.length + last.asNumbers.length <= SEGMENT_MEMBERS_MAX
  ) {
    const joined = { type: 'sequence', asNumbers: [...last.asNumbers, ...first.asNumbers] } as const;
    return encodeAsPath([...head.slice(0, -1), joined, ...rest]);
  }
  return encodeAsPath([...head, ...decodeAsPath(tail)]);
}

/** Segments of a well-formed 4-octet AS_PATH value. Octets that make no whole segment end the list. */
export function decodeAsPath(value: Uint8Array): AsPathSegment[] {
  const segments: AsPathSegment[] = [];
  for (let at = 0; at + 1 < value.length; ) {
    const type = TYPES[value[at] ?? 0];
    const end = at + 2 + 4 * (value[at + 1] ?? 0);
    if (type === undefined || end > value.length) break;
    const asNumbers: number[] = [];
    for (at += 2; at < end; at += 4) asNumbers.push(uint32(value, at));
    segments.push({ type, asNumbers });
  }
  return segments;
}

/** The 4-octet AS_PATH value of segments; empty ones are left out, those above 255 members split (RFC 4271 5.1.2). */
export function encodeAsPath(segments: readonly AsPathSegment[]): Uint8Array {
  let octets = 0;
  for (const { asNumbers } of segments) {
    octets += 2 * Math.ceil(asNumbers.length / SEGMENT_MEMBERS_MAX) + 4 * asNumbers.length;
  }
  if (octets === 0) return noOctets();
  const value = new Uint8Array(octets);
  let at = 0;
  for (const { type, asNumbers } of segments) {
    for (let from = 0; from < asNumbers.length; from += SEGMENT_MEMBERS_MAX) {
      const members = asNumbers.slice(from, from + SEGMENT_MEMBERS_MAX);
      value[at++] = TYPES.indexOf(type);
      value[at++] = members.length;
      for (const as of members) {
        putUint32(value, at, as);
        at += 4;
      }
    }
  }
  return value;
}

/** RFC 4271 5.1.2: puts AS numbers in front, the first of them leftmost, into the leading sequence while it has room. */
export function prependToAsPath(value: Uint8Array, asNumbers: readonly number[]): Uint8Array {
  if (asNumbers.length === 0) return value;
  const [first, ...rest] = decodeAsPath(value);
  if (first?.type === 'sequence' && first.asNumbers.length + asNumbers.length <= SEGMENT_MEMBERS_MAX) {
    return encodeAsPath([{ type: 'sequence', asNumbers: [...asNumbers, ...first.asNumbers] }, ...rest]);
  }
  const all = first === undefined ? rest : [first, ...rest];
  return encodeAsPath([{ type: 'sequence', asNumbers }, ...all]);
}
