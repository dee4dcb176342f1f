import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FamilyRoutes, FLAG, NONE } from '../../../../fib/routes/family-routes.ts';
import { LinkTable } from '../../../../fib/routes/link-table.ts';
import { RetryQueue } from '../../../../fib/routes/retry-queue.ts';
import { ROUTE_SOURCES, type RouteSource } from '../../../../fib/routes/types.ts';
import { parseAddress } from '../../../../src/net/address.ts';

describe('fib/routes bookkeeping', () => {
  it('endpoint goes before block, block before bgp, and the next takes over when one is taken back', () => {
    const routes = new FamilyRoutes('ipv4', 16);
    const id = routes.table.intern(32, 1);
    for (const [source, target, desired] of [
      ['bgp', 30, 30],
      ['block', 20, 20],
      ['bgp', 31, 20],
      ['endpoint', 10, 10],
      ['endpoint', NONE, 20],
      ['block', NONE, 31],
      ['bgp', NONE, NONE],
    ] as const) {
      routes.setDesired(id, source, target);
      assert.equal(routes.desired(id), desired);
    }
    assert.ok(routes.has(id, FLAG.DOOMED));
  });

  it('any history of wishes: the queue holds each changed prefix once, and ids are given back', () => {
    const step = fc.tuple(
      fc.nat(40),
      fc.constantFrom<RouteSource>(...ROUTE_SOURCES),
      fc.integer({ min: -1, max: 3 }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const routes = new FamilyRoutes('ipv4', 16);
        const model = new Map<string, number>();
        for (const [host, source, target] of steps) {
          routes.setDesired(routes.table.intern(32, host), source, target);
          model.set(`${host} ${source}`, target);
        }
        const queued: number[] = [];
        for (let id = routes.nextDirty(); id !== NONE; id = routes.nextDirty()) queued.push(id);
        assert.equal(new Set(queued).size, queued.length);
        for (let id = 0; id < routes.table.idLimit; id++) {
          if (!routes.table.has(id)) continue;
          const host = routes.table.wordOf(id, 0);
          const wanted = ROUTE_SOURCES.map((source) => model.get(`${host} ${source}`) ?? NONE).find(
            (each) => each >= 0,
          );
          assert.equal(routes.desired(id), wanted ?? NONE);
          if (wanted !== undefined) assert.ok(queued.includes(id));
          for (const source of ROUTE_SOURCES) routes.setDesired(id, source, NONE);
        }
        while (routes.nextDirty() !== NONE);
        for (let id = 0; id < routes.table.idLimit; id++) if (routes.table.has(id)) routes.release(id);
        assert.equal(routes.table.size, 0);
      }),
    );
  });

  it('local routes are worked off before learned ones', () => {
    const routes = new FamilyRoutes('ipv4', 16);
    for (let host = 0; host < 100; host++) routes.setDesired(routes.table.intern(32, host), 'bgp', 1);
    const local = routes.table.intern(32, 1000);
    routes.setDesired(local, 'endpoint', 2);
    assert.equal(routes.nextDirty(), local);
    assert.equal(routes.dirtyCount, 100);
  });

  it('many IPv4 prefixes are worked off scattered, those of a moment before later ones; few, and IPv6, in their order', () => {
    const taken = (family: 'ipv4' | 'ipv6', count: number): number[] => {
      const routes = new FamilyRoutes(family, 16);
      const add = (from: number): void => {
        for (let host = from; host < from + count; host++)
          routes.setDesired(routes.table.intern(32, host), 'bgp', 1);
      };
      add(0);
      const ids = [routes.nextDirty()];
      add(count);
      for (let id = routes.nextDirty(); id !== NONE; id = routes.nextDirty()) ids.push(id);
      return ids;
    };
    const inOrder = (count: number): number[] => Array.from({ length: 2 * count }, (_, id) => id);
    assert.deepEqual(taken('ipv6', 1000), inOrder(1000));
    assert.deepEqual(taken('ipv4', 20), inOrder(20));
    const ids = taken('ipv4', 1000);
    assert.notDeepEqual(ids, inOrder(1000));
    assert.ok(ids.slice(0, 1000).every((id) => id < 1000));
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      inOrder(1000),
    );
  });

  it('retries back off from 250 ms to 64 s', () => {
    const queue = new RetryQueue();
    const taken: number[] = [];
    const delays = [1, 2, 3, 8, 9, 10, 255].map((attempts) => {
      queue.push(attempts, attempts, 1000);
      const due = queue.nextDueMs() ?? 0;
      queue.takeDue(due - 1, () => assert.fail('too early'));
      queue.takeDue(due, (id) => taken.push(id));
      return due - 1000;
    });
    assert.deepEqual(delays, [250, 500, 1000, 32_000, 64_000, 64_000, 64_000]);
    assert.deepEqual(taken, [1, 2, 3, 8, 9, 10, 255]);
    assert.equal(queue.nextDueMs(), undefined);
  });

  it('the link table tells of changes only, and of what a new reading shows to be gone', () => {
    const links = new LinkTable();
    const events: string[] = [];
    links.onChange(({ before, after }) => {
      const text = (link: typeof before): string =>
        link ? `${link.name}/${link.isUp}/${link.addresses.length}` : '-';
      events.push(`${text(before)} ${text(after)}`);
    });
    const message = (ifindex: number, name: string, flags: number) => ({
      ifindex,
      name,
      flags,
      mtu: 1500,
      address: new Uint8Array(6),
      kind: 'veth',
      operState: 6,
      carrier: true,
      peerIfindex: 0,
      masterIfindex: 0,
    });
    const address = parseAddress('192.0.2.1');
    assert.ok(address);
    const own = { ifindex: 1, address, length: 24, flags: 0x80, scope: 0 };
    links.applyLink(message(1, 'a', 1));
    links.applyLink(message(1, 'a', 1));
    links.applyAddress(own);
    links.applyAddress(own);
    links.applyAddress({ ...own, ifindex: 9 });
    assert.ok(links.owns(address));
    links.applyLink(message(1, 'a', 0));
    links.replaceAll([message(2, 'b', 1)], [{ ...own, ifindex: 2 }]);
    assert.deepEqual(events, [
      '- a/true/0',
      'a/true/0 a/true/1',
      'a/true/1 a/false/1',
      'a/false/1 -',
      '- b/true/0',
      'b/true/0 b/true/1',
    ]);
    assert.equal(links.byName('b')?.ifindex, 2);
  });
});
