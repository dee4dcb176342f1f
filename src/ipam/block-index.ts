/**
 * What a host needs to know of all blocks to choose one, kept from the store's events: which CIDRs are taken, who has which block, how much
 * is free in it. It may lag behind the store, so it only points to candidates: whoever acts on one reads the document and writes it by
 * compare-and-swap.
 */
import { type Address, addressBits, type Family } from '../net/address.ts';
import { formatPrefix, networkAddress, type Prefix, parsePrefix, prefixOf } from '../net/prefix.ts';
import type { BlockDocument } from '../store/ipam-documents.ts';
import { allocationsOf, claimTime, isCooling, ownerOfBlock, userOf } from './block.ts';

/** One block in short. */
export interface BlockSummary {
  readonly cidr: string;
  readonly prefix: Prefix;
  /** `virtual:...`: it serves no host; undefined: nobody has it */
  readonly host: string | undefined;
  readonly capacity: number;
  readonly free: number;
  /** addresses that somebody uses */
  readonly used: number;
  /** of the used ones, those that hosts other than the block's use: host -> addresses */
  readonly borrowed: ReadonlyMap<string, readonly Address[]> | undefined;
  /** released addresses that rest; they may be free by now */
  readonly cooling: number;
  /** ms since 1970, 0 when unknown */
  readonly claimedAtMs: number;
  readonly sequenceNumber: bigint;
}

/** All blocks in short. */
export class BlockIndex {
  /** by family, then prefix length, then CIDR */
  readonly #bySize: Record<Family, Map<number, Map<string, BlockSummary>>> = {
    ipv4: new Map(),
    ipv6: new Map(),
  };
  /** `LONGER>SHORTER` -> the CIDRs of the shorter length that hold a block of the longer; made when asked for, dropped on a change */
  readonly #covered: Record<Family, Map<string, Set<string>>> = { ipv4: new Map(), ipv6: new Map() };

  /** Takes over a block's present state. */
  set(block: BlockDocument): void {
    const prefix = parsePrefix(block.cidr);
    if (prefix === undefined) return;
    const sizes = this.#bySize[prefix.family];
    const blocks = sizes.get(prefix.length) ?? new Map<string, BlockSummary>();
    sizes.set(prefix.length, blocks);
    if (!blocks.has(block.cidr)) this.#covered[prefix.family].clear();
    blocks.set(block.cidr, summarise(block, prefix));
  }

  /** Forgets a block. */
  delete(cidr: string): void {
    const prefix = parsePrefix(cidr);
    if (prefix === undefined) return;
    if (this.#bySize[prefix.family].get(prefix.length)?.delete(cidr) === true)
      this.#covered[prefix.family].clear();
  }

  /** Replaces everything known of a family (or of both) by a listing of the store. */
  replace(blocks: readonly BlockDocument[], family?: Family): void {
    for (const each of ['ipv4', 'ipv6'] as const) {
      if (family !== undefined && family !== each) continue;
      this.#bySize[each].clear();
      this.#covered[each].clear();
    }
    for (const block of blocks) this.set(block);
  }

  get(cidr: string): BlockSummary | undefined {
    const prefix = parsePrefix(cidr);
    return prefix && this.#bySize[prefix.family].get(prefix.length)?.get(cidr);
  }

  /** Every block, or those of a family. */
  *all(family?: Family): Generator<BlockSummary> {
    for (const each of ['ipv4', 'ipv6'] as const) {
      if (family !== undefined && family !== each) continue;
      for (const blocks of this.#bySize[each].values()) yield* blocks.values();
    }
  }

  /** Whether a block, or one of another size that overlaps it, exists. `cidr` is the text of `block`. */
  isTaken(cidr: string, block: Prefix): boolean {
    for (const [length, blocks] of this.#bySize[block.family]) {
      if (blocks.size === 0) continue;
      if (length === block.length) {
        if (blocks.has(cidr)) return true;
      } else if (length < block.length) {
        if (blocks.has(formatPrefix(prefixOf(networkAddress(block), length)))) return true;
      } else if (this.#coveredBy(block.family, length, block.length).has(cidr)) return true;
    }
    return false;
  }

  /** The block of whatever size that holds an address. */
  holding(address: Address): BlockSummary | undefined {
    for (const [length, blocks] of this.#bySize[address.family]) {
      const found = blocks.get(formatPrefix(prefixOf(address, length)));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Pairs of blocks of which one holds the other: only damage makes them. */
  *overlaps(): Generator<readonly [outer: BlockSummary, inner: BlockSummary]> {
    for (const family of ['ipv4', 'ipv6'] as const) {
      const lengths = Array.from(this.#bySize[family].keys()).sort((a, b) => a - b);
      for (const [i, outer] of lengths.entries()) {
        const outers = this.#bySize[family].get(outer);
        for (const inner of lengths.slice(i + 1)) {
          for (const block of this.#bySize[family].get(inner)?.values() ?? []) {
            const found = outers?.get(formatPrefix(prefixOf(networkAddress(block.prefix), outer)));
            if (found !== undefined) yield [found, block];
          }
        }
      }
    }
  }

  #coveredBy(family: Family, longer: number, shorter: number): ReadonlySet<string> {
    const key = `${longer}>${shorter}`;
    const known = this.#covered[family].get(key);
    if (known !== undefined) return known;
    const made = new Set<string>();
    for (const { prefix } of this.#bySize[family].get(longer)?.values() ?? [])
      made.add(formatPrefix(prefixOf(networkAddress(prefix), shorter)));
    this.#covered[family].set(key, made);
    return made;
  }
}

function summarise(block: BlockDocument, prefix: Prefix): BlockSummary {
  const host = ownerOfBlock(block);
  const capacity = 2 ** (addressBits(prefix.family) - prefix.length);
  const taken = block.allocations.reduce<number>((count, index) => (index === null ? count : count + 1), 0);
  const cooling = block.attributes.some(isCooling)
    ? block.allocations.filter((index) => index !== null && isCooling(block.attributes[index])).length
    : 0;
  return {
    cidr: block.cidr,
    prefix,
    host,
    capacity,
    free: block.unallocated.length,
    used: taken - cooling,
    borrowed: hasForeignHolder(block, host) ? borrowersOf(block, host) : undefined,
    cooling,
    claimedAtMs: claimTime(block),
    sequenceNumber: block.sequenceNumber,
  };
}

function hasForeignHolder(block: BlockDocument, host: string | undefined): boolean {
  return block.attributes.some(({ secondary }) => {
    const node = secondary?.['node'];
    return node !== undefined && node !== host;
  });
}

function borrowersOf(
  block: BlockDocument,
  host: string | undefined,
): ReadonlyMap<string, readonly Address[]> {
  const byHost = new Map<string, Address[]>();
  for (const allocation of allocationsOf(block)) {
    const user = userOf(block, allocation);
    if (user === undefined || user === host) continue;
    const list = byHost.get(user);
    if (list === undefined) byHost.set(user, [allocation.address]);
    else list.push(allocation.address);
  }
  return byHost;
}
