/**
 * The TCP connections of one peer and the dial that makes them: whose they may be, what comes in on them as events of the session machine,
 * and how they end.
 */
import type { NotificationRecord } from '../peer-status.ts';
import { NO_MESSAGES, type TakenMessages } from '../rib/plain-input.ts';
import { eventOf } from '../session/classify.ts';
import type { Action, ConnectionId, ConnectionTimer, SessionEvent } from '../session/events.ts';
import type { Negotiated } from '../session/negotiate.ts';
import { connectionById, type Session } from '../session/state.ts';
import type { Channel } from '../transport/channel.ts';
import type { PeerConfig } from '../types.ts';
import { decodeMessage } from '../wire/messages.ts';
import { describeNotification, encodeNotification } from '../wire/notification.ts';
import { familyOf, MESSAGE_TYPE } from '../wire/registry.ts';
import type { DecodedMessage, DecodedUpdate, NotificationError } from '../wire/types.ts';
import { readUpdate, withOwnKeys } from '../wire/update.ts';
import { type MessageWatcher, PeerCapture } from './capture.ts';
import { PeerConnection } from './connection.ts';
import type { Delivery } from './peer-input.ts';
import type { PeerSurroundings, PeerTotals } from './peer-surroundings.ts';
import { ProblemLog } from './problem-log.ts';

/** The peer whose connections they are. */
export interface ConnectionsPeer {
  readonly config: PeerConfig;
  readonly session: Session;
  readonly totals: PeerTotals;
  lastError: string | undefined;
  dispatch(event: SessionEvent, delivery?: Delivery): void;
  /** As `dispatch` of an UpdateMsg in state Established, at less cost; false, and nothing was done, where that is not so. */
  deliverUpdate(connection: PeerConnection, holdTimeSec: number, update: DecodedUpdate): boolean;
  /** The same of the plain UPDATEs that `octets[start..end)` begins with, those that begin before `start + most`. */
  takePlain(
    connection: PeerConnection,
    holdTimeSec: number,
    octets: Uint8Array,
    start: number,
    end: number,
    most: number,
  ): TakenMessages;
}

export class PeerConnections {
  readonly #peer: ConnectionsPeer;
  readonly #around: PeerSurroundings;
  readonly #open = new Map<ConnectionId, PeerConnection>();
  readonly #problems: ProblemLog;
  readonly #capture: PeerCapture;
  readonly #lastNotification: { sent?: NotificationRecord; received?: NotificationRecord } = {};
  #nextId: ConnectionId = 1;
  #dial: { cancel(): void } | undefined;

  constructor(peer: ConnectionsPeer, around: PeerSurroundings) {
    this.#peer = peer;
    this.#around = around;
    this.#problems = new ProblemLog(peer.config.name, around.clock, around.log, peer.totals);
    this.#capture = new PeerCapture(peer, around.clock);
  }

  get(id: ConnectionId): PeerConnection | undefined {
    return this.#open.get(id);
  }

  get all(): Iterable<PeerConnection> {
    return this.#open.values();
  }

  /** The last NOTIFICATION of each direction. */
  get lastNotification(): { readonly sent?: NotificationRecord; readonly received?: NotificationRecord } {
    return this.#lastNotification;
  }

