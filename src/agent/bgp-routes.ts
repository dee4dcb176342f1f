/** The API's paths on BGP sessions and routes: the same for whoever holds a speaker. */
import type { Speaker } from '../../bgp/speaker.ts';
import type { PathView } from '../../bgp/types.ts';
import { problem } from '../api/problem.ts';
import type { ApiRequest, ApiRoutes } from '../api/server.ts';
import type { PathRow } from '../api/views.ts';
import { type Address, addressesEqual, FAMILIES, type Family, parseAddress } from '../net/address.ts';
import { hostPrefix, type Prefix, parsePrefix, prefixContainsAddress, prefixesEqual } from '../net/prefix.ts';
import type { NodePeer } from './bgp/peers.ts';
import { pathRow, peerView } from './bgp/views.ts';

/** A speaker with the resources that its peers come from; asked anew for each request. */
export interface BgpSource {
  /** undefined while there is none */
  readonly speaker: Speaker | undefined;
  readonly peers: readonly NodePeer[];
  /** the resource that a peer comes from */
  resourceOf(peer: string): string;
}

/** `GET /v1/bgp/...` */
export function bgpApiRoutes(source: BgpSource): ApiRoutes {
  return {
    'GET /v1/bgp/peers': () => ({
      json: (source.speaker?.peers() ?? []).map((status) => peerView(status, source.resourceOf(status.name))),
    }),
    'GET /v1/bgp/peers/:peer': ({ params }) => {
      const name = peerName(source, params['peer'] ?? '');
      const status = source.speaker?.peer(name);
      if (status === undefined) throw unknownPeer(source, name);
      return { json: peerView(status, source.resourceOf(name)) };
    },
    'GET /v1/bgp/routes': (request) => ({ rows: bgpRoutes(source, request) }),
  };
}

function* bgpRoutes(source: BgpSource, { query }: ApiRequest): Generator<PathRow> {
  const { speaker } = source;
  if (speaker === undefined) return;
  const text = query.get('prefix');
  const wanted = text === null ? undefined : prefixOrAddress(text);
  const only = readFamily(query.get('family'));
  const family =
    wanted === undefined ? only : 'address' in wanted ? wanted.address.family : wanted.prefix.family;
  for (const each of FAMILIES) {
    if (family !== undefined && family !== each) continue;
    for (const path of pathsOf(source, query, each, wanted)) yield pathRow(path);
  }
}

/** What a query names: an address for its longest match, or a prefix. */
export type Wanted = { readonly address: Address } | { readonly prefix: Prefix };

function pathsOf(
  source: BgpSource,
  query: URLSearchParams,
  family: Family,
  wanted: Wanted | undefined,
): Iterable<PathView> {
  const { speaker } = source;
  if (speaker === undefined) return [];
  const peer = query.get('received') ?? query.get('advertised');
  const which =
    wanted === undefined
      ? {}
      : 'address' in wanted
        ? { prefix: hostPrefix(wanted.address), longestMatch: true }
        : { prefix: wanted.prefix };
  if (peer === null) return speaker.rib.routes({ family, ...which });
  const name = peerName(source, peer);
  const id = speaker.ribPeerId(name);
  if (id === undefined) throw unknownPeer(source, peer);
  if (query.has('received')) return speaker.rib.routes({ family, peer: id, received: true, ...which });
  return withinWanted(speaker.rib.advertised(id, family), wanted);
}

function* withinWanted(paths: Iterable<PathView>, wanted: Wanted | undefined): Generator<PathView> {
  if (wanted === undefined) {
    yield* paths;
    return;
  }
  let best: PathView | undefined;
  for (const path of paths) {
    if ('prefix' in wanted) {
      if (prefixesEqual(path.prefix, wanted.prefix)) yield path;
    } else if (
      prefixContainsAddress(path.prefix, wanted.address) &&
      (best === undefined || path.prefix.length > best.prefix.length)
    )
      best = path;
  }
  if (best !== undefined) yield best;
}

function peerName(source: BgpSource, text: string): string {
  const address = parseAddress(text);
  const found = source.peers.find(
    ({ config, resource }) =>
      config.name === text ||
      resource === text ||
      resource === `BGPPeer ${text}` ||
      (address !== undefined && addressesEqual(config.address, address)),
  );
  return found?.config.name ?? text;
}

function unknownPeer(source: BgpSource, name: string): Error {
  const known = source.peers.map(({ config }) => config.name).join(', ');
  return problem('not-found', `there is no BGP peer ${name}`, {
    hint: known === '' ? 'This node has no peers.' : `Peers are ${known}.`,
  });
}

/** Reads what a query names; throws a problem. */
export function prefixOrAddress(text: string): Wanted {
  const address = parseAddress(text);
  if (address !== undefined) return { address };
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return { prefix };
  throw problem(
    'invalid',
    `"${text}" is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32`,
  );
}

function readFamily(text: string | null): Family | undefined {
  if (text === null) return undefined;
  const family = FAMILIES.find((each) => each === text);
  if (family === undefined) throw problem('invalid', `family "${text}": choose ipv4 or ipv6`);
  return family;
}
