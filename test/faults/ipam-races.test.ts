/**
 * Hosts, each a process of its own over one etcd, want the last blocks at the same moment; one of them is killed before each of its writes
 * in turn. Whatever happens: no address twice, none lost, and what a host was told it has it keeps.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { IpamError } from '../../src/ipam/errors.ts';
import { Ipam } from '../../src/ipam/ipam.ts';
import { formatAddress } from '../../src/net/address.ts';
import { type EtcdStore, openEtcdStore } from '../../src/store/etcd/etcd-store.ts';
import { ipamKey } from '../../src/store/etcd/keys.ts';
import {
  CONFIG_KEY,
  formatIpamJson,
  handleKey,
  type IpamConfigDocument,
} from '../../src/store/ipam-documents.ts';
import { EtcdCluster } from '../support/etcd.ts';
import { eventually } from '../support/eventually.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';
import { RaceProcess } from './support/race-process.ts';
import { RACE_CAPACITY, RACE_POOLS } from './support/race-scenario.ts';

const STRICT: IpamConfigDocument = { strict_affinity: true, auto_allocate_blocks: true, maxBlocksPerHost: 0 };
const LAX: IpamConfigDocument = { ...STRICT, strict_affinity: false };
const HOSTS = ['host-a', 'host-b', 'host-c'];

interface Race {
  readonly config: IpamConfigDocument;
  /** blocks that a host which is gone left empty long ago */
  readonly stranded: number;
  readonly seed: number;
  readonly operations: number;
  /** host-a dies before this write */
  readonly killAt?: number;
}

describe('ipam races between hosts', function () {
  this.timeout(240_000);
  let etcd: EtcdCluster;
  let client: ReturnType<EtcdCluster['client']>;
  let store: EtcdStore;
  let marks = 0;

  before(async () => {
    etcd = await EtcdCluster.start();
    client = etcd.client();
    store = await openEtcdStore({
      etcd: { endpoints: [endpoint()] },
      cacheFolder: join(temporaryFolder(), 'etcd'),
    });
    await eventually('etcd is followed', () => store.availability().state === 'available');
  });
  after(async () => {
    await store.close();
    await etcd.close();
    removeTemporaryFolders();
  });

  const endpoint = (): string => etcd.endpoints[0] ?? '';

  /** Resolves when the store has seen everything that was written before. */
  async function caughtUp(): Promise<void> {
    const mark = handleKey(`mark-${++marks}`);
    await client.put(ipamKey(mark)).value(formatIpamJson({ block: {}, deleted: false }));
    await eventually('the store has caught up', async () => (await store.ipam.get(mark)) !== undefined);
    const entry = await store.ipam.get(mark);
    if (entry !== undefined) await store.ipam.delete(mark, entry.revision);
  }

  async function prepare({ config, stranded }: Race): Promise<void> {
    await client.delete().all();
    await caughtUp();
    const gone = await startedIpam('host-gone', () => BigInt(Date.now() - 120_000) * 1_000_000n);
    const addresses = Array.from({ length: stranded * 4 }, (_, i) => `gone.${i}`);
    for (const handle of addresses) await gone.assign({ handle, families: ['ipv4'], attributes: {} });
    for (const handle of addresses) await gone.releaseHandle(handle);
    gone.stop();
    await store.ipam.create(CONFIG_KEY, config);
  }

  /** Lets the hosts race. Whether host-a died. */
  async function race(
    setup: Race,
  ): Promise<{ readonly wasKilled: boolean; readonly hosts: readonly RaceProcess[] }> {
    await prepare(setup);
    const hosts = HOSTS.map((host, i) => {
      const args = [
        endpoint(),
        join(temporaryFolder(), 'etcd'),
        String(setup.seed + i),
        String(setup.operations),
      ];
      return new RaceProcess(host, args, i === 0 ? setup.killAt : undefined);
    });
    await Promise.all(hosts.map(async ({ ready }) => await ready));
    for (const host of hosts) host.go();
    const killed = await Promise.all(hosts.map(async (host) => await host.ended()));
    return { wasKilled: killed[0] === true, hosts };
  }

  async function examine(setup: Race, hosts: readonly RaceProcess[]): Promise<void> {
    await caughtUp();
    const observer = await startedIpam('observer');
    assert.deepEqual(
      (await observer.check()).filter(({ isTransient }) => !isTransient),
      [],
      'right after the race',
    );
    // Every host comes back.
    const ipams = await Promise.all(HOSTS.map(async (host) => await startedIpam(host)));
    const holders = new Map<string, string>();
    for (const ipam of ipams) {
      for (const { address, handle } of await ipam.assignments()) {
        const text = formatAddress(address);
        assert.equal(holders.get(text), undefined, `${text} has two holders`);
        holders.set(text, handle);
      }
    }
    for (const { told, lines } of hosts) {
      for (const [handle, addresses] of told) {
        if (addresses === 'open') continue;
        for (const text of addresses)
          assert.equal(holders.get(text), handle, `${text} of ${handle}: ${lines.join('; ')}`);
      }
    }
    const violations = await observer.check();
    assert.deepEqual(
      setup.config.strict_affinity ? violations : violations.filter(({ isTransient }) => !isTransient),
      [],
      'after every host came back',
    );
    assert.equal(await fill(ipams, holders.size, setup), RACE_CAPACITY, 'addresses were lost');
    for (const ipam of [...ipams, observer]) ipam.stop();
  }

  /** Gives out whatever is left: the number of addresses that are in use then. */
  async function fill(ipams: readonly Ipam[], held: number, { config, stranded }: Race): Promise<number> {
    let count = held;
    for (const [i, ipam] of ipams.entries()) {
      for (let n = 0; ; n++) {
        try {
          await ipam.assign({ handle: `late${i}.${n}`, families: ['ipv4'], attributes: {} });
          count++;
        } catch (error) {
          assert(error instanceof IpamError && error.code === 'exhausted', String(error));
          break;
        }
      }
    }
    // A strict host leaves the empty blocks of others alone: these are not lost, only theirs.
    return config.strict_affinity ? count + 4 * stranded : count;
  }

  async function startedIpam(host: string, nowNs?: () => bigint): Promise<Ipam> {
    const ipam = new Ipam({
      store: store.ipam,
      host,
      pools: () => RACE_POOLS,
      selectsNode: () => true,
      ...(nowNs && { nowNs }),
    });
    await ipam.start();
    return ipam;
  }

  for (const [title, base] of [
    ['strict: three hosts for two blocks', { config: STRICT, stranded: 0 }],
    ['strict: three hosts for one block', { config: STRICT, stranded: 1 }],
    ['lax: two hosts get blocks, the third borrows', { config: LAX, stranded: 0 }],
    ['lax: blocks of a host that is gone are taken over', { config: LAX, stranded: 2 }],
  ] as const) {
    it(`${title}, one killed before each of its writes`, async () => {
      let killAt = 0;
      for (let isDone = false; !isDone; killAt++) {
        const setup: Race = { ...base, seed: 11 + killAt, operations: 3, killAt };
        const { wasKilled, hosts } = await race(setup);
        await examine(setup, hosts);
        isDone = !wasKilled;
      }
      assert(killAt > 3, `only ${killAt} steps`);
    });
  }

  it('many requests at once, nobody killed', async () => {
    for (const config of [STRICT, LAX]) {
      const setup: Race = { config, stranded: 0, seed: 5, operations: 60 };
      const { hosts } = await race(setup);
      await examine(setup, hosts);
    }
  });
});
