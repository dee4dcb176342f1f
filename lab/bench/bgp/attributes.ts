/** Attribute sets: what routes are announced with, what of it must come through an external speaker, and how the two are compared. */
import { attributesIn, CODE, encodeAttribute, type RawAttribute, uint16, uint32 } from './wire.ts';

/** A segment of an AS path: 1 AS_SET, 2 AS_SEQUENCE. */
export interface PathSegment {
  readonly type: number;
  readonly asNumbers: readonly number[];
}

/** A next hop is not part of it: the sender's own address is. */
export interface AttributeSet {
  readonly origin: number;
  readonly path: readonly PathSegment[];
  /** the others, by ascending code */
  readonly others: readonly RawAttribute[];
}

const SEQUENCE = 2;
const SET = 1;
const WELL_KNOWN_FLAGS = 0x40;
const OPTIONAL_TRANSITIVE = 0xc0;
/** Extended communities with this bit stay within an AS (RFC 4360 section 2). */
const NON_TRANSITIVE = 0x40;
const WELL_KNOWN_COMMUNITY = 0xffff;
/** Kept from real tables, with the flags that they must have. */
const KEPT: ReadonlyMap<number, number> = new Map([
  [CODE.med, 0x80],
  [CODE.atomicAggregate, WELL_KNOWN_FLAGS],
  [CODE.aggregator, OPTIONAL_TRANSITIVE],
  [CODE.communities, OPTIONAL_TRANSITIVE],
  [CODE.extendedCommunities, OPTIONAL_TRANSITIVE],
  [CODE.largeCommunities, OPTIONAL_TRANSITIVE],
]);

/** A set of IGP origin with one AS_SEQUENCE. */
export function plainSet(asNumbers: readonly number[]): AttributeSet {
  return { origin: 0, path: [{ type: SEQUENCE, asNumbers }], others: [] };
}

/** The set with `as` in front of its path (RFC 4271 section 5.1.2). */
export function prepended(set: AttributeSet, as: number): AttributeSet {
  const [first, ...rest] = set.path;
  const path =
    first?.type === SEQUENCE && first.asNumbers.length < 255
      ? [{ type: SEQUENCE, asNumbers: [as, ...first.asNumbers] }, ...rest]
      : [{ type: SEQUENCE, asNumbers: [as] }, ...set.path];
  return { ...set, path };
}

/** All AS numbers of the path. */
export function asNumbersOf(set: AttributeSet): readonly number[] {
  return set.path.flatMap(({ asNumbers }) => asNumbers);
}

/**
 * An attribute run of a dump as an external peer may announce it: the path with 4-octet AS numbers, of the other attributes those of `KEPT`,
 * without the communities that forbid to pass a route on. A string says why a route with these attributes cannot be used.
 */
export function setFromRun(run: Uint8Array, hasAs4: boolean): AttributeSet | string {
  let origin: number | undefined;
  let path: PathSegment[] | undefined;
  const others: RawAttribute[] = [];
  for (const { code, value } of attributesIn(run, 0, run.length)) {
    if (code === CODE.origin) origin = value[0];
    if (code === CODE.asPath) path = pathOf(value, hasAs4);
    const flags = KEPT.get(code);
    const kept = flags === undefined ? undefined : valueToKeep(code, value, hasAs4);
    if (flags !== undefined && kept !== undefined) others.push({ code, flags, value: kept });
  }
  if (origin === undefined || origin > 2) return 'no valid ORIGIN';
  if (path === undefined) return 'no AS_PATH';
  if (path.some(({ type }) => type !== SEQUENCE && type !== SET)) return 'a confederation in the AS_PATH';
  if (path.some(({ asNumbers }) => asNumbers.includes(0))) return 'AS 0 in the AS_PATH';
  others.sort((a, b) => a.code - b.code);
  return { origin, path, others };
}

/** The attributes as a sender writes them; `nextHop` undefined: without NEXT_HOP, as MP_REACH_NLRI carries it. */
export function encodeSet(set: AttributeSet, nextHop: Uint8Array | undefined): Buffer {
  return Buffer.concat([
    encodeAttribute(CODE.origin, WELL_KNOWN_FLAGS, Uint8Array.of(set.origin)),
    encodeAttribute(CODE.asPath, WELL_KNOWN_FLAGS, encodePath(set.path)),
    ...(nextHop === undefined ? [] : [encodeAttribute(CODE.nextHop, WELL_KNOWN_FLAGS, nextHop)]),
    ...set.others.map(({ code, flags, value }) => encodeAttribute(code, flags, value)),
  ]);
}

/**
 * What a route announced with `set` must be received with behind the device, as `canonicalForm` writes it: its AS prepended, its own address
 * as next hop, MULTI_EXIT_DISC gone (RFC 4271 section 5.1.4), the rest kept.
 */
export function expectedForm(set: AttributeSet, deviceAs: number, nextHop: Uint8Array): string {
  const passed = { ...prepended(set, deviceAs), others: set.others.filter(({ code }) => code !== CODE.med) };
  const run = encodeSet(passed, nextHop);
  return canonicalForm(run, 0, run.length, undefined);
}

