/**
 * From resources to the peers of this node. Pure: resources and the host's subnets in, peer configurations and findings out.
 */
import type { FilterChain } from '../../../bgp/policy/types.ts';
import type { PeerConfig } from '../../../bgp/types.ts';
import type { Finding } from '../../api/views.ts';
import type { BgpConfiguration } from '../../model/bgp-configuration.ts';
import { type BgpPeer, parsePeerIp } from '../../model/bgp-peer.ts';
import type { Node } from '../../model/node.ts';
import {
  type Address,
  addressesEqual,
  compareAddresses,
  type Family,
  formatAddress,
  parseAddress,
} from '../../net/address.ts';
import {
  type InterfaceAddress,
  type Prefix,
  parseInterfaceAddress,
  prefixContainsAddress,
} from '../../net/prefix.ts';
import { matchesSelector } from './selector-match.ts';

/** Calico's default AS number. */
export const DEFAULT_AS = 64512;
export const DEFAULT_BGP_PORT = 179;

// Containers need a quick return after a ToR reboot: short retry, hold time as GoBGP and holo ship it.
const HOLD_TIME_SEC = 90;
const CONNECT_RETRY_SEC = 2;
const CONNECT_RETRY_MAX_SEC = 30;
const RESTART_TIME_SEC = 120;
const MULTIHOP_TTL = 64;

/** The node's own BGP identity, from its Node resource and BGPConfiguration. */
export interface NodeIdentity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly asNumber: number;
  readonly addresses: Readonly<Partial<Record<Family, InterfaceAddress>>>;
}

export interface PeerInputs {
  readonly node: NodeIdentity;
  /** all Node resources, for the node-to-node mesh */
  readonly nodes: readonly Node[];
  readonly configuration: BgpConfiguration | undefined;
  readonly peers: readonly BgpPeer[];
  /** subnets of this host's links */
  readonly connected: readonly Prefix[];
  readonly importPolicy: FilterChain;
  readonly exportPolicy: FilterChain;
}

/** A configured peer and the resource that asked for it. */
export interface NodePeer {
  readonly config: PeerConfig;
  /** `BGPPeer tor1`, `mesh h2` */
  readonly resource: string;
}

export interface PeerSelection {
  readonly peers: readonly NodePeer[];
  readonly findings: readonly Finding[];
}

/** The AS number in force: that of the Node, else of BGPConfiguration, else 64512. */
export function effectiveAs(node: Node | undefined, configuration: BgpConfiguration | undefined): number {
  return node?.spec.bgp?.asNumber ?? configuration?.spec.asNumber ?? DEFAULT_AS;
}

/** The peers of this node, in order of address; two resources that name one address are a finding and the first by name holds. */
export function selectPeers(inputs: PeerInputs): PeerSelection {
  const findings: Finding[] = [];
  const byAddress = new Map<string, NodePeer>();
  const add = (peer: NodePeer): void => {
    const key = formatAddress(peer.config.address);
    const earlier = byAddress.get(key);
    if (earlier === undefined) byAddress.set(key, peer);
    else {
      findings.push({
        severity: 'warning',
        code: 'peer-duplicate',
        message: `${earlier.resource} and ${peer.resource} both name ${key}; ${earlier.resource} is in force`,
        remedy: `remove one of them`,
      });
    }
  };
  for (const peer of [...inputs.peers].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    if (!appliesTo(peer, inputs.node)) continue;
    const made = fromResource(peer, inputs);
    if ('finding' in made) findings.push(made.finding);
    else add(made.peer);
  }
  if (inputs.configuration?.spec.nodeToNodeMeshEnabled !== false)
    for (const peer of meshPeers(inputs)) add(peer);
  return {
    peers: [...byAddress.values()].sort((a, b) => compareAddresses(a.config.address, b.config.address)),
    findings,
  };
}

