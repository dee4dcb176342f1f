/**
 * The state machine of RFC 4271 8.2.2 as a table: for every state a cell for every event. `Idle`, `Connect` and `Active` are the peer's
 * states while it has no connection that has sent its OPEN; the other three are those of one connection. An event that names a connection
 * is looked up in that connection's row, any other in the row of the most advanced one.
 *
 * Where the field's practice is better than the letter, the cell says so. Timers that a state has stopped cannot expire in it; if their
 * event was under way it is ignored instead of being answered as an FSM error.
 */
import { describeNotification, notification, shutdownCommunication } from '../wire/notification.ts';
import { openAs, validateOpen } from '../wire/open.ts';
import { CEASE, ERROR, MESSAGE_TYPE, OPEN_ERROR } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';
import { survivor } from './collision.ts';
import type { ConnectionId, EventName, EventOf, FsmState } from './events.ts';
import { type Negotiated, negotiate } from './negotiate.ts';
import {
  awaitEndOfRib,
  forgetStale,
  longLivedTimeOver,
  restartTimeOver,
  staleTimeOver,
  synchronized,
} from './stale-routes.ts';
import { type Connection, establishedConnection, type NegotiatedConnection } from './state.ts';
import type { Turn } from './turn.ts';

/** What a cell does. `connection` is the one that the event names, if it names one. */
export type Cell<N extends EventName> = (
  turn: Turn,
  event: EventOf<N>,
  connection: Connection | undefined,
) => void;

/** A cell for every event. */
export type Row = { readonly [N in EventName]: Cell<N> };

/** draft-ietf-idr-bgp-bfd-strict-mode 3: for how long to wait for BFD where the hold time is 0. */
const BFD_HOLD_MS = 30_000;
/** RFC 9687 4: the greater of 8 minutes and twice the hold time. */
const SEND_HOLD_MIN_MS = 480_000;

// --- cells ---------------------------------------------------------------------------------------------------------------

const ignore = (): void => {};

function manualStart(turn: Turn): void {
  turn.session.admin = 'up';
  turn.session.failures = 0;
  turn.session.dialFailures = 0;
  turn.begin();
}

function startAgain(turn: Turn): void {
  if (turn.session.admin === 'up') turn.begin();
}

function manualStop(turn: Turn, event: EventOf<'ManualStop'>): void {
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
  forgetStale(turn);
}

/** Event 8. Without a NOTIFICATION it counts as the loss of the connection, on both sides. */
function automaticStop(turn: Turn, event: EventOf<'AutomaticStop'>): void {
  if (turn.session.admin === 'down') return;
  const loss = event.error === undefined ? 'tcp' : 'administrative';
  turn.dropAll({ reason: event.reason, send: event.error, loss });
  turn.session.failures += 1;
  if (event.idle === undefined) turn.enterIdleHold();
  else turn.stayIdle(event.idle);
}

/** In Connect the dial took too long; in Active it is time for the next. */
function dialAgain(turn: Turn): void {
  if (turn.session.config.passive) return;
  if (turn.session.base === 'Connect') {
    turn.actions.push({ type: 'cancel-dial' });
    turn.session.dialFailures += 1;
  }
  turn.dial();
}

/** A dial may still be under way beside a connection that the peer opened. */
function dialAgainBeside(turn: Turn): void {
  if (turn.session.base === 'Connect') dialAgain(turn);
}

function dialled(turn: Turn, event: EventOf<'Tcp_CR_Acked'>): void {
  if (turn.session.base === 'Connect' && turn.session.connections.length < 2) {
    turn.open(event.connection, 'outgoing');
  } else {
    turn.refuse(event.connection, CEASE.connectionCollision, 'the dial is not wanted any more');
  }
}

function dialledWhileIdle(turn: Turn, event: EventOf<'Tcp_CR_Acked'>): void {
  turn.refuse(event.connection, CEASE.connectionRejected, 'the peer is idle');
}

/** RFC 4271 refuses in Idle. While IdleHold runs we let the peer wait instead: it would else sit out its own, longer, retry time. */
function acceptedWhileIdle(turn: Turn, event: EventOf<'TcpConnectionConfirmed'>): void {
  if (turn.session.admin === 'down') {
    turn.refuse(event.connection, CEASE.connectionRejected, 'the peer is administratively down');
    return;
  }
  if (turn.session.parked !== undefined) {
    turn.refuse(turn.session.parked, CEASE.connectionCollision, 'the peer opened another connection');
  }
  turn.session.parked = event.connection;
}

