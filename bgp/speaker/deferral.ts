/**
 * The restarting speaker's wait, RFC 4724 4.1: for each family whose forwarding state the kernel kept, no route is selected until
 * the peers have told theirs. Peers that are up, or about to be, hold it until their End-of-RIB; peers that do not come hold it for a few
 * seconds only; and a timer bounds it all. Pure: told of time and peers, it says which families are done.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { SessionState } from '../types.ts';
import type { PerFamily } from '../wire/types.ts';

/** How long peers that are not even in the OPEN exchange are waited for. */
const SETTLE_MS = 5_000;

/** What the wait needs to know of a peer. */
export interface DeferralPeer {
  readonly state: SessionState;
  /** whether it was up since the start */
  readonly wasUp: boolean;
  /** families configured */
  readonly families: readonly Family[];
  /** families that it will end with an End-of-RIB: negotiated, graceful restart capable, not restarting itself */
  readonly owesEndOfRib: readonly Family[];
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
  nextCheckMs(now: number): number | undefined {
    if (this.#startedAt === undefined || this.#pending.size === 0) return undefined;
    const elapsed = now - this.#startedAt;
    const next = elapsed < SETTLE_MS ? Math.min(SETTLE_MS, this.#deferralMs) : this.#deferralMs;
    return Math.max(0, next - elapsed);
  }
}

function holds(peer: DeferralPeer, family: Family, elapsedMs: number): boolean {
  if (!peer.families.includes(family)) return false;
  switch (peer.state) {
    case 'Idle(Admin)':
      return false;
    case 'Established':
      return peer.owesEndOfRib.includes(family);
    case 'OpenSent':
    case 'OpenConfirm':
      return true;
    default:
      return !peer.wasUp && elapsedMs < SETTLE_MS;
  }
}
