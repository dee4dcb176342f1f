/**
 * Our next-hop objects in the kernel: a path for each neighbour, a group for each set of them. Routes point to their ids, so that a neighbour
 * is taken out of 500,000 routes by the deletion of one path. Paths in groups are objects of their own, apart from those that routes use
 * directly: taking one out of its groups leaves the others alone. A group that lost a member goes by what is left of it.
 */
import { addressFromBytes } from '../../src/net/address.ts';
import { NetlinkError, type Verdict } from '../netlink/error-message.ts';
import { type NextHopObject, writeNextHop, writeNextHopDeletion } from '../netlink/nexthop-message.ts';
import { NLM_F, RTNH_F } from '../netlink/registry.ts';
import type { NextHopFields } from '../netlink/route-message.ts';
import { MessageWriter } from '../netlink/writer.ts';
import type { KernelListener, KernelWatch } from './kernel-watch.ts';
import type { Link } from './link-table.ts';
import type { RouteNextHop } from './types.ts';

const ENOENT = 2;
const EEXIST = 17;
const EINVAL = 22;
const ID_ATTEMPTS = 1000;
const DELETIONS_PER_BATCH = 500;
/** Ids are given out by netns, not by protocol: ours start where nobody else's do. */
const ID_BITS = 24;

interface PathEntry {
  readonly kind: 'path';
  readonly id: number;
  readonly key: string;
  readonly hop: RouteNextHop;
}

interface GroupEntry {
  readonly kind: 'group';
  readonly id: number;
  members: readonly { readonly id: number; readonly weight: number }[];
}

/** Told which objects are gone with the routes that pointed to them, and which groups have other members than before. */
export type LossListener = (gone: ReadonlySet<number>, changed: ReadonlySet<number>) => void;

/** Owner of the objects of our protocol in one namespace. */
export class NextHopObjects implements KernelListener {
  readonly #kernel: KernelWatch;
  readonly #onLoss: LossListener;
  readonly #byId = new Map<number, PathEntry | GroupEntry>();
  /** what routes may point to, by the set of next hops that it stands for */
  readonly #sets = new Map<string, number>();
  /** paths for groups, by their next hop */
  readonly #members = new Map<string, number>();
  /** next hops that are kept out of groups for a while, and until when */
  readonly #suspended = new Map<string, number>();
  readonly #stopListening: () => void;
  #lastId: number;

  /** Create it before whoever follows links for other reasons: failing over comes first. */
  constructor(kernel: KernelWatch, onLoss: LossListener) {
    this.#kernel = kernel;
    this.#onLoss = onLoss;
    this.#lastId = kernel.protocol * 2 ** ID_BITS;
    this.#stopListening = kernel.listen(this);
  }

  /** Objects held. */
  get size(): number {
    return this.#byId.size;
  }

  /** Whether this kernel has next-hop objects. */
  get isSupported(): boolean {
    return this.#kernel.hasNextHopObjects;
  }

  close(): void {
    this.#stopListening();
  }

  /** Where an id of ours leads, for people; undefined for an id that is not ours. */
  hopsOf(id: number): readonly RouteNextHop[] | undefined {
    const entry = this.#byId.get(id);
    if (entry === undefined) return undefined;
    if (entry.kind === 'path') return [entry.hop];
    return entry.members.flatMap((member) => {
      const path = this.#byId.get(member.id);
      return path?.kind === 'path' ? [{ ...path.hop, weight: member.weight }] : [];
    });
  }

