/**
 * `apply`, `get` and `delete` of resources: everything is read and checked before the first write, so that bad input changes nothing.
 * Each write is a compare-and-swap, retried when somebody else wrote meanwhile.
 */
import { isDeepStrictEqual } from 'node:util';
import { type ProblemDetail, problem } from '../../api/problem.ts';
import type { AppliedView, SessionEffect } from '../../api/views.ts';
import { type ParsedDocument, parseDocuments } from '../../model/documents.ts';
import { findPoolOverlaps } from '../../model/ip-pool.ts';
import { KINDS, type Kind, kindByName, kindInfo } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { checkSupport } from '../../model/support.ts';
import { formatKey, keyOf, makeKey, type Resource } from '../../model/types.ts';
import {
  AlreadyExists,
  NotAdmitted,
  NotFound,
  RevisionConflict,
  StoreUnavailable,
} from '../../store/errors.ts';
import type { Store } from '../../store/types.ts';
import type { HostLimits } from '../kernel-support.ts';

/** A text with the name of the file it came from. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
}

const MAX_ATTEMPTS = 10;

/** What valid resources, once applied, do to the BGP sessions of this node. */
export type SessionPreview = (resources: readonly Resource[]) => readonly SessionEffect[];

/** Kinds on which sessions depend; the first of them in an answer carries what happens to these. */
const SESSION_KINDS: readonly string[] = ['Node', 'BGPConfiguration', 'BGPPeer', 'BGPFilter', 'IPPool'];

/** Reads and writes resources on behalf of the API. */
export class ResourceService {
  readonly #store: Store;
  readonly #limits: HostLimits;
  readonly #preview: SessionPreview;

  /** `limits`: what this host cannot carry out is not applied either */
  constructor(store: Store, limits: HostLimits = () => [], preview: SessionPreview = () => []) {
    this.#store = store;
    this.#limits = limits;
    this.#preview = preview;
  }

