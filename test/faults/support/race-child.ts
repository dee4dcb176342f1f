/**
 * One host of a race: a process with an etcd store of its own that waits for a line on its standard input, then asks for addresses, and
 * tells what it was told. It kills itself before its write number OCICAT_TEST_KILL_AT. Usage: race-child.ts HOST ENDPOINT FOLDER SEED OPERATIONS
 */
import { writeSync } from 'node:fs';
import { IpamError } from '../../../src/ipam/errors.ts';
import { Ipam } from '../../../src/ipam/ipam.ts';
import { formatAddress } from '../../../src/net/address.ts';
import { openEtcdStore } from '../../../src/store/etcd/etcd-store.ts';
import type { IpamStore } from '../../../src/store/ipam-store.ts';
import { RACE_POOLS } from './race-scenario.ts';

const [host = '', endpoint = '', folder = '', seed = '1', operations = '1'] = process.argv.slice(2);
const killAt = Number(process.env['OCICAT_TEST_KILL_AT'] ?? 'Infinity');
let writes = 0;
let random = Number(seed);

const store = await openEtcdStore({ etcd: { endpoints: [endpoint] }, cacheFolder: folder });
const ipam = new Ipam({
  store: countingWrites(store.ipam),
  host,
  pools: () => RACE_POOLS,
  selectsNode: () => true,
});
await ipam.start();
say('ready');
await new Promise<void>((resolve) => void process.stdin.once('data', () => resolve()));
process.stdin.destroy();
for (let i = 0; i < Number(operations); i++) {
  const handle = `${host}.c${next(3)}`;
  if (i > 0 && next(3) === 0) {
    say(`releasing ${handle}`);
    await ipam.releaseHandle(handle);
    say(`released ${handle}`);
    continue;
  }
  try {
    say(`assigning ${handle}`);
    const given = await ipam.assign({ handle, families: ['ipv4'], attributes: {} });
    say(`assigned ${handle} ${given.map(({ address }) => formatAddress(address)).join(' ')}`);
  } catch (error) {
    if (!(error instanceof IpamError)) throw error;
    say(`refused ${handle} ${error.code}`);
  }
}
ipam.stop();
await store.close();
say('end');

/** The store, with a kill before a chosen write. */
function countingWrites(of: IpamStore): IpamStore {
  const step = (): void => {
    if (writes++ >= killAt) process.kill(process.pid, 'SIGKILL');
  };
  return {
    get: async (key) => await of.get(key),
    list: async (kind, filter) => await of.list(kind, filter),
    create: async (key, value) => {
      step();
      return await of.create(key, value);
    },
    update: async (key, value, expected) => {
      step();
      return await of.update(key, value, expected);
    },
    delete: async (key, expected) => {
      step();
      await of.delete(key, expected);
    },
    watch: (listener) => of.watch(listener),
  };
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** Numerical Recipes' linear congruential generator: the same seed, the same work. */
function next(bound: number): number {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return (random >>> 8) % bound;
}
