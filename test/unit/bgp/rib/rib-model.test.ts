/** Random life of a speaker against a naive one over objects: what every peer holds must be what the naive one would tell it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { builtinImport } from '../../../../bgp/policy/builtin.ts';
import type { FilterChain } from '../../../../bgp/policy/types.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import { addressesEqual, formatAddress } from '../../../../src/net/address.ts';
import {
  ACCEPT_ALL,
  address,
  attributes,
  FOREVER,
  LOCAL_AS,
  makeRib,
  prefix,
  ScriptedFib,
  selectedOf,
  settle,
  TestPeer,
  textOf,
} from './support.ts';

const PREFIXES = [
  '198.18.0.0/15',
  '10.1.0.0/24',
  '10.1.1.0/24',
  '10.9.0.0/16',
  '198.51.100.0/28',
  '2001:db8:1::/48',
  '::/0',
];

/** A chain with prefix, attribute and operation rules, in which everything the export and import can do occurs. */
const FUSSY: FilterChain = {
  name: 'fussy',
  rules: [
    { name: 'no /28', match: { prefixLength: { min: 28, max: 28 } }, action: 'reject' },
    {
      name: 'tagged',
      match: { community: 0xfde80001 },
      action: 'accept',
      operations: [
        { kind: 'set-med', value: 7 },
        { kind: 'add-community', community: 0xfde80002 },
      ],
    },
    {
      name: 'ten',
      match: { prefix: { cidr: prefix('10.0.0.0/8'), operator: 'In' } },
      action: 'accept',
      operations: [{ kind: 'set-local-pref', value: 150 }],
    },
  ],
  fallThrough: 'accept',
};

const PEERS = [
  { name: 'a', address: '192.0.2.1', peerAs: 65001, importPolicy: ACCEPT_ALL, exportPolicy: ACCEPT_ALL },
  { name: 'b', address: '192.0.2.2', peerAs: 65002, importPolicy: FUSSY, exportPolicy: ACCEPT_ALL },
  { name: 'c', address: '192.0.2.3', peerAs: 65001, importPolicy: ACCEPT_ALL, exportPolicy: FUSSY },
  { name: 'i', address: '192.0.2.4', peerAs: LOCAL_AS, importPolicy: undefined, exportPolicy: undefined },
  { name: 'j', address: '192.0.2.5', peerAs: LOCAL_AS, importPolicy: undefined, exportPolicy: FUSSY },
  { name: 'n', address: '192.0.2.6', peerAs: 65006, importPolicy: undefined, exportPolicy: undefined },
  // Same AS and same policy as a: what both announce is often the same to third parties.
  { name: 'd', address: '192.0.2.7', peerAs: 65001, importPolicy: ACCEPT_ALL, exportPolicy: ACCEPT_ALL },
  // With a, b and d in one update group: mostly written what one of them was.
  { name: 'e', address: '192.0.2.8', peerAs: 65008, importPolicy: ACCEPT_ALL, exportPolicy: ACCEPT_ALL },
];

interface Path {
  readonly peer: number | undefined;
  readonly attributes: PathAttributes;
  readonly arrival: number;
}

/** What the naive speaker knows. */
class Model {
  readonly adjIn = PEERS.map(() => new Map<string, Path>());
  readonly up = PEERS.map(() => true);
  readonly local = new Map<string, PathAttributes>();

