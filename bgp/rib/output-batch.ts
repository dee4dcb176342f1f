/**
 * A batch of prefixes on its way into messages for one peer: withdrawals first, then announcements, those with the same attributes together
 * wherever they stood in the batch. What a peer has been sent is noted when it is written, not before.
 */
import type { Family } from '../../src/net/address.ts';
import { encodeRouteRefresh } from '../wire/messages.ts';
import { encodeEndOfRib, type PackOptions, UpdatePacker } from '../wire/packer.ts';
import { AFI, SAFI_UNICAST } from '../wire/registry.ts';
import type { AttributeStore } from './attribute-store.ts';
import { grownInt32 } from './columns.ts';
import type { FamilyRib } from './family-rib.ts';
import { markAnnounced, markWithdrawn, type PeerOutput, wasSent } from './peer-output.ts';
import type { PeerSession } from './peers.ts';

const ENTRIES = 4096;
const NONE = -1;
/** the only path identifier that we give: one path a prefix is announced (RFC 7911 3) */
const PATH_ID = 1;
/** header, lengths and MP attribute around the attributes of a message, at most */
const MESSAGE_OVERHEAD = 72;

/** Scratch space for one batch at a time; shared by all peers. */
export class OutputBatch {
  /** the buffer had no room for everything; the rest went to the peer's retry list */
  ranOut = false;
  /** it ran out, or some attributes fit into no message for this peer */
  isPartial = false;
  readonly #attributes: AttributeStore;
  readonly #packer = new UpdatePacker();
  readonly #prefixes = new Int32Array(ENTRIES);
  readonly #next = new Int32Array(ENTRIES);
  #count = 0;
  readonly #withdrawn = new Int32Array(ENTRIES);
  #withdrawnCount = 0;
  /** by attribute id: newest entry of the batch with it; -1 outside of a batch */
  #head = new Int32Array(256).fill(NONE);
  /** attribute ids of the batch in order of appearance, and their first entries */
  readonly #distinct = new Int32Array(ENTRIES);
  readonly #first = new Int32Array(ENTRIES);
  #distinctCount = 0;
  #rib: FamilyRib | undefined;
  #target: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** octets left by a careful estimate */
  #room = 0;
  #prefixOctets = 0;
  #options: PackOptions = { as4: true, extendedNextHop: false, addPath: false, maxLength: 4096 };

  constructor(attributes: AttributeStore) {
    this.#attributes = attributes;
  }

  /** Starts a batch of a family that is to be written into `target` from `at`. */
  open(rib: FamilyRib, session: PeerSession, target: Uint8Array, at: number): void {
    this.#rib = rib;
    this.#target = target;
    this.#at = at;
    this.#count = 0;
    this.#withdrawnCount = 0;
    this.#distinctCount = 0;
    this.#room = target.length - at;
    this.ranOut = false;
    this.isPartial = false;
    const addPath = session.addPathSend[rib.family];
    this.#prefixOctets = (rib.family === 'ipv4' ? 4 : 9) + (addPath ? 4 : 0);
    const { as4, extendedNextHop } = session.context;
    this.#options = { as4, extendedNextHop, addPath, maxLength: session.maxMessage };
  }

  /** No more entries should be put in. */
  get isFull(): boolean {
    return this.#count === ENTRIES || this.#withdrawnCount === ENTRIES || this.#room <= 0;
  }

  get isEmpty(): boolean {
    return this.#count === 0 && this.#withdrawnCount === 0;
  }

  announce(prefix: number, attribute: number): void {
    if (attribute >= this.#head.length) {
      this.#head = grownInt32(this.#head, this.#attributes.capacity, NONE);
    }
    const entry = this.#count++;
    this.#prefixes[entry] = prefix;
    this.#next[entry] = NONE;
    const last = this.#head[attribute] ?? NONE;
    this.#head[attribute] = entry;
    this.#room -= this.#prefixOctets;
    if (last !== NONE) {
      this.#next[last] = entry;
      return;
    }
    this.#room -= MESSAGE_OVERHEAD + this.#attributes.keyLength(attribute);
    this.#distinct[this.#distinctCount] = attribute;
    this.#first[this.#distinctCount++] = entry;
  }

  withdraw(prefix: number): void {
    this.#room -= this.#prefixOctets;
    this.#withdrawn[this.#withdrawnCount++] = prefix;
  }

