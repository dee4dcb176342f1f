/**
 * The life of stale routes as parts of a turn: the restart time, the long-lived stale time after it, and, once the peer is back, the wait for its
 * End-of-RIB (RFC 4724 4.2, RFC 9494 4.2).
 */
import type { Family } from '../../src/net/address.ts';
import { afterReturn, type StaleTime } from './graceful-restart.ts';
import type { Negotiated } from './negotiate.ts';
import { establishedConnection, type LongLivedStale } from './state.ts';
import type { Turn } from './turn.ts';

/**
 * An established session ends. Long-lived stale routes of a session before it, which the peer had not sent again yet, go on with the time that
 * is left to them; where that is over, nothing is kept.
 */
export function becomeStale(turn: Turn, times: readonly StaleTime[], reason: string): void {
  const { session } = turn;
  const before = session.longLived;
  const kept = times.filter(({ family }) => !isOver(before, family, turn.now));
  turn.stop('stale');
  setLongLived(
    turn,
    kept.flatMap(({ family, longLivedSec }) => {
      if (longLivedSec === 0) return [];
      const running = before.find((entry) => entry.family === family && entry.until !== undefined);
      return [running ?? { family, seconds: longLivedSec, until: undefined }];
    }),
    kept.map(({ family }) => family),
  );
  turn.actions.push({ type: 'session-down', keepStale: session.stale, reason });
  const restartSec = Math.max(0, ...kept.map((time) => time.restartSec));
  if (restartSec > 0) turn.start('restart', restartSec * 1000, false);
  beginLongLived(
    turn,
    kept.flatMap(({ family, restartSec: wait }) => (wait === 0 ? family : [])),
  );
}

/** The session is up again: what the peer forwards for no longer goes, the rest waits for its End-of-RIB, for a bounded time. */
export function awaitEndOfRib(turn: Turn, negotiated: Negotiated): void {
  const { session } = turn;
  if (session.stale.length === 0) return;
  const isLongLived = (family: Family): boolean => isRunning(session.longLived, family);
  const { keep, purge } = afterReturn(session.stale, negotiated, isLongLived);
  turn.stop('restart');
  if (purge.length > 0) turn.actions.push({ type: 'purge-stale', families: purge });
  const running = session.longLived.filter(({ family }) => keep.includes(family) && isLongLived(family));
  setLongLived(turn, running, keep);
  if (keep.every(isLongLived)) return;
  turn.start('stale', (session.config.gracefulRestart?.maxHelperTimeSec ?? 0) * 1000, false);
}

/** The peer has sent all of a family: nothing of it is stale any more, whatever time was left. */
export function synchronized(turn: Turn, family: Family): void {
  const { session } = turn;
  if (!session.stale.includes(family) && !session.longLived.some((entry) => entry.family === family)) return;
  const waited = session.stale.some((other) => !isRunning(session.longLived, other));
  setLongLived(
    turn,
    session.longLived.filter((entry) => entry.family !== family),
    session.stale.filter((other) => other !== family),
  );
  const waits = session.stale.some((other) => !isRunning(session.longLived, other));
  if (waited && !waits) turn.stop('stale');
}

/** The restart time is over: families with a long-lived stale time go on with it, the others are purged. */
export function restartTimeOver(turn: Turn): void {
  const { session } = turn;
  purge(
    turn,
    session.stale.filter((family) => !session.longLived.some((entry) => entry.family === family)),
  );
  beginLongLived(turn, session.stale);
}

/** The peer came back and did not send its End-of-RIB in time. Long-lived stale routes have a time of their own. */
export function staleTimeOver(turn: Turn): void {
  const { session } = turn;
  purge(
    turn,
    session.stale.filter((family) => !isRunning(session.longLived, family)),
  );
}

/** Purges the families whose long-lived stale time is over and waits for the next. */
export function longLivedTimeOver(turn: Turn): void {
  const { session } = turn;
  const over = session.stale.filter((family) => isOver(session.longLived, family, turn.now));
  if (over.length > 0) turn.actions.push({ type: 'purge-stale', families: over });
  // Over before the peer has sent all of it: should the session end now, nothing of the family may be kept.
  const isUp = establishedConnection(session) !== undefined;
  setLongLived(
    turn,
    session.longLived.filter(({ family }) => isUp || !over.includes(family)),
    session.stale.filter((family) => !over.includes(family)),
  );
}

/** The stale routes are not waited for any longer. */
export function forgetStale(turn: Turn): void {
  const { session } = turn;
  if (session.stale.length === 0) return;
  purge(turn, session.stale);
  setLongLived(turn, []);
  turn.stop('restart');
  turn.stop('stale');
}

function beginLongLived(turn: Turn, families: readonly Family[]): void {
  if (families.length === 0) return;
  turn.actions.push({ type: 'begin-long-lived', families });
  setLongLived(
    turn,
    turn.session.longLived.map((entry) =>
      families.includes(entry.family)
        ? { ...entry, until: entry.until ?? turn.now + entry.seconds * 1000 }
        : entry,
    ),
  );
}

function purge(turn: Turn, families: readonly Family[]): void {
  if (families.length === 0) return;
  const { session } = turn;
  turn.actions.push({ type: 'purge-stale', families });
  setLongLived(
    turn,
    session.longLived,
    session.stale.filter((family) => !families.includes(family)),
  );
}

/** Puts the long-lived times in place, with the timer for the one that ends first among the families that are stale. */
function setLongLived(
  turn: Turn,
  entries: readonly LongLivedStale[],
  stale: readonly Family[] = turn.session.stale,
): void {
  const { session, now } = turn;
  const before = nextEnd(session.longLived, session.stale);
  session.longLived = entries;
  session.stale = stale;
  const next = nextEnd(entries, stale);
  if (next !== undefined) turn.start('long-lived', Math.max(0, next - now), false);
  else if (before !== undefined) turn.stop('long-lived');
}

function nextEnd(entries: readonly LongLivedStale[], stale: readonly Family[]): number | undefined {
  const ends = entries.flatMap(({ family, until }) =>
    until !== undefined && stale.includes(family) ? until : [],
  );
  return ends.length === 0 ? undefined : Math.min(...ends);
}

function isRunning(entries: readonly LongLivedStale[], family: Family): boolean {
  return entries.some((entry) => entry.family === family && entry.until !== undefined);
}

function isOver(entries: readonly LongLivedStale[], family: Family, now: number): boolean {
  return entries.some((entry) => entry.family === family && entry.until !== undefined && entry.until <= now);
}
