/** A process that gives out addresses is killed at every step that changes the disk, and at random: no address twice, none lost. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Ipam } from '../../src/ipam/ipam.ts';
import { formatAddress } from '../../src/net/address.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';
import { HOST, POOLS } from './support/crash-scenario.ts';
import { type ChildRun, runChild } from './support/run-child.ts';

/** What the child was told, added to what was known before: handle -> addresses. A release that got no answer leaves the handle open. */
function account(known: Map<string, readonly string[] | 'open'>, { lines }: ChildRun): void {
  for (const line of lines) {
    const [verb, handle = '', ...addresses] = line.split(' ');
    if (verb === 'assigned') known.set(handle, addresses);
    else if (verb === 'releasing') known.set(handle, 'open');
    else if (verb === 'released') known.delete(handle);
  }
}

/** Opens what the child left, as the next agent would, and checks it. */
async function examine(root: string, known: Map<string, readonly string[] | 'open'>): Promise<void> {
  const store = await openFileStore({ root });
  try {
    assert.deepEqual(store.problems(), []);
    assert.deepEqual(readdirSync(join(root, '.ocicat/tmp')), []);
    const ipam = new Ipam({ store: store.ipam, host: HOST, pools: () => POOLS, selectsNode: () => true });
    assert.deepEqual(
      (await ipam.check()).filter(({ isTransient }) => !isTransient),
      [],
    );
    await ipam.start();
    assert.deepEqual(await ipam.check(), []);
    const holders = new Map<string, string>();
    for (const { address, handle } of await ipam.assignments()) {
      const text = formatAddress(address);
      assert.equal(holders.get(text), undefined, `${text} has two holders`);
      holders.set(text, handle);
    }
    for (const [handle, addresses] of known) {
      if (addresses === 'open') continue;
      for (const text of addresses) assert.equal(holders.get(text), handle, `${text} of ${handle} was lost`);
      const again = await ipam.assign({ handle, families: ['ipv4', 'ipv6'], attributes: {} });
      assert.deepEqual(
        again.map(({ address }) => formatAddress(address)),
        addresses,
      );
    }
    // What was under way may stand or not; the next run starts from what there is.
    for (const [handle, addresses] of known) if (addresses === 'open') known.delete(handle);
    ipam.stop();
  } finally {
    await store.close();
  }
}

describe('ipam and SIGKILL', function () {
  this.timeout(180_000);
  afterEach(removeTemporaryFolders);

  it('killed before every single step of its work', async () => {
    let step = 0;
    for (let isDone = false; !isDone; ) {
      const batch = await Promise.all(
        [step, step + 1].map(async (killAtStep) => {
          const root = join(temporaryFolder(), 'store');
          const run = await runChild('ipam', root, 7, 3, { killAtStep });
          const known = new Map<string, readonly string[] | 'open'>();
          account(known, run);
          await examine(root, known);
          return run.wasKilled;
        }),
      );
      isDone = batch.includes(false);
      step += batch.length;
    }
    assert(step > 60, `only ${step} steps`);
  });

  it('killed at random moments, again and again, on one store', async () => {
    const root = join(temporaryFolder(), 'store');
    const known = new Map<string, readonly string[] | 'open'>();
    for (let seed = 1; seed <= 20; seed++) {
      const run = await runChild('ipam', root, seed, 400, { killAfterMs: (seed * 37) % 150 });
      account(known, run);
      await examine(root, known);
    }
  });
});
