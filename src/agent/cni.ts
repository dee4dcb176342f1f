/** The CNI service over the agent's parts: what counts as ready, as limited, and where the plugin leaves DELs. */
import { dirname, join } from 'node:path';
import { CniService } from '../cni/service.ts';
import type { Agent } from './agent.ts';

/** Makes the service of an agent; it works off queued DELs once it is started. */
export function makeCniService(agent: Agent): CniService {
  return new CniService({
    log: agent.log.child({ component: 'cni' }),
    endpoints: agent.endpoints,
    pools: () => agent.cache.list('IPPool'),
    unavailable: () => {
      if (!agent.isReady) {
        return `the agent is not ready yet${agent.startError === undefined ? '' : `: ${agent.startError}`}`;
      }
      const store = agent.store.availability();
      if (store.state === 'unavailable') return `the store cannot be written: ${store.reason}`;
      return agent.store.lockReason();
    },
    refusesAdd: () =>
      agent.ipam.availableFamilies().length > 0
        ? undefined
        : 'no address can be given: there is no IPPool for this node',
    limited: () => {
      const [failure] = agent.policy.status().failures;
      return failure === undefined
        ? undefined
        : `policy is not in the kernel as desired (${failure.subject}: ${failure.reason})`;
    },
    queueFolder: join(dirname(agent.config.store.path), 'cni-queue'),
  });
}
