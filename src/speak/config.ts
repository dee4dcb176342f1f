/**
 * The file of a stand-alone speaker: Node, BGPConfiguration, BGPPeer and BGPFilter as everywhere, and StaticRoutes. Pure: text in, the whole
 * configuration or every fault of it out.
 */
import type { BgpConfiguration } from '../model/bgp-configuration.ts';
import type { BgpFilter } from '../model/bgp-filter.ts';
import type { BgpPeer } from '../model/bgp-peer.ts';
import { formatProblem, type ParsedDocument, parseDocuments } from '../model/documents.ts';
import type { Node } from '../model/node.ts';
import type { Problem } from '../model/schema.ts';
import { checkSupport } from '../model/support.ts';
import type { Resource } from '../model/types.ts';
import { formatPrefix } from '../net/prefix.ts';
import {
  claimsStaticRoutes,
  readStaticRoutes,
  STATIC_ROUTES,
  type StaticRoute,
  type StaticRoutes,
  toStaticRoute,
} from './static-routes.ts';

/** Kinds that the file may hold. */
const KINDS = ['Node', 'BGPConfiguration', 'BGPPeer', 'BGPFilter', STATIC_ROUTES] as const;

/** Everything that the file says. */
export interface SpeakConfig {
  /** the node that we are */
  readonly node: Node;
  /** all nodes, for the mesh between them */
  readonly nodes: readonly Node[];
  /** that of all nodes, and those of single ones */
  readonly configurations: readonly BgpConfiguration[];
  readonly peers: readonly BgpPeer[];
  readonly filters: readonly BgpFilter[];
  readonly statics: readonly StaticRoute[];
  readonly transit: boolean;
}

/** The outcome of reading: all of it, or at least one line that says what is wrong, where, and what to do. */
export type SpeakConfigResult =
  | { readonly ok: true; readonly config: SpeakConfig; readonly notes: readonly string[] }
  | { readonly ok: false; readonly faults: readonly string[] };

/** Who we are among the Nodes of the file. */
export interface OwnName {
  /** as given; the file must have a Node of that name */
  readonly given?: string | undefined;
  /** of the machine: taken when the file has several Nodes */
  readonly host: string;
}

interface Contents {
  readonly nodes: Node[];
  readonly configurations: BgpConfiguration[];
  readonly peers: BgpPeer[];
  readonly filters: BgpFilter[];
  readonly statics: { readonly parsed: ParsedDocument; readonly routes: StaticRoutes }[];
  readonly faults: string[];
  readonly notes: string[];
}

/** Reads the file's text. Never throws. */
export function readSpeakConfig(text: string, file: string, own: OwnName): SpeakConfigResult {
  const contents = collect(parseDocuments(text, file));
  const { nodes, faults, notes } = contents;
  const node = faults.length === 0 ? chooseNode(nodes, file, own, faults) : undefined;
  if (faults.length === 0) checkFilterNames(contents, file);
  const statics = readRoutes(contents);
  const transit = readTransit(contents);
  if (node === undefined || faults.length > 0) return { ok: false, faults };
  const { configurations, peers, filters } = contents;
  return { ok: true, config: { node, nodes, configurations, peers, filters, statics, transit }, notes };
}

function collect(documents: readonly ParsedDocument[]): Contents {
  const contents: Contents = {
    nodes: [],
    configurations: [],
    peers: [],
    filters: [],
    statics: [],
    faults: [],
    notes: [],
  };
  const seen = new Map<string, ParsedDocument>();
  for (const parsed of documents) {
    const fault = (problem: Problem): void => void contents.faults.push(formatProblem(parsed, problem));
    const name = `${parsed.kind} ${parsed.name}`;
    const earlier = parsed.name === undefined ? undefined : seen.get(name);
    if (earlier !== undefined) {
      fault({ path: 'metadata.name', reason: `document ${earlier.document} is ${name} already: rename one` });
      continue;
    }
    seen.set(name, parsed);
    if (claimsStaticRoutes(parsed.value)) {
      const read = readStaticRoutes(parsed.value);
      if (read.ok) contents.statics.push({ parsed, routes: read.routes });
      else for (const problem of read.errors) fault(problem);
      continue;
    }
    if (parsed.resource === undefined) {
      for (const problem of parsed.errors) fault(kindsHint(problem));
      continue;
    }
    const support = checkSupport(parsed.resource);
    for (const problem of support.refused) fault(problem);
    for (const problem of support.ignored) contents.notes.push(formatProblem(parsed, problem));
    if (!place(parsed.resource, contents)) {
      fault({
        path: 'kind',
        reason: `a speaker alone has no use for it: expected one of ${KINDS.join(', ')}`,
      });
    }
  }
  return contents;
}

