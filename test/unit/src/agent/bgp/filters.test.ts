/** BGPFilters as chains, asked through the compiled form that sessions use. */
import assert from 'node:assert/strict';
import { CompiledChain } from '../../../../../bgp/policy/compiled-chain.ts';
import type { FilterChain } from '../../../../../bgp/policy/types.ts';
import { AttributeStore } from '../../../../../bgp/rib/attribute-store.ts';
import { NextHopTable } from '../../../../../bgp/rib/next-hops.ts';
import { decodeAttributes, encodeAttributes } from '../../../../../bgp/wire/attribute-key.ts';
import type { PathAttributes } from '../../../../../bgp/wire/types.ts';
import {
  exportedRules,
  matchesGlob,
  type PolicySources,
  sessionPolicies,
} from '../../../../../src/agent/bgp/filters.ts';
import type { BgpFilter, BgpFilterRule, BgpFilterSpec } from '../../../../../src/model/bgp-filter.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import { type Prefix, parsePrefix } from '../../../../../src/net/prefix.ts';
import { PrefixTable } from '../../../../../src/net/prefix-table.ts';

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  return parsed;
}

const filter = (name: string, spec: BgpFilterSpec): BgpFilter => ({
  apiVersion: API_VERSION,
  kind: 'BGPFilter',
  metadata: { name },
  spec,
});

const sources = (filters: readonly BgpFilter[]): PolicySources => ({
  guards: {
    ownBlocks: [prefix('10.65.1.0/26')],
    lent: [prefix('10.65.1.7/32')],
    connectedSubnets: [prefix('192.0.2.0/24')],
  },
  filters,
  exported: exportedRules([]),
});

interface Asked {
  readonly attributes?: Partial<PathAttributes>;
  readonly local?: boolean;
  readonly kind?: 'ebgp' | 'ibgp';
}

/** What a chain does with a route: the deciding rule, its verdict, and the attributes after it. */
function ask(chain: FilterChain, text: string, asked: Asked = {}) {
  const store = new AttributeStore(new NextHopTable(false));
  const compiled = new CompiledChain(chain, asked.kind ?? 'ebgp', store);
  const route = prefix(text);
  const table = new PrefixTable(route.family);
  const id = table.internPrefix(route);
  const word = (index: number): number =>
    index === 0 || route.family === 'ipv6' ? table.wordOf(id, index) : 0;
  const attribute = store.intern(encodeAttributes({ origin: 'igp', asPath: [], ...asked.attributes }));
  const rule = compiled.match(
    route.family,
    route.length,
    word(0),
    word(1),
    word(2),
    word(3),
    attribute,
    asked.local ?? false,
  );
  return {
    by: compiled.describe(rule),
    accepts: compiled.accepts(rule),
    attributes: decodeAttributes(store.key(compiled.apply(rule, attribute))),
  };
}

const imported = (rules: readonly BgpFilterRule[], link?: string): FilterChain =>
  sessionPolicies(sources([filter('f', { importV4: rules })]), ['f'], link).importPolicy;

const accepted = (chain: FilterChain, routes: readonly string[], asked: Asked = {}): string[] =>
  routes.filter((route) => ask(chain, route, asked).accepts);