  /** Shows every message that comes and goes from now on; returns how to end that. */
  watch(watcher: MessageWatcher): () => void {
    return this.#capture.watch(watcher, this.#open.values(), () => {
      for (const connection of this.#open.values()) this.#tap(connection);
    });
  }

  /** Ends in Tcp_CR_Acked, or in TcpConnectionFails without a connection. */
  dial(): void {
    const { address, port, localAddress, ttl, minTtl, password, interface: device } = this.#peer.config;
    this.#dial = this.#around.network.dial(
      { address, port, localAddress, ttl, minTtl, password, interface: device },
      {
        onUp: (channel) => {
          this.#dial = undefined;
          const refused = this.#refusal(channel);
          if (refused === undefined) {
            this.#peer.dispatch({ type: 'Tcp_CR_Acked', connection: this.#adopt(channel) });
            return;
          }
          channel.destroy();
          this.#dialFailed(refused);
        },
        onFail: (reason) => {
          this.#dial = undefined;
          this.#dialFailed(reason);
        },
      },
    );
  }

  cancelDial(): void {
    this.#dial?.cancel();
    this.#dial = undefined;
  }

  #dialFailed(reason: string): void {
    this.#peer.lastError = reason;
    this.#around.log({ type: 'connect-failed', peer: this.#peer.config.name, reason });
    this.#peer.dispatch({ type: 'TcpConnectionFails', connection: undefined, reason });
  }

  /** The peer dialled us. */
  accept(channel: Channel): void {
    const { network } = this.#around;
    const { ttl, minTtl, interface: device } = this.#peer.config;
    const problem = network.applyTtl(channel, ttl, minTtl);
    if (problem !== undefined) this.#warn(problem);
    const unbound = device === undefined ? undefined : network.applyInterface(channel, device);
    const refused = unbound ?? this.#refusal(channel);
    if (refused !== undefined) {
      this.#warn(refused);
      channel.destroy();
      return;
    }
    this.#peer.dispatch({ type: 'TcpConnectionConfirmed', connection: this.#adopt(channel) });
  }

  /** RFC 2385 4.5: the key changes under the connection; the peer's has to change within a hold time. */
  changeKey(password: string): void {
    for (const connection of this.#open.values()) {
      const problem = this.#around.network.applyKey(connection.stream.channel, password);
      if (problem !== undefined) this.#warn(problem);
    }
  }

  /** Sends the NOTIFICATION, if there is one, and closes. */
  close({ connection: id, error, reason }: Extract<Action, { type: 'close' }>): void {
    const connection = this.#open.get(id);
    if (connection === undefined) return;
    this.#open.delete(id);
    connection.close(error && encodeNotification(error));
    const { counts } = connection.stream;
    const { totals, config } = this.#peer;
    totals.received.addAll(counts.received);
    totals.sent.addAll(counts.sent);
    if (error === undefined) {
      this.#peer.lastError = reason;
      return;
    }
    const text = describeNotification(error);
    this.#lastNotification.sent = { at: this.#around.clock.wallNow(), error, text, reason };
    this.#peer.lastError = text;
    this.#around.log({ type: 'notification', peer: config.name, direction: 'sent', error, text, reason });
  }

  /** Closes everything without a word; no event comes any more. */
  abandon(): void {
    this.cancelDial();
    for (const connection of this.#open.values()) connection.close(undefined);
    this.#open.clear();
  }

  /** Why a connection may not be used though it came up. */
  #refusal({ localAddress, remoteAddress }: Channel): string | undefined {
    const { requireConnected, interface: device } = this.#peer.config;
    if (requireConnected !== true) return undefined;
    const { peerConnected } = this.#around.addressesOf(localAddress, remoteAddress, device);
    return peerConnected ? undefined : 'the peer is on no subnet of ours: it needs multihop';
  }

  #adopt(channel: Channel): ConnectionId {
    const id = this.#nextId++;
    const { clock, loop } = this.#around;
    const connection: PeerConnection = new PeerConnection(
      id,
      channel,
      clock,
      {
        onMessage: (type, octets, start, body, end) => this.#onMessage(id, type, octets, start, body, end),
        takePlain: (octets, start, end, most) => this.#takePlain(id, octets, start, end, most),
        onFrameError: (error, reason, octets) => {
          this.#problems.tellReset(reason, octets);
          this.#peer.dispatch({ type: 'BGPHeaderErr', connection: id, error, reason });
        },
        onClose: (reason) => this.#peer.dispatch({ type: 'TcpConnectionFails', connection: id, reason }),
        onWritable: () => loop.request(),
        mayRead: () => loop.mayRead(connection.stream),
      },
      (timer) => this.#peer.dispatch({ type: TIMER_EVENTS[timer], connection: id }),
    );
    this.#open.set(id, connection);
    this.#tap(connection);
    return id;
  }

  #tap(connection: PeerConnection): void {
    const { id } = connection;
    this.#capture.attach(connection, () => connectionById(this.#peer.session, id));
  }

  #onMessage(
    id: ConnectionId,
    type: number,
    octets: Uint8Array,
    start: number,
    body: number,
    end: number,
  ): void {
    const connection = connectionById(this.#peer.session, id);
    if (type === MESSAGE_TYPE.update) {
      if (connection?.state === 'Established')
        this.#onUpdate(id, connection.negotiated, octets, start, body, end);
      else this.#peer.dispatch({ type: 'UpdateMsg', connection: id });
      return;
    }
    const context = connection?.state === 'Established' ? connection.negotiated.context : undefined;
    const message = decodeMessage(type, octets.subarray(body, end), context);
    this.#problems.tell(message, octets.subarray(start, end));
    if (message.type === 'notification') this.#notified(message.error);
    this.#peer.dispatch(eventOf(id, message), deliveryOf(message));
  }

  /** Nearly all messages are these, and they are taken in some at a time. */
  #takePlain(id: ConnectionId, octets: Uint8Array, start: number, end: number, most: number): TakenMessages {
    const state = connectionById(this.#peer.session, id);
    const connection = this.#open.get(id);
    if (state?.state !== 'Established' || connection === undefined) return NO_MESSAGES;
    return this.#peer.takePlain(connection, state.negotiated.holdTimeSec, octets, start, end, most);
  }

  /** What is left of them; a good one takes a short way too. */
  #onUpdate(
    id: ConnectionId,
    { context, holdTimeSec }: Negotiated,
    octets: Uint8Array,
    start: number,
    body: number,
    end: number,
  ): void {
    const update = readUpdate(octets, body, end, context);
    const connection = this.#open.get(id);
    if (
      update.verdict.kind === 'ok' &&
      connection !== undefined &&
      this.#peer.deliverUpdate(connection, holdTimeSec, update)
    ) {
      return;
    }
    // What the machine is told may have to wait in its queue.
    const message = { type: 'update', update: withOwnKeys(update) } as const;
    this.#problems.tell(message, octets.subarray(start, end));
    this.#peer.dispatch(eventOf(id, message), deliveryOf(message));
  }

  #notified(error: NotificationError): void {
    const at = this.#around.clock.wallNow();
    this.#lastNotification.received = { at, error, text: describeNotification(error) };
  }

  #warn(message: string): void {
    this.#around.log({ type: 'warning', peer: this.#peer.config.name, message });
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
