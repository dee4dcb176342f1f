/**
 * Any history of wishes, of changes by others and of links and addresses that come and go: once it is quiet, the kernel has just what is
 * wanted, nothing is thought to be otherwise, and no next-hop object is left over.
 */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { listRoutes } from '../../fib/routes/inspect.ts';
import type { RouteSource, RouteTarget } from '../../fib/routes/types.ts';
import { formatAddress } from '../../src/net/address.ts';
import { formatPrefix } from '../../src/net/prefix.ts';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import { type Netns, removeAllNetns } from '../support/netns.ts';
import { type Programmer, RoutesBench, twoUplinks } from './routes-support.ts';

const PREFIXES = ['10.1.0.0/16', '10.2.0.0/16', '10.2.3.0/24', '2001:db8:a::/48', '2001:db8:b::/48'] as const;
const SOURCES: readonly RouteSource[] = ['block', 'bgp'];
const LINKS = ['eth0', 'eth1'] as const;
const ADDRESSES = {
  eth0: ['192.0.2.1/24', '2001:db8::1/64'],
  eth1: ['198.51.100.1/24', '2001:db8:1::1/64'],
} as const;
const GATEWAYS = {
  ipv4: { eth0: '192.0.2.2', eth1: '198.51.100.2' },
  ipv6: { eth0: '2001:db8::2', eth1: '2001:db8:1::2' },
} as const;
const TARGETS = [
  'one',
  'other',
  'both',
  'weighted',
  'link',
  'blackhole',
  'crossed',
  'cheap',
  'sourced',
] as const;

const anyPrefix = fc.constantFrom(...PREFIXES);
const anyLink = fc.constantFrom(...LINKS);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('want' as const),
      at: anyPrefix,
      source: fc.constantFrom(...SOURCES),
      target: fc.constantFrom(...TARGETS),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('unwant' as const),
      at: anyPrefix,
      source: fc.constantFrom(...SOURCES),
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
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), link: anyLink }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), at: anyPrefix }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('usurp' as const), at: anyPrefix }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), at: anyPrefix }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('objects' as const) }) },
);
/** Steps, and how often others have their turn after each: the programmer may be in the middle of things, or behind. */
const anyHistory = fc.array(fc.tuple(step, fc.integer({ min: 0, max: 4 })), {
  minLength: 20,
  maxLength: 60,
  size: 'max',
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One host under test, with what is wanted of it. */
class Scene {
  readonly host: Netns;
  readonly peer: Netns;
  readonly p: Programmer;
  readonly #wishes = new Map<string, Map<RouteSource, RouteTarget>>();

  constructor({ host, peer }: { host: Netns; peer: Netns }, p: Programmer) {
    this.host = host;
    this.peer = peer;
    this.p = p;
  }

  take(now: Step): void {
    const { host, peer, p } = this;
    // That there is nothing to delete, or an address is there already, is no fault of the history.
    const may = (line: string): void => void host.tryRun('ip', ...line.split(' '));
    switch (now.do) {
      case 'want': {
        const target = this.#target(now.at, now.target);
        p.routes.setRoute(prefix(now.at), now.source, target);
        const wishes = this.#wishes.get(now.at) ?? new Map<RouteSource, RouteTarget>();
        this.#wishes.set(now.at, wishes.set(now.source, target));
        break;
      }
      case 'unwant':
        p.routes.removeRoute(prefix(now.at), now.source);
        this.#wishes.get(now.at)?.delete(now.source);
        break;
      case 'link':
        may(`link set ${now.link} ${now.up ? 'up' : 'down'}`);
        break;
      case 'carrier':
        peer.sh(`ip link set ${now.link} ${now.up ? 'up' : 'down'}`);
        break;
      case 'address':
        this.#setAddresses(now.link, now.present);
        break;
      case 'fail':
        for (const { [now.link]: gateway } of Object.values(GATEWAYS))
          p.routes.failNextHop(address(gateway), p.ifindex(now.link));
        break;
      case 'delete':
        may(`route del ${now.at} proto 171`);
        break;
      case 'usurp':
        may(`route replace unreachable ${now.at} metric 1024 proto static`);
        break;
      case 'leave':
        may(`route del ${now.at} proto static`);
        break;
      case 'objects':
        may('nexthop flush proto 171');
        break;
    }
  }

  /** Ends all that stands in the way. */
  restore(): void {
    for (const link of LINKS) {
      this.peer.sh(`ip link set ${link} up`);
      this.host.sh(`ip link set ${link} up`);
      this.#setAddresses(link, true);
    }
    for (const at of PREFIXES) this.host.tryRun('ip', 'route', 'del', at, 'proto', 'static');
  }

  unwantAll(): void {
    for (const at of PREFIXES) for (const source of SOURCES) this.p.routes.removeRoute(prefix(at), source);
  }

  /** What should be in the kernel, a line a route. */
  wanted(): string[] {
    return [...this.#wishes]
      .flatMap(([at, wishes]) => {
        const target = SOURCES.map((source) => wishes.get(source)).find((each) => each !== undefined);
        return target === undefined ? [] : [`${at} ${this.#textOf(target)}`];
      })
      .sort();
  }

  /** What is in the kernel of ours, a line a route. */
  kernel(): string[] {
    return ['-4', '-6'].flatMap((family) => this.#list(family)).sort();
  }

  #list(family: string): string[] {
    const rows: unknown = JSON.parse(
      this.host.run('ip', '-j', family, 'route', 'show', 'proto', '171', 'table', 'all'),
    );
    assert.ok(Array.isArray(rows));
    return rows.map((row: KernelRoute) => {
      const hops = row.type === undefined ? (row.nexthops ?? [row]) : [];
      return `${row.dst} ${lineOf(
        row.type ?? 'unicast',
        hops.map(({ gateway, via, dev, weight }) => ({
          text: `${via?.host ?? gateway ?? '-'} ${dev}`,
          weight: weight ?? 1,
        })),
      )}`;
    });
  }

  #textOf({ kind, nextHops }: RouteTarget): string {
    const { links } = this.p.kernel;
    return lineOf(
      kind,
      nextHops.map(({ gateway, ifindex, weight }) => ({
        text: `${gateway === undefined ? '-' : formatAddress(gateway)} ${links.get(ifindex)?.name}`,
        weight: weight ?? 1,
      })),
    );
  }

  #target(at: string, kind: (typeof TARGETS)[number]): RouteTarget {
    const { eth0, eth1 } = GATEWAYS[at.includes(':') ? 'ipv6' : 'ipv4'];
    const { p } = this;
    if (kind === 'one') return p.via(['eth0', eth0]);
    if (kind === 'other') return p.via(['eth1', eth1]);
    if (kind === 'both') return p.via(['eth0', eth0], ['eth1', eth1]);
    if (kind === 'weighted') return p.via(['eth0', eth0, 3], ['eth1', eth1, 1]);
    if (kind === 'link') return p.via(['eth1', undefined]);
    if (kind === 'cheap') return { ...p.via(['eth1', eth1]), metric: 512 };
    if (kind === 'sourced') {
      const [ipv4 = '', ipv6 = ''] = ADDRESSES.eth1;
      const [source = ''] = (at.includes(':') ? ipv6 : ipv4).split('/');
      return { ...p.via(['eth0', eth0]), prefsrc: address(source) };
    }
    if (kind === 'crossed') return p.via(['eth0', GATEWAYS.ipv6.eth0], ['eth1', eth1]);
    return { kind, nextHops: [] };
  }

  #setAddresses(link: 'eth0' | 'eth1', present: boolean): void {
    for (const text of ADDRESSES[link]) {
      const flags = present && text.includes(':') ? ['nodad'] : [];
      this.host.tryRun('ip', 'address', present ? 'add' : 'del', text, 'dev', link, ...flags);
    }
  }
}

