/**
 * A netlink request socket: single requests, batches with per-message verdicts, dumps. Everything is synchronous: the kernel
 * does the work inside send(2), so replies are ready when it returns (a batch of 500 routes takes 1 to 2 ms).
 */
import { decodeDone, decodeVerdict, errnoName, NetlinkError, type Verdict } from './error-message.ts';
import * as libc from './libc.ts';
import { inNamespaceOrHere } from './namespace.ts';
import { type MessageBody, MessageCursor } from './reader.ts';
import { AF_NETLINK, NETLINK_OPTION, NLM_F, NLMSG, NLMSG_HEADER_BYTES, SOL_NETLINK } from './registry.ts';
import { MessageWriter } from './writer.ts';

const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const BUFFER_BYTES = 8 * 1024 * 1024;
const RECEIVE_BYTES = 1024 * 1024;
const EBADF = 9;
const ENOBUFS = 105;
const ETIMEDOUT = 110;
const EAGAIN = 11;
const DUMP_ATTEMPTS = 10;
/** ENOENT, ESRCH, ENODEV */
const ABSENT: ReadonlySet<number> = new Set([2, 3, 19]);

// Shared by all sockets: calls are synchronous and nothing keeps a view of it beyond the call.
let receiveBuffer: Uint8Array<ArrayBuffer> | undefined;

/** The buffer into which all netlink sockets of this thread receive. */
export function sharedReceiveBuffer(): Uint8Array<ArrayBuffer> {
  receiveBuffer ??= new Uint8Array(RECEIVE_BYTES);
  return receiveBuffer;
}

/** What became of a batch. */
export interface BatchResult {
  /** Verdicts of the messages that failed, by their index in the batch. All others succeeded, unless `uncertain`. */
  readonly failures: ReadonlyMap<number, Verdict>;
  /** Set when replies were lost: what is not in `failures` may have failed. Read back what matters. */
  readonly uncertain: boolean;
}

/** `interrupted`: something changed while the kernel walked, so entries may be missing or double; read it again. */
export type DumpState = 'more' | 'done' | 'interrupted';

/** Options of `NetlinkSocket.open`. */
export interface NetlinkSocketOptions {
  /** path of the network namespace to open it in; default: the one we are in */
  readonly netns?: string | undefined;
  /** NETLINK_*, default NETLINK_ROUTE */
  readonly protocol?: number;
  /** limit of each reply; default 5,000 ms */
  readonly timeoutMs?: number;
}

/** Opens a bound netlink descriptor (rtnetlink unless `protocol` says otherwise) with extended acknowledgements and large buffers. Throws a NetlinkError. */
export function openRouteSocket(
  netns: string | undefined,
  receiveBytes = BUFFER_BYTES,
  protocol = NETLINK_ROUTE,
): { fd: number; portId: number } {
  return inNamespaceOrHere(netns, () => {
    const opened = libc.socket(AF_NETLINK, SOCK_RAW, protocol);
    if ('errno' in opened) throw new NetlinkError('open a netlink socket', opened.errno);
    const fd = opened.value;
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    const bound = libc.bind(fd, address);
    if ('errno' in bound) {
      libc.close(fd);
      throw new NetlinkError('bind a netlink socket', bound.errno);
    }
    libc.getsockname(fd, address);
    libc.setsockoptInt(fd, SOL_NETLINK, NETLINK_OPTION.CAP_ACK, 1);
    libc.setsockoptInt(fd, SOL_NETLINK, NETLINK_OPTION.EXT_ACK, 1);
    libc.setsockoptInt(fd, SOL_NETLINK, NETLINK_OPTION.GET_STRICT_CHK, 1);
    libc.setsockoptInt(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
    const forced = libc.setsockoptInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBytes);
    if ('errno' in forced) libc.setsockoptInt(fd, SOL_SOCKET, SO_RCVBUF, receiveBytes);
    return { fd, portId: new DataView(address.buffer).getUint32(4, true) };
  });
}

/** A netlink request socket, rtnetlink by default. Not for multicast: see `NetlinkMonitor`. */
export class NetlinkSocket {
  readonly #fd: number;
  /** the address under which the kernel names this socket's requests in notifications */
  readonly portId: number;
  readonly #timeoutMs: number;
  /** reused by `request` and `dump` */
  readonly #writer = new MessageWriter(1024);
  #sequence = 1;
  #dump: { what: string; sequence: number; interrupted: boolean } | undefined;
  #closed = false;

  private constructor(fd: number, portId: number, timeoutMs: number) {
    this.#fd = fd;
    this.portId = portId;
    this.#timeoutMs = timeoutMs;
  }

