/**
 * From resources to the peers of this node. Pure: resources and the host's subnets in, peer configurations and findings out.
 */
import { checkPeers, PeerConfigError } from '../../../bgp/speaker/config.ts';
import { checkGroups } from '../../../bgp/speaker/dynamic-peers.ts';
import { peerKey } from '../../../bgp/speaker/peer-key.ts';
import type { DynamicPeers } from '../../../bgp/types.ts';
import type { Finding } from '../../api/views.ts';
import { type BgpSettings, readBgpSettings } from '../../model/bgp-annotations.ts';
import type { BgpConfiguration } from '../../model/bgp-configuration.ts';
import { type BgpPeerSpec, parsePeerIp } from '../../model/bgp-peer.ts';
import type { Node } from '../../model/node.ts';
import {
  type Address,
  addressesEqual,
  compareAddresses,
  isLinkLocal,
  parseAddress,
} from '../../net/address.ts';
import {
  networkAddress,
  parseInterfaceAddress,
  prefixContains,
  prefixContainsAddress,
} from '../../net/prefix.ts';
import { hasExportInterface, sessionPolicies } from './filters.ts';
import { makePeerConfig, type PeerBase } from './peer-config.ts';
import { type ResolvedPeer, resolvePeers } from './peer-groups.ts';
import {
  DEFAULT_BGP_PORT,
  effectiveAs,
  type NodeIdentity,
  type NodePeer,
  type NodeRange,
  type PeerInputs,
  type PeerSelection,
} from './peer-types.ts';
import { matchesSelector } from './selector-match.ts';
import { NOT_KNOWN_YET, neighbourFindings, unnumberedInterface } from './unnumbered.ts';

/** Sessions from a range at a time, as FRR has it. */
const LISTEN_LIMIT = 100;
/** RFC 6793: stands for an AS number that is not known yet. */
const AS_UNKNOWN = 23456;

/** The peers of this node, in order of address; two resources that name one address are a finding and the first by name holds. */
export function selectPeers(inputs: PeerInputs): PeerSelection {
  return new Selection(inputs).run();
}

/** Who is to be peered with, before how. */
interface Target {
  readonly address: Address;
  readonly port: number;
  readonly peerAs: number;
  readonly passive: boolean;
  readonly resource: string;
  readonly group?: string | undefined;
  readonly spec: BgpPeerSpec;
  readonly settings: BgpSettings;
  /** the node that the peer is, where it is one */
  readonly peerNode: Node | undefined;
  /** it is whoever is on the interface of its settings */
  readonly unnumbered?: true;
  /** a container of this node */
  readonly workload?: NodePeer['workload'];
}

class Selection {
  readonly #in: PeerInputs;
  readonly #findings: Finding[] = [];
  readonly #byAddress = new Map<string, NodePeer>();
  readonly #ranges: NodeRange[] = [];
  readonly #clusterId: string | undefined;

  constructor(inputs: PeerInputs) {
    this.#in = inputs;
    this.#clusterId = nodeNamed(inputs.nodes, inputs.node.name)?.spec.bgp?.routeReflectorClusterID;
  }

