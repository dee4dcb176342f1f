/**
 * Adj-RIB-Out of one family for one peer that takes several paths to a prefix (RFC 7911). Apart from the update groups, which keep one path a
 * prefix for any number of peers: here it is noted for each path what the peer has been sent. A path's identifier is its record in
 * Adj-RIB-In, which stays the same while the path lives.
 */
import type { Address } from '../../src/net/address.ts';
import type { PackOptions, UpdatePacker } from '../wire/packer.ts';
import { Exporter, type ExportRules, exportFingerprint } from './export-rules.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { IdList } from './peer-output.ts';
import { routeInterfaces } from './route-interfaces.ts';

/** Header, lengths and MP attribute around the attributes of a message, at most. */
const MESSAGE_OVERHEAD = 72;
/** Octets of an NLRI with its path identifier, at most. */
const NLRI_OCTETS = 21;
/** What was sent is to be sent again. */
const AGAIN = -1;

interface Entry {
  readonly prefix: number;
  readonly pathId: number;
}

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
  readonly #address: Address;
  /** the best so many paths; Infinity: all */
  #most: number;
  #exporter: Exporter;
  #fingerprint: string;
  /** prefixes to look at, each once */
  readonly #queue = new IdList();
  readonly #queued = new Set<number>();
  /** prefix id -> path identifier -> attributes sent (a reference is held), or AGAIN */
  readonly #sent = new Map<number, Map<number, number>>();

  constructor(
    peer: { readonly id: number; readonly address: Address },
    rules: ExportRules,
    most: number,
    rib: FamilyRib,
    tables: RibTables,
  ) {
    this.peer = peer.id;
    this.#address = peer.address;
    this.#rib = rib;
    this.#tables = tables;
    this.#most = most;
    this.#exporter = new Exporter(rules, tables.attributes, routeInterfaces(rib, tables));
    this.#fingerprint = exportFingerprint(rules);
  }

  /** Whether the export rules ask for the interface that a route leads to. */
  get looksAtInterfaces(): boolean {
    return this.#exporter.looksAtInterfaces;
  }

  /** Prefixes that the peer has. */
  get sentCount(): number {
    return this.#sent.size;
  }

  /** Whether there are routes to look at. */
  get hasUnread(): boolean {
    return this.walkAt >= 0 || this.#queue.count > 0;
  }

  /** Prefixes to look at, at most: one may stand in the queue and before the walk. */
  get unreadCount(): number {
    return this.#queue.count + (this.walkAt >= 0 ? this.#rib.prefixes.idLimit - this.walkAt : 0);
  }

  /** The paths of a prefix changed. */
  onDecided(prefix: number): void {
    if (this.#queued.has(prefix)) return;
    this.#queued.add(prefix);
    this.#queue.push(prefix);
  }

  /** Other rules: everything is looked at again. Returns whether they differ. */
  changeRules(rules: ExportRules, most: number): boolean {
    const fingerprint = exportFingerprint(rules);
    if (fingerprint === this.#fingerprint && most === this.#most) return false;
    const old = this.#exporter;
    this.#exporter = new Exporter(rules, this.#tables.attributes, routeInterfaces(this.#rib, this.#tables));
    this.#fingerprint = fingerprint;
    this.#most = most;
    old.dispose();
    this.walkAt = 0;
    return true;
  }

  /** Everything is sent again. */
  sendAgain(): void {
    for (const paths of this.#sent.values()) {
      for (const [pathId, attribute] of paths) {
        if (attribute === AGAIN) continue;
        paths.set(pathId, AGAIN);
        this.#tables.attributes.release(attribute);
      }
    }
    this.walkAt = 0;
  }

  /** The session is gone: so is what it had been sent. */
  dispose(): void {
    this.sendAgain();
    this.#exporter.dispose();
    for (const prefix of [...this.#sent.keys()]) this.#forgetPrefix(prefix);
  }

  /** What the peer has been sent, for inspection. */
  *sentPaths(): IterableIterator<{ prefix: number; pathId: number; attribute: number }> {
    for (const [prefix, paths] of this.#sent) {
      for (const [pathId, attribute] of paths) {
        if (attribute !== AGAIN) yield { prefix, pathId, attribute };
      }
    }
  }

  /** Whether the peer has a path to a prefix of us. */
  hasSent(prefix: number): boolean {
    return (
      this.#sent
        .get(prefix)
        ?.values()
        .some((attribute) => attribute !== AGAIN) ?? false
    );
  }

  /** Writes whole messages into `target` from `at`; returns the offset after the last. At most `scanLimit` prefixes are looked at. */
  fill(
    packer: UpdatePacker,
    options: PackOptions,
    target: Uint8Array,
    at: number,
    scanLimit: number,
  ): number {
    const withdrawn: Entry[] = [];
    const reach = new Map<number, Entry[]>();
    let room = target.length - at;
    for (let scanned = 0; scanned < scanLimit && room > 0; scanned++) {
      const prefix = this.#takeNext();
      if (prefix === undefined) break;
      room -= this.#compare(prefix, withdrawn, reach);
    }
    let end = this.#writeWithdrawn(packer, options, withdrawn, target, at);
    for (const [attribute, entries] of reach) {
      end = this.#writeReach(packer, options, attribute, entries, target, end);
    }
    return end;
  }

  #takeNext(): number | undefined {
    const queued = this.#queue.pop();
    if (queued >= 0) {
      this.#queued.delete(queued);
      return queued;
    }
    const { prefixes } = this.#rib;
    while (this.walkAt >= 0) {
      if (this.walkAt >= prefixes.idLimit) {
        this.walkAt = -1;
        return undefined;
      }
      const prefix = this.walkAt++;
      if (prefixes.has(prefix)) return prefix;
    }
    return undefined;
  }

  /** Notes what the peer has to be told of a prefix; returns the octets that it may take. */
  #compare(prefix: number, withdrawn: Entry[], reach: Map<number, Entry[]>): number {
    const wanted = this.#wanted(prefix);
    const sent = this.#sent.get(prefix);
    let octets = 0;
    for (const pathId of sent?.keys() ?? []) {
      if (wanted.has(pathId)) continue;
      withdrawn.push({ prefix, pathId });
      octets += NLRI_OCTETS;
    }
    for (const [pathId, attribute] of wanted) {
      if (sent?.get(pathId) === attribute) continue;
      octets += NLRI_OCTETS;
      const entries = reach.get(attribute);
      if (entries !== undefined) entries.push({ prefix, pathId });
      else {
        reach.set(attribute, [{ prefix, pathId }]);
        octets += MESSAGE_OVERHEAD + this.#tables.attributes.keyLength(attribute);
      }
    }
    return octets;
  }

  /** The exported forms of the best paths by path identifier. Nobody gets back what he sent. */
  #wanted(prefix: number): Map<number, number> {
    const wanted = new Map<number, number>();
    const rib = this.#rib;
    if (!rib.prefixes.has(prefix) || rib.heldBack?.[prefix] === 1) return wanted;
    for (const record of this.#chosen(prefix)) {
      if (rib.paths.peerOf(record) === this.peer) continue;
      const form = this.#export(prefix, record);
      if (form >= 0) wanted.set(record + 1, form);
    }
    return wanted;
  }

  #chosen(prefix: number): number[] {
    const rib = this.#rib;
    const { decision } = rib;
    const count = rib.collect(prefix);
    const all = Array.from(decision.candidates.subarray(0, count));
    if (all.length <= this.#most) return all;
    const chosen: number[] = [];
    let left = all;
    while (chosen.length < this.#most && left.length > 0) {
      decision.candidates.set(left);
      const best = decision.run(left.length);
      chosen.push(best);
      left = left.filter((record) => record !== best);
    }
    return chosen;
  }

  #export(prefix: number, record: number): number {
    const { prefixes, paths, family } = this.#rib;
    const { peers, attributes, nextHops } = this.#tables;
    const peer = paths.peerOf(record);
    const wide = family === 'ipv6';
    const form = this.#exporter.export(
      prefixes.lengthOf(prefix),
      prefixes.wordOf(prefix, 0),
      wide ? prefixes.wordOf(prefix, 1) : 0,
      wide ? prefixes.wordOf(prefix, 2) : 0,
      wide ? prefixes.wordOf(prefix, 3) : 0,
      paths.effective[record] ?? -1,
      peers.sourceOf(peer),
      peers.routerId[peer] ?? 0,
      prefix,
    );
    if (form < 0) return form;
    const nextHop = nextHops.addressOf(attributes.nextHop[form] ?? -1);
    const { bytes } = this.#address;
    // RFC 4271 5.1.3: a peer is not told to send to itself.
    const isPeer =
      nextHop?.bytes.length === bytes.length && bytes.every((octet, i) => octet === nextHop.bytes[i]);
    return isPeer ? -1 : form;
  }

  #writeWithdrawn(
    packer: UpdatePacker,
    options: PackOptions,
    entries: readonly Entry[],
    target: Uint8Array,
    at: number,
  ): number {
    let end = at;
    let from = 0;
    while (from < entries.length) {
      if (packer.beginWithdraw(target, end, this.#rib.family, options) !== 'begun') break;
      let to = from;
      for (let entry = entries[to]; entry !== undefined && this.#add(packer, entry); entry = entries[to]) {
        this.#markWithdrawn(entry);
        to++;
      }
      if (to === from) break;
      end += packer.finish();
      from = to;
    }
    for (; from < entries.length; from++) this.onDecided(entries[from]?.prefix ?? 0);
    return end;
  }

  #writeReach(
    packer: UpdatePacker,
    options: PackOptions,
    attribute: number,
    entries: readonly Entry[],
    target: Uint8Array,
    at: number,
  ): number {
    const key = this.#tables.attributes.key(attribute);
    let end = at;
    let from = 0;
    while (from < entries.length) {
      const start = packer.beginReach(target, end, this.#rib.family, key, options);
      if (start === 'unsendable') {
        // RFC 8654 5: what the peer had of these paths it must not keep.
        const had = entries.slice(from).filter(({ prefix, pathId }) => this.#sent.get(prefix)?.has(pathId));
        return this.#writeWithdrawn(packer, options, had, target, end);
      }
      if (start === 'no-room') break;
      let to = from;
      for (let entry = entries[to]; entry !== undefined && this.#add(packer, entry); entry = entries[to]) {
        this.#markAnnounced(entry, attribute);
        to++;
      }
      if (to === from) break;
      end += packer.finish();
      from = to;
    }
    for (; from < entries.length; from++) this.onDecided(entries[from]?.prefix ?? 0);
    return end;
  }

  #add(packer: UpdatePacker, { prefix, pathId }: Entry): boolean {
    const { prefixes, family } = this.#rib;
    const wide = family === 'ipv6';
    return packer.add(
      prefixes.lengthOf(prefix),
      prefixes.wordOf(prefix, 0),
      wide ? prefixes.wordOf(prefix, 1) : 0,
      wide ? prefixes.wordOf(prefix, 2) : 0,
      wide ? prefixes.wordOf(prefix, 3) : 0,
      pathId,
    );
  }

  #markAnnounced({ prefix, pathId }: Entry, attribute: number): void {
    const { attributes } = this.#tables;
    let paths = this.#sent.get(prefix);
    if (paths === undefined) {
      paths = new Map();
      this.#sent.set(prefix, paths);
      this.#rib.holders[prefix] = (this.#rib.holders[prefix] ?? 0) + 1;
    }
    const old = paths.get(pathId) ?? AGAIN;
    attributes.retain(attribute);
    paths.set(pathId, attribute);
    if (old !== AGAIN) attributes.release(old);
  }

  #markWithdrawn({ prefix, pathId }: Entry): void {
    const paths = this.#sent.get(prefix);
    const attribute = paths?.get(pathId);
    if (paths === undefined || attribute === undefined) return;
    paths.delete(pathId);
    if (attribute !== AGAIN) this.#tables.attributes.release(attribute);
    if (paths.size === 0) this.#forgetPrefix(prefix);
  }

  #forgetPrefix(prefix: number): void {
    this.#sent.delete(prefix);
    this.#rib.holders[prefix] = (this.#rib.holders[prefix] ?? 0) - 1;
    this.#rib.freeIfUnused(prefix);
  }
}
