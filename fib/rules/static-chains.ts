/**
 * Chains that do not depend on endpoints. They stand before the first workload link is made and drop what comes from or goes to
 * a link of ours that policy does not know.
 *
 * Spoofed sources are dropped in the raw table, before connection tracking, so that a forged packet cannot even disturb the state
 * of someone else's connection. One rule does it for all workloads: the pair (source, link) must be in a set. Unlike a reverse
 * path filter it does not depend on routes, and a new endpoint changes no rule.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { CHAIN_PREFIX, DIRECTIONS, dispatchChainName, kernelSetName, SOURCE_SET_ID } from './names.ts';
import { natChains } from './nat.ts';
import { markMatch, markTarget, type RenderContext } from './policy.ts';
import { type RenderedRule, type RuleSpec, renderRules } from './rendered.ts';

/** Tables that hold rules of ours. */
export type TableName = 'filter' | 'nat' | 'raw';

export const TABLES: readonly TableName[] = ['raw', 'filter', 'nat'];

/** A rule that stands at the top of a builtin chain. */
export interface Jump {
  readonly builtin: string;
  readonly rule: RenderedRule;
}

/** The fixed part of one table of one family. */
export interface StaticTable {
  readonly family: Family;
  readonly table: TableName;
  readonly chains: ReadonlyMap<string, readonly RenderedRule[]>;
  readonly jumps: readonly Jump[];
}

/** Chain that accepts neighbour discovery towards this host (ICMPv6 types of RFC 4861: the workload must find its gateway). */
export const ND_CHAIN = `${CHAIN_PREFIX}nd`;

const TO_HOST = `${CHAIN_PREFIX}wl-to-host`;
const FORWARDED = `${CHAIN_PREFIX}wl-forward`;
/** router solicitation, neighbour solicitation, neighbour advertisement */
const ND_TYPES = [133, 135, 136];
const IP_IN_IP = 4;
const UDP = 17;

/** Renders the fixed chains and jumps of all tables, for both families. Dispatch chains are there and drop everything. */
export function renderStaticTables(context: RenderContext): StaticTable[] {
  return FAMILIES.flatMap((family) => [
    rawTable(family, context),
    filterTable(family, context),
    natTable(family, context),
  ]);
}

/** The rules at the end of every dispatch chain. */
export function unknownLinkSpec(): RuleSpec {
  return { matches: [], target: '-j DROP', comment: 'unknown workload link' };
}

function rawTable(family: Family, { options }: RenderContext): StaticTable {
  const from = `-i ${options.interfacePrefix}+`;
  const specs: RuleSpec[] = [];
  if (family === 'ipv6') {
    // Neither is ever forwarded (RFC 4291 2.5.2, 2.5.6), and towards this host the endpoint's chain decides.
    specs.push({ matches: [from, '-s fe80::/10'], target: '-j RETURN' });
    specs.push({ matches: [from, '-s ::/128', '-p 58'], target: '-j RETURN' });
  }
  if (family === 'ipv4') {
    // Replies to this host's 127.0.0.1 are addressed to another of its addresses at this point. Links of workloads with published
    // ports have route_localnet: without this rule they could reach what listens on this host's loopback alone.
    specs.push({ matches: [from, '-d 127.0.0.0/8'], target: '-j DROP', comment: 'loopback from a workload' });
  }
  const set = kernelSetName(family, 'net-iface', SOURCE_SET_ID);
  specs.push({
    matches: [from, `-m set ! --match-set ${set} src,src`],
    target: '-j DROP',
    comment: 'not an address of this workload',
  });
  return staticTable(family, 'raw', { [`${CHAIN_PREFIX}PREROUTING`]: specs }, ['PREROUTING']);
}

function filterTable(family: Family, { options, marks }: RenderContext): StaticTable {
  const from = `-i ${options.interfacePrefix}+`;
  const to = `-o ${options.interfacePrefix}+`;
  const chains: Record<string, RuleSpec[]> = {};
  for (const direction of DIRECTIONS) chains[dispatchChainName(direction)] = [unknownLinkSpec()];

  if (family === 'ipv6') {
    chains[ND_CHAIN] = ND_TYPES.map((type) => ({
      matches: ['-p 58', `-m icmp6 --icmpv6-type ${type}`],
      target: '-j ACCEPT',
    }));
  }

  const encapsulated: RuleSpec[] = [];
  if (!options.allowVxlanFromWorkloads) {
    encapsulated.push({
      matches: [from, `-p ${UDP}`, `-m multiport --dports ${options.vxlanPort}`],
      target: '-j DROP',
      comment: 'VXLAN from a workload',
    });
  }
  if (!options.allowIpipFromWorkloads) {
    encapsulated.push({
      matches: [from, `-p ${IP_IN_IP}`],
      target: '-j DROP',
      comment: 'IP in IP from a workload',
    });
  }

  const all = marks.accept | marks.pass | marks.allBlocks | marks.thisBlock | marks.toHost;
  chains[`${CHAIN_PREFIX}INPUT`] = [{ matches: [from], target: `-g ${TO_HOST}` }];
  chains[TO_HOST] = [
    { matches: [], target: markTarget(marks.toHost, all) },
    ...encapsulated,
    { matches: [], target: `-j ${dispatchChainName('egress')}` },
    {
      matches: [],
      target: `-j ${options.endpointToHostAction}`,
      comment: 'workload to host, after its egress policy',
    },
  ];

  chains[`${CHAIN_PREFIX}FORWARD`] = [
    { matches: [from], target: `-g ${FORWARDED}` },
    { matches: [to], target: `-g ${FORWARDED}` },
  ];
  chains[FORWARDED] = [
    { matches: [], target: markTarget(0, all) },
    ...encapsulated,
    { matches: [from], target: `-j ${dispatchChainName('egress')}` },
    { matches: [to], target: `-j ${dispatchChainName('ingress')}` },
    // No dispatch returns a packet without this mark: a second line of defence.
    { matches: [markMatch(marks.accept, false)], target: '-j DROP' },
    { matches: [], target: `-j ${options.allowAction}`, comment: 'allowed by policy' },
  ];

  chains[`${CHAIN_PREFIX}OUTPUT`] = [
    { matches: [to], target: '-j RETURN', comment: 'this host to its own workload' },
  ];
  return staticTable(family, 'filter', chains, ['INPUT', 'FORWARD', 'OUTPUT']);
}

function natTable(family: Family, { options }: RenderContext): StaticTable {
  const builtins = ['PREROUTING', 'OUTPUT', 'POSTROUTING'];
  return staticTable(family, 'nat', natChains(family, options.interfacePrefix), builtins);
}

function staticTable(
  family: Family,
  table: TableName,
  specs: Record<string, readonly RuleSpec[]>,
  builtins: readonly string[],
): StaticTable {
  const chains = new Map(Object.entries(specs).map(([name, list]) => [name, renderRules(name, list)]));
  const jumps = builtins.flatMap((builtin) => {
    const [rule] = renderRules(builtin, [{ matches: [], target: `-j ${CHAIN_PREFIX}${builtin}` }]);
    return rule === undefined ? [] : [{ builtin, rule }];
  });
  return { family, table, chains, jumps };
}