interface KernelHop {
  readonly gateway?: string;
  readonly via?: { readonly host: string };
  readonly dev: string;
  readonly weight?: number;
}

interface KernelRoute extends KernelHop {
  readonly dst: string;
  readonly type?: string;
  readonly nexthops?: readonly KernelHop[];
}

function lineOf(kind: string, hops: readonly { readonly text: string; readonly weight: number }[]): string {
  return [kind, ...hops.map(({ text, weight }) => `${text} *${hops.length === 1 ? 1 : weight}`).sort()].join(
    ', ',
  );
}

describe('fib/routes over any history', function () {
  this.timeout(120_000);
  const bench = new RoutesBench();

  for (const { name, numRuns, ...options } of [
    { name: 'with next-hop objects', numRuns: 6 },
    { name: 'without next-hop objects', numRuns: 6, nextHopObjects: false },
    { name: 'while notifications get lost', numRuns: 4, bufferBytes: 2048 },
  ])
    it(`ends with just what is wanted, ${name}`, () =>
      fc.assert(
        fc.asyncProperty(anyHistory, async (history) => {
          const net = twoUplinks();
          const p = await bench.programmer(net.host, options);
          for (const family of ['ipv4', 'ipv6'] as const)
            for (const scope of ['local', 'learned'] as const) p.routes.sweep(family, scope);
          const scene = new Scene(net, p);
          for (const at of PREFIXES) scene.take({ do: 'want', at, source: 'bgp', target: 'both' });
          p.settle();
          for (const [each, turns] of history) {
            scene.take(each);
            for (let count = 0; count < turns; count++) await turn();
          }
          scene.restore();
          const wanted = scene.wanted();
          try {
            await eventually('the kernel has what is wanted', () => {
              assert.deepEqual(scene.kernel(), wanted);
              for (const family of ['ipv4', 'ipv6'] as const)
                for (const { prefix: at, state } of listRoutes(p.routes, family))
                  assert.equal(state, 'installed', formatPrefix(at));
              return true;
            });
            scene.unwantAll();
            await eventually('nothing is left, no object either', () => {
              assert.deepEqual(scene.kernel(), []);
              return net.host.sh('ip nexthop show proto 171') === '';
            });
          } finally {
            p.close();
            await removeAllNetns();
          }
        }),
        { numRuns, endOnFailure: true },
      ));
});
