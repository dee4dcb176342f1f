/** WorkloadEndpoint: one container's interface, its addresses, labels and profiles. */
import { parsePrefix, prefixContainsAddress } from '../net/prefix.ts';
import type { ResourceOf } from './metadata-types.ts';
import {
  address,
  checkPortName,
  cidrOrAddress,
  hasPorts,
  interfaceName,
  mac,
  name,
  networkOrAddress,
  type Protocol,
  parseCidrOrAddress,
  protocol,
} from './scalars.ts';
import { anything, integer, list, object, optional, type Problems, required, show, text } from './schema.ts';

/** A named port of a workload, or a port of the host mapped to it. */
export interface WorkloadPort {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly hostPort?: number;
  readonly hostIP?: string;
}

/** 1:1 NAT between an address of the workload and an outer one. */
export interface IpNat {
  readonly internalIP: string;
  readonly externalIP: string;
}

export interface WorkloadEndpointSpec {
  readonly orchestrator?: string;
  readonly workload?: string;
  readonly node?: string;
  readonly containerID?: string;
  readonly pod?: string;
  readonly endpoint?: string;
  readonly serviceAccountName?: string;
  /** addresses, plain or as /32 and /128 */
  readonly ipNetworks?: readonly string[];
  readonly ipNATs?: readonly IpNat[];
  readonly ipv4Gateway?: string;
  readonly ipv6Gateway?: string;
  readonly profiles?: readonly string[];
  /** host-side link name, at most 15 characters */
  readonly interfaceName: string;
  readonly mac?: string;
  readonly ports?: readonly WorkloadPort[];
  readonly allowSpoofedSourcePrefixes?: readonly string[];
  readonly qosControls?: unknown;
}

export type WorkloadEndpoint = ResourceOf<'WorkloadEndpoint', WorkloadEndpointSpec>;

const CONTAINER_ID = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/;

/** Schema of one entry of `spec.ports`. */
export const workloadPort = object<WorkloadPort>(
  {
    name: optional(text(checkPortName)),
    protocol: required(protocol()),
    port: required(integer(1, 65535)),
    hostPort: optional(integer(0, 65535)),
    hostIP: optional(networkOrAddress()),
  },
  (value, path, problems) => {
    if (!hasPorts(value.protocol)) problems.add(`${path}.protocol`, 'a port needs protocol TCP, UDP or SCTP');
    if (value.name === undefined && (value.hostPort ?? 0) === 0) {
      problems.add(`${path}.name`, 'must be given when there is no hostPort');
    }
  },
);

export const workloadEndpointSpec = object<WorkloadEndpointSpec>(
  {
    orchestrator: optional(name()),
    workload: optional(name()),
    node: optional(name()),
    containerID: optional(
      text((value) =>
        CONTAINER_ID.test(value)
          ? undefined
          : `${show(value)} is not a container ID (letters, digits and '-')`,
      ),
    ),
    pod: optional(name()),
    endpoint: optional(name()),
    serviceAccountName: optional(name()),
    ipNetworks: optional(list(networkOrAddress())),
    ipNATs: optional(
      list(object<IpNat>({ internalIP: required(address()), externalIP: required(address()) })),
    ),
    ipv4Gateway: optional(address('ipv4')),
    ipv6Gateway: optional(address('ipv6')),
    profiles: optional(list(name())),
    interfaceName: required(interfaceName()),
    mac: optional(mac()),
    ports: optional(list(workloadPort)),
    allowSpoofedSourcePrefixes: optional(list(cidrOrAddress())),
    qosControls: optional(anything()),
  },
  checkEndpoint,
);

function checkEndpoint(value: WorkloadEndpointSpec, path: string, problems: Problems): void {
  for (const [index, each] of (value.ipNetworks ?? []).entries()) {
    const parsed = parseCidrOrAddress(each);
    if (parsed !== undefined && parsed.length !== parsed.address.bytes.length * 8) {
      problems.add(`${path}.ipNetworks[${index}]`, `${each} holds several addresses; expected a /32 or /128`);
    }
  }
  const networks = (value.ipNetworks ?? []).flatMap((each) => {
    const parsed = parsePrefix(each.includes('/') ? each : `${each}/${each.includes(':') ? 128 : 32}`);
    return parsed === undefined ? [] : [parsed];
  });
  for (const [index, nat] of (value.ipNATs ?? []).entries()) {
    const inside = parseCidrOrAddress(nat.internalIP)?.address;
    const outside = parseCidrOrAddress(nat.externalIP)?.address;
    if (inside === undefined || outside === undefined) continue;
    if (inside.family !== outside.family) {
      problems.add(
        `${path}.ipNATs[${index}].externalIP`,
        'internalIP and externalIP must be of one address family',
      );
    }
    if (!networks.some((network) => prefixContainsAddress(network, inside))) {
      problems.add(`${path}.ipNATs[${index}].internalIP`, 'is not among the addresses in ipNetworks');
    }
  }
}

/** The identity of an endpoint, from which its resource name is made. */
export type EndpointIdentity = Pick<
  WorkloadEndpointSpec,
  'node' | 'orchestrator' | 'workload' | 'pod' | 'containerID' | 'endpoint'
>;

/**
 * The resource name that Calico demands of an endpoint: `NODE-ORCHESTRATOR-X-ENDPOINT`, dashes within a part doubled; X is the pod
 * for `k8s`, the container ID for `cni`, the orchestrator again for `libnetwork`, else the workload. Returns undefined when a part
 * is missing, or begins or ends with a dash.
 */
export function workloadEndpointName(spec: EndpointIdentity): string | undefined {
  const middle =
    spec.orchestrator === 'k8s'
      ? spec.pod
      : spec.orchestrator === 'cni'
        ? spec.containerID
        : spec.orchestrator === 'libnetwork'
          ? spec.orchestrator
          : spec.workload;
  const parts: string[] = [];
  for (const part of [spec.node, spec.orchestrator, middle, spec.endpoint]) {
    if (part === undefined || part === '' || part.startsWith('-') || part.endsWith('-')) return undefined;
    parts.push(part.replaceAll('-', '--'));
  }
  return parts.join('-');
}
