import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RouteBackOff } from '../../../../fib/routes/back-off.ts';
import { FamilyRoutes, FLAG, NONE } from '../../../../fib/routes/family-routes.ts';
import type { Family } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';

const ENETUNREACH = 101;
const EINVAL = 22;

function scene() {
  const families = { ipv4: new FamilyRoutes('ipv4', 16), ipv6: new FamilyRoutes('ipv6', 16) };
  const reported: string[] = [];
  const at = { ms: 10_000 };
  const backOff = new RouteBackOff(
    families,
    () => at.ms,
    (prefix) => reported.push(formatPrefix(prefix)),
  );
  const idOf = (host: number, family: Family = 'ipv4'): number => {
    const routes = families[family];
    return family === 'ipv4'
      ? routes.table.intern(32, host)
      : routes.table.intern(128, 0x20010db8, 0, 0, host);
  };
  const refuse = (id: number, text = '', errno = ENETUNREACH, family: Family = 'ipv4'): void =>
    backOff.refused(families[family], id, { errno, text });
  /** Takes what is in a family's queue of work. */
  const work = (family: Family = 'ipv4'): number[] => {
    const ids: number[] = [];
    const routes = families[family];
    for (let id = routes.nextDirty(); id !== NONE; id = routes.nextDirty()) ids.push(id);
    return ids;
  };
  return { families, ipv4: families.ipv4, backOff, at, reported, idOf, refuse, work };
}

/** Time until a prefix is due after its `refusals`th refusal. */
const delayAfter = (refusals: number): number => 250 * 2 ** (Math.min(refusals, 9) - 1);

