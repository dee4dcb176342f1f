/**
 * Finds the rules whose prefix conditions a route meets: a hash look-up for each prefix length that occurs in the rules, with quick
 * refusals before it, so that a list of ten thousand prefixes costs a route as much as a list of ten.
 */
import type { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import { maskWord, PrefixTable } from '../../src/net/prefix-table.ts';

interface Entry {
  readonly rule: number;
  readonly minLength: number;
  readonly maxLength: number;
}

/** What rules say about one length of CIDR. */
interface Level {
  readonly length: number;
  /** bounds over all entries of the level: outside of them no look-up is needed */
  minLength: number;
  maxLength: number;
}

/** Prefix conditions of one family. */
export class PrefixIndex {
  readonly #family: Family;
  readonly #core: Core;
  /** made with the first entry: most lists of rules have none */
  #table: PrefixTable | undefined;
  readonly #entries: Entry[][] = [];
  #levels: Level[] = [];
  /** by first octet of the route: whether any CIDR could hold it */
  readonly #firstOctet = new Uint8Array(256);

  /** `core`: where it is to live. */
  constructor(family: Family, core: Core) {
    this.#family = family;
    this.#core = core;
  }

  /** Gives its memory back. */
  dispose(): void {
    this.#table?.dispose();
    this.#table = undefined;
  }

  /** CIDRs with a rule. */
  get size(): number {
    return this.#table?.size ?? 0;
  }

  /** Rule `rule` holds for routes inside `cidr` whose length lies within the bounds. */
  add(rule: number, cidr: Prefix, minLength: number, maxLength: number): void {
    const least = Math.max(minLength, cidr.length);
    if (least > maxLength) return;
    this.#table ??= new PrefixTable(this.#family, 16, this.#core);
    const id = this.#table.internPrefix(cidr);
    const entries = this.#entries[id] ?? [];
    entries.push({ rule, minLength: least, maxLength });
    this.#entries[id] = entries;
    let level = this.#levels.find((candidate) => candidate.length === cidr.length);
    if (level === undefined) {
      level = { length: cidr.length, minLength: least, maxLength };
      this.#levels.push(level);
      this.#levels = this.#levels.sort((a, b) => a.length - b.length);
    }
    level.minLength = Math.min(level.minLength, least);
    level.maxLength = Math.max(level.maxLength, maxLength);
    const first = cidr.bytes[0] ?? 0;
    // The default route alone says nothing about other routes' first octet.
    if (maxLength > 0) this.#firstOctet.fill(1, first, first + 2 ** Math.max(0, 8 - cidr.length));
  }

  /**
   * The lowest rule number below `limit` that holds for a route and for which `confirm` is true, or `limit`. `confirm` is not called
   * for a rule that cannot win.
   */
  lowest(
    limit: number,
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    confirm: (rule: number) => boolean,
  ): number {
    if (length > 0 && this.#firstOctet[w0 >>> 24] === 0) return limit;
    const table = this.#table;
    if (table === undefined) return limit;
    let best = limit;
    for (const level of this.#levels) {
      if (level.length > length) break;
      if (length < level.minLength || length > level.maxLength) continue;
      const id = table.find(
        level.length,
        maskWord(w0, level.length),
        maskWord(w1, level.length - 32),
        maskWord(w2, level.length - 64),
        maskWord(w3, level.length - 96),
      );
      if (id < 0) continue;
      for (const entry of this.#entries[id] ?? []) {
        if (entry.rule >= best || length < entry.minLength || length > entry.maxLength) continue;
        if (confirm(entry.rule)) best = entry.rule;
      }
    }
    return best;
  }
}
