/**
 * One peer at run time: it owns the session machine's state, turns what happens on sockets and timers into the machine's events, and
 * carries out its actions on connections, timers and the RIB.
 */
import type { Family } from '../../src/net/address.ts';
import type { Rib } from '../rib/rib.ts';
import { eventOf } from '../session/classify.ts';
import type { Action, ConnectionId, ConnectionTimer, PeerTimer, SessionEvent } from '../session/events.ts';
import { reconfigure, step } from '../session/machine.ts';
import type { Negotiated, RestartFlags } from '../session/negotiate.ts';
import { establishedConnection, initialSession, type Session, sessionState } from '../session/state.ts';
import type { Channel, Network } from '../transport/channel.ts';
import { type Clock, RestartableTimer } from '../transport/clock.ts';
import type { SessionAddresses } from '../transport/host-addresses.ts';
import type { PeerConfig } from '../types.ts';
import { decodeMessage, encodeKeepalive, encodeRouteRefresh } from '../wire/messages.ts';
import { describeNotification, encodeNotification, notification } from '../wire/notification.ts';
import { encodeOpen } from '../wire/open.ts';
import {
  AFI,
  CEASE,
  ERROR,
  familyOf,
  MESSAGE_TYPE,
  REFRESH_SUBTYPE,
  SAFI_UNICAST,
} from '../wire/registry.ts';
import type { DecodedMessage } from '../wire/types.ts';
import { type MessageWatcher, PeerCapture } from './capture.ts';
import { resettingChanges, sameFlags, sessionConfig } from './config.ts';
import { PeerConnection } from './connection.ts';
import type { SpeakerLog } from './events.ts';
import { type Delivery, PeerInput } from './peer-input.ts';
import { ProblemLog } from './problem-log.ts';
import type { WorkLoop } from './work-loop.ts';

/** What the peers of a speaker share. */
export interface PeerSurroundings {
  readonly routerId: number;
  readonly clock: Clock;
  /** 0 (inclusive) to 1 (exclusive) */
  readonly random: () => number;
  readonly network: Network;
  readonly rib: Rib;
  readonly loop: WorkLoop;
  readonly log: SpeakerLog;
  readonly addressesOf: (
    local: Channel['localAddress'],
    peer: Channel['remoteAddress'],
    interfaceName?: string,
  ) => SessionAddresses;
  /** what every OPEN tells of this host */
  readonly identity?: { readonly host?: string; readonly softwareVersion?: string } | undefined;
  /** what OPENs that leave now say of our restart */
  readonly restartFlags: () => RestartFlags;
  /** the session came up or went, or sent an End-of-RIB */
  readonly onProgress: () => void;
}

/** Counts over all connections of a peer. */
export interface PeerTotals {
  messagesReceived: number;
  messagesSent: number;
  updatesReceived: number;
  updatesSent: number;
  establishedCount: number;
  droppedCount: number;
  treatAsWithdraw: number;
  attributeDiscards: number;
}

export class Peer {
  readonly ribId: number;
  readonly totals: PeerTotals = {
    messagesReceived: 0,
    messagesSent: 0,
    updatesReceived: 0,
    updatesSent: 0,
    establishedCount: 0,
    droppedCount: 0,
    treatAsWithdraw: 0,
    attributeDiscards: 0,
  };
  /** epoch milliseconds of the last change of state */
  since: number;
  establishedAt: number | undefined;
  lastError: string | undefined;
  helperUntil: number | undefined;
  #config: PeerConfig;
  /** the peer's AS as configured; the one in `#config` may have been learned since */
  #configuredAs: number;
  #session: Session;
  readonly #around: PeerSurroundings;
  readonly #connections = new Map<ConnectionId, PeerConnection>();
  readonly #timers: Readonly<Record<PeerTimer, RestartableTimer>>;
  readonly #problems: ProblemLog;
  readonly #input: PeerInput;
  readonly #capture: PeerCapture;
  #upSince = 0;
  readonly #queue: { readonly event: SessionEvent; readonly delivery: Delivery | undefined }[] = [];
  #running = false;
  #removed = false;
  #wasUp = false;
  #nextConnection: ConnectionId = 1;
  #dial: { cancel(): void } | undefined;
  #established: PeerConnection | undefined;