  /** The id of the object for a set of next hops, which all have gateways; made if there is none. A refusal is the kernel's. */
  idFor(hops: readonly NextHopFields[]): number | Verdict {
    const [only] = hops;
    const key = setKey(hops.map((hop) => [hopKey(hop), hop.weight]));
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    if (hops.length === 1 && only !== undefined) {
      const id = this.#createPath(only);
      if (typeof id === 'number') this.#sets.set(key, id);
      return id;
    }
    const members: { id: number; weight: number }[] = [];
    for (const hop of hops) {
      const hopText = hopKey(hop);
      let id: number | Verdict | undefined = this.#members.get(hopText);
      if (id === undefined) {
        id = this.#createPath(hop);
        if (typeof id !== 'number') return id;
        this.#members.set(hopText, id);
      }
      members.push({ id, weight: hop.weight });
    }
    const id = this.#create((fresh) => ({ ...blank(fresh, this.#kernel.protocol), kind: 'group', members }));
    if (typeof id !== 'number') {
      // Perhaps a member is not there any more.
      if (id.errno === EINVAL || id.errno === ENOENT) setImmediate(() => this.#kernel.readAgain());
      return id;
    }
    this.#byId.set(id, { kind: 'group', id, members });
    this.#sets.set(key, id);
    return id;
  }

  /** Whether a set has a next hop that is kept out of groups now. */
  isSuspended(hops: readonly NextHopFields[]): boolean {
    return (
      this.#suspended.size > 0 && hops.length > 1 && hops.some((hop) => this.#suspended.has(hopKey(hop)))
    );
  }

  /**
   * Takes a neighbour out of all groups, and keeps it out until `untilMs`, by when those who decide have made up their minds. Routes over it alone
   * are left as they are, and so is everything if a group would be left empty. Returns how many paths were taken out.
   */
  fail(gateway: Uint8Array, ifindex: number | undefined, untilMs: number): number {
    const failing = this.#paths().filter(({ hop, id, key }) => {
      const isIt = hop.gateway !== undefined && Buffer.compare(hop.gateway.bytes, gateway) === 0;
      return isIt && (ifindex === undefined || hop.ifindex === ifindex) && this.#members.get(key) === id;
    });
    const ids = new Set(failing.map(({ id }) => id));
    if (ids.size === 0) return 0;
    if (this.#groups().some(({ members }) => members.every(({ id }) => ids.has(id)))) return 0;
    for (const { key } of failing) this.#suspended.set(key, untilMs);
    this.#delete(ids);
    this.#drop(ids);
    return ids.size;
  }

  /** When the next suspension ends, in the clock's milliseconds. */
  get nextLiftMs(): number | undefined {
    return this.#suspended.size === 0 ? undefined : Math.min(...this.#suspended.values());
  }

  /** Ends what is over; whether anything was. */
  lift(nowMs: number): boolean {
    let isLifted = false;
    for (const [key, untilMs] of this.#suspended) {
      if (untilMs <= nowMs) isLifted = this.#suspended.delete(key) || isLifted;
    }
    return isLifted;
  }

