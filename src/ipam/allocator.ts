/**
 * Finding an address, in Calico's order: this host's blocks, a new block, an empty block that another host has no use for, and single
 * addresses of other hosts' blocks; the last two only where strictAffinity is false. Every decision is taken from documents that are then
 * written by compare-and-swap; when somebody else was faster it is taken anew.
 */
import { type Address, type Family, formatAddress } from '../net/address.ts';
import { comparePrefixes, formatPrefix, type Prefix, prefixContains, prefixOf } from '../net/prefix.ts';
import { OutcomeUnknown } from '../store/errors.ts';
import { affinityParts, type BlockDocument } from '../store/ipam-documents.ts';
import type { IpamEntry } from '../store/ipam-store.ts';
import {
  type Allocation,
  assignAddress,
  assignNext,
  blockPrefix,
  hostOfBlock,
  ownerOfBlock,
} from './block.ts';
import type { BlockSummary } from './block-index.ts';
import { firstFreeBlock, hashOfName } from './candidates.ts';
import { isRace } from './claims.ts';
import { blockLimit } from './configuration.ts';
import { type Assignment, type AssignRequest, type IpamContext, toAssignment } from './context.ts';
import { AddressUnavailable, IpamError, NoPool, PoolsExhausted } from './errors.ts';
import { describeExhaustion } from './exhaustion.ts';
import { setHandleCount } from './handles.ts';
import type { Deadline } from './host-lock.ts';
import { choosePools, familyName, type Pool, reasonAgainstAddress } from './pools.ts';
import { countOf, ownBlocks, readBlock } from './records.ts';
import { untilSettled } from './retry.ts';

/** Calico's EmptyBlockMinReclaimAge: a block that was claimed later than this is left to its host, however empty it is. */
const RECLAIM_AGE_MS = 60_000;

/** What became of one attempt. Undefined: this way leads to no address. */
type Attempt = Assignment | 'raced' | undefined;

/** Gives out addresses of one host. Calls for one family must not overlap. */
export class Allocator {
  readonly #context: IpamContext;

  constructor(context: IpamContext) {
    this.#context = context;
  }

