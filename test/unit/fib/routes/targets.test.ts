import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MessageCursor } from '../../../../fib/netlink/reader.ts';
import { AF_INET6, RTM } from '../../../../fib/netlink/registry.ts';
import { decodeRoute, RouteRecord, writeRoute } from '../../../../fib/netlink/route-message.ts';
import { MessageWriter } from '../../../../fib/netlink/writer.ts';
import { TargetTable } from '../../../../fib/routes/targets.ts';
import type { RouteNextHop, RouteTarget } from '../../../../fib/routes/types.ts';
import { addressFromBytes, parseAddress } from '../../../../src/net/address.ts';

const table = (): TargetTable => new TargetTable({ table: 254, protocol: 171, metric: 1024 });
const via = (...nextHops: RouteNextHop[]): RouteTarget => ({ kind: 'unicast', nextHops });

const hops = fc.array(
  fc.record({
    ifindex: fc.integer({ min: 1, max: 5 }),
    weight: fc.integer({ min: 1, max: 256 }),
    onlink: fc.boolean(),
    gateway: fc.option(
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => addressFromBytes(bytes)),
      { nil: undefined },
    ),
  }),
  { minLength: 1, maxLength: 6 },
);
const target = fc.record({
  kind: fc.constant<'unicast'>('unicast'),
  nextHops: hops,
  metric: fc.integer({ min: 1, max: 0xffffffff }),
});

describe('fib/routes/targets', () => {
  it('gives one id to one target, whatever the order and the doubles of its next hops', () => {
    fc.assert(
      fc.property(target, fc.nat(12), (wanted, turn) => {
        const targets = table();
        const id = targets.intern(wanted);
        const { nextHops } = targets.get(id).target;
        const doubled = [...nextHops, ...nextHops].reverse();
        const turned = [...doubled.slice(turn), ...doubled.slice(0, turn)];
        assert.equal(targets.intern({ ...wanted, nextHops: turned }), id);
      }),
    );
  });

  it('recognises in a kernel message what it wrote', () => {
    fc.assert(
      fc.property(target, (wanted) => {
        const targets = table();
        const id = targets.intern(wanted);
        const writer = new MessageWriter();
        writeRoute(writer, RTM.NEWROUTE, 0, AF_INET6, 32, 0x20010db8, 0, 0, 0, targets.get(id).fields);
        const cursor = new MessageCursor(writer.bytes());
        const record = new RouteRecord();
        assert.ok(cursor.next() && decodeRoute(cursor, record));
        assert.equal(targets.internRecord(record), id);
      }),
    );
  });

  it('tells apart metric, weight, onlink, kind, source, gateway', () => {
    const gateway = parseAddress('192.0.2.1');
    const one: RouteNextHop = { ifindex: 1, gateway };
    const variants: RouteTarget[] = [
      via(one),
      { ...via(one), metric: 5 },
      { ...via(one), prefsrc: gateway },
      via({ ifindex: 2, gateway }),
      via({ ifindex: 1 }),
      via({ ...one, onlink: true }),
      via(one, { ifindex: 2 }),
      via({ ...one, weight: 2 }, { ifindex: 2 }),
      { kind: 'blackhole', nextHops: [] },
      { kind: 'unreachable', nextHops: [] },
    ];
    const targets = table();
    assert.equal(new Set(variants.map((each) => targets.intern(each))).size, variants.length);
    assert.equal(
      targets.intern(via({ ...one, weight: 7 })),
      targets.intern(via(one)),
      'the weight of a single one is nothing',
    );
    assert.deepEqual(
      variants.map((each) => targets.get(targets.intern(each)).isLocal),
      [false, false, false, false, true, false, false, false, true, true],
    );
  });

  it('refuses what no kernel would take', () => {
    const cases: [RouteTarget, RegExp][] = [
      [via(), /needs a next hop/],
      [{ kind: 'blackhole', nextHops: [{ ifindex: 1 }] }, /no next hop/],
      [via({ ifindex: 0 }), /0 is no interface index/],
      [via({ ifindex: 1, weight: 257 }), /weight 257/],
      [via(...Array.from({ length: 257 }, (_, i) => ({ ifindex: i + 1 }))), /more than 256/],
    ];
    for (const [wanted, text] of cases) assert.throws(() => table().intern(wanted), text);
  });

  it('forgets what nothing uses when there is much of it, and keeps ids in use and pinned ones', () => {
    const targets = table();
    const pinned = targets.pin(via({ ifindex: 1_000_000 }));
    const used = targets.intern(via({ ifindex: 1_000_001 }));
    for (let i = 1; i <= 5000; i++) targets.intern(via({ ifindex: i }));
    targets.collect((mark) => mark(used));
    assert.equal(targets.size, 2);
    assert.equal(targets.intern(via({ ifindex: 1_000_000 })), pinned);
    assert.deepEqual(targets.get(used).ifindexes, [1_000_001]);
    assert.throws(() => targets.get(3000), /no route target has the id 3000/);
    targets.unpin(pinned);
  });
});
