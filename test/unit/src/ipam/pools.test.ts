import assert from 'node:assert/strict';
import { candidateBlocks, firstFreeBlock } from '../../../../src/ipam/candidates.ts';
import {
  choosePools,
  type Pool,
  poolOfResource,
  reasonAgainstAddress,
  reservedBy,
  reservedPrefixes,
} from '../../../../src/ipam/pools.ts';
import { TakenBlocks } from '../../../../src/ipam/taken-blocks.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { address, prefix } from '../../../support/net.ts';

function pool(name: string, cidr: string, change: Partial<Pool> = {}): Pool {
  const parsed = prefix(cidr);
  return {
    name,
    cidr: parsed,
    blockSize: parsed.family === 'ipv4' ? 26 : 122,
    isDisabled: false,
    nodeSelector: '',
    allowedUses: ['Workload', 'Tunnel'],
    assignmentMode: 'Automatic',
    ...change,
  };
}

const selectsNode = (selector: string) => selector === 'mine';

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
    const { eligible, rejected } = choosePools(pools, 'ipv4', selectsNode);
    assert.deepEqual(
      eligible.map(({ name }) => name),
      ['a-first', 'here', 'z-last'],
    );
    assert.deepEqual(Object.fromEntries(rejected.map((each) => [each.pool, each.reason])), {
      off: 'it is disabled',
      tunnels: 'its allowedUses (Tunnel) leave out Workload',
      elsewhere: "its nodeSelector 'theirs' does not select this node",
      manual: 'its assignmentMode is Manual: only addresses asked for by value come from it',
      tiny: 'it is smaller than one block',
    });
  });

  it('takes requested pools in their order and says what is wrong with the others', () => {
    const { eligible, rejected } = choosePools(pools, 'ipv4', selectsNode, [
      'z-last',
      'six',
      'none',
      'a-first',
      'off',
    ]);
    assert.deepEqual(
      eligible.map(({ name }) => name),
      ['z-last', 'a-first'],
    );
    assert.deepEqual(rejected, [
      { pool: 'six', reason: 'it is not an IPv4 pool' },
      { pool: 'none', reason: 'it does not exist' },
      { pool: 'off', reason: 'it is disabled' },
    ]);
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
    const taken = new TakenBlocks([formatPrefix(first)]);
    const second = firstFreeBlock(huge, 'host-a', (cidr, block) => taken.has(cidr, block));
    assert.notEqual(second && formatPrefix(second), formatPrefix(first));
  });

  it('leaves out what blocks of another size overlap', () => {
    const taken = new TakenBlocks(['10.0.0.0/28', '10.0.0.128/25']);
    const free = firstFreeBlock(pool('p', '10.0.0.0/24'), 'x', (cidr, block) => taken.has(cidr, block));
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
