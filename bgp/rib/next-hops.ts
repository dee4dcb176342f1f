/**
 * Next hops, interned: what the kernel says of each (RFC 4271 9.1.2.1), how many routes need it, and whether it is one of
 * our own addresses (RFC 4271 5.1.3: a route whose next hop is the receiver is not usable).
 */

import {
  NEXT_HOP_FIELDS,
  NEXT_HOP_INTEREST,
  NEXT_HOP_METRIC,
  NEXT_HOP_RECENT,
  NEXT_HOP_RECENT_ENTRIES,
  NEXT_HOP_RECENT_OCTETS,
  NEXT_HOP_REFERENCES,
  NEXT_HOP_USABLE,
} from '../../src/core/assembly/layout.ts';
import { Core } from '../../src/core/core.ts';
import { type Address, addressFromBytes, formatAddress } from '../../src/net/address.ts';
import type { NextHopState } from '../types.ts';
import { octetsEqual } from '../wire/bytes.ts';

/** Told when the first received route with a next hop comes (`wanted`) and when the last one is gone. */
export type NextHopInterestListener = (address: Address, wanted: boolean) => void;

interface NextHopEntry {
  readonly text: string;
  readonly address: Address;
  /** of the octets in keys */
  readonly hash: number;
  state: NextHopState;
  /** sessions whose local address this is */
  ownBy: number;
}

const UNKNOWN: NextHopState = { reachable: false, why: 'not resolved yet' };
const ASSUMED: NextHopState = { reachable: true, metric: 0 };

/**
 * Owner of next-hop ids. There are few next hops, so each is an object; what the decision reads and what is counted for each set of attributes
 * stands in columns, which are replaced when they grow. The counting is done in src/core/assembly/next-hops.ts.
 */
export class NextHopTable {
  /** 1: a route over this next hop may be used */
  usable: Uint8Array<SharedArrayBuffer>;
  metric: Uint32Array<SharedArrayBuffer>;
  /** where its block stands for the inner loops */
  readonly address: number;
  /** what belongs to the RIB lives there */
  readonly core: Core;

  /** a next hop that is reached by another interface makes a difference to routes: some export rule asks for it */
  reportsInterfaces = false;

  readonly #entries: (NextHopEntry | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #byOctets = new Map<number, { readonly octets: Uint8Array; readonly id: number }[]>();
  readonly #freeIds: number[] = [];
  readonly #tracked: boolean;
  readonly #own = new Map<string, number>();
  /** interfaces that link-local next hops belong to; the index is the number that stands in a key's next hop */
  readonly #scopes: string[] = [''];
  #interest: NextHopInterestListener | undefined;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** attribute ids with a next hop, and sets of next hops */
  #references: Int32Array<SharedArrayBuffer>;
  /** of these attribute ids, the ones that routes carry; the others are forms that we announce */
  #interestOf: Int32Array<SharedArrayBuffer>;

