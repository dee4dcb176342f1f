/** The resources in force with others in place of them: what will be when those are applied. */
import type { Kind } from '../../model/kinds.ts';
import { formatKey, keyOf, type Resource, type ResourceOfKind } from '../../model/types.ts';
import { isOfKind, type ResourceCache } from './cache.ts';

/** Where resources are read from. */
export type ResourceSource = Pick<ResourceCache, 'list' | 'get'>;

/** `above` hides resources of the same key in `below`; both stay as they are. */
export function overlay(below: ResourceSource, above: readonly Resource[]): ResourceSource {
  const hidden = new Set(above.map((resource) => formatKey(keyOf(resource))));
  const list = <K extends Kind>(kind: K): ResourceOfKind<K>[] => [
    ...below.list(kind).filter((resource: Resource) => !hidden.has(formatKey(keyOf(resource)))),
    ...above.flatMap((resource) => (isOfKind(resource, kind) ? [resource] : [])),
  ];
  return {
    list,
    get: (kind, name, namespace) => {
      const key = formatKey(namespace === undefined ? { kind, name } : { kind, name, namespace });
      if (!hidden.has(key)) return below.get(kind, name, namespace);
      return list(kind).find((resource: Resource) => formatKey(keyOf(resource)) === key);
    },
  };
}
