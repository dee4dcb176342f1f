import assert from 'node:assert/strict';
import { Ipam, type IpamOptions } from '../../../../src/ipam/ipam.ts';
import type { Pool } from '../../../../src/ipam/pools.ts';
import { type Family, formatAddress } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { OutcomeUnknown } from '../../../../src/store/errors.ts';
import { affinityKey, blockKey, CONFIG_KEY, handleKey } from '../../../../src/store/ipam-documents.ts';
import { MemoryIpamStore } from '../../../support/memory-ipam-store.ts';
import { address, prefix } from '../../../support/net.ts';

const BOTH: readonly Family[] = ['ipv4', 'ipv6'];

function pool(name: string, cidr: string, change: Partial<Pool> = {}): Pool {
  const parsed = prefix(cidr);
  return {
    name,
    cidr: parsed,
    blockSize: parsed.family === 'ipv4' ? 26 : 122,
    isDisabled: false,
    nodeSelector: '',
    namespaceSelector: '',
    allowedUses: ['Workload', 'Tunnel'],
    assignmentMode: 'Automatic',
    ...change,
  };
}

interface Bench {
  readonly store: MemoryIpamStore;
  pools: Pool[];
  ipam: Ipam;
}

let clockNs = 1_757_000_000_000_000_000n;

async function bench(pools: Pool[], change: Partial<IpamOptions> = {}): Promise<Bench> {
  const made = { store: new MemoryIpamStore(), pools };
  const ipam = await open(made, 'host-a', change);
  return Object.assign(made, { ipam });
}

async function open(
  of: { store: MemoryIpamStore; pools: Pool[] },
  host: string,
  change: Partial<IpamOptions> = {},
): Promise<Ipam> {
  const ipam = new Ipam({
    store: of.store,
    host,
    pools: () => of.pools,
    selectsNode: () => false,
    nowNs: () => clockNs++,
    ...change,
  });
  await ipam.start();
  return ipam;
}

async function assign(ipam: Ipam, handle: string, families: readonly Family[] = BOTH): Promise<string[]> {
  const given = await ipam.assign({ handle, families, attributes: { node: 'host-a' } });
  return given.map((each) => formatAddress(each.address));
}

async function assignFixed(ipam: Ipam, handle: string, ...texts: string[]): Promise<string[]> {
  const given = await ipam.assign({ handle, families: [], attributes: {}, addresses: texts.map(address) });
  return given.map((each) => formatAddress(each.address));
}

async function assertSound(ipam: Ipam): Promise<void> {
  assert.deepEqual(await ipam.check(), []);
}

describe('ipam whose writes get no answer', () => {
  const lose = (store: MemoryIpamStore, when: 'before' | 'after'): void => {
    const fail = (step: string): void => {
      if (!step.startsWith('update block')) return;
      store.beforeWrite = () => {};
      store.afterUpdate = () => {};
      throw new OutcomeUnknown('no answer');
    };
    if (when === 'before') store.beforeWrite = fail;
    else store.afterUpdate = fail;
  };

  for (const when of ['before', 'after'] as const) {
    it(`lost ${when} it took effect: the handle leads to the address, tried again or given up`, async () => {
      const { ipam, store } = await bench([pool('lab4', '10.1.0.0/26')]);
      await assign(ipam, 'c0', ['ipv4']);
      for (const end of ['retry', 'release'] as const) {
        lose(store, when);
        await assert.rejects(assign(ipam, 'c1', ['ipv4']), OutcomeUnknown);
        assert.deepEqual((await store.get(handleKey('c1')))?.value.block, { '10.1.0.0/26': 1 });
        if (end === 'retry') assert.equal((await assign(ipam, 'c1', ['ipv4'])).length, 1);
        await ipam.releaseHandle('c1');
        assert.equal(await store.get(handleKey('c1')), undefined);
        const block = await store.get(blockKey('10.1.0.0/26'));
        assert.equal(block?.value.unallocated.length, 63);
        await assertSound(ipam);
      }
    });
  }
});

