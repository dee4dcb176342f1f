/** Cells of the session table that are about the search for a connection: starting, stopping, dialling, being dialled, losing it again. */
import { notification, shutdownCommunication } from '../wire/notification.ts';
import { CEASE, ERROR } from '../wire/registry.ts';
import type { EventOf } from './events.ts';
import { forgetStale } from './stale-routes.ts';
import type { Connection } from './state.ts';
import type { Turn } from './turn.ts';

export function manualStart(turn: Turn): void {
  turn.session.admin = 'up';
  turn.session.failures = 0;
  turn.session.dialFailures = 0;
  turn.begin();
}

export function startAgain(turn: Turn): void {
  if (turn.session.admin === 'up') turn.begin();
}

export function manualStop(turn: Turn, event: EventOf<'ManualStop'>): void {
  turn.session.admin = 'down';
  turn.session.failures = 0;
  const error = notification(
    ERROR.cease,
    CEASE.administrativeShutdown,
    event.text === '' ? undefined : shutdownCommunication(event.text),
  );
  turn.dropAll({ reason: 'administratively shut down', send: error, loss: 'administrative' });
  turn.toIdle();
  turn.stop('idle-hold');
  if (turn.session.linkDown !== undefined) {
    turn.session.linkDown = { ...turn.session.linkDown, resumes: false };
  }
  forgetStale(turn);
}

/** Event 8. Without a NOTIFICATION it counts as the loss of the connection, on both sides. */
export function automaticStop(turn: Turn, event: EventOf<'AutomaticStop'>): void {
  if (turn.session.admin === 'down') return;
  const loss = event.error === undefined ? 'tcp' : 'administrative';
  turn.dropAll({ reason: event.reason, send: event.error, loss });
  turn.session.failures += 1;
  if (event.idle === undefined) turn.enterIdleHold();
  else turn.stayIdle(event.idle);
}

/** In Connect the dial took too long; in Active it is time for the next. */
export function dialAgain(turn: Turn): void {
  if (turn.session.config.passive) return;
  if (turn.session.base === 'Connect') {
    turn.actions.push({ type: 'cancel-dial' });
    turn.session.dialFailures += 1;
  }
  turn.dial();
}

/** A dial may still be under way beside a connection that the peer opened. */
export function dialAgainBeside(turn: Turn): void {
  if (turn.session.base === 'Connect') dialAgain(turn);
}

export function dialled(turn: Turn, event: EventOf<'Tcp_CR_Acked'>): void {
  if (turn.session.base === 'Connect' && turn.session.connections.length < 2) {
    turn.open(event.connection, 'outgoing');
  } else {
    turn.refuse(event.connection, CEASE.connectionCollision, 'the dial is not wanted any more');
  }
}

export function dialledWhileIdle(turn: Turn, event: EventOf<'Tcp_CR_Acked'>): void {
  turn.refuse(event.connection, CEASE.connectionRejected, 'the peer is idle');
}

/** RFC 4271 refuses in Idle. While IdleHold runs we let the peer wait instead: it would else sit out its own, longer, retry time. */
export function acceptedWhileIdle(turn: Turn, event: EventOf<'TcpConnectionConfirmed'>): void {
  if (turn.session.admin === 'down') {
    turn.refuse(event.connection, CEASE.connectionRejected, 'the peer is administratively down');
    return;
  }
  if (turn.session.parked !== undefined) {
    turn.refuse(turn.session.parked, CEASE.connectionCollision, 'the peer opened another connection');
  }
  turn.session.parked = event.connection;
}

export function accepted(turn: Turn, event: EventOf<'TcpConnectionConfirmed'>): void {
  turn.open(event.connection, 'incoming');
}

/**
 * A second connection is followed until it has sent its OPEN (6.8). The peer dialling again while an older dial of it has not got as far
 * means that it gave that one up.
 */
export function acceptedBeside(turn: Turn, event: EventOf<'TcpConnectionConfirmed'>): void {
  const abandoned = turn.session.connections.find(
    (other) => other.state === 'OpenSent' && other.direction === 'incoming' && other.awaitsBfd === undefined,
  );
  if (abandoned !== undefined) {
    turn.drop(abandoned, { reason: 'the peer opened another connection', loss: 'tcp' });
  }
  if (turn.session.connections.length < 2) turn.open(event.connection, 'incoming');
  else turn.refuse(event.connection, CEASE.connectionCollision, 'two connections are up already');
}

/** The dial failed. RFC 4271 goes to Idle from Connect; all implementations go to Active, and so do we: nobody is to blame. */
export function dialFailed(turn: Turn, event: EventOf<'TcpConnectionFails'>): void {
  if (event.connection !== undefined || turn.session.base !== 'Connect') return;
  turn.session.base = 'Active';
  turn.stop('connect-retry');
  turn.resume();
}

/** In OpenSent the loss of TCP is no failure (8.2.2): back to Active. */
export function lostInOpenSent(
  turn: Turn,
  event: EventOf<'TcpConnectionFails'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) dialFailed(turn, event);
  else turn.retry(connection, { reason: event.reason, loss: 'tcp' });
}

export function lost(
  turn: Turn,
  event: EventOf<'TcpConnectionFails'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) dialFailed(turn, event);
  else turn.fail(connection, { reason: event.reason, loss: 'tcp' });
}

export function parkedLost(turn: Turn, event: EventOf<'TcpConnectionFails'>): void {
  if (event.connection !== undefined && event.connection === turn.session.parked) {
    turn.session.parked = undefined;
  }
}
