/** Compiled filters against a walk over the rules, and the built-in policy's verdicts. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { builtinExport, builtinImport, OWN_BLOCK_RULE } from '../../../../bgp/policy/builtin.ts';
import { CompiledChain, chainFingerprint } from '../../../../bgp/policy/compiled-chain.ts';
import type { FilterChain, FilterMatch, FilterRule } from '../../../../bgp/policy/types.ts';
import { AttributeStore } from '../../../../bgp/rib/attribute-store.ts';
import { NextHopTable } from '../../../../bgp/rib/next-hops.ts';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import {
  formatPrefix,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixesEqual,
} from '../../../../src/net/prefix.ts';
import { PrefixTable } from '../../../../src/net/prefix-table.ts';

interface Route {
  readonly prefix: Prefix;
  readonly attributes: PathAttributes;
  readonly local: boolean;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  return parsed;
}

/** The rule that decides, by the definition. */
function naive(chain: FilterChain, kind: 'ebgp' | 'ibgp', route: Route): number {
  const at = chain.rules.findIndex(({ match }) => holds(match, kind, route));
  return at < 0 ? chain.rules.length : at;
}

function holds(match: FilterMatch, kind: 'ebgp' | 'ibgp', route: Route): boolean {
  const { length } = route.prefix;
  if (match.peerKind !== undefined && match.peerKind !== kind) return false;
  if (match.source !== undefined && (match.source === 'local') !== route.local) return false;
  if (
    match.prefixLength !== undefined &&
    (length < match.prefixLength.min || length > match.prefixLength.max)
  ) {
    return false;
  }
  if (match.prefix !== undefined) {
    const { cidr, operator } = match.prefix;
    if (cidr.family !== route.prefix.family) return false;
    const truth = {
      Equal: prefixesEqual(cidr, route.prefix),
      NotEqual: !prefixesEqual(cidr, route.prefix),
      In: prefixContains(cidr, route.prefix),
      NotIn: !prefixContains(cidr, route.prefix),
    };
    if (!truth[operator]) return false;
  }
  if (match.prefixList !== undefined) {
    const inList = match.prefixList.some(
      ({ cidr, minLength, maxLength }) =>
        prefixContains(cidr, route.prefix) && length >= minLength && length <= maxLength,
    );
    if (!inList) return false;
  }
  if (match.community !== undefined && typeof match.community === 'number') {
    if (!route.attributes.communities?.includes(match.community)) return false;
  }
  if (match.asPathPrefix !== undefined) {
    const hops = route.attributes.asPath.flatMap((segment) => segment.asNumbers);
    if (!match.asPathPrefix.every((as, index) => hops[index] === as)) return false;
  }
  return true;
}

