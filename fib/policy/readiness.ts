/** Which endpoints are protected: their chains and published ports, as last told, are in the kernel. Only those may carry traffic. */
import type { NatChange, PolicyChange } from '../rules/types.ts';

/** Owner of the endpoints' readiness. */
export class Readiness {
  readonly #ready = new Set<string>();
  /** endpoints to look at after the next apply: changed, or not ready before */
  readonly #waiting = new Set<string>();

  /** An endpoint that is changed is not ready until `update` finds it so. */
  note(change: PolicyChange | NatChange): void {
    if (change.kind === 'endpoint-upsert' || change.kind === 'published-upsert') {
      this.#ready.delete(change.id);
      this.#waiting.add(change.id);
    } else if (change.kind === 'endpoint-remove') {
      this.#ready.delete(change.id);
      this.#waiting.delete(change.id);
    }
  }

  isReady(id: string): boolean {
    return this.#ready.has(id);
  }

  get count(): number {
    return this.#ready.size;
  }

  /** The endpoints that are not ready. */
  waiting(): string[] {
    return [...this.#waiting];
  }

  /** Looks at these endpoints after an apply; returns those that became ready. */
  update(candidates: readonly string[], isProgrammed: (id: string) => boolean): string[] {
    const becameReady = candidates.filter(isProgrammed);
    for (const id of becameReady) {
      this.#ready.add(id);
      this.#waiting.delete(id);
    }
    return becameReady;
  }
}
