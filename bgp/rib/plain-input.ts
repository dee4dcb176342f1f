/**
 * The short way into the RIB: UPDATEs as they came from a peer, some at a time, copied into the core and read there. It takes the plain ones up to the
 * first that is not.
 */
import type { Core } from '../../src/core/core.ts';
import { PlainReader } from '../wire/plain-update.ts';
import { MAX_EXTENDED_MESSAGE_OCTETS } from '../wire/registry.ts';
import type { RibPeer } from './peers.ts';
import type { RibInput } from './rib-input.ts';

/** What is looked at in one go at most. */
const ROOM_OCTETS = 2 * (MAX_EXTENDED_MESSAGE_OCTETS + 1);

/** Messages that were taken in, whole ones only. */
export interface TakenMessages {
  readonly octets: number;
  readonly messages: number;
}

export const NO_MESSAGES: TakenMessages = { octets: 0, messages: 0 };

/** One for each RIB. */
export class PlainInput {
  readonly #core: Core;
  readonly #input: RibInput;
  readonly #reader: PlainReader;
  readonly #room: number;

  constructor(core: Core, input: RibInput) {
    this.#core = core;
    this.#input = input;
    this.#reader = new PlainReader(core);
    this.#room = core.allocate(ROOM_OCTETS);
  }

  /** Takes in the plain UPDATEs that `octets[start..end)` begins with: those that begin before `start + most`. */
  receive(
    peer: RibPeer,
    octets: Uint8Array,
    start: number,
    end: number,
    most: number,
    now: number,
  ): TakenMessages {
    const context = peer.session?.context;
    if (context === undefined) return NO_MESSAGES;
    const reader = this.#reader;
    const room = this.#room;
    reader.use(context);
    const shown = Math.min(end - start, most + reader.longestMessage, ROOM_OCTETS);
    this.#core.octets.set(octets.subarray(start, start + shown), room);
    const until = room + Math.min(most, shown);
    let at = room;
    let messages = 0;
    while (at < until) {
      const message = reader.readMessage(at, room + shown);
      if (message === 0) break;
      this.#input.receivePlain(peer, reader, now);
      at += message;
      messages++;
    }
    return messages === 0 ? NO_MESSAGES : { octets: at - room, messages };
  }
}
