/**
 * The way out of the RIB: which peers share an update group, and what each of them is to be sent next. Nothing is queued as
 * octets: a peer's transport pulls messages when its socket takes them, so a slow peer costs itself only.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { PeerConfig } from '../types.ts';
import { UpdatePacker } from '../wire/packer.ts';
import { REFRESH_SUBTYPE } from '../wire/registry.ts';
import { AddPathOutput } from './add-path-output.ts';
import { type ExportRules, exportFingerprint, NOT_EXPORTED } from './export-rules.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { OutputBatch } from './output-batch.ts';
import { IdList, type PeerOutput, unreadCount, wasSent } from './peer-output.ts';
import type { PeerSession, RibPeer } from './peers.ts';
import { exportRules } from './session-export.ts';
import type { SharedOutput } from './shared-output.ts';
import { UpdateGroup } from './update-group.ts';

/** Entries looked at in one `fill` before it gives the event loop back: two batches, one to two milliseconds. */
const SCAN_LIMIT = 1 << 13;
/** The same where each has several paths to be looked at. */
const PATHS_SCAN_LIMIT = 1 << 10;

/** Owner of the update groups. */
export class RibOutput {
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #groups: Readonly<Record<Family, UpdateGroup[]>> = { ipv4: [], ipv6: [] };
  /** RFC 8326: everything goes out tagged; `changeExport` of each peer brings it into force */
  draining = false;
  readonly #localAs: number;
  readonly #clusterId: number;
  readonly #isSettled: (family: Family) => boolean;
  readonly #onWork: () => void;
  readonly #batch: OutputBatch;
  readonly #packer = new UpdatePacker();
  /** peers that get several paths to a prefix */
  readonly #addPath: Readonly<Record<Family, Set<AddPathOutput>>> = { ipv4: new Set(), ipv6: new Set() };
  readonly #onDecided: Readonly<Record<Family, (prefix: number) => void>>;
  /** the present batch is filled by the walk over the table */
  #walking = false;

