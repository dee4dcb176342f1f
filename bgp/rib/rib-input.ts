/**
 * The way into the RIB: received updates, sessions that end, routes kept over a peer's restart (RFC 4724), changes of import policy
 * and of next hops. What could touch many routes is a job, worked off in slices.
 */
import { TAKE_EVALUATE } from '../../src/core/assembly/layout.ts';
import { type Address, FAMILIES, type Family } from '../../src/net/address.ts';
import type { NextHopState, PeerConfig } from '../types.ts';
import { MAX_EXTENDED_MESSAGE_OCTETS } from '../wire/registry.ts';
import type { AttributeKey, DecodedUpdate, NlriRange } from '../wire/types.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { ImportGroup, type ImportRules, importFingerprint } from './import-group.ts';
import { LOCAL_PEER, peerKind, type RibPeer } from './peers.ts';
import { Redecisions } from './redecisions.ts';
import { scopedKey } from './scoped-key.ts';

/** Sessions over which long-lived stale routes are kept: generations are counted modulo 256. */
const GENERATIONS_MAX = 200;
/** One tick of the arrival column: 2^32 of them are 8.7 years. */
export const TICK_MS = 64;
const SLICE = 512;

export interface InputOptions {
  readonly localAs: number;
  readonly routerId: number;
  /** default: `routerId` */
  readonly clusterId: number | undefined;
  readonly onWork: () => void;
  readonly onGone: (peer: RibPeer) => void;
}

/** Owner of everything that changes Adj-RIB-In. */
export class RibInput {
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #options: InputOptions;
  readonly #onWork: () => void;
  readonly #onGone: (peer: RibPeer) => void;
  /** where NLRI are put that the inner loops take in: as much as a message holds */
  readonly #nlri: number;
  readonly #groups = new Map<string, ImportGroup>();
  /** groups that nobody uses any more, but whose results routes may still carry until they are evaluated anew */
  readonly #retiring: ImportGroup[] = [];
  readonly #redecisions: Redecisions;
  readonly #busy = new Set<RibPeer>();
  /** the time of tick 0 */
  #epoch: number | undefined;
  #latestTick = 0;

  constructor(tables: RibTables, families: Readonly<Record<Family, FamilyRib>>, options: InputOptions) {
    this.#tables = tables;
    this.#nlri = tables.core.allocate(MAX_EXTENDED_MESSAGE_OCTETS);
    this.#families = families;
    this.#options = options;
    this.#onWork = options.onWork;
    this.#onGone = options.onGone;
    this.#redecisions = new Redecisions(tables, families, options.onWork);
  }

