/** Where one peer stands in what it is told of one family, and what it has been told: one bit a prefix. */
import { grownInt32 } from './columns.ts';
import type { FamilyRib } from './family-rib.ts';
import type { OwnAddress } from './own-address.ts';
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

/** Where one peer stands in one family. */
export interface PeerOutput {
  readonly peer: number;
  /** never announced to it as a next hop */
  readonly ownAddress: OwnAddress;
  group: UpdateGroup;
  /** position in the group's log */
  cursor: number;
  /** a bit for each prefix id: announced to the peer */
  sent: Int32Array<ArrayBuffer>;
  sentCount: number;
  /** next prefix id of the walk over the whole table; -1: no walk under way */
  walkAt: number;
  /** the walk repeats what was announced already */
  walkForced: boolean;
  /** RFC 7313: a refresh whose beginning, or whose end, is to be marked */
  refresh: 'begin' | 'end' | undefined;
  /** taken out of the log or the walk, but did not fit into the buffer */
  readonly retry: IdList;
  /** only whether the prefix is announced at all has changed, and for this peer alone */
  readonly presence: IdList;
  endOfRibSent: boolean;
}

/** Whether a prefix was announced to a peer. */
export function wasSent(output: PeerOutput, prefix: number): boolean {
  return ((output.sent[prefix >>> 5] ?? 0) & (1 << (prefix & 31))) !== 0;
}

/** Prefixes that a peer has not been told of yet, at most: one may stand in several places. */
export function unreadCount(output: PeerOutput, idLimit: number): number {
  const { group, cursor, retry, presence, walkAt } = output;
  return group.logCount - cursor + retry.count + presence.count + (walkAt >= 0 ? idLimit - walkAt : 0);
}

/** Notes that a prefix was announced to a peer. */
export function markAnnounced(rib: FamilyRib, output: PeerOutput, prefix: number): void {
  if (wasSent(output, prefix)) return;
  output.sent[prefix >>> 5] = (output.sent[prefix >>> 5] ?? 0) | (1 << (prefix & 31));
  output.sentCount++;
  rib.holders[prefix] = (rib.holders[prefix] ?? 0) + 1;
}

/** As `markAnnounced` for the first `count` of these prefixes. */
export function markAllAnnounced(rib: FamilyRib, output: PeerOutput, ids: Int32Array, count: number): void {
  const { sent } = output;
  const { holders } = rib;
  let added = 0;
  for (let i = 0; i < count; i++) {
    const prefix = ids[i] ?? 0;
    const word = sent[prefix >>> 5] ?? 0;
    const bit = 1 << (prefix & 31);
    if ((word & bit) !== 0) continue;
    sent[prefix >>> 5] = word | bit;
    holders[prefix] = (holders[prefix] ?? 0) + 1;
    added++;
  }
  output.sentCount += added;
}

/** Notes that a prefix was withdrawn from a peer, if it was announced; nobody else may need it any more. */
export function markWithdrawn(rib: FamilyRib, output: PeerOutput, prefix: number): void {
  if (!wasSent(output, prefix)) return;
  output.sent[prefix >>> 5] = (output.sent[prefix >>> 5] ?? 0) & ~(1 << (prefix & 31));
  output.sentCount--;
  rib.holders[prefix] = (rib.holders[prefix] ?? 0) - 1;
  rib.freeIfUnused(prefix);
}
