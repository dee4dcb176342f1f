/**
 * When connection tracking is told to forget mappings of published ports (conntrack/published-flows.ts says why): once they came or went in the
 * kernel, and once after the start for what an earlier life left behind.
 */
import type { Table } from '../iptables/table.ts';
import { type NatModel, PUBLISH_CHAIN } from '../rules/nat.ts';
import type { FlowForgetter } from '../rules/types.ts';
import type { PolicyFailure } from './failures.ts';

/** Owner of what is left to forget. */
export class StaleFlows {
  readonly #flows: FlowForgetter | undefined;
  #straysForgotten = false;

  /** Without a forgetter nothing is forgotten. */
  constructor(flows: FlowForgetter | undefined) {
    this.#flows = flows;
  }

  /** Forgets the mappings that came or went and now stand in the kernel as desired. What goes wrong is a failure. */
  forget(nat: NatModel, allTables: readonly Table[]): PolicyFailure[] {
    const tables = allTables.filter((table) => table.name === 'nat');
    const done = nat
      .stale()
      .filter(({ family }) =>
        tables.some((table) => table.family === family && table.isProgrammed(PUBLISH_CHAIN)),
      );
    try {
      if (done.length > 0) this.#flows?.forget(done);
      nat.forgetStale(done);
      if (!this.#straysForgotten && tables.every((table) => table.isProgrammed(PUBLISH_CHAIN))) {
        this.#flows?.forgetStrays(nat.pools, nat.ports());
        this.#straysForgotten = true;
      }
      return [];
    } catch (error) {
      // A kernel without ctnetlink is no fault while nothing is published.
      if (done.length === 0 && nat.ports().length === 0) return [];
      const reason = error instanceof Error ? error.message : String(error);
      return [{ subject: 'connection tracking', reason }];
    }
  }
}
