/** `GET /v1/bgp/routes`: which paths are asked for, read from the query once, and then found. */
import type { Speaker } from '../../../bgp/speaker.ts';
import type { PathView } from '../../../bgp/types.ts';
import { formatAsPath } from '../../../bgp/wire/format.ts';
import { problem } from '../../api/problem.ts';
import { addressBits, FAMILIES, type Family, parseAddress } from '../../net/address.ts';
import {
  hostPrefix,
  networkAddress,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixesEqual,
  prefixOf,
} from '../../net/prefix.ts';
import { parseAsPathPattern } from './as-path-pattern.ts';
import { parseCommunityPattern } from './community-pattern.ts';

/** How a prefix or address that was given relates to the prefixes wanted. */
export type PrefixMatch = 'exact' | 'longest' | 'covering' | 'covered';
const MATCHES: readonly PrefixMatch[] = ['exact', 'longest', 'covering', 'covered'];

/** Where paths are taken from: the Loc-RIB; a peer's before import policy, after it, those it keeps out; or what a peer is sent. */
export type RouteTable = 'loc-rib' | 'received' | 'accepted' | 'filtered' | 'advertised';

/** `state` of the query. */
const STATES: Readonly<Record<string, (path: PathView) => boolean>> = {
  best: (path) => path.best,
  multipath: (path) => path.best || path.multipath,
  valid: (path) => path.unusable === undefined,
  invalid: (path) => path.unusable !== undefined,
  stale: (path) => path.stale,
};

/** A query, read. */
export interface RoutesQuery {
  readonly table: RouteTable;
  /** name as the caller gave it */
  readonly peer: string | undefined;
  readonly families: readonly Family[];
  readonly wanted: { readonly prefix: Prefix; readonly match: PrefixMatch } | undefined;
  /** all that cannot be found by prefix or peer */
  readonly test: (path: PathView) => boolean;
}

/** Reads the query. Throws an ApiError (invalid) that names what is wrong. */
export function readRoutesQuery(query: URLSearchParams): RoutesQuery {
  const wanted = readWanted(query.get('prefix'), query.get('match'));
  const family = readFamily(query.get('family'));
  const only = wanted?.prefix.family ?? family;
  const { table, peer } = readTable(query);
  return {
    table,
    peer,
    families: only === undefined ? FAMILIES : [only],
    wanted,
    test: allOf([
      ...query.getAll('as-path').map(asPathTest),
      ...query.getAll('community').map(communityTest),
      ...query.getAll('state').map(stateTest),
    ]),
  };
}

function readWanted(text: string | null, how: string | null): RoutesQuery['wanted'] {
  const match = MATCHES.find((each) => each === how);
  if (how !== null && match === undefined)
    throw problem('invalid', `match "${how}": choose ${MATCHES.join(', ')}`);
  if (text === null) {
    if (match !== undefined) throw problem('invalid', `a ${match} match needs a prefix or an address`);
    return undefined;
  }
  const address = parseAddress(text);
  const prefix = address === undefined ? parsePrefix(text) : hostPrefix(address);
  if (prefix === undefined) {
    throw problem(
      'invalid',
      `"${text}" is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32`,
    );
  }
  return { prefix, match: match ?? (address === undefined ? 'exact' : 'longest') };
}

function readFamily(text: string | null): Family | undefined {
  if (text === null) return undefined;
  const family = FAMILIES.find((each) => each === text);
  if (family === undefined) throw problem('invalid', `family "${text}": choose ipv4 or ipv6`);
  return family;
}

function readTable(query: URLSearchParams): { table: RouteTable; peer: string | undefined } {
  const given = (['received', 'accepted', 'filtered', 'advertised'] as const).flatMap((table) => {
    const peer = query.get(table);
    return peer === null ? [] : [{ table, peer }];
  });
  const from = query.get('peer');
  if (given.length + (from === null ? 0 : 1) > 1) {
    throw problem('invalid', 'choose one of peer, received, accepted, filtered and advertised');
  }
  const [one] = given;
  if (one !== undefined) return one;
  return { table: 'loc-rib', peer: from ?? undefined };
}

