/** The helper's side of graceful restart, RFC 4724 4.2: which routes outlive a session, and for how long. */
import type { Family } from '../../src/net/address.ts';
import type { Negotiated, PeerRestart, SessionConfig } from './negotiate.ts';

/** How an established session ended. */
export type Loss = 'tcp' | 'notification-sent' | 'notification-received' | 'administrative';

/**
 * The families whose routes are kept as stale: those that the peer listed, and only when the TCP connection went without a NOTIFICATION.
 * (RFC 8538 would widen that when both sides set the N bit; we do not set it.)
 */
export function familiesToKeep(negotiated: Negotiated, loss: Loss): readonly Family[] {
  if (loss !== 'tcp' || negotiated.gracefulRestart === undefined) return [];
  return negotiated.gracefulRestart.families.map(({ family }) => family);
}

/** How long to wait for the peer, in seconds: its own restart time, at most our cap. */
export function helperTimeSec(config: SessionConfig, restart: PeerRestart | undefined): number {
  if (config.gracefulRestart === undefined || restart === undefined) return 0;
  return Math.min(restart.restartTimeSec, config.gracefulRestart.maxHelperTimeSec);
}

/** Splits the stale families when the peer is back: those it still forwards for stay until End-of-RIB, the others go at once. */
export function afterReturn(
  stale: readonly Family[],
  negotiated: Negotiated,
): { readonly keep: readonly Family[]; readonly purge: readonly Family[] } {
  const forwarding = new Set<Family>();
  for (const entry of negotiated.gracefulRestart?.families ?? []) {
    if (entry.forwarding) forwarding.add(entry.family);
  }
  return {
    keep: stale.filter((family) => forwarding.has(family)),
    purge: stale.filter((family) => !forwarding.has(family)),
  };
}
