/**
 * The policy of peers that have no filters of their own: safe between a host and its routers without anybody writing a
 * line. It is an ordinary chain, shown to people by its name `builtin`.
 */
import { formatPrefix, type Prefix, parsePrefix } from '../../src/net/prefix.ts';
import type { FilterChain, FilterRule } from './types.ts';

/** Name of the chains that this module makes. */
export const BUILTIN = 'builtin';

/** Rules whose names start so reject a route for an address block that is ours: a conflict that people should see. */
export const OWN_BLOCK_RULE = 'builtin: own block ';

/** Not to be routed between hosts: RFC 6890, RFC 4291. Each with everything inside it. */
const MARTIANS: readonly string[] = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/127',
  'fe80::/10',
  'ff00::/8',
];
const DEFAULT_ROUTES: readonly string[] = ['0.0.0.0/0', '::/0'];

/** What the import guards depend on. */
export interface ImportGuards {
  /** this node's own address blocks, both families */
  readonly ownBlocks: readonly Prefix[];
  /** host routes inside them that are other nodes' to announce: addresses that these have borrowed; default none */
  readonly lent?: readonly Prefix[];
  /** prefixes within which the routes are made by other means than BGP; default none */
  readonly routedOtherwise?: readonly Prefix[];
  /** subnets that the host's links are attached to */
  readonly connectedSubnets: readonly Prefix[];
}

function rejecting(name: string, cidr: Prefix, operator: 'Equal' | 'In'): FilterRule {
  return { name, match: { prefix: { cidr, operator } }, action: 'reject' };
}

function known(texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? []);
}

/** Rules that stand before any filter of an eBGP peer: martians, our own blocks and anything inside them. */
export function guardRules(ownBlocks: readonly Prefix[]): FilterRule[] {
  return [
    ...known(MARTIANS).map((cidr) => rejecting(`builtin: martian ${formatPrefix(cidr)}`, cidr, 'In')),
    ...ownBlocks.map((cidr) => rejecting(`${OWN_BLOCK_RULE}${formatPrefix(cidr)}`, cidr, 'In')),
  ];
}

/**
 * What stands before any filter of a peer: what is routed otherwise stays so, addresses that other nodes have borrowed come in, and nothing
 * else of the guards' does.
 */
export function importGuards(guards: ImportGuards): FilterRule[] {
  return [
    ...(guards.routedOtherwise ?? []).map((cidr) =>
      rejecting(`builtin: routed otherwise ${formatPrefix(cidr)}`, cidr, 'In'),
    ),
    ...(guards.lent ?? []).map(
      (cidr): FilterRule => ({
        name: `builtin: borrowed by another node ${formatPrefix(cidr)}`,
        match: { prefix: { cidr, operator: 'Equal' } },
        action: 'accept',
      }),
    ),
    ...guardRules(guards.ownBlocks),
  ];
}

/** What nobody gets without having asked for it by a filter: default routes, and prefixes equal to a connected subnet. */
export function uninvitedRules(guards: Pick<ImportGuards, 'connectedSubnets'>): FilterRule[] {
  return [
    ...known(DEFAULT_ROUTES).map((cidr) => rejecting('builtin: default route', cidr, 'Equal')),
    ...guards.connectedSubnets.map((cidr) =>
      rejecting(`builtin: connected subnet ${formatPrefix(cidr)}`, cidr, 'Equal'),
    ),
  ];
}

/**
 * Everything but the default routes, martians, our own blocks and what is inside them and not lent, what is routed otherwise, and prefixes
 * equal to a connected subnet.
 */
export function builtinImport(guards: ImportGuards): FilterChain {
  return {
    name: BUILTIN,
    rules: [...importGuards(guards), ...uninvitedRules(guards)],
    fallThrough: 'accept',
  };
}

/** What this node originates, never what it learned. */
export function builtinExport(): FilterChain {
  return {
    name: BUILTIN,
    rules: [{ name: 'builtin: originated here', match: { source: 'local' }, action: 'accept' }],
    fallThrough: 'reject',
  };
}
