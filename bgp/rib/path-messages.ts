/**
 * Messages about paths with identifiers (RFC 7911 3) for one peer: withdrawals as they come up, announcements collected and written at the end, those
 * with the same attributes together. The inner loops do it (src/core/assembly/sent-paths.ts, output-batch.ts).
 */
import { BATCH_NLRI_OCTETS, BATCH_ROOM } from '../../src/core/assembly/layout.ts';
import type { PackOptions, UpdatePacker } from '../wire/packer.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { batchBlock } from './output-batch.ts';
import type { SentPaths } from './sent-paths.ts';

/** Paths that there is room for at first. */
const FIRST_ENTRIES = 256;
/** Octets of an NLRI with its path identifier, at most. */
const NLRI_OCTETS = { ipv4: 9, ipv6: 21 } as const;

/** A path's identifier: its record in Adj-RIB-In, which stays the same while the path lives, and not 0. */
export function pathIdOf(record: number): number {
  return record + 1;
}

/** One for all peers, for one buffer at a time. */
export class PathMessages {
  readonly #tables: RibTables;
  readonly #packer: UpdatePacker;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** where the prefixes of the family stand for the inner loops */
  #prefixes = 0;

  constructor(tables: RibTables, packer: UpdatePacker) {
    this.#tables = tables;
    this.#packer = packer;
    this.#block = batchBlock(tables, packer, FIRST_ENTRIES);
  }

  /** From now on they are about a family, and there is room for so many octets. */
  open(rib: FamilyRib, options: PackOptions, octets: number): void {
    const room = this.#packer.open(rib.family, options, octets);
    this.#tables.core.calls.batchClear(this.#block.byteOffset);
    this.#block[BATCH_ROOM] = room;
    this.#block[BATCH_NLRI_OCTETS] = NLRI_OCTETS[rib.family];
    this.#prefixes = rib.prefixes.address;
  }

  /** Octets that are neither taken by withdrawals nor spoken for, by a careful estimate. */
  get room(): number {
    return this.#block[BATCH_ROOM] ?? 0;
  }

  /** A path is to be announced when all is written. */
  announce(prefix: number, record: number, attribute: number): void {
    this.#tables.core.calls.batchAnnounce(this.#block.byteOffset, prefix, record, attribute);
  }

  /** Puts a withdrawal into the message of withdrawals under way, or into a new one. False: there is no room. */
  withdraw(prefix: number, record: number): boolean {
    const { calls } = this.#tables.core;
    const isWritten =
      calls.packWithdrawal(this.#packer.address, this.#prefixes, prefix, pathIdOf(record)) !== 0;
    this.#block[BATCH_ROOM] = isWritten ? this.room - (this.#block[BATCH_NLRI_OCTETS] ?? 0) : 0;
    return isWritten;
  }

  /** Writes everything into `target` from `at`, and notes what the peer has been sent; returns the offset after it. */
  write(sent: SentPaths, target: Uint8Array, at: number): number {
    this.#tables.core.calls.pathsWrite(this.#block.byteOffset, sent.address);
    return at + this.#packer.copyTo(target, at);
  }
}
