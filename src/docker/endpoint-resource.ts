/** A container's attachment to one of our Docker networks, as a WorkloadEndpoint resource under Calico's names for libnetwork. Pure. */
import { containerMac, hostLinkName } from '../../fib/endpoints/plan.ts';
import {
  HANDED_ANNOTATION,
  HANDLE_ANNOTATION,
  ID_ANNOTATION,
  macText,
  NETNS_ANNOTATION,
  NETWORK_ANNOTATION,
} from '../agent/endpoints/resource.ts';
import { API_VERSION } from '../model/kinds.ts';
import { DEFAULT_ALLOW_PROFILE } from '../model/profile.ts';
import {
  type WorkloadEndpoint,
  type WorkloadPort,
  workloadEndpointName,
} from '../model/workload-endpoint.ts';
import type { Address } from '../net/address.ts';
import { formatPrefix, hostPrefix } from '../net/prefix.ts';
import type { PortBinding } from './messages.ts';
import { LABEL_OPTION, labelProblem } from './network-options.ts';

/** Calico's orchestrator and namespace of Docker's containers. */
export const ORCHESTRATOR = 'libnetwork';
/** Labels that every endpoint has besides those of its network and its container. */
export const NETWORK_LABEL = 'ocicat.dev/network';
export const CONTAINER_LABEL = 'ocicat.dev/container';
const PROTOCOLS: Readonly<Record<number, 'TCP' | 'UDP' | 'SCTP'>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

/** One of our networks, as far as it is known. */
export interface DockerNetwork {
  readonly id: string;
  readonly name?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** of `-o` */
  readonly options: Readonly<Record<string, string>>;
}

/** The container behind an endpoint. */
export interface DockerContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** An endpoint as Docker's engine describes it. */
export interface DockerEndpoint {
  readonly id: string;
  readonly networkId: string;
  readonly addresses: readonly Address[];
  readonly mac?: Uint8Array | undefined;
  readonly sandbox: string;
  readonly ports: readonly WorkloadPort[];
}

/** The id on this host of an endpoint. */
export function localIdOf(endpointId: string): string {
  return `${ORCHESTRATOR}.${endpointId}`;
}

/** Its IPAM handle: it holds nothing, for Docker asks for addresses before there is an endpoint, and releases them itself. */
export function handleOf(endpointId: string): string {
  return `${ORCHESTRATOR}.endpoint.${endpointId}`;
}

/** The resource. Without a container it is held: it carries the network's labels and no profile, and no packet passes. */
export function makeEndpoint(
  node: string,
  endpoint: DockerEndpoint,
  network: DockerNetwork,
  container: DockerContainer | undefined,
): WorkloadEndpoint {
  const identity = { node, orchestrator: ORCHESTRATOR, endpoint: endpoint.id };
  const id = localIdOf(endpoint.id);
  return {
    apiVersion: API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: workloadEndpointName(identity) ?? '',
      namespace: ORCHESTRATOR,
      labels: labelsOf(network, container),
      annotations: {
        [ID_ANNOTATION]: id,
        [HANDLE_ANNOTATION]: handleOf(endpoint.id),
        [NETNS_ANNOTATION]: endpoint.sandbox,
        [NETWORK_ANNOTATION]: endpoint.networkId,
        [HANDED_ANNOTATION]: container === undefined ? 'held' : 'open',
      },
    },
    spec: {
      ...identity,
      workload: workloadName(container?.name ?? '') || endpoint.id.slice(0, 12),
      ...(container === undefined ? {} : { containerID: container.id }),
      interfaceName: hostLinkName(id),
      mac: macText(endpoint.mac ?? containerMac(id)),
      ipNetworks: endpoint.addresses.map((address) => formatPrefix(hostPrefix(address))),
      profiles: container === undefined ? [] : [DEFAULT_ALLOW_PROFILE],
      ...(endpoint.ports.length === 0 ? {} : { ports: endpoint.ports }),
    },
  };
}

/** Labels of an endpoint: the network's, over them the container's. What cannot be a label in Calico's sense is left out. */
export function labelsOf(
  network: DockerNetwork,
  container: DockerContainer | undefined,
): Record<string, string> {
  const ofOptions = Object.entries(network.options).flatMap(([key, value]): [string, string][] =>
    key.startsWith(LABEL_OPTION) ? [[key.slice(LABEL_OPTION.length), value]] : [],
  );
  const all = {
    ...Object.fromEntries(ofOptions),
    ...network.labels,
    ...container?.labels,
    ...(network.name === undefined ? {} : { [NETWORK_LABEL]: network.name }),
    ...(container === undefined ? {} : { [CONTAINER_LABEL]: container.name }),
  };
  return Object.fromEntries(
    Object.entries(all).filter(([key, value]) => labelProblem(key, value) === undefined),
  );
}

/** A container's name as resources can have it: `Web_1` becomes `web-1`. */
export function workloadName(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/(^|\.)[-.]+|[-.]+(?=\.|$)/g, '$1')
    .slice(0, 63);
}

/** Whether a host port is free. */
export type IsPortFree = (protocol: string, hostPort: number, hostIp: string) => boolean;

/**
 * Published ports as the resource has them; of a range of host ports the first free one. Throws an Error for one that is taken, or that
 * the driver would have to choose: Docker could not show it.
 */
export function publishedPorts(bindings: readonly PortBinding[], isFree: IsPortFree): WorkloadPort[] {
  return bindings.map((binding) => {
    const protocol = PROTOCOLS[binding.Proto];
    if (protocol === undefined)
      throw new Error(`publishing port ${binding.Port}: protocol ${binding.Proto} is not supported`);
    const what = `${binding.Port}/${protocol.toLowerCase()}`;
    if (binding.HostPort === 0) {
      throw new Error(
        `publishing port ${what}: name the host's port too, as in -p 8080:${what}; Docker cannot show one that the driver chooses`,
      );
    }
    const hostIp = binding.HostIP;
    const last = Math.max(binding.HostPort, binding.HostPortEnd);
    for (let hostPort = binding.HostPort; hostPort <= last; hostPort++) {
      if (!isFree(protocol, hostPort, hostIp)) continue;
      return { protocol, port: binding.Port, hostPort, ...(hostIp === '' ? {} : { hostIP: hostIp }) };
    }
    const range = last === binding.HostPort ? `${last}` : `${binding.HostPort}-${last}`;
    throw new Error(
      `publishing port ${what}: port ${range} of the host is taken, by another endpoint or a process of the host`,
    );
  });
}

/** Whether no endpoint but `self` (a resource's name) publishes the port; host addresses as in `hostAddressesOverlap`. */
export function portFreeAmong(
  endpoints: readonly WorkloadEndpoint[],
  node: string,
  self: string,
): IsPortFree {
  const taken = endpoints.flatMap(({ metadata, spec }) =>
    spec.node === node && metadata.name !== self ? (spec.ports ?? []) : [],
  );
  return (protocol, hostPort, hostIp) =>
    !taken.some(
      (port) =>
        port.protocol === protocol &&
        port.hostPort === hostPort &&
        hostAddressesOverlap(hostIp, port.hostIP ?? ''),
    );
}

/** Nothing stands for all addresses, 0.0.0.0 and :: for all of their family. */
function hostAddressesOverlap(a: string, b: string): boolean {
  if (a === b || a === '' || b === '') return true;
  const [isV6, other] = [a.includes(':'), b.includes(':')];
  const isAny = (text: string): boolean => text === '0.0.0.0' || text === '::';
  return isV6 === other && (isAny(a) || isAny(b));
}
