import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Readiness } from '../../../../fib/policy/readiness.ts';
import type { NatChange, PolicyChange } from '../../../../fib/rules/types.ts';

const upsert = (id: string): PolicyChange => ({
  kind: 'endpoint-upsert',
  id,
  endpoint: { interfaceName: `oci${id}`, adminUp: true, tiers: [], profiles: [], addresses: [] },
});
const remove = (id: string): PolicyChange => ({ kind: 'endpoint-remove', id });
const publish = (id: string): NatChange => ({ kind: 'published-upsert', id, ports: [] });
const unpublish = (id: string): NatChange => ({ kind: 'published-remove', id });

const always = (): boolean => true;
const never = (): boolean => false;

/** One with these endpoints told and found in the kernel. */
function withReady(...ids: readonly string[]): Readiness {
  const readiness = new Readiness();
  for (const id of ids) readiness.note(upsert(id));
  readiness.update(readiness.waiting(), always);
  return readiness;
}

describe('fib/policy readiness', () => {
  it('nobody is ready who was not told, and a told endpoint is not before it was looked at', () => {
    const readiness = new Readiness();
    assert.equal(readiness.isReady('a'), false);
    assert.equal(readiness.count, 0);
    readiness.note(upsert('a'));
    assert.equal(readiness.isReady('a'), false);
    assert.deepEqual(readiness.waiting(), ['a']);
    assert.deepEqual(readiness.update(['a'], never), []);
    assert.equal(readiness.isReady('a'), false);
    assert.deepEqual(readiness.waiting(), ['a']);
  });

  it('an update tells only those that became ready, and only of those it was to look at', () => {
    const readiness = new Readiness();
    for (const id of ['a', 'b', 'c']) readiness.note(upsert(id));
    assert.deepEqual(
      readiness.update(['a', 'b'], (id) => id === 'b'),
      ['b'],
    );
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => readiness.isReady(id)),
      [false, true, false],
    );
    assert.deepEqual(readiness.waiting(), ['a', 'c']);
    assert.equal(readiness.count, 1);
  });

  it('a change of the endpoint or of its published ports takes readiness back at once', () => {
    for (const change of [upsert('a'), publish('a')]) {
      const readiness = withReady('a', 'b');
      readiness.note(change);
      assert.equal(readiness.isReady('a'), false);
      assert.equal(readiness.isReady('b'), true);
      assert.deepEqual(readiness.waiting(), ['a']);
      assert.deepEqual(readiness.update(['a'], always), ['a']);
      assert.equal(readiness.count, 2);
      assert.deepEqual(readiness.waiting(), []);
    }
  });

  it('a removed endpoint is neither ready nor waited for, whichever it was', () => {
    const readiness = withReady('a');
    readiness.note(upsert('b'));
    readiness.note(remove('a'));
    readiness.note(remove('b'));
    readiness.note(remove('unknown'));
    assert.deepEqual([readiness.isReady('a'), readiness.count, readiness.waiting()], [false, 0, []]);
  });

  it('changes of sets, policies, pools and taken-back ports leave endpoints as they are', () => {
    const readiness = withReady('a');
    readiness.note(unpublish('a'));
    readiness.note({ kind: 'set-remove', id: 'a' });
    readiness.note({ kind: 'policy-remove', id: 'a' });
    readiness.note({ kind: 'nat-pools', all: [], masquerade: [] });
    assert.deepEqual([readiness.isReady('a'), readiness.waiting()], [true, []]);
  });

  it('what waits is a copy: changes that come during an apply do not get into its list', () => {
    const readiness = new Readiness();
    readiness.note(upsert('a'));
    const looked = readiness.waiting();
    readiness.note(upsert('b'));
    assert.deepEqual(looked, ['a']);
    assert.deepEqual(readiness.update(looked, always), ['a']);
    assert.deepEqual(readiness.waiting(), ['b']);
  });

  it('any history: an endpoint that is told is either ready or waited for, and each becomes ready once a change', () => {
    const step = fc.record({
      what: fc.constantFrom('upsert', 'remove', 'apply', 'failing-apply'),
      id: fc.constantFrom('a', 'b', 'c', 'd'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const readiness = new Readiness();
        const model = new Map<string, boolean>();
        for (const { what, id } of steps) {
          if (what === 'upsert') {
            readiness.note(upsert(id));
            model.set(id, false);
          } else if (what === 'remove') {
            readiness.note(remove(id));
            model.delete(id);
          } else {
            // In a failing one just this endpoint has its chains.
            const isProgrammed = (each: string): boolean => what === 'apply' || each === id;
            const expected = [...model].filter(([each, ready]) => !ready && isProgrammed(each));
            const became = readiness.update(readiness.waiting(), isProgrammed);
            assert.deepEqual(became.toSorted(), expected.map(([each]) => each).toSorted());
            for (const each of became) model.set(each, true);
          }
          const told = [...model.keys()];
          assert.deepEqual(
            readiness.waiting().toSorted(),
            told.filter((each) => model.get(each) === false).toSorted(),
          );
          assert.equal(readiness.count, told.filter((each) => model.get(each) === true).length);
          for (const each of ['a', 'b', 'c', 'd'])
            assert.equal(readiness.isReady(each), model.get(each) === true);
        }
      }),
    );
  });
});
