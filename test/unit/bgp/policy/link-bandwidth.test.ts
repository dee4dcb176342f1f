import assert from 'node:assert/strict';
import { shareUnequally } from '../../../../bgp/policy/link-bandwidth.ts';
import { AttributeStore } from '../../../../bgp/rib/attribute-store.ts';
import { NextHopTable } from '../../../../bgp/rib/next-hops.ts';
import { encodeAttributes, writeAttribute } from '../../../../bgp/wire/attribute-key.ts';
import { ATTRIBUTE } from '../../../../bgp/wire/registry.ts';
import { NO_BANDWIDTH } from '../../../../src/core/assembly/layout.ts';

/** One community: type, sub-type, AS 65001, and a float. */
function community(type: number, subtype: number, octetsPerSec: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint8(0, type);
  view.setUint8(1, subtype);
  view.setUint16(2, 65001);
  view.setFloat32(4, octetsPerSec);
  return [...new Uint8Array(view.buffer)];
}

describe('bgp/policy/link-bandwidth', () => {
  it('reads octets per second, of several communities the lowest (RFC 10005)', () => {
    const store = new AttributeStore(new NextHopTable(false));
    const read = (...communities: number[][]): number => {
      const key = new Uint8Array(100);
      const front = encodeAttributes({ origin: 'igp', asPath: [] });
      key.set(front);
      const value = Uint8Array.from(communities.flat());
      const end = writeAttribute(key, front.length, 0xc0, ATTRIBUTE.extendedCommunities, value);
      return store.linkBandwidth[store.intern(key.subarray(0, end))] ?? Number.NaN;
    };
    assert.equal(read(), NO_BANDWIDTH);
    assert.equal(read(community(0x40, 4, 1.25e9)), 1.25e9);
    assert.equal(read(community(0x00, 4, 1.25e9)), 1.25e9);
    assert.equal(read(community(0x00, 2, 7), community(0x40, 4, 5e9), community(0x00, 4, 1.25e9)), 1.25e9);
    assert.equal(read(community(0x40, 4, 0), community(0x40, 4, 5)), 0);
    for (const [type, subtype] of [
      [0x00, 0x02],
      [0x01, 0x04],
      [0x80, 0x04],
      [0x43, 0x04],
    ] as const)
      assert.equal(read(community(type, subtype, 1e9)), NO_BANDWIDTH, `${type} ${subtype}`);
    for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.equal(read(community(0x40, 4, value)), NO_BANDWIDTH, `${value}`);
      assert.equal(read(community(0x40, 4, value), community(0x40, 4, 3)), 3);
    }
  });

  it('paths share unequally when all carry a bandwidth and not all the same', () => {
    const unequal = (...bandwidths: number[]): boolean =>
      shareUnequally(Float32Array.of(...bandwidths, 77), bandwidths.length);
    assert.equal(unequal(5e9, 1.25e9), true);
    assert.equal(unequal(5e9, 0), true);
    assert.equal(unequal(5e9, 5e9), false);
    assert.equal(unequal(0, 0), false);
    assert.equal(unequal(5e9, NO_BANDWIDTH, 1.25e9), false);
    assert.equal(unequal(5e9), false);
  });
});
