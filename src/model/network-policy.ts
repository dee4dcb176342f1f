/** NetworkPolicy: policy for the endpoints of its own namespace. */
import type { ResourceOf } from './metadata-types.ts';
import { type CommonPolicySpec, checkCommonPolicy, commonPolicyFields } from './rule.ts';
import { object } from './schema.ts';

export type NetworkPolicySpec = CommonPolicySpec;

export type NetworkPolicy = ResourceOf<'NetworkPolicy', NetworkPolicySpec>;

export const networkPolicySpec = object<NetworkPolicySpec>(commonPolicyFields, checkCommonPolicy);
