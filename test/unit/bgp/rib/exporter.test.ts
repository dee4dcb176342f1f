/** Forms that the core makes by itself against those that it asks for, since the rules have a say in which prefixes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FilterChain } from '../../../../bgp/policy/types.ts';
import { AttributeStore } from '../../../../bgp/rib/attribute-store.ts';
import type { ExportRules } from '../../../../bgp/rib/export-rules.ts';
import { Exporter } from '../../../../bgp/rib/exporter.ts';
import { NextHopTable } from '../../../../bgp/rib/next-hops.ts';
import { PeerColumns } from '../../../../bgp/rib/peers.ts';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import { Core } from '../../../../src/core/core.ts';
import { PrefixTable } from '../../../../src/net/prefix-table.ts';
import { ACCEPT_ALL, address, LOCAL_AS, prefix } from './support.ts';

/** Accepts the same but for one prefix, which no test has. */
const LOOKS_AT_PREFIXES: FilterChain = {
  name: 'one not',
  rules: [
    {
      name: 'that one',
      match: { prefix: { cidr: prefix('203.0.113.0/24'), operator: 'Equal' } },
      action: 'reject',
    },
  ],
  fallThrough: 'accept',
};
const INTERNAL = { localPref: 200, originatorId: 7, clusterList: [8, 9] };
const EXTERNAL_PEER = 1;
const INTERNAL_PEER = 2;
const CLIENT_PEER = 3;

const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const arbitraryAttributes: fc.Arbitrary<PathAttributes> = fc
  .record({
    nextHop: fc.constantFrom(
      '192.0.2.1',
      '192.0.2.2',
      '192.0.2.254',
      '198.51.100.1',
      '2001:db8::1',
      'fe80::1',
    ),
    origin: fc.constantFrom('igp' as const, 'incomplete' as const),
    asPath: fc.array(uint32, { maxLength: 5 }),
    med: fc.option(uint32),
    communities: fc.subarray([1, 0xffffff01, 0xffffff02, 0xffffff03, 0xffff0000, 0xffff0006]),
    extended: fc.subarray([0x0002fde800000001n, 0x4002fde800000002n]),
    onlyToCustomer: fc.boolean(),
    internal: fc.boolean(),
  })
  .map(({ nextHop, asPath, origin, med, communities, extended, onlyToCustomer, internal }) => ({
    nextHop: address(nextHop),
    origin,
    asPath: asPath.length === 0 ? [] : [{ type: 'sequence' as const, asNumbers: asPath }],
    ...(med === null ? {} : { med }),
    ...(communities.length === 0 ? {} : { communities }),
    ...(extended.length === 0 ? {} : { extendedCommunities: extended }),
    ...(onlyToCustomer ? { unknown: [{ flags: 0xc0, code: 35, value: Uint8Array.of(0, 0, 0, 1) }] } : {}),
    ...(internal ? INTERNAL : {}),
  }));

const arbitraryRules: fc.Arbitrary<ExportRules> = fc.record({
  family: fc.constant('ipv4' as const),
  peerKind: fc.constantFrom('ebgp' as const, 'ibgp' as const),
  localAs: fc.constant(LOCAL_AS),
  nextHop: fc.constantFrom('auto' as const, 'self' as const, 'keep' as const),
  transparent: fc.boolean(),
  selfNextHop: fc.constantFrom(
    new Uint8Array(0),
    address('192.0.2.254').bytes,
    address('192.0.2.254').bytes,
    address('2001:db8::ff').bytes,
  ),
  extendedNextHop: fc.boolean(),
  shared: fc.constantFrom(undefined, [prefix('192.0.2.0/24'), prefix('2001:db8::/64')]),
  notThird: fc.constantFrom(undefined, address('192.0.2.2')),
  peerAs: fc.constant(65002),
  ownAs: fc.constantFrom(undefined, 65010),
  asOverride: fc.constant(false),
  removePrivateAs: fc.constantFrom(undefined, undefined, 'remove' as const, 'replace' as const),
  role: fc.constantFrom(undefined, undefined, 'customer' as const, 'provider' as const),
  shuttingDown: fc.constantFrom(false, false, true),
  longLived: fc.constantFrom('yes' as const, 'marked' as const, 'no' as const),
  client: fc.boolean(),
  clusterId: fc.constant(77),
  chain: fc.constant(ACCEPT_ALL),
});

describe('exported forms', () => {
  it('are the same whether the core makes them by itself or not, and all go with what they were made of', () => {
    fc.assert(
      fc.property(arbitraryRules, fc.array(arbitraryAttributes, { maxLength: 12 }), (rules, given) => {
        const core = new Core();
        const attributes = new AttributeStore(new NextHopTable(false, core));
        const peers = new PeerColumns(core);
        peers.external[EXTERNAL_PEER] = 1;
        peers.client[CLIENT_PEER] = 1;
        const rib = { prefixes: new PrefixTable('ipv4', 16, core), family: 'ipv4' as const };
        const route = rib.prefixes.internPrefix(prefix('198.51.100.0/24'));
        const plain = new Exporter(rules, { attributes, peers });
        const asking = new Exporter({ ...rules, chain: LOOKS_AT_PREFIXES }, { attributes, peers });
        assert.equal(plain.looksAtPrefixes, false);
        assert.equal(asking.looksAtPrefixes, true);
        const ids = given.map((each) => attributes.intern(encodeAttributes(each)));
        for (const id of [...ids, ...ids]) {
          for (const peer of [0, EXTERNAL_PEER, INTERNAL_PEER, CLIENT_PEER]) {
            const made = plain.ofPath(rib, route, id, peer);
            const asked = asking.ofPath(rib, route, id, peer);
            const text = (form: number) => (form < 0 ? 'none' : decodeAttributes(attributes.key(form)));
            assert.deepEqual(text(made), text(asked));
            assert.equal(made, asked);
          }
        }
        // One set of rules goes with its forms still there, the other outlives all attributes.
        asking.dispose();
        for (const id of ids) attributes.release(id);
        assert.equal(attributes.size, 0);
        plain.dispose();
      }),
      { numRuns: 300 },
    );
  });
});
