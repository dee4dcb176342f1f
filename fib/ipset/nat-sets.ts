/** From pools to kernel sets: what is masqueraded, and what never is because it is a workload itself. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { kernelSetName } from '../rules/names.ts';
import { MASQUERADE_SET_ID, POOLS_SET_ID } from '../rules/nat.ts';
import type { NatChange } from '../rules/types.ts';
import type { KernelSets } from './kernel-sets.ts';
import { memberFamily } from './members.ts';

/** Wants the sets of a family only while one of its pools has natOutgoing. */
export class NatSets {
  readonly #sets: KernelSets;

  constructor(sets: KernelSets) {
    this.#sets = sets;
  }

  /** Takes in a change; what does not concern sets is passed over. */
  change(change: NatChange): void {
    if (change.kind !== 'nat-pools') return;
    for (const family of FAMILIES) {
      const ofFamily = (cidr: string) => memberFamily(cidr) === family;
      const masquerade = change.masquerade.filter(ofFamily);
      const all = change.all.filter(ofFamily);
      for (const [name, members] of [
        [natSetName(family, MASQUERADE_SET_ID), masquerade],
        [natSetName(family, POOLS_SET_ID), all],
      ] as const) {
        if (masquerade.length === 0) this.#sets.remove(name);
        else this.#sets.upsert(name, family, 'net', members);
      }
    }
  }
}

function natSetName(family: Family, id: string): string {
  return kernelSetName(family, 'net', id);
}
