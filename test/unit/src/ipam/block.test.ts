import assert from 'node:assert/strict';
import {
  addressAt,
  allocationsOf,
  assignAddress,
  assignNext,
  blockCapacity,
  freeOrdinals,
  hostOfBlock,
  newBlock,
  ordinalOf,
  usedCount,
} from '../../../../src/ipam/block.ts';
import { type ReleaseRequest, release as releaseWith, thaw } from '../../../../src/ipam/block-release.ts';
import { checkIpam } from '../../../../src/ipam/check.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import type { BlockDocument } from '../../../../src/store/ipam-documents.ts';
import { address, prefix } from '../../../support/net.ts';

const nothingReserved = () => false;

function release(block: BlockDocument, requests: readonly ReleaseRequest[]) {
  return releaseWith(block, requests, { seconds: 0, nowMs: 0 });
}

function assignMany(block: BlockDocument, count: number, handle = 'h'): BlockDocument {
  let current = block;
  for (let i = 0; i < count; i++) {
    const next = assignNext(current, `${handle}${i}`, {}, nothingReserved);
    assert(next !== undefined);
    current = next.block;
  }
  return current;
}

describe('ipam block arithmetic', () => {
  const table: { cidr: string; capacity: number; ordinal: number; address: string }[] = [
    { cidr: '10.0.0.0/26', capacity: 64, ordinal: 0, address: '10.0.0.0' },
    { cidr: '10.0.0.64/26', capacity: 64, ordinal: 63, address: '10.0.0.127' },
    { cidr: '10.0.0.5/32', capacity: 1, ordinal: 0, address: '10.0.0.5' },
    { cidr: '10.16.0.0/20', capacity: 4096, ordinal: 4095, address: '10.16.15.255' },
    { cidr: 'fd00::40/122', capacity: 64, ordinal: 1, address: 'fd00::41' },
    { cidr: 'fd00::1/128', capacity: 1, ordinal: 0, address: 'fd00::1' },
    { cidr: 'fd00:0:0:1::f000/116', capacity: 4096, ordinal: 4095, address: 'fd00:0:0:1::ffff' },
  ];
  for (const row of table) {
    it(`${row.cidr}: ${row.capacity} addresses, number ${row.ordinal} is ${row.address}`, () => {
      const cidr = prefix(row.cidr);
      assert.equal(blockCapacity(cidr), row.capacity);
      const found = addressAt(cidr, row.ordinal);
      assert.equal(found && formatAddress(found), row.address);
      assert.equal(ordinalOf(cidr, address(row.address)), row.ordinal);
      assert.equal(addressAt(cidr, row.capacity), undefined);
      assert.equal(addressAt(cidr, -1), undefined);
    });
  }

  it('an address outside has no ordinal', () => {
    assert.equal(ordinalOf(prefix('10.0.0.0/26'), address('10.0.0.64')), undefined);
    assert.equal(ordinalOf(prefix('10.0.0.0/26'), address('fd00::1')), undefined);
  });
});

