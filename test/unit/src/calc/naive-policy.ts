/**
 * A second policy evaluator, as plain as can be: it looks at the resources themselves for every flow and knows nothing of sets,
 * indexes or compiled rules. The calculation graph is tested against it.
 */
import type { SelectorNode } from '../../../../src/calc/selector/ast.ts';
import { matches } from '../../../../src/calc/selector/evaluate.ts';
import { parseSelector } from '../../../../src/calc/selector/parse.ts';
import type { EntityRule, Rule } from '../../../../src/model/rule.ts';
import { protocolNumber } from '../../../../src/model/scalars.ts';
import type { Resource } from '../../../../src/model/types.ts';
import type { WorkloadEndpoint } from '../../../../src/model/workload-endpoint.ts';
import { contains, type Flow } from './dataplane-model.ts';

interface Party {
  readonly namespace: string | undefined;
  readonly labels: ReadonlyMap<string, string>;
  readonly nets: readonly string[];
  readonly ports: readonly { readonly name: string; readonly protocol: number; readonly port: number }[];
}

function root(text: string): SelectorNode {
  const parsed = parseSelector(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.error}`);
  return parsed.selector.root;
}

export class NaivePolicy {
  readonly #resources: readonly Resource[];

  constructor(resources: Iterable<Resource>) {
    this.#resources = [...resources];
  }

  verdict(endpoint: WorkloadEndpoint, direction: 'ingress' | 'egress', flow: Flow): 'allow' | 'deny' {
    const party = this.#party(endpoint);
    const policies = this.#resources
      .flatMap((each) => (each.kind === 'GlobalNetworkPolicy' || each.kind === 'NetworkPolicy' ? [each] : []))
      .filter((each) => {
        if (each.kind === 'NetworkPolicy' && each.metadata.namespace !== party?.namespace) return false;
        if (party === undefined || !matches(root(each.spec.selector ?? ''), party.labels)) return false;
        const namespaces = each.kind === 'GlobalNetworkPolicy' ? each.spec.namespaceSelector : undefined;
        return namespaces === undefined || this.#inNamespace(namespaces, party);
      })
      .filter((each) => {
        const ingress = (each.spec.ingress ?? []).length > 0;
        const egress = (each.spec.egress ?? []).length > 0;
        const types = each.spec.types ?? [];
        if (types.length > 0) return types.includes(direction === 'ingress' ? 'Ingress' : 'Egress');
        return direction === 'egress' ? egress : ingress || !egress;
      })
      .sort((a, b) => {
        const order = (a.spec.order ?? 1e300) - (b.spec.order ?? 1e300);
        if (order !== 0) return order;
        const name = (each: typeof a): string =>
          [each.metadata.name, each.metadata.namespace ?? '', each.kind].join('/');
        return name(a) < name(b) ? -1 : 1;
      });
    let passed = policies.length === 0;
    walk: for (const policy of policies) {
      for (const rule of policy.spec[direction] ?? []) {
        if (rule.action === 'Log' || !this.#matches(rule, policy.metadata.namespace, flow)) continue;
        if (rule.action === 'Allow') return 'allow';
        if (rule.action === 'Deny') return 'deny';
        passed = true;
        break walk;
      }
    }
    if (!passed) return 'deny';
    for (const name of endpoint.spec.profiles ?? []) {
      if (name === 'projectcalico-default-allow') return 'allow';
      const profile = this.#resources.find((each) => each.kind === 'Profile' && each.metadata.name === name);
      if (profile?.kind !== 'Profile') return 'deny';
      for (const rule of profile.spec[direction] ?? []) {
        if (rule.action === 'Log' || !this.#matches(rule, undefined, flow)) continue;
        return rule.action === 'Allow' ? 'allow' : 'deny';
      }
    }
    return 'deny';
  }

  #party(resource: Resource): Party | undefined {
    if (
      resource.kind !== 'WorkloadEndpoint' &&
      resource.kind !== 'NetworkSet' &&
      resource.kind !== 'GlobalNetworkSet'
    ) {
      return undefined;
    }
    const namespace = resource.kind === 'GlobalNetworkSet' ? undefined : resource.metadata.namespace;
    const labels = new Map(Object.entries(resource.metadata.labels ?? {}));
    const parents = resource.kind === 'WorkloadEndpoint' ? [...(resource.spec.profiles ?? [])] : [];
    if (namespace !== undefined) {
      labels.set('projectcalico.org/namespace', namespace);
      labels.set('pcns.projectcalico.org/name', namespace);
      parents.push(`kns.${namespace}`);
    }
    for (const parent of parents) {
      const profile = this.#resources.find(
        (each) => each.kind === 'Profile' && each.metadata.name === parent,
      );
      if (profile?.kind !== 'Profile') continue;
      for (const [key, value] of Object.entries(profile.spec.labelsToApply ?? {})) {
        if (!labels.has(key)) labels.set(key, value);
      }
    }
    const wep = resource.kind === 'WorkloadEndpoint' ? resource.spec : undefined;
    return {
      namespace,
      labels,
      nets: resource.kind === 'WorkloadEndpoint' ? (wep?.ipNetworks ?? []) : (resource.spec.nets ?? []),
      ports: (wep?.ports ?? []).map((port) => ({
        name: port.name ?? '',
        protocol: protocolNumber(port.protocol),
        port: port.port,
      })),
    };
  }

  #inNamespace(selector: string, party: Party): boolean {
    const evaluate = (node: SelectorNode): boolean => {
      switch (node.op) {
        case 'all':
          return party.namespace !== undefined;
        case 'global':
          return party.namespace === undefined;
        case 'not':
          return !evaluate(node.operand);
        case 'and':
          return node.operands.every(evaluate);
        case 'or':
          return node.operands.some(evaluate);
        default:
          return matches(node, { get: (key) => party.labels.get(`pcns.${key}`) });
      }
    };
    return evaluate(root(selector));
  }

  #matches(rule: Rule, namespace: string | undefined, flow: Flow): boolean {
    const version = flow.source.includes(':') ? 6 : 4;
    if (rule.ipVersion !== undefined && rule.ipVersion !== version) return false;
    if (rule.protocol !== undefined && protocolNumber(rule.protocol) !== flow.protocol) return false;
    if (rule.notProtocol !== undefined && protocolNumber(rule.notProtocol) === flow.protocol) return false;
    const isIcmp = flow.protocol === 1 || flow.protocol === 58;
    const icmp = (match: NonNullable<Rule['icmp']>): boolean =>
      isIcmp && match.type === flow.icmpType && (match.code === undefined || match.code === flow.icmpCode);
    if (rule.icmp?.type !== undefined && !icmp(rule.icmp)) return false;
    if (rule.notICMP?.type !== undefined && icmp(rule.notICMP)) return false;
    return (
      this.#matchesSide(rule.source, namespace, flow.source, flow.sourcePort, flow.protocol) &&
      this.#matchesSide(rule.destination, namespace, flow.destination, flow.destinationPort, flow.protocol)
    );
  }

  #matchesSide(
    side: EntityRule | undefined,
    namespace: string | undefined,
    address: string,
    port: number,
    protocol: number,
  ): boolean {
    if (side === undefined) return true;
    const parties = this.#resources
      .map((each) => this.#party(each))
      .filter((party) => party?.nets.some((net) => contains(full(net), address)))
      .filter((party) => party !== undefined);
    const usesSelector = [side.selector, side.namespaceSelector, side.notSelector].some(
      (each) => each !== undefined,
    );
    const chosen = parties.filter((party) => {
      if (side.namespaceSelector !== undefined) {
        if (!this.#inNamespace(side.namespaceSelector, party)) return false;
      } else if (namespace !== undefined && usesSelector && party.namespace !== namespace) return false;
      return side.selector === undefined || matches(root(side.selector), party.labels);
    });
    const confined =
      side.selector !== undefined ||
      side.namespaceSelector !== undefined ||
      (namespace !== undefined && side.notSelector !== undefined);
    if (confined && chosen.length === 0) return false;
    const not = side.notSelector;
    if (not !== undefined && parties.some((party) => matches(root(not), party.labels))) return false;
    if ((side.nets ?? []).length > 0 && !side.nets?.some((net) => contains(net, address))) return false;
    if (side.notNets?.some((net) => contains(net, address))) return false;
    const portMatches = (each: number | string): boolean => {
      if (typeof each === 'number') return each === port;
      const range = /^(\d+):(\d+)$/.exec(each);
      if (range !== null) return port >= Number(range[1]) && port <= Number(range[2]);
      return (confined ? chosen : parties).some((party) =>
        party.ports.some(
          (known) => known.name === each && known.port === port && known.protocol === protocol,
        ),
      );
    };
    if ((side.ports ?? []).length > 0 && !side.ports?.some(portMatches)) return false;
    return !side.notPorts?.some(portMatches);
  }
}

function full(net: string): string {
  return net.includes('/') ? net : `${net}/${net.includes(':') ? 128 : 32}`;
}
