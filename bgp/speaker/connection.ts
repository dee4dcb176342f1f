/** One TCP connection of a peer with its three timers. */
import type { ConnectionId, ConnectionTimer } from '../session/events.ts';
import type { Channel } from '../transport/channel.ts';
import { type Clock, RestartableTimer } from '../transport/clock.ts';
import { type MessageHandlers, MessageStream, type Puller } from '../transport/message-stream.ts';
import { HEADER_OCTETS, MESSAGE_TYPE } from '../wire/registry.ts';

/** A message that was kept. */
export interface KeptMessage {
  readonly direction: 'received' | 'sent';
  /** epoch milliseconds */
  readonly at: number;
  /** header included */
  readonly message: Uint8Array;
}

/** Input that waits while the hold timer fires is given so long to have its turn. */
const UNREAD_MS = 1_000;
/** An OPEN and a KEEPALIVE each way. */
const HANDSHAKE_MESSAGES = 4;

export class PeerConnection {
  readonly id: ConnectionId;
  readonly stream: MessageStream;
  readonly #clock: Clock;
  readonly #handshake: KeptMessage[] = [];
  readonly #timers: Readonly<Record<ConnectionTimer, RestartableTimer>>;
  #sendHoldMs = 0;
  /** the piece of input that started the hold timer last, and with what delay */
  #holdPiece = 0;
  #holdMs = 0;
  #arrival = 0;
  #arrivalPiece = 0;
  #holdExpiring = false;

  constructor(
    id: ConnectionId,
    channel: Channel,
    clock: Clock,
    handlers: MessageHandlers,
    onTimer: (timer: ConnectionTimer) => void,
  ) {
    this.id = id;
    this.#clock = clock;
    this.stream = new MessageStream(channel, {
      onMessage: (type, octets, start, bodyStart, end) => {
        if (this.#handshake.length < HANDSHAKE_MESSAGES) this.#keep('received', octets.subarray(start, end));
        handlers.onMessage(type, octets, start, bodyStart, end);
      },
      takePlain: handlers.takePlain,
      onFrameError: (...error) => handlers.onFrameError(...error),
      onClose: (reason) => handlers.onClose(reason),
      mayRead: () => handlers.mayRead(),
      onWritable: () => {
        this.#timers['send-hold'].touch();
        handlers.onWritable();
      },
    });
    this.#timers = {
      hold: new RestartableTimer(clock, () => {
        // After a long turn of this process the timer comes before the input that has been waiting: let that be read first.
        this.#holdExpiring = true;
        clock.soon(() => {
          if (!this.#holdExpiring) return;
          // What the peer sent may also wait for its turn among many others.
          if (this.stream.hasUnread) this.startTimer('hold', UNREAD_MS);
          else onTimer('hold');
        });
      }),
      keepalive: new RestartableTimer(clock, () => onTimer('keepalive')),
      'send-hold': new RestartableTimer(clock, () => {
        // With nothing waiting to be written there is nothing that the peer holds up.
        if (this.stream.isBacklogged) onTimer('send-hold');
        else this.#timers['send-hold'].start(this.#sendHoldMs);
      }),
    };
  }

  startTimer(timer: ConnectionTimer, delayMs: number): void {
    if (timer === 'send-hold') this.#sendHoldMs = delayMs;
    if (timer === 'hold') {
      this.#holdExpiring = false;
      // Each message starts it over; those of one piece of input came together, and the clock is not read for each.
      const { piece } = this.stream;
      if (piece !== 0 && piece === this.#holdPiece && delayMs === this.#holdMs) return;
      this.#holdPiece = piece;
      this.#holdMs = delayMs;
    }
    this.#timers[timer].start(delayMs);
  }

  stopTimer(timer: ConnectionTimer): void {
    if (timer === 'hold') {
      this.#holdExpiring = false;
      this.#holdPiece = 0;
    }
    this.#timers[timer].stop();
  }

  /** Epoch milliseconds at which the message under way came in, read once a piece of input. */
  arrivedAt(): number {
    const { piece } = this.stream;
    if (piece === 0 || piece !== this.#arrivalPiece) {
      this.#arrival = this.#clock.wallNow();
      this.#arrivalPiece = piece;
    }
    return this.#arrival;
  }

  /** Each side's OPEN and first KEEPALIVE, as far as they have been exchanged: what all that follows is read by. */
  get handshake(): readonly KeptMessage[] {
    return this.#handshake;
  }

  #keep(direction: KeptMessage['direction'], message: Uint8Array): void {
    const type = message[HEADER_OCTETS - 1];
    if (type !== MESSAGE_TYPE.open && type !== MESSAGE_TYPE.keepalive) return;
    const isKnown = this.#handshake.some(
      (kept) => kept.direction === direction && kept.message[HEADER_OCTETS - 1] === type,
    );
    if (!isKnown) this.#handshake.push({ direction, at: this.#clock.wallNow(), message: message.slice() });
  }

  /** Milliseconds that a timer still has; undefined when it does not run. */
  remainingMs(timer: ConnectionTimer): number | undefined {
    return this.#timers[timer].remainingMs;
  }

  send(message: Uint8Array): void {
    if (this.#handshake.length < HANDSHAKE_MESSAGES) this.#keep('sent', message);
    if (!this.stream.isBacklogged) this.#timers['send-hold'].touch();
    this.stream.send(message);
  }

  pump(pull: Puller): boolean {
    if (this.stream.isBacklogged || !this.stream.pump(pull)) return false;
    this.#timers['send-hold'].touch();
    return true;
  }

  /** Stops every timer and closes, with `last` as the last message if given. */
  close(last: Uint8Array | undefined): void {
    this.#holdExpiring = false;
    for (const timer of Object.values(this.#timers)) timer.stop();
    this.stream.close(last);
  }
}
