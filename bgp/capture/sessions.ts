/** BGP out of captured packets: connections to or from a BGP port, each direction put in order, cut into messages, and judged in its context. */

import { uint16 } from '../wire/bytes.ts';
import { decodeOpen } from '../wire/open.ts';
import { HEADER_OCTETS, MESSAGE_TYPE } from '../wire/registry.ts';
import type { OpenMessage } from '../wire/types.ts';
import type { SessionPhase, VerdictContext } from '../wire/verdict.ts';
import { learntContext } from './learnt-context.ts';
import type { CaptureItem, Endpoint } from './messages.ts';
import { type TcpSegment, tcpSegmentOf } from './packet.ts';
import type { CapturedPacket } from './pcap.ts';
import { TcpStream } from './tcp-stream.ts';

/** Connections that are followed at a time; the one that was quiet longest goes. */
const CONNECTIONS_MAX = 4096;

/** One direction of a connection. */
interface Direction {
  readonly from: Endpoint;
  readonly stream: TcpStream;
  /** octets of a message whose rest has not come; grows to one message and one segment at most */
  partial: Uint8Array;
  /** the sender's OPEN */
  open: OpenMessage | undefined;
  phase: SessionPhase;
  /** octets were lost: what comes is no message until a marker. Undefined before the first octets */
  isLost: boolean | undefined;
  /** when its last octets came */
  lastAt: number;
}

interface Connection {
  readonly sides: readonly [Direction, Direction];
}

export interface SessionOptions {
  /** port that makes a connection BGP; 179 by default */
  readonly port: number;
  /** what holds where no OPEN was seen */
  readonly otherwise: VerdictContext;
}

/** Follows connections. Feed it packets in order; what comes out of each call is in order of completion. */
export class CapturedSessions {
  readonly #options: SessionOptions;
  readonly #connections = new Map<string, Connection>();
  #out: CaptureItem[] = [];

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Messages that this packet completes. */
  add(packet: CapturedPacket): readonly CaptureItem[] {
    const segment = tcpSegmentOf(packet.linkType, packet.octets);
    const { port } = this.#options;
    if (segment === undefined || (segment.sourcePort !== port && segment.destinationPort !== port)) return [];
    const { direction, other } = this.#directionOf(segment);
    const { sequence, payload, payloadOctets } = segment;
    // A SYN takes one number of its own.
    const dataAt = segment.syn ? (sequence + 1) % 2 ** 32 : sequence;
    direction.stream.add(dataAt, payload, payloadOctets, packet.at);
    if (segment.rst) for (const side of [direction, other]) side.stream.end();
    return this.#take();
  }

  /** Messages that were waiting behind octets which never came, and a word on what is left over. */
  end(): readonly CaptureItem[] {
    for (const connection of this.#connections.values()) this.#close(connection);
    this.#connections.clear();
    return this.#take();
  }

  #take(): readonly CaptureItem[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #directionOf(segment: TcpSegment): { direction: Direction; other: Direction } {
    const { source, sourcePort, destination, destinationPort } = segment;
    const here = `${source.bytes.join('.')} ${sourcePort}`;
    const there = `${destination.bytes.join('.')} ${destinationPort}`;
    const isFirst = here < there;
    const key = isFirst ? `${here} ${there}` : `${there} ${here}`;
    const index = isFirst ? 0 : 1;
    let connection = this.#connections.get(key);
    if (segment.syn && connection?.sides[index].stream.start(segment.sequence) === false) {
      // The same ports again: a new connection.
      this.#close(connection);
      connection = undefined;
    }
    if (connection === undefined) {
      const from = { address: source, port: sourcePort };
      const to = { address: destination, port: destinationPort };
      connection = { sides: isFirst ? this.#pair(from, to) : this.#pair(to, from) };
      if (segment.syn) connection.sides[index].stream.start(segment.sequence);
    }
    this.#connections.delete(key);
    this.#connections.set(key, connection);
    this.#bound();
    return { direction: connection.sides[index], other: connection.sides[isFirst ? 1 : 0] };
  }

  #pair(one: Endpoint, two: Endpoint): [Direction, Direction] {
    const first = this.#direction(one, () => second);
    const second: Direction = this.#direction(two, () => first);
    return [first, second];
  }

