/** BGPConfiguration: BGP settings of the cluster (`default`) or of one node (`node.NAME`). */
import { type BgpPassword, bgpPassword } from './bgp-password.ts';
import type { ResourceOf } from './metadata-types.ts';
import { address, asNumber, duration, isCommunity, name, network } from './scalars.ts';
import {
  atMost,
  boolean,
  integer,
  list,
  object,
  optional,
  required,
  type Schema,
  show,
  strictlyOneOf,
  text,
} from './schema.ts';

export interface CidrBlock {
  readonly cidr?: string;
}

export interface NamedCommunity {
  readonly name: string;
  readonly value: string;
}

export interface PrefixAdvertisement {
  readonly cidr: string;
  /** names from `communities`, or values; may be empty */
  readonly communities: readonly string[];
}

export interface BgpConfigurationSpec {
  readonly logSeverityScreen?: string;
  readonly nodeToNodeMeshEnabled?: boolean;
  readonly asNumber?: number;
  readonly serviceLoadBalancerIPs?: readonly CidrBlock[];
  readonly serviceExternalIPs?: readonly CidrBlock[];
  readonly serviceClusterIPs?: readonly CidrBlock[];
  readonly serviceLoadBalancerAggregation?: 'Enabled' | 'Disabled';
  readonly communities?: readonly NamedCommunity[];
  readonly prefixAdvertisements?: readonly PrefixAdvertisement[];
  /** 0 stands for the default, 179 */
  readonly listenPort?: number;
  readonly nodeMeshPassword?: BgpPassword;
  readonly nodeMeshMaxRestartTime?: string;
  readonly bindMode?: 'None' | 'NodeIP';
  readonly ignoredInterfaces?: readonly string[];
  readonly localWorkloadPeeringIPV4?: string;
  readonly localWorkloadPeeringIPV6?: string;
  readonly programClusterRoutes?: 'Enabled' | 'Disabled' | 'EnabledIPIPOnly' | 'EnabledNoEncapOnly';
  readonly ipv4NormalRoutePriority?: number;
  readonly ipv6NormalRoutePriority?: number;
}

export type BgpConfiguration = ResourceOf<'BGPConfiguration', BgpConfigurationSpec>;

const blocks = (): Schema<readonly CidrBlock[]> => list(object<CidrBlock>({ cidr: optional(network()) }));

const community = text((value) =>
  isCommunity(value) ? undefined : `${show(value)} is not a community: expected aa:nn or aa:nn:mm`,
);

const LOG_LEVEL = /^(trace|debug|info|warning|error|fatal)$/i;
const IGNORED_INTERFACE = /^[a-zA-Z0-9_.*-]{1,15}$/;

/** The name of the resource that holds the cluster's settings. */
export const DEFAULT_BGP_CONFIGURATION = 'default';

/** The name of the resource that holds one node's settings; they stand in place of the cluster's, field by field. */
export function nodeBgpConfigurationName(node: string): string {
  return `node.${node}`;
}

export const bgpConfigurationSpec = object<BgpConfigurationSpec>(
  {
    logSeverityScreen: optional(
      text((value) =>
        LOG_LEVEL.test(value)
          ? undefined
          : `${show(value)} is not a log level: expected Trace, Debug, Info, Warning, Error or Fatal`,
      ),
    ),
    nodeToNodeMeshEnabled: optional(boolean()),
    asNumber: optional(asNumber()),
    serviceLoadBalancerIPs: optional(blocks()),
    serviceExternalIPs: optional(blocks()),
    serviceClusterIPs: optional(blocks()),
    serviceLoadBalancerAggregation: optional(strictlyOneOf('Enabled', 'Disabled')),
    communities: optional(
      list(object<NamedCommunity>({ name: required(name()), value: required(community) }), 500),
    ),
    prefixAdvertisements: optional(
      list(
        object<PrefixAdvertisement>({
          cidr: required(network()),
          communities: required(list(text(atMost(253)), 50)),
        }),
        500,
      ),
    ),
    listenPort: optional(integer(0, 65535)),
    nodeMeshPassword: optional(bgpPassword),
    nodeMeshMaxRestartTime: optional(duration()),
    bindMode: optional(strictlyOneOf('None', 'NodeIP')),
    ignoredInterfaces: optional(
      list(
        text((value) =>
          value !== '*' && IGNORED_INTERFACE.test(value)
            ? undefined
            : `${show(value)} is not a link name or pattern (and "*" alone is not allowed)`,
        ),
      ),
    ),
    localWorkloadPeeringIPV4: optional(address('ipv4')),
    localWorkloadPeeringIPV6: optional(address('ipv6')),
    programClusterRoutes: optional(
      strictlyOneOf('Enabled', 'Disabled', 'EnabledIPIPOnly', 'EnabledNoEncapOnly'),
    ),
    ipv4NormalRoutePriority: optional(integer(1, 2147483646)),
    ipv6NormalRoutePriority: optional(integer(1, 2147483646)),
  },
  (value, path, problems) => {
    if (value.nodeToNodeMeshEnabled === false) {
      for (const field of ['nodeMeshPassword', 'nodeMeshMaxRestartTime'] as const) {
        if (value[field] !== undefined) {
          problems.add(`${path}.${field}`, 'cannot be set when nodeToNodeMeshEnabled is false');
        }
      }
    }
    if ((value.communities ?? []).length > 0 && (value.prefixAdvertisements ?? []).length === 0) {
      problems.add(`${path}.communities`, 'communities are defined but not used in prefixAdvertisements');
    }
    const names = new Set(value.communities?.map((each) => each.name));
    for (const [index, each] of (value.prefixAdvertisements ?? []).entries()) {
      const at = `${path}.prefixAdvertisements[${index}].communities`;
      for (const [place, used] of each.communities.entries()) {
        if (!isCommunity(used) && !names.has(used)) {
          problems.add(`${at}[${place}]`, `${show(used)} is neither a community nor defined in communities`);
        }
      }
    }
  },
);
