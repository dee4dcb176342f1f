/**
 * BGPFilters as the chains of a session: what guards the host stands first, then the filters' rules in order, then Calico's fall-through:
 * import accepts, export goes on to what this node sends by itself. Pure.
 */
import {
  BUILTIN,
  builtinImport,
  type ImportGuards,
  importGuards,
  uninvitedRules,
} from '../../../bgp/policy/builtin.ts';
import { interfaceGlob } from '../../../bgp/policy/interface-glob.ts';
import type { FilterChain, FilterMatch, FilterOperation, FilterRule } from '../../../bgp/policy/types.ts';
import type { BgpFilter, BgpFilterOperation, BgpFilterRule } from '../../model/bgp-filter.ts';
import { addressBits, type Family } from '../../net/address.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../../net/prefix.ts';
import { originAttributes, parseCommunity, type TaggedPrefix } from './configuration.ts';

/** Calico carries a route's priority (a metric: the lower the better) in LOCAL_PREF, as this minus the priority. */
const PRIORITY_BASE = 2147483647;
/** Priority of routes for which nobody asks for another; those that we originate say nothing of it. */
const NORMAL_PRIORITY = 1024;

/** What the chains of a session are made of. */
export interface PolicySources {
  readonly guards: ImportGuards;
  /** all BGPFilters */
  readonly filters: readonly BgpFilter[];
  /** what this node sends where no filter decides, in order; everything else is rejected */
  readonly exported: readonly FilterRule[];
}

/** Both chains, and the named filters that do not exist. */
export interface SessionPolicies {
  readonly importPolicy: FilterChain;
  readonly exportPolicy: FilterChain;
  readonly missing: readonly string[];
}

/**
 * The chains of a session with these filters; without any they are the `builtin` ones. `interfaceName` is the link that leads to the peer,
 * as far as it is known: `interface` of import rules is compared with it. A filter that does not exist opens nothing: what needs an
 * invitation stays out then.
 */
export function sessionPolicies(
  sources: PolicySources,
  names: readonly string[],
  interfaceName: string | undefined,
): SessionPolicies {
  const found = names.flatMap((name) => sources.filters.find((each) => each.metadata.name === name) ?? []);
  const missing = names.filter((name) => !found.some((each) => each.metadata.name === name));
  if (found.length === 0) {
    return {
      importPolicy: builtinImport(sources.guards),
      exportPolicy: { name: BUILTIN, rules: sources.exported, fallThrough: 'reject' },
      missing,
    };
  }
  const name = found.map((filter) => filter.metadata.name).join(', ');
  const rules = (direction: 'import' | 'export'): FilterRule[] =>
    found.flatMap((filter) => filterRules(filter, direction, interfaceName));
  return {
    importPolicy: {
      name,
      rules: [
        ...importGuards(sources.guards),
        ...rules('import'),
        ...(missing.length > 0 ? uninvitedRules(sources.guards) : []),
      ],
      fallThrough: 'accept',
    },
    exportPolicy: { name, rules: [...rules('export'), ...sources.exported], fallThrough: 'reject' },
    missing,
  };
}

/**
 * What a node sends by itself: what it originates, and as a route reflector to its own AS what it learned of `reflected`. Either gets the
 * communities of the `tagged` prefixes that it is inside of; what a BGPFilter accepts does not come here and gets none (as in Calico).
 */
export function exportedRules(
  reflected: readonly Prefix[],
  tagged: readonly TaggedPrefix[] = [],
): FilterRule[] {
  const plain: FilterRule[] = [
    { name: 'builtin: originated here', match: { source: 'local' }, action: 'accept' },
    ...reflected.map(
      (cidr): FilterRule => ({
        name: 'builtin: reflected',
        match: { source: 'peer', peerKind: 'ibgp', prefix: { cidr, operator: 'In' } },
        action: 'accept',
      }),
    ),
  ];
  // The first match decides: the longest prefixes stand first, each with the communities of those around it.
  const cidrs = new Map(tagged.map(({ cidr }) => [formatPrefix(cidr), cidr]));
  const longestFirst = [...cidrs.values()].sort((a, b) => b.length - a.length);
  return [...longestFirst.flatMap((cidr) => plain.map((rule) => withTags(rule, cidr, tagged))), ...plain];
}

function withTags(rule: FilterRule, cidr: Prefix, tagged: readonly TaggedPrefix[]): FilterRule {
  const { communities = [], largeCommunities = [] } = originAttributes(cidr, tagged);
  return {
    ...rule,
    match: {
      ...rule.match,
      prefixList: [{ cidr, minLength: cidr.length, maxLength: addressBits(cidr.family) }],
    },
    operations: [...communities, ...largeCommunities].map(
      (community): FilterOperation => ({ kind: 'add-community', community }),
    ),
  };
}

