/**
 * One peer at run time: it owns the session machine's state, feeds it what happens on sockets and timers as events, and carries out its
 * actions on connections, timers and routes.
 */
import type { Family } from '../../src/net/address.ts';
import { NO_MESSAGES, type TakenMessages } from '../rib/plain-input.ts';
import type { Action, PeerTimer, SessionEvent } from '../session/events.ts';
import { reconfigure, step, withoutFailures } from '../session/machine.ts';
import type { Negotiated } from '../session/negotiate.ts';
import {
  establishedConnection,
  initialSession,
  type ResetRecord,
  type Session,
  sessionState,
} from '../session/state.ts';
import type { Channel } from '../transport/channel.ts';
import { RestartableTimer } from '../transport/clock.ts';
import type { PeerConfig } from '../types.ts';
import { encodeKeepalive } from '../wire/messages.ts';
import {
  describeNotification,
  notification,
  shutdownCommunication,
  withoutHardReset,
} from '../wire/notification.ts';
import { encodeOpen } from '../wire/open.ts';
import { CEASE, ERROR } from '../wire/registry.ts';
import type { DecodedUpdate } from '../wire/types.ts';
import type { MessageWatcher } from './capture.ts';
import { resettingChanges, sameFlags, sessionConfig } from './config.ts';
import type { PeerConnection } from './connection.ts';
import { PeerConnections } from './peer-connections.ts';
import type { Delivery } from './peer-input.ts';
import { PeerRoutes } from './peer-routes.ts';
import { jittered, newTotals, type PeerSurroundings, type PeerTotals } from './peer-surroundings.ts';

export class Peer {
  readonly ribId: number;
  readonly totals: PeerTotals = newTotals();
  /** epoch milliseconds of the last change of state */
  since: number;
  lastError: string | undefined;
  #config: PeerConfig;
  /** the peer's AS as configured; the one in `#config` may have been learned since */
  #configuredAs: number;
  #session: Session;
  readonly #around: PeerSurroundings;
  readonly #connections: PeerConnections;
  readonly #routes: PeerRoutes;
  readonly #timers: Readonly<Record<PeerTimer, RestartableTimer>>;
  readonly #queue: { readonly event: SessionEvent; readonly delivery: Delivery | undefined }[] = [];
  #running = false;
  #removed = false;