/**
 * Attributes by their code and value in one text that no freedom of the writer shows in: order, extended lengths, the order of communities,
 * how an AS path is cut into segments (`pathText`), whether the next hop stands in MP_REACH_NLRI (`mpNextHop`), there perhaps with a
 * link-local one behind it.
 */
export function canonicalForm(
  octets: Uint8Array,
  from: number,
  to: number,
  mpNextHop: Uint8Array | undefined,
): string {
  const parts: [code: number, text: string][] = [];
  for (const { code, value } of attributesIn(octets, from, to)) {
    if (code === CODE.mpReach || code === CODE.mpUnreach) continue;
    if (code === CODE.nextHop && mpNextHop !== undefined) continue;
    parts.push([code, code === CODE.asPath ? pathText(pathOf(value, true)) : textOf(code, value)]);
  }
  if (mpNextHop !== undefined) parts.push([CODE.nextHop, hex(mpNextHop.subarray(0, 16))]);
  return parts
    .sort(([a], [b]) => a - b)
    .map(([code, text]) => `${code}:${text}`)
    .join(' ');
}

/**
 * A path as one text. Neighbouring AS_SEQUENCEs are joined: a segment holds at most 255 AS numbers, so a path may be cut anywhere, and what
 * RFC 4271 (4.3, 5.1.2, 9.1.2.2) makes of it, the order of the AS numbers and their count, is the same; FRR joins such segments. Of an AS_SET
 * neither order nor repetition means anything (4.3), but two of them count as two ASes and stay two.
 */
function pathText(path: readonly PathSegment[]): string {
  const joined: { readonly type: number; readonly asNumbers: number[] }[] = [];
  for (const { type, asNumbers } of path) {
    const last = joined.at(-1);
    if (type === SEQUENCE && last?.type === SEQUENCE) last.asNumbers.push(...asNumbers);
    else joined.push({ type, asNumbers: [...(type === SET ? new Set(asNumbers) : asNumbers)] });
  }
  return joined.map(({ type, asNumbers }) => `${type}(${asNumbers.join(',')})`).join('');
}

function textOf(code: number, value: Uint8Array): string {
  const size = MEMBER_OCTETS.get(code);
  return size === undefined ? hex(value) : members(value, size).join(',');
}

/** Octets of one community, by attribute. */
const MEMBER_OCTETS: ReadonlyMap<number, number> = new Map([
  [CODE.communities, 4],
  [CODE.extendedCommunities, 8],
  [CODE.largeCommunities, 12],
]);

/** Communities are a set: in order, each once. */
function members(value: Uint8Array, size: number): string[] {
  const texts = new Set<string>();
  for (let at = 0; at + size <= value.length; at += size) texts.add(hex(value.subarray(at, at + size)));
  return [...texts].sort();
}

function valueToKeep(code: number, value: Uint8Array, hasAs4: boolean): Uint8Array | undefined {
  if (code === CODE.communities)
    return filtered(value, 4, (at) => uint16(value, at) !== WELL_KNOWN_COMMUNITY && uint16(value, at) !== 0);
  if (code === CODE.extendedCommunities)
    return filtered(value, 8, (at) => ((value[at] ?? 0) & NON_TRANSITIVE) === 0);
  if (code === CODE.largeCommunities) return filtered(value, 12, () => true);
  if (code === CODE.med) return value.length === 4 ? value : undefined;
  if (code === CODE.atomicAggregate) return value.length === 0 ? value : undefined;
  if (code !== CODE.aggregator || value.length !== (hasAs4 ? 8 : 6)) return undefined;
  if (hasAs4) return uint32(value, 0) === 0 ? undefined : value;
  return uint16(value, 0) === 0 ? undefined : Uint8Array.of(0, 0, ...value);
}

function filtered(value: Uint8Array, size: number, isKept: (at: number) => boolean): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  for (let at = 0; at + size <= value.length; at += size)
    if (isKept(at)) parts.push(value.subarray(at, at + size));
  return parts.length === 0 ? undefined : Buffer.concat(parts);
}

function pathOf(value: Uint8Array, hasAs4: boolean): PathSegment[] {
  const segments: PathSegment[] = [];
  const size = hasAs4 ? 4 : 2;
  for (let at = 0; at + 2 <= value.length; ) {
    const type = value[at] ?? 0;
    const count = value[at + 1] ?? 0;
    at += 2;
    const asNumbers: number[] = [];
    for (let index = 0; index < count; index++, at += size)
      asNumbers.push(hasAs4 ? uint32(value, at) : uint16(value, at));
    // The order within an AS_SET means nothing.
    segments.push({ type, asNumbers: type === SET ? asNumbers.sort((a, b) => a - b) : asNumbers });
  }
  return segments;
}

function encodePath(path: readonly PathSegment[]): Uint8Array {
  const octets = Buffer.alloc(path.reduce((sum, { asNumbers }) => sum + 2 + 4 * asNumbers.length, 0));
  let at = 0;
  for (const { type, asNumbers } of path) {
    octets[at++] = type;
    octets[at++] = asNumbers.length;
    for (const as of asNumbers) at = octets.writeUInt32BE(as, at);
  }
  return octets;
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('hex');
}
