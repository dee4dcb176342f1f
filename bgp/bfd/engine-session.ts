/** One session of the engine: its machine, timers, sending socket, counters and what is told of it. */
import { type Clock, RestartableTimer, type TimerHandle } from '../transport/clock.ts';
import { type BfdNetwork, type BfdSender, PORT } from './network.ts';
import { type ControlPacket, diagnosticText, encodeControlPacket } from './packet.ts';
import {
  type BfdAction,
  type BfdEvent,
  type BfdSession,
  type BfdStep,
  begin,
  detectionTimeMs,
  initialSession,
  type SessionTimers,
  sendingInterval,
  step,
} from './session.ts';
import { COUNTER, type FromThread, type SessionReport } from './thread-messages.ts';
import type { BfdSessionConfig, BfdTimers } from './types.ts';

/** A socket that does not work is opened anew after this. */
const REOPEN_MS = 1_000;
/** Packets that say goodbye: nobody asks for them again if one is lost. */
const FAREWELLS = 3;

export interface EngineSessionOptions {
  readonly id: number;
  readonly config: BfdSessionConfig;
  readonly counters: Uint32Array;
  readonly discriminator: number;
  readonly network: BfdNetwork;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tell: (message: FromThread) => void;
  /** takes in what the kernel holds for the session now */
  readonly drain: () => void;
  readonly listenProblem: () => string | undefined;
}

export class EngineSession {
  readonly config: BfdSessionConfig;
  readonly discriminator: number;
  readonly #options: EngineSessionOptions;
  readonly #detection: RestartableTimer;
  #session: BfdSession;
  #transmit: TimerHandle | undefined;
  #sender: BfdSender | undefined;
  #reopenAt = 0;
  #sendProblem: string | undefined;
  #since: number;
  #upCount = 0;
  #downCount = 0;
  #lastDown: SessionReport['lastDown'];
  #told = '';

  constructor(options: EngineSessionOptions) {
    const { config, discriminator, clock } = options;
    this.#options = options;
    this.config = config;
    this.discriminator = discriminator;
    this.#session = initialSession(discriminator, machineTimers(config));
    this.#since = clock.wallNow();
    this.#detection = new RestartableTimer(clock, () => this.#detectionExpired());
  }

  /** The interface that it is bound to, if it is. */
  get interfaceIndex(): number | undefined {
    return this.#sender?.interfaceIndex;
  }

  start(): void {
    this.#openSender();
    this.#apply(begin(this.#session, this.#options.clock.now()));
  }

  update(timers: BfdTimers): void {
    this.#run({ type: 'configure', timers: machineTimers(timers) });
  }

  receive(packet: ControlPacket): void {
    this.#count(COUNTER.received);
    this.#run({ type: 'packet', packet });
  }

  /** A packet for this session that may not count. */
  discard(): void {
    this.#count(COUNTER.discarded);
  }

  /** Says goodbye and stops everything. */
  end(): void {
    this.#run({ type: 'admin-down' });
    for (let sent = 1; sent < FAREWELLS; sent++) this.#run({ type: 'transmit-timer' });
    this.#transmit?.cancel();
    this.#detection.stop();
    this.#sender?.close();
    this.#sender = undefined;
  }

  /** Tells how it stands, if anything of it is new. */
  report(): void {
    const report = this.#report();
    const text = JSON.stringify(report);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.tell({ type: 'report', id: this.#options.id, report });
  }

  /**
   * The timer alone proves nothing when this thread was not run in time: packets may be waiting in the socket. They are taken in first, and only
   * when none of them was the peer's is it silent.
   */
  #detectionExpired(): void {
    this.#options.drain();
    if (this.#detection.remainingMs === undefined) this.#run({ type: 'detection-timer' });
  }

  #run(event: BfdEvent): void {
    this.#apply(step(this.#session, event, this.#options.clock.now()));
  }

  #apply({ session, actions }: BfdStep): void {
    const before = this.#session;
    const problem = this.#sendProblem;
    this.#session = session;
    for (const action of actions) this.#perform(action);
    const same =
      session.remote === before.remote &&
      session.timers === before.timers &&
      session.sendingEveryUs === before.sendingEveryUs &&
      session.usedMinRxUs === before.usedMinRxUs &&
      this.#sendProblem === problem;
    if (!same) this.report();
  }

