/** From a CNI call to an order for the endpoints, and from the attached endpoint to the call's result. Pure. */
import { createHash } from 'node:crypto';
import { GATEWAYS, HOST_MAC } from '../../fib/endpoints/plan.ts';
import { type EndpointOrder, macText, NETWORK_ANNOTATION, parseMac } from '../agent/endpoints/resource.ts';
import type { EndpointView } from '../api/views.ts';
import type { IpPool } from '../model/ip-pool.ts';
import { checkName, checkNamespace, checkQualifiedName } from '../model/scalars.ts';
import { type Address, FAMILIES, type Family, formatAddress, parseAddress } from '../net/address.ts';
import { formatPrefix, hostPrefix, parsePrefix, prefixesEqual } from '../net/prefix.ts';
import type { Attachment, AttachmentCall } from './call.ts';
import { CNI_CODE, CniError } from './error.ts';
import type { RuntimeConfig } from './network.ts';
import type { AttachmentResult } from './result.ts';

/** Calico's word for workloads that a CNI runtime attaches without Kubernetes. */
export const ORCHESTRATOR = 'cni';
/** The container ID as the runtime gave it. */
export const CONTAINER_ANNOTATION = 'ocicat.dev/container-id';
/** Labels in a pod's annotations: `KEY=VALUE,KEY=VALUE`. */
const LABELS_ANNOTATION = 'ocicat.dev/labels';
/** What policies can select a runtime's containers by. */
const NETWORK_LABEL = 'ocicat.dev/network';
const POD_LABEL = 'ocicat.dev/pod';
const LABEL_VALUE = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const CALICO_CONTAINER_ID = /^[a-z0-9]([-a-z0-9]{0,98}[a-z0-9])?$/;

/**
 * The endpoint's id on the host, from the three values that a DEL is sure to have. None of them can hold a colon.
 */
export function idOf({ network, containerId, ifname }: Attachment): string {
  return `cni:${network}:${containerId}:${ifname}`;
}

/**
 * The IPAM handle: Calico's `<network>.<containerID>` for the usual case, where nobody else can have the same; else the id.
 */
export function handleOf(attachment: Attachment): string {
  const { network, containerId, ifname } = attachment;
  const isUsual = ifname === 'eth0' && !network.includes('.') && !containerId.includes('.');
  return isUsual ? `${network}.${containerId}` : idOf(attachment);
}

/** The order that an ADD gives. Throws a `CniError`. */
export function orderOf(call: AttachmentCall, pools: readonly IpPool[]): EndpointOrder {
  const { attachment, config, args, netns = '' } = call;
  const { runtime } = config;
  const namespace = args.get('K8S_POD_NAMESPACE') || 'default';
  if (checkNamespace(namespace) !== undefined) {
    throw new CniError(
      CNI_CODE.badEnvironment,
      `CNI_ARGS: K8S_POD_NAMESPACE "${namespace}" is no name of a namespace`,
    );
  }
  const containerId = containerIdOf(attachment.containerId);
  const pod = args.get('K8S_POD_NAME') || undefined;
  const podName = pod !== undefined && checkName(pod) === undefined ? pod : undefined;
  const chosen = choosePools(call, pools);
  const addresses = wantedAddresses(call);
  const mac = wantedMac(runtime.mac ?? args.get('MAC'));
  const bandwidth = bandwidthOf(runtime);
  return {
    id: idOf(attachment),
    handle: handleOf(attachment),
    orchestrator: ORCHESTRATOR,
    namespace,
    name: podName ?? containerId,
    containerId,
    ...(podName === undefined ? {} : { pod: podName }),
    netns,
    containerIfname: attachment.ifname,
    labels: labelsOf(call, pod),
    annotations: {
      [NETWORK_ANNOTATION]: attachment.network,
      [CONTAINER_ANNOTATION]: attachment.containerId,
    },
    addresses,
    ...(chosen.families === undefined ? {} : { families: chosen.families }),
    ...(Object.keys(chosen.pools).length === 0 ? {} : { pools: chosen.pools }),
    ...(mac === undefined ? {} : { mac }),
    ports: (runtime.portMappings ?? []).map(({ hostPort, containerPort, protocol, hostIP }) => ({
      protocol,
      port: containerPort,
      hostPort,
      ...(hostIP === undefined ? {} : { hostIP }),
    })),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    profiles: config.profiles,
    ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
  };
}

/** What an ADD answers about an endpoint that is attached. */
export function resultOf(call: AttachmentCall, view: EndpointView): AttachmentResult {
  const families = new Set<Family>();
  const ips = view.addresses.flatMap((text) => {
    const address = parseAddress(text);
    if (address === undefined) return [];
    families.add(address.family);
    return [
      {
        address: formatPrefix(hostPrefix(address)),
        gateway: formatAddress(GATEWAYS[address.family]),
        interface: 1,
      },
    ];
  });
  return {
    interfaces: [
      { name: view.interface, mac: macText(HOST_MAC), mtu: view.mtu },
      { name: call.attachment.ifname, mac: view.mac, mtu: view.mtu, sandbox: call.netns ?? '' },
    ],
    // Runtimes take the first address as the container's.
    ips: ips.sort((a, b) => Number(a.address.includes(':')) - Number(b.address.includes(':'))),
    routes: FAMILIES.filter((family) => families.has(family)).map((family) => ({
      dst: family === 'ipv4' ? '0.0.0.0/0' : '::/0',
      gw: formatAddress(GATEWAYS[family]),
    })),
    dns: call.config.dns,
  };
}