  /** Writes the batch for a peer; returns the offset after its last message. */
  write(output: PeerOutput): number {
    const rib = this.#rib;
    if (rib === undefined) return this.#at;
    this.#writeWithdrawals(rib, output);
    this.#withdrawnCount = 0;
    for (let i = 0; i < this.#distinctCount; i++) {
      const attribute = this.#distinct[i] ?? NONE;
      this.#head[attribute] = NONE;
      this.#writeAnnouncements(rib, output, attribute, this.#first[i] ?? NONE);
    }
    // Attributes that fit into no message: the peer must not keep what it had (RFC 8654 5).
    if (this.#withdrawnCount > 0) this.#writeWithdrawals(rib, output);
    return this.#at;
  }

  /** Writes an End-of-RIB marker at `at`; returns the offset after it, or -1 when there is no room. */
  writeEndOfRib(family: Family, target: Uint8Array, at: number): number {
    const message = encodeEndOfRib(family);
    if (at + message.length > target.length) return -1;
    target.set(message, at);
    return at + message.length;
  }

  /** Writes one end of a refresh (RFC 7313 4.1) at `at`; returns the offset after it, or -1 when there is no room. */
  writeRefreshMark(family: Family, subtype: number, target: Uint8Array, at: number): number {
    const message = encodeRouteRefresh(AFI[family], SAFI_UNICAST, subtype);
    if (at + message.length > target.length) return -1;
    target.set(message, at);
    return at + message.length;
  }

  #writeWithdrawals(rib: FamilyRib, output: PeerOutput): void {
    let from = 0;
    while (from < this.#withdrawnCount) {
      const start = this.#packer.beginWithdraw(this.#target, this.#at, rib.family, this.#options);
      if (start !== 'begun') break;
      let to = from;
      while (to < this.#withdrawnCount && this.#addWithdrawal(rib, output, this.#withdrawn[to] ?? NONE)) to++;
      if (to === from) break;
      this.#at += this.#packer.finish();
      from = to;
    }
    for (; from < this.#withdrawnCount; from++) this.#postpone(output, this.#withdrawn[from] ?? NONE);
  }

  #writeAnnouncements(rib: FamilyRib, output: PeerOutput, attribute: number, first: number): void {
    // One view for all messages: the packer renders the attributes of the same key object only once.
    const key = this.#attributes.key(attribute);
    let entry = first;
    while (entry !== NONE) {
      const start = this.#packer.beginReach(this.#target, this.#at, rib.family, key, this.#options);
      if (start === 'unsendable') {
        this.isPartial = true;
        for (; entry !== NONE; entry = this.#next[entry] ?? NONE) {
          const prefix = this.#prefixes[entry] ?? NONE;
          if (wasSent(output, prefix)) this.#withdrawn[this.#withdrawnCount++] = prefix;
        }
        return;
      }
      if (start === 'no-room') break;
      const before = entry;
      while (entry !== NONE && this.#add(rib, this.#prefixes[entry] ?? NONE)) {
        markAnnounced(rib, output, this.#prefixes[entry] ?? NONE);
        entry = this.#next[entry] ?? NONE;
      }
      if (entry === before) break;
      this.#at += this.#packer.finish();
    }
    for (; entry !== NONE; entry = this.#next[entry] ?? NONE) {
      this.#postpone(output, this.#prefixes[entry] ?? NONE);
    }
  }

  /** Adds a withdrawal and notes it at once, since a prefix may stand in the list twice. False: the message is full. */
  #addWithdrawal(rib: FamilyRib, output: PeerOutput, prefix: number): boolean {
    if (!wasSent(output, prefix)) return true;
    if (!this.#add(rib, prefix)) return false;
    markWithdrawn(rib, output, prefix);
    return true;
  }

  #postpone(output: PeerOutput, prefix: number): void {
    this.ranOut = true;
    this.isPartial = true;
    output.retry.push(prefix);
  }

  #add(rib: FamilyRib, prefix: number): boolean {
    const { prefixes } = rib;
    const length = prefixes.lengthOf(prefix);
    if (rib.family === 'ipv4') return this.#packer.add(length, prefixes.wordOf(prefix, 0), 0, 0, 0, PATH_ID);
    return this.#packer.add(
      length,
      prefixes.wordOf(prefix, 0),
      prefixes.wordOf(prefix, 1),
      prefixes.wordOf(prefix, 2),
      prefixes.wordOf(prefix, 3),
      PATH_ID,
    );
  }
}
