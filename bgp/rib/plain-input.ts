/**
 * The short way into the RIB: messages as they came from a peer, some at a time, copied into the core and taken in there
 * (src/core/assembly/receive.ts). It takes plain UPDATEs up to the first message that is none.
 */
import {
  READ_ATTRIBUTES,
  READ_FAMILIES,
  READ_IMPORT,
  READ_INPUTS,
  READ_MESSAGES,
  READ_TICK,
} from '../../src/core/assembly/layout.ts';
import type { Family } from '../../src/net/address.ts';
import { PlainReader } from '../wire/plain-update.ts';
import { MAX_EXTENDED_MESSAGE_OCTETS } from '../wire/registry.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import type { RibPeer } from './peers.ts';
import { scopedKey } from './scoped-key.ts';

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
  readonly #tables: RibTables;
  readonly #reader: PlainReader;
  readonly #room: number;
  /** whose messages are being taken in */
  #peer: RibPeer | undefined;

  constructor(tables: RibTables, families: Readonly<Record<Family, FamilyRib>>) {
    const { core, attributes } = tables;
    this.#tables = tables;
    this.#reader = new PlainReader(core, { scopeKey: () => this.#scopeKey() });
    this.#room = core.allocate(ROOM_OCTETS);
    const { block } = this.#reader;
    block[READ_ATTRIBUTES] = attributes.address;
    block[READ_FAMILIES] = families.ipv4.address;
    block[READ_FAMILIES + 1] = families.ipv6.address;
  }

  /** Takes in the plain UPDATEs that `octets[start..end)` begins with: those that begin before `start + most`. They came at `tick`. */
  receive(
    peer: RibPeer,
    octets: Uint8Array,
    start: number,
    end: number,
    most: number,
    tick: number,
  ): TakenMessages {
    const context = peer.session?.context;
    if (context === undefined) return NO_MESSAGES;
    const { core } = this.#tables;
    const reader = this.#reader;
    const room = this.#room;
    const { block } = reader;
    this.#peer = peer;
    reader.use(context);
    block[READ_IMPORT] = peer.importGroup.address;
    block[READ_INPUTS] = peer.input.ipv4.address;
    block[READ_INPUTS + 1] = peer.input.ipv6.address;
    block[READ_TICK] = tick;
    const shown = Math.min(end - start, most + reader.longestMessage, ROOM_OCTETS);
    core.octets.set(octets.subarray(start, start + shown), room);
    const taken = core.calls.receivePlain(reader.address, room, room + shown, Math.min(most, shown)) >>> 0;
    return taken === 0 ? NO_MESSAGES : { octets: taken, messages: block[READ_MESSAGES] ?? 0 };
  }

  /** A link-local next hop belongs to the interface of the peer. */
  #scopeKey(): number {
    const { core, nextHops } = this.#tables;
    const { attributes } = this.#reader;
    const key = scopedKey(attributes, this.#peer?.config.interface, nextHops);
    if (key !== attributes) core.octets.set(key, attributes.byteOffset);
    return key.length;
  }
}