describe('ipam assignment', () => {
  it('gives one address a family from a block of each, and the same again for the same handle', async () => {
    const { ipam } = await bench([pool('lab4', '10.1.0.0/24'), pool('lab6', 'fd01::/112')]);
    const first = await assign(ipam, 'c1');
    assert.equal(first.length, 2);
    assert.deepEqual(await assign(ipam, 'c1'), first);
    const second = await assign(ipam, 'c2');
    assert(second.every((text) => !first.includes(text)));
    assert.deepEqual(
      ipam.confirmedBlocks().map(({ family }) => family),
      ['ipv4', 'ipv6'],
    );
    await assertSound(ipam);
  });

  it('tells about blocks as they come and go', async () => {
    const made = await bench([pool('lab4', '10.1.0.0/26')]);
    const seen: string[] = [];
    made.ipam.onBlocksChanged(({ added, removed }) => {
      seen.push(
        ...added.map((block) => `+${formatPrefix(block)}`),
        ...removed.map((block) => `-${formatPrefix(block)}`),
      );
    });
    await assign(made.ipam, 'c1', ['ipv4']);
    made.pools = [];
    await made.ipam.releaseHandle('c1');
    assert.deepEqual(seen, ['+10.1.0.0/26', '-10.1.0.0/26']);
    assert.deepEqual(await made.store.list('affinity'), []);
    assert.deepEqual(await made.store.list('block'), []);
    assert.deepEqual(await made.store.list('handle'), []);
  });

  for (const [cidr, size, family] of [
    ['10.1.0.0/32', 32, 'ipv4'],
    ['fd01::/128', 128, 'ipv6'],
    ['10.1.0.0/26', 26, 'ipv4'],
    ['10.1.0.0/24', 26, 'ipv4'],
    ['10.1.0.0/24', 24, 'ipv4'],
    ['fd01::/120', 122, 'ipv6'],
  ] as const) {
    it(`gives out all of ${cidr} in blocks of /${size}, then says who holds it`, async () => {
      const { ipam, store } = await bench([pool('lab', cidr, { blockSize: size })]);
      const count = 2 ** ((family === 'ipv4' ? 32 : 128) - prefix(cidr).length);
      const seen = new Set<string>();
      for (let i = 0; i < count; i++)
        for (const text of await assign(ipam, `c${i}`, [family])) seen.add(text);
      assert.equal(seen.size, count);
      await assert.rejects(assign(ipam, 'late', [family]), (error: Error) => {
        assert.match(error.message, new RegExp(`^IPPool lab is full: ${count} of ${count} addresses in use`));
        assert.match(error.message, /held by c0/);
        return true;
      });
      assert.equal(await store.get(handleKey('late')), undefined);
      await assertSound(ipam);
    });
  }

  it('spills to the next pool, in the order asked for', async () => {
    const { ipam } = await bench([
      pool('a', '10.1.0.0/31', { blockSize: 31 }),
      pool('b', '10.2.0.0/31', { blockSize: 31 }),
    ]);
    const request = { families: ['ipv4'], attributes: {}, pools: { ipv4: ['b', 'a'] } } as const;
    const given: (string | undefined)[] = [];
    for (const handle of ['1', '2', '3']) given.push((await ipam.assign({ handle, ...request }))[0]?.pool);
    assert.deepEqual(given, ['b', 'b', 'a']);
  });

  it('is all or nothing over the families', async () => {
    const { ipam, store } = await bench([
      pool('lab4', '10.1.0.0/24'),
      pool('lab6', 'fd01::/128', { blockSize: 128 }),
    ]);
    await assign(ipam, 'c1');
    await assert.rejects(assign(ipam, 'c2'), /IPPool lab6 is full: 1 of 1/);
    assert.deepEqual(await ipam.assignmentsOf('c2'), []);
    assert.equal(await store.get(handleKey('c2')), undefined);
    assert.equal((await ipam.assignmentsOf('c1')).length, 2);
    await assertSound(ipam);
  });

  it('a failing second request leaves the first one its address', async () => {
    const made = await bench([pool('lab4', '10.1.0.0/24')]);
    const first = await assign(made.ipam, 'c1', ['ipv4']);
    await assert.rejects(assign(made.ipam, 'c1'), /there is no IPv6 IPPool/);
    assert.deepEqual(
      (await made.ipam.assignmentsOf('c1')).map((each) => formatAddress(each.address)),
      first,
    );
  });

  it('says why no pool can be used', async () => {
    const { ipam } = await bench([
      pool('off', '10.1.0.0/24', { isDisabled: true }),
      pool('theirs', '10.2.0.0/24', { nodeSelector: "rack == '9'" }),
    ]);
    await assert.rejects(
      assign(ipam, 'c1', ['ipv4']),
      /no IPv4 IPPool can be used on host-a: IPPool off: it is disabled; IPPool theirs: its nodeSelector/,
    );
    assert.deepEqual(ipam.availableFamilies(), []);
  });

  it('gives an address asked for by value, from a manual pool too', async () => {
    const { ipam } = await bench([
      pool('lab4', '10.1.0.0/24', { assignmentMode: 'Manual' }),
      pool('lab6', 'fd01::/112'),
    ]);
    assert.deepEqual(await assignFixed(ipam, 'c1', '10.1.0.77', 'fd01::77'), ['10.1.0.77', 'fd01::77']);
    assert.deepEqual(await assignFixed(ipam, 'c1', '10.1.0.77'), ['10.1.0.77']);
    await assert.rejects(
      assignFixed(ipam, 'c2', '10.1.0.77'),
      /10\.1\.0\.77 is in use: held by c1 \(IPPool lab4, block 10\.1\.0\.64\/26\)/,
    );
    await assert.rejects(assignFixed(ipam, 'c1', '10.1.0.78'), /c1 already holds 10\.1\.0\.77/);
    await assert.rejects(assignFixed(ipam, 'c2', '192.0.2.1'), /in no IPPool/);
    await assert.rejects(assignFixed(ipam, 'c2', '10.1.0.1', '10.1.0.2'), /at most one IPv4 address/);
    await assertSound(ipam);
  });

  it('an automatic address avoids fixed and reserved ones', async () => {
    const { ipam } = await bench([pool('lab4', '10.1.0.0/30', { blockSize: 30 })], {
      isReserved: (each) => each.bytes[3] === 0,
    });
    await assignFixed(ipam, 'fixed', '10.1.0.1');
    assert.deepEqual(await assign(ipam, 'c1', ['ipv4']), ['10.1.0.2']);
    assert.deepEqual(await assign(ipam, 'c2', ['ipv4']), ['10.1.0.3']);
    await assert.rejects(
      assign(ipam, 'c3', ['ipv4']),
      /3 of 4 addresses in use \(block 10\.1\.0\.0\/30 3 of 4; 1 reserved/,
    );
    await assertSound(ipam);
  });

  it('stops at the configured number of blocks', async () => {
    const { ipam, store } = await bench([pool('lab4', '10.1.0.0/24', { blockSize: 32 })]);
    await store.create(CONFIG_KEY, {
      strict_affinity: true,
      auto_allocate_blocks: true,
      maxBlocksPerHost: 2,
    });
    await assign(ipam, 'c1', ['ipv4']);
    await assign(ipam, 'c2', ['ipv4']);
    await assert.rejects(assign(ipam, 'c3', ['ipv4']), /this host has 2 of at most 2 IPv4 blocks/);
  });

  it("a second host shares a pool without touching the first one's blocks", async () => {
    const made = await bench([pool('lab4', '10.1.0.0/25')]);
    const other = await open(made, 'host-b');
    const [mine] = await assign(made.ipam, 'c1', ['ipv4']);
    const [theirs] = await assign(other, 'c2', ['ipv4']);
    assert.notDeepEqual(made.ipam.confirmedBlocks(), other.confirmedBlocks());
    assert(mine !== undefined && theirs !== undefined);
    await assert.rejects(assignFixed(other, 'c3', mine), /belongs to host-a|is in use/);
    const third = await open(made, 'host-c');
    await assert.rejects(
      assign(third, 'c4', ['ipv4']),
      /this host has no block of it; 2 blocks belong to other hosts/,
    );
    await assertSound(made.ipam);
  });

  it('two hosts that race for the last block: one has it', async () => {
    for (let step = 0; step < 4; step++) {
      const made = await bench([pool('lab4', '10.1.0.0/26')]);
      const other = await open(made, 'host-b');
      let count = 0;
      let racing: Promise<unknown> | undefined;
      made.store.beforeWrite = async () => {
        if (count++ !== step || racing !== undefined) return;
        racing = assign(other, 'theirs', ['ipv4']).catch((error: unknown) => error);
        await racing;
      };
      const mine = await assign(made.ipam, 'mine', ['ipv4']).catch((error: unknown) => error);
      const results = [mine, await racing].filter((each) => Array.isArray(each));
      assert.equal(results.length, 1, `raced before write ${step}`);
      await assertSound(made.ipam);
    }
  });

  it('decides anew when a write meets a newer block', async () => {
    const made = await bench([pool('lab4', '10.1.0.0/26')]);
    const twin = await open(made, 'host-a');
    await assign(made.ipam, 'c0', ['ipv4']);
    let hasRaced = false;
    made.store.beforeWrite = async (step) => {
      if (hasRaced || !step.startsWith('update block')) return;
      hasRaced = true;
      await assign(twin, 'c2', ['ipv4']);
    };
    const [one] = await assign(made.ipam, 'c1', ['ipv4']);
    const [two] = await assign(twin, 'c2', ['ipv4']);
    assert.equal(hasRaced, true);
    assert.notEqual(one, two);
    await assertSound(made.ipam);
  });

  it('keeps the attributes for people', async () => {
    const { ipam, store } = await bench([pool('lab4', '10.1.0.0/26')]);
    await assign(ipam, 'c1', ['ipv4']);
    const [block] = await store.list('block');
    assert.deepEqual(block?.value.attributes, [{ handle_id: 'c1', secondary: { node: 'host-a' } }]);
    assert.equal(block?.value.affinity, 'host:host-a');
  });
});

describe('ipam release', () => {
  it('by handle, again, and of a stranger', async () => {
    const { ipam, store } = await bench([pool('lab4', '10.1.0.0/24'), pool('lab6', 'fd01::/112')]);
    const given = await assign(ipam, 'c1');
    assert.deepEqual((await ipam.releaseHandle('c1')).map(formatAddress), given);
    assert.deepEqual(await ipam.releaseHandle('c1'), []);
    assert.deepEqual(await ipam.releaseHandle('never'), []);
    assert.deepEqual(await store.list('handle'), []);
    assert.equal(ipam.confirmedBlocks().length, 2, 'empty blocks of a live pool stay');
    await assertSound(ipam);
  });

  it('refuses a release that comes after the address was given out anew', async () => {
    const { ipam } = await bench([pool('lab4', '10.1.0.0/32', { blockSize: 32 })]);
    const [old] = await ipam.assign({ handle: 'c1', families: ['ipv4'], attributes: {} });
    assert(old !== undefined);
    await ipam.releaseHandle('c1');
    await assign(ipam, 'c2', ['ipv4']);
    const [outcome] = await ipam.releaseAddresses([
      { address: old.address, sequenceNumber: old.sequenceNumber },
    ]);
    assert.equal(outcome?.outcome, 'refused');
    const [wrongHandle] = await ipam.releaseAddresses([{ address: old.address, handle: 'c1' }]);
    assert.equal(wrongHandle?.outcome, 'refused');
    assert.equal((await ipam.assignmentsOf('c2')).length, 1);
  });

  it('over several blocks, and gives up blocks of a pool that is gone', async () => {
    const made = await bench([pool('lab4', '10.1.0.0/25')]);
    for (let i = 0; i < 66; i++) await assign(made.ipam, `c${i}`, ['ipv4']);
    assert.equal(made.ipam.confirmedBlocks().length, 2);
    made.pools = [pool('lab4', '10.1.0.0/25', { isDisabled: true })];
    await made.ipam.giveUpUnwantedBlocks();
    assert.equal(made.ipam.confirmedBlocks().length, 2, 'blocks with addresses in use stay');
    for (let i = 0; i < 66; i++) assert.equal((await made.ipam.releaseHandle(`c${i}`)).length, 1);
    assert.deepEqual(made.ipam.confirmedBlocks(), []);
    await assertSound(made.ipam);
  });

  it('of an address outside every block is no error', async () => {
    const { ipam } = await bench([]);
    const [outcome] = await ipam.releaseAddresses([{ address: address('192.0.2.1') }]);
    assert.equal(outcome?.outcome, 'not-allocated');
  });
});

describe('ipam after a crash', () => {
  it('completes or gives up what it finds of claims', async () => {
    const made = await bench([pool('lab4', '10.1.0.0/24')]);
    const [given] = await made.ipam.assign({ handle: 'c1', families: ['ipv4'], attributes: {} });
    assert(given !== undefined);
    const cidr = formatPrefix(given.block);
    const affinity = await made.store.get(affinityKey('host-a', cidr));
    assert(affinity !== undefined);
    await made.store.update(affinity.key, { state: 'pendingDeletion', deleted: false }, affinity.revision);
    await made.store.create(affinityKey('host-a', '10.1.9.0/26'), { state: 'pending', deleted: false });
    assert.deepEqual(made.ipam.confirmedBlocks(), []);
    const again = await open(made, 'host-a');
    assert.deepEqual(again.confirmedBlocks().map(formatPrefix), [cidr]);
    assert.equal(await made.store.get(affinityKey('host-a', '10.1.9.0/26')), undefined);
    await assertSound(again);
  });

  it('never makes a block anew that is missing although its claim is confirmed', async () => {
    const made = await bench([pool('lab4', '10.1.0.0/26')]);
    await assign(made.ipam, 'c1', ['ipv4']);
    const block = await made.store.get(blockKey('10.1.0.0/26'));
    assert(block !== undefined);
    await made.store.delete(block.key, block.revision);
    const again = await open(made, 'host-a');
    await assert.rejects(assign(again, 'c2', ['ipv4']), /is full/);
    assert.deepEqual(
      (await again.check()).map(({ kind }) => kind),
      ['affinity-without-block'],
    );
  });
});