  best(text: string): Path | undefined {
    const local = this.local.get(text);
    if (local !== undefined) return { peer: undefined, attributes: local, arrival: 0 };
    let left: Path[] = [];
    for (const [index, table] of this.adjIn.entries()) {
      const path = table.get(text);
      if (path === undefined) continue;
      const imported = this.imported(index, text, path.attributes);
      if (imported !== undefined) left.push({ ...path, attributes: imported });
    }
    left = least(left, (path) => -(path.attributes.localPref ?? 100));
    left = least(left, (path) => hops(path.attributes).length);
    left = least(left, (path) => ['igp', 'egp', 'incomplete'].indexOf(path.attributes.origin));
    left = left.filter(
      (path) =>
        !left.some(
          (other) =>
            (hops(other.attributes)[0] ?? 0) === (hops(path.attributes)[0] ?? 0) &&
            (other.attributes.med ?? 0) < (path.attributes.med ?? 0),
        ),
    );
    left = least(left, (path) => (isInternal(path.peer) ? 1 : 0));
    if (left.every((path) => !isInternal(path.peer)))
      left = least(left, (path) => Math.floor(path.arrival / 64));
    return least(left, (path) => path.peer ?? 0)[0];
  }

  imported(peer: number, text: string, given: PathAttributes): PathAttributes | undefined {
    if (hops(given).includes(LOCAL_AS)) return undefined;
    const chain = PEERS[peer]?.importPolicy;
    if (chain === undefined) return isInternal(peer) ? given : undefined;
    return filtered(chain, text, given);
  }

  /** What a peer should hold. `refused`: prefixes to which no learned route can be used. */
  exported(to: number, refused: ReadonlySet<string>): Map<string, string> {
    const table = new Map<string, string>();
    for (const text of PREFIXES) {
      const best = this.best(text);
      if (best === undefined || best.peer === to) continue;
      if (best.peer !== undefined && refused.has(text)) continue;
      const told = exportTo(to, text, best);
      if (told !== undefined) table.set(text, textOf(told));
    }
    return table;
  }
}

function isInternal(peer: number | undefined): boolean {
  return peer !== undefined && PEERS[peer]?.peerAs === LOCAL_AS;
}

function least(paths: Path[], key: (path: Path) => number): Path[] {
  const value = Math.min(...paths.map(key));
  return paths.filter((path) => key(path) === value);
}

function hops(value: PathAttributes): number[] {
  return value.asPath.flatMap((segment) => segment.asNumbers);
}

function filtered(chain: FilterChain, text: string, given: PathAttributes): PathAttributes | undefined {
  if (chain === ACCEPT_ALL) return given;
  if (text.endsWith('/28')) return undefined;
  if (given.communities?.includes(0xfde80001)) {
    const communities = given.communities.includes(0xfde80002)
      ? given.communities
      : [...given.communities, 0xfde80002];
    return { ...given, med: 7, communities };
  }
  return text.startsWith('10.') ? { ...given, localPref: 150 } : given;
}

function exportTo(to: number, text: string, best: Path): PathAttributes | undefined {
  const external = !isInternal(to);
  const communities = best.attributes.communities ?? [];
  if (communities.includes(0xffffff02)) return undefined;
  if (external && (communities.includes(0xffffff01) || communities.includes(0xffffff03))) return undefined;
  if (!external && isInternal(best.peer)) return undefined;
  const chain = PEERS[to]?.exportPolicy;
  if (chain === undefined && external) return undefined;
  const { med, ...withoutMed } = best.attributes;
  const stripped = external && best.peer !== undefined ? withoutMed : best.attributes;
  const kept = chain === undefined ? stripped : filtered(chain, text, stripped);
  if (kept === undefined) return undefined;
  const self = address(text.includes(':') ? '2001:db8::fe' : '192.0.2.254');
  if (external) {
    const { localPref, ...rest } = kept;
    return { ...rest, nextHop: self, asPath: [{ type: 'sequence', asNumbers: [LOCAL_AS, ...hops(kept)] }] };
  }
  const nextHop = kept.nextHop ?? self;
  const own = PEERS[to]?.address ?? '';
  if (addressesEqual(nextHop, address(own))) return undefined;
  return { ...kept, nextHop, localPref: kept.localPref ?? 100 };
}