describe('ipam block', () => {
  const empty = newBlock(prefix('10.0.0.0/30'), 'host-a', 1_757_000_000_000_000_001n);

  it('gives out every address, network and broadcast included, in order', () => {
    const block = assignMany(empty, 4);
    assert.deepEqual(
      allocationsOf(block).map(({ address: each }) => formatAddress(each)),
      ['10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.3'],
    );
    assert.equal(assignNext(block, 'x', {}, nothingReserved), undefined);
  });

  it('reuses released addresses in the order of their release, after those never used', () => {
    let block = assignMany(empty, 3);
    block = release(block, [{ address: address('10.0.0.2') }]).block;
    block = release(block, [{ address: address('10.0.0.0') }]).block;
    assert.deepEqual(Array.from(freeOrdinals(block, nothingReserved)), [3, 2, 0]);
  });

  it('remembers the sequence number of each allocation and counts writes', () => {
    const block = assignMany(empty, 2);
    assert.deepEqual(
      allocationsOf(block).map(({ sequenceNumber }) => sequenceNumber),
      [1_757_000_000_000_000_001n, 1_757_000_000_000_000_002n],
    );
    assert.equal(block.sequenceNumber, 1_757_000_000_000_000_003n);
  });

  it('shares attributes of one holder and drops them with the last address', () => {
    const one = assignNext(empty, 'h', { node: 'a' }, nothingReserved);
    const two = one && assignNext(one.block, 'h', { node: 'a' }, nothingReserved);
    const three = two && assignNext(two.block, 'g', { node: 'a' }, nothingReserved);
    assert(three !== undefined);
    assert.equal(three.block.attributes.length, 2);
    const after = release(three.block, [
      { address: address('10.0.0.0') },
      { address: address('10.0.0.1') },
    ]).block;
    assert.deepEqual(after.attributes, [{ handle_id: 'g', secondary: { node: 'a' } }]);
    assert.deepEqual(after.allocations, [null, null, 0, null]);
    assert.deepEqual(Object.keys(after.sequenceNumberForAllocation), ['2']);
  });

  it('skips reserved addresses, but gives them out when asked for by value', () => {
    const isReserved = (each: { bytes: Uint8Array }) => (each.bytes[3] ?? 0) < 2;
    const next = assignNext(empty, 'h', {}, isReserved);
    assert.equal(next && formatAddress(next.allocation.address), '10.0.0.2');
    const fixed = assignAddress(empty, address('10.0.0.0'), 'h', {});
    assert.equal(fixed.outcome, 'assigned');
  });

  it('names the holder of an address that is in use', () => {
    const outcome = assignAddress(assignMany(empty, 1), address('10.0.0.0'), 'other', {});
    assert(outcome.outcome === 'in-use');
    assert.equal(outcome.holder.handle, 'h0');
    assert.equal(assignAddress(empty, address('10.0.0.4'), 'h', {}).outcome, 'outside');
  });

  const held = assignMany(empty, 1);
  const releases: { name: string; request: Parameters<typeof release>[1][number]; outcome: string }[] = [
    { name: 'an address in use', request: { address: address('10.0.0.0') }, outcome: 'released' },
    { name: 'a free address', request: { address: address('10.0.0.1') }, outcome: 'not-allocated' },
    { name: 'an unknown address', request: { address: address('10.9.0.1') }, outcome: 'not-allocated' },
    {
      name: 'the right handle',
      request: { address: address('10.0.0.0'), handle: 'h0' },
      outcome: 'released',
    },
    { name: 'a wrong handle', request: { address: address('10.0.0.0'), handle: 'h1' }, outcome: 'refused' },
    {
      name: 'the right sequence number',
      request: { address: address('10.0.0.0'), sequenceNumber: 1_757_000_000_000_000_001n },
      outcome: 'released',
    },
    {
      name: 'a stale sequence number (as near as a double cannot tell)',
      request: { address: address('10.0.0.0'), sequenceNumber: 1_757_000_000_000_000_000n },
      outcome: 'refused',
    },
  ];
  for (const { name, request, outcome } of releases) {
    it(`release of ${name}: ${outcome}`, () => {
      const { block, outcomes } = release(held, [request]);
      assert.deepEqual(
        outcomes.map((each) => each.outcome),
        [outcome],
      );
      assert.equal(usedCount(block), outcome === 'released' ? 0 : 1);
      if (outcome !== 'released') assert.equal(block, held);
    });
  }

  it('twice in one request is released once', () => {
    const { outcomes, block } = release(held, [
      { address: address('10.0.0.0') },
      { address: address('10.0.0.0') },
    ]);
    assert.deepEqual(
      outcomes.map((each) => each.outcome),
      ['released', 'not-allocated'],
    );
    assert.deepEqual(
      checkIpam({ blocks: [block], affinities: [], handles: [] }).map(({ kind }) => kind),
      ['block-without-affinity'],
    );
  });

  it('a damaged document never gives out what is in use, twice or out of range', () => {
    const damaged: BlockDocument = { ...assignMany(empty, 2), unallocated: [0, 1, 9, 3, 3, 2] };
    assert.deepEqual(Array.from(freeOrdinals(damaged, nothingReserved)), [3, 2]);
    const lost: BlockDocument = { ...empty, allocations: [7, null, null, null], unallocated: [1, 2, 3] };
    assert.equal(allocationsOf(lost)[0]?.handle, null);
    assert.equal(
      assignNext(lost, 'h', {}, nothingReserved),
      undefined,
      'its attribute would become that of an unknown holder',
    );
    const both: BlockDocument = { ...assignMany(empty, 2), allocations: [7, 1, null, null] };
    const after = release(both, [{ address: address('10.0.0.1') }]).block;
    assert.equal(after.allocations[0], 7, 'an address of an unknown holder stays taken');
  });

  it('belongs to the host of its affinity', () => {
    assert.equal(hostOfBlock(empty), 'host-a');
    assert.equal(hostOfBlock({ ...empty, affinity: null }), undefined);
    assert.equal(hostOfBlock({ ...empty, affinity: 'virtual:load-balancer' }), undefined);
    assert.equal(hostOfBlock({ ...empty, deleted: true }), undefined);
  });
});

