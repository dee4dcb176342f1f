/**
 * Taking a node out of service without loss (RFC 8326 4): first everything is tagged, so that the peers find other ways while ours still works; then
 * the sessions end with 6/2 and a text, and stay down until the node is brought back.
 */
import { type Clock, RestartableTimer } from '../transport/clock.ts';
import type { SpeakerLog } from './events.ts';
import type { Peer } from './peer.ts';

/** `draining`: the sessions are up, and everything on them is tagged; `drained`: they are down. */
export type ServiceState = 'in-service' | 'draining' | 'drained';

/** What draining works on. */
export interface DrainOptions {
  readonly clock: Clock;
  readonly log: SpeakerLog;
  readonly tag: (on: boolean) => void;
  readonly peers: () => Iterable<Peer>;
}

export class Drain {
  readonly #options: DrainOptions;
  readonly #timer: RestartableTimer;
  /** peers that are down for this, and not for another reason */
  readonly #held = new Set<Peer>();
  #state: ServiceState = 'in-service';
  #text = '';

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#timer = new RestartableTimer(options.clock, () => this.#end());
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** What the peers are told, or will be. */
  get text(): string {
    return this.#text;
  }

  /** Tags, and ends the sessions after `waitSec`. Under way already, it takes the new time and text. */
  begin(waitSec: number, text: string): void {
    this.#text = text;
    if (this.#state === 'drained') return;
    this.#enter('draining');
    this.#options.tag(true);
    if (waitSec > 0) this.#timer.start(waitSec * 1000);
    else this.#end();
  }

  /** Back to normal: the sessions that this ended come up again. */
  undo(): void {
    this.#timer.stop();
    if (this.#state === 'in-service') return;
    this.#enter('in-service');
    this.#options.tag(false);
    for (const peer of this.#held) if (!peer.config.adminDown) peer.enable();
    this.#held.clear();
  }

  /** Peers may have come, or been started: while drained they are down as well. */
  apply(): void {
    if (this.#state !== 'drained') return;
    for (const peer of this.#options.peers()) {
      if (peer.session.admin === 'down') continue;
      this.#held.add(peer);
      peer.disable(this.#text);
    }
  }

  /** A peer is gone for good. */
  forget(peer: Peer): void {
    this.#held.delete(peer);
  }

  /** Nothing more happens by itself. */
  stop(): void {
    this.#timer.stop();
  }

  #end(): void {
    this.#enter('drained');
    this.apply();
  }

  #enter(state: ServiceState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.log({ type: 'service', state });
  }
}
