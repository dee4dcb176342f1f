/**
 * Turns the rules of a resource into rules over set ids: selectors, namespaces, service accounts and named ports become sets, each
 * with a stable id made from what it holds.
 */
import { createHash } from 'node:crypto';
import type { Rule as CompiledRule, PortRange, RuleAction, RuleSide, SetId } from '../../fib/rules/types.ts';
import type { EntityRule, IcmpFields, Rule } from '../model/rule.ts';
import { type Port, parsePort, protocolNumber } from '../model/scalars.ts';
import {
  canonicalNets,
  LABEL_NAMESPACE,
  LABEL_SERVICE_ACCOUNT,
  NAMESPACE_PREFIX,
  SERVICE_ACCOUNT_PREFIX,
} from './items.ts';
import { makeSelector, mapKeys, type Selector, type SelectorNode, sortedValues } from './selector/ast.ts';
import { parseSelector } from './selector/parse.ts';

/** What a set holds: the addresses of all items that match, or for a named port its address-protocol-port triples. */
export interface SetDefinition {
  readonly id: SetId;
  readonly selector: Selector;
  readonly port?: {
    readonly name: string;
    /** only ports of this protocol; absent: any */
    readonly protocol?: number;
  };
}

/** Compiled rules of one direction, and the sets that they name. */
export interface CompiledRules {
  readonly rules: readonly CompiledRule[];
  readonly sets: ReadonlyMap<SetId, SetDefinition>;
}

const ACTIONS: Readonly<Record<Rule['action'], RuleAction>> = {
  Allow: 'allow',
  Deny: 'deny',
  Log: 'log',
  Pass: 'pass',
};

/** Compiles rules. `namespace` is that of a NetworkPolicy, undefined for global policies and profiles. */
export function compileRules(rules: readonly Rule[], namespace: string | undefined): CompiledRules {
  const sets = new Map<SetId, SetDefinition>();
  const compiled = rules.flatMap((rule) => {
    const one = compileRule(rule, namespace, sets);
    return one === undefined ? [] : [one];
  });
  return { rules: compiled, sets };
}

