/**
 * The Link Bandwidth extended community (RFC 10005): how wide the way behind a path is, by which the members of a multipath route share the
 * traffic. Pure.
 */

/** Of a path that carries no usable community. */
export const NO_BANDWIDTH = -1;

const SUBTYPE = 0x04;
/** Two-octet AS specific, and the same with the non-transitive bit (RFC 4360 3.1). */
const TRANSITIVE_TYPE = 0x00;
const NON_TRANSITIVE_TYPE = 0x40;
const COMMUNITY_OCTETS = 8;

const float = new DataView(new ArrayBuffer(4));

/**
 * Octets per second in the value of an EXTENDED COMMUNITIES attribute that stands in `bytes` from `start` to `end`, or NO_BANDWIDTH. Of
 * several communities the lowest counts, whether transitive or not; what is no bandwidth (negative, infinite, not a number) does not count.
 */
export function linkBandwidth(bytes: Uint8Array, start: number, end: number): number {
  let lowest = NO_BANDWIDTH;
  for (let at = start; at + COMMUNITY_OCTETS <= end; at += COMMUNITY_OCTETS) {
    const type = bytes[at];
    if ((type !== TRANSITIVE_TYPE && type !== NON_TRANSITIVE_TYPE) || bytes[at + 1] !== SUBTYPE) continue;
    for (let octet = 0; octet < 4; octet++) float.setUint8(octet, bytes[at + 4 + octet] ?? 0);
    const value = float.getFloat32(0);
    if (!Number.isFinite(value) || value < 0) continue;
    if (lowest === NO_BANDWIDTH || value < lowest) lowest = value;
  }
  return lowest;
}

/** Whether paths of these bandwidths are to share unequally: all carry one (not NO_BANDWIDTH), and not all the same. */
export function shareUnequally(bandwidths: ArrayLike<number>, count: number): boolean {
  const first = bandwidths[0] ?? NO_BANDWIDTH;
  let differs = false;
  for (let index = 0; index < count; index++) {
    const bandwidth = bandwidths[index] ?? NO_BANDWIDTH;
    if (bandwidth === NO_BANDWIDTH) return false;
    if (bandwidth !== first) differs = true;
  }
  return differs;
}
