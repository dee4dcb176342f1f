/** Random values of the wire room for property tests. */
import fc from 'fast-check';
import type { AsPathSegment, Capability, PathAttributes } from '../../../../bgp/wire/types.ts';
import { type Address, addressFromBytes } from '../../../../src/net/address.ts';

export const uint32 = fc.integer({ min: 0, max: 0xffffffff });
export const asNumber = fc.oneof(
  fc.integer({ min: 1, max: 0xffff }),
  fc.integer({ min: 0x10000, max: 0xffffffff }),
);
const uint16 = fc.integer({ min: 0, max: 0xffff });
const uint8 = fc.integer({ min: 0, max: 255 });

/** An address that a peer may give as a next hop. */
export const nextHop4: fc.Arbitrary<Address> = fc
  .tuple(fc.integer({ min: 1, max: 126 }), uint8, uint8, uint8)
  .map((bytes) => addressFromBytes(Uint8Array.from(bytes)));
export const nextHop6: fc.Arbitrary<Address> = fc
  .uint8Array({ minLength: 15, maxLength: 15 })
  .map((rest) => addressFromBytes(Uint8Array.of(0x20, ...rest)));
const linkLocal: fc.Arbitrary<Address> = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((rest) => addressFromBytes(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...rest)));

const segment: fc.Arbitrary<AsPathSegment> = fc.record({
  type: fc.constantFrom('sequence' as const, 'set' as const),
  asNumbers: fc.array(asNumber, { minLength: 1, maxLength: 6 }),
});

/** Attributes as an internal peer may send them, in the form that decoding gives. */
function attributes(nextHops: fc.Arbitrary<Partial<PathAttributes>>): fc.Arbitrary<PathAttributes> {
  const rest: fc.Arbitrary<PathAttributes> = fc.record(
    {
      origin: fc.constantFrom('igp' as const, 'egp' as const, 'incomplete' as const),
      asPath: fc.array(segment, { maxLength: 4 }),
      med: uint32,
      localPref: uint32,
      atomicAggregate: fc.constant(true),
      aggregator: fc.record({ as: asNumber, address: nextHop4 }),
      communities: fc.array(uint32, { minLength: 1, maxLength: 80 }),
      originatorId: uint32,
      clusterList: fc.array(uint32, { minLength: 1, maxLength: 3 }),
      extendedCommunities: fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), {
        minLength: 1,
        maxLength: 3,
      }),
      largeCommunities: fc.uniqueArray(fc.record({ global: uint32, local1: uint32, local2: uint32 }), {
        minLength: 1,
        maxLength: 25,
        selector: ({ global, local1, local2 }) => `${global}:${local1}:${local2}`,
      }),
      onlyToCustomer: uint32,
      unknown: fc
        .uniqueArray(
          fc.record({
            flags: fc.constant(0xe0),
            code: fc.integer({ min: 41, max: 255 }),
            value: fc.uint8Array({ maxLength: 300 }),
          }),
          { minLength: 1, maxLength: 3, selector: ({ code }) => code },
        )
        .map((list) => list.sort((a, b) => a.code - b.code)),
    },
    { requiredKeys: ['origin', 'asPath'] },
  );
  // A clone has the plain prototypes that a strict comparison asks for.
  return fc.tuple(rest, nextHops).map(([one, other]) => structuredClone({ ...one, ...other }));
}

export const attributes4 = attributes(fc.record({ nextHop: nextHop4 }));
export const attributes6 = attributes(
  fc.record({ nextHop: nextHop6, linkLocalNextHop: linkLocal }, { requiredKeys: ['nextHop'] }),
);

const family = fc.record({ afi: uint16, safi: uint8 });
const text = fc.string({ maxLength: 20, unit: 'grapheme-ascii' });

const anyCapability: fc.Arbitrary<Capability> = fc.oneof(
  family.map((value) => ({ kind: 'multiprotocol' as const, ...value })),
  fc.constantFrom(
    { kind: 'route-refresh' as const },
    { kind: 'enhanced-route-refresh' as const },
    { kind: 'extended-message' as const },
  ),
  fc.record({
    kind: fc.constant('extended-next-hop' as const),
    entries: fc.array(fc.record({ afi: uint16, safi: uint16, nextHopAfi: uint16 }), { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('four-octet-as' as const), as: uint32 }),
  fc.record({ kind: fc.constant('role' as const), role: uint8 }),
  fc.record({
    kind: fc.constant('graceful-restart' as const),
    restarting: fc.boolean(),
    notification: fc.boolean(),
    restartTimeSec: fc.integer({ min: 0, max: 4095 }),
    families: fc.array(fc.record({ afi: uint16, safi: uint8, forwarding: fc.boolean() }), { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('long-lived-graceful-restart' as const),
    families: fc.array(
      fc.record({
        afi: uint16,
        safi: uint8,
        forwarding: fc.boolean(),
        staleTimeSec: fc.integer({ min: 0, max: 0xffffff }),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant('add-path' as const),
    entries: fc.array(
      fc
        .record({ afi: uint16, safi: uint8, send: fc.boolean(), receive: fc.boolean() })
        .filter(({ send, receive }) => send || receive),
      { maxLength: 3 },
    ),
  }),
  fc.record({ kind: fc.constant('fqdn' as const), host: text, domain: text }),
  fc.record({ kind: fc.constant('software-version' as const), version: text }),
  fc.record({
    kind: fc.constant('unknown' as const),
    code: fc.integer({ min: 128, max: 255 }),
    value: fc.uint8Array({ maxLength: 255 }),
  }),
);

export const capability = anyCapability.map((value) => structuredClone(value));
