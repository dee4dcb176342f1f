/** The etcd store while members of a real cluster of three are killed, frozen, restarted, and while its connections are cut. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { OutcomeUnknown, RevisionConflict, StoreUnavailable } from '../../src/store/errors.ts';
import { type EtcdStore, openEtcdStore } from '../../src/store/etcd/etcd-store.ts';
import { handleKey } from '../../src/store/ipam-documents.ts';
import { EtcdCluster } from '../support/etcd.ts';
import { assertSameContents, keepWriting, Ledger, writeStep } from '../support/etcd-ledger.ts';
import { eventually } from '../support/eventually.ts';
import { peer } from '../support/store-conformance.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

/** As in production, but quicker to look. */
const TIMES = { guardMs: 400, lagMs: 1_000, toleranceMs: 1_500 };

describe('etcd store over three members', function () {
  this.timeout(60_000);
  let etcd: EtcdCluster;
  let client: ReturnType<EtcdCluster['client']>;
  let proxies: TcpProxy[];
  const stores: EtcdStore[] = [];

  const open = async (
    endpoints = etcd.endpoints,
    folder = join(temporaryFolder(), 'etcd'),
  ): Promise<EtcdStore> => {
    const store = await openEtcdStore({
      etcd: { endpoints },
      cacheFolder: folder,
      times: TIMES,
      startGraceMs: 500,
    });
    stores.push(store);
    return store;
  };
  const proxied = (): string[] => proxies.map(({ port }) => `http://127.0.0.1:${port}`);
  const available = async (store: EtcdStore): Promise<void> => {
    await eventually('available', () => store.availability().state === 'available', { timeoutMs: 20_000 });
  };

  // A cluster of its own for each test: the ledgers are compared with its whole history.
  beforeEach(async () => {
    etcd = await EtcdCluster.start({ members: 3 });
    // Quick to try another member, so that the writer does not wait for the frozen one.
    client = etcd.client({
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + 800 }),
    });
    proxies = await Promise.all(
      etcd.endpoints.map(async (endpoint) => await TcpProxy.open(Number(new URL(endpoint).port))),
    );
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map(async (store) => await store.close()));
    await Promise.all(proxies.map(async (proxy) => await proxy.close()));
    await etcd.close();
    removeTemporaryFolders();
  });

  it('no event is lost or invented while the leader is killed again and again', async () => {
    const store = await open();
    const ledger = new Ledger(store);
    await ledger.inSync();
    const writing = keepWriting(client);
    for (let round = 0; round < 3; round++) {
      const before = ledger.told.length;
      const leader = await etcd.leader();
      await leader.signal('SIGKILL');
      await eventually('events go on', () => ledger.told.length > before + 20, { timeoutMs: 20_000 });
      leader.start();
      await etcd.ready();
    }
    assert((await writing.stop()) > 60);
    await ledger.assertWhole(client);
    await available(store);
  });

  it('leaves a member that is frozen, wherever its watch is', async () => {
    const store = await open();
    const ledger = new Ledger(store);
    await ledger.inSync();
    const writing = keepWriting(client, 5);
    for (const member of etcd.members) {
      await member.signal('SIGSTOP');
      const before = ledger.told.length;
      await eventually('events go on', () => ledger.told.length > before + 10, { timeoutMs: 20_000 });
      await member.signal('SIGCONT');
      await etcd.ready();
    }
    await writing.stop();
    await ledger.assertWhole(client);
  });

  it('all members restart: says so meanwhile, and goes on where it was', async () => {
    const store = await open();
    const ledger = new Ledger(store);
    await ledger.inSync();
    for (let step = 0; step < 20; step++) await writeStep(client, step);
    await Promise.all(etcd.members.map(async (member) => await member.signal('SIGKILL')));
    await eventually('unavailable', () => store.availability().state === 'unavailable');
    assert.equal((await store.list('BGPPeer')).length, 7);
    await assert.rejects(store.create(peer('x', '192.0.2.1')), StoreUnavailable);
    for (const member of etcd.members) member.start();
    await etcd.ready();
    for (let step = 20; step < 40; step++) await writeStep(client, step);
    await ledger.assertWhole(client);
    await available(store);
  });

  it('a connection that is cut while the watch catches up loses nothing', async () => {
    const store = await open(proxied());
    const ledger = new Ledger(store);
    await ledger.inSync();
    for (const proxy of proxies) proxy.cut();
    for (let step = 0; step < 3_000; ) {
      await Promise.all(Array.from({ length: 100 }, async () => await writeStep(client, step++)));
    }
    // A batch of a thousand events has some 250,000 octets: cut before the first, after it, after the second.
    for (const octets of [5_000, 300_000, 300_000]) {
      for (const proxy of proxies) {
        proxy.mend();
        proxy.cutAfter(octets);
      }
      await eventually('cut again', () => proxies.some(({ isCut }) => isCut), { timeoutMs: 20_000 });
    }
    assert(ledger.told.length < 2_900, 'still behind');
    for (const proxy of proxies) proxy.mend();
    await ledger.assertWhole(client);
  });

  it('compaction under a watch that was cut: lists, tells the differences, follows on', async () => {
    const store = await open(proxied());
    const ledger = new Ledger(store);
    await ledger.inSync();
    for (let step = 0; step < 50; step++) await writeStep(client, step);
    await eventually('told', () => ledger.told.length >= 50);
    for (const proxy of proxies) proxy.cut();
    for (let step = 50; step < 400; step++) await writeStep(client, step);
    await client.delete().key('/calico/resources/v3/projectcalico.org/bgppeers/w3');
    const { header } = await client.getAll().prefix('/none').exec();
    await client.kv.compact({ revision: header.revision, physical: true });
    for (const proxy of proxies) proxy.mend();
    await assertSameContents(store, client);
    for (let step = 400; step < 420; step++) await writeStep(client, step);
    await assertSameContents(store, client);
    ledger.assertSound();
    assert(ledger.told.length < 200, 'versions between are left out');
  });

  it('a network that swallows everything is noticed, and what was missed is told afterwards', async () => {
    const store = await open(proxied());
    const ledger = new Ledger(store);
    await ledger.inSync();
    await available(store);
    for (const proxy of proxies) proxy.silence();
    for (let step = 0; step < 30; step++) await writeStep(client, step);
    await eventually('unavailable', () => store.availability().state === 'unavailable', {
      timeoutMs: 20_000,
    });
    for (const proxy of proxies) proxy.mend();
    await ledger.assertWhole(client);
    await available(store);
  });

  it('only the member with the watch is silent: the watch moves', async () => {
    const store = await open(proxied());
    const ledger = new Ledger(store);
    await ledger.inSync();
    await available(store);
    for (const proxy of proxies) {
      proxy.silence();
      const before = ledger.told.length;
      for (let step = 0; step < 5; step++) await writeStep(client, step);
      await eventually('told all the same', () => ledger.told.length === before + 5, { timeoutMs: 20_000 });
      proxy.mend();
    }
    await ledger.assertWhole(client);
  });

  it('starts on the last known state while etcd is down, says so, and catches up without a detour', async () => {
    const folder = join(temporaryFolder(), 'etcd');
    const first = await open(etcd.endpoints, folder);
    await new Ledger(first).inSync();
    for (let step = 0; step < 10; step++) await writeStep(client, step);
    await assertSameContents(first, client);
    const own = await first.create(peer('own', '192.0.2.9'));
    await first.ipam.create(handleKey('net.c1'), { block: { '10.0.0.0/26': 1 }, deleted: false });
    await first.close();
    // While nobody follows, one goes and one changes.
    await client.delete().key('/calico/resources/v3/projectcalico.org/bgppeers/w1');
    await writeStep(client, 2);
    await Promise.all(etcd.members.map(async (member) => await member.signal('SIGKILL')));

    const store = await open(etcd.endpoints, folder);
    await assert.rejects(store.list('BGPPeer'), StoreUnavailable);
    const ledger = new Ledger(store);
    await ledger.inSync();
    assert.deepEqual(
      (await store.list('BGPPeer')).map(({ resource }) => resource.metadata.name),
      ['own', 'w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6'],
    );
    assert.deepEqual((await store.ipam.get(handleKey('net.c1')))?.value.block, { '10.0.0.0/26': 1 });
    const availability = store.availability();
    assert.equal(availability.state, 'unavailable');
    assert.match('reason' in availability ? availability.reason : '', /last run/);
    await assert.rejects(store.delete({ kind: 'BGPPeer', name: 'own' }, own.revision), StoreUnavailable);

    const before = ledger.told.length;
    for (const member of etcd.members) member.start();
    await available(store);
    await assertSameContents(store, client);
    assert.deepEqual(
      ledger.told.slice(before).map((line) => line.split('@')[0]),
      ['+w2', '-w1'],
    );
    ledger.assertSound();
  });

  it('a write that took effect without an answer says so, and the next look asks etcd itself', async () => {
    const store = await open(proxied());
    await eventually('readable', async () => (await store.list('Node')) !== undefined, { timeoutMs: 20_000 });
    for (const proxy of proxies) proxy.mute();
    const key = handleKey('unanswered');
    await assert.rejects(store.ipam.create(key, { block: {}, deleted: false }), OutcomeUnknown);
    for (const proxy of proxies) proxy.mend();
    const found = await eventually('etcd answers', () => store.ipam.get(key).catch(() => undefined), {
      timeoutMs: 20_000,
    });
    assert.deepEqual(found.value, { block: {}, deleted: false });
  });

  it('another cluster at the same endpoints: its contents replace the old ones', async () => {
    const store = await open(proxied());
    const ledger = new Ledger(store);
    await ledger.inSync();
    for (let step = 0; step < 30; step++) await writeStep(client, step);
    await assertSameContents(store, client);
    const other = await EtcdCluster.start({ members: 1 });
    try {
      const otherClient = other.client();
      await writeStep(otherClient, 4);
      for (const proxy of proxies) proxy.redirect(Number(new URL(other.endpoints[0] ?? '').port));
      await assertSameContents(store, otherClient);
      await writeStep(otherClient, 5);
      await assertSameContents(store, otherClient);
    } finally {
      await other.close();
    }
  });

  it('nobody answers: attempts grow rare', async () => {
    for (const proxy of proxies) proxy.cut();
    const store = await open(proxied());
    await eventually('says so', () => {
      const availability = store.availability();
      return availability.state === 'unavailable' && !/yet/.test(availability.reason);
    });
    const cpu = process.cpuUsage();
    const [before, since] = [proxies.reduce((sum, { accepted }) => sum + accepted, 0), performance.now()];
    await eventually('four seconds', () => performance.now() - since > 4_000);
    const attempts = proxies.reduce((sum, { accepted }) => sum + accepted, 0) - before;
    const { user, system } = process.cpuUsage(cpu);
    assert(attempts <= 40, `${attempts} connections in four seconds`);
    assert((user + system) / 4_000_000 < 0.25, `${user + system} µs of CPU in four seconds`);
    for (const proxy of proxies) proxy.mend();
    await available(store);
  });

  it('a write whose answer was lost is told truly, also when somebody has built on it since', async () => {
    const [store, other] = [await open(proxied()), await open()];
    for (const each of [store, other]) await available(each);
    const key = handleKey('lost');
    await store.ipam.create(key, { block: { ours: 0 }, deleted: false });
    const entry = await store.ipam.get(key);
    assert(entry !== undefined);
    const countOf = async (name: string) => (await other.ipam.get(key))?.value.block[name];
    for (const proxy of proxies) proxy.mute();
    let isAnswered = false;
    const written = store.ipam
      .update(key, { ...entry.value, block: { ours: 1 } }, entry.revision)
      .finally(() => {
        isAnswered = true;
      });
    await eventually('the write took effect', async () => (await countOf('ours')) === 1);
    for (const theirs of [1, 2]) {
      const now = await other.ipam.get(key);
      assert(now !== undefined);
      await other.ipam.update(key, { ...now.value, block: { ours: 1, theirs } }, now.revision);
    }
    assert.equal(isAnswered, false);
    for (const proxy of proxies) proxy.mend();
    await written;
    assert.equal(await countOf('theirs'), 2);
    await available(store);
    // What others wrote in place of what was to be replaced is a conflict all the same.
    await assert.rejects(
      store.ipam.update(key, { ...entry.value, block: { ours: 7 } }, entry.revision),
      RevisionConflict,
    );
  });

  it('writers on three hosts count on while leaders die: every answer is true', async () => {
    const hosts = [await open(), await open(), await open()];
    const key = handleKey('count');
    for (const host of hosts) await available(host);
    await hosts[0]?.ipam.create(key, { block: { x: 0 }, deleted: false });
    for (const host of hosts) await eventually('the document', async () => await host.ipam.get(key));
    let [done, isStopped] = [0, false];
    // Each writer has a place of its own in the document, so that what was counted can be told from what was written.
    // A write whose outcome is unknown may take effect even after we looked, until another one has taken its revision away.
    const write = async (store: EtcdStore, writer: string) => {
      let mine = 0;
      let isPending = false;
      while (!isStopped) {
        try {
          const entry = await store.ipam.get(key);
          assert(entry !== undefined);
          if ((entry.value.block[writer] ?? 0) > mine) {
            assert(isPending && entry.value.block[writer] === mine + 1, `${writer} was told what is not so`);
            mine++;
            done++;
            isPending = false;
          }
          const block = { ...entry.value.block, [writer]: mine + 1, x: (entry.value.block['x'] ?? 0) + 1 };
          await store.ipam.update(key, { ...entry.value, block }, entry.revision);
          mine++;
          done++;
          isPending = false;
        } catch (error) {
          if (error instanceof RevisionConflict) continue;
          if (!(error instanceof StoreUnavailable)) throw error;
          // Not known: what stands there says whether it happened.
          await eventually('readable', async () => {
            const { kvs } = await client.get('/calico/ipam/v2/handle/count').exec();
            const stored: unknown = JSON.parse(kvs[0]?.value.toString() ?? '{}');
            const seen = Number(Object(Object(stored)['block'])[writer] ?? 0);
            assert(seen === mine || seen === mine + 1);
            if (seen > mine) done++;
            isPending = seen === mine;
            mine = seen;
            return true;
          });
        }
      }
      return { writer, mine, isPending };
    };
    const writing = hosts.flatMap((store, host) =>
      [0, 1].map(async (n) => await write(store, `h${host}-${n}`)),
    );
    for (let round = 0; round < 2; round++) {
      const before = done;
      const leader = await etcd.leader();
      await leader.signal('SIGKILL');
      await eventually('writes go on', () => done > before + 30, { timeoutMs: 30_000 });
      leader.start();
      await etcd.ready();
    }
    isStopped = true;
    const counts = await Promise.all(writing);
    const stored: unknown = await client.get('/calico/ipam/v2/handle/count').json();
    const block: Readonly<Record<string, unknown>> = Object(Object(stored)['block']);
    for (const { writer, mine, isPending } of counts) {
      const written = Number(block[writer] ?? 0);
      assert(written === mine || (isPending && written === mine + 1), `${writer}: ${written}, not ${mine}`);
    }
    const places = counts.reduce((sum, { writer }) => sum + Number(block[writer] ?? 0), 0);
    assert.equal(Number(block['x']), places);
  });
});
