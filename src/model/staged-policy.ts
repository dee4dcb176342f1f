/** Staged policies: policies that are looked at but not enforced. Read and checked; this version does nothing with them. */
import {
  checkGlobalPolicy,
  type GlobalNetworkPolicySpec,
  globalPolicyFields,
} from './global-network-policy.ts';
import { type CommonPolicySpec, checkCommonPolicy, commonPolicyFields } from './rule.ts';
import { object, oneOf, optional, type Problems } from './schema.ts';

export type StagedAction = 'Set' | 'Delete' | 'Learn' | 'Ignore';

interface Staged {
  readonly stagedAction?: StagedAction;
}

const stagedAction = optional(oneOf('Set', 'Delete', 'Learn', 'Ignore'));

/** A policy staged for deletion says nothing else but its tier. */
function checkStaged(value: Staged, path: string, problems: Problems): void {
  if (value.stagedAction !== 'Delete') return;
  for (const [field, given] of Object.entries(value)) {
    const nothing = given === undefined || given === false || (Array.isArray(given) && given.length === 0);
    if (field === 'stagedAction' || field === 'tier' || nothing) continue;
    problems.add(`${path}.${field}`, 'must not be given when stagedAction is Delete');
  }
}

export const stagedNetworkPolicySpec = object<CommonPolicySpec & Staged>(
  { ...commonPolicyFields, stagedAction },
  (value, path, problems) => {
    checkStaged(value, path, problems);
    checkCommonPolicy(value, path, problems);
  },
);

export const stagedGlobalNetworkPolicySpec = object<GlobalNetworkPolicySpec & Staged>(
  { ...globalPolicyFields, stagedAction },
  (value, path, problems) => {
    checkStaged(value, path, problems);
    checkGlobalPolicy(value, path, problems);
  },
);
