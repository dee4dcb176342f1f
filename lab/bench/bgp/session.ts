/**
 * One side of a BGP session that does nothing but what the benchmark needs: it opens, keeps alive, writes octets encoded beforehand, and
 * counts (and keeps) the UPDATEs that come. It checks nothing while the clock runs; `verify.ts` does afterwards.
 */
import { connect, type Socket } from 'node:net';
import type { Family } from '../../../src/net/address.ts';
import { AFI, countNlri, HEADER_OCTETS, partsOf } from './wire.ts';

export interface SessionOptions {
  readonly localAddress: string;
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly as: number;
  /** BGP identifier, dotted */
  readonly routerId: string;
  /** the only one that it offers */
  readonly family: Family;
  /** what it does with several paths (RFC 7911); undefined: nothing */
  readonly addPath?: 'send' | 'receive';
  /** default 240 */
  readonly holdTimeSec?: number;
  /** drops what comes once it is established: a sender */
  readonly isSink?: boolean;
  /** called for each message of the device, whatever it is */
  readonly onMessage?: () => void;
}

/** What has come so far. */
export interface Received {
  /** NLRI announced and withdrawn, each time counted */
  announced: number;
  withdrawn: number;
  updates: number;
  /** `performance.now` at the last UPDATE */
  lastAt: number;
  /** `performance.now` at the first UPDATE since `reset` */
  firstAt: number;
}

const TYPE = { open: 1, update: 2, notification: 3, keepalive: 4 } as const;
const HOLD_TIME_SEC = 240;
const CONNECT_TIMEOUT_MS = 30_000;
const RETRY_MS = 100;
const CHUNK_OCTETS = 1 << 20;
/** given to the kernel at once */
const PIECE_OCTETS = 1 << 17;

/** What was waited for had not come in time. */
export class UnfinishedError extends Error {
  readonly waitedSec: number;

  constructor(what: string, waitedSec: number) {
    super(`did not finish in ${waitedSec} s: ${what}`);
    this.waitedSec = waitedSec;
  }
}

/** A session of the harness. */
export class BenchSession {
  readonly received: Received = { announced: 0, withdrawn: 0, updates: 0, lastAt: 0, firstAt: 0 };
  /** every UPDATE since `reset`, as it came */
  kept: Buffer = Buffer.alloc(0);
  /** why it is down */
  fault: string | undefined;
  readonly #socket: Socket;
  readonly #options: SessionOptions;
  #keptLength = 0;
  #parsedTo = 0;
  #isEstablished = false;
  #wake: (() => void) | undefined;
  readonly #keepalive: NodeJS.Timeout;

