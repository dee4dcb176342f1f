import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BatchSize } from '../../../../fib/routes/batch-size.ts';

describe('size of batches', () => {
  it('begins large, and stays so while the kernel is quick', () => {
    const size = new BatchSize();
    for (let i = 0; i < 10; i++) {
      assert.equal(size.messages, 1000);
      size.took(3, 1000);
    }
  });

  it('is halved down to one message while batches take long, and grows again once they do not', () => {
    const size = new BatchSize();
    const seen: number[] = [];
    for (let i = 0; i < 10; i++) {
      size.took(300, size.messages);
      seen.push(size.messages);
    }
    assert.deepEqual(seen, [500, 250, 125, 62, 31, 15, 7, 3, 1, 1]);
    for (let i = 0; i < 10; i++) size.took(1, size.messages);
    assert.equal(size.messages, 1000);
  });

  it('is half of what took long, if that was less than a full batch', () => {
    const size = new BatchSize();
    size.took(50, 100);
    assert.equal(size.messages, 50);
  });

  it('does not grow by batches that were not full, nor by those that take neither long nor short', () => {
    const size = new BatchSize();
    size.took(9, 1000);
    size.took(0.1, 3);
    size.took(4, 500);
    size.took(8, 500);
    assert.equal(size.messages, 500);
  });

  it('settles where a batch takes at most 8 ms, however long the kernel takes for a message', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.0001, max: 20, noNaN: true }), (messageMs) => {
        const size = new BatchSize();
        for (let i = 0; i < 12; i++) size.took(size.messages * messageMs, size.messages);
        for (let i = 0; i < 12; i++) {
          assert.ok(size.messages * messageMs <= 8 || size.messages === 1);
          assert.ok(size.messages >= 1 && size.messages <= 1000);
          size.took(size.messages * messageMs, size.messages);
        }
      }),
    );
  });
});
