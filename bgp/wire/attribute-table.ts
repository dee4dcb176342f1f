/**
 * The path attributes that we know, one row for each code. To add one is to add a row. What stands in no row is treated by its flags
 * (RFC 4271 5): unknown well-known ones reset, optional transitive ones are passed on, the rest are left out.
 */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { decodeAsPath, encodeAsPath, widenAsPath } from './as-path.ts';
import * as checks from './attribute-checks.ts';
import { copyOctets, noOctets, putUint32, uint16, uint32, uint32Bytes, uint32List } from './bytes.ts';
import type { Action } from './findings.ts';
import { ATTRIBUTE, FLAG, ORIGIN } from './registry.ts';
import type { DecodeContext, LargeCommunity, PathAttributes } from './types.ts';

/** `PathAttributes` while it is being filled. */
export type Draft = { -readonly [K in keyof PathAttributes]: PathAttributes[K] };

/** Writes the canonical value of a checked attribute into `target` at `at` and returns the offset after it. */
export type Canonicalise = (
  bytes: Uint8Array,
  start: number,
  end: number,
  context: DecodeContext,
  target: Uint8Array,
  at: number,
) => number;

export interface AttributeRow {
  readonly code: number;
  /** as IANA has it */
  readonly name: string;
  /** Optional and Transitive bits as registered */
  readonly flags: number;
  /** on other Optional or Transitive bits: treat-as-withdraw (RFC 7606 3(c)) unless the attribute's own document says otherwise */
  readonly onFlagConflict: Action;
  /** what is wrong with a value as received, and what to do about it */
  readonly check: checks.AttributeCheck;
  /** how it stands in an attribute key; undefined: not at all */
  readonly canonicalise: Canonicalise | undefined;
  /** from the canonical value; undefined: kept as octets in `unknown` */
  readonly decode?: (value: Uint8Array, into: Draft) => void;
  /** the canonical value, undefined when the attribute is absent */
  readonly encode?: (attributes: PathAttributes) => Uint8Array | undefined;
}

const WELL_KNOWN = FLAG.transitive;
const OPTIONAL = FLAG.optional;
const OPTIONAL_TRANSITIVE = FLAG.optional | FLAG.transitive;

const copy: Canonicalise = (bytes, start, end, _context, target, at) =>
  copyOctets(bytes, start, end, target, at);

const canonicaliseAsPath: Canonicalise = (bytes, start, end, context, target, at) =>
  context.as4 ? copyOctets(bytes, start, end, target, at) : widenAsPath(bytes, start, end, target, at);

const canonicaliseAggregator: Canonicalise = (bytes, start, end, context, target, at) => {
  if (context.as4) return copyOctets(bytes, start, end, target, at);
  putUint32(target, at, uint16(bytes, start));
  return copyOctets(bytes, start + 2, end, target, at + 4);
};

/** RFC 8092 5: redundant values are removed, the first of each stays. */
const canonicaliseLargeCommunities: Canonicalise = (bytes, start, end, _context, target, at) => {
  if (end - start === 12) return copyOctets(bytes, start, end, target, at);
  const seen = new Set<string>();
  let to = at;
  for (let from = start; from < end; from += 12) {
    const value = largeCommunityId(uint32(bytes, from), uint32(bytes, from + 4), uint32(bytes, from + 8));
    if (seen.has(value)) continue;
    seen.add(value);
    to = copyOctets(bytes, from, from + 12, target, to);
  }
  return to;
};

function largeCommunityId(global: number, local1: number, local2: number): string {
  return `${global}:${local1}:${local2}`;
}

const ORIGINS: readonly PathAttributes['origin'][] = ['igp', 'egp', 'incomplete'];
const ORIGIN_CODES: Readonly<Record<PathAttributes['origin'], number>> = ORIGIN;

function optionalUint32(value: number | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : uint32Bytes(value);
}

function optionalList(values: readonly number[] | undefined): Uint8Array | undefined {
  return values === undefined || values.length === 0 ? undefined : uint32Bytes(...values);
}

