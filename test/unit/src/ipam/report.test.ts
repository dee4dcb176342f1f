import assert from 'node:assert/strict';
import { assignAddress, assignNext, newBlock } from '../../../../src/ipam/block.ts';
import { release } from '../../../../src/ipam/block-release.ts';
import type { Pool } from '../../../../src/ipam/pools.ts';
import { checkReport, commonLeaks, type ReportInput } from '../../../../src/ipam/report.ts';
import { splitPool } from '../../../../src/ipam/split.ts';
import { borrowedAddresses, utilization } from '../../../../src/ipam/utilization.ts';
import { findPoolOverlaps, type IpPool } from '../../../../src/model/ip-pool.ts';
import type { BlockDocument } from '../../../../src/store/ipam-documents.ts';
import { affinityKey, handleKey } from '../../../../src/store/ipam-documents.ts';
import { address, prefix } from '../../../support/net.ts';

const POOL: Pool = {
  name: 'p',
  cidr: prefix('10.1.0.0/24'),
  blockSize: 28,
  isDisabled: false,
  nodeSelector: '',
  namespaceSelector: '',
  allowedUses: ['Workload'],
  assignmentMode: 'Automatic',
};
const NOW = Date.parse('2026-01-02T03:04:05Z');

function given(block: BlockDocument, text: string, handle: string, node: string): BlockDocument {
  const outcome = assignAddress(block, address(text), handle, { node, endpoint: handle });
  assert(outcome.outcome === 'assigned');
  return outcome.block;
}

function example(): ReportInput {
  let block = newBlock(prefix('10.1.0.0/28'), 'host-a', 1n);
  block = given(block, '10.1.0.1', 'used', 'host-a');
  block = given(block, '10.1.0.2', 'leaked', 'host-a');
  block = given(block, '10.1.0.3', 'guest', 'host-b');
  block = given(block, '10.1.0.4', 'gone', 'host-a');
  block = release(block, [{ address: address('10.1.0.4') }], { seconds: 60, nowMs: NOW }).block;
  const handle = (name: string) => ({
    key: handleKey(name),
    value: { block: { '10.1.0.0/28': 1 }, deleted: false },
    revision: '7',
  });
  return {
    blocks: [block],
    affinities: [
      { key: affinityKey('host-a', '10.1.0.0/28'), value: { state: 'confirmed', deleted: false } },
    ],
    handles: [handle('used'), handle('leaked'), handle('guest'), handle('empty')],
    nowMs: NOW,
    pools: [POOL],
    users: [
      { name: 'Workload(default/used)', addresses: [address('10.1.0.1')] },
      { name: 'Workload(default/guest)', addresses: [address('10.1.0.3')] },
      { name: 'Workload(default/stray)', addresses: [address('10.1.0.99'), address('192.0.2.1')] },
    ],
    version: '1',
  };
}

describe('ipam report', () => {
  it('tells what is leaked, borrowed, cooling, used without allocation, and which handles lead nowhere', () => {
    const report = checkReport(example());
    assert.deepEqual(report.counts, { blocks: 1, allocations: 4, inUse: 2, leaked: 1, problems: 3 });
    assert.equal(report.allocations['10.1.0.2']?.[0]?.inUse, false);
    assert.equal(report.allocations['10.1.0.3']?.[0]?.borrowed, true);
    assert.equal(report.allocations['10.1.0.4']?.[0]?.coolingDown, true);
    assert.deepEqual(report.notAllocated, [{ ip: '10.1.0.99', owners: ['Workload(default/stray)'] }]);
    assert.deepEqual(report.notInPool, [{ ip: '192.0.2.1', owners: ['Workload(default/stray)'] }]);
    assert.deepEqual(report.leakedHandles, [{ ID: 'empty', Revision: '7' }]);
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report, 'it is plain JSON');
  });

  it('of several reports, only what all say is released', () => {
    const first = checkReport(example());
    const later = checkReport({ ...example(), handles: [] });
    assert.deepEqual(commonLeaks([first]), {
      leaks: [{ ip: '10.1.0.2', handle: 'leaked', sequenceNumber: '2' }],
      handles: [{ ID: 'empty', Revision: '7' }],
    });
    assert.equal(commonLeaks([first, later]).leaks.length, 1);
    assert.deepEqual(commonLeaks([first, later]).handles, []);
    const { blocks } = example();
    const [block] = blocks;
    assert(block !== undefined);
    const freed = release(block, [{ address: address('10.1.0.2') }], { seconds: 0, nowMs: NOW }).block;
    const anew = checkReport({ ...example(), blocks: [given(freed, '10.1.0.2', 'leaked', 'host-a')] });
    assert.deepEqual(commonLeaks([first, anew]).leaks, [], 'given out anew meanwhile');
  });
});

describe('ipam utilization', () => {
  it('counts pools and blocks', () => {
    const { blocks } = example();
    const [usage] = utilization([POOL], blocks, [
      prefix('10.1.0.0/31'),
      prefix('10.1.0.128/25'),
      prefix('10.1.0.130/32'),
    ]);
    assert(usage !== undefined);
    const { blocks: rows, ...pool } = usage;
    assert.deepEqual(pool, {
      name: 'p',
      cidr: '10.1.0.0/24',
      capacity: 256,
      inUse: 4,
      reserved: 130,
      free: 123,
      cooling: 1,
    });
    assert.deepEqual(rows, [
      { cidr: '10.1.0.0/28', host: 'host-a', capacity: 16, inUse: 4, reserved: 2, free: 11, cooling: 1 },
    ]);
    assert.equal(utilization([], blocks, [])[0]?.name, null, 'blocks of no pool');
  });

  it('lists what is borrowed', () => {
    const anonymous = assignNext(newBlock(prefix('10.1.0.16/28'), 'host-a', 1n), 'h', {}, () => false);
    assert(anonymous !== undefined);
    assert.deepEqual(borrowedAddresses([...example().blocks, anonymous.block]), {
      borrowed: [
        {
          ip: '10.1.0.3',
          borrowingNode: 'host-b',
          block: '10.1.0.0/28',
          blockOwner: 'host-a',
          type: 'endpoint',
          allocatedTo: 'default/guest',
        },
      ],
      unknown: 1,
    });
  });
});

describe('ipam split', () => {
  const pool: IpPool = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name: 'big', labels: { rack: '1' } },
    spec: { cidr: '10.1.0.0/24', blockSize: 26, disabled: true, natOutgoing: true },
  };

  it('makes equal parts that may stand beside the disabled original', () => {
    const parts = splitPool(pool, 4);
    assert.deepEqual(
      parts.map(({ metadata, spec }) => [metadata.name, spec.cidr, spec.disabled, spec.natOutgoing]),
      [0, 1, 2, 3].map((i) => [`split-big-${i}`, `10.1.0.${i * 64}/26`, undefined, true]),
    );
    assert.deepEqual(findPoolOverlaps([pool, ...parts]), []);
    const enabled = { ...pool, spec: { ...pool.spec, disabled: false } };
    assert.equal(findPoolOverlaps([enabled, ...parts]).length, 4);
  });

  for (const parts of [0, 1, 3, 8, 2.5, 4096]) {
    it(`refuses ${parts}`, () => {
      assert.throws(() => splitPool(pool, parts), /cannot be split into/);
    });
  }
});
