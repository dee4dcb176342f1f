/** Messages about paths with identifiers (RFC 7911 3): whole UPDATEs, one after the other, into the buffer of one peer. */
import type { PackOptions, PackStart, UpdatePacker } from '../wire/packer.ts';
import type { AttributeKey } from '../wire/types.ts';
import type { FamilyRib } from './family-rib.ts';

/** Header, lengths and MP attribute around the attributes of a message, at most. */
const MESSAGE_OVERHEAD = 72;
/** Octets of an NLRI with its path identifier, at most. */
const NLRI_OCTETS = { ipv4: 9, ipv6: 21 } as const;

/** A path's identifier: its record in Adj-RIB-In, which stays the same while the path lives, and not 0. */
export function pathIdOf(record: number): number {
  return record + 1;
}

/** Writes into one buffer, from its construction on until that is full. */
export class PathMessages {
  /** offset after the last whole message */
  at: number;
  /** octets that are neither taken by withdrawals nor spoken for, by a careful estimate */
  room: number;
  readonly #nlriOctets: number;
  readonly #rib: FamilyRib;
  readonly #packer: UpdatePacker;
  readonly #options: PackOptions;
  readonly #target: Uint8Array;
  #isUnderWay = false;
  #isWithdrawing = false;

  constructor(rib: FamilyRib, packer: UpdatePacker, options: PackOptions, target: Uint8Array, at: number) {
    this.#rib = rib;
    this.#packer = packer;
    this.#options = options;
    this.#target = target;
    this.at = at;
    this.room = target.length - at;
    this.#nlriOctets = NLRI_OCTETS[rib.family];
  }

  /** Speaks for the room of a path that is to be announced later. */
  planPath(): void {
    this.room -= this.#nlriOctets;
  }

  /** The same for the message that it goes into, with so many octets of attributes. */
  planMessage(attributeOctets: number): void {
    this.room -= MESSAGE_OVERHEAD + attributeOctets;
  }

  /** Puts a withdrawal into the message of withdrawals under way, or into a new one. False: there is no room. */
  withdraw(prefix: number, record: number): boolean {
    this.room -= this.#nlriOctets;
    if (this.#isWithdrawing && this.add(prefix, record)) return true;
    this.finish();
    if (this.#packer.beginWithdraw(this.#target, this.at, this.#rib.family, this.#options) !== 'begun') {
      this.room = 0;
      return false;
    }
    this.#isUnderWay = true;
    this.#isWithdrawing = true;
    return this.add(prefix, record);
  }

  /** Begins a message of announcements with these attributes. */
  beginReach(key: AttributeKey): PackStart {
    this.finish();
    const start = this.#packer.beginReach(this.#target, this.at, this.#rib.family, key, this.#options);
    this.#isUnderWay = start === 'begun';
    return start;
  }

  /** Adds a path to the message that was begun. False: it is full. */
  add(prefix: number, record: number): boolean {
    const { prefixes, family } = this.#rib;
    const length = prefixes.lengthOf(prefix);
    const w0 = prefixes.wordOf(prefix, 0);
    if (family === 'ipv4') return this.#packer.add(length, w0, 0, 0, 0, pathIdOf(record));
    return this.#packer.add(
      length,
      w0,
      prefixes.wordOf(prefix, 1),
      prefixes.wordOf(prefix, 2),
      prefixes.wordOf(prefix, 3),
      pathIdOf(record),
    );
  }

  /** Completes the message under way, if there is one with anything in it. */
  finish(): void {
    if (this.#isUnderWay) this.at += this.#packer.finish();
    this.#isUnderWay = false;
    this.#isWithdrawing = false;
  }
}
