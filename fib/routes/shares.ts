/**
 * Shares of the traffic of a multipath route, when its ways are of different width: each way's share is split over the next hops by which
 * it was found, and ways that meet in one next hop add up. Pure.
 */
import { sameHop } from './hops.ts';
import type { RouteNextHop } from './types.ts';

/** Next-hop groups of Linux take 1 to 255, routes with next hops of their own 256 as well. */
export const MAX_WEIGHT = 255;
/** How far a weight may be from a whole number to count as one, as a share of the greatest. */
const TOLERANCE = 1e-4;

/** One way on, and what it is found by. */
export interface Way {
  /** 0 or more, in proportion to the others' */
  readonly share: number;
  /** one or more, with weights of their own among themselves */
  readonly nextHops: readonly RouteNextHop[];
}

/**
 * The next hops of all ways, each once, with weights 1 to 255: the smallest whole numbers in proportion to the shares, where such exist. A
 * way without any share gets the weight 1.
 */
export function sharedNextHops(ways: readonly Way[]): RouteNextHop[] {
  const hops: { readonly hop: RouteNextHop; share: number }[] = [];
  for (const { share: whole, nextHops } of ways) {
    const total = nextHops.reduce((sum, hop) => sum + (hop.weight ?? 1), 0);
    for (const hop of nextHops) {
      const share = (whole * (hop.weight ?? 1)) / total;
      const known = hops.find((each) => sameHop(each.hop, hop));
      if (known === undefined) hops.push({ hop, share });
      else known.share += share;
    }
  }
  const weights = wholeWeights(hops.map(({ share }) => share));
  return hops.map(({ hop }, index) => ({ ...hop, weight: weights[index] ?? 1 }));
}

function wholeWeights(shares: readonly number[]): number[] {
  const greatest = Math.max(...shares);
  if (greatest <= 0) return shares.map(() => 1);
  for (let scale = 1; scale < MAX_WEIGHT; scale++) {
    const weights = shares.map((share) => (share / greatest) * scale);
    const isWhole = (weight: number): boolean => Math.abs(weight - Math.round(weight)) <= TOLERANCE * scale;
    if (weights.every((weight) => weight > 0.5 && isWhole(weight))) return weights.map(Math.round);
  }
  return shares.map((share) => Math.max(1, Math.round((share / greatest) * MAX_WEIGHT)));
}
