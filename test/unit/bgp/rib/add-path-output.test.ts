/** What peers that take several paths to a prefix (RFC 7911) hold: whatever happened, the same as one whose session begins now. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FilterChain } from '../../../../bgp/policy/types.ts';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { decodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import { nextFrame } from '../../../../bgp/wire/frame.ts';
import { NlriWalker } from '../../../../bgp/wire/nlri.ts';
import type { DecodeContext, NlriRange, PathAttributes } from '../../../../bgp/wire/types.ts';
import { decodeUpdate } from '../../../../bgp/wire/update.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { PrefixTable } from '../../../../src/net/prefix-table.ts';
import {
  ACCEPT_ALL,
  address,
  attributes,
  contextOf,
  FOREVER,
  LOCAL_AS,
  makeRib,
  type PeerChanges,
  path,
  peerConfig,
  settle,
  TestPeer,
  textOf,
} from './support.ts';

const BOTH = { ipv4: true, ipv6: true };
const PREFIXES = ['10.1.0.0/16', '10.2.0.0/16', '10.2.3.0/24', '2001:db8:1::/48', '2001:db8::/32'];

/** What a peer has made of the messages for it: prefix and path identifier -> attributes, as text. */
class PathReceiver {
  readonly table = new Map<string, string>();
  messages = 0;
  /** NLRI announced and withdrawn, repeats counted */
  announced = 0;
  withdrawn = 0;
  readonly #rib: Rib;
  readonly #peer: number;
  readonly #context: DecodeContext;

  constructor(rib: Rib, peer: number, config: PeerConfig) {
    this.#rib = rib;
    this.#peer = peer;
    const { localAs: peerAs, peerAs: localAs } = config;
    this.#context = contextOf(config, { localAs, peerAs, addPathReceive: BOTH });
  }

  /** Reads up to `pulls` buffers of `size` octets. */
  pull(size = 1 << 16, pulls = 10_000): this {
    const buffer = new Uint8Array(size);
    for (let i = 0; i < pulls; i++) {
      const octets = this.#rib.fill(this.#peer, buffer, 0);
      if (octets === 0) break;
      for (let at = 0; at < octets; ) {
        const frame = nextFrame(buffer, at, octets, false);
        assert.equal(frame.kind, 'message', 'fill writes whole messages');
        if (frame.kind !== 'message') return this;
        this.#apply(buffer.slice(frame.bodyStart, frame.end));
        at = frame.end;
      }
    }
    return this;
  }

