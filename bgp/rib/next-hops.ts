/**
 * Next hops, interned: what the kernel says of each (RFC 4271 9.1.2.1), how many routes need it, and whether it is one of
 * our own addresses (RFC 4271 5.1.3: a route whose next hop is the receiver is not usable).
 */

import { type Address, addressFromBytes, formatAddress } from '../../src/net/address.ts';
import type { NextHopState } from '../types.ts';
import { octetsEqual } from '../wire/bytes.ts';
import type { AttributeKey } from '../wire/types.ts';

/** Told when the first received route with a next hop comes (`wanted`) and when the last one is gone. */
export type NextHopInterestListener = (address: Address, wanted: boolean) => void;

interface NextHopEntry {
  readonly text: string;
  readonly address: Address;
  /** of the octets in keys */
  readonly hash: number;
  /** attribute ids with this next hop */
  references: number;
  /** of those, the ones that routes carry; the others are forms that we announce */
  interest: number;
  state: NextHopState;
  /** sessions whose local address this is */
  ownBy: number;
}

const UNKNOWN: NextHopState = { reachable: false, why: 'not resolved yet' };
const ASSUMED: NextHopState = { reachable: true, metric: 0 };

/** Recently interned next hops, by the last octet. */
const RECENT = 16;

/** Owner of next-hop ids. There are few next hops, so each is an object; what the decision reads stands in columns. */
export class NextHopTable {
  /** 1: a route over this next hop may be used */
  usable = new Uint8Array(64);
  metric = new Uint32Array(64);

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
  /** by last octet modulo RECENT: octets and id; undefined once it is released */
  readonly #recent: (
    | { readonly octets: Uint8Array; readonly id: number; readonly entry: NextHopEntry }
    | undefined
  )[] = new Array(RECENT).fill(undefined);

  /** Without tracking every next hop counts as reachable with metric 0. */
  constructor(tracked: boolean) {
    this.#tracked = tracked;
  }

  get size(): number {
    return this.#ids.size;
  }

  /** At most one listener; it is told at once about the next hops that are in use already. */
  onInterest(listener: NextHopInterestListener): void {
    this.#interest = listener;
    for (const entry of this.#entries) {
      if (entry !== undefined && entry.interest > 0) listener(entry.address, true);
    }
  }

  /** The id of a key's next hop with one reference taken, or -1 when it has none. Of a global and link-local pair the global one. */
  internFromKey(key: AttributeKey): number {
    const length = key[0] ?? 0;
    if (length === 0) return -1;
    const end = Math.min(16, length);
    const recent = this.#recent[(key[end] ?? 0) & (RECENT - 1)];
    if (recent !== undefined && startsWith(key, recent.octets, end)) {
      recent.entry.references++;
      return recent.id;
    }
    return this.#internOctets(key.subarray(1, 1 + end));
  }

  /** Apart from the short way, which would pay for the closure here with an object a call. */
  #internOctets(octets: Uint8Array): number {
    const hash = cheapHash(octets);
    const bucket = this.#byOctets.get(hash);
    const found = bucket?.find((candidate) => octetsEqual(candidate.octets, octets));
    if (found !== undefined) {
      const entry = this.#entries[found.id];
      if (entry !== undefined) {
        entry.references++;
        const place = (octets[octets.length - 1] ?? 0) & (RECENT - 1);
        this.#recent[place] = { octets: found.octets, id: found.id, entry };
      }
      return found.id;
    }
    const address = this.#scopedAddress(octets);
    const text = formatAddress(address);
    const id = this.#freeIds.pop() ?? this.#entries.length;
    const entry: NextHopEntry = {
      text,
      address,
      hash,
      references: 1,
      interest: 0,
      state: this.#tracked ? UNKNOWN : ASSUMED,
      ownBy: this.#own.get(text) ?? 0,
    };
    this.#entries[id] = entry;
    this.#ids.set(text, id);
    const slot = { octets: octets.slice(), id };
    if (bucket === undefined) this.#byOctets.set(hash, [slot]);
    else bucket.push(slot);
    if (id >= this.usable.length) {
      const usable = new Uint8Array(this.usable.length * 2);
      usable.set(this.usable);
      this.usable = usable;
      const metric = new Uint32Array(usable.length);
      metric.set(this.metric);
      this.metric = metric;
    }
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

  /** Takes a further reference. */
  retain(id: number): void {
    const entry = this.#entries[id];
    if (entry !== undefined) entry.references++;
  }

  /** Gives a reference back; the last one frees the id. */
  release(id: number): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    entry.references--;
    if (entry.references > 0) return;
    this.#entries[id] = undefined;
    for (const [index, recent] of this.#recent.entries()) {
      if (recent?.entry === entry) this.#recent[index] = undefined;
    }
    this.#ids.delete(entry.text);
    const hash = entry.hash;
    const rest = this.#byOctets.get(hash)?.filter((slot) => slot.id !== id) ?? [];
    if (rest.length === 0) this.#byOctets.delete(hash);
    else this.#byOctets.set(hash, rest);
    this.#freeIds.push(id);
  }

  /** A set of attributes with this next hop is on a route now. -1 is ignored. */
  addInterest(id: number): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    entry.interest++;
    if (entry.interest === 1) this.#interest?.(entry.address, true);
  }

  /** The last route with a set of attributes is gone. */
  removeInterest(id: number): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    entry.interest--;
    if (entry.interest > 0) return;
    if (this.#tracked) {
      // Nobody follows it from now on, so what was known of it is worth nothing when it comes back.
      entry.state = UNKNOWN;
      this.#project(id, entry);
    }
    this.#interest?.(entry.address, false);
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
    if (!this.#tracked || id === undefined || entry === undefined || entry.interest === 0) return -1;
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

/** Whether a key's next hop, of which `octets` octets count, is this one. */
function startsWith(key: AttributeKey, nextHop: Uint8Array, octets: number): boolean {
  if (nextHop.length !== octets) return false;
  for (let i = 0; i < octets; i++) if (key[1 + i] !== nextHop[i]) return false;
  return true;
}

function cheapHash(octets: Uint8Array): number {
  let hash = octets.length;
  for (const octet of octets) hash = (Math.imul(hash, 31) + octet) | 0;
  return hash;
}
