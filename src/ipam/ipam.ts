/**
 * Gives addresses to workloads of this host. Every decision is a function of the documents (block.ts, pools.ts, candidates.ts); this
 * class reads them, writes the outcome by compare-and-swap, and decides anew when someone else was faster.
 */
import { type Address, addressesEqual, FAMILIES, type Family, formatAddress } from '../net/address.ts';
import {
  comparePrefixes,
  formatPrefix,
  type Prefix,
  prefixContains,
  prefixContainsAddress,
  prefixOf,
} from '../net/prefix.ts';
import { DocumentDamaged } from '../store/errors.ts';
import {
  affinityParts,
  type BlockDocument,
  blockKey,
  CONFIG_KEY,
  handleKey,
  type IpamConfigDocument,
} from '../store/ipam-documents.ts';
import type { IpamEntry, IpamStore } from '../store/ipam-store.ts';
import { KeyedMutex } from '../store/keyed-mutex.ts';
import {
  type Allocation,
  allocationsOf,
  assignAddress,
  assignNext,
  blockPrefix,
  hostOfBlock,
  type IsReserved,
  type ReleaseOutcome,
  type ReleaseRequest,
  release,
} from './block.ts';
import { firstFreeBlock } from './candidates.ts';
import { checkIpam, type IpamViolation } from './check.ts';
import { BlockClaims, isRace } from './claims.ts';
import { type BlocksListener, ConfirmedBlocks } from './confirmed-blocks.ts';
import { AddressUnavailable, IpamError, NoPool, PoolsExhausted, TooMuchContention } from './errors.ts';
import { describeExhaustion } from './exhaustion.ts';
import { mendHandles, setHandleCount } from './handles.ts';
import {
  choosePools,
  familyName,
  type Pool,
  poolHolding,
  reasonAgainstAddress,
  type SelectsNode,
} from './pools.ts';
import { TakenBlocks } from './taken-blocks.ts';

/** What IPAM works with. Pools, selectors and reservations are asked for at each request, so they may change at any time. */
export interface IpamOptions {
  readonly store: IpamStore;
  /** this node's name */
  readonly host: string;
  readonly pools: () => readonly Pool[];
  readonly selectsNode: SelectsNode;
  /** default: nothing is reserved */
  readonly isReserved?: IsReserved;
  /** time in nanoseconds since 1970; default: the clock. New blocks start their sequence numbers here */
  readonly nowNs?: () => bigint;
}

/** A request for one address a family. */
export interface AssignRequest {
  /** names the holder; the same handle gets the same addresses again. Calico's form is `<network>.<containerID>` */
  readonly handle: string;
  /** families wanted besides those of `addresses` */
  readonly families: readonly Family[];
  /** stored with the allocation for people: `node`, `namespace`, `pod` or `endpoint`, `timestamp` */
  readonly attributes: Readonly<Record<string, string>>;
  /** certain addresses, at most one a family */
  readonly addresses?: readonly Address[];
  /** names of the pools to take from, in order; default: every pool that may serve, by name */
  readonly pools?: Readonly<Partial<Record<Family, readonly string[]>>>;
}

/** An address that a handle holds. */
export interface Assignment {
  readonly address: Address;
  readonly block: Prefix;
  /** undefined when no pool holds the address any more */
  readonly pool: string | undefined;
  readonly handle: string;
  /** what was stored with the allocation */
  readonly attributes: Readonly<Record<string, string>>;
  /** for a later `releaseAddresses` that must not hit a successor */
  readonly sequenceNumber: bigint;
}

/** Calico's bound on retries of one operation. */
const MAX_ATTEMPTS = 100;
/** Calico's limit of blocks a host and family when none is configured. */
const DEFAULT_MAX_BLOCKS = 20;
const DEFAULT_CONFIG: IpamConfigDocument = {
  strict_affinity: true,
  auto_allocate_blocks: true,
  maxBlocksPerHost: 0,
};

/** IPAM of one host over one store. */
export class Ipam {
  readonly #store: IpamStore;
  readonly #host: string;
  readonly #pools: () => readonly Pool[];
  readonly #selectsNode: SelectsNode;
  readonly #isReserved: IsReserved;
  readonly #claims: BlockClaims;
  readonly #confirmed: ConfirmedBlocks;
  // The host lock of Calico, within this process: requests would only make each other retry.
  readonly #mutex = new KeyedMutex();

