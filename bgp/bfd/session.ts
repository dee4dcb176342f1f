/**
 * One BFD session in asynchronous mode as a pure machine (RFC 5880 6.8): what it knows, an event and the time in; what it knows then and what to
 * do out. It takes the active role, never asks for demand mode (but obeys a peer that does), has no echo function and no authentication.
 */
import { type BfdState, type ControlPacket, DIAGNOSTIC } from './packet.ts';

/** RFC 5880 6.8.3: not faster than this while the session is not up. */
export const SLOW_INTERVAL_US = 1_000_000;

/** What the owner wants of a session. Changes are made under it by a poll sequence. */
export interface SessionTimers {
  /** microseconds, 1..4294967295 */
  readonly minTxUs: number;
  readonly minRxUs: number;
  /** 1..255 */
  readonly multiplier: number;
}

/** The state variables of RFC 5880 6.8.1, and what the timers run with. */
export interface BfdSession {
  readonly timers: SessionTimers;
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly localDiscriminator: number;
  /** what is said of our sending; it counts at once when it falls, and after the poll sequence when it grows (6.8.3) */
  readonly desiredMinTxUs: number;
  readonly usedMinTxUs: number;
  /** what our detection time is counted with: the one said last, or the one before while a poll sequence lowers it (6.8.3) */
  readonly usedMinRxUs: number;
  /** `again`: something changed while a poll was under way, and one more follows it */
  readonly poll: 'none' | 'active' | 'again';
  readonly remote: RemoteEnd;
  /** on the scale of `now`; undefined before the first packet */
  readonly lastSentAt: number | undefined;
  /** the interval that the transmit timer runs with; undefined: it does not run */
  readonly sendingEveryUs: number | undefined;
}

/** What the peer's last packet said; all as at the beginning when none came within the detection time. */
export interface RemoteEnd {
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly discriminator: number;
  readonly minRxUs: number;
  readonly minTxUs: number;
  readonly multiplier: number;
  readonly demand: boolean;
  readonly controlPlaneIndependent: boolean;
}

export type BfdEvent =
  /** a packet that is this session's and passed all checks */
  | { readonly type: 'packet'; readonly packet: ControlPacket }
  | { readonly type: 'transmit-timer' }
  | { readonly type: 'detection-timer' }
  | { readonly type: 'admin-down' }
  | { readonly type: 'admin-up' }
  | { readonly type: 'configure'; readonly timers: SessionTimers };

export type BfdAction =
  | { readonly type: 'send'; readonly packet: ControlPacket }
  /** (re)starts the transmit timer with any delay between the two: RFC 5880 6.8.7 asks for chance */
  | { readonly type: 'start-transmit'; readonly earliestMs: number; readonly latestMs: number }
  | { readonly type: 'stop-transmit' }
  | { readonly type: 'start-detection'; readonly delayMs: number }
  | { readonly type: 'stop-detection' }
  | { readonly type: 'state'; readonly from: BfdState; readonly to: BfdState };

export interface BfdStep {
  readonly session: BfdSession;
  readonly actions: readonly BfdAction[];
}

const NOBODY: RemoteEnd = {
  state: 'Down',
  diagnostic: DIAGNOSTIC.none,
  discriminator: 0,
  // RFC 5880 6.8.1: 1 at first, which slows nothing down
  minRxUs: 1,
  minTxUs: 0,
  multiplier: 0,
  demand: false,
  controlPlaneIndependent: false,
};

/** A session before its first packet: Down, and silent until `begin`. */
export function initialSession(localDiscriminator: number, timers: SessionTimers): BfdSession {
  const desiredMinTxUs = Math.max(timers.minTxUs, SLOW_INTERVAL_US);
  return {
    timers,
    state: 'Down',
    diagnostic: DIAGNOSTIC.none,
    localDiscriminator,
    desiredMinTxUs,
    usedMinTxUs: desiredMinTxUs,
    usedMinRxUs: timers.minRxUs,
    poll: 'none',
    remote: NOBODY,
    lastSentAt: undefined,
    sendingEveryUs: undefined,
  };
}

/** Sends the first packet and starts the transmit timer. */
export function begin(session: BfdSession, now: number): BfdStep {
  const turn = new Turn(session, now);
  turn.send();
  return turn.end();
}