describe('fib/routes back-off', () => {
  it('a refusal is noted with its errno, words and number, and the prefix is due after 250 ms', () => {
    const { ipv4, backOff, at, idOf, refuse } = scene();
    const id = idOf(1);
    assert.equal(backOff.nextMs('ipv4'), undefined);
    refuse(id, 'Nexthop has invalid gateway');
    assert.ok(ipv4.has(id, FLAG.FAILED));
    assert.deepEqual([ipv4.attempts[id], ipv4.errno[id]], [1, ENETUNREACH]);
    assert.equal(backOff.texts[ipv4.text[id] ?? 0], 'Nexthop has invalid gateway');
    assert.equal(backOff.nextMs('ipv4'), at.ms + 250);
    assert.equal(backOff.nextMs('ipv6'), undefined);
    refuse(id, '', EINVAL);
    assert.deepEqual([ipv4.attempts[id], ipv4.errno[id], ipv4.text[id]], [2, EINVAL, 0]);
  });

  it('each refusal doubles the delay up to 64 s, and their number stops at 255', () => {
    const { ipv4, backOff, at, idOf, refuse, work } = scene();
    const id = idOf(1);
    for (let refusal = 1; refusal <= 300; refusal++) {
      refuse(id);
      const due = backOff.nextMs('ipv4');
      assert.equal(due, at.ms + delayAfter(refusal));
      assert.equal(ipv4.attempts[id], Math.min(refusal, 255));
      at.ms = due - 1;
      backOff.resume('ipv4');
      assert.deepEqual(work(), []);
      at.ms = due;
      backOff.resume('ipv4');
      assert.deepEqual(work(), [id]);
      assert.equal(backOff.nextMs('ipv4'), undefined);
    }
  });

  it('a prefix that was taken meanwhile starts from the first delay again', () => {
    const { ipv4, backOff, at, idOf, refuse, work } = scene();
    const id = idOf(1);
    for (let refusal = 0; refusal < 5; refusal++) refuse(id);
    at.ms += 100_000;
    backOff.resume('ipv4');
    work();
    ipv4.forgetFailure(id);
    refuse(id);
    assert.equal(backOff.nextMs('ipv4'), at.ms + 250);
  });

  it('what neither fails nor is held any more is not put to work when its time comes', () => {
    const { ipv4, backOff, at, idOf, refuse, work } = scene();
    const ids = [idOf(1), idOf(2), idOf(3)] as const;
    for (const id of ids) refuse(id);
    ipv4.forgetFailure(ids[1]);
    at.ms += 250;
    backOff.resume('ipv4');
    assert.deepEqual(work(), [ids[0], ids[2]]);
    assert.equal(backOff.nextMs('ipv4'), undefined);
  });

  it('families wait for themselves alone', () => {
    const { backOff, at, idOf, refuse, work } = scene();
    const id = idOf(1);
    const other = idOf(1, 'ipv6');
    refuse(id);
    at.ms += 100;
    refuse(other, '', EINVAL, 'ipv6');
    assert.deepEqual([backOff.nextMs('ipv4'), backOff.nextMs('ipv6')], [at.ms + 150, at.ms + 250]);
    at.ms += 250;
    backOff.resume('ipv6');
    assert.deepEqual([work('ipv4'), work('ipv6')], [[], [other]]);
    backOff.resume('ipv4');
    assert.deepEqual([work('ipv4'), work('ipv6')], [[id], []]);
  });

  it('equal words are kept once; after a thousand different ones no more are, and the first stay readable', () => {
    const { ipv4, backOff, idOf, refuse } = scene();
    assert.deepEqual(backOff.texts, ['']);
    for (const host of [1, 2, 3]) refuse(idOf(host), 'Gateway can not be a local address');
    assert.equal(backOff.texts.length, 2);
    for (let host = 0; host < 2000; host++) refuse(idOf(100 + host), `words ${host}`);
    assert.equal(backOff.texts.length, 1000);
    assert.equal(backOff.texts[ipv4.text[idOf(1)] ?? 0], 'Gateway can not be a local address');
    assert.equal(backOff.texts[ipv4.text[idOf(100)] ?? 0], 'words 0');
    assert.equal(backOff.texts[ipv4.text[idOf(100 + 997)] ?? 0], 'words 997');
    assert.equal(backOff.texts[ipv4.text[idOf(100 + 998)] ?? 0], '');
    refuse(idOf(5000), 'words 997');
    assert.equal(backOff.texts[ipv4.text[idOf(5000)] ?? 0], 'words 997');
  });

  it('five repairs of a prefix within ten seconds are free, then it is held, longer with each', () => {
    const { ipv4, backOff, at, idOf, work } = scene();
    const id = idOf(1);
    for (let repair = 1; repair <= 5; repair++) assert.equal(backOff.holds(ipv4, id), false);
    assert.ok(!ipv4.has(id, FLAG.HELD));
    assert.equal(backOff.takeNewHold(), false);
    assert.equal(backOff.nextMs('ipv4'), undefined);
    for (const delayMs of [250, 500, 1000]) {
      assert.equal(backOff.holds(ipv4, id), true);
      assert.ok(ipv4.has(id, FLAG.HELD));
      assert.equal(backOff.nextMs('ipv4'), at.ms + delayMs);
      at.ms += delayMs;
      backOff.resume('ipv4');
      assert.deepEqual(work(), [id]);
    }
    assert.equal(backOff.holds(ipv4, idOf(2)), false);
    assert.equal(backOff.interferences, 9);
  });

  it('a new hold is told once, until the next', () => {
    const { ipv4, backOff, idOf } = scene();
    for (let repair = 0; repair < 7; repair++) backOff.holds(ipv4, idOf(1));
    assert.deepEqual([backOff.takeNewHold(), backOff.takeNewHold()], [true, false]);
    backOff.holds(ipv4, idOf(1));
    assert.equal(backOff.takeNewHold(), true);
  });

  it('repairs are free again when ten seconds have passed since the first; a long fight is remembered longer', () => {
    const { ipv4, backOff, at, idOf } = scene();
    const fight = (id: number, repairs: number): void => {
      for (let repair = 0; repair < repairs; repair++) backOff.holds(ipv4, id);
    };
    fight(idOf(1), 6);
    fight(idOf(2), 6);
    fight(idOf(3), 9);
    at.ms += 10_000;
    assert.equal(backOff.holds(ipv4, idOf(1)), true);
    at.ms += 1;
    assert.equal(backOff.holds(ipv4, idOf(2)), false);
    assert.equal(backOff.holds(ipv4, idOf(3)), true);
    at.ms += 90_000;
    assert.equal(backOff.holds(ipv4, idOf(3)), false);
  });

  it('of a flood of interferences twenty a second and family are told, all are counted', () => {
    const { families, backOff, at, reported, idOf } = scene();
    for (let host = 0; host < 100; host++) {
      backOff.holds(families.ipv4, idOf(host));
      backOff.holds(families.ipv6, idOf(host, 'ipv6'));
    }
    assert.equal(reported.length, 40);
    assert.equal(reported[0], '0.0.0.0/32');
    assert.equal(reported[1], '2001:db8::/128');
    assert.equal(backOff.interferences, 200);
    at.ms += 999;
    backOff.holds(families.ipv4, idOf(0));
    assert.equal(reported.length, 40);
    at.ms += 1;
    backOff.holds(families.ipv4, idOf(7));
    assert.deepEqual(reported.slice(40), ['0.0.0.7/32']);
  });

  it('any history of refusals: every prefix comes back once for each, never early and at most 64 s later', () => {
    const step = fc.record({ host: fc.nat(5), waitMs: fc.nat(3000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { backOff, at, idOf, refuse, work } = scene();
        const attempts = new Map<number, number>();
        const waiting: { readonly id: number; readonly dueMs: number }[] = [];
        const expectDue = (): void => {
          const due = new Set<number>();
          for (let index = waiting.length - 1; index >= 0; index--) {
            const entry = waiting[index];
            if (entry === undefined || entry.dueMs > at.ms) continue;
            due.add(entry.id);
            waiting.splice(index, 1);
          }
          backOff.resume('ipv4');
          assert.deepEqual(new Set(work()), due);
          const next = waiting.reduce((least, { dueMs }) => Math.min(least, dueMs), Number.POSITIVE_INFINITY);
          assert.equal(backOff.nextMs('ipv4') ?? Number.POSITIVE_INFINITY, next);
        };
        for (const { host, waitMs } of steps) {
          const id = idOf(host);
          refuse(id);
          const refusals = (attempts.get(id) ?? 0) + 1;
          attempts.set(id, refusals);
          waiting.push({ id, dueMs: at.ms + delayAfter(refusals) });
          at.ms += waitMs;
          expectDue();
        }
        at.ms += 64_000;
        expectDue();
        assert.deepEqual(waiting, []);
      }),
    );
  });
});
