/**
 * Adj-RIB-In, decision and Loc-RIB of one family. Changes mark prefixes as dirty; `decide` works the dirty list off in slices, so that a
 * prefix is decided once however many messages touched it since.
 */
import {
  FAMILY_BEST_ATTRIBUTE,
  FAMILY_BEST_PEER,
  FAMILY_CHANGED,
  FAMILY_CHANGED_COUNT,
  FAMILY_CHANGED_ROOM,
  FAMILY_CURRENT,
  FAMILY_CURRENT_AT,
  FAMILY_CURRENT_COUNT,
  FAMILY_DEFERRED,
  FAMILY_DIRTY,
  FAMILY_DIRTY_COUNT,
  FAMILY_DIRTY_ROOM,
  FAMILY_FIELDS,
  FAMILY_FLAGS,
  FAMILY_HELD_BACK,
  FAMILY_HOLDERS,
  FAMILY_LOOKS_AT_ALL,
  FAMILY_MOVED,
  FAMILY_MOVED_FROM,
  FAMILY_PATHS,
  FAMILY_PREFIXES,
  FAMILY_REPLACED,
  FAMILY_REPORTS_CHANGES,
  FAMILY_SELECTED,
  HAS_ORIGINATOR,
  LLGR_STALE,
  LOCAL_AHEAD,
  NO_BANDWIDTH,
  PREFIX_CHANGED,
  PREFIX_DIRTY,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import { grownCapacity, PrefixTable } from '../../src/net/prefix-table.ts';
import { shareUnequally } from '../policy/link-bandwidth.ts';
import type { AttributeStore } from './attribute-store.ts';
import { type CandidateView, type DecisionOptions, DecisionProcess } from './decision.ts';
import { LOCAL_PATH, type NextHopSets, NO_PATH } from './next-hop-sets.ts';
import type { NextHopTable } from './next-hops.ts';
import { PathTable } from './path-table.ts';
import { LOCAL_PEER, type PeerColumns } from './peers.ts';

const LARGE_LIST = 1 << 20;
const SMALL_LIST = 1024;

/** stands for no attributes, and for no code of an unusable path either */
const NONE_YET = 0x7fffffff;

/** prefixes that are decided before anybody is told */
const BATCH = 256;

/**
 * Told of the first `count` of these prefixes that their best paths are other ones, and from whom the old ones came; old and new attributes
 * all stand until it returns.
 */
export type BestListener = (prefixes: Int32Array, oldPeers: Uint16Array, count: number) => void;

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
  /** prefixes that wait for a decision */
  #dirty: Int32Array<SharedArrayBuffer>;
  /** the list being worked off */
  #current: Int32Array<SharedArrayBuffer>;
  #changed: Int32Array<SharedArrayBuffer>;
  readonly #hops: Int32Array<ArrayBuffer>;
  readonly #bandwidths: Float32Array<ArrayBuffer>;
  /** of the prefixes decided last: those with another best path, and what they had before */
  readonly #moved: Int32Array<SharedArrayBuffer>;
  readonly #movedFrom: Uint16Array<SharedArrayBuffer>;
  readonly #replaced: Int32Array<SharedArrayBuffer>;
  #heldBack: Uint8Array<SharedArrayBuffer> | undefined;
  #onDecided: ((prefix: number) => void) | undefined;
  readonly #onBest: BestListener;
  readonly #onFree: (prefix: number) => void;

  constructor(
    family: Family,
    tables: RibTables,
    options: DecisionOptions,
    listeners: { onBest: BestListener; onFree: (prefix: number) => void; onDirty: () => void },
  ) {
    this.family = family;
    this.#tables = tables;
    this.#onBest = listeners.onBest;
    this.#onFree = listeners.onFree;
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
    this.#dirty = core.int32(SMALL_LIST);
    this.#current = core.int32(SMALL_LIST);
    this.#changed = core.int32(SMALL_LIST);
    this.#moved = core.int32(BATCH);
    this.#movedFrom = core.uint16(BATCH);
    this.#replaced = core.int32(BATCH);
    this.#block = core.block(FAMILY_FIELDS, {
      growDirty: (count) => this.#growDirty(count),
      dirtied: listeners.onDirty,
    });
    this.address = this.#block.byteOffset;
    this.#block[FAMILY_PREFIXES] = this.prefixes.address;
    this.#block[FAMILY_PATHS] = this.paths.address;
    this.#block[FAMILY_MOVED] = this.#moved.byteOffset;
    this.#block[FAMILY_MOVED_FROM] = this.#movedFrom.byteOffset;
    this.#block[FAMILY_REPLACED] = this.#replaced.byteOffset;
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
    });
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

  /** As `markDirty` for `count` prefixes with ids in a row, of which none waits for a decision. */
  markNew(first: number, count: number): void {
    this.#tables.core.calls.familyMarkNew(this.address, first, count);
  }

  /** A path came to a prefix: it is decided anew, unless the best path is sure to stay. */
  pathAdded(prefix: number, record: number): void {
    if (!this.#isBeaten(prefix, record)) this.markDirty(prefix);
  }

  /** A path is about to leave a prefix: it is decided anew, unless the best path is sure to stay. */
  pathLeaves(prefix: number, record: number): void {
    if (!this.#isBystander(prefix, record)) this.markDirty(prefix);
  }

  /** Decides up to `limit` dirty prefixes; returns how many it did. */
  decide(limit: number): number {
    const block = this.#block;
    let done = 0;
    while (done < limit) {
      if (block[FAMILY_CURRENT_AT] === block[FAMILY_CURRENT_COUNT]) {
        if (block[FAMILY_DIRTY_COUNT] === 0) {
          block[FAMILY_CURRENT_AT] = 0;
          block[FAMILY_CURRENT_COUNT] = 0;
          this.#shrinkLists();
          break;
        }
        this.#takeUp();
      }
      const from = block[FAMILY_CURRENT_AT] ?? 0;
      const to = Math.min(block[FAMILY_CURRENT_COUNT] ?? 0, from + Math.min(BATCH, limit - done));
      block[FAMILY_CURRENT_AT] = to;
      this.#decideBatch(this.#current, from, to);
      done += to - from;
    }
    return done;
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
    const ids = this.#changed;
    this.#changed = core.int32(SMALL_LIST);
    this.#block[FAMILY_CHANGED_COUNT] = 0;
    this.#publish();
    for (let i = 0; i < count; i++) {
      const id = ids[i] ?? -1;
      this.#flags[id] = (this.#flags[id] ?? 0) & ~PREFIX_CHANGED;
    }
    deliver(ids, count);
    for (let i = 0; i < count; i++) this.freeIfUnused(ids[i] ?? -1);
    core.release(ids.byteOffset, ids.byteLength);
  }

  /** Frees a prefix id without path, decision to make or peer that holds it. */
  freeIfUnused(prefix: number): void {
    if (
      this.paths.head[prefix] !== -1 ||
      this.bestAttribute[prefix] !== -1 ||
      this.holders[prefix] !== 0 ||
      this.#flags[prefix] !== 0 ||
      !this.prefixes.has(prefix)
    ) {
      return;
    }
    this.#onFree(prefix);
    this.prefixes.delete(prefix);
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
    const effective = this.paths.effective[record] ?? -1;
    if (effective < 0) return false;
    if (this.paths.peerOf(record) === LOCAL_PEER) return true;
    if (this.deferred) return false;
    return this.#tables.nextHops.usable[this.#tables.attributes.nextHop[effective] ?? -1] === 1;
  }

  /**
   * Whether a new path cannot change a decision that stands: it loses to the best path, alone with it as among all. For a path that the new one
   * would put out by its MED is not the best one, and all other steps order paths whoever else is there.
   */
  #isBeaten(prefix: number, record: number): boolean {
    const best = this.#firstIfBest(prefix);
    if (best < 0) return false;
    const effective = this.paths.effective[record] ?? -1;
    if (effective < 0 || this.bestPeer[prefix] === LOCAL_PEER) return true;
    const { rank } = this.#tables.attributes;
    const difference = (rank[effective] ?? 0) - (rank[this.bestAttribute[prefix] ?? -1] ?? 0);
    if (difference !== 0) return difference > 0;
    if (!this.isCandidate(record)) return true;
    this.decision.candidates[0] = best;
    this.decision.candidates[1] = record;
    return this.decision.run(2) === best;
  }

  /** Whether a path takes no part in a decision that stands, not even by keeping another one out by its MED. */
  #isBystander(prefix: number, record: number): boolean {
    const best = this.#firstIfBest(prefix);
    if (best < 0 || best === record) return false;
    const effective = this.paths.effective[record] ?? -1;
    if (effective < 0 || this.bestPeer[prefix] === LOCAL_PEER) return true;
    const { rank, withMed } = this.#tables.attributes;
    return withMed === 0 || (rank[effective] ?? 0) > (rank[this.bestAttribute[prefix] ?? -1] ?? 0);
  }

  /** The record of the best path where there is one, nobody looks at the others, and no decision is due; else -1. */
  #firstIfBest(prefix: number): number {
    if (this.#block[FAMILY_LOOKS_AT_ALL] === 1) return -1;
    const attribute = this.bestAttribute[prefix] ?? -1;
    if (attribute < 0 || ((this.#flags[prefix] ?? 0) & PREFIX_DIRTY) !== 0) return -1;
    const first = this.paths.head[prefix] ?? -1;
    const isBest =
      this.paths.effective[first] === attribute && this.paths.peerOf(first) === this.bestPeer[prefix];
    return isBest ? first : -1;
  }

  /** The prefixes that wait become the list that is worked off. */
  #takeUp(): void {
    const block = this.#block;
    const emptied = this.#current;
    this.#current = this.#dirty;
    this.#dirty = emptied;
    block[FAMILY_CURRENT_COUNT] = block[FAMILY_DIRTY_COUNT] ?? 0;
    block[FAMILY_CURRENT_AT] = 0;
    block[FAMILY_DIRTY_COUNT] = 0;
    this.#publish();
  }

  #growDirty(count: number): void {
    const { core } = this.#tables;
    let { length } = this.#dirty;
    while (length < count) length = grownCapacity(length);
    this.#dirty = core.moved(this.#dirty, core.int32(length));
    this.#publish();
  }

  /** After a burst the lists need not stay as long as it was. */
  #shrinkLists(): void {
    this.#dirty = this.#shrunk(this.#dirty);
    this.#current = this.#shrunk(this.#current);
    this.#publish();
  }

  #shrunk(list: Int32Array<SharedArrayBuffer>): Int32Array<SharedArrayBuffer> {
    if (list.length <= LARGE_LIST) return list;
    const { core } = this.#tables;
    core.release(list.byteOffset, list.byteLength);
    return core.int32(SMALL_LIST);
  }

  /** Whether a path that is not the best one may matter to somebody. */
  #lookAtAll(): void {
    const all = this.decision.takesSeveral || this.#onDecided !== undefined || this.deferred;
    this.#block[FAMILY_LOOKS_AT_ALL] = all ? 1 : 0;
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
    block[FAMILY_DIRTY] = this.#dirty.byteOffset;
    block[FAMILY_DIRTY_ROOM] = this.#dirty.length;
    block[FAMILY_CURRENT] = this.#current.byteOffset;
    block[FAMILY_CHANGED] = this.#changed.byteOffset;
    block[FAMILY_CHANGED_ROOM] = this.#changed.length;
  }

  /** Decides the prefixes of a list from `from` to before `to`, then tells of those that have another best path. */
  #decideBatch(list: Int32Array, from: number, to: number): void {
    const { paths, bestAttribute, bestPeer, selected, heldBack, reportsChanges } = this;
    const { attributes, sets } = this.#tables;
    const { head, next, effective } = paths;
    const flags = this.#flags;
    let moved = 0;
    let lost = false;
    // The latest prefix that came to its first and only path, and how many were decided like it: mostly those of a whole message. Their references are
    // taken together; its own one keeps attributes and set until then.
    let alikeAttribute = NONE_YET;
    let alikePeer = 0;
    let alikeSet = NO_PATH;
    let alike = 0;
    for (let at = from; at < to; at++) {
      const prefix = list[at] ?? -1;
      flags[prefix] = (flags[prefix] ?? 0) & ~PREFIX_DIRTY;
      const oldAttribute = bestAttribute[prefix] ?? -1;
      const oldSet = selected[prefix] ?? NO_PATH;
      const first = head[prefix] ?? -1;
      const isFirst = oldAttribute === -1 && oldSet === NO_PATH && first !== -1 && next[first] === -1;
      if (isFirst && effective[first] === alikeAttribute && paths.peerOf(first) === alikePeer) {
        bestAttribute[prefix] = alikeAttribute;
        bestPeer[prefix] = alikePeer;
        selected[prefix] = alikeSet;
        if (reportsChanges) this.#markChanged(prefix);
        if (heldBack !== undefined) heldBack[prefix] = 1;
        this.#moved[moved] = prefix;
        this.#movedFrom[moved] = 0;
        this.#replaced[moved++] = -1;
        alike++;
        continue;
      }
      const best = this.#bestOf(prefix);
      const oldPeer = bestPeer[prefix] ?? 0;
      const attribute = best < 0 ? -1 : (effective[best] ?? -1);
      const peer = best < 0 ? 0 : paths.peerOf(best);
      if (best >= 0 && best !== first) paths.moveToFront(prefix, best);
      const set = this.#selectionOf(best, peer);
      selected[prefix] = set;
      if (oldSet >= 0) sets.release(oldSet);
      if (set !== oldSet) {
        if (reportsChanges) this.#markChanged(prefix);
        // Another next hop for what the FIB has is a replacement; what comes new to it waits.
        if (heldBack !== undefined && (set < 0 || oldSet < 0)) heldBack[prefix] = set < 0 ? 0 : 1;
      }
      if (attribute === -1) lost = true;
      if (attribute === oldAttribute && peer === oldPeer) continue;
      if (attribute >= 0) attributes.retain(attribute);
      bestAttribute[prefix] = attribute;
      bestPeer[prefix] = peer;
      this.#moved[moved] = prefix;
      this.#movedFrom[moved] = oldPeer;
      this.#replaced[moved++] = oldAttribute;
      if (!isFirst || set < 0) continue;
      this.#retainAlike(alikeAttribute, alikeSet, alike);
      alikeAttribute = attribute;
      alikePeer = peer;
      alikeSet = set;
      alike = 0;
    }
    this.#retainAlike(alikeAttribute, alikeSet, alike);
    if (moved > 0) this.#onBest(this.#moved, this.#movedFrom, moved);
    for (let i = 0; i < moved; i++) {
      const old = this.#replaced[i] ?? -1;
      if (old >= 0) attributes.release(old);
    }
    if (this.onDecided !== undefined) for (let at = from; at < to; at++) this.onDecided(list[at] ?? -1);
    if (!lost) return;
    for (let at = from; at < to; at++) {
      const prefix = list[at] ?? -1;
      if (bestAttribute[prefix] === -1) this.freeIfUnused(prefix);
    }
  }

  /** Takes the references of `count` prefixes that were decided alike. */
  #retainAlike(attribute: number, set: number, count: number): void {
    if (count === 0) return;
    this.#tables.attributes.retain(attribute, count);
    this.#tables.sets.retain(set, count);
  }

  /** The best path of a prefix, with what may be used beside it left in `decision`. */
  #bestOf(prefix: number): number {
    const first = this.paths.head[prefix] ?? -1;
    // Most prefixes have one path.
    if (first !== -1 && this.paths.next[first] === -1)
      return this.decision.single(this.isCandidate(first) ? first : -1);
    return this.decision.run(this.collect(prefix));
  }

  #selectionOf(best: number, peer: number): number {
    if (best < 0) return NO_PATH;
    if (peer === LOCAL_PEER) return LOCAL_PATH;
    const { multipath, multipathCount } = this.decision;
    const { attributes, sets } = this.#tables;
    if (multipathCount === 1)
      return sets.internOne(attributes.nextHop[this.paths.effective[best] ?? -1] ?? -1);
    for (let i = 0; i < multipathCount; i++) {
      const attribute = this.paths.effective[multipath[i] ?? -1] ?? -1;
      this.#hops[i] = attributes.nextHop[attribute] ?? -1;
      this.#bandwidths[i] = attributes.linkBandwidth[attribute] ?? NO_BANDWIDTH;
    }
    return shareUnequally(this.#bandwidths, multipathCount)
      ? sets.internShared(this.#hops, this.#bandwidths, multipathCount)
      : sets.intern(this.#hops, multipathCount);
  }

  #markChanged(prefix: number): void {
    const flags = this.#flags[prefix] ?? 0;
    if ((flags & PREFIX_CHANGED) !== 0) return;
    this.#flags[prefix] = flags | PREFIX_CHANGED;
    const block = this.#block;
    const count = block[FAMILY_CHANGED_COUNT] ?? 0;
    if (count === this.#changed.length) this.#growChanged();
    this.#changed[count] = prefix;
    block[FAMILY_CHANGED_COUNT] = count + 1;
  }

  #growChanged(): void {
    const { core } = this.#tables;
    this.#changed = core.moved(this.#changed, core.int32(grownCapacity(this.#changed.length)));
    this.#publish();
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
    hasMeds: () => attributes.withMed > 0,
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