  #perform(action: BfdAction): void {
    const { clock, random } = this.#options;
    switch (action.type) {
      case 'send':
        this.#send(action.packet);
        return;
      case 'start-transmit': {
        const delay = action.earliestMs + random() * (action.latestMs - action.earliestMs);
        this.#transmit?.cancel();
        this.#transmit = clock.after(delay, () => this.#run({ type: 'transmit-timer' }));
        return;
      }
      case 'stop-transmit':
        this.#transmit?.cancel();
        this.#transmit = undefined;
        return;
      case 'start-detection':
        this.#detection.start(action.delayMs);
        return;
      case 'stop-detection':
        this.#detection.stop();
        return;
      case 'state':
        this.#stateChanged(action);
        return;
    }
  }

  #stateChanged({ from, to }: Extract<BfdAction, { type: 'state' }>): void {
    const { id, clock, tell } = this.#options;
    const { diagnostic, remote } = this.#session;
    const at = clock.wallNow();
    this.#since = at;
    if (to === 'Up') this.#upCount += 1;
    if (from === 'Up') {
      this.#downCount += 1;
      this.#lastDown = { at, diagnosticText: diagnosticText(diagnostic) };
    }
    const report = this.#report();
    this.#told = JSON.stringify(report);
    tell({ type: 'state', id, change: { from, to, diagnostic, remoteState: remote.state, at }, report });
  }

  #send(packet: ControlPacket): void {
    if (this.#sender === undefined) this.#openSender();
    if (this.#sender === undefined) {
      this.#count(COUNTER.sendErrors);
      return;
    }
    const problem = this.#sender.send(encodeControlPacket(packet));
    this.#sendProblem = problem?.text;
    this.#count(problem === undefined ? COUNTER.sent : COUNTER.sendErrors);
    if (problem === undefined || !problem.broken) return;
    // The interface or address may be another one by now.
    this.#sender.close();
    this.#sender = undefined;
  }

  #openSender(): void {
    const { network, clock } = this.#options;
    if (clock.now() < this.#reopenAt) return;
    const { peer, local, multihop, interface: device } = this.config;
    const port = multihop ? PORT.multihop : PORT.singleHop;
    const opened = network.openSender({ peer, port, local, interface: multihop ? undefined : device });
    if (typeof opened !== 'string') {
      this.#sender = opened;
      return;
    }
    this.#sendProblem = opened;
    this.#reopenAt = clock.now() + REOPEN_MS;
  }

  #count(counter: number): void {
    Atomics.add(this.#options.counters, counter, 1);
  }

  #report(): SessionReport {
    const { state, diagnostic, localDiscriminator, remote } = this.#session;
    const interval = sendingInterval(this.#session);
    const detection = detectionTimeMs(this.#session);
    const problem = this.#options.listenProblem() ?? this.#sendProblem;
    return {
      state,
      since: this.#since,
      diagnostic,
      diagnosticText: diagnosticText(diagnostic),
      localDiscriminator,
      multihop: this.config.multihop,
      ...(remote.discriminator !== 0 && {
        remote: {
          state: remote.state,
          diagnostic: remote.diagnostic,
          diagnosticText: diagnosticText(remote.diagnostic),
          discriminator: remote.discriminator,
          minTxMs: remote.minTxUs / 1000,
          minRxMs: remote.minRxUs / 1000,
          multiplier: remote.multiplier,
          demand: remote.demand,
          controlPlaneIndependent: remote.controlPlaneIndependent,
        },
      }),
      ...(interval !== undefined && { txIntervalMs: interval / 1000 }),
      ...(detection !== undefined && { detectionTimeMs: detection }),
      upCount: this.#upCount,
      downCount: this.#downCount,
      ...(this.#lastDown && { lastDown: this.#lastDown }),
      ...(problem !== undefined && { problem }),
    };
  }
}

function machineTimers({ minTxMs, minRxMs, multiplier }: BfdTimers): SessionTimers {
  return { minTxUs: minTxMs * 1000, minRxUs: minRxMs * 1000, multiplier };
}
