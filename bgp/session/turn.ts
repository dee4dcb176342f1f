/**
 * One step in the making: the session being replaced, and the actions so far. What the cells of the table have in common
 * lives here: opening, dropping, falling back to Idle or Active.
 */
import { FAMILIES } from '../../src/net/address.ts';
import { notification } from '../wire/notification.ts';
import { CEASE, ERROR, FSM_ERROR } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';
import type { Direction } from './collision.ts';
import type { Action, ConnectionId, ConnectionTimer, PeerTimer } from './events.ts';
import { asSent, type Loss, staleTimes } from './graceful-restart.ts';
import { buildOpen } from './negotiate.ts';
import { becomeStale } from './stale-routes.ts';
import type { Connection, Session } from './state.ts';

/** RFC 4271 8.2.2: the hold timer's "large value" while waiting for an OPEN. */
const OPEN_HOLD_MS = 240_000;
const IDLE_HOLD_BASE_MS = 1_000;
const IDLE_HOLD_MAX_MS = 60_000;
/** A session that lasted this long clears the failures before it. */
const STABLE_MS = 300_000;

type Draft = { -readonly [K in keyof Session]: Session[K] };

/** Why a connection is dropped, and what that means for what comes next. */
export interface Drop {
  readonly reason: string;
  /** NOTIFICATION to send */
  readonly send?: NotificationError | undefined;
  /** NOTIFICATION that was received */
  readonly received?: NotificationError;
  readonly loss: Loss;
}

export class Turn {
  readonly session: Draft;
  readonly actions: Action[] = [];
  readonly now: number;

  constructor(session: Session, now: number) {
    this.session = { ...session };
    this.now = now;
  }

  // --- starting --------------------------------------------------------------------------------------------------------

  /**
   * Leaves Idle: dials, or waits if the peer is passive, and takes up a connection that came in meanwhile. While the link carries nothing that
   * has to wait.
   */
  begin(): void {
    this.stop('idle-hold');
    if (this.session.linkDown !== undefined) {
      this.session.linkDown = { ...this.session.linkDown, resumes: true };
      return;
    }
    this.session.base = 'Active';
    if (!this.session.config.passive) this.dial();
    const parked = this.session.parked;
    this.session.parked = undefined;
    if (parked !== undefined) this.open(parked, 'incoming');
  }

  /** Starts a dial; ConnectRetry bounds it. */
  dial(): void {
    this.session.base = 'Connect';
    this.actions.push({ type: 'dial' });
    this.startConnectRetry();
  }

  /** Waits before the next dial; a passive peer just waits. */
  startConnectRetry(): void {
    const { connectRetrySec, connectRetryMaxSec } = this.session.config;
    const seconds = connectRetrySec * 2 ** Math.min(this.session.dialFailures, 16);
    this.start('connect-retry', Math.min(seconds, connectRetryMaxSec) * 1000, true);
  }

  /** Gives up the dial under way, if there is one. */
  cancelDial(): void {
    if (this.session.base !== 'Connect') return;
    this.actions.push({ type: 'cancel-dial' });
    this.session.base = 'Active';
    this.stop('connect-retry');
  }

  /** A TCP connection is up: sends our OPEN and waits for theirs. */
  open(id: ConnectionId, direction: Direction): void {
    const { session } = this;
    if (direction === 'outgoing') session.base = 'Active';
    if (session.base === 'Active') this.stop('connect-retry');
    const { restart, established } = session;
    const sentOpen = buildOpen(session.config, {
      restarting: restart.restarting,
      forwarding: {
        ipv4: restart.forwarding.ipv4 || established.ipv4,
        ipv6: restart.forwarding.ipv6 || established.ipv6,
      },
    });
    session.connections = [...session.connections, { id, direction, state: 'OpenSent', sentOpen }];
    this.actions.push({ type: 'send-open', connection: id, open: sentOpen });
    this.startOn(id, 'hold', OPEN_HOLD_MS, false);
  }

  // --- ending ----------------------------------------------------------------------------------------------------------

  /**
   * Drops a connection and all that hangs on it. What the peer does next is the caller's to say: `fail`, `retry`, or nothing when another
   * connection carries on.
   */
  drop(connection: Connection, drop: Drop): void {
    const { session } = this;
    session.connections = session.connections.filter(({ id }) => id !== connection.id);
    if (connection.state === 'OpenSent') this.stopOn(connection.id, 'hold');
    else for (const timer of ['hold', 'keepalive', 'send-hold'] as const) this.stopOn(connection.id, timer);
    const send = drop.send && asSent(drop.send, connection);
    session.lastReset = {
      at: this.now,
      direction: send !== undefined ? 'sent' : drop.received !== undefined ? 'received' : 'none',
      error: send ?? drop.received,
      reason: drop.reason,
    };
    this.actions.push({
      type: 'close',
      connection: connection.id,
      error: send,
      reason: drop.reason,
    });
    if (connection.state !== 'Established') return;

    if (session.establishedAt !== undefined && this.now - session.establishedAt >= STABLE_MS) {
      session.failures = 0;
    }
    session.establishedAt = undefined;
    const times = staleTimes(session.config, connection.negotiated, drop.loss, send ?? drop.received);
    becomeStale(this, times, drop.reason);
  }

