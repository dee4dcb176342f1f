/**
 * What one member of an update group was written of the group's log, kept for those who stand at the same place in it: they are to be told the same,
 * octet by octet, unless these routes came from them, lead to them, or they were told something else before. So a table that goes to a
 * hundred peers is put into messages a few times, not a hundred.
 */
import { GROUP_SHARED_FROM, GROUP_SHARED_TO } from '../../src/core/assembly/layout.ts';
import type { FamilyRib } from './family-rib.ts';
import { IdList, markAllAnnounced, markWithdrawn, type PeerOutput, wasSent } from './peer-output.ts';
import type { PeerSession } from './peers.ts';

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
  readonly #announced = new IdList();
  readonly #withdrawn = new IdList();
  /** no longer exported, and the writer had never been told of them */
  readonly #untold = new IdList();
  /** from whom the announced paths came */
  readonly #senders = new Set<number>();
  #latestSender = -1;
  /** where they lead, as ids of next hops */
  readonly #nextHops = new Set<number>();

  /** `group`: the block of the update group. */
  constructor(group: Int32Array<SharedArrayBuffer>) {
    this.#group = group;
    this.forget();
  }

  /** Somebody is about to be written what stands in the log from `position` on: what is kept goes, and notes are taken. */
  begin(position: number): void {
    this.forget();
    this.#recordedFrom = position;
    this.#announced.count = 0;
    this.#withdrawn.count = 0;
    this.#untold.count = 0;
    this.#senders.clear();
    this.#latestSender = -1;
    this.#nextHops.clear();
  }

  /** What is being written is for that peer alone. */
  cancel(): void {
    this.#recordedFrom = -1;
  }

  /** The next announcements have this next hop. */
  noteNextHop(nextHop: number): void {
    this.#nextHops.add(nextHop);
  }

  /** A prefix is announced whose best path came from `sender`. */
  noteAnnounced(prefix: number, sender: number): void {
    this.#announced.push(prefix);
    if (sender === this.#latestSender) return;
    this.#latestSender = sender;
    this.#senders.add(sender);
  }

  /** A prefix is not exported to anybody; `wasTold`: it had been announced to the one who is written to. */
  noteGone(prefix: number, wasTold: boolean): void {
    (wasTold ? this.#withdrawn : this.#untold).push(prefix);
  }

  /** The octets are written, and the log is read up to `position`: from now on others may have them, unless this was cancelled. */
  keep(octets: Uint8Array, position: number, session: PeerSession): void {
    const from = this.#recordedFrom;
    this.#recordedFrom = -1;
    if (from < 0 || octets.length === 0) return;
    if (octets.length > this.#octets.length) this.#octets = new Uint8Array(2 * octets.length);
    this.#octets.set(octets);
    this.#length = octets.length;
    this.#terms = termsOf(session);
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
  copyTo(rib: FamilyRib, output: PeerOutput, session: PeerSession, target: Uint8Array, at: number): number {
    const from = this.#group[GROUP_SHARED_FROM] ?? -1;
    if (from < 0 || output.cursor !== from || this.#length > target.length - at) return -1;
    if (!this.#suits(output, session)) return -1;
    target.set(this.#octets.subarray(0, this.#length), at);
    const { ids: withdrawn, count: withdrawnCount } = this.#withdrawn;
    for (let i = 0; i < withdrawnCount; i++) markWithdrawn(rib, output, withdrawn[i] ?? -1);
    markAllAnnounced(rib, output, this.#announced.ids, this.#announced.count);
    output.cursor = this.#group[GROUP_SHARED_TO] ?? 0;
    return at + this.#length;
  }

  #suits(output: PeerOutput, session: PeerSession): boolean {
    const terms = termsOf(session);
    if (terms.as4 !== this.#terms?.as4 || terms.extendedNextHop !== this.#terms.extendedNextHop) return false;
    if (terms.maxMessage !== this.#terms.maxMessage || this.#senders.has(output.peer)) return false;
    for (const nextHop of this.#nextHops) if (output.ownAddress.isNextHop(nextHop)) return false;
    const { ids: withdrawn, count } = this.#withdrawn;
    for (let i = 0; i < count; i++) if (!wasSent(output, withdrawn[i] ?? -1)) return false;
    const { ids: untold, count: untoldCount } = this.#untold;
    for (let i = 0; i < untoldCount; i++) if (wasSent(output, untold[i] ?? -1)) return false;
    return true;
  }
}

function termsOf({ context, maxMessage }: PeerSession): Terms {
  return { as4: context.as4, extendedNextHop: context.extendedNextHop, maxMessage };
}
