/** Taking addresses back, and giving up blocks that are of no use any more. The block is written first, then the handle's index. */
import { type Address, addressesEqual, compareAddresses, formatAddress } from '../net/address.ts';
import { networkAddress, prefixContains } from '../net/prefix.ts';
import { DocumentDamaged } from '../store/errors.ts';
import { type BlockDocument, blockKey } from '../store/ipam-documents.ts';
import type { IpamEntry } from '../store/ipam-store.ts';
import { blockPrefix, hostOfBlock, ownerOfBlock, usedCount } from './block.ts';
import { type ReleaseOutcome, type ReleaseRequest, release } from './block-release.ts';
import { isRace } from './claims.ts';
import type { IpamContext } from './context.ts';
import { setHandleCount } from './handles.ts';
import type { Deadline } from './host-lock.ts';
import { mayHaveBlocks } from './pools.ts';
import { blockHolding, countOf, heldByHandle, indexedBlocks, readBlock } from './records.ts';
import { untilSettled } from './retry.ts';

/** An address with the sequence number under which it was given out. */
export interface ExactAllocation {
  readonly address: Address;
  readonly sequenceNumber: bigint;
}

/** Releases addresses on behalf of one host. Calls must not overlap. */
export class Releaser {
  readonly #context: IpamContext;

  constructor(context: IpamContext) {
    this.#context = context;
  }

