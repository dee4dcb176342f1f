/**
 * A lab's topology: the part of containerlab's file format that our own files use. Anything else in a file is refused by
 * name and line, so that no lab silently differs from what containerlab would build. Pure: text in, values out.
 */
import { splitWords } from './words.ts';
import { Place } from './yaml-reader.ts';

/** What runs in a node: an Ocicat agent, FRR or BIRD. */
export type Role = 'host' | 'frr' | 'bird';

const ROLES: readonly Role[] = ['host', 'frr', 'bird'];

/** A file or folder that shows up inside a node. */
export interface Bind {
  /** Relative to the topology file. */
  readonly source: string;
  /** Absolute, inside the node. */
  readonly target: string;
  readonly readOnly: boolean;
}

/** A command of the node's `exec` list. */
export interface Command {
  readonly line: string;
  readonly words: readonly string[];
}

export interface TopologyNode {
  readonly name: string;
  readonly role: Role;
  readonly image: string;
  readonly binds: readonly Bind[];
  /** In order, each after the one before has ended, once the links are up. */
  readonly exec: readonly Command[];
}

/** One end of a link. */
export interface Endpoint {
  readonly node: string;
  /** eth1, eth2 ... */
  readonly device: string;
}

export interface Link {
  readonly a: Endpoint;
  readonly b: Endpoint;
}

export interface Topology {
  readonly name: string;
  readonly nodes: readonly TopologyNode[];
  readonly links: readonly Link[];
}

/** What nodes and labs may be called. */
export const NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const NODE_KEYS = ['kind', 'image', 'network-mode', 'labels', 'binds', 'exec'];

/** Parses a topology file. Throws a `FileError` that names line and key. */
export function parseTopology(file: string, text: string): Topology {
  const top = Place.parse(file, text);
  const entries = top.entries(['name', 'topology']);
  const name = named(need(top, entries, 'name'));
  const body = need(top, entries, 'topology');
  const parts = body.entries(['nodes', 'links']);
  const nodes = [...need(body, parts, 'nodes').entries()].map(([key, place]) => parseNode(key, place));
  if (nodes.length === 0) throw body.error('there is no node');
  const taken = new Set<string>();
  const links = (parts.get('links')?.items() ?? []).map((place) => parseLink(place, nodes, taken));
  return { name, nodes, links };
}

function need(place: Place, entries: ReadonlyMap<string, Place>, key: string): Place {
  const value = entries.get(key);
  if (value === undefined) throw place.error(`the key "${key}" is missing`);
  return value;
}

function named(place: Place): string {
  const name = place.text();
  if (!NAME.test(name)) throw place.error(`"${name}" is no name: up to 32 of a-z, 0-9 and "-"`);
  return name;
}

function parseNode(name: string, place: Place): TopologyNode {
  if (!NAME.test(name)) throw place.error(`"${name}" is no name: up to 32 of a-z, 0-9 and "-"`);
  const entries = place.entries(NODE_KEYS);
  mustBe(need(place, entries, 'kind'), 'linux');
  mustBe(need(place, entries, 'network-mode'), 'none');
  const image = need(place, entries, 'image').text();
  const labels = need(place, entries, 'labels');
  const roleAt = need(labels, labels.entries(['ocicat.role']), 'ocicat.role');
  const role = ROLES.find((candidate) => candidate === roleAt.text());
  if (role === undefined) throw roleAt.error(`"${roleAt.text()}" is not one of ${ROLES.join(', ')}`);
  const binds = (entries.get('binds')?.items() ?? []).map(parseBind);
  const exec = (entries.get('exec')?.items() ?? []).map(parseCommand);
  return { name, role, image, binds, exec };
}

function mustBe(place: Place, wanted: string): void {
  if (place.text() !== wanted) throw place.error(`the lab builds nothing but "${wanted}" here`);
}

function parseBind(place: Place): Bind {
  const [source = '', target = '', mode, ...rest] = place.text().split(':');
  if (source === '' || !target.startsWith('/') || rest.length > 0) {
    throw place.error('a bind is SOURCE:/ABSOLUTE/TARGET or SOURCE:/ABSOLUTE/TARGET:ro');
  }
  if (mode !== undefined && mode !== 'ro')
    throw place.error(`the lab does not know the bind option "${mode}"`);
  if (source.startsWith('/')) throw place.error('the source of a bind is relative to this file');
  return { source, target, readOnly: mode === 'ro' };
}

function parseCommand(place: Place): Command {
  const line = place.text();
  const split = splitWords(line);
  if (!split.ok) throw place.error(split.reason);
  return { line, words: split.words };
}

function parseLink(place: Place, nodes: readonly TopologyNode[], taken: Set<string>): Link {
  const endpoints = need(place, place.entries(['endpoints']), 'endpoints');
  const [a, b, ...rest] = endpoints.items().map((end) => parseEndpoint(end, nodes, taken));
  if (a === undefined || b === undefined || rest.length > 0)
    throw endpoints.error('a link has two endpoints');
  return { a, b };
}

function parseEndpoint(place: Place, nodes: readonly TopologyNode[], taken: Set<string>): Endpoint {
  const text = place.text();
  const match = /^([^:]+):(eth[1-9]\d{0,2})$/.exec(text);
  const [, node, device] = match ?? [];
  if (node === undefined || device === undefined)
    throw place.error(`"${text}" is not NODE:ethN with N from 1`);
  if (!nodes.some((candidate) => candidate.name === node)) throw place.error(`there is no node "${node}"`);
  if (taken.has(text)) throw place.error(`"${text}" is already an end of another link`);
  taken.add(text);
  return { node, device };
}