/** Calico allows fewer characters in a container ID than CNI does; what does not fit stands there by its hash. */
function containerIdOf(text: string): string {
  if (CALICO_CONTAINER_ID.test(text)) return text;
  return `id-${createHash('sha256').update(text).digest('hex').slice(0, 40)}`;
}

function labelsOf({ attachment, config }: AttachmentCall, pod: string | undefined): Record<string, string> {
  const labels: Record<string, string> = {};
  if (LABEL_VALUE.test(attachment.network)) labels[NETWORK_LABEL] = attachment.network;
  if (pod !== undefined && LABEL_VALUE.test(pod)) labels[POD_LABEL] = pod;
  Object.assign(labels, config.labels);
  for (const part of (config.runtime.podAnnotations[LABELS_ANNOTATION] ?? '').split(',')) {
    if (part.trim() === '') continue;
    const [key = '', value = ''] = part.trim().split('=', 2);
    labels[key] = value;
  }
  for (const [key, value] of Object.entries(labels)) {
    if (checkQualifiedName(key) === undefined && (value === '' || LABEL_VALUE.test(value))) continue;
    throw new CniError(CNI_CODE.badConfiguration, `label ${key}=${value}: is no valid label`);
  }
  return labels;
}

/** Pool annotations of a pod come before the network's configuration, as in Calico. */
function choosePools(
  { config }: AttachmentCall,
  pools: readonly IpPool[],
): { families: readonly Family[] | undefined; pools: Partial<Record<Family, readonly string[]>> } {
  const chosen: Partial<Record<Family, readonly string[]>> = {};
  for (const family of FAMILIES) {
    const key = `cni.projectcalico.org/${family}pools`;
    const listed = readList(config.runtime.podAnnotations[key], key) ?? config.pools[family];
    if (listed !== undefined && listed.length > 0)
      chosen[family] = listed.map((text) => poolName(text, pools));
  }
  const isPart = (family: Family): boolean =>
    config.assign[family] ?? (Object.keys(chosen).length === 0 || chosen[family] !== undefined);
  const isOpen =
    Object.keys(chosen).length === 0 && FAMILIES.every((family) => config.assign[family] === undefined);
  if (isOpen) return { families: undefined, pools: chosen };
  const families = FAMILIES.filter(
    (family) =>
      isPart(family) &&
      (config.assign[family] === true || chosen[family] !== undefined || hasPool(pools, family)),
  );
  if (families.length === 0) {
    throw new CniError(
      CNI_CODE.badConfiguration,
      'ipam: leaves no address family for the container',
      'name a pool, or set assign_ipv4 or assign_ipv6 to true',
    );
  }
  return { families, pools: chosen };
}

function hasPool(pools: readonly IpPool[], family: Family): boolean {
  return pools.some(({ spec }) => parsePrefix(spec.cidr)?.family === family);
}

// Calico takes a pool's name or its CIDR.
function poolName(text: string, pools: readonly IpPool[]): string {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return text;
  const pool = pools.find(({ spec }) => {
    const cidr = parsePrefix(spec.cidr);
    return cidr !== undefined && prefixesEqual(cidr, prefix);
  });
  return pool?.metadata.name ?? text;
}

function readList(text: string | undefined, where: string): string[] | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  } catch {
    // Said below.
  }
  throw new CniError(
    CNI_CODE.badConfiguration,
    `annotation ${where}: '${text}' is no JSON list of texts such as '["pool1"]'`,
  );
}

function wantedAddresses({ config, args }: AttachmentCall): Address[] {
  const key = 'cni.projectcalico.org/ipAddrs';
  const texts = [
    ...config.runtime.ips,
    ...config.argumentIps,
    ...(args.get('IP') ?? '').split(',').filter((text) => text !== ''),
    ...(readList(config.runtime.podAnnotations[key], key) ?? []),
  ];
  const addresses = new Map<string, Address>();
  for (const text of texts) {
    const address = parseAddress(text.split('/', 1)[0] ?? '');
    if (address === undefined) throw new CniError(CNI_CODE.badConfiguration, `"${text}" is no address`);
    addresses.set(formatAddress(address), address);
  }
  const wanted = [...addresses.values()];
  if (new Set(wanted.map(({ family }) => family)).size !== wanted.length) {
    throw new CniError(
      CNI_CODE.badConfiguration,
      `at most one address a family can be asked for, got ${[...addresses.keys()].join(', ')}`,
    );
  }
  return wanted;
}

function wantedMac(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || text === '') return undefined;
  const mac = parseMac(text);
  if (mac === undefined || ((mac[0] ?? 0) & 1) !== 0) {
    throw new CniError(
      CNI_CODE.badConfiguration,
      `mac "${text}": is no unicast hardware address such as 02:00:00:00:00:01`,
    );
  }
  return mac;
}

/** Calico's and the stock plugin's bound, 4 Gbit at once, is what runtimes send for "no bound". */
const UNSET_BURST = 0xffffffff;

function bandwidthOf({ bandwidth }: RuntimeConfig): EndpointOrder['bandwidth'] {
  const { ingressRate, ingressBurst, egressRate, egressBurst } = bandwidth;
  if (ingressRate === 0 && egressRate === 0) return undefined;
  const limit = (rateBits: number, burst: number) => ({
    rateBits,
    burstBits: burst >= UNSET_BURST ? 0 : burst,
  });
  return {
    ...(ingressRate === 0 ? {} : { ingress: limit(ingressRate, ingressBurst) }),
    ...(egressRate === 0 ? {} : { egress: limit(egressRate, egressBurst) }),
  };
}
