/**
 * Adj-RIB-In, decision and Loc-RIB of one family. Changes mark prefixes as dirty; `decide` works the dirty list off in slices, so that a
 * prefix is decided once however many messages touched it since.
 */
import {
  FAMILY_ATTRIBUTES,
  FAMILY_BATCH,
  FAMILY_BEST_ATTRIBUTE,
  FAMILY_BEST_PEER,
  FAMILY_CHANGED,
  FAMILY_CHANGED_COUNT,
  FAMILY_CHANGED_ROOM,
  FAMILY_COMPARES_ROUTER_ID,
  FAMILY_CURRENT,
  FAMILY_CURRENT_AT,
  FAMILY_CURRENT_COUNT,
  FAMILY_CURRENT_ROOM,
  FAMILY_DEFERRED,
  FAMILY_DIRTY,
  FAMILY_DIRTY_COUNT,
  FAMILY_DIRTY_ROOM,
  FAMILY_FIELDS,
  FAMILY_FLAGS,
  FAMILY_GROUP_COUNT,
  FAMILY_GROUPS,
  FAMILY_HELD_BACK,
  FAMILY_HOLDERS,
  FAMILY_LOOKS_AT_ALL,
  FAMILY_MOVED,
  FAMILY_MOVED_FROM,
  FAMILY_NEXT_HOPS,
  FAMILY_PATHS,
  FAMILY_PEERS,
  FAMILY_PREFIXES,
  FAMILY_REPLACED,
  FAMILY_REPORTS_CHANGES,
  FAMILY_SELECTED,
  FAMILY_TAKES_SEVERAL,
  FAMILY_TELLS_DECIDED,
  HAS_ORIGINATOR,
  LLGR_STALE,
  LOCAL_AHEAD,
  LOCAL_PATH,
  NO_BANDWIDTH,
  NO_PATH,
  PREFIX_CHANGED,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import { grownCapacity, PrefixTable } from '../../src/net/prefix-table.ts';
import { shareUnequally } from '../policy/link-bandwidth.ts';
import type { AttributeStore } from './attribute-store.ts';
import { type CandidateView, type DecisionOptions, DecisionProcess } from './decision.ts';
import type { NextHopSets } from './next-hop-sets.ts';
import type { NextHopTable } from './next-hops.ts';
import { PathTable } from './path-table.ts';
import { LOCAL_PEER, type PeerColumns } from './peers.ts';

const SMALL_LIST = 1024;

/** What the rooms of a RIB share. */
export interface RibTables {
  readonly core: Core;
  readonly attributes: AttributeStore;
  readonly nextHops: NextHopTable;
  readonly sets: NextHopSets;
  readonly peers: PeerColumns;
}

/** Owner of one family's prefixes, paths and selections. */
export class FamilyRib {
  readonly family: Family;
  /** where its block stands for the inner loops (src/core/assembly) */
  readonly address: number;
  readonly prefixes: PrefixTable;
  readonly paths: PathTable;
  /** by prefix id: attributes of the best path (a reference is held), or -1 */
  bestAttribute: Int32Array<SharedArrayBuffer>;
  /** by prefix id: peer of the best path */
  bestPeer: Uint16Array<SharedArrayBuffer>;
  /** by prefix id: set of selected next hops */
  selected: Int32Array<SharedArrayBuffer>;
  /** by prefix id: peers to which it has been announced */
  holders: Uint16Array<SharedArrayBuffer>;
  /** by prefix id: the interface that a route originated here leads to, where it has one */
  readonly localInterfaces = new Map<number, string>();
  readonly decision: DecisionProcess;
  readonly #tables: RibTables;
  readonly #block: Int32Array<SharedArrayBuffer>;
  #flags: Uint8Array<SharedArrayBuffer>;
  readonly #hops: Int32Array<ArrayBuffer>;
  readonly #bandwidths: Float32Array<ArrayBuffer>;
  #heldBack: Uint8Array<SharedArrayBuffer> | undefined;
  #onDecided: ((prefix: number) => void) | undefined;

  constructor(family: Family, tables: RibTables, options: DecisionOptions, onDirty: () => void) {
    this.family = family;
    this.#tables = tables;
    this.prefixes = new PrefixTable(family, 1024, tables.core);
    this.paths = new PathTable(this.prefixes, tables.attributes);
    this.decision = new DecisionProcess(candidateView(tables, this.paths), options);
    this.#hops = new Int32Array(Math.max(1, options.maxPaths));
    this.#bandwidths = new Float32Array(Math.max(1, options.maxPaths));
    const { capacity } = this.prefixes;
    const { core } = tables;
    this.bestAttribute = core.int32(capacity);
    this.bestPeer = core.uint16(capacity);
    this.selected = core.int32(capacity);
    this.holders = core.uint16(capacity);
    this.#flags = core.uint8(capacity);
    this.#block = core.block(FAMILY_FIELDS, {
      growDirty: (count) => this.#growDirty(count),
      dirtied: onDirty,
      growChanged: () => this.#growChanged(),
      shrinkLists: () => this.#shrinkLists(),
      decideSteps: (prefix) => this.decision.run(this.collect(prefix)),
      beatenByTie: (best, record) => this.#isBeatenByTie(best, record),
      selectSet: (best, bySteps) => this.#selectSet(best, bySteps),
      retainSet: (set, count) => tables.sets.retain(set, count),
      releaseSet: (set, count) => tables.sets.release(set, count),
      decided: (from, to) => this.#tellDecided(from, to),
    });
    const block = this.#block;
    this.address = block.byteOffset;
    block[FAMILY_PREFIXES] = this.prefixes.address;
    block[FAMILY_PATHS] = this.paths.address;
    block[FAMILY_ATTRIBUTES] = tables.attributes.address;
    block[FAMILY_NEXT_HOPS] = tables.nextHops.address;
    block[FAMILY_PEERS] = tables.peers.address;
    block[FAMILY_TAKES_SEVERAL] = this.decision.takesSeveral ? 1 : 0;
    block[FAMILY_COMPARES_ROUTER_ID] = options.compareRouterId ? 1 : 0;
    block[FAMILY_MOVED] = core.allocate(4 * FAMILY_BATCH);
    block[FAMILY_MOVED_FROM] = core.allocate(2 * FAMILY_BATCH);
    block[FAMILY_REPLACED] = core.allocate(4 * FAMILY_BATCH);
    this.#makeLists();
    this.#makeChanged();
    this.#publish();
    this.#lookAtAll();
    this.prefixes.onGrow((grown) => {
      this.bestAttribute = core.moved(this.bestAttribute, core.int32(grown));
      this.bestPeer = core.moved(this.bestPeer, core.uint16(grown));
      this.selected = core.moved(this.selected, core.int32(grown));
      this.holders = core.moved(this.holders, core.uint16(grown));
      this.#flags = core.moved(this.#flags, core.uint8(grown));
      if (this.#heldBack !== undefined) this.#heldBack = core.moved(this.#heldBack, core.uint8(grown));
      this.#publish();
    });
    this.prefixes.onOpen((from, to) => {
      this.bestAttribute.fill(-1, from, to);
      this.selected.fill(NO_PATH, from, to);
      // Counted up from what stands there: to be written before it is read (src/core/assembly/fields.ts, touch).
      this.holders.fill(0, from, to);
    });
  }

  /** The update groups of the family, by the addresses of their blocks: who is told of other best paths. */
  set groups(addresses: readonly number[]) {
    const { core } = this.#tables;
    const block = this.#block;
    const had = block[FAMILY_GROUP_COUNT] ?? 0;
    if (had > 0) core.release(block[FAMILY_GROUPS] ?? 0, 4 * had);
    block[FAMILY_GROUP_COUNT] = addresses.length;
    if (addresses.length === 0) return;
    const list = core.int32(addresses.length);
    list.set(addresses);
    block[FAMILY_GROUPS] = list.byteOffset;
  }

  /** While on, only local paths are selected (RFC 4724 4.1). */
  get deferred(): boolean {
    return this.#block[FAMILY_DEFERRED] === 1;
  }

  set deferred(on: boolean) {
    this.#block[FAMILY_DEFERRED] = on ? 1 : 0;
    this.#lookAtAll();
  }

  /** Somebody wants to hear of changed selections, through `flush`. */
  set reportsChanges(on: boolean) {
    this.#block[FAMILY_REPORTS_CHANGES] = on ? 1 : 0;
  }

  get reportsChanges(): boolean {
    return this.#block[FAMILY_REPORTS_CHANGES] === 1;
  }

  /**
   * By prefix id: 1 where a learned path is selected that the FIB has not taken, so that nobody is told of it (RFC 4271 9.1.3). Only where
   * there is a FIB to wait for.
   */
  get heldBack(): Uint8Array<SharedArrayBuffer> | undefined {
    return this.#heldBack;
  }

  /** Whether there is a FIB to wait for. */
  waitForFib(on: boolean): void {
    const { core } = this.#tables;
    if (on) this.#heldBack ??= core.uint8(this.prefixes.capacity);
    else if (this.#heldBack !== undefined) {
      core.release(this.#heldBack.byteOffset, this.#heldBack.byteLength);
      this.#heldBack = undefined;
    }
    this.#publish();
  }

  /**
   * Told of every prefix that was decided, whether or not its best path changed: for peers that get several paths, and for export rules that ask
   * for interfaces. Nobody else pays for it.
   */
  get onDecided(): ((prefix: number) => void) | undefined {
    return this.#onDecided;
  }

  set onDecided(listener: ((prefix: number) => void) | undefined) {
    this.#onDecided = listener;
    this.#lookAtAll();
  }

  /** Prefixes that wait for a decision. */
  get pending(): number {
    const block = this.#block;
    return (
      (block[FAMILY_DIRTY_COUNT] ?? 0) + (block[FAMILY_CURRENT_COUNT] ?? 0) - (block[FAMILY_CURRENT_AT] ?? 0)
    );
  }

  /** Has a prefix decided anew. */
  markDirty(prefix: number): void {
    this.#tables.core.calls.familyMarkDirty(this.address, prefix);
  }

  /** Decides up to `limit` dirty prefixes; returns how many it did. */
  decide(limit: number): number {
    return this.#tables.core.calls.familyDecide(this.address, limit);
  }

  /** Notes whether a prefix waits for the FIB; whether that is a change. */
  holdBack(prefix: number, on: boolean): boolean {
    const { heldBack } = this;
    const value = on && (this.selected[prefix] ?? NO_PATH) >= 0 ? 1 : 0;
    if (heldBack === undefined || heldBack[prefix] === value) return false;
    heldBack[prefix] = value;
    return true;
  }

  /** Hands the prefixes whose selection changed since the last call to `deliver`, then frees those that nobody needs any more. */
  flush(deliver: (ids: Int32Array, count: number) => void): void {
    const { core } = this.#tables;
    const count = this.#block[FAMILY_CHANGED_COUNT] ?? 0;
    if (count === 0) return;
    const address = this.#block[FAMILY_CHANGED] ?? 0;
    const room = this.#block[FAMILY_CHANGED_ROOM] ?? 0;
    const ids = core.words(address, count);
    this.#makeChanged();
    for (let i = 0; i < count; i++) {
      const id = ids[i] ?? -1;
      this.#flags[id] = (this.#flags[id] ?? 0) & ~PREFIX_CHANGED;
    }
    deliver(ids, count);
    for (let i = 0; i < count; i++) this.freeIfUnused(ids[i] ?? -1);
    core.release(address, 4 * room);
  }

  /** Frees a prefix id without path, decision to make or peer that holds it. */
  freeIfUnused(prefix: number): void {
    this.#tables.core.calls.familyFreeIfUnused(this.address, prefix);
  }

  /** Collects a prefix's candidates in the decision's array; returns how many there are. */
  collect(prefix: number): number {
    const { paths, decision } = this;
    let count = 0;
    for (let record = paths.head[prefix] ?? -1; record !== -1; record = paths.next[record] ?? -1) {
      if (!this.isCandidate(record)) continue;
      if (count === decision.candidates.length) decision.reserve(count + 1);
      decision.candidates[count++] = record;
    }
    return count;
  }

  /** Whether a path takes part in the decision at present. */
  isCandidate(record: number): boolean {
    return this.#tables.core.calls.isCandidate(this.address, record) === 1;
  }

  /** Whether a new path of the best path's rank loses to it by all steps of the decision. */
  #isBeatenByTie(best: number, record: number): boolean {
    this.decision.candidates[0] = best;
    this.decision.candidates[1] = record;
    return this.decision.run(2) === best;
  }

  #growDirty(count: number): void {
    const block = this.#block;
    const had = block[FAMILY_DIRTY_ROOM] ?? 0;
    let room = had;
    while (room < count) room = grownCapacity(room);
    block[FAMILY_DIRTY] = this.#tables.core.grown(block[FAMILY_DIRTY] ?? 0, 4 * had, 4 * room);
    block[FAMILY_DIRTY_ROOM] = room;
  }

  #growChanged(): void {
    const block = this.#block;
    const had = block[FAMILY_CHANGED_ROOM] ?? 0;
    const room = grownCapacity(had);
    block[FAMILY_CHANGED] = this.#tables.core.grown(block[FAMILY_CHANGED] ?? 0, 4 * had, 4 * room);
    block[FAMILY_CHANGED_ROOM] = room;
  }

  /** After a burst the lists need not stay as long as it was. */
  #shrinkLists(): void {
    const { core } = this.#tables;
    const block = this.#block;
    core.release(block[FAMILY_DIRTY] ?? 0, 4 * (block[FAMILY_DIRTY_ROOM] ?? 0));
    core.release(block[FAMILY_CURRENT] ?? 0, 4 * (block[FAMILY_CURRENT_ROOM] ?? 0));
    this.#makeLists();
  }

  #makeLists(): void {
    const { core } = this.#tables;
    const block = this.#block;
    block[FAMILY_DIRTY] = core.allocate(4 * SMALL_LIST);
    block[FAMILY_DIRTY_ROOM] = SMALL_LIST;
    block[FAMILY_CURRENT] = core.allocate(4 * SMALL_LIST);
    block[FAMILY_CURRENT_ROOM] = SMALL_LIST;
  }

  #makeChanged(): void {
    this.#block[FAMILY_CHANGED] = this.#tables.core.allocate(4 * SMALL_LIST);
    this.#block[FAMILY_CHANGED_ROOM] = SMALL_LIST;
    this.#block[FAMILY_CHANGED_COUNT] = 0;
  }

  /** Whether a path that is not the best one may matter to somebody. */
  #lookAtAll(): void {
    const all = this.decision.takesSeveral || this.#onDecided !== undefined || this.deferred;
    this.#block[FAMILY_LOOKS_AT_ALL] = all ? 1 : 0;
    this.#block[FAMILY_TELLS_DECIDED] = this.#onDecided === undefined ? 0 : 1;
  }

  /** Tells the inner loops where the columns are. */
  #publish(): void {
    const block = this.#block;
    block[FAMILY_BEST_ATTRIBUTE] = this.bestAttribute.byteOffset;
    block[FAMILY_BEST_PEER] = this.bestPeer.byteOffset;
    block[FAMILY_SELECTED] = this.selected.byteOffset;
    block[FAMILY_HOLDERS] = this.holders.byteOffset;
    block[FAMILY_FLAGS] = this.#flags.byteOffset;
    block[FAMILY_HELD_BACK] = this.#heldBack?.byteOffset ?? 0;
  }

  /** The set of next hops of the best path, with a reference taken; `bySteps`: the decision just found it, with what may be used beside it. */
  #selectSet(best: number, bySteps: boolean): number {
    if (best < 0) return NO_PATH;
    if (this.paths.peerOf(best) === LOCAL_PEER) return LOCAL_PATH;
    const { multipath } = this.decision;
    const count = bySteps ? this.decision.multipathCount : 1;
    const { attributes, sets } = this.#tables;
    if (count === 1) return sets.internOne(attributes.nextHop[this.paths.effective[best] ?? -1] ?? -1);
    for (let i = 0; i < count; i++) {
      const attribute = this.paths.effective[multipath[i] ?? -1] ?? -1;
      this.#hops[i] = attributes.nextHop[attribute] ?? -1;
      this.#bandwidths[i] = attributes.linkBandwidth[attribute] ?? NO_BANDWIDTH;
    }
    return shareUnequally(this.#bandwidths, count)
      ? sets.internShared(this.#hops, this.#bandwidths, count)
      : sets.intern(this.#hops, count);
  }

  #tellDecided(from: number, to: number): void {
    const { core } = this.#tables;
    const list = core.words(this.#block[FAMILY_CURRENT] ?? 0, to);
    for (let at = from; at < to; at++) this.#onDecided?.(list[at] ?? -1);
  }
}

/** The decision's questions answered from the columns. */
function candidateView(tables: RibTables, paths: PathTable): CandidateView {
  const { attributes, nextHops, peers } = tables;
  const attributeOf = (record: number): number => paths.effective[record] ?? -1;
  return {
    isLocal: (record) => paths.peerOf(record) === LOCAL_PEER,
    rank: (record) =>
      (attributes.rank[attributeOf(record)] ?? 0) - (paths.peerOf(record) === LOCAL_PEER ? LOCAL_AHEAD : 0),
    isLongLivedStale: (record) => ((attributes.flags[attributeOf(record)] ?? 0) & LLGR_STALE) !== 0,
    localPref: (record) => attributes.localPref[attributeOf(record)] ?? 0,
    pathLength: (record) => attributes.pathLength[attributeOf(record)] ?? 0,
    origin: (record) => attributes.origin[attributeOf(record)] ?? 2,
    med: (record) => attributes.med[attributeOf(record)] ?? 0,
    neighbourAs: (record) => attributes.neighbourAs[attributeOf(record)] ?? 0,
    isExternal: (record) => peers.external[paths.peerOf(record)] === 1,
    metric: (record) => nextHops.metric[attributes.nextHop[attributeOf(record)] ?? -1] ?? 0,
    arrival: (record) => paths.tick[record] ?? 0,
    routerId: (record) => {
      const attribute = attributeOf(record);
      return ((attributes.flags[attribute] ?? 0) & HAS_ORIGINATOR) !== 0
        ? (attributes.originatorId[attribute] ?? 0)
        : (peers.routerId[paths.peerOf(record)] ?? 0);
    },
    clusterLength: (record) => attributes.clusterLength[attributeOf(record)] ?? 0,
    addressRank: (record) => peers.addressRank[paths.peerOf(record)] ?? 0,
    pathId: (record) => paths.pathIdOf(record),
    samePath: (a, b) => attributes.samePath(attributeOf(a), attributeOf(b)),
  };
}
