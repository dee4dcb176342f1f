import assert from 'node:assert/strict';
import {
  parseBirdRoutes,
  parseBirdSessions,
  parseFrrRoutes,
  parseIpRoutes,
} from '../../../../lab/runner/parse-tables.ts';
import { attemptsFor, compareReach, type Outcome, reachMatrix } from '../../../../lab/runner/reach.ts';
import { compareRoutes, type ExpectedRoute, type SeenRoute } from '../../../../lab/runner/routes.ts';

const route = (prefix: string, via: string, dev = 'eth1'): SeenRoute => ({
  prefix,
  type: 'unicast',
  hops: [{ via, dev }],
});

const CASES: { title: string; expected: ExpectedRoute[]; seen: SeenRoute[]; problems: RegExp[] }[] = [
  {
    title: 'accepts what is exactly as expected',
    expected: [{ prefix: '10.1.0.0/24', via: ['10.0.0.1'], dev: 'eth*' }],
    seen: [route('10.1.0.0/24', '10.0.0.1')],
    problems: [],
  },
  {
    title: 'names a missing route',
    expected: [{ prefix: '10.1.0.0/24', via: ['10.0.0.1'] }],
    seen: [],
    problems: [/^10\.1\.0\.0\/24 via 10\.0\.0\.1: expected 1, found 0$/],
  },
  {
    title: 'names a route too many',
    expected: [],
    seen: [route('10.1.0.0/24', '10.0.0.1')],
    problems: [/should not be$/],
  },
  {
    title: 'names a wrong next hop',
    expected: [{ prefix: '10.1.0.0/24', via: ['10.0.0.2'] }],
    seen: [route('10.1.0.0/24', '10.0.0.1')],
    problems: [/it should go via 10\.0\.0\.2$/],
  },
  {
    title: 'wants every path of a multipath route',
    expected: [{ prefix: '10.1.0.0/24', via: ['10.0.0.1', '10.0.1.1'] }],
    seen: [route('10.1.0.0/24', '10.0.0.1')],
    problems: [/it should go via/],
  },
  {
    title: 'takes a link-local next hop for the neighbor, on the right device only',
    expected: [
      { prefix: 'fd00::/64', via: ['2001:db8::1'], dev: 'eth1' },
      { prefix: 'fd01::/64', via: ['2001:db8::1'], dev: 'eth1' },
    ],
    seen: [route('fd00::/64', 'fe80::9'), route('fd01::/64', 'fe80::9', 'eth2')],
    problems: [/device is not eth1$/],
  },
  {
    title: 'counts routes inside a prefix',
    expected: [{ within: '10.1.0.0/24', length: 32, count: 2 }],
    seen: [route('10.1.0.1/32', '10.0.0.1')],
    problems: [/expected 2, found 1$/],
  },
  {
    title: 'compares AS paths and types',
    expected: [
      { prefix: '10.1.0.0/24', asPath: [1, 2] },
      { prefix: '10.2.0.0/24', type: 'blackhole' },
    ],
    seen: [
      { ...route('10.1.0.0/24', '10.0.0.1'), asPath: [1] },
      { prefix: '10.2.0.0/24', type: 'blackhole', hops: [] },
    ],
    problems: [/its AS path is \[1\], not \[1 2\]$/],
  },
];

