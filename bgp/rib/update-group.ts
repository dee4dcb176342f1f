/**
 * Adj-RIB-Out of one family for all peers that are told the same: the exported attributes by prefix id, and a log of the prefixes that
 * changed. Each peer reads the log at its own pace and remembers one bit a prefix (announced to it or not); a prefix that changes again
 * before a slow peer has read it stands in the log once, so the log is bounded by the number of prefixes.
 */
import type { Address } from '../../src/net/address.ts';
import { grownCapacity } from '../../src/net/prefix-table.ts';
import { octetsEqual } from '../wire/bytes.ts';
import { grownInt32 } from './columns.ts';
import { Exporter, type ExportRules, exportFingerprint, NOT_EXPORTED } from './export-rules.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { routeInterfaces } from './route-interfaces.ts';

/** Export not computed yet: some peer's initial walk will ask. */
const UNKNOWN = -2;
const SMALLEST_LOG = 1024;
/** a log that grew longer is made small again once it is empty */
const LARGE_LOG = 1 << 20;

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
  /** the peer's own address: never announced to it as a next hop (RFC 4271 5.1.3) */
  readonly peerAddress: Address;
  /** the next hop that was compared with it last, and whether they are the same: mostly it is the next one too */
  comparedNextHop: Address | undefined;
  isOwnNextHop: boolean;
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

/** The family's RIB as seen by one set of export rules. */
export class UpdateGroup {
  readonly fingerprint: string;
  readonly exporter: Exporter;
  /** for members who are the third party that a form names; made when the first such comes up */
  #withoutThirdParties: Exporter | undefined;
  readonly #rules: ExportRules;
  readonly members: PeerOutput[] = [];
  readonly #looksAtPrefixes: boolean;
  readonly #rib: FamilyRib;
  readonly #tables: RibTables;
  /** by prefix id: exported attributes, NOT_EXPORTED or UNKNOWN */
  #out: Int32Array<ArrayBuffer>;
  /** by prefix id: position of its newest log entry */
  #position: Int32Array<ArrayBuffer>;
  log = new Int32Array(SMALLEST_LOG);
  logCount = 0;
  /** no member has read at or beyond this position */
  #furthest = 0;

  constructor(rules: ExportRules, rib: FamilyRib, tables: RibTables) {
    this.fingerprint = exportFingerprint(rules);
    this.#rules = rules;
    this.exporter = new Exporter(rules, tables.attributes, routeInterfaces(rib, tables));
    this.#looksAtPrefixes = this.exporter.looksAtPrefixes;
    this.#rib = rib;
    this.#tables = tables;
    const { capacity, openLimit } = rib.prefixes;
    this.#out = new Int32Array(capacity).fill(UNKNOWN, 0, openLimit);
    this.#position = new Int32Array(capacity);
  }

  /** Makes room for prefix ids up to `capacity`. */
  grow(capacity: number): void {
    this.#out = grownInt32(this.#out, capacity);
    this.#position = grownInt32(this.#position, capacity);
    for (const member of this.members) member.sent = grownInt32(member.sent, (capacity + 31) >>> 5);
  }

  /** Prefix ids `from..to-1` come into use. */
  open(from: number, to: number): void {
    this.#out.fill(UNKNOWN, from, to);
  }