  #direction(from: Endpoint, other: () => Direction): Direction {
    const direction: Direction = {
      from,
      stream: new TcpStream({
        onData: (octets, at) => this.#data(direction, other(), octets, at),
        onGap: (octets, at) => {
          this.#note(direction, other(), at, `${octets} octets are not in the capture`);
          direction.partial = new Uint8Array(0);
          direction.isLost = true;
        },
      }),
      partial: new Uint8Array(0),
      open: undefined,
      phase: 'opensent',
      isLost: undefined,
      lastAt: 0,
    };
    return direction;
  }

  #note(from: Direction, to: Direction, at: number, text: string): void {
    this.#out.push({ kind: 'note', at, from: from.from, to: to.from, text });
  }

  /** Tells what is left of both directions of a connection that is over. */
  #close({ sides }: Connection): void {
    for (const side of sides) side.stream.end();
    const [one, two] = sides;
    for (const [side, other] of [
      [one, two],
      [two, one],
    ] as const) {
      if (side.partial.length === 0) continue;
      this.#note(side, other, side.lastAt, `${side.partial.length} octets of a message that does not end`);
      side.partial = new Uint8Array(0);
    }
  }

  #data(direction: Direction, other: Direction, octets: Uint8Array, at: number): void {
    // A capture that began later may begin within a message.
    direction.isLost ??= !direction.stream.hasSyn;
    direction.lastAt = at;
    let rest = octets;
    if (direction.partial.length > 0) {
      rest = new Uint8Array(direction.partial.length + octets.length);
      rest.set(direction.partial);
      rest.set(octets, direction.partial.length);
    }
    for (;;) {
      if (direction.isLost) {
        const start = messageStart(rest);
        rest = rest.subarray(start.at);
        if (!start.found) break;
        direction.isLost = false;
      }
      if (rest.length < HEADER_OCTETS) break;
      const length = uint16(rest, 16);
      if (!hasMarker(rest, 0) || length < HEADER_OCTETS) {
        // The receiver ends the session for this; what follows is read on from the next marker.
        this.#message(direction, other, rest.slice(0, HEADER_OCTETS), at);
        rest = rest.subarray(1);
        direction.isLost = true;
        continue;
      }
      if (rest.length < length) break;
      this.#message(direction, other, rest.slice(0, length), at);
      rest = rest.subarray(length);
    }
    direction.partial = rest.slice();
  }

  #message(direction: Direction, other: Direction, message: Uint8Array, at: number): void {
    const type = message[HEADER_OCTETS - 1];
    if (type === MESSAGE_TYPE.open && direction.open === undefined) {
      direction.open = decodeOpen(message.subarray(HEADER_OCTETS));
      direction.phase = 'opensent';
    } else if (direction.open === undefined) direction.phase = 'established';
    this.#out.push({
      kind: 'message',
      at,
      from: direction.from,
      to: other.from,
      message,
      context: learntContext(direction.phase, other.open, direction.open, this.#options.otherwise),
    });
    if (direction.phase === 'opensent') direction.phase = 'openconfirm';
    else if (direction.phase === 'openconfirm' && type === MESSAGE_TYPE.keepalive)
      direction.phase = 'established';
  }

  #bound(): void {
    if (this.#connections.size <= CONNECTIONS_MAX) return;
    for (const [key, connection] of this.#connections) {
      this.#close(connection);
      this.#connections.delete(key);
      return;
    }
  }
}

function hasMarker(octets: Uint8Array, at: number): boolean {
  for (let i = 0; i < 16; i++) if (octets[at + i] !== 0xff) return false;
  return true;
}

/** Where the next message begins: a marker, a plausible length and a type that exists. Not found: from where on to keep octets. */
function messageStart(octets: Uint8Array): { readonly found: boolean; readonly at: number } {
  let at = 0;
  for (; at + HEADER_OCTETS <= octets.length; at++) {
    if (octets[at] !== 0xff || !hasMarker(octets, at)) continue;
    const length = uint16(octets, at + 16);
    const type = octets[at + 18] ?? 0;
    if (length >= HEADER_OCTETS && type >= MESSAGE_TYPE.open && type <= MESSAGE_TYPE.routeRefresh) {
      return { found: true, at };
    }
  }
  return { found: false, at };
}
