/**
 * What is wanted of policy and address translation: the models that changes go into, and how they reach chains and sets. Renders into the
 * tables what changed, and tells what of the kernel an endpoint or a set stands for.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { KernelSets } from '../ipset/kernel-sets.ts';
import { NatSets } from '../ipset/nat-sets.ts';
import { PolicySets } from '../ipset/policy-sets.ts';
import type { Table } from '../iptables/table.ts';
import { DIRECTIONS, policyChainName, setIdOfKernelName } from '../rules/names.ts';
import { MASQUERADE_SET_ID, NAT_OUTGOING_CHAIN, NatModel, POOLS_SET_ID } from '../rules/nat.ts';
import type { RulesOptions } from '../rules/options.ts';
import { PolicyModel } from '../rules/policy-model.ts';
import type { NatChange, PolicyChange } from '../rules/types.ts';
import { setSubject } from './failures.ts';

/** rendered between two turns of the event loop: a few milliseconds */
const CHAINS_PER_SLICE = 40;

/** Owner of the models. */
export class DesiredPolicy {
  readonly model: PolicyModel;
  readonly nat = new NatModel();
  readonly #policySets: PolicySets;
  readonly #natSets: NatSets;

  /** Sets are wanted of `sets` at once, chains are rendered later. Throws a RangeError when the mark mask has fewer than five bits. */
  constructor(options: RulesOptions, sets: KernelSets) {
    this.model = new PolicyModel(options);
    this.#policySets = new PolicySets(sets);
    this.#natSets = new NatSets(sets);
  }

  /** Takes in one change. The sets' driver must not be at work. */
  change(change: PolicyChange | NatChange): void {
    if (isNatChange(change)) {
      this.nat.change(change);
      this.#natSets.change(change);
      return;
    }
    this.model.change(change);
    this.#policySets.change(change, (id) => this.model.isUsable(id));
  }

  /** Hands the tables what changed, in slices that leave the event loop to others. */
  async render(tables: readonly Table[]): Promise<void> {
    for (const [chain, content] of this.nat.drain()) {
      for (const table of tables) {
        if (table.name === 'nat') table.setChain(chain, content[table.family]);
      }
    }
    for (;;) {
      const { chains, hasMore } = this.model.drain(CHAINS_PER_SLICE);
      for (const [chain, content] of chains) {
        for (const table of tables) {
          if (table.name !== 'filter') continue;
          if (content) table.setChain(chain, content[table.family]);
          else table.removeChain(chain);
        }
      }
      if (!hasMore) return;
      await nextTurn();
    }
  }

  /** Chains that name one of these kernel sets, which are not right: they wait for that, each with the reason in words. */
  chainsUsing(kernelNames: readonly string[]): Map<string, string> {
    const chains = new Map<string, string>();
    for (const name of kernelNames) {
      const id = setIdOfKernelName(name);
      const reason = `${setSubject(name)} is not in the kernel as desired`;
      if (id === MASQUERADE_SET_ID || id === POOLS_SET_ID) chains.set(NAT_OUTGOING_CHAIN, reason);
      for (const policy of this.model.policiesOfSet(id)) {
        for (const direction of DIRECTIONS) chains.set(policyChainName(direction, policy), reason);
      }
    }
    return chains;
  }

  /** Whether all that protects an endpoint, and its published ports, stand in the kernel as desired. */
  isProgrammed(id: string, tables: readonly Table[]): boolean {
    const chains = this.model.chainsOf(id);
    if (chains === undefined) return false;
    return (
      this.#policySets.sourcesAreProgrammed() &&
      tables.every((table) => {
        if (table.name === 'nat') {
          return this.nat.chainsOf(id, table.family).every((chain) => table.isProgrammed(chain));
        }
        return table.name !== 'filter' || chains.every((chain) => table.isProgrammed(chain));
      })
    );
  }
}

function isNatChange(change: PolicyChange | NatChange): change is NatChange {
  return (
    change.kind === 'nat-pools' || change.kind === 'published-upsert' || change.kind === 'published-remove'
  );
}
