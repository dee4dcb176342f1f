/**
 * Any history of what two peers announce, of links, addresses and foreign routes under the next hops: once it is quiet, the kernel has what a
 * new start with the same peers finds right without a write.
 */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import type { Rib } from '../../bgp/rib/rib.ts';
import { listRoutes } from '../../fib/routes/inspect.ts';
import { FAMILIES } from '../../src/net/address.ts';
import { formatPrefix } from '../../src/net/prefix.ts';
import { eventually } from '../support/eventually.ts';
import { address } from '../support/net.ts';
import { type Netns, removeAllNetns } from '../support/netns.ts';
import { fed, Neighbour } from './learned-support.ts';
import { type Programmer, RoutesBench, show, twoUplinks } from './routes-support.ts';

/** Some hold next hops of others, or their own. */
const PREFIXES = {
  ipv4: ['10.1.0.0/16', '10.2.0.0/16', '203.0.113.0/24', '203.0.113.0/25', '198.18.0.0/16', '198.18.0.0/15'],
  ipv6: ['2001:db8:a::/48', '2001:db8:b::/48', '2001:db8:9::/48', '2001:db8:9::/56'],
};
/** IPv4 routes may have IPv6 next hops (RFC 8950). */
const NEXT_HOPS = {
  ipv4: [
    '192.0.2.2',
    '198.51.100.2',
    '203.0.113.7',
    '203.0.113.200',
    '198.18.0.1',
    '198.19.0.1',
    '2001:db8::2',
  ],
  ipv6: ['2001:db8::2', '2001:db8:1::2', '2001:db8:9::7', '2001:db8:9:100::7', '2001:db8:b::1'],
};
/** Of others, by which next hops are found or not. */
const FOREIGN = [
  '203.0.113.0/26 via 192.0.2.2',
  '198.18.0.0/17 via 198.51.100.2',
  '198.19.0.0/24 nexthop via 192.0.2.2 nexthop via 198.51.100.2',
  'unreachable 203.0.113.7/32',
  '2001:db8:9::/64 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2',
  '2001:db8:9:100::/64 via 2001:db8:1::2',
];
const LINKS = [
  { name: 'eth0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
  { name: 'eth1', addresses: ['198.51.100.1/24', '2001:db8:1::1/64'] },
] as const;

const anyPeer = fc.integer({ min: 0, max: 1 });
const anyLink = fc.constantFrom(...LINKS);
const step = fc.oneof(
  ...FAMILIES.flatMap((family) => [
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('announce' as const),
        peer: anyPeer,
        at: fc.constantFrom(...PREFIXES[family]),
        way: fc.record({
          nextHop: fc.constantFrom(...NEXT_HOPS[family]),
          gigabits: fc.constantFrom(0, 10, 40),
        }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('withdraw' as const),
        peer: anyPeer,
        at: fc.constantFrom(...PREFIXES[family]),
      }),
    },
  ]),
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), peer: anyPeer }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('foreign' as const),
      route: fc.constantFrom(...FOREIGN),
      present: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('link' as const), link: anyLink, up: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('carrier' as const), link: anyLink, up: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('address' as const), link: anyLink, present: fc.boolean() }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const anyHistory = fc.array(fc.tuple(step, fc.integer({ min: 0, max: 4 })), {
  minLength: 20,
  maxLength: 60,
  size: 'max',
});

/** How a path goes: its next hop, and a link bandwidth where that is not 0. */
interface Way {
  readonly nextHop: string;
  readonly gigabits: number;
}

/** What each of the two peers announces, by prefix. */
type Announced = readonly [Map<string, Way>, Map<string, Way>];

function peersOf(rib: Rib): readonly [Neighbour, Neighbour] {
  return [
    new Neighbour(rib, { name: 'one', address: address('192.0.2.9'), peerAs: 65001 }),
    new Neighbour(rib, { name: 'two', address: address('198.51.100.9'), peerAs: 65002 }),
  ];
}

