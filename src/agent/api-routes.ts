/** The API's paths, each a few lines over the agent's parts. */
import type { PathView } from '../../bgp/types.ts';
import { problem } from '../api/problem.ts';
import type { ApiRequest, ApiRoutes } from '../api/server.ts';
import type { EndpointRequest, PathRow } from '../api/views.ts';
import { parseSelector } from '../calc/selector/parse.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import { type Address, addressesEqual, FAMILIES, type Family, parseAddress } from '../net/address.ts';
import { hostPrefix, type Prefix, parsePrefix, prefixContainsAddress, prefixesEqual } from '../net/prefix.ts';
import type { Agent } from './agent.ts';
import { pathRow, peerView } from './bgp/views.ts';
import { readPorts } from './endpoints/ports.ts';
import { fibRoutes, fibRoutesOfAddress, fibRoutesOfPrefix } from './fib-views.ts';
import { ipamRoutes } from './ipam/routes.ts';
import type { SourceText } from './resources/service.ts';
import { readStatus } from './status.ts';

/** All paths. */
export function apiRoutes(agent: Agent): ApiRoutes {
  return {
    'GET /v1/status': async () => ({ json: await readStatus(agent) }),
    'GET /v1/bgp/peers': () => ({
      json: (agent.bgp.speaker?.peers() ?? []).map((status) =>
        peerView(status, agent.bgp.resourceOf(status.name)),
      ),
    }),
    'GET /v1/bgp/peers/:peer': ({ params }) => {
      const name = peerName(agent, params['peer'] ?? '');
      const status = agent.bgp.speaker?.peer(name);
      if (status === undefined) throw unknownPeer(agent, name);
      return { json: peerView(status, agent.bgp.resourceOf(name)) };
    },
    'GET /v1/bgp/routes': (request) => ({ rows: bgpRoutes(agent, request) }),
    'GET /v1/routes': ({ query }) => {
      const text = query.get('prefix');
      if (text === null) return { rows: fibRoutes(agent.fib.routes) };
      const wanted = prefixOrAddress(text);
      return {
        rows:
          'address' in wanted
            ? fibRoutesOfAddress(agent.fib.routes, wanted.address)
            : fibRoutesOfPrefix(agent.fib.routes, wanted.prefix),
      };
    },
    'GET /v1/endpoints': () => ({ json: agent.endpoints.views() }),
    'POST /v1/endpoints': async ({ body }) => {
      requireReady(agent);
      requireUnlocked(agent);
      return { json: await agent.endpoints.add(readEndpointRequest(body)) };
    },
    'DELETE /v1/endpoints/:namespace/:name': async ({ params }) => {
      requireReady(agent);
      requireUnlocked(agent);
      return { json: await agent.endpoints.delete(params['namespace'] ?? '', params['name'] ?? '') };
    },
    'POST /v1/cni': async ({ body, signal }) => ({ json: await agent.cni.handle(body, signal) }),
    'POST /v1/apply': async ({ body }) => ({ json: await agent.resources.apply(readSources(body)) }),
    'POST /v1/delete': async ({ body }) => ({
      json: await agent.resources.deleteDocuments(readSources(body)),
    }),
    'GET /v1/resources/:kind': async ({ params, query }) => ({
      json: await agent.resources.list(params['kind'] ?? '', query.get('namespace') ?? undefined),
    }),
    'GET /v1/resources/:kind/:name': async ({ params, query }) => ({
      json: await agent.resources.get(
        params['kind'] ?? '',
        params['name'] ?? '',
        query.get('namespace') ?? undefined,
      ),
    }),
    'DELETE /v1/resources/:kind/:name': async ({ params, query }) => ({
      json: await agent.resources.delete(
        params['kind'] ?? '',
        params['name'] ?? '',
        query.get('namespace') ?? undefined,
      ),
    }),
    ...ipamRoutes(agent.ipamService, () => requireReady(agent)),
    'GET /v1/selector': ({ query }) => ({ json: selectorMatches(agent, query.get('expression') ?? '') }),
  };
}

/** While the store's contents move elsewhere, a change of addresses would be lost. */
function requireUnlocked(agent: Agent): void {
  const reason = agent.store.lockReason();
  if (reason === undefined) return;
  throw problem('unavailable', reason, {
    hint: 'It ends with "ocicat datastore unlock", or "calicoctl datastore migrate unlock".',
  });
}

function requireReady(agent: Agent): void {
  if (agent.isReady) return;
  throw problem(
    'unavailable',
    `the agent is not ready yet${agent.startError === undefined ? '' : `: ${agent.startError}`}`,
    {
      hint: 'See "ocicat status"; "ocicat status --wait 30s" waits for it.',
    },
  );
}

