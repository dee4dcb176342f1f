/** Interning of attributes against a map of strings. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AttributeStore } from '../../../../bgp/rib/attribute-store.ts';
import { NextHopTable } from '../../../../bgp/rib/next-hops.ts';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import type { AttributeKey, PathAttributes } from '../../../../bgp/wire/types.ts';
import {
  GRACEFUL_SHUTDOWN,
  HAS_LOCAL_PREF,
  HAS_MED,
  HAS_ORIGINATOR,
  HAS_OTC,
  LLGR_STALE,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  NO_LLGR,
} from '../../../../src/core/assembly/layout.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import { attributes4, attributes6 } from '../wire/arbitraries.ts';
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
            attributeStore.note(id);
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
    assert.throws(() => attributeStore.release(-1));
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

  it('reads the same out of a key as who decodes it', () => {
    const { store: attributeStore } = store();
    fc.assert(
      fc.property(fc.oneof(attributes4, attributes6), (drawn: PathAttributes) => {
        const key = encodeAttributes(drawn);
        const id = attributeStore.intern(key);
        const expected = summaryOf(key);
        const { rank, localPref, pathLength, origin, med, neighbourAs, originatorId } = attributeStore;
        assert.deepEqual(
          {
            rank: rank[id],
            localPref: localPref[id],
            pathLength: pathLength[id],
            origin: origin[id],
            med: med[id],
            neighbourAs: neighbourAs[id],
            originatorId: originatorId[id],
            clusterLength: attributeStore.clusterLength[id],
            flags: attributeStore.flags[id],
          },
          expected,
        );
        assert.equal(attributeStore.withMed, (expected.flags & HAS_MED) !== 0 ? 1 : 0);
        const asNumbers = drawn.asPath.flatMap((segment) => segment.asNumbers);
        for (const as of [...asNumbers, 65000]) {
          assert.equal(attributeStore.occurrences(id, as), asNumbers.filter((each) => each === as).length);
        }
        attributeStore.release(id);
      }),
    );
  });

  it('knows the well-known communities', () => {
    const { store: attributeStore } = store();
    for (const [community, flag] of [
      [0xffff0000, GRACEFUL_SHUTDOWN],
      [0xffff0006, LLGR_STALE],
      [0xffff0007, NO_LLGR],
      [0xffffff01, NO_EXPORT],
      [0xffffff02, NO_ADVERTISE],
      [0xffffff03, NO_EXPORT_SUBCONFED],
      [0xffffff04, 0],
      [0xfffe0006, 0],
    ] as const) {
      const id = attributeStore.intern(
        encodeAttributes({ origin: 'igp', asPath: [], communities: [1, community, 2] }),
      );
      assert.equal(attributeStore.flags[id], flag, `${community}`);
      assert.equal((attributeStore.rank[id] ?? 0) >= 2 ** 50, flag === LLGR_STALE);
    }
  });

  it('counts next hops by the attributes that have them, and says which are of interest', () => {
    const { store: attributeStore, nextHops } = store();
    const heard: string[] = [];
    nextHops.onInterest((nextHop, wanted) => heard.push(`${formatAddress(nextHop)} ${wanted}`));
    const keyVia = (nextHop: string, med: number): AttributeKey =>
      encodeAttributes(attributes({ nextHop: address(nextHop), med }));
    // More than are remembered of those asked for lately.
    const texts = Array.from({ length: 300 }, (_, index) => `10.0.${index >> 4}.${index & 15}`);
    const ids = texts.flatMap((text) => [1, 2].map((med) => attributeStore.intern(keyVia(text, med))));
    assert.equal(nextHops.size, 300);
    for (const [index, id] of ids.entries()) {
      const nextHop = nextHops.addressOf(attributeStore.nextHop[id] ?? -1);
      assert.deepEqual(nextHop, address(texts[index >> 1] ?? ''));
    }
    const [first = -1, second = -1] = ids;
    attributeStore.hold(first, 2);
    attributeStore.hold(second, 1);
    attributeStore.letGo(first);
    attributeStore.letGo(first);
    assert.deepEqual(heard, ['10.0.0.0 true']);
    attributeStore.letGo(second);
    assert.deepEqual(heard, ['10.0.0.0 true', '10.0.0.0 false']);
    for (const id of ids) attributeStore.release(id);
    assert.equal(nextHops.size, 0);
    const again = attributeStore.intern(keyVia('10.0.0.0', 1));
    assert.deepEqual(nextHops.addressOf(attributeStore.nextHop[again] ?? -1), address('10.0.0.0'));
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

const WELL_KNOWN = new Map([
  [0xffff0000, GRACEFUL_SHUTDOWN],
  [0xffff0006, LLGR_STALE],
  [0xffff0007, NO_LLGR],
  [0xffffff01, NO_EXPORT],
  [0xffffff02, NO_ADVERTISE],
  [0xffffff03, NO_EXPORT_SUBCONFED],
]);

/** What the columns are to hold, by way of the decoded attributes. */
function summaryOf(key: AttributeKey) {
  const decoded = decodeAttributes(key);
  const { asPath, localPref = 100, med, originatorId, clusterList = [], communities = [] } = decoded;
  let flags = 0;
  if (decoded.localPref !== undefined) flags |= HAS_LOCAL_PREF;
  if (med !== undefined) flags |= HAS_MED;
  if (originatorId !== undefined) flags |= HAS_ORIGINATOR;
  if (decoded.onlyToCustomer !== undefined) flags |= HAS_OTC;
  for (const community of communities) flags |= WELL_KNOWN.get(community) ?? 0;
  const counted = asPath.filter(({ type }) => type === 'sequence' || type === 'set');
  const pathLength = counted.reduce(
    (sum, { type, asNumbers }) => sum + (type === 'set' ? 1 : asNumbers.length),
    0,
  );
  const [leading] = counted;
  const origin = ['igp', 'egp', 'incomplete'].indexOf(decoded.origin);
  const stale = (flags & LLGR_STALE) !== 0 ? 2 ** 50 : 0;
  return {
    rank: stale + (0xffff_ffff - localPref) * 2 ** 18 + pathLength * 4 + origin,
    localPref,
    pathLength,
    origin,
    med: med ?? 0,
    neighbourAs: leading?.type === 'sequence' ? (leading.asNumbers[0] ?? 0) : 0,
    originatorId: originatorId ?? 0,
    clusterLength: clusterList.length,
    flags,
  };
}
