/**
 * A host's claims to blocks, in Calico's two phases. Claim: affinity `pending`, block created, affinity `confirmed`. Giving up: affinity
 * `pendingDeletion`, block deleted, affinity deleted. A crash between any two steps leaves a claim that is not confirmed, which counts for
 * nothing and which `mend` completes or gives up. Other hosts may take an empty block away at any time by the same steps, so every step
 * is a compare-and-swap against what the former one saw.
 */
import { formatPrefix, type Prefix } from '../net/prefix.ts';
import { AlreadyExists, DocumentDamaged, NotFound, RevisionConflict } from '../store/errors.ts';
import {
  type AffinityState,
  affinityKey,
  affinityParts,
  type BlockDocument,
  blockKey,
} from '../store/ipam-documents.ts';
import type { IpamEntry, IpamStore } from '../store/ipam-store.ts';
import { blockPrefix, hostOfBlock, newBlock, ownerOfBlock, usedCount } from './block.ts';
import { MAX_ATTEMPTS, TooMuchContention } from './errors.ts';

/** What a claim needs to know of the world. */
export interface ClaimsContext {
  readonly store: IpamStore;
  /** nanoseconds since 1970 */
  readonly nowNs: () => bigint;
  /** the block as it is once addresses whose cooldown is over are free */
  readonly thawed: (block: BlockDocument) => BlockDocument;
}

/** Claims and gives up blocks for one host. Calls must not overlap within a process; other processes may work on the same store. */
export class BlockClaims {
  readonly #store: IpamStore;
  readonly #context: ClaimsContext;
  readonly #host: string;

  constructor(context: ClaimsContext, host: string) {
    this.#context = context;
    this.#store = context.store;
    this.#host = host;
  }

  /** Makes the block this host's, or makes sure that it is. Undefined: it is another's, or its document is damaged. */
  async claim(cidr: Prefix): Promise<IpamEntry<'block'> | undefined> {
    const text = formatPrefix(cidr);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      try {
        return await this.#tryClaim(cidr, text);
      } catch (error) {
        if (!isRace(error)) throw error;
      }
    }
    throw new TooMuchContention(`claim of block ${text}`, MAX_ATTEMPTS);
  }

  /**
   * Gives up a block without addresses in use. False: it has some, is not this host's, or somebody changed it meanwhile;
   * `sequenceNumber`: the version that the caller saw empty.
   */
  async releaseIfEmpty(cidr: string, sequenceNumber?: bigint): Promise<boolean> {
    const block = await this.#readBlock(cidr);
    if (block === 'damaged' || block === undefined || hostOfBlock(block.value) !== this.#host) return false;
    if (sequenceNumber !== undefined && block.value.sequenceNumber !== sequenceNumber) return false;
    if (usedCount(this.#context.thawed(block.value)) > 0) return false;
    const affinity = await this.#store.get(affinityKey(this.#host, cidr));
    try {
      const leaving = affinity && (await this.#setState(affinity, 'pendingDeletion'));
      try {
        await this.#store.delete(block.key, block.revision);
      } catch (error) {
        if (!isRace(error)) throw error;
        if (leaving !== undefined && error instanceof RevisionConflict)
          await this.#setState(leaving, 'confirmed');
        return false;
      }
      if (leaving !== undefined) await this.#store.delete(leaving.key, leaving.revision);
    } catch (error) {
      // The affinity changed: its owner, or somebody who took the block meanwhile, goes on with it.
      if (!isRace(error)) throw error;
    }
    return (await this.#readBlock(cidr)) === undefined;
  }

  /** Deletes an empty block that belongs to no host. False: it has addresses in use, or somebody was faster. */
  async deleteUnowned(cidr: string): Promise<boolean> {
    const block = await this.#readBlock(cidr);
    if (block === 'damaged' || block === undefined || ownerOfBlock(block.value) !== undefined) return false;
    if (usedCount(this.#context.thawed(block.value)) > 0) return false;
    try {
      await this.#store.delete(block.key, block.revision);
      return true;
    } catch (error) {
      if (!isRace(error)) throw error;
      return false;
    }
  }

  /** Completes or gives up one claim of this host that is half-way. A confirmed one without its block is damage, and stays. */
  async settle({ key, value }: IpamEntry<'affinity'>): Promise<void> {
    const { cidr } = affinityParts(key);
    const block = await this.#readBlock(cidr);
    if (block === 'damaged') return;
    const isOurs = block !== undefined && hostOfBlock(block.value) === this.#host;
    if (block !== undefined && !isOurs) await this.#dropAffinity(cidr);
    else if (value.state === 'confirmed') return;
    else if (!isOurs) await this.#dropAffinity(cidr);
    else if (value.state === 'pending' || usedCount(block.value) > 0)
      await this.claim(blockPrefix(block.value));
    else await this.releaseIfEmpty(cidr);
  }

  /** Completes or gives up every claim that a crash left half-way. */
  async mend(): Promise<void> {
    for (const affinity of await this.#store.list('affinity', { host: this.#host }))
      await this.settle(affinity);
    for (const block of await this.#store.list('block')) {
      if (hostOfBlock(block.value) !== this.#host) continue;
      const affinity = await this.#store.get(affinityKey(this.#host, block.key.name));
      if (affinity === undefined) await this.claim(blockPrefix(block.value));
    }
  }

  async #tryClaim(cidr: Prefix, text: string): Promise<IpamEntry<'block'> | undefined> {
    const affinity = await this.#pendingAffinity(text);
    let block = await this.#createBlock(cidr, text);
    if (block === 'exists') {
      const present = await this.#readBlock(text);
      if (present === undefined) throw new NotFound(`block ${text}`);
      if (present === 'damaged' || hostOfBlock(present.value) !== this.#host) {
        await this.#dropAffinity(text);
        return undefined;
      }
      block = present;
      if (affinity.value.state === 'confirmed') return block;
      // Whoever is taking the block away has read it empty: a new version of it stops them.
      block = await this.#store.update(
        block.key,
        { ...block.value, sequenceNumber: block.value.sequenceNumber + 1n },
        block.revision,
      );
    }
    await this.#setState(affinity, 'confirmed');
    return block;
  }

  /** The affinity in state `pending`, or `confirmed` when it is that already. */
  async #pendingAffinity(cidr: string): Promise<IpamEntry<'affinity'>> {
    const key = affinityKey(this.#host, cidr);
    const present = await this.#store.get(key);
    if (present === undefined) return await this.#store.create(key, { state: 'pending', deleted: false });
    return present.value.state === 'confirmed' ? present : await this.#setState(present, 'pending');
  }

  async #setState(entry: IpamEntry<'affinity'>, state: AffinityState): Promise<IpamEntry<'affinity'>> {
    if (entry.value.state === state) return entry;
    return await this.#store.update(entry.key, { ...entry.value, state }, entry.revision);
  }

  async #createBlock(cidr: Prefix, text: string): Promise<IpamEntry<'block'> | 'exists'> {
    try {
      return await this.#store.create(blockKey(text), newBlock(cidr, this.#host, this.#context.nowNs()));
    } catch (error) {
      if (error instanceof AlreadyExists) return 'exists';
      throw error;
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

  /** Takes back this host's claim to a block that it does not have. */
  async #dropAffinity(cidr: string): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const present = await this.#store.get(affinityKey(this.#host, cidr));
      if (present === undefined) return;
      try {
        await this.#store.delete(present.key, present.revision);
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