  private constructor(socket: Socket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    const holdTimeSec = options.holdTimeSec ?? HOLD_TIME_SEC;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.#fail(error.message));
    socket.on('close', () => this.#fail('closed'));
    socket.write(openMessage(options, holdTimeSec));
    this.#keepalive = setInterval(() => socket.write(KEEPALIVE), (holdTimeSec * 1000) / 3);
  }

  /** Connects, again and again until the device listens, and resolves once the session is established. */
  static async open(options: SessionOptions): Promise<BenchSession> {
    const deadline = performance.now() + CONNECT_TIMEOUT_MS;
    for (;;) {
      try {
        const session = await BenchSession.#connect(options);
        await session.until(() => session.#isEstablished, CONNECT_TIMEOUT_MS, 'established');
        return session;
      } catch (error) {
        if (performance.now() > deadline) {
          const reason = error instanceof Error ? error.message : String(error);
          throw new Error(`no session from ${options.localAddress}: ${reason}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  static #connect(options: SessionOptions): Promise<BenchSession> {
    return new Promise((resolve, reject) => {
      let session: BenchSession | undefined;
      const chunk = Buffer.allocUnsafe(CHUNK_OCTETS);
      const socket = connect({
        host: options.peerAddress,
        port: options.peerPort,
        localAddress: options.localAddress,
        onread: {
          buffer: chunk,
          callback: (octets) => {
            session?.take(chunk.subarray(0, octets));
            return true;
          },
        },
      });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        session = new BenchSession(socket, options);
        resolve(session);
      });
    });
  }

  /** Forgets what came, with room for `octets` of what will. */
  reset(octets: number): void {
    this.kept = Buffer.allocUnsafe(octets);
    this.#keptLength = 0;
    this.#parsedTo = 0;
    Object.assign(this.received, { announced: 0, withdrawn: 0, updates: 0, lastAt: 0, firstAt: 0 });
  }

  /** What came since `reset`. */
  octets(): Buffer {
    return this.kept.subarray(0, this.#keptLength);
  }

  /** Octets of whole messages that came since `reset`. */
  get wholeOctets(): number {
    return this.#parsedTo;
  }

  /** Octets that came since `reset`. */
  get receivedOctets(): number {
    return this.#keptLength;
  }

  /** Resolves once the last octet is with the kernel. */
  send(octets: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const sendFrom = (at: number): void => {
        if (at >= octets.length) resolve();
        // What has come meanwhile is read before the next piece: a device that reads as fast as it is written to would keep the receiver waiting.
        else
          this.#socket.write(octets.subarray(at, at + PIECE_OCTETS), () =>
            setImmediate(sendFrom, at + PIECE_OCTETS),
          );
      };
      sendFrom(0);
    });
  }

  /** Resolves when `isDone`, looked at after each chunk; rejects when the session falls or, with an UnfinishedError, after `timeoutMs`. */
  async until(isDone: () => boolean, timeoutMs: number, what: string): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!isDone()) {
      if (this.fault !== undefined) throw new Error(`the session fell: ${this.fault}`);
      const left = deadline - performance.now();
      if (left <= 0)
        throw new UnfinishedError(`not ${what}: ${JSON.stringify(this.received)}`, timeoutMs / 1000);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    clearInterval(this.#keepalive);
    this.#socket.destroy();
  }

  take(chunk: Buffer): void {
    if (this.#isEstablished && this.#options.isSink === true) return;
    if (this.#keptLength + chunk.length > this.kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(1 << 16, (this.#keptLength + chunk.length) * 2));
      this.kept.copy(larger, 0, 0, this.#keptLength);
      this.kept = larger;
    }
    chunk.copy(this.kept, this.#keptLength);
    this.#keptLength += chunk.length;
    this.#parse();
    this.#wake?.();
  }

  #parse(): void {
    const { kept, received } = this;
    let at = this.#parsedTo;
    while (this.#keptLength - at >= HEADER_OCTETS) {
      const length = kept.readUInt16BE(at + 16);
      if (at + length > this.#keptLength) break;
      const type = kept[at + 18];
      this.#options.onMessage?.();
      if (type === TYPE.update) this.#count(at, length);
      else if (type === TYPE.open) this.#socket.write(KEEPALIVE);
      else if (type === TYPE.keepalive) this.#isEstablished = true;
      else if (type === TYPE.notification) this.#fail(`NOTIFICATION ${kept[at + 19]}/${kept[at + 20]}`);
      at += length;
    }
    if (received.updates > 0 && at > this.#parsedTo) {
      received.lastAt = performance.now();
      if (received.firstAt === 0) received.firstAt = received.lastAt;
    }
    this.#parsedTo = at;
  }

  #count(at: number, length: number): void {
    const { kept, received } = this;
    const hasPathIds = this.#options.addPath === 'receive';
    received.updates++;
    const withdrawnEnd = at + 21 + kept.readUInt16BE(at + 19);
    const attributesEnd = withdrawnEnd + 2 + kept.readUInt16BE(withdrawnEnd);
    if (attributesEnd < at + length || withdrawnEnd > at + 21) {
      received.withdrawn += countNlri(kept, at + 21, withdrawnEnd, hasPathIds);
      received.announced += countNlri(kept, attributesEnd, at + length, hasPathIds);
      return;
    }
    const { withdrawn, announced } = partsOf(kept, at);
    for (const { from, to } of withdrawn) received.withdrawn += countNlri(kept, from, to, hasPathIds);
    for (const { from, to } of announced) received.announced += countNlri(kept, from, to, hasPathIds);
  }

  #fail(reason: string): void {
    this.fault ??= reason;
    clearInterval(this.#keepalive);
    this.#wake?.();
  }
}

const KEEPALIVE = message(TYPE.keepalive, Buffer.alloc(0));

function message(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_OCTETS, 0xff);
  header.writeUInt16BE(HEADER_OCTETS + body.length, 16);
  header[18] = type;
  return Buffer.concat([header, body]);
}

/** OPEN (RFC 4271 section 4.2) with one family (RFC 4760), 4-octet AS numbers (RFC 6793) and perhaps ADD-PATH (RFC 7911). */
function openMessage({ as, routerId, family, addPath }: SessionOptions, holdTimeSec: number): Buffer {
  const direction = addPath === undefined ? [] : [69, 4, 0, AFI[family], 1, addPath === 'send' ? 2 : 1];
  const capabilities = Buffer.from([1, 4, 0, AFI[family], 0, 1, 65, 4, 0, 0, 0, 0, ...direction]);
  capabilities.writeUInt32BE(as, 8);
  const body = Buffer.alloc(10);
  body[0] = 4;
  body.writeUInt16BE(as > 0xffff ? 23456 : as, 1);
  body.writeUInt16BE(holdTimeSec, 3);
  body.set(routerId.split('.').map(Number), 5);
  body[9] = capabilities.length + 2;
  return message(TYPE.open, Buffer.concat([body, Buffer.from([2, capabilities.length]), capabilities]));
}
