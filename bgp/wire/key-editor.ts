/**
 * Changing attribute keys without decoding them: what import filters and export rules do, once for each set of attributes, never for each
 * route. Every function gives a new key, or the same one when nothing changed.
 */
import type { Address } from '../../src/net/address.ts';
import { decodeAsPath, encodeAsPath, prependToAsPath } from './as-path.ts';
import {
  attributeSlice,
  attributesStart,
  encodeNextHop,
  findAttribute,
  valueEnd,
  valueStart,
  writeAttribute,
} from './attribute-key.ts';
import { ATTRIBUTE_TABLE } from './attribute-table.ts';
import { copyOctets, noOctets, uint32, uint32Bytes } from './bytes.ts';
import { ATTRIBUTE, FLAG } from './registry.ts';
import type { AttributeKey, LargeCommunity } from './types.ts';

/** The key with another next hop; undefined takes the next hop away. `linkLocal` counts only beside an IPv6 next hop. */
export function withNextHop(
  key: AttributeKey,
  nextHop: Address | undefined,
  linkLocal?: Address,
): AttributeKey {
  const front = encodeNextHop(nextHop, linkLocal);
  const start = attributesStart(key);
  const edited = new Uint8Array(front.length + key.length - start);
  edited.set(front);
  copyOctets(key, start, key.length, edited, front.length);
  return edited;
}

/** The key with one attribute set to a value, or taken away when the value is undefined. Flags default to the registered ones. */
export function withAttribute(
  key: AttributeKey,
  code: number,
  value: Uint8Array | undefined,
  flags: number = ATTRIBUTE_TABLE[code]?.flags ?? FLAG.optional | FLAG.transitive | FLAG.partial,
): AttributeKey {
  const found = findAttribute(key, code);
  if (found < 0 && value === undefined) return key;
  let from = found;
  if (found < 0) {
    from = attributesStart(key);
    while (from < key.length && (key[from + 1] ?? 0) < code) from = valueEnd(key, from);
  }
  const to = found < 0 ? from : valueEnd(key, found);
  const octets = value === undefined ? 0 : value.length + (value.length > 255 ? 4 : 3);
  const edited = new Uint8Array(key.length - (to - from) + octets);
  let at = copyOctets(key, 0, from, edited, 0);
  if (value !== undefined) at = writeAttribute(edited, at, flags, code, value);
  copyOctets(key, to, key.length, edited, at);
  return edited;
}

/** The key without these attributes. */
export function withoutAttributes(key: AttributeKey, codes: readonly number[]): AttributeKey {
  return codes.reduce((edited, code) => withAttribute(edited, code, undefined), key);
}

/** Without MULTI_EXIT_DISC or with this value, 0..4294967295. */
export function withMed(key: AttributeKey, med: number | undefined): AttributeKey {
  return withAttribute(key, ATTRIBUTE.multiExitDisc, med === undefined ? undefined : uint32Bytes(med));
}

/** Without LOCAL_PREF or with this value, 0..4294967295. */
export function withLocalPref(key: AttributeKey, localPref: number | undefined): AttributeKey {
  return withAttribute(
    key,
    ATTRIBUTE.localPref,
    localPref === undefined ? undefined : uint32Bytes(localPref),
  );
}

/** The first of `asNumbers` becomes leftmost (RFC 4271 5.1.2). */
export function withPrependedAsPath(key: AttributeKey, asNumbers: readonly number[]): AttributeKey {
  if (asNumbers.length === 0) return key;
  const path = attributeSlice(key, ATTRIBUTE.asPath) ?? noOctets();
  return withAttribute(key, ATTRIBUTE.asPath, prependToAsPath(path, asNumbers));
}

/** Each `from` in the AS_PATH becomes `to` (AS override). */
export function withReplacedAs(key: AttributeKey, from: number, to: number): AttributeKey {
  const path = attributeSlice(key, ATTRIBUTE.asPath);
  const segments = path === undefined ? [] : decodeAsPath(path);
  if (!segments.some(({ asNumbers }) => asNumbers.includes(from))) return key;
  const replaced = segments.map(({ type, asNumbers }) => ({
    type,
    asNumbers: asNumbers.map((as) => (as === from ? to : as)),
  }));
  return withAttribute(key, ATTRIBUTE.asPath, encodeAsPath(replaced));
}

/** RFC 6996 5, and RFC 7300's last numbers, which are not private but reserved, left alone. */
function isPrivateAs(as: number): boolean {
  return (as >= 64512 && as <= 65534) || (as >= 4200000000 && as <= 4294967294);
}

/** The key without private AS numbers in its AS_PATH. */
export function withoutPrivateAs(key: AttributeKey): AttributeKey {
  return withMappedPath(key, (asNumbers) => asNumbers.filter((as) => !isPrivateAs(as)));
}

