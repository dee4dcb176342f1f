/**
 * Gives addresses to workloads of this host: the one door to the parts of this folder. Operations run one after another under the host's
 * lock; what they decide is a function of the documents, and every write is a compare-and-swap, so that any number of hosts, also Calico's,
 * may work on one store.
 */
import { type Address, addressesEqual, FAMILIES, type Family, formatAddress } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';
import { CONFIG_KEY } from '../store/ipam-documents.ts';
import type { Revision } from '../store/types.ts';
import { Allocator } from './allocator.ts';
import { allocationsOf } from './block.ts';
import type { ReleaseOutcome, ReleaseRequest } from './block-release.ts';
import { checkIpam, type IpamViolation } from './check.ts';
import { BlockClaims, isRace } from './claims.ts';
import { changedConfig, INITIAL_CONFIG, type IpamSettings } from './configuration.ts';
import type { BlocksListener } from './confirmed-blocks.ts';
import {
  type Assignment,
  type AssignRequest,
  type IpamContext,
  type IpamOptions,
  toAssignment,
} from './context.ts';
import { AddressUnavailable, IpamError } from './errors.ts';
import { deleteEmptyHandle, mendHandles } from './handles.ts';
import { HostLock } from './host-lock.ts';
import { choosePools, familiesOfPools, familyName, type PoolUse } from './pools.ts';
import { type HeldInBlock, heldByHandle, heldHere, ownBlocks } from './records.ts';
import { type ExactAllocation, Releaser } from './releaser.ts';
import { untilSettled } from './retry.ts';
import { StoreView } from './store-view.ts';

export type { Assignment, AssignRequest, IpamOptions } from './context.ts';

/** IPAM of one host over one store. */
export class Ipam {
  readonly #context: IpamContext;
  readonly #view: StoreView;
  readonly #allocator: Allocator;
  readonly #releaser: Releaser;
  readonly #lock = new HostLock();

  constructor(options: IpamOptions) {
    const nowNs = options.nowNs ?? (() => BigInt(Date.now()) * 1_000_000n);
    const nowMs = (): number => Number(nowNs() / 1_000_000n);
    this.#view = new StoreView(options.host, nowMs);
    const forClaims = { store: options.store, nowNs, thawed: this.#view.thawed };
    this.#context = {
      selectsNamespace: () => false,
      isReserved: () => false,
      isBlockReserved: () => false,
      ...options,
      nowMs,
      view: this.#view,
      claims: new BlockClaims(forClaims, options.host),
      claimsOf: (host) => new BlockClaims(forClaims, host),
    };
    this.#allocator = new Allocator(this.#context);
    this.#releaser = new Releaser(this.#context);
  }

