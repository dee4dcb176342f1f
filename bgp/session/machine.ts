/** The session machine: `step` is total, pure and never throws. */
import type { Action, EventName, EventOf, SessionEvent } from './events.ts';
import type { RestartFlags, SessionConfig } from './negotiate.ts';
import { type Connection, connectionById, fsmState, type Session } from './state.ts';
import { type Row, TABLE } from './table.ts';
import { Turn } from './turn.ts';

/** What came of an event. */
export interface Step {
  readonly state: Session;
  readonly actions: readonly Action[];
}

/**
 * Runs one event. `now` is in milliseconds of a clock that never goes back. An event of a connection that the machine has
 * already closed changes nothing.
 */
export function step(state: Session, event: SessionEvent, now: number): Step {
  const connection = connectionOf(state, event);
  if (connection === undefined && namesLostConnection(state, event)) return { state, actions: [] };
  const turn = new Turn(state, now);
  run(TABLE[connection?.state ?? fsmState(state)], turn, event, connection);
  return { state: turn.session, actions: turn.actions };
}

/**
 * Puts new settings into force without touching a session that is up: they count from the next dial or OPEN on. Which changes
 * need a reset is the caller's to know.
 */
export function reconfigure(state: Session, config: SessionConfig, restart: RestartFlags): Session {
  return { ...state, config, restart };
}

/** The session as if nothing had gone wrong with it before: the next wait in Idle is a short one. */
export function withoutFailures(state: Session): Session {
  return { ...state, failures: 0 };
}

function run<N extends EventName>(
  row: Row,
  turn: Turn,
  event: EventOf<N>,
  connection: Connection | undefined,
): void {
  row[event.type](turn, event, connection);
}

function connectionOf(state: Session, event: SessionEvent): Connection | undefined {
  if (!('connection' in event) || event.connection === undefined) return undefined;
  return connectionById(state, event.connection);
}

/** Whether the event is about a connection that is neither new, nor the dial, nor parked: one that is gone. */
function namesLostConnection(state: Session, event: SessionEvent): boolean {
  if (event.type === 'Tcp_CR_Acked' || event.type === 'TcpConnectionConfirmed') return false;
  if (!('connection' in event) || event.connection === undefined) return false;
  return event.connection !== state.parked;
}
