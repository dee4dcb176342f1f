/**
 * What one member of an update group was written of the group's log, kept for those who stand at the same place in it: they are to be told the same,
 * octet by octet, unless these routes came from them, lead to them, or they were told something else before. So a table that goes to a
 * hundred peers is put into messages a few times, not a hundred.
 */
import {
  GROUP_SHARED_FROM,
  GROUP_SHARED_TO,
  SHARED_ANNOUNCED,
  SHARED_ANNOUNCED_COUNT,
  SHARED_CANCELLED,
  SHARED_FIELDS,
  SHARED_NEXT_HOP_COUNT,
  SHARED_NEXT_HOPS,
  SHARED_ROOM,
  SHARED_SENDER_COUNT,
  SHARED_SENDERS,
  SHARED_UNTOLD,
  SHARED_UNTOLD_COUNT,
  SHARED_WITHDRAWN,
  SHARED_WITHDRAWN_COUNT,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { PeerOutput } from './peer-output.ts';
import type { PeerSession } from './peers.ts';

const LISTS = [SHARED_ANNOUNCED, SHARED_WITHDRAWN, SHARED_UNTOLD, SHARED_SENDERS, SHARED_NEXT_HOPS];
const COUNTS = [
  SHARED_ANNOUNCED_COUNT,
  SHARED_WITHDRAWN_COUNT,
  SHARED_UNTOLD_COUNT,
  SHARED_SENDER_COUNT,
  SHARED_NEXT_HOP_COUNT,
];

/** What messages look like, apart from what they say. */
interface Terms {
  readonly as4: boolean;
  readonly extendedNextHop: boolean;
  readonly maxMessage: number;
}

/** One for each update group with several members; holds what was written last. */
export class SharedOutput {
  /** has the positions of the log that this is about, from and before; -1: nothing is kept */
  readonly #group: Int32Array<SharedArrayBuffer>;
  /** the position where the writing began that is under way and may be kept; -1: there is none */
  #recordedFrom = -1;
  #octets = new Uint8Array(0);
  #length = 0;
  #terms: Terms | undefined;
  /** from whom the announced paths came */
  #senders = new Set<number>();
  /** where they lead, as ids of next hops */
  #nextHops = new Set<number>();
  readonly #core: Core;
  /** what the inner loops note while somebody is written to */
  readonly #block: Int32Array<SharedArrayBuffer>;

  /** `group`: the block of the update group. */
  constructor(group: Int32Array<SharedArrayBuffer>, core: Core) {
    this.#group = group;
    this.#core = core;
    this.#block = core.block(SHARED_FIELDS, {});
    this.forget();
  }

  /** Whether there is room for notes; many a group has one member for good. */
  get #hasLists(): boolean {
    return this.#block[SHARED_ANNOUNCED] !== 0;
  }

  /** Where its block stands for the inner loops. */
  get address(): number {
    return this.#block.byteOffset;
  }

  dispose(): void {
    if (this.#hasLists) for (const list of LISTS) this.#core.release(this.#block[list] ?? 0, 4 * SHARED_ROOM);
    this.#core.releaseBlock(this.#block);
  }

  /** Somebody is about to be written what stands in the log from `position` on: what is kept goes, and notes are taken. */
  begin(position: number): void {
    this.forget();
    this.#recordedFrom = position;
    if (!this.#hasLists) for (const list of LISTS) this.#block[list] = this.#core.allocate(4 * SHARED_ROOM);
    for (const count of COUNTS) this.#block[count] = 0;
    this.#block[SHARED_CANCELLED] = 0;
  }

  /** What is being written is for that peer alone. */
  cancel(): void {
    this.#block[SHARED_CANCELLED] = 1;
  }

  /** The octets are written, and the log is read up to `position`: from now on others may have them, unless this was cancelled. */
  keep(octets: Uint8Array, position: number, session: PeerSession): void {
    const from = this.#recordedFrom;
    this.#recordedFrom = -1;
    if (from < 0 || octets.length === 0 || this.#block[SHARED_CANCELLED] === 1) return;
    if (octets.length > this.#octets.length) this.#octets = new Uint8Array(2 * octets.length);
    this.#octets.set(octets);
    this.#length = octets.length;
    this.#terms = termsOf(session);
    this.#senders = this.#setOf(SHARED_SENDERS, SHARED_SENDER_COUNT);
    this.#nextHops = this.#setOf(SHARED_NEXT_HOPS, SHARED_NEXT_HOP_COUNT);
    this.#group[GROUP_SHARED_FROM] = from;
    this.#group[GROUP_SHARED_TO] = position;
  }

  /** What is kept is out of date. */
  forget(): void {
    this.#group[GROUP_SHARED_FROM] = -1;
    this.#group[GROUP_SHARED_TO] = -1;
  }

  /**
   * Writes what is kept into `target` from `at`, notes what the peer has been told and moves it on in the log; returns the offset after it.
   * -1, and nothing is done: it is not what this peer is to be told next. The peer has nothing to read but the log.
   */
  copyTo(output: PeerOutput, session: PeerSession, target: Uint8Array, at: number): number {
    const from = this.#group[GROUP_SHARED_FROM] ?? -1;
    if (from < 0 || output.cursor !== from || this.#length > target.length - at) return -1;
    if (!this.#suits(output, session)) return -1;
    target.set(this.#octets.subarray(0, this.#length), at);
    this.#core.calls.sharedTold(this.address, output.address);
    output.cursor = this.#group[GROUP_SHARED_TO] ?? 0;
    return at + this.#length;
  }

  #suits(output: PeerOutput, session: PeerSession): boolean {
    const terms = termsOf(session);
    if (terms.as4 !== this.#terms?.as4 || terms.extendedNextHop !== this.#terms.extendedNextHop) return false;
    if (terms.maxMessage !== this.#terms.maxMessage || this.#senders.has(output.peer)) return false;
    for (const nextHop of this.#nextHops) if (output.isNextHop(nextHop)) return false;
    return this.#core.calls.sharedSuits(this.address, output.address) !== 0;
  }

  /** What stands in a list. */
  #setOf(list: number, count: number): Set<number> {
    return new Set(this.#core.int32At(this.#block[list] ?? 0, this.#block[count] ?? 0));
  }
}

function termsOf({ context, maxMessage }: PeerSession): Terms {
  return { as4: context.as4, extendedNextHop: context.extendedNextHop, maxMessage };
}
