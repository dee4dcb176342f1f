/** Resources as Calico keeps them in etcd: the JSON of its v3 API, with the metadata that its clients insist on. */
import { randomUUID } from 'node:crypto';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { readResource } from '../../model/registry.ts';
import { formatKey, keyOf, type Resource } from '../../model/types.ts';
import type { DecodedResource } from '../codec.ts';

/** Calico's own annotation on stored policies; its clients hide it from people, and so does this store. */
const POLICY_METADATA = 'projectcalico.org/metadata';
const POLICY_KINDS: readonly string[] = ['GlobalNetworkPolicy', 'NetworkPolicy'];

/** What a resource keeps over all its updates. Calico's clients refuse to update a resource without. */
export interface StoredIdentity {
  readonly uid: string;
  /** RFC 3339, whole seconds */
  readonly creationTimestamp: string;
}

/** The identity of a stored resource, as far as it has one. */
export function identityOf({ metadata }: Resource): Partial<StoredIdentity> {
  const { uid, creationTimestamp } = metadata;
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  };
}

/** The text to store. `known` is the identity of the version that is replaced; what it lacks is made. */
export function encodeResource(resource: Resource, known: Partial<StoredIdentity>, nowMs: number): string {
  const { kind, apiVersion, spec, status } = resource;
  // The version is etcd's, never part of the value.
  const { resourceVersion: _version, selfLink: _link, annotations, ...metadata } = resource.metadata;
  const { name, namespace } = keyOf(resource);
  const notes = POLICY_KINDS.includes(kind)
    ? { ...annotations, [POLICY_METADATA]: JSON.stringify({ name }) }
    : annotations;
  return JSON.stringify({
    kind,
    apiVersion,
    metadata: {
      ...metadata,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: known.uid ?? metadata.uid ?? randomUUID(),
      creationTimestamp: known.creationTimestamp ?? metadata.creationTimestamp ?? wholeSeconds(nowMs),
      ...(notes === undefined ? {} : { annotations: notes }),
    },
    spec,
    ...(status === undefined ? {} : { status }),
  });
}

/** Reads a stored value. Never throws. */
export function decodeResource(key: ResourceKey, text: string): DecodedResource {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, reasons: [`not JSON: ${error instanceof Error ? error.message : String(error)}`] };
  }
  const read = readResource(value);
  if (!read.ok) {
    return {
      ok: false,
      reasons: read.errors.map(({ path, reason }) => (path === '' ? reason : `${path}: ${reason}`)),
    };
  }
  const found = formatKey(keyOf(read.resource));
  if (found !== formatKey(key)) {
    return {
      ok: false,
      reasons: [`the value is that of ${found}, but the key stands for ${formatKey(key)}`],
    };
  }
  return { ok: true, resource: withoutPolicyMetadata(read.resource) };
}

function withoutPolicyMetadata<R extends Resource>(resource: R): R {
  const { annotations, ...metadata } = resource.metadata;
  if (annotations?.[POLICY_METADATA] === undefined || !POLICY_KINDS.includes(resource.kind)) return resource;
  const { [POLICY_METADATA]: _hidden, ...others } = annotations;
  return {
    ...resource,
    metadata: { ...metadata, ...(Object.keys(others).length === 0 ? {} : { annotations: others }) },
  };
}

function wholeSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
