/** Memory shared with the inner loops: what is given out is empty, apart from everything else, and lasts. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Core } from '../../../../src/core/core.ts';

describe('core', () => {
  it('gives out empty blocks that never overlap, whatever was given back before', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.nat(20)), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (asked) => {
        const core = new Core();
        const held: { address: number; octets: number; mark: number }[] = [];
        for (const [index, [octets, which]] of asked.entries()) {
          const given = held[which];
          if (given !== undefined && index % 3 === 0) {
            core.release(given.address, given.octets);
            held.splice(which, 1);
          }
          const address = core.allocate(octets);
          assert.equal(address % 64, 0);
          const room = core.octets.subarray(address, address + octets);
          assert.ok(
            room.every((octet) => octet === 0),
            'a block is not empty',
          );
          const mark = 1 + (index % 255);
          room.fill(mark);
          held.push({ address, octets, mark });
        }
        for (const { address, octets, mark } of held) {
          const room = core.octets.subarray(address, address + octets);
          assert.ok(
            room.every((octet) => octet === mark),
            'a block was written to by another one',
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  it('views of its memory last while it grows', () => {
    const core = new Core();
    const column = core.int32(1000);
    column.fill(7);
    const before = core.octets.length;
    const large = core.int32(before);
    assert.ok(core.octets.length > before);
    assert.equal(large.length, before);
    column[999] = 8;
    const again = core.words(column.byteOffset, 1000);
    assert.equal(again[0], 7);
    assert.equal(again[999], 8);
    const longer = core.moved(column, core.int32(2000));
    assert.deepEqual([longer[0], longer[999], longer[1999]], [7, 8, 0]);
  });

  it('refuses what 32 bits cannot address, and goes on', () => {
    const core = new Core();
    core.allocate(3 * 2 ** 30);
    assert.throws(() => core.allocate(2 * 2 ** 30), /need more than 4 GiB/);
    const high = core.int32(10);
    high[9] = 5;
    assert.equal(core.words(high.byteOffset | 0, 10)[9], 5);
  });
});
