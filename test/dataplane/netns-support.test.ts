import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect, createNetns, removeAllNetns, sweepStaleNetns } from '../support/netns.ts';

describe('test support: network namespaces', () => {
  afterEach(removeAllNetns);

  it('connects two namespaces that ping each other in both families', () => {
    const a = createNetns();
    const b = createNetns();
    connect(
      { netns: a, name: 'eth0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
      { netns: b, name: 'eth0', addresses: ['192.0.2.2/24', '2001:db8::2/64'] },
    );
    a.sh('ping -c1 -W2 192.0.2.2');
    a.sh('ping -c1 -W2 2001:db8::2');
    assert.equal(a.tryRun('ping', '-c1', '-W1', '192.0.2.9').status, 1);
  });

  it('sweeps namespaces of dead processes and leaves those of living ones', () => {
    const mine = createNetns();
    const dead = 'ocit-4194305-1'; // beyond the highest possible pid
    execFileSync('ip', ['netns', 'add', dead]);
    assert.ok(sweepStaleNetns().includes(dead));
    assert.ok(!existsSync(`/run/netns/${dead}`));
    assert.ok(existsSync(mine.path));
  });

  it('kills what was started inside when the namespace is removed', async () => {
    const netns = createNetns();
    const child = netns.spawn('sleep', '1000');
    await netns.remove();
    assert.equal(child.signalCode, 'SIGKILL');
  });
});
