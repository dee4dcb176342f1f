/**
 * Owns the speaker: makes it from Node and BGPConfiguration, gives it the peers of this node, lets the kernel's next hops and the Loc-RIB
 * meet, and makes it anew only when its identity or port changes.
 */
import type { SpeakerEvent } from '../../../bgp/speaker/events.ts';
import { Speaker } from '../../../bgp/speaker.ts';
import { NeighbourDiscovery } from '../../../fib/discovery/discovery.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import type { Finding, SessionEffect } from '../../api/views.ts';
import type { Resource } from '../../model/types.ts';
import {
  type Address,
  addressToUint32,
  type Family,
  formatAddress,
  parseAddress,
} from '../../net/address.ts';
import { hostPrefix, type Prefix, parsePrefix } from '../../net/prefix.ts';
import { CoalescedTask } from '../coalesced.ts';
import { LearnedRoutes } from '../learned-routes.ts';
import type { Log } from '../log.ts';
import type { IdentityResult } from '../node-identity.ts';
import type { ResourceCache } from '../resources/cache.ts';
import { overlay, type ResourceSource } from '../resources/overlay.ts';
import { configurationOf, taggedPrefixes } from './configuration.ts';
import { ConnectedSubnets, connectedSubnets, isNeeded } from './connected-subnets.ts';
import { withDynamic } from './dynamic.ts';
import { exportedRules, matchesGlob } from './filters.ts';
import { KernelLinks } from './host-links.ts';
import type { Originator } from './originator.ts';
import { PasswordFiles } from './password-files.ts';
import {
  DEFAULT_BGP_PORT,
  type LocalWorkload,
  type NodePeer,
  type NodeRange,
  type PeerInputs,
} from './peer-types.ts';
import { selectPeers } from './peers.ts';
import { sessionEffects } from './preview.ts';
import { ReachableBy } from './reachable-by.ts';
import { logSpeakerEvent } from './speaker-log.ts';
import { unnumberedInterfaces } from './unnumbered.ts';
import { WorkloadAddresses } from './workloads.ts';

/** Equal-cost paths used together; as many as a kernel route takes without thinking about it. */
const MAX_PATHS = 64;
/** RFC 4724 4.1: how long selection waits for peers at most. */
const DEFERRAL_SEC = 30;

export interface BgpControllerOptions {
  readonly log: Log;
  readonly cache: ResourceCache;
  readonly fib: FibProgrammer;
  /** learned routes are told to others only once the kernel has taken them */
  readonly suppressFibPending: boolean;
  readonly originator: Originator;
  /** who this node is, by these resources */
  readonly identity: (source: ResourceSource) => IdentityResult;
  readonly blocks: () => readonly Prefix[];
  /** addresses of these blocks that other nodes have borrowed */
  readonly lent: () => readonly Address[];
  /** prefixes within which the routes are made from the store */
  readonly routedOtherwise: () => readonly Prefix[];
  /** containers of this node whose labels satisfy a selector */
  readonly workloads: (selector: string) => readonly LocalWorkload[];
  /** prefix of our own links */
  readonly linkPrefix: string;
}

/** What a speaker cannot change while it runs. */
interface Fixed {
  readonly routerId: number;
  readonly localAs: number;
  readonly port: number;
  /** spec.bindMode NodeIP: the node's addresses, as text; undefined: all of the host */
  readonly addresses: readonly string[] | undefined;
  readonly clusterId: number | undefined;
}

/** The BGP half of the agent. */
export class BgpController {
  readonly #options: BgpControllerOptions;
  readonly #task: CoalescedTask;
  #speaker: Speaker | undefined;
  #learned: LearnedRoutes | undefined;
  #fixed: Fixed | undefined;
  #peers: readonly NodePeer[] = [];
  #ranges: readonly NodeRange[] = [];
  #findings: readonly Finding[] = [];
  #listenError: string | undefined;
  readonly #connected = new ConnectedSubnets();
  readonly #links: KernelLinks;
  /** what the kernel held before we wrote anything */
  #preserved: Readonly<Record<Family, boolean>> = { ipv4: false, ipv6: false };
  readonly #passwords: PasswordFiles;
  readonly #reachableBy: ReachableBy;
  readonly #discovery: NeighbourDiscovery;
  readonly #workloadAddresses: WorkloadAddresses;

