import assert from 'node:assert/strict';
import { FamilyRoutes, NONE } from '../../../../fib/routes/family-routes.ts';
import { isTaken, LearnedOutcomes } from '../../../../fib/routes/learned-outcomes.ts';

describe('fib/routes outcomes of learned routes', () => {
  function scene() {
    const families = { ipv4: new FamilyRoutes('ipv4', 16), ipv6: new FamilyRoutes('ipv6', 16) };
    const outcomes = new LearnedOutcomes(families);
    const heard: string[] = [];
    outcomes.listen({
      onOutcomes: (routes, ids, count) => {
        for (const id of ids.subarray(0, count))
          heard.push(`${routes.family} ${routes.table.wordOf(id, 0)} ${isTaken(routes, id)}`);
      },
      onSettled: () => heard.push('settled'),
    });
    const want = (host: number): number => {
      const id = families.ipv4.table.intern(32, host);
      outcomes.begin(families.ipv4, id);
      families.ipv4.setDesired(id, 'bgp', 1);
      return id;
    };
    return { routes: families.ipv4, outcomes, want, heard };
  }

  it('tells each change once, with the state that holds when it is told', () => {
    const { routes, outcomes, want, heard } = scene();
    const ids = Array.from({ length: 200 }, (_, host) => want(host));
    for (const id of ids) outcomes.settle(routes, id, true);
    outcomes.settle(routes, ids[7] ?? NONE, true);
    outcomes.deliver(false);
    assert.deepEqual(
      heard.splice(0),
      ids.map((_, host) => `ipv4 ${host} true`),
    );
    outcomes.settle(routes, ids[3] ?? NONE, true);
    outcomes.settle(routes, ids[5] ?? NONE, false);
    outcomes.deliver(true);
    outcomes.deliver(false);
    assert.deepEqual(heard, ['ipv4 5 false', 'settled']);
  });

  it('what the kernel has when the wish comes counts as taken, whatever was said of an earlier wish', () => {
    const { routes, outcomes, want, heard } = scene();
    const id = routes.table.intern(32, 9);
    routes.kernel[id] = 4;
    want(9);
    assert.ok(isTaken(routes, id));
    outcomes.settle(routes, id, false);
    routes.setDesired(id, 'bgp', NONE);
    routes.kernel[id] = NONE;
    want(9);
    assert.ok(!isTaken(routes, id));
    outcomes.deliver(false);
    assert.deepEqual(heard, ['ipv4 9 false']);
  });

  it('says nothing of prefixes that no peer told, and is settled when nothing waits', () => {
    const { routes, outcomes, heard } = scene();
    const id = routes.table.intern(32, 1);
    assert.ok(outcomes.isSettled('ipv4'));
    routes.setDesired(id, 'block', 2);
    assert.ok(!outcomes.isSettled('ipv4'));
    assert.ok(outcomes.isSettled('ipv6'));
    outcomes.settle(routes, routes.nextDirty(), true);
    assert.ok(outcomes.isSettled('ipv4'));
    outcomes.deliver(false);
    assert.deepEqual(heard, []);
  });
});
