import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Pace } from '../../../../fib/policy/pace.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
const FIRST_CHECK_MS = 5000;
const MAX_CHECK_MS = 180_000;

/** The next `count` delays after failures without a success between. */
function failures(pace: Pace, count: number): number[] {
  return Array.from({ length: count }, () => pace.failed());
}

/** Checks that are due when they said and find nothing: the delays before each. */
function quietChecks(pace: Pace, count: number): number[] {
  return Array.from({ length: count }, () => {
    const { checkMs } = pace;
    pace.foundNothing(checkMs);
    return checkMs;
  });
}

describe('fib/policy pace', () => {
  it('tries again after 100 ms, then after twice as long each time, at most 30 s', () => {
    const delays = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000];
    assert.deepEqual(failures(new Pace(), delays.length), delays);
  });

  it('a success brings the first delay back, from anywhere, and twice in a row', () => {
    const pace = new Pace();
    for (const count of [1, 4, 12]) {
      failures(pace, count);
      pace.succeeded();
      pace.succeeded();
      assert.deepEqual(failures(pace, 2), [100, 200]);
    }
  });

  it('checks after 5 s, then after twice as long each time that nothing is found, at most 3 minutes', () => {
    const delays = [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 180_000, 180_000];
    assert.deepEqual(quietChecks(new Pace(), delays.length), delays);
  });

  it('what was just written is checked after 5 s again', () => {
    const pace = new Pace();
    quietChecks(pace, 8);
    pace.wrote();
    assert.deepEqual(quietChecks(pace, 3), [5000, 10_000, 20_000]);
  });

  it('the next check follows from when the last one was due, whatever was asked meanwhile', () => {
    const pace = new Pace();
    pace.foundNothing(40_000);
    assert.equal(pace.checkMs, 80_000);
    pace.foundNothing(5000);
    assert.equal(pace.checkMs, 10_000);
  });

  it('any history: delays stay within their bounds, and neither of the two moves the other', () => {
    const step = fc.constantFrom('failed', 'succeeded', 'wrote', 'found-nothing');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pace = new Pace();
        let failuresInARow = 0;
        let quietInARow = 0;
        for (const each of steps) {
          if (each === 'failed') {
            const expected = Math.min(FIRST_RETRY_MS * 2 ** failuresInARow++, MAX_RETRY_MS);
            assert.equal(pace.failed(), expected);
          } else if (each === 'succeeded') {
            pace.succeeded();
            failuresInARow = 0;
          } else if (each === 'wrote') {
            pace.wrote();
            quietInARow = 0;
          } else {
            pace.foundNothing(pace.checkMs);
            quietInARow++;
          }
          assert.equal(pace.checkMs, Math.min(FIRST_CHECK_MS * 2 ** quietInARow, MAX_CHECK_MS));
        }
      }),
    );
  });
});
