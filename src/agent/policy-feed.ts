/** From resources to the policy data plane: feeds the calculation graphs and hands their changes on, once a turn. */
import type { EndpointPolicy } from '../../fib/rules/types.ts';
import type { NatGraph, NatProblem } from '../calc/nat-graph.ts';
import type { PolicyGraph } from '../calc/policy-graph.ts';
import type { Selector } from '../calc/selector/ast.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import type { Resource } from '../model/types.ts';
import type { WorkloadPort } from '../model/workload-endpoint.ts';
import type { PolicyEnforcer } from './policy-enforcer.ts';

/** Owns the graphs' input and remembers which policies each endpoint has. */
export class PolicyFeed {
  readonly #graph: PolicyGraph;
  readonly #nat: NatGraph;
  readonly #enforcer: PolicyEnforcer;
  readonly #onTranslates: () => void;
  #translates = false;
  readonly #endpoints = new Map<string, EndpointPolicy>();
  #scheduled = false;

  /** `onTranslates`: address translation is needed from now on, or no more */
  constructor(graph: PolicyGraph, nat: NatGraph, enforcer: PolicyEnforcer, onTranslates: () => void) {
    this.#graph = graph;
    this.#nat = nat;
    this.#enforcer = enforcer;
    this.#onTranslates = onTranslates;
  }

  /** A resource of the initial picture. */
  upsert(resource: Resource): void {
    this.#graph.upsert(resource);
    this.#nat.upsert(resource);
  }

  /** The initial picture is complete. */
  markInSync(): void {
    this.#flush();
    this.#enforcer.markInSync();
  }

  /** A resource came, changed or went. */
  change(key: ResourceKey, resource: Resource | undefined): void {
    if (resource !== undefined) {
      this.upsert(resource);
    } else {
      this.#graph.remove(key);
      this.#nat.remove(key);
    }
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

  /** Why a container (by `containerName`) cannot publish these ports; undefined if it can. */
  portConflict(container: string, ports: readonly WorkloadPort[]): string | undefined {
    return this.#nat.conflict(container, ports);
  }

  /** Published ports that are not in force, of all endpoints or of one. */
  natProblems(endpointId?: string): NatProblem[] {
    return this.#nat.problems(endpointId);
  }

  /** Whether a port is published or a pool has natOutgoing. */
  get translates(): boolean {
    return this.#translates;
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
    this.#enforcer.enqueue([...changes, ...this.#nat.flush()]);
    if (this.#translates === this.#nat.isWanted) return;
    this.#translates = this.#nat.isWanted;
    this.#onTranslates();
  }
}
