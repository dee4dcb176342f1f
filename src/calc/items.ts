/**
 * What selectors match: endpoints and network sets, with the labels that they carry for selectors (their own, Calico's special ones
 * and those inherited from profiles) and what they put into address sets.
 */

import type { ResourceKey, StringMap } from '../model/metadata-types.ts';
import type { GlobalNetworkSet, NetworkSet } from '../model/network-set.ts';
import { parseCidrOrAddress, protocolNumber } from '../model/scalars.ts';
import { keyOf } from '../model/types.ts';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { formatPrefix, prefixOf } from '../net/prefix.ts';

export const LABEL_NAMESPACE = 'projectcalico.org/namespace';
export const LABEL_ORCHESTRATOR = 'projectcalico.org/orchestrator';
export const LABEL_SERVICE_ACCOUNT = 'projectcalico.org/serviceaccount';

/** Labels of an endpoint's namespace stand under this prefix; only namespaces give them. */
export const NAMESPACE_PREFIX = 'pcns.';
/** As `NAMESPACE_PREFIX`, for service accounts. */
export const SERVICE_ACCOUNT_PREFIX = 'pcsa.';

/** The profile whose labelsToApply every endpoint and network set of a namespace inherits. */
export function namespaceProfile(namespace: string): string {
  return `kns.${namespace}`;
}

/** A named port of an endpoint. */
export interface NamedPort {
  readonly name: string;
  /** IANA number */
  readonly protocol: number;
  readonly port: number;
}

/** An endpoint or network set as selectors and sets see it. */
export interface Item {
  readonly id: string;
  readonly key: ResourceKey;
  readonly labels: ReadonlyMap<string, string>;
  /** names of profiles whose labels are inherited, the first having the last word; own labels win */
  readonly parents: readonly string[];
  /** CIDRs in canonical text, without duplicates */
  readonly nets: readonly string[];
  readonly ports: readonly NamedPort[];
}

/** Canonical CIDRs without duplicates; host bits are cleared, what is malformed is left out. */
export function canonicalNets(nets: readonly string[]): readonly string[] {
  const out = new Set<string>();
  for (const net of nets) {
    const parsed = parseCidrOrAddress(net);
    if (parsed !== undefined) out.add(formatPrefix(prefixOf(parsed.address, parsed.length)));
  }
  return [...out];
}

function namespaceLabels(namespace: string): [string, string][] {
  return [
    [LABEL_NAMESPACE, namespace],
    // Calico's namespaces carry their own name as a label, so that policies can name them.
    [`${NAMESPACE_PREFIX}projectcalico.org/name`, namespace],
  ];
}

function ownLabels(labels: StringMap | undefined): [string, string][] {
  // An endpoint must not be able to claim labels of a namespace or service account by itself.
  return Object.entries(labels ?? {}).filter(
    ([key]) => !key.startsWith(NAMESPACE_PREFIX) && !key.startsWith(SERVICE_ACCOUNT_PREFIX),
  );
}

/** Id of a workload endpoint in the graph's output. */
export function endpointId(namespace: string, name: string): string {
  return `wep/${namespace}/${name}`;
}

/** A workload endpoint as an item. */
export function endpointItem(endpoint: WorkloadEndpoint): Item {
  const namespace = endpoint.metadata.namespace ?? 'default';
  const { spec } = endpoint;
  const account = spec.serviceAccountName;
  return {
    id: endpointId(namespace, endpoint.metadata.name),
    key: keyOf(endpoint),
    labels: new Map([
      ...ownLabels(endpoint.metadata.labels),
      ...namespaceLabels(namespace),
      ...(spec.orchestrator === undefined ? [] : [[LABEL_ORCHESTRATOR, spec.orchestrator] as const]),
      ...(account === undefined
        ? []
        : ([
            [LABEL_SERVICE_ACCOUNT, account],
            [`${SERVICE_ACCOUNT_PREFIX}projectcalico.org/name`, account],
          ] as const)),
    ]),
    parents: [
      ...(spec.profiles ?? []),
      namespaceProfile(namespace),
      ...(account === undefined ? [] : [`ksa.${namespace}.${account}`]),
    ],
    nets: canonicalNets(spec.ipNetworks ?? []),
    ports: (spec.ports ?? []).flatMap((port) =>
      port.name === undefined
        ? []
        : [{ name: port.name, protocol: protocolNumber(port.protocol), port: port.port }],
    ),
  };
}

/** Id of a network set. */
export function networkSetId(namespace: string | undefined, name: string): string {
  return namespace === undefined ? `gns/${name}` : `ns/${namespace}/${name}`;
}

/** A network set as an item. A GlobalNetworkSet is in no namespace, so `global()` finds it. */
export function networkSetItem(set: NetworkSet | GlobalNetworkSet): Item {
  const namespace = set.kind === 'NetworkSet' ? (set.metadata.namespace ?? 'default') : undefined;
  return {
    id: networkSetId(namespace, set.metadata.name),
    key: keyOf(set),
    labels: new Map([
      ...Object.entries(set.metadata.labels ?? {}),
      ...(namespace === undefined ? [] : namespaceLabels(namespace)),
    ]),
    parents: namespace === undefined ? [] : [namespaceProfile(namespace)],
    nets: canonicalNets(set.spec.nets ?? []),
    ports: [],
  };
}

/** Labels of an item after inheritance: its own, then those of its parents in order. */
export function effectiveLabels(
  item: Item,
  labelsOfProfile: (name: string) => StringMap | undefined,
): ReadonlyMap<string, string> {
  const labels = new Map(item.labels);
  for (const parent of item.parents) {
    for (const [key, value] of Object.entries(labelsOfProfile(parent) ?? {})) {
      if (!labels.has(key)) labels.set(key, value);
    }
  }
  return labels;
}
