/** GlobalNetworkPolicy: policy for endpoints of every namespace. */
import type { ResourceOf } from './metadata-types.ts';
import { type CommonPolicySpec, checkCommonPolicy, commonPolicyFields, flag } from './rule.ts';
import { checkNotGlobal, selector } from './scalars.ts';
import { object, optional } from './schema.ts';

export interface GlobalNetworkPolicySpec extends CommonPolicySpec {
  readonly doNotTrack?: boolean;
  readonly preDNAT?: boolean;
  readonly applyOnForward?: boolean;
  readonly namespaceSelector?: string;
}

export type GlobalNetworkPolicy = ResourceOf<'GlobalNetworkPolicy', GlobalNetworkPolicySpec>;

export const globalNetworkPolicySpec = object<GlobalNetworkPolicySpec>(
  {
    ...commonPolicyFields,
    doNotTrack: flag(),
    preDNAT: flag(),
    applyOnForward: flag(),
    namespaceSelector: optional(selector(checkNotGlobal)),
  },
  (value, path, problems) => {
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
      if (value.types?.includes('Egress'))
        problems.add(`${path}.types`, 'a preDNAT policy has no type Egress');
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
  },
);
