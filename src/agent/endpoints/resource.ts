/** An attached container as a WorkloadEndpoint resource, and back. Pure. */
import { containerMac, type EndpointBandwidth, hostLinkName } from '../../../fib/endpoints/plan.ts';
import type { EndpointRequest } from '../../api/views.ts';
import { API_VERSION } from '../../model/kinds.ts';
import { DEFAULT_ALLOW_PROFILE } from '../../model/profile.ts';
import {
  type WorkloadEndpoint,
  type WorkloadEndpointSpec,
  type WorkloadPort,
  workloadEndpointName,
} from '../../model/workload-endpoint.ts';
import { type Address, type Family, formatAddress } from '../../net/address.ts';
import { formatPrefix, hostPrefix, networkAddress, parsePrefix } from '../../net/prefix.ts';
import { isPublished, mergePorts } from './ports.ts';
import { bandwidthOf, qosControls } from './qos.ts';

/** Where the endpoint's network namespace is, a path on its host. */
export const NETNS_ANNOTATION = 'ocicat.dev/netns';
/** The endpoint's id on its host, where it is not made of namespace and name. */
export const ID_ANNOTATION = 'ocicat.dev/endpoint-id';
/** The IPAM handle that holds its addresses, where it is not made of the id. */
export const HANDLE_ANNOTATION = 'ocicat.dev/ipam-handle';
/** The MTU that its network configuration asks for, octets. */
export const MTU_ANNOTATION = 'ocicat.dev/mtu';
/** The network that a container runtime attached it to. */
export const NETWORK_ANNOTATION = 'ocicat.dev/network';
/**
 * On endpoints whose container end a container runtime moves itself: `open`, or `held` while too little is known of the container to
 * judge its traffic.
 */
export const HANDED_ANNOTATION = 'ocicat.dev/handed';
/** The orchestrator that `ocicat endpoint add` stands for. */
export const ORCHESTRATOR = 'ocicat';

/** Namespace and name as people gave them. */
export interface EndpointName {
  readonly namespace: string;
  readonly name: string;
}

/** An order to attach a container, whoever gives it: `ocicat endpoint add` or a container runtime. */
export interface EndpointOrder {
  /** unique on this host and stable; what link name and MAC are made from */
  readonly id: string;
  /** IPAM handle that holds the addresses */
  readonly handle: string;
  /** as Calico uses it: part of the resource's name, and a label */
  readonly orchestrator: string;
  readonly namespace: string;
  /** what people call it */
  readonly name: string;
  readonly containerId?: string;
  readonly pod?: string;
  /** path of the network namespace */
  readonly netns: string;
  readonly containerIfname: string;
  /** undefined: those that are stored already */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>>;
  /** addresses asked for by value, at most one a family */
  readonly addresses: readonly Address[];
  /** default: every family that has a pool for this node */
  readonly families?: readonly Family[];
  /** names of the pools to take from */
  readonly pools?: Readonly<Partial<Record<Family, readonly string[]>>>;
  readonly mac?: Uint8Array;
  /** named ports and published ones; undefined: those that are stored already */
  readonly ports?: readonly WorkloadPort[] | undefined;
  readonly bandwidth?: EndpointBandwidth;
  readonly profiles?: readonly string[] | undefined;
  readonly mtu?: number;
}

/** What the kernel side needs of an endpoint of this node. */
export interface LocalEndpoint {
  /** unique on the host, and what the link name is made from; `NAMESPACE.NAME` for `ocicat endpoint add` */
  readonly id: string;
  readonly handle: string;
  readonly netns: string;
  /** undefined: a container runtime chooses it */
  readonly containerIfname?: string;
  readonly addresses: readonly Address[];
  /** ports of the host lead to it, also from the host's own 127.0.0.1 */
  readonly publishes: boolean;
  readonly mac?: Uint8Array;
  /** a container runtime moves its container end */
  readonly isHanded?: boolean;
  /** everything is prepared, but nothing may flow yet */
  readonly isHeld?: boolean;
  /** where a default route is there already, ours stands beside it */
  readonly sharesNamespace?: boolean;
  readonly bandwidth?: EndpointBandwidth;
  /** octets; default: the node's */
  readonly wantedMtu?: number;
}

/** The host-wide id of an endpoint. */
export function localId({ namespace, name }: EndpointName): string {
  return `${namespace}.${name}`;
}

/** The IPAM handle of an endpoint that `ocicat endpoint add` made. */
export function handleOf(name: EndpointName): string {
  return `${ORCHESTRATOR}.${localId(name)}`;
}

/** Whether a handle is one that `handleOf` made: of all handles, only these begin so and have two dots. */
export function isEndpointHandle(handle: string): boolean {
  return handle.startsWith(`${ORCHESTRATOR}.`) && handle.includes('.', ORCHESTRATOR.length + 1);
}