function accepted(turn: Turn, event: EventOf<'TcpConnectionConfirmed'>): void {
  turn.open(event.connection, 'incoming');
}

/**
 * A second connection is followed until it has sent its OPEN (6.8). The peer dialling again while an older dial of it has not got as far
 * means that it gave that one up.
 */
function acceptedBeside(turn: Turn, event: EventOf<'TcpConnectionConfirmed'>): void {
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
function dialFailed(turn: Turn, event: EventOf<'TcpConnectionFails'>): void {
  if (event.connection !== undefined || turn.session.base !== 'Connect') return;
  turn.session.base = 'Active';
  turn.stop('connect-retry');
  turn.resume();
}

/** In OpenSent the loss of TCP is no failure (8.2.2): back to Active. */
function lostInOpenSent(
  turn: Turn,
  event: EventOf<'TcpConnectionFails'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) dialFailed(turn, event);
  else turn.retry(connection, { reason: event.reason, loss: 'tcp' });
}

function lost(turn: Turn, event: EventOf<'TcpConnectionFails'>, connection: Connection | undefined): void {
  if (connection === undefined) dialFailed(turn, event);
  else turn.fail(connection, { reason: event.reason, loss: 'tcp' });
}

function parkedLost(turn: Turn, event: EventOf<'TcpConnectionFails'>): void {
  if (event.connection !== undefined && event.connection === turn.session.parked) {
    turn.session.parked = undefined;
  }
}

function holdExpired(
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

function sendHoldExpired(
  turn: Turn,
  _event: EventOf<'SendHoldTimer_Expires'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  turn.failWith(connection, notification(ERROR.sendHoldTimerExpired, 0), 'send hold timer expired');
}

function sendKeepalive(
  turn: Turn,
  _event: EventOf<'KeepaliveTimer_Expires'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined || connection.state === 'OpenSent') return;
  turn.actions.push({ type: 'send-keepalive', connection: connection.id });
  startKeepalive(turn, connection);
}

/** An error that whoever read the message found. */
function badMessage(
  turn: Turn,
  event: { readonly error: NotificationError; readonly reason: string },
  connection: Connection | undefined,
): void {
  if (connection !== undefined) turn.failWith(connection, event.error, event.reason);
}

/** A NOTIFICATION is never answered. */
function notified(
  turn: Turn,
  event: { readonly error: NotificationError },
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  turn.fail(connection, {
    reason: describeNotification(event.error),
    received: event.error,
    loss: 'notification-received',
  });
}

