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

/** Lets time pass in which the event loop does not come to its turn. */
function passing(clock: FakeClock): (milliseconds: number) => void {
  let passed = 0;
  const now = clock.now.bind(clock);
  clock.now = () => now() + passed;
  return (milliseconds) => {
    passed += milliseconds;
  };
}

describe('work loop', () => {
  it('one turn for all that asks for it: decisions, output, then the input that was held up', () => {
    const { clock, done, loop, reader } = makeLoop();
    assert.ok(loop.mayRead(reader) > 0);
    clock.advance(0);
    done.length = 0;
    loop.request();
    assert.ok(loop.mayRead(reader) > 0);
    clock.advance(0);
    assert.deepEqual(done, ['decisions', 'output']);
  });

  it('input stops between two messages once its slice is used up, and goes on after decisions and output had their turn', () => {
    const { clock, done, loop, reader } = makeLoop();
    const pass = passing(clock);
    let messages = 0;
    while (loop.mayRead(reader)) {
      messages++;
      pass(0.1);
    }
    assert.ok(messages >= 5);
    assert.deepEqual(done, [], 'not in the middle of the read');
    clock.advance(0);
    assert.deepEqual(done.slice(0, 3), ['decisions', 'output', 'input goes on']);
  });

  it('the first slices of a burst are short, and so are those of the next burst', () => {
    const { clock, done, loop, reader } = makeLoop();
    const pass = passing(clock);
    const burst = (): number[] =>
      Array.from({ length: 5 }, () => {
        let messages = 0;
        for (; loop.mayRead(reader); messages++) pass(0.125);
        const turns = done.length;
        clock.until('a turn', () => done.length > turns);
        return messages;
      });
    assert.deepEqual(burst(), [4, 8, 16, 16, 16]);
    clock.advance(0);
    done.length = 0;
    clock.advance(1000);
    assert.deepEqual(done, [], 'no turn while nothing is to be done');
    assert.deepEqual(burst(), [4, 8, 16, 16, 16]);
  });

  it('wants to be asked after fewer messages in the first slices of a burst than later', () => {
    const { clock, done, loop, reader } = makeLoop();
    const pass = passing(clock);
    const grants = Array.from({ length: 4 }, () => {
      const grant = loop.mayRead(reader);
      while (loop.mayRead(reader) > 0) pass(0.125);
      const turns = done.length;
      clock.until('a turn', () => done.length > turns);
      return grant;
    });
    assert.deepEqual(grants, [4096, 4096, 16384, 16384]);
  });

  it('somebody else who needs the event loop gets short turns, a few of them for each time he is heard of', () => {
    const clock = new FakeClock();
    const pass = passing(clock);
    const lengths: number[] = [];
    const burn = (isOver: () => boolean): void => {
      const start = clock.now();
      while (!isOver()) pass(0.125);
      lengths.push(clock.now() - start);
    };
    const loop = new WorkLoop(clock, {
      work(isOver) {
        burn(isOver);
        return true;
      },
    });
    const turns = (count: number): number[] => {
      lengths.length = 0;
      loop.request();
      clock.until('turns', () => lengths.length >= count);
      return lengths.slice(0, count);
    };
    assert.deepEqual(turns(2), [2, 2]);
    loop.hurry();
    loop.hurry();
    assert.deepEqual(turns(5), [0.5, 0.5, 0.5, 0.5, 2]);
    // So is input that comes between two turns.
    const reader = { resumeReading: () => {} };
    const messages = (): number => {
      let count = 0;
      for (; loop.mayRead(reader); count++) pass(0.125);
      turns(1);
      return count;
    };
    assert.deepEqual([messages(), messages(), messages()], [4, 8, 16]);
    loop.hurry();
    assert.equal(messages(), 4);
  });

  it('readers that waited come in turn, each turn as many as its slice takes', () => {
    const { clock, done, loop } = makeLoop();
    const pass = passing(clock);
    let reads = 0;
    const readers = ['a', 'b', 'c'].map((name) => {
      const reader = {
        resumeReading: () => {
          done.push(name);
          pass(3);
          // Each has input for three slices.
          if (++reads < 9) loop.mayRead(reader);
        },
      };
      return reader;
    });
    assert.ok(loop.mayRead({ resumeReading: () => {} }) > 0);
    pass(5);
    for (const reader of readers) assert.equal(loop.mayRead(reader), 0);
    clock.advance(0);
    assert.ok(reads >= 9);
    const turns = done.join(' ').split('decisions output');
    assert.ok(turns.every((turn) => turn.trim().split(' ').length <= 1));
    assert.match(turns.join(''), /^ *a +b +c +a +b +c/);
  });

  it('who waits for all decisions does not mistake those before the input that goes on for those after it', () => {
    const { clock, done, loop } = makeLoop();
    const pass = passing(clock);
    const reader = {
      resumeReading: () => {
        done.push('input goes on');
        loop.whenIdle(() => done.push('all is decided'));
      },
    };
    loop.mayRead(reader);
    pass(5);
    assert.equal(loop.mayRead(reader), 0);
    clock.until('the decisions', () => done.includes('all is decided'));
    assert.deepEqual(done, ['decisions', 'output', 'input goes on', 'decisions', 'output', 'all is decided']);
  });

  it('takes no turn once it is stopped', () => {
    const { clock, done, loop } = makeLoop();
    loop.request();
    loop.stop();
    loop.request();
    clock.advance(10);
    assert.deepEqual(done, []);
  });
});
