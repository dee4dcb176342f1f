/** Rewriting keys by octets must do what decoding, changing and encoding does. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type KeyEdits,
  keyHasCommunity,
  keyPathStartsWith,
  rewriteKey,
} from '../../../../bgp/policy/key-rewrite.ts';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import type { AsPathSegment, PathAttributes } from '../../../../bgp/wire/types.ts';
import { addressFromBytes } from '../../../../src/net/address.ts';

const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const asNumber = fc.integer({ min: 1, max: 0xffffffff });
const large = fc.record({ global: uint32, local1: uint32, local2: uint32 });
const segment: fc.Arbitrary<AsPathSegment> = fc.record({
  type: fc.constantFrom('sequence' as const, 'set' as const),
  asNumbers: fc.oneof(
    fc.array(asNumber, { minLength: 1, maxLength: 4 }),
    fc.array(asNumber, { minLength: 253, maxLength: 255 }),
  ),
});
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const arbitraryAttributes: fc.Arbitrary<PathAttributes> = fc
  .record({
    nextHop: optional(fc.uint8Array({ minLength: 4, maxLength: 4 }).map(addressFromBytes)),
    origin: fc.constantFrom('igp' as const, 'egp' as const, 'incomplete' as const),
    asPath: fc.array(segment, { maxLength: 3 }),
    med: optional(uint32),
    localPref: optional(uint32),
    atomicAggregate: optional(fc.constant(true)),
    communities: optional(fc.uniqueArray(uint32, { minLength: 1, maxLength: 80 })),
    originatorId: optional(uint32),
    clusterList: optional(fc.array(uint32, { minLength: 1, maxLength: 3 })),
    extendedCommunities: optional(
      fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 4 }),
    ),
    largeCommunities: optional(
      fc.uniqueArray(large, { minLength: 1, maxLength: 3, selector: (x) => JSON.stringify(x) }),
    ),
    unknown: optional(fc.constant([{ flags: 0xe0, code: 99, value: Uint8Array.of(1, 2) }])),
  })
  .map(defined);

const arbitraryEdits: fc.Arbitrary<KeyEdits> = fc
  .record({
    nextHop: optional(fc.constantFrom(0, 4, 16).map((octets) => new Uint8Array(octets).fill(9))),
    prepend: optional(fc.array(asNumber, { maxLength: 4 })),
    med: optional(fc.oneof(uint32, fc.constant('remove' as const))),
    localPref: optional(fc.oneof(uint32, fc.constant('remove' as const))),
    community: optional(uint32),
    largeCommunity: optional(large),
    leaveAs: optional(fc.boolean()),
  })
  .map(defined);

/** Leaves out the fields that are undefined. */
function defined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as T;
}

/** The same edits made on decoded attributes. */
function edited(given: PathAttributes, edits: KeyEdits): PathAttributes {
  const { nextHop, med, localPref, originatorId, clusterList, extendedCommunities, ...rest } = given;
  const hop =
    edits.nextHop === undefined
      ? nextHop
      : edits.nextHop.length === 0
        ? undefined
        : addressFromBytes(edits.nextHop);
  const kept = extendedCommunities?.filter((value) => edits.leaveAs !== true || ((value >> 62n) & 1n) === 0n);
  const inside = edits.leaveAs === true;
  const newMed = edits.med === 'remove' ? undefined : (edits.med ?? med);
  const newPref = edits.localPref === 'remove' ? undefined : (edits.localPref ?? localPref);
  return defined<PathAttributes>({
    ...rest,
    nextHop: hop,
    med: newMed,
    localPref: newPref,
    originatorId: inside ? undefined : originatorId,
    clusterList: inside ? undefined : clusterList,
    extendedCommunities: kept !== undefined && kept.length > 0 ? kept : undefined,
    asPath: prepended(given.asPath, edits.prepend ?? []),
    communities: added(given.communities, edits.community, (value) => `${value}`),
    largeCommunities: added(given.largeCommunities, edits.largeCommunity, (value) => JSON.stringify(value)),
  });
}

function added<T>(list: readonly T[] | undefined, one: T | undefined, text: (value: T) => string) {
  if (one === undefined || list?.some((other) => text(other) === text(one))) return list;
  return [...(list ?? []), one];
}

