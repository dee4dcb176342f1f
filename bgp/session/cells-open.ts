/** Cells of the session table from the peer's OPEN to the established session: what was agreed, collisions, the wait for BFD. */
import { notification } from '../wire/notification.ts';
import { openAs, validateOpen } from '../wire/open.ts';
import { ERROR, MESSAGE_TYPE, OPEN_ERROR } from '../wire/registry.ts';
import { restartHold, startKeepalive } from './cells-messages.ts';
import { type CollisionParties, localSideWins, survivor } from './collision.ts';
import type { ConnectionId, EventOf } from './events.ts';
import { type Negotiated, negotiate } from './negotiate.ts';
import { awaitEndOfRib } from './stale-routes.ts';
import { type Connection, establishedConnection, type NegotiatedConnection } from './state.ts';
import type { Turn } from './turn.ts';

/** draft-ietf-idr-bgp-bfd-strict-mode 3: for how long to wait for BFD where the hold time is 0. */
const BFD_HOLD_MS = 30_000;
/** RFC 9687 4: the greater of 8 minutes and twice the hold time. */
const SEND_HOLD_MIN_MS = 480_000;
/** For how long after a session came up the OPEN of a connection that lost against it may still come. */
const COLLISION_MS = 5_000;

/** OpenSent, event 19. */
export function openReceived(
  turn: Turn,
  event: EventOf<'BGPOpen'>,
  connection: Connection | undefined,
): void {
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
  // A dial of ours may be a connection to the peer already. Where ours wins, the peer drops this one as soon as it sees the other, so that has to go on.
  if (!localSideWins(partiesOf(turn, negotiated))) turn.cancelDial();
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
export function keepaliveInOpenSent(
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

export function bfdDown(turn: Turn): void {
  turn.session.bfd = 'down';
}

export function bfdUp(turn: Turn): void {
  turn.session.bfd = 'up';
  goOnWithoutBfd(turn);
}

export function bfdAdminDown(turn: Turn): void {
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
    // RFC 4724 5: a peer that does graceful restart has lost the old connection. We wait for its OPEN before we believe it, and do not if that
    // comes so soon that it is what was left of a collision.
    const age = turn.now - (turn.session.establishedAt ?? turn.now);
    if (age >= COLLISION_MS && (rival.negotiated.gracefulRestart?.families.length ?? 0) > 0) {
      turn.drop(rival, { reason: 'the peer restarted and opened a new connection', loss: 'tcp' });
      return true;
    }
    turn.dumpCollision(connection);
    return false;
  }
  const [older, newer] = rival.id < connection.id ? [rival, connection] : [connection, rival];
  const kept = survivor(older.direction, newer.direction, partiesOf(turn, negotiated));
  const loser = kept === 'older' ? newer : older;
  turn.dumpCollision(loser);
  return loser.id !== connection.id;
}

function partiesOf({ session: { config } }: Turn, { peerRouterId }: Negotiated): CollisionParties {
  const { routerId: localRouterId, localAs, peerAs } = config;
  return { localRouterId, peerRouterId, localAs, peerAs };
}

/** OpenConfirm, event 26. */
export function established(
  turn: Turn,
  _event: EventOf<'KeepAliveMsg'>,
  connection: Connection | undefined,
): void {
  if (connection?.state === 'OpenConfirm') establish(turn, connection);
}

function establish(turn: Turn, connection: NegotiatedConnection): void {
  if (establishedConnection(turn.session) !== undefined) {
    turn.dumpCollision(connection);
    return;
  }
  turn.cancelDial();
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

/** RFC 5492 5: the capabilities that the peer would have had to offer, in wire form. */
function offeredCapabilities(connection: Connection): Uint8Array {
  const data: number[] = [];
  for (const capability of connection.sentOpen.capabilities) {
    if (capability.kind !== 'multiprotocol') continue;
    data.push(1, 4, capability.afi >> 8, capability.afi & 0xff, 0, capability.safi);
  }
  return Uint8Array.from(data);
}