  /** The best paths of the first `count` of these prefixes changed; the old ones came from `oldPeers`. */
  onBest(prefixes: Int32Array, oldPeers: Uint16Array, count: number): void {
    const { bestPeer } = this.#rib;
    for (let i = 0; i < count; i++) {
      const prefix = prefixes[i] ?? -1;
      if (this.reconsider(prefix)) continue;
      const oldPeer = oldPeers[i] ?? 0;
      const peer = bestPeer[prefix] ?? 0;
      if ((this.#out[prefix] ?? UNKNOWN) < 0 || oldPeer === peer) continue;
      // Same announcement, but nobody gets back what he sent: only the two senders see a difference.
      for (const member of this.members) {
        if (member.peer === oldPeer || member.peer === peer) this.#changePresence(member, prefix);
      }
    }
  }

  /** What is exported of a prefix may be something else; whether it is. */
  reconsider(prefix: number): boolean {
    const old = this.#out[prefix] ?? UNKNOWN;
    const now = this.#export(prefix);
    if (now === old) return false;
    this.#out[prefix] = now;
    if (old !== UNKNOWN || now !== NOT_EXPORTED) this.#append(prefix);
    return true;
  }

  /** A prefix id goes back to the table. */
  onFree(prefix: number): void {
    this.#out[prefix] = UNKNOWN;
  }

  /** What a member is to be told of a prefix: an attribute id, or NOT_EXPORTED. */
  desired(member: PeerOutput, prefix: number): number {
    const form = this.formFor(member, prefix);
    if (form < 0 || !this.announcesItself(member, form)) return form;
    if (!this.exporter.mayNameThirdParties) return NOT_EXPORTED;
    // The third party is this member: it gets our own address.
    this.#withoutThirdParties ??= new Exporter(
      { ...this.#rules, shared: undefined },
      this.#tables.attributes,
      routeInterfaces(this.#rib, this.#tables),
    );
    const own = this.#export(prefix, this.#withoutThirdParties);
    return own >= 0 && this.announcesItself(member, own) ? NOT_EXPORTED : own;
  }

  /** Lets go of all attributes. */
  dispose(): void {
    this.exporter.dispose();
    this.#withoutThirdParties?.dispose();
  }

  /** As `desired`, but that the form may have the member's own address as next hop (`announcesItself`). */
  formFor(member: PeerOutput, prefix: number): number {
    let out = this.#out[prefix] ?? UNKNOWN;
    if (out === UNKNOWN) {
      out = this.#export(prefix);
      this.#out[prefix] = out;
    }
    return out < 0 || member.peer === this.#rib.bestPeer[prefix] ? NOT_EXPORTED : out;
  }

  /** Whether a log entry is the newest one of its prefix. */
  isCurrent(position: number): boolean {
    return this.#position[this.log[position] ?? 0] === position;
  }

  /** A member has read the log up to its cursor. Empties the log once all have. */
  onRead(member: PeerOutput): void {
    if (member.cursor > this.#furthest) this.#furthest = member.cursor;
    if (this.logCount === 0) return;
    for (const other of this.members) if (other.cursor < this.logCount) return;
    for (const other of this.members) other.cursor = 0;
    this.logCount = 0;
    this.#furthest = 0;
    if (this.log.length > LARGE_LOG) this.log = new Int32Array(SMALLEST_LOG);
  }

  #export(prefix: number, exporter = this.exporter): number {
    const rib = this.#rib;
    const attribute = rib.bestAttribute[prefix] ?? -1;
    if (attribute < 0) return NOT_EXPORTED;
    if (rib.heldBack !== undefined && rib.heldBack[prefix] === 1) return NOT_EXPORTED;
    const peer = rib.bestPeer[prefix] ?? 0;
    const { peers } = this.#tables;
    if (!this.#looksAtPrefixes) return exporter.ofPeer(attribute, peer, peers);
    const { prefixes } = rib;
    const length = prefixes.lengthOf(prefix);
    const wide = rib.family === 'ipv6';
    return exporter.export(
      length,
      prefixes.wordOf(prefix, 0),
      wide ? prefixes.wordOf(prefix, 1) : 0,
      wide ? prefixes.wordOf(prefix, 2) : 0,
      wide ? prefixes.wordOf(prefix, 3) : 0,
      attribute,
      peers.sourceOf(peer),
      peers.routerId[peer] ?? 0,
      prefix,
    );
  }

  /** RFC 4271 5.1.3: whether attributes would tell a member its own address as the next hop. */
  announcesItself(member: PeerOutput, attribute: number): boolean {
    const nextHop = this.#tables.attributes.nextHop[attribute] ?? -1;
    const address = this.#tables.nextHops.addressOf(nextHop);
    if (address === member.comparedNextHop) return member.isOwnNextHop;
    member.comparedNextHop = address;
    // Zones do not count here.
    member.isOwnNextHop = address !== undefined && octetsEqual(address.bytes, member.peerAddress.bytes);
    return member.isOwnNextHop;
  }

  #changePresence(member: PeerOutput, prefix: number): void {
    if (member.presence.count <= this.#rib.prefixes.size) {
      member.presence.push(prefix);
      return;
    }
    // A peer that does not read: one walk over the table replaces any number of single notes.
    member.presence.count = 0;
    member.walkAt = 0;
  }

  #append(prefix: number): void {
    if (this.members.length === 0) return;
    const last = this.#position[prefix] ?? 0;
    if (last >= this.#furthest && last < this.logCount && this.log[last] === prefix) return;
    if (this.logCount === this.log.length) this.#makeRoom();
    this.#position[prefix] = this.logCount;
    this.log[this.logCount++] = prefix;
  }

  #makeRoom(): void {
    if (this.logCount > 2 * this.#rib.prefixes.size + SMALLEST_LOG) this.#compact();
    if (2 * this.logCount > this.log.length) this.log = grownInt32(this.log, grownCapacity(this.log.length));
  }

  /** Leaves out the entries that a newer one of the same prefix supersedes. */
  #compact(): void {
    const byCursor = [...this.members].sort((a, b) => a.cursor - b.cursor);
    let moved = 0;
    let kept = 0;
    for (let position = byCursor[0]?.cursor ?? 0; position <= this.logCount; position++) {
      for (let member = byCursor[moved]; member?.cursor === position; member = byCursor[++moved]) {
        member.cursor = kept;
      }
      if (position === this.logCount || !this.isCurrent(position)) continue;
      const prefix = this.log[position] ?? 0;
      this.#position[prefix] = kept;
      this.log[kept++] = prefix;
    }
    this.logCount = kept;
    this.#furthest = Math.max(0, ...this.members.map((member) => member.cursor));
  }
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
