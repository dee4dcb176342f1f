/** What peers are made from and what comes out: see `selectPeers`. */
import type { DynamicPeers, PeerConfig } from '../../../bgp/types.ts';
import type { Discovered } from '../../../fib/discovery/discovery.ts';
import type { Finding } from '../../api/views.ts';
import type { BgpConfiguration } from '../../model/bgp-configuration.ts';
import type { BgpPeer } from '../../model/bgp-peer.ts';
import type { Node } from '../../model/node.ts';
import type { Address, Family } from '../../net/address.ts';
import type { InterfaceAddress, Prefix } from '../../net/prefix.ts';
import type { PolicySources } from './filters.ts';

/** Calico's default AS number. */
export const DEFAULT_AS = 64512;
export const DEFAULT_BGP_PORT = 179;

/** The node's own BGP identity, from its Node resource and BGPConfiguration. */
export interface NodeIdentity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly asNumber: number;
  readonly addresses: Readonly<Partial<Record<Family, InterfaceAddress>>>;
}

/** A TCP MD5 key out of a file of the host, or why there is none. */
export type PasswordResult = { readonly password: string } | { readonly problem: string };

export interface PeerInputs {
  readonly node: NodeIdentity;
  /** all Node resources, for the node-to-node mesh, `peerSelector` and route reflection */
  readonly nodes: readonly Node[];
  readonly configuration: BgpConfiguration | undefined;
  /** the configuration in force on another node; default: this node's */
  readonly configurationOf?: (node: string) => BgpConfiguration | undefined;
  readonly peers: readonly BgpPeer[];
  /** subnets of this host's links */
  readonly connected: readonly Prefix[];
  readonly policy: PolicySources;
  /** the link that leads to an address on a connected subnet */
  readonly interfaceTo: (address: Address) => string | undefined;
  /** the link on which a session with an address on a connected subnet stands or falls; absent: nobody follows the links */
  readonly onlyLinkTo?: ((address: Address) => string | undefined) | undefined;
  readonly password: (file: string) => PasswordResult;
  /** whoever is on the other end of a link, for unnumbered peers; undefined where nobody looks for them */
  readonly neighbourOn?: ((interfaceName: string) => Discovered) | undefined;
  /** containers of this node whose labels satisfy a selector; undefined where there are none at all */
  readonly workloads?: ((selector: string) => readonly LocalWorkload[]) | undefined;
}

/** A container of this node. */
export interface LocalWorkload {
  /** host end of its link */
  readonly link: string;
  readonly addresses: readonly Address[];
}

/** A configured peer and the resource that asked for it. */
export interface NodePeer {
  readonly config: PeerConfig;
  /** `BGPPeer tor1`, `mesh h2` */
  readonly resource: string;
  /** the BGPPeer that is its peer group */
  readonly group?: string;
  /** names of its BGPFilters */
  readonly filters: readonly string[];
  /** it is whoever is on its interface */
  readonly unnumbered?: true;
  /** came by itself, out of a range */
  readonly dynamic?: true;
  /** spec.localWorkloadSelector: the link of the container, and the address that it knows this host by */
  readonly workload?: { readonly link: string; readonly from: Address };
  /** spec.reachableBy: the gateway on the way to the peer */
  readonly reachableBy?: Address;
}

/** Prefixes from which peers may come by themselves, and the resource that says so. */
export interface NodeRange extends Pick<NodePeer, 'resource' | 'group' | 'filters'> {
  readonly range: DynamicPeers;
}

export interface PeerSelection {
  readonly peers: readonly NodePeer[];
  readonly ranges: readonly NodeRange[];
  readonly findings: readonly Finding[];
}

/** The AS number in force: that of the Node, else of BGPConfiguration, else 64512. */
export function effectiveAs(node: Node | undefined, configuration: BgpConfiguration | undefined): number {
  return node?.spec.bgp?.asNumber ?? configuration?.spec.asNumber ?? DEFAULT_AS;
}
