/** Where one peer stands in what it is told of one family, and what it has been told: one bit a prefix. */
import {
  OUTPUT_CURSOR,
  OUTPUT_FAMILY,
  OUTPUT_FIELDS,
  OUTPUT_GROUP,
  OUTPUT_PEER,
  OUTPUT_SENT,
  OUTPUT_SENT_COUNT,
  OUTPUT_SENT_WORDS,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { Address } from '../../src/net/address.ts';
import { grownInt32 } from './columns.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { OwnAddress } from './own-address.ts';
import type { UpdateGroup } from './update-group.ts';

/** A growing list of prefix ids. */
export class IdList {
  ids = new Int32Array(16);
  count = 0;

  push(id: number): void {
    if (this.count === this.ids.length) this.ids = grownInt32(this.ids, 2 * this.count);
    this.ids[this.count++] = id;
  }

  /** Removes the last id and returns it, or -1. */
  pop(): number {
    return this.count === 0 ? -1 : (this.ids[--this.count] ?? -1);
  }
}

/** Where one peer stands in one family. What it has been told is noted by the inner loops (src/core/assembly/output.ts). */
export class PeerOutput {
  readonly peer: number;
  /** where its block stands for the inner loops */
  readonly address: number;
  /** next prefix id of the walk over the whole table; -1: no walk under way */
  walkAt = 0;
  /** the walk repeats what was announced already */
  walkForced = false;
  /** RFC 7313: a refresh whose beginning, or whose end, is to be marked */
  refresh: 'begin' | 'end' | undefined;
  /** taken out of the log or the walk, but did not fit into the buffer */
  readonly retry = new IdList();
  /** only whether the prefix is announced at all has changed, and for this peer alone */
  readonly presence = new IdList();
  endOfRibSent = false;
  readonly #core: Core;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** never announced to it as a next hop */
  readonly #ownAddress: OwnAddress;
  #group: UpdateGroup;
  /** a bit for each prefix id: announced to the peer */
  #sent: Int32Array<SharedArrayBuffer>;

  constructor(
    peer: { readonly id: number; readonly address: Address },
    rib: FamilyRib,
    group: UpdateGroup,
    tables: RibTables,
  ) {
    const { core } = tables;
    this.peer = peer.id;
    this.#core = core;
    this.#ownAddress = new OwnAddress(peer.address, tables);
    this.#group = group;
    this.#sent = core.int32(wordsFor(rib.prefixes.capacity));
    this.#block = core.block(OUTPUT_FIELDS, {
      isOwnNextHop: (nextHop) => this.#ownAddress.isNextHop(nextHop),
      desiredForm: (prefix) => this.#group.desired(this, prefix),
    });
    this.address = this.#block.byteOffset;
    this.#block[OUTPUT_PEER] = peer.id;
    this.#block[OUTPUT_FAMILY] = rib.address;
    this.group = group;
    this.#publish();
  }

  get group(): UpdateGroup {
    return this.#group;
  }

  /** It reads a group's log from its end on. */
  set group(group: UpdateGroup) {
    this.#group = group;
    this.#block[OUTPUT_GROUP] = group.address;
    this.cursor = group.logCount;
  }

  /** Position in the group's log. */
  get cursor(): number {
    return this.#block[OUTPUT_CURSOR] ?? 0;
  }

  set cursor(position: number) {
    this.#block[OUTPUT_CURSOR] = position;
  }

  /** Prefixes that were announced to the peer. */
  get sentCount(): number {
    return this.#block[OUTPUT_SENT_COUNT] ?? 0;
  }

  /** Prefixes that it has not been told of yet, at most: one may stand in several places. */
  unreadCount(idLimit: number): number {
    const { retry, presence, walkAt } = this;
    const walk = walkAt >= 0 ? idLimit - walkAt : 0;
    return this.#group.logCount - this.cursor + retry.count + presence.count + walk;
  }

  /** Whether a prefix was announced to the peer. */
  wasSent(prefix: number): boolean {
    return ((this.#sent[prefix >>> 5] ?? 0) & (1 << (prefix & 31))) !== 0;
  }

  /** Whether attributes, by their id, have the peer's own address as next hop. */
  isNextHopOf(attribute: number): boolean {
    return this.#ownAddress.isNextHopOf(attribute);
  }

  /** As `isNextHopOf`, for the id of a next hop. */
  isNextHop(nextHop: number): boolean {
    return this.#ownAddress.isNextHop(nextHop);
  }

  /** Makes room for prefix ids up to `capacity`. */
  grow(capacity: number): void {
    this.#sent = this.#core.moved(this.#sent, this.#core.int32(wordsFor(capacity)));
    this.#publish();
  }

  /** The session is gone: so is what the peer had been sent. */
  dispose(): void {
    const core = this.#core;
    core.calls.outputClear(this.address);
    core.release(this.#sent.byteOffset, this.#sent.byteLength);
    core.releaseBlock(this.#block);
  }

  /** Tells the inner loops where the bits are. */
  #publish(): void {
    this.#block[OUTPUT_SENT] = this.#sent.byteOffset;
    this.#block[OUTPUT_SENT_WORDS] = this.#sent.length;
  }
}

function wordsFor(capacity: number): number {
  return (capacity + 31) >>> 5;
}
