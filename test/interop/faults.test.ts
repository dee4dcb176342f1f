/** Faults of a link and of a peer, with each router: the link goes down, the peer restarts behind it, KEEPALIVEs are done without. */
import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.ts';
import { Bench, WAIT, withEach } from '../support/matrix-bench.ts';
import { KINDS, seen } from '../support/matrix-table.ts';
import { removeAllNetns } from '../support/netns.ts';

const benches: Bench[] = [];

function makeBench(...args: ConstructorParameters<typeof Bench>): Bench {
  const bench = new Bench(...args);
  benches.push(bench);
  return bench;
}

describe('faults of links and peers', function () {
  this.timeout(150_000);

  afterEach(async () => {
    await Promise.all(benches.map((bench) => bench.end()));
    benches.length = 0;
    await removeAllNetns();
  });

  it('the link is lost: 4/0 and no routes; the peer restarts behind it (half-open), and all is back', async () => {
    await withEach(KINDS, async (kind) => {
      const bench = makeBench(kind, { holdTimeSec: 3 });
      await bench.start();
      await bench.weHave('10.2.0.0/16');
      bench.setLink('down');
      await bench.event(
        'the hold timer',
        (event) => event['type'] === 'notification' && event['code'] === '4/0',
      );
      await eventually(`${kind}: no routes`, async () => (await bench.speaker.routes()).length === 0, WAIT);
      bench.setLink('up');
      await bench.up();
      await bench.weHave('10.2.0.0/16');

      // Our side still believes in the connection when the peer's next one comes.
      bench.setLink('down');
      await bench.router.kill();
      bench.setLink('up');
      await bench.router.start();
      await bench.up();
      await bench.weHave('10.2.0.0/16');
      await bench.theyHave('10.1.0.0/16');
      seen(kind, 'link lost while the peer restarts (half-open)');
    });
  });

  it('hold time 0: agreed upon, routes pass, nobody counts time', async () => {
    // GoBGP takes 0 for its default.
    await withEach(['frr', 'exabgp', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, { holdTimeSec: 0 });
      await bench.start();
      await bench.weHave('10.2.0.0/16');
      await bench.theyHave('10.1.0.0/16');
      assert.equal((await bench.speaker.peer(bench.peer)).holdTimeSec, 0);
      seen(kind, 'hold time 0');
    });
  });
});
