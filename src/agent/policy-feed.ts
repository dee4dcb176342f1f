/** From resources to the policy data plane: feeds the calculation graph and hands its changes on, once a turn. */
import type { EndpointPolicy } from '../../fib/rules/types.ts';
import type { PolicyGraph } from '../calc/policy-graph.ts';
import type { Selector } from '../calc/selector/ast.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import type { Resource } from '../model/types.ts';
import type { PolicyEnforcer } from './policy-enforcer.ts';

/** Owns the graph's input and remembers which policies each endpoint has. */
export class PolicyFeed {
  readonly #graph: PolicyGraph;
  readonly #enforcer: PolicyEnforcer;
  readonly #endpoints = new Map<string, EndpointPolicy>();
  #scheduled = false;

  constructor(graph: PolicyGraph, enforcer: PolicyEnforcer) {
    this.#graph = graph;
    this.#enforcer = enforcer;
  }

  /** A resource of the initial picture. */
  upsert(resource: Resource): void {
    this.#graph.upsert(resource);
  }

  /** The initial picture is complete. */
  markInSync(): void {
    this.#flush();
    this.#enforcer.markInSync();
  }

  /** A resource came, changed or went. */
  change(key: ResourceKey, resource: Resource | undefined): void {
    if (resource === undefined) this.#graph.remove(key);
    else this.#graph.upsert(resource);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Ids of the policies that select an endpoint, in order of evaluation, ingress before egress. */
  policiesOf(endpointId: string): string[] {
    const tiers = this.#endpoints.get(endpointId)?.tiers ?? [];
    return [...new Set(tiers.flatMap(({ ingress, egress }) => [...ingress, ...egress]))];
  }

  /** Endpoints and network sets that a selector matches now. */
  matching(selector: Selector): readonly ResourceKey[] {
    return this.#graph.matching(selector);
  }

  #flush(): void {
    const changes = this.#graph.flush();
    for (const change of changes) {
      if (change.kind === 'endpoint-upsert') this.#endpoints.set(change.id, change.endpoint);
      else if (change.kind === 'endpoint-remove') this.#endpoints.delete(change.id);
    }
    this.#enforcer.enqueue(changes);
  }
}
