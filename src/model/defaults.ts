/** Calico's defaults, filled in where they are read; what is stored stays as people wrote it. */
import { parsePrefix } from '../net/prefix.ts';
import { DEFAULT_BGP_CONFIGURATION } from './bgp-configuration.ts';
import { BLOCK_SIZES } from './ip-pool.ts';
import { kindInfo } from './kinds.ts';
import type { CommonPolicySpec, PolicyType } from './rule.ts';
import type { Resource } from './types.ts';

/** AS number of nodes and mesh when nothing else is said. */
export const DEFAULT_AS_NUMBER = 64512;

/** BGP's port (RFC 4271). */
export const DEFAULT_LISTEN_PORT = 179;

/** The tier of policies that name none. */
export const DEFAULT_TIER = 'default';

/** Directions of a policy that names none: egress alone if it has egress rules alone, else ingress, and egress if it has such rules. */
export function effectiveTypes(
  spec: Pick<CommonPolicySpec, 'types' | 'ingress' | 'egress'>,
): readonly PolicyType[] {
  if (spec.types !== undefined && spec.types.length > 0) return spec.types;
  const ingress = (spec.ingress ?? []).length > 0;
  const egress = (spec.egress ?? []).length > 0;
  if (!egress) return ['Ingress'];
  return ingress ? ['Ingress', 'Egress'] : ['Egress'];
}

function policyDefaults<S extends CommonPolicySpec>(spec: S): S {
  return {
    ...spec,
    tier: spec.tier ?? DEFAULT_TIER,
    selector: spec.selector ?? 'all()',
    types: effectiveTypes(spec),
  };
}

/** The resource with every default of its kind filled in. Pure; applying it twice changes nothing more. */
export function withDefaults(given: Resource): Resource {
  const namespaced = kindInfo(given.kind).namespaced;
  const metadata = namespaced
    ? { ...given.metadata, namespace: given.metadata.namespace ?? 'default' }
    : given.metadata;
  switch (given.kind) {
    case 'IPPool': {
      const family = parsePrefix(given.spec.cidr)?.family ?? 'ipv4';
      return {
        ...given,
        spec: {
          ipipMode: 'Never',
          vxlanMode: 'Never',
          natOutgoing: false,
          disabled: false,
          disableBGPExport: false,
          nodeSelector: 'all()',
          // A pool confined to namespaces cannot serve tunnels.
          allowedUses: given.spec.namespaceSelector === undefined ? ['Workload', 'Tunnel'] : ['Workload'],
          assignmentMode: 'Automatic',
          ...given.spec,
          blockSize: given.spec.blockSize || BLOCK_SIZES[family].default,
        },
      };
    }
    case 'BGPConfiguration':
      if (given.metadata.name !== DEFAULT_BGP_CONFIGURATION) return given;
      return {
        ...given,
        spec: {
          logSeverityScreen: 'Info',
          nodeToNodeMeshEnabled: true,
          asNumber: DEFAULT_AS_NUMBER,
          ...given.spec,
          listenPort: given.spec.listenPort || DEFAULT_LISTEN_PORT,
        },
      };
    case 'BGPPeer':
      return { ...given, spec: { sourceAddress: 'UseNodeIP', ...given.spec } };
    case 'IPAMConfiguration':
      return {
        ...given,
        spec: { strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0, ...given.spec },
      };
    case 'GlobalNetworkPolicy':
      return { ...given, spec: policyDefaults(given.spec) };
    case 'NetworkPolicy':
      return { ...given, metadata, spec: policyDefaults(given.spec) };
    case 'NetworkSet':
      return { ...given, metadata };
    case 'WorkloadEndpoint':
      return { ...given, metadata };
    default:
      return given;
  }
}