describe('src/agent/bgp/filters', () => {
  const routes = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.1.2.3/32', '172.16.0.0/12'];
  const conditions: readonly [Omit<BgpFilterRule, 'action'>, string[]][] = [
    [{ cidr: '10.1.0.0/16', matchOperator: 'Equal' }, ['10.1.0.0/16']],
    [
      { cidr: '10.1.0.0/16', matchOperator: 'NotEqual' },
      ['10.0.0.0/8', '10.1.2.0/24', '10.1.2.3/32', '172.16.0.0/12'],
    ],
    [{ cidr: '10.1.0.0/16', matchOperator: 'In' }, ['10.1.0.0/16', '10.1.2.0/24', '10.1.2.3/32']],
    [{ cidr: '10.1.0.0/16', matchOperator: 'NotIn' }, ['10.0.0.0/8', '172.16.0.0/12']],
    [{ cidr: '10.0.0.0/8', matchOperator: 'In', prefixLength: { min: 24 } }, ['10.1.2.0/24', '10.1.2.3/32']],
    [{ cidr: '10.0.0.0/8', matchOperator: 'In', prefixLength: { max: 16 } }, ['10.0.0.0/8', '10.1.0.0/16']],
    [
      { cidr: '10.0.0.0/8', matchOperator: 'NotIn', prefixLength: { min: 16, max: 24 } },
      ['10.0.0.0/8', '10.1.2.3/32', '172.16.0.0/12'],
    ],
    [{}, routes],
    [{ source: 'RemotePeers' }, routes],
    [{ peerType: 'eBGP' }, routes],
    [{ peerType: 'iBGP' }, []],
    [{ communities: { values: ['65000:7'] } }, routes],
    [{ communities: { values: ['65000:8'] } }, []],
    [{ communities: { values: ['4200000000:1:2'] } }, routes],
    [{ asPathPrefix: [65001] }, routes],
    [{ asPathPrefix: [65001, 65002] }, routes],
    [{ asPathPrefix: [65002] }, []],
    [{ priority: 512 }, routes],
    [{ priority: 1024 }, []],
    [{ interface: 'eth*' }, routes],
    [{ interface: 'bond*' }, []],
    [{ peerType: 'eBGP', communities: { values: ['65000:8'] } }, []],
  ];
  for (const [condition, expected] of conditions) {
    it(`import accepts by ${JSON.stringify(condition)}`, () => {
      const chain = imported([{ ...condition, action: 'Accept' }, { action: 'Reject' }], 'eth0');
      const attributes: Partial<PathAttributes> = {
        asPath: [{ type: 'sequence', asNumbers: [65001, 65002] }],
        communities: [(65000 * 65536 + 7) >>> 0],
        largeCommunities: [{ global: 4200000000, local1: 1, local2: 2 }],
        localPref: 2147483647 - 512,
      };
      assert.deepEqual(accepted(chain, routes, { attributes }), expected);
    });
  }

  it('an interface is that of the session on the way in, that of each route on the way out', () => {
    const rules: readonly BgpFilterRule[] = [
      { interface: 'eth*', cidr: '10.0.0.0/8', action: 'Accept' },
      { interface: 'eth*', source: 'RemotePeers', action: 'Reject' },
    ];
    const only = filter('f', { importV4: rules, exportV4: rules });
    const over = (link: string) => sessionPolicies(sources([only]), ['f'], link);
    const named = (chain: FilterChain): string[] =>
      chain.rules.filter(({ name }) => name.startsWith('BGPFilter')).map(({ name }) => name);
    assert.equal(named(over('eth0').importPolicy).length, 2);
    assert.deepEqual(named(over('bond0').importPolicy), []);
    for (const link of ['eth0', 'bond0']) {
      const { exportPolicy } = over(link);
      assert.deepEqual(
        exportPolicy.rules.slice(0, 2).map(({ match }) => [match.interface, match.source]),
        [
          ['eth*', undefined],
          ['eth*', 'peer'],
        ],
      );
      // Without an interface a route goes on to what the node sends by itself.
      assert.ok(ask(exportPolicy, '10.65.1.0/26', { local: true }).by.startsWith('builtin'));
    }
  });

  it('keeps the families apart', () => {
    const { importPolicy } = sessionPolicies(
      sources([filter('f', { importV4: [{ action: 'Reject' }] })]),
      ['f'],
      undefined,
    );
    assert.deepEqual(accepted(importPolicy, ['10.0.0.0/8', '2001:db8::/32']), ['2001:db8::/32']);
  });

  it('import: guards first, then filters in order, then accept, a default route too', () => {
    const { importPolicy, missing } = sessionPolicies(
      sources([
        filter('b', { importV4: [{ cidr: '10.1.0.0/16', matchOperator: 'In', action: 'Reject' }] }),
        filter('a', { importV4: [{ cidr: '10.1.2.0/24', matchOperator: 'Equal', action: 'Accept' }] }),
      ]),
      ['a', 'b'],
      undefined,
    );
    assert.deepEqual(missing, []);
    assert.equal(importPolicy.name, 'a, b');
    const verdict = (route: string): [boolean, string] => {
      const { accepts, by } = ask(importPolicy, route);
      return [accepts, by];
    };
    assert.deepEqual(verdict('10.1.2.0/24'), [true, 'BGPFilter a importV4[0]']);
    assert.deepEqual(verdict('10.1.3.0/24'), [false, 'BGPFilter b importV4[0]']);
    assert.deepEqual(verdict('0.0.0.0/0'), [true, 'a, b: fall-through accept']);
    assert.deepEqual(verdict('10.65.1.0/28'), [false, 'builtin: own block 10.65.1.0/26']);
    assert.deepEqual(verdict('10.65.1.7/32'), [true, 'builtin: borrowed by another node 10.65.1.7/32']);
    assert.deepEqual(verdict('127.0.0.0/8'), [false, 'builtin: martian 127.0.0.0/8']);
  });

  it('a filter that is gone opens nothing', () => {
    const only = sessionPolicies(sources([]), ['gone'], undefined);
    assert.deepEqual([only.missing, only.importPolicy.name], [['gone'], 'builtin']);
    assert.equal(ask(only.importPolicy, '0.0.0.0/0').accepts, false);
    const some = sessionPolicies(sources([filter('here', {})]), ['here', 'gone'], undefined);
    assert.deepEqual([some.missing, ask(some.importPolicy, '0.0.0.0/0').accepts], [['gone'], false]);
    assert.equal(ask(some.importPolicy, '172.16.0.0/12').accepts, true);
  });

  it('export: filters, then what this node originates, and nothing learned', () => {
    const { exportPolicy } = sessionPolicies(
      sources([
        filter('f', {
          exportV4: [
            { cidr: '10.65.2.0/24', matchOperator: 'In', action: 'Reject' },
            { cidr: '172.16.0.0/12', matchOperator: 'In', source: 'RemotePeers', action: 'Accept' },
          ],
        }),
      ]),
      ['f'],
      undefined,
    );
    const sends = (route: string, local: boolean): boolean => ask(exportPolicy, route, { local }).accepts;
    assert.deepEqual(
      [sends('10.65.1.0/26', true), sends('10.65.2.0/26', true), sends('10.20.0.0/16', false)],
      [true, false, false],
    );
    assert.deepEqual([sends('172.16.0.0/16', false), sends('172.16.0.0/16', true)], [true, true]);
  });

  it('operations change what is accepted, in order', () => {
    const chain = imported([
      {
        action: 'Accept',
        operations: [
          { addCommunity: { value: '65000:100' } },
          { addCommunity: { value: '65000:1:2' } },
          { prependASPath: { prefix: [65009, 65010] } },
          { setPriority: { value: 512 } },
        ],
      },
    ]);
    const { attributes } = ask(chain, '10.9.0.0/16', {
      attributes: { asPath: [{ type: 'sequence', asNumbers: [65001] }] },
    });
    assert.deepEqual(attributes.communities, [(65000 * 65536 + 100) >>> 0]);
    assert.deepEqual(attributes.largeCommunities, [{ global: 65000, local1: 1, local2: 2 }]);
    assert.deepEqual(
      attributes.asPath.flatMap(({ asNumbers }) => asNumbers),
      [65009, 65010, 65001],
    );
    assert.equal(attributes.localPref, 2147483647 - 512);
  });

  it('what we originate has the normal priority', () => {
    const { exportPolicy } = sessionPolicies(
      sources([
        filter('f', {
          exportV4: [
            {
              priority: 1024,
              action: 'Accept',
              operations: [{ addCommunity: { value: '65000:1' } }],
            },
          ],
        }),
      ]),
      ['f'],
      undefined,
    );
    assert.match(ask(exportPolicy, '10.65.1.0/26', { local: true }).by, /exportV4\[0\]/);
    assert.doesNotMatch(ask(exportPolicy, '10.65.1.0/26').by, /exportV4/);
  });

  it('a route reflector sends to its own AS what it learned of the pools, to others nothing learned', () => {
    const rules = exportedRules([prefix('10.65.0.0/16')]);
    const chain: FilterChain = { name: 'builtin', rules, fallThrough: 'reject' };
    assert.deepEqual(accepted(chain, ['10.65.4.0/26', '10.20.0.0/16'], { kind: 'ibgp' }), ['10.65.4.0/26']);
    assert.deepEqual(accepted(chain, ['10.65.4.0/26'], { kind: 'ebgp' }), []);
  });

  it('advertised prefixes: communities for what is sent by itself, also reflected, and for nothing that a filter accepts', () => {
    const community = (value: number): number => (65000 * 65536 + value) >>> 0;
    const large = { global: 65000, local1: 1, local2: 2 };
    const tagged = [
      { cidr: prefix('10.65.0.0/16'), communities: [community(2), 0xffffff01], largeCommunities: [] },
      { cidr: prefix('10.0.0.0/8'), communities: [community(1)], largeCommunities: [large] },
      { cidr: prefix('2001:db8::/32'), communities: [community(6)], largeCommunities: [] },
    ];
    const exported = exportedRules([prefix('10.65.0.0/16'), prefix('10.66.0.0/16')], tagged);
    const only = filter('f', { exportV4: [{ cidr: '10.65.2.0/24', matchOperator: 'In', action: 'Accept' }] });
    const { exportPolicy } = sessionPolicies({ ...sources([only]), exported }, ['f'], undefined);
    const sent = (text: string, local: boolean): readonly number[] | undefined => {
      const { accepts, attributes } = ask(exportPolicy, text, { local, kind: 'ibgp' });
      return accepts ? (attributes.communities ?? []) : undefined;
    };
    assert.deepEqual(sent('10.65.1.0/26', true), [community(1), community(2), 0xffffff01]);
    assert.deepEqual(sent('10.65.1.0/26', false), [community(1), community(2), 0xffffff01]);
    assert.deepEqual(sent('10.66.1.0/26', false), [community(1)]);
    assert.deepEqual(sent('10.67.1.0/26', false), undefined);
    assert.deepEqual(sent('10.67.1.0/26', true), [community(1)]);
    assert.deepEqual(sent('172.16.0.0/26', true), []);
    assert.deepEqual(sent('2001:db8:1::/64', true), [community(6)]);
    assert.deepEqual(sent('2001:db9::/64', true), []);
    assert.deepEqual(sent('10.65.2.0/26', true), []);
    assert.deepEqual(ask(exportPolicy, '10.66.1.0/26', { local: true }).attributes.largeCommunities, [large]);
  });

  it('patterns of interfaces', () => {
    assert.deepEqual(
      ['eth0', 'eth', 'xeth0', undefined].map((name) => matchesGlob('eth*', name)),
      [true, true, false, false],
    );
    assert.deepEqual([matchesGlob('a.b', 'a.b'), matchesGlob('a.b', 'axb')], [true, false]);
  });
});
