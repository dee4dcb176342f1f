/** Sets of next hops that prefixes are reached by, interned: 100,000 routes over the same two uplinks share one set. */
import { type Address, compareAddresses } from '../../src/net/address.ts';
import type { NextHopTable } from './next-hops.ts';

interface NextHopSet {
  readonly id: number;
  readonly key: string;
  readonly nextHops: readonly number[];
  readonly addresses: readonly Address[];
  /** of the traffic, beside `addresses`; undefined: equal */
  readonly shares: readonly number[] | undefined;
  references: number;
}

const NO_ADDRESSES: readonly Address[] = [];

/** Owner of set ids. An id is never given to another set, so that whoever remembers one cannot mistake it. */
export class NextHopSets {
  readonly #nextHops: NextHopTable;
  readonly #sets = new Map<number, NextHopSet>();
  readonly #ids = new Map<string, number>();
  readonly #singles = new Map<number, number>();
  #nextId = 0;
  /** the set that was interned or released last: mostly the next one too */
  #latest: NextHopSet | undefined;

  constructor(nextHops: NextHopTable) {
    this.#nextHops = nextHops;
  }

  get size(): number {
    return this.#sets.size;
  }

  /** The id of the set of `count` next-hop ids (in any order, repeats allowed), with one reference taken. */
  intern(nextHops: Int32Array, count: number): number {
    if (count === 1) return this.internOne(nextHops[0] ?? -1);
    const members = [...new Set(nextHops.subarray(0, count))].sort((a, b) => a - b);
    if (members.length === 1) return this.internOne(members[0] ?? -1);
    const key = members.join(' ');
    const known = this.#ids.get(key);
    return known !== undefined ? this.retain(known) : this.#make(key, members);
  }

  /** As `intern`, for one next hop. */
  internOne(nextHop: number): number {
    const latest = this.#latest;
    if (latest !== undefined && latest.nextHops.length === 1 && latest.nextHops[0] === nextHop) {
      latest.references++;
      return latest.id;
    }
    const known = this.#singles.get(nextHop);
    if (known !== undefined) return this.retain(known);
    const id = this.#make(`${nextHop}`, [nextHop]);
    this.#singles.set(nextHop, id);
    return id;
  }

  /** As `intern`, for next hops that share the traffic in proportion to `bandwidths`, which are not all the same; of one's repeats the least counts. */
  internShared(nextHops: Int32Array, bandwidths: Float32Array, count: number): number {
    const shares = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      const nextHop = nextHops[i] ?? -1;
      const bandwidth = bandwidths[i] ?? 0;
      shares.set(nextHop, Math.min(shares.get(nextHop) ?? bandwidth, bandwidth));
    }
    if (new Set(shares.values()).size === 1) return this.intern(nextHops, count);
    const members = [...shares.keys()].sort((a, b) => a - b);
    const key = members.map((nextHop) => `${nextHop}*${shares.get(nextHop)}`).join(' ');
    const known = this.#ids.get(key);
    return known !== undefined ? this.retain(known) : this.#make(key, members, shares);
  }

  /** Takes `count` further references on a set that is in use; returns its id. */
  retain(id: number, count = 1): number {
    const set = this.#find(id);
    if (set !== undefined) set.references += count;
    this.#latest = set;
    return id;
  }

  /** Gives `count` references back; LOCAL_PATH and NO_PATH have none. */
  release(id: number, count = 1): void {
    if (id < 0) return;
    const set = this.#find(id);
    if (set === undefined) return;
    set.references -= count;
    this.#latest = set;
    if (set.references > 0) return;
    this.#latest = undefined;
    this.#sets.delete(id);
    this.#ids.delete(set.key);
    if (set.nextHops.length === 1) this.#singles.delete(set.nextHops[0] ?? -1);
    for (const nextHop of set.nextHops) this.#nextHops.release(nextHop);
  }

  /** The addresses of a set in ascending order: always the same array for the same id. Empty for LOCAL_PATH and NO_PATH. */
  addresses(id: number): readonly Address[] {
    return this.#sets.get(id)?.addresses ?? NO_ADDRESSES;
  }

  /** What each of `addresses` is to have of the traffic, in proportion to the others; undefined: equal shares. */
  shares(id: number): readonly number[] | undefined {
    return this.#sets.get(id)?.shares;
  }

  #find(id: number): NextHopSet | undefined {
    return this.#latest?.id === id ? this.#latest : this.#sets.get(id);
  }

  #make(key: string, nextHops: readonly number[], shares?: ReadonlyMap<number, number>): number {
    const id = this.#nextId++;
    const members = nextHops.flatMap((nextHop) => {
      const address = this.#nextHops.addressOf(nextHop);
      return address === undefined ? [] : [{ address, share: shares?.get(nextHop) ?? 0 }];
    });
    members.sort((a, b) => compareAddresses(a.address, b.address));
    for (const nextHop of nextHops) this.#nextHops.retain(nextHop);
    this.#sets.set(id, {
      id,
      key,
      nextHops,
      addresses: members.map(({ address }) => address),
      shares: shares && members.map(({ share }) => share),
      references: 1,
    });
    this.#ids.set(key, id);
    return id;
  }
}
