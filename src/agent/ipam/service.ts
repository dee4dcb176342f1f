/** IPAM's part of the agent: the settings of the store, the collector, and what the API asks. */
import { problem } from '../../api/problem.ts';
import type { Finding } from '../../api/views.ts';
import { ordinalOf } from '../../ipam/block.ts';
import type { ReleaseRequest } from '../../ipam/block-release.ts';
import { type IpamSettings, settingsOfResource } from '../../ipam/configuration.ts';
import { IpamError } from '../../ipam/errors.ts';
import type { Ipam } from '../../ipam/ipam.ts';
import { poolHolding } from '../../ipam/pools.ts';
import { type AddressUser, type CheckReport, checkReport } from '../../ipam/report.ts';
import { splitPool } from '../../ipam/split.ts';
import {
  type BorrowedAddress,
  borrowedAddresses,
  findAllocation,
  type PoolUsage,
  utilization,
} from '../../ipam/utilization.ts';
import { DEFAULT_IPAM_CONFIGURATION } from '../../model/ipam-configuration.ts';
import { makeKey } from '../../model/types.ts';
import { type Address, formatAddress, parseAddress } from '../../net/address.ts';
import { parsePrefix } from '../../net/prefix.ts';
import { blockKey } from '../../store/ipam-documents.ts';
import type { Store } from '../../store/types.ts';
import { VERSION } from '../../version.ts';
import { CoalescedTask } from '../coalesced.ts';
import { addressesOf, endpointName } from '../endpoints/resource.ts';
import type { Log } from '../log.ts';
import { MANAGED_ANNOTATION } from '../node-identity.ts';
import type { ResourceCache } from '../resources/cache.ts';
import { IpamCollector } from './collector.ts';
import {
  type EvidenceSources,
  type Holder,
  type KernelParts,
  kernelEvidence,
  signOfLife,
} from './evidence.ts';
import { ipamMetrics, liveViolations, type Metric } from './metrics.ts';
import type { IpamResources } from './options.ts';
import type { AddressView, ReleaseOrder, ReleaseView, SettingsView, SplitView } from './views.ts';

/** What the service works with. */
export interface IpamServiceOptions {
  readonly node: string;
  readonly store: Store;
  readonly cache: ResourceCache;
  readonly ipam: Ipam;
  readonly resources: IpamResources;
  readonly kernel: KernelParts;
  /** how long an address must show no sign of life before it is freed */
  readonly leakGraceMs: number;
  readonly log: Log;
}

/** One of it in an agent. */
export class IpamService {
  readonly #options: IpamServiceOptions;
  readonly #collector: IpamCollector;
  readonly #holders: Holder[] = [];
  readonly #settings: CoalescedTask;
  readonly #pools: CoalescedTask;

