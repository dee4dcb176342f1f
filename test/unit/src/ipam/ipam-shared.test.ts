/** Several hosts on one store: borrowing, taking over, cooldown, settings, and what a host knows of it. */
import assert from 'node:assert/strict';
import { assignNext, newBlock } from '../../../../src/ipam/block.ts';
import { DEFAULT_MAX_BLOCKS } from '../../../../src/ipam/configuration.ts';
import { Ipam, type IpamOptions } from '../../../../src/ipam/ipam.ts';
import type { Pool } from '../../../../src/ipam/pools.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import {
  blockKey,
  CONFIG_KEY,
  type IpamConfigDocument,
  type IpamKind,
} from '../../../../src/store/ipam-documents.ts';
import { MemoryIpamStore } from '../../../support/memory-ipam-store.ts';
import { address, prefix } from '../../../support/net.ts';

const STRICT: IpamConfigDocument = { strict_affinity: true, auto_allocate_blocks: true, maxBlocksPerHost: 0 };
const LAX: IpamConfigDocument = { ...STRICT, strict_affinity: false };

function pool(name: string, cidr: string, blockSize: number): Pool {
  return {
    name,
    cidr: prefix(cidr),
    blockSize,
    isDisabled: false,
    nodeSelector: '',
    namespaceSelector: '',
    allowedUses: ['Workload', 'Tunnel'],
    assignmentMode: 'Automatic',
  };
}

class Cluster {
  readonly store = new MemoryIpamStore();
  pools: readonly Pool[];
  nowNs = 1_757_000_000_000_000_000n;

  constructor(...pools: readonly Pool[]) {
    this.pools = pools;
  }

  async host(name: string, change: Partial<IpamOptions> = {}): Promise<Ipam> {
    const ipam = new Ipam({
      store: this.store,
      host: name,
      pools: () => this.pools,
      selectsNode: () => true,
      nowNs: () => this.nowNs++,
      ...change,
    });
    await ipam.start();
    return ipam;
  }

  waitSeconds(seconds: number): void {
    this.nowNs += BigInt(seconds) * 1_000_000_000n;
  }
}

async function give(ipam: Ipam, handle: string): Promise<string> {
  const [given] = await ipam.assign({ handle, families: ['ipv4'], attributes: {} });
  assert(given !== undefined);
  return formatAddress(given.address);
}

