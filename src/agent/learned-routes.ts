/**
 * The narrow bridge between the two libraries: what the Loc-RIB selects becomes a desired route, and what the kernel says of next hops
 * reaches the decision process. Works on ids and interned sets; nothing is allocated per route.
 */
import type { Rib } from '../../bgp/rib/rib.ts';
import { type FamilyRoutes, NONE } from '../../fib/routes/family-routes.ts';
import { longestMatch, viewOfPrefix } from '../../fib/routes/inspect.ts';
import { isTaken } from '../../fib/routes/learned-outcomes.ts';
import type { Link } from '../../fib/routes/link-table.ts';
import type {
  NextHopResolution,
  NextHopTracker,
  RecursiveRoute,
  TrackedNextHop,
} from '../../fib/routes/next-hops.ts';
import type { RouteTable } from '../../fib/routes/route-table.ts';
import { sharedNextHops, type Way } from '../../fib/routes/shares.ts';
import { MAX_NEXT_HOPS } from '../../fib/routes/targets.ts';
import type { RouteNextHop } from '../../fib/routes/types.ts';
import {
  type Address,
  addressBits,
  addressesEqual,
  FAMILIES,
  type Family,
  formatAddress,
  isLinkLocal,
} from '../net/address.ts';
import { hostPrefix } from '../net/prefix.ts';

const UNRESOLVED = -1;

interface Followed {
  readonly address: Address;
  readonly tracked: TrackedNextHop;
}

interface TargetOfSet {
  readonly addresses: readonly Address[];
  /** of the traffic, beside `addresses`; undefined: equal */
  readonly shares: readonly number[] | undefined;
  /** pinned ids in the route table's target table, or UNRESOLVED: a family each, which may have sources of their own */
  targets: Readonly<Record<Family, number>>;
}

/** Feeds one `RouteTable` from one `Rib`. */
export class LearnedRoutes {
  readonly #rib: Rib;
  readonly #routes: RouteTable;
  readonly #tracker: NextHopTracker;
  readonly #tracked = new Map<string, Followed>();
  readonly #targets = new Map<number, TargetOfSet>();
  readonly #unsubscribe: () => void;
  readonly #stopListening: () => void;

  /** `advertiseAtOnce`: what is learned is told to others without waiting for the kernel to take it. */
  constructor(rib: Rib, routes: RouteTable, tracker: NextHopTracker, advertiseAtOnce = false) {
    this.#rib = rib;
    this.#routes = routes;
    this.#tracker = tracker;
    routes.confirmRemovalBy(() => (rib.hasSessions ? undefined : 'no BGP session is up'));
    tracker.recurseThrough((address) => this.#lookUp(address));
    rib.onNextHopInterest((address, wanted) => this.#onInterest(address, wanted));
    this.#unsubscribe = rib.subscribe({
      onLocRibChange: (family, ids, count) => this.#onChange(family, ids, count),
      onPeerDown: ({ address, interface: zone }) => this.#onPeerDown(address, zone),
    });
    this.#stopListening = routes.kernel.listen({ link: (before, after) => this.#onLink(before, after) });
    if (advertiseAtOnce) return;
    rib.awaitForwarding((family) => routes.outcomes.isSettled(family));
    routes.outcomes.listen({
      onOutcomes: (from, ids, count) => this.#onOutcomes(from, ids, count),
      onSettled: () => rib.forwardingSettled(),
    });
  }

  /** Where a next hop of a learned route is to be found, for `status`. */
  resolutionOf(address: Address): NextHopResolution | undefined {
    return this.#tracked.get(formatAddress(address))?.tracked.resolution;
  }

  /** Ends the feed; the routes that it set stay desired. */
  close(): void {
    this.#unsubscribe();
    this.#stopListening();
    this.#routes.outcomes.listen(undefined);
    this.#rib.awaitForwarding(undefined);
    this.#tracker.recurseThrough(undefined);
    this.#routes.confirmRemovalBy(undefined);
    for (const { tracked } of this.#tracked.values()) tracked.release();
    this.#tracked.clear();
  }

  #onInterest(address: Address, wanted: boolean): void {
    const key = formatAddress(address);
    if (!wanted) {
      this.#tracked.get(key)?.tracked.release();
      this.#tracked.delete(key);
      return;
    }
    const tracked = this.#tracker.track(address, 0, (resolution) => this.#onResolution(address, resolution));
    this.#tracked.set(key, { address, tracked });
    this.#tellRib(address, tracked.resolution);
  }

