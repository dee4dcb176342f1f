/**
 * What of Calico's API this version does not carry out. One table for each kind: a later version removes rows.
 *
 * `refused`: valid Calico, but ignoring it would be wrong (traffic would pass that should not, a session would not come up), so
 * `apply` refuses the resource and names the field. `ignored`: changes nothing here; `apply` takes it and warns.
 */

import { bgpProblems, bgpWarnings } from './bgp-support.ts';
import {
  DEFAULT_IPAM_CONFIGURATION,
  type IpamConfiguration,
  ipamSettingsFault,
} from './ipam-configuration.ts';
import type { Kind } from './kinds.ts';
import { DEFAULT_ALLOW_PROFILE } from './profile.ts';
import { isMap, type Problem } from './schema.ts';
import type { Resource } from './types.ts';
import { workloadEndpointName } from './workload-endpoint.ts';

interface Row {
  /** `[]` stands for every element of a list */
  readonly path: string;
  readonly level: 'refused' | 'ignored';
  /** values that ask for nothing beyond what is done anyway */
  readonly harmless?: readonly unknown[];
  readonly reason?: string;
}

const refused = (path: string, ...harmless: readonly unknown[]): Row => ({
  path,
  level: 'refused',
  harmless,
});
const ignored = (path: string, reason: string, ...harmless: readonly unknown[]): Row => ({
  path,
  level: 'ignored',
  harmless,
  reason,
});

const RULE_ROWS: readonly Row[] = ['spec.ingress[]', 'spec.egress[]'].flatMap((rule) => [
  refused(`${rule}.http`),
  refused(`${rule}.source.services`),
  refused(`${rule}.destination.services`),
]);

const POLICY_ROWS: readonly Row[] = [
  refused('spec.tier', 'default'),
  ignored('spec.performanceHints', 'policies are prepared on the hosts that need them'),
  ...RULE_ROWS,
];

const TABLE: Readonly<Record<Kind, readonly Row[]>> = {
  Node: [
    refused('spec.wireguard'),
    ignored('spec.orchRefs', 'only orchestrators read it'),
    ignored('spec.addresses', 'only orchestrators read it'),
    ignored('spec.interfaces', 'only orchestrators read it'),
  ],
  BGPConfiguration: [
    ignored('spec.logSeverityScreen', 'the log level is set in the agent configuration', 'Info'),
    refused('spec.serviceLoadBalancerIPs'),
    refused('spec.serviceExternalIPs'),
    refused('spec.serviceClusterIPs'),
    refused('spec.serviceLoadBalancerAggregation', 'Enabled'),
    ignored('spec.programClusterRoutes', 'one process programs all routes here', 'EnabledNoEncapOnly'),
    refused('spec.ipv4NormalRoutePriority', 1024),
    refused('spec.ipv6NormalRoutePriority', 1024),
  ],
  BGPPeer: [],
  BGPFilter: [],
  IPPool: [],
  IPReservation: [],
  IPAMConfiguration: [ignored('spec.kubeVirtVMAddressPersistence', 'there are no KubeVirt machines here')],
  BlockAffinity: [
    { path: 'spec', level: 'refused', reason: 'block affinities are written by address allocation alone' },
  ],
  WorkloadEndpoint: [
    refused('spec.ipNATs'),
    ...['Peakrate', 'Minburst', 'PacketRate', 'PacketBurst', 'MaxConnections'].flatMap((field) => [
      refused(`spec.qosControls.ingress${field}`),
      refused(`spec.qosControls.egress${field}`),
    ]),
    refused('spec.qosControls.dscp'),
    refused('spec.allowSpoofedSourcePrefixes'),
  ],
  GlobalNetworkPolicy: [
    ...POLICY_ROWS,
    refused('spec.doNotTrack', false),
    refused('spec.preDNAT', false),
    ignored('spec.applyOnForward', 'it concerns host endpoints, which this version does not have', false),
  ],
  NetworkPolicy: POLICY_ROWS,
  GlobalNetworkSet: [],
  NetworkSet: [],
  Profile: RULE_ROWS,
};

/** Reasons why `apply` must not take a valid resource (`refused`) and notes on what will have no effect (`ignored`). */
export interface Support {
  readonly refused: readonly Problem[];
  readonly ignored: readonly Problem[];
}

/**
 * Checks a valid resource against what this version carries out, and against the rules that Calico applies only when a resource is
 * written (not when it is validated).
 */
export function checkSupport(resource: Resource): Support {
  const out: { refused: Problem[]; ignored: Problem[] } = {
    refused: [...writeProblems(resource)],
    ignored: [...bgpWarnings(resource)],
  };
  for (const row of TABLE[resource.kind]) {
    for (const { path, value } of find(resource, row.path.split('.'), '')) {
      if (row.harmless?.includes(value)) continue;
      const reason =
        row.level === 'refused'
          ? (row.reason ??
            'not supported by this version of Ocicat: remove the field or use another host agent')
          : `has no effect: ${row.reason ?? 'this version does not read it'}`;
      out[row.level].push({ path, reason });
    }
  }
  return out;
}

function find(value: unknown, steps: readonly string[], path: string): { path: string; value: unknown }[] {
  const [step, ...rest] = steps;
  if (step === undefined) return value === undefined ? [] : [{ path, value }];
  if (!isMap(value)) return [];
  const key = step.replace('[]', '');
  const at = path === '' ? key : `${path}.${key}`;
  const child = value[key];
  if (!step.endsWith('[]')) return find(child, rest, at);
  if (!Array.isArray(child)) return [];
  return child.flatMap((each: unknown, index) => find(each, rest, `${at}[${index}]`));
}

function writeProblems(resource: Resource): readonly Problem[] {
  const name = resource.metadata.name;
  switch (resource.kind) {
    case 'BGPConfiguration':
    case 'BGPPeer':
      return bgpProblems(resource);
    case 'IPAMConfiguration':
      return ipamConfigurationProblems(resource);
    case 'Profile':
      return name === DEFAULT_ALLOW_PROFILE
        ? [{ path: 'metadata.name', reason: 'this profile is built in and cannot be changed' }]
        : [];
    case 'WorkloadEndpoint': {
      const expected = workloadEndpointName(resource.spec);
      if (expected === name) return [];
      const reason =
        expected === undefined
          ? 'cannot be checked: node, orchestrator, workload (or pod, containerID) and endpoint must be set'
          : `must be ${expected}, made from node, orchestrator, workload and endpoint`;
      return [{ path: 'metadata.name', reason }];
    }
    default:
      return [];
  }
}

function ipamConfigurationProblems({ metadata, spec }: IpamConfiguration): readonly Problem[] {
  if (metadata.name !== DEFAULT_IPAM_CONFIGURATION)
    return [
      { path: 'metadata.name', reason: `must be ${DEFAULT_IPAM_CONFIGURATION}: there is one for all hosts` },
    ];
  const reason = ipamSettingsFault(spec);
  return reason === undefined ? [] : [{ path: 'spec', reason }];
}
