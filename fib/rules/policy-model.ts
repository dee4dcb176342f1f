/**
 * The desired policy state and what of it must be rendered anew: changes go in, chains come out. Pure: knows no kernel.
 * Chains of policies that no endpoint uses are not rendered.
 */
import { DispatchTree } from './dispatch.ts';
import { referencedPolicies, renderEndpointChain } from './endpoint.ts';
import { DIRECTIONS, type Direction, endpointChainName, policyChainName } from './names.ts';
import { allocateMarkBits, type RulesOptions } from './options.ts';
import { type RenderContext, renderDropChain, renderPolicyChain } from './policy.ts';
import type { ChainContent } from './rendered.ts';
import type { EndpointPolicy, PolicyChange, PolicyId, PolicyRules, SetId } from './types.ts';
import { endpointProblem, policyProblem } from './validate.ts';

/** Chains to write (undefined: to delete) since the last drain. */
export interface ModelUpdate {
  readonly chains: ReadonlyMap<string, ChainContent | undefined>;
  /** there is more to drain */
  readonly hasMore: boolean;
}

/** Something that is wrong with what the model was told. It is enforced as "drop". */
export interface ModelProblem {
  /** `policy ID`, `endpoint ID` */
  readonly subject: string;
  readonly reason: string;
}

interface PolicyEntry {
  readonly rules: PolicyRules;
  readonly problem: string | undefined;
}

interface EndpointEntry {
  readonly endpoint: EndpointPolicy;
  /** policy chains that it holds a reference to */
  readonly references: readonly { readonly direction: Direction; readonly id: PolicyId }[];
}

interface PolicyChainUse {
  readonly id: PolicyId;
  readonly direction: Direction;
  count: number;
}