  run(): PeerSelection {
    const resolved = resolvePeers(this.#in.peers);
    this.#findings.push(...resolved.findings);
    for (const peer of resolved.peers) {
      if (peer.settings['listen-range'] !== undefined) this.#addRanges(peer);
      else for (const target of this.#fromResource(peer)) this.#add(target, true);
    }
    for (const target of this.#mesh()) this.#add(target, false);
    this.#checkKeys();
    return {
      peers: [...this.#byAddress.values()].sort((a, b) =>
        compareAddresses(a.config.address, b.config.address),
      ),
      ranges: this.#ranges,
      findings: this.#findings,
    };
  }

  #add(target: Target, report: boolean): void {
    const peer = this.#configure(target);
    const { name, address, interface: device } = peer.config;
    const key = peerKey(address, device);
    if (this.#isUnusable(peer.resource, () => checkPeers([peer.config]))) return;
    const earlier = this.#byAddress.get(key);
    if (earlier === undefined) {
      this.#byAddress.set(key, peer);
      return;
    }
    // A node that is named by a peer resource as well as by the mesh or by two selectors is one peer all the same.
    if (!report || (target.spec.peerIP === undefined && target.unnumbered !== true)) return;
    this.#warn(
      'peer-duplicate',
      `${earlier.resource} and ${peer.resource} both name ${name}; ${earlier.resource} is in force`,
      'remove one of them',
    );
  }

  // One that the speaker refuses must not keep the others from being set.
  #isUnusable(resource: string, check: () => void): boolean {
    try {
      check();
      return false;
    } catch (error) {
      if (!(error instanceof PeerConfigError)) throw error;
      this.#findings.push({
        severity: 'error',
        code: 'peer-invalid',
        message: `${resource} cannot be used: ${error.message}`,
        remedy: `mend ${resource}`,
      });
      return true;
    }
  }

  #addRanges({ name, spec, settings, group }: ResolvedPeer): void {
    const resource = `BGPPeer ${name}`;
    if (!this.#appliesTo(spec, this.#in.node) || settings.shutdown === true) return;
    const peerAs = this.#peerAs(resource, spec, settings);
    if (peerAs === undefined) return;
    for (const prefix of settings['listen-range'] ?? []) {
      const address = networkAddress(prefix);
      const common = { resource, group, spec, settings, address, port: DEFAULT_BGP_PORT, peerAs };
      const target = { ...common, passive: true, peerNode: undefined };
      const connected = this.#in.connected.some((subnet) => prefixContains(subnet, prefix));
      const base = this.#base(target, connected);
      // Without its key a session would be open to everybody.
      if (base.password === 'unavailable') continue;
      const {
        name: _name,
        address: _address,
        passive: _passive,
        adminDown: _down,
        ...template
      } = makePeerConfig(base);
      const range: DynamicPeers = { name, prefix, limit: settings['listen-limit'] ?? LISTEN_LIMIT, template };
      if (this.#isUnusable(resource, () => checkGroups([range]))) continue;
      this.#ranges.push({ range, ...originOf(target) });
    }
  }

  // The kernel asks for a range's key of everybody in it who has none of their own.
  #checkKeys(): void {
    for (const { range, resource } of this.#ranges) {
      if (range.template.password === undefined) continue;
      for (const { config, resource: peer } of this.#byAddress.values()) {
        if (config.password !== undefined || !prefixContainsAddress(range.prefix, config.address)) continue;
        this.#warn(
          'peer-key-of-range',
          `${peer} has no ocicat.dev/password-file, but ${config.name} is in a listen-range of ${resource}, which has: it cannot dial us`,
          `give ${peer} a key too, or take it out of the range`,
        );
      }
    }
  }

  /** The AS number that counts until the peer's OPEN says which it is; undefined, and told, when there is none. */
  #peerAs(resource: string, spec: BgpPeerSpec, settings: BgpSettings): number | undefined {
    const localAs = spec.localASNumber ?? this.#in.node.asNumber;
    const remote = settings['remote-as'];
    if (remote === 'internal') return localAs;
    if (remote === 'external') return AS_UNKNOWN;
    if (spec.asNumber !== undefined && spec.asNumber !== 0) return spec.asNumber;
    const [first] = remote ?? [];
    if (first !== undefined && (remote?.length === 1 || remote?.includes(localAs) !== true)) return first;
    const missing = first === undefined;
    this.#findings.push({
      severity: 'error',
      code: 'peer-incomplete',
      message: missing
        ? `${resource} has no spec.asNumber, nor has its peer group`
        : `${resource}: ocicat.dev/remote-as names our own AS ${localAs} among others: a session is internal or external`,
      remedy: missing ? `set it and apply ${resource} again` : 'make a BGPPeer of its own for internal peers',
    });
    return undefined;
  }

  *#fromResource(peer: ResolvedPeer): Generator<Target> {
    const { name, spec, settings, group } = peer;
    const common = { resource: `BGPPeer ${name}`, group, spec, settings, passive: false };
    if (spec.peerSelector !== undefined) {
      yield* this.#selected(peer, spec.peerSelector, common);
      return;
    }
    if (spec.localWorkloadSelector !== undefined) {
      if (this.#appliesTo(spec, this.#in.node)) yield* this.#workloads(spec.localWorkloadSelector, common);
      return;
    }
    if (!this.#appliesTo(spec, this.#in.node)) return;
    const device = unnumberedInterface(peer);
    if (device !== undefined) {
      yield* this.#unnumbered(device, common);
      return;
    }
    const target = spec.peerIP === undefined ? undefined : parsePeerIp(spec.peerIP);
    if (target === undefined) {
      this.#findings.push({
        severity: 'error',
        code: 'peer-incomplete',
        message: `BGPPeer ${name} has no spec.peerIP`,
        remedy: `set it and apply BGPPeer ${name} again`,
      });
      return;
    }
    const peerAs = this.#peerAs(common.resource, spec, settings);
    if (peerAs === undefined) return;
    if (this.#isOwn(target.address)) {
      this.#warn(
        'peer-is-self',
        `BGPPeer ${name} names this node's own address; it is not used here`,
        `give BGPPeer ${name} a spec.node or spec.nodeSelector that leaves ${this.#in.node.name} out`,
      );
      return;
    }
    const peerNode = this.#in.nodes.find((node) =>
      nodeAddresses(node).some((address) => addressesEqual(address, target.address)),
    );
    // As Calico has it: a node listens where its configuration says.
    const port = target.port ?? (peerNode === undefined ? DEFAULT_BGP_PORT : this.#portOf(peerNode));
    yield { ...common, address: target.address, port, peerAs, peerNode };
  }

  #settings({ kind, metadata }: BgpConfiguration): BgpSettings {
    const { settings, problems, unknown } = readBgpSettings(metadata.annotations);
    const name = `${kind} ${metadata.name}`;
    for (const { path, reason } of [...problems, ...unknown])
      this.#warn('peer-setting', `${name}: ${path} ${reason}`, `mend it in ${name}`);
    return settings;
  }

  // Calico makes the session on both sides: a node that the selector chooses peers back with those that the resource is for.
  *#selected(
    { spec }: ResolvedPeer,
    peerSelector: string,
    common: Pick<Target, 'resource' | 'group' | 'spec' | 'settings' | 'passive'>,
  ): Generator<Target> {
    const { node, nodes } = this.#in;
    const forward = this.#appliesTo(spec, node);
    const backward = spec.reversePeering !== 'Manual' && matchesSelector(peerSelector, node.labels);
    for (const other of nodes) {
      if (other.metadata.name === node.name) continue;
      const labels = other.metadata.labels ?? {};
      const wanted =
        (forward && matchesSelector(peerSelector, labels)) ||
        (backward && this.#appliesTo(spec, { name: other.metadata.name, labels }));
      if (wanted) yield* this.#nodeTargets(other, common);
    }
  }

  *#unnumbered(
    device: string,
    common: Pick<Target, 'resource' | 'group' | 'spec' | 'settings' | 'passive'>,
  ): Generator<Target> {
    const { resource, spec, settings } = common;
    const peerAs = this.#peerAs(resource, spec, settings);
    if (peerAs === undefined) return;
    const neighbour = this.#in.neighbourOn?.(device) ?? { found: false, why: 'failed', rivals: [] };
    this.#findings.push(...neighbourFindings(resource, device, neighbour));
    const address = neighbour.found ? neighbour.address : NOT_KNOWN_YET;
    yield { ...common, address, port: DEFAULT_BGP_PORT, peerAs, peerNode: undefined, unnumbered: true };
  }

  // Each address of a container is a peer; the host speaks from the address that all containers know it by.
  *#workloads(
    selector: string,
    common: Pick<Target, 'resource' | 'group' | 'spec' | 'settings' | 'passive'>,
  ): Generator<Target> {
    const { workloads, configuration } = this.#in;
    const from = {
      ipv4: parseAddress(configuration?.spec.localWorkloadPeeringIPV4 ?? ''),
      ipv6: parseAddress(configuration?.spec.localWorkloadPeeringIPV6 ?? ''),
    };
    if (workloads === undefined || (from.ipv4 === undefined && from.ipv6 === undefined)) {
      this.#findings.push({
        severity: 'error',
        code: 'peer-incomplete',
        message:
          workloads === undefined
            ? `${common.resource}: spec.localWorkloadSelector needs containers, and there are none here`
            : `${common.resource}: spec.localWorkloadSelector needs an address for this host to speak from`,
        remedy:
          workloads === undefined
            ? 'name the peer by peerIP'
            : 'set localWorkloadPeeringIPV4 (and IPV6) in BGPConfiguration default, such as 169.254.0.179',
      });
      return;
    }
    const peerAs = this.#peerAs(common.resource, common.spec, common.settings);
    if (peerAs === undefined) return;
    for (const { link, addresses } of workloads(selector)) {
      for (const address of addresses) {
        const own = from[address.family];
        if (own === undefined) continue;
        const spec = { ...common.spec, sourceAddress: 'UseNodeIP' } as const;
        const workload = { link, from: own };
        yield { ...common, spec, address, port: DEFAULT_BGP_PORT, peerAs, peerNode: undefined, workload };
      }
    }
  }

  // Route reflectors and nodes that speak for themselves through one are outside the mesh.
  *#mesh(): Generator<Target> {
    const { configuration, nodes, node } = this.#in;
    if (configuration?.spec.nodeToNodeMeshEnabled === false || this.#clusterId !== undefined) return;
    const maxRestartTime = configuration?.spec.nodeMeshMaxRestartTime;
    const settings = configuration === undefined ? {} : this.#settings(configuration);
    for (const other of nodes) {
      if (other.metadata.name === node.name || other.spec.bgp?.routeReflectorClusterID !== undefined)
        continue;
      yield* this.#nodeTargets(other, {
        resource: `mesh ${other.metadata.name}`,
        spec: maxRestartTime === undefined ? {} : { maxRestartTime },
        settings,
      });
    }
  }

  #portOf({ metadata }: Node): number {
    const { configuration, configurationOf } = this.#in;
    const theirs = configurationOf === undefined ? configuration : configurationOf(metadata.name);
    return theirs?.spec.listenPort || DEFAULT_BGP_PORT;
  }

  // Of a pair of nodes only the lower address dials, as Calico does it, so that the two never collide.
  *#nodeTargets(
    other: Node,
    common: Pick<Target, 'resource' | 'group' | 'spec' | 'settings'>,
  ): Generator<Target> {
    const { configuration, node } = this.#in;
    for (const address of nodeAddresses(other)) {
      const own = node.addresses[address.family];
      if (own === undefined) continue;
      yield {
        ...common,
        address,
        port: this.#portOf(other),
        peerAs: effectiveAs(other, configuration),
        passive: compareAddresses(own.address, address) > 0,
        peerNode: other,
      };
    }
  }

  #configure(target: Target): NodePeer {
    const { spec, address } = target;
    const connected =
      target.unnumbered === true ||
      (address.family === 'ipv6' && isLinkLocal(address)) ||
      this.#in.connected.some((subnet) => prefixContainsAddress(subnet, address));
    const gateway = spec.reachableBy === undefined ? undefined : parseAddress(spec.reachableBy);
    return {
      config: makePeerConfig(this.#base(target, connected)),
      ...originOf(target),
      ...(target.unnumbered === true && { unnumbered: true }),
      ...(target.workload !== undefined && { workload: target.workload }),
      ...(gateway !== undefined && { reachableBy: gateway }),
    };
  }

  #base(target: Target, connected: boolean): PeerBase {
    const { node } = this.#in;
    const { spec, address, resource } = target;
    const policies = sessionPolicies(
      this.#in.policy,
      spec.filters ?? [],
      target.workload?.link ?? target.settings.interface ?? this.#in.interfaceTo(address),
    );
    for (const name of policies.missing) {
      this.#warn(
        'filter-missing',
        `${resource} names BGPFilter ${name}, which does not exist`,
        `apply BGPFilter ${name}, or take it out of spec.filters`,
      );
    }
    for (const filter of this.#in.policy.filters) {
      if (!(spec.filters ?? []).includes(filter.metadata.name) || !hasExportInterface(filter)) continue;
      this.#warn(
        'filter-interface',
        `BGPFilter ${filter.metadata.name}: export rules with an interface match nothing: what this node sends has none`,
        'match by cidr or source instead',
      );
    }
    return {
      address,
      unnumbered: target.unnumbered,
      port: target.port,
      peerAs: target.peerAs,
      passive: target.passive,
      connected,
      nodeAs: node.asNumber,
      nodeAddress: target.workload?.from ?? node.addresses[address.family]?.address,
      reflects:
        this.#clusterId !== undefined &&
        target.peerNode?.spec.bgp?.routeReflectorClusterID !== this.#clusterId,
      spec,
      settings: target.settings,
      policies,
      password: this.#password(target),
    };
  }

  #password({ settings, resource }: Target): PeerBase['password'] {
    const file = settings['password-file'];
    if (file === undefined) return undefined;
    const result = this.#in.password(file);
    if ('password' in result) return { key: result.password };
    this.#findings.push({
      severity: 'error',
      code: 'password-unavailable',
      message: `${resource}: ${result.problem}; the session stays down`,
      remedy: `install -m 600 -o root /dev/stdin ${file}`,
    });
    return 'unavailable';
  }

  #appliesTo(spec: BgpPeerSpec, node: Pick<NodeIdentity, 'name' | 'labels'>): boolean {
    if (spec.node !== undefined) return spec.node === node.name;
    return spec.nodeSelector === undefined || matchesSelector(spec.nodeSelector, node.labels);
  }

  #isOwn(address: Address): boolean {
    return Object.values(this.#in.node.addresses).some(
      (own) => own !== undefined && addressesEqual(own.address, address),
    );
  }

  #warn(code: string, message: string, remedy: string): void {
    if (this.#findings.some((finding) => finding.message === message)) return;
    this.#findings.push({ severity: 'warning', code, message, remedy });
  }
}

function originOf({ resource, group, spec }: Target): Pick<NodePeer, 'resource' | 'group' | 'filters'> {
  return { resource, ...(group !== undefined && { group }), filters: spec.filters ?? [] };
}

function nodeNamed(nodes: readonly Node[], name: string): Node | undefined {
  return nodes.find(({ metadata }) => metadata.name === name);
}

function nodeAddresses({ spec }: Node): Address[] {
  return [spec.bgp?.ipv4Address, spec.bgp?.ipv6Address].flatMap((text) => {
    const address =
      text === undefined ? undefined : (parseInterfaceAddress(text)?.address ?? parseAddress(text));
    return address === undefined ? [] : [address];
  });
}
