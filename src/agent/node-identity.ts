/**
 * Who this node is: its Node resource, created at the first start with the addresses that autodetection finds, and what follows from it.
 */
import { createHash } from 'node:crypto';
import type { AddressCandidate, Finding } from '../api/views.ts';
import type { BgpConfiguration } from '../model/bgp-configuration.ts';
import { API_VERSION } from '../model/kinds.ts';
import type { Node } from '../model/node.ts';
import { addressToUint32, FAMILIES, type Family, parseAddress } from '../net/address.ts';
import { formatInterfaceAddress, type InterfaceAddress, parseInterfaceAddress } from '../net/prefix.ts';
import { type DetectionLink, type DetectionResult, detectAddresses } from './autodetect.ts';
import { effectiveAs, type NodeIdentity } from './bgp/peer-types.ts';

/** On Node resources that an agent of ours made. Nodes without it are taken for those of Calico hosts. */
export const MANAGED_ANNOTATION = 'ocicat.dev/managed';

/** The identity in force, and what is to be said about it. */
export interface IdentityResult {
  readonly identity: NodeIdentity;
  /** unsigned 32-bit */
  readonly routerId: number;
  readonly candidates: readonly AddressCandidate[];
  readonly findings: readonly Finding[];
}

const FIELD: Readonly<Record<Family, 'ipv4Address' | 'ipv6Address'>> = {
  ipv4: 'ipv4Address',
  ipv6: 'ipv6Address',
};

/** Works out the identity. Addresses in the Node resource win over detected ones. Pure. */
export function resolveIdentity(
  name: string,
  node: Node | undefined,
  configuration: BgpConfiguration | undefined,
  links: readonly DetectionLink[],
): IdentityResult {
  const detection = detectAddresses(links);
  const addresses: Partial<Record<Family, InterfaceAddress>> = {};
  for (const family of FAMILIES) {
    const configured = readAddress(node?.spec.bgp?.[FIELD[family]]);
    const detected = detection.families[family];
    const chosen = configured ?? (detected.kind === 'found' ? detected.address : undefined);
    if (chosen !== undefined) addresses[family] = chosen;
  }
  return {
    identity: {
      name,
      labels: node?.metadata.labels ?? {},
      asNumber: effectiveAs(node, configuration),
      addresses,
    },
    routerId: routerIdOf(name, addresses.ipv4),
    candidates: detection.candidates,
    findings: addressFindings(name, node, detection, addresses),
  };
}

/** The router id: the node's IPv4 address, else a hash of its name (never 0). */
export function routerIdOf(name: string, ipv4: InterfaceAddress | undefined): number {
  if (ipv4 !== undefined) return addressToUint32(ipv4.address);
  return createHash('sha256').update(name).digest().readUInt32BE(0) || 1;
}

/** The Node resource that the first start writes: name and detected addresses. */
export function initialNode(name: string, identity: NodeIdentity): Node {
  const { ipv4, ipv6 } = identity.addresses;
  const bgp = {
    ...(ipv4 === undefined ? {} : { ipv4Address: formatInterfaceAddress(ipv4) }),
    ...(ipv6 === undefined ? {} : { ipv6Address: formatInterfaceAddress(ipv6) }),
  };
  return {
    apiVersion: API_VERSION,
    kind: 'Node',
    metadata: { name, annotations: { [MANAGED_ANNOTATION]: 'true' } },
    spec: Object.keys(bgp).length === 0 ? {} : { bgp },
  };
}

function readAddress(text: string | undefined): InterfaceAddress | undefined {
  if (text === undefined) return undefined;
  const parsed = parseInterfaceAddress(text);
  if (parsed !== undefined) return parsed;
  const address = parseAddress(text);
  return address && { address, length: address.bytes.length * 8 };
}

function addressFindings(
  name: string,
  node: Node | undefined,
  detection: DetectionResult,
  addresses: Readonly<Partial<Record<Family, InterfaceAddress>>>,
): Finding[] {
  const findings: Finding[] = [];
  for (const family of FAMILIES) {
    const found = detection.families[family];
    if (found.kind !== 'ambiguous' || node?.spec.bgp?.[FIELD[family]] !== undefined) continue;
    findings.push({
      severity: 'error',
      code: 'address-ambiguous',
      message: `the ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address of this node is ambiguous: ${found.interface} has ${found.addresses.join(' and ')}; set spec.bgp.${FIELD[family]} of Node ${name}`,
      remedy: nodeYaml(name, FIELD[family], found.addresses[0] ?? ''),
    });
  }
  if (addresses.ipv4 === undefined && addresses.ipv6 === undefined && findings.length === 0) {
    findings.push({
      severity: 'error',
      code: 'address-missing',
      message: `no interface has a global address; set spec.bgp.ipv4Address or spec.bgp.ipv6Address of Node ${name}`,
      remedy: nodeYaml(name, 'ipv4Address', 'ADDRESS/LENGTH'),
    });
  }
  return findings;
}

function nodeYaml(name: string, field: string, value: string): string {
  return [
    "ocicat apply -f - <<'EOF'",
    `apiVersion: ${API_VERSION}`,
    'kind: Node',
    `metadata: {name: ${name}}`,
    `spec: {bgp: {${field}: ${value}}}`,
    'EOF',
  ].join('\n');
}
