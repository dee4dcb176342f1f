import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FamilyRoutes, FLAG, NONE, UNKNOWN } from '../../../../fib/routes/family-routes.ts';
import { Removals } from '../../../../fib/routes/removals.ts';
import { TargetTable } from '../../../../fib/routes/targets.ts';
import type { BrakeEvent } from '../../../../fib/routes/types.ts';
import { parseAddress } from '../../../../src/net/address.ts';

const gateway = parseAddress('192.0.2.1');

function scene() {
  const families = { ipv4: new FamilyRoutes('ipv4', 16), ipv6: new FamilyRoutes('ipv6', 16) };
  const targets = new TargetTable({ table: 254, protocol: 171, metric: 1024 });
  const at = { ms: 50_000 };
  const events: BrakeEvent[] = [];
  const removals = new Removals({
    families,
    targets,
    clock: () => at.ms,
    onBrake: (event) => events.push(event),
  });
  const learned = targets.pin({ kind: 'unicast', nextHops: [{ ifindex: 2, gateway }] });
  const local = targets.pin({ kind: 'blackhole', nextHops: [] });
  /** A route of ours in the kernel that nobody wants. */
  const leftover = (host: number, target: number, routes = families.ipv4): number => {
    const id =
      routes.family === 'ipv4' ? routes.table.intern(32, host) : routes.table.intern(128, 0, 0, 0, host);
    routes.kernel[id] = target;
    return id;
  };
  /** As many learned routes in the kernel that a peer wants. */
  const learn = (count: number, from = 0, routes = families.ipv4): number[] =>
    Array.from({ length: count }, (_, index) => {
      const id = leftover(from + index, learned, routes);
      routes.setDesired(id, 'bgp', learned);
      return id;
    });
  /** Nobody wants these any more. */
  const lose = (ids: readonly number[], isExplained = false, routes = families.ipv4): void => {
    for (const id of ids) routes.setDesired(id, 'bgp', NONE, isExplained);
  };
  const mayGo = (ids: readonly number[], routes = families.ipv4): number =>
    ids.filter((id) => removals.mayDelete(routes, id)).length;
  /** Lets the time pass until the brake wants to be asked, and asks it. */
  const settle = (): void => {
    at.ms = removals.nextMs('ipv4') ?? assert.fail('the brake waits for nothing');
    removals.decide('ipv4');
  };
  return {
    families,
    ipv4: families.ipv4,
    removals,
    at,
    events,
    learned,
    local,
    leftover,
    learn,
    lose,
    mayGo,
    settle,
  };
}