  /** Everything that a handle holds on this host. */
  async releaseHandle(handle: string, deadline: Deadline): Promise<readonly Address[]> {
    const held = await heldByHandle(this.#context, handle);
    const outcomes = await settledAll(
      held.map(async ({ entry, allocations }) => {
        const requests = allocations.map(({ address, sequenceNumber }) => ({
          address,
          handle,
          sequenceNumber,
        }));
        return await this.#releaseIn(entry.key.name, requests, deadline);
      }),
    );
    const released = outcomes.flat().flatMap((each) => (each.outcome === 'released' ? [each.address] : []));
    for (const cidr of await indexedBlocks(this.#context, handle)) {
      const entry = await readBlock(this.#context, cidr);
      if (entry !== undefined && countOf(entry.value, handle) > 0) continue;
      if (entry === undefined && (await this.#isThere(cidr))) continue;
      await setHandleCount(this.#context.store, handle, cidr, 0);
    }
    return released.sort(compareAddresses);
  }

  /** Everything that a handle holds on this host, if that is exactly what is expected; else nothing. */
  async releaseExactly(
    handle: string,
    expected: readonly ExactAllocation[],
    deadline: Deadline,
  ): Promise<readonly Address[]> {
    const held = (await heldByHandle(this.#context, handle)).flatMap(({ allocations }) => allocations);
    const isSame =
      held.length === expected.length &&
      held.every((one) =>
        expected.some(
          (other) =>
            addressesEqual(one.address, other.address) && one.sequenceNumber === other.sequenceNumber,
        ),
      );
    return isSame ? await this.releaseHandle(handle, deadline) : [];
  }

  /** Single addresses, whoever's they are, each unless its handle or sequence number is not the one given. */
  async releaseAddresses(
    requests: readonly ReleaseRequest[],
    deadline: Deadline,
  ): Promise<readonly ReleaseOutcome[]> {
    const outcomes: ReleaseOutcome[] = [];
    for (const request of requests) {
      const entry = await blockHolding(this.#context, request.address);
      if (entry === undefined) outcomes.push({ outcome: 'not-allocated', address: request.address });
      else outcomes.push(...(await this.#releaseIn(entry.key.name, [request], deadline)));
    }
    return outcomes;
  }

  /** Gives up a block of this host that has no address in use and that no pool of this node holds any more. */
  async giveUpIfUnwanted(block: BlockDocument): Promise<void> {
    const { host, claims, pools, selectsNode } = this.#context;
    if (ownerOfBlock(block) === undefined) {
      if (usedCount(block) === 0) await claims.deleteUnowned(block.cidr);
      return;
    }
    if (hostOfBlock(block) !== host) return;
    const cidr = blockPrefix(block);
    const isWanted = pools().some(
      (pool) => prefixContains(pool.cidr, cidr) && mayHaveBlocks(pool, selectsNode),
    );
    if (!isWanted && (await claims.releaseIfEmpty(block.cidr)))
      this.#context.view.forget({ kind: 'block', name: block.cidr });
  }

  /** Blocks of this host without addresses in use, but for one of each pool. */
  surplusBlocks(): readonly { readonly cidr: string; readonly sequenceNumber: bigint }[] {
    const { view, pools } = this.#context;
    const kept = new Set<string>();
    const surplus: { cidr: string; sequenceNumber: bigint }[] = [];
    for (const prefix of view.confirmed.blocks) {
      const block = view.index.holding(networkAddress(prefix));
      if (block === undefined || block.used > 0 || block.cooling > 0) continue;
      const pool = pools().find((each) => prefixContains(each.cidr, prefix))?.name ?? '';
      if (kept.has(pool) || this.#hasUsedBlock(pool)) surplus.push(block);
      kept.add(pool);
    }
    return surplus;
  }

  #hasUsedBlock(name: string): boolean {
    const { view, pools } = this.#context;
    const pool = pools().find((each) => each.name === name);
    return (
      pool === undefined ||
      view.confirmed.blocks.some((prefix) => {
        if (!prefixContains(pool.cidr, prefix)) return false;
        const block = view.index.holding(networkAddress(prefix));
        return block !== undefined && block.used > 0 && block.free > 0;
      })
    );
  }

  async #releaseIn(
    cidr: string,
    requests: readonly ReleaseRequest[],
    deadline: Deadline,
  ): Promise<readonly ReleaseOutcome[]> {
    const { store, view } = this.#context;
    const what = `release of ${requests.map(({ address }) => formatAddress(address)).join(', ')}`;
    const { outcomes, written } = await untilSettled(what, deadline, async () => {
      const entry = await readBlock(this.#context, cidr);
      if (entry === undefined) {
        const gone = requests.map(({ address }) => ({ outcome: 'not-allocated' as const, address }));
        return { outcomes: gone, written: undefined };
      }
      const { block, outcomes } = release(view.thawed(entry.value), requests, view.cooldown);
      if (!outcomes.some(({ outcome }) => outcome === 'released')) return { outcomes, written: undefined };
      return await this.#tryWrite(entry, block, outcomes);
    });
    if (written === undefined) return outcomes;
    view.note(written);
    const handles = new Set(
      outcomes.flatMap((each) => (each.outcome === 'released' ? (each.handle ?? []) : [])),
    );
    for (const handle of handles) await setHandleCount(store, handle, cidr, countOf(written.value, handle));
    await this.giveUpIfUnwanted(written.value);
    return outcomes;
  }

  async #tryWrite(
    entry: IpamEntry<'block'>,
    block: BlockDocument,
    outcomes: readonly ReleaseOutcome[],
  ): Promise<
    { readonly outcomes: readonly ReleaseOutcome[]; readonly written: IpamEntry<'block'> } | 'raced'
  > {
    try {
      return { outcomes, written: await this.#context.store.update(entry.key, block, entry.revision) };
    } catch (error) {
      if (isRace(error)) return 'raced';
      throw error;
    }
  }

  // A damaged block is not absent: its addresses stay taken, and the handle's way to it stays.
  async #isThere(cidr: string): Promise<boolean> {
    try {
      return (await this.#context.store.get(blockKey(cidr))) !== undefined;
    } catch (error) {
      if (error instanceof DocumentDamaged) return true;
      throw error;
    }
  }
}

/** As `Promise.all`, but nothing is under way any more when it rejects. */
async function settledAll<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}
