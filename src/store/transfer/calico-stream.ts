/**
 * The text that `calicoctl datastore migrate export` writes and `import` reads: resources as YAML, then ClusterInformation as JSON, then
 * IPAM as JSON, with lines of `===` between. Plain Calico YAML, without the other two, is read as well.
 */

import { stringify } from 'yaml';
import { formatProblem, parseDocuments, serialiseResource } from '../../model/documents.ts';
import { isRecord } from '../../model/record.ts';
import { keyOf } from '../../model/types.ts';
import {
  CLUSTER_INFORMATION_KEY,
  IPAM_PREFIX,
  parseIpamKey,
  RESOURCE_PREFIX,
  resourceKey,
} from '../etcd/keys.ts';
import { encodeResource } from '../etcd/resource-json.ts';
import { formatIpamJson, parseIpamJson } from '../ipam-documents.ts';
import { type Entry, groupOf, meaningOf, pluralOf } from './entry.ts';

const SEPARATOR = '===\n';
const SECTIONS = {
  affinity: 'block_affinities',
  block: 'blocks',
  handle: 'handles',
  config: 'config',
} as const;
/** Policies name tiers, and much names nodes: those come first. */
const ORDER = ['nodes', 'tiers', 'profiles', 'ippools', 'bgpconfigurations', 'bgpfilters', 'bgppeers'];

/** Parts of a text that could not be read, one sentence each. */
export class UnreadableStream extends Error {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(`the input cannot be read: ${reasons.slice(0, 5).join('; ')}`);
    this.name = 'UnreadableStream';
    this.reasons = reasons;
  }
}

/** One document for each resource, in an order in which they can be applied: `[name, text]`, the name fit for a file. */
export function resourceDocuments(entries: readonly Entry[]): readonly (readonly [string, string])[] {
  return entries
    .filter(({ key }) => key.startsWith(RESOURCE_PREFIX) && key !== CLUSTER_INFORMATION_KEY)
    .sort((a, b) => rank(a.key) - rank(b.key) || (a.key < b.key ? -1 : 1))
    .map(
      (entry) => [entry.key.slice(RESOURCE_PREFIX.length).replaceAll('/', '.'), resourceYaml(entry)] as const,
    );
}

/** Everything as one text. */
export function formatStream(entries: readonly Entry[]): string {
  const resources = resourceDocuments(entries).map(([, text]) => text);
  return [resources.join('---\n'), clusterInformation(entries), ipamSection(entries)].join(SEPARATOR);
}