  /** Opens a socket in the current or the given network namespace. Throws a NetlinkError, or an error of fs.open. */
  static open(options: NetlinkSocketOptions = {}): NetlinkSocket {
    const { fd, portId } = openRouteSocket(options.netns, BUFFER_BYTES, options.protocol);
    return new NetlinkSocket(fd, portId, options.timeoutMs ?? 5000);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    libc.close(this.#fd);
  }

  /** Sends one message and returns the kernel's verdict (errno 0 when it did what was asked). */
  tryRequest(write: (writer: MessageWriter) => void): Verdict {
    this.#writer.reset();
    write(this.#writer);
    const { failures, uncertain } = this.batch(this.#writer, 1);
    const failure = failures.get(0);
    if (failure === undefined && uncertain) return { errno: ENOBUFS, text: 'the reply was lost' };
    return failure ?? { errno: 0, text: '' };
  }

  /** As `tryRequest`, but throws a NetlinkError that begins with `what` unless errno is 0 or one of `tolerated`. */
  request(what: string, write: (writer: MessageWriter) => void, tolerated: readonly number[] = []): void {
    const verdict = this.tryRequest(write);
    if (verdict.errno !== 0 && !tolerated.includes(verdict.errno)) {
      throw new NetlinkError(what, verdict.errno, verdict.text);
    }
  }

  /**
   * As `request`, with the kernel's work done on another thread: for what takes it long. Nothing else may be asked over this socket before
   * it has resolved.
   */
  async requestOnThread(
    what: string,
    write: (writer: MessageWriter) => void,
    tolerated: readonly number[] = [],
  ): Promise<void> {
    this.#writer.reset();
    write(this.#writer);
    const bytes = this.#writer.bytes().slice();
    const sequence = this.#number(bytes, 1);
    const sent = await libc.sendOnThread(this.#fd, bytes);
    if (this.#closed) throw new NetlinkError(what, EBADF, 'the socket was closed meanwhile');
    if (sent < 0) throw new NetlinkError(what, -sent);
    for (;;) {
      const cursor = this.#receive();
      if (cursor === undefined) throw new NetlinkError(what, ENOBUFS, 'the reply was lost');
      while (cursor.next()) {
        if (cursor.sequence !== sequence || cursor.type !== NLMSG.ERROR) continue;
        const verdict = decodeVerdict(cursor, cursor.flags);
        if (verdict !== undefined && verdict.errno !== 0 && !tolerated.includes(verdict.errno))
          throw new NetlinkError(what, verdict.errno, verdict.text);
        return;
      }
    }
  }

  /**
   * Asks for one thing (a GET without dump) and returns what `decode` makes of the answer; undefined when the kernel says that there is
   * none (ENODEV, ENOENT, ESRCH). Throws a NetlinkError for any other refusal.
   */
  query<T>(
    what: string,
    write: (writer: MessageWriter) => void,
    decode: (message: MessageBody) => T | undefined,
  ): T | undefined {
    this.#writer.reset();
    write(this.#writer);
    const bytes = this.#writer.bytes();
    const sequence = this.#number(bytes, 1);
    this.#send(bytes);
    let answer: T | undefined;
    for (;;) {
      const cursor = this.#receive();
      if (cursor === undefined) throw new NetlinkError(what, ENOBUFS, 'the reply was lost');
      while (cursor.next()) {
        if (cursor.sequence !== sequence) continue;
        if (cursor.type !== NLMSG.ERROR) {
          answer ??= decode(cursor);
          continue;
        }
        const verdict = decodeVerdict(cursor, cursor.flags);
        if (verdict !== undefined && verdict.errno !== 0 && !ABSENT.has(verdict.errno)) {
          throw new NetlinkError(what, verdict.errno, verdict.text);
        }
        return answer;
      }
    }
  }

  /**
   * Sends the `count` messages in `writer` by one send(2), asking for an acknowledgement of the last only. The kernel works through all
   * of them whatever fails. Throws a NetlinkError if the batch cannot be sent at all or no reply comes in time.
   */
  batch(writer: MessageWriter, count: number): BatchResult {
    const bytes = writer.bytes();
    const first = this.#number(bytes, count);
    this.#send(bytes);
    const failures = new Map<number, Verdict>();
    const last = first + count - 1;
    for (;;) {
      const cursor = this.#receive();
      if (cursor === undefined) return { failures, uncertain: true };
      while (cursor.next()) {
        if (cursor.sequence < first || cursor.sequence > last || cursor.type !== NLMSG.ERROR) continue;
        const verdict = decodeVerdict(cursor, cursor.flags);
        if (verdict === undefined) continue;
        if (verdict.errno !== 0) failures.set(cursor.sequence - first, verdict);
        if (cursor.sequence === last) return { failures, uncertain: false };
      }
    }
  }

  /**
   * Sends one GET request (NLM_F_DUMP is added) and calls `onMessage` for each entry. A dump that the kernel marks as interrupted
   * (NLM_F_DUMP_INTR: something changed meanwhile) is read again after `onRestart`, up to 10 times. Throws a NetlinkError.
   */
  dump(
    what: string,
    write: (writer: MessageWriter) => void,
    onMessage: (message: MessageBody) => void,
    onRestart: () => void,
  ): void {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      if (attempt > 0) onRestart();
      this.beginDump(what, write);
      let state: DumpState = 'more';
      while (state === 'more') state = this.stepDump(onMessage);
      if (state === 'done') return;
    }
    throw new NetlinkError(what, EAGAIN, `the dump was interrupted ${DUMP_ATTEMPTS} times`);
  }

  /**
   * Starts a dump that is read in steps, for owners that work in slices. Nothing else may be asked over this socket until `stepDump`
   * returned something other than `more`, or threw.
   */
  beginDump(what: string, write: (writer: MessageWriter) => void): void {
    this.#writer.reset();
    write(this.#writer);
    const bytes = this.#writer.bytes();
    this.#dump = { what, sequence: this.#number(bytes, 1, NLM_F.DUMP), interrupted: false };
    this.#send(bytes);
  }

  /** Reads one datagram (up to 32 KiB) of the dump that `beginDump` started. Throws a NetlinkError. */
  stepDump(onMessage: (message: MessageBody) => void): DumpState {
    const dump = this.#dump;
    if (dump === undefined) throw new Error('stepDump without beginDump');
    const cursor = this.#receive();
    if (cursor === undefined) {
      dump.interrupted = true;
      return 'more';
    }
    while (cursor.next()) {
      if (cursor.sequence !== dump.sequence) continue;
      if (cursor.flags & NLM_F.DUMP_INTR) dump.interrupted = true;
      if (cursor.type === NLMSG.DONE || cursor.type === NLMSG.ERROR) {
        this.#dump = undefined;
        const end = cursor.type === NLMSG.DONE ? decodeDone(cursor) : decodeVerdict(cursor, cursor.flags);
        if (end !== undefined && end.errno !== 0) throw new NetlinkError(dump.what, end.errno, end.text);
        return dump.interrupted ? 'interrupted' : 'done';
      }
      onMessage(cursor);
    }
    return 'more';
  }

  /** A dump collected into a list: `decode` makes an entry, or undefined to leave it out. */
  dumpList<T>(
    what: string,
    write: (writer: MessageWriter) => void,
    decode: (message: MessageBody) => T | undefined,
  ): T[] {
    const list: T[] = [];
    const add = (message: MessageBody): void => {
      const value = decode(message);
      if (value !== undefined) list.push(value);
    };
    this.dump(what, write, add, () => {
      list.length = 0;
    });
    return list;
  }

  /** Fills in lengths' companions: sequence numbers, and the flags that every request needs. Returns the first sequence number. */
  #number(bytes: Uint8Array, count: number, extraFlags = 0): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#sequence + count > 0x7fffffff) this.#sequence = 1;
    const first = this.#sequence;
    let at = 0;
    for (let index = 0; index < count; index++) {
      if (at + NLMSG_HEADER_BYTES > bytes.length)
        throw new RangeError(`the batch holds fewer than ${count} messages`);
      const ack = index === count - 1 && extraFlags === 0 ? NLM_F.ACK : 0;
      view.setUint16(at + 6, view.getUint16(at + 6, true) | NLM_F.REQUEST | ack | extraFlags, true);
      view.setUint32(at + 8, this.#sequence++, true);
      at += view.getUint32(at, true);
    }
    if (at !== bytes.length) throw new RangeError(`the batch holds more than ${count} messages`);
    return first;
  }

  #send(bytes: Uint8Array): void {
    const sent = libc.send(this.#fd, bytes);
    if (sent < 0) throw new NetlinkError(`send ${bytes.length} octets to the kernel`, -sent);
  }

  /** The next datagram; undefined when the kernel reports that replies were lost. Throws when none comes in time. */
  #receive(): MessageCursor | undefined {
    const buffer = sharedReceiveBuffer();
    const received = libc.recvWithin(this.#fd, buffer, this.#timeoutMs);
    if (received === -ENOBUFS) return undefined;
    if (received === -EAGAIN) {
      throw new NetlinkError(`wait for the kernel's reply (${this.#timeoutMs} ms)`, ETIMEDOUT);
    }
    if (received < 0) throw new NetlinkError(`receive from the kernel (${errnoName(-received)})`, -received);
    return new MessageCursor(buffer, 0, received);
  }
}