// Of a kind that nobody knows the common reader names all that the agent takes.
function kindsHint(problem: Problem): Problem {
  if (problem.path !== 'kind') return problem;
  const [what] = problem.reason.split(/[:;]/);
  return { path: problem.path, reason: `${what}: expected one of ${KINDS.join(', ')}` };
}

function place(resource: Resource, into: Contents): boolean {
  switch (resource.kind) {
    case 'Node':
      into.nodes.push(resource);
      return true;
    case 'BGPConfiguration':
      into.configurations.push(resource);
      return true;
    case 'BGPPeer':
      into.peers.push(resource);
      return true;
    case 'BGPFilter':
      into.filters.push(resource);
      return true;
    default:
      return false;
  }
}

function chooseNode(nodes: readonly Node[], file: string, own: OwnName, faults: string[]): Node | undefined {
  const wanted = own.given ?? (nodes.length === 1 ? nodes[0]?.metadata.name : own.host);
  const node = nodes.find(({ metadata }) => metadata.name === wanted);
  if (node !== undefined) return node;
  const names = nodes.map(({ metadata }) => metadata.name).join(', ');
  if (nodes.length === 0) {
    faults.push(
      `${file}: no Node: add one with our AS number and address, such as ` +
        '{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: r1}, spec: {bgp: {asNumber: 65001, ipv4Address: 192.0.2.1/24}}}',
    );
  } else if (own.given !== undefined) {
    faults.push(`${file}: no Node ${own.given}: --node must name one of ${names}`);
  } else {
    faults.push(
      `${file}: several Nodes (${names}), none named ${own.host} as this host: say which is ours with --node`,
    );
  }
  return undefined;
}

function checkFilterNames({ peers, filters, faults }: Contents, file: string): void {
  const known = new Set(filters.map(({ metadata }) => metadata.name));
  for (const { metadata, spec } of peers) {
    for (const [index, name] of (spec.filters ?? []).entries()) {
      if (known.has(name)) continue;
      faults.push(
        `${file}: BGPPeer ${metadata.name}: spec.filters[${index}]: there is no BGPFilter ${name}: add it to the file, ` +
          'or take the name out',
      );
    }
  }
}

function readRoutes({ statics, faults }: Contents): StaticRoute[] {
  const seen = new Map<string, string>();
  const routes: StaticRoute[] = [];
  for (const { parsed, routes: document } of statics) {
    for (const [index, spec] of (document.spec.routes ?? []).entries()) {
      const route = toStaticRoute(spec);
      if (route === undefined) continue;
      const prefix = formatPrefix(route.prefix);
      const place = `${STATIC_ROUTES} ${document.metadata.name}, spec.routes[${index}]`;
      const earlier = seen.get(prefix);
      if (earlier !== undefined) {
        const reason = `${prefix} stands already at ${earlier}: remove one`;
        faults.push(formatProblem(parsed, { path: `spec.routes[${index}].prefix`, reason }));
      }
      seen.set(prefix, place);
      routes.push(route);
    }
  }
  return routes;
}

function readTransit({ statics, faults }: Contents): boolean {
  let found: { readonly value: boolean; readonly where: string } | undefined;
  for (const { parsed, routes } of statics) {
    const { transit } = routes.spec;
    if (transit === undefined) continue;
    if (found !== undefined && found.value !== transit) {
      const reason = `${STATIC_ROUTES} ${found.where} says ${found.value}: set it in one place`;
      faults.push(formatProblem(parsed, { path: 'spec.transit', reason }));
    }
    found ??= { value: transit, where: routes.metadata.name };
  }
  return found?.value ?? true;
}
