/** Reads untyped data as a resource: picks the kind's schema and checks metadata and specification. */
import { bgpConfigurationSpec } from './bgp-configuration.ts';
import { bgpFilterSpec } from './bgp-filter.ts';
import { bgpPeerSpec } from './bgp-peer.ts';
import { blockAffinitySpec } from './block-affinity.ts';
import { globalNetworkPolicySpec } from './global-network-policy.ts';
import { ipPoolSpec } from './ip-pool.ts';
import { ipReservationSpec } from './ip-reservation.ts';
import { ipamConfigurationSpec } from './ipam-configuration.ts';
import { API_VERSION, isKind, KINDS, type Kind, kindByName, kindInfo, LATER_KINDS } from './kinds.ts';
import { metadata } from './metadata.ts';
import type { ResourceOf } from './metadata-types.ts';
import { networkPolicySpec } from './network-policy.ts';
import { NETWORK_SET_FORBIDDEN_LABELS, networkSetSpec } from './network-set.ts';
import { nodeSpec } from './node.ts';
import { profileSpec } from './profile.ts';
import { checkGlobalPolicyName, checkPolicyName } from './scalars.ts';
import {
  anything,
  isMap,
  object,
  optional,
  type Problem,
  Problems,
  required,
  type Schema,
  show,
  type TextCheck,
} from './schema.ts';
import type { Resource } from './types.ts';
import { workloadEndpointSpec } from './workload-endpoint.ts';

interface Rules {
  readonly checkName?: TextCheck;
  readonly forbiddenLabels?: readonly string[];
}

function resource<K extends Kind, S extends object>(
  kind: K,
  spec: Schema<S>,
  rules: Rules = {},
): Schema<ResourceOf<K, S>> {
  const constant = <const T extends string>(value: T): Schema<T> => ({ read: () => value });
  const whole = object<ResourceOf<K, S>>({
    apiVersion: required(constant(API_VERSION)),
    kind: required(constant(kind)),
    metadata: required(
      metadata({
        namespaced: kindInfo(kind).namespaced,
        checkName: rules.checkName,
        forbiddenLabels: rules.forbiddenLabels,
      }),
    ),
    spec: required(spec),
    status: optional(anything()),
  });
  return {
    read(input, path, problems) {
      const given = isMap(input) && (input['spec'] === undefined || input['spec'] === null);
      return whole.read(given ? { ...input, spec: {} } : input, path, problems);
    },
  };
}

const SCHEMAS: Readonly<Record<Kind, Schema<Resource>>> = {
  Node: resource('Node', nodeSpec),
  BGPConfiguration: resource('BGPConfiguration', bgpConfigurationSpec),
  BGPPeer: resource('BGPPeer', bgpPeerSpec),
  BGPFilter: resource('BGPFilter', bgpFilterSpec),
  IPPool: resource('IPPool', ipPoolSpec),
  IPReservation: resource('IPReservation', ipReservationSpec),
  IPAMConfiguration: resource('IPAMConfiguration', ipamConfigurationSpec),
  BlockAffinity: resource('BlockAffinity', blockAffinitySpec),
  WorkloadEndpoint: resource('WorkloadEndpoint', workloadEndpointSpec),
  GlobalNetworkPolicy: resource('GlobalNetworkPolicy', globalNetworkPolicySpec, {
    checkName: checkGlobalPolicyName,
  }),
  NetworkPolicy: resource('NetworkPolicy', networkPolicySpec, { checkName: checkPolicyName }),
  GlobalNetworkSet: resource('GlobalNetworkSet', networkSetSpec, {
    forbiddenLabels: NETWORK_SET_FORBIDDEN_LABELS,
  }),
  NetworkSet: resource('NetworkSet', networkSetSpec, { forbiddenLabels: NETWORK_SET_FORBIDDEN_LABELS }),
  Profile: resource('Profile', profileSpec),
};

/** The outcome of reading a resource: the resource, or at least one error. */
export type ReadResult =
  | { readonly ok: true; readonly resource: Resource }
  | { readonly ok: false; readonly errors: readonly Problem[] };

/**
 * Reads data from YAML or JSON as a resource. Everything that Calico itself would refuse is an error: unknown kinds and fields,
 * malformed values, contradictions. Valid fields that this version does not implement yet are no errors here; see `support.ts`.
 */
export function readResource(input: unknown): ReadResult {
  const problems = new Problems();
  const kind = readKind(input, problems);
  if (kind === undefined) return { ok: false, errors: problems.list };
  const value = SCHEMAS[kind].read(input, '', problems);
  return value === undefined || problems.count > 0
    ? { ok: false, errors: problems.list }
    : { ok: true, resource: value };
}

/** of `ocicat.dev/v1` (src/speak/static-routes.ts): what people who have such a file try here */
const SPEAKER_KIND = 'StaticRoutes';

function readKind(input: unknown, problems: Problems): Kind | undefined {
  if (!isMap(input)) {
    problems.add(
      '',
      `expected a resource (a map with apiVersion, kind, metadata and spec), found ${show(input)}`,
    );
    return undefined;
  }
  const { kind, apiVersion } = input;
  if (kind === SPEAKER_KIND) {
    problems.add(
      'kind',
      `${kind} stands in the file of a speaker alone, not among the agent's resources: see "ocicat bgp speak --config FILE --check"`,
    );
    return undefined;
  }
  if (apiVersion === undefined || apiVersion === null) {
    problems.add('apiVersion', `missing: expected ${API_VERSION}`);
  } else if (apiVersion === 'crd.projectcalico.org/v1') {
    problems.add(
      'apiVersion',
      `crd.projectcalico.org/v1 is Calico's internal storage form; write the resource as ${API_VERSION}`,
    );
  } else if (apiVersion !== API_VERSION) {
    problems.add('apiVersion', `${show(apiVersion)} is not known: expected ${API_VERSION}`);
  }
  if (kind === undefined || kind === null) {
    problems.add('kind', `missing: expected one of ${KINDS.join(', ')}`);
    return undefined;
  }
  if (typeof kind === 'string' && isKind(kind)) return problems.count > 0 ? undefined : kind;
  if (typeof kind === 'string' && LATER_KINDS.includes(kind)) {
    problems.add('kind', `${kind} is a kind of Calico that this version does not support yet`);
  } else {
    const close = typeof kind === 'string' ? kindByName(kind) : undefined;
    const hint = close === undefined ? `expected one of ${KINDS.join(', ')}` : `did you mean ${close}?`;
    problems.add('kind', `${show(kind)} is not a known kind; ${hint}`);
  }
  return undefined;
}
