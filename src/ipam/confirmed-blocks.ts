/** Which blocks are this host's beyond doubt: its claim is confirmed and the block names it. Kept up to date from the store's events. */
import { comparePrefixes, type Prefix, parsePrefix } from '../net/prefix.ts';
import { type AffinityState, affinityParts, type IpamKey } from '../store/ipam-documents.ts';
import { type IpamEntry, isEntryOf } from '../store/ipam-store.ts';
import { hostOfBlock } from './block.ts';

/** Told the blocks that came and went. */
export type BlocksListener = (change: {
  readonly added: readonly Prefix[];
  readonly removed: readonly Prefix[];
}) => void;

/** The confirmed blocks of one host. */
export class ConfirmedBlocks {
  readonly #host: string;
  readonly #affinities = new Map<string, AffinityState>();
  /** blocks that name this host */
  readonly #named = new Set<string>();
  readonly #confirmed = new Map<string, Prefix>();
  readonly #listeners = new Set<BlocksListener>();

  constructor(host: string) {
    this.#host = host;
  }

  /** Ordered by family and address. */
  get blocks(): readonly Prefix[] {
    return Array.from(this.#confirmed.values()).sort(comparePrefixes);
  }

  /** Whether a block counts as this host's. */
  has(cidr: string): boolean {
    return this.#confirmed.has(cidr);
  }

  /** Where claims and blocks are not in step: state of the claim (undefined: there is none), and whether the block names this host. */
  *disagreements(): Generator<{ cidr: string; state: AffinityState | undefined; isNamed: boolean }> {
    for (const [cidr, state] of this.#affinities) {
      const isNamed = this.#named.has(cidr);
      if (state !== 'confirmed' || !isNamed) yield { cidr, state, isNamed };
    }
    for (const cidr of this.#named) {
      if (!this.#affinities.has(cidr)) yield { cidr, state: undefined, isNamed: true };
    }
  }

  stop(): void {
    this.#listeners.clear();
  }

  onChange(listener: BlocksListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes over the present state of a document. */
  note(entry: IpamEntry): void {
    if (isEntryOf('affinity', entry)) {
      const { host, cidr } = affinityParts(entry.key);
      if (host !== this.#host) return;
      this.#affinities.set(cidr, entry.value.state);
      this.#settle(cidr);
    } else if (isEntryOf('block', entry)) {
      if (hostOfBlock(entry.value) === this.#host) this.#named.add(entry.key.name);
      else this.#named.delete(entry.key.name);
      this.#settle(entry.key.name);
    }
  }

  /** A document is gone. */
  forget(key: IpamKey): void {
    if (key.kind === 'block') {
      this.#named.delete(key.name);
      this.#settle(key.name);
    } else if (key.kind === 'affinity') {
      const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
      if (host !== this.#host) return;
      this.#affinities.delete(cidr);
      this.#settle(cidr);
    }
  }

  #settle(cidr: string): void {
    const isConfirmed = this.#affinities.get(cidr) === 'confirmed' && this.#named.has(cidr);
    const known = this.#confirmed.get(cidr);
    if (isConfirmed === (known !== undefined)) return;
    const prefix = known ?? parsePrefix(cidr);
    if (prefix === undefined) return;
    if (isConfirmed) this.#confirmed.set(cidr, prefix);
    else this.#confirmed.delete(cidr);
    const change = isConfirmed ? { added: [prefix], removed: [] } : { added: [], removed: [prefix] };
    for (const listener of this.#listeners) listener(change);
  }
}
