/** The contents of a store on their way to another: Calico's keys and JSON in etcd, which every other form is translated to and from. */
import type { ResourceKey } from '../../model/metadata-types.ts';
import type { Resource } from '../../model/types.ts';
import { IPAM_PREFIX, parseIpamKey, parseResourceKey, RESOURCE_PREFIX } from '../etcd/keys.ts';
import { decodeResource } from '../etcd/resource-json.ts';
import { type IpamKey, parseIpamDocument, parseIpamJson } from '../ipam-documents.ts';

/** One key with its JSON. */
export interface Entry {
  readonly key: string;
  readonly text: string;
}

/** What an entry is, once looked at. */
export type EntryMeaning =
  | { readonly type: 'resource'; readonly key: ResourceKey; readonly resource: Resource }
  | { readonly type: 'ipam'; readonly key: IpamKey; readonly value: unknown }
  /** of Calico, but not of this version */
  | { readonly type: 'other'; readonly what: string }
  | { readonly type: 'invalid'; readonly reasons: readonly string[] };

/** Looks into an entry. Never throws. */
export function meaningOf({ key, text }: Entry): EntryMeaning {
  if (key.startsWith(IPAM_PREFIX)) return ipamMeaning(key, text);
  if (!key.startsWith(RESOURCE_PREFIX)) return { type: 'other', what: key };
  const location = parseResourceKey(key);
  if (location.type === 'other-kind') return { type: 'other', what: `${location.plural} ${location.name}` };
  const decoded = decodeResource(location.key, text);
  return decoded.ok
    ? { type: 'resource', key: location.key, resource: decoded.resource }
    : { type: 'invalid', reasons: decoded.reasons };
}

/** A group of entries for a summary: the plural of a kind, or `IPAM blocks` and so on. */
export function groupOf(key: string): string {
  if (key.startsWith(IPAM_PREFIX)) {
    const ipam = parseIpamKey(key);
    if (ipam === undefined) return 'IPAM, other';
    return {
      block: 'IPAM blocks',
      affinity: 'IPAM affinities',
      handle: 'IPAM handles',
      config: 'IPAM configuration',
    }[ipam.kind];
  }
  return key.slice(RESOURCE_PREFIX.length).split('/')[0] ?? key;
}

/** Whether two texts say the same, apart from what stores add by themselves. */
export function sameContent(a: Entry, b: Entry): boolean {
  if (a.text === b.text) return true;
  return comparable(a) === comparable(b);
}

/** The plural of a kind of Calico's that this version does not implement. */
export function pluralOf(kind: string): string | undefined {
  return OTHER_PLURALS[kind];
}

const OTHER_PLURALS: Readonly<Record<string, string>> = {
  HostEndpoint: 'hostendpoints',
  Tier: 'tiers',
  FelixConfiguration: 'felixconfigurations',
  ClusterInformation: 'clusterinformations',
  CalicoNodeStatus: 'caliconodestatuses',
  KubeControllersConfiguration: 'kubecontrollersconfigurations',
  StagedGlobalNetworkPolicy: 'stagedglobalnetworkpolicies',
  StagedNetworkPolicy: 'stagednetworkpolicies',
  StagedKubernetesNetworkPolicy: 'stagedkubernetesnetworkpolicies',
};

function ipamMeaning(key: string, text: string): EntryMeaning {
  const ipam = parseIpamKey(key);
  if (ipam === undefined) return { type: 'other', what: key };
  let json: unknown;
  try {
    json = parseIpamJson(text);
  } catch (error) {
    return { type: 'invalid', reasons: [error instanceof Error ? error.message : String(error)] };
  }
  const parsed = parseIpamDocument(ipam.kind, json);
  return parsed.ok
    ? { type: 'ipam', key: ipam, value: parsed.value }
    : { type: 'invalid', reasons: [parsed.reason] };
}

// Key order and server-set metadata are no content.
function comparable({ text }: Entry): string {
  let value: unknown;
  try {
    value = parseIpamJson(text);
  } catch {
    return text;
  }
  return JSON.stringify(value, (key, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    if (key === 'uid' || key === 'creationTimestamp' || key === 'resourceVersion') return undefined;
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
