/** What this host knows of the IPAM documents without asking for them: fed by the store's events, and at once by its own writes. */
import { type Address, compareAddresses, formatAddress } from '../net/address.ts';
import type { BlockDocument, IpamConfigDocument, IpamKey } from '../store/ipam-documents.ts';
import { type IpamEntry, type IpamStore, isEntryOf } from '../store/ipam-store.ts';
import type { Subscription } from '../store/types.ts';
import { hostOfBlock } from './block.ts';
import { BlockIndex } from './block-index.ts';
import { BlockOwners } from './block-owners.ts';
import type { Cooldown } from './block-release.ts';
import { thaw } from './block-release.ts';
import { checkBlock } from './check.ts';
import { type IpamSettings, settingsOf } from './configuration.ts';
import { ConfirmedBlocks } from './confirmed-blocks.ts';

/** The view of one host. */
export class StoreView {
  readonly index = new BlockIndex();
  readonly confirmed: ConfirmedBlocks;
  /** of all hosts */
  readonly owners = new BlockOwners();
  readonly #host: string;
  readonly #nowMs: () => number;
  /** addresses of this host's blocks that other hosts use, by block */
  readonly #lent = new Map<string, readonly Address[]>();
  /** documents of this host's blocks */
  readonly #own = new Map<string, BlockDocument>();
  readonly #lentListeners = new Set<() => void>();
  #config: IpamConfigDocument | undefined;
  #subscription: Subscription | undefined;

  constructor(host: string, nowMs: () => number) {
    this.#host = host;
    this.#nowMs = nowMs;
    this.confirmed = new ConfirmedBlocks(host);
  }

  /** Starts to follow a store; resolves when its present contents are known. */
  async follow(store: IpamStore): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#subscription = store.watch((event) => {
      if (event.type === 'in-sync') resolve();
      else if (event.type === 'upsert') this.note(event.entry);
      else this.forget(event.key);
    });
    await promise;
  }

  stop(): void {
    this.#subscription?.close();
    this.confirmed.stop();
    this.owners.stop();
    this.#lentListeners.clear();
  }

  get settings(): IpamSettings {
    return settingsOf(this.#config);
  }

  /** Undefined: nobody has configured IPAM. */
  get config(): IpamConfigDocument | undefined {
    return this.#config;
  }

  get cooldown(): Cooldown {
    return { seconds: this.settings.ipCooldownSeconds, nowMs: this.#nowMs() };
  }

  /** The block as it is once addresses whose cooldown is over are free. */
  readonly thawed = (block: BlockDocument): BlockDocument => thaw(block, this.cooldown);

  /** Addresses of this host's blocks that other hosts have borrowed, ordered. */
  get lent(): readonly Address[] {
    return Array.from(this.#lent.values()).flat().sort(compareAddresses);
  }

  /** Number of blocks of this host whose documents contradict themselves. */
  get damagedBlocks(): number {
    return Array.from(this.#own.values()).filter((block) => checkBlock(block).length > 0).length;
  }

  onLentChanged(listener: () => void): () => void {
    this.#lentListeners.add(listener);
    return () => void this.#lentListeners.delete(listener);
  }

  /** Takes over the present state of a document. */
  note(entry: IpamEntry): void {
    if (isEntryOf('config', entry)) this.#config = entry.value;
    else if (isEntryOf('block', entry)) {
      this.index.set(entry.value);
      this.owners.note(entry.key.name, this.index.get(entry.key.name));
      if (hostOfBlock(entry.value) === this.#host) this.#own.set(entry.key.name, entry.value);
      else this.#own.delete(entry.key.name);
      this.#settleLent(entry.key.name);
    }
    this.confirmed.note(entry);
  }

  /** A document is gone. */
  forget(key: IpamKey): void {
    if (key.kind === 'config') this.#config = undefined;
    else if (key.kind === 'block') {
      this.index.delete(key.name);
      this.owners.note(key.name, undefined);
      this.#own.delete(key.name);
      this.#settleLent(key.name);
    }
    this.confirmed.forget(key);
  }

  #settleLent(cidr: string): void {
    const block = this.index.get(cidr);
    const now =
      block?.host === this.#host && block.borrowed !== undefined
        ? Array.from(block.borrowed.values()).flat()
        : [];
    const before = this.#lent.get(cidr) ?? [];
    if (now.length === before.length && now.map(formatAddress).join() === before.map(formatAddress).join())
      return;
    if (now.length === 0) this.#lent.delete(cidr);
    else this.#lent.set(cidr, now);
    for (const listener of this.#lentListeners) listener();
  }
}
