/**
 * What a data plane holds after it has been told changes one by one, with the checks that a kernel would make (no rule without its
 * set, no set removed while a rule names it), and the verdict that it gives a flow.
 */
import assert from 'node:assert/strict';
import type {
  EndpointPolicy,
  PolicyChange,
  PolicyRules,
  Rule,
  RuleSide,
} from '../../../../fib/rules/types.ts';
import { parseAddress } from '../../../../src/net/address.ts';
import { parsePrefix, prefixContainsAddress } from '../../../../src/net/prefix.ts';

/** A packet that opens a connection. */
export interface Flow {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

export class DataplaneModel {
  readonly sets = new Map<string, { readonly type: string; readonly members: Set<string> }>();
  readonly policies = new Map<string, PolicyRules>();
  readonly endpoints = new Map<string, EndpointPolicy>();

  apply(changes: readonly PolicyChange[]): void {
    for (const change of changes) this.#applyOne(change);
  }

  #applyOne(change: PolicyChange): void {
    switch (change.kind) {
      case 'set-upsert':
        this.sets.set(change.id, { type: change.type, members: new Set(change.members) });
        break;
      case 'set-delta': {
        const set = this.sets.get(change.id);
        assert(set, `delta of unknown set ${change.id}`);
        for (const member of change.added) {
          assert(!set.members.has(member), `${member} added twice`);
          set.members.add(member);
        }
        for (const member of change.removed) assert(set.members.delete(member), `${member} removed twice`);
        break;
      }
      case 'set-remove':
        assert(!this.setsInUse().has(change.id), `set ${change.id} removed while in use`);
        assert(this.sets.delete(change.id), `unknown set ${change.id} removed`);
        break;
      case 'policy-upsert':
        this.policies.set(change.id, change.rules);
        for (const id of this.setsInUse()) assert(this.sets.has(id), `${change.id} names missing set ${id}`);
        break;
      case 'policy-remove':
        for (const endpoint of this.endpoints.values()) {
          for (const tier of endpoint.tiers) {
            assert(
              ![...tier.ingress, ...tier.egress].includes(change.id),
              `${change.id} removed while in use`,
            );
          }
        }
        assert(this.policies.delete(change.id), `unknown policy ${change.id} removed`);
        break;
      case 'endpoint-upsert':
        for (const tier of change.endpoint.tiers) {
          for (const id of [...tier.ingress, ...tier.egress])
            assert(this.policies.has(id), `${id} is missing`);
        }
        this.endpoints.set(change.id, change.endpoint);
        break;
      case 'endpoint-remove':
        assert(this.endpoints.delete(change.id), `unknown endpoint ${change.id} removed`);
        break;
    }
  }

  setsInUse(): Set<string> {
    const used = new Set<string>();
    for (const rules of this.policies.values()) {
      for (const rule of [...rules.ingress, ...rules.egress]) {
        for (const side of [rule.source, rule.destination]) {
          const ids = [side?.sets, side?.notSets, side?.portSets, side?.notPortSets];
          for (const id of ids.flatMap((each) => each ?? [])) used.add(id);
        }
      }
    }
    return used;
  }

  /** A comparable picture of everything. */
  snapshot(): unknown {
    const sorted = <V>(map: ReadonlyMap<string, V>): [string, V][] =>
      [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      sets: sorted(this.sets).map(([id, set]) => [id, set.type, [...set.members].sort()]),
      policies: sorted(this.policies),
      endpoints: sorted(this.endpoints),
    };
  }

  verdict(endpointId: string, direction: 'ingress' | 'egress', flow: Flow): 'allow' | 'deny' {
    const endpoint = this.endpoints.get(endpointId);
    assert(endpoint, `unknown endpoint ${endpointId}`);
    for (const tier of endpoint.tiers) {
      if (tier[direction].length === 0) continue;
      const outcome = this.#run(tier[direction], direction, flow) ?? tier.defaultAction;
      if (outcome !== 'pass') return outcome;
    }
    for (const id of endpoint.profiles) {
      if (!this.policies.has(id)) return 'deny';
      const outcome = this.#run([id], direction, flow);
      if (outcome === 'allow' || outcome === 'deny') return outcome;
    }
    return 'deny';
  }

  #run(
    ids: readonly string[],
    direction: 'ingress' | 'egress',
    flow: Flow,
  ): 'allow' | 'deny' | 'pass' | undefined {
    for (const id of ids) {
      for (const rule of this.policies.get(id)?.[direction] ?? []) {
        if (rule.action !== 'log' && this.#matches(rule, flow)) return rule.action;
      }
    }
    return undefined;
  }

  #matches(rule: Rule, flow: Flow): boolean {
    const icmp = flow.protocol === 1 || flow.protocol === 58;
    const icmpEqual = (match: NonNullable<Rule['icmp']>): boolean =>
      icmp && match.type === flow.icmpType && (match.code === undefined || match.code === flow.icmpCode);
    const family = flow.source.includes(':') ? 'ipv6' : 'ipv4';
    return (
      (rule.family === undefined || rule.family === family) &&
      (rule.protocol === undefined || rule.protocol === flow.protocol) &&
      rule.notProtocol !== flow.protocol &&
      (rule.icmp === undefined || icmpEqual(rule.icmp)) &&
      (rule.notIcmp === undefined || !icmpEqual(rule.notIcmp)) &&
      this.#matchesSide(rule.source, flow.source, flow.sourcePort, flow) &&
      this.#matchesSide(rule.destination, flow.destination, flow.destinationPort, flow)
    );
  }

  #matchesSide(side: RuleSide | undefined, address: string, port: number, flow: Flow): boolean {
    if (side === undefined) return true;
    const inNets = (nets: Iterable<string>): boolean => [...nets].some((net) => contains(net, address));
    const inSet = (id: string): boolean => {
      const set = this.sets.get(id);
      assert(set, `missing set ${id}`);
      return set.type === 'net'
        ? inNets(set.members)
        : set.members.has(`${address},${PROTOCOL_NAMES[flow.protocol]}:${port}`);
    };
    const inRanges = (ranges: RuleSide['ports']): boolean =>
      (ranges ?? []).some((range) => port >= range.first && port <= range.last);
    const hasPorts = [side.ports, side.portSets].some((list) => (list ?? []).length > 0);
    return (
      (side.nets === undefined || inNets(side.nets)) &&
      !inNets(side.notNets ?? []) &&
      (side.sets ?? []).every(inSet) &&
      !(side.notSets ?? []).some(inSet) &&
      (!hasPorts || inRanges(side.ports) || (side.portSets ?? []).some(inSet)) &&
      !inRanges(side.notPorts) &&
      !(side.notPortSets ?? []).some(inSet)
    );
  }
}

/** Whether a CIDR holds an address. */
export function contains(net: string, text: string): boolean {
  const prefix = parsePrefix(net);
  const address = parseAddress(text);
  assert(prefix && address, `${net}, ${text}`);
  return prefixContainsAddress(prefix, address);
}