  constructor(options: IpamOptions) {
    this.#store = options.store;
    this.#host = options.host;
    this.#pools = options.pools;
    this.#selectsNode = options.selectsNode;
    this.#isReserved = options.isReserved ?? (() => false);
    this.#claims = new BlockClaims(
      options.store,
      options.host,
      options.nowNs ?? (() => BigInt(Date.now()) * 1_000_000n),
    );
    this.#confirmed = new ConfirmedBlocks(options.host);
  }

  /** Follows the store and mends what a crash left. Call before anything else. */
  async start(): Promise<void> {
    await this.#confirmed.follow(this.#store);
    await this.#exclusively(async () => {
      await this.#claims.mend();
      await mendHandles(this.#store, await this.#countsByBlock());
      for (const { value } of await this.#ownBlocks()) await this.#giveUpIfUnwanted(value);
    });
  }

  stop(): void {
    this.#confirmed.stop();
  }

  /** Families in which this node could get an address now, as far as pools are concerned. */
  availableFamilies(): readonly Family[] {
    return FAMILIES.filter(
      (family) => choosePools(this.#pools(), family, this.#selectsNode).eligible.length > 0,
    );
  }

  /**
   * Gives the handle one address of each family, all or none; addresses that it holds already are given again. Rejects with an
   * `IpamError`, or with a `StoreError` when the store fails.
   */
  async assign(request: AssignRequest): Promise<readonly Assignment[]> {
    if (request.handle === '')
      throw new IpamError('bad-request', 'an address needs a handle that is not empty');
    return await this.#exclusively(async () => {
      const held = await this.#assignmentsOf(request.handle);
      const wanted = wantedFamilies(request);
      const given: Assignment[] = [];
      const fresh: Assignment[] = [];
      try {
        for (const family of wanted) {
          const fixed = request.addresses?.find((address) => address.family === family);
          const present = held.filter(({ address }) => address.family === family);
          const kept =
            fixed === undefined ? present[0] : present.find(({ address }) => addressesEqual(address, fixed));
          if (kept === undefined && present[0] !== undefined && fixed !== undefined) {
            const other = formatAddress(present[0].address);
            throw new AddressUnavailable(
              `${request.handle} already holds ${other}: release it before asking for ${formatAddress(fixed)}`,
            );
          }
          const assignment =
            kept ??
            (fixed === undefined
              ? await this.#assignAny(request, family)
              : await this.#assignFixed(request, fixed));
          if (kept === undefined) fresh.push(assignment);
          given.push(assignment);
        }
      } catch (error) {
        await this.#release(
          fresh.map(({ address, handle, sequenceNumber }) => ({ address, handle, sequenceNumber })),
        );
        throw error;
      }
      return given;
    });
  }

  /** The addresses that a handle holds, by family and value. */
  async assignmentsOf(handle: string): Promise<readonly Assignment[]> {
    return await this.#exclusively(async () => await this.#assignmentsOf(handle));
  }

  /** Every address given out from this host's blocks. */
  async assignments(): Promise<readonly Assignment[]> {
    return await this.#exclusively(async () => {
      const blocks = await this.#ownBlocks();
      return blocks.flatMap(({ value }) => allocationsOf(value).map((each) => this.#assignment(value, each)));
    });
  }

  /** Releases everything that a handle holds, and returns it. Nothing held is no error. */
  async releaseHandle(handle: string): Promise<readonly Address[]> {
    return await this.#exclusively(async () => {
      const held = await this.#assignmentsOf(handle);
      const outcomes = await this.#release(held.map(({ address }) => ({ address, handle })));
      for (const cidr of await this.#indexedBlocks(handle)) {
        const count = held.length === 0 ? 0 : await this.#countIn(cidr, handle);
        await setHandleCount(this.#store, handle, cidr, count);
      }
      return outcomes.filter(({ outcome }) => outcome === 'released').map(({ address }) => address);
    });
  }

  /** Releases single addresses, each unless its handle or sequence number is not the one given. */
  async releaseAddresses(requests: readonly ReleaseRequest[]): Promise<readonly ReleaseOutcome[]> {
    return await this.#exclusively(async () => await this.#release(requests));
  }

  /** This host's confirmed blocks, ordered: what is to be advertised and has a blackhole route. */
  confirmedBlocks(): readonly Prefix[] {
    return this.#confirmed.blocks;
  }

  /** Called after each change of `confirmedBlocks`. Returns the function that ends it. */
  onBlocksChanged(listener: BlocksListener): () => void {
    return this.#confirmed.onChange(listener);
  }

  /** Gives up blocks without addresses that no pool of this node holds any more. Call after pools changed. */
  async giveUpUnwantedBlocks(): Promise<void> {
    await this.#exclusively(async () => {
      for (const { value } of await this.#ownBlocks()) await this.#giveUpIfUnwanted(value);
    });
  }

  /** Checks the invariants over the whole store. */
  async check(): Promise<readonly IpamViolation[]> {
    return await this.#exclusively(async () =>
      checkIpam({
        blocks: (await this.#store.list('block')).map(({ value }) => value),
        affinities: await this.#store.list('affinity'),
        handles: await this.#store.list('handle'),
      }),
    );
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    return await this.#mutex.run('', work);
  }

  async #assignAny(request: AssignRequest, family: Family): Promise<Assignment> {
    const { eligible, rejected } = choosePools(
      this.#pools(),
      family,
      this.#selectsNode,
      request.pools?.[family],
    );
    if (eligible.length === 0) {
      const reasons = rejected.map(({ pool, reason }) => `IPPool ${pool}: ${reason}`);
      throw new NoPool(
        reasons.length === 0
          ? `there is no ${familyName(family)} IPPool: create one`
          : `no ${familyName(family)} IPPool can be used on ${this.#host}: ${reasons.join('; ')}`,
      );
    }
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const own = (await this.#ownBlocks(family)).sort((a, b) =>
        comparePrefixes(blockPrefix(a.value), blockPrefix(b.value)),
      );
      const outcome =
        (await this.#assignFromOwn(request, eligible, own)) ??
        (await this.#assignFromNew(request, eligible, family));
      if (outcome !== 'raced') return outcome;
    }
    throw new TooMuchContention(`no ${familyName(family)} address for ${request.handle}`, MAX_ATTEMPTS);
  }

  /** Undefined: no own block has a free address. */
  async #assignFromOwn(
    request: AssignRequest,
    pools: readonly Pool[],
    own: readonly IpamEntry<'block'>[],
  ): Promise<Assignment | 'raced' | undefined> {
    for (const pool of pools) {
      for (const entry of own) {
        if (!prefixContains(pool.cidr, blockPrefix(entry.value))) continue;
        const next = assignNext(entry.value, request.handle, request.attributes, this.#isReserved);
        if (next !== undefined) return await this.#writeAssignment(entry, next.block, next.allocation);
      }
    }
    return undefined;
  }

  /** Claims a block and takes its first address. Throws `PoolsExhausted` when there is none to be had. */
  async #assignFromNew(
    request: AssignRequest,
    pools: readonly Pool[],
    family: Family,
  ): Promise<Assignment | 'raced'> {
    const blocks = await this.#store.list('block', { family });
    const affinities = await this.#store.list('affinity', { host: this.#host, family });
    const config = (await this.#store.get(CONFIG_KEY))?.value ?? DEFAULT_CONFIG;
    const limit = config.maxBlocksPerHost || DEFAULT_MAX_BLOCKS;
    const exhausted = (claimLimit?: string) =>
      new PoolsExhausted(
        describeExhaustion({
          pools,
          blocks: blocks.map(({ value }) => value),
          host: this.#host,
          isReserved: this.#isReserved,
          ...(claimLimit !== undefined && { claimLimit }),
        }),
      );
    if (!config.auto_allocate_blocks)
      throw exhausted('the IPAM configuration forbids new blocks (autoAllocateBlocks is false)');
    if (affinities.length >= limit) {
      throw exhausted(
        `this host has ${affinities.length} of at most ${limit} ${familyName(family)} blocks (maxBlocksPerHost)`,
      );
    }
    // A claim of ours without its block is damage: its addresses may be in use, so it is not made anew.
    const taken = new TakenBlocks([
      ...blocks.map(({ key }) => key.name),
      ...affinities.map(({ key }) => affinityParts(key).cidr),
    ]);
    for (const pool of pools) {
      for (;;) {
        const candidate = firstFreeBlock(pool, this.#host, (cidr, block) => taken.has(cidr, block));
        if (candidate === undefined) break;
        taken.add(candidate);
        const entry = await this.#claims.claim(candidate);
        const next = entry && assignNext(entry.value, request.handle, request.attributes, this.#isReserved);
        if (entry !== undefined && next !== undefined)
          return await this.#writeAssignment(entry, next.block, next.allocation);
        // Reserved as a whole: a block that can never give an address is not kept.
        if (entry !== undefined) await this.#claims.releaseIfEmpty(entry.key.name);
      }
    }
    throw exhausted();
  }

  async #assignFixed(request: AssignRequest, address: Address): Promise<Assignment> {
    const reason = reasonAgainstAddress(this.#pools(), address, this.#selectsNode);
    const pool = poolHolding(this.#pools(), address);
    if (reason !== undefined || pool === undefined)
      throw new AddressUnavailable(reason ?? 'the address is in no IPPool');
    const cidr = prefixOf(address, pool.blockSize);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const entry = (await this.#blockHolding(address)) ?? (await this.#claimFor(address, cidr));
      if (entry === undefined || hostOfBlock(entry.value) !== this.#host) {
        const owner = entry && hostOfBlock(entry.value);
        throw new AddressUnavailable(
          `${formatAddress(address)} is in block ${entry?.key.name ?? 'of another host'}, which belongs to ${owner ?? 'another host'}`,
        );
      }
      const outcome = assignAddress(entry.value, address, request.handle, request.attributes);
      if (outcome.outcome === 'in-use') {
        throw new AddressUnavailable(
          `${formatAddress(address)} is in use: held by ${outcome.holder.handle ?? 'an unknown holder'} (IPPool ${pool.name}, block ${entry.key.name})`,
        );
      }
      if (outcome.outcome === 'outside') {
        throw new AddressUnavailable(
          `${formatAddress(address)} cannot be given out: block ${entry.key.name} is damaged`,
        );
      }
      const written = await this.#writeAssignment(entry, outcome.block, outcome.allocation);
      if (written !== 'raced') return written;
    }
    throw new TooMuchContention(`address ${formatAddress(address)} for ${request.handle}`, MAX_ATTEMPTS);
  }

  /** Claims a block for an address that no block holds yet. */
  async #claimFor(address: Address, cidr: Prefix): Promise<IpamEntry<'block'> | undefined> {
    const blocks = await this.#store.list('block', { family: address.family });
    const smaller = blocks.find(
      ({ value }) => prefixContains(cidr, blockPrefix(value)) && value.cidr !== formatPrefix(cidr),
    );
    if (smaller !== undefined) {
      throw new AddressUnavailable(
        `${formatAddress(address)} needs block ${formatPrefix(cidr)}, but the smaller block ${smaller.value.cidr} overlaps it: the pool's blockSize was changed`,
      );
    }
    return await this.#claims.claim(cidr);
  }

  /** Index first, then the block: see handles.ts. */
  async #writeAssignment(
    entry: IpamEntry<'block'>,
    block: BlockDocument,
    allocation: Allocation,
  ): Promise<Assignment | 'raced'> {
    const handle = allocation.handle ?? '';
    const cidr = entry.key.name;
    await setHandleCount(this.#store, handle, cidr, countOf(block, handle));
    try {
      await this.#store.update(entry.key, block, entry.revision);
    } catch (error) {
      await setHandleCount(this.#store, handle, cidr, await this.#countIn(cidr, handle));
      if (!isRace(error)) throw error;
      return 'raced';
    }
    return this.#assignment(block, allocation);
  }

  async #release(requests: readonly ReleaseRequest[]): Promise<readonly ReleaseOutcome[]> {
    const outcomes: ReleaseOutcome[] = [];
    for (const request of requests) outcomes.push(await this.#releaseOne(request));
    return outcomes;
  }

  async #releaseOne(request: ReleaseRequest): Promise<ReleaseOutcome> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const entry = await this.#blockHolding(request.address);
      if (entry === undefined) return { outcome: 'not-allocated', address: request.address };
      const { block, outcomes } = release(entry.value, [request]);
      const [outcome] = outcomes;
      if (outcome === undefined || outcome.outcome !== 'released') {
        return outcome ?? { outcome: 'not-allocated', address: request.address };
      }
      try {
        await this.#store.update(entry.key, block, entry.revision);
      } catch (error) {
        if (isRace(error)) continue;
        throw error;
      }
      if (outcome.handle !== null) {
        await setHandleCount(this.#store, outcome.handle, entry.key.name, countOf(block, outcome.handle));
      }
      await this.#giveUpIfUnwanted(block);
      return outcome;
    }
    throw new TooMuchContention(`release of ${formatAddress(request.address)}`, MAX_ATTEMPTS);
  }

  async #giveUpIfUnwanted(block: BlockDocument): Promise<void> {
    if (hostOfBlock(block) !== this.#host) return;
    const cidr = blockPrefix(block);
    const isWanted = this.#pools().some(
      (pool) =>
        prefixContains(pool.cidr, cidr) &&
        !pool.isDisabled &&
        (pool.nodeSelector === '' || this.#selectsNode(pool.nodeSelector)),
    );
    if (!isWanted) await this.#claims.releaseIfEmpty(block.cidr);
  }

  async #assignmentsOf(handle: string): Promise<readonly Assignment[]> {
    const found = new Map<string, Assignment>();
    const cidrs = new Set(await this.#indexedBlocks(handle));
    const blocks = await this.#ownBlocks();
    for (const { key } of blocks) cidrs.delete(key.name);
    for (const cidr of cidrs) {
      const entry = await this.#store.get(blockKey(cidr));
      if (entry !== undefined) blocks.push(entry);
    }
    for (const { value } of blocks) {
      for (const allocation of allocationsOf(value)) {
        if (allocation.handle === handle) {
          found.set(formatAddress(allocation.address), this.#assignment(value, allocation));
        }
      }
    }
    return Array.from(found.values());
  }

  async #indexedBlocks(handle: string): Promise<readonly string[]> {
    return Object.keys((await this.#store.get(handleKey(handle)))?.value.block ?? {});
  }

  async #countIn(cidr: string, handle: string): Promise<number> {
    const entry = await this.#store.get(blockKey(cidr));
    return entry === undefined ? 0 : countOf(entry.value, handle);
  }

  /** Blocks whose claim is confirmed on both sides. Damaged ones are left out: their addresses stay taken. */
  async #ownBlocks(family?: Family): Promise<IpamEntry<'block'>[]> {
    const found: IpamEntry<'block'>[] = [];
    const filter = family === undefined ? { host: this.#host } : { host: this.#host, family };
    for (const { key, value } of await this.#store.list('affinity', filter)) {
      if (value.state !== 'confirmed') continue;
      try {
        const entry = await this.#store.get(blockKey(affinityParts(key).cidr));
        if (entry !== undefined && hostOfBlock(entry.value) === this.#host) found.push(entry);
      } catch (error) {
        if (!(error instanceof DocumentDamaged)) throw error;
      }
    }
    return found;
  }

  /** The block of whatever size that holds an address. */
  async #blockHolding(address: Address): Promise<IpamEntry<'block'> | undefined> {
    const pool = poolHolding(this.#pools(), address);
    const likely = pool && (await this.#store.get(blockKey(formatPrefix(prefixOf(address, pool.blockSize)))));
    if (likely !== undefined) return likely;
    const blocks = await this.#store.list('block', { family: address.family });
    return blocks.find(({ value }) => prefixContainsAddress(blockPrefix(value), address));
  }

  async #countsByBlock(): Promise<Map<string, Map<string, number>>> {
    const counts = new Map<string, Map<string, number>>();
    for (const { key, value } of await this.#ownBlocks()) {
      const byHandle = new Map<string, number>();
      for (const { handle } of allocationsOf(value)) {
        if (handle !== null) byHandle.set(handle, (byHandle.get(handle) ?? 0) + 1);
      }
      counts.set(key.name, byHandle);
    }
    return counts;
  }

  #assignment(block: BlockDocument, allocation: Allocation): Assignment {
    return {
      address: allocation.address,
      block: blockPrefix(block),
      pool: poolHolding(this.#pools(), allocation.address)?.name,
      handle: allocation.handle ?? '',
      attributes: allocation.attributes,
      sequenceNumber: allocation.sequenceNumber,
    };
  }
}

function wantedFamilies(request: AssignRequest): readonly Family[] {
  const fixed = request.addresses ?? [];
  for (const family of FAMILIES) {
    if (fixed.filter((address) => address.family === family).length > 1) {
      throw new IpamError(
        'bad-request',
        `at most one ${familyName(family)} address can be asked for by value`,
      );
    }
  }
  return FAMILIES.filter(
    (family) => request.families.includes(family) || fixed.some((address) => address.family === family),
  );
}

function countOf(block: BlockDocument, handle: string): number {
  return allocationsOf(block).filter((allocation) => allocation.handle === handle).length;
}
