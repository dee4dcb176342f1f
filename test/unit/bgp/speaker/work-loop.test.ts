/** How decisions, output and input share the event loop. */
import assert from 'node:assert/strict';
import { WorkLoop } from '../../../../bgp/speaker/work-loop.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

function makeLoop() {
  const clock = new FakeClock();
  const done: string[] = [];
  const loop = new WorkLoop(clock, {
    work: () => {
      done.push('decisions');
      return false;
    },
  });
  loop.add({
    pump: () => {
      done.push('output');
      return false;
    },
  });
  const reader = { resumeReading: () => done.push('input goes on') };
  return { clock, done, loop, reader };
}

describe('work loop', () => {
  it('one turn for all that asks for it: decisions, output, then the input that was held up', () => {
    const { clock, done, loop, reader } = makeLoop();
    assert.equal(loop.mayRead(reader), true);
    clock.advance(0);
    done.length = 0;
    loop.request();
    assert.equal(loop.mayRead(reader), true);
    clock.advance(0);
    assert.deepEqual(done, ['decisions', 'output']);
  });

  it('a read of many messages is held up between two of them once its slice is used up, and nothing more is read before the next turn', () => {
    const { clock, done, loop, reader } = makeLoop();
    let asked = 0;
    const slow = (milliseconds: number): void => {
      // Time passes, but the event loop does not come to its turn.
      const before = clock.now.bind(clock);
      asked += milliseconds;
      clock.now = () => before() + milliseconds;
    };
    loop.breathe();
    assert.deepEqual(done, []);
    slow(5);
    loop.breathe();
    assert.deepEqual(done, ['decisions', 'output'], 'in the middle of the read');
    loop.breathe();
    assert.deepEqual(done, ['decisions', 'output'], 'the slice begins anew');
    assert.equal(loop.mayRead(reader), false);
    clock.advance(asked);
    assert.deepEqual(done, ['decisions', 'output', 'decisions', 'output', 'input goes on']);
  });

  it('readers that waited come in turn, each turn as many as its slice takes', () => {
    const { clock, done, loop } = makeLoop();
    let late = 0;
    const now = clock.now.bind(clock);
    clock.now = () => now() + late;
    let reads = 0;
    const readers = ['a', 'b', 'c'].map((name) => {
      const reader = {
        resumeReading: () => {
          done.push(name);
          loop.mayRead(reader);
          late += 3;
          // Each has input for three chunks.
          if (++reads < 9) loop.mayRead(reader);
        },
      };
      return reader;
    });
    loop.breathe();
    late += 5;
    for (const reader of readers) assert.equal(loop.mayRead(reader), false);
    clock.advance(0);
    const turns = done.join(' ').split('decisions output');
    assert.ok(turns.every((turn) => turn.trim().split(' ').length <= 2));
    assert.match(turns.join(''), /^ *a +b +c/);
  });

  it('takes no turn once it is stopped', () => {
    const { clock, done, loop } = makeLoop();
    loop.breathe();
    loop.stop();
    clock.now = () => 100;
    loop.breathe();
    clock.advance(10);
    assert.deepEqual(done, []);
  });
});