function* bgpRoutes(agent: Agent, { query }: ApiRequest): Generator<PathRow> {
  const { speaker } = agent.bgp;
  if (speaker === undefined) return;
  const text = query.get('prefix');
  const wanted = text === null ? undefined : prefixOrAddress(text);
  const only = readFamily(query.get('family'));
  const family =
    wanted === undefined ? only : 'address' in wanted ? wanted.address.family : wanted.prefix.family;
  for (const each of FAMILIES) {
    if (family !== undefined && family !== each) continue;
    for (const path of pathsOf(agent, query, each, wanted)) yield pathRow(path);
  }
}

type Wanted = { readonly address: Address } | { readonly prefix: Prefix };

function pathsOf(
  agent: Agent,
  query: URLSearchParams,
  family: Family,
  wanted: Wanted | undefined,
): Iterable<PathView> {
  const { speaker } = agent.bgp;
  if (speaker === undefined) return [];
  const peer = query.get('received') ?? query.get('advertised');
  const which =
    wanted === undefined
      ? {}
      : 'address' in wanted
        ? { prefix: hostPrefix(wanted.address), longestMatch: true }
        : { prefix: wanted.prefix };
  if (peer === null) return speaker.rib.routes({ family, ...which });
  const name = peerName(agent, peer);
  const id = speaker.ribPeerId(name);
  if (id === undefined) throw unknownPeer(agent, peer);
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

function peerName(agent: Agent, text: string): string {
  const address = parseAddress(text);
  const found = agent.bgp.peers.find(
    ({ config, resource }) =>
      config.name === text ||
      resource === text ||
      resource === `BGPPeer ${text}` ||
      (address !== undefined && addressesEqual(config.address, address)),
  );
  return found?.config.name ?? text;
}

function unknownPeer(agent: Agent, name: string): Error {
  const known = agent.bgp.peers.map(({ config }) => config.name).join(', ');
  return problem('not-found', `there is no BGP peer ${name}`, {
    hint: known === '' ? 'This node has no peers.' : `Peers are ${known}.`,
  });
}

function prefixOrAddress(text: string): Wanted {
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

function selectorMatches(agent: Agent, expression: string): unknown {
  const parsed = parseSelector(expression);
  if (!parsed.ok) throw problem('invalid', `selector: ${parsed.error}`);
  return {
    canonical: parsed.selector.canonical,
    matches: agent.policyFeed.matching(parsed.selector).map((key) => nameOfMatch(agent, key)),
  };
}

// People know an endpoint by the name they gave it, not by its resource's.
function nameOfMatch(agent: Agent, key: ResourceKey): ResourceKey {
  if (key.kind !== 'WorkloadEndpoint') return key;
  const workload = agent.cache.get('WorkloadEndpoint', key.name, key.namespace)?.spec.workload;
  return workload === undefined ? key : { ...key, name: workload };
}

function readSources(body: unknown): SourceText[] {
  if (isRecord(body) && Array.isArray(body['documents'])) {
    const sources = body['documents'].flatMap((each: unknown) =>
      isRecord(each) && typeof each['file'] === 'string' && typeof each['text'] === 'string'
        ? [{ file: each['file'], text: each['text'] }]
        : [],
    );
    if (sources.length === body['documents'].length) return sources;
  }
  throw problem('invalid', 'expected {"documents": [{"file", "text"}]}');
}

function readEndpointRequest(body: unknown): EndpointRequest {
  if (!isRecord(body)) throw problem('invalid', 'expected {"name", "netns", ...}');
  const name = body['name'];
  const netns = body['netns'];
  if (typeof name !== 'string' || typeof netns !== 'string')
    throw problem('invalid', 'an endpoint needs a name and a netns');
  const text = (key: string): string | undefined => {
    const value = body[key];
    if (value === undefined || typeof value === 'string') return value;
    throw problem('invalid', `${key}: must be a text`);
  };
  const texts = (key: string): string[] | undefined => {
    const value = body[key];
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw problem('invalid', `${key}: must be a list`);
    return value.map((each: unknown) => {
      if (typeof each !== 'string') throw problem('invalid', `${key}: must be a list of texts`);
      return each;
    });
  };
  const labels = readLabels(body['labels']);
  const namespace = text('namespace');
  const interfaceName = text('interface');
  const ips = texts('ips');
  const profiles = texts('profiles');
  const ports = readPorts(body['ports']);
  return {
    name,
    netns,
    ...(labels === undefined ? {} : { labels }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(interfaceName === undefined ? {} : { interface: interfaceName }),
    ...(ips === undefined ? {} : { ips }),
    ...(profiles === undefined ? {} : { profiles }),
    ...(ports === undefined ? {} : { ports }),
  };
}

function readLabels(value: unknown): Record<string, string> | undefined {
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw problem('invalid', 'labels: must be a map of texts');
  const labels: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw problem('invalid', `label ${key}: must be a text`);
    labels[key] = text;
  }
  return labels;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
