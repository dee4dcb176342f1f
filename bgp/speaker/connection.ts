/** One TCP connection of a peer with its three timers. */
import type { ConnectionId, ConnectionTimer } from '../session/events.ts';
import type { Channel } from '../transport/channel.ts';
import { type Clock, RestartableTimer } from '../transport/clock.ts';
import { type MessageHandlers, MessageStream, type Puller } from '../transport/message-stream.ts';

export class PeerConnection {
  readonly id: ConnectionId;
  readonly stream: MessageStream;
  readonly #timers: Readonly<Record<ConnectionTimer, RestartableTimer>>;
  #sendHoldMs = 0;
  #holdExpiring = false;

  constructor(
    id: ConnectionId,
    channel: Channel,
    clock: Clock,
    handlers: MessageHandlers,
    onTimer: (timer: ConnectionTimer) => void,
  ) {
    this.id = id;
    this.stream = new MessageStream(channel, {
      onMessage: (...message) => handlers.onMessage(...message),
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
          if (this.#holdExpiring) onTimer('hold');
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
    if (timer === 'hold') this.#holdExpiring = false;
    this.#timers[timer].start(delayMs);
  }

  stopTimer(timer: ConnectionTimer): void {
    if (timer === 'hold') this.#holdExpiring = false;
    this.#timers[timer].stop();
  }

  /** Milliseconds that a timer still has; undefined when it does not run. */
  remainingMs(timer: ConnectionTimer): number | undefined {
    return this.#timers[timer].remainingMs;
  }

  send(message: Uint8Array): void {
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
