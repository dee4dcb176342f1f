/** `GET /v1/bgp/routes`: queries read, and answered from the tables of a speaker with a peer. */
import assert from 'node:assert/strict';
import type { PathAttributes } from '../../../../../bgp/wire/types.ts';
import { findPaths, readRoutesQuery } from '../../../../../src/agent/bgp/routes-query.ts';
import { pathRow } from '../../../../../src/agent/bgp/views.ts';
import { ApiError } from '../../../../../src/api/problem.ts';
import type { PathRow } from '../../../../../src/api/views.ts';
import { type Host, learned, prefix, World } from '../../../bgp/speaker/world.ts';

const sequence = (...asNumbers: number[]): PathAttributes['asPath'] => [{ type: 'sequence', asNumbers }];

/** What host 2 announces; host 1 takes it but for 10.66.0.0/16, with LOCAL_PREF 200. */
const ANNOUNCED: Readonly<Record<string, Partial<PathAttributes>>> = {
  '0.0.0.0/0': {},
  '10.0.0.0/8': { asPath: sequence(64999) },
  '10.1.0.0/16': { asPath: sequence(64999, 64998), communities: [0xfde90064, 0xffffff04] },
  '10.1.2.0/24': { largeCommunities: [{ global: 65001, local1: 1, local2: 2 }] },
  '10.66.0.0/16': { extendedCommunities: [0x0002fde900000064n] },
  '10.77.0.0/16': { asPath: sequence(65001) },
  '2001:db8::/32': {},
  '2001:db8:1::/48': { communities: [0xfde90064] },
};

