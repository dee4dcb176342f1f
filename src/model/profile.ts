/** Profile: rules and labels that endpoints take over by naming it; its rules run after all policies. */
import type { ResourceOf, StringMap } from './metadata-types.ts';
import { MAX_RULES, type Rule, rule } from './rule.ts';
import { labels } from './scalars.ts';
import { list, object, optional } from './schema.ts';

export interface ProfileSpec {
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
  /** inherited by endpoints that name the profile; the endpoint's own labels win */
  readonly labelsToApply?: StringMap;
}

export type Profile = ResourceOf<'Profile', ProfileSpec>;

export const profileSpec = object<ProfileSpec>({
  ingress: optional(list(rule, MAX_RULES)),
  egress: optional(list(rule, MAX_RULES)),
  labelsToApply: optional(labels()),
});

/** The built-in profile that allows everything. It cannot be changed. */
export const DEFAULT_ALLOW_PROFILE = 'projectcalico-default-allow';
