/**
 * The Link Bandwidth extended community (RFC 10005): how wide the way behind a path is, by which the members of a multipath route share the
 * traffic. It is read in src/core/assembly/attribute-summary.ts.
 */
import { NO_BANDWIDTH } from '../../src/core/assembly/layout.ts';

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
