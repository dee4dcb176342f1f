/**
 * What enters the session machine and what leaves it: events by their RFC 4271 names, actions as plain values.
 * Timers are named, never held: whoever runs the machine starts and stops them.
 */
import type { Family } from '../../src/net/address.ts';
import type { NotificationError, OpenMessage } from '../wire/types.ts';
import type { Negotiated } from './negotiate.ts';

/** RFC 4271 8.2.2. */
export type FsmState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** All states, least advanced first. */
export const FSM_STATES: readonly FsmState[] = [
  'Idle',
  'Connect',
  'Active',
  'OpenSent',
  'OpenConfirm',
  'Established',
];

/** Names a TCP connection. Whoever runs the machine numbers them and never uses a number again for the same peer. */
export type ConnectionId = number;

interface OnConnection {
  readonly connection: ConnectionId;
}

interface WithError {
  readonly error: NotificationError;
  /** for people, without the decoded code */
  readonly reason: string;
}

/** Events and what they carry. Events 14 and 15 are the listener's: it alone knows which source addresses are peers. */
interface EventFields {
  /** 1, and 4 when the peer is passive */
  ManualStart: object;
  /** 2, with the text of RFC 9003 */
  ManualStop: { readonly text: string };
  /** 3, 5, 6 and 7: start again without waiting for IdleHold */
  AutomaticStart: object;
  /** 8: with the Cease to send, or undefined to close without one so that a graceful-restart helper keeps our routes */
  AutomaticStop: {
    readonly error: NotificationError | undefined;
    readonly reason: string;
    /** the peer stays away that long (RFC 4486 4), or until it is started by hand; undefined: IdleHold as after any failure */
    readonly idle?: number | 'until-started';
  };
  /** 9 */
  ConnectRetryTimer_Expires: object;
  /** 10 */
  HoldTimer_Expires: OnConnection;
  /** 11 */
  KeepaliveTimer_Expires: OnConnection;
  /** 13 */
  IdleHoldTimer_Expires: object;
  /** 16: our dial came up as this connection */
  Tcp_CR_Acked: OnConnection;
  /** 17: the peer's dial came in as this connection */
  TcpConnectionConfirmed: OnConnection;
  /** 18: of a connection, or of the dial under way when `connection` is undefined */
  TcpConnectionFails: { readonly connection: ConnectionId | undefined; readonly reason: string };
  /** 19 */
  BGPOpen: OnConnection & { readonly open: OpenMessage };
  /** 21 */
  BGPHeaderErr: OnConnection & WithError;
  /** 22 */
  BGPOpenMsgErr: OnConnection & WithError;
  /** 23 */
  OpenCollisionDump: OnConnection;
  /** 24 */
  NotifMsgVerErr: OnConnection & { readonly error: NotificationError };
  /** 25 */
  NotifMsg: OnConnection & { readonly error: NotificationError };
  /** 26 */
  KeepAliveMsg: OnConnection;
  /** 27 */
  UpdateMsg: OnConnection;
  /** RFC 4724 2: the peer has sent all that it has of a family in the session that is up */
  EndOfRib: { readonly family: Family };
  /** 28 */
  UpdateMsgErr: OnConnection & WithError;
  /** 29, RFC 9687 */
  SendHoldTimer_Expires: OnConnection;
  /** draft-ietf-idr-bgp-bfd-strict-mode 4: the peer's BFD session came up */
  BfdUp: object;
  /** it is not up. That a session ends for it is AutomaticStop's to do */
  BfdDown: object;
  /** one side ended it on purpose, which is no failure (RFC 5882 4.2) */
  BfdAdminDown: object;
  /** the link that the session runs over carries nothing any more; `reason` says which and why */
  LinkFails: { readonly reason: string };
  /** it does again */
  LinkRecovers: object;
  /** RFC 2918 */
  RouteRefreshMsg: OnConnection;
  /** RFC 7313 5 */
  RouteRefreshMsgErr: OnConnection & WithError;
  /** RFC 4724 4.2: the peer did not come back in the restart time that it had promised */
  RestartTimer_Expires: object;
  /** RFC 4724 4.2: the peer came back and never sent its End-of-RIB */
  StaleTimer_Expires: object;
  /** the peer's configuration changed so that the routes of an earlier session are not its own any more */
  StaleForgotten: object;
  /** RFC 9494 4.2: some family's long-lived stale time is over */
  LongLivedTimer_Expires: object;
}