type Test = (path: PathView) => boolean;

function allOf(tests: readonly Test[]): Test {
  return (path) => tests.every((test) => test(path));
}

/** AS paths whose verdict is remembered: a full table has some ten thousand different ones on many routes each. */
const REMEMBERED_PATHS = 65_536;

function asPathTest(text: string): Test {
  const pattern = parseAsPathPattern(text);
  if (!pattern.ok) throw problem('invalid', `AS path: ${pattern.error}`);
  const known = new Map<string, boolean>();
  return ({ attributes }) => {
    const path = formatAsPath(attributes.asPath);
    let matches = known.get(path);
    if (matches === undefined) {
      matches = pattern.matches(path);
      if (known.size < REMEMBERED_PATHS) known.set(path, matches);
    }
    return matches;
  };
}

function communityTest(text: string): Test {
  const pattern = parseCommunityPattern(text);
  if (!pattern.ok) throw problem('invalid', `community ${pattern.error}`);
  return ({ attributes }) => pattern.matches(attributes);
}

function stateTest(text: string): Test {
  const test = Object.hasOwn(STATES, text) ? STATES[text] : undefined;
  if (test === undefined)
    throw problem('invalid', `state "${text}": choose ${Object.keys(STATES).join(', ')}`);
  return test;
}

/** The paths that a query asks for. `peer`: the RIB's id of the peer that it names. */
export function* findPaths(
  rib: Speaker['rib'],
  query: RoutesQuery,
  peer: number | undefined,
): Generator<PathView> {
  for (const family of query.families) {
    for (const path of tablePaths(rib, query, family, peer)) if (query.test(path)) yield path;
  }
}

function tablePaths(
  rib: Speaker['rib'],
  query: RoutesQuery,
  family: Family,
  peer: number | undefined,
): Iterable<PathView> {
  const { table, wanted } = query;
  if (table === 'advertised') return peer === undefined ? [] : selected(rib.advertised(peer, family), wanted);
  const base = {
    family,
    ...(peer !== undefined && { peer }),
    ...((table === 'received' || table === 'filtered') && { received: true }),
  };
  const paths = ribPaths(rib, base, wanted);
  return table === 'filtered' ? onlyFiltered(paths) : paths;
}

function* onlyFiltered(paths: Iterable<PathView>): Generator<PathView> {
  for (const path of paths) {
    if (path.unusable !== undefined && !path.unusable.startsWith('next-hop-')) yield path;
  }
}

type RibQuery = Parameters<Speaker['rib']['routes']>[0];

function* ribPaths(rib: Speaker['rib'], base: RibQuery, wanted: RoutesQuery['wanted']): Generator<PathView> {
  if (wanted === undefined) yield* rib.routes(base);
  else if (wanted.match === 'covered') yield* rib.routes({ ...base, within: wanted.prefix });
  else if (wanted.match === 'covering') {
    const address = networkAddress(wanted.prefix);
    for (let length = wanted.prefix.length; length >= 0; length--) {
      yield* rib.routes({ ...base, prefix: prefixOf(address, length) });
    }
  } else yield* rib.routes({ ...base, prefix: wanted.prefix, longestMatch: wanted.match === 'longest' });
}

/** What a peer is sent is not indexed by prefix: it is walked. */
function* selected(paths: Iterable<PathView>, wanted: RoutesQuery['wanted']): Generator<PathView> {
  if (wanted === undefined) {
    yield* paths;
    return;
  }
  const { prefix, match } = wanted;
  if (match === 'exact') {
    for (const path of paths) if (prefixesEqual(path.prefix, prefix)) yield path;
  } else if (match === 'covered') {
    for (const path of paths) if (prefixContains(prefix, path.prefix)) yield path;
  } else {
    const byLength: PathView[][] = Array.from({ length: addressBits(prefix.family) + 1 }, () => []);
    for (const path of paths)
      if (prefixContains(path.prefix, prefix)) byLength[path.prefix.length]?.push(path);
    const found = byLength.reverse().filter((list) => list.length > 0);
    yield* (match === 'longest' ? found.slice(0, 1) : found).flat();
  }
}
