/**
 * A mirror of one kernel table's routes that are not ours: for next-hop resolution, and to know whom we would collide with. One object
 * a route: a host of ours has a handful (a second routing daemon with a full table on it costs about 300 bytes a route).
 */
import type { Core } from '../../src/core/core.ts';
import { addressFromBytes, type Family } from '../../src/net/address.ts';
import { PrefixTable } from '../../src/net/prefix-table.ts';
import { AF_INET, protocolName, RTN, RTNH_F } from '../netlink/registry.ts';
import { forEachNextHop, type RouteRecord } from '../netlink/route-message.ts';
import { holdsHop, sameHop } from './hops.ts';
import { kindOfType } from './targets.ts';
import type { ForeignRoute, RouteNextHop } from './types.ts';

interface Entry {
  readonly metric: number;
  readonly tos: number;
  readonly protocol: number;
  readonly kind: ForeignRoute['kind'];
  readonly nextHops: readonly RouteNextHop[];
}

/** Foreign routes of one family in one table. */
export class ForeignRoutes {
  readonly family: Family;
  readonly table: PrefixTable;
  readonly #entries = new Map<number, Entry[]>();

  constructor(family: Family, core: Core) {
    this.family = family;
    this.table = new PrefixTable(family, 64, core);
  }

  clear(): void {
    for (const id of this.#entries.keys()) this.table.delete(id);
    this.#entries.clear();
  }

  /** Takes an RTM_NEWROUTE. `isReplacement`: it took the place of the route with the same metric. */
  add(record: RouteRecord, isReplacement: boolean): void {
    const id = this.table.intern(record.length, record.w0, record.w1, record.w2, record.w3);
    const entry = entryOf(record);
    const list = this.#entries.get(id);
    if (list === undefined) {
      this.#entries.set(id, [entry]);
      return;
    }
    // The kernel tells of an IPv6 route with all its siblings each time one joins; only routes with gateways have siblings.
    const grows = (other: Entry): boolean =>
      this.family === 'ipv6' && hasGateways(other) && hasGateways(entry);
    const at = list.findIndex(
      (other) =>
        other.metric === entry.metric &&
        other.tos === entry.tos &&
        (isReplacement ||
          (other.protocol === entry.protocol && (grows(other) || sameHops(other.nextHops, entry.nextHops)))),
    );
    if (at < 0) list.push(entry);
    else list[at] = entry;
  }

  /** Takes an RTM_DELROUTE. */
  remove(record: RouteRecord): void {
    const id = this.table.find(record.length, record.w0, record.w1, record.w2, record.w3);
    const list = this.#entries.get(id);
    if (list === undefined) return;
    const gone = entryOf(record);
    const alike = (other: Entry): boolean =>
      other.metric === gone.metric && other.tos === gone.tos && other.protocol === gone.protocol;
    let at = list.findIndex((other) => alike(other) && sameHops(other.nextHops, gone.nextHops));
    if (at < 0)
      at = list.findIndex((other) => alike(other) && (this.family === 'ipv4' || sharesHop(other, gone)));
    const entry = list[at];
    if (entry === undefined) return;
    // One of several IPv6 siblings may go alone.
    const rest = entry.nextHops.filter((hop) => !holdsHop(gone.nextHops, hop));
    if (this.family === 'ipv6' && rest.length > 0 && rest.length < entry.nextHops.length) {
      list[at] = { ...entry, nextHops: rest };
      return;
    }
    list.splice(at, 1);
    if (list.length === 0) this.#forget(id);
  }

  /**
   * Drops IPv4 routes that the kernel deletes without a word when an interface stops being usable for the family: those of which no next hop
   * is left. Returns whether it cannot tell that of one, by what is known of its other interfaces.
   */
  removeByInterface(ifindex: number, isAlive: (ifindex: number) => boolean | undefined): boolean {
    let isInDoubt = false;
    for (const [id, list] of [...this.#entries]) {
      const rest = list.filter(({ nextHops }) => {
        if (!nextHops.some((hop) => hop.ifindex === ifindex)) return true;
        const others = nextHops.filter((hop) => hop.ifindex !== ifindex).map((hop) => isAlive(hop.ifindex));
        if (others.includes(true)) return true;
        if (others.includes(undefined)) isInDoubt = true;
        return others.includes(undefined);
      });
      if (rest.length === 0) this.#forget(id);
      else if (rest.length < list.length) this.#entries.set(id, rest);
    }
    return isInDoubt;
  }

  /** Whether a foreign route stands at a prefix (given by its words) with a metric. */
  has(metric: number, length: number, w0: number, w1: number, w2: number, w3: number): boolean {
    if (this.#entries.size === 0) return false;
    const id = this.table.find(length, w0, w1, w2, w3);
    return (
      id >= 0 && (this.#entries.get(id)?.some((entry) => entry.metric === metric && entry.tos === 0) ?? false)
    );
  }

  /** The foreign routes at an id of `table`, lowest metric first. */
  at(id: number): ForeignRoute[] {
    const list = this.#entries.get(id);
    if (list === undefined) return [];
    const prefix = this.table.prefixOf(id);
    return list
      .map((entry) => ({
        prefix,
        protocol: entry.protocol,
        owner: protocolName(entry.protocol),
        metric: entry.metric,
        kind: entry.kind,
        nextHops: entry.nextHops,
      }))
      .sort((a, b) => a.metric - b.metric);
  }

  /** Ids of all prefixes that have foreign routes. */
  ids(): IterableIterator<number> {
    return this.#entries.keys();
  }

  #forget(id: number): void {
    this.#entries.delete(id);
    this.table.delete(id);
  }
}

function entryOf(record: RouteRecord): Entry {
  const nextHops: RouteNextHop[] = [];
  forEachNextHop(record, (hop) => {
    const length = hop.gatewayFamily === AF_INET ? 4 : 16;
    nextHops.push({
      ifindex: hop.ifindex,
      gateway:
        hop.gatewayAt < 0
          ? undefined
          : addressFromBytes(record.bytes.subarray(hop.gatewayAt, hop.gatewayAt + length)),
      onlink: (hop.flags & RTNH_F.ONLINK) !== 0,
      weight: hop.weight,
    });
  });
  const kind = kindOfType(record.type);
  const other = record.type === RTN.LOCAL ? 'local' : record.type === RTN.BROADCAST ? 'broadcast' : 'other';
  return { metric: record.metric, tos: record.tos, protocol: record.protocol, kind: kind ?? other, nextHops };
}

function hasGateways(entry: Entry): boolean {
  return entry.nextHops.length > 0 && entry.nextHops.every((hop) => hop.gateway !== undefined);
}

function sharesHop(a: Entry, b: Entry): boolean {
  return a.nextHops.some((hop) => holdsHop(b.nextHops, hop));
}

function sameHops(a: readonly RouteNextHop[], b: readonly RouteNextHop[]): boolean {
  return a.length === b.length && a.every((hop, index) => sameHop(hop, b[index]));
}