function prepended(segments: readonly AsPathSegment[], front: readonly number[]): readonly AsPathSegment[] {
  if (front.length === 0) return segments;
  const [first, ...others] = segments;
  return first?.type === 'sequence' && first.asNumbers.length + front.length <= 255
    ? [{ type: 'sequence', asNumbers: [...front, ...first.asNumbers] }, ...others]
    : [{ type: 'sequence', asNumbers: front }, ...segments];
}

describe('key rewriting', () => {
  it('does to octets what the same edits do to attributes', () => {
    fc.assert(
      fc.property(arbitraryAttributes, arbitraryEdits, (given, edits) => {
        const key = encodeAttributes(given);
        const result = rewriteKey(key, edits).slice();
        assert.deepEqual(decodeAttributes(result), decodeAttributes(encodeAttributes(edited(given, edits))));
        assert.deepEqual(result, encodeAttributes(edited(given, edits)), 'canonical form');
      }),
      { numRuns: 500 },
    );
  });

  it('leaves a key without edits as it is', () => {
    fc.assert(
      fc.property(arbitraryAttributes, (given) => {
        assert.deepEqual(rewriteKey(encodeAttributes(given), {}).slice(), encodeAttributes(given));
      }),
    );
  });

  it('leaves an attribute as it is that would be longer than its length can say', () => {
    const base = { origin: 'igp' as const, asPath: [] };
    const communities = Array.from({ length: 16383 }, (_, i) => i);
    const largeCommunities = Array.from({ length: 5461 }, (_, i) => ({ global: i, local1: 0, local2: 0 }));
    const members = Array<number>(255).fill(65001);
    const asPath = Array.from({ length: 64 }, () => ({ type: 'sequence' as const, asNumbers: members }));
    const cases: readonly [PathAttributes, KeyEdits][] = [
      [{ ...base, communities }, { community: 16383 }],
      [{ ...base, largeCommunities }, { largeCommunity: { global: 5461, local1: 0, local2: 0 } }],
      [{ ...base, asPath }, { prepend: Array<number>(32).fill(65000) }],
    ];
    for (const [attributes, edits] of cases) {
      const key = encodeAttributes(attributes);
      assert.deepEqual(rewriteKey(key, edits).slice(), key);
    }
  });

  it('leaves out IPv6 extended communities that stay within the AS (RFC 5701)', () => {
    const entry = (type: number) => Uint8Array.of(type, ...new Uint8Array(19));
    const withEntries = (...types: number[]) =>
      encodeAttributes({
        origin: 'igp',
        asPath: [],
        unknown: [
          { flags: 0xc0, code: 25, value: Uint8Array.from(types.flatMap((type) => [...entry(type)])) },
        ],
      });
    assert.deepEqual(rewriteKey(withEntries(0, 0x40, 1), { leaveAs: true }).slice(), withEntries(0, 1));
    assert.deepEqual(
      rewriteKey(withEntries(0x40), { leaveAs: true }).slice(),
      encodeAttributes({ origin: 'igp', asPath: [] }),
    );
  });

  it('finds communities, standard and large', () => {
    const key = encodeAttributes({
      origin: 'igp',
      asPath: [],
      communities: [1, 0xffffffff],
      largeCommunities: [{ global: 1, local1: 2, local2: 3 }],
    });
    assert.equal(keyHasCommunity(key, 0xffffffff), true);
    assert.equal(keyHasCommunity(key, 2), false);
    assert.equal(keyHasCommunity(key, { global: 1, local1: 2, local2: 3 }), true);
    assert.equal(keyHasCommunity(key, { global: 2, local1: 3, local2: 1 }), false);
  });

  it('compares the start of an AS_PATH over segment borders, but not into a set', () => {
    const key = encodeAttributes({
      origin: 'igp',
      asPath: [
        { type: 'sequence', asNumbers: [1, 2] },
        { type: 'sequence', asNumbers: [3] },
        { type: 'set', asNumbers: [4] },
      ],
    });
    const cases: [number[], boolean][] = [
      [[], true],
      [[1], true],
      [[1, 2, 3], true],
      [[1, 2, 3, 4], false],
      [[2], false],
      [[1, 2, 4], false],
    ];
    for (const [asNumbers, expected] of cases)
      assert.equal(keyPathStartsWith(key, asNumbers), expected, `${asNumbers}`);
    assert.equal(keyPathStartsWith(encodeAttributes({ origin: 'igp', asPath: [] }), [1]), false);
  });
});
