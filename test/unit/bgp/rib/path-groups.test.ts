import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PathGroups } from '../../../../bgp/rib/path-groups.ts';

/** Entries by attribute id, in the order in which the groups stand. */
function groupsOf(groups: PathGroups): [number, [number, number][]][] {
  return Array.from({ length: groups.count }, (_, group) => {
    const entries: [number, number][] = [];
    for (let entry = groups.first[group] ?? -1; entry !== -1; entry = groups.next[entry] ?? -1) {
      entries.push([groups.prefix[entry] ?? -1, groups.record[entry] ?? -1]);
    }
    return [groups.attribute[group] ?? -1, entries];
  });
}

describe('groups of paths with the same attributes', () => {
  it('are those of a map, in order, batch after batch', () => {
    const groups = new PathGroups();
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
        groups.clear();
        const expected = new Map<number, [number, number][]>();
        for (const [prefix, record, id] of entries) {
          assert.equal(groups.add(prefix, record, id), !expected.has(id));
          const known = expected.get(id) ?? [];
          known.push([prefix, record]);
          expected.set(id, known);
        }
        assert.deepEqual(groupsOf(groups), [...expected]);
      }),
      { numRuns: 50 },
    );
  });
});
