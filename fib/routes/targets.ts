/**
 * Route targets (kind, next hops, preferred source, metric) interned to small ids, from values and straight from kernel messages, so
 * that a route is one number and "the kernel has what we want" is one comparison.
 */
import { type Address, addressFromBytes } from '../../src/net/address.ts';
import { RT_SCOPE, RTN, RTNH_F } from '../netlink/registry.ts';
import {
  forEachNextHop,
  type NextHopFields,
  type RouteFields,
  type RouteRecord,
} from '../netlink/route-message.ts';
import type { RouteKind, RouteNextHop, RouteTarget } from './types.ts';

const HEAD_BYTES = 28;
const HOP_BYTES = 24;
/** Next hops that one target may have. */
export const MAX_NEXT_HOPS = 256;
const NO_TARGET = -1;
const COLLECT_MINIMUM = 1024;

const TYPE_OF_KIND: Readonly<Record<RouteKind, number>> = {
  unicast: RTN.UNICAST,
  blackhole: RTN.BLACKHOLE,
  unreachable: RTN.UNREACHABLE,
  prohibit: RTN.PROHIBIT,
};

/** The kind of a kernel route type, or undefined for a type that we never write. */
export function kindOfType(type: number): RouteKind | undefined {
  if (type === RTN.UNICAST) return 'unicast';
  if (type === RTN.BLACKHOLE) return 'blackhole';
  if (type === RTN.UNREACHABLE) return 'unreachable';
  return type === RTN.PROHIBIT ? 'prohibit' : undefined;
}

/** An interned target and what is derived from it once. */
export interface InternedTarget {
  readonly target: RouteTarget;
  readonly metric: number;
  /** of the object that it goes by, 0 for none; `target` has no next hops then */
  readonly nextHopId: number;
  /** ready for the wire */
  readonly fields: RouteFields;
  /** interfaces that must be up for the kernel to take it */
  readonly ifindexes: readonly number[];
  /** no gateway in it: an endpoint's or a block's route, not a learned one */
  readonly isLocal: boolean;
}

/** Targets by id. Ids of targets that nothing uses are given out again after `collect`. */
export class TargetTable {
  readonly #tableId: number;
  readonly #protocol: number;
  readonly #defaultMetric: number;
  readonly #byKey = new Map<string, number>();
  readonly #entries: (InternedTarget | undefined)[] = [];
  readonly #keys: string[] = [];
  readonly #pins: number[] = [];
  readonly #free: number[] = [];
  /** ids of targets with a gateway, by interface */
  readonly #learnedVia = new Map<number, Set<number>>();
  readonly #withPrefsrc = new Set<number>();
  #collectAbove = COLLECT_MINIMUM;
  // Canonical octets: head, then one slot a next hop, sorted.
  readonly #scratch = Buffer.alloc(HEAD_BYTES + MAX_NEXT_HOPS * HOP_BYTES);
  #scratchHops = 0;
  #lastKey = Buffer.alloc(0);
  #lastId = NO_TARGET;

  constructor(options: { readonly table: number; readonly protocol: number; readonly metric: number }) {
    this.#tableId = options.table;
    this.#protocol = options.protocol;
    this.#defaultMetric = options.metric;
  }

  /** Targets held. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Whether an id is in use. */
  has(id: number): boolean {
    return this.#entries[id] !== undefined;
  }

  /** The target of an id. Throws for an id that is not in use: that is a bug of the caller. */
  get(id: number): InternedTarget {
    const entry = this.#entries[id];
    if (entry === undefined) throw new RangeError(`no route target has the id ${id}`);
    return entry;
  }

  /**
   * The id of a target. Order and duplicates of next hops do not matter. Throws a RangeError for a target that no kernel would take:
   * unicast without next hop, another kind with one, more than 256, a weight outside 1..256.
   */
  intern(target: RouteTarget): number {
    const problem = problemOf(target);
    if (problem !== undefined) throw new RangeError(`route target: ${problem}`);
    const metric = target.metric ?? this.#defaultMetric;
    this.#head(TYPE_OF_KIND[target.kind], metric, 0, target.prefsrc?.bytes);
    const alone = target.nextHops.length === 1;
    for (const hop of target.nextHops) {
      this.#hop(hop.ifindex, hop.gateway?.bytes, hop.onlink ?? false, alone ? 1 : (hop.weight ?? 1));
    }
    return this.#lookup();
  }

  /** As `intern`, and keeps the id from being collected until as many `unpin`s. For owners that hold ids outside the route table. */
  pin(target: RouteTarget): number {
    const id = this.intern(target);
    this.#pins[id] = (this.#pins[id] ?? 0) + 1;
    return id;
  }

  unpin(id: number): void {
    this.#pins[id] = Math.max(0, (this.#pins[id] ?? 0) - 1);
  }

