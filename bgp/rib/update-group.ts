/**
 * Adj-RIB-Out of one family for all peers that are told the same: the exported attributes by prefix id, and a log of the prefixes that
 * changed. Each peer reads the log at its own pace and remembers one bit a prefix (announced to it or not); a prefix that changes again
 * before a slow peer has read it stands in the log once, so the log is bounded by the number of prefixes.
 */
import { grownCapacity } from '../../src/net/prefix-table.ts';
import { grownInt32 } from './columns.ts';
import { Exporter, type ExportRules, exportFingerprint, NOT_EXPORTED } from './export-rules.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import type { PeerOutput } from './peer-output.ts';
import { routeInterfaces } from './route-interfaces.ts';
import { SharedOutput } from './shared-output.ts';

/** Export not computed yet: some peer's initial walk will ask. */
const UNKNOWN = -2;
const SMALLEST_LOG = 1024;
/** a log that grew longer is made small again once it is empty */
const LARGE_LOG = 1 << 20;

/** The family's RIB as seen by one set of export rules. */
export class UpdateGroup {
  readonly fingerprint: string;
  readonly exporter: Exporter;
  /** for members who are the third party that a form names; made when the first such comes up */
  #withoutThirdParties: Exporter | undefined;
  readonly #rules: ExportRules;
  readonly members: PeerOutput[] = [];
  /** what a member was written last, for the others */
  readonly shared = new SharedOutput();
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
    const { bestAttribute, bestPeer, heldBack } = this.#rib;
    // Neighbours mostly have the same attributes, and then the same form, where neither prefix nor FIB has a say.
    const onlyByPath = heldBack === undefined && !this.exporter.looksAtPrefixes;
    let latestAttribute = -1;
    let latestPeer = -1;
    let form = NOT_EXPORTED;
    for (let i = 0; i < count; i++) {
      const prefix = prefixes[i] ?? -1;
      const attribute = bestAttribute[prefix] ?? -1;
      const peer = bestPeer[prefix] ?? 0;
      if (!onlyByPath || attribute !== latestAttribute || peer !== latestPeer) {
        form = this.#export(prefix);
        latestAttribute = attribute;
        latestPeer = peer;
      }
      if (this.#become(prefix, form)) continue;
      const oldPeer = oldPeers[i] ?? 0;
      if ((this.#out[prefix] ?? UNKNOWN) < 0 || oldPeer === peer) continue;
      // Same announcement, but nobody gets back what he sent: only the two senders see a difference.
      this.#forgetShared(prefix);
      for (const member of this.members) {
        if (member.peer === oldPeer || member.peer === peer) this.#changePresence(member, prefix);
      }
    }
  }

  /** What is exported of a prefix may be something else; whether it is. */
  reconsider(prefix: number): boolean {
    return this.#become(prefix, this.#export(prefix));
  }

  /** This form is what is exported of a prefix from now on; whether it was not before. */
  #become(prefix: number, form: number): boolean {
    const old = this.#out[prefix] ?? UNKNOWN;
    if (form === old) return false;
    this.#out[prefix] = form;
    if (old !== UNKNOWN || form !== NOT_EXPORTED) this.#append(prefix);
    return true;
  }

  /** A prefix id goes back to the table. */
  onFree(prefix: number): void {
    this.#out[prefix] = UNKNOWN;
  }

  /** What a member is to be told of a prefix: an attribute id, or NOT_EXPORTED. */
  desired(member: PeerOutput, prefix: number): number {
    const form = this.formFor(member, prefix);
    if (form < 0 || !member.ownAddress.isNextHopOf(form)) return form;
    if (!this.exporter.mayNameThirdParties) return NOT_EXPORTED;
    // The third party is this member: it gets our own address.
    this.#withoutThirdParties ??= new Exporter(
      { ...this.#rules, shared: undefined },
      this.#tables.attributes,
      routeInterfaces(this.#rib, this.#tables),
    );
    const own = this.#export(prefix, this.#withoutThirdParties);
    return own >= 0 && member.ownAddress.isNextHopOf(own) ? NOT_EXPORTED : own;
  }

  /** Lets go of all attributes. */
  dispose(): void {
    this.exporter.dispose();
    this.#withoutThirdParties?.dispose();
  }

  /** As `desired`, but that the form may have the member's own address as next hop. */
  formFor(member: PeerOutput, prefix: number): number {
    let out = this.#out[prefix] ?? UNKNOWN;
    if (out === UNKNOWN) {
      out = this.#export(prefix);
      this.#out[prefix] = out;
    }
    return out < 0 || member.peer === this.#rib.bestPeer[prefix] ? NOT_EXPORTED : out;
  }

  /** Who sent the best path of a prefix. */
  senderOf(prefix: number): number {
    return this.#rib.bestPeer[prefix] ?? 0;
  }

  /** Whether a prefix is exported, be it to others than a member. */
  isExported(prefix: number): boolean {
    return (this.#out[prefix] ?? UNKNOWN) >= 0;
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
    this.shared.forget();
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
    return exporter.ofPath(rib, prefix, attribute, peer, this.#tables.peers);
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
    this.#forgetShared(prefix);
    const last = this.#position[prefix] ?? 0;
    if (last >= this.#furthest && last < this.logCount && this.log[last] === prefix) return;
    if (this.logCount === this.log.length) this.#makeRoom();
    this.#position[prefix] = this.logCount;
    this.log[this.logCount++] = prefix;
  }

  /** What is kept for other members is out of date if it tells of this prefix. */
  #forgetShared(prefix: number): void {
    const position = this.#position[prefix] ?? 0;
    if (this.shared.covers(position) && this.log[position] === prefix) this.shared.forget();
  }

  #makeRoom(): void {
    if (this.logCount > 2 * this.#rib.prefixes.size + SMALLEST_LOG) this.#compact();
    if (2 * this.logCount > this.log.length) this.log = grownInt32(this.log, grownCapacity(this.log.length));
  }

  /** Leaves out the entries that a newer one of the same prefix supersedes. */
  #compact(): void {
    this.shared.forget();
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
