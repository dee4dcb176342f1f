/**
 * Schemas of kinds that this version can check (`ocicat validate`) but does not carry out. When one is implemented, its row moves to
 * `kinds.ts` and `registry.ts`.
 */
import { calicoNodeStatusSpec } from './calico-node-status.ts';
import { clusterInformationSpec } from './cluster-information.ts';
import { hostEndpointSpec } from './host-endpoint.ts';
import { metadata } from './metadata.ts';
import { checkGlobalPolicyName, checkPolicyName, checkTierName } from './scalars.ts';
import type { Problem } from './schema.ts';
import {
  anything,
  isMap,
  object,
  optional,
  Problems,
  required,
  type Schema,
  type TextCheck,
} from './schema.ts';
import { stagedGlobalNetworkPolicySpec, stagedNetworkPolicySpec } from './staged-policy.ts';
import { checkBuiltInTier, tierSpec } from './tier.ts';

interface LaterKind {
  readonly spec: Schema<object>;
  readonly namespaced?: true;
  readonly checkName?: TextCheck;
}

const LATER: ReadonlyMap<string, LaterKind> = new Map<string, LaterKind>([
  ['HostEndpoint', { spec: hostEndpointSpec }],
  ['Tier', { spec: tierSpec, checkName: checkTierName }],
  ['ClusterInformation', { spec: clusterInformationSpec }],
  ['CalicoNodeStatus', { spec: calicoNodeStatusSpec }],
  ['StagedGlobalNetworkPolicy', { spec: stagedGlobalNetworkPolicySpec, checkName: checkGlobalPolicyName }],
  ['StagedNetworkPolicy', { spec: stagedNetworkPolicySpec, namespaced: true, checkName: checkPolicyName }],
]);

/**
 * Checks a resource of a later kind by Calico's rules. Returns its problems (none: Calico would take it), or undefined when this
 * version knows no more than the kind's name.
 */
export function checkLaterKind(kind: string, input: unknown): readonly Problem[] | undefined {
  const later = LATER.get(kind);
  if (later === undefined || !isMap(input)) return undefined;
  const problems = new Problems();
  const whole = object<{
    apiVersion: unknown;
    kind: unknown;
    metadata: { name: string };
    spec: object;
    status?: unknown;
  }>({
    apiVersion: required(anything()),
    kind: required(anything()),
    metadata: required(metadata({ namespaced: later.namespaced === true, checkName: later.checkName })),
    spec: required(later.spec),
    status: optional(anything()),
  });
  const value = whole.read({ ...input, spec: input['spec'] ?? {} }, '', problems);
  if (value !== undefined && kind === 'Tier') checkBuiltInTier(value.metadata.name, value.spec, problems);
  return problems.list;
}
