/** An attached container as a WorkloadEndpoint resource, and back. Pure. */
import { containerMac, hostLinkName } from '../../../fib/endpoints/plan.ts';
import type { EndpointRequest } from '../../api/views.ts';
import { API_VERSION } from '../../model/kinds.ts';
import { DEFAULT_ALLOW_PROFILE } from '../../model/profile.ts';
import {
  type WorkloadEndpoint,
  type WorkloadEndpointSpec,
  workloadEndpointName,
} from '../../model/workload-endpoint.ts';
import { type Address, formatAddress } from '../../net/address.ts';
import { formatPrefix, hostPrefix, networkAddress, parsePrefix } from '../../net/prefix.ts';
import { isPublished, mergePorts } from './ports.ts';

/** Where the endpoint's network namespace is, a path on its host. */
export const NETNS_ANNOTATION = 'ocicat.dev/netns';
/** The orchestrator that `ocicat endpoint add` stands for. */
export const ORCHESTRATOR = 'ocicat';

/** Namespace and name as people gave them. */
export interface EndpointName {
  readonly namespace: string;
  readonly name: string;
}

/** What the kernel side needs of an endpoint of this node. */
export interface LocalEndpoint {
  /** `NAMESPACE.NAME`: unique on the host, and what link name and MAC are made from */
  readonly id: string;
  readonly netns: string;
  readonly containerIfname: string;
  readonly addresses: readonly Address[];
  /** ports of the host lead to it, also from the host's own 127.0.0.1 */
  readonly publishes: boolean;
}

/** The host-wide id of an endpoint. */
export function localId({ namespace, name }: EndpointName): string {
  return `${namespace}.${name}`;
}

/** The IPAM handle of an endpoint. */
export function handleOf(name: EndpointName): string {
  return `${ORCHESTRATOR}.${localId(name)}`;
}

/** The endpoint's name from one of our handles; undefined for handles of others. */
export function nameOfHandle(handle: string): string | undefined {
  return handle.startsWith(`${ORCHESTRATOR}.`) ? handle.slice(ORCHESTRATOR.length + 1) : undefined;
}

/** The resource's name, made as Calico makes it. Undefined when the endpoint's name cannot be part of one. */
export function resourceName(node: string, name: string, containerIfname: string): string | undefined {
  return workloadEndpointName({
    node,
    orchestrator: ORCHESTRATOR,
    workload: name,
    endpoint: containerIfname,
  });
}

/** The resource of an endpoint. `earlier`: what was stored under the name before; its labels, ports and profiles stay unless named anew. */
export function makeEndpoint(
  node: string,
  request: EndpointRequest,
  addresses: readonly Address[],
  earlier: WorkloadEndpoint | undefined,
): WorkloadEndpoint {
  const namespace = request.namespace ?? 'default';
  const containerIfname = request.interface ?? 'eth0';
  const id = localId({ namespace, name: request.name });
  const labels = request.labels ?? earlier?.metadata.labels;
  const ports = mergePorts(request.ports, earlier?.spec.ports);
  const hasLabels = labels !== undefined && Object.keys(labels).length > 0;
  return {
    apiVersion: API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: resourceName(node, request.name, containerIfname) ?? '',
      namespace,
      ...(hasLabels ? { labels } : {}),
      annotations: { ...earlier?.metadata.annotations, [NETNS_ANNOTATION]: request.netns },
    },
    spec: {
      ...withoutPorts(earlier?.spec),
      ...(ports.length === 0 ? {} : { ports }),
      orchestrator: ORCHESTRATOR,
      workload: request.name,
      node,
      endpoint: containerIfname,
      interfaceName: hostLinkName(id),
      mac: macText(containerMac(id)),
      ipNetworks: addresses.map((address) => formatPrefix(hostPrefix(address))),
      profiles: [...(request.profiles ?? earlier?.spec.profiles ?? [DEFAULT_ALLOW_PROFILE])],
    },
  };
}

function withoutPorts(spec: WorkloadEndpointSpec | undefined): Partial<WorkloadEndpointSpec> {
  const { ports: _ports, ...rest } = spec ?? {};
  return rest;
}

/** The kernel side of a resource; undefined when it is not one that `endpoint add` made on this node. */
export function localEndpoint(resource: WorkloadEndpoint, node: string): LocalEndpoint | undefined {
  const { spec } = resource;
  const netns = resource.metadata.annotations?.[NETNS_ANNOTATION];
  if (spec.node !== node || netns === undefined || spec.workload === undefined) return undefined;
  return {
    id: localId(endpointName(resource)),
    netns,
    containerIfname: spec.endpoint ?? 'eth0',
    addresses: addressesOf(resource),
    publishes: (spec.ports ?? []).some(isPublished),
  };
}

/** Namespace and workload of a resource. */
export function endpointName(resource: WorkloadEndpoint): EndpointName {
  return {
    namespace: resource.metadata.namespace ?? 'default',
    name: resource.spec.workload ?? resource.metadata.name,
  };
}

/** The endpoint's addresses, in the order written. */
export function addressesOf(resource: WorkloadEndpoint): Address[] {
  return (resource.spec.ipNetworks ?? []).flatMap((text) => {
    const prefix = parsePrefix(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
    return prefix === undefined ? [] : [networkAddress(prefix)];
  });
}

/** `02:11:22:33:44:55` */
export function macText(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}

/** For messages. */
export function addressTexts(addresses: readonly Address[]): string[] {
  return addresses.map(formatAddress);
}