  /** Drops a connection through an error: IdleHold, unless another connection is still there. */
  fail(connection: Connection, drop: Drop): void {
    this.drop(connection, drop);
    this.session.failures += 1;
    if (this.session.connections.length === 0) this.enterIdleHold();
  }

  /** As `fail`, for errors that do not lengthen IdleHold. */
  failUncounted(connection: Connection, drop: Drop): void {
    this.drop(connection, drop);
    if (this.session.connections.length === 0) this.enterIdleHold();
  }

  /** Sends a NOTIFICATION and fails. */
  failWith(connection: Connection, error: NotificationError, reason: string): void {
    this.fail(connection, { reason, send: error, loss: 'notification-sent' });
  }

  /** A message that this state does not expect: RFC 6608 3, the data are the type of the message. */
  failUnexpected(connection: Connection, what: string, messageType: number): void {
    const subcode = {
      OpenSent: FSM_ERROR.openSent,
      OpenConfirm: FSM_ERROR.openConfirm,
      Established: FSM_ERROR.established,
    }[connection.state];
    const error = notification(ERROR.finiteStateMachine, subcode, Uint8Array.of(messageType));
    this.failWith(connection, error, `${what} in state ${connection.state}`);
  }

  /** Drops a connection without holding it against the peer: dials again later. */
  retry(connection: Connection, drop: Drop): void {
    this.drop(connection, drop);
    this.resume();
  }

  /** Goes on looking for a connection when none is left and no dial is under way. */
  resume(): void {
    const { session } = this;
    if (session.connections.length > 0 || session.base !== 'Active') return;
    session.dialFailures += 1;
    if (!session.config.passive) this.startConnectRetry();
  }

  /** Idle until IdleHold ends: 1 s after the first failure, then doubling to 60 s. */
  enterIdleHold(): void {
    this.toIdle();
    const delayMs = IDLE_HOLD_BASE_MS * 2 ** Math.min(Math.max(this.session.failures - 1, 0), 16);
    this.start('idle-hold', Math.min(delayMs, IDLE_HOLD_MAX_MS), true);
  }

  /** Idle for a while, or until somebody starts the peer again (RFC 4486 4). */
  stayIdle(idle: number | 'until-started'): void {
    this.toIdle();
    if (idle === 'until-started') this.session.admin = 'down';
    else this.start('idle-hold', idle, false);
  }

  /** Idle with no timer but those of graceful restart. */
  toIdle(): void {
    if (this.session.base === 'Connect') this.cancelDial();
    else if (this.session.base === 'Active') this.stop('connect-retry');
    this.session.base = 'Idle';
  }

  /** Drops every connection. */
  dropAll(drop: Drop): void {
    for (const connection of this.session.connections) this.drop(connection, drop);
    if (this.session.parked !== undefined) {
      this.actions.push({
        type: 'close',
        connection: this.session.parked,
        error: undefined,
        reason: drop.reason,
      });
      this.session.parked = undefined;
    }
  }

  /** Closes a connection that never was the machine's. */
  refuse(id: ConnectionId, subcode: number, reason: string): void {
    this.actions.push({
      type: 'close',
      connection: id,
      error: notification(ERROR.cease, subcode),
      reason,
    });
  }

  /** The loser of a collision goes; nobody is to blame. */
  dumpCollision(connection: Connection): void {
    this.retry(connection, {
      reason: 'connection collision',
      send: notification(ERROR.cease, CEASE.connectionCollision),
      loss: 'notification-sent',
    });
  }

  /** Of several AS numbers that the peer may have, the one in its OPEN is it; any other is left to `validateOpen`. */
  learnAs(as: number): void {
    const { config } = this.session;
    const { acceptedAs } = config;
    if (acceptedAs === undefined || as === 0) return;
    const accepted = acceptedAs === 'external' ? as !== config.localAs : acceptedAs.includes(as);
    if (accepted) this.session.config = { ...config, peerAs: as };
  }

  // --- pieces ----------------------------------------------------------------------------------------------------------

  /** Puts a connection's next state in its place. */
  replace(connection: Connection): void {
    this.session.connections = this.session.connections.map((other) =>
      other.id === connection.id ? connection : other,
    );
  }

  /** Notes which families have been up. */
  noteEstablished(families: Readonly<Record<'ipv4' | 'ipv6', boolean>>): void {
    const established = { ...this.session.established };
    for (const family of FAMILIES) if (families[family]) established[family] = true;
    this.session.established = established;
  }

  start(timer: PeerTimer, delayMs: number, jitter: boolean): void {
    this.actions.push({ type: 'start-timer', timer, delayMs, jitter });
  }

  stop(timer: PeerTimer): void {
    this.actions.push({ type: 'stop-timer', timer });
  }

  startOn(connection: ConnectionId, timer: ConnectionTimer, delayMs: number, jitter: boolean): void {
    this.actions.push({ type: 'start-connection-timer', timer, connection, delayMs, jitter });
  }

  stopOn(connection: ConnectionId, timer: ConnectionTimer): void {
    this.actions.push({ type: 'stop-connection-timer', timer, connection });
  }
}
