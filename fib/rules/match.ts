/**
 * What a policy rule matches, for one family, in iptables' terms: options that all go into one rule, and blocks for what one
 * rule cannot say (several CIDRs, more than 15 ports, a CIDR and its exceptions). An empty list is like an absent one, as in
 * Calico's resources.
 */
import type { Family } from '../../src/net/address.ts';
import { kernelSetName } from './names.ts';
import type { PortRange, Rule, RuleSide } from './types.ts';

/** Alternatives, each a match of its own: one must match (positive), or none may (negated). */
export interface MatchBlock {
  readonly negated: boolean;
  readonly alternatives: readonly string[];
}

/** All of `direct` and all blocks must hold. */
export interface RuleMatch {
  readonly direct: readonly string[];
  readonly blocks: readonly MatchBlock[];
}

const ICMP = 1;
const ICMPV6 = 58;
/** TCP, DCCP, UDP's relatives and SCTP: what iptables' multiport takes */
const PORT_PROTOCOLS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);
const MULTIPORT_SLOTS = 15;

/** Whether a protocol has ports that a rule may match. */
export function hasPorts(protocol: number | undefined): protocol is number {
  return protocol !== undefined && PORT_PROTOCOLS.has(protocol);
}

/** Splits ranges so that each list fits one multiport match: 15 slots, of which a range takes two. */
export function multiportLists(ranges: readonly PortRange[]): string[] {
  const lists: string[] = [];
  let current: string[] = [];
  let used = 0;
  for (const { first, last } of ranges) {
    const slots = first === last ? 1 : 2;
    if (used + slots > MULTIPORT_SLOTS) {
      lists.push(current.join(','));
      current = [];
      used = 0;
    }
    current.push(first === last ? String(first) : `${first}:${last}`);
    used += slots;
  }
  if (current.length > 0) lists.push(current.join(','));
  return lists;
}

/** The match of a rule for a family, or undefined when no packet of the family can match. The rule must be valid (`ruleProblem`). */
export function ruleMatch(rule: Rule, family: Family): RuleMatch | undefined {
  if (rule.family !== undefined && rule.family !== family) return undefined;
  const direct: string[] = [];
  const blocks: MatchBlock[] = [];

  const icmpProtocol = family === 'ipv4' ? ICMP : ICMPV6;
  const needsIcmp = rule.icmp !== undefined || rule.notIcmp !== undefined;
  const protocol = rule.protocol ?? (needsIcmp ? icmpProtocol : undefined);
  if (needsIcmp && protocol !== icmpProtocol) return undefined;
  if (protocol !== undefined) {
    if (rule.notProtocol === protocol) return undefined;
    direct.push(`-p ${protocol}`);
  } else if (rule.notProtocol !== undefined) {
    direct.push(`! -p ${rule.notProtocol}`);
  }
  if (rule.icmp) direct.push(icmpOption(family, false, rule.icmp.type, rule.icmp.code));
  if (rule.notIcmp) direct.push(icmpOption(family, true, rule.notIcmp.type, rule.notIcmp.code));

  for (const side of ['source', 'destination'] as const) {
    const value = rule[side];
    if (value === undefined) continue;
    if (!addNets(value, side, family, direct, blocks)) return undefined;
    addSets(value, side, family, direct);
    addPorts(value, side, family, protocol, direct, blocks);
  }
  return { direct, blocks };
}

type Side = 'source' | 'destination';

function icmpOption(family: Family, negated: boolean, type: number, code: number | undefined): string {
  const option = family === 'ipv4' ? '-m icmp%s --icmp-type' : '-m icmp6%s --icmpv6-type';
  return `${option.replace('%s', negated ? ' !' : '')} ${type}${code === undefined ? '' : `/${code}`}`;
}

/** Returns false when nothing of the family can match. */
function addNets(
  value: RuleSide,
  side: Side,
  family: Family,
  direct: string[],
  blocks: MatchBlock[],
): boolean {
  const option = side === 'source' ? '-s' : '-d';
  const ofFamily = (net: string) => net.includes(':') === (family === 'ipv6');
  // Not left to iptables, whose variants differ on a negated /0.
  const isAll = (net: string) => net.endsWith('/0');

  const notNets = (value.notNets ?? []).filter(ofFamily);
  if (notNets.some(isAll)) return false;
  let addressOptionTaken = false;
  if (value.nets !== undefined && value.nets.length > 0) {
    const nets = value.nets.filter(ofFamily);
    if (nets.length === 0) return false;
    if (!nets.some(isAll)) {
      if (nets.length === 1) {
        direct.push(`${option} ${nets[0]}`);
        addressOptionTaken = true;
      } else {
        blocks.push({ negated: false, alternatives: nets.map((net) => `${option} ${net}`) });
      }
    }
  }
  // A rule takes each address option once.
  if (notNets.length === 1 && !addressOptionTaken) {
    direct.push(`! ${option} ${notNets[0]}`);
  } else if (notNets.length > 0) {
    blocks.push({ negated: true, alternatives: notNets.map((net) => `${option} ${net}`) });
  }
  return true;
}

function addSets(value: RuleSide, side: Side, family: Family, direct: string[]): void {
  const flag = side === 'source' ? 'src' : 'dst';
  for (const id of value.sets ?? []) {
    direct.push(`-m set --match-set ${kernelSetName(family, 'net', id)} ${flag}`);
  }
  for (const id of value.notSets ?? []) {
    direct.push(`-m set ! --match-set ${kernelSetName(family, 'net', id)} ${flag}`);
  }
}

function addPorts(
  value: RuleSide,
  side: Side,
  family: Family,
  protocol: number | undefined,
  direct: string[],
  blocks: MatchBlock[],
): void {
  const portsOption = side === 'source' ? '--sports' : '--dports';
  const setFlags = side === 'source' ? 'src,src' : 'dst,dst';
  const setName = (id: string) => kernelSetName(family, 'ip-port', id);

  const alternatives = multiportLists(value.ports ?? []).map(
    (list) => `-p ${protocol} -m multiport ${portsOption} ${list}`,
  );
  for (const id of value.portSets ?? []) {
    alternatives.push(`-m set --match-set ${setName(id)} ${setFlags}`);
  }
  if (alternatives.length === 1) {
    // The protocol stands in the rule already.
    direct.push((alternatives[0] ?? '').replace(/^-p \d+ /, ''));
  } else if (alternatives.length > 1) {
    blocks.push({ negated: false, alternatives });
  }
  for (const list of multiportLists(value.notPorts ?? [])) {
    direct.push(`-m multiport ! ${portsOption} ${list}`);
  }
  for (const id of value.notPortSets ?? []) {
    direct.push(`-m set ! --match-set ${setName(id)} ${setFlags}`);
  }
}