  /** Follows the store and mends what a crash left. Call before anything else. */
  async start(): Promise<void> {
    const { store, claims } = this.#context;
    await this.#view.follow(store);
    await this.#lock.run(async () => {
      await claims.mend();
      const blocks = await ownBlocks(this.#context);
      const counts = new Map(blocks.map(({ key, value }) => [key.name, countByHandle(allocationsOf(value))]));
      await mendHandles(store, {
        counts,
        exists: (cidr) => this.#view.index.get(cidr) !== undefined,
        mayLower: this.#view.settings.strictAffinity,
      });
      for (const { value } of blocks) await this.#releaser.giveUpIfUnwanted(value);
    });
  }

  stop(): void {
    this.#view.stop();
  }

  /** What this host knows of all blocks without asking the store. */
  get view(): StoreView {
    return this.#view;
  }

  /** Families in which this node could get an address now, as far as pools are concerned. `requested`: names or CIDRs of pools. */
  availableFamilies(
    demand: {
      readonly requested?: readonly string[];
      readonly namespace?: string;
      readonly use?: PoolUse;
    } = {},
  ): readonly Family[] {
    const { pools, selectsNode, selectsNamespace } = this.#context;
    const { requested, namespace, use = 'Workload' } = demand;
    if (requested !== undefined) return familiesOfPools(pools(), requested);
    return FAMILIES.filter(
      (family) =>
        choosePools(pools(), family, { selectsNode, selectsNamespace, use, namespace }).eligible.length > 0,
    );
  }

  /**
   * Gives the handle one address of each family, all or none; addresses that it holds already are given again. Rejects with an
   * `IpamError`, or with a `StoreError` when the store fails.
   */
  async assign(request: AssignRequest): Promise<readonly Assignment[]> {
    if (request.handle === '')
      throw new IpamError('bad-request', 'an address needs a handle that is not empty');
    return await this.#lock.run(async (deadline) => {
      const held = this.#toAssignments(await heldByHandle(this.#context, request.handle));
      const fresh: Assignment[] = [];
      // The families have no document in common but the handle's index: side by side they cost one turn of the store.
      const attempts = wantedFamilies(request).map(async (family) => {
        const fixed = request.addresses?.find((address) => address.family === family);
        const present = heldAlready(request, held, family, fixed);
        if (present !== undefined) return present;
        const assignment =
          fixed === undefined
            ? await this.#allocator.assignAny(request, family, deadline)
            : await this.#allocator.assignFixed(request, fixed, deadline);
        fresh.push(assignment);
        return assignment;
      });
      const outcomes = await Promise.allSettled(attempts);
      const failure = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failure === undefined)
        return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      const requests = fresh.map(({ address, handle, sequenceNumber }) => ({
        address,
        handle,
        sequenceNumber,
      }));
      await this.#releaser.releaseAddresses(requests, deadline);
      throw failure.reason;
    });
  }

  /** The addresses that a handle holds on this host. */
  async assignmentsOf(handle: string): Promise<readonly Assignment[]> {
    return await this.#lock.run(async () => this.#toAssignments(await heldByHandle(this.#context, handle)));
  }

  /** Every address that this host uses, out of its own blocks and borrowed ones. */
  async assignments(): Promise<readonly Assignment[]> {
    return await this.#lock.run(async () => this.#toAssignments(await heldHere(this.#context)));
  }

  /** Releases everything that a handle holds on this host, and returns it. Nothing held is no error. */
  async releaseHandle(handle: string): Promise<readonly Address[]> {
    return await this.#lock.run(async (deadline) => await this.#releaser.releaseHandle(handle, deadline));
  }

  /**
   * Releases everything that a handle holds on this host if that is exactly what is expected, and `isUnused`, asked at the last moment,
   * still says so; else nothing.
   */
  async releaseExactly(
    handle: string,
    expected: readonly ExactAllocation[],
    isUnused: () => boolean | Promise<boolean>,
  ): Promise<readonly Address[]> {
    return await this.#lock.run(async (deadline) =>
      (await isUnused()) ? await this.#releaser.releaseExactly(handle, expected, deadline) : [],
    );
  }

  /** Releases single addresses of any host, each unless its handle or sequence number is not the one given. */
  async releaseAddresses(requests: readonly ReleaseRequest[]): Promise<readonly ReleaseOutcome[]> {
    return await this.#lock.run(
      async (deadline) => await this.#releaser.releaseAddresses(requests, deadline),
    );
  }

  /** Deletes a handle's index that leads to no address and was not written since. */
  async deleteEmptyHandle(handle: string, revision: Revision): Promise<boolean> {
    return await this.#lock.run(async () => await deleteEmptyHandle(this.#context.store, handle, revision));
  }

  /** This host's confirmed blocks, ordered: what is to be advertised and has a blackhole route. */
  confirmedBlocks(): readonly Prefix[] {
    return this.#view.confirmed.blocks;
  }

  /** Called after each change of `confirmedBlocks`. Returns the function that ends it. */
  onBlocksChanged(listener: BlocksListener): () => void {
    return this.#view.confirmed.onChange(listener);
  }

  /** Addresses of this host's blocks that other hosts use: routes to them are theirs to announce. */
  lentAddresses(): readonly Address[] {
    return this.#view.lent;
  }

  /** Called after each change of `lentAddresses`. Returns the function that ends it. */
  onLentChanged(listener: () => void): () => void {
    return this.#view.onLentChanged(listener);
  }

  /** Gives up blocks without addresses that no pool of this node holds any more. Call after pools changed. */
  async giveUpUnwantedBlocks(): Promise<void> {
    await this.#lock.run(async () => {
      for (const { value } of await ownBlocks(this.#context)) await this.#releaser.giveUpIfUnwanted(value);
    });
  }

  /** Blocks without addresses in use beyond one of each pool. */
  surplusBlocks(): readonly { readonly cidr: string; readonly sequenceNumber: bigint }[] {
    return this.#releaser.surplusBlocks();
  }

  /** Gives up a block of this host that is empty and was not written since. */
  async giveUpBlock(cidr: string, sequenceNumber: bigint): Promise<boolean> {
    return await this.#lock.run(async () => await this.#context.claims.releaseIfEmpty(cidr, sequenceNumber));
  }

  /** The settings in force for the whole store. */
  get settings(): IpamSettings {
    return this.#view.settings;
  }

  /** Writes the settings of a store that nobody has configured: nothing is borrowed. An existing configuration is left alone. */
  async writeInitialSettings(): Promise<void> {
    const { store } = this.#context;
    if ((await store.get(CONFIG_KEY)) !== undefined) return;
    try {
      this.#view.note(await store.create(CONFIG_KEY, INITIAL_CONFIG));
    } catch (error) {
      if (!isRace(error)) throw error;
    }
  }

  /** Changes settings for the whole store. Rejects with an `IpamError` (`bad-request`) for combinations that cannot be. */
  async configure(change: Partial<IpamSettings>): Promise<IpamSettings> {
    const { store } = this.#context;
    await this.#lock.run(
      async (deadline) =>
        await untilSettled('IPAM configuration', deadline, async () => {
          const present = await store.get(CONFIG_KEY);
          const value = changedConfig(present?.value, change);
          try {
            if (present === undefined) this.#view.note(await store.create(CONFIG_KEY, value));
            else this.#view.note(await store.update(CONFIG_KEY, value, present.revision));
            return 'written';
          } catch (error) {
            if (!isRace(error)) throw error;
            return 'raced';
          }
        }),
    );
    return this.settings;
  }

  /** Checks the invariants over the whole store: reads every document of it. */
  async check(): Promise<readonly IpamViolation[]> {
    const { store, nowMs } = this.#context;
    return await this.#lock.run(async () =>
      checkIpam({
        blocks: (await store.list('block')).map(({ value }) => value),
        affinities: await store.list('affinity'),
        handles: await store.list('handle'),
        nowMs: nowMs(),
      }),
    );
  }

  #toAssignments(held: readonly HeldInBlock[]): Assignment[] {
    return held.flatMap(({ entry, allocations }) =>
      allocations.map((allocation) => toAssignment(this.#context, entry.value, allocation)),
    );
  }
}

/** What the handle has of the family already. Throws when that is another address than the one asked for. */
function heldAlready(
  request: AssignRequest,
  held: readonly Assignment[],
  family: Family,
  fixed: Address | undefined,
): Assignment | undefined {
  const present = held.filter(({ address }) => address.family === family);
  if (fixed === undefined) return present[0];
  const same = present.find(({ address }) => addressesEqual(address, fixed));
  if (same === undefined && present[0] !== undefined) {
    const other = formatAddress(present[0].address);
    throw new AddressUnavailable(
      `${request.handle} already holds ${other}: release it before asking for ${formatAddress(fixed)}`,
    );
  }
  return same;
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

function countByHandle(allocations: Iterable<{ readonly handle: string | null }>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { handle } of allocations) {
    if (handle !== null) counts.set(handle, (counts.get(handle) ?? 0) + 1);
  }
  return counts;
}