/** Owns sets (ids only), policies, profiles and endpoints as last told. */
export class PolicyModel {
  readonly context: RenderContext;
  readonly #sets = new Set<SetId>();
  readonly #policies = new Map<PolicyId, PolicyEntry>();
  readonly #policiesOfSet = new Map<SetId, Set<PolicyId>>();
  readonly #endpoints = new Map<string, EndpointEntry>();
  /** which endpoint a link belongs to; the last that claimed it */
  readonly #linkOwners = new Map<string, string>();
  readonly #uses = new Map<string, PolicyChainUse>();
  readonly #trees: Readonly<Record<Direction, DispatchTree>> = {
    ingress: new DispatchTree('ingress'),
    egress: new DispatchTree('egress'),
  };
  readonly #dirtyPolicyChains = new Map<string, { readonly id: PolicyId; readonly direction: Direction }>();
  readonly #dirtyLinks = new Set<string>();
  readonly #problems = new Map<string, ModelProblem>();

  /** Throws a RangeError when the mark mask has too few bits. */
  constructor(options: RulesOptions) {
    this.context = { options, marks: allocateMarkBits(options.markMask) };
  }

  get problems(): readonly ModelProblem[] {
    return [...this.#problems.values()];
  }

  get policyCount(): number {
    return this.#policies.size;
  }

  get setCount(): number {
    return this.#sets.size;
  }

  endpointIds(): IterableIterator<string> {
    return this.#endpoints.keys();
  }

  endpoint(id: string): EndpointPolicy | undefined {
    return this.#endpoints.get(id)?.endpoint;
  }

  /** The endpoint that a link belongs to. */
  ownerOf(link: string): string | undefined {
    return this.#linkOwners.get(link);
  }

  hasSet(id: SetId): boolean {
    return this.#sets.has(id);
  }

  /** Policies whose rules name the set. */
  policiesOfSet(id: SetId): ReadonlySet<PolicyId> {
    return this.#policiesOfSet.get(id) ?? new Set();
  }

  /** Whether the endpoint is known and nothing is wrong with it. */
  isUsable(id: string): boolean {
    return this.#endpoints.has(id) && !this.#problems.has(`endpoint ${id}`);
  }

  /** Every chain that a packet of the endpoint may pass, or undefined if it is unknown, in error, or its link is another's. */
  chainsOf(id: string): string[] | undefined {
    const entry = this.#endpoints.get(id);
    if (entry === undefined || !this.isUsable(id)) return undefined;
    const link = entry.endpoint.interfaceName;
    if (this.#linkOwners.get(link) !== id) return undefined;
    return [
      ...DIRECTIONS.flatMap((direction) => [
        ...this.#trees[direction].chainsOf(link),
        endpointChainName(direction, link),
      ]),
      ...entry.references.map(({ direction, id: policy }) => policyChainName(direction, policy)),
    ];
  }

  /** Takes in a change. What is wrong with it shows in `problems`. */
  change(change: PolicyChange): void {
    switch (change.kind) {
      case 'set-upsert':
        if (!this.#sets.has(change.id)) {
          this.#sets.add(change.id);
          this.#touchUsersOfSet(change.id);
        }
        return;
      case 'set-delta':
        return;
      case 'set-remove':
        if (this.#sets.delete(change.id)) this.#touchUsersOfSet(change.id);
        return;
      case 'policy-upsert':
        this.#setPolicy(change.id, change.rules);
        return;
      case 'policy-remove':
        this.#setPolicy(change.id, undefined);
        return;
      case 'endpoint-upsert':
        this.#setEndpoint(change.id, change.endpoint);
        return;
      case 'endpoint-remove':
        this.#setEndpoint(change.id, undefined);
        return;
    }
  }

  /**
   * Renders what changed and was not drained yet, up to about `limit` chains; the rest stays for the next call. Dispatch chains come
   * last, so that they are drained only when what they lead to was.
   */
  drain(limit = Number.POSITIVE_INFINITY): ModelUpdate {
    const chains = new Map<string, ChainContent | undefined>();
    for (const [chain, { id, direction }] of this.#dirtyPolicyChains) {
      if (chains.size >= limit) return { chains, hasMore: true };
      this.#dirtyPolicyChains.delete(chain);
      chains.set(chain, this.#renderPolicy(chain, id, direction));
    }
    for (const link of this.#dirtyLinks) {
      if (chains.size >= limit) return { chains, hasMore: true };
      this.#dirtyLinks.delete(link);
      const owner = this.#linkOwners.get(link);
      const endpoint = owner === undefined ? undefined : this.#endpoints.get(owner)?.endpoint;
      for (const direction of DIRECTIONS) {
        const content = endpoint && renderEndpointChain(endpoint, direction, this.context);
        chains.set(endpointChainName(direction, link), content);
      }
    }
    for (const direction of DIRECTIONS) {
      for (const [chain, rules] of this.#trees[direction].drain()) {
        chains.set(chain, rules && { ipv4: rules, ipv6: rules });
      }
    }
    return { chains, hasMore: false };
  }

  #renderPolicy(chain: string, id: PolicyId, direction: Direction): ChainContent | undefined {
    const use = this.#uses.get(chain);
    const subject = `policy ${id}`;
    if (use === undefined) {
      if (!this.#isUsed(id) && this.#policies.get(id)?.problem === undefined) this.#problems.delete(subject);
      return undefined;
    }
    const entry = this.#policies.get(id);
    const problem =
      entry === undefined ? 'is referred to, but unknown' : (entry.problem ?? this.#missingSet(entry.rules));
    if (entry === undefined || problem !== undefined) {
      this.#problems.set(subject, { subject, reason: problem ?? '' });
      return renderDropChain(chain, `${id} is missing or in error`, this.context);
    }
    this.#problems.delete(subject);
    return renderPolicyChain(chain, id, direction, entry.rules[direction], this.context);
  }

  #isUsed(id: PolicyId): boolean {
    return DIRECTIONS.some((direction) => this.#uses.has(policyChainName(direction, id)));
  }

  #missingSet(rules: PolicyRules): string | undefined {
    for (const id of setsOf(rules)) if (!this.#sets.has(id)) return `set ${id} is unknown`;
    return undefined;
  }

  #touchUsersOfSet(id: SetId): void {
    for (const policy of this.policiesOfSet(id)) this.#touchPolicy(policy);
  }

  #touchPolicy(id: PolicyId): void {
    for (const direction of DIRECTIONS) {
      const chain = policyChainName(direction, id);
      if (this.#uses.has(chain)) this.#dirtyPolicyChains.set(chain, { id, direction });
    }
  }

  #setPolicy(id: PolicyId, rules: PolicyRules | undefined): void {
    const old = this.#policies.get(id);
    for (const set of old === undefined ? [] : setsOf(old.rules)) {
      const users = this.#policiesOfSet.get(set);
      users?.delete(id);
      if (users?.size === 0) this.#policiesOfSet.delete(set);
    }
    this.#problems.delete(`policy ${id}`);
    if (rules === undefined) {
      this.#policies.delete(id);
    } else {
      const problem = policyProblem(rules);
      this.#policies.set(id, { rules, problem });
      if (problem !== undefined) {
        this.#problems.set(`policy ${id}`, { subject: `policy ${id}`, reason: problem });
      }
      for (const set of setsOf(rules)) {
        const users = this.#policiesOfSet.get(set);
        if (users) users.add(id);
        else this.#policiesOfSet.set(set, new Set([id]));
      }
    }
    this.#touchPolicy(id);
  }

  #setEndpoint(id: string, endpoint: EndpointPolicy | undefined): void {
    const subject = `endpoint ${id}`;
    const old = this.#endpoints.get(id);
    const problem = endpoint && endpointProblem(endpoint, this.context.options.interfacePrefix);
    const usable = problem === undefined ? endpoint : undefined;
    const references = usable
      ? DIRECTIONS.flatMap((direction) =>
          referencedPolicies(usable, direction).map((policy) => ({ direction, id: policy })),
        )
      : [];

    for (const { direction, id: policy } of references) this.#hold(direction, policy);
    for (const { direction, id: policy } of old?.references ?? []) this.#release(direction, policy);

    if (problem === undefined) this.#problems.delete(subject);
    else this.#problems.set(subject, { subject, reason: problem });
    if (endpoint === undefined) this.#endpoints.delete(id);
    else this.#endpoints.set(id, { endpoint, references });

    const oldLink = old?.endpoint.interfaceName;
    const newLink = usable?.interfaceName;
    if (oldLink !== undefined && oldLink !== newLink && this.#linkOwners.get(oldLink) === id) {
      this.#linkOwners.delete(oldLink);
      this.#dirtyLinks.add(oldLink);
      for (const direction of DIRECTIONS) this.#trees[direction].remove(oldLink);
    }
    if (newLink !== undefined) {
      this.#linkOwners.set(newLink, id);
      this.#dirtyLinks.add(newLink);
      for (const direction of DIRECTIONS) this.#trees[direction].add(newLink);
    }
  }

  #hold(direction: Direction, id: PolicyId): void {
    const chain = policyChainName(direction, id);
    const use = this.#uses.get(chain);
    if (use) {
      use.count++;
      return;
    }
    this.#uses.set(chain, { id, direction, count: 1 });
    this.#dirtyPolicyChains.set(chain, { id, direction });
  }

  #release(direction: Direction, id: PolicyId): void {
    const chain = policyChainName(direction, id);
    const use = this.#uses.get(chain);
    if (use === undefined || --use.count > 0) return;
    this.#uses.delete(chain);
    this.#dirtyPolicyChains.set(chain, { id, direction });
  }
}

function setsOf(rules: PolicyRules): Set<SetId> {
  const ids = new Set<SetId>();
  for (const direction of DIRECTIONS) {
    for (const rule of rules[direction]) {
      for (const side of [rule.source, rule.destination]) {
        for (const list of [side?.sets, side?.notSets, side?.portSets, side?.notPortSets]) {
          for (const id of list ?? []) ids.add(id);
        }
      }
    }
  }
  return ids;
}
