/** Policies as the graph keeps them: what selects endpoints, in which order they stand, and which directions they have. */
import type { PolicyId } from '../../fib/rules/types.ts';
import { DEFAULT_TIER, effectiveTypes } from '../model/defaults.ts';
import type { GlobalNetworkPolicy } from '../model/global-network-policy.ts';
import type { NetworkPolicy } from '../model/network-policy.ts';
import { DEFAULT_ALLOW_PROFILE, type Profile } from '../model/profile.ts';
import type { Rule } from '../model/rule.ts';
import { LABEL_NAMESPACE } from './items.ts';
import { namespaceNode, parsed, serviceAccountNode } from './rule-compiler.ts';
import { makeSelector, type Selector, type SelectorNode } from './selector/ast.ts';

/** A policy ready for use. */
export interface Policy {
  readonly id: PolicyId;
  /** which endpoints it applies to */
  readonly selector: Selector;
  readonly tier: string;
  /** Infinity when unset: last */
  readonly order: number;
  /** breaks ties */
  readonly sortName: string;
  readonly appliesTo: { readonly ingress: boolean; readonly egress: boolean };
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
  readonly namespace: string | undefined;
}

export function policyId(namespace: string | undefined, name: string): PolicyId {
  return namespace === undefined ? `gnp/${name}` : `np/${namespace}/${name}`;
}

/** Takes a policy resource apart. */
export function makePolicy(resource: GlobalNetworkPolicy | NetworkPolicy): Policy {
  const { spec } = resource;
  const namespace =
    resource.kind === 'NetworkPolicy' ? (resource.metadata.namespace ?? 'default') : undefined;
  const parts: SelectorNode[] = [];
  if (spec.selector !== undefined) parts.push(parsed(spec.selector).root);
  if (namespace !== undefined) parts.push({ op: '==', key: LABEL_NAMESPACE, value: namespace });
  if (resource.kind === 'GlobalNetworkPolicy' && resource.spec.namespaceSelector !== undefined) {
    parts.push(namespaceNode(resource.spec.namespaceSelector));
  }
  if (spec.serviceAccountSelector !== undefined) parts.push(serviceAccountNode(spec.serviceAccountSelector));
  const [first = { op: 'all' } as const] = parts;
  const types = effectiveTypes(spec);
  const { name } = resource.metadata;
  return {
    id: policyId(namespace, name),
    selector: makeSelector(parts.length > 1 ? { op: 'and', operands: parts } : first),
    tier: spec.tier ?? DEFAULT_TIER,
    order: spec.order ?? Number.POSITIVE_INFINITY,
    sortName: `${name}/${namespace ?? ''}/${resource.kind}`,
    appliesTo: { ingress: types.includes('Ingress'), egress: types.includes('Egress') },
    ingress: types.includes('Ingress') ? (spec.ingress ?? []) : [],
    egress: types.includes('Egress') ? (spec.egress ?? []) : [],
    namespace,
  };
}

/** Order of evaluation within a tier: by `order`, unset last, then by name, namespace and kind. */
export function comparePolicies(a: Policy, b: Policy): number {
  if (a.order !== b.order) return a.order < b.order ? -1 : 1;
  return a.sortName < b.sortName ? -1 : a.sortName > b.sortName ? 1 : 0;
}

export function profileId(name: string): PolicyId {
  return `profile/${name}`;
}

/** The rules of a profile; the built-in one allows everything. */
export interface ProfileRules {
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
}

const ALLOW_ALL: ProfileRules = { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] };

/** The rules of a profile by name, or undefined for one that does not exist. */
export function profileRules(name: string, profile: Profile | undefined): ProfileRules | undefined {
  if (name === DEFAULT_ALLOW_PROFILE) return ALLOW_ALL;
  return profile && { ingress: profile.spec.ingress ?? [], egress: profile.spec.egress ?? [] };
}