  /** Deletes what no route needs, and returns it: `used` are the ids that routes point to. */
  sweep(used: ReadonlySet<number>): ReadonlySet<number> {
    const needed = new Set(used);
    for (const group of this.#groups()) {
      if (used.has(group.id)) for (const { id } of group.members) needed.add(id);
    }
    const unused = [...this.#byId.values()].filter(({ id }) => !needed.has(id));
    // Groups first: a path takes the groups that have it alone along.
    const order = (entry: PathEntry | GroupEntry): number => (entry.kind === 'group' ? 0 : 1);
    unused.sort((a, b) => order(a) - order(b));
    const ids = new Set(unused.map(({ id }) => id));
    this.#delete(ids);
    for (const id of ids) this.#forget(id);
    return ids;
  }

  // --- what the kernel says

  nextHops(objects: readonly NextHopObject[]): void {
    const before = new Map([...this.#byId.values()].map((entry) => [entry.id, this.#keyOf(entry)]));
    this.#byId.clear();
    this.#sets.clear();
    this.#members.clear();
    const own = objects.filter(({ protocol }) => protocol === this.#kernel.protocol);
    const inGroups = new Set(own.flatMap(({ members }) => members.map(({ id }) => id)));
    for (const object of own) if (object.kind === 'path') this.#adoptPath(object, inGroups.has(object.id));
    for (const { kind, id, members } of own) {
      if (kind !== 'group') continue;
      const group: GroupEntry = { kind, id, members };
      this.#byId.set(id, group);
      this.#name(group);
    }
    const gone = new Set<number>();
    const changed = new Set<number>();
    for (const [id, key] of before) {
      const entry = this.#byId.get(id);
      if (entry === undefined) gone.add(id);
      else if (this.#keyOf(entry) !== key) changed.add(id);
    }
    this.#onLoss(gone, changed);
  }

  /** Somebody else changed or deleted an object. */
  nextHop(object: NextHopObject, isDeletion: boolean): void {
    const entry = this.#byId.get(object.id);
    if (entry === undefined) return;
    if (isDeletion) {
      this.#drop(new Set([object.id]));
    } else if (entry.kind === 'group' && object.kind === 'group') {
      if (sameMembers(entry.members, object.members)) return;
      this.#unname(entry.id);
      entry.members = object.members;
      this.#name(entry);
      this.#onLoss(new Set(), new Set([entry.id]));
    } else if (entry.kind !== 'path' || keyOfObject(object) !== entry.key) {
      // It leads elsewhere now: what pointed to it is to point to a new one.
      this.#unname(object.id);
      this.#onLoss(new Set([object.id]), new Set());
    }
  }

  /** An interface that cannot carry packets any more: its paths leave their groups, whatever the kernel does by itself without a word. */
  link(before: Link | undefined, after: Link | undefined): void {
    if (before === undefined || (after !== undefined && !isLost(before, after))) return;
    const ids = new Set(this.#paths().flatMap(({ id, hop }) => (hop.ifindex === before.ifindex ? [id] : [])));
    if (ids.size === 0) return;
    if (after !== undefined) this.#delete(ids);
    this.#drop(ids);
  }

  // --- bookkeeping

  #paths(): PathEntry[] {
    return [...this.#byId.values()].flatMap((entry) => (entry.kind === 'path' ? [entry] : []));
  }

  #groups(): GroupEntry[] {
    return [...this.#byId.values()].flatMap((entry) => (entry.kind === 'group' ? [entry] : []));
  }

  #createPath({ ifindex, gateway, flags }: NextHopFields): number | Verdict {
    const address = gateway === undefined ? undefined : addressFromBytes(gateway);
    const onlink = (flags & RTNH_F.ONLINK) !== 0;
    const id = this.#create((fresh) => ({
      ...blank(fresh, this.#kernel.protocol),
      ifindex,
      onlink,
      ...(address === undefined ? {} : { gateway: address }),
    }));
    if (typeof id !== 'number') return id;
    const hop = { ifindex, gateway: address, onlink, weight: 1 };
    this.#byId.set(id, { kind: 'path', id, key: hopKey({ ifindex, gateway, flags }), hop });
    return id;
  }

  #create(make: (id: number) => NextHopObject): number | Verdict {
    const first = this.#kernel.protocol * 2 ** ID_BITS;
    for (let attempt = 0; attempt < ID_ATTEMPTS; attempt++) {
      this.#lastId = this.#lastId >= first + 2 ** ID_BITS - 1 ? first + 1 : this.#lastId + 1;
      const id = this.#lastId;
      if (this.#byId.has(id)) continue;
      const verdict = this.#kernel.socket.tryRequest((writer) =>
        writeNextHop(writer, make(id), 'ipv4', NLM_F.CREATE | NLM_F.EXCL),
      );
      if (verdict.errno === 0) return id;
      if (verdict.errno !== EEXIST) return verdict;
    }
    return { errno: EEXIST, text: 'no free next-hop id found' };
  }

  /** One message for each path; that some are gone already is as well. */
  #delete(ids: ReadonlySet<number>): void {
    const left = [...ids];
    const writer = new MessageWriter(4096);
    try {
      while (left.length > 0) {
        const batch = left.splice(0, DELETIONS_PER_BATCH);
        writer.reset();
        for (const id of batch) writeNextHopDeletion(writer, id);
        if (this.#kernel.socket.batch(writer, batch.length).uncertain) this.#kernel.readAgain();
      }
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      this.#kernel.readAgain();
    }
  }

  /** Objects are gone from the kernel: groups are what is left of them, and those of which nothing is left are gone too. */
  #drop(ids: ReadonlySet<number>): void {
    const gone = new Set(ids);
    const changed = new Set<number>();
    for (const group of this.#groups()) {
      if (gone.has(group.id)) continue;
      const rest = group.members.filter(({ id }) => !ids.has(id));
      if (rest.length === group.members.length) continue;
      if (rest.length === 0) {
        gone.add(group.id);
        continue;
      }
      this.#unname(group.id);
      group.members = rest;
      changed.add(group.id);
    }
    for (const id of gone) this.#forget(id);
    for (const id of changed) {
      const group = this.#byId.get(id);
      if (group?.kind === 'group') this.#name(group);
    }
    this.#onLoss(gone, changed);
  }

  #adoptPath(object: NextHopObject, isMember: boolean): void {
    const { id, ifindex, gateway, onlink } = object;
    const key = keyOfObject(object);
    this.#byId.set(id, { kind: 'path', id, key, hop: { ifindex, gateway, onlink, weight: 1 } });
    const names = isMember ? this.#members : this.#sets;
    if (!names.has(key)) names.set(key, id);
  }