describe('ipam cooldown', () => {
  const nowMs = Date.parse('2026-01-02T03:04:05Z');
  const cooldown = { seconds: 60, nowMs };
  const free = (block: BlockDocument) => Array.from(freeOrdinals(block, nothingReserved));

  it("a released address rests under nobody's name, and is free when its time is over", () => {
    const held = assignMany(newBlock(prefix('10.0.0.0/30'), 'host-a', 5n), 4);
    const { block, outcomes } = releaseWith(
      held,
      [{ address: address('10.0.0.1') }, { address: address('10.0.0.2') }],
      cooldown,
    );
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['released', 'released'],
    );
    assert.deepEqual(block.attributes.at(-1), {
      handle_id: null,
      secondary: null,
      releasedAt: '2026-01-02T03:04:05Z',
    });
    assert.deepEqual(
      checkIpam({ blocks: [block], affinities: [], handles: [], nowMs }).filter(
        ({ kind }) => kind === 'damaged-block',
      ),
      [],
    );
    assert.deepEqual(free(block), []);
    assert.equal(usedCount(block), 4);
    assert.deepEqual(
      allocationsOf(block).map(({ ordinal }) => ordinal),
      [0, 3],
    );
    assert.equal(assignAddress(block, address('10.0.0.1'), 'h', {}).outcome, 'cooling');
    assert.equal(
      releaseWith(block, [{ address: address('10.0.0.1') }], cooldown).outcomes[0]?.outcome,
      'not-allocated',
    );
    assert.equal(thaw(block, { seconds: 60, nowMs: nowMs + 59_000 }), block);
    const after = thaw(block, { seconds: 60, nowMs: nowMs + 60_000 });
    assert.deepEqual(free(after), [1, 2]);
    assert.equal(after.attributes.length, 2);
    assert.equal(after.sequenceNumber, block.sequenceNumber);
  });

  it('a stamp of the future is reported, and holds the address until then', () => {
    const held = assignMany(newBlock(prefix('10.0.0.0/30'), 'host-a', 5n), 1);
    const { block } = releaseWith(held, [{ address: address('10.0.0.0') }], {
      seconds: 1,
      nowMs: nowMs + 3_600_000,
    });
    assert.equal(thaw(block, cooldown), block);
    assert.match(
      checkIpam({ blocks: [block], affinities: [], handles: [], nowMs })[0]?.message ?? '',
      /no time of the past/,
    );
  });
});
