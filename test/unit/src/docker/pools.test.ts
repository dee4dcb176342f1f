import assert from 'node:assert/strict';
import { read, requestPool } from '../../../../src/docker/messages.ts';
import { choosePool, poolId, readPoolId } from '../../../../src/docker/pools.ts';
import type { Pool } from '../../../../src/ipam/pools.ts';
import { parsePrefix } from '../../../../src/net/prefix.ts';

function pool(name: string, text: string): Pool {
  const cidr = parsePrefix(text);
  assert.ok(cidr);
  return {
    name,
    cidr,
    blockSize: cidr.family === 'ipv4' ? 26 : 122,
    isDisabled: false,
    nodeSelector: '',
    namespaceSelector: '',
    allowedUses: ['Workload'],
    assignmentMode: 'Automatic',
  };
}

const POOLS = [pool('four', '10.65.1.0/24'), pool('other', '10.66.0.0/16'), pool('six', 'fd00:65:1::/112')];
const choose = (request: object) => choosePool(read(requestPool, request), POOLS);

describe('pools of Docker networks', () => {
  it('any pool that serves the node, when nothing is asked for', () => {
    assert.deepEqual(choose({}), { family: 'ipv4', cidr: '0.0.0.0/0' });
    assert.deepEqual(choose({ V6: true, Options: null }), { family: 'ipv6', cidr: '::/0' });
  });

  it('by subnet, however it is written', () => {
    assert.deepEqual(choose({ Pool: '10.66.0.0/16' }), {
      family: 'ipv4',
      pool: 'other',
      cidr: '10.66.0.0/16',
    });
    const six = { family: 'ipv6', pool: 'six', cidr: 'fd00:65:1::/112' };
    assert.deepEqual(choose({ Pool: 'fd00:65:1:0::/112', V6: true }), six);
  });

  it('by name, each family its own', () => {
    const Options = { 'ipv4-pool': 'four', 'ipv6-pool': 'six' };
    assert.equal(choose({ Options }).pool, 'four');
    assert.equal(choose({ Options, V6: true }).pool, 'six');
  });

  const refused: [string, object, RegExp][] = [
    [
      'a part of a pool',
      { Pool: '10.65.1.0/25' },
      /10\.65\.1\.0\/25: is no IPPool's CIDR; IPv4 IPPools are four/,
    ],
    ['a range', { Pool: '10.65.1.0/24', SubPool: '10.65.1.8/29' }, /--ip-range/],
    ['an unknown pool', { Options: { 'ipv4-pool': 'x' } }, /ipv4-pool=x: IPv4 IPPools are/],
    ['a pool of the other family', { Options: { 'ipv4-pool': 'six' } }, /ipv4-pool=six/],
    ['an unknown option', { Options: { pool: 'four' } }, /there are ipv4-pool and ipv6-pool/],
  ];
  for (const [what, request, reason] of refused) {
    it(`refuses ${what}`, () => assert.throws(() => choose(request), reason));
  }

  it('says when a family has no pool', () => {
    assert.throws(
      () => choosePool(read(requestPool, { V6: true }), POOLS.slice(0, 2)),
      /no IPv6 IPPool; apply one/,
    );
  });

  it('ids hold the choice, also names with odd characters', () => {
    for (const reference of [{ family: 'ipv4' }, { family: 'ipv6', pool: 'a.b-c' }] as const) {
      assert.deepEqual(readPoolId(poolId(reference)), reference);
    }
    assert.throws(() => readPoolId('LocalDefault/10.0.0.0/8'), /none of Ocicat's/);
  });
});