describe('fib/routes removals', () => {
  describe('leftovers of an earlier life', () => {
    it('stay until their sweep: of their family and scope alone, what is wanted never goes', () => {
      const { ipv4, families, removals, learned, local, leftover, learn } = scene();
      const oldLearned = leftover(1, learned);
      const oldLocal = leftover(2, local);
      const other = leftover(3, learned, families.ipv6);
      const [wanted = NONE] = learn(1, 10);
      const doomed = (): boolean[] => [
        ...[oldLearned, oldLocal, wanted].map((id) => ipv4.has(id, FLAG.DOOMED)),
        families.ipv6.has(other, FLAG.DOOMED),
      ];
      removals.doomIfSwept(ipv4, oldLearned);
      assert.deepEqual(doomed(), [false, false, false, false]);
      assert.equal(removals.mayDelete(ipv4, oldLearned), false);
      removals.sweep('ipv4', 'local');
      assert.deepEqual(doomed(), [false, true, false, false]);
      removals.sweep('ipv4', 'learned');
      assert.deepEqual(doomed(), [true, true, false, false]);
      removals.sweep('ipv6', 'learned');
      assert.deepEqual(doomed(), [true, true, false, true]);
      assert.equal(removals.mayDelete(families.ipv6, other), true);
    });

    it('that turn up after the sweep are doomed then, and put to work', () => {
      const { ipv4, removals, learned, local, leftover } = scene();
      removals.sweep('ipv4', 'learned');
      const late = leftover(1, learned);
      const lateLocal = leftover(2, local);
      removals.doomIfSwept(ipv4, late);
      removals.doomIfSwept(ipv4, lateLocal);
      assert.deepEqual([ipv4.has(late, FLAG.DOOMED), ipv4.has(lateLocal, FLAG.DOOMED)], [true, false]);
      assert.deepEqual([ipv4.nextDirty(), ipv4.nextDirty()], [late, NONE]);
    });

    it('of which it is not known what they are wait for both sweeps, and are no suspects', () => {
      const { ipv4, removals, learned, leftover } = scene();
      const unknown = leftover(1, UNKNOWN);
      const extra = leftover(2, NONE);
      ipv4.extras.set(extra, [learned]);
      const nothing = leftover(3, NONE);
      const doomed = (): boolean[] => [unknown, extra, nothing].map((id) => ipv4.has(id, FLAG.DOOMED));
      removals.sweep('ipv4', 'learned');
      assert.deepEqual(doomed(), [false, false, false]);
      removals.sweep('ipv4', 'local');
      assert.deepEqual(doomed(), [true, true, false]);
      assert.equal(ipv4.suspects, 0);
    });

    it('are suspects when learned, so that routers without their tables do not empty this one', () => {
      const { ipv4, removals, learned, local, leftover } = scene();
      for (let host = 0; host < 150; host++) leftover(host, learned);
      for (let host = 0; host < 50; host++) leftover(1000 + host, local);
      removals.sweep('ipv4', 'learned');
      removals.sweep('ipv4', 'local');
      assert.equal(ipv4.suspects, 150);
    });
  });

  describe('the brake on mass deletion', () => {
    it('lets explained removals go, however many, also while it holds others', () => {
      const { removals, learn, lose, mayGo, settle } = scene();
      const ids = learn(1000);
      const withdrawn = ids.slice(0, 50);
      lose(withdrawn, true);
      assert.equal(mayGo(withdrawn), 50);
      const suspects = ids.slice(50);
      lose(suspects);
      assert.equal(mayGo(suspects), 0);
      settle();
      assert.equal(removals.held().length, 1);
      assert.equal(mayGo(withdrawn), 50);
      assert.equal(mayGo(suspects), 0);
    });

    it('takes no interest in fewer than 100', () => {
      const { removals, learn, lose, mayGo, events } = scene();
      const ids = learn(99);
      lose(ids);
      removals.decide('ipv4');
      assert.equal(mayGo(ids), 99);
      assert.equal(removals.nextMs('ipv4'), undefined);
      lose(learn(1, 500));
      assert.equal(mayGo(ids), 0);
      assert.deepEqual(events, []);
    });

    it('holds from nine tenths of the learned routes on, not one below', () => {
      for (const [lost, isHeld] of [
        [899, false],
        [900, true],
        [1000, true],
      ] as const) {
        const { removals, learn, lose, mayGo, settle, leftover, local } = scene();
        // Others than learned ones do not count.
        for (let host = 0; host < 500; host++) leftover(5000 + host, local);
        const ids = learn(1000).slice(0, lost);
        lose(ids);
        assert.equal(mayGo(ids), 0, 'while more may come');
        settle();
        assert.equal(mayGo(ids), isHeld ? 0 : lost);
        assert.deepEqual(removals.held(), isHeld ? [{ family: 'ipv4', held: lost, of: 1000 }] : []);
      }
    });

    it('decides a second after the last suspect came, and ten after the first at the latest', () => {
      const { removals, at, learn, lose } = scene();
      const ids = learn(1000);
      const start = at.ms;
      lose(ids.slice(0, 500));
      removals.decide('ipv4');
      assert.equal(removals.nextMs('ipv4'), start + 1000);
      for (let second = 1; second <= 12; second++) {
        at.ms = start + second * 900;
        lose(ids.slice(500 + 40 * (second - 1), 500 + 40 * second));
        removals.decide('ipv4');
        if (at.ms >= start + 10_000) break;
        assert.equal(removals.nextMs('ipv4'), Math.min(at.ms + 1000, start + 10_000));
        assert.deepEqual(removals.held(), []);
      }
      // 500 + 12 * 40 of them: held, and looked at again every second.
      assert.deepEqual(removals.held(), [{ family: 'ipv4', held: 980, of: 1000 }]);
      assert.equal(removals.nextMs('ipv4'), at.ms + 1000);
    });

    it('asks for a cause before it holds and every second then; a confirmed one lets all go and is told', () => {
      const { ipv4, removals, at, events, learn, lose, mayGo, settle } = scene();
      const ids = learn(200);
      const asked: string[] = [];
      let why: string | undefined;
      removals.confirmBy((family) => {
        asked.push(family);
        return why;
      });
      lose(ids);
      removals.decide('ipv4');
      assert.deepEqual(asked, []);
      settle();
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['held'],
      );
      const before = asked.length;
      settle();
      settle();
      assert.equal(asked.length, before + 2);
      assert.deepEqual([...new Set(asked)], ['ipv4']);
      while (ipv4.nextDirty() !== NONE);
      why = 'no BGP session is up';
      const heldAt = at.ms;
      settle();
      assert.equal(at.ms, heldAt + 1000);
      assert.deepEqual(events.at(-1), {
        kind: 'released',
        family: 'ipv4',
        held: 200,
        of: 200,
        why: 'no BGP session is up',
      });
      assert.equal(ipv4.dirtyCount, 200);
      assert.equal(mayGo(ids), 200);
      assert.deepEqual(removals.held(), []);
    });

    it('does not take hold at all when the cause is known already; the last confirmer is the one that is asked', () => {
      const { removals, events, learn, lose, mayGo, settle } = scene();
      const ids = learn(200);
      removals.confirmBy(() => undefined);
      removals.confirmBy(() => 'no BGP session is up');
      lose(ids);
      removals.decide('ipv4');
      settle();
      assert.equal(mayGo(ids), 200);
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['released'],
      );
    });

    it('gives up after five minutes', () => {
      const { removals, at, events, learn, lose, mayGo, settle } = scene();
      const ids = learn(200);
      lose(ids);
      removals.decide('ipv4');
      settle();
      const heldAt = at.ms;
      at.ms = heldAt + 299_500;
      removals.decide('ipv4');
      assert.equal(mayGo(ids), 0);
      assert.equal(removals.nextMs('ipv4'), heldAt + 300_000);
      settle();
      assert.equal(mayGo(ids), 200);
      const last = events.at(-1);
      assert.equal(last?.kind === 'released' && last.why, 'nothing changed in 5 minutes');
    });

    it('lets go when most are wanted again, and says that nothing is left when all are', () => {
      const some = scene();
      const ids = some.learn(1000);
      some.lose(ids);
      some.removals.decide('ipv4');
      some.settle();
      for (const id of ids.slice(0, 100)) some.ipv4.setDesired(id, 'bgp', some.learned);
      some.removals.decide('ipv4');
      assert.equal(some.mayGo(ids.slice(100)), 0, 'nine tenths are still too many');
      some.ipv4.setDesired(ids[100] ?? NONE, 'bgp', some.learned);
      some.removals.decide('ipv4');
      assert.equal(some.mayGo(ids.slice(101)), 899);
      assert.equal(some.mayGo(ids.slice(0, 101)), 0, 'what is wanted again may not be deleted');

      const all = scene();
      const others = all.learn(200);
      all.lose(others);
      all.removals.decide('ipv4');
      all.settle();
      for (const id of others) all.ipv4.setDesired(id, 'bgp', all.learned);
      all.removals.decide('ipv4');
      assert.deepEqual(
        all.events.map(({ kind }) => kind),
        ['held', 'gone'],
      );
      assert.equal(all.removals.nextMs('ipv4'), undefined);
    });

    it('is released by hand in all families that it holds, once', () => {
      const { families, removals, at, events, learn, lose, mayGo } = scene();
      assert.equal(removals.release('nothing to do'), false);
      const ids = { ipv4: learn(200), ipv6: learn(300, 0, families.ipv6) };
      lose(ids.ipv4);
      lose(ids.ipv6, false, families.ipv6);
      for (const family of ['ipv4', 'ipv6'] as const) removals.decide(family);
      assert.equal(removals.release('too early'), false);
      at.ms += 1000;
      for (const family of ['ipv4', 'ipv6'] as const) removals.decide(family);
      assert.deepEqual(removals.held(), [
        { family: 'ipv4', held: 200, of: 200 },
        { family: 'ipv6', held: 300, of: 300 },
      ]);
      assert.equal(removals.release('an operator said so'), true);
      assert.equal(mayGo(ids.ipv4) + mayGo(ids.ipv6, families.ipv6), 500);
      assert.deepEqual(
        events
          .slice(2)
          .map((event) => (event.kind === 'released' ? `${event.family} ${event.why}` : event.kind)),
        ['ipv4 an operator said so', 'ipv6 an operator said so'],
      );
      assert.equal(removals.release('again'), false);
    });

    it('takes hold anew after everything of the last time is gone', () => {
      const { ipv4, removals, events, learn, lose, mayGo, settle } = scene();
      const ids = learn(200);
      lose(ids);
      removals.decide('ipv4');
      settle();
      removals.release('an operator said so');
      for (const id of ids) {
        ipv4.kernel[id] = NONE;
        ipv4.spare(id);
      }
      removals.decide('ipv4');
      const others = learn(200, 500);
      lose(others);
      assert.equal(mayGo(others), 0);
      settle();
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['held', 'released', 'held'],
      );
    });

    it('any numbers: suspects stay if they are 100 or more and nine tenths or more of the learned routes', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 400 }),
          fc.nat(100),
          fc.nat(60),
          (count, percent, explained) => {
            const { removals, at, learn, lose, mayGo } = scene();
            const ids = learn(count);
            const suspects = ids.slice(0, Math.ceil((count * percent) / 100));
            const withdrawn = ids.slice(suspects.length, suspects.length + explained);
            lose(suspects);
            lose(withdrawn, true);
            removals.decide('ipv4');
            at.ms += 1000;
            removals.decide('ipv4');
            const isHeld = suspects.length >= 100 && suspects.length >= 0.9 * count;
            assert.equal(mayGo(suspects), isHeld ? 0 : suspects.length);
            assert.equal(mayGo(withdrawn), withdrawn.length);
            assert.equal(mayGo(ids.slice(suspects.length + explained)), 0);
            assert.equal(removals.held()[0]?.held, isHeld ? suspects.length : undefined);
          },
        ),
      );
    });
  });
});
