/** The helper's side of graceful restart, RFC 4724 4.2 and RFC 9494 4.2: which routes outlive a session, and for how long. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { hardReset } from '../wire/notification.ts';
import { CEASE, ERROR } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';
import type { Negotiated, SessionConfig } from './negotiate.ts';
import type { Connection } from './state.ts';

/** How an established session ended. */
export type Loss = 'tcp' | 'notification-sent' | 'notification-received' | 'administrative' | 'link';

/** For how long the routes of a family are kept, in seconds: unchanged, and after that as the last choice. One of the two is not 0. */
export interface StaleTime {
  readonly family: Family;
  readonly restartSec: number;
  readonly longLivedSec: number;
}

/**
 * The families whose routes are kept as stale: those that the peer listed, and only when the TCP connection went without a NOTIFICATION;
 * or, when both sides set the N bit, with any NOTIFICATION but a hard reset (RFC 8538 4); and none when the link went (cells-link.ts). The peer says for how long, our own caps shorten it. A
 * family in only one of the two capabilities has no time of the other kind (RFC 9494 4.2).
 */
export function staleTimes(
  config: SessionConfig,
  negotiated: Negotiated,
  loss: Loss,
  error: NotificationError | undefined,
): readonly StaleTime[] {
  const { gracefulRestart: own, longLivedGracefulRestart: ownLong } = config;
  const { gracefulRestart: theirs, longLived = [] } = negotiated;
  if (own === undefined || theirs === undefined || loss === 'administrative' || loss === 'link') return [];
  if (loss !== 'tcp' && (!negotiated.gracefulNotification || isHardReset(error))) return [];
  const restartSec = Math.min(theirs.restartTimeSec, own.maxHelperTimeSec);
  return FAMILIES.map((family) => {
    const stated = longLived.find((entry) => entry.family === family)?.staleTimeSec ?? 0;
    return {
      family,
      restartSec: theirs.families.some((entry) => entry.family === family) ? restartSec : 0,
      longLivedSec: Math.min(stated, ownLong?.maxHelperTimeSec ?? 0),
    };
  }).filter((times) => times.restartSec > 0 || times.longLivedSec > 0);
}

/** Cease 6/9. */
function isHardReset(error: NotificationError | undefined): boolean {
  return error?.code === ERROR.cease && error.subcode === CEASE.hardReset;
}

/**
 * Reasons for which neither side must go on using the other's routes (RFC 8538 5.1). RFC 9384 4 has `BFD Down` go inside of the hard reset
 * where one is called for; it is here: what BFD watches is the way that kept routes would take. FRR does the same.
 */
const HARD_SUBCODES: readonly number[] = [
  CEASE.maximumPrefixesReached,
  CEASE.administrativeShutdown,
  CEASE.peerDeconfigured,
  CEASE.administrativeReset,
  CEASE.bfdDown,
];

/** What is sent for an error where NOTIFICATIONs are graceful: a final one goes inside a hard reset (RFC 8538 3.1). */
export function asSent(error: NotificationError, connection: Connection): NotificationError {
  if (connection.state !== 'Established' || !connection.negotiated.gracefulNotification) return error;
  if (error.code !== ERROR.cease || !HARD_SUBCODES.includes(error.subcode)) return error;
  return hardReset(error);
}

/**
 * Splits the stale families when the peer is back: those it still forwards for stay until End-of-RIB, the others go at once. For a family that
 * is long-lived stale by now the F bit of that capability counts (RFC 9494 4.4).
 */
export function afterReturn(
  stale: readonly Family[],
  negotiated: Negotiated,
  isLongLived: (family: Family) => boolean,
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
