/** From the configuration and the host's subnets to what the speaker is told. Pure. */

import { checkPeers, PeerConfigError } from '../../bgp/speaker/config.ts';
import {
  configurationOf,
  originAttributes,
  type TaggedPrefix,
  taggedPrefixes,
} from '../agent/bgp/configuration.ts';
import { hasExportInterface } from '../agent/bgp/filters.ts';
import { effectiveAs, type NodePeer, type NodeRange } from '../agent/bgp/peer-types.ts';
import { selectPeers } from '../agent/bgp/peers.ts';
import { routerIdOf } from '../agent/node-identity.ts';
import type { Finding } from '../api/views.ts';
import type { BgpFilter } from '../model/bgp-filter.ts';
import type { Node } from '../model/node.ts';
import { parseCidrOrAddress } from '../model/scalars.ts';
import { type Address, FAMILIES, type Family } from '../net/address.ts';
import { type InterfaceAddress, networkAddress } from '../net/prefix.ts';
import type { SpeakConfig } from './config.ts';
import type { HostView } from './host.ts';
import { withFilters } from './policy.ts';
import type { StaticRoute } from './static-routes.ts';

/** What the speaker is to do. */
export interface SpeakPlan {
  readonly routerId: number;
  readonly localAs: number;
  /** of the Node, an IPv4 address */
  readonly clusterId: string | undefined;
  /** of the BGPConfiguration */
  readonly port: number | undefined;
  /** where to listen by the BGPConfiguration's bindMode */
  readonly addresses: readonly Address[] | undefined;
  readonly peers: readonly NodePeer[];
  readonly ranges: readonly NodeRange[];
  readonly statics: SpeakConfig['statics'];
  /** what an operator should know; none of them an error */
  readonly findings: readonly Finding[];
}

export type SpeakPlanResult =
  | { readonly ok: true; readonly plan: SpeakPlan }
  | { readonly ok: false; readonly faults: readonly string[] };

/** Works out the plan. */
export function makePlan(config: SpeakConfig, host: HostView, file: string): SpeakPlanResult {
  const { node, nodes, transit } = config;
  const { name, labels } = node.metadata;
  const configuration = configurationOf(config.configurations, name);
  const addresses = addressesOf(node);
  const localAs = effectiveAs(node, configuration);
  const selection = selectPeers({
    node: { name, labels: labels ?? {}, asNumber: localAs, addresses },
    nodes,
    configuration,
    configurationOf: (other) => configurationOf(config.configurations, other),
    peers: config.peers,
    ...host,
    // Only for what is said of filters: the agent's own guards and exports are not for a speaker alone.
    policy: { guards: { ownBlocks: [], connectedSubnets: [] }, filters: config.filters, exported: [] },
  });
  const filtersOf = (names: readonly string[]): BgpFilter[] =>
    names.flatMap((each) => config.filters.find(({ metadata }) => metadata.name === each) ?? []);
  const peers = selection.peers.map((peer) => ({
    ...peer,
    config: withFilters(
      peer.config,
      filtersOf(peer.filters),
      transit,
      peer.config.interface ?? host.interfaceTo(peer.config.address),
    ),
  }));
  const ranges = selection.ranges.map((each) => {
    const { range, filters } = each;
    const { prefix, template } = range;
    const device = template.interface ?? host.interfaceTo(networkAddress(prefix));
    return {
      ...each,
      range: { ...range, template: withFilters(template, filtersOf(filters), transit, device) },
    };
  });
  const faults = selection.findings
    .filter(({ severity }) => severity === 'error')
    .map(({ message, remedy }) => `${file}: ${message}${remedy === undefined ? '' : `: ${remedy}`}`);
  try {
    checkPeers(peers.map(({ config: peer }) => peer));
  } catch (error) {
    if (!(error instanceof PeerConfigError)) throw error;
    const resource = peers.find(({ config: peer }) => peer.name === error.peer)?.resource;
    faults.push(`${file}: ${resource ?? 'a peer'}: ${error.message}`);
  }
  if (faults.length > 0) return { ok: false, faults };
  const own = FAMILIES.flatMap((family) => addresses[family]?.address ?? []);
  const tagged = taggedPrefixes(configuration);
  return {
    ok: true,
    plan: {
      routerId: routerIdOf(name, addresses.ipv4),
      localAs,
      clusterId: node.spec.bgp?.routeReflectorClusterID,
      port: configuration?.spec.listenPort || undefined,
      addresses: configuration?.spec.bindMode === 'NodeIP' ? own : undefined,
      peers,
      ranges,
      statics: config.statics.map((route) => withTags(route, tagged)),
      findings: [
        ...selection.findings,
        ...gatewayFindings(selection.peers, host),
        ...interfaceFindings(selection, config.filters, host),
      ],
    },
  };
}

function addressesOf({ spec }: Node): Partial<Record<Family, InterfaceAddress>> {
  const addresses: Partial<Record<Family, InterfaceAddress>> = {};
  for (const family of FAMILIES) {
    const written = family === 'ipv4' ? spec.bgp?.ipv4Address : spec.bgp?.ipv6Address;
    const parsed = written === undefined ? undefined : parseCidrOrAddress(written);
    if (parsed !== undefined) addresses[family] = parsed;
  }
  return addresses;
}

function gatewayFindings(peers: readonly NodePeer[], { setsRoutes }: HostView): Finding[] {
  if (setsRoutes === true) return [];
  return peers
    .filter(({ reachableBy }) => reachableBy !== undefined)
    .map(({ resource }) => ({
      severity: 'warning',
      code: 'peer-gateway',
      message: `${resource}: spec.reachableBy has no effect: routes are not set`,
      remedy: 'run with --fib, or set the route by hand',
    }));
}

// Where a route leads to is the kernel's to say.
function interfaceFindings(
  { peers, ranges }: { readonly peers: readonly NodePeer[]; readonly ranges: readonly NodeRange[] },
  filters: readonly BgpFilter[],
  { setsRoutes }: HostView,
): Finding[] {
  if (setsRoutes === true) return [];
  const used = new Set([...peers, ...ranges].flatMap((each) => each.filters));
  return filters
    .filter((filter) => used.has(filter.metadata.name) && hasExportInterface(filter))
    .map(({ metadata }) => ({
      severity: 'warning',
      code: 'filter-interface',
      message: `BGPFilter ${metadata.name}: export rules with an interface match link-local next hops only: routes are not set`,
      remedy: 'run with --fib, or match by cidr or source instead',
    }));
}

// `prefixAdvertisements` add their communities to those of the route itself.
function withTags(route: StaticRoute, tagged: readonly TaggedPrefix[]): StaticRoute {
  const added = originAttributes(route.prefix, tagged);
  if (added.communities === undefined && added.largeCommunities === undefined) return route;
  const { attributes } = route;
  const communities = [...(attributes.communities ?? []), ...(added.communities ?? [])];
  const largeCommunities = [...(attributes.largeCommunities ?? []), ...(added.largeCommunities ?? [])];
  return {
    ...route,
    attributes: {
      ...attributes,
      ...(communities.length > 0 && { communities: [...new Set(communities)] }),
      ...(largeCommunities.length > 0 && { largeCommunities }),
    },
  };
}
