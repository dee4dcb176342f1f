/**
 * The state machine of RFC 4271 8.2.2 as a table: for every state a cell for every event. `Idle`, `Connect` and `Active` are the peer's
 * states while it has no connection that has sent its OPEN; the other three are those of one connection. An event that names a connection
 * is looked up in that connection's row, any other in the row of the most advanced one.
 *
 * Where the field's practice is better than the letter, the cell says so. Timers that a state has stopped cannot expire in it; if their
 * event was under way it is ignored instead of being answered as an FSM error.
 */
import { MESSAGE_TYPE } from '../wire/registry.ts';
import { linkFails, linkFailsWhileIdle, linkRecovers } from './cells-link.ts';
import {
  alive,
  badMessage,
  collisionDump,
  deliver,
  dumpEstablished,
  endOfRib,
  holdExpired,
  notified,
  notifiedVersion,
  sendHoldExpired,
  sendKeepalive,
  unexpected,
} from './cells-messages.ts';
import {
  bfdAdminDown,
  bfdDown,
  bfdUp,
  established,
  keepaliveInOpenSent,
  openReceived,
} from './cells-open.ts';
import {
  accepted,
  acceptedBeside,
  acceptedWhileIdle,
  automaticStop,
  dialAgain,
  dialAgainBeside,
  dialFailed,
  dialled,
  dialledWhileIdle,
  lost,
  lostInOpenSent,
  manualStart,
  manualStop,
  parkedLost,
  startAgain,
} from './cells-search.ts';
import type { EventName, EventOf, FsmState } from './events.ts';
import { forgetStale, longLivedTimeOver, restartTimeOver, staleTimeOver } from './stale-routes.ts';
import type { Connection } from './state.ts';
import type { Turn } from './turn.ts';

/** What a cell does. `connection` is the one that the event names, if it names one. */
export type Cell<N extends EventName> = (
  turn: Turn,
  event: EventOf<N>,
  connection: Connection | undefined,
) => void;

/** A cell for every event. */
export type Row = { readonly [N in EventName]: Cell<N> };

const ignore = (): void => {};

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
  LinkFails: linkFails,
  LinkRecovers: linkRecovers,
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
  OpenCollisionDump: collisionDump,
  NotifMsg: notified,
} as const;

/**
 * The whole machine. A message that its state does not expect is a state machine error whatever else is wrong with it, as the verdict of
 * bgp/wire/verdict.ts has it.
 */
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
    LinkFails: linkFailsWhileIdle,
    LinkRecovers: linkRecovers,
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
    BGPOpenMsgErr: badMessage,
    NotifMsgVerErr: notifiedVersion,
    KeepAliveMsg: keepaliveInOpenSent,
    UpdateMsg: unexpected('UPDATE', MESSAGE_TYPE.update),
    UpdateMsgErr: unexpected('UPDATE', MESSAGE_TYPE.update),
    EndOfRib: ignore,
    RouteRefreshMsg: unexpected('ROUTE-REFRESH', MESSAGE_TYPE.routeRefresh),
    RouteRefreshMsgErr: unexpected('ROUTE-REFRESH', MESSAGE_TYPE.routeRefresh),
  },
  OpenConfirm: {
    ...CONNECTED,
    TcpConnectionFails: lost,
    KeepaliveTimer_Expires: sendKeepalive,
    SendHoldTimer_Expires: ignore,
    BGPOpen: unexpected('OPEN', MESSAGE_TYPE.open),
    BGPOpenMsgErr: unexpected('OPEN', MESSAGE_TYPE.open),
    NotifMsgVerErr: notifiedVersion,
    KeepAliveMsg: established,
    UpdateMsg: unexpected('UPDATE', MESSAGE_TYPE.update),
    UpdateMsgErr: unexpected('UPDATE', MESSAGE_TYPE.update),
    EndOfRib: ignore,
    RouteRefreshMsg: unexpected('ROUTE-REFRESH', MESSAGE_TYPE.routeRefresh),
    RouteRefreshMsgErr: unexpected('ROUTE-REFRESH', MESSAGE_TYPE.routeRefresh),
  },
  Established: {
    ...CONNECTED,
    OpenCollisionDump: dumpEstablished,
    TcpConnectionFails: lost,
    KeepaliveTimer_Expires: sendKeepalive,
    SendHoldTimer_Expires: sendHoldExpired,
    BGPOpen: unexpected('OPEN', MESSAGE_TYPE.open),
    BGPOpenMsgErr: unexpected('OPEN', MESSAGE_TYPE.open),
    NotifMsgVerErr: notified,
    KeepAliveMsg: alive,
    UpdateMsg: deliver,
    UpdateMsgErr: badMessage,
    EndOfRib: endOfRib,
    RouteRefreshMsg: deliver,
    RouteRefreshMsgErr: badMessage,
  },
};
