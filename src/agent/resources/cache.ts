/**
 * All resources in force, in memory, fed by the store's watch. Listeners are told of each change after the initial snapshot is complete;
 * before that they see nothing, so that nobody acts on half a picture.
 */
import type { Kind } from '../../model/kinds.ts';
import { KINDS } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { formatKey, type Resource, type ResourceOfKind } from '../../model/types.ts';
import type { Store, StoreEvent, StoreProblem, Subscription } from '../../store/types.ts';

/** A resource came, changed (`resource`) or went (undefined). */
export interface ResourceChange {
  readonly key: ResourceKey;
  readonly resource: Resource | undefined;
  readonly previous: Resource | undefined;
}

export type ResourceListener = (change: ResourceChange) => void;

/** The cache. Open until `close`. */
export class ResourceCache {
  readonly #byKind = new Map<Kind, Map<string, Resource>>(KINDS.map((kind) => [kind, new Map()]));
  readonly #listeners: ResourceListener[] = [];
  readonly #problems = new Map<string, StoreProblem>();
  readonly #subscription: Subscription;
  /** resolves when the initial snapshot is complete */
  readonly inSync: Promise<void>;
  #isInSync = false;
  #markInSync: () => void = () => {};

  constructor(store: Store) {
    this.inSync = new Promise((resolve) => {
      this.#markInSync = resolve;
    });
    this.#subscription = store.watch((event) => this.#onEvent(event));
  }

  get isInSync(): boolean {
    return this.#isInSync;
  }

  /** Resources of a kind, ordered by key. */
  list<K extends Kind>(kind: K): ResourceOfKind<K>[] {
    return [...(this.#byKind.get(kind) ?? new Map<string, Resource>())]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, resource]) => (isOfKind(resource, kind) ? [resource] : []));
  }

  get<K extends Kind>(kind: K, name: string, namespace?: string): ResourceOfKind<K> | undefined {
    const key = formatKey(namespace === undefined ? { kind, name } : { kind, name, namespace });
    const resource = this.#byKind.get(kind)?.get(key);
    return resource !== undefined && isOfKind(resource, kind) ? resource : undefined;
  }

  /** What is stored but not in force. */
  problems(): StoreProblem[] {
    return [...this.#problems.values()];
  }

  /** Called for every change after the snapshot; an earlier subscriber is called first. */
  onChange(listener: ResourceListener): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#subscription.close();
  }

  #onEvent(event: StoreEvent): void {
    switch (event.type) {
      case 'upsert':
        this.#set(event.key, event.resource);
        break;
      case 'delete':
        this.#set(event.key, undefined);
        break;
      case 'in-sync':
        this.#isInSync = true;
        this.#markInSync();
        break;
      case 'problem':
        this.#problems.set(event.problem.location, event.problem);
        break;
      case 'problem-solved':
        this.#problems.delete(event.location);
        break;
      case 'availability':
        break;
    }
  }

  #set(key: ResourceKey, resource: Resource | undefined): void {
    const resources = this.#byKind.get(key.kind);
    if (resources === undefined) return;
    const id = formatKey(key);
    const previous = resources.get(id);
    if (resource === undefined) resources.delete(id);
    else resources.set(id, resource);
    if (this.#isInSync) for (const listener of this.#listeners) listener({ key, resource, previous });
  }
}

/** Whether a resource is of a kind. */
export function isOfKind<K extends Kind>(resource: Resource, kind: K): resource is ResourceOfKind<K> {
  return resource.kind === kind;
}
