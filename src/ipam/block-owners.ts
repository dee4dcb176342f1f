/** Who has which block and which addresses of other hosts' blocks, of the whole store, with word of each change of that (and of no other). */
import { formatAddress } from '../net/address.ts';
import type { BlockSummary } from './block-index.ts';

/** Part of a block's summary that routes depend on. */
export type BlockOwnership = Pick<BlockSummary, 'cidr' | 'prefix' | 'host' | 'borrowed'>;

/** Kept from the store's events. */
export class BlockOwners {
  readonly #blocks = new Map<string, BlockOwnership>();
  readonly #listeners = new Set<() => void>();

  /** Every block, in no particular order. */
  all(): Iterable<BlockOwnership> {
    return this.#blocks.values();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stop(): void {
    this.#listeners.clear();
  }

  /** Takes over a block's present state; undefined: it is gone. */
  note(cidr: string, block: BlockSummary | undefined): void {
    const before = this.#blocks.get(cidr);
    if (block === undefined) this.#blocks.delete(cidr);
    else if (before === undefined || !isSame(before, block)) {
      this.#blocks.set(cidr, { cidr, prefix: block.prefix, host: block.host, borrowed: block.borrowed });
    } else return;
    if (before === undefined && block === undefined) return;
    for (const listener of this.#listeners) listener();
  }
}

function isSame(a: BlockOwnership, b: BlockOwnership): boolean {
  if (a.host !== b.host) return false;
  if (a.borrowed === undefined || b.borrowed === undefined) return a.borrowed === b.borrowed;
  return textOf(a.borrowed) === textOf(b.borrowed);
}

function textOf(borrowed: NonNullable<BlockOwnership['borrowed']>): string {
  return [...borrowed].map(([host, addresses]) => `${host}=${addresses.map(formatAddress).join()}`).join(';');
}