/** Runs one event. Total: every event in every state has an answer. `now` is in milliseconds and never goes back. */
export function step(session: BfdSession, event: BfdEvent, now: number): BfdStep {
  const turn = new Turn(session, now);
  switch (event.type) {
    case 'packet':
      turn.receive(event.packet);
      break;
    case 'transmit-timer':
      turn.change({ sendingEveryUs: undefined });
      if (sendingInterval(turn.session) !== undefined) turn.send();
      break;
    case 'detection-timer':
      turn.detectionExpired();
      break;
    case 'admin-down':
      if (session.state !== 'AdminDown') turn.enter('AdminDown', DIAGNOSTIC.administrativelyDown);
      turn.push({ type: 'stop-detection' });
      break;
    case 'admin-up':
      if (session.state === 'AdminDown') turn.enter('Down', DIAGNOSTIC.none);
      break;
    case 'configure':
      turn.configure(event.timers);
      break;
  }
  return turn.end();
}

/** Microseconds between periodic packets before jitter; undefined when none are to be sent (RFC 5880 6.8.7). */
export function sendingInterval(session: BfdSession): number | undefined {
  const { remote, state, poll, usedMinTxUs } = session;
  if (remote.minRxUs === 0) return undefined;
  const demanded = remote.demand && state === 'Up' && remote.state === 'Up';
  if (demanded && poll === 'none') return undefined;
  return Math.max(usedMinTxUs, remote.minRxUs);
}

/** RFC 5880 6.8.4, in milliseconds; undefined while nothing has been heard. */
export function detectionTimeMs({ remote, usedMinRxUs }: BfdSession): number | undefined {
  if (remote.multiplier === 0) return undefined;
  return (remote.multiplier * Math.max(usedMinRxUs, remote.minTxUs)) / 1000;
}

/** The session under one event, and the actions collected. */
class Turn {
  session: BfdSession;
  readonly #now: number;
  readonly #actions: BfdAction[] = [];

  constructor(session: BfdSession, now: number) {
    this.session = session;
    this.#now = now;
  }

  change(change: Partial<BfdSession>): void {
    this.session = { ...this.session, ...change };
  }

  push(action: BfdAction): void {
    this.#actions.push(action);
  }

  /** RFC 5880 6.8.6 from "Set bfd.RemoteDiscr" on. */
  receive(packet: ControlPacket): void {
    const remote = remoteEnd(packet);
    if (!sameEnd(remote, this.session.remote)) this.change({ remote });
    if (packet.final) this.#pollAnswered();
    const { state } = this.session;
    if (state === 'AdminDown') return;
    const next = nextState(state, packet.state);
    if (next !== state) {
      this.enter(next, next === 'Down' ? DIAGNOSTIC.neighborSignaledSessionDown : DIAGNOSTIC.none);
    }
    if (packet.poll) this.push({ type: 'send', packet: this.#packet({ final: true }) });
    const delayMs = detectionTimeMs(this.session);
    if (delayMs !== undefined) this.push({ type: 'start-detection', delayMs });
  }

  /** RFC 5880 6.8.4: Down if it was up or coming up; and in any case the peer's discriminator is forgotten (6.8.1). */
  detectionExpired(): void {
    const { state } = this.session;
    this.change({ remote: NOBODY });
    if (state === 'Init' || state === 'Up') this.enter('Down', DIAGNOSTIC.controlDetectionTimeExpired);
  }

  /** Changes the state, and says so at once rather than with the next periodic packet. */
  enter(to: BfdState, diagnostic: number): void {
    const from = this.session.state;
    this.change({ state: to, diagnostic });
    this.push({ type: 'state', from, to });
    this.#wish();
    this.send();
  }

  configure(timers: SessionTimers): void {
    const before = this.session;
    this.change({ timers });
    this.#wish();
    const { minRxUs } = timers;
    if (minRxUs >= before.usedMinRxUs || before.state !== 'Up') this.change({ usedMinRxUs: minRxUs });
    if (minRxUs !== before.timers.minRxUs) this.#startPoll();
    if (this.session.poll !== 'none' && before.poll === 'none') this.send();
  }

  /** RFC 5880 6.8.3: the interval that we say, slow while not up. */
  #wish(): void {
    const { state, timers, desiredMinTxUs, usedMinTxUs } = this.session;
    const wanted = state === 'Up' ? timers.minTxUs : Math.max(timers.minTxUs, SLOW_INTERVAL_US);
    if (state !== 'Up') {
      // No poll sequence has a meaning any more: nobody answers it for sure.
      this.change({
        desiredMinTxUs: wanted,
        usedMinTxUs: wanted,
        usedMinRxUs: timers.minRxUs,
        poll: 'none',
      });
      return;
    }
    if (wanted === desiredMinTxUs) return;
    this.change({ desiredMinTxUs: wanted, usedMinTxUs: Math.min(wanted, usedMinTxUs) });
    this.#startPoll();
  }

  #startPoll(): void {
    if (this.session.state !== 'Up') return;
    this.change({ poll: this.session.poll === 'none' ? 'active' : 'again' });
  }

