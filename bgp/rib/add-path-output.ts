/**
 * Adj-RIB-Out of one family for one peer that takes several paths to a prefix (RFC 7911). Apart from the update groups, which keep one path a
 * prefix for any number of peers: here it is noted for each path what the peer has been sent. A path's identifier is its record in
 * Adj-RIB-In, which stays the same while the path lives.
 */
import { NOT_EXPORTED } from '../../src/core/assembly/layout.ts';
import type { Address } from '../../src/net/address.ts';
import type { PackOptions } from '../wire/packer.ts';
import { grownInt32, grownUint8 } from './columns.ts';
import { type ExportRules, exportFingerprint } from './export-rules.ts';
import { Exporter } from './exporter.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { OwnAddress } from './own-address.ts';
import { type PathMessages, pathIdOf } from './path-messages.ts';
import { IdList } from './peer-output.ts';
import { routeInterfaces } from './route-interfaces.ts';
import { SentPaths } from './sent-paths.ts';

const NONE = -1;
/** For `bestOf`: one for all peers as well. */
let chosenAndLeft = new Int32Array(64);

/** What one peer has been sent and what it still is to be sent. */
export class AddPathOutput {
  readonly peer: number;
  /** next prefix id of the walk over the whole table; -1: no walk under way */
  walkAt = 0;
  endOfRibSent = false;
  /** RFC 7313: a refresh whose beginning, or whose end, is to be marked */
  refresh: 'begin' | 'end' | undefined;
  readonly #rib: FamilyRib;
  readonly #tables: RibTables;
  readonly #ownAddress: OwnAddress;
  /** the best so many paths; Infinity: all */
  #most: number;
  #exporter: Exporter;
  #fingerprint: string;
  /** prefixes to look at, each once */
  readonly #queue = new IdList();
  /** by prefix id: 1 while it stands in the queue */
  #queued = new Uint8Array(0);
  readonly #sent: SentPaths;
  /** where it is written to while `fill` runs */
  #messages: PathMessages | undefined;

