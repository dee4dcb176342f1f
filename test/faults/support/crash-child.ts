/**
 * A process that works on a store and tells on its standard output what it was told is done, one line an operation. It kills itself before
 * fault step number OCICAT_TEST_KILL_AT. Usage: crash-child.ts ipam|resources ROOT SEED OPERATIONS
 */
import { writeSync } from 'node:fs';
import { Ipam } from '../../../src/ipam/ipam.ts';
import { makeKey } from '../../../src/model/types.ts';
import { formatAddress } from '../../../src/net/address.ts';
import { openFileStore } from '../../../src/store/file/file-store.ts';
import type { Store } from '../../../src/store/types.ts';
import { HOST, NAMES, networkSet, POOLS } from './crash-scenario.ts';

const [mode = '', root = '', seed = '1', operations = '1'] = process.argv.slice(2);
const killAt = Number(process.env['OCICAT_TEST_KILL_AT'] ?? 'Infinity');
let steps = 0;
let random = Number(seed);

const store = await openFileStore({
  root,
  fault: () => {
    if (steps++ >= killAt) process.kill(process.pid, 'SIGKILL');
  },
});
say('ready');
if (mode === 'ipam') await workOnIpam(store);
else await workOnResources(store);
await store.close();
say('end');

async function workOnIpam(on: Store): Promise<void> {
  const ipam = new Ipam({ store: on.ipam, host: HOST, pools: () => POOLS, selectsNode: () => true });
  await ipam.start();
  for (let i = 0; i < Number(operations); i++) {
    const handle = `c${next(12)}`;
    if (next(3) === 0) {
      say(`releasing ${handle}`);
      await ipam.releaseHandle(handle);
      say(`released ${handle}`);
    } else {
      const given = await ipam.assign({ handle, families: ['ipv4', 'ipv6'], attributes: {} });
      say(`assigned ${handle} ${given.map(({ address }) => formatAddress(address)).join(' ')}`);
    }
  }
  ipam.stop();
}

async function workOnResources(on: Store): Promise<void> {
  for (let i = 0; i < Number(operations); i++) {
    const name = NAMES[next(NAMES.length)] ?? '';
    const present = await on.get(makeKey('GlobalNetworkSet', name));
    if (present !== undefined && next(4) === 0) {
      say(`deleting ${name}`);
      await on.delete(makeKey('GlobalNetworkSet', name), present.revision);
      say(`deleted ${name}`);
      continue;
    }
    const value = networkSet(name, `${seed}-${i}`);
    say(`writing ${name} ${seed}-${i}`);
    if (present === undefined) await on.create(value);
    else await on.update(value, present.revision);
    say(`wrote ${name} ${seed}-${i}`);
  }
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** Numerical Recipes' linear congruential generator: the same seed, the same work. */
function next(bound: number): number {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return (random >>> 8) % bound;
}
