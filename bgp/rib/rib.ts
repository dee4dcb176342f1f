/**
 * The routing information base of a speaker: Adj-RIB-In, decision, Loc-RIB and Adj-RIB-Out of both families behind one door.
 * It opens no socket and reads no clock; whoever owns it feeds it, lets it work in slices, and pulls messages out of it.
 */
import { Core } from '../../src/core/core.ts';
import { type Address, FAMILIES, type Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import type { PrefixTable } from '../../src/net/prefix-table.ts';
import type { LocRibListener, NextHopState, PathView, PeerConfig, PeerFamilyStatus } from '../types.ts';
import { encodeAttributes } from '../wire/attribute-key.ts';
import type { DecodedUpdate, PathAttributes } from '../wire/types.ts';
import { AttributeStore } from './attribute-store.ts';
import { FamilyRib, type RibTables } from './family-rib.ts';
import { NextHopSets } from './next-hop-sets.ts';
import { type NextHopInterestListener, NextHopTable } from './next-hops.ts';
import { PeerInput } from './peer-input.ts';
import { LOCAL_PEER, PeerColumns, type PeerSession, type RibPeer } from './peers.ts';
import { PlainInput, type TakenMessages } from './plain-input.ts';
import { RibInput } from './rib-input.ts';
import { RibInspector } from './rib-inspect.ts';
import { RibOutput } from './rib-output.ts';
import type { RibOptions, RouteConflict, RouteQuery } from './rib-types.ts';

const LOCAL_DEFAULTS: PathAttributes = { origin: 'igp', asPath: [] };
const DECISIONS_PER_SLICE = 256;

/** Owner of all routes. Not re-entrant: listeners must not call back into methods that change routes. */
export class Rib {
  readonly #options: RibOptions;
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #peers = new Map<number, RibPeer>();
  readonly #freePeerIds: number[] = [];
  #nextPeerId = LOCAL_PEER + 1;
  readonly #input: RibInput;
  readonly #plainInput: PlainInput;
  readonly #output: RibOutput;
  readonly #inspector: RibInspector;
  readonly #listeners: LocRibListener[] = [];
  #announced = false;
  /** whether the FIB has done what it was told; undefined: there is none to wait for */
  #fibIsSettled: ((family: Family) => boolean) | undefined;

  constructor(options: RibOptions) {
    if (options.maxPaths < 1 || options.maxPaths > 64) {
      throw new RangeError(`maxPaths is ${options.maxPaths}: give a number from 1 to 64`);
    }
    this.#options = options;
    const core = new Core();
    const nextHops = new NextHopTable(options.trackNextHops, core);
    this.#tables = {
      core,
      attributes: new AttributeStore(nextHops),
      nextHops,
      sets: new NextHopSets(nextHops),
      peers: new PeerColumns(core),
    };
    const onWork = (): void => this.#announceWork();
    this.#families = { ipv4: this.#makeFamily('ipv4'), ipv6: this.#makeFamily('ipv6') };
    this.#input = new RibInput(this.#tables, this.#families, {
      localAs: options.localAs,
      routerId: options.routerId,
      clusterId: options.clusterId,
      onWork,
      onGone: (peer) => this.#forgetPeer(peer),
    });
    this.#plainInput = new PlainInput(this.#tables, this.#families);
    this.#output = new RibOutput(this.#tables, this.#families, {
      localAs: options.localAs,
      clusterId: options.clusterId ?? options.routerId,
      isSettled: (family) => this.#input.isSettled(family) && this.#fibIsSettled?.(family) !== false,
      onWork,
    });
    this.#inspector = new RibInspector(this.#tables, this.#families, this.#peers, (tick) =>
      this.#input.timeOf(tick),
    );
  }

  /** Makes a peer known; returns its id (1..65535), by which it is named from here on. */
  addPeer(config: PeerConfig): number {
    const id = this.#freePeerIds.pop() ?? this.#nextPeerId++;
    if (id > 0xffff) throw new RangeError('more than 65535 peers');
    const inputOf = (family: Family): PeerInput =>
      new PeerInput(this.#tables.core, family, id, () => peer.importGroup);
    const peer: RibPeer = {
      id,
      config,
      importGroup: this.#input.groupFor(config),
      session: undefined,
      removed: false,
      input: { ipv4: inputOf('ipv4'), ipv6: inputOf('ipv6') },
      output: { ipv4: undefined, ipv6: undefined },
      addPath: { ipv4: undefined, ipv6: undefined },
    };
    this.#peers.set(id, peer);
    setLimits(peer);
    this.#tables.peers.update(this.#peers.values());
    return id;
  }

  /**
   * Changes policy, next-hop mode or allowOwnAs of a peer; routes are evaluated anew from what was received, no refresh from the peer is needed.
   * A change of AS numbers or address needs `peerDown` first.
   */
  updatePeer(id: number, config: PeerConfig): void {
    const peer = this.#peer(id);
    peer.config = config;
    setLimits(peer);
    this.#tables.peers.update(this.#peers.values());
    this.#input.changeImport(peer, config);
    this.#output.changeExport(peer);
  }

  /** Forgets a peer and, in slices, all that came from it. */
  removePeer(id: number): void {
    const peer = this.#peer(id);
    this.peerDown(id, []);
    peer.removed = true;
  }

  /** The session with a peer is established. Families that it does not carry lose what was kept for them. */
  peerUp(id: number, session: PeerSession): void {
    const peer = this.#peer(id);
    if (peer.session !== undefined) throw new Error(`peer ${peer.config.name} is up already`);
    peer.session = session;
    this.#tables.peers.setRouterId(id, session.routerId);
    const { ipv4, ipv6, linkLocal } = session.localAddress;
    for (const address of [ipv4, ipv6, linkLocal]) this.#input.changeOwnAddress(address, 1);
    for (const family of FAMILIES) {
      peer.input[family].endOfRibReceived = false;
      if (!session.context.families[family]) this.#input.purgeStale(peer, family);
    }
    this.#output.start(peer, session);
  }

  /**
   * The session is gone. Routes of the families in `keepStale` stay in use as stale until the peer has sent them again, until `endOfRib` or
   * `purgeStale` (RFC 4724 4.2); all others are removed. Does nothing to a peer that is down but for families no longer kept.
   */
  peerDown(id: number, keepStale: readonly Family[]): void {
    const peer = this.#peer(id);
    const { session } = peer;
    if (session !== undefined) {
      if (keepStale.length === 0) for (const listener of this.#listeners) listener.onPeerDown?.(peer.config);
      this.#output.stop(peer);
      const { ipv4, ipv6, linkLocal } = session.localAddress;
      for (const address of [ipv4, ipv6, linkLocal]) this.#input.changeOwnAddress(address, -1);
      peer.session = undefined;
    }
    for (const family of FAMILIES) {
      const keep = keepStale.includes(family);
      if (session !== undefined || !keep) this.#input.sessionEnded(peer, family, keep);
    }
  }

  /** Takes in a decoded update. `now` in epoch milliseconds. */
  receive(id: number, update: DecodedUpdate, now: number): void {
    this.#input.receive(this.#peer(id), update, now);
  }

  /**
   * Takes in messages as they came, the plain UPDATEs that `octets[start..end)` begins with: those that begin before `start + most`. All others are for
   * `receive`. Not for a peer that is down.
   */
  receivePlain(
    id: number,
    octets: Uint8Array,
    start: number,
    end: number,
    most: number,
    now: number,
  ): TakenMessages {
    return this.#plainInput.receive(this.#peer(id), octets, start, end, most, this.#input.tickAt(now));
  }

  /** The peer has sent its whole table: what it did not send again is removed (RFC 4724 4.2). */
  endOfRib(id: number, family: Family): void {
    const peer = this.#peer(id);
    peer.input[family].endOfRibReceived = true;
    this.#input.purgeStale(peer, family);
  }

  /** The peer begins to send a family again (RFC 7313 4.2). */
  beginRefresh(id: number, family: Family): void {
    this.#input.beginRefresh(this.#peer(id), family);
  }

  /** The peer has sent a family again: what it left out is removed. */
  endRefresh(id: number, family: Family): void {
    this.#input.endRefresh(this.#peer(id), family);
  }

  /** The stale routes of a peer become long-lived stale (RFC 9494 4.2). */
  beginLongLived(id: number, families: readonly Family[]): void {
    for (const family of families) this.#input.beginLongLived(this.#peer(id), family);
  }

  /** Removes the stale routes of a peer: it came back without them, or not in time. */
  purgeStale(id: number, families: readonly Family[]): void {
    for (const family of families) this.#input.purgeStale(this.#peer(id), family);
  }

  /**
   * Originates a route (or changes its attributes). Without attributes: origin igp, empty AS_PATH. `now` in epoch milliseconds; without it the
   * time of the latest update counts. `link` is the interface that the route leads to, for export rules that ask for it.
   */
  originate(prefix: Prefix, attributes: Partial<PathAttributes> = {}, now?: number, link?: string): void {
    const rib = this.#families[prefix.family];
    const key = encodeAttributes({ ...LOCAL_DEFAULTS, ...attributes });
    this.#input.originate(prefix.family, rib.prefixes.internPrefix(prefix), key, now, link);
  }

  /** Withdraws a route that `originate` made; false when there is none. */
  withdraw(prefix: Prefix): boolean {
    const id = this.#families[prefix.family].prefixes.findPrefix(prefix);
    return id >= 0 && this.#input.withdrawLocal(prefix.family, id);
  }

  /** What the kernel says of a next hop. Ignored for addresses that no route uses, and without tracking. */
  setNextHopState(address: Address, state: NextHopState): void {
    this.#input.setNextHopState(address, state);
  }

  /** At most one listener: hears which next hops the routes use, those in use already at once. It may call `setNextHopState`. */
  onNextHopInterest(listener: NextHopInterestListener): void {
    this.#tables.nextHops.onInterest(listener);
  }

  /**
   * As restarting speaker (RFC 4724 4.1): while on, learned routes of the family are taken in but not selected, and no End-of-RIB is sent;
   * locally originated ones go out at once.
   */
  setDeferral(family: Family, on: boolean): void {
    const rib = this.#families[family];
    if (rib.deferred === on) return;
    rib.deferred = on;
    this.#input.redecideAll(family);
  }

  /**
   * From now on a learned route that comes to a prefix is advertised only when `setForwarded` says that packets for it are forwarded (RFC 4271
   * 9.1.3, "suppress FIB pending"), and no End-of-RIB goes out before `isSettled` of the family. Routes selected already, those that replace
   * others and our own do not wait. Undefined: nothing waits any more.
   */
  awaitForwarding(isSettled: ((family: Family) => boolean) | undefined): void {
    this.#fibIsSettled = isSettled;
    for (const family of FAMILIES) {
      const rib = this.#families[family];
      if (isSettled !== undefined) {
        rib.waitForFib(true);
        continue;
      }
      for (let id = 0; id < rib.prefixes.idLimit; id++)
        if (rib.prefixes.has(id)) this.setForwarded(family, id, true);
      rib.waitForFib(false);
    }
    this.#announceWork();
  }

  /**
   * What the FIB says of a prefix with a learned route: it has taken it, or refused or lost it. Does nothing for other prefixes, and where
   * nothing waits for the FIB. A listener may call it.
   */
  setForwarded(family: Family, id: number, forwarded: boolean): void {
    const rib = this.#families[family];
    if (!rib.holdBack(id, !forwarded)) return;
    this.#output.reconsider(family, id);
    rib.onDecided?.(id);
    this.#announceWork();
  }

  /** The FIB may have become settled. */
  forwardingSettled(): void {
    if (this.#fibIsSettled !== undefined) this.#announceWork();
  }

  /**
   * Works until nothing is left or `deadline` returns true (it is asked after each few hundred prefixes), then tells the listeners.
   * Returns whether more is left.
   */
  work(deadline: () => boolean): boolean {
    this.#announced = true;
    do {
      const hadJobs = this.#input.runJobs();
      let decided = 0;
      for (const family of FAMILIES) decided += this.#families[family].decide(DECISIONS_PER_SLICE);
      if (!hadJobs && decided === 0) break;
    } while (!deadline());
    for (const family of FAMILIES) {
      this.#families[family].flush((ids, count) => {
        for (const listener of this.#listeners) listener.onLocRibChange(family, ids, count);
      });
    }
    const more = this.hasWork;
    // While more is left the caller comes back anyway; it needs no further call.
    this.#announced = more;
    return more;
  }

  /** Whether `work` has something to do. */
  get hasWork(): boolean {
    return this.#input.hasJobs || FAMILIES.some((family) => this.#families[family].pending > 0);
  }

  /** Hears of each batch of changed selections; returns the function that ends it. */
  subscribe(listener: LocRibListener): () => void {
    this.#listeners.push(listener);
    const report = (): void => {
      for (const family of FAMILIES) this.#families[family].reportsChanges = this.#listeners.length > 0;
    };
    report();
    return () => {
      const at = this.#listeners.indexOf(listener);
      if (at >= 0) this.#listeners.splice(at, 1);
      report();
    };
  }

  /** The prefixes behind the ids that listeners get. Read only. */
  prefixTable(family: Family): PrefixTable {
    return this.#families[family].prefixes;
  }

  /** Whether a session with any peer is up. */
  get hasSessions(): boolean {
    for (const peer of this.#peers.values()) if (peer.session !== undefined) return true;
    return false;
  }

  /** Whether there are paths to a prefix and loop checks or policy reject all of them, so that it is our own doing that none is used. */
  isRejected(family: Family, id: number): boolean {
    const { paths } = this.#families[family];
    let record = paths.head[id] ?? -1;
    if (record < 0) return false;
    for (; record >= 0; record = paths.next[record] ?? -1)
      if ((paths.effective[record] ?? -1) >= 0) return false;
    return true;
  }

  /** Next hops selected for a prefix, ascending; the same array for the same set. Empty: no path, or originated here. */
  selectedNextHops(family: Family, id: number): readonly Address[] {
    return this.#tables.sets.addresses(this.selectedNextHopSetId(family, id));
  }

  /** Id of the set of selected next hops: -1 no path, -2 originated here. Ids are never used for another set. */
  selectedNextHopSetId(family: Family, id: number): number {
    return this.#families[family].selected[id] ?? -1;
  }

  /** The next hops of a set id; empty for -1, -2 and a set that no prefix uses any more. */
  nextHopSet(setId: number): readonly Address[] {
    return this.#tables.sets.addresses(setId);
  }

  /**
   * What each next hop of a set id is to have of the traffic, in proportion to the others: link bandwidths (RFC 10005) in octets per second.
   * Undefined: equal shares, for not all paths carry one, or all the same.
   */
  nextHopShares(setId: number): readonly number[] | undefined {
    return this.#tables.sets.shares(setId);
  }

  /**
   * Writes whole messages for a peer into `target` from `offset`: withdrawals, announcements grouped by attributes, End-of-RIB after the
   * initial table. Returns the octets written; 0: nothing to send now, or no room for a message (give at least the session's `maxMessage`).
   */
  fill(id: number, target: Uint8Array, offset: number): number {
    return this.#output.fill(this.#peer(id), target, offset);
  }

  /** Whether there is something to send to a peer (or at least something to look through for it). */
  hasOutput(id: number): boolean {
    return this.#output.hasOutput(this.#peer(id));
  }

  /**
   * RFC 8326: while on, everything that is sent carries 65535:0 (and LOCAL_PREF 0 on iBGP), so that the peers find other ways before the
   * sessions end.
   */
  setDraining(on: boolean): void {
    this.#output.draining = on;
    for (const peer of this.#peers.values()) this.#output.changeExport(peer);
  }

  /** How many paths of a family there are from a peer, how many of them are in use, and how many were left out for its limit. */
  countsOf(id: number, family: Family): { received: number; accepted: number; discarded: number } {
    const { accepted, discarded } = this.#peer(id).input[family];
    return { received: this.#families[family].paths.countOf(id), accepted, discarded };
  }

  /** The peer asked for a family again (RFC 2918). */
  refresh(id: number, family: Family): void {
    this.#output.refresh(this.#peer(id), family);
  }

  /** Counters of a peer's family. */
  familyStatus(id: number, family: Family): PeerFamilyStatus {
    const peer = this.#peer(id);
    const input = peer.input[family];
    const received = this.#families[family].paths.countOf(id);
    return {
      negotiated: peer.session?.context.families[family] ?? false,
      received,
      accepted: input.accepted,
      filtered: received - input.accepted,
      advertised: (peer.output[family] ?? peer.addPath[family])?.sentCount ?? 0,
      stale: input.stale,
      endOfRibReceived: input.endOfRibReceived,
      endOfRibSent: (peer.output[family] ?? peer.addPath[family])?.endOfRibSent ?? false,
      discarded: input.discarded,
      pending: this.#output.pendingOf(peer, family),
    };
  }

  /**
   * Paths as people see them, made one prefix at a time while the caller reads, in no particular order of prefixes; changes in between may be
   * missed or seen.
   */
  routes(query: RouteQuery): IterableIterator<PathView> {
    return this.#inspector.routes(query);
  }

  /** Adj-RIB-In of a peer: as received, with the reason where a path is not used. */
  received(id: number, family: Family): IterableIterator<PathView> {
    return this.#inspector.routes({ family, peer: id, received: true });
  }

  /** Adj-RIB-Out of a peer: what it has been sent, in the form in which it was sent. */
  advertised(id: number, family: Family): IterableIterator<PathView> {
    return this.#inspector.advertised(this.#peer(id), family);
  }

  /** Names of the peers that have been told of a prefix. */
  advertisedTo(prefix: Prefix): string[] {
    return this.#inspector.advertisedTo(prefix);
  }

  /** Received routes that claim one of our own blocks (rules named as `OWN_BLOCK_RULE`), at most `limit`. */
  conflicts(limit = 1000): RouteConflict[] {
    return this.#input.conflicts === 0 ? [] : this.#inspector.conflicts(limit);
  }

  /** How many such routes there are. */
  get conflictCount(): number {
    return this.#input.conflicts;
  }

  /** Sizes of the tables, for status and tests of leaks. */
  get sizes(): {
    attributes: number;
    nextHops: number;
    nextHopSets: number;
    prefixes: Record<Family, number>;
  } {
    return {
      attributes: this.#tables.attributes.size,
      nextHops: this.#tables.nextHops.size,
      nextHopSets: this.#tables.sets.size,
      prefixes: { ipv4: this.#families.ipv4.prefixes.size, ipv6: this.#families.ipv6.prefixes.size },
    };
  }

  #makeFamily(family: Family): FamilyRib {
    return new FamilyRib(family, this.#tables, this.#options, () => this.#announceWork());
  }

  #announceWork(): void {
    if (this.#announced) return;
    this.#announced = true;
    this.#options.onWork();
  }

  #forgetPeer(peer: RibPeer): void {
    this.#input.leaveGroup(peer.importGroup);
    for (const family of FAMILIES) peer.input[family].dispose();
    this.#peers.delete(peer.id);
    this.#freePeerIds.push(peer.id);
  }

  #peer(id: number): RibPeer {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.removed) throw new Error(`no peer with id ${id}`);
    return peer;
  }
}

/** Of the limits only `discard` is the RIB's; the others end sessions, which is for their owner to do. */
function setLimits(peer: RibPeer): void {
  for (const family of FAMILIES) {
    const limit = peer.config.maxPrefixes?.[family];
    peer.input[family].limit = limit?.action.kind === 'discard' ? limit.limit : undefined;
  }
}