  constructor(
    peer: { readonly id: number; readonly address: Address },
    rules: ExportRules,
    most: number,
    rib: FamilyRib,
    tables: RibTables,
  ) {
    this.peer = peer.id;
    this.#ownAddress = new OwnAddress(peer.address, tables);
    this.#rib = rib;
    this.#tables = tables;
    this.#most = most;
    this.#sent = new SentPaths(rib, tables, {
      lookAgain: (prefix) => this.onDecided(prefix),
      withdrawUnsendable: (prefix, record) => this.#withdrawUnsendable(prefix, record),
    });
    this.#exporter = new Exporter(rules, tables, routeInterfaces(rib, tables));
    this.#fingerprint = exportFingerprint(rules);
  }

  /** Whether the export rules ask for the interface that a route leads to. */
  get looksAtInterfaces(): boolean {
    return this.#exporter.looksAtInterfaces;
  }

  /** Prefixes that the peer has. */
  get sentCount(): number {
    return this.#sent.prefixCount;
  }

  /** Whether there are routes to look at. */
  get hasUnread(): boolean {
    return this.walkAt >= 0 || this.#queue.count > 0;
  }

  /** Prefixes to look at, at most: one may stand in the queue and before the walk. */
  get unreadCount(): number {
    return this.#queue.count + (this.walkAt >= 0 ? this.#rib.prefixes.idLimit - this.walkAt : 0);
  }

  /** The paths of a prefix changed, or there was no room for all that is to be told of it: it is looked at later. */
  onDecided(prefix: number): void {
    if (prefix >= this.#queued.length) this.#queued = grownUint8(this.#queued, this.#rib.prefixes.capacity);
    if (this.#queued[prefix] === 1) return;
    this.#queued[prefix] = 1;
    this.#queue.push(prefix);
  }

  /** Other rules: everything is looked at again. Returns whether they differ. */
  changeRules(rules: ExportRules, most: number): boolean {
    const fingerprint = exportFingerprint(rules);
    if (fingerprint === this.#fingerprint && most === this.#most) return false;
    const old = this.#exporter;
    this.#exporter = new Exporter(rules, this.#tables, routeInterfaces(this.#rib, this.#tables));
    this.#fingerprint = fingerprint;
    this.#most = most;
    old.dispose();
    this.walkAt = 0;
    return true;
  }

  /** Everything is sent again. */
  sendAgain(): void {
    this.#sent.forgetAttributes();
    this.walkAt = 0;
  }

  /** The session is gone: so is what it had been sent. */
  dispose(): void {
    this.#exporter.dispose();
    this.#sent.dispose();
  }

  /** What the peer has been sent, for inspection. */
  *sentPaths(): IterableIterator<{ prefix: number; pathId: number; attribute: number }> {
    for (const { prefix, record, attribute } of this.#sent.all()) {
      yield { prefix, pathId: pathIdOf(record), attribute };
    }
  }

  /** Whether the peer has a path to a prefix of us. */
  hasSent(prefix: number): boolean {
    return this.#sent.of(prefix).length > 0;
  }

  /** Writes whole messages into `target` from `at`; returns the offset after the last. At most `scanLimit` prefixes are looked at. */
  fill(
    messages: PathMessages,
    options: PackOptions,
    target: Uint8Array,
    at: number,
    scanLimit: number,
  ): number {
    messages.open(this.#rib, options, target.length - at);
    this.#messages = messages;
    for (let scanned = 0; scanned < scanLimit && messages.room > 0; scanned++) {
      const prefix = this.#takeNext();
      if (prefix < 0) break;
      this.#compare(prefix, messages);
    }
    const after = messages.write(this.#sent, target, at);
    this.#messages = undefined;
    return after;
  }

  /** The next prefix to look at, or -1. */
  #takeNext(): number {
    const queued = this.#queue.pop();
    if (queued >= 0) {
      this.#queued[queued] = 0;
      return queued;
    }
    const { prefixes } = this.#rib;
    while (this.walkAt >= 0) {
      if (this.walkAt >= prefixes.idLimit) {
        this.walkAt = -1;
        break;
      }
      const prefix = this.walkAt++;
      if (prefixes.has(prefix)) return prefix;
    }
    return NONE;
  }

  /** Withdraws what the peer is no longer to have of a prefix, and notes what is to be announced. */
  #compare(prefix: number, messages: PathMessages): void {
    const { decision, paths } = this.#rib;
    const sent = this.#sent;
    const chosen = this.#choose(prefix);
    const { candidates } = decision;
    for (let i = 0; i < chosen; i++) {
      const record = candidates[i] ?? NONE;
      // Nobody gets back what he sent.
      if (paths.peerOf(record) === this.peer) continue;
      const form = this.#export(prefix, record);
      if (form < 0 || sent.keep(prefix, record) === form) continue;
      messages.announce(prefix, record, form);
    }
    if (!sent.dropUnkept(prefix, messages)) this.onDecided(prefix);
  }

  /** Puts the paths of a prefix that the peer is to have, the best so many, in front of the decision's candidates; returns how many. */
  #choose(prefix: number): number {
    const rib = this.#rib;
    if (!rib.prefixes.has(prefix) || rib.heldBack?.[prefix] === 1) return 0;
    const count = rib.collect(prefix);
    return count <= this.#most ? count : this.#bestOf(count);
  }

  /** As `#choose`, of more candidates than are wanted: decides as often as one is taken out. */
  #bestOf(count: number): number {
    const { decision } = this.#rib;
    if (count > chosenAndLeft.length) chosenAndLeft = grownInt32(chosenAndLeft, 2 * count);
    const records = chosenAndLeft;
    for (let i = 0; i < count; i++) records[i] = decision.candidates[i] ?? NONE;
    // What is chosen stands in front, in order; a decision uses up what it is given.
    for (let chosen = 0; chosen < this.#most; chosen++) {
      for (let i = chosen; i < count; i++) decision.candidates[i - chosen] = records[i] ?? NONE;
      const at = records.indexOf(decision.run(count - chosen), chosen);
      const best = records[at] ?? NONE;
      records[at] = records[chosen] ?? NONE;
      records[chosen] = best;
    }
    for (let i = 0; i < this.#most; i++) decision.candidates[i] = records[i] ?? NONE;
    return this.#most;
  }

  /** The exported form of a path, or NOT_EXPORTED. */
  #export(prefix: number, record: number): number {
    const { paths } = this.#rib;
    const attribute = paths.effective[record] ?? NONE;
    const peer = paths.peerOf(record);
    const form = this.#exporter.ofPath(this.#rib, prefix, attribute, peer);
    return form >= 0 && this.#ownAddress.isNextHopOf(form) ? NOT_EXPORTED : form;
  }

  /** RFC 8654 5: what the peer had of a path whose attributes fit into no message it must not keep. */
  #withdrawUnsendable(prefix: number, record: number): void {
    const messages = this.#messages;
    if (messages === undefined || !this.#sent.dropOne(prefix, record, messages)) this.onDecided(prefix);
  }
}