function appliesTo(peer: BgpPeer, node: NodeIdentity): boolean {
  if (peer.spec.node !== undefined) return peer.spec.node === node.name;
  return peer.spec.nodeSelector === undefined || matchesSelector(peer.spec.nodeSelector, node.labels);
}

function fromResource(peer: BgpPeer, inputs: PeerInputs): { peer: NodePeer } | { finding: Finding } {
  const name = peer.metadata.name;
  const target = peer.spec.peerIP === undefined ? undefined : parsePeerIp(peer.spec.peerIP);
  if (target === undefined || peer.spec.asNumber === undefined) {
    return {
      finding: {
        severity: 'error',
        code: 'peer-incomplete',
        message: `BGPPeer ${name} has no ${target === undefined ? 'spec.peerIP' : 'spec.asNumber'}`,
        remedy: `set it and apply BGPPeer ${name} again`,
      },
    };
  }
  if (
    Object.values(inputs.node.addresses).some(
      (own) => own !== undefined && addressesEqual(own.address, target.address),
    )
  ) {
    return {
      finding: {
        severity: 'warning',
        code: 'peer-is-self',
        message: `BGPPeer ${name} names this node's own address; it is not used here`,
        remedy: `give BGPPeer ${name} a spec.node or spec.nodeSelector that leaves ${inputs.node.name} out`,
      },
    };
  }
  const config = makeConfig(
    inputs,
    target.address,
    target.port ?? DEFAULT_BGP_PORT,
    peer.spec.asNumber,
    false,
  );
  return { peer: { config, resource: `BGPPeer ${name}` } };
}

// Of a mesh pair only the lower address dials, as Calico does it, so that the two never collide.
function meshPeers(inputs: PeerInputs): NodePeer[] {
  const peers: NodePeer[] = [];
  for (const other of inputs.nodes) {
    if (other.metadata.name === inputs.node.name) continue;
    const peerAs = effectiveAs(other, inputs.configuration);
    for (const [family, text] of [
      ['ipv4', other.spec.bgp?.ipv4Address],
      ['ipv6', other.spec.bgp?.ipv6Address],
    ] as const) {
      const own = inputs.node.addresses[family];
      const address =
        text === undefined ? undefined : (parseInterfaceAddress(text)?.address ?? parseAddress(text));
      if (own === undefined || address === undefined) continue;
      const passive = compareAddresses(own.address, address) > 0;
      const port = inputs.configuration?.spec.listenPort || DEFAULT_BGP_PORT;
      const config = makeConfig(inputs, address, port, peerAs, passive);
      peers.push({ config, resource: `mesh ${other.metadata.name}` });
    }
  }
  return peers;
}

function makeConfig(
  inputs: PeerInputs,
  address: Address,
  port: number,
  peerAs: number,
  passive: boolean,
): PeerConfig {
  const { node } = inputs;
  const connected = inputs.connected.some((subnet) => prefixContainsAddress(subnet, address));
  const external = peerAs !== node.asNumber;
  const own = node.addresses[address.family];
  return {
    name: formatAddress(address),
    address,
    port,
    peerAs,
    localAs: node.asNumber,
    // A connected peer knows us by our address on its subnet, which the kernel picks; any other by the node's address.
    ...(!connected && own !== undefined ? { localAddress: own.address } : {}),
    passive,
    adminDown: false,
    holdTimeSec: HOLD_TIME_SEC,
    connectRetrySec: CONNECT_RETRY_SEC,
    connectRetryMaxSec: CONNECT_RETRY_MAX_SEC,
    ttl: external && connected ? 1 : MULTIHOP_TTL,
    families: [address.family],
    gracefulRestart: { restartTimeSec: RESTART_TIME_SEC, maxHelperTimeSec: RESTART_TIME_SEC },
    importPolicy: inputs.importPolicy,
    exportPolicy: inputs.exportPolicy,
    nextHop: 'auto',
    allowOwnAs: 0,
  };
}
