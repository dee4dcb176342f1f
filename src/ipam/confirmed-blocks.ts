/** Which blocks are this host's beyond doubt: its claim is confirmed and the block names it. Kept up to date from the store's events. */
import { comparePrefixes, type Prefix, parsePrefix } from '../net/prefix.ts';
import { type AffinityState, affinityParts, type IpamKey } from '../store/ipam-documents.ts';
import { type IpamEntry, type IpamEvent, type IpamStore, isEntryOf } from '../store/ipam-store.ts';
import type { Subscription } from '../store/types.ts';
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
  readonly #hosts = new Map<string, string>();
  readonly #confirmed = new Map<string, Prefix>();
  readonly #listeners = new Set<BlocksListener>();
  #subscription: Subscription | undefined;

  constructor(host: string) {
    this.#host = host;
  }

  /** Ordered by family and address. */
  get blocks(): readonly Prefix[] {
    return Array.from(this.#confirmed.values()).sort(comparePrefixes);
  }

  /** Starts to follow a store; resolves when its present contents are known. */
  async follow(store: IpamStore): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#subscription = store.watch((event) => {
      if (event.type === 'in-sync') resolve();
      else this.#apply(event);
    });
    await promise;
  }

  stop(): void {
    this.#subscription?.close();
    this.#listeners.clear();
  }

  onChange(listener: BlocksListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #apply(event: Exclude<IpamEvent, { type: 'in-sync' }>): void {
    if (event.type === 'delete') this.#forget(event.key);
    else this.#note(event.entry);
  }

  #note(entry: IpamEntry): void {
    if (isEntryOf('affinity', entry)) {
      const { host, cidr } = affinityParts(entry.key);
      if (host !== this.#host) return;
      this.#affinities.set(cidr, entry.value.state);
      this.#settle(cidr);
    } else if (isEntryOf('block', entry)) {
      const host = hostOfBlock(entry.value);
      if (host === undefined) this.#hosts.delete(entry.key.name);
      else this.#hosts.set(entry.key.name, host);
      this.#settle(entry.key.name);
    }
  }

  #forget(key: IpamKey): void {
    if (key.kind === 'block') {
      this.#hosts.delete(key.name);
      this.#settle(key.name);
    } else if (key.kind === 'affinity') {
      const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
      if (host !== this.#host) return;
      this.#affinities.delete(cidr);
      this.#settle(cidr);
    }
  }

  #settle(cidr: string): void {
    const isConfirmed = this.#affinities.get(cidr) === 'confirmed' && this.#hosts.get(cidr) === this.#host;
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
