/**
 * The agent: opens the store and the kernel, waits until both are known, then lets policy, endpoints, routes and BGP loose in that order.
 * It owns the parts and their wiring; what each does stands in its own folder.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PublishedFlows } from '../../fib/conntrack/published-flows.ts';
import { PolicyProgrammer } from '../../fib/policy-programmer.ts';
import { FibProgrammer } from '../../fib/programmer.ts';
import { HostSysctls } from '../../fib/sysctl/host-sysctls.ts';
import { NatGraph } from '../calc/nat-graph.ts';
import { PolicyGraph } from '../calc/policy-graph.ts';
import type { CniService } from '../cni/service.ts';
import { DockerDoor } from '../docker/door.ts';
import { Ipam } from '../ipam/ipam.ts';
import { parsePeerIp } from '../model/bgp-peer.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import type { Resource } from '../model/types.ts';
import { type Address, FAMILIES } from '../net/address.ts';
import { formatPrefix } from '../net/prefix.ts';
import { releaseStartMemory } from '../release-memory.ts';
import { AlreadyExists } from '../store/errors.ts';
import type { Store } from '../store/types.ts';
import { BgpController } from './bgp/controller.ts';
import { followRoutes, originRoutes } from './bgp/origin-routes.ts';
import { Originator } from './bgp/originator.ts';
import { matchesSelector } from './bgp/selector-match.ts';
import { unnumberedInterfaces } from './bgp/unnumbered.ts';
import { localWorkloads } from './bgp/workloads.ts';
import { makeCniService } from './cni.ts';
import { CoalescedTask } from './coalesced.ts';
import type { AgentConfig } from './config.ts';
import { toDetectionLinks } from './detection-links.ts';
import { EndpointManager } from './endpoints/manager.ts';
import { logBrake } from './fib-api.ts';
import { IpamResources } from './ipam/options.ts';
import { IpamService } from './ipam/service.ts';
import { type HostLimits, kernelLimits } from './kernel-support.ts';
import type { Log } from './log.ts';
import { type IdentityResult, initialNode, resolveIdentity } from './node-identity.ts';
import { OverlayService } from './overlay.ts';
import { PolicyEnforcer } from './policy-enforcer.ts';
import { PolicyFeed } from './policy-feed.ts';
import { ResourceCache } from './resources/cache.ts';
import type { ResourceSource } from './resources/overlay.ts';
import { ResourceService } from './resources/service.ts';
import { openStore } from './store-config.ts';
import { fileSysctlJournal } from './sysctl-journal.ts';
import { TUNNEL_LINKS } from './tunnels.ts';
import { endpointMtu, forwardingLinks, uplinkMtu, uplinks } from './uplinks.ts';

/** Prefix of our links. */
export const LINK_PREFIX = 'oci';
/** Until every endpoint and block of the store stands in the kernel, BGP waits at most so long, so that End-of-RIB is true. */
const FIRST_TABLE_TIMEOUT_MS = 10_000;
const STATIC_POLICY_RETRY_MAX_MS = 30_000;

/** The parts of a running agent, for API and status. */
export class Agent {
  readonly config: AgentConfig;
  readonly log: Log;
  readonly startedAt = Date.now();
  readonly store: Store;
  readonly cache: ResourceCache;
  readonly resources: ResourceService;
  readonly fib: FibProgrammer;
  readonly policy: PolicyEnforcer;
  readonly policyFeed: PolicyFeed;
  readonly ipam: Ipam;
  readonly ipamService: IpamService;
  readonly endpoints: EndpointManager;
  readonly originator: Originator;
  readonly bgp: BgpController;
  readonly overlay: OverlayService;
  readonly cni: CniService;
  readonly docker: DockerDoor;
  readonly #sysctls: HostSysctls;
  readonly #refresh: CoalescedTask;
  #identity: IdentityResult;
  #mtu = 0;
  #uplinkMtu = 0;
  #uplinkCount = 0;
  #ready = false;
  #stopping = false;
  /** what keeps the agent from getting ready */
  #startError: string | undefined;