  /** The import group for a configuration, with one use counted. */
  groupFor(config: PeerConfig): ImportGroup {
    const { localAs, routerId, clusterId = routerId } = this.#options;
    const kind = peerKind(config);
    const rules: ImportRules = {
      peerKind: kind,
      localAs: config.localAs,
      routerId,
      allowOwnAs: config.allowOwnAs,
      chain: config.importPolicy,
      clusterId,
      speakerAs: localAs,
      prependLocalAs:
        kind === 'ebgp' && config.localAs !== localAs && config.localAsOptions?.noPrepend !== true,
      peerAs: config.peerAs,
      role: kind === 'ebgp' ? config.role?.local : undefined,
    };
    const fingerprint = importFingerprint(rules);
    let group = this.#groups.get(fingerprint);
    if (group === undefined) {
      group = new ImportGroup(rules, this.#tables.attributes);
      this.#groups.set(fingerprint, group);
    }
    group.users++;
    return group;
  }

  /** Counts one use less. */
  leaveGroup(group: ImportGroup): void {
    group.users--;
    if (group.users > 0) return;
    this.#groups.delete(group.fingerprint);
    this.#retiring.push(group);
    this.#onWork();
  }

  /** Evaluates a peer's routes anew if its import rules changed. */
  changeImport(peer: RibPeer, config: PeerConfig): void {
    const group = this.groupFor(config);
    const old = peer.importGroup;
    peer.importGroup = group;
    this.leaveGroup(old);
    if (old === group) return;
    for (const family of FAMILIES) peer.input[family].reimportCursor = 0;
    this.#schedule(peer);
  }

  receive(peer: RibPeer, update: DecodedUpdate, now: number): void {
    const tick = this.tickAt(now);
    const { body } = update;
    for (const range of update.withdrawn) this.#withdrawn(peer, this.#inCore(body, range));
    for (const { nlri, attributes } of update.reach)
      this.#reached(peer, this.#inCore(body, nlri), attributes, tick);
  }

  /** Ticks of the arrival column for a time in epoch milliseconds; without one, the latest tick so far. */
  tickAt(now: number | undefined): number {
    if (now === undefined) return this.#latestTick;
    this.#epoch ??= now;
    this.#latestTick = Math.max(0, Math.floor((now - this.#epoch) / TICK_MS));
    return this.#latestTick;
  }

  /** Epoch milliseconds of a tick, as exact as the tick is long. */
  timeOf(tick: number): number {
    return (this.#epoch ?? 0) + tick * TICK_MS;
  }

  /** Adds or changes a locally originated route. `link`: the interface that it leads to, where there is one. */
  originate(
    family: Family,
    prefix: number,
    key: AttributeKey,
    now: number | undefined,
    link: string | undefined,
  ): void {
    const rib = this.#families[family];
    if (link === undefined) rib.localInterfaces.delete(prefix);
    else rib.localInterfaces.set(prefix, link);
    const attribute = this.#tables.attributes.intern(key);
    const record = rib.paths.find(prefix, LOCAL_PEER, 0);
    if (record < 0) {
      rib.paths.add(prefix, LOCAL_PEER, 0, attribute, attribute, this.tickAt(now), 0);
      rib.paths.hold(attribute, 1);
    } else if (rib.paths.attribute[record] !== attribute)
      this.#tables.core.calls.takeInstead(rib.address, record, attribute, attribute, this.tickAt(now));
    this.#tables.attributes.release(attribute);
    rib.markDirty(prefix);
  }

  /** Takes a locally originated route back; whether there was one. */
  withdrawLocal(family: Family, prefix: number): boolean {
    const rib = this.#families[family];
    const record = rib.paths.find(prefix, LOCAL_PEER, 0);
    if (record < 0) return false;
    rib.localInterfaces.delete(prefix);
    rib.paths.remove(record);
    rib.markDirty(prefix);
    return true;
  }

  /**
   * The session is gone. With `keep`, what it brought stays in use as stale, and what was stale before goes (RFC 4724 4.2), unless it is long-lived
   * stale, which has a time of its own (RFC 9494 4.2); without, it is all removed.
   */
  sessionEnded(peer: RibPeer, family: Family, keep: boolean): void {
    const input = peer.input[family];
    const keepsOlder = keep && input.longLived && input.stale > 0 && input.purgeBeyond < 0;
    input.generation = (input.generation + 1) & 0xff;
    input.stale = this.#families[family].paths.countOf(peer.id);
    input.endOfRibReceived = false;
    input.longLived = keepsOlder;
    input.discarded = 0;
    // What a refresh under way had not come to yet is no older than the session.
    const beyond = input.refreshing ? 2 : 1;
    input.refreshing = false;
    this.#purge(peer, family, keepsOlder ? GENERATIONS_MAX : keep ? beyond : 0);
  }

  /** Removes what is stale. */
  purgeStale(peer: RibPeer, family: Family): void {
    if (peer.input[family].stale > 0) this.#purge(peer, family, 0);
  }

  /** The peer begins to send everything again (RFC 7313 4.2): what it does not send goes at `endRefresh`. */
  beginRefresh(peer: RibPeer, family: Family): void {
    const input = peer.input[family];
    input.generation = (input.generation + 1) & 0xff;
    input.stale = this.#families[family].paths.countOf(peer.id);
    input.refreshing = true;
    // A removal under way counts generations: they are all one older now.
    if (input.purgeBeyond >= 0) input.purgeBeyond++;
  }

  /** The peer has sent everything again. Without `beginRefresh` it means nothing. */
  endRefresh(peer: RibPeer, family: Family): void {
    const input = peer.input[family];
    if (!input.refreshing) return;
    input.refreshing = false;
    this.purgeStale(peer, family);
  }

  /** What is stale becomes long-lived stale (RFC 9494 4.2): the last choice, marked as such, and gone where it may not be kept. */
  beginLongLived(peer: RibPeer, family: Family): void {
    const input = peer.input[family];
    if (input.stale === 0) return;
    input.longLived = true;
    input.reimportCursor = 0;
    this.#schedule(peer);
  }

  setNextHopState(address: Address, state: NextHopState): void {
    this.#redecisions.touch(this.#tables.nextHops.setState(address, state));
  }

  /** A session with this local address of ours came up (1) or went (-1). */
  changeOwnAddress(address: Address | undefined, by: 1 | -1): void {
    if (address !== undefined) this.#redecisions.touch(this.#tables.nextHops.changeOwn(address, by));
  }

  /** Decides all prefixes of a family anew, in slices. */
  redecideAll(family: Family): void {
    this.#redecisions.beginAll(family);
  }

  /** Whether a family's jobs are all done, so that its Loc-RIB is what it will be. */
  isSettled(family: Family): boolean {
    return this.#redecisions.isSettled(family);
  }

  get hasJobs(): boolean {
    return this.#busy.size > 0 || this.#retiring.length > 0 || this.#redecisions.isPending;
  }

  /** Routes that claim an own block. */
  get conflicts(): number {
    return this.#families.ipv4.paths.conflicts + this.#families.ipv6.paths.conflicts;
  }

  /** Does one bounded piece of the jobs; whether there was any. */
  runJobs(): boolean {
    if (!this.hasJobs) return false;
    this.#redecisions.run();
    const [peer] = this.#busy;
    if (peer !== undefined) {
      // To the end of the line: peers take turns.
      this.#busy.delete(peer);
      this.#busy.add(peer);
      this.#runPeer(peer);
    }
    if (this.#busy.size === 0) {
      for (const group of this.#retiring.splice(0)) group.dispose();
    }
    return true;
  }

  /** Paths to NLRI that stand in the core go. */
  #withdrawn(peer: RibPeer, { family, start, end, addPath }: NlriRange): void {
    // By name, as `families[family]` is a look-up by string once both families have come.
    const ofIpv4 = family === 'ipv4';
    const rib = ofIpv4 ? this.#families.ipv4 : this.#families.ipv6;
    const input = ofIpv4 ? peer.input.ipv4 : peer.input.ipv6;
    this.#tables.core.calls.takeWithdrawn(rib.address, input.address, start, end, addPath ? 1 : 0);
  }

  /** Paths to NLRI that stand in the core come. */
  #reached(peer: RibPeer, range: NlriRange, received: AttributeKey, tick: number): void {
    const { core, attributes, nextHops } = this.#tables;
    const { family, start, end, addPath } = range;
    const ofIpv4 = family === 'ipv4';
    const rib = ofIpv4 ? this.#families.ipv4 : this.#families.ipv6;
    const input = ofIpv4 ? peer.input.ipv4 : peer.input.ipv6;
    const group = peer.importGroup;
    const attribute = attributes.intern(scopedKey(received, peer.config.interface, nextHops));
    // One answer for the whole message where the prefixes make no difference.
    const effective = group.looksAtPrefixes
      ? TAKE_EVALUATE
      : group.evaluate(family, 0, 0, 0, 0, 0, attribute);
    core.calls.takeReach(rib.address, input.address, start, end, addPath ? 1 : 0, attribute, effective, tick);
    attributes.release(attribute);
  }

  /** Puts NLRI where the inner loops find them. */
  #inCore(body: Uint8Array, { family, start, end, addPath }: NlriRange): NlriRange {
    this.#tables.core.octets.set(body.subarray(start, end), this.#nlri);
    return { family, start: this.#nlri, end: this.#nlri + end - start, addPath };
  }

  #purge(peer: RibPeer, family: Family, beyond: number): void {
    const input = peer.input[family];
    input.purgeBeyond = beyond;
    input.purgeCursor = 0;
    this.#schedule(peer);
  }

