/**
 * A batch of prefixes on its way into messages for one peer: withdrawals first, then announcements, those with the same attributes together
 * wherever they stood in the batch. What a peer has been sent is noted when it is written, not before. All that is done by the inner loops
 * (src/core/assembly/output-batch.ts, output.ts).
 */
import {
  BATCH_ATTRIBUTES,
  BATCH_CAPACITY,
  BATCH_COUNT,
  BATCH_FIELDS,
  BATCH_HAS_UNSENDABLE,
  BATCH_LEFT,
  BATCH_LEFT_COUNT,
  BATCH_NEXT,
  BATCH_NLRI_OCTETS,
  BATCH_PACKER,
  BATCH_PREFIXES,
  BATCH_RECORDS,
  BATCH_ROOM,
  BATCH_SETS,
  BATCH_SLOT_MASK,
  BATCH_SLOTS,
  BATCH_WITHDRAWN,
  BATCH_WITHDRAWN_COUNT,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import { encodeRouteRefresh } from '../wire/messages.ts';
import { encodeEndOfRib, type UpdatePacker } from '../wire/packer.ts';
import { AFI, SAFI_UNICAST } from '../wire/registry.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import type { PeerOutput } from './peer-output.ts';
import type { PeerSession } from './peers.ts';
import type { SharedOutput } from './shared-output.ts';

const ENTRIES = 4096;
const NONE = -1;

/** Scratch space for one batch at a time; shared by all peers. */
export class OutputBatch {
  /** the buffer had no room for everything; the rest went to the peer's retry list */
  ranOut = false;
  /** it ran out, or some attributes fit into no message for this peer */
  isPartial = false;
  readonly #tables: RibTables;
  readonly #packer: UpdatePacker;
  readonly #block: Int32Array<SharedArrayBuffer>;
  readonly #address: number;

  constructor(tables: RibTables, packer: UpdatePacker) {
    this.#tables = tables;
    this.#packer = packer;
    this.#block = batchBlock(tables, packer, ENTRIES);
    this.#address = this.#block.byteOffset;
  }

  /** Starts a batch of a family that is to be written where there is room for so many octets. */
  open(rib: FamilyRib, session: PeerSession, octets: number): void {
    const { context, maxMessage: maxLength } = session;
    const { as4, extendedNextHop } = context;
    const room = this.#packer.open(rib.family, { as4, extendedNextHop, addPath: false, maxLength }, octets);
    this.#tables.core.calls.batchClear(this.#address);
    this.#block[BATCH_ROOM] = room;
    this.#block[BATCH_NLRI_OCTETS] = rib.family === 'ipv4' ? 4 : 9;
    this.ranOut = false;
    this.isPartial = false;
  }

  /** No more entries should be put in. */
  get isFull(): boolean {
    const block = this.#block;
    return (
      (block[BATCH_ROOM] ?? 0) <= 0 ||
      block[BATCH_COUNT] === ENTRIES ||
      block[BATCH_WITHDRAWN_COUNT] === ENTRIES
    );
  }

  get isEmpty(): boolean {
    return this.#block[BATCH_COUNT] === 0 && this.#block[BATCH_WITHDRAWN_COUNT] === 0;
  }

  announce(prefix: number, attribute: number): void {
    this.#tables.core.calls.batchAnnounce(this.#address, prefix, NONE, attribute);
  }

  withdraw(prefix: number): void {
    this.#tables.core.calls.batchWithdraw(this.#address, prefix);
  }

  /** Puts in what a peer has not read of its group's log, as long as there is room, but no more than `limit` entries; returns how many those were. */
  takeLog(output: PeerOutput, limit: number, shared: SharedOutput | undefined): number {
    return this.#tables.core.calls.outputTakeLog(output.address, this.#address, limit, shared?.address ?? 0);
  }

  /** Puts in what a peer is to be told of prefix ids `from..end-1`, as long as there is room; returns the first that was not looked at. */
  takeWalk(output: PeerOutput, from: number, end: number, isForced: boolean): number {
    const { calls } = this.#tables.core;
    return calls.outputTakeWalk(output.address, this.#address, from, end, isForced ? 1 : 0);
  }

  /** Writes the batch for a peer into `target` from `at`; returns the offset after its last message. */
  write(output: PeerOutput, target: Uint8Array, at: number): number {
    const block = this.#block;
    this.#tables.core.calls.batchWrite(this.#address, output.address);
    const left = block[BATCH_LEFT_COUNT] ?? 0;
    this.ranOut = left > 0;
    this.isPartial = this.ranOut || block[BATCH_HAS_UNSENDABLE] === 1;
    if (left > 0) {
      const ids = this.#tables.core.int32At(block[BATCH_LEFT] ?? 0, left);
      for (const id of ids) output.retry.push(id);
    }
    return at + this.#packer.copyTo(target, at);
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
}

/** The block of a batch with room for so many entries (a power of two); those that a caller puts in beyond make it longer. */
export function batchBlock(
  { core, attributes }: { readonly core: Core; readonly attributes: { readonly address: number } },
  packer: { readonly address: number },
  entries: number,
): Int32Array<SharedArrayBuffer> {
  const block = core.block(BATCH_FIELDS, {});
  block[BATCH_PACKER] = packer.address;
  block[BATCH_ATTRIBUTES] = attributes.address;
  block[BATCH_CAPACITY] = entries;
  block[BATCH_PREFIXES] = core.allocate(4 * entries);
  block[BATCH_RECORDS] = core.allocate(4 * entries);
  block[BATCH_NEXT] = core.allocate(4 * entries);
  block[BATCH_WITHDRAWN] = core.allocate(4 * entries);
  block[BATCH_LEFT] = core.allocate(8 * entries);
  block[BATCH_SETS] = core.allocate(16 * entries);
  block[BATCH_SLOTS] = core.allocate(16 * entries);
  block[BATCH_SLOT_MASK] = 4 * entries - 1;
  return block;
}
