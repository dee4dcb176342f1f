/**
 * All BFD sessions of the host: finds the session of a packet (RFC 5880 6.8.6, RFC 5881 3 to 5, RFC 5883 4), runs the session machines and carries out
 * their actions on sockets and timers. It lives in the BFD thread; time, chance and sockets are passed in.
 */

import type { Family } from '../../src/net/address.ts';
import type { Clock, TimerHandle } from '../transport/clock.ts';
import { octetsEqual } from '../wire/bytes.ts';
import { EngineSession } from './engine-session.ts';
import { type BfdListener, type BfdNetwork, type Datagram, GTSM_TTL, PORT } from './network.ts';
import { decodeControlPacket } from './packet.ts';
import type { FromThread } from './thread-messages.ts';
import type { BfdSessionConfig, BfdTimers } from './types.ts';

const LISTEN_RETRY_MS = 1_000;
const LISTEN_RETRY_MAX_MS = 30_000;

export interface EngineOptions {
  readonly network: BfdNetwork;
  readonly clock: Clock;
  /** 0 (inclusive) to 1 (exclusive) */
  readonly random: () => number;
  readonly tell: (message: FromThread) => void;
}

/** A receiving socket shared by the sessions of one family and kind, or the attempt to have one. */
interface Ear {
  readonly family: Family;
  readonly port: number;
  listener: BfdListener | undefined;
  problem: string | undefined;
  retry: TimerHandle | undefined;
  retryMs: number;
}

export class BfdEngine {
  readonly #options: EngineOptions;
  readonly #sessions = new Map<number, EngineSession>();
  readonly #byDiscriminator = new Map<number, EngineSession>();
  readonly #ears = new Map<string, Ear>();

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  add(id: number, config: BfdSessionConfig, counters: Uint32Array): void {
    this.remove(id);
    const ear = this.#earFor(config);
    const session = new EngineSession({
      ...this.#options,
      id,
      config,
      counters,
      discriminator: this.#newDiscriminator(),
      drain: () => ear.listener?.drain(),
      listenProblem: () => ear.problem,
    });
    this.#sessions.set(id, session);
    this.#byDiscriminator.set(session.discriminator, session);
    session.start();
  }

  update(id: number, timers: BfdTimers): void {
    this.#sessions.get(id)?.update(timers);
  }

  /** AdminDown to the peer, then nothing more. */
  remove(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    session.end();
    this.#sessions.delete(id);
    this.#byDiscriminator.delete(session.discriminator);
    this.#closeUnusedEars();
  }

  close(): void {
    for (const id of [...this.#sessions.keys()]) this.remove(id);
  }

  #receive(port: number, datagram: Datagram): void {
    const multihop = port === PORT.multihop;
    // RFC 5881 5: before anything in it is looked at. What fails here has no session to be counted for.
    if (!multihop && datagram.ttl !== GTSM_TTL) {
      this.#find(datagram, multihop)?.discard();
      return;
    }
    const decoded = decodeControlPacket(datagram.octets);
    if (!decoded.ok) {
      this.#find(datagram, multihop)?.discard();
      return;
    }
    const { packet } = decoded;
    const session =
      packet.yourDiscriminator === 0
        ? this.#find(datagram, multihop)
        : this.#byDiscriminator.get(packet.yourDiscriminator);
    if (session === undefined) return;
    const { minTtl } = session.config;
    const tooFar = multihop && minTtl !== undefined && datagram.ttl < minTtl;
    if (tooFar || !belongs(session, datagram, multihop)) {
      session.discard();
      return;
    }
    session.receive(packet);
  }

  /** The session of a packet that names none: by its addresses and interface. */
  #find(datagram: Datagram, multihop: boolean): EngineSession | undefined {
    for (const session of this.#sessions.values()) if (belongs(session, datagram, multihop)) return session;
    return undefined;
  }

  #newDiscriminator(): number {
    for (;;) {
      const candidate = Math.floor(this.#options.random() * 0x1_0000_0000) >>> 0;
      if (candidate !== 0 && !this.#byDiscriminator.has(candidate)) return candidate;
    }
  }

  #earFor({ peer, multihop }: BfdSessionConfig): Ear {
    const port = multihop ? PORT.multihop : PORT.singleHop;
    const key = earKey(peer.family, port);
    const existing = this.#ears.get(key);
    if (existing !== undefined) return existing;
    const ear: Ear = {
      family: peer.family,
      port,
      listener: undefined,
      problem: undefined,
      retry: undefined,
      retryMs: LISTEN_RETRY_MS,
    };
    this.#ears.set(key, ear);
    this.#open(ear);
    return ear;
  }

  #open(ear: Ear): void {
    const { network, clock, tell } = this.#options;
    ear.retry = undefined;
    const opened = network.listen(ear.family, ear.port, (datagram) => this.#receive(ear.port, datagram));
    if (typeof opened !== 'string') {
      ear.listener = opened;
      if (ear.problem !== undefined)
        tell({ type: 'warning', message: `BFD listens on port ${ear.port} now` });
      ear.problem = undefined;
    } else {
      if (ear.problem === undefined) tell({ type: 'warning', message: opened });
      ear.problem = opened;
      ear.retry = clock.after(ear.retryMs, () => this.#open(ear));
      ear.retryMs = Math.min(ear.retryMs * 2, LISTEN_RETRY_MAX_MS);
    }
    for (const session of this.#sessions.values()) if (uses(session, ear)) session.report();
  }

  #closeUnusedEars(): void {
    for (const [key, ear] of this.#ears) {
      if ([...this.#sessions.values()].some((session) => uses(session, ear))) continue;
      ear.retry?.cancel();
      ear.listener?.close();
      this.#ears.delete(key);
    }
  }
}

function earKey(family: Family, port: number): string {
  return `${family} ${port}`;
}

function uses({ config }: EngineSession, { family, port }: Ear): boolean {
  return config.peer.family === family && (config.multihop ? PORT.multihop : PORT.singleHop) === port;
}

/** Whether a packet came from the session's peer, to us, on its interface. */
function belongs(session: EngineSession, datagram: Datagram, multihop: boolean): boolean {
  const { config, interfaceIndex } = session;
  if (config.multihop !== multihop) return false;
  // Zones aside: the interface is looked at by its index.
  if (!octetsEqual(config.peer.bytes, datagram.source.bytes)) return false;
  if (config.local && !octetsEqual(config.local.bytes, datagram.destination.bytes)) return false;
  if (multihop || config.interface === undefined) return true;
  return interfaceIndex !== undefined && interfaceIndex === datagram.interfaceIndex;
}