  /** Lets the RIB finish its work, then reads all. */
  read(size?: number): this {
    settle(this.#rib);
    return this.pull(size);
  }

  /** What is held, in order. */
  get held(): [string, string][] {
    return [...this.table].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** AS_PATHs held of a prefix, as text. */
  pathsOf(prefix: string): string[] {
    return [...this.table]
      .filter(([name]) => name.startsWith(`${prefix} `))
      .map(([, value]) => value)
      .sort();
  }

  #apply(body: Uint8Array): void {
    const update = decodeUpdate(body, this.#context);
    assert.equal(update.verdict.kind, 'ok', JSON.stringify(update.verdict));
    if (update.endOfRib !== undefined) return;
    this.messages++;
    for (const range of update.withdrawn) {
      for (const name of namesIn(body, range)) {
        this.withdrawn++;
        assert.ok(this.table.delete(name), `${name} withdrawn without having been announced`);
      }
    }
    for (const { nlri, attributes: key } of update.reach) {
      const carried = textOf(decodeAttributes(key));
      for (const name of namesIn(body, nlri)) {
        this.announced++;
        this.table.set(name, carried);
      }
    }
  }
}

function namesIn(body: Uint8Array, range: NlriRange): string[] {
  const table = new PrefixTable(range.family);
  const names: string[] = [];
  const walker = new NlriWalker();
  walker.reset(body, range);
  while (walker.next()) {
    const id = table.intern(walker.length, walker.w0, walker.w1, walker.w2, walker.w3);
    names.push(`${formatPrefix(table.prefixOf(id))} ${walker.pathId}`);
  }
  return names;
}

/** A peer that announces several paths to a prefix, and takes none. */
function sender(rib: Rib, number: number): TestPeer {
  const changes = { name: `from${number}`, address: address(`192.0.2.${number}`), peerAs: 65000 + number };
  const context = contextOf(peerConfig(changes), { addPathReceive: BOTH });
  return new TestPeer(rib, changes, { routerId: number, context });
}

/** A peer that takes several paths to a prefix, and what it has read so far. */
class PathTaker extends TestPeer {
  readonly paths: PathReceiver;

  constructor(rib: Rib, changes: PeerChanges = {}) {
    super(rib, { name: 'to', address: address('192.0.2.99'), peerAs: 65009, ...changes }, TAKER_SESSION);
    this.paths = new PathReceiver(rib, this.id, this.config);
  }
}

const TAKER_SESSION = { addPathSend: BOTH, routerId: 99 };

function scene() {
  const rib = makeRib();
  return { rib, from: sender(rib, 1), other: sender(rib, 2), to: new PathTaker(rib) };
}

describe('output of several paths to a prefix', () => {
  const [FIRST = '', SECOND = ''] = PREFIXES;

  it('paths with the same attributes share a message, over prefixes and identifiers', () => {
    const { from, to } = scene();
    const shared = attributes({ ...path(65001, 7) });
    for (const pathId of [1, 2, 3]) from.announce([FIRST, SECOND], shared, undefined, pathId);
    from.announce([FIRST], attributes({ ...path(65001, 8) }), undefined, 4);
    to.paths.read();
    assert.equal(to.paths.announced, 7);
    assert.equal(to.paths.messages, 2);
  });

  it('what did not change is not sent again, withdrawals of all prefixes go in one message', () => {
    const { from, to } = scene();
    for (const pathId of [1, 2, 3, 4]) {
      from.announce([FIRST, SECOND], attributes({ ...path(65001, pathId) }), undefined, pathId);
    }
    to.paths.read();
    from.announce([FIRST], attributes({ ...path(65001, 9) }), undefined, 3);
    to.paths.read();
    assert.equal(to.paths.announced, 9);
    const { messages } = to.paths;
    for (const pathId of [1, 2]) from.withdraw([FIRST, SECOND], pathId);
    to.paths.read();
    assert.equal(to.paths.withdrawn, 4);
    assert.equal(to.paths.messages, messages + 1);
    assert.equal(to.paths.announced, 9);
    assert.equal(to.paths.table.size, 4);
  });

  it('a path that went and came back before the peer heard of it is no change', () => {
    const { from, to } = scene();
    from.announce([FIRST], attributes(), undefined, 1);
    const before = to.paths.read().held;
    from.withdraw([FIRST], 1).announce([FIRST], attributes(), undefined, 1);
    assert.deepEqual(to.paths.read().held, before);
    assert.equal(to.paths.announced, 1);
    assert.equal(to.paths.withdrawn, 0);
  });

  it('a record that stands for another prefix before the peer heard is withdrawn for the first one', () => {
    const { rib, from, to } = scene();
    from.announce([FIRST], attributes(), undefined, 1);
    to.paths.read();
    const [[name] = []] = to.paths.held;
    const pathId = name?.split(' ')[1];
    from.withdraw([FIRST], 1).announce([SECOND], attributes({ ...path(65001, 2) }), undefined, 1);
    // Both in one go or, when the prefixes are looked at in the other order, one after the other.
    to.paths.read();
    assert.deepEqual([...to.paths.table.keys()], [`${SECOND} ${pathId}`]);
    // Two prefixes that take each other's records over.
    from.announce([FIRST], attributes(), undefined, 1);
    to.paths.read();
    from
      .withdraw([FIRST, SECOND], 1)
      .announce([FIRST], attributes(), undefined, 1)
      .announce([SECOND], attributes(), undefined, 1);
    to.paths.read(64);
    from
      .withdraw([FIRST, SECOND], 1)
      .announce([SECOND], attributes(), undefined, 1)
      .announce([FIRST], attributes(), undefined, 1);
    to.paths.read(64);
    assert.equal(to.paths.table.size, 2);
    from.withdraw([FIRST, SECOND], 1);
    assert.equal(to.paths.read(64).table.size, 0);
    assert.equal(rib.sizes.prefixes.ipv4, 0);
    assert.equal(rib.sizes.attributes, 0);
  });

  it('attributes that fit into no message: what the peer had goes, other paths stay', () => {
    const { from, to } = scene();
    from.announce([FIRST], attributes(), undefined, 1);
    from.announce([FIRST], attributes({ ...path(65001, 5) }), undefined, 2);
    assert.equal(to.paths.read().table.size, 2);
    // Our own AS number in front makes the message too long for the receiver.
    const communities = Array.from({ length: 1010 }, (_, i) => i);
    from.announce([FIRST], attributes({ communities }), undefined, 1);
    assert.equal(to.paths.read().table.size, 1);
    from.announce([FIRST], attributes(), undefined, 1);
    assert.equal(to.paths.read().table.size, 2);
  });

  it('identifiers grow with the tables: thousands of paths over thousands of prefixes', () => {
    const { rib, from, other, to } = scene();
    const texts = Array.from({ length: 2000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    for (let pathId = 1; pathId <= 4; pathId++) {
      for (let at = 0; at < texts.length; at += 400) {
        const some = texts.slice(at, at + 400);
        from.announce(some, attributes({ ...path(65001, pathId, 1 + at) }), undefined, pathId);
        other.announce(some, attributes({ ...path(65002, pathId) }), undefined, pathId);
      }
      to.paths.read(1 << 12);
    }
    assert.equal(to.paths.table.size, 16_000);
    assert.equal(rib.familyStatus(to.id, 'ipv4').advertised, 2000);
    assert.equal([...rib.advertised(to.id, 'ipv4')].length, 16_000);
    other.down();
    assert.equal(to.paths.read(1 << 12).table.size, 8000);
    from.down();
    assert.equal(to.paths.read(1 << 12).table.size, 0);
    assert.deepEqual(rib.sizes.prefixes, { ipv4: 0, ipv6: 0 });
    assert.equal(rib.sizes.attributes, 0);
  });
});

/** Looks at prefixes and at attributes, changes some of both. */
const FUSSY: FilterChain = {
  name: 'fussy',
  rules: [
    { name: 'no /24', match: { prefixLength: { min: 24, max: 24 } }, action: 'reject' },
    {
      name: 'tagged',
      match: { community: 0xfde80001 },
      action: 'accept',
      operations: [{ kind: 'set-med', value: 7 }],
    },
  ],
  fallThrough: 'accept',
};

/** What the receivers are: the first one announces as well, so that paths are kept from whoever sent them. */
const TAKERS: readonly PeerChanges[] = [
  { name: 'all', address: address('192.0.2.3'), peerAs: 65003 },
  {
    name: 'two',
    address: address('192.0.2.101'),
    addPath: { receive: [], send: ['ipv4', 'ipv6'], sendMax: 2 },
  },
  { name: 'fussy', address: address('192.0.2.102'), exportPolicy: FUSSY },
];

const command = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('announce' as const),
      from: fc.nat(2),
      prefix: fc.constantFrom(...PREFIXES),
      pathId: fc.integer({ min: 1, max: 4 }),
      tail: fc.nat(3),
      tagged: fc.boolean(),
      med: fc.constantFrom(undefined, 5),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('withdraw' as const),
      from: fc.nat(2),
      prefix: fc.constantFrom(...PREFIXES),
      pathId: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flap' as const), from: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('refresh' as const, 'policy' as const), taker: fc.nat(2) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('work' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pull' as const),
      taker: fc.nat(2),
      size: fc.constantFrom(64, 120, 300, 5000),
    }),
  },
);