  /** `lastReset`: of a peer of the same name before it, which had another address */
  constructor(config: PeerConfig, around: PeerSurroundings, lastReset?: ResetRecord) {
    this.#config = config;
    this.#configuredAs = config.peerAs;
    this.#around = around;
    const session = initialSession(
      sessionConfig(config, around.routerId, around.identity),
      around.restartFlags(),
    );
    this.#session = { ...session, lastReset };
    this.since = around.clock.wallNow();
    this.ribId = around.rib.addPeer(config);
    const timer = (event: SessionEvent): RestartableTimer =>
      new RestartableTimer(around.clock, () => this.dispatch(event));
    this.#timers = {
      'connect-retry': timer({ type: 'ConnectRetryTimer_Expires' }),
      'idle-hold': timer({ type: 'IdleHoldTimer_Expires' }),
      restart: timer({ type: 'RestartTimer_Expires' }),
      stale: timer({ type: 'StaleTimer_Expires' }),
      'long-lived': timer({ type: 'LongLivedTimer_Expires' }),
    };
    this.#connections = new PeerConnections(this, around);
    this.#routes = new PeerRoutes(this, around, (event) => this.dispatch(event));
    around.loop.add(this);
  }

  get config(): PeerConfig {
    return this.#config;
  }

  get session(): Session {
    return this.#session;
  }

  /** Whether it was Established since it was added. */
  get wasUp(): boolean {
    return this.#routes.wasUp;
  }

  /** When the present or last session came up, on the clock's scale. */
  get upSince(): number {
    return this.#routes.upSince;
  }

  /** Epoch milliseconds. */
  get establishedAt(): number | undefined {
    return this.#routes.establishedAt;
  }

  /** Epoch milliseconds until which the routes of a peer that is gone are kept. */
  get helperUntil(): number | undefined {
    return this.#routes.helperUntil;
  }

  /** Families whose End-of-RIB came in the present session. */
  get endOfRibReceived(): ReadonlySet<Family> {
    return this.#routes.endOfRibReceived;
  }

  /** The terms of the session that is up. */
  get negotiated(): Negotiated | undefined {
    return establishedConnection(this.#session)?.negotiated;
  }

  /** The connection of the session that is up. */
  get connection(): PeerConnection | undefined {
    return this.#routes.connection;
  }

  /** All connections, past the handshake or not. */
  get connections(): PeerConnections {
    return this.#connections;
  }

  /** Milliseconds that a timer still has; undefined when it does not run. */
  remainingMs(timer: PeerTimer): number | undefined {
    return this.#timers[timer].remainingMs;
  }

  /** Epoch milliseconds of the next dial or of the end of IdleHold. */
  get nextConnectAt(): number | undefined {
    const remaining = this.#timers['idle-hold'].remainingMs ?? this.#timers['connect-retry'].remainingMs;
    return remaining === undefined ? undefined : this.#around.clock.wallNow() + remaining;
  }

  /** Begins the peer's life, unless it is administratively down. */
  start(): void {
    if (!this.#config.adminDown) this.dispatch({ type: 'ManualStart' });
  }

  /** Lifts an administrative stop. */
  enable(): void {
    this.dispatch({ type: 'ManualStart' });
  }

  /** Cease 6/2 with a text, then Idle(Admin). */
  disable(text: string): void {
    this.dispatch({ type: 'ManualStop', text });
  }

  /** Resets the session with a Cease, which may carry a text (6/4 alone, RFC 9003); it comes back by itself. */
  reset(subcode: number, reason: string, text = ''): void {
    const data = text === '' ? undefined : shutdownCommunication(text);
    this.dispatch({ type: 'AutomaticStop', error: notification(ERROR.cease, subcode, data), reason });
  }

  /** How the peer's BFD session is now: with strict mode the BGP session waits for it. */
  bfdIs(bfd: Session['bfd']): void {
    this.dispatch({ type: BFD_EVENTS[bfd] });
  }

  /** What keeps the link under the session from carrying anything; undefined: nothing any more. */
  linkIs(problem: string | undefined): void {
    this.dispatch(problem === undefined ? { type: 'LinkRecovers' } : { type: 'LinkFails', reason: problem });
  }

  /** Ends the wait in Idle if a Cease with this subcode, ours or the peer's, was its cause. */
  resumeAfter(subcode: number): void {
    const { base, lastReset } = this.#session;
    const error = lastReset?.error && withoutHardReset(lastReset.error);
    if (base !== 'Idle' || error?.code !== ERROR.cease || error.subcode !== subcode) return;
    this.dispatch({ type: 'IdleHoldTimer_Expires' });
  }

  /** Shows every message that comes and goes from now on; returns how to end that. */
  watch(watcher: MessageWatcher): () => void {
    return this.#connections.watch(watcher);
  }

  /** Asks the peer to send a family again (RFC 2918). False when it is not up or does not know how. */
  requestRefresh(family: Family): boolean {
    return this.#routes.requestRefresh(family);
  }

  /** Puts a new configuration into force: under the running session where that is possible, else with a reset (6/6). */
  update(config: PeerConfig): void {
    const before = { ...this.#config, peerAs: this.#configuredAs };
    this.#configuredAs = config.peerAs;
    const changes = resettingChanges(before, config);
    // What went wrong so far, and the wait for it, may be what was mended here.
    const isMended =
      (changes.length > 0 || config.password !== before.password) &&
      this.#timers['idle-hold'].remainingMs !== undefined;
    if (changes.length > 0) {
      if (this.#session.connections.length > 0) {
        this.reset(CEASE.otherConfigurationChange, `configuration changed: ${changes.join(', ')}`);
      }
      this.dispatch({ type: 'StaleForgotten' });
    }
    // Which of several AS numbers the peer has, its OPEN said.
    const { peerAs } = changes.length === 0 && this.negotiated !== undefined ? this.#config : config;
    this.#config = { ...config, peerAs };
    this.#session = reconfigure(
      this.#session,
      sessionConfig(this.#config, this.#around.routerId, this.#around.identity),
      this.#around.restartFlags(),
    );
    if (isMended) this.#session = withoutFailures(this.#session);
    this.#around.rib.updatePeer(this.ribId, this.#config);
    this.#routes.configChanged();
    const { password } = config;
    if (password !== undefined && before.password !== undefined && password !== before.password) {
      this.#connections.changeKey(password);
    }
    if (before.passive !== config.passive) this.#applyPassive();
    if (before.adminDown && !config.adminDown) this.enable();
    if (!before.adminDown && config.adminDown) this.disable(config.shutdownText ?? '');
    if (isMended && !config.adminDown) this.dispatch({ type: 'IdleHoldTimer_Expires' });
  }

  /** The wait of our own restart is over: OPENs from now on say so. */
  updateRestartFlags(): void {
    const flags = this.#around.restartFlags();
    if (sameFlags(flags, this.#session.restart)) return;
    this.#session = reconfigure(this.#session, this.#session.config, flags);
  }

  /** Says goodbye with 6/3 and takes the peer and its routes out of the RIB. */
  remove(): void {
    this.reset(CEASE.peerDeconfigured, 'peer de-configured');
    this.abandon();
    this.#around.rib.removePeer(this.ribId);
  }

  /** Closes everything without a NOTIFICATION and leaves the RIB as it is: the peer keeps our routes if it is a graceful-restart helper. */
  abandon(): void {
    this.#removed = true;
    this.#around.loop.remove(this);
    this.#connections.abandon();
    this.#routes.stop();
    for (const timer of Object.values(this.#timers)) timer.stop();
  }

  /** The peer dialled us. */
  accept(channel: Channel): void {
    this.#connections.accept(channel);
  }

  /** Writes one buffer of UPDATEs if there are any and the peer keeps up. */
  pump(): boolean {
    return this.#routes.pump();
  }

  /** Which of several AS numbers the peer has, its OPEN said. */
  learnAs(peerAs: number): void {
    this.#config = { ...this.#config, peerAs };
    this.#around.rib.updatePeer(this.ribId, this.#config);
  }

  /** A passive peer that becomes active dials; an active one that becomes passive gives up its dial. */
  #applyPassive(): void {
    if (this.#session.connections.length > 0 || this.#session.base === 'Idle') return;
    this.dispatch({ type: 'AutomaticStop', error: undefined, reason: 'configuration changed: passive' });
  }

  // --- events in ---------------------------------------------------------------------------------------------------------

  /** Runs an event; one that comes up while another runs waits its turn. */
  dispatch(event: SessionEvent, delivery?: Delivery): void {
    if (this.#removed) return;
    if (event.type === 'BGPOpen' && this.#config.bfd?.strict === true) {
      const bfd = this.#around.bfdOf(this.#config.name);
      this.#queue.push({ event: { type: BFD_EVENTS[bfd] }, delivery: undefined });
    }
    this.#queue.push({ event, delivery });
    if (this.#running) return;
    this.#running = true;
    this.#runQueue();
  }

  /**
   * RFC 4271 8.2.2, event 27 in Established: the hold timer starts over, the routes are taken in, and nothing else of the session changes. What
   * that brings up comes after it. As the cell of the session's table has it (cells-messages.ts, `deliver`).
   */
  deliverUpdate(connection: PeerConnection, holdTimeSec: number, update: DecodedUpdate): boolean {
    if (this.#running || this.#removed) return false;
    this.#running = true;
    if (holdTimeSec > 0) connection.startTimer('hold', holdTimeSec * 1000);
    try {
      this.#routes.deliver({ kind: 'update', update, at: connection.arrivedAt() });
    } finally {
      this.#runQueue();
    }
    return true;
  }

  takePlain(
    connection: PeerConnection,
    holdTimeSec: number,
    octets: Uint8Array,
    start: number,
    end: number,
    most: number,
  ): TakenMessages {
    if (this.#running || this.#removed) return NO_MESSAGES;
    this.#running = true;
    try {
      const taken = this.#routes.takePlain(octets, start, end, most, connection.arrivedAt());
      if (taken.messages > 0 && holdTimeSec > 0) connection.startTimer('hold', holdTimeSec * 1000);
      return taken;
    } finally {
      this.#runQueue();
    }
  }

  #runQueue(): void {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#run(next.event, next.delivery);
      }
    } finally {
      this.#running = false;
    }
  }

  #run(event: SessionEvent, delivery: Delivery | undefined): void {
    const { clock, log } = this.#around;
    const before = sessionState(this.#session);
    const { state, actions } = step(this.#session, event, clock.now());
    this.#session = state;
    if (event.type === 'NotifMsg' || event.type === 'NotifMsgVerErr') {
      const text = describeNotification(event.error);
      this.lastError = text;
      log({ type: 'notification', peer: this.#config.name, direction: 'received', error: event.error, text });
    }
    for (const action of actions) this.#perform(action, delivery);
    const after = sessionState(this.#session);
    if (after === before) return;
    this.since = clock.wallNow();
    log({ type: 'state', peer: this.#config.name, from: before, to: after });
    this.#around.onProgress();
  }

  // --- actions out -------------------------------------------------------------------------------------------------------

  #perform(action: Action, delivery: Delivery | undefined): void {
    switch (action.type) {
      case 'start-timer':
        this.#timers[action.timer].start(this.#delayOf(action));
        if (action.timer === 'restart') {
          this.#routes.helperUntil = this.#around.clock.wallNow() + action.delayMs;
        }
        return;
      case 'stop-timer':
        this.#timers[action.timer].stop();
        if (action.timer === 'restart') this.#routes.helperUntil = undefined;
        return;
      case 'start-connection-timer':
        this.#connections.get(action.connection)?.startTimer(action.timer, this.#delayOf(action));
        return;
      case 'stop-connection-timer':
        this.#connections.get(action.connection)?.stopTimer(action.timer);
        return;
      case 'dial':
        this.#connections.dial();
        return;
      case 'cancel-dial':
        this.#connections.cancelDial();
        return;
      case 'send-open': {
        const connection = this.#connections.get(action.connection);
        connection?.send(encodeOpen({ ...action.open, as: this.#session.config.localAs }));
        connection?.stream.start();
        return;
      }
      case 'send-keepalive':
        this.#connections.get(action.connection)?.send(encodeKeepalive());
        return;
      case 'close':
        this.#connections.close(action);
        return;
      case 'session-up': {
        const connection = this.#connections.get(action.connection);
        if (connection === undefined) return;
        this.lastError = undefined;
        this.#routes.sessionUp(connection, action.negotiated);
        return;
      }
      case 'session-down':
        this.#routes.sessionDown(action.keepStale, action.reason);
        return;
      case 'purge-stale':
        this.#routes.purgeStale(action.families);
        return;
      case 'begin-long-lived':
        this.#routes.beginLongLived(action.families);
        return;
      case 'deliver':
        if (delivery !== undefined) this.#routes.deliver(delivery);
        return;
    }
  }

  #delayOf({ delayMs, jitter }: { readonly delayMs: number; readonly jitter: boolean }): number {
    return jitter ? jittered(delayMs, this.#around.random) : delayMs;
  }
}

const BFD_EVENTS = {
  up: 'BfdUp',
  down: 'BfdDown',
  'admin-down': 'BfdAdminDown',
} as const satisfies Readonly<Record<Session['bfd'], SessionEvent['type']>>;