const cidr = fc
  .constantFrom(
    ...['0.0.0.0/0', '10.0.0.0/7', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.1.2.3/32', '192.0.2.0/24'],
    ...['::/0', '2001:db8::/32', '2001:db8:1::/48', '2001:db8:1:2::/64', '2001:db8:1:2::3/128', '::/127'],
  )
  .map(prefix);

const match: fc.Arbitrary<FilterMatch> = fc.record(
  {
    prefix: fc.record({ cidr, operator: fc.constantFrom('Equal', 'NotEqual', 'In', 'NotIn') }),
    prefixLength: fc.tuple(fc.nat(40), fc.nat(90)).map(([min, more]) => ({ min, max: min + more })),
    prefixList: fc.array(
      fc.record({ cidr, minLength: fc.nat(30), maxLength: fc.integer({ min: 10, max: 128 }) }),
      { maxLength: 3 },
    ),
    source: fc.constantFrom('local', 'peer'),
    peerKind: fc.constantFrom('ebgp', 'ibgp'),
    community: fc.constantFrom(1, 2),
    asPathPrefix: fc.constantFrom([65001], [65001, 65002], []),
  },
  { requiredKeys: [] },
);

const rule: fc.Arbitrary<FilterRule> = fc.record({
  name: fc.constant('r'),
  match,
  action: fc.constantFrom('accept', 'reject'),
});

const route: fc.Arbitrary<Route> = fc.record({
  prefix: cidr,
  local: fc.boolean(),
  attributes: fc.record({
    origin: fc.constant('igp' as const),
    asPath: fc
      .constantFrom([65001], [65002], [65001, 65002])
      .map((asNumbers) => [{ type: 'sequence' as const, asNumbers }]),
    communities: fc.constantFrom([1], [2], [1, 2], [3]),
  }),
});

/** Asks a compiled chain about a route. */
function ask(
  chain: CompiledChain,
  store: AttributeStore,
  { prefix: value, attributes, local }: Route,
): number {
  const table = new PrefixTable(value.family, 16, store.core);
  const id = table.internPrefix(value);
  const wide = value.family === 'ipv6';
  const word = (index: number): number => (index === 0 || wide ? table.wordOf(id, index) : 0);
  const attribute = store.intern(encodeAttributes(attributes));
  return chain.match(value.family, value.length, word(0), word(1), word(2), word(3), attribute, local);
}

function storeOf(): AttributeStore {
  return new AttributeStore(new NextHopTable(false));
}

describe('compiled filter chain', () => {
  it('finds the rule that a walk over the rules finds', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 8 }),
        fc.array(route, { minLength: 1, maxLength: 12 }),
        fc.constantFrom('ebgp' as const, 'ibgp' as const),
        (rules, routes, kind) => {
          const chain: FilterChain = { name: 'c', rules, fallThrough: 'accept' };
          const store = storeOf();
          const compiled = new CompiledChain(chain, kind, store);
          for (const each of routes) {
            const expected = naive(chain, kind, each);
            const got = ask(compiled, store, each);
            assert.equal(got, expected, formatPrefix(each.prefix));
            assert.equal(compiled.accepts(got), (rules[expected]?.action ?? 'accept') === 'accept');
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('looks up long lists as it does short ones', () => {
    const list = Array.from({ length: 5000 }, (_, i) => ({
      cidr: prefix(`10.${i >> 8}.${i & 255}.0/24`),
      minLength: 24,
      maxLength: 28,
    }));
    const chain: FilterChain = {
      name: 'long',
      rules: [{ name: 'list', match: { prefixList: list }, action: 'accept' }],
      fallThrough: 'reject',
    };
    const store = storeOf();
    const compiled = new CompiledChain(chain, 'ebgp', store);
    const attributes: PathAttributes = { origin: 'igp', asPath: [] };
    const verdict = (text: string) =>
      compiled.accepts(ask(compiled, store, { prefix: prefix(text), attributes, local: false }));
    assert.deepEqual(
      ['10.19.135.0/24', '10.19.135.16/28', '10.19.135.16/29', '10.19.136.0/24', '10.0.0.0/23'].map(verdict),
      [true, true, false, false, false],
    );
  });

  it('interns the result of operations once per attributes, and gives all references back', () => {
    const store = storeOf();
    const chain: FilterChain = {
      name: 'ops',
      fallThrough: 'reject',
      rules: [
        {
          name: 'all',
          match: {},
          action: 'accept',
          operations: [
            { kind: 'add-community', community: 7 },
            { kind: 'add-community', community: { global: 1, local1: 2, local2: 3 } },
            { kind: 'prepend-as-path', asNumbers: [5, 6] },
            { kind: 'set-local-pref', value: 8 },
            { kind: 'set-med', value: 9 },
          ],
        },
      ],
    };
    const compiled = new CompiledChain(chain, 'ebgp', store);
    store.onFree((id) => compiled.forget(id));
    const id = store.intern(encodeAttributes({ origin: 'igp', asPath: [] }));
    const result = compiled.apply(0, id);
    assert.equal(compiled.apply(0, id), result);
    assert.deepEqual(decodeAttributes(store.key(result)), {
      origin: 'igp',
      asPath: [{ type: 'sequence', asNumbers: [5, 6] }],
      communities: [7],
      largeCommunities: [{ global: 1, local1: 2, local2: 3 }],
      localPref: 8,
      med: 9,
    });
    assert.equal(store.size, 2);
    store.release(id);
    assert.equal(store.size, 0);
    const again = store.intern(encodeAttributes({ origin: 'egp', asPath: [] }));
    compiled.apply(0, again);
    compiled.dispose();
    assert.equal(store.size, 1);
  });

  it('has equal fingerprints for chains that are equal, and only for them', () => {
    const guards = { ownBlocks: [prefix('10.0.0.0/26')], connectedSubnets: [] };
    assert.equal(chainFingerprint(builtinImport(guards)), chainFingerprint(builtinImport({ ...guards })));
    assert.notEqual(
      chainFingerprint(builtinImport(guards)),
      chainFingerprint(builtinImport({ ...guards, ownBlocks: [prefix('10.0.0.0/27')] })),
    );
    assert.notEqual(chainFingerprint(undefined), chainFingerprint(builtinExport()));
  });
});

describe('built-in policy', () => {
  const chain = builtinImport({
    ownBlocks: [prefix('10.0.0.64/26'), prefix('fd00:1::/122')],
    connectedSubnets: [prefix('192.0.2.0/24'), prefix('2001:db8::/64')],
  });
  const store = storeOf();
  const compiled = new CompiledChain(chain, 'ebgp', store);
  const attributes: PathAttributes = { origin: 'igp', asPath: [] };
  const decide = (text: string): string | undefined => {
    const at = ask(compiled, store, { prefix: prefix(text), attributes, local: false });
    return compiled.accepts(at) ? undefined : compiled.describe(at);
  };

  for (const [text, rejectedBy] of [
    ['0.0.0.0/0', 'builtin: default route'],
    ['::/0', 'builtin: default route'],
    ['0.0.0.0/8', 'builtin: martian 0.0.0.0/8'],
    ['0.0.0.0/1', undefined],
    ['127.0.0.1/32', 'builtin: martian 127.0.0.0/8'],
    ['169.254.1.0/24', 'builtin: martian 169.254.0.0/16'],
    ['224.0.0.0/4', 'builtin: martian 224.0.0.0/3'],
    ['255.255.255.255/32', 'builtin: martian 224.0.0.0/3'],
    ['::/127', 'builtin: martian ::/127'],
    ['::1/128', 'builtin: martian ::/127'],
    ['::2/128', undefined],
    ['fe80:1::/32', 'builtin: martian fe80::/10'],
    ['ff02::/16', 'builtin: martian ff00::/8'],
    ['10.0.0.64/26', `${OWN_BLOCK_RULE}10.0.0.64/26`],
    ['10.0.0.65/32', `${OWN_BLOCK_RULE}10.0.0.64/26`],
    ['10.0.0.0/24', undefined],
    ['10.0.0.128/26', undefined],
    ['fd00:1::3f/128', `${OWN_BLOCK_RULE}fd00:1::/122`],
    ['fd00:1::40/128', undefined],
    ['192.0.2.0/24', 'builtin: connected subnet 192.0.2.0/24'],
    ['192.0.2.0/25', undefined],
    ['2001:db8::/64', 'builtin: connected subnet 2001:db8::/64'],
    ['198.51.100.0/24', undefined],
  ] as const) {
    it(`${rejectedBy === undefined ? 'takes' : 'refuses'} ${text}`, () =>
      assert.equal(decide(text), rejectedBy));
  }

  it('exports what is originated here and nothing else', () => {
    const out = new CompiledChain(builtinExport(), 'ebgp', store);
    for (const local of [true, false]) {
      const at = ask(out, store, { prefix: prefix('10.0.0.0/8'), attributes, local });
      assert.equal(out.accepts(at), local);
    }
  });
});