  /**
   * Applies all documents or none; with `dryRun` none, and the answer is what would be. Throws `ApiError` (`invalid`) with a detail for each
   * fault.
   */
  async apply(
    sources: readonly SourceText[],
    options: { readonly dryRun?: boolean } = {},
  ): Promise<AppliedView[]> {
    const parsed = parseAll(sources);
    const faults = parsed.flatMap((document) => faultsOf(document, this.#limits));
    faults.push(...duplicateFaults(parsed), ...(await this.#overlapFaults(parsed)));
    if (faults.length > 0) {
      const count = faults.length === 1 ? 'one fault' : `${faults.length} faults`;
      throw problem('invalid', `nothing was applied: ${count} in the input`, { details: faults });
    }
    const applied: AppliedView[] = [];
    let sessions = this.#preview(parsed.flatMap(({ resource }) => resource ?? []));
    for (const document of parsed) {
      if (document.resource === undefined) continue;
      const carries = sessions.length > 0 && SESSION_KINDS.includes(document.resource.kind);
      const warnings = checkSupport(document.resource).ignored.map(({ path, reason }) => `${path} ${reason}`);
      const action = await storeCall(() => this.#write(document.resource ?? fail(), options.dryRun === true));
      applied.push({
        ...describe(keyOf(document.resource)),
        action,
        ...(warnings.length > 0 ? { warnings } : {}),
        ...(carries ? { sessions } : {}),
      });
      if (carries) sessions = [];
    }
    return applied;
  }

  /** Deletes what the documents name. Resources that are not there are an error, after all others were deleted. */
  async deleteDocuments(sources: readonly SourceText[]): Promise<AppliedView[]> {
    const parsed = parseAll(sources);
    const faults = parsed
      .filter((document) => document.resource === undefined)
      .flatMap((each) => faultsOf(each));
    if (faults.length > 0)
      throw problem('invalid', 'nothing was deleted: the input has faults', { details: faults });
    const deleted: AppliedView[] = [];
    const missing: ProblemDetail[] = [];
    for (const { resource, file, document } of parsed) {
      if (resource === undefined) continue;
      const key = keyOf(resource);
      try {
        await this.#store.delete(key);
        deleted.push({ ...describe(key), action: 'deleted' });
      } catch (error) {
        if (!(error instanceof NotFound)) throw toApiError(error);
        missing.push({ file, document, kind: key.kind, name: key.name, reason: 'does not exist' });
      }
    }
    if (missing.length > 0) {
      throw problem('not-found', `${deleted.length} deleted, ${missing.length} were not there`, {
        details: missing,
      });
    }
    return deleted;
  }

  /** Deletes one resource. */
  async delete(kindText: string, name: string, namespace: string | undefined): Promise<AppliedView> {
    const key = resolveKey(kindText, name, namespace);
    await storeCall(() => this.#store.delete(key));
    return { ...describe(key), action: 'deleted' };
  }

  /** One resource, or an error that says it is not there. */
  async get(kindText: string, name: string, namespace: string | undefined): Promise<Resource> {
    const key = resolveKey(kindText, name, namespace);
    const stored = await storeCall(() => this.#store.get(key));
    if (stored === undefined) throw problem('not-found', `${formatKey(key)} does not exist`);
    return withRevision(stored.resource, stored.revision);
  }

  /** All resources of a kind, or of one namespace of it. */
  async list(kindText: string, namespace: string | undefined): Promise<Resource[]> {
    const kind = resolveKind(kindText);
    const stored = await storeCall(() => this.#store.list(kind));
    return stored
      .filter(({ resource }) => namespace === undefined || keyOf(resource).namespace === namespace)
      .map(({ resource, revision }) => withRevision(resource, revision));
  }

  async #write(resource: Resource, dryRun: boolean): Promise<'created' | 'updated' | 'unchanged'> {
    const key = keyOf(resource);
    for (let attempt = 1; ; attempt++) {
      try {
        const current = await this.#store.get(key);
        // What a person left invalid in the store is replaced knowingly: `apply` is a person's word too.
        const invalid = this.#store
          .problems()
          .find((each) => each.key !== undefined && formatKey(each.key) === formatKey(key));
        if (current === undefined && invalid?.revision === undefined) {
          if (!dryRun) await this.#store.create(resource);
          return 'created';
        }
        if (invalid === undefined && current !== undefined && sameContent(current.resource, resource))
          return 'unchanged';
        if (!dryRun) await this.#store.update(resource, invalid?.revision ?? current?.revision ?? fail());
        return 'updated';
      } catch (error) {
        const raced =
          error instanceof RevisionConflict || error instanceof AlreadyExists || error instanceof NotFound;
        if (!raced || attempt >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  // The pools as they would be: those in the store, replaced and joined by those of the input.
  async #overlapFaults(parsed: readonly ParsedDocument[]): Promise<ProblemDetail[]> {
    const wanted = new Map<string, ParsedDocument>();
    for (const document of parsed) {
      if (document.resource?.kind === 'IPPool') wanted.set(document.resource.metadata.name, document);
    }
    if (wanted.size === 0) return [];
    const stored = (await storeCall(() => this.#store.list('IPPool'))).map(({ resource }) => resource);
    const pools = stored.filter((pool) => !wanted.has(pool.metadata.name));
    for (const { resource } of wanted.values()) if (resource?.kind === 'IPPool') pools.push(resource);
    return findPoolOverlaps(pools).flatMap(({ first, second }) => {
      const document = wanted.get(second.metadata.name) ?? wanted.get(first.metadata.name);
      const [ours, other] = wanted.has(second.metadata.name) ? [second, first] : [first, second];
      if (document === undefined) return [];
      return [
        {
          file: document.file,
          document: document.document,
          kind: 'IPPool',
          name: ours.metadata.name,
          path: 'spec.cidr',
          reason: `${ours.spec.cidr} overlaps ${other.spec.cidr} of IPPool ${other.metadata.name}`,
        },
      ];
    });
  }
}

function parseAll(sources: readonly SourceText[]): ParsedDocument[] {
  const parsed = sources.flatMap(({ file, text }) => parseDocuments(text, file));
  if (parsed.length === 0) throw problem('invalid', 'the input holds no resource');
  return parsed;
}

function faultsOf(document: ParsedDocument, limits: HostLimits = () => []): ProblemDetail[] {
  const { resource } = document;
  const refused =
    resource === undefined ? document.errors : [...checkSupport(resource).refused, ...limits(resource)];
  return refused.map(({ path, reason }) => ({
    file: document.file,
    document: document.document,
    ...(document.kind === undefined ? {} : { kind: document.kind }),
    ...(document.name === undefined ? {} : { name: document.name }),
    ...(path === '' ? {} : { path }),
    reason,
  }));
}

function duplicateFaults(parsed: readonly ParsedDocument[]): ProblemDetail[] {
  const seen = new Map<string, ParsedDocument>();
  return parsed.flatMap((document) => {
    if (document.resource === undefined) return [];
    const key = keyOf(document.resource);
    const earlier = seen.get(formatKey(key));
    seen.set(formatKey(key), document);
    if (earlier === undefined) return [];
    return [
      {
        file: document.file,
        document: document.document,
        kind: key.kind,
        name: key.name,
        reason: `stands in the input twice; first in ${earlier.file}, document ${earlier.document}`,
      },
    ];
  });
}

// Fields that servers set say nothing about what a person wants.
function sameContent(a: Resource, b: Resource): boolean {
  const essence = ({ kind, metadata: { name, namespace, labels, annotations }, spec }: Resource): unknown =>
    JSON.parse(
      JSON.stringify({
        kind,
        name,
        namespace: namespace ?? 'default',
        labels: labels ?? {},
        annotations: annotations ?? {},
        spec,
      }),
    );
  return isDeepStrictEqual(essence(a), essence(b));
}

function withRevision<R extends Resource>(resource: R, revision: string): R {
  return { ...resource, metadata: { ...resource.metadata, resourceVersion: revision } };
}

function resolveKind(text: string): Kind {
  const kind = kindByName(text);
  if (kind !== undefined) return kind;
  throw problem('invalid', `"${text}" is no kind that this version knows`, {
    hint: `Known are ${KINDS.map((known) => kindInfo(known).plural).join(', ')}.`,
  });
}

function resolveKey(kindText: string, name: string, namespace: string | undefined): ResourceKey {
  return makeKey(resolveKind(kindText), name, namespace);
}

function describe(key: ResourceKey): Pick<AppliedView, 'kind' | 'name' | 'namespace'> {
  return {
    kind: key.kind,
    name: key.name,
    ...(key.namespace === undefined ? {} : { namespace: key.namespace }),
  };
}

async function storeCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toApiError(error);
  }
}

function toApiError(error: unknown): unknown {
  if (error instanceof NotFound) return problem('not-found', error.message);
  if (error instanceof RevisionConflict || error instanceof AlreadyExists) {
    return problem('conflict', error.message, { hint: 'Somebody else writes the same resource; try again.' });
  }
  if (error instanceof NotAdmitted) {
    return problem('invalid', error.message, { details: error.reasons.map((reason) => ({ reason })) });
  }
  if (error instanceof StoreUnavailable) return problem('unavailable', error.message);
  return error;
}

function fail(): never {
  throw new Error('a document without a resource passed the checks');
}