  /** One address of a family. Throws an `IpamError`. */
  async assignAny(request: AssignRequest, family: Family, deadline: Deadline): Promise<Assignment> {
    const pools = this.#poolsFor(request, family);
    const what = `no ${familyName(family)} address for ${request.handle}`;
    return await untilSettled(what, deadline, async () => {
      const quick = await this.#fromOwn(request, pools, this.#knownOwn(family));
      if (quick !== undefined) return quick;
      return (await this.#fromElsewhere(request, pools, family, deadline)) ?? 'raced';
    });
  }

  /** A certain address. Throws an `IpamError`. */
  async assignFixed(request: AssignRequest, address: Address, deadline: Deadline): Promise<Assignment> {
    const { pools, selectsNode, host, view } = this.#context;
    const text = formatAddress(address);
    const against = reasonAgainstAddress(pools(), address, selectsNode, request.use);
    if (against !== undefined) throw new AddressUnavailable(against);
    const pool = pools().find(
      (each) => !each.isDisabled && prefixContains(each.cidr, prefixOf(address, each.blockSize)),
    );
    if (pool === undefined)
      throw new AddressUnavailable(`${text} is in a pool that is smaller than one block`);
    return await untilSettled(`address ${text} for ${request.handle}`, deadline, async () => {
      const cidr = prefixOf(address, pool.blockSize);
      const entry =
        (await readBlock(this.#context, formatPrefix(cidr))) ?? (await this.#claimFor(address, cidr));
      if (entry === undefined)
        throw new AddressUnavailable(
          `${text} is in block ${formatPrefix(cidr)}, which another host has claimed, or whose document is damaged`,
        );
      const owner = ownerOfBlock(entry.value);
      if (owner !== host && view.settings.strictAffinity)
        throw new AddressUnavailable(
          `${text} is in block ${entry.key.name}, which belongs to ${owner ?? 'no host'}; borrowing from it is not allowed (strictAffinity)`,
        );
      const block = view.thawed(entry.value);
      const outcome = assignAddress(block, address, request.handle, this.#attributesOf(request));
      switch (outcome.outcome) {
        case 'assigned':
          return await this.#write(entry, outcome.block, outcome.allocation);
        case 'in-use':
          throw new AddressUnavailable(
            `${text} is in use: held by ${outcome.holder.handle ?? 'an unknown holder'} (IPPool ${pool.name}, block ${entry.key.name})`,
          );
        case 'cooling':
          throw new AddressUnavailable(
            `${text} was released a moment ago and rests for ${view.settings.ipCooldownSeconds} s (ipCooldownSeconds)`,
          );
        case 'outside':
          throw new AddressUnavailable(`${text} cannot be given out: block ${entry.key.name} is damaged`);
      }
    });
  }

  #poolsFor(request: AssignRequest, family: Family): readonly Pool[] {
    const { pools, selectsNode, selectsNamespace, host } = this.#context;
    const { eligible, rejected } = choosePools(pools(), family, {
      selectsNode,
      selectsNamespace,
      use: request.use ?? 'Workload',
      namespace: request.namespace,
      requested: request.pools?.[family],
    });
    if (eligible.length > 0) return eligible;
    const reasons = rejected.map(({ pool, reason }) => `IPPool ${pool}: ${reason}`);
    throw new NoPool(
      reasons.length === 0
        ? `there is no ${familyName(family)} IPPool: create one`
        : `no ${familyName(family)} IPPool can be used on ${host}: ${reasons.join('; ')}`,
    );
  }

  /** This host's blocks with free addresses, as far as the view knows. */
  #knownOwn(family: Family): readonly BlockSummary[] {
    const { index, confirmed } = this.#context.view;
    return confirmed.blocks
      .filter((block) => block.family === family)
      .flatMap((block) => index.get(formatPrefix(block)) ?? [])
      .filter(({ free, cooling }) => free > 0 || cooling > 0);
  }

  async #fromOwn(
    request: AssignRequest,
    pools: readonly Pool[],
    blocks: readonly Pick<BlockSummary, 'cidr' | 'prefix'>[],
  ): Promise<Attempt> {
    for (const pool of pools) {
      for (const { cidr, prefix } of blocks) {
        if (!prefixContains(pool.cidr, prefix)) continue;
        const entry = await readBlock(this.#context, cidr);
        if (entry === undefined || hostOfBlock(entry.value) !== this.#context.host) continue;
        const outcome = await this.#takeNext(request, entry);
        if (outcome !== undefined) return outcome;
      }
    }
    return undefined;
  }

  /** The way that costs more: the store's own word on our blocks, then all blocks. Throws `PoolsExhausted`. */
  async #fromElsewhere(
    request: AssignRequest,
    pools: readonly Pool[],
    family: Family,
    deadline: Deadline,
  ): Promise<Attempt> {
    const { store, host, view } = this.#context;
    const own = (await ownBlocks(this.#context, family))
      .map(({ key, value }) => ({ cidr: key.name, prefix: blockPrefix(value) }))
      .sort((a, b) => comparePrefixes(a.prefix, b.prefix));
    const fromOwn = await this.#fromOwn(request, pools, own);
    if (fromOwn !== undefined) return fromOwn;
    const { settings } = view;
    const affinities = (await store.list('affinity', { host, family })).map(
      ({ key }) => affinityParts(key).cidr,
    );
    const limit = blockLimit(settings, request.maxBlocks);
    const limitReason = !settings.autoAllocateBlocks
      ? 'the IPAM configuration forbids new blocks (autoAllocateBlocks is false)'
      : affinities.length >= limit
        ? `this host has ${affinities.length} of at most ${limit} ${familyName(family)} blocks (maxBlocksPerHost)`
        : undefined;
    // The view may lag: only what a fresh listing confirms is said to be used up.
    for (const isFresh of [false, true]) {
      deadline.check('looking for a block');
      const blocks = isFresh ? await store.list('block', { family }) : [];
      if (isFresh)
        view.index.replace(
          blocks.map(({ value }) => value),
          family,
        );
      const outcome =
        (limitReason === undefined ? await this.#fromNew(request, pools, new Set(affinities)) : undefined) ??
        (settings.strictAffinity ? undefined : await this.#borrow(request, pools));
      if (outcome !== undefined) return outcome;
      if (!isFresh) continue;
      throw new PoolsExhausted(
        describeExhaustion({
          pools,
          blocks: blocks.map(({ value }) => value),
          host,
          isReserved: this.#context.isReserved,
          ...(limitReason !== undefined && { claimLimit: limitReason }),
        }),
      );
    }
    throw new IpamError('internal', 'a search for a block ended without a result');
  }

  /** Claims a block and takes its first address. A claim of ours without its block is damage: that block is not made anew. */
  async #fromNew(
    request: AssignRequest,
    pools: readonly Pool[],
    claimed: ReadonlySet<string>,
  ): Promise<Attempt> {
    const { host, view, claims, isBlockReserved } = this.#context;
    const tried = new Set<string>(claimed);
    for (const pool of pools) {
      for (;;) {
        const candidate = firstFreeBlock(
          pool,
          host,
          (cidr, block) => tried.has(cidr) || isBlockReserved(block) || view.index.isTaken(cidr, block),
        );
        if (candidate === undefined) break;
        tried.add(formatPrefix(candidate));
        const outcome = await this.#fromClaimed(request, await claims.claim(candidate));
        if (outcome !== undefined) return outcome;
      }
    }
    for (const pool of pools) {
      for (const block of this.#reclaimable(pool)) {
        if (!(await this.#reclaim(block))) continue;
        const outcome = await this.#fromClaimed(request, await claims.claim(block.prefix));
        if (outcome !== undefined) return outcome;
      }
    }
    return undefined;
  }

  async #fromClaimed(request: AssignRequest, entry: IpamEntry<'block'> | undefined): Promise<Attempt> {
    if (entry === undefined) return undefined;
    this.#context.view.note(entry);
    const outcome = await this.#takeNext(request, entry);
    // Reserved as a whole: a block that can never give an address is not kept.
    if (outcome === undefined) await this.#context.claims.releaseIfEmpty(entry.key.name);
    return outcome;
  }

  /** Empty blocks that nobody has, and where borrowing is allowed those that other hosts have had for a while. */
  #reclaimable(pool: Pool): readonly BlockSummary[] {
    const { view, host, nowMs, isBlockReserved } = this.#context;
    const isStrict = view.settings.strictAffinity;
    return Array.from(view.index.all(pool.cidr.family)).filter(
      (block) =>
        block.used === 0 &&
        block.host !== host &&
        block.prefix.length === pool.blockSize &&
        prefixContains(pool.cidr, block.prefix) &&
        (block.host === undefined || (!isStrict && nowMs() - block.claimedAtMs >= RECLAIM_AGE_MS)) &&
        !isBlockReserved(block.prefix),
    );
  }

  async #reclaim({ cidr, host, sequenceNumber }: BlockSummary): Promise<boolean> {
    if (host !== undefined) return await this.#context.claimsOf(host).releaseIfEmpty(cidr, sequenceNumber);
    return await this.#context.claims.deleteUnowned(cidr);
  }

  /** Takes a single address out of a block of another host, beginning at a place given by this host's name. */
  async #borrow(request: AssignRequest, pools: readonly Pool[]): Promise<Attempt> {
    const { view, host } = this.#context;
    for (const pool of pools) {
      const lenders = Array.from(view.index.all(pool.cidr.family)).filter(
        (block) =>
          (block.free > 0 || block.cooling > 0) &&
          block.host !== host &&
          prefixContains(pool.cidr, block.prefix),
      );
      const first = Number(hashOfName(host) % BigInt(Math.max(1, lenders.length)));
      for (const { cidr } of [...lenders.slice(first), ...lenders.slice(0, first)]) {
        const entry = await readBlock(this.#context, cidr);
        if (entry === undefined) continue;
        const outcome = await this.#takeNext(request, entry);
        if (outcome !== undefined) return outcome;
      }
    }
    return undefined;
  }

  async #takeNext(request: AssignRequest, entry: IpamEntry<'block'>): Promise<Attempt> {
    const { view, isReserved } = this.#context;
    const next = assignNext(
      view.thawed(entry.value),
      request.handle,
      this.#attributesOf(request),
      isReserved,
    );
    if (next !== undefined) return await this.#write(entry, next.block, next.allocation);
    view.note(entry);
    return undefined;
  }

  /** Claims a block for an address that no block holds yet. */
  async #claimFor(address: Address, cidr: Prefix): Promise<IpamEntry<'block'> | undefined> {
    const { view, claims } = this.#context;
    const text = formatPrefix(cidr);
    if (view.index.get(text) === undefined && view.index.isTaken(text, cidr)) {
      throw new AddressUnavailable(
        `${formatAddress(address)} needs block ${text}, but a block of another size overlaps it: the pool's blockSize was changed`,
      );
    }
    const entry = await claims.claim(cidr);
    if (entry !== undefined) view.note(entry);
    return entry;
  }

  /** Index first, then the block: see handles.ts. */
  async #write(
    entry: IpamEntry<'block'>,
    block: BlockDocument,
    allocation: Allocation,
  ): Promise<Assignment | 'raced'> {
    const { store, view } = this.#context;
    const handle = allocation.handle ?? '';
    const cidr = entry.key.name;
    await setHandleCount(store, handle, cidr, countOf(block, handle));
    try {
      view.note(await store.update(entry.key, block, entry.revision));
    } catch (error) {
      // It may have taken effect, now or in a moment: the handle must lead there, for whoever tries again or gives up.
      if (error instanceof OutcomeUnknown) throw error;
      const now = await readBlock(this.#context, cidr);
      if (now !== undefined) view.note(now);
      await setHandleCount(store, handle, cidr, now === undefined ? 0 : countOf(now.value, handle));
      if (!isRace(error)) throw error;
      return 'raced';
    }
    return toAssignment(this.#context, block, allocation);
  }

  #attributesOf(request: AssignRequest): Readonly<Record<string, string>> {
    return { ...request.attributes, node: this.#context.host };
  }
}
