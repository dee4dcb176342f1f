/**
 * Fills a peer's send buffer with what it is to be told next: of its update group's log, of what concerns it alone, and of the walk over the whole
 * table after a start or refresh.
 */
import { SHARED_ROOM } from '../../src/core/assembly/layout.ts';
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { UpdatePacker } from '../wire/packer.ts';
import { REFRESH_SUBTYPE } from '../wire/registry.ts';
import type { AddPathOutput } from './add-path-output.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { OutputBatch } from './output-batch.ts';
import { PathMessages } from './path-messages.ts';
import type { PeerOutput } from './peer-output.ts';
import type { PeerSession, RibPeer } from './peers.ts';
import type { SharedOutput } from './shared-output.ts';

/** Entries looked at in one `fill` before it gives the event loop back: two batches, one to two milliseconds. */
const SCAN_LIMIT = SHARED_ROOM;
/** The same where each has several paths to be looked at. */
const PATHS_SCAN_LIMIT = 1 << 10;

export interface FillerOptions {
  /** whether a family's Loc-RIB is what it will be for now */
  readonly isComplete: (family: Family) => boolean;
  /** there is more to do than was done in one `fill` that wrote nothing */
  readonly onWork: () => void;
}

/** One for all peers: what it keeps lasts for one `fill`. */
export class PeerFiller {
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #isComplete: (family: Family) => boolean;
  readonly #onWork: () => void;
  readonly #batch: OutputBatch;
  readonly #messages: PathMessages;
  /** the present batch is filled by the walk over the table */
  #walking = false;

  constructor(tables: RibTables, families: Readonly<Record<Family, FamilyRib>>, options: FillerOptions) {
    const packer = new UpdatePacker(tables.core);
    this.#messages = new PathMessages(tables, packer);
    this.#families = families;
    this.#isComplete = options.isComplete;
    this.#onWork = options.onWork;
    this.#batch = new OutputBatch(tables, packer);
  }

  /** Whether `fill` would find something to look at. */
  hasOutput(peer: RibPeer): boolean {
    return FAMILIES.some((family) => {
      const addPath = peer.addPath[family];
      if (addPath?.hasUnread || addPath?.refresh !== undefined) return true;
      if (addPath !== undefined) return !addPath.endOfRibSent && this.#isComplete(family);
      const output = peer.output[family];
      return output !== undefined && (hasUnread(output) || this.#endOfRibDue(family, output));
    });
  }

  /** Writes whole messages for a peer into `target` from `offset`; returns the octets written. */
  fill(peer: RibPeer, target: Uint8Array, offset: number): number {
    const { session } = peer;
    if (session === undefined) return 0;
    let at = offset;
    for (const family of FAMILIES) {
      const addPath = peer.addPath[family];
      if (addPath !== undefined) {
        const after = this.#fillPaths(family, addPath, session, target, at);
        if (after < 0) return at - offset;
        at = after;
        if (addPath.hasUnread) {
          if (at === offset) this.#onWork();
          return at - offset;
        }
        continue;
      }
      const output = peer.output[family];
      if (output === undefined) continue;
      at = this.#fillRoutes(family, output, session, target, at);
      if (hasUnread(output)) {
        if (at === offset) this.#onWork();
        return at - offset;
      }
    }
    return at - offset;
  }

  /** As `fill`, for one family. Returns the offset after what was written. */
  #fillRoutes(
    family: Family,
    output: PeerOutput,
    session: PeerSession,
    target: Uint8Array,
    offset: number,
  ): number {
    const batch = this.#batch;
    let at = offset;
    if (output.refresh === 'begin') {
      at = batch.writeRefreshMark(family, REFRESH_SUBTYPE.beginOfRefresh, target, at);
      if (at < 0) return offset;
      output.refresh = 'end';
    }
    at = this.#writeRoutes(family, output, session, target, at);
    if (hasRoutesUnread(output)) return at;
    if (output.refresh === 'end') {
      const after = batch.writeRefreshMark(family, REFRESH_SUBTYPE.endOfRefresh, target, at);
      if (after < 0) return at;
      at = after;
      output.refresh = undefined;
    }
    if (!this.#endOfRibDue(family, output)) return at;
    const after = batch.writeEndOfRib(family, target, at);
    if (after < 0) return at;
    output.endOfRibSent = true;
    return after;
  }

  /** Writes routes: those that another member of the group was written, or the peer's own share of batches. */
  #writeRoutes(
    family: Family,
    output: PeerOutput,
    session: PeerSession,
    target: Uint8Array,
    offset: number,
  ): number {
    const { group } = output;
    const rib = this.#families[family];
    const shared = group.members.length > 1 && hasLogOnly(output) ? group.shared : undefined;
    const copied = shared?.copyTo(output, session, target, offset) ?? -1;
    if (copied >= 0) {
      group.onRead(output);
      return copied;
    }
    shared?.begin(output.cursor);
    const batch = this.#batch;
    let at = offset;
    let scanned = 0;
    do {
      batch.open(rib, session, target.length - at);
      if (batch.isFull) break;
      this.#walking = false;
      for (;;) {
        scanned += this.#takeLog(output, SCAN_LIMIT - scanned, shared);
        if (batch.isFull || scanned >= SCAN_LIMIT) break;
        const taken = this.#takeNext(family, output, SCAN_LIMIT - scanned);
        if (taken === 0) break;
        // What does not come from the log is this peer's alone.
        shared?.cancel();
        scanned += taken;
      }
      at = batch.write(output, target, at);
      if (batch.isPartial) shared?.cancel();
    } while (!batch.ranOut && scanned < SCAN_LIMIT && hasRoutesUnread(output));
    shared?.keep(target.subarray(offset, at), output.cursor, session);
    group.onRead(output);
    return at;
  }