  constructor(config: PeerConfig, around: PeerSurroundings) {
    this.#config = config;
    this.#configuredAs = config.peerAs;
    this.#around = around;
    this.#session = initialSession(
      sessionConfig(config, around.routerId, around.identity),
      around.restartFlags(),
    );
    this.#problems = new ProblemLog(config.name, around.clock, around.log, this.totals);
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
    this.#capture = new PeerCapture(this, around.clock);
    this.#input = new PeerInput(this, around, (event) => this.dispatch(event));
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
    return this.#wasUp;
  }

  /** When the present or last session came up, on the clock's scale. */
  get upSince(): number {
    return this.#upSince;
  }

  /** Families whose End-of-RIB came in the present session. */
  get endOfRibReceived(): ReadonlySet<Family> {
    return this.#input.endOfRib;
  }

  /** The terms of the session that is up. */
  get negotiated(): Negotiated | undefined {
    return establishedConnection(this.#session)?.negotiated;
  }

  /** The connection of the session that is up. */
  get connection(): PeerConnection | undefined {
    return this.#established;
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

  /** Resets the session with a Cease; it comes back by itself. */
  reset(subcode: number, reason: string): void {
    this.dispatch({ type: 'AutomaticStop', error: notification(ERROR.cease, subcode), reason });
  }

  /** Ends the wait in Idle if a Cease with this subcode, ours or the peer's, was its cause. */
  resumeAfter(subcode: number): void {
    const { base, lastReset } = this.#session;
    const error = lastReset?.error;
    if (base !== 'Idle' || error?.code !== ERROR.cease || error.subcode !== subcode) return;
    this.dispatch({ type: 'IdleHoldTimer_Expires' });
  }

  /** Shows every message that comes and goes from now on; returns how to end that. */
  watch(watcher: MessageWatcher): () => void {
    return this.#capture.watch(watcher, () => {
      for (const connection of this.#connections.values()) this.#tap(connection);
    });
  }

  #tap({ id, stream }: PeerConnection): void {
    this.#capture.attach(stream, () => this.#session.connections.find((other) => other.id === id));
  }

  /** Asks the peer to send a family again (RFC 2918). False when it is not up or does not know how. */
  requestRefresh(family: Family): boolean {
    const negotiated = this.negotiated;
    if (this.#established === undefined || negotiated === undefined) return false;
    if (!negotiated.routeRefresh || !negotiated.context.families[family]) return false;
    this.#established.send(encodeRouteRefresh(AFI[family], SAFI_UNICAST, REFRESH_SUBTYPE.request));
    return true;
  }

  /** Puts a new configuration into force: under the running session where that is possible, else with a reset (6/6). */
  update(config: PeerConfig): void {
    const before = { ...this.#config, peerAs: this.#configuredAs };
    this.#configuredAs = config.peerAs;
    const changes = resettingChanges(before, config);
    if (changes.length > 0) {
      if (this.#session.connections.length > 0) {
        this.reset(CEASE.otherConfigurationChange, `configuration changed: ${changes.join(', ')}`);
      }
      this.dispatch({ type: 'StaleTimer_Expires' });
    }
    // Which of several AS numbers the peer has, its OPEN said.
    const { peerAs } = changes.length === 0 && this.negotiated !== undefined ? this.#config : config;
    this.#config = { ...config, peerAs };
    this.#session = reconfigure(
      this.#session,
      sessionConfig(this.#config, this.#around.routerId, this.#around.identity),
      this.#around.restartFlags(),
    );
    this.#around.rib.updatePeer(this.ribId, this.#config);
    this.#input.configChanged();
    const { password } = config;
    if (password !== undefined && before.password !== undefined && password !== before.password) {
      this.#changeKey(password);
    }
    if (before.passive !== config.passive) this.#applyPassive();
    if (before.adminDown && !config.adminDown) this.enable();
    if (!before.adminDown && config.adminDown) this.disable('');
  }

  /** RFC 2385 4.5: the key changes under the connection; the peer's has to change within a hold time. */
  #changeKey(password: string): void {
    for (const connection of this.#connections.values()) {
      const problem = this.#around.network.applyKey(connection.stream.channel, password);
      if (problem !== undefined) this.#warn(problem);
    }
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
    this.#dial?.cancel();
    for (const connection of this.#connections.values()) connection.close(undefined);
    this.#connections.clear();
    this.#established = undefined;
    this.#input.stop();
    for (const timer of Object.values(this.#timers)) timer.stop();
  }

  /** The peer dialled us. */
  accept(channel: Channel): void {
    const problem = this.#around.network.applyTtl(channel, this.#config.ttl, this.#config.minTtl);
    if (problem !== undefined) this.#warn(problem);
    const { interface: device } = this.#config;
    const unbound = device === undefined ? undefined : this.#around.network.applyInterface(channel, device);
    const refused = unbound ?? this.#refusal(channel);
    if (refused !== undefined) {
      this.#warn(refused);
      channel.destroy();
      return;
    }
    this.dispatch({ type: 'TcpConnectionConfirmed', connection: this.#adopt(channel) });
  }

  /** Why a connection may not be used though it came up. */
  #refusal({ localAddress, remoteAddress }: Channel): string | undefined {
    if (this.#config.requireConnected !== true) return undefined;
    const { peerConnected } = this.#around.addressesOf(localAddress, remoteAddress, this.#config.interface);
    return peerConnected ? undefined : 'the peer is on no subnet of ours: it needs multihop';
  }

  /** Writes one buffer of UPDATEs if there are any and the peer keeps up. */
  pump(): boolean {
    return this.#established?.pump(this.#pull) ?? false;
  }

  readonly #pull = (target: Uint8Array, offset: number): number =>
    this.#around.rib.fill(this.ribId, target, offset);

  // --- events in ---------------------------------------------------------------------------------------------------------

  /** Runs an event; one that comes up while another runs waits its turn. */
  dispatch(event: SessionEvent, delivery?: Delivery): void {
    if (this.#removed) return;
    this.#queue.push({ event, delivery });
    if (this.#running) return;
    this.#running = true;
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

  /** A passive peer that becomes active dials; an active one that becomes passive gives up its dial. */
  #applyPassive(): void {
    if (this.#session.connections.length > 0 || this.#session.base === 'Idle') return;
    this.dispatch({ type: 'AutomaticStop', error: undefined, reason: 'configuration changed: passive' });
  }

  #adopt(channel: Channel): ConnectionId {
    const id = this.#nextConnection++;
    const { clock, loop } = this.#around;
    const connection: PeerConnection = new PeerConnection(
      id,
      channel,
      clock,
      {
        onMessage: (...message) => this.#onMessage(id, ...message),
        onFrameError: (error, reason, octets) => {
          this.#problems.tellReset(reason, octets);
          this.dispatch({ type: 'BGPHeaderErr', connection: id, error, reason });
        },
        onClose: (reason) => this.dispatch({ type: 'TcpConnectionFails', connection: id, reason }),
        onWritable: () => loop.request(),
        mayRead: () => loop.mayRead(connection.stream),
      },
      (timer) => this.dispatch({ type: TIMER_EVENTS[timer], connection: id }),
    );
    this.#connections.set(id, connection);
    this.#tap(connection);
    return id;
  }

  #onMessage(
    id: ConnectionId,
    type: number,
    octets: Uint8Array,
    start: number,
    body: number,
    end: number,
  ): void {
    const connection = this.#session.connections.find((other) => other.id === id);
    const context = connection?.state === 'Established' ? connection.negotiated.context : undefined;
    if (type === MESSAGE_TYPE.update && context === undefined) {
      this.dispatch({ type: 'UpdateMsg', connection: id });
      return;
    }
    const message = decodeMessage(type, octets.subarray(body, end), context);
    this.#problems.tell(message, octets.subarray(start, end));
    this.dispatch(eventOf(id, message), deliveryOf(message));
  }

  // --- actions out -------------------------------------------------------------------------------------------------------

  #perform(action: Action, delivery: Delivery | undefined): void {
    const { clock, rib } = this.#around;
    switch (action.type) {
      case 'start-timer':
        this.#timers[action.timer].start(this.#jittered(action.delayMs, action.jitter));
        if (action.timer === 'restart') this.helperUntil = clock.wallNow() + action.delayMs;
        return;
      case 'stop-timer':
        this.#timers[action.timer].stop();
        if (action.timer === 'restart') this.helperUntil = undefined;
        return;
      case 'start-connection-timer':
        this.#connections
          .get(action.connection)
          ?.startTimer(action.timer, this.#jittered(action.delayMs, action.jitter));
        return;
      case 'stop-connection-timer':
        this.#connections.get(action.connection)?.stopTimer(action.timer);
        return;
      case 'dial':
        this.#startDial();
        return;
      case 'cancel-dial':
        this.#dial?.cancel();
        this.#dial = undefined;
        return;
      case 'send-open': {
        const connection = this.#connections.get(action.connection);
        const { localAs } = this.#session.config;
        connection?.send(encodeOpen({ ...action.open, as: localAs }));
        connection?.stream.start();
        return;
      }
      case 'send-keepalive':
        this.#connections.get(action.connection)?.send(encodeKeepalive());
        return;
      case 'close':
        this.#close(action);
        return;
      case 'session-up':
        this.#sessionUp(action.connection, action.negotiated);
        return;
      case 'session-down':
        this.#sessionDown(action.keepStale, action.reason);
        return;
      case 'purge-stale':
        this.helperUntil = undefined;
        rib.purgeStale(this.ribId, action.families);
        this.#around.log({ type: 'stale-purged', peer: this.#config.name, families: action.families });
        this.#around.onProgress();
        return;
      case 'begin-long-lived':
        this.helperUntil = undefined;
        rib.beginLongLived(this.ribId, action.families);
        this.#around.log({ type: 'long-lived-stale', peer: this.#config.name, families: action.families });
        return;
      case 'deliver':
        if (delivery !== undefined) this.#input.deliver(delivery);
        return;
    }
  }

  /** RFC 4271 10: 0.75 to 1 of the time; never less than 1 s of what was a second or more (4.4: at most one KEEPALIVE a second). */
  #jittered(delayMs: number, jitter: boolean): number {
    if (!jitter) return delayMs;
    const shortened = delayMs * (0.75 + 0.25 * this.#around.random());
    return delayMs >= 1000 ? Math.max(1000, shortened) : shortened;
  }

  #startDial(): void {
    const { address, port, localAddress, ttl, minTtl, password, interface: device } = this.#config;
    this.#dial = this.#around.network.dial(
      { address, port, localAddress, ttl, minTtl, password, interface: device },
      {
        onUp: (channel) => {
          this.#dial = undefined;
          const refused = this.#refusal(channel);
          if (refused !== undefined) {
            channel.destroy();
            this.lastError = refused;
            this.#around.log({ type: 'connect-failed', peer: this.#config.name, reason: refused });
            this.dispatch({ type: 'TcpConnectionFails', connection: undefined, reason: refused });
            return;
          }
          this.dispatch({ type: 'Tcp_CR_Acked', connection: this.#adopt(channel) });
        },
        onFail: (reason) => {
          this.#dial = undefined;
          this.lastError = reason;
          this.#around.log({ type: 'connect-failed', peer: this.#config.name, reason });
          this.dispatch({ type: 'TcpConnectionFails', connection: undefined, reason });
        },
      },
    );
  }

  #close({ connection: id, error, reason }: Extract<Action, { type: 'close' }>): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    if (connection === this.#established) this.#established = undefined;
    this.#connections.delete(id);
    connection.close(error && encodeNotification(error));
    const { counts } = connection.stream;
    this.totals.messagesReceived += counts.received;
    this.totals.messagesSent += counts.sent;
    this.totals.updatesReceived += counts.updatesReceived;
    this.totals.updatesSent += counts.updatesSent;
    if (error === undefined) {
      this.lastError = reason;
      return;
    }
    const text = describeNotification(error);
    this.lastError = text;
    this.#around.log({
      type: 'notification',
      peer: this.#config.name,
      direction: 'sent',
      error,
      text,
      reason,
    });
  }

  #sessionUp(id: ConnectionId, negotiated: Negotiated): void {
    const { clock, rib, loop, log, addressesOf } = this.#around;
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    const { localAddress, remoteAddress } = connection.stream.channel;
    const { peerConnected, connectedSubnets, ...addresses } = addressesOf(
      localAddress,
      remoteAddress,
      this.#config.interface,
    );
    if (negotiated.context.extendedMessage) connection.stream.allowExtendedMessages();
    this.#established = connection;
    this.#wasUp = true;
    this.#upSince = clock.now();
    this.#input.stop();
    this.establishedAt = clock.wallNow();
    this.totals.establishedCount += 1;
    this.lastError = undefined;
    const { peerAs } = negotiated.context;
    if (peerAs !== this.#config.peerAs) {
      this.#config = { ...this.#config, peerAs };
      rib.updatePeer(this.ribId, this.#config);
    }
    rib.peerUp(this.ribId, {
      routerId: negotiated.peerRouterId,
      localAddress: addresses,
      peerConnected,
      connectedSubnets,
      context: negotiated.context,
      addPathSend: negotiated.addPathSend,
      maxMessage: negotiated.maxMessage,
      longLived: negotiated.longLived !== undefined,
      enhancedRefresh: negotiated.enhancedRouteRefresh,
    });
    log({
      type: 'session-up',
      peer: this.#config.name,
      families: negotiatedFamilies(negotiated),
      holdTimeSec: negotiated.holdTimeSec,
      peerRouterId: negotiated.peerRouterId,
    });
    loop.request();
  }

  #sessionDown(keepStale: readonly Family[], reason: string): void {
    this.#established = undefined;
    this.establishedAt = undefined;
    this.#input.stop();
    this.totals.droppedCount += 1;
    this.#around.rib.peerDown(this.ribId, keepStale);
    this.#around.log({ type: 'session-down', peer: this.#config.name, reason, keptStale: keepStale });
  }

  #warn(message: string): void {
    this.#around.log({ type: 'warning', peer: this.#config.name, message });
  }
}

const TIMER_EVENTS = {
  hold: 'HoldTimer_Expires',
  keepalive: 'KeepaliveTimer_Expires',
  'send-hold': 'SendHoldTimer_Expires',
} as const satisfies Readonly<Record<ConnectionTimer, SessionEvent['type']>>;

function deliveryOf(message: DecodedMessage): Delivery | undefined {
  if (message.type === 'update') return { kind: 'update', update: message.update };
  if (message.type !== 'route-refresh') return undefined;
  return { kind: 'refresh', family: familyOf(message.afi, message.safi), subtype: message.subtype };
}

function negotiatedFamilies(negotiated: Negotiated): Family[] {
  const { ipv4, ipv6 } = negotiated.context.families;
  return [...(ipv4 ? (['ipv4'] as const) : []), ...(ipv6 ? (['ipv6'] as const) : [])];
}