/** The second section, which calicoctl demands. */
export function clusterInformation(entries: readonly Entry[]): string {
  const stored = entries.find(({ key }) => key === CLUSTER_INFORMATION_KEY);
  const value: unknown =
    stored === undefined
      ? {
          kind: 'ClusterInformation',
          apiVersion: 'projectcalico.org/v3',
          metadata: { name: 'default', creationTimestamp: null },
          spec: {},
        }
      : JSON.parse(stored.text);
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** The third section. The values are copied letter by letter: their numbers are larger than JSON.parse can hold. */
export function ipamSection(entries: readonly Entry[]): string {
  const sections = new Map<string, string[]>();
  for (const { key, text } of entries) {
    const ipam = key.startsWith(IPAM_PREFIX) ? parseIpamKey(key) : undefined;
    if (ipam === undefined) continue;
    const item = `{"Key": ${JSON.stringify(key)}, "Value": ${text}, "TTL": 0}`;
    const name = SECTIONS[ipam.kind];
    sections.set(name, [...(sections.get(name) ?? []), item]);
  }
  const lines = Array.from(sections, ([name, items]) =>
    name === SECTIONS.config ? `"${name}": ${items[0]}` : `"${name}": [\n  ${items.join(',\n  ')}\n]`,
  );
  return `{${lines.join(',\n')}}\n`;
}

/** Reads such a text, or plain YAML. Throws `UnreadableStream` with everything that is wrong with it. */
export function parseStream(file: string, text: string, nowMs: number): readonly Entry[] {
  const parts = text.split(/^===\n/m);
  if (parts.length !== 1 && parts.length !== 3) {
    throw new UnreadableStream([
      `${file}: expected one or three sections separated by "===", found ${parts.length}`,
    ]);
  }
  const reasons: string[] = [];
  const [resources = '', information, ipam] = parts;
  const entries = [
    ...resourceEntries(file, resources, nowMs, reasons),
    ...(information === undefined ? [] : resourceEntries(file, information, nowMs, reasons)),
    ...(ipam === undefined ? [] : ipamEntries(file, ipam, reasons)),
  ];
  const seen = new Set<string>();
  for (const { key } of entries) {
    if (seen.has(key)) reasons.push(`${file}: ${key} stands there twice`);
    seen.add(key);
  }
  if (reasons.length > 0) throw new UnreadableStream(reasons);
  return entries;
}

/** Whether a text is the third section alone, as in a folder. */
export function parseIpamSection(file: string, text: string): readonly Entry[] {
  const reasons: string[] = [];
  const entries = ipamEntries(file, text, reasons);
  if (reasons.length > 0) throw new UnreadableStream(reasons);
  return entries;
}

function resourceYaml(entry: Entry): string {
  const meaning = meaningOf(entry);
  if (meaning.type === 'resource') {
    const { uid: _uid, creationTimestamp: _at, ...metadata } = meaning.resource.metadata;
    return serialiseResource({ ...meaning.resource, metadata });
  }
  const value: unknown = JSON.parse(entry.text);
  if (!isRecord(value) || !isRecord(value['metadata'])) return stringify(value);
  const { uid: _uid, creationTimestamp: _at, ...metadata } = value['metadata'];
  return stringify({ apiVersion: value['apiVersion'], ...value, metadata });
}

function rank(key: string): number {
  const index = ORDER.indexOf(groupOf(key));
  return index < 0 ? ORDER.length : index;
}

function resourceEntries(file: string, text: string, nowMs: number, reasons: string[]): Entry[] {
  return parseDocuments(text, file).flatMap((parsed): Entry[] => {
    if (parsed.resource !== undefined) {
      const { resource } = parsed;
      return [{ key: resourceKey(keyOf(resource)), text: encodeResource(resource, {}, nowMs) }];
    }
    const plural = parsed.kind === undefined ? undefined : pluralOf(parsed.kind);
    if (plural !== undefined && parsed.name !== undefined && isRecord(parsed.value)) {
      const within = parsed.namespace === undefined ? parsed.name : `${parsed.namespace}/${parsed.name}`;
      return [{ key: `${RESOURCE_PREFIX}${plural}/${within}`, text: JSON.stringify(parsed.value) }];
    }
    reasons.push(...parsed.errors.map((error) => formatProblem(parsed, error)));
    return [];
  });
}

function ipamEntries(file: string, text: string, reasons: string[]): Entry[] {
  let value: unknown;
  try {
    value = parseIpamJson(text);
  } catch (error) {
    reasons.push(
      `${file}: the IPAM section is not JSON (${error instanceof Error ? error.message : String(error)})`,
    );
    return [];
  }
  if (!isRecord(value)) {
    reasons.push(`${file}: the IPAM section must be a map`);
    return [];
  }
  const items = Object.values(SECTIONS).flatMap((name): unknown[] => {
    const section = value[name];
    return section === undefined || section === null ? [] : Array.isArray(section) ? section : [section];
  });
  return items.flatMap((item): Entry[] => {
    if (!isRecord(item) || typeof item['Key'] !== 'string') {
      reasons.push(`${file}: an IPAM document without a Key`);
      return [];
    }
    const key = item['Key'].startsWith('/') ? item['Key'] : `/${item['Key']}`;
    const entry: Entry = { key, text: formatIpamJson(item['Value']) };
    const meaning = meaningOf(entry);
    if (meaning.type === 'ipam') return [entry];
    reasons.push(
      `${file}: ${key}: ${meaning.type === 'invalid' ? meaning.reasons.join('; ') : 'is no key of IPAM'}`,
    );
    return [];
  });
}