  constructor(options: IpamServiceOptions) {
    this.#options = options;
    const { cache, store, ipam, kernel, log, leakGraceMs } = options;
    const evidence: EvidenceSources = { cache, kernel: kernelEvidence(kernel), holders: this.#holders };
    this.#collector = new IpamCollector({
      ipam,
      log,
      graceMs: leakGraceMs,
      signOfLife: (held) => signOfLife(evidence, held),
      canJudge: () =>
        cache.isInSync && store.availability().state === 'available' && kernel.routes.kernel.isCurrent,
    });
    this.#settings = new CoalescedTask(
      () => this.#followSettings(),
      (error) => log.error({ error }, 'the IPAMConfiguration could not be put in force; tried again'),
    );
    this.#pools = new CoalescedTask(
      async () => {
        await ipam.giveUpUnwantedBlocks();
        return {};
      },
      (error) => log.warn({ error }, 'blocks of former pools could not be given up; tried again'),
    );
  }

  /** A container runtime says which of its handles are alive. */
  addHolder(holder: Holder): void {
    this.#holders.push(holder);
  }

  /** Settles the settings of the store. Call before the first address is given out, once the store is in sync. */
  async prepare(): Promise<void> {
    const { cache, ipam } = this.#options;
    if (this.#configuration() !== undefined) await this.#followSettings();
    else if (!this.#sharesWithCalico()) await ipam.writeInitialSettings();
    cache.onChange(({ key }) => {
      if (key.kind === 'IPAMConfiguration') this.#settings.trigger();
      if (key.kind === 'IPPool' || key.kind === 'Node') this.#pools.trigger();
    });
  }

  /** Begins to look for what was left behind. Call once endpoints and routes are known. */
  start(): void {
    this.#collector.start();
  }

  async close(): Promise<void> {
    await this.#collector.close();
    await this.#settings.close();
    await this.#pools.close();
  }

  /** How full every pool and its blocks are. */
  async usage(): Promise<readonly PoolUsage[]> {
    const { resources } = this.#options;
    return utilization(resources.pools(), await this.#blocks(), resources.reserved());
  }

  async borrowed(): Promise<{ readonly borrowed: readonly BorrowedAddress[]; readonly unknown: number }> {
    return borrowedAddresses(await this.#blocks());
  }

  /** What is known of one address. Throws `ApiError`. */
  async address(text: string): Promise<AddressView> {
    const address = readAddress(text);
    const ip = formatAddress(address);
    const { ipam, resources, store } = this.#options;
    const pool = poolHolding(resources.pools(), address)?.name ?? null;
    const summary = ipam.view.index.holding(address);
    const entry = summary && (await store.ipam.get(blockKey(summary.cidr)));
    if (entry === undefined) return { ip, state: 'no-block', pool };
    const block = entry.key.name;
    const thawed = ipam.view.thawed(entry.value);
    const found = findAllocation(thawed, address);
    if (found === undefined) {
      const isCooling = !thawed.unallocated.some((ordinal) => isAt(thawed.cidr, ordinal, address));
      return {
        ip,
        state: isCooling ? 'cooling' : resources.isReserved(address) ? 'reserved' : 'free',
        block,
        pool,
      };
    }
    const { allocation, user } = found;
    return {
      ip,
      state: 'in-use',
      handle: allocation.handle,
      attributes: allocation.attributes,
      block,
      pool,
      node: user ?? null,
      sequenceNumber: String(allocation.sequenceNumber),
      owners: this.#ownersOf(address),
    };
  }

  settings(): SettingsView {
    const { ipam } = this.#options;
    return { ...ipam.settings, isDefault: ipam.view.config === undefined };
  }

  /** Changes settings for all hosts; an IPAMConfiguration resource is changed along. Throws `ApiError`. */
  async configure(change: Partial<IpamSettings>): Promise<SettingsView> {
    const { ipam, store } = this.#options;
    await asApiError(async () => await ipam.configure(change));
    const stored = await store.get(makeKey('IPAMConfiguration', DEFAULT_IPAM_CONFIGURATION));
    if (stored?.resource.kind === 'IPAMConfiguration') {
      const { resource, revision } = stored;
      const { strictAffinity, autoAllocateBlocks, maxBlocksPerHost, ipCooldownSeconds } = ipam.settings;
      const spec = {
        ...resource.spec,
        strictAffinity,
        autoAllocateBlocks,
        maxBlocksPerHost,
        ipCooldownSeconds,
      };
      await store.update({ ...resource, spec }, revision);
    }
    return this.settings();
  }

  /** Checks everything that the store holds. */
  async check(): Promise<CheckReport> {
    const { store, resources } = this.#options;
    return checkReport({
      blocks: await this.#blocks(),
      affinities: await store.ipam.list('affinity'),
      handles: await store.ipam.list('handle'),
      nowMs: Date.now(),
      pools: resources.pools(),
      users: this.#users(),
      version: VERSION,
    });
  }

  /** Releases addresses on a person's word; those in use only by force. Throws `ApiError`. */
  async release(order: ReleaseOrder): Promise<ReleaseView> {
    const { ipam, log } = this.#options;
    const addresses: ReleaseView['addresses'][number][] = [];
    for (const wanted of order.addresses) {
      const address = readAddress(wanted.ip);
      const owners = this.#ownersOf(address);
      if (owners.length > 0 && !order.force) {
        const reason = `it is in use by ${owners.join(', ')}; delete that, or use --force`;
        addresses.push({ ip: wanted.ip, outcome: 'refused', reason });
        continue;
      }
      const request: ReleaseRequest = {
        address,
        ...(wanted.handle !== undefined && { handle: wanted.handle }),
        ...(wanted.sequenceNumber !== undefined && { sequenceNumber: readNumber(wanted.sequenceNumber) }),
      };
      const [outcome] = await asApiError(async () => await ipam.releaseAddresses([request]));
      if (outcome === undefined) continue;
      const reason = outcome.outcome === 'refused' ? { reason: outcome.reason } : {};
      addresses.push({ ip: wanted.ip, outcome: outcome.outcome, ...reason });
    }
    let handlesDeleted = 0;
    for (const { ID, Revision } of order.handles)
      if (await ipam.deleteEmptyHandle(ID, Revision)) handlesDeleted++;
    const released = addresses.filter(({ outcome }) => outcome === 'released').map(({ ip }) => ip);
    log.info({ released, handlesDeleted, force: order.force }, 'addresses released by hand');
    return { addresses, handlesDeleted, handlesSkipped: order.handles.length - handlesDeleted };
  }

  /** Cuts a pool into equal parts: it is disabled, the parts are made, it is deleted; run again after an interruption. Throws `ApiError`. */
  async split(nameOrCidr: string, parts: number): Promise<SplitView> {
    const { store } = this.#options;
    const stored = (await store.list('IPPool')).find(
      ({ resource }) => resource.metadata.name === nameOrCidr || resource.spec.cidr === nameOrCidr,
    );
    if (stored === undefined)
      throw problem('not-found', `there is no IPPool ${nameOrCidr}`, { hint: 'See "ocicat get ippools".' });
    const pools = await asApiError(async () => splitPool(stored.resource, parts));
    const { resource } = stored;
    const disabled = { ...resource, spec: { ...resource.spec, disabled: true } };
    const whole = resource.spec.disabled === true ? stored : await store.update(disabled, stored.revision);
    for (const pool of pools) {
      const key = makeKey('IPPool', pool.metadata.name);
      const present = await store.get(key);
      if (present === undefined) await store.create(pool);
      else if (present.resource.kind !== 'IPPool' || present.resource.spec.cidr !== pool.spec.cidr)
        throw problem(
          'conflict',
          `IPPool ${pool.metadata.name} exists already: rename or delete it, then split again`,
        );
    }
    await store.delete(makeKey('IPPool', resource.metadata.name), whole.revision);
    return {
      pool: resource.metadata.name,
      created: pools.map(({ metadata, spec }) => ({ name: metadata.name, cidr: spec.cidr })),
    };
  }

  metrics(): readonly Metric[] {
    const { ipam, node, resources } = this.#options;
    return ipamMetrics({
      ipam,
      node,
      pools: resources.pools(),
      reserved: resources.reserved(),
      collector: this.#collector.state,
    });
  }

  findings(): Finding[] {
    const broken = Object.entries(liveViolations(this.#options.ipam)).filter(
      ([kind, count]) => count > 0 && kind !== 'unfinished-affinity',
    );
    const findings: Finding[] = broken.map(([kind, count]) => ({
      severity: 'error',
      code: 'ipam-violation',
      message: `address allocation: ${count} of ${kind}`,
      remedy: 'ocicat ipam check',
    }));
    const { candidates } = this.#collector.state;
    if (candidates.length > 0) {
      findings.push({
        severity: 'info',
        code: 'ipam-leak-candidates',
        message: `addresses of ${candidates.length} handles show no sign of life here; they are freed after 15 minutes unless one shows`,
        remedy: 'ocicat ipam check --show-problem-ips',
      });
    }
    return findings;
  }

  #configuration() {
    return this.#options.cache.get('IPAMConfiguration', DEFAULT_IPAM_CONFIGURATION);
  }

  async #followSettings(): Promise<{ afterMs?: number }> {
    const { ipam, log } = this.#options;
    const resource = this.#configuration();
    if (resource === undefined) return {};
    const before = ipam.settings;
    const after = await ipam.configure(settingsOfResource(resource.spec));
    if (JSON.stringify(before) !== JSON.stringify(after))
      log.info({ before, after }, 'IPAM settings changed');
    return {};
  }

  // Nodes that no agent of ours made are taken for Calico's: with them their habits hold.
  #sharesWithCalico(): boolean {
    const { cache, node } = this.#options;
    return cache
      .list('Node')
      .some(
        ({ metadata }) => metadata.name !== node && metadata.annotations?.[MANAGED_ANNOTATION] === undefined,
      );
  }

  async #blocks() {
    const { store, ipam } = this.#options;
    return (await store.ipam.list('block')).map(({ value }) => ipam.view.thawed(value));
  }

  #ownersOf(address: Address): readonly string[] {
    const text = formatAddress(address);
    return this.#users()
      .filter(({ addresses }) => addresses.some((each) => formatAddress(each) === text))
      .map(({ name }) => name);
  }

  /** Everything in the store that uses addresses: endpoints and the tunnel ends of nodes. */
  #users(): readonly AddressUser[] {
    const { cache } = this.#options;
    const workloads = cache.list('WorkloadEndpoint').map((resource): AddressUser => {
      const { namespace, name } = endpointName(resource);
      return { name: `Workload(${namespace}/${name})`, addresses: addressesOf(resource) };
    });
    const nodes = cache.list('Node').map(({ metadata, spec }): AddressUser => {
      const texts = [spec.bgp?.ipv4IPIPTunnelAddr, spec.ipv4VXLANTunnelAddr, spec.ipv6VXLANTunnelAddr];
      const addresses = texts.flatMap((text) => (text === undefined ? [] : (parseAddress(text) ?? [])));
      return { name: `Node(${metadata.name})`, addresses };
    });
    return [...workloads, ...nodes];
  }
}

function isAt(cidr: string, ordinal: number, address: Address): boolean {
  const prefix = parsePrefix(cidr);
  return prefix !== undefined && ordinalOf(prefix, address) === ordinal;
}

function readAddress(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw problem('invalid', `"${text}" is no IPv4 or IPv6 address`);
  return address;
}

function readNumber(text: string): bigint {
  if (!/^\d{1,20}$/.test(text)) throw problem('invalid', `sequence number "${text}" is no number`);
  return BigInt(text);
}

async function asApiError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof IpamError)) throw error;
    throw problem(error.code === 'bad-request' ? 'invalid' : 'unavailable', error.message);
  }
}