/** The rules of one filter for one direction, both families. */
export function filterRules(
  filter: BgpFilter,
  direction: 'import' | 'export',
  interfaceName: string | undefined,
): FilterRule[] {
  const { spec, metadata } = filter;
  const lists =
    direction === 'import'
      ? ([
          ['ipv4', 'importV4', spec.importV4],
          ['ipv6', 'importV6', spec.importV6],
        ] as const)
      : ([
          ['ipv4', 'exportV4', spec.exportV4],
          ['ipv6', 'exportV6', spec.exportV6],
        ] as const);
  return lists.flatMap(([family, field, rules]) =>
    (rules ?? []).flatMap((rule, index) => {
      const isImport = direction === 'import';
      if (isImport && rule.interface !== undefined && !matchesGlob(rule.interface, interfaceName)) return [];
      // On the way in it is the link of the session, on the way out that of each route.
      const exit = isImport || rule.interface === undefined ? {} : { interface: rule.interface };
      const name = `BGPFilter ${metadata.name} ${field}[${index}]`;
      const operations = (rule.operations ?? []).flatMap(toOperation);
      return toMatches(rule, family).map(
        (match): FilterRule => ({
          name,
          match: { ...match, ...exit },
          action: rule.action === 'Accept' ? 'accept' : 'reject',
          ...(operations.length > 0 && { operations }),
        }),
      );
    }),
  );
}

/** Whether a filter has export rules that name an interface. */
export function hasExportInterface({ spec }: BgpFilter): boolean {
  return [...(spec.exportV4 ?? []), ...(spec.exportV6 ?? [])].some((rule) => rule.interface !== undefined);
}

// One rule of Calico's may need several conditions of which any suffices.
function toMatches(rule: BgpFilterRule, family: Family): FilterMatch[] {
  const community = rule.communities?.values[0];
  const base: FilterMatch = {
    ...(rule.source !== undefined && { source: 'peer' }),
    ...(rule.peerType !== undefined && { peerKind: rule.peerType === 'eBGP' ? 'ebgp' : 'ibgp' }),
    ...(community !== undefined && { community: parseCommunity(community) }),
    ...(rule.asPathPrefix !== undefined && { asPathPrefix: rule.asPathPrefix }),
  };
  const prefixes = prefixMatches(rule, family).map((match) => ({ ...base, ...match }));
  const { priority } = rule;
  if (priority === undefined) return prefixes;
  const byValue = prefixes.map((match) => ({ ...match, localPref: PRIORITY_BASE - priority }));
  if (priority !== NORMAL_PRIORITY || rule.source !== undefined) return byValue;
  return [...byValue, ...prefixes.map((match): FilterMatch => ({ ...match, source: 'local' }))];
}

function prefixMatches(rule: BgpFilterRule, family: Family): FilterMatch[] {
  const bits = family === 'ipv4' ? 32 : 128;
  const cidr = parsePrefix(rule.cidr ?? (family === 'ipv4' ? '0.0.0.0/0' : '::/0'));
  if (cidr === undefined) return [];
  const operator = rule.cidr === undefined ? 'In' : (rule.matchOperator ?? 'In');
  if (rule.prefixLength === undefined) return [{ prefix: { cidr, operator } }];
  const min = Math.max(rule.prefixLength.min ?? cidr.length, cidr.length);
  const max = rule.prefixLength.max ?? bits;
  // `NotIn` denies the whole of "inside, and of such a length": what is inside and shorter or longer matches too.
  if (operator !== 'NotIn')
    return [{ prefix: { cidr, operator }, prefixLength: { min: rule.prefixLength.min ?? 0, max } }];
  const others = [
    { cidr, minLength: cidr.length, maxLength: min - 1 },
    { cidr, minLength: Math.max(max + 1, cidr.length), maxLength: addressBits(family) },
  ].filter(({ minLength, maxLength }) => minLength <= maxLength);
  return [{ prefix: { cidr, operator } }, ...(others.length > 0 ? [{ prefixList: others }] : [])];
}

function toOperation(operation: BgpFilterOperation): FilterOperation[] {
  if (operation.addCommunity !== undefined)
    return [{ kind: 'add-community', community: parseCommunity(operation.addCommunity.value) }];
  if (operation.prependASPath !== undefined)
    return [{ kind: 'prepend-as-path', asNumbers: operation.prependASPath.prefix }];
  if (operation.setPriority !== undefined)
    return [{ kind: 'set-local-pref', value: PRIORITY_BASE - operation.setPriority.value }];
  return [];
}

/** `*` stands for any characters. */
export function matchesGlob(pattern: string, text: string | undefined): boolean {
  return text !== undefined && interfaceGlob(pattern)(text);
}