  /** Without tracking every next hop counts as reachable with metric 0. `core`: where it is to live; default: in memory of its own. */
  constructor(tracked: boolean, core = new Core()) {
    this.#tracked = tracked;
    this.core = core;
    this.usable = core.uint8(64);
    this.metric = core.uint32(64);
    this.#references = core.int32(64);
    this.#interestOf = core.int32(64);
    this.#block = core.block(NEXT_HOP_FIELDS, {
      internNextHop: (address, octets) => this.#intern(core.octets.slice(address, address + octets)),
      freeNextHop: (id) => this.#free(id),
      nextHopWanted: (id, wanted) => this.#wanted(id, wanted),
    });
    this.address = this.#block.byteOffset;
    this.#block[NEXT_HOP_RECENT] = core.allocate(NEXT_HOP_RECENT_ENTRIES * NEXT_HOP_RECENT_OCTETS);
    this.#publish();
  }

  get size(): number {
    return this.#ids.size;
  }

  /** At most one listener; it is told at once about the next hops that are in use already. */
  onInterest(listener: NextHopInterestListener): void {
    this.#interest = listener;
    for (const [id, entry] of this.#entries.entries()) {
      if (entry !== undefined && (this.#interestOf[id] ?? 0) > 0) listener(entry.address, true);
    }
  }

  /** The id of a next hop as it stands in keys, with one reference taken. The octets are kept. */
  #intern(octets: Uint8Array): number {
    const hash = cheapHash(octets);
    const bucket = this.#byOctets.get(hash);
    const found = bucket?.find((candidate) => octetsEqual(candidate.octets, octets));
    if (found !== undefined) {
      this.retain(found.id);
      return found.id;
    }
    const address = this.#scopedAddress(octets);
    const text = formatAddress(address);
    const id = this.#freeIds.pop() ?? this.#entries.length;
    const entry: NextHopEntry = {
      text,
      address,
      hash,
      state: this.#tracked ? UNKNOWN : ASSUMED,
      ownBy: this.#own.get(text) ?? 0,
    };
    this.#entries[id] = entry;
    this.#ids.set(text, id);
    const slot = { octets, id };
    if (bucket === undefined) this.#byOctets.set(hash, [slot]);
    else bucket.push(slot);
    if (id >= this.usable.length) this.#grow();
    this.#references[id] = 1;
    this.#interestOf[id] = 0;
    this.#project(id, entry);
    return id;
  }

  /**
   * The number of an interface, 1..65535, which stands in octets 2 and 3 of a link-local next hop inside of the RIB, where these octets are zero by
   * RFC 4291 2.5.6: so the same address on two links is two next hops.
   */
  scopeOf(interfaceName: string): number {
    const known = this.#scopes.indexOf(interfaceName, 1);
    if (known > 0) return known;
    if (this.#scopes.length > 0xffff) throw new RangeError('more than 65535 interfaces with BGP peers');
    return this.#scopes.push(interfaceName) - 1;
  }

  /** A key's next hop as an address: with its zone where it has one, and without the number that stands for it. */
  #scopedAddress(octets: Uint8Array): Address {
    const scope = scopeIn(octets);
    if (scope === 0) return addressFromBytes(octets);
    return this.unscoped({ family: 'ipv6', bytes: octets.slice() });
  }

  /** An address out of a key of the RIB as everybody else writes it. */
  unscoped(address: Address): Address {
    const zone = this.#scopes[scopeIn(address.bytes)];
    if (zone === undefined || zone === '') return address;
    const bytes = address.bytes.slice();
    bytes[2] = 0;
    bytes[3] = 0;
    return { family: 'ipv6', bytes, zone };
  }

  /** Takes a further reference. -1 is ignored. */
  retain(id: number): void {
    if (id >= 0) this.#references[id] = (this.#references[id] ?? 0) + 1;
  }

  /** Gives a reference back; the last one frees the id. -1 is ignored. */
  release(id: number): void {
    this.core.calls.nextHopRelease(this.address, id);
  }

  /** The last reference is gone. */
  #free(id: number): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    this.#entries[id] = undefined;
    this.#ids.delete(entry.text);
    const { hash } = entry;
    const rest = this.#byOctets.get(hash)?.filter((slot) => slot.id !== id) ?? [];
    if (rest.length === 0) this.#byOctets.delete(hash);
    else this.#byOctets.set(hash, rest);
    this.#freeIds.push(id);
  }

  /** The first set of attributes with a next hop is on a route now, or the last one on none any more. */
  #wanted(id: number, wanted: boolean): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    if (!wanted && this.#tracked) {
      // Nobody follows it from now on, so what was known of it is worth nothing when it comes back.
      entry.state = UNKNOWN;
      this.#project(id, entry);
    }
    this.#interest?.(entry.address, wanted);
  }

  addressOf(id: number): Address | undefined {
    return this.#entries[id]?.address;
  }

  /** The id of an address that some attributes use, or -1. */
  find(address: Address): number {
    return this.#ids.get(formatAddress(address)) ?? -1;
  }

  isOwn(id: number): boolean {
    return (this.#entries[id]?.ownBy ?? 0) > 0;
  }

  /** Records what the kernel says. Returns the next hop's id when that makes a difference to routes, else -1. */
  setState(address: Address, state: NextHopState): number {
    const id = this.#ids.get(formatAddress(address));
    const entry = id === undefined ? undefined : this.#entries[id];
    // An answer that comes after the last route went is not kept: the next interest asks anew.
    if (!this.#tracked || id === undefined || entry === undefined || this.#interestOf[id] === 0) return -1;
    const before = interfaceOf(entry);
    entry.state = state;
    const moved = this.reportsInterfaces && interfaceOf(entry) !== before;
    return this.#project(id, entry) || moved ? id : -1;
  }

  /** The interface by which a next hop is reached; undefined when there is none, or several, or nobody has said. */
  interfaceOf(id: number): string | undefined {
    const entry = this.#entries[id];
    return entry && interfaceOf(entry);
  }

  /** A session with this local address came up (+1) or went (-1). Returns the next hop's id when routes are concerned, else -1. */
  changeOwn(address: Address, by: 1 | -1): number {
    const text = formatAddress(address);
    const count = (this.#own.get(text) ?? 0) + by;
    if (count > 0) this.#own.set(text, count);
    else this.#own.delete(text);
    const id = this.#ids.get(text);
    const entry = id === undefined ? undefined : this.#entries[id];
    if (id === undefined || entry === undefined) return -1;
    entry.ownBy = Math.max(0, count);
    return this.#project(id, entry) ? id : -1;
  }

  #grow(): void {
    const { core } = this;
    const capacity = 2 * this.usable.length;
    this.usable = core.moved(this.usable, core.uint8(capacity));
    this.metric = core.moved(this.metric, core.uint32(capacity));
    this.#references = core.moved(this.#references, core.int32(capacity));
    this.#interestOf = core.moved(this.#interestOf, core.int32(capacity));
    this.#publish();
  }

  /** Tells the inner loops where the columns are. */
  #publish(): void {
    this.#block[NEXT_HOP_USABLE] = this.usable.byteOffset;
    this.#block[NEXT_HOP_METRIC] = this.metric.byteOffset;
    this.#block[NEXT_HOP_REFERENCES] = this.#references.byteOffset;
    this.#block[NEXT_HOP_INTEREST] = this.#interestOf.byteOffset;
  }

  /** Brings the columns in step with an entry; whether they changed. */
  #project(id: number, entry: NextHopEntry): boolean {
    const usable = entry.state.reachable && entry.ownBy === 0 ? 1 : 0;
    const metric = entry.state.reachable ? entry.state.metric : 0;
    if (this.usable[id] === usable && this.metric[id] === metric) return false;
    this.usable[id] = usable;
    this.metric[id] = metric;
    return true;
  }
}

function interfaceOf({ state, address }: NextHopEntry): string | undefined {
  return state.reachable ? (state.interface ?? address.zone) : undefined;
}

/** The interface number in a link-local address; 0 for none. */
export function scopeIn(octets: Uint8Array): number {
  if (octets.length !== 16 || octets[0] !== 0xfe || ((octets[1] ?? 0) & 0xc0) !== 0x80) return 0;
  return ((octets[2] ?? 0) << 8) | (octets[3] ?? 0);
}

function cheapHash(octets: Uint8Array): number {
  let hash = octets.length;
  for (const octet of octets) hash = (Math.imul(hash, 31) + octet) | 0;
  return hash;
}
