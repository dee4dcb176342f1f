/** What makes two next hops the same one. */
import { addressesEqual } from '../../src/net/address.ts';
import type { RouteNextHop } from './types.ts';

/** Whether both are the same neighbour on the same interface, whatever their weights. */
export function sameHop(a: RouteNextHop, b: RouteNextHop | undefined): boolean {
  if (b === undefined || a.ifindex !== b.ifindex) return false;
  if (a.gateway === undefined || b.gateway === undefined) return a.gateway === b.gateway;
  return addressesEqual(a.gateway, b.gateway);
}

/** Whether `hops` has this neighbour on this interface. */
export function holdsHop(hops: readonly RouteNextHop[], hop: RouteNextHop): boolean {
  return hops.some((other) => sameHop(hop, other));
}
