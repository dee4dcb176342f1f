/** Shares of the members of a multipath route, by the link bandwidths that their paths carry (RFC 10005). */
import assert from 'node:assert/strict';
import { formatAddress } from '../../../../src/net/address.ts';
import { address, attributes, makeRib, path, prefix, settle, TestPeer } from './support.ts';

const NET = '10.1.0.0/16';
/** Octets per second, about a gigabit: a round number as a float. */
const GBIT = 2 ** 27;

/** Non-transitive, of AS 65001: octets per second as a float behind it. */
function bandwidth(octetsPerSec: number): { extendedCommunities: readonly bigint[] } {
  const float = new DataView(new ArrayBuffer(4));
  float.setFloat32(0, octetsPerSec);
  return { extendedCommunities: [(0x4004_fde9n << 32n) | BigInt(float.getUint32(0))] };
}

describe('shares of multipath routes', () => {
  function scene() {
    const rib = makeRib({ maxPaths: 4, relaxAsPath: true });
    const peers = [1, 2, 3].map(
      (last) =>
        new TestPeer(rib, { name: `p${last}`, address: address(`192.0.2.${last}`), peerAs: 65000 + last }),
    );
    /** `widths` by peer: undefined for a path without the community. `hops`: last octet of each next hop. */
    const announce = (widths: readonly (number | undefined)[], hops: readonly number[] = [3, 2, 1]): void => {
      for (const [index, width] of widths.entries()) {
        peers[index]?.announce(
          [NET],
          attributes({
            ...path(65001 + index),
            nextHop: address(`192.0.2.${hops[index]}`),
            ...(width === undefined ? {} : bandwidth(width)),
          }),
        );
      }
      settle(rib);
    };
    const setId = (): number =>
      rib.selectedNextHopSetId('ipv4', rib.prefixTable('ipv4').findPrefix(prefix(NET)));
    const shares = (): (readonly [string, number])[] | undefined =>
      rib
        .nextHopShares(setId())
        ?.map((share, index) => [formatAddress(rib.nextHopSet(setId())[index] ?? address('::')), share]);
    return { rib, peers, announce, setId, shares };
  }

  it('beside the addresses, and another set when one of them changes', () => {
    const { rib, announce, setId, shares } = scene();
    announce([10 * GBIT, 40 * GBIT, 25 * GBIT]);
    assert.deepEqual(shares(), [
      ['192.0.2.1', 25 * GBIT],
      ['192.0.2.2', 40 * GBIT],
      ['192.0.2.3', 10 * GBIT],
    ]);
    const before = setId();
    announce([10 * GBIT, 20 * GBIT, 25 * GBIT]);
    assert.notEqual(setId(), before);
    assert.equal(rib.nextHopSet(setId()).length, 3);
    assert.equal(rib.sizes.nextHopSets, 1, 'the former one is gone');
  });

  it('equal where one path carries none, all carry the same, or one path is left', () => {
    const { peers, rib, announce, setId, shares } = scene();
    announce([10 * GBIT, undefined, 25 * GBIT]);
    assert.equal(rib.nextHopSet(setId()).length, 3);
    assert.equal(shares(), undefined);
    const equal = setId();
    announce([undefined, undefined, undefined]);
    assert.equal(setId(), equal, 'the same set');
    announce([10 * GBIT, 10 * GBIT, 10 * GBIT]);
    assert.equal(setId(), equal);
    announce([10 * GBIT, 10 * GBIT, 20 * GBIT]);
    assert.notEqual(shares(), undefined);
    peers[2]?.withdraw([NET]);
    settle(rib);
    assert.equal(shares(), undefined, 'two that are alike');
    peers[1]?.withdraw([NET]);
    settle(rib);
    assert.equal(rib.nextHopSet(setId()).length, 1);
    assert.equal(shares(), undefined);
    peers[0]?.withdraw([NET]);
    settle(rib);
    assert.equal(rib.sizes.nextHopSets, 0);
  });

  it('of paths over the same next hop the least counts', () => {
    const { announce, shares, rib, setId } = scene();
    announce([10 * GBIT, 40 * GBIT, 25 * GBIT], [1, 1, 2]);
    assert.deepEqual(shares(), [
      ['192.0.2.1', 10 * GBIT],
      ['192.0.2.2', 25 * GBIT],
    ]);
    announce([10 * GBIT, 40 * GBIT, 10 * GBIT], [1, 1, 2]);
    assert.equal(shares(), undefined);
    assert.equal(rib.nextHopSet(setId()).length, 2);
  });
});
