/** A peer's own address, which it is never told as a next hop (RFC 4271 5.1.3). */
import type { Address } from '../../src/net/address.ts';
import { octetsEqual } from '../wire/bytes.ts';
import type { RibTables } from './family-rib.ts';

export class OwnAddress {
  readonly #bytes: Uint8Array;
  readonly #tables: RibTables;
  /** the next hop that was compared last, and whether they are the same: mostly it is the next one too */
  #compared: Address | undefined;
  #isSame = false;

  constructor(address: Address, tables: RibTables) {
    this.#bytes = address.bytes;
    this.#tables = tables;
  }

  /** Whether attributes have it as their next hop. */
  isNextHopOf(attribute: number): boolean {
    return this.isNextHop(this.#tables.attributes.nextHop[attribute] ?? -1);
  }

  /** Whether a next hop, by its id, is it. Zones do not count here. */
  isNextHop(nextHop: number): boolean {
    const address = this.#tables.nextHops.addressOf(nextHop);
    if (address === this.#compared) return this.#isSame;
    this.#compared = address;
    this.#isSame = address !== undefined && octetsEqual(address.bytes, this.#bytes);
    return this.#isSame;
  }
}
