/** Interning of attributes against a map of strings. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AttributeStore } from '../../../../bgp/rib/attribute-store.ts';
import { NextHopTable } from '../../../../bgp/rib/next-hops.ts';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import { HAS_LOCAL_PREF, HAS_MED, HAS_ORIGINATOR, NO_EXPORT } from '../../../../src/core/assembly/layout.ts';
import { address, attributes, path } from './support.ts';

function store(): { store: AttributeStore; nextHops: NextHopTable } {
  const nextHops = new NextHopTable(false);
  return { store: new AttributeStore(nextHops), nextHops };
}

describe('attribute store', () => {
  it('gives equal octets one id and different octets different ones, through any order of interning and releasing', () => {
    const keyNumbers = fc.array(fc.tuple(fc.boolean(), fc.nat(400)), { maxLength: 3000, size: 'max' });
    fc.assert(
      fc.property(keyNumbers, (steps) => {
        const { store: attributeStore, nextHops } = store();
        const freed: number[] = [];
        attributeStore.onFree((id) => freed.push(id));
        const held = new Map<number, { id: number; references: number }>();
        for (const [take, number] of steps) {
          const entry = held.get(number);
          if (take) {
            const id = attributeStore.intern(keyOf(number));
            if (entry === undefined) held.set(number, { id, references: 1 });
            else {
              assert.equal(id, entry.id);
              entry.references++;
            }
            assert.deepEqual([...attributeStore.key(id)], [...keyOf(number)]);
          } else if (entry !== undefined) {
            entry.references--;
            const before = freed.length;
            attributeStore.release(entry.id);
            assert.equal(freed.length - before, entry.references === 0 ? 1 : 0);
            if (entry.references === 0) held.delete(number);
          }
          assert.equal(attributeStore.size, held.size);
        }
        assert.equal(new Set([...held.values()].map(({ id }) => id)).size, held.size);
        for (const [number, { id }] of held) {
          assert.deepEqual([...attributeStore.key(id)], [...keyOf(number)]);
          assert.equal(attributeStore.med[id], number);
        }
        for (const { id, references } of held.values()) {
          for (let i = 0; i < references; i++) attributeStore.release(id);
        }
        assert.equal(attributeStore.size, 0);
        assert.equal(nextHops.size, 0);
      }),
      { numRuns: 20 },
    );
  });

  it('holds on when a chunk of octets is full, with keys of all sizes', () => {
    const { store: attributeStore } = store();
    const big = (number: number) =>
      encodeAttributes(
        attributes({ communities: Array.from({ length: 16000 }, (_, index) => (number << 16) | index) }),
      );
    const ids = Array.from({ length: 20 }, (_, number) => attributeStore.intern(big(number)));
    for (const [number, id] of ids.entries()) assert.deepEqual(attributeStore.key(id), big(number));
  });

  it('throws when an id is released more often than taken', () => {
    const { store: attributeStore } = store();
    const id = attributeStore.intern(keyOf(1));
    attributeStore.release(id);
    assert.throws(() => attributeStore.release(id));
  });

  it('reads the columns that the decision compares', () => {
    const { store: attributeStore, nextHops } = store();
    const id = attributeStore.intern(
      encodeAttributes({
        origin: 'egp',
        nextHop: address('2001:db8::1'),
        linkLocalNextHop: address('fe80::1'),
        asPath: [
          { type: 'sequence', asNumbers: [4200000001, 65002] },
          { type: 'set', asNumbers: [1, 2, 3] },
        ],
        med: 0xfffffffe,
        localPref: 4000000000,
        communities: [0xffffff01],
        originatorId: 0xc0000201,
        clusterList: [1, 2],
      }),
    );
    assert.equal(attributeStore.origin[id], 1);
    assert.equal(attributeStore.pathLength[id], 3, 'a set counts 1');
    assert.equal(attributeStore.neighbourAs[id], 4200000001);
    assert.equal(attributeStore.med[id], 0xfffffffe);
    assert.equal(attributeStore.localPref[id], 4000000000);
    assert.equal(attributeStore.originatorId[id], 0xc0000201);
    assert.equal(attributeStore.clusterLength[id], 2);
    assert.equal(attributeStore.flags[id], HAS_LOCAL_PREF | HAS_MED | HAS_ORIGINATOR | NO_EXPORT);
    assert.deepEqual(nextHops.addressOf(attributeStore.nextHop[id] ?? -1), address('2001:db8::1'));
    const plain = attributeStore.intern(encodeAttributes({ origin: 'incomplete', asPath: [] }));
    assert.equal(attributeStore.localPref[plain], 100);
    assert.equal(attributeStore.pathLength[plain], 0);
    assert.equal(attributeStore.neighbourAs[plain], 0);
    assert.equal(attributeStore.nextHop[plain], -1);
  });

  it('compares AS_PATHs by their octets', () => {
    const { store: attributeStore } = store();
    const a = attributeStore.intern(encodeAttributes(attributes({ ...path(1, 2), med: 1 })));
    const b = attributeStore.intern(encodeAttributes(attributes({ ...path(1, 2), med: 2 })));
    const c = attributeStore.intern(encodeAttributes(attributes(path(1, 3))));
    assert.equal(attributeStore.samePath(a, b), true);
    assert.equal(attributeStore.samePath(a, c), false);
    assert.deepEqual(decodeAttributes(attributeStore.key(c)).asPath, path(1, 3).asPath);
  });
});

function keyOf(number: number): Uint8Array {
  const communities = Array.from({ length: number % 7 }, (_, index) => index + 1);
  return encodeAttributes(attributes({ med: number, nextHop: address(`10.0.0.${number % 9}`), communities }));
}