/** The key with each private AS number in its AS_PATH replaced by another. */
export function withPrivateAsReplaced(key: AttributeKey, by: number): AttributeKey {
  return withMappedPath(key, (asNumbers) => asNumbers.map((as) => (isPrivateAs(as) ? by : as)));
}

function withMappedPath(
  key: AttributeKey,
  change: (asNumbers: readonly number[]) => readonly number[],
): AttributeKey {
  const path = attributeSlice(key, ATTRIBUTE.asPath);
  if (path === undefined) return key;
  const segments = decodeAsPath(path).map(({ type, asNumbers }) => ({ type, asNumbers: change(asNumbers) }));
  return withAttribute(key, ATTRIBUTE.asPath, encodeAsPath(segments));
}

/** Adds a standard (32-bit) or large community at the end unless it is there already. */
export function withCommunity(key: AttributeKey, community: number | LargeCommunity): AttributeKey {
  const code = typeof community === 'number' ? ATTRIBUTE.communities : ATTRIBUTE.largeCommunities;
  const value =
    typeof community === 'number'
      ? uint32Bytes(community)
      : uint32Bytes(community.global, community.local1, community.local2);
  const old = attributeSlice(key, code);
  if (old === undefined) return withAttribute(key, code, value);
  if (holdsElement(old, value)) return key;
  const joined = new Uint8Array(old.length + value.length);
  joined.set(old);
  joined.set(value, old.length);
  return withAttribute(key, code, joined, flagsOf(key, code));
}

/** Whether the key carries this standard or large community. */
export function hasCommunity(key: AttributeKey, community: number | LargeCommunity): boolean {
  if (typeof community === 'number') {
    const list = attributeSlice(key, ATTRIBUTE.communities);
    if (list === undefined) return false;
    for (let at = 0; at < list.length; at += 4) if (uint32(list, at) === community >>> 0) return true;
    return false;
  }
  const list = attributeSlice(key, ATTRIBUTE.largeCommunities);
  const value = uint32Bytes(community.global, community.local1, community.local2);
  return list !== undefined && holdsElement(list, value);
}

/** RFC 4360 6: extended communities whose non-transitive bit is set do not cross an AS border. */
export function withoutNonTransitiveExtendedCommunities(key: AttributeKey): AttributeKey {
  const list = attributeSlice(key, ATTRIBUTE.extendedCommunities);
  if (list === undefined) return key;
  const kept = new Uint8Array(list.length);
  let to = 0;
  for (let at = 0; at < list.length; at += 8) {
    if (((list[at] ?? 0) & 0x40) === 0) to = copyOctets(list, at, at + 8, kept, to);
  }
  if (to === list.length) return key;
  const value = to === 0 ? undefined : kept.subarray(0, to);
  return withAttribute(
    key,
    ATTRIBUTE.extendedCommunities,
    value,
    flagsOf(key, ATTRIBUTE.extendedCommunities),
  );
}

/** RFC 4456 8: ORIGINATOR_ID is set if it is not there yet, the cluster id put in front of CLUSTER_LIST. Both unsigned 32-bit. */
export function withReflection(key: AttributeKey, originatorId: number, clusterId: number): AttributeKey {
  const marked =
    findAttribute(key, ATTRIBUTE.originatorId) >= 0
      ? key
      : withAttribute(key, ATTRIBUTE.originatorId, uint32Bytes(originatorId));
  const old = attributeSlice(marked, ATTRIBUTE.clusterList) ?? noOctets();
  const list = new Uint8Array(4 + old.length);
  list.set(uint32Bytes(clusterId));
  list.set(old, 4);
  return withAttribute(marked, ATTRIBUTE.clusterList, list);
}

/** Flags of an attribute that the key has, without Extended Length: keeps the Partial bit over an edit of the value. */
function flagsOf(key: AttributeKey, code: number): number {
  return (key[findAttribute(key, code)] ?? 0) & ~FLAG.extendedLength;
}

function holdsElement(list: Uint8Array, element: Uint8Array): boolean {
  for (let at = 0; at < list.length; at += element.length) {
    let same = true;
    for (let i = 0; i < element.length && same; i++) same = list[at + i] === element[i];
    if (same) return true;
  }
  return false;
}

/** Calls back for each attribute of a key in ascending order of code; the value is borrowed. */
export function forEachAttribute(
  key: AttributeKey,
  visit: (code: number, flags: number, value: Uint8Array) => void,
): void {
  for (let at = attributesStart(key); at < key.length; ) {
    const end = valueEnd(key, at);
    visit(key[at + 1] ?? 0, (key[at] ?? 0) & ~FLAG.extendedLength, key.subarray(valueStart(key, at), end));
    at = end;
  }
}
