/**
 * Files of resources: YAML with several documents, JSON, lists. Reading collects every error with its document and path; writing
 * gives YAML that people like to read.
 */
import { type Document, isScalar, parseAllDocuments, type ScalarTag, stringify, visit } from 'yaml';
import { checkLaterKind } from './later-kinds.ts';
import type { ResourceKey } from './metadata-types.ts';
import { readResource } from './registry.ts';
import { isMap, type Problem } from './schema.ts';
import type { Resource } from './types.ts';
import { keyOf } from './types.ts';

/** One resource of a file, read or refused. A `List` gives one of these for each item, all with the same document number. */
export interface ParsedDocument {
  readonly file: string;
  /** 1.. within the file; empty documents do not count */
  readonly document: number;
  /** as far as they could be read */
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
  /** present exactly when `errors` is empty */
  readonly resource?: Resource;
  readonly errors: readonly Problem[];
  /**
   * For a kind that this version can check but not carry out (its `errors` say so): what Calico itself would say against the
   * resource; empty: nothing.
   */
  readonly laterErrors?: readonly Problem[];
  /** the data as it was read, of a document that is no resource of an implemented kind */
  readonly value?: unknown;
}

/** A file is refused beyond this many octets; it bounds what one bad file can cost. */
export const MAX_FILE_OCTETS = 64 * 1024 * 1024;

// Calico reads YAML 1.1 booleans; the rest of YAML 1.1 (octal, base 60) would misread port ranges.
const oldBooleans = (test: RegExp, value: boolean): ScalarTag => ({
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test,
  resolve: () => value,
  identify: () => false,
});

/**
 * Reads a file's text. Never throws: syntax errors, duplicate keys and everything that `readResource` refuses are in `errors`
 * of the document in question, path first.
 */
export function parseDocuments(text: string, file: string): readonly ParsedDocument[] {
  const documents = parseAllDocuments(text, {
    uniqueKeys: true,
    merge: true,
    strict: true,
    prettyErrors: true,
    intAsBigInt: true,
    customTags: (tags) => [
      ...tags,
      oldBooleans(/^(?:y|Y|yes|Yes|YES|on|On|ON)$/, true),
      oldBooleans(/^(?:n|N|no|No|NO|off|Off|OFF)$/, false),
    ],
  });
  if (!Array.isArray(documents)) return [];
  const out: ParsedDocument[] = [];
  let number = 0;
  for (const each of documents) {
    if (each.contents === null && each.errors.length === 0) continue;
    number++;
    const [error] = each.errors;
    if (error !== undefined) {
      out.push({ file, document: number, errors: [{ path: '', reason: yamlError(error) }] });
      continue;
    }
    if (hasUnusableKey(each)) {
      const reason = 'only plain texts can be keys of a map';
      out.push({ file, document: number, errors: [{ path: '', reason }] });
      continue;
    }
    let value: unknown;
    try {
      value = each.toJS({ maxAliasCount: 100, reviver: exactNumbers });
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      out.push({ file, document: number, errors: [{ path: '', reason: `cannot be read: ${reason}` }] });
      continue;
    }
    if (value === null || value === undefined) {
      number--;
      continue;
    }
    for (const item of itemsOf(value)) out.push(readDocument(item.value, item.path, file, number));
  }
  return out;
}

// A number too large to be held exactly becomes its text: right where a text is due, an error where a number is.
function exactNumbers(_key: unknown, value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function hasUnusableKey(document: Document.Parsed): boolean {
  let found = false;
  visit(document, {
    Pair(_key, pair) {
      if (isScalar(pair.key) && (typeof pair.key.value !== 'object' || pair.key.value === null))
        return undefined;
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

function yamlError(error: {
  readonly message: string;
  readonly linePos?: readonly [{ line: number; col: number }, ...unknown[]] | undefined;
}): string {
  const [headline = ''] = error.message.split('\n');
  const at = error.linePos?.[0];
  const plain = headline.replace(/ at line \d+, column \d+:?$/, '');
  return at === undefined ? `YAML: ${plain}` : `YAML, line ${at.line}, column ${at.col}: ${plain}`;
}

/** The resources of a document: itself, the items of a `List` or of a list of one kind, or the elements of a plain list. */
function itemsOf(value: unknown): readonly { readonly value: unknown; readonly path: string }[] {
  if (Array.isArray(value)) return value.map((each: unknown, index) => ({ value: each, path: `[${index}]` }));
  if (isMap(value) && typeof value['kind'] === 'string' && value['kind'].endsWith('List')) {
    const kind = value['kind'].slice(0, -'List'.length);
    const items = value['items'];
    if (Array.isArray(items)) {
      return items.map((each: unknown, index) => ({
        value: kind !== '' && isMap(each) ? { apiVersion: value['apiVersion'], kind, ...each } : each,
        path: `items[${index}]`,
      }));
    }
  }
  return [{ value, path: '' }];
}

function readDocument(value: unknown, prefix: string, file: string, document: number): ParsedDocument {
  const meta = isMap(value) && isMap(value['metadata']) ? value['metadata'] : {};
  const named = {
    ...(isMap(value) && typeof value['kind'] === 'string' ? { kind: value['kind'] } : {}),
    ...(typeof meta['name'] === 'string' || typeof meta['name'] === 'number'
      ? { name: String(meta['name']) }
      : {}),
    ...(typeof meta['namespace'] === 'string' ? { namespace: meta['namespace'] } : {}),
  };
  const result = readResource(value);
  if (result.ok) return { file, document, ...named, resource: result.resource, errors: [] };
  const place = ({ path, reason }: Problem): Problem => ({
    path: prefix === '' ? path : path === '' ? prefix : `${prefix}.${path}`,
    reason,
  });
  const errors = result.errors.map(place);
  const onlyKind = result.errors.every((error) => error.path === 'kind');
  const later = onlyKind && named.kind !== undefined ? checkLaterKind(named.kind, value) : undefined;
  return { file, document, ...named, errors, value, ...(later && { laterErrors: later.map(place) }) };
}

/** One line for a person: file, document, resource, path, reason. */
export function formatProblem(parsed: ParsedDocument, problem: Problem): string {
  const what = parsed.kind === undefined ? '' : ` (${parsed.kind}${parsed.name ? ` ${parsed.name}` : ''})`;
  const where = problem.path === '' ? '' : ` ${problem.path}:`;
  return `${parsed.file}: document ${parsed.document}${what}:${where} ${problem.reason}`;
}

/** YAML of one resource: apiVersion, kind, metadata, spec, status, in the order of the schema. Ends in a newline. */
export function serialiseResource(resource: Resource): string {
  return stringify(ordered(resource), { lineWidth: 0, compat: 'yaml-1.1' });
}

/** YAML of several resources, separated by `---`. */
export function serialiseResources(resources: readonly Resource[]): string {
  return resources.map(serialiseResource).join('---\n');
}

function ordered(resource: Resource): object {
  const { apiVersion, kind, metadata, spec, status } = resource;
  return { apiVersion, kind, metadata, spec, ...(status === undefined ? {} : { status }) };
}

/** The name of a resource's file in the embedded store, without folder: `[<namespace>.]<name>.yaml`. */
export function resourceFileName(key: ResourceKey): string {
  return key.namespace === undefined ? `${key.name}.yaml` : `${key.namespace}.${key.name}.yaml`;
}

/** Path of a resource's file relative to the store's root: `<kind>/[<namespace>.]<name>.yaml`. */
export function resourcePath(resource: Resource): string {
  return `${resource.kind}/${resourceFileName(keyOf(resource))}`;
}
