import assert from 'node:assert/strict';
import { RestartableTimer } from '../../../../bgp/transport/clock.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

describe('restartable timer', () => {
  it('fires at the last deadline it was given, sooner or later than the first', () => {
    const clock = new FakeClock();
    const fired: number[] = [];
    const timer = new RestartableTimer(clock, () => fired.push(clock.now()));
    timer.start(1000);
    clock.advance(900);
    timer.start(1000);
    clock.advance(900);
    timer.touch();
    assert.equal(timer.remainingMs, 1000);
    clock.advance(999);
    assert.deepEqual(fired, []);
    clock.advance(1);
    assert.deepEqual(fired, [2800]);
    timer.start(5000);
    timer.start(100);
    clock.advance(10_000);
    assert.deepEqual(fired, [2800, 2900]);
  });

  it('does not fire when stopped, and can be started again', () => {
    const clock = new FakeClock();
    let fired = 0;
    const timer = new RestartableTimer(clock, () => fired++);
    timer.start(100);
    timer.stop();
    timer.touch();
    clock.advance(1000);
    assert.equal(fired, 0);
    assert.equal(timer.remainingMs, undefined);
    timer.start(100);
    clock.advance(100);
    assert.equal(fired, 1);
  });
});
