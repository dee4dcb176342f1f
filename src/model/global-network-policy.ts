/** GlobalNetworkPolicy: policy for endpoints of every namespace. */
import type { ResourceOf } from './metadata-types.ts';
import { type CommonPolicySpec, checkCommonPolicy, commonPolicyFields, flag } from './rule.ts';
import { checkNotGlobal, selector } from './scalars.ts';
import { type Fields, object, optional, type Problems } from './schema.ts';

export interface GlobalNetworkPolicySpec extends CommonPolicySpec {
  readonly doNotTrack?: boolean;
  readonly preDNAT?: boolean;
  readonly applyOnForward?: boolean;
  readonly namespaceSelector?: string;
}

export type GlobalNetworkPolicy = ResourceOf<'GlobalNetworkPolicy', GlobalNetworkPolicySpec>;

/** The fields of the specification, also for its staged twin. */
export const globalPolicyFields: Fields<GlobalNetworkPolicySpec> = {
  ...commonPolicyFields,
  doNotTrack: flag(),
  preDNAT: flag(),
  applyOnForward: flag(),
  namespaceSelector: optional(selector(checkNotGlobal)),
};

/** Checks over the whole specification. */
export function checkGlobalPolicy(value: GlobalNetworkPolicySpec, path: string, problems: Problems): void {
  checkCommonPolicy(value, path, problems);
  if (value.doNotTrack === true && value.preDNAT === true) {
    problems.add(`${path}.preDNAT`, 'preDNAT and doNotTrack cannot both be true');
  }
  if ((value.doNotTrack === true || value.preDNAT === true) && value.applyOnForward !== true) {
    problems.add(`${path}.applyOnForward`, 'must be true when preDNAT or doNotTrack is true');
  }
  if (value.preDNAT === true) {
    if ((value.egress ?? []).length > 0)
      problems.add(`${path}.egress`, 'a preDNAT policy has no egress rules');
    if (value.types?.includes('Egress')) problems.add(`${path}.types`, 'a preDNAT policy has no type Egress');
  }
  for (const [direction, side] of [
    ['ingress', 'source'],
    ['egress', 'destination'],
  ] as const) {
    for (const [index, rule] of (value[direction] ?? []).entries()) {
      const services = rule[side]?.services;
      if (services !== undefined && services.namespace === undefined) {
        problems.add(
          `${path}.${direction}[${index}].${side}.services.namespace`,
          'must be given in a policy that is not in a namespace',
        );
      }
    }
  }
}

export const globalNetworkPolicySpec = object<GlobalNetworkPolicySpec>(globalPolicyFields, checkGlobalPolicy);