  private constructor(config: AgentConfig, log: Log, store: Store, fib: FibProgrammer, limits: HostLimits) {
    this.config = config;
    this.log = log;
    this.docker = new DockerDoor(config.docker, log.child({ component: 'docker' }));
    this.store = store;
    this.fib = fib;
    this.cache = new ResourceCache(store);
    this.resources = new ResourceService(store, limits, (resources) => this.bgp.preview(resources));
    this.policy = new PolicyEnforcer(
      new PolicyProgrammer({ flows: new PublishedFlows() }),
      log.child({ component: 'policy' }),
    );
    this.policyFeed = new PolicyFeed(
      new PolicyGraph(config.nodeName),
      new NatGraph(config.nodeName),
      this.policy,
      () => this.#refresh.trigger(),
    );
    const ipamResources = new IpamResources(this.cache);
    this.ipam = new Ipam({
      store: store.ipam,
      host: config.nodeName,
      ...ipamResources,
      selectsNode: (selector) => matchesSelector(selector, this.#identity.identity.labels),
    });
    this.ipamService = new IpamService({
      node: config.nodeName,
      store,
      cache: this.cache,
      ipam: this.ipam,
      resources: ipamResources,
      kernel: { links: fib.kernel.links, routes: fib.routes, linkNameOf: (id) => fib.links.nameOf(id) },
      leakGraceMs: config.ipam.leakGraceSec * 1000,
      log: log.child({ component: 'ipam' }),
    });
    this.endpoints = new EndpointManager({
      node: config.nodeName,
      store,
      cache: this.cache,
      ipam: this.ipam,
      fib,
      policy: this.policy,
      log: log.child({ component: 'endpoints' }),
      mtu: () => this.#mtu,
      onState: (id, addresses) => {
        this.originator.setEndpoint(id, addresses);
        this.bgp.updateWorkloads();
      },
      policiesOf: (id) => this.policyFeed.policiesOf(id),
      portConflict: (container, ports) => this.policyFeed.portConflict(container, ports),
      portProblems: (id) => this.policyFeed.natProblems(id).map(({ reason }) => reason),
    });
    this.originator = new Originator({ routes: originRoutes(fib), mayExport: ipamResources.mayExport });
    this.#identity = this.#resolveIdentity();
    this.overlay = new OverlayService({
      node: config.nodeName,
      store,
      cache: this.cache,
      ipam: this.ipam,
      fib,
      identity: () => this.#identity,
      underlayMtu: () => this.#uplinkMtu,
      linkPrefix: LINK_PREFIX,
      log: log.child({ component: 'overlay' }),
    });
    this.bgp = new BgpController({
      log: log.child({ component: 'bgp' }),
      cache: this.cache,
      fib,
      suppressFibPending: config.routes.suppressFibPending ?? true,
      originator: this.originator,
      identity: (source) => this.#resolveIdentity(source),
      blocks: () => this.ipam.confirmedBlocks(),
      lent: () => this.ipam.lentAddresses(),
      routedOtherwise: () => this.overlay.managed(),
      workloads: localWorkloads(
        config.nodeName,
        this.cache,
        (selector) => this.policyFeed.matching(selector),
        fib,
      ),
      linkPrefix: LINK_PREFIX,
    });
    this.cni = makeCniService(this);
    this.#sysctls = HostSysctls.open({
      journal: fileSysctlJournal(join(dirname(config.store.path), 'former-sysctls.json')),
      onDrift: (drift) =>
        log.warn(drift, 'somebody changed a setting that forwarding needs; it is put right'),
      onError: (error) => log.error({ error }, 'a setting that forwarding needs cannot be put right'),
    });
    this.#refresh = new CoalescedTask(
      () => this.#onHostChanged(),
      (error) => log.error({ error }, 'a change of the host could not be followed'),
    );
  }

  /** Opens store and kernel; changes nothing in the kernel yet. Rejects when either cannot be had. */
  static async open(config: AgentConfig, log: Log): Promise<Agent> {
    mkdirSync(dirname(config.store.path), { recursive: true, mode: 0o755 });
    const limits = kernelLimits();
    const store = await openStore(config.store, config.nodeName, limits);
    try {
      const { protocol, metric, table, sourceIPv4, sourceIPv6 } = config.routes;
      const fib = await FibProgrammer.open({
        routes: {
          protocol,
          metric,
          table,
          preferredSource: {
            ...(sourceIPv4 === undefined ? {} : { ipv4: sourceIPv4 }),
            ...(sourceIPv6 === undefined ? {} : { ipv6: sourceIPv6 }),
          },
        },
        onInterference: (prefix) =>
          log.warn(
            { prefix: formatPrefix(prefix) },
            'somebody else changed a route of ours; it is put right',
          ),
        onBrake: (event) => logBrake(log, event),
        onError: (error, what) => log.error({ error }, `cannot ${what}`),
      });
      return new Agent(config, log, store, fib, limits);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  get identity(): IdentityResult {
    return this.#identity;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get uplinkCount(): number {
    return this.#uplinkCount;
  }

  /** Everything of the store has been brought into the kernel once. */
  get isReady(): boolean {
    return this.#ready;
  }

  get startError(): string | undefined {
    return this.#startError;
  }

  /** Brings the host to what the store says, and keeps it so until `stop`. */
  async start(): Promise<void> {
    await this.cache.inSync;
    this.#identity = this.#resolveIdentity();
    await this.#createNode();
    await this.ipamService.prepare();
    await this.ipam.start();
    const preserved = { ipv4: this.fib.holdsOwnRoutes('ipv4'), ipv6: this.fib.holdsOwnRoutes('ipv6') };

    await this.#placeStaticPolicy();
    if (this.#stopping) return;
    for (const kind of [
      'Profile',
      'GlobalNetworkSet',
      'NetworkSet',
      'GlobalNetworkPolicy',
      'NetworkPolicy',
      'IPPool',
      'WorkloadEndpoint',
    ] as const) {
      for (const resource of this.cache.list(kind)) this.policyFeed.upsert(resource);
    }
    this.policyFeed.markInSync();

    this.cache.onChange(({ key, resource, previous }) => this.#onResource(key, resource, previous));
    this.fib.kernel.links.onChange(({ before, after }) => {
      const isOurs = (before ?? after)?.name.startsWith(LINK_PREFIX) === true;
      // Going down takes routes and neighbour entries inside the container along, and the host's with them.
      const isLost =
        before !== undefined &&
        (after === undefined ||
          before.name !== after.name ||
          (before.isUp && !after.isUp) ||
          (after.hasCarrier && !before.hasCarrier));
      if (isOurs && before && after && before.name !== after.name)
        this.log.warn({ link: before.name, name: after.name }, 'somebody renamed the link of a container');
      if (isOurs && isLost) this.endpoints.onLinkChanged(before.name);
      if (!isOurs) this.#refresh.trigger();
    });
    this.ipam.onBlocksChanged((change) => {
      this.originator.changeBlocks(change);
      this.bgp.update();
    });
    this.ipam.onLentChanged(() => this.bgp.update());
    this.originator.changeBlocks({ added: this.ipam.confirmedBlocks(), removed: [] });
    followRoutes(this.fib, this.originator);

    await this.#onHostChanged();
    await this.endpoints.start();
    await this.overlay.start();
    this.fib.release();
    await this.#firstTable();
    if (this.#stopping) return;
    for (const family of FAMILIES) this.fib.routes.sweep(family, 'local');
    // The last moment at which no peer and no container waits.
    releaseStartMemory();
    await this.bgp.start(preserved);
    this.#ready = true;
    this.ipamService.start();
    this.cni.start();
    this.docker.start(this);
    this.log.info({ preserved }, 'the host is as the store says');
  }

  /** Stops without touching what forwards packets: kernel state stays, peers see no NOTIFICATION. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.bgp.stop();
    await this.#refresh.close();
    await this.cni.close();
    await this.docker.close();
    await this.endpoints.close();
    await this.overlay.close();
    await this.policy.close();
    await this.ipamService.close();
    this.ipam.stop();
    this.#sysctls.close();
    this.fib.close();
    this.cache.close();
    await this.store.close();
  }

  async #firstTable(): Promise<void> {
    await this.endpoints.settled(FIRST_TABLE_TIMEOUT_MS);
    if (this.originator.isComplete) return;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        end();
        resolve();
      };
      const end = this.fib.onApplied(() => {
        if (this.originator.isComplete) finish();
      });
      const timer = setTimeout(finish, FIRST_TABLE_TIMEOUT_MS);
    });
  }

  // Without the static drops no link may be made: tried until it works, and shown in status.
  async #placeStaticPolicy(): Promise<void> {
    for (let delayMs = 200; !this.#stopping; delayMs = Math.min(delayMs * 2, STATIC_POLICY_RETRY_MAX_MS)) {
      try {
        await this.policy.start();
        this.#startError = undefined;
        return;
      } catch (error) {
        this.#startError = error instanceof Error ? error.message : String(error);
        this.log.error(
          { error: this.#startError },
          'static policy rules could not be placed; no endpoint is attached before',
        );
        await new Promise((resolve) => setTimeout(resolve, delayMs).unref());
      }
    }
  }

  async #createNode(): Promise<void> {
    const name = this.config.nodeName;
    if (this.cache.get('Node', name) !== undefined) return;
    const { identity, candidates } = this.#identity;
    const { ipv4, ipv6 } = identity.addresses;
    if (ipv4 === undefined && ipv6 === undefined) return;
    this.log.info({ candidates }, 'first start: addresses found');
    try {
      await this.store.create(initialNode(name, identity));
    } catch (error) {
      if (!(error instanceof AlreadyExists)) throw error;
    }
  }

  #onResource(key: ResourceKey, resource: Resource | undefined, previous: Resource | undefined): void {
    this.policyFeed.change(key, resource);
    if (key.kind === 'WorkloadEndpoint') {
      this.endpoints.onResource(
        resource?.kind === 'WorkloadEndpoint' ? resource : undefined,
        previous?.kind === 'WorkloadEndpoint' ? previous : undefined,
      );
      this.bgp.updateWorkloads();
    } else if (key.kind === 'BGPFilter') {
      this.bgp.update();
    } else if (key.kind === 'Node' || key.kind === 'BGPConfiguration' || key.kind === 'BGPPeer') {
      this.#refresh.trigger();
    } else if (key.kind === 'IPPool') {
      this.originator.reconsider();
      this.#refresh.trigger();
    }
  }

  // Links, addresses, node or peers changed.
  async #onHostChanged(): Promise<{ afterMs?: number }> {
    this.#identity = this.#resolveIdentity();
    await this.#createNode();
    const { addresses } = this.#identity.identity;
    const own = [addresses.ipv4, addresses.ipv6].flatMap((entry) =>
      entry === undefined ? [] : [entry.address],
    );
    const links = this.fib.kernel.links.all();
    const unnumbered = unnumberedInterfaces(this.cache.list('BGPPeer'), this.#identity.identity);
    const carriers = uplinks(links, own, this.#peerAddresses(), LINK_PREFIX, unnumbered);
    const forwarding = forwardingLinks(links, carriers, this.policyFeed.translates, LINK_PREFIX);
    this.#uplinkCount = carriers.length;
    const tunnels = TUNNEL_LINKS.filter((name) => links.some((link) => link.name === name));
    const incoming = [...new Set([...forwarding.map(({ name }) => name), ...tunnels])];
    this.#sysctls.enableForwarding({ families: FAMILIES, uplinks: incoming });
    this.#uplinkMtu = uplinkMtu(carriers);
    const mtu = endpointMtu(carriers, this.overlay.overhead);
    if (mtu !== this.#mtu) {
      if (this.#mtu !== 0) this.log.info({ from: this.#mtu, to: mtu }, 'MTU of endpoints changes');
      this.#mtu = mtu;
      this.endpoints.refresh();
    }
    this.overlay.update();
    this.bgp.update();
    return {};
  }

  #peerAddresses(): Address[] {
    return this.cache.list('BGPPeer').flatMap(({ spec }) => {
      const peer = spec.peerIP === undefined ? undefined : parsePeerIp(spec.peerIP);
      return peer === undefined ? [] : [peer.address];
    });
  }

  #resolveIdentity(source: ResourceSource = this.cache): IdentityResult {
    const name = this.config.nodeName;
    return resolveIdentity(
      name,
      source.get('Node', name),
      source.get('BGPConfiguration', 'default'),
      toDetectionLinks(this.fib.kernel.links.all()),
    );
  }
}
