import assert from 'node:assert/strict';
import { routeCounts } from '../../fib/routes/inspect.ts';
import type { BrakeEvent } from '../../fib/routes/types.ts';
import { PrefixTable } from '../../src/net/prefix-table.ts';
import type { Netns } from '../support/netns.ts';
import { type Programmer, RoutesBench, show, twoUplinks } from './routes-support.ts';

const COUNT = 200;

describe('fib/routes brake on mass deletion', () => {
  const bench = new RoutesBench();
  const learned = new PrefixTable('ipv4');
  const ids = Array.from({ length: COUNT }, (_, i) => learned.intern(24, (10 << 24) | (i << 8)));
  let now = 0;
  const events: BrakeEvent[] = [];

  async function filled(host: Netns): Promise<Programmer> {
    now = 0;
    events.length = 0;
    const p = await bench.programmer(host, { clock: () => now, onBrake: (event) => events.push(event) });
    p.isAutomatic = false;
    const target = p.routes.targets.pin(p.via(['eth0', '192.0.2.2']));
    for (const id of ids) p.routes.setLearned(learned, id, target);
    p.settle();
    return p;
  }

  const inKernel = (host: Netns): number =>
    show(host, 'route', 'show', 'proto', '171').split('metric 1024').length - 1;
  const kinds = (): string[] => events.map(({ kind }) => kind);

  it('what is explained goes at once, and so do a few that are not', async () => {
    const { host } = twoUplinks();
    const p = await filled(host);
    for (const id of ids.slice(0, 150)) p.routes.removeLearned(learned, id);
    for (const id of ids.slice(150)) p.routes.removeLearned(learned, id, false);
    p.settle();
    assert.equal(inKernel(host), 0);
    assert.deepEqual(events, []);
  });

  it('a part goes once no more comes', async () => {
    const { host } = twoUplinks();
    const p = await filled(host);
    for (const id of ids.slice(0, 120)) p.routes.removeLearned(learned, id, false);
    assert.equal(p.routes.apply(10).retryAtMs, 1000);
    assert.equal(inKernel(host), COUNT);
    now = 1000;
    p.settle();
    assert.equal(inKernel(host), 80);
    assert.deepEqual(events, []);
  });

  it('nearly all are held until somebody releases them; what is wanted again stays', async () => {
    const { host } = twoUplinks();
    const p = await filled(host);
    for (const id of ids.slice(0, 199)) p.routes.removeLearned(learned, id, false);
    p.routes.apply(10);
    now = 1000;
    p.settle();
    assert.deepEqual(events, [{ kind: 'held', family: 'ipv4', held: 199, of: 200 }]);
    assert.deepEqual(p.routes.held(), [{ family: 'ipv4', held: 199, of: 200 }]);
    assert.equal(inKernel(host), COUNT);
    assert.equal(p.state('10.0.0.0/24'), 'held');
    assert.equal(routeCounts(p.routes, 'ipv4').held, 199);
    p.routes.setLearned(learned, ids[0] ?? -1, p.routes.targets.pin(p.via(['eth0', '192.0.2.2'])));
    p.settle();
    assert.equal(p.state('10.0.0.0/24'), 'installed');
    assert.equal(p.routes.releaseHeld('an operator said so'), true);
    p.settle();
    assert.deepEqual(kinds(), ['held', 'released']);
    assert.equal(inKernel(host), 2);
    assert.equal(p.routes.releaseHeld('again'), false);
    assert.equal(p.routes.families.ipv4.table.size, 2);
  });

  it('they go when the cause is confirmed, and when nothing changes for five minutes', async () => {
    const { host } = twoUplinks();
    const p = await filled(host);
    let cause: string | undefined;
    p.routes.confirmRemovalBy(() => cause);
    for (const id of ids) p.routes.removeLearned(learned, id, false);
    p.routes.apply(10);
    now = 1000;
    assert.equal(p.routes.apply(10).retryAtMs, 2000);
    cause = 'no BGP session is up';
    now = 2000;
    p.settle();
    assert.deepEqual(events.at(-1), { kind: 'released', family: 'ipv4', held: COUNT, of: COUNT, why: cause });
    assert.equal(inKernel(host), 0);
    cause = undefined;
    const target = p.routes.targets.pin(p.via(['eth0', '192.0.2.2']));
    for (const id of ids) p.routes.setLearned(learned, id, target);
    p.settle();
    for (const id of ids) p.routes.removeLearned(learned, id, false);
    p.routes.apply(10);
    now = 3000;
    p.settle();
    now = 302_999;
    p.settle();
    assert.equal(inKernel(host), COUNT);
    now = 303_000;
    p.settle();
    assert.equal(inKernel(host), 0);
  });

  it('a sweep after a restart is held too, and ends by itself when the routes come', async () => {
    const { host } = twoUplinks();
    (await filled(host)).close();
    const p = await bench.programmer(host, { clock: () => now, onBrake: (event) => events.push(event) });
    p.isAutomatic = false;
    p.routes.sweep('ipv4', 'learned');
    p.settle();
    now = 1000;
    p.settle();
    assert.deepEqual(kinds(), ['held']);
    const target = p.routes.targets.pin(p.via(['eth0', '192.0.2.2']));
    for (const id of ids) p.routes.setLearned(learned, id, target);
    assert.equal(p.routes.apply(10).written, 0);
    assert.deepEqual(kinds(), ['held', 'gone']);
    assert.equal(routeCounts(p.routes, 'ipv4').installed, COUNT);
  });
});
