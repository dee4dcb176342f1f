/**
 * The resource union and the identity of a resource. Each kind's own type stands beside its schema in the kind's file.
 */
import type { BgpConfiguration } from './bgp-configuration.ts';
import type { BgpFilter } from './bgp-filter.ts';
import type { BgpPeer } from './bgp-peer.ts';
import type { BlockAffinity } from './block-affinity.ts';
import type { GlobalNetworkPolicy } from './global-network-policy.ts';
import type { IpPool } from './ip-pool.ts';
import type { IpReservation } from './ip-reservation.ts';
import type { IpamConfiguration } from './ipam-configuration.ts';
import { type Kind, kindInfo } from './kinds.ts';
import type { ResourceKey } from './metadata-types.ts';
import type { NetworkPolicy } from './network-policy.ts';
import type { GlobalNetworkSet, NetworkSet } from './network-set.ts';
import type { Node } from './node.ts';
import type { Profile } from './profile.ts';
import type { WorkloadEndpoint } from './workload-endpoint.ts';

/** A resource of any implemented kind, discriminated by `kind`. Immutable. */
export type Resource =
  | Node
  | BgpConfiguration
  | BgpPeer
  | BgpFilter
  | IpPool
  | IpReservation
  | IpamConfiguration
  | BlockAffinity
  | WorkloadEndpoint
  | GlobalNetworkPolicy
  | NetworkPolicy
  | GlobalNetworkSet
  | NetworkSet
  | Profile;

/** The resource type of a kind: `ResourceOfKind<'IPPool'>` is `IpPool`. */
export type ResourceOfKind<K extends Kind> = Extract<Resource, { readonly kind: K }>;

/** The key of a resource. A namespaced resource without a namespace is in `default`, as with calicoctl. */
export function keyOf(resource: Resource): ResourceKey {
  return makeKey(resource.kind, resource.metadata.name, resource.metadata.namespace);
}

/** Makes a key: the namespace is dropped for kinds without one and `default` for namespaced kinds when absent. */
export function makeKey(kind: Kind, name: string, namespace?: string): ResourceKey {
  return kindInfo(kind).namespaced ? { kind, namespace: namespace || 'default', name } : { kind, name };
}

/** `kind/name` or `kind/namespace/name`: unique, for map keys and log lines. */
export function formatKey(key: ResourceKey): string {
  return key.namespace === undefined ? `${key.kind}/${key.name}` : `${key.kind}/${key.namespace}/${key.name}`;
}