const ROWS: readonly AttributeRow[] = [
  {
    code: ATTRIBUTE.origin,
    name: 'ORIGIN',
    flags: WELL_KNOWN,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkOrigin,
    canonicalise: copy,
    decode: (value, into) => {
      into.origin = ORIGINS[value[0] ?? ORIGIN.incomplete] ?? 'incomplete';
    },
    encode: ({ origin }) => Uint8Array.of(ORIGIN_CODES[origin]),
  },
  {
    code: ATTRIBUTE.asPath,
    name: 'AS_PATH',
    flags: WELL_KNOWN,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkAsPath,
    canonicalise: canonicaliseAsPath,
    decode: (value, into) => {
      into.asPath = decodeAsPath(value);
    },
    encode: ({ asPath }) => encodeAsPath(asPath),
  },
  {
    code: ATTRIBUTE.nextHop,
    name: 'NEXT_HOP',
    flags: WELL_KNOWN,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkNextHop,
    canonicalise: undefined,
  },
  {
    code: ATTRIBUTE.multiExitDisc,
    name: 'MULTI_EXIT_DISC',
    flags: OPTIONAL,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkMultiExitDisc,
    canonicalise: copy,
    decode: (value, into) => {
      into.med = uint32(value, 0);
    },
    encode: ({ med }) => optionalUint32(med),
  },
  {
    code: ATTRIBUTE.localPref,
    name: 'LOCAL_PREF',
    flags: WELL_KNOWN,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkLocalPref,
    canonicalise: copy,
    decode: (value, into) => {
      into.localPref = uint32(value, 0);
    },
    encode: ({ localPref }) => optionalUint32(localPref),
  },
  {
    code: ATTRIBUTE.atomicAggregate,
    name: 'ATOMIC_AGGREGATE',
    flags: WELL_KNOWN,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkAtomicAggregate,
    canonicalise: copy,
    decode: (_value, into) => {
      into.atomicAggregate = true;
    },
    encode: ({ atomicAggregate }) => (atomicAggregate === true ? noOctets() : undefined),
  },
  {
    code: ATTRIBUTE.aggregator,
    name: 'AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkAggregator,
    canonicalise: canonicaliseAggregator,
    decode: (value, into) => {
      const address: Address = addressFromBytes(value.subarray(4, 8));
      into.aggregator = { as: uint32(value, 0), address };
    },
    encode: ({ aggregator }) =>
      aggregator && Uint8Array.of(...uint32Bytes(aggregator.as), ...aggregator.address.bytes.subarray(0, 4)),
  },
  {
    code: ATTRIBUTE.communities,
    name: 'COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkCommunities,
    canonicalise: copy,
    decode: (value, into) => {
      into.communities = uint32List(value);
    },
    encode: ({ communities }) => optionalList(communities),
  },
  {
    code: ATTRIBUTE.originatorId,
    name: 'ORIGINATOR_ID',
    flags: OPTIONAL,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkOriginatorId,
    canonicalise: copy,
    decode: (value, into) => {
      into.originatorId = uint32(value, 0);
    },
    encode: ({ originatorId }) => optionalUint32(originatorId),
  },
  {
    code: ATTRIBUTE.clusterList,
    name: 'CLUSTER_LIST',
    flags: OPTIONAL,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkClusterList,
    canonicalise: copy,
    decode: (value, into) => {
      into.clusterList = uint32List(value);
    },
    encode: ({ clusterList }) => optionalList(clusterList),
  },
  {
    code: ATTRIBUTE.mpReachNlri,
    name: 'MP_REACH_NLRI',
    flags: OPTIONAL,
    // RFC 7606 5.3: wrong flags make it incorrect, and 3(j) resets when the NLRI cannot be relied upon.
    onFlagConflict: 'session-reset',
    check: checks.checkElsewhere,
    canonicalise: undefined,
  },
  {
    code: ATTRIBUTE.mpUnreachNlri,
    name: 'MP_UNREACH_NLRI',
    flags: OPTIONAL,
    onFlagConflict: 'session-reset',
    check: checks.checkElsewhere,
    canonicalise: undefined,
  },
  {
    code: ATTRIBUTE.extendedCommunities,
    name: 'EXTENDED COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkExtendedCommunities,
    canonicalise: copy,
    decode: (value, into) => {
      const communities: bigint[] = [];
      for (let at = 0; at + 8 <= value.length; at += 8) {
        communities.push((BigInt(uint32(value, at)) << 32n) | BigInt(uint32(value, at + 4)));
      }
      into.extendedCommunities = communities;
    },
    encode: ({ extendedCommunities }) => {
      if (extendedCommunities === undefined) return undefined;
      const words = extendedCommunities.flatMap((value) => [
        Number(value >> 32n),
        Number(value & 0xffffffffn),
      ]);
      return optionalList(words);
    },
  },
  {
    code: ATTRIBUTE.as4Path,
    name: 'AS4_PATH',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkAs4Path,
    canonicalise: undefined,
  },
  {
    code: ATTRIBUTE.as4Aggregator,
    name: 'AS4_AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkAs4Aggregator,
    canonicalise: undefined,
  },
  {
    code: ATTRIBUTE.ipv6ExtendedCommunities,
    name: 'IPv6 EXTENDED COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkIpv6ExtendedCommunities,
    canonicalise: copy,
  },
  {
    code: ATTRIBUTE.aigp,
    name: 'AIGP',
    flags: OPTIONAL,
    // RFC 7311 3.1: a malformed one is treated like an unrecognised non-transitive attribute.
    onFlagConflict: 'attribute-discard',
    check: checks.checkAigp,
    // RFC 7311 3.2: ignored where AIGP is not enabled, and we enable it nowhere.
    canonicalise: undefined,
  },
  {
    code: ATTRIBUTE.largeCommunities,
    name: 'LARGE_COMMUNITY',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkLargeCommunities,
    canonicalise: canonicaliseLargeCommunities,
    decode: (value, into) => {
      const communities: LargeCommunity[] = [];
      for (let at = 0; at + 12 <= value.length; at += 12) {
        communities.push({
          global: uint32(value, at),
          local1: uint32(value, at + 4),
          local2: uint32(value, at + 8),
        });
      }
      into.largeCommunities = communities;
    },
    encode: ({ largeCommunities }) => encodeLargeCommunities(largeCommunities),
  },
  {
    code: ATTRIBUTE.onlyToCustomer,
    name: 'ONLY_TO_CUSTOMER',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkOnlyToCustomer,
    canonicalise: copy,
    decode: (value, into) => {
      into.onlyToCustomer = uint32(value, 0);
    },
    encode: ({ onlyToCustomer }) => optionalUint32(onlyToCustomer),
  },
  {
    code: ATTRIBUTE.prefixSid,
    name: 'BGP Prefix-SID',
    flags: OPTIONAL_TRANSITIVE,
    onFlagConflict: 'treat-as-withdraw',
    check: checks.checkPrefixSid,
    canonicalise: copy,
  },
];

function encodeLargeCommunities(list: readonly LargeCommunity[] | undefined): Uint8Array | undefined {
  const kept = new Map<string, number[]>();
  for (const { global, local1, local2 } of list ?? []) {
    kept.set(largeCommunityId(global, local1, local2), [global, local1, local2]);
  }
  return optionalList([...kept.values()].flat());
}

/** Rows by attribute code; undefined for codes that we do not know. */
export const ATTRIBUTE_TABLE: readonly (AttributeRow | undefined)[] = Array.from({ length: 256 }, (_, code) =>
  ROWS.find((row) => row.code === code),
);

/** The rows that can be encoded, in ascending order of code. */
export const ENCODED_ROWS: readonly AttributeRow[] = ROWS.filter((row) => row.encode !== undefined);

/** `AS_PATH`, or `attribute 99`. */
export function attributeName(code: number): string {
  return ATTRIBUTE_TABLE[code]?.name ?? `attribute ${code}`;
}