describe('routes query', () => {
  let host: Host;

  before(() => {
    const world = new World();
    host = world.host(1, {
      importPolicy: {
        name: 'import',
        fallThrough: 'accept',
        rules: [
          {
            name: 'no 10.66',
            match: { prefix: { cidr: prefix('10.66.0.0/16'), operator: 'In' } },
            action: 'reject',
          },
          {
            name: 'prefer',
            match: {},
            action: 'accept',
            operations: [{ kind: 'set-local-pref', value: 200 }],
          },
        ],
      },
      exportPolicy: {
        name: 'export',
        fallThrough: 'reject',
        rules: [
          {
            name: 'own',
            match: { source: 'local' },
            action: 'accept',
            operations: [{ kind: 'add-community', community: 0xfde90007 }],
          },
        ],
      },
    });
    const other = world.host(2);
    for (const [text, attributes] of Object.entries(ANNOUNCED)) {
      other.speaker.originate(prefix(text), attributes);
    }
    for (const text of ['10.1.0.0/16', '10.9.0.0/16', '10.9.9.0/24']) host.speaker.originate(prefix(text));
    host.speaker.start();
    other.speaker.start();
    world.clock.until('routes', () => learned(host).length >= 4);
    world.clock.advance(1000);
  });

  const rows = (query: string): PathRow[] => {
    const wanted = readRoutesQuery(new URLSearchParams(query));
    const id = wanted.peer === undefined ? undefined : host.speaker.ribPeerId(wanted.peer);
    return [...findPaths(host.speaker.rib, wanted, id)].map(pathRow);
  };
  const prefixes = (query: string): string[] => rows(query).map((row) => row.prefix);
  const sorted = (query: string): string[] => prefixes(query).sort();

  it('an address: longest match; a prefix: exactly', () => {
    assert.deepEqual(prefixes('prefix=10.1.2.3'), ['10.1.2.0/24']);
    assert.deepEqual(prefixes('prefix=10.200.0.1'), ['10.0.0.0/8']);
    assert.deepEqual(prefixes('prefix=192.0.2.1'), ['0.0.0.0/0']);
    assert.deepEqual(prefixes('prefix=2001:db8:1:2::'), ['2001:db8:1::/48']);
    assert.deepEqual(prefixes('prefix=10.0.0.0/8'), ['10.0.0.0/8']);
    assert.deepEqual(prefixes('prefix=10.1.2.0/25'), []);
    assert.deepEqual(prefixes('prefix=2001:db9::1'), []);
  });

  it('longest, covering and covered, of prefixes of both families', () => {
    assert.deepEqual(prefixes('prefix=10.1.2.128/25&match=longest'), ['10.1.2.0/24']);
    assert.deepEqual(prefixes('prefix=10.1.0.0/17&match=longest'), ['10.1.0.0/16', '10.1.0.0/16']);
    assert.deepEqual(prefixes('prefix=10.1.2.0/24&match=covering&peer=peer'), [
      '10.1.2.0/24',
      '10.1.0.0/16',
      '10.0.0.0/8',
      '0.0.0.0/0',
    ]);
    assert.deepEqual(sorted('prefix=10.0.0.0/8&match=covered&peer=peer'), [
      '10.0.0.0/8',
      '10.1.0.0/16',
      '10.1.2.0/24',
    ]);
    assert.deepEqual(prefixes('prefix=10.9.9.1&match=covered'), []);
    assert.deepEqual(sorted('prefix=::/0&match=covered'), ['2001:db8:1::/48', '2001:db8::/32']);
    assert.deepEqual(prefixes('prefix=2001:db8:1:2::/64&match=covering'), [
      '2001:db8:1::/48',
      '2001:db8::/32',
    ]);
  });

  it('longest match looks at what the other conditions leave: a peer', () => {
    assert.deepEqual(prefixes('prefix=10.9.9.9'), ['10.9.9.0/24']);
    assert.deepEqual(prefixes('prefix=10.9.9.9&peer=peer'), ['10.0.0.0/8']);
    assert.deepEqual(prefixes('prefix=10.66.1.1&peer=peer'), ['10.0.0.0/8']);
    assert.deepEqual(prefixes('prefix=10.66.1.1&received=peer'), ['10.66.0.0/16']);
  });

  it('AS paths, communities and states, all of which must hold', () => {
    assert.deepEqual(sorted('as-path=_64999_'), ['10.0.0.0/8', '10.1.0.0/16']);
    assert.deepEqual(sorted('as-path=_64999_&as-path=64998$'), ['10.1.0.0/16']);
    assert.deepEqual(sorted('as-path=^65002$&family=ipv4'), ['0.0.0.0/0', '10.1.2.0/24']);
    assert.deepEqual(sorted('as-path=^$'), ['10.1.0.0/16', '10.9.0.0/16', '10.9.9.0/24']);
    assert.deepEqual(sorted('community=65001:100'), ['10.1.0.0/16', '2001:db8:1::/48']);
    assert.deepEqual(sorted('community=65001:100&community=no-peer'), ['10.1.0.0/16']);
    assert.deepEqual(sorted('community=65001:*:2'), ['10.1.2.0/24']);
    assert.deepEqual(sorted('community=rt:65001:100&received=peer'), ['10.66.0.0/16']);
    assert.deepEqual(sorted('state=best&community=65001:100'), ['2001:db8:1::/48']);
    assert.deepEqual(sorted('received=peer&state=invalid'), ['10.66.0.0/16', '10.77.0.0/16']);
    assert.deepEqual(sorted('state=stale'), []);
  });

  it('before policy and after it, what is kept out and by what, and what is sent', () => {
    assert.equal(rows('received=peer').length, Object.keys(ANNOUNCED).length);
    const [before] = rows('received=peer&prefix=10.0.0.0/8');
    assert.deepEqual([before?.localPref, before?.valid, before?.asPath], [undefined, true, '65002 64999']);
    const [after] = rows('accepted=peer&prefix=10.0.0.0/8');
    assert.deepEqual([after?.localPref, after?.valid], [200, true]);
    assert.equal(rows('accepted=peer').length, Object.keys(ANNOUNCED).length - 2);
    assert.deepEqual(
      rows('filtered=peer').map((row) => [row.prefix, row.unusable, /no 10\.66/.test(row.policyNote ?? '')]),
      [
        ['10.66.0.0/16', 'import-policy', true],
        ['10.77.0.0/16', 'as-path-loop', false],
      ],
    );
    const sent = rows('advertised=peer');
    assert.deepEqual(sent.map((row) => row.prefix).sort(), ['10.1.0.0/16', '10.9.0.0/16', '10.9.9.0/24']);
    assert.ok(sent.every(({ communities, asPath }) => communities.includes('65001:7') && asPath === '65001'));
    assert.deepEqual(prefixes('advertised=peer&prefix=10.9.9.9'), ['10.9.9.0/24']);
    assert.deepEqual(prefixes('advertised=peer&prefix=10.9.9.0/24&match=covering'), [
      '10.9.9.0/24',
      '10.9.0.0/16',
    ]);
    assert.deepEqual(sorted('advertised=peer&prefix=10.9.0.0/16&match=covered'), [
      '10.9.0.0/16',
      '10.9.9.0/24',
    ]);
    assert.deepEqual(prefixes('advertised=peer&prefix=10.9.0.0/17'), []);
  });

  it('says why the best path is best, and what the other lost by', () => {
    const both = rows('prefix=10.1.0.0/16');
    assert.deepEqual(both.map(({ from, best, reason }) => [from, best, reason]).sort(), [
      ['local', true, 'local-origin'],
      ['peer', false, 'local-origin'],
    ]);
    assert.deepEqual(
      rows('prefix=10.0.0.0/8').map(({ reason }) => reason),
      ['only-path'],
    );
  });

  it('tells which peers have been told of a prefix', () => {
    const { rib } = host.speaker;
    assert.deepEqual(rib.advertisedTo(prefix('10.9.0.0/16')), ['peer']);
    assert.deepEqual(rib.advertisedTo(prefix('10.0.0.0/8')), []);
    assert.deepEqual(rib.advertisedTo(prefix('192.0.2.0/24')), []);
  });

  it('what cannot be read is refused with the place of the fault', () => {
    for (const [query, expected] of [
      ['prefix=10.0.0.0/33', /neither an address nor a prefix/],
      ['prefix=x', /"x" is neither/],
      ['match=longest', /needs a prefix/],
      ['prefix=10.0.0.0/8&match=near', /choose exact, longest, covering, covered/],
      ['family=ipx', /choose ipv4 or ipv6/],
      ['received=a&advertised=b', /choose one of/],
      ['peer=a&received=b', /choose one of/],
      ['as-path=(1', /AS path/],
      ['community=no-exprot', /community "no-exprot"/],
      ['state=toString', /choose best, multipath/],
    ] as const) {
      assert.throws(
        () => readRoutesQuery(new URLSearchParams(query)),
        (error) =>
          error instanceof ApiError && error.problem.code === 'invalid' && expected.test(error.message),
        query,
      );
    }
  });
});
