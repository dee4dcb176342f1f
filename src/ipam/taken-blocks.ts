/** Which blocks of a pool cannot be claimed: those that exist, and those that a block of another size overlaps. Pure. */
import { formatPrefix, type Prefix, parsePrefix, prefixesOverlap } from '../net/prefix.ts';

/** A set of blocks, answered in constant time while all blocks have one size. */
export class TakenBlocks {
  readonly #byText = new Set<string>();
  /** by prefix length */
  readonly #bySize = new Map<number, Prefix[]>();

  /** `cidrs` in canonical text; malformed ones are left out. */
  constructor(cidrs: Iterable<string>) {
    for (const cidr of cidrs) {
      const prefix = parsePrefix(cidr);
      if (prefix !== undefined) this.add(prefix);
    }
  }

  add(block: Prefix): void {
    const text = formatPrefix(block);
    if (this.#byText.has(text)) return;
    this.#byText.add(text);
    const sameSize = this.#bySize.get(block.length);
    if (sameSize === undefined) this.#bySize.set(block.length, [block]);
    else sameSize.push(block);
  }

  /** `cidr` is the text of `block`. */
  has(cidr: string, block: Prefix): boolean {
    if (this.#byText.has(cidr)) return true;
    for (const [length, blocks] of this.#bySize) {
      if (length !== block.length && blocks.some((other) => prefixesOverlap(other, block))) return true;
    }
    return false;
  }
}