  /** As `fill`, for a family with several paths to a prefix. Returns the offset after what was written, or -1 when there is no room. */
  #fillPaths(
    family: Family,
    output: AddPathOutput,
    session: PeerSession,
    target: Uint8Array,
    offset: number,
  ): number {
    let at = offset;
    if (output.refresh === 'begin') {
      at = this.#batch.writeRefreshMark(family, REFRESH_SUBTYPE.beginOfRefresh, target, at);
      if (at < 0) return -1;
      output.refresh = 'end';
    }
    const { as4, extendedNextHop } = session.context;
    const options = { as4, extendedNextHop, addPath: true, maxLength: session.maxMessage };
    at = output.fill(this.#messages, options, target, at, PATHS_SCAN_LIMIT);
    if (output.hasUnread) return at;
    if (output.refresh === 'end') {
      const after = this.#batch.writeRefreshMark(family, REFRESH_SUBTYPE.endOfRefresh, target, at);
      if (after < 0) return at;
      at = after;
      output.refresh = undefined;
    }
    if (output.endOfRibSent || !this.#isComplete(family)) return at;
    const after = this.#batch.writeEndOfRib(family, target, at);
    if (after < 0) return at;
    output.endOfRibSent = true;
    return after;
  }

  /** Takes what a peer has not read of its group's log, while the batch has room, nothing else comes first and not more than `limit`. */
  #takeLog(output: PeerOutput, limit: number, shared: SharedOutput | undefined): number {
    if (output.retry.count > 0 || output.presence.count > 0) return 0;
    return this.#batch.takeLog(output, limit, shared);
  }

  /** Takes something that a peer has not been told of into the batch, other than from the log; returns at how many prefixes, up to `limit`, it looked. */
  #takeNext(family: Family, output: PeerOutput, limit: number): number {
    const retried = output.retry.pop();
    if (retried >= 0) {
      this.#take(output, retried, true);
      return 1;
    }
    const presence = output.presence.pop();
    if (presence >= 0) {
      this.#take(output, presence, false);
      return 1;
    }
    const { walkAt } = output;
    if (walkAt < 0) return 0;
    // The walk leaves out what was announced: first write what the log brought into this batch.
    if (!this.#walking && !this.#batch.isEmpty) return 0;
    this.#walking = true;
    const { idLimit } = this.#families[family].prefixes;
    if (walkAt >= idLimit) {
      output.walkAt = -1;
      output.walkForced = false;
      return 0;
    }
    const end = Math.min(idLimit, walkAt + limit);
    output.walkAt = this.#batch.takeWalk(output, walkAt, end, output.walkForced);
    return output.walkAt - walkAt;
  }

  /** Puts into the batch what a peer is to be told of a prefix. Unless forced, an announcement that it has is not repeated. */
  #take(output: PeerOutput, prefix: number, forced: boolean): void {
    const desired = output.group.desired(output, prefix);
    if (desired >= 0) {
      if (forced || !output.wasSent(prefix)) this.#batch.announce(prefix, desired);
    } else if (output.wasSent(prefix)) {
      this.#batch.withdraw(prefix);
    }
  }

  /** RFC 4724 2: once the initial table is out; as restarting speaker not before the deferral ends (4.1). */
  #endOfRibDue(family: Family, output: PeerOutput): boolean {
    return !output.endOfRibSent && !hasUnread(output) && this.#isComplete(family);
  }
}

function hasUnread(output: PeerOutput): boolean {
  return output.refresh !== undefined || hasRoutesUnread(output);
}

function hasRoutesUnread(output: PeerOutput): boolean {
  return (
    output.retry.count > 0 ||
    output.presence.count > 0 ||
    output.cursor < output.group.logCount ||
    output.walkAt >= 0
  );
}

/** Whether the log is all that there is to be read, and there is something in it. */
function hasLogOnly({ retry, presence, walkAt, cursor, group }: PeerOutput): boolean {
  return retry.count === 0 && presence.count === 0 && walkAt < 0 && cursor < group.logCount;
}
