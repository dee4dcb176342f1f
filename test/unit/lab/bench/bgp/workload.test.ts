import assert from 'node:assert/strict';
import { wordsOf } from '../../../../../lab/bench/bgp/routes.ts';
import { makeIpv6Workload, makeWorkload } from '../../../../../lab/bench/bgp/workload.ts';

describe('bench: made tables', () => {
  for (const make of [makeWorkload, makeIpv6Workload]) {
    const table = make(5_000, 65_001);
    const size = wordsOf(table.family);
    const networkOf = (index: number): bigint =>
      table.words
        .subarray(index * size, (index + 1) * size)
        .reduce((value, word) => (value << 32n) | BigInt(word), 0n);

    it(`ascend without overlap, with no host bits (${table.family})`, () => {
      assert.equal(table.count, 5_000);
      let free = 0n;
      for (let index = 0; index < table.count; index++) {
        const hostBits = BigInt(32 * size - (table.lengths[index] ?? 0));
        const network = networkOf(index);
        assert.equal((network >> hostBits) << hostBits, network);
        assert.ok(network >= free, `route ${index}`);
        free = network + (1n << hostBits);
      }
    });

    it(`are the same for the same seed, and have a few hundred attribute sets (${table.family})`, () => {
      assert.deepEqual(make(5_000, 65_001), table);
      assert.notDeepEqual(make(5_000, 65_001, 2).words, table.words);
      assert.equal(table.sets.length, 400);
      assert.ok(new Set(table.setOf).size > 200);
      assert.ok(table.sets.every(({ path }) => path[0]?.asNumbers[0] === 65_001));
    });
  }
});
