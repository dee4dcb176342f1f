/**
 * The policy half of the calculation graph: resources in, changes for the policy data plane out. Pure and incremental: a change
 * touches only the sets, policies and endpoints that it concerns. The output is a function of the present resources, never of the
 * way they came; between two flushes any number of changes collapse into one.
 */
import type {
  EndpointPolicy,
  EndpointTier,
  PolicyChange,
  PolicyId,
  PolicyRules,
} from '../../fib/rules/types.ts';
import type { ResourceKey, StringMap } from '../model/metadata-types.ts';
import type { Profile } from '../model/profile.ts';
import { keyOf, type Resource } from '../model/types.ts';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { AddressSets, membersOf } from './address-sets.ts';
import {
  effectiveLabels,
  endpointId,
  endpointItem,
  type Item,
  networkSetId,
  networkSetItem,
} from './items.ts';
import { addTo, LabelIndex, removeFrom } from './label-index.ts';
import { comparePolicies, makePolicy, type Policy, policyId, profileId, profileRules } from './policies.ts';
import { compileRules, type SetDefinition } from './rule-compiler.ts';
import type { Selector } from './selector/ast.ts';
import { matches } from './selector/evaluate.ts';

/** Rules in force, with the sets that they hold. */
interface ActiveRules {
  readonly rules: PolicyRules;
  readonly sets: readonly SetDefinition[];
}

interface LocalEndpoint {
  readonly resource: WorkloadEndpoint;
  readonly addresses: readonly string[];
  readonly policies: Set<PolicyId>;
}

/** Owns the state of policy calculation for one node. */
export class PolicyGraph {
  readonly #nodeName: string;
  readonly #index: LabelIndex;
  readonly #sets = new AddressSets();
  readonly #items = new Map<string, Item>();
  readonly #itemsOfProfile = new Map<string, Set<string>>();
  readonly #profiles = new Map<string, Profile>();
  readonly #policies = new Map<PolicyId, Policy>();
  /** canonical selector -> policies and sets that use it */
  readonly #policiesBySelector = new Map<string, Set<PolicyId>>();
  readonly #setsBySelector = new Map<string, Set<SetDefinition>>();
  readonly #local = new Map<string, LocalEndpoint>();
  /** policy -> local endpoints that it selects; profile -> local endpoints that name it */
  readonly #users = new Map<PolicyId, Set<string>>();
  readonly #active = new Map<PolicyId, ActiveRules>();
  readonly #dirtyPolicies = new Set<PolicyId>();
  readonly #dirtyEndpoints = new Set<string>();
  readonly #announcedPolicies = new Map<PolicyId, string>();
  readonly #announcedEndpoints = new Map<string, string>();

  /** `nodeName`: endpoints whose `spec.node` is this one are local; the others only count as members of sets. */
  constructor(nodeName: string) {
    this.#nodeName = nodeName;
    this.#index = new LabelIndex((canonical, item, matched) => this.#onMatch(canonical, item, matched));
  }

  /** Selector evaluations done so far, for tests and metrics. */
  get evaluations(): number {
    return this.#index.evaluations;
  }

