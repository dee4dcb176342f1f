/** Sessions in every state and events of every kind, and short texts for actions. */

import type { Action, EventName, FsmState, SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import { buildOpen, type RestartFlags, type SessionConfig } from '../../../../bgp/session/negotiate.ts';
import { initialSession, type Session } from '../../../../bgp/session/state.ts';
import { notification } from '../../../../bgp/wire/notification.ts';
import type { OpenMessage } from '../../../../bgp/wire/types.ts';

export const CONFIG: SessionConfig = {
  localAs: 65001,
  peerAs: 65002,
  routerId: 0x0a000001,
  passive: false,
  holdTimeSec: 90,
  connectRetrySec: 5,
  connectRetryMaxSec: 30,
  families: ['ipv4', 'ipv6'],
  gracefulRestart: { restartTimeSec: 120, maxHelperTimeSec: 180 },
};

export const FRESH: RestartFlags = { restarting: false, forwarding: { ipv4: false, ipv6: false } };

/** The peer's OPEN; by default the mirror image of CONFIG without graceful restart. */
export function peerOpen(changes: Partial<SessionConfig> = {}, flags: RestartFlags = FRESH): OpenMessage {
  return buildOpen(
    {
      ...CONFIG,
      localAs: 65002,
      peerAs: 65001,
      routerId: 0x0a000002,
      gracefulRestart: undefined,
      ...changes,
    },
    flags,
  );
}

/** Runs events one second apart. */
export function runAll(session: Session, ...events: readonly SessionEvent[]): Session {
  let state = session;
  let now = 0;
  for (const event of events) {
    now += 1000;
    state = step(state, event, now).state;
  }
  return state;
}

/** A session whose connection 1, opened by us, is in the given state. */
export function sessionIn(state: FsmState, config: SessionConfig = CONFIG, open = peerOpen()): Session {
  const idle = initialSession(config, FRESH);
  const start: SessionEvent = { type: 'ManualStart' };
  const dialFailed: SessionEvent = { type: 'TcpConnectionFails', connection: undefined, reason: 'refused' };
  const up: SessionEvent = { type: 'Tcp_CR_Acked', connection: 1 };
  const opened: SessionEvent = { type: 'BGPOpen', connection: 1, open };
  const alive: SessionEvent = { type: 'KeepAliveMsg', connection: 1 };
  switch (state) {
    case 'Idle':
      return runAll(idle, start, up, opened, alive, {
        type: 'AutomaticStop',
        error: notification(6, 4),
        reason: 'test',
      });
    case 'Connect':
      return runAll(idle, start);
    case 'Active':
      return runAll(idle, start, dialFailed);
    case 'OpenSent':
      return runAll(idle, start, up);
    case 'OpenConfirm':
      return runAll(idle, start, up, opened);
    case 'Established':
      return runAll(idle, start, up, opened, alive);
  }
}

/** One event of each kind, about connection 1 where it is about one; new connections are number 2. */
export const EVENTS: { readonly [N in EventName]: Extract<SessionEvent, { type: N }> } = {
  ManualStart: { type: 'ManualStart' },
  ManualStop: { type: 'ManualStop', text: 'maintenance' },
  AutomaticStart: { type: 'AutomaticStart' },
  AutomaticStop: { type: 'AutomaticStop', error: notification(6, 4), reason: 'administratively reset' },
  ConnectRetryTimer_Expires: { type: 'ConnectRetryTimer_Expires' },
  HoldTimer_Expires: { type: 'HoldTimer_Expires', connection: 1 },
  KeepaliveTimer_Expires: { type: 'KeepaliveTimer_Expires', connection: 1 },
  IdleHoldTimer_Expires: { type: 'IdleHoldTimer_Expires' },
  Tcp_CR_Acked: { type: 'Tcp_CR_Acked', connection: 2 },
  TcpConnectionConfirmed: { type: 'TcpConnectionConfirmed', connection: 2 },
  TcpConnectionFails: { type: 'TcpConnectionFails', connection: 1, reason: 'reset by peer' },
  BGPOpen: { type: 'BGPOpen', connection: 1, open: peerOpen() },
  BGPHeaderErr: { type: 'BGPHeaderErr', connection: 1, error: notification(1, 1), reason: 'marker' },
  BGPOpenMsgErr: { type: 'BGPOpenMsgErr', connection: 1, error: notification(2, 2), reason: 'AS' },
  OpenCollisionDump: { type: 'OpenCollisionDump', connection: 1 },
  NotifMsgVerErr: { type: 'NotifMsgVerErr', connection: 1, error: notification(2, 1) },
  NotifMsg: { type: 'NotifMsg', connection: 1, error: notification(6, 2) },
  KeepAliveMsg: { type: 'KeepAliveMsg', connection: 1 },
  UpdateMsg: { type: 'UpdateMsg', connection: 1 },
  UpdateMsgErr: { type: 'UpdateMsgErr', connection: 1, error: notification(3, 1), reason: 'list' },
  SendHoldTimer_Expires: { type: 'SendHoldTimer_Expires', connection: 1 },
  BfdUp: { type: 'BfdUp' },
  BfdDown: { type: 'BfdDown' },
  BfdAdminDown: { type: 'BfdAdminDown' },
  LinkFails: { type: 'LinkFails', reason: 'link eth0 is down: no carrier' },
  LinkRecovers: { type: 'LinkRecovers' },
  RouteRefreshMsg: { type: 'RouteRefreshMsg', connection: 1 },
  RouteRefreshMsgErr: {
    type: 'RouteRefreshMsgErr',
    connection: 1,
    error: notification(7, 1),
    reason: 'length',
  },
  RestartTimer_Expires: { type: 'RestartTimer_Expires' },
  StaleTimer_Expires: { type: 'StaleTimer_Expires' },
  StaleForgotten: { type: 'StaleForgotten' },
  EndOfRib: { type: 'EndOfRib', family: 'ipv4' },
  LongLivedTimer_Expires: { type: 'LongLivedTimer_Expires' },
};

/** `+hold#1 90s`, `-hold#1`, `close#1 6/2`, `dial`, `up#1`, `down keep ipv4`. `~` marks jitter. */
export function actionText(action: Action): string {
  switch (action.type) {
    case 'start-timer':
      return `+${action.timer} ${action.delayMs / 1000}s${action.jitter ? '~' : ''}`;
    case 'stop-timer':
      return `-${action.timer}`;
    case 'start-connection-timer':
      return `+${action.timer}#${action.connection} ${action.delayMs / 1000}s${action.jitter ? '~' : ''}`;
    case 'stop-connection-timer':
      return `-${action.timer}#${action.connection}`;
    case 'close':
      return `close#${action.connection}${action.error ? ` ${action.error.code}/${action.error.subcode}` : ''}`;
    case 'send-open':
    case 'send-keepalive':
    case 'deliver':
      return `${action.type}#${action.connection}`;
    case 'session-up':
      return `up#${action.connection}`;
    case 'session-down':
      return ['down', ...action.keepStale].join(' ');
    case 'begin-long-lived':
      return ['long-lived', ...action.families].join(' ');
    case 'purge-stale':
      return ['purge', ...action.families].join(' ');
    case 'dial':
    case 'cancel-dial':
      return action.type;
  }
}