/** 2/1 in OpenSent and OpenConfirm does not count as a failure (8.2.2, event 24): IdleHold is not lengthened. */
function notifiedVersion(
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

function unexpected(what: string, messageType: number) {
  return (turn: Turn, _event: unknown, connection: Connection | undefined): void => {
    if (connection !== undefined) turn.failUnexpected(connection, what, messageType);
  };
}

/** An established session is nobody's rival: losing it counts. */
function dumpEstablished(
  turn: Turn,
  _event: EventOf<'OpenCollisionDump'>,
  connection: Connection | undefined,
): void {
  if (connection === undefined) return;
  const error = notification(ERROR.cease, CEASE.connectionCollision);
  turn.failWith(connection, error, 'connection collision');
}

function collisionDump(
  turn: Turn,
  _event: EventOf<'OpenCollisionDump'>,
  connection: Connection | undefined,
): void {
  if (connection !== undefined) turn.dumpCollision(connection);
}

/** OpenSent, event 19. */
function openReceived(turn: Turn, event: EventOf<'BGPOpen'>, connection: Connection | undefined): void {
  if (connection === undefined || connection.state !== 'OpenSent') return;
  if (connection.awaitsBfd !== undefined) {
    turn.failUnexpected(connection, 'OPEN', MESSAGE_TYPE.open);
    return;
  }
  turn.learnAs(openAs(event.open));
  const { config } = turn.session;
  const verdict = validateOpen(event.open, {
    localAs: config.localAs,
    peerAs: config.peerAs,
    localRouterId: config.routerId,
    ...(config.role && { role: config.role }),
  });
  if (!verdict.ok) {
    turn.failWith(connection, verdict.error, verdict.reason);
    return;
  }
  const negotiated = negotiate(config, connection.sentOpen, event.open);
  if (negotiated === undefined) {
    const error = notification(
      ERROR.openMessage,
      OPEN_ERROR.unsupportedCapability,
      offeredCapabilities(connection),
    );
    turn.failWith(connection, error, 'no address family in common');
    return;
  }
  if (!resolveCollision(turn, connection, negotiated)) return;
  turn.cancelDial();
  if (negotiated.bfdStrict && turn.session.bfd === 'down') {
    turn.replace({ ...connection, awaitsBfd: { negotiated, confirmed: false } });
    awaitBfd(turn, connection.id, negotiated);
    return;
  }
  openConfirmed(turn, connection, negotiated);
}

/** The peer's OPEN was good, and nothing holds the session back. */
function openConfirmed(turn: Turn, connection: Connection, negotiated: Negotiated): NegotiatedConnection {
  const next: NegotiatedConnection = {
    id: connection.id,
    direction: connection.direction,
    state: 'OpenConfirm',
    sentOpen: connection.sentOpen,
    negotiated,
  };
  turn.replace(next);
  turn.actions.push({ type: 'send-keepalive', connection: next.id });
  startKeepalive(turn, next);
  if (negotiated.holdTimeSec > 0) restartHold(turn, next);
  else turn.stopOn(next.id, 'hold');
  return next;
}

/** The hold time bounds the wait for BFD. */
function awaitBfd(turn: Turn, connection: ConnectionId, { holdTimeSec }: Negotiated): void {
  turn.startOn(connection, 'hold', holdTimeSec > 0 ? holdTimeSec * 1000 : BFD_HOLD_MS, false);
}

/** OpenSent, event 26: an error, unless it is BFD that keeps us here while the peer goes on. */
function keepaliveInOpenSent(
  turn: Turn,
  _event: EventOf<'KeepAliveMsg'>,
  connection: Connection | undefined,
): void {
  if (connection?.state !== 'OpenSent') return;
  const { awaitsBfd } = connection;
  if (awaitsBfd === undefined) {
    turn.failUnexpected(connection, 'KEEPALIVE', MESSAGE_TYPE.keepalive);
    return;
  }
  turn.replace({ ...connection, awaitsBfd: { ...awaitsBfd, confirmed: true } });
  awaitBfd(turn, connection.id, awaitsBfd.negotiated);
}

function bfdDown(turn: Turn): void {
  turn.session.bfd = 'down';
}

function bfdUp(turn: Turn): void {
  turn.session.bfd = 'up';
  goOnWithoutBfd(turn);
}

function bfdAdminDown(turn: Turn): void {
  turn.session.bfd = 'admin-down';
  goOnWithoutBfd(turn);
}

/** Sessions that waited for BFD wait no longer. */
function goOnWithoutBfd(turn: Turn): void {
  for (const connection of turn.session.connections) {
    if (connection.state !== 'OpenSent' || connection.awaitsBfd === undefined) continue;
    const { negotiated, confirmed } = connection.awaitsBfd;
    const next = openConfirmed(turn, connection, negotiated);
    if (confirmed) establish(turn, next);
  }
}

/** Whether `connection`, whose OPEN just came, stays. Its identifier is the peer's, so a rival in OpenSent can be judged too. */
function resolveCollision(turn: Turn, connection: Connection, negotiated: Negotiated): boolean {
  const rival = turn.session.connections.find(({ id }) => id !== connection.id);
  if (rival === undefined) return true;
  if (rival.state === 'Established') {
    // RFC 4724 5: a peer that does graceful restart has lost the old connection. We wait for its OPEN before we believe it.
    if ((rival.negotiated.gracefulRestart?.families.length ?? 0) > 0) {
      turn.drop(rival, { reason: 'the peer restarted and opened a new connection', loss: 'tcp' });
      return true;
    }
    turn.dumpCollision(connection);
    return false;
  }
  const [older, newer] = rival.id < connection.id ? [rival, connection] : [connection, rival];
  const { config } = turn.session;
  const kept = survivor(older.direction, newer.direction, {
    localRouterId: config.routerId,
    peerRouterId: negotiated.peerRouterId,
    localAs: config.localAs,
    peerAs: config.peerAs,
  });
  const loser = kept === 'older' ? newer : older;
  turn.dumpCollision(loser);
  return loser.id !== connection.id;
}

/** OpenConfirm, event 26. */
function established(turn: Turn, _event: EventOf<'KeepAliveMsg'>, connection: Connection | undefined): void {
  if (connection?.state === 'OpenConfirm') establish(turn, connection);
}

function establish(turn: Turn, connection: NegotiatedConnection): void {
  if (establishedConnection(turn.session) !== undefined) {
    turn.dumpCollision(connection);
    return;
  }
  const { session } = turn;
  const { negotiated } = connection;
  turn.replace({ ...connection, state: 'Established' });
  restartHold(turn, connection);
  turn.startOn(connection.id, 'send-hold', Math.max(SEND_HOLD_MIN_MS, 2000 * negotiated.holdTimeSec), false);
  session.establishedAt = turn.now;
  session.dialFailures = 0;
  turn.noteEstablished(negotiated.context.families);
  turn.actions.push({ type: 'session-up', connection: connection.id, negotiated });
  awaitEndOfRib(turn, negotiated);
}

/** Established, events 26: the peer is alive. */
function alive(turn: Turn, _event: EventOf<'KeepAliveMsg'>, connection: Connection | undefined): void {
  if (connection !== undefined && connection.state !== 'OpenSent') restartHold(turn, connection);
}

/** Established, event 27 and ROUTE-REFRESH: the peer is alive, and its message counts. */
function deliver(turn: Turn, _event: unknown, connection: Connection | undefined): void {
  if (connection === undefined || connection.state === 'OpenSent') return;
  restartHold(turn, connection);
  turn.actions.push({ type: 'deliver', connection: connection.id });
}

/** The peer has sent all that it has of a family (RFC 4724 2). */
function endOfRib(turn: Turn, event: EventOf<'EndOfRib'>): void {
  synchronized(turn, event.family);
}

// --- pieces of cells -----------------------------------------------------------------------------------------------------

function restartHold(turn: Turn, connection: NegotiatedConnection): void {
  const { holdTimeSec } = connection.negotiated;
  if (holdTimeSec > 0) turn.startOn(connection.id, 'hold', holdTimeSec * 1000, false);
}

function startKeepalive(turn: Turn, connection: NegotiatedConnection): void {
  const { keepaliveTimeSec } = connection.negotiated;
  if (keepaliveTimeSec > 0) turn.startOn(connection.id, 'keepalive', keepaliveTimeSec * 1000, true);
}

/** RFC 5492 5: the capabilities that the peer would have had to offer, in wire form. */
function offeredCapabilities(connection: Connection): Uint8Array {
  const data: number[] = [];
  for (const capability of connection.sentOpen.capabilities) {
    if (capability.kind !== 'multiprotocol') continue;
    data.push(1, 4, capability.afi >> 8, capability.afi & 0xff, 0, capability.safi);
  }
  return Uint8Array.from(data);
}

// --- rows ----------------------------------------------------------------------------------------------------------------

/** No connection is there that these events could be about. */
const WITHOUT_CONNECTION = {
  HoldTimer_Expires: ignore,
  KeepaliveTimer_Expires: ignore,
  SendHoldTimer_Expires: ignore,
  BGPOpen: ignore,
  BGPHeaderErr: ignore,
  BGPOpenMsgErr: ignore,
  OpenCollisionDump: ignore,
  NotifMsgVerErr: ignore,
  NotifMsg: ignore,
  KeepAliveMsg: ignore,
  UpdateMsg: ignore,
  UpdateMsgErr: ignore,
  EndOfRib: ignore,
  RouteRefreshMsg: ignore,
  RouteRefreshMsgErr: ignore,
} as const;

/** What holds in every state but Idle. */
const RUNNING = {
  ManualStart: ignore,
  ManualStop: manualStop,
  AutomaticStart: ignore,
  AutomaticStop: automaticStop,
  IdleHoldTimer_Expires: ignore,
  BfdUp: bfdUp,
  BfdDown: bfdDown,
  BfdAdminDown: bfdAdminDown,
  RestartTimer_Expires: restartTimeOver,
  StaleTimer_Expires: staleTimeOver,
  StaleForgotten: forgetStale,
  LongLivedTimer_Expires: longLivedTimeOver,
} as const;

/** What holds in every state that has a connection. */
const CONNECTED = {
  ...RUNNING,
  ConnectRetryTimer_Expires: dialAgainBeside,
  Tcp_CR_Acked: dialled,
  TcpConnectionConfirmed: acceptedBeside,
  HoldTimer_Expires: holdExpired,
  BGPHeaderErr: badMessage,
  BGPOpenMsgErr: badMessage,
  UpdateMsgErr: badMessage,
  RouteRefreshMsgErr: badMessage,
  OpenCollisionDump: collisionDump,
  NotifMsg: notified,
} as const;

/** The whole machine. */
export const TABLE: Readonly<Record<FsmState, Row>> = {
  Idle: {
    ...WITHOUT_CONNECTION,
    ManualStart: manualStart,
    ManualStop: manualStop,
    AutomaticStart: startAgain,
    AutomaticStop: ignore,
    ConnectRetryTimer_Expires: ignore,
    IdleHoldTimer_Expires: startAgain,
    Tcp_CR_Acked: dialledWhileIdle,
    TcpConnectionConfirmed: acceptedWhileIdle,
    TcpConnectionFails: parkedLost,
    BfdUp: bfdUp,
    BfdDown: bfdDown,
    BfdAdminDown: bfdAdminDown,
    RestartTimer_Expires: restartTimeOver,
    StaleTimer_Expires: staleTimeOver,
    StaleForgotten: forgetStale,
    LongLivedTimer_Expires: longLivedTimeOver,
  },
  Connect: {
    ...WITHOUT_CONNECTION,
    ...RUNNING,
    ConnectRetryTimer_Expires: dialAgain,
    Tcp_CR_Acked: dialled,
    TcpConnectionConfirmed: accepted,
    TcpConnectionFails: dialFailed,
  },
  Active: {
    ...WITHOUT_CONNECTION,
    ...RUNNING,
    ConnectRetryTimer_Expires: dialAgain,
    Tcp_CR_Acked: dialled,
    TcpConnectionConfirmed: accepted,
    TcpConnectionFails: dialFailed,
  },
  OpenSent: {
    ...CONNECTED,
    TcpConnectionFails: lostInOpenSent,
    KeepaliveTimer_Expires: ignore,
    SendHoldTimer_Expires: ignore,
    BGPOpen: openReceived,
    NotifMsgVerErr: notifiedVersion,
    KeepAliveMsg: keepaliveInOpenSent,
    UpdateMsg: unexpected('UPDATE', MESSAGE_TYPE.update),
    EndOfRib: ignore,
    RouteRefreshMsg: unexpected('ROUTE-REFRESH', MESSAGE_TYPE.routeRefresh),
  },
  OpenConfirm: {
    ...CONNECTED,
    TcpConnectionFails: lost,
    KeepaliveTimer_Expires: sendKeepalive,
    SendHoldTimer_Expires: ignore,
    BGPOpen: unexpected('OPEN', MESSAGE_TYPE.open),
    NotifMsgVerErr: notifiedVersion,
    KeepAliveMsg: established,
    UpdateMsg: unexpected('UPDATE', MESSAGE_TYPE.update),
    EndOfRib: ignore,
    RouteRefreshMsg: unexpected('ROUTE-REFRESH', MESSAGE_TYPE.routeRefresh),
  },
  Established: {
    ...CONNECTED,
    OpenCollisionDump: dumpEstablished,
    TcpConnectionFails: lost,
    KeepaliveTimer_Expires: sendKeepalive,
    SendHoldTimer_Expires: sendHoldExpired,
    BGPOpen: unexpected('OPEN', MESSAGE_TYPE.open),
    NotifMsgVerErr: notified,
    KeepAliveMsg: alive,
    UpdateMsg: deliver,
    EndOfRib: endOfRib,
    RouteRefreshMsg: deliver,
  },
};
