/** Whom this node is to peer with, by BGPPeers and the mesh, before how. Pure. */
import type { Finding } from '../../api/views.ts';
import { type BgpSettings, readBgpSettings } from '../../model/bgp-annotations.ts';
import type { BgpConfiguration } from '../../model/bgp-configuration.ts';
import { type BgpPeerSpec, parsePeerIp } from '../../model/bgp-peer.ts';
import type { Node } from '../../model/node.ts';
import { type Address, addressesEqual, compareAddresses, parseAddress } from '../../net/address.ts';
import { parseInterfaceAddress } from '../../net/prefix.ts';
import type { ResolvedPeer } from './peer-groups.ts';
import {
  DEFAULT_BGP_PORT,
  effectiveAs,
  type NodeIdentity,
  type NodePeer,
  type PeerInputs,
} from './peer-types.ts';
import { matchesSelector } from './selector-match.ts';
import { NOT_KNOWN_YET, neighbourFindings, unnumberedInterface } from './unnumbered.ts';

/** RFC 6793: stands for an AS number that is not known yet. */
const AS_UNKNOWN = 23456;

/** Who is to be peered with, before how. */
export interface Target {
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

/** What is to be told to an operator, each message once. */
export class Findings {
  readonly all: Finding[] = [];

  error(code: string, message: string, remedy: string): void {
    this.all.push({ severity: 'error', code, message, remedy });
  }

  warn(code: string, message: string, remedy: string): void {
    if (this.all.some((finding) => finding.message === message)) return;
    this.all.push({ severity: 'warning', code, message, remedy });
  }
}

/** Finds the targets of one node. */
export class PeerTargets {
  readonly #in: PeerInputs;
  readonly #findings: Findings;
  /** route reflector cluster of this node */
  readonly clusterId: string | undefined;

  constructor(inputs: PeerInputs, findings: Findings) {
    this.#in = inputs;
    this.#findings = findings;
    this.clusterId = inputs.nodes.find(
      ({ metadata }) => metadata.name === inputs.node.name,
    )?.spec.bgp?.routeReflectorClusterID;
  }

  /** The AS number that counts until the peer's OPEN says which it is; undefined, and told, when there is none. */
  peerAs(resource: string, spec: BgpPeerSpec, settings: BgpSettings): number | undefined {
    const localAs = spec.localASNumber ?? this.#in.node.asNumber;
    const remote = settings['remote-as'];
    if (remote === 'internal') return localAs;
    if (remote === 'external') return AS_UNKNOWN;
    if (spec.asNumber !== undefined && spec.asNumber !== 0) return spec.asNumber;
    const [first] = remote ?? [];
    if (first !== undefined && (remote?.length === 1 || remote?.includes(localAs) !== true)) return first;
    const missing = first === undefined;
    this.#findings.error(
      'peer-incomplete',
      missing
        ? `${resource} has no spec.asNumber, nor has its peer group`
        : `${resource}: ocicat.dev/remote-as names our own AS ${localAs} among others: a session is internal or external`,
      missing ? `set it and apply ${resource} again` : 'make a BGPPeer of its own for internal peers',
    );
    return undefined;
  }

  /** Those of a BGPPeer without a listen-range. */
  *of(peer: ResolvedPeer): Generator<Target> {
    const { name, spec, settings, group } = peer;
    const common = { resource: `BGPPeer ${name}`, group, spec, settings, passive: false };
    if (spec.peerSelector !== undefined) {
      yield* this.#selected(peer, spec.peerSelector, common);
      return;
    }
    if (spec.localWorkloadSelector !== undefined) {
      if (this.appliesTo(spec, this.#in.node)) yield* this.#workloads(spec.localWorkloadSelector, common);
      return;
    }
    if (!this.appliesTo(spec, this.#in.node)) return;
    const device = unnumberedInterface(peer);
    if (device !== undefined) {
      yield* this.#unnumbered(device, common);
      return;
    }
    const target = spec.peerIP === undefined ? undefined : parsePeerIp(spec.peerIP);
    if (target === undefined) {
      this.#findings.error(
        'peer-incomplete',
        `BGPPeer ${name} has no spec.peerIP`,
        `set it and apply BGPPeer ${name} again`,
      );
      return;
    }
    const peerAs = this.peerAs(common.resource, spec, settings);
    if (peerAs === undefined) return;
    if (this.#isOwn(target.address)) {
      this.#findings.warn(
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
      this.#findings.warn('peer-setting', `${name}: ${path} ${reason}`, `mend it in ${name}`);
    return settings;
  }

  // Calico makes the session on both sides: a node that the selector chooses peers back with those that the resource is for.
  *#selected(
    { spec }: ResolvedPeer,
    peerSelector: string,
    common: Pick<Target, 'resource' | 'group' | 'spec' | 'settings' | 'passive'>,
  ): Generator<Target> {
    const { node, nodes } = this.#in;
    const forward = this.appliesTo(spec, node);
    const backward = spec.reversePeering !== 'Manual' && matchesSelector(peerSelector, node.labels);
    for (const other of nodes) {
      if (other.metadata.name === node.name) continue;
      const labels = other.metadata.labels ?? {};
      const wanted =
        (forward && matchesSelector(peerSelector, labels)) ||
        (backward && this.appliesTo(spec, { name: other.metadata.name, labels }));
      if (wanted) yield* this.#nodeTargets(other, common);
    }
  }

  *#unnumbered(
    device: string,
    common: Pick<Target, 'resource' | 'group' | 'spec' | 'settings' | 'passive'>,
  ): Generator<Target> {
    const { resource, spec, settings } = common;
    const peerAs = this.peerAs(resource, spec, settings);
    if (peerAs === undefined) return;
    const neighbour = this.#in.neighbourOn?.(device);
    if (neighbour !== undefined) this.#findings.all.push(...neighbourFindings(resource, device, neighbour));
    const address = neighbour?.found ? neighbour.address : NOT_KNOWN_YET;
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
      this.#findings.error(
        'peer-incomplete',
        workloads === undefined
          ? `${common.resource}: spec.localWorkloadSelector needs containers, and there are none here`
          : `${common.resource}: spec.localWorkloadSelector needs an address for this host to speak from`,
        workloads === undefined
          ? 'name the peer by peerIP'
          : 'set localWorkloadPeeringIPV4 (and IPV6) in BGPConfiguration default, such as 169.254.0.179',
      );
      return;
    }
    const peerAs = this.peerAs(common.resource, common.spec, common.settings);
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

  /** The other nodes of the mesh. Route reflectors and nodes that speak for themselves through one are outside of it. */
  *mesh(): Generator<Target> {
    const { configuration, nodes, node } = this.#in;
    if (configuration?.spec.nodeToNodeMeshEnabled === false || this.clusterId !== undefined) return;
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

  /** Whether a BGPPeer is for a node. */
  appliesTo(spec: BgpPeerSpec, node: Pick<NodeIdentity, 'name' | 'labels'>): boolean {
    if (spec.node !== undefined) return spec.node === node.name;
    return spec.nodeSelector === undefined || matchesSelector(spec.nodeSelector, node.labels);
  }

  #isOwn(address: Address): boolean {
    return Object.values(this.#in.node.addresses).some(
      (own) => own !== undefined && addressesEqual(own.address, address),
    );
  }
}

function nodeAddresses({ spec }: Node): Address[] {
  return [spec.bgp?.ipv4Address, spec.bgp?.ipv6Address].flatMap((text) => {
    const address =
      text === undefined ? undefined : (parseInterfaceAddress(text)?.address ?? parseAddress(text));
    return address === undefined ? [] : [address];
  });
}
