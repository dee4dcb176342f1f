/**
 * Adj-RIB-Out of one family for all peers that are told the same: the exported attributes by prefix id, and a log of the prefixes that
 * changed. Each peer reads the log at its own pace and remembers one bit a prefix (announced to it or not); a prefix that changes again
 * before a slow peer has read it stands in the log once, so the log is bounded by the number of prefixes.
 */
import {
  GROUP_EXPORT,
  GROUP_FAMILY,
  GROUP_FIELDS,
  GROUP_FURTHEST,
  GROUP_LOG,
  GROUP_LOG_COUNT,
  GROUP_LOG_ROOM,
  GROUP_LONE_PEER,
  GROUP_MEMBERS,
  GROUP_OUT,
  GROUP_POSITION,
  GROUP_TOUCHED,
  NO_PEER,
  NOT_EXPORTED,
} from '../../src/core/assembly/layout.ts';
import { grownCapacity } from '../../src/net/prefix-table.ts';
import { type ExportRules, exportFingerprint } from './export-rules.ts';
import { Exporter } from './exporter.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import type { PeerOutput } from './peer-output.ts';
import { routeInterfaces } from './route-interfaces.ts';
import { SharedOutput } from './shared-output.ts';

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
  readonly shared: SharedOutput;
  /** where its block stands for the inner loops (src/core/assembly) */
  readonly address: number;
  readonly #rib: FamilyRib;
  readonly #tables: RibTables;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** by prefix id: exported attributes (GROUP_OUT) */
  #out: Int32Array<SharedArrayBuffer>;
  /** by prefix id: position of its newest log entry */
  #position: Int32Array<SharedArrayBuffer>;
  #log: Int32Array<SharedArrayBuffer>;

  constructor(rules: ExportRules, rib: FamilyRib, tables: RibTables) {
    this.fingerprint = exportFingerprint(rules);
    this.#rules = rules;
    this.exporter = new Exporter(rules, tables, routeInterfaces(rib, tables));
    this.#rib = rib;
    this.#tables = tables;
    const { core } = tables;
    const { capacity } = rib.prefixes;
    this.#out = core.int32(capacity);
    this.#position = core.int32(capacity);
    this.#log = core.int32(SMALLEST_LOG);
    this.#block = core.block(GROUP_FIELDS, {
      growLog: () => this.#makeRoom(),
      exportForm: (prefix) => this.#export(prefix),
      senderChanged: (prefix, oldPeer, peer) => this.#onSender(prefix, oldPeer, peer),
    });
    this.address = this.#block.byteOffset;
    this.#block[GROUP_FAMILY] = rib.address;
    this.#block[GROUP_LONE_PEER] = NO_PEER;
    this.#block[GROUP_EXPORT] = this.exporter.looksAtPrefixes ? 0 : this.exporter.address;
    this.shared = new SharedOutput(this.#block, core);
    this.#publish();
  }

  /** Prefixes whose export changed, in that order. */
  get log(): Int32Array {
    return this.#log;
  }

  get logCount(): number {
    return this.#block[GROUP_LOG_COUNT] ?? 0;
  }

  /** A peer is told what this group is told. */
  join(member: PeerOutput): void {
    this.members.push(member);
    this.#countMembers();
  }

  /** A member goes. */
  leave(member: PeerOutput): void {
    this.members.splice(this.members.indexOf(member), 1);
    this.#countMembers();
  }

  /** Makes room for prefix ids up to `capacity`. */
  grow(capacity: number): void {
    const { core } = this.#tables;
    // Of what was never touched nothing is copied: it would become memory.
    const touched = this.#block[GROUP_TOUCHED] ?? 0;
    this.#out = core.moved(this.#out, core.int32(capacity), touched);
    this.#position = core.moved(this.#position, core.int32(capacity), touched);
    this.#publish();
    for (const member of this.members) member.grow(capacity);
  }

  /** What is exported of a prefix may be something else. */
  reconsider(prefix: number): void {
    this.#tables.core.calls.groupReconsider(this.address, prefix);
  }

  /** What a member is to be told of a prefix: an attribute id, or NOT_EXPORTED. */
  desired(member: PeerOutput, prefix: number): number {
    const form = this.#formFor(member, prefix);
    if (form < 0 || !member.isNextHopOf(form)) return form;
    if (!this.exporter.mayNameThirdParties) return NOT_EXPORTED;
    // The third party is this member: it gets our own address.
    this.#withoutThirdParties ??= new Exporter(
      { ...this.#rules, shared: undefined },
      this.#tables,
      routeInterfaces(this.#rib, this.#tables),
    );
    const own = this.#export(prefix, this.#withoutThirdParties);
    return own >= 0 && member.isNextHopOf(own) ? NOT_EXPORTED : own;
  }

  /** Lets go of all attributes. */
  dispose(): void {
    this.exporter.dispose();
    this.#withoutThirdParties?.dispose();
    this.shared.dispose();
    const { core } = this.#tables;
    for (const { byteOffset, byteLength } of [this.#out, this.#position, this.#log])
      core.release(byteOffset, byteLength);
    core.releaseBlock(this.#block);
  }

  /** As `desired`, but that the form may have the member's own address as next hop. */
  #formFor(member: PeerOutput, prefix: number): number {
    if (member.peer === this.#rib.bestPeer[prefix]) return NOT_EXPORTED;
    return this.#tables.core.calls.groupForm(this.address, prefix);
  }

  /** Whether a log entry is the newest one of its prefix. */
  #isCurrent(position: number): boolean {
    return this.#position[this.#log[position] ?? 0] === position;
  }

  /** A member has read the log up to its cursor. Empties the log once all have. */
  onRead(member: PeerOutput): void {
    const block = this.#block;
    if (member.cursor > (block[GROUP_FURTHEST] ?? 0)) block[GROUP_FURTHEST] = member.cursor;
    const count = this.logCount;
    if (count === 0) return;
    for (const other of this.members) if (other.cursor < count) return;
    for (const other of this.members) other.cursor = 0;
    this.shared.forget();
    block[GROUP_LOG_COUNT] = 0;
    block[GROUP_FURTHEST] = 0;
    if (this.#log.length > LARGE_LOG) this.#replaceLog(SMALLEST_LOG, 0);
  }

  #countMembers(): void {
    const [first] = this.members;
    this.#block[GROUP_MEMBERS] = this.members.length;
    this.#block[GROUP_LONE_PEER] = this.members.length === 1 ? (first?.peer ?? NO_PEER) : NO_PEER;
  }

  #export(prefix: number, exporter = this.exporter): number {
    const rib = this.#rib;
    const attribute = rib.bestAttribute[prefix] ?? -1;
    if (attribute < 0) return NOT_EXPORTED;
    if (rib.heldBack !== undefined && rib.heldBack[prefix] === 1) return NOT_EXPORTED;
    const peer = rib.bestPeer[prefix] ?? 0;
    return exporter.ofPath(rib, prefix, attribute, peer);
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

  /** The same is announced, but by another peer: the two see a difference. */
  #onSender(prefix: number, oldPeer: number, peer: number): void {
    for (const member of this.members) {
      if (member.peer === oldPeer || member.peer === peer) this.#changePresence(member, prefix);
    }
  }

  #makeRoom(): void {
    if (this.logCount > 2 * this.#rib.prefixes.size + SMALLEST_LOG) this.#compact();
    const { logCount } = this;
    if (2 * logCount > this.#log.length) this.#replaceLog(grownCapacity(this.#log.length), logCount);
  }

  /** Leaves out the entries that a newer one of the same prefix supersedes. */
  #compact(): void {
    this.shared.forget();
    const byCursor = [...this.members].sort((a, b) => a.cursor - b.cursor);
    let moved = 0;
    let kept = 0;
    const { logCount } = this;
    for (let position = byCursor[0]?.cursor ?? 0; position <= logCount; position++) {
      for (let member = byCursor[moved]; member?.cursor === position; member = byCursor[++moved]) {
        member.cursor = kept;
      }
      if (position === logCount || !this.#isCurrent(position)) continue;
      const prefix = this.#log[position] ?? 0;
      this.#position[prefix] = kept;
      this.#log[kept++] = prefix;
    }
    this.#block[GROUP_LOG_COUNT] = kept;
    this.#block[GROUP_FURTHEST] = Math.max(0, ...this.members.map((member) => member.cursor));
  }

  /** Gives the log another length, of which the first `kept` entries stay. */
  #replaceLog(length: number, kept: number): void {
    const { core } = this.#tables;
    const old = this.#log;
    this.#log = core.int32(length);
    this.#log.set(old.subarray(0, kept));
    core.release(old.byteOffset, old.byteLength);
    this.#publish();
  }

  /** Tells the inner loops where the columns are. */
  #publish(): void {
    this.#block[GROUP_OUT] = this.#out.byteOffset;
    this.#block[GROUP_POSITION] = this.#position.byteOffset;
    this.#block[GROUP_LOG] = this.#log.byteOffset;
    this.#block[GROUP_LOG_ROOM] = this.#log.length;
  }
}
