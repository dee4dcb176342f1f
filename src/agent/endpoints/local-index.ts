/** The endpoints of this node by their id, kept from the resources' changes, so that no call looks through all of them. */
import type { WorkloadEndpoint } from '../../model/workload-endpoint.ts';
import { type LocalEndpoint, localEndpoint } from './resource.ts';

/** A resource with what the kernel side needs of it. */
export interface IndexedEndpoint {
  readonly resource: WorkloadEndpoint;
  readonly local: LocalEndpoint;
}

/** Owns the index. */
export class LocalIndex {
  readonly #node: string;
  /** by id, then by namespace and name: two resources may claim one id */
  readonly #byId = new Map<string, Map<string, IndexedEndpoint>>();

  constructor(node: string) {
    this.#node = node;
  }

  /** A resource came, changed or went. Returns what it is of this node now, and was before. */
  change(
    resource: WorkloadEndpoint | undefined,
    previous: WorkloadEndpoint | undefined,
  ): { readonly now: LocalEndpoint | undefined; readonly before: LocalEndpoint | undefined } {
    const before = previous && localEndpoint(previous, this.#node);
    if (previous !== undefined && before !== undefined) {
      const others = this.#byId.get(before.id);
      others?.delete(keyOf(previous));
      if (others?.size === 0) this.#byId.delete(before.id);
    }
    const now = resource && localEndpoint(resource, this.#node);
    if (resource !== undefined && now !== undefined) {
      const same = this.#byId.get(now.id) ?? new Map<string, IndexedEndpoint>();
      this.#byId.set(now.id, same);
      same.set(keyOf(resource), { resource, local: now });
    }
    return { now, before };
  }

  /** All of this node, ordered by namespace and name of their resources. */
  all(): IndexedEndpoint[] {
    return [...this.#byId.values()]
      .flatMap((same) => [...same])
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, indexed]) => indexed);
  }

  /** All resources that claim an id: one, or none, but for a person's mistake. */
  withId(id: string): readonly IndexedEndpoint[] {
    return [...(this.#byId.get(id)?.values() ?? [])];
  }
}

function keyOf({ metadata }: WorkloadEndpoint): string {
  return `${metadata.namespace ?? 'default'}/${metadata.name}`;
}