  /** The Final bit came: what was said last counts, unless it was said after that poll began. */
  #pollAnswered(): void {
    const { poll, desiredMinTxUs, timers } = this.session;
    if (poll === 'none') return;
    if (poll === 'again') {
      this.change({ poll: 'active' });
      this.send();
      return;
    }
    this.change({ poll: 'none', usedMinTxUs: desiredMinTxUs, usedMinRxUs: timers.minRxUs });
  }

  /** Sends now; the next periodic packet is one interval away from here. */
  send(): void {
    // RFC 5880 6.8.7: none at all to a peer that wants none.
    if (this.session.remote.minRxUs === 0) return;
    this.push({ type: 'send', packet: this.#packet({ final: false }) });
    this.change({ lastSentAt: this.#now, sendingEveryUs: undefined });
  }

  #packet({ final }: { readonly final: boolean }): ControlPacket {
    const { session } = this;
    return {
      diagnostic: session.diagnostic,
      state: session.state,
      // RFC 5880 6.5: never both
      poll: !final && session.poll !== 'none',
      final,
      // The sessions end with the process that routes.
      controlPlaneIndependent: false,
      demand: false,
      multiplier: session.timers.multiplier,
      myDiscriminator: session.localDiscriminator,
      yourDiscriminator: session.remote.discriminator,
      desiredMinTxUs: session.desiredMinTxUs,
      requiredMinRxUs: session.timers.minRxUs,
      requiredMinEchoRxUs: 0,
    };
  }

  /** Puts the transmit timer right where the interval changed or a packet was sent. */
  end(): BfdStep {
    const everyUs = sendingInterval(this.session);
    if (everyUs !== this.session.sendingEveryUs) {
      if (everyUs === undefined) this.push({ type: 'stop-transmit' });
      else this.#startTransmit(everyUs);
      this.change({ sendingEveryUs: everyUs });
    }
    return { session: this.session, actions: this.#actions };
  }

  /** RFC 5880 6.8.7: 75 to 100 % of the interval since the last packet; at most 90 % when one lost packet is the end. */
  #startTransmit(everyUs: number): void {
    const { lastSentAt, timers } = this.session;
    const sinceMs = lastSentAt === undefined ? 0 : this.#now - lastSentAt;
    const latest = timers.multiplier === 1 ? 0.9 : 1;
    this.push({
      type: 'start-transmit',
      earliestMs: Math.max(0, (everyUs * 0.75) / 1000 - sinceMs),
      latestMs: Math.max(0, (everyUs * latest) / 1000 - sinceMs),
    });
  }
}

/** The state machine of RFC 5880 6.2 and 6.8.6, for a session that is not AdminDown. */
function nextState(state: BfdState, received: BfdState): BfdState {
  if (received === 'AdminDown') return 'Down';
  if (state === 'Down') return received === 'Down' ? 'Init' : received === 'Init' ? 'Up' : 'Down';
  if (state === 'Init') return received === 'Down' ? 'Init' : 'Up';
  return received === 'Down' ? 'Down' : state;
}

function remoteEnd(packet: ControlPacket): RemoteEnd {
  return {
    state: packet.state,
    diagnostic: packet.diagnostic,
    discriminator: packet.myDiscriminator,
    minRxUs: packet.requiredMinRxUs,
    minTxUs: packet.desiredMinTxUs,
    multiplier: packet.multiplier,
    demand: packet.demand,
    controlPlaneIndependent: packet.controlPlaneIndependent,
  };
}

function sameEnd(a: RemoteEnd, b: RemoteEnd): boolean {
  return (
    a.state === b.state &&
    a.diagnostic === b.diagnostic &&
    a.discriminator === b.discriminator &&
    a.minRxUs === b.minRxUs &&
    a.minTxUs === b.minTxUs &&
    a.multiplier === b.multiplier &&
    a.demand === b.demand &&
    a.controlPlaneIndependent === b.controlPlaneIndependent
  );
}
