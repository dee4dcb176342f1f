/** WorkloadEndpoints in the store: written and deleted by us while others may do the same. */
import { keyOf } from '../../model/types.ts';
import type { WorkloadEndpoint } from '../../model/workload-endpoint.ts';
import { AlreadyExists, NotFound, RevisionConflict } from '../../store/errors.ts';
import type { Store } from '../../store/types.ts';

const MAX_ATTEMPTS = 10;

/**
 * Creates or updates an endpoint. `renew`: makes the resource from the present one, so that what a person just wrote into it is not lost.
 * Returns what was written. Rejects with the store's error, after `MAX_ATTEMPTS` writes that lost a race.
 */
export async function writeEndpoint(
  store: Store,
  first: WorkloadEndpoint,
  renew: (current: WorkloadEndpoint | undefined) => WorkloadEndpoint = () => first,
): Promise<WorkloadEndpoint> {
  const key = keyOf(first);
  for (let attempt = 1; ; attempt++) {
    try {
      const current = await store.get(key);
      const present = current?.resource.kind === 'WorkloadEndpoint' ? current.resource : undefined;
      const resource = renew(present);
      if (current === undefined) await store.create(resource);
      else await store.update(resource, current.revision);
      return resource;
    } catch (error) {
      const raced =
        error instanceof RevisionConflict || error instanceof AlreadyExists || error instanceof NotFound;
      if (!raced || attempt >= MAX_ATTEMPTS) throw error;
    }
  }
}

/** That it is gone already is as well. */
export async function deleteEndpoint(store: Store, resource: WorkloadEndpoint): Promise<void> {
  try {
    await store.delete(keyOf(resource));
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
  }
}