  constructor(
    tables: RibTables,
    families: Readonly<Record<Family, FamilyRib>>,
    options: {
      localAs: number;
      clusterId: number;
      isSettled: (family: Family) => boolean;
      onWork: () => void;
    },
  ) {
    this.#localAs = options.localAs;
    this.#clusterId = options.clusterId;
    this.#tables = tables;
    this.#families = families;
    this.#isSettled = options.isSettled;
    this.#onWork = options.onWork;
    this.#batch = new OutputBatch(tables.attributes);
    const onDecided = (family: Family) => (prefix: number) => {
      for (const output of this.#addPath[family]) output.onDecided(prefix);
      for (const group of this.#groups[family])
        if (group.exporter.looksAtInterfaces) group.reconsider(prefix);
    };
    this.#onDecided = { ipv4: onDecided('ipv4'), ipv6: onDecided('ipv6') };
    for (const family of FAMILIES) {
      families[family].prefixes.onGrow((capacity) => {
        for (const group of this.#groups[family]) group.grow(capacity);
      });
      families[family].prefixes.onOpen((from, to) => {
        for (const group of this.#groups[family]) group.open(from, to);
      });
    }
  }

  /** Best paths changed: every group of the family looks whether that makes a difference to its peers. */
  onBest(family: Family, prefixes: Int32Array, oldPeers: Uint16Array, count: number): void {
    for (const group of this.#groups[family]) group.onBest(prefixes, oldPeers, count);
  }

  /** What is exported of a prefix may be something else although its best path is the same. */
  reconsider(family: Family, prefix: number): void {
    for (const group of this.#groups[family]) group.reconsider(prefix);
  }

  /** A prefix id is about to be freed. */
  onFree(family: Family, prefix: number): void {
    for (const group of this.#groups[family]) group.onFree(prefix);
  }

  /** A session came up: everything that the peer should have is to be sent. */
  start(peer: RibPeer, session: PeerSession): void {
    for (const family of FAMILIES) {
      if (!session.context.families[family]) continue;
      if (session.addPathSend[family]) {
        const { id, config } = peer;
        const rules = this.#addPathRulesFor(family, config, session);
        const rib = this.#families[family];
        const target = { id, address: config.address };
        const output = new AddPathOutput(target, rules, mostPaths(config), rib, this.#tables);
        peer.addPath[family] = output;
        this.#addPath[family].add(output);
        this.#listen(family);
        continue;
      }
      const group = this.#groupFor(family, peer.config, session);
      const output: PeerOutput = {
        peer: peer.id,
        peerAddress: peer.config.address,
        comparedNextHop: undefined,
        isOwnNextHop: false,
        group,
        cursor: group.logCount,
        sent: new Int32Array((this.#families[family].prefixes.capacity + 31) >>> 5),
        sentCount: 0,
        walkAt: 0,
        walkForced: false,
        retry: new IdList(),
        presence: new IdList(),
        endOfRibSent: false,
        refresh: undefined,
      };
      group.members.push(output);
      peer.output[family] = output;
    }
    this.#onWork();
  }

  /** The session is gone: so is what it had been sent. */
  stop(peer: RibPeer): void {
    for (const family of FAMILIES) {
      const addPath = peer.addPath[family];
      if (addPath !== undefined) {
        peer.addPath[family] = undefined;
        this.#addPath[family].delete(addPath);
        this.#listen(family);
        addPath.dispose();
      }
      const output = peer.output[family];
      if (output === undefined) continue;
      peer.output[family] = undefined;
      this.#leave(family, output);
      this.#releaseSent(this.#families[family], output);
    }
  }

  /** Moves a peer to another group if its export rules changed, and sends it what that changes. */
  changeExport(peer: RibPeer): void {
    const { session } = peer;
    if (session === undefined) return;
    for (const family of FAMILIES) {
      const rules = this.#rulesFor(family, peer.config, session);
      const pathRules = this.#addPathRulesFor(family, peer.config, session);
      if (peer.addPath[family]?.changeRules(pathRules, mostPaths(peer.config)) === true) {
        this.#listen(family);
        this.#onWork();
      }
      const output = peer.output[family];
      if (output === undefined) continue;
      if (exportFingerprint(rules) === output.group.fingerprint) continue;
      const group = this.#groupFor(family, peer.config, session);
      this.#leave(family, output);
      output.group = group;
      output.cursor = group.logCount;
      group.members.push(output);
      output.walkAt = 0;
      output.walkForced = true;
      this.#onWork();
    }
  }

  /** Sends the whole table of a family again (RFC 2918), with its beginning and end marked if that was agreed (RFC 7313 4.1). */
  refresh(peer: RibPeer, family: Family): void {
    const addPath = peer.addPath[family];
    if (addPath !== undefined) {
      if (peer.session?.enhancedRefresh === true && addPath.endOfRibSent) addPath.refresh = 'begin';
      addPath.sendAgain();
      this.#onWork();
    }
    const output = peer.output[family];
    if (output === undefined) return;
    // Before the End-of-RIB there is nothing to set apart.
    if (peer.session?.enhancedRefresh === true && output.endOfRibSent) output.refresh = 'begin';
    output.walkAt = 0;
    output.walkForced = true;
    this.#onWork();
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
    const isOwn = (nextHop: number): boolean => group.isOwnNextHop(output, nextHop);
    const copied = shared?.copyTo(rib, output, session, target, offset, isOwn) ?? -1;
    if (copied >= 0) {
      group.onRead(output);
      return copied;
    }
    shared?.begin(output.cursor);
    const batch = this.#batch;
    let at = offset;
    let scanned = 0;
    do {
      batch.open(rib, session, target, at);
      if (batch.isFull) break;
      this.#walking = false;
      for (;;) {
        scanned += this.#takeLog(output, SCAN_LIMIT - scanned, shared);
        if (batch.isFull || scanned >= SCAN_LIMIT || !this.#takeNext(family, output)) break;
        // What does not come from the log is this peer's alone.
        shared?.cancel();
        scanned++;
      }
      at = batch.write(output);
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
    at = output.fill(this.#packer, options, target, at, PATHS_SCAN_LIMIT);
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

  /**
   * Takes what a peer has not read of its group's log, while the batch has room, nothing else comes first and not more than `limit`. `shared` takes notes
   * for the other members.
   */
  #takeLog(output: PeerOutput, limit: number, shared: SharedOutput | undefined): number {
    if (output.retry.count > 0 || output.presence.count > 0) return 0;
    const { group } = output;
    const from = output.cursor;
    const end = Math.min(group.logCount, from + limit);
    const batch = this.#batch;
    // Neighbours in the log mostly have the same attributes.
    let latest = NOT_EXPORTED;
    let mayHave = false;
    let position = from;
    for (; position < end && !batch.isFull; position++) {
      if (!group.isCurrent(position)) continue;
      const prefix = group.log[position] ?? -1;
      const form = group.formFor(output, prefix);
      if (form !== latest) {
        latest = form;
        mayHave = form >= 0 && !group.announcesItself(output, form);
        if (mayHave) shared?.noteNextHop(this.#tables.attributes.nextHop[form] ?? -1);
      }
      if (mayHave) {
        batch.announce(prefix, form);
        shared?.noteAnnounced(prefix, group.senderOf(prefix));
        continue;
      }
      if (form >= 0) this.#take(output, prefix, true);
      const wasTold = wasSent(output, prefix);
      if (form < 0 && wasTold) batch.withdraw(prefix);
      if (group.isExported(prefix)) shared?.cancel();
      else shared?.noteGone(prefix, wasTold);
    }
    output.cursor = position;
    return position - from;
  }

  /** Takes one prefix that a peer has not been told of into the batch, other than from the log; false when there is none. */
  #takeNext(family: Family, output: PeerOutput): boolean {
    const retried = output.retry.pop();
    if (retried >= 0) {
      this.#take(output, retried, true);
      return true;
    }
    const presence = output.presence.pop();
    if (presence >= 0) {
      this.#take(output, presence, false);
      return true;
    }
    if (output.walkAt < 0) return false;
    // The walk leaves out what was announced: first write what the log brought into this batch.
    if (!this.#walking && !this.#batch.isEmpty) return false;
    this.#walking = true;
    const { prefixes } = this.#families[family];
    if (output.walkAt >= prefixes.idLimit) {
      output.walkAt = -1;
      output.walkForced = false;
      return false;
    }
    const prefix = output.walkAt++;
    if (prefixes.has(prefix)) this.#take(output, prefix, output.walkForced);
    return true;
  }

  /** Puts into the batch what a peer is to be told of a prefix. Unless forced, an announcement that it has is not repeated. */
  #take(output: PeerOutput, prefix: number, forced: boolean): void {
    const desired = output.group.desired(output, prefix);
    if (desired >= 0) {
      if (forced || !wasSent(output, prefix)) this.#batch.announce(prefix, desired);
    } else if (wasSent(output, prefix)) {
      this.#batch.withdraw(prefix);
    }
  }

  /** RFC 4724 2: once the initial table is out; as restarting speaker not before the deferral ends (4.1). */
  #endOfRibDue(family: Family, output: PeerOutput): boolean {
    return !output.endOfRibSent && !hasUnread(output) && this.#isComplete(family);
  }

  /** Prefixes of which a peer is still to be told, at most. */
  pendingOf(peer: RibPeer, family: Family): number {
    const output = peer.output[family];
    if (output !== undefined) return unreadCount(output, this.#families[family].prefixes.idLimit);
    return peer.addPath[family]?.unreadCount ?? 0;
  }

  /** Whether the Loc-RIB is what it will be for now. */
  #isComplete(family: Family): boolean {
    const rib = this.#families[family];
    return !rib.deferred && rib.pending === 0 && this.#isSettled(family);
  }

  #groupFor(family: Family, config: PeerConfig, session: PeerSession): UpdateGroup {
    const rules = this.#rulesFor(family, config, session);
    const fingerprint = exportFingerprint(rules);
    const found = this.#groups[family].find((group) => group.fingerprint === fingerprint);
    if (found !== undefined) return found;
    const group = new UpdateGroup(rules, this.#families[family], this.#tables);
    this.#groups[family].push(group);
    this.#listen(family);
    return group;
  }

  /** Hears of decisions, and of interfaces of next hops, if some output makes something of them. */
  #listen(family: Family): void {
    const looks = (each: Family): boolean =>
      this.#groups[each].some(({ exporter }) => exporter.looksAtInterfaces) ||
      [...this.#addPath[each]].some(({ looksAtInterfaces }) => looksAtInterfaces);
    const isNeeded = this.#addPath[family].size > 0 || looks(family);
    this.#families[family].onDecided = isNeeded ? this.#onDecided[family] : undefined;
    this.#tables.nextHops.reportsInterfaces = FAMILIES.some(looks);
  }

  #rulesFor(family: Family, config: PeerConfig, session: PeerSession): ExportRules {
    const speaker = { localAs: this.#localAs, clusterId: this.#clusterId, draining: this.draining };
    return exportRules(family, config, session, speaker);
  }

  /** The same for a peer that shares them with nobody. */
  #addPathRulesFor(family: Family, config: PeerConfig, session: PeerSession): ExportRules {
    return { ...this.#rulesFor(family, config, session), notThird: config.address };
  }

  #leave(family: Family, output: PeerOutput): void {
    const { group } = output;
    group.members.splice(group.members.indexOf(output), 1);
    if (group.members.length > 0) {
      const [other] = group.members;
      if (other !== undefined) group.onRead(other);
      return;
    }
    const groups = this.#groups[family];
    groups.splice(groups.indexOf(group), 1);
    this.#listen(family);
    group.dispose();
  }

  #releaseSent(rib: FamilyRib, output: PeerOutput): void {
    for (const [index, word] of output.sent.entries()) {
      if (word === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        if ((word & (1 << bit)) === 0) continue;
        const prefix = 32 * index + bit;
        rib.holders[prefix] = (rib.holders[prefix] ?? 0) - 1;
        rib.freeIfUnused(prefix);
      }
    }
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

/** How many paths to a prefix a peer gets. */
function mostPaths(config: PeerConfig): number {
  return config.addPath?.sendMax ?? Number.POSITIVE_INFINITY;
}
