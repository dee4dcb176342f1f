/** Finds what cannot be rendered before it reaches the kernel: such a policy is enforced as "drop", and its error shown. */
import { parsePrefix } from '../../src/net/prefix.ts';
import { hasPorts } from './match.ts';
import type { EndpointPolicy, IcmpMatch, PolicyRules, PortRange, Rule, RuleSide, SetId } from './types.ts';

const SET_ID = /^[A-Za-z0-9_-]{1,20}$/;
const LINK_NAME = /^[A-Za-z0-9_.-]{1,15}$/;

/** What is wrong with a set id, or undefined. */
export function setIdProblem(id: SetId): string | undefined {
  return SET_ID.test(id) ? undefined : `set id ${JSON.stringify(id)} is not 1 to 20 of [A-Za-z0-9_-]`;
}

/** The first thing wrong with a policy's rules, or undefined. */
export function policyProblem(rules: PolicyRules): string | undefined {
  for (const direction of ['ingress', 'egress'] as const) {
    for (const [index, rule] of rules[direction].entries()) {
      const problem = ruleProblem(rule);
      if (problem !== undefined) return `${direction} rule ${index}: ${problem}`;
    }
  }
  return undefined;
}

/** The first thing wrong with a rule, or undefined. */
export function ruleProblem(rule: Rule): string | undefined {
  for (const protocol of [rule.protocol, rule.notProtocol]) {
    if (protocol !== undefined && !isInteger(protocol, 1, 255)) return `protocol ${protocol} is not 1 to 255`;
  }
  return (
    icmpProblem(rule.icmp) ??
    icmpProblem(rule.notIcmp) ??
    sideProblem('source', rule.source, rule) ??
    sideProblem('destination', rule.destination, rule)
  );
}

/** What is wrong with an endpoint, or undefined. */
export function endpointProblem(endpoint: EndpointPolicy, interfacePrefix: string): string | undefined {
  const name = endpoint.interfaceName;
  if (!LINK_NAME.test(name)) return `link name ${JSON.stringify(name)} is not 1 to 15 of [A-Za-z0-9_.-]`;
  if (!name.startsWith(interfacePrefix) || name.length === interfacePrefix.length) {
    return `link name ${name} does not start with ${interfacePrefix} and more`;
  }
  for (const address of endpoint.addresses) {
    const prefix = parsePrefix(address);
    if (prefix === undefined || prefix.length !== prefix.bytes.length * 8) {
      return `address ${JSON.stringify(address)} is no /32 or /128`;
    }
  }
  return undefined;
}

function icmpProblem(icmp: IcmpMatch | undefined): string | undefined {
  if (icmp === undefined) return undefined;
  if (!isInteger(icmp.type, 0, 254)) return `ICMP type ${icmp.type} is not 0 to 254`;
  if (icmp.code !== undefined && !isInteger(icmp.code, 0, 255))
    return `ICMP code ${icmp.code} is not 0 to 255`;
  return undefined;
}

function sideProblem(where: string, side: RuleSide | undefined, rule: Rule): string | undefined {
  if (side === undefined) return undefined;
  for (const net of [...(side.nets ?? []), ...(side.notNets ?? [])]) {
    if (parsePrefix(net) === undefined) return `${where}: ${JSON.stringify(net)} is no CIDR`;
  }
  for (const range of [...(side.ports ?? []), ...(side.notPorts ?? [])]) {
    if (!isPortRange(range)) return `${where}: ${range.first}:${range.last} is no range of ports`;
    if (!hasPorts(rule.protocol)) return `${where}: ports need a protocol that has ports (TCP, UDP, SCTP)`;
  }
  const sets = [side.sets, side.notSets, side.portSets, side.notPortSets].flatMap((ids) => ids ?? []);
  for (const id of sets) {
    const problem = setIdProblem(id);
    if (problem !== undefined) return `${where}: ${problem}`;
  }
  return undefined;
}

function isPortRange({ first, last }: PortRange): boolean {
  return isInteger(first, 0, 65535) && isInteger(last, 0, 65535) && first <= last;
}

function isInteger(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