describe('output of several paths to a prefix, whatever happened', function () {
  this.timeout(60_000);

  it('is what a session that begins now gets, and what was announced less what the receiver sent', () => {
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 120, size: 'max' }), (commands) => {
        const rib = makeRib();
        const takers = TAKERS.map((changes) => new PathTaker(rib, changes));
        const [all] = takers;
        assert.ok(all);
        const senders = [sender(rib, 1), sender(rib, 2), all];
        const announced = senders.map(() => new Map<string, string>());
        for (const step of commands) {
          const from = 'from' in step ? senders[step.from] : undefined;
          const taker = 'taker' in step ? takers[step.taker] : undefined;
          if (step.do === 'announce' && from !== undefined) {
            // The receiver that announces has one path a prefix.
            const pathId = from === all ? undefined : step.pathId;
            const carried = drawn(step.prefix, from.config.peerAs, step);
            from.announce([step.prefix], carried, undefined, pathId);
            announced[step.from]?.set(
              `${step.prefix} ${pathId ?? 0}`,
              textOf(asExported(step.prefix, carried)),
            );
          } else if (step.do === 'withdraw' && from !== undefined) {
            const pathId = from === all ? undefined : step.pathId;
            from.withdraw([step.prefix], pathId);
            announced[step.from]?.delete(`${step.prefix} ${pathId ?? 0}`);
          } else if (step.do === 'flap' && from !== undefined && from !== all) {
            from.down();
            announced[step.from]?.clear();
            from.up({ routerId: step.from + 1, context: from.context });
          } else if (step.do === 'refresh' && taker !== undefined) {
            rib.refresh(taker.id, 'ipv4');
          } else if (step.do === 'policy' && taker !== undefined && taker !== all) {
            taker.update({ exportPolicy: taker.config.exportPolicy === FUSSY ? ACCEPT_ALL : FUSSY });
          } else if (step.do === 'work') {
            rib.work(FOREVER);
          } else if (step.do === 'pull' && taker !== undefined) {
            taker.paths.pull(step.size, 2);
          }
        }
        for (const taker of takers) {
          taker.paths.read();
          assert.equal(rib.hasOutput(taker.id), false);
          const { announced: before } = taker.paths;
          assert.equal(taker.paths.read().announced, before, 'nothing is said twice');
          if (taker === all) continue;
          const { name: _, ...config } = taker.config;
          const fresh = new PathTaker(rib, { ...config, name: 'fresh' });
          assert.deepEqual(taker.paths.held, fresh.paths.read().held, `what ${taker.config.name} holds`);
          rib.removePeer(fresh.id);
        }
        for (const text of PREFIXES) {
          const expected = announced
            .slice(0, 2)
            .flatMap((table) => [...table].filter(([name]) => name.startsWith(`${text} `)))
            .map(([, value]) => value)
            .sort();
          assert.deepEqual(all.paths.pathsOf(text), expected, text);
        }
        for (const peer of [...senders, ...takers.slice(1)]) rib.removePeer(peer.id);
        settle(rib);
        assert.equal(rib.sizes.attributes, 0);
        assert.deepEqual(rib.sizes.prefixes, { ipv4: 0, ipv6: 0 });
      }),
      { numRuns: 200 },
    );
  });
});

function drawn(
  text: string,
  peerAs: number,
  step: { tail: number; tagged: boolean; med: number | undefined },
): PathAttributes {
  return attributes({
    ...path(peerAs, 100 + step.tail),
    nextHop: address(text.includes(':') ? '2001:db8::77' : '192.0.2.77'),
    ...(step.med === undefined ? {} : { med: step.med }),
    ...(step.tagged ? { communities: [0xfde80001] } : {}),
  });
}

/** What an external peer is told of a learned path where the policy accepts everything. */
function asExported(text: string, { med: _, ...received }: PathAttributes): PathAttributes {
  const asNumbers = [LOCAL_AS, ...received.asPath.flatMap((segment) => segment.asNumbers)];
  const nextHop = address(text.includes(':') ? '2001:db8::fe' : '192.0.2.254');
  return { ...received, nextHop, asPath: [{ type: 'sequence', asNumbers }] };
}