const arbitraryAttributes = fc.record({
  tail: fc.constantFrom<number[]>([], [], [], [], [65100], [65100, 65002], [LOCAL_AS]),
  med: fc.constantFrom(undefined, 5, 10),
  origin: fc.constantFrom('igp' as const, 'igp' as const, 'igp' as const, 'incomplete' as const),
  communities: fc.constantFrom(undefined, undefined, undefined, [0xfde80001], [0xffffff01], [0xffffff02]),
  localPref: fc.constantFrom(90, 100, 100, 110),
  thirdParty: fc.boolean(),
});

type Drawn = typeof arbitraryAttributes extends fc.Arbitrary<infer T> ? T : never;

function drawnAttributes(peer: number, text: string, drawn: Drawn): PathAttributes {
  const config = PEERS[peer];
  const internal = isInternal(peer);
  const v6 = text.includes(':');
  const from = config?.address ?? '';
  const nextHop = address(v6 ? `2001:db8::${peer + 1}` : drawn.thirdParty ? '192.0.2.5' : from);
  return attributes({
    nextHop,
    origin: drawn.origin,
    asPath:
      internal && drawn.tail.length === 0
        ? []
        : [{ type: 'sequence', asNumbers: internal ? drawn.tail : [config?.peerAs ?? 0, ...drawn.tail] }],
    ...(drawn.med === undefined ? {} : { med: drawn.med }),
    ...(drawn.communities === undefined ? {} : { communities: drawn.communities }),
    ...(internal ? { localPref: drawn.localPref } : {}),
  });
}

const anyPeer = fc.nat(PEERS.length - 1);
// One prefix gets half of all events, so that many paths meet there.
const anyPrefix = fc.oneof(fc.constant('198.18.0.0/15'), fc.constantFrom(...PREFIXES));
const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('announce' as const),
      peer: anyPeer,
      prefix: anyPrefix,
      // in the same message, where they are of the same family; a prefix may stand there twice
      others: fc.array(fc.constantFrom(...PREFIXES), { maxLength: 4 }),
      drawn: arbitraryAttributes,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('withdraw' as const), peer: anyPeer, prefix: anyPrefix }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('originate' as const),
      prefix: anyPrefix,
      med: fc.constantFrom(undefined, 3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unoriginate' as const), prefix: anyPrefix }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flap' as const), peer: anyPeer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const), peer: anyPeer }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('work' as const, 'everything' as const, 'kernel' as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('refuse' as const), prefix: anyPrefix, on: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pull' as const),
      peer: anyPeer,
      size: fc.constantFrom(64, 120, 300, 5000),
    }),
  },
);

