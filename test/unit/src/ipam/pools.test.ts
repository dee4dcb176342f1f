import assert from 'node:assert/strict';
import { newBlock } from '../../../../src/ipam/block.ts';
import { BlockIndex } from '../../../../src/ipam/block-index.ts';
import { candidateBlocks, firstFreeBlock } from '../../../../src/ipam/candidates.ts';
import {
  choosePools,
  type Pool,
  type PoolDemand,
  poolOfResource,
  reasonAgainstAddress,
  reservedBy,
  reservedPrefixes,
} from '../../../../src/ipam/pools.ts';
import { formatPrefix, type Prefix } from '../../../../src/net/prefix.ts';
import { address, prefix } from '../../../support/net.ts';

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

const selectsNode = (selector: string) => selector === 'mine';
const demand: PoolDemand = {
  selectsNode,
  selectsNamespace: (selector, namespace) => selector === `is ${namespace}`,
  use: 'Workload',
};

/** An index of empty blocks. */
function taken(...cidrs: string[]): (cidr: string, block: Prefix) => boolean {
  const index = new BlockIndex();
  for (const cidr of cidrs) index.set(newBlock(prefix(cidr), 'somebody', 1n));
  return (cidr, block) => index.isTaken(cidr, block);
}

describe('ipam pools', () => {
  const pools: readonly Pool[] = [
    pool('z-last', '10.9.0.0/24'),
    pool('a-first', '10.1.0.0/24'),
    pool('six', 'fd00::/112'),
    pool('off', '10.2.0.0/24', { isDisabled: true }),
    pool('tunnels', '10.3.0.0/24', { allowedUses: ['Tunnel'] }),
    pool('elsewhere', '10.4.0.0/24', { nodeSelector: 'theirs' }),
    pool('here', '10.5.0.0/24', { nodeSelector: 'mine' }),
    pool('manual', '10.6.0.0/24', { assignmentMode: 'Manual' }),
    pool('tiny', '10.7.0.0/27'),
  ];

  it('takes every pool that may serve, by name', () => {
    const { eligible, rejected } = choosePools(pools, 'ipv4', demand);
    assert.deepEqual(
      eligible.map(({ name }) => name),
      ['a-first', 'here', 'z-last'],
    );
    assert.deepEqual(Object.fromEntries(rejected.map((each) => [each.pool, each.reason])), {
      off: 'it is disabled',
      tunnels: 'its allowedUses (Tunnel) leave out Workload',
      elsewhere: "its nodeSelector 'theirs' does not select this node",
      manual: 'its assignmentMode is Manual: only requests that name the pool or an address of it are served',
      tiny: 'it is smaller than one block',
    });
  });

  it('takes requested pools in their order and says what is wrong with the others', () => {
    const { eligible, rejected } = choosePools(pools, 'ipv4', {
      ...demand,
      requested: ['z-last', 'six', 'none', '10.1.0.0/24', 'off', 'manual', 'elsewhere'],
    });
    assert.deepEqual(
      eligible.map(({ name }) => name),
      ['z-last', 'a-first', 'manual', 'elsewhere'],
    );
    assert.deepEqual(rejected, [
      { pool: 'six', reason: 'it is not an IPv4 pool' },
      { pool: 'none', reason: 'it does not exist' },
      { pool: 'off', reason: 'it is disabled' },
    ]);
  });

  it('asks the namespace too, unless the pool is named', () => {
    const confined = [
      pool('ours', '10.1.0.0/24', { namespaceSelector: 'is prod' }),
      pool('all', '10.2.0.0/24', { namespaceSelector: 'all()' }),
    ];
    const names = (change: Partial<PoolDemand>) =>
      choosePools(confined, 'ipv4', { ...demand, ...change }).eligible.map(({ name }) => name);
    assert.deepEqual(names({}), ['all']);
    assert.deepEqual(names({ namespace: 'test' }), ['all']);
    assert.deepEqual(names({ namespace: 'prod' }), ['all', 'ours']);
    assert.deepEqual(names({ requested: ['ours'] }), ['ours']);
  });

  it('gives tunnels addresses of pools that allow it', () => {
    const names = choosePools(pools, 'ipv4', { ...demand, use: 'Tunnel' }).eligible.map(({ name }) => name);
    assert.deepEqual(names, ['a-first', 'here', 'tunnels', 'z-last']);
  });

  const addresses: [string, string | undefined][] = [
    ['10.1.0.7', undefined],
    ['10.6.0.7', undefined],
    ['fd00::7', undefined],
    ['10.2.0.7', '10.2.0.7 is in IPPool off, which cannot be used: it is disabled'],
    [
      '10.3.0.7',
      '10.3.0.7 is in IPPool tunnels, which cannot be used: its allowedUses (Tunnel) leave out Workload',
    ],
    ['fd01::7', 'fd01::7 is in no IPPool (fd00::/112)'],
  ];
  for (const [text, expected] of addresses) {
    it(`address ${text} by value: ${expected ?? 'may be had'}`, () => {
      assert.equal(reasonAgainstAddress(pools, address(text), selectsNode), expected);
    });
  }

  it('fills in the defaults of a resource', () => {
    const made = poolOfResource({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: 'p' },
      spec: { cidr: 'fd00::/112', blockSize: 0 },
    });
    assert.deepEqual(made, pool('p', 'fd00::/112'));
  });

  it('reserves single addresses and prefixes', () => {
    const isReserved = reservedBy(
      reservedPrefixes([
        {
          apiVersion: 'projectcalico.org/v3',
          kind: 'IPReservation',
          metadata: { name: 'r' },
          spec: { reservedCIDRs: ['10.1.0.1', '10.1.0.8/30', 'fd00::/120'] },
        },
      ]),
    );
    const answers = ['10.1.0.1', '10.1.0.2', '10.1.0.11', '10.1.0.12', 'fd00::ff', 'fd00::100'].map((text) =>
      isReserved(address(text)),
    );
    assert.deepEqual(answers, [true, false, true, false, true, false]);
  });
});

describe('ipam candidates', () => {
  it('walks every block of the pool once, from a place given by the host name', () => {
    const walk = (host: string) => Array.from(candidateBlocks(pool('p', '10.0.0.0/22'), host), formatPrefix);
    const a = walk('host-a');
    assert.equal(new Set(a).size, 16);
    assert.deepEqual(a.toSorted(), walk('host-b').toSorted());
    assert.deepEqual(walk('host-a'), a);
    const starts = new Set(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((host) => walk(host)[0]));
    assert(starts.size > 3, `8 hosts start at ${starts.size} places`);
  });

  it('finds a free block of a huge pool at once', () => {
    const huge = pool('p', 'fd00::/32');
    const first = firstFreeBlock(huge, 'host-a', () => false);
    assert(first !== undefined);
    const second = firstFreeBlock(huge, 'host-a', taken(formatPrefix(first)));
    assert.notEqual(second && formatPrefix(second), formatPrefix(first));
  });

  it('leaves out what blocks of another size overlap', () => {
    const isTaken = taken('10.0.0.0/28', '10.0.0.128/25', 'fd00::/122');
    const free = firstFreeBlock(pool('p', '10.0.0.0/24'), 'x', isTaken);
    assert.equal(free && formatPrefix(free), '10.0.0.64/26');
  });

  it('has none when all are taken', () => {
    assert.equal(
      firstFreeBlock(pool('p', '10.0.0.0/26'), 'x', () => true),
      undefined,
    );
    assert.equal(
      firstFreeBlock(pool('p', '10.0.0.0/27'), 'x', () => false),
      undefined,
    );
  });
});
