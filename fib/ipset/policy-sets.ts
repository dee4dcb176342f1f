/** From policy changes to kernel sets: one twin for each family, and the set of sources that workloads may use. */
import { FAMILIES } from '../../src/net/address.ts';
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts';
import { kernelSetName, SOURCE_SET_ID } from '../rules/names.ts';
import type { EndpointPolicy, PolicyChange, SetId, SetType } from '../rules/types.ts';
import type { KernelSets } from './kernel-sets.ts';
import { memberFamily } from './members.ts';

/** Owns which kernel sets policy wants; the driver brings them into the kernel. */
export class PolicySets {
  readonly #sets: KernelSets;
  readonly #types = new Map<SetId, SetType>();
  /** entries of the source set by endpoint, and how many endpoints have each */
  readonly #sources = new Map<string, readonly string[]>();
  readonly #sourceCounts = new Map<string, number>();

  /** Wants the source sets, empty, from the start. */
  constructor(sets: KernelSets) {
    this.#sets = sets;
    for (const family of FAMILIES) {
      sets.upsert(kernelSetName(family, 'net-iface', SOURCE_SET_ID), family, 'net-iface', []);
    }
  }

  /** Whether the kernel knows every endpoint's addresses. */
  sourcesAreProgrammed(): boolean {
    return FAMILIES.every((family) =>
      this.#sets.isProgrammed(kernelSetName(family, 'net-iface', SOURCE_SET_ID)),
    );
  }

  /** Takes in a change; what does not concern sets is passed over. `isUsable`: whether nothing is wrong with an endpoint. */
  change(change: PolicyChange, isUsable: (endpointId: string) => boolean): void {
    switch (change.kind) {
      case 'set-upsert': {
        this.#removeSet(change.id, change.type);
        this.#types.set(change.id, change.type);
        for (const family of FAMILIES) {
          const members = [...change.members].filter((member) => memberFamily(member) === family);
          this.#sets.upsert(kernelSetName(family, change.type, change.id), family, change.type, members);
        }
        return;
      }
      case 'set-delta': {
        const type = this.#types.get(change.id);
        if (type === undefined) return;
        for (const family of FAMILIES) {
          const ofFamily = (member: string) => memberFamily(member) === family;
          const added = change.added.filter(ofFamily);
          const removed = change.removed.filter(ofFamily);
          if (added.length + removed.length > 0) {
            this.#sets.change(kernelSetName(family, type, change.id), added, removed);
          }
        }
        return;
      }
      case 'set-remove':
        this.#removeSet(change.id, undefined);
        return;
      case 'endpoint-upsert':
        this.#setSources(change.id, isUsable(change.id) ? change.endpoint : undefined);
        return;
      case 'endpoint-remove':
        this.#setSources(change.id, undefined);
        return;
      case 'policy-upsert':
      case 'policy-remove':
        return;
    }
  }

  /** Removes the kernel sets of a set unless they are of the type that stays. */
  #removeSet(id: SetId, staying: SetType | undefined): void {
    const type = this.#types.get(id);
    if (type === undefined || type === staying) return;
    this.#types.delete(id);
    for (const family of FAMILIES) this.#sets.remove(kernelSetName(family, type, id));
  }

  #setSources(id: string, endpoint: EndpointPolicy | undefined): void {
    const fresh = endpoint
      ? [...new Set(endpoint.addresses.map(canonicalCidr))].map((cidr) => `${cidr},${endpoint.interfaceName}`)
      : [];
    const added: string[] = [];
    const removed: string[] = [];
    for (const entry of fresh) {
      const count = this.#sourceCounts.get(entry) ?? 0;
      this.#sourceCounts.set(entry, count + 1);
      if (count === 0) added.push(entry);
    }
    for (const entry of this.#sources.get(id) ?? []) {
      const count = (this.#sourceCounts.get(entry) ?? 0) - 1;
      if (count > 0) {
        this.#sourceCounts.set(entry, count);
      } else {
        this.#sourceCounts.delete(entry);
        removed.push(entry);
      }
    }
    if (fresh.length > 0) this.#sources.set(id, fresh);
    else this.#sources.delete(id);
    for (const family of FAMILIES) {
      const ofFamily = (entry: string) => memberFamily(entry) === family;
      const name = kernelSetName(family, 'net-iface', SOURCE_SET_ID);
      this.#sets.change(name, added.filter(ofFamily), removed.filter(ofFamily));
    }
  }
}

function canonicalCidr(text: string): string {
  const prefix = parsePrefix(text);
  return prefix === undefined ? text : formatPrefix(prefix);
}