  // A neighbour that is its own next hop: what it shares with others goes to the others before 500,000 routes have been decided anew.
  #onPeerDown(address: Address, zone: string | undefined): void {
    const scoped = address.family === 'ipv6' && isLinkLocal(address) && zone !== undefined;
    const resolution = this.resolutionOf(scoped ? { ...address, zone } : address);
    if (resolution?.reachable !== true || resolution.via !== 'connected') return;
    for (const { gateway, ifindex } of resolution.nextHops) {
      if (gateway !== undefined) this.#routes.failNextHop(gateway, ifindex);
    }
  }

  // By another name an interface is the same way on, but rules may ask for the name.
  #onLink(before: Link | undefined, after: Link | undefined): void {
    if (before === undefined || after === undefined || before.name === after.name) return;
    for (const { address, tracked } of this.#tracked.values()) {
      const { resolution } = tracked;
      if (resolution.reachable && resolution.nextHops.some(({ ifindex }) => ifindex === after.ifindex))
        this.#tellRib(address, resolution);
    }
  }

  #tellRib(address: Address, resolution: NextHopResolution): void {
    this.#rib.setNextHopState(
      address,
      resolution.reachable
        ? { reachable: true, metric: resolution.metric, ...this.#interfaceOf(resolution.nextHops) }
        : { reachable: false, why: resolution.reason },
    );
  }

  /** As in BIRD, what goes several ways has no interface. */
  #interfaceOf([first, ...others]: readonly RouteNextHop[]): { interface?: string } {
    const name = first && others.length === 0 && this.#routes.kernel.links.get(first.ifindex)?.name;
    return name ? { interface: name } : {};
  }

  // Same reachability but another way there: the sets that hold the address get new targets, and their routes with them.
  #onResolution(address: Address, resolution: NextHopResolution): void {
    const key = formatAddress(address);
    const changed = new Set<number>();
    for (const [setId, entry] of this.#targets) {
      if (!entry.addresses.some((each) => formatAddress(each) === key)) continue;
      const before = entry.targets;
      entry.targets = this.#pinTargets(entry);
      this.#unpin(before);
      // Nothing left: the decision picks other paths in a moment, and what it leaves without any is taken out then. No gap between.
      const { ipv4 } = entry.targets;
      if (ipv4 !== before.ipv4 && ipv4 !== UNRESOLVED) changed.add(setId);
    }
    if (changed.size > 0) for (const family of FAMILIES) this.#rewrite(family, changed);
    this.#tellRib(address, resolution);
  }

  #rewrite(family: Family, sets: ReadonlySet<number>): void {
    const table = this.#rib.prefixTable(family);
    for (let id = 0; id < table.idLimit; id++) {
      if (table.has(id) && sets.has(this.#rib.selectedNextHopSetId(family, id))) this.#write(family, id);
    }
  }

  #onChange(family: Family, ids: Int32Array, count: number): void {
    for (let index = 0; index < count; index++) this.#write(family, ids[index] ?? -1);
    if (this.#targets.size > 64) this.#forgetUnused();
    this.#tracker.reconsider();
  }

  #lookUp(address: Address): RecursiveRoute | undefined {
    const local = this.#endpoint(address);
    if (local !== undefined) return local;
    const { family } = address;
    const table = this.#rib.prefixTable(family);
    const id = longestMatch(table, address, (candidate) => {
      return this.#recursive(this.#rib.selectedNextHopSetId(family, candidate), address) !== undefined;
    });
    if (id < 0) return undefined;
    const found = this.#recursive(this.#rib.selectedNextHopSetId(family, id), address);
    return found && { ...found, length: table.lengthOf(id) };
  }

  /** A container of this host, which our own route leads to. */
  #endpoint(address: Address): RecursiveRoute | undefined {
    const view = viewOfPrefix(this.#routes, hostPrefix(address));
    if (view?.source !== 'endpoint' || view.desired?.kind !== 'unicast') return undefined;
    const nextHops = view.desired.nextHops.map(({ ifindex }) => ({
      ifindex,
      gateway: address,
      onlink: true,
    }));
    return { length: addressBits(address.family), nextHops, metric: 0 };
  }

  /** A set of next hops by which another one may be found: none of them leans on learned routes, least of all the one that asks. */
  #recursive(setId: number, asking: Address): Omit<RecursiveRoute, 'length'> | undefined {
    if (setId < 0) return undefined;
    const shares = this.#rib.nextHopShares(setId);
    const ways: Way[] = [];
    let metric = 0;
    for (const [index, address] of this.#rib.nextHopSet(setId).entries()) {
      const resolution = this.resolutionOf(address);
      if (addressesEqual(address, asking)) return undefined;
      if (resolution?.reachable !== true) continue;
      if (resolution.via === 'learned') return undefined;
      ways.push({ share: shares?.[index] ?? 1, nextHops: resolution.nextHops });
      metric = Math.max(metric, resolution.metric);
    }
    return ways.length === 0 ? undefined : { nextHops: nextHopsOf(ways, shares !== undefined), metric };
  }

  #write(family: Family, id: number): void {
    const table = this.#rib.prefixTable(family);
    const setId = this.#rib.selectedNextHopSetId(family, id);
    const target = setId < 0 ? UNRESOLVED : this.#targetsOf(setId)[family];
    if (target === UNRESOLVED) this.#routes.removeLearned(table, id, !this.#rib.isRejected(family, id));
    const taken = target !== UNRESOLVED && this.#routes.setLearned(table, id, target);
    this.#rib.setForwarded(family, id, taken);
  }

  #onOutcomes(from: FamilyRoutes, ids: Int32Array, count: number): void {
    const { family, table } = from;
    const known = this.#rib.prefixTable(family);
    const isIpv4 = family === 'ipv4';
    for (let index = 0; index < count; index++) {
      const id = ids[index] ?? -1;
      if ((from.bgp[id] ?? NONE) < 0) continue;
      const prefix = known.find(
        table.lengthOf(id),
        table.wordOf(id, 0),
        isIpv4 ? 0 : table.wordOf(id, 1),
        isIpv4 ? 0 : table.wordOf(id, 2),
        isIpv4 ? 0 : table.wordOf(id, 3),
      );
      if (prefix >= 0) this.#rib.setForwarded(family, prefix, isTaken(from, id));
    }
  }

  #targetsOf(setId: number): Readonly<Record<Family, number>> {
    const known = this.#targets.get(setId);
    if (known !== undefined) return known.targets;
    const set = { addresses: this.#rib.nextHopSet(setId), shares: this.#rib.nextHopShares(setId) };
    const targets = this.#pinTargets(set);
    this.#targets.set(setId, { ...set, targets });
    return targets;
  }

  // Of several next hops those that can be found are used; the decision drops the others a moment later.
  #pinTargets({
    addresses,
    shares,
  }: Pick<TargetOfSet, 'addresses' | 'shares'>): Readonly<Record<Family, number>> {
    const ways = addresses.flatMap((address, index) => {
      const resolution = this.resolutionOf(address) ?? this.#tracker.resolve(address);
      return resolution.reachable ? [{ share: shares?.[index] ?? 1, nextHops: resolution.nextHops }] : [];
    });
    // More than a kernel takes may come together where next hops are found by multipath routes.
    const nextHops = nextHopsOf(ways, shares !== undefined).slice(0, MAX_NEXT_HOPS);
    if (nextHops.length === 0) return { ipv4: UNRESOLVED, ipv6: UNRESOLVED };
    const pin = (family: Family): number => {
      const prefsrc = this.#routes.preferredSource(family);
      return this.#routes.targets.pin({ kind: 'unicast', nextHops, prefsrc });
    };
    return { ipv4: pin('ipv4'), ipv6: pin('ipv6') };
  }

  #unpin({ ipv4, ipv6 }: Readonly<Record<Family, number>>): void {
    if (ipv4 === UNRESOLVED) return;
    this.#routes.targets.unpin(ipv4);
    this.#routes.targets.unpin(ipv6);
  }

  #forgetUnused(): void {
    for (const [setId, entry] of this.#targets) {
      if (this.#rib.nextHopSet(setId).length > 0) continue;
      this.#unpin(entry.targets);
      this.#targets.delete(setId);
    }
  }
}

/** The next hops of several ways, with weights by the ways' shares, or as they were found. */
function nextHopsOf(ways: readonly Way[], isShared: boolean): RouteNextHop[] {
  return isShared ? sharedNextHops(ways) : ways.flatMap(({ nextHops }) => nextHops);
}