describe('ipam on a shared store', () => {
  it('borrows single addresses where that is allowed, and the lender knows', async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/30', 30));
    await cluster.store.create(CONFIG_KEY, LAX);
    const [a, b] = [await cluster.host('host-a'), await cluster.host('host-b')];
    let changes = 0;
    a.onLentChanged(() => changes++);
    await give(a, 'c1');
    const borrowed = await give(b, 'c1');
    assert.deepEqual(b.confirmedBlocks(), []);
    assert.deepEqual(a.lentAddresses().map(formatAddress), [borrowed]);
    assert.equal(changes, 1);
    assert.deepEqual(
      (await b.assignments()).map((each) => formatAddress(each.address)),
      [borrowed],
    );
    assert.equal((await a.assignments()).length, 1, 'what others borrowed is not ours');
    assert.deepEqual(
      (await a.releaseHandle('c1')).length,
      1,
      'a holder of the same name elsewhere keeps its address',
    );
    assert.deepEqual((await b.assignmentsOf('c1')).length, 1);
    cluster.pools = [];
    await a.giveUpUnwantedBlocks();
    assert.equal(a.confirmedBlocks().length, 1, 'a block with a borrowed address is not given up');
    await b.releaseHandle('c1');
    await a.giveUpUnwantedBlocks();
    assert.deepEqual(await a.check(), []);
    assert.deepEqual(a.lentAddresses(), []);
    for (const kind of ['block', 'affinity', 'handle'] satisfies IpamKind[])
      assert.deepEqual(await cluster.store.list(kind), []);
  });

  it('does not borrow where it is forbidden, nor where nobody has said anything', async () => {
    for (const config of [STRICT, undefined]) {
      const cluster = new Cluster(pool('p', '10.1.0.0/30', 30));
      if (config !== undefined) await cluster.store.create(CONFIG_KEY, config);
      const [a, b] = [await cluster.host('host-a'), await cluster.host('host-b')];
      const mine = await give(a, 'c1');
      cluster.waitSeconds(120);
      await assert.rejects(give(b, 'c2'), /1 block belongs to other hosts/);
      const next = formatAddress({ ...address(mine), bytes: Uint8Array.of(10, 1, 0, 3) });
      const fixed = b.assign({ handle: 'c3', families: [], attributes: {}, addresses: [address(next)] });
      await assert.rejects(fixed, /belongs to host-a; borrowing from it is not allowed/);
      await a.releaseHandle('c1');
      await assert.rejects(give(b, 'c2'), /is full/, 'the empty block is left to its host');
    }
  });

  it("takes an empty block of another host's over, but not within its first minute", async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/32', 32));
    await cluster.store.create(CONFIG_KEY, LAX);
    const [a, b] = [await cluster.host('host-a'), await cluster.host('host-b')];
    await give(a, 'c1');
    await a.releaseHandle('c1');
    // The address is free, so it is borrowed; the block stays where it is.
    assert.equal(await give(b, 'c2'), '10.1.0.0');
    assert.deepEqual(b.confirmedBlocks(), []);
    await b.releaseHandle('c2');
    cluster.waitSeconds(61);
    assert.equal(await give(b, 'c3'), '10.1.0.0');
    assert.deepEqual(a.confirmedBlocks(), []);
    assert.deepEqual(b.confirmedBlocks().map(formatPrefix), ['10.1.0.0/32']);
    assert.deepEqual(await b.check(), []);
  });

  it('the owner that allocates while its block is taken away keeps it', async () => {
    for (let step = 0; step < 3; step++) {
      const cluster = new Cluster(pool('p', '10.1.0.0/30', 30));
      await cluster.store.create(CONFIG_KEY, LAX);
      const [a, b] = [await cluster.host('host-a'), await cluster.host('host-b')];
      await give(a, 'c0');
      await a.releaseHandle('c0');
      cluster.waitSeconds(61);
      let count = 0;
      let racing: Promise<string> | undefined;
      cluster.store.beforeWrite = async () => {
        if (count++ !== step || racing !== undefined) return;
        racing = give(a, 'mine');
        await racing;
      };
      const theirs = await give(b, 'theirs');
      assert.notEqual(theirs, await racing, `raced before write ${step}`);
      assert.deepEqual(
        (await a.check()).filter(({ isTransient }) => !isTransient),
        [],
      );
    }
  });

  it('adopts empty blocks that nobody has, also where strict', async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/30', 30));
    await cluster.store.create(CONFIG_KEY, STRICT);
    const a = await cluster.host('host-a');
    const given = await give(a, 'c1');
    await a.releaseHandle('c1');
    const block = await cluster.store.get(blockKey('10.1.0.0/30'));
    assert(block !== undefined);
    await cluster.store.update(block.key, { ...block.value, affinity: null }, block.revision);
    const b = await cluster.host('host-b');
    assert.equal(await give(b, 'c2'), given);
    assert.deepEqual(b.confirmedBlocks().map(formatPrefix), ['10.1.0.0/30']);
    assert.deepEqual(
      (await b.check()).filter(({ isTransient }) => !isTransient).map(({ kind }) => kind),
      ['affinity-without-block'],
    );
    await cluster.host('host-a');
    assert.deepEqual(await b.check(), [], 'the former host drops its claim at its next start');
  });

  it('lets a released address rest for the cooldown', async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/32', 32));
    await cluster.store.create(CONFIG_KEY, { ...STRICT, ipCooldownSeconds: 30 });
    const a = await cluster.host('host-a');
    await give(a, 'c1');
    await a.releaseHandle('c1');
    await assert.rejects(give(a, 'c2'), /is full/);
    assert.deepEqual(await a.check(), []);
    cluster.pools = [];
    await a.giveUpUnwantedBlocks();
    assert.equal(a.confirmedBlocks().length, 1, 'a block with a resting address is not given up');
    cluster.pools = [pool('p', '10.1.0.0/32', 32)];
    cluster.waitSeconds(31);
    assert.equal(await give(a, 'c2'), '10.1.0.0');
  });

  it('has a block cap: of the request, of the settings, else 20', async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/24', 32));
    const a = await cluster.host('host-a');
    const [first] = await a.assign({ handle: 'c0', families: ['ipv4'], attributes: {}, maxBlocks: 1 });
    assert(first !== undefined);
    const second = a.assign({ handle: 'c1', families: ['ipv4'], attributes: {}, maxBlocks: 1 });
    await assert.rejects(second, /1 of at most 1 IPv4 blocks/);
    for (let i = 1; i < DEFAULT_MAX_BLOCKS; i++) await give(a, `c${i}`);
    await assert.rejects(give(a, 'late'), /20 of at most 20/);
    await a.configure({ maxBlocksPerHost: 21 });
    await give(a, 'late');
  });

  it('claims nothing where autoAllocateBlocks is false', async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/24', 26));
    await cluster.store.create(CONFIG_KEY, { ...STRICT, auto_allocate_blocks: false });
    await assert.rejects(give(await cluster.host('host-a'), 'c1'), /autoAllocateBlocks is false/);
  });

  it('refuses settings that cannot be, and writes the first only once', async () => {
    const cluster = new Cluster();
    const a = await cluster.host('host-a');
    await assert.rejects(
      a.configure({ strictAffinity: false, autoAllocateBlocks: false }),
      /cannot both be false/,
    );
    await assert.rejects(a.configure({ strictAffinity: false, maxBlocksPerHost: 3 }), /needs strictAffinity/);
    await assert.rejects(a.configure({ ipCooldownSeconds: 1201 }), /must be 0 to 1200/);
    assert.equal(await cluster.store.get(CONFIG_KEY), undefined);
    await a.writeInitialSettings();
    assert.deepEqual((await cluster.store.get(CONFIG_KEY))?.value, STRICT);
    await a.configure({ strictAffinity: false });
    await a.writeInitialSettings();
    assert.equal(a.settings.strictAffinity, false);
  });

  it('never claims a block that is reserved as a whole', async () => {
    const cluster = new Cluster(pool('p', '10.1.0.0/29', 30));
    const a = await cluster.host('host-a', {
      isReserved: ({ bytes }) => (bytes[3] ?? 0) < 4,
      isBlockReserved: (block) => formatPrefix(block) === '10.1.0.0/30',
    });
    for (let i = 0; i < 4; i++) assert.match(await give(a, `c${i}`), /^10\.1\.0\.[4-7]$/);
    await assert.rejects(give(a, 'late'), /is full/);
    assert.equal((await cluster.store.list('block')).length, 1);
  });

  it('finds its way among 10,000 blocks without reading them for each address', async () => {
    const cluster = new Cluster(pool('p', '10.0.0.0/12', 26));
    const other = await cluster.host('host-b');
    other.stop();
    const a = await cluster.host('host-a');
    await give(a, 'c0');
    const template = (await cluster.store.list('block'))[0]?.value;
    assert(template !== undefined);
    for (let i = 0; i < 10_000; i++) {
      const cidr = `10.${i >> 10}.${(i >> 2) & 255}.${(i & 3) * 64}/26`;
      if (cidr !== template.cidr)
        await cluster.store.create(blockKey(cidr), { ...template, cidr, affinity: `host:h${i % 1000}` });
    }
    let lists = 0;
    const list = cluster.store.list.bind(cluster.store);
    cluster.store.list = async (kind, filter) => {
      if (kind === 'block') lists++;
      return await list(kind, filter);
    };
    for (let i = 1; i < 100; i++) await give(a, `c${i}`);
    assert.equal(a.confirmedBlocks().length, 2);
    assert.equal(lists, 0);
  });

  it('gives a /20 block out to the last address', async () => {
    const cluster = new Cluster(pool('p', '10.16.0.0/20', 20));
    let block = newBlock(prefix('10.16.0.0/20'), 'host-a', 1n);
    for (let i = 0; i < 4090; i++) block = assignNext(block, 'many', {}, () => false)?.block ?? block;
    await cluster.store.create(blockKey(block.cidr), block);
    const a = await cluster.host('host-a');
    assert.equal((await a.assignmentsOf('many')).length, 4090, 'claim and index were made good');
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) seen.add(await give(a, `c${i}`));
    assert.deepEqual(Array.from(seen).at(-1), '10.16.15.255');
    await assert.rejects(give(a, 'late'), /4096 of 4096/);
    assert.equal((await a.releaseHandle('many')).length, 4090);
    assert.deepEqual(await a.check(), []);
  });
});