export type EventName = keyof EventFields;

/** One event, or the union of those named. */
export type EventOf<N extends EventName> = { [P in N]: { readonly type: P } & EventFields[P] }[N];

export type SessionEvent = EventOf<EventName>;

/** All events by their number in RFC 4271 8.1 and RFC 9687; `undefined` for those that other RFCs brought without one. */
export const EVENT_NUMBERS: Readonly<Record<EventName, number | undefined>> = {
  ManualStart: 1,
  ManualStop: 2,
  AutomaticStart: 3,
  AutomaticStop: 8,
  ConnectRetryTimer_Expires: 9,
  HoldTimer_Expires: 10,
  KeepaliveTimer_Expires: 11,
  IdleHoldTimer_Expires: 13,
  Tcp_CR_Acked: 16,
  TcpConnectionConfirmed: 17,
  TcpConnectionFails: 18,
  BGPOpen: 19,
  BGPHeaderErr: 21,
  BGPOpenMsgErr: 22,
  OpenCollisionDump: 23,
  NotifMsgVerErr: 24,
  NotifMsg: 25,
  KeepAliveMsg: 26,
  UpdateMsg: 27,
  EndOfRib: undefined,
  UpdateMsgErr: 28,
  SendHoldTimer_Expires: 29,
  BfdUp: undefined,
  BfdDown: undefined,
  BfdAdminDown: undefined,
  LinkFails: undefined,
  LinkRecovers: undefined,
  RouteRefreshMsg: undefined,
  RouteRefreshMsgErr: undefined,
  RestartTimer_Expires: undefined,
  StaleTimer_Expires: undefined,
  StaleForgotten: undefined,
  LongLivedTimer_Expires: undefined,
};

/** Timers of the peer. */
export type PeerTimer = 'connect-retry' | 'idle-hold' | 'restart' | 'stale' | 'long-lived';
/** Timers of one connection. */
export type ConnectionTimer = 'hold' | 'keepalive' | 'send-hold';

/** What to do, in order. */
export type Action =
  | {
      readonly type: 'start-timer';
      readonly timer: PeerTimer;
      readonly delayMs: number;
      /** RFC 4271 10: the delay is multiplied by a random factor from 0.75 to 1 */
      readonly jitter: boolean;
    }
  | { readonly type: 'stop-timer'; readonly timer: PeerTimer }
  | {
      readonly type: 'start-connection-timer';
      readonly timer: ConnectionTimer;
      readonly connection: ConnectionId;
      readonly delayMs: number;
      readonly jitter: boolean;
    }
  | {
      readonly type: 'stop-connection-timer';
      readonly timer: ConnectionTimer;
      readonly connection: ConnectionId;
    }
  /** ends in Tcp_CR_Acked, or in TcpConnectionFails without a connection */
  | { readonly type: 'dial' }
  /** no event of that dial may come any more */
  | { readonly type: 'cancel-dial' }
  | { readonly type: 'send-open'; readonly connection: ConnectionId; readonly open: OpenMessage }
  | { readonly type: 'send-keepalive'; readonly connection: ConnectionId }
  /** send the NOTIFICATION, if there is one, and close; no event of that connection may come any more */
  | {
      readonly type: 'close';
      readonly connection: ConnectionId;
      readonly error: NotificationError | undefined;
      readonly reason: string;
    }
  | { readonly type: 'session-up'; readonly connection: ConnectionId; readonly negotiated: Negotiated }
  /** the routes of `keepStale` stay as stale, all others go */
  | { readonly type: 'session-down'; readonly keepStale: readonly Family[]; readonly reason: string }
  | { readonly type: 'purge-stale'; readonly families: readonly Family[] }
  /** the stale routes of these families are used only where there is nothing else (RFC 9494 4.2) */
  | { readonly type: 'begin-long-lived'; readonly families: readonly Family[] }
  /** the message that came with the event counts: hand it to the RIB */
  | { readonly type: 'deliver'; readonly connection: ConnectionId };
