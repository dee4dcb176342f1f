/**
 * Calico's keys in etcd (etcdv3 layout): resources below `/calico/resources/v3/projectcalico.org/`, IPAM below `/calico/ipam/v2/`.
 * Both lie in one range of keys, so that one list and one watch see them in one order.
 */
import { KINDS, type Kind, kindInfo } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { NotStorable } from '../errors.ts';
import {
  affinityKey,
  affinityParts,
  blockKey,
  CONFIG_KEY,
  familyOfCidr,
  handleKey,
  type IpamKey,
} from '../ipam-documents.ts';

/** Where resources begin. */
export const RESOURCE_PREFIX = '/calico/resources/v3/projectcalico.org/';
/** Where IPAM begins. */
export const IPAM_PREFIX = '/calico/ipam/v2/';
/** The half-open range of keys that holds both. */
export const WATCHED_RANGE = {
  first: IPAM_PREFIX,
  end: `${RESOURCE_PREFIX.slice(0, -1)}0`,
} as const;
/** The only key of ClusterInformation. */
export const CLUSTER_INFORMATION_KEY = `${RESOURCE_PREFIX}clusterinformations/default`;
/** Read by the guard: any key of the range would do. */
export const IPAM_CONFIG_KEY = `${IPAM_PREFIX}config`;

const KIND_BY_PLURAL: ReadonlyMap<string, Kind> = new Map(KINDS.map((kind) => [kindInfo(kind).plural, kind]));

/** The etcd key of a resource. Throws `NotStorable` when the name cannot be part of a key. */
export function resourceKey(key: ResourceKey): string {
  const { kind, namespace, name } = key;
  for (const part of [name, namespace ?? 'default']) {
    if (part === '' || part.includes('/')) throw new NotStorable(`"${part}" cannot be the name of a ${kind}`);
  }
  const within = namespace === undefined ? name : `${namespace}/${name}`;
  return `${RESOURCE_PREFIX}${kindInfo(kind).plural}/${within}`;
}

/** What a key below `RESOURCE_PREFIX` stands for. */
export type ResourceLocation =
  | { readonly type: 'resource'; readonly key: ResourceKey }
  /** a kind that this version does not implement, by Calico's plural */
  | { readonly type: 'other-kind'; readonly plural: string; readonly name: string };

/** Reads a key below `RESOURCE_PREFIX`. */
export function parseResourceKey(etcdKey: string): ResourceLocation {
  const [plural = '', first = '', ...rest] = etcdKey.slice(RESOURCE_PREFIX.length).split('/');
  const kind = KIND_BY_PLURAL.get(plural);
  const [second] = rest;
  if (kind !== undefined && first !== '') {
    if (!kindInfo(kind).namespaced && rest.length === 0) {
      return { type: 'resource', key: { kind, name: first } };
    }
    if (kindInfo(kind).namespaced && rest.length === 1 && second !== undefined && second !== '') {
      return { type: 'resource', key: { kind, namespace: first, name: second } };
    }
  }
  return { type: 'other-kind', plural, name: [first, ...rest].join('/') };
}

/** The etcd key of an IPAM document. Throws `NotStorable` when a part cannot be part of a key. */
export function ipamKey(key: IpamKey): string {
  switch (key.kind) {
    case 'block':
      return `${IPAM_PREFIX}assignment/${familyOfCidr(key.name)}/block/${key.name.replace('/', '-')}`;
    case 'affinity': {
      const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
      if (host === '') throw new NotStorable('an affinity needs the name of a host');
      return `${IPAM_PREFIX}host/${host}/${familyOfCidr(cidr)}/block/${cidr.replace('/', '-')}`;
    }
    case 'handle':
      if (key.name === '' || key.name.includes('/')) {
        throw new NotStorable(`"${key.name}" cannot be a handle: it must be some text without a slash`);
      }
      return `${IPAM_PREFIX}handle/${key.name}`;
    case 'config':
      return IPAM_CONFIG_KEY;
  }
}

/** Reads a key below `IPAM_PREFIX`; undefined for what this version does not know. */
export function parseIpamKey(etcdKey: string): IpamKey | undefined {
  const parts = etcdKey.slice(IPAM_PREFIX.length).split('/');
  const [what, a = '', b = '', c = '', d = ''] = parts;
  if (what === 'config' && parts.length === 1) return CONFIG_KEY;
  if (what === 'handle' && parts.length === 2 && a !== '') return handleKey(a);
  if (what === 'assignment' && parts.length === 4 && b === 'block') return blockKey(c.replace('-', '/'));
  if (what === 'host' && parts.length === 5 && c === 'block' && a !== '' && b !== '') {
    return affinityKey(a, d.replace('-', '/'));
  }
  return undefined;
}
