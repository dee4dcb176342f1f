/** Communities as people ask for them: standard, large, extended, and the names of well-known ones; `*` stands for any part. */
import { bandwidthOf, communityOfName } from '../../../bgp/wire/format.ts';
import type { PathAttributes } from '../../../bgp/wire/types.ts';
import { addressToUint32, parseAddress } from '../../net/address.ts';

/** Whether a path carries such a community. */
export type CommunityMatcher = (attributes: PathAttributes) => boolean;

export type CommunityPattern =
  | { readonly ok: true; readonly matches: CommunityMatcher }
  | { readonly ok: false; readonly error: string };

const FORMS =
  'expected such as 65001:100, 65001:*, no-export, 65001:1:2, rt:65001:100, soo:192.0.2.1:7, bandwidth:65001:* or 0x and 16 digits';

/** Reads a pattern. */
export function parseCommunityPattern(text: string): CommunityPattern {
  const parts = text.split(':');
  const [first = ''] = parts;
  if (/^(rt|soo)$/i.test(first)) return extendedPattern(text, first.toLowerCase(), parts.slice(1));
  if (/^bandwidth(-transitive)?$/i.test(first))
    return bandwidthPattern(text, first.toLowerCase(), parts.slice(1));
  if (/^0x[0-9a-f]{1,16}$/i.test(text)) return rawPattern(BigInt(text));
  if (parts.length === 1) return namedPattern(text);
  if (parts.length === 2) return standardPattern(text, parts);
  if (parts.length === 3) return largePattern(text, parts);
  return fault(text, FORMS);
}

function fault(text: string, problem: string): CommunityPattern {
  return { ok: false, error: `"${text}": ${problem}` };
}

/** A number, 'any' for `*`, or undefined when it is neither or above `most`. */
function readPart(part: string | undefined, most: number): number | 'any' | undefined {
  if (part === '*') return 'any';
  if (part === undefined || !/^\d{1,10}$/.test(part)) return undefined;
  const value = Number(part);
  return value <= most ? value : undefined;
}

const fits = (wanted: number | 'any', value: number): boolean => wanted === 'any' || wanted === value;

function namedPattern(text: string): CommunityPattern {
  const wanted = communityOfName(text);
  if (wanted === undefined) return fault(text, `no well-known community has this name; ${FORMS}`);
  return { ok: true, matches: ({ communities = [] }) => communities.some((value) => value >>> 0 === wanted) };
}

/** RFC 1997 */
function standardPattern(text: string, parts: readonly string[]): CommunityPattern {
  const [high, low] = parts.map((part) => readPart(part, 0xffff));
  if (high === undefined || low === undefined) return fault(text, 'the parts are 0..65535 or *');
  return {
    ok: true,
    matches: ({ communities = [] }) =>
      communities.some((value) => fits(high, value >>> 16) && fits(low, value & 0xffff)),
  };
}

/** RFC 8092 */
function largePattern(text: string, parts: readonly string[]): CommunityPattern {
  const [global, local1, local2] = parts.map((part) => readPart(part, 0xffffffff));
  if (global === undefined || local1 === undefined || local2 === undefined) {
    return fault(text, 'the parts are 0..4294967295 or *');
  }
  return {
    ok: true,
    matches: ({ largeCommunities = [] }) =>
      largeCommunities.some(
        (value) => fits(global, value.global) && fits(local1, value.local1) && fits(local2, value.local2),
      ),
  };
}

function rawPattern(wanted: bigint): CommunityPattern {
  return {
    ok: true,
    matches: ({ extendedCommunities = [] }) => extendedCommunities.includes(wanted),
  };
}

/** RFC 10005: octets per second, of which a float in the community is the nearest. */
function bandwidthPattern(text: string, name: string, parts: readonly string[]): CommunityPattern {
  const [administrator, width = '', ...more] = parts;
  const asNumber = readPart(administrator, 0xffff);
  const octetsPerSec = width === '*' ? 'any' : Math.fround(width === '' ? Number.NaN : Number(width));
  if (asNumber === undefined || more.length > 0 || (octetsPerSec !== 'any' && !(octetsPerSec >= 0)))
    return fault(text, 'the parts are an AS number of two octets and octets per second, or *');
  const type = name === 'bandwidth' ? 0x40n : 0n;
  return {
    ok: true,
    matches: ({ extendedCommunities = [] }) =>
      extendedCommunities.some((value) => {
        const said = value >> 56n === type ? bandwidthOf(value) : undefined;
        return said !== undefined && fits(asNumber, said.asNumber) && fits(octetsPerSec, said.octetsPerSec);
      }),
  };
}

const SUBTYPES: Readonly<Record<string, number>> = { rt: 2, soo: 3 };

/**
 * RFC 4360 3, RFC 5668. A number for an administrator means both the 2-octet and the 4-octet form, one with an L behind it the latter alone.
 */
function extendedPattern(text: string, name: string, parts: readonly string[]): CommunityPattern {
  const [administrator = '', local, ...more] = parts;
  const assigned = readPart(local, 0xffffffff);
  if (assigned === undefined || more.length > 0) return fault(text, FORMS);
  const address = parseAddress(administrator);
  if (address?.family === 'ipv6') return fault(text, 'the address is an IPv4 address (RFC 4360 3.2)');
  const isLong = /^\d+L$/i.test(administrator);
  const wanted =
    address === undefined
      ? readPart(isLong ? administrator.slice(0, -1) : administrator, 0xffffffff)
      : addressToUint32(address);
  if (wanted === undefined) return fault(text, 'the administrator is an AS number, an IPv4 address or *');
  const types = address !== undefined ? [1] : isLong ? [2] : wanted === 'any' ? [0, 1, 2] : [0, 2];
  return {
    ok: true,
    matches: ({ extendedCommunities = [] }) =>
      extendedCommunities.some((value) => {
        const type = Number(value >> 56n);
        if (!types.includes(type) || Number((value >> 48n) & 0xffn) !== SUBTYPES[name]) return false;
        const bits = type === 0 ? 32n : 16n;
        const high = Number((value & 0xffff_ffff_ffffn) >> bits);
        return fits(wanted, high) && fits(assigned, Number(value & ((1n << bits) - 1n)));
      }),
  };
}