  constructor(options: BgpControllerOptions) {
    this.#options = options;
    this.#passwords = new PasswordFiles(() => this.update());
    this.#links = new KernelLinks(options.fib.kernel.links);
    this.#reachableBy = new ReachableBy(options.fib.routes);
    this.#discovery = new NeighbourDiscovery({
      links: options.fib.kernel.links,
      onChange: () => this.update(),
      onError: (error, what) => options.log.error({ error }, `cannot ${what}`),
    });
    this.#workloadAddresses = new WorkloadAddresses(options.fib);
    this.#task = new CoalescedTask(
      () => this.#reconcile(),
      (error) => options.log.error({ error }, 'BGP could not be configured'),
    );
  }

  /** Starts speaking. `preserved`: families of which the kernel holds routes of an earlier life. */
  async start(preserved: Readonly<Record<Family, boolean>>): Promise<void> {
    this.#preserved = preserved;
    await this.#reconcile();
  }

  /** Something that peers, policy or identity depend on changed. */
  update(): void {
    if (this.#speaker !== undefined) this.#task.trigger();
  }

  /** Containers came, changed or went. */
  updateWorkloads(): void {
    const { cache } = this.#options;
    const matters =
      this.#peers.some(({ workload }) => workload !== undefined) ||
      cache.list('BGPPeer').some(({ spec }) => spec.localWorkloadSelector !== undefined);
    if (matters) this.update();
  }

  get speaker(): Speaker | undefined {
    return this.#speaker;
  }

  get port(): number {
    return this.#fixed?.port ?? DEFAULT_BGP_PORT;
  }

  get peers(): readonly NodePeer[] {
    return this.#peers;
  }

  /** Prefixes from which peers come by themselves. */
  get ranges(): readonly NodeRange[] {
    return this.#ranges;
  }

  /** What an operator should know of peers and listening. */
  findings(): Finding[] {
    const findings = [...this.#findings];
    for (const problem of this.#passwords.problems()) {
      findings.push({
        severity: 'warning',
        code: 'password-unavailable',
        message: `${problem}; the key that was read before stays in force`,
      });
    }
    for (const message of this.#speaker?.keyProblems ?? [])
      findings.push({ severity: 'error', code: 'bgp-md5', message: `${message}; tried again` });
    const service = this.#speaker?.service.state ?? 'in-service';
    if (service !== 'in-service') {
      findings.push({
        severity: 'warning',
        code: 'bgp-drained',
        message: `BGP is taken out of service (${service}): "ocicat bgp undrain" puts it back`,
      });
    }
    if (this.#listenError !== undefined) {
      findings.push({ severity: 'error', code: 'bgp-not-listening', message: this.#listenError });
    }
    return findings;
  }

  /** What these resources would do to the sessions, were they applied. */
  preview(resources: readonly Resource[]): SessionEffect[] {
    if (this.#speaker === undefined || this.#fixed === undefined) return [];
    const source = overlay(this.#options.cache, resources);
    const inputs = this.#inputs(source);
    const present = this.#speaker.peers();
    return sessionEffects(
      withDynamic(this, present),
      withDynamic(selectPeers(inputs), present),
      fixedChanges(this.#fixed, this.#fixedOf(inputs, source)),
    );
  }

  /** Leaves without a NOTIFICATION, so that helpers keep our routes; the kernel stays as it is. */
  async stop(): Promise<void> {
    this.#passwords.close();
    this.#discovery.close();
    this.#workloadAddresses.close();
    await this.#task.close();
    await this.#speaker?.stop({ mode: 'keep-forwarding' });
    this.#learned?.close();
  }

  async #reconcile(): Promise<{ afterMs?: number }> {
    const { cache, identity } = this.#options;
    // Before the peers are worked out: who is known already, the kernel says at once.
    this.#discovery.setInterfaces(unnumberedInterfaces(cache.list('BGPPeer'), identity(cache).identity));
    const inputs = this.#inputs(cache);
    const files = new Set<string>();
    const selection = selectPeers({
      ...inputs,
      password: (file) => {
        files.add(file);
        return inputs.password(file);
      },
    });
    this.#passwords.retain(files);
    this.#findings = [
      ...selection.findings,
      ...this.#reachableBy.set(selection.peers, this.#options.fib.kernel.links.all()),
      ...this.#workloadAddresses.set(selection.peers),
    ];
    const fixed = this.#fixedOf(inputs, cache);
    if (this.#speaker === undefined || !sameFixed(fixed, this.#fixed)) await this.#replaceSpeaker(fixed);
    this.#peers = selection.peers;
    this.#ranges = selection.ranges;
    this.#speaker?.setPeers(selection.peers.map(({ config }) => config));
    this.#speaker?.setDynamicPeers(selection.ranges.map(({ range }) => range));
    return {};
  }

  #inputs(cache: ResourceSource): PeerInputs {
    const { identity, fib, linkPrefix } = this.#options;
    const { identity: node } = identity(cache);
    const nodes = cache.list('Node');
    const configuration = configurationOf(cache.list('BGPConfiguration'), node.name);
    const ignored = configuration?.spec.ignoredInterfaces ?? [];
    const links = fib.kernel.links.all();
    // What is ignored are routes: a peer over such a link is as near as it is.
    const guarded = links.filter(({ name }) => !ignored.some((pattern) => matchesGlob(pattern, name)));
    this.#connected.update(links, linkPrefix, (subnet) => isNeeded(this, subnet));
    const isReflector = clusterIdOf(nodes, node.name) !== undefined;
    return {
      node,
      nodes,
      configuration,
      configurationOf: (name) => configurationOf(cache.list('BGPConfiguration'), name),
      peers: cache.list('BGPPeer'),
      connected: this.#connected.prefixes,
      policy: {
        guards: {
          ownBlocks: this.#options.blocks(),
          lent: this.#options.lent().map(hostPrefix),
          routedOtherwise: this.#options.routedOtherwise(),
          connectedSubnets: connectedSubnets(guarded, linkPrefix),
        },
        filters: cache.list('BGPFilter'),
        exported: exportedRules(isReflector ? reflectedPrefixes(cache) : [], taggedPrefixes(configuration)),
      },
      interfaceTo: (address) => this.#connected.linkTo(address),
      onlyLinkTo: (address) => this.#connected.onlyLinkTo(address),
      password: this.#passwords.get,
      neighbourOn: (name) => this.#discovery.neighbourOn(name),
      workloads: this.#options.workloads,
    };
  }

  #fixedOf({ node, nodes, configuration }: PeerInputs, source: ResourceSource): Fixed {
    const own = [node.addresses.ipv4, node.addresses.ipv6].flatMap((each) =>
      each === undefined ? [] : [formatAddress(each.address)],
    );
    const clusterId = clusterIdOf(nodes, node.name);
    return {
      routerId: this.#options.identity(source).routerId,
      localAs: node.asNumber,
      port: configuration?.spec.listenPort || DEFAULT_BGP_PORT,
      addresses: configuration?.spec.bindMode === 'NodeIP' ? own : undefined,
      clusterId,
    };
  }

  async #replaceSpeaker(fixed: Fixed): Promise<void> {
    const { log, fib, suppressFibPending, originator } = this.#options;
    const service = this.#speaker?.service;
    if (this.#speaker !== undefined) {
      const changes = this.#fixed === undefined ? [] : fixedChanges(this.#fixed, fixed);
      log.warn({ from: this.#fixed, to: fixed }, `${changes.join(', ')} changed: all BGP sessions are reset`);
      originator.attach(undefined);
      await this.#speaker.stop({ mode: 'shutdown', text: 'configuration changed' });
      while (this.#speaker.rib.work(() => false));
      this.#learned?.close();
    }
    const isFirst = this.#speaker === undefined;
    this.#fixed = fixed;
    this.#listenError = undefined;
    const speaker = new Speaker({
      routerId: fixed.routerId,
      localAs: fixed.localAs,
      listen: {
        port: fixed.port,
        ...(fixed.addresses !== undefined && {
          addresses: fixed.addresses.flatMap((text) => parseAddress(text) ?? []),
        }),
      },
      ...(fixed.clusterId !== undefined && { clusterId: fixed.clusterId }),
      nextHopTracking: true,
      gracefulRestart: {
        forwardingPreserved: isFirst ? this.#preserved : { ipv4: false, ipv6: false },
        deferralSec: DEFERRAL_SEC,
      },
      maxPaths: MAX_PATHS,
      relaxAsPath: true,
      links: this.#links,
      log: (event) => this.#onEvent(event),
    });
    this.#speaker = speaker;
    this.#learned = new LearnedRoutes(speaker.rib, fib.routes, fib.nextHops, !suppressFibPending);
    speaker.onDeferralEnd((family) => fib.routes.sweep(family, 'learned'));
    originator.attach(speaker);
    if (service !== undefined && service.state !== 'in-service')
      speaker.drain({ waitSec: 0, text: service.text });
    speaker.start();
  }

  #onEvent(event: SpeakerEvent): void {
    if (event.type === 'listening') this.#listenError = undefined;
    if (event.type === 'listen-failed') this.#listenError = event.error.message;
    logSpeakerEvent(this.#options.log, event);
  }
}

function sameFixed(a: Fixed, b: Fixed | undefined): boolean {
  return b !== undefined && fixedChanges(b, a).length === 0;
}

/** What differs, in words. */
function fixedChanges(from: Fixed, to: Fixed): string[] {
  const differs: readonly [string, boolean][] = [
    ['router id', from.routerId !== to.routerId],
    ['AS', from.localAs !== to.localAs],
    ['port', from.port !== to.port],
    ['listening addresses', from.addresses?.join() !== to.addresses?.join()],
    ['route reflector cluster id', from.clusterId !== to.clusterId],
  ];
  return differs.flatMap(([name, changed]) => (changed ? [name] : []));
}

/** What a route reflector passes on: what nodes announce, which is inside the pools and the advertised prefixes. */
function reflectedPrefixes(source: ResourceSource): Prefix[] {
  const texts = [
    ...source.list('IPPool').flatMap(({ spec }) => (spec.disableBGPExport === true ? [] : [spec.cidr])),
    ...source
      .list('BGPConfiguration')
      .flatMap(({ spec }) => spec.prefixAdvertisements?.map(({ cidr }) => cidr) ?? []),
  ];
  return texts.flatMap((text) => parsePrefix(text) ?? []);
}

/** The cluster of a node that is a route reflector, unsigned 32-bit. */
function clusterIdOf(nodes: PeerInputs['nodes'], name: string): number | undefined {
  const text = nodes.find(({ metadata }) => metadata.name === name)?.spec.bgp?.routeReflectorClusterID;
  const address = text === undefined ? undefined : parseAddress(text);
  return address && addressToUint32(address);
}