function compileRule(
  rule: Rule,
  namespace: string | undefined,
  sets: Map<SetId, SetDefinition>,
): CompiledRule | undefined {
  // Services and HTTP are refused when written. If one gets here all the same, it must not open more than it says.
  const unsupported =
    rule.http !== undefined ||
    rule.source?.services !== undefined ||
    rule.destination?.services !== undefined;
  if (unsupported && rule.action !== 'Deny') return undefined;
  const protocol = rule.protocol === undefined ? undefined : protocolNumber(rule.protocol);
  const icmp = compileIcmp(rule.icmp);
  const notIcmp = compileIcmp(rule.notICMP);
  const source = compileSide(rule.source, namespace, protocol, sets);
  const destination = compileSide(rule.destination, namespace, protocol, sets);
  const comment = Object.entries(rule.metadata?.annotations ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
  return {
    action: ACTIONS[rule.action],
    ...(rule.ipVersion === undefined ? {} : { family: rule.ipVersion === 4 ? 'ipv4' : 'ipv6' }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(rule.notProtocol === undefined ? {} : { notProtocol: protocolNumber(rule.notProtocol) }),
    ...(icmp === undefined ? {} : { icmp }),
    ...(notIcmp === undefined ? {} : { notIcmp }),
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(comment === '' ? {} : { comment }),
  };
}

function compileIcmp(fields: IcmpFields | undefined): CompiledRule['icmp'] {
  if (fields?.type === undefined) return undefined;
  return fields.code === undefined ? { type: fields.type } : { type: fields.type, code: fields.code };
}

function compileSide(
  side: EntityRule | undefined,
  namespace: string | undefined,
  protocol: number | undefined,
  sets: Map<SetId, SetDefinition>,
): RuleSide | undefined {
  if (side === undefined) return undefined;
  const define = (definition: SetDefinition): SetId => {
    sets.set(definition.id, definition);
    return definition.id;
  };
  const positive = sideSelector(side, namespace);
  const selector = positive ?? parsed('all()');
  // Named ports count only on endpoints that the positive selector matches; the rule as a whole demands that anyway.
  const portSet = (name: string): SetId => define(portSetDefinition(selector, name, protocol));
  const ports = splitPorts(side.ports);
  const notPorts = splitPorts(side.notPorts);
  const namedOnly = ports.names.length > 0 && ports.ranges.length === 0;
  const out: RuleSide = {
    ...some('nets', canonicalNets(side.nets ?? [])),
    ...some('notNets', canonicalNets(side.notNets ?? [])),
    ...some('sets', positive === undefined || namedOnly ? [] : [define(setDefinition(positive))]),
    ...some(
      'notSets',
      side.notSelector === undefined ? [] : [define(setDefinition(parsed(side.notSelector)))],
    ),
    ...some('ports', ports.ranges),
    ...some('portSets', ports.names.map(portSet)),
    ...some('notPorts', notPorts.ranges),
    ...some('notPortSets', notPorts.names.map(portSet)),
  };
  return Object.keys(out).length === 0 ? undefined : out;
}

function some<K extends string, T>(key: K, values: readonly T[]): { readonly [P in K]?: readonly T[] } {
  if (values.length === 0) return {};
  const out: { [P in K]?: readonly T[] } = {};
  out[key] = values;
  return out;
}

function splitPorts(ports: readonly Port[] = []): { ranges: PortRange[]; names: string[] } {
  const ranges: PortRange[] = [];
  const names: string[] = [];
  for (const port of ports) {
    const taken = parsePort(port);
    if ('name' in taken) names.push(taken.name);
    else if ('first' in taken) ranges.push({ first: taken.first, last: taken.last });
  }
  return { ranges, names };
}

/**
 * The one selector that the endpoints of a rule's side must match, or undefined when anything will do. As soon as a side of a
 * NetworkPolicy's rule uses any selector, also a negated one, it is confined to the policy's namespace, or to the namespaces
 * that its namespaceSelector names.
 */
export function sideSelector(side: EntityRule, namespace: string | undefined): Selector | undefined {
  const parts: SelectorNode[] = [];
  const accounts = accountSelector(side);
  if (accounts !== undefined) parts.push(accounts);
  if (side.selector !== undefined) parts.push(parsed(side.selector).root);
  if (side.namespaceSelector !== undefined) parts.unshift(namespaceNode(side.namespaceSelector));
  else if (namespace !== undefined && (parts.length > 0 || side.notSelector !== undefined)) {
    parts.unshift({ op: '==', key: LABEL_NAMESPACE, value: namespace });
  }
  const [only] = parts;
  if (only === undefined) return undefined;
  return makeSelector(parts.length === 1 ? only : { op: 'and', operands: parts });
}

/**
 * A selector over namespaces as one over endpoints: keys get the prefix of namespace labels; `all()` is "in any namespace",
 * `global()` "in none".
 */
export function namespaceNode(text: string): SelectorNode {
  const inNamespace: SelectorNode = { op: 'has', key: LABEL_NAMESPACE };
  return replaceLeaves(
    mapKeys(parsed(text).root, (key) => `${NAMESPACE_PREFIX}${key}`),
    { all: inNamespace, global: { op: 'not', operand: inNamespace } },
  );
}

function replaceLeaves(
  node: SelectorNode,
  leaves: { readonly all: SelectorNode; readonly global: SelectorNode },
): SelectorNode {
  if (node.op === 'all' || node.op === 'global') return leaves[node.op];
  if (node.op === 'not') return { op: 'not', operand: replaceLeaves(node.operand, leaves) };
  if (node.op === 'and' || node.op === 'or') {
    return { op: node.op, operands: node.operands.map((each) => replaceLeaves(each, leaves)) };
  }
  return node;
}

function accountSelector(side: EntityRule): SelectorNode | undefined {
  const match = side.serviceAccounts;
  if (match === undefined) return undefined;
  const parts: SelectorNode[] = [];
  if (match.selector !== undefined) parts.push(serviceAccountNode(match.selector));
  if ((match.names ?? []).length > 0) {
    parts.push({ op: 'in', key: LABEL_SERVICE_ACCOUNT, values: sortedValues(match.names ?? []) });
  }
  const [only] = parts;
  return only === undefined || parts.length === 1 ? only : { op: 'and', operands: parts };
}

/** A selector over service accounts as one over endpoints. */
export function serviceAccountNode(text: string): SelectorNode {
  return mapKeys(parsed(text).root, (key) => `${SERVICE_ACCOUNT_PREFIX}${key}`);
}

/** Selectors of resources were checked when they were read; one that is malformed all the same matches nothing. */
export function parsed(text: string): Selector {
  const result = parseSelector(text);
  return result.ok ? result.selector : makeSelector({ op: 'not', operand: { op: 'all' } });
}

function setDefinition(selector: Selector): SetDefinition {
  return { id: setId('s', selector.canonical), selector };
}

function portSetDefinition(selector: Selector, name: string, protocol: number | undefined): SetDefinition {
  return {
    id: setId('p', `${protocol ?? 'any'}/${name}/${selector.canonical}`),
    selector,
    port: protocol === undefined ? { name } : { name, protocol },
  };
}

function setId(prefix: 's' | 'p', content: string): SetId {
  return `${prefix}${createHash('sha224').update(content).digest('base64url').slice(0, 19)}`;
}
