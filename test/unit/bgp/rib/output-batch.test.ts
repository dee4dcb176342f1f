import assert from 'node:assert/strict';
import fc from 'fast-check';
import { batchBlock } from '../../../../bgp/rib/output-batch.ts';
import {
  ATTRIBUTE_ENTRIES,
  ATTRIBUTE_FIELDS,
  BATCH_COUNT,
  BATCH_NEXT,
  BATCH_PREFIXES,
  BATCH_RECORDS,
  BATCH_SET_COUNT,
  BATCH_SETS,
} from '../../../../src/core/assembly/layout.ts';
import { Core } from '../../../../src/core/core.ts';

const core = new Core();
const attributes = core.block(ATTRIBUTE_FIELDS, {});
attributes[ATTRIBUTE_ENTRIES] = core.allocate(16 << 17);
const block = batchBlock({ core, attributes: { address: attributes.byteOffset } }, { address: 0 }, 256);

/** Entries by attribute id, in the order in which the sets of attributes stand. */
function sets(): [number, [number, number][]][] {
  const count = block[BATCH_COUNT] ?? 0;
  const prefixes = core.int32At(block[BATCH_PREFIXES] ?? 0, count);
  const records = core.int32At(block[BATCH_RECORDS] ?? 0, count);
  const next = core.int32At(block[BATCH_NEXT] ?? 0, count);
  const setCount = block[BATCH_SET_COUNT] ?? 0;
  const numbers = core.int32At(block[BATCH_SETS] ?? 0, 4 * setCount);
  return Array.from({ length: setCount }, (_, set) => {
    const entries: [number, number][] = [];
    for (let entry = numbers[4 * set + 1] ?? -1; entry !== -1; entry = next[entry] ?? -1) {
      entries.push([prefixes[entry] ?? -1, records[entry] ?? -1]);
    }
    return [numbers[4 * set] ?? -1, entries];
  });
}

describe('routes with the same attributes', () => {
  it('stand together as in a map, in order, batch after batch', () => {
    // Few ids, ids that collide in the slots, and more of both than there is room for at first.
    const attribute = fc.oneof(
      fc.nat(20),
      fc.nat(2000),
      fc.nat(20).map((n) => n << 12),
    );
    const batch = fc.array(fc.tuple(fc.nat(1 << 20), fc.nat(1 << 20), attribute), {
      maxLength: 1500,
      size: 'max',
    });
    fc.assert(
      fc.property(batch, (entries) => {
        core.calls.batchClear(block.byteOffset);
        const expected = new Map<number, [number, number][]>();
        for (const [prefix, record, id] of entries) {
          core.calls.batchAnnounce(block.byteOffset, prefix, record, id);
          const known = expected.get(id) ?? [];
          known.push([prefix, record]);
          expected.set(id, known);
        }
        assert.deepEqual(sets(), [...expected]);
      }),
      { numRuns: 50 },
    );
  });
});
