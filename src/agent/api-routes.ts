/** The API's paths, each a few lines over the agent's parts. */

import { jsonList, jsonTexts } from '../api/pieces.ts';
import { problem } from '../api/problem.ts';
import type { ApiRoutes } from '../api/server.ts';
import type { EndpointRequest } from '../api/views.ts';
import { parseSelector } from '../calc/selector/parse.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import { isRecord } from '../model/record.ts';
import type { Agent } from './agent.ts';
import { bgpApiRoutes } from './bgp-routes.ts';
import { readPorts } from './endpoints/ports.ts';
import { fibApiRoutes } from './fib-api.ts';
import { ipamRoutes } from './ipam/routes.ts';
import type { SourceText } from './resources/service.ts';
import { statusPieces } from './status.ts';

/** All paths. */
export function apiRoutes(agent: Agent): ApiRoutes {
  return {
    'GET /v1/status': async () => ({ jsonPieces: await statusPieces(agent) }),
    ...bgpApiRoutes(agent.bgp),
    ...fibApiRoutes(agent.fib.routes),
    'GET /v1/endpoints': () => ({ jsonPieces: jsonList(jsonTexts(agent.endpoints.views())) }),
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
    'POST /v1/apply': async ({ body }) => ({
      json: await agent.resources.apply(readSources(body), {
        dryRun: isRecord(body) && body['dryRun'] === true,
      }),
    }),
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