function announce(peer: Neighbour, at: string, { nextHop, gigabits }: Way): void {
  const float = new DataView(new ArrayBuffer(4));
  float.setFloat32(0, (gigabits * 1e9) / 8);
  const width = (0x4004_fde9n << 32n) | BigInt(float.getUint32(0));
  peer.announce([at], {
    nextHop: address(nextHop),
    ...(gigabits > 0 && { extendedCommunities: [width] }),
  });
}

function take(
  now: Step,
  net: { host: Netns; peer: Netns },
  peers: readonly Neighbour[],
  announced: Announced,
): void {
  // That a route is there already, or its gateway is not, is no fault of the history.
  const may = (line: string): void => void net.host.tryRun('ip', ...line.split(' '));
  switch (now.do) {
    case 'announce': {
      const peer = peers[now.peer];
      if (peer !== undefined) announce(peer, now.at, now.way);
      announced[now.peer]?.set(now.at, now.way);
      break;
    }
    case 'withdraw':
      peers[now.peer]?.withdraw([now.at]);
      announced[now.peer]?.delete(now.at);
      break;
    case 'reset':
      peers[now.peer]?.down();
      peers[now.peer]?.up();
      announced[now.peer]?.clear();
      break;
    case 'foreign':
      may(`route ${now.present ? 'add' : 'del'} ${now.route}`);
      break;
    case 'link':
      may(`link set ${now.link.name} ${now.up ? 'up' : 'down'}`);
      break;
    case 'carrier':
      net.peer.sh(`ip link set ${now.link.name} ${now.up ? 'up' : 'down'}`);
      break;
    case 'address':
      setAddresses(net.host, now.link, now.present);
      break;
  }
}

function setAddresses(host: Netns, { name, addresses }: (typeof LINKS)[number], present: boolean): void {
  for (const text of addresses) {
    const flags = present && text.includes(':') ? ['nodad'] : [];
    host.tryRun('ip', 'address', present ? 'add' : 'del', text, 'dev', name, ...flags);
  }
}

/** Prefixes with their states, in order. */
function statesOf({ routes }: Programmer): string[] {
  return FAMILIES.flatMap((family) =>
    [...listRoutes(routes, family)].map(({ prefix, state }) => `${formatPrefix(prefix)} ${state}`),
  ).sort();
}

describe('src/agent/learned-routes over any history', function () {
  this.timeout(120_000);
  const bench = new RoutesBench();

  it('ends with what a new start finds right', () =>
    fc.assert(
      fc.asyncProperty(anyHistory, async (history) => {
        const net = twoUplinks();
        const { host } = net;
        const p = await bench.programmer(host);
        const peers = peersOf(fed(bench, p));
        const announced: Announced = [new Map(), new Map()];
        try {
          for (const [each, turns] of history) {
            take(each, net, peers, announced);
            for (let count = 0; count < turns; count++) await turn();
          }
          for (const link of LINKS) {
            net.peer.sh(`ip link set ${link.name} up`);
            host.sh(`ip link set ${link.name} up`);
            setAddresses(host, link, true);
          }
          const kernel = (): string =>
            ['-4', '-6'].map((family) => show(host, family, 'route', 'show', 'proto', '171')).join(' ');
          let before: string | undefined;
          await eventually(
            'it is quiet',
            () => {
              const now = kernel();
              const isQuiet = now === before && statesOf(p).every((text) => text.endsWith(' installed'));
              before = now;
              return isQuiet;
            },
            { intervalMs: 100 },
          );
          p.close();
          const next = await bench.programmer(host);
          next.isAutomatic = false;
          const again = peersOf(fed(bench, next));
          for (const [index, peer] of again.entries())
            for (const [at, way] of announced[index] ?? []) announce(peer, at, way);
          // Next hops that are found by learned routes take a turn each.
          for (let count = 0; count < 20; count++) await turn();
          for (const family of FAMILIES) next.routes.sweep(family, 'learned');
          next.settle();
          assert.equal(kernel(), before);
          assert.deepEqual(statesOf(next), statesOf(p));
          next.close();
        } finally {
          await removeAllNetns();
        }
      }),
      { numRuns: 8, endOnFailure: true },
    ));
});
