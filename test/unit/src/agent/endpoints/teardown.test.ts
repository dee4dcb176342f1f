import assert from 'node:assert/strict';
import { Teardowns } from '../../../../../src/agent/endpoints/teardown.ts';
import type { Log } from '../../../../../src/agent/log.ts';
import { eventually } from '../../../../support/eventually.ts';

const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog };

describe('detachments that go on after their answer', () => {
  it('are tried again until they succeed', async () => {
    const teardowns = new Teardowns(silentLog);
    let attempts = 0;
    teardowns.begin('a', async () => {
      if (++attempts < 3) throw new Error('the kernel is busy');
    });
    await eventually('three attempts', () => attempts === 3);
    await teardowns.settled(20_000);
    assert.equal(teardowns.count, 0);
  });

  it('are waited for at the end, but not for ever', async () => {
    const teardowns = new Teardowns(silentLog);
    const { promise, resolve } = Promise.withResolvers<void>();
    let isDone = false;
    teardowns.begin('a', async () => {
      await promise;
      isDone = true;
    });
    teardowns.begin('b', () => new Promise<void>(() => {}));
    assert.equal(teardowns.count, 2);
    resolve();
    await teardowns.close(20);
    assert.equal(isDone, true);
    assert.equal(teardowns.count, 1);
  });

  it('are not tried again after the end', async () => {
    const teardowns = new Teardowns(silentLog);
    let attempts = 0;
    teardowns.begin('a', async () => {
      attempts++;
      throw new Error('the kernel is busy');
    });
    await teardowns.close(20_000);
    await teardowns.settled(20_000);
    assert.equal(attempts, 1);
  });
});
