/** The helper's side of graceful restart, RFC 4724 4.2: which routes outlive a session, and for how long. */
import type { Family } from '../../src/net/address.ts';
import { hardReset } from '../wire/notification.ts';
import { CEASE, ERROR } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';
import type { Negotiated, PeerRestart, SessionConfig } from './negotiate.ts';
import type { Connection } from './state.ts';

/** How an established session ended. */
export type Loss = 'tcp' | 'notification-sent' | 'notification-received' | 'administrative';

/**
 * The families whose routes are kept as stale: those that the peer listed, and only when the TCP connection went without a NOTIFICATION;
 * or, when both sides set the N bit, with any NOTIFICATION but a hard reset (RFC 8538 4).
 */
export function familiesToKeep(
  negotiated: Negotiated,
  loss: Loss,
  error: NotificationError | undefined,
): readonly Family[] {
  if (negotiated.gracefulRestart === undefined || loss === 'administrative') return [];
  if (loss !== 'tcp' && (!negotiated.gracefulNotification || isHardReset(error))) return [];
  return negotiated.gracefulRestart.families.map(({ family }) => family);
}

/** Cease 6/9. */
function isHardReset(error: NotificationError | undefined): boolean {
  return error?.code === ERROR.cease && error.subcode === CEASE.hardReset;
}

/** Reasons for which the peer must not go on using our routes (RFC 8538 5). */
const HARD_SUBCODES: readonly number[] = [
  CEASE.maximumPrefixesReached,
  CEASE.administrativeShutdown,
  CEASE.peerDeconfigured,
  CEASE.administrativeReset,
];

/** What is sent for an error where NOTIFICATIONs are graceful: a final one goes inside a hard reset (RFC 8538 3.1). */
export function asSent(error: NotificationError, connection: Connection): NotificationError {
  if (connection.state !== 'Established' || !connection.negotiated.gracefulNotification) return error;
  if (error.code !== ERROR.cease || !HARD_SUBCODES.includes(error.subcode)) return error;
  return hardReset(error);
}

/** The families that go on as long-lived stale routes when the restart time is over, with their time in seconds (RFC 9494 4.2). */
export function longLivedTimes(
  config: SessionConfig,
  negotiated: Negotiated,
): readonly { readonly family: Family; readonly seconds: number }[] {
  const { longLivedGracefulRestart: own } = config;
  if (own === undefined) return [];
  return (negotiated.longLived ?? [])
    .map(({ family, staleTimeSec }) => ({ family, seconds: Math.min(staleTimeSec, own.maxHelperTimeSec) }))
    .filter(({ seconds }) => seconds > 0);
}

/** How long to wait for the peer, in seconds: its own restart time, at most our cap. */
export function helperTimeSec(config: SessionConfig, restart: PeerRestart | undefined): number {
  if (config.gracefulRestart === undefined || restart === undefined) return 0;
  return Math.min(restart.restartTimeSec, config.gracefulRestart.maxHelperTimeSec);
}

/**
 * Splits the stale families when the peer is back: those it still forwards for stay until End-of-RIB, the others go at once. For a family that
 * is long-lived stale by now the F bit of that capability counts (RFC 9494 4.4).
 */
export function afterReturn(
  stale: readonly Family[],
  negotiated: Negotiated,
  isLongLived: (family: Family) => boolean = () => false,
): { readonly keep: readonly Family[]; readonly purge: readonly Family[] } {
  const forwarding = new Set<Family>();
  for (const entry of negotiated.gracefulRestart?.families ?? []) {
    if (entry.forwarding && !isLongLived(entry.family)) forwarding.add(entry.family);
  }
  for (const entry of negotiated.longLived ?? []) {
    if (entry.forwarding && isLongLived(entry.family)) forwarding.add(entry.family);
  }
  return {
    keep: stale.filter((family) => forwarding.has(family)),
    purge: stale.filter((family) => !forwarding.has(family)),
  };
}
