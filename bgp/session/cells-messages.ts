/** Cells of the session table for timers of a connection and for messages: those that are good, bad, or not expected. */
import { describeNotification, notification } from '../wire/notification.ts';
import { CEASE, ERROR } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';
import type { EventOf } from './events.ts';
import { synchronized } from './stale-routes.ts';
import type { Connection, NegotiatedConnection } from './state.ts';
import type { Turn } from './turn.ts';

export function holdExpired(
  turn: Turn,
  _event: EventOf<'HoldTimer_Expires'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  if (connection.state === 'OpenSent' && connection.awaitsBfd !== undefined) {
    turn.failWith(connection, notification(ERROR.cease, CEASE.bfdDown), 'BFD did not come up');
    return;
  }
  turn.failWith(connection, notification(ERROR.holdTimerExpired, 0), 'hold timer expired');
}

export function sendHoldExpired(
  turn: Turn,
  _event: EventOf<'SendHoldTimer_Expires'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  turn.failWith(connection, notification(ERROR.sendHoldTimerExpired, 0), 'send hold timer expired');
}

export function sendKeepalive(
  turn: Turn,
  _event: EventOf<'KeepaliveTimer_Expires'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined || connection.state === 'OpenSent') return;
  turn.actions.push({ type: 'send-keepalive', connection: connection.id });
  startKeepalive(turn, connection);
}

/** An error that whoever read the message found. */
export function badMessage(
  turn: Turn,
  event: { readonly error: NotificationError; readonly reason: string },
  connection: Connection | undefined,
): void {
  if (connection !== undefined) turn.failWith(connection, event.error, event.reason);
}

/** A NOTIFICATION is never answered. */
export function notified(
  turn: Turn,
  event: { readonly error: NotificationError },
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  const drop = {
    reason: describeNotification(event.error),
    received: event.error,
    loss: 'notification-received',
  } as const;
  // The loser of a collision goes, and nobody is to blame. The winner may be a dial of ours that has not come up yet, or one of the peer's that the
  // kernel has accepted and we have not: IdleHold would keep that waiting, and on the side that dials in step with the peer ever longer.
  if (isCollision(event.error) && connection.state !== 'Established') turn.retry(connection, drop);
  else turn.fail(connection, drop);
}

function isCollision({ code, subcode }: NotificationError): boolean {
  return code === ERROR.cease && subcode === CEASE.connectionCollision;
}

/** 2/1 in OpenSent and OpenConfirm does not count as a failure (8.2.2, event 24): IdleHold is not lengthened. */
export function notifiedVersion(
  turn: Turn,
  event: EventOf<'NotifMsgVerErr'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  turn.failUncounted(connection, {
    reason: describeNotification(event.error),
    received: event.error,
    loss: 'notification-received',
  });
}

export function unexpected(what: string, messageType: number) {
  return (turn: Turn, _event: unknown, connection: Connection | undefined): void => {
    if (connection !== undefined) turn.failUnexpected(connection, what, messageType);
  };
}

/** An established session is nobody's rival: losing it counts. */
export function dumpEstablished(
  turn: Turn,
  _event: EventOf<'OpenCollisionDump'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  const error = notification(ERROR.cease, CEASE.connectionCollision);
  turn.failWith(connection, error, 'connection collision');
}

export function collisionDump(
  turn: Turn,
  _event: EventOf<'OpenCollisionDump'>,
  connection: Connection | undefined,
): void {
  if (connection !== undefined) turn.dumpCollision(connection);
}

/** Established, events 26: the peer is alive. */
export function alive(turn: Turn, _event: EventOf<'KeepAliveMsg'>, connection: Connection | undefined): void {
  if (connection !== undefined && connection.state !== 'OpenSent') restartHold(turn, connection);
}

/** Established, event 27 and ROUTE-REFRESH: the peer is alive, and its message counts. */
export function deliver(turn: Turn, _event: unknown, connection: Connection | undefined): void {
  if (connection === undefined || connection.state === 'OpenSent') return;
  restartHold(turn, connection);
  turn.actions.push({ type: 'deliver', connection: connection.id });
}

/** The peer has sent all that it has of a family (RFC 4724 2). */
export function endOfRib(turn: Turn, event: EventOf<'EndOfRib'>): void {
  synchronized(turn, event.family);
}

export function restartHold(turn: Turn, connection: NegotiatedConnection): void {
  const { holdTimeSec } = connection.negotiated;
  if (holdTimeSec > 0) turn.startOn(connection.id, 'hold', holdTimeSec * 1000, false);
}

export function startKeepalive(turn: Turn, connection: NegotiatedConnection): void {
  const { keepaliveTimeSec } = connection.negotiated;
  if (keepaliveTimeSec > 0) turn.startOn(connection.id, 'keepalive', keepaliveTimeSec * 1000, true);
}
