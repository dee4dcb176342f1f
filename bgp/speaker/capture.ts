/** Messages of one peer as they come and go, for those who watch. While nobody does, it costs a comparison a message. */
import type { Address } from '../../src/net/address.ts';
import type { Connection } from '../session/state.ts';
import type { Clock } from '../transport/clock.ts';
import type { PeerConfig } from '../types.ts';
import { HEADER_OCTETS, MESSAGE_TYPE } from '../wire/registry.ts';
import { DEFAULT_VERDICT_CONTEXT, type SessionPhase, type VerdictContext } from '../wire/verdict.ts';
import type { PeerConnection } from './connection.ts';

/** A message on one of the peer's connections. */
export interface WatchedMessage {
  readonly direction: 'received' | 'sent';
  /** epoch milliseconds */
  readonly at: number;
  /** header included; borrowed: valid during the call */
  readonly message: Uint8Array;
  /** how the receiver of the message reads it, us or the peer */
  readonly context: VerdictContext;
  readonly local: { readonly address: Address; readonly port: number };
  readonly remote: { readonly address: Address; readonly port: number };
  /** it went before watching began, at the session's start: an OPEN or a first KEEPALIVE, without which the rest cannot be read */
  readonly earlier: boolean;
}

export type MessageWatcher = (message: WatchedMessage) => void;

/** The watchers of one peer. */
export class PeerCapture {
  readonly #watchers = new Set<MessageWatcher>();
  readonly #peer: { readonly config: PeerConfig };
  readonly #clock: Clock;

  constructor(peer: { readonly config: PeerConfig }, clock: Clock) {
    this.#peer = peer;
    this.#clock = clock;
  }

  get isOn(): boolean {
    return this.#watchers.size > 0;
  }

  /**
   * Adds a watcher, and shows it how the connections there are began; `apply` attaches every connection anew. Returns how to take it away.
   */
  watch(watcher: MessageWatcher, connections: Iterable<PeerConnection>, apply: () => void): () => void {
    for (const connection of connections) {
      for (const { direction, at, message } of connection.handshake) {
        const watched = this.#watched(connection, undefined, direction, message);
        const phase = message[HEADER_OCTETS - 1] === MESSAGE_TYPE.open ? 'opensent' : 'openconfirm';
        watcher({ ...watched, at, earlier: true, context: { ...watched.context, phase } });
      }
    }
    this.#watchers.add(watcher);
    apply();
    return () => {
      this.#watchers.delete(watcher);
      apply();
    };
  }

  /** Sees to it that a connection is looked at exactly while somebody watches. */
  attach(on: PeerConnection, connection: () => Connection | undefined): void {
    on.stream.tap = this.isOn
      ? (direction, message) => {
          const watched = this.#watched(on, connection(), direction, message);
          for (const watcher of this.#watchers) watcher(watched);
        }
      : undefined;
  }

  #watched(
    { stream: { channel } }: PeerConnection,
    connection: Connection | undefined,
    direction: WatchedMessage['direction'],
    message: Uint8Array,
  ): WatchedMessage {
    return {
      direction,
      at: this.#clock.wallNow(),
      message,
      context: contextOf(message, direction, connection, this.#peer.config),
      local: { address: channel.localAddress, port: channel.localPort },
      remote: { address: channel.remoteAddress, port: channel.remotePort },
      earlier: false,
    };
  }
}

const PHASES: Readonly<Record<Connection['state'], SessionPhase>> = {
  OpenSent: 'opensent',
  OpenConfirm: 'openconfirm',
  Established: 'established',
};

function contextOf(
  message: Uint8Array,
  direction: WatchedMessage['direction'],
  connection: Connection | undefined,
  { localAs, peerAs }: PeerConfig,
): VerdictContext {
  const negotiated =
    connection !== undefined && 'negotiated' in connection ? connection.negotiated : undefined;
  const phase = PHASES[connection?.state ?? 'OpenSent'];
  const base: VerdictContext = {
    ...(negotiated?.context ?? DEFAULT_VERDICT_CONTEXT),
    peerKind: localAs === peerAs ? 'ibgp' : 'ebgp',
    phase,
    localAs,
    peerAs,
  };
  if (direction === 'received') return base;
  // What we send, the peer reads: it is in its view that it is judged.
  return {
    ...base,
    phase:
      message[HEADER_OCTETS - 1] === MESSAGE_TYPE.open
        ? 'opensent'
        : phase === 'opensent'
          ? 'openconfirm'
          : phase,
    localAs: peerAs,
    peerAs: localAs,
    addPathReceive: negotiated?.addPathSend ?? base.addPathReceive,
  };
}