/** The order that `ocicat endpoint add` gives. */
export function orderOf(request: EndpointRequest, addresses: readonly Address[]): EndpointOrder {
  const name = { namespace: request.namespace ?? 'default', name: request.name };
  return {
    id: localId(name),
    handle: handleOf(name),
    orchestrator: ORCHESTRATOR,
    ...name,
    netns: request.netns,
    containerIfname: request.interface ?? 'eth0',
    labels: request.labels,
    addresses,
    profiles: request.profiles,
    ports: request.ports,
  };
}

/** The resource's name, made as Calico makes it. Undefined when a part of the order cannot be part of one. */
export function resourceName(node: string, order: EndpointOrder): string | undefined {
  return workloadEndpointName({ node, ...identity(order) });
}

/** The parts of a resource that say whose it is. */
export function identity(order: EndpointOrder) {
  return {
    orchestrator: order.orchestrator,
    workload: order.name,
    endpoint: order.containerIfname,
    ...(order.containerId === undefined ? {} : { containerID: order.containerId }),
    ...(order.pod === undefined ? {} : { pod: order.pod }),
  };
}

/** The resource of an endpoint. `earlier`: what was stored under the name before; its labels, ports and profiles stay unless named anew. */
export function makeEndpoint(
  node: string,
  order: EndpointOrder,
  addresses: readonly Address[],
  earlier: WorkloadEndpoint | undefined,
): WorkloadEndpoint {
  const labels = order.labels ?? earlier?.metadata.labels;
  const hasLabels = labels !== undefined && Object.keys(labels).length > 0;
  const ports = mergePorts(order.ports, earlier?.spec.ports);
  const isNamed = order.orchestrator === ORCHESTRATOR;
  return {
    apiVersion: API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: resourceName(node, order) ?? '',
      namespace: order.namespace,
      ...(hasLabels ? { labels } : {}),
      annotations: {
        ...earlier?.metadata.annotations,
        ...order.annotations,
        [NETNS_ANNOTATION]: order.netns,
        ...(isNamed ? {} : { [ID_ANNOTATION]: order.id, [HANDLE_ANNOTATION]: order.handle }),
        ...(order.mtu === undefined ? {} : { [MTU_ANNOTATION]: String(order.mtu) }),
      },
    },
    spec: {
      ...withoutPorts(earlier?.spec),
      ...(ports.length === 0 ? {} : { ports }),
      ...identity(order),
      node,
      interfaceName: hostLinkName(order.id),
      mac: macText(order.mac ?? containerMac(order.id)),
      ipNetworks: addresses.map((address) => formatPrefix(hostPrefix(address))),
      profiles: [...(order.profiles ?? earlier?.spec.profiles ?? [DEFAULT_ALLOW_PROFILE])],
      ...(order.bandwidth === undefined ? {} : { qosControls: qosControls(order.bandwidth) }),
    },
  };
}

function withoutPorts(spec: WorkloadEndpointSpec | undefined): Partial<WorkloadEndpointSpec> {
  const { ports: _ports, ...rest } = spec ?? {};
  return rest;
}

/** The kernel side of a resource; undefined when it is not one that was attached on this node. */
export function localEndpoint(resource: WorkloadEndpoint, node: string): LocalEndpoint | undefined {
  const { spec, metadata } = resource;
  const netns = metadata.annotations?.[NETNS_ANNOTATION];
  if (spec.node !== node || netns === undefined || spec.workload === undefined) return undefined;
  const name = endpointName(resource);
  const wantedMtu = Number(metadata.annotations?.[MTU_ANNOTATION] ?? Number.NaN);
  const mac = spec.mac === undefined ? undefined : parseMac(spec.mac);
  const bandwidth = bandwidthOf(spec.qosControls);
  const handed = metadata.annotations?.[HANDED_ANNOTATION];
  return {
    id: metadata.annotations?.[ID_ANNOTATION] ?? localId(name),
    handle: metadata.annotations?.[HANDLE_ANNOTATION] ?? handleOf(name),
    netns,
    addresses: addressesOf(resource),
    publishes: (spec.ports ?? []).some(isPublished),
    ...(mac === undefined ? {} : { mac }),
    ...(handed === undefined
      ? { containerIfname: spec.endpoint ?? 'eth0' }
      : { isHanded: true, isHeld: handed !== 'open' }),
    ...(spec.orchestrator === ORCHESTRATOR ? {} : { sharesNamespace: true }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    ...(Number.isInteger(wantedMtu) ? { wantedMtu } : {}),
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

/** Six octets of a text with colons or dashes; undefined for anything else. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(/[:-]/), (octet) => Number.parseInt(octet, 16));
}

/** For messages. */
export function addressTexts(addresses: readonly Address[]): string[] {
  return addresses.map(formatAddress);
}