describe('lab/runner expectations', () => {
  for (const { title, expected, seen, problems } of CASES) {
    it(`routes: ${title}`, () => {
      const found = compareRoutes(expected, seen);
      assert.equal(found.length, problems.length, found.join('; '));
      problems.forEach((pattern, index) => {
        assert.match(found[index] ?? '', pattern);
      });
    });
  }

  it('reach: what is not allowed must vanish, what is allowed must pass', () => {
    const reach = {
      ping: [{ from: 'all' as const, to: 'all' as const }],
      tcp: [{ port: 80, from: ['a'], to: ['b'] }],
    };
    const attempts = attemptsFor(['a', 'b'], ['t'], [80]);
    assert.equal(attempts.length, 2 * (4 + 2));
    const run = (outcome: (from: string, to: string, ping: boolean) => Outcome) =>
      attempts.map((attempt) => ({
        ...attempt,
        outcome: outcome(attempt.from, attempt.to, attempt.probe === 'ping'),
      }));
    const right = run((from, _to, ping) => (ping || from === 'a' ? 'pass' : 'timeout'));
    assert.deepEqual(compareReach(reach, right), []);
    assert.deepEqual(reachMatrix('ipv4', reach, right), [
      ['IPv4 from / to', 'a', 'b', 't'],
      ['a', '-', 'ping 80', 'ping'],
      ['b', 'ping', '-', 'ping'],
    ]);
    const refused = run((from, _to, ping) => (ping || from === 'a' ? 'pass' : 'refused'));
    assert.match(
      compareReach(reach, refused)[0] ?? '',
      /^ipv4 b to a, TCP port 80: should be dropped.*refused$/,
    );
    assert.equal(
      compareReach(
        reach,
        run(() => 'timeout'),
      ).length,
      2 * (4 + 1),
    );
  });

  it('reads the kernel’s routes', () => {
    const json = JSON.stringify([
      { type: 'blackhole', dst: '10.1.0.0/26', flags: [] },
      { dst: '10.1.0.1', dev: 'oci1', flags: [] },
      {
        dst: '10.2.0.0/26',
        nexthops: [
          { gateway: '10.0.0.1', dev: 'eth1' },
          { gateway: '10.0.1.1', dev: 'eth2', flags: ['dead'] },
        ],
      },
    ]);
    assert.deepEqual(parseIpRoutes(json), [
      { prefix: '10.1.0.0/26', type: 'blackhole', hops: [] },
      { prefix: '10.1.0.1/32', type: 'unicast', hops: [{ dev: 'oci1' }] },
      { prefix: '10.2.0.0/26', type: 'unicast', hops: [{ via: '10.0.0.1', dev: 'eth1' }] },
    ]);
    assert.deepEqual(parseIpRoutes(''), []);
  });

  it('reads FRR’s routes: the best and those beside it, nothing of its own', () => {
    const path = (peerId: string, more: object) => ({ peerId, path: '65001 65101', ...more });
    const json = JSON.stringify({
      routes: {
        '10.1.0.0/26': [
          path('a', { multipath: true }),
          path('b', { bestpath: true, multipath: true }),
          path('c', {}),
        ],
        '10.2.0.0/24': [path('(unspec)', { bestpath: true })],
      },
    });
    assert.deepEqual(parseFrrRoutes(json), [
      { prefix: '10.1.0.0/26', type: 'unicast', hops: [{ via: 'a' }, { via: 'b' }], asPath: [65001, 65101] },
    ]);
  });

  it('reads BIRD’s routes and sessions', () => {
    const routes = parseBirdRoutes(
      'BIRD 2.0.12 ready.\nTable master6:\nfd00:1::/122  unicast [x 10:00:00] * (100) [AS65102i]\n\tvia fe80::1 on eth1\n' +
        '\tType: BGP univ\n\tBGP.as_path: 65001 65102\n\tBGP.next_hop: 2001:db8::2 fe80::1\n',
    );
    assert.deepEqual(routes, [
      { prefix: 'fd00:1::/122', type: 'unicast', hops: [{ via: '2001:db8::2' }], asPath: [65001, 65102] },
    ]);
    const sessions = parseBirdSessions(
      'BIRD ready.\nkernel4  Kernel  master4 up\n  Channel ipv4\n    Routes: 0 imported, 1 exported, 0 preferred\n\n' +
        'host4  BGP  ---  up  10:00:00  Established\n  BGP state:          Established\n    Neighbor address: 10.0.0.2\n' +
        '    Neighbor AS:      65102\n    Routes:         1 imported, 3 exported, 1 preferred\n',
    );
    assert.deepEqual(sessions, [
      { neighbor: '10.0.0.2', as: 65102, state: 'Established', received: 1, sent: 3 },
    ]);
  });
});