  /** The id of what the kernel says a route does. Undefined for a type that we never write. */
  internRecord(record: RouteRecord): number | undefined {
    if (kindOfType(record.type) === undefined) return undefined;
    const octets = record.family === 2 ? 4 : 16;
    const prefsrc =
      record.prefsrcAt < 0 ? undefined : record.bytes.subarray(record.prefsrcAt, record.prefsrcAt + octets);
    this.#head(record.type, record.metric, record.nextHopId, prefsrc);
    // IPv6 reports `lo` as interface of a blackhole: not part of what it does. Nor are the next hops that are told beside an object.
    if (record.type === RTN.UNICAST && record.nextHopId === 0) {
      const alone = record.multipathAt < 0;
      forEachNextHop(record, (hop) => {
        const length = hop.gatewayFamily === 2 ? 4 : 16;
        const gateway =
          hop.gatewayAt < 0 ? undefined : record.bytes.subarray(hop.gatewayAt, hop.gatewayAt + length);
        this.#hop(hop.ifindex, gateway, (hop.flags & RTNH_F.ONLINK) !== 0, alone ? 1 : hop.weight);
      });
    }
    return this.#lookup();
  }

  /** The id of what a target does by a next-hop object instead of next hops of its own. */
  internObject({ fields, metric }: InternedTarget, nextHopId: number): number {
    this.#head(fields.type, metric, nextHopId, fields.prefsrc);
    return this.#lookup();
  }

