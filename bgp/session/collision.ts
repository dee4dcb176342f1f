/** Connection collision detection, RFC 4271 6.8 as amended by RFC 6286 2.3. */

/** Who opened a connection. */
export type Direction = 'outgoing' | 'incoming';

/** The four numbers that decide a collision: BGP identifiers as unsigned 32-bit values, and AS numbers. */
export interface CollisionParties {
  readonly localRouterId: number;
  readonly peerRouterId: number;
  readonly localAs: number;
  readonly peerAs: number;
}

/** Whether we are the side whose own connection survives: the higher identifier, and for equal ones the higher AS. */
export function localSideWins(parties: CollisionParties): boolean {
  return parties.localRouterId === parties.peerRouterId
    ? parties.localAs > parties.peerAs
    : parties.localRouterId > parties.peerRouterId;
}

/**
 * Which of two connections of one peer survives. Two in the same direction cannot collide in the RFC's sense: the peer (or we) gave up
 * the older one without the other side having noticed, so the newer survives.
 */
export function survivor(older: Direction, newer: Direction, parties: CollisionParties): 'older' | 'newer' {
  if (older === newer) return 'newer';
  return (older === 'outgoing') === localSideWins(parties) ? 'older' : 'newer';
}