  #schedule(peer: RibPeer): void {
    this.#busy.add(peer);
    this.#onWork();
  }

  #runPeer(peer: RibPeer): void {
    for (const family of FAMILIES) {
      const input = peer.input[family];
      if (input.purgeBeyond >= 0) {
        this.#purgeSlice(peer, family);
        return;
      }
      if (input.reimportCursor >= 0) {
        this.#reimportSlice(peer, family);
        return;
      }
    }
    // A peer id may name another peer only when no best path names it any more.
    if (peer.removed && FAMILIES.some((family) => this.#families[family].pending > 0)) return;
    this.#busy.delete(peer);
    if (peer.removed) this.#onGone(peer);
  }

  #purgeSlice(peer: RibPeer, family: Family): void {
    const rib = this.#families[family];
    const input = peer.input[family];
    const { calls } = this.#tables.core;
    const { purgeCursor, purgeBeyond } = input;
    input.purgeCursor = calls.takeOld(rib.address, input.address, purgeCursor, purgeBeyond, SLICE);
    if (input.purgeCursor < 0) input.purgeBeyond = -1;
  }

  #reimportSlice(peer: RibPeer, family: Family): void {
    const rib = this.#families[family];
    const { paths, prefixes } = rib;
    const input = peer.input[family];
    const { calls } = this.#tables.core;
    const wide = family === 'ipv6';
    for (let done = 0; done < SLICE; done++) {
      const record = paths.nextRecordOf(peer.id, input.reimportCursor);
      if (record < 0) {
        input.reimportCursor = -1;
        return;
      }
      input.reimportCursor = paths.walked;
      const prefix = paths.prefix[record] ?? -1;
      const evaluated = peer.importGroup.evaluate(
        family,
        prefixes.lengthOf(prefix),
        prefixes.wordOf(prefix, 0),
        wide ? prefixes.wordOf(prefix, 1) : 0,
        wide ? prefixes.wordOf(prefix, 2) : 0,
        wide ? prefixes.wordOf(prefix, 3) : 0,
        paths.attribute[record] ?? -1,
      );
      const isLongLived = input.longLived && paths.generation[record] !== input.generation;
      const effective = isLongLived ? peer.importGroup.longLived(evaluated) : evaluated;
      if (effective === undefined) calls.takeAway(rib.address, input.address, record);
      else calls.takeAnew(rib.address, input.address, record, effective);
    }
  }
}
