/**
 * A host's claims to blocks, in Calico's two phases. Claim: affinity `pending`, block created, affinity `confirmed`. Giving up: affinity
 * `pendingDeletion`, block deleted, affinity deleted. A crash between any two steps leaves a claim that is not confirmed, which counts for
 * nothing and which `mend` completes or gives up.
 */
import { formatPrefix, type Prefix } from '../net/prefix.ts';
import { AlreadyExists, DocumentDamaged, NotFound, RevisionConflict } from '../store/errors.ts';
import { type AffinityState, affinityKey, affinityParts, blockKey } from '../store/ipam-documents.ts';
import type { IpamEntry, IpamStore } from '../store/ipam-store.ts';
import { blockPrefix, hostOfBlock, newBlock, usedCount } from './block.ts';

/** Claims and gives up blocks for one host. Calls must not overlap within a process; other processes may work on the same store. */
export class BlockClaims {
  readonly #store: IpamStore;
  readonly #host: string;
  readonly #nowNs: () => bigint;

  constructor(store: IpamStore, host: string, nowNs: () => bigint) {
    this.#store = store;
    this.#host = host;
    this.#nowNs = nowNs;
  }

  /** Makes the block this host's. Undefined: it is another's, or its document is damaged. */
  async claim(cidr: Prefix): Promise<IpamEntry<'block'> | undefined> {
    const text = formatPrefix(cidr);
    await this.#ensureAffinity(text, 'pending');
    const block = await this.#ensureBlock(cidr);
    if (block === undefined || hostOfBlock(block.value) !== this.#host) {
      await this.#dropAffinity(text);
      return undefined;
    }
    await this.#ensureAffinity(text, 'confirmed');
    return block;
  }

  /** Gives up a block without addresses in use. False: it has some, or is not this host's. */
  async releaseIfEmpty(cidr: string): Promise<boolean> {
    const block = await this.#store.get(blockKey(cidr));
    if (block === undefined || hostOfBlock(block.value) !== this.#host || usedCount(block.value) > 0)
      return false;
    await this.#ensureAffinity(cidr, 'pendingDeletion');
    try {
      await this.#store.delete(block.key, block.revision);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      await this.#ensureAffinity(cidr, 'confirmed');
      return false;
    }
    await this.#dropAffinity(cidr);
    return true;
  }

  /** Completes or gives up every claim that a crash left half-way. */
  async mend(): Promise<void> {
    for (const { key, value } of await this.#store.list('affinity', { host: this.#host })) {
      const { cidr } = affinityParts(key);
      const block = await this.#readBlock(cidr);
      if (block === 'damaged') continue;
      const isOurs = block !== undefined && hostOfBlock(block.value) === this.#host;
      if (block !== undefined && !isOurs) await this.#dropAffinity(cidr);
      else if (value.state === 'confirmed') continue;
      else if (isOurs && (value.state === 'pending' || usedCount(block.value) > 0)) {
        await this.#ensureAffinity(cidr, 'confirmed');
      } else if (isOurs) await this.releaseIfEmpty(cidr);
      else await this.#dropAffinity(cidr);
    }
    for (const block of await this.#store.list('block')) {
      if (hostOfBlock(block.value) !== this.#host) continue;
      const affinity = await this.#store.get(affinityKey(this.#host, block.key.name));
      if (affinity === undefined) await this.claim(blockPrefix(block.value));
    }
  }

  async #readBlock(cidr: string): Promise<IpamEntry<'block'> | 'damaged' | undefined> {
    try {
      return await this.#store.get(blockKey(cidr));
    } catch (error) {
      if (error instanceof DocumentDamaged) return 'damaged';
      throw error;
    }
  }

  async #ensureBlock(cidr: Prefix): Promise<IpamEntry<'block'> | undefined> {
    const key = blockKey(formatPrefix(cidr));
    try {
      return await this.#store.create(key, newBlock(cidr, this.#host, this.#nowNs()));
    } catch (error) {
      if (!(error instanceof AlreadyExists)) throw error;
    }
    const block = await this.#readBlock(key.name);
    return block === 'damaged' ? undefined : block;
  }

  /** Creates or changes the affinity; a confirmed one is not set back to pending. */
  async #ensureAffinity(cidr: string, state: AffinityState): Promise<void> {
    const key = affinityKey(this.#host, cidr);
    for (;;) {
      const present = await this.#store.get(key);
      if (present?.value.state === state) return;
      if (present?.value.state === 'confirmed' && state === 'pending') return;
      try {
        if (present === undefined) await this.#store.create(key, { state, deleted: false });
        else await this.#store.update(key, { ...present.value, state }, present.revision);
        return;
      } catch (error) {
        if (!isRace(error)) throw error;
      }
    }
  }

  async #dropAffinity(cidr: string): Promise<void> {
    const key = affinityKey(this.#host, cidr);
    for (;;) {
      const present = await this.#store.get(key);
      if (present === undefined) return;
      try {
        await this.#store.delete(key, present.revision);
        return;
      } catch (error) {
        if (!isRace(error)) throw error;
      }
    }
  }
}

/** Whether someone else was first: read again and decide again. */
export function isRace(error: unknown): boolean {
  return error instanceof RevisionConflict || error instanceof NotFound || error instanceof AlreadyExists;
}
