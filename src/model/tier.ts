/** Tier: a stage of policies with its own place in the order. Read and checked; only the tier `default` is in force. */
import { number, object, optional, type Problems, strictlyOneOf } from './schema.ts';

export interface TierSpec {
  /** lower is evaluated first; absent is last */
  readonly order?: number;
  /** what becomes of a packet that a policy of the tier selected but did not decide; Deny when absent */
  readonly defaultAction?: 'Deny' | 'Pass';
}

export const tierSpec = object<TierSpec>({
  order: optional(number()),
  defaultAction: optional(strictlyOneOf('Deny', 'Pass')),
});

/** Order and default action of the tiers that Calico makes itself; they cannot be given others. */
export const BUILT_IN_TIERS: Readonly<Record<string, Required<TierSpec>>> = {
  default: { order: 1_000_000, defaultAction: 'Deny' },
  'kube-admin': { order: 1000, defaultAction: 'Pass' },
  'kube-baseline': { order: 10_000_000, defaultAction: 'Pass' },
};

/** Reports what a tier of a built-in name has otherwise than it must. */
export function checkBuiltInTier(name: string, spec: TierSpec, problems: Problems): void {
  if (!Object.hasOwn(BUILT_IN_TIERS, name)) return;
  const wanted = BUILT_IN_TIERS[name];
  if (wanted === undefined) return;
  if (spec.order !== wanted.order) problems.add('spec.order', `tier ${name} must have order ${wanted.order}`);
  if ((spec.defaultAction ?? 'Deny') !== wanted.defaultAction) {
    problems.add('spec.defaultAction', `tier ${name} must have default action ${wanted.defaultAction}`);
  }
}
