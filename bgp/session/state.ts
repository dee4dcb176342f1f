/**
 * The state of one peer's session: a value that `step` replaces. A peer has at most two TCP connections past the handshake
 * (RFC 4271 6.8), each with a state of its own; `base` is the state of the search for one.
 */
import type { Family } from '../../src/net/address.ts';
import type { SessionState } from '../types.ts';
import type { NotificationError, OpenMessage, PerFamily } from '../wire/types.ts';
import type { Direction } from './collision.ts';
import { type ConnectionId, FSM_STATES, type FsmState } from './events.ts';
import type { Negotiated, RestartFlags, SessionConfig } from './negotiate.ts';

interface ConnectionBase {
  readonly id: ConnectionId;
  readonly direction: Direction;
  readonly sentOpen: OpenMessage;
}

export interface OpenSentConnection extends ConnectionBase {
  readonly state: 'OpenSent';
  /**
   * The peer's OPEN was good, and both sides hold the session back until BFD is up (draft-ietf-idr-bgp-bfd-strict-mode 8.1). `confirmed`: the peer
   * saw it up already and sent its KEEPALIVE
   */
  readonly awaitsBfd?: { readonly negotiated: Negotiated; readonly confirmed: boolean };
}

/** The peer's OPEN was good. */
export interface NegotiatedConnection extends ConnectionBase {
  readonly state: 'OpenConfirm' | 'Established';
  readonly negotiated: Negotiated;
}

export type Connection = OpenSentConnection | NegotiatedConnection;

/** Why the last connection that had sent its OPEN came to an end. */
export interface ResetRecord {
  /** milliseconds of the machine's clock */
  readonly at: number;
  /** which way the NOTIFICATION went */
  readonly direction: 'sent' | 'received' | 'none';
  readonly error: NotificationError | undefined;
  readonly reason: string;
}

/**
 * A stale family that may outlive the restart time, or does. Once its time runs it is neither stopped nor changed until the peer has sent all of
 * the family again (RFC 9494 4.2), over however many sessions.
 */
export interface LongLivedStale {
  readonly family: Family;
  readonly seconds: number;
  /** machine's clock, ms; undefined: the restart time is not over yet */
  readonly until: number | undefined;
}

export interface Session {
  readonly config: SessionConfig;
  readonly restart: RestartFlags;
  readonly admin: 'up' | 'down';
  /** `Connect` while a dial is under way; `Active` while waiting to dial again, to be dialled, or for nothing as a connection is there */
  readonly base: 'Idle' | 'Connect' | 'Active';
  /** oldest first, two at most, one of them Established at most */
  readonly connections: readonly Connection[];
  /** came in while IdleHold ran: taken up when it ends, so that the peer need not wait for its own next dial */
  readonly parked: ConnectionId | undefined;
  /** RFC 4271's ConnectRetryCounter: failures that lengthen IdleHold, forgotten after 5 minutes up */
  readonly failures: number;
  /** dials since the last Established, which lengthen ConnectRetry */
  readonly dialFailures: number;
  /** milliseconds of the machine's clock */
  readonly establishedAt: number | undefined;
  /** families whose routes are kept though their session is gone or not yet complete again */
  readonly stale: readonly Family[];
  /** RFC 9494: what the peer that is gone was promised, by family in seconds; of those under way, when they end (machine's clock, ms) */
  readonly longLived: readonly LongLivedStale[];
  /** families that were up before: our kernel has forwarded for them ever since (the F bit of later OPENs) */
  readonly established: PerFamily<boolean>;
  /** how the peer's BFD session is; `admin-down`: ended by one of the two sides on purpose */
  readonly bfd: 'up' | 'down' | 'admin-down';
  /**
   * The link that the session would run over carries nothing. `reason`: which and why; `resumes`: the session starts when it does again, as nothing
   * else keeps it Idle. undefined: it does, or nobody watches
   */
  readonly linkDown: { readonly reason: string; readonly resumes: boolean } | undefined;
  readonly lastReset: ResetRecord | undefined;
}

/** A peer that has not been started: Idle until ManualStart. */
export function initialSession(config: SessionConfig, restart: RestartFlags): Session {
  return {
    config,
    restart,
    admin: 'down',
    base: 'Idle',
    connections: [],
    parked: undefined,
    failures: 0,
    dialFailures: 0,
    establishedAt: undefined,
    stale: [],
    longLived: [],
    established: { ipv4: false, ipv6: false },
    bfd: 'down',
    linkDown: undefined,
    lastReset: undefined,
  };
}

/** The state of the most advanced connection, or of the search for one. */
export function fsmState(session: Session): FsmState {
  let best: FsmState = session.base;
  for (const { state } of session.connections) {
    if (FSM_STATES.indexOf(state) > FSM_STATES.indexOf(best)) best = state;
  }
  return best;
}

/** As `fsmState`, with the administrative stop told apart. */
export function sessionState(session: Session): SessionState {
  const state = fsmState(session);
  return state === 'Idle' && session.admin === 'down' ? 'Idle(Admin)' : state;
}

/** A connection by its id. A loop, as a closure for `find` would be an object a message. */
export function connectionById({ connections }: Session, id: ConnectionId): Connection | undefined {
  for (const connection of connections) if (connection.id === id) return connection;
  return undefined;
}

/** The established connection, if there is one. */
export function establishedConnection(session: Session): NegotiatedConnection | undefined {
  for (const connection of session.connections) {
    if (connection.state === 'Established') return connection;
  }
  return undefined;
}
