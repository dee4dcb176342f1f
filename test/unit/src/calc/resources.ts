/** Builders of small resources for the tests of the calculation graph. */
import type {
  GlobalNetworkPolicy,
  GlobalNetworkPolicySpec,
} from '../../../../src/model/global-network-policy.ts';
import type { StringMap } from '../../../../src/model/metadata-types.ts';
import type { NetworkPolicy, NetworkPolicySpec } from '../../../../src/model/network-policy.ts';
import type { GlobalNetworkSet, NetworkSet } from '../../../../src/model/network-set.ts';
import type { Profile, ProfileSpec } from '../../../../src/model/profile.ts';
import type { WorkloadEndpoint, WorkloadEndpointSpec } from '../../../../src/model/workload-endpoint.ts';

const apiVersion = 'projectcalico.org/v3';

export function endpoint(
  name: string,
  labels: StringMap,
  spec: Partial<WorkloadEndpointSpec> = {},
  namespace = 'default',
): WorkloadEndpoint {
  return {
    apiVersion,
    kind: 'WorkloadEndpoint',
    metadata: { name, namespace, labels },
    spec: { node: 'host1', interfaceName: `oci${name}`, profiles: [], ...spec },
  };
}

export function globalPolicy(name: string, spec: GlobalNetworkPolicySpec): GlobalNetworkPolicy {
  return { apiVersion, kind: 'GlobalNetworkPolicy', metadata: { name }, spec };
}

export function policy(namespace: string, name: string, spec: NetworkPolicySpec): NetworkPolicy {
  return { apiVersion, kind: 'NetworkPolicy', metadata: { name, namespace }, spec };
}

export function globalSet(name: string, labels: StringMap, nets: readonly string[]): GlobalNetworkSet {
  return { apiVersion, kind: 'GlobalNetworkSet', metadata: { name, labels }, spec: { nets } };
}

export function networkSet(
  namespace: string,
  name: string,
  labels: StringMap,
  nets: readonly string[],
): NetworkSet {
  return { apiVersion, kind: 'NetworkSet', metadata: { name, namespace, labels }, spec: { nets } };
}

export function profile(name: string, spec: ProfileSpec): Profile {
  return { apiVersion, kind: 'Profile', metadata: { name }, spec };
}