  /**
   * Endpoints (of every node) and network sets that a selector matches now, in the order of their ids. Looks at each of them: meant
   * for people's questions, not for the hot path.
   */
  matching(selector: Selector): readonly ResourceKey[] {
    return [...this.#items.values()]
      .filter((item) => matches(selector.root, this.#labelsOf(item)))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((item) => item.key);
  }

  /** Policies and profiles in force for a local endpoint, in order of evaluation; undefined for one that is not local. */
  policyOf(endpoint: string): EndpointPolicy | undefined {
    const local = this.#local.get(endpoint);
    return local && this.#endpointPolicy(local);
  }

  /** Adds a resource or replaces its earlier version. Kinds that policy does not read are ignored. */
  upsert(resource: Resource): void {
    switch (resource.kind) {
      case 'WorkloadEndpoint':
        this.#setEndpoint(resource);
        break;
      case 'NetworkSet':
      case 'GlobalNetworkSet':
        this.#setItem(networkSetItem(resource));
        break;
      case 'GlobalNetworkPolicy':
      case 'NetworkPolicy':
        this.#setPolicy(makePolicy(resource));
        break;
      case 'Profile':
        this.#setProfile(resource.metadata.name, resource);
        break;
      default:
        break;
    }
  }

  /** Removes a resource. Does nothing when it is not known. */
  remove(key: ResourceKey): void {
    switch (key.kind) {
      case 'WorkloadEndpoint': {
        const id = endpointId(key.namespace ?? 'default', key.name);
        this.#removeLocal(id);
        this.#removeItem(id);
        break;
      }
      case 'NetworkSet':
        this.#removeItem(networkSetId(key.namespace ?? 'default', key.name));
        break;
      case 'GlobalNetworkSet':
        this.#removeItem(networkSetId(undefined, key.name));
        break;
      case 'GlobalNetworkPolicy':
        this.#removePolicy(policyId(undefined, key.name));
        break;
      case 'NetworkPolicy':
        this.#removePolicy(policyId(key.namespace ?? 'default', key.name));
        break;
      case 'Profile':
        this.#setProfile(key.name, undefined);
        break;
      default:
        break;
    }
  }

  /** Convenience: the same as `remove(keyOf(resource))`. */
  removeResource(resource: Resource): void {
    this.remove(keyOf(resource));
  }

  /**
   * The changes since the last flush, in the order in which they can be applied: sets, policies, endpoints; then removals the other
   * way round. Policies that no local endpoint uses, and sets that no such policy names, are not among them.
   */
  flush(): PolicyChange[] {
    // All new sets are taken before any old one is given up, so that a set which moves between policies stays.
    const old: SetDefinition[] = [];
    for (const id of this.#dirtyPolicies) old.push(...this.#refreshPolicy(id));
    for (const set of old) this.#release(set);
    const changes: PolicyChange[] = this.#sets.flushChanged();
    const removals: PolicyChange[] = [];
    for (const id of this.#dirtyPolicies) {
      const active = this.#active.get(id);
      const known = this.#announcedPolicies.get(id);
      if (active === undefined) {
        if (known !== undefined) removals.push({ kind: 'policy-remove', id });
        this.#announcedPolicies.delete(id);
        continue;
      }
      const text = JSON.stringify(active.rules);
      if (text === known) continue;
      this.#announcedPolicies.set(id, text);
      changes.push({ kind: 'policy-upsert', id, rules: active.rules });
    }
    for (const id of this.#dirtyEndpoints) {
      const local = this.#local.get(id);
      const known = this.#announcedEndpoints.get(id);
      if (local === undefined) {
        if (known !== undefined) changes.push({ kind: 'endpoint-remove', id });
        this.#announcedEndpoints.delete(id);
        continue;
      }
      const endpoint = this.#endpointPolicy(local);
      const text = JSON.stringify(endpoint);
      if (text === known) continue;
      this.#announcedEndpoints.set(id, text);
      changes.push({ kind: 'endpoint-upsert', id, endpoint });
    }
    this.#dirtyPolicies.clear();
    this.#dirtyEndpoints.clear();
    return [...changes, ...removals, ...this.#sets.flushRemoved()];
  }

  #setEndpoint(resource: WorkloadEndpoint): void {
    const item = endpointItem(resource);
    if (resource.spec.node !== this.#nodeName) this.#removeLocal(item.id);
    else {
      const before = this.#local.get(item.id);
      this.#local.set(item.id, {
        resource,
        addresses: item.nets,
        policies: before?.policies ?? new Set(),
      });
      this.#dirtyEndpoints.add(item.id);
      const profiles = new Set(resource.spec.profiles ?? []);
      for (const name of before?.resource.spec.profiles ?? []) {
        if (!profiles.has(name)) this.#dropUser(profileId(name), item.id);
      }
      for (const name of profiles) this.#addUser(profileId(name), item.id);
      if (before === undefined) {
        // An item known as another node's endpoint may match policies already.
        for (const canonical of this.#index.selectorsOf(item.id)) {
          for (const policy of this.#policiesBySelector.get(canonical) ?? []) this.#select(policy, item.id);
        }
      }
    }
    this.#setItem(item);
  }

  #removeLocal(id: string): void {
    const local = this.#local.get(id);
    if (local === undefined) return;
    this.#local.delete(id);
    this.#dirtyEndpoints.add(id);
    for (const policy of local.policies) this.#dropUser(policy, id);
    for (const name of local.resource.spec.profiles ?? []) this.#dropUser(profileId(name), id);
  }

  #setItem(item: Item): void {
    const before = this.#items.get(item.id);
    // Members follow the match state, so they change under the old matches first and the labels afterwards.
    this.#items.set(item.id, item);
    if (before !== undefined) this.#replaceMembers(before, item);
    for (const parent of before?.parents ?? []) removeFrom(this.#itemsOfProfile, parent, item.id);
    for (const parent of item.parents) addTo(this.#itemsOfProfile, parent, item.id);
    this.#index.setItem(item.id, this.#labelsOf(item));
  }

  #removeItem(id: string): void {
    const item = this.#items.get(id);
    if (item === undefined) return;
    this.#index.removeItem(id);
    for (const parent of item.parents) removeFrom(this.#itemsOfProfile, parent, id);
    this.#items.delete(id);
  }

  #labelsOf(item: Item): ReadonlyMap<string, string> {
    return effectiveLabels(
      item,
      (name): StringMap | undefined => this.#profiles.get(name)?.spec.labelsToApply,
    );
  }

  #replaceMembers(before: Item, after: Item): void {
    if (
      JSON.stringify(before.nets) === JSON.stringify(after.nets) &&
      JSON.stringify(before.ports) === JSON.stringify(after.ports)
    ) {
      return;
    }
    for (const canonical of this.#index.selectorsOf(after.id)) {
      for (const set of this.#setsBySelector.get(canonical) ?? []) {
        // Add first: a member that stays must not be seen to go.
        this.#sets.add(set.id, membersOf(after, set));
        this.#sets.remove(set.id, membersOf(before, set));
      }
    }
  }

  #setProfile(name: string, profile: Profile | undefined): void {
    const before = this.#profiles.get(name);
    if (profile === undefined) this.#profiles.delete(name);
    else this.#profiles.set(name, profile);
    this.#dirtyPolicies.add(profileId(name));
    if (JSON.stringify(before?.spec.labelsToApply) === JSON.stringify(profile?.spec.labelsToApply)) return;
    for (const id of this.#itemsOfProfile.get(name) ?? []) {
      const item = this.#items.get(id);
      if (item !== undefined) this.#index.setItem(id, this.#labelsOf(item));
    }
  }

  #setPolicy(policy: Policy): void {
    const before = this.#policies.get(policy.id);
    this.#policies.set(policy.id, policy);
    this.#dirtyPolicies.add(policy.id);
    if (before?.selector.canonical === policy.selector.canonical) {
      for (const endpoint of this.#users.get(policy.id) ?? []) this.#dirtyEndpoints.add(endpoint);
      return;
    }
    if (before !== undefined) this.#unregister(before);
    const { canonical } = policy.selector;
    addTo(this.#policiesBySelector, canonical, policy.id);
    // Matches of a selector that is in the index already are not told again.
    const matched = [...this.#index.itemsOf(canonical)];
    this.#index.addSelector(policy.selector);
    for (const item of matched) this.#select(policy.id, item);
  }

  #removePolicy(id: PolicyId): void {
    const policy = this.#policies.get(id);
    if (policy === undefined) return;
    this.#policies.delete(id);
    this.#dirtyPolicies.add(id);
    this.#unregister(policy);
  }

  #unregister(policy: Policy): void {
    const { canonical } = policy.selector;
    removeFrom(this.#policiesBySelector, canonical, policy.id);
    this.#index.removeSelector(canonical);
    for (const endpoint of [...(this.#users.get(policy.id) ?? [])]) this.#deselect(policy.id, endpoint);
  }

  #onMatch(canonical: string, itemId: string, matched: boolean): void {
    for (const policy of this.#policiesBySelector.get(canonical) ?? []) {
      if (matched) this.#select(policy, itemId);
      else this.#deselect(policy, itemId);
    }
    const item = this.#items.get(itemId);
    if (item === undefined) return;
    for (const set of this.#setsBySelector.get(canonical) ?? []) {
      if (matched) this.#sets.add(set.id, membersOf(item, set));
      else this.#sets.remove(set.id, membersOf(item, set));
    }
  }

  #select(policy: PolicyId, endpoint: string): void {
    const local = this.#local.get(endpoint);
    if (local === undefined) return;
    local.policies.add(policy);
    this.#dirtyEndpoints.add(endpoint);
    this.#addUser(policy, endpoint);
  }

  #deselect(policy: PolicyId, endpoint: string): void {
    const local = this.#local.get(endpoint);
    if (local?.policies.delete(policy) !== true) return;
    this.#dirtyEndpoints.add(endpoint);
    this.#dropUser(policy, endpoint);
  }

  #addUser(policy: PolicyId, endpoint: string): void {
    if (!this.#users.has(policy)) this.#dirtyPolicies.add(policy);
    addTo(this.#users, policy, endpoint);
  }

  #dropUser(policy: PolicyId, endpoint: string): void {
    removeFrom(this.#users, policy, endpoint);
    if (!this.#users.has(policy)) this.#dirtyPolicies.add(policy);
  }

  /** Compiles or drops a policy's rules, as it is used now. Returns the sets to give up. */
  #refreshPolicy(id: PolicyId): readonly SetDefinition[] {
    const before = this.#active.get(id);
    const now = this.#users.has(id) ? this.#compile(id) : undefined;
    for (const set of now?.sets ?? []) this.#acquire(set);
    if (now === undefined) this.#active.delete(id);
    else this.#active.set(id, now);
    return before?.sets ?? [];
  }

  #compile(id: PolicyId): ActiveRules | undefined {
    const name = id.startsWith('profile/') ? id.slice('profile/'.length) : undefined;
    const policy = this.#policies.get(id);
    const rules = name === undefined ? policy : profileRules(name, this.#profiles.get(name));
    if (rules === undefined) return undefined;
    const ingress = compileRules(rules.ingress, policy?.namespace);
    const egress = compileRules(rules.egress, policy?.namespace);
    return {
      rules: { ingress: ingress.rules, egress: egress.rules },
      sets: [...new Map([...ingress.sets, ...egress.sets]).values()],
    };
  }

  #acquire(set: SetDefinition): void {
    if (!this.#sets.acquire(set)) return;
    const { canonical } = set.selector;
    const matched = [...this.#index.itemsOf(canonical)];
    addTo(this.#setsBySelector, canonical, set);
    this.#index.addSelector(set.selector);
    for (const id of matched) {
      const item = this.#items.get(id);
      if (item !== undefined) this.#sets.add(set.id, membersOf(item, set));
    }
  }

  #release(set: SetDefinition): void {
    if (!this.#sets.release(set.id)) return;
    const { canonical } = set.selector;
    for (const each of this.#setsBySelector.get(canonical) ?? []) {
      if (each.id === set.id) removeFrom(this.#setsBySelector, canonical, each);
    }
    this.#index.removeSelector(canonical);
  }

  #endpointPolicy(local: LocalEndpoint): EndpointPolicy {
    const byTier = new Map<string, Policy[]>();
    for (const id of local.policies) {
      const policy = this.#policies.get(id);
      if (policy === undefined) continue;
      const tier = byTier.get(policy.tier);
      if (tier === undefined) byTier.set(policy.tier, [policy]);
      else tier.push(policy);
    }
    const sorted = [...byTier].sort(([a], [b]) => (a < b ? -1 : 1));
    const tiers = sorted.map(([name, policies]): EndpointTier => {
      policies.sort(comparePolicies);
      return {
        name,
        defaultAction: 'deny',
        ingress: policies.filter((policy) => policy.appliesTo.ingress).map((policy) => policy.id),
        egress: policies.filter((policy) => policy.appliesTo.egress).map((policy) => policy.id),
      };
    });
    return {
      interfaceName: local.resource.spec.interfaceName,
      adminUp: true,
      tiers,
      profiles: (local.resource.spec.profiles ?? []).map(profileId),
      addresses: local.addresses,
    };
  }
}
