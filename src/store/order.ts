/** The order in which stores list resources. */
import type { Kind } from '../model/kinds.ts';
import { formatKey, type Resource, type ResourceOfKind } from '../model/types.ts';
import type { Stored } from './types.ts';

/** The resources of a kind among those given, by namespace and name. */
export function listOfKind<K extends Kind>(
  kind: K,
  given: Iterable<Stored>,
): readonly Stored<ResourceOfKind<K>>[] {
  const found: Stored<ResourceOfKind<K>>[] = [];
  for (const { resource, revision } of given)
    if (isOfKind(kind, resource)) found.push({ resource, revision });
  return found.sort((a, b) => compareText(sortKey(a.resource), sortKey(b.resource)));
}

function isOfKind<K extends Kind>(kind: K, resource: Resource): resource is ResourceOfKind<K> {
  return resource.kind === kind;
}

function sortKey({ kind, metadata: { name, namespace } }: Resource): string {
  return formatKey({ kind, name, namespace: namespace ?? '' });
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