  /**
   * Forgets targets that nothing uses, if there are many. `markUsed` calls its argument with every id in use (negative ones are
   * ignored); pinned ids are kept anyway. Whether it did.
   */
  collect(markUsed: (mark: (id: number) => void) => void): boolean {
    if (this.size < this.#collectAbove) return false;
    const used = new Uint8Array(this.#entries.length);
    markUsed((id) => {
      if (id >= 0) used[id] = 1;
    });
    for (let id = 0; id < this.#entries.length; id++) {
      if (used[id] === 1 || (this.#pins[id] ?? 0) > 0 || this.#entries[id] === undefined) continue;
      this.#byKey.delete(this.#keys[id] ?? '');
      this.#unindex(id);
      this.#entries[id] = undefined;
      this.#free.push(id);
    }
    this.#lastId = NO_TARGET;
    this.#collectAbove = Math.max(COLLECT_MINIMUM, 2 * this.size);
    return true;
  }

  /** Whether a target that is no endpoint's or block's uses the interface. */
  hasLearnedVia(ifindex: number): boolean {
    return this.#learnedVia.has(ifindex);
  }

  /** Whether a target has this preferred source address. */
  hasPrefsrc(address: Uint8Array): boolean {
    for (const id of this.#withPrefsrc) {
      const prefsrc = this.#entries[id]?.fields.prefsrc;
      if (prefsrc !== undefined && Buffer.compare(prefsrc, address) === 0) return true;
    }
    return false;
  }

  #index(id: number, entry: InternedTarget): void {
    if (entry.fields.prefsrc !== undefined) this.#withPrefsrc.add(id);
    if (entry.isLocal) return;
    for (const ifindex of entry.ifindexes) {
      const ids = this.#learnedVia.get(ifindex);
      if (ids === undefined) this.#learnedVia.set(ifindex, new Set([id]));
      else ids.add(id);
    }
  }

  #unindex(id: number): void {
    this.#withPrefsrc.delete(id);
    for (const ifindex of this.#entries[id]?.ifindexes ?? []) {
      const ids = this.#learnedVia.get(ifindex);
      if (ids?.delete(id) && ids.size === 0) this.#learnedVia.delete(ifindex);
    }
  }

  #head(type: number, metric: number, nextHopId: number, prefsrc: Uint8Array | undefined): void {
    const head = this.#scratch;
    head.fill(0, 0, HEAD_BYTES);
    head[0] = type;
    head[1] = prefsrc?.length ?? 0;
    head.writeUInt32LE(metric, 4);
    head.writeUInt32LE(nextHopId, 8);
    if (prefsrc !== undefined) head.set(prefsrc, 12);
    this.#scratchHops = 0;
  }

  #hop(ifindex: number, gateway: Uint8Array | undefined, onlink: boolean, weight: number): void {
    if (this.#scratchHops === MAX_NEXT_HOPS) return;
    const bytes = this.#scratch;
    let at = HEAD_BYTES + this.#scratchHops * HOP_BYTES;
    bytes.fill(0, at, at + HOP_BYTES);
    bytes.writeInt32BE(ifindex, at);
    bytes[at + 4] = gateway?.length ?? 0;
    if (gateway !== undefined) bytes.set(gateway, at + 5);
    bytes[at + 21] = onlink ? RTNH_F.ONLINK : 0;
    bytes[at + 22] = weight - 1;
    // Insertion sort; there are rarely more than a handful. The gateway and interface make a next hop, a second one is dropped.
    while (at > HEAD_BYTES) {
      const order = bytes.compare(bytes, at - HOP_BYTES, at - HOP_BYTES + 21, at, at + 21);
      if (order > 0) break;
      if (order === 0) {
        bytes.copyWithin(at, at + HOP_BYTES, HEAD_BYTES + (this.#scratchHops + 1) * HOP_BYTES);
        return;
      }
      swapSlots(bytes, at - HOP_BYTES, at);
      at -= HOP_BYTES;
    }
    this.#scratchHops++;
  }

  #lookup(): number {
    // Doubles may have left a single next hop, whose weight the kernel does not keep.
    if (this.#scratchHops === 1) this.#scratch[HEAD_BYTES + 22] = 0;
    const key = this.#scratch.subarray(0, HEAD_BYTES + this.#scratchHops * HOP_BYTES);
    // Routes in a dump mostly have the target of their neighbour.
    if (this.#lastId !== NO_TARGET && key.equals(this.#lastKey)) return this.#lastId;
    const text = key.toString('latin1');
    let id = this.#byKey.get(text);
    if (id === undefined) {
      id = this.#free.pop() ?? this.#entries.length;
      const entry = this.#decode(key);
      this.#entries[id] = entry;
      this.#index(id, entry);
      this.#keys[id] = text;
      this.#byKey.set(text, id);
    }
    this.#lastKey = Buffer.from(key);
    this.#lastId = id;
    return id;
  }

  #decode(key: Buffer): InternedTarget {
    // Copies: the slice of a Buffer would share the scratch memory.
    const type = key[0] ?? 0;
    const metric = key.readUInt32LE(4);
    const nextHopId = key.readUInt32LE(8);
    const prefsrcLength = key[1] ?? 0;
    const prefsrc =
      prefsrcLength > 0 ? addressFromBytes(new Uint8Array(key.subarray(12, 12 + prefsrcLength))) : undefined;
    const nextHops: RouteNextHop[] = [];
    const wire: NextHopFields[] = [];
    for (let at = HEAD_BYTES; at < key.length; at += HOP_BYTES) {
      const ifindex = key.readInt32BE(at);
      const gatewayLength = key[at + 4] ?? 0;
      const gateway: Address | undefined =
        gatewayLength > 0
          ? addressFromBytes(new Uint8Array(key.subarray(at + 5, at + 5 + gatewayLength)))
          : undefined;
      const flags = key[at + 21] ?? 0;
      const weight = (key[at + 22] ?? 0) + 1;
      nextHops.push({ ifindex, gateway, onlink: flags !== 0, weight });
      wire.push({ ifindex, gateway: gateway?.bytes, flags, weight });
    }
    const hasGateway = nextHops.some((hop) => hop.gateway !== undefined) || nextHopId !== 0;
    const kind = kindOfType(type) ?? 'blackhole';
    return {
      target: { kind, nextHops, metric, ...(prefsrc === undefined ? {} : { prefsrc }) },
      metric,
      nextHopId,
      fields: {
        type,
        table: this.#tableId,
        protocol: this.#protocol,
        metric,
        scope: kind !== 'unicast' || hasGateway ? RT_SCOPE.UNIVERSE : RT_SCOPE.LINK,
        prefsrc: prefsrc?.bytes,
        nextHops: wire,
        nextHopId: nextHopId === 0 ? undefined : nextHopId,
      },
      ifindexes: [...new Set(nextHops.map((hop) => hop.ifindex))],
      isLocal: !hasGateway,
    };
  }
}

function swapSlots(bytes: Buffer, first: number, second: number): void {
  for (let offset = 0; offset < HOP_BYTES; offset++) {
    const kept = bytes[first + offset] ?? 0;
    bytes[first + offset] = bytes[second + offset] ?? 0;
    bytes[second + offset] = kept;
  }
}

function problemOf(target: RouteTarget): string | undefined {
  const count = target.nextHops.length;
  if (target.kind === 'unicast' && count === 0) return 'a unicast route needs a next hop';
  if (target.kind !== 'unicast' && count > 0) return `a ${target.kind} route has no next hop`;
  if (count > MAX_NEXT_HOPS) return `more than ${MAX_NEXT_HOPS} next hops`;
  for (const hop of target.nextHops) {
    if (!Number.isInteger(hop.ifindex) || hop.ifindex <= 0) return `${hop.ifindex} is no interface index`;
    const weight = hop.weight ?? 1;
    if (!Number.isInteger(weight) || weight < 1 || weight > 256) return `weight ${weight} is not in 1..256`;
  }
  return undefined;
}
