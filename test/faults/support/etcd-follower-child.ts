/**
 * A host in a network namespace that follows an etcd and writes to it. Arguments: cache folder, endpoints. Says `told N STATE` now and
 * then; told `finish`, it compares what it was told with etcd's history and says `whole`, or fails.
 */
import { createInterface } from 'node:readline';
import { Etcd3 } from 'etcd3';
import { openEtcdStore } from '../../../src/store/etcd/etcd-store.ts';
import { keepWriting, Ledger } from '../../support/etcd-ledger.ts';

const [cacheFolder = '', ...endpoints] = process.argv.slice(2);
const store = await openEtcdStore({
  etcd: { endpoints },
  cacheFolder,
  times: { guardMs: 400, lagMs: 1_000, toleranceMs: 1_500 },
});
const client = new Etcd3({
  hosts: endpoints,
  defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + 800 }),
});
const ledger = new Ledger(store);
await ledger.inSync();
const writing = keepWriting(client, 5);
const timer = setInterval(() => {
  process.stdout.write(`told ${ledger.told.length} ${store.availability().state}\n`);
}, 50);
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'finish') continue;
  await writing.stop();
  await ledger.assertWhole(client);
  process.stdout.write('whole\n');
  break;
}
clearInterval(timer);
client.close();
await store.close();
process.exit(0);
