/**
 * The restarting speaker's wait, RFC 4724 4.1: for each family whose forwarding state the kernel kept, no route is selected until
 * the peers have told theirs. Peers that are up, or about to be, hold it until their End-of-RIB; peers that do not come, or that say that
 * they restart themselves, hold it for a few seconds only; and a timer bounds it all. Pure: told of time and peers, it says which families are done.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { sessionState } from '../session/state.ts';
import type { SessionState } from '../types.ts';
import type { PerFamily } from '../wire/types.ts';
import type { Peer } from './peer.ts';

/**
 * How long peers are waited for that are not even in the OPEN exchange, and, once up, those with the Restart State bit. RFC 4724 4.1 leaves
 * the latter out, so that two restarting speakers do not wait for each other; but FRR sets the bit in all its sessions for the
 * first minutes after its start, and its routes would be missed.
 */
const SETTLE_MS = 5_000;

/** What the wait needs to know of a peer. */
export interface DeferralPeer {
  readonly state: SessionState;
  /** whether it was up since the start */
  readonly wasUp: boolean;
  /** families configured */
  readonly families: readonly Family[];
  /** families that it will end with an End-of-RIB and has not yet: negotiated, graceful restart capable */
  readonly owesEndOfRib: readonly Family[];
  /** it set the Restart State bit */
  readonly isRestarting: boolean;
  /** since it is Established; 0 when it is not */
  readonly upForMs: number;
}

export type DeferralEnd = 'nothing-preserved' | 'end-of-rib' | 'timer';

export class Deferral {
  readonly #pending = new Set<Family>();
  readonly #deferralMs: number;
  #startedAt: number | undefined;

  constructor(preserved: PerFamily<boolean>, deferralSec: number) {
    this.#deferralMs = deferralSec * 1000;
    for (const family of FAMILIES) if (preserved[family]) this.#pending.add(family);
  }

  /** Families that are still waited for. */
  get pending(): ReadonlySet<Family> {
    return this.#pending;
  }

  /** The peers are known: time runs from here. */
  begin(now: number): void {
    this.#startedAt ??= now;
  }

  /** Families that are done now, each told once. */
  check(peers: readonly DeferralPeer[], now: number): readonly { family: Family; why: DeferralEnd }[] {
    if (this.#startedAt === undefined) return [];
    const elapsed = now - this.#startedAt;
    const done: { family: Family; why: DeferralEnd }[] = [];
    for (const family of this.#pending) {
      const expired = elapsed >= this.#deferralMs;
      if (!expired && peers.some((peer) => holds(peer, family, elapsed))) continue;
      done.push({ family, why: expired ? 'timer' : 'end-of-rib' });
    }
    for (const { family } of done) this.#pending.delete(family);
    return done;
  }

  /** Milliseconds until time alone may change the answer; undefined when it will not. */
  nextCheckMs(peers: readonly DeferralPeer[], now: number): number | undefined {
    if (this.#startedAt === undefined || this.#pending.size === 0) return undefined;
    const elapsed = now - this.#startedAt;
    const settling = peers
      .filter(({ isRestarting }) => isRestarting)
      .map(({ upForMs }) => SETTLE_MS - upForMs);
    const waits = [SETTLE_MS - elapsed, ...settling].filter((wait) => wait > 0);
    return Math.max(0, Math.min(this.#deferralMs - elapsed, ...waits));
  }
}

function holds(peer: DeferralPeer, family: Family, elapsedMs: number): boolean {
  if (!peer.families.includes(family)) return false;
  switch (peer.state) {
    case 'Idle(Admin)':
      return false;
    case 'Established':
      return peer.owesEndOfRib.includes(family) && (!peer.isRestarting || peer.upForMs < SETTLE_MS);
    case 'OpenSent':
    case 'OpenConfirm':
      return true;
    default:
      return !peer.wasUp && elapsedMs < SETTLE_MS;
  }
}

/** A peer as the wait sees it. */
export function deferralPeer(peer: Peer, now: number): DeferralPeer {
  const { negotiated, endOfRibReceived } = peer;
  const restart = negotiated?.gracefulRestart;
  const state = sessionState(peer.session);
  return {
    state,
    wasUp: peer.wasUp,
    families: peer.config.families,
    isRestarting: restart?.restarting ?? false,
    upForMs: state === 'Established' ? now - peer.upSince : 0,
    owesEndOfRib:
      negotiated !== undefined && restart !== undefined
        ? FAMILIES.filter((family) => negotiated.context.families[family] && !endOfRibReceived.has(family))
        : [],
  };
}