  /** Lets routes find a group by its members, unless another object stands for the same ones. */
  #name(group: GroupEntry): void {
    const key = this.#keyOf(group);
    if (!this.#sets.has(key)) this.#sets.set(key, group.id);
  }

  #keyOf(entry: PathEntry | GroupEntry): string {
    if (entry.kind === 'path') return entry.key;
    return setKey(
      entry.members.map(({ id, weight }) => {
        const path = this.#byId.get(id);
        return [path?.kind === 'path' ? path.key : `foreign ${id}`, weight];
      }),
    );
  }

  #unname(id: number): void {
    for (const names of [this.#sets, this.#members]) {
      for (const [key, named] of names) if (named === id) names.delete(key);
    }
  }

  #forget(id: number): void {
    this.#unname(id);
    this.#byId.delete(id);
  }
}

/** Of one that is running not yet, paths are made already: without its carrier the kernel drops them all the same. */
function isLost(before: Link, after: Link): boolean {
  return !after.isUp || !after.hasCarrier || (before.isRunning && !after.isRunning);
}

function blank(id: number, protocol: number): NextHopObject {
  return { id, protocol, kind: 'path', ifindex: 0, onlink: false, flags: 0, members: [] };
}

function hopKey({ ifindex, gateway, flags }: Pick<NextHopFields, 'ifindex' | 'gateway' | 'flags'>): string {
  const text = gateway === undefined ? '-' : Buffer.from(gateway).toString('hex');
  return `${ifindex} ${text} ${(flags & RTNH_F.ONLINK) !== 0 ? 'onlink' : ''}`;
}

function keyOfObject({ ifindex, gateway, onlink }: NextHopObject): string {
  return hopKey({ ifindex, gateway: gateway?.bytes, flags: onlink ? RTNH_F.ONLINK : 0 });
}

/** Of one next hop the weight makes no difference. */
function setKey(parts: readonly (readonly [hop: string, weight: number])[]): string {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only[0];
  return parts
    .map(([hop, weight]) => `${hop}*${weight}`)
    .sort()
    .join(', ');
}

function sameMembers(a: GroupEntry['members'], b: GroupEntry['members']): boolean {
  return (
    a.length === b.length &&
    a.every(({ id, weight }) => b.some((other) => other.id === id && other.weight === weight))
  );
}