describe('RIB against a naive speaker', function () {
  this.timeout(60_000);
  for (const hasFib of [false, true]) {
    const title = hasFib ? ', and of a slow FIB that refuses some' : '';
    it(`tells every peer what the naive speaker tells it, whatever happened in between${title}`, () =>
      compare(hasFib));
  }

  function compare(hasFib: boolean): void {
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 100, size: 'max' }), (commands) => {
        const rib = makeRib();
        const fib = hasFib ? new ScriptedFib(rib) : undefined;
        const model = new Model();
        const peers = PEERS.map(
          (peer, index) =>
            new TestPeer(
              rib,
              {
                name: peer.name,
                address: address(peer.address),
                peerAs: peer.peerAs,
                importPolicy: peer.importPolicy,
                exportPolicy: peer.exportPolicy,
              },
              { routerId: index + 1 },
            ),
        );
        let now = 1_000_000;
        // The first update sets the origin of the RIB's ticks.
        peers[0]?.withdraw(['198.18.0.0/15']);
        for (const step of commands) {
          now += step.do === 'work' ? 200 : 20;
          const peer = 'peer' in step ? peers[step.peer] : undefined;
          if (step.do === 'announce' && peer !== undefined) {
            const given = drawnAttributes(step.peer, step.prefix, step.drawn);
            const others = step.others.filter((text) => text.includes(':') === step.prefix.includes(':'));
            peer.announce([step.prefix, ...others], given, now);
            const table = model.adjIn[step.peer];
            for (const text of [step.prefix, ...others]) {
              const before = table?.get(text);
              // The same once more is no change: the path keeps its age.
              const same = before !== undefined && textOf(before.attributes) === textOf(given);
              const arrival = same ? before.arrival : now - 1_000_000;
              table?.set(text, { peer: step.peer, attributes: given, arrival });
            }
          } else if (step.do === 'withdraw' && peer !== undefined) {
            peer.withdraw([step.prefix]);
            model.adjIn[step.peer]?.delete(step.prefix);
          } else if (step.do === 'originate') {
            const med = step.med === undefined ? {} : { med: step.med };
            rib.originate(prefix(step.prefix), med, now);
            model.local.set(step.prefix, { origin: 'igp', asPath: [], ...med });
          } else if (step.do === 'unoriginate') {
            assert.equal(rib.withdraw(prefix(step.prefix)), model.local.delete(step.prefix));
          } else if (step.do === 'flap' && peer !== undefined) {
            peer.down();
            model.adjIn[step.peer]?.clear();
            peer.up({ routerId: step.peer + 1 });
          } else if (step.do === 'refresh' && peer !== undefined) {
            rib.refresh(peer.id, 'ipv4');
          } else if (step.do === 'everything') {
            for (const each of peers) each.read();
          } else if (step.do === 'work') {
            rib.work(FOREVER);
          } else if (step.do === 'kernel') {
            fib?.work();
          } else if (step.do === 'refuse') {
            fib?.setRefused(step.prefix, step.on);
          } else if (step.do === 'pull' && peer !== undefined) {
            peer.receiver.pull(rib, peer.id, 2, step.size);
          }
        }
        settle(rib);
        fib?.work();
        const refused = fib?.refused ?? new Set();
        for (const [index, peer] of peers.entries()) {
          const held = new Map([...peer.read()].map(([text, value]) => [text, textOf(value)]));
          assert.deepEqual(
            sorted(held),
            sorted(model.exported(index, refused)),
            `what ${PEERS[index]?.name} holds`,
          );
          assert.equal(rib.familyStatus(peer.id, 'ipv4').advertised, v4Count(held));
          assert.equal(rib.hasOutput(peer.id), false);
          assert.equal(peer.receiver.endOfRib.size, 2);
        }
        for (const text of PREFIXES) {
          const best = model.best(text);
          const nextHop = best?.attributes.nextHop;
          const expected = best?.peer === undefined || nextHop === undefined ? [] : [formatAddress(nextHop)];
          assert.deepEqual(selectedOf(rib, text), expected, text);
        }
        for (const peer of peers) rib.removePeer(peer.id);
        for (const text of model.local.keys()) rib.withdraw(prefix(text));
        settle(rib);
        assert.deepEqual(rib.sizes, {
          attributes: 0,
          nextHops: 0,
          nextHopSets: 0,
          prefixes: { ipv4: 0, ipv6: 0 },
        });
      }),
      { numRuns: hasFib ? 100 : 300 },
    );
  }

  it('keeps own blocks out however the policy came about', () => {
    const guards = { ownBlocks: [prefix('10.1.0.0/16')], connectedSubnets: [] };
    const rib = makeRib();
    const peer = new TestPeer(rib, { importPolicy: builtinImport(guards) });
    peer.announce(['10.1.1.0/24', '10.9.0.0/16'], attributes());
    settle(rib);
    assert.deepEqual(selectedOf(rib, '10.1.1.0/24'), []);
    assert.deepEqual(selectedOf(rib, '10.9.0.0/16'), ['192.0.2.1']);
  });
});

function sorted(table: Map<string, string>): [string, string][] {
  return [...table].sort(([a], [b]) => (a < b ? -1 : 1));
}

function v4Count(table: Map<string, string>): number {
  return [...table.keys()].filter((text) => !text.includes(':')).length;
}
