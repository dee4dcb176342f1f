/**
 * The resources of etcd: what each key holds, what of it is in force and why the rest is not. What is not in force is so on every host
 * alike, because it depends on what is stored only: of two pools that overlap, the one that was created first counts.
 */
import type { Kind } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { keyOf, type Resource } from '../../model/types.ts';
import type { Admission } from '../codec.ts';
import type { EventHub } from '../file/event-hub.ts';
import type { Stored, StoreEvent } from '../types.ts';
import { CLUSTER_INFORMATION_KEY, parseResourceKey, resourceKey } from './keys.ts';
import { problemOfOtherKind } from './other-kinds.ts';
import type { KeySink, RawEntry } from './raw.ts';
import { decodeResource } from './resource-json.ts';

interface ResourceRecord {
  readonly key: ResourceKey;
  readonly etcdKey: string;
  readonly modRevision: number;
  readonly createRevision: number;
  /** only of what is not in force: of the rest the resource says it all */
  readonly text: string;
  readonly resource: Resource | undefined;
  isInForce: boolean;
}

/** A stored version, whether or not it is in force. */
export type KnownVersion = Pick<ResourceRecord, 'modRevision' | 'resource' | 'isInForce'>;

/** Resources by etcd key. */
export class ResourceMirror implements KeySink {
  readonly #hub: EventHub;
  readonly #admit: Admission;
  readonly #records = new Map<string, ResourceRecord>();
  /** pools may be refused beside others, in the order of their creation */
  readonly #pools = new Map<string, ResourceRecord>();
  /** other kinds: kept for the copy on disk */
  readonly #others = new Map<string, RawEntry>();
  #isReady = true;

  constructor(hub: EventHub, admit: Admission) {
    this.#hub = hub;
    this.#admit = admit;
  }

  /** `datastoreReady` of ClusterInformation: false while somebody moves the contents elsewhere. */
  get isDatastoreReady(): boolean {
    return this.#isReady;
  }

  get(etcdKey: string): KnownVersion | undefined {
    return this.#records.get(etcdKey);
  }

  /** Resources in force of a kind, in no particular order. */
  *ofKind(kind: Kind): Generator<Stored> {
    for (const record of this.#records.values()) {
      if (record.key.kind === kind && record.isInForce && record.resource !== undefined) yield stored(record);
    }
  }

  /** Everything in force, as events. */
  *snapshot(): Generator<StoreEvent> {
    for (const record of this.#records.values()) {
      if (record.isInForce && record.resource !== undefined) yield upsert(record, record.resource);
    }
  }

  /** Everything that is stored, as it is stored. `encode` gives the text of a resource. */
  *raw(encode: (resource: Resource) => string): Generator<RawEntry> {
    for (const { etcdKey, modRevision, createRevision, text, resource } of this.#records.values()) {
      const value = resource === undefined ? text : encode(resource);
      yield { key: etcdKey, text: value, modRevision, createRevision };
    }
    yield* this.#others.values();
  }

  /** Why a resource may not be written beside those in force. */
  reasonsAgainst(resource: Resource): readonly string[] {
    return this.#admit(resource, this.#inForceBeside(keyOf(resource)));
  }

  put(entry: RawEntry): void {
    const location = parseResourceKey(entry.key);
    if (location.type === 'other-kind') {
      this.#putOther(entry, location.plural, location.name);
      return;
    }
    const decoded = decodeResource(location.key, entry.text);
    const former = this.#records.get(entry.key);
    const record: ResourceRecord = {
      key: location.key,
      etcdKey: entry.key,
      modRevision: entry.modRevision,
      createRevision: entry.createRevision,
      text: decoded.ok ? '' : entry.text,
      resource: decoded.ok ? decoded.resource : undefined,
      isInForce: false,
    };
    this.#records.set(entry.key, record);
    const isPool = location.key.kind === 'IPPool';
    if (isPool) this.#pools.set(entry.key, record);
    if (!decoded.ok) {
      this.#withdraw(former);
      this.#report(record, decoded.reasons);
      if (isPool) this.#judgePools(undefined, undefined);
    } else if (isPool) {
      this.#judgePools(record, former);
    } else {
      const reasons = this.#admit(decoded.resource, this.#inForceBeside(location.key));
      if (reasons.length === 0) {
        this.#putInForce(record);
        return;
      }
      this.#withdraw(former);
      this.#report(record, reasons);
    }
  }

  remove(etcdKey: string): void {
    if (this.#others.delete(etcdKey)) {
      this.#hub.solve(etcdKey);
      if (etcdKey === CLUSTER_INFORMATION_KEY) this.#isReady = true;
      return;
    }
    const record = this.#records.get(etcdKey);
    if (record === undefined) return;
    this.#records.delete(etcdKey);
    this.#withdraw(record);
    this.#hub.solve(etcdKey);
    if (this.#pools.delete(etcdKey)) this.#judgePools(undefined, undefined);
  }

  #putOther(entry: RawEntry, plural: string, name: string): void {
    this.#others.set(entry.key, entry);
    if (entry.key === CLUSTER_INFORMATION_KEY) this.#isReady = readReady(entry.text);
    const reason = problemOfOtherKind(plural, name);
    if (reason === undefined) return;
    this.#hub.report({ location: entry.key, reasons: [reason], revision: String(entry.modRevision) });
  }

  /** Looks at all pools in the order of their creation. `changed` is new, or in another version than `former`. */
  #judgePools(changed: ResourceRecord | undefined, former: ResourceRecord | undefined): void {
    const accepted: Resource[] = [];
    const refused: [ResourceRecord, readonly string[]][] = [];
    const gained: ResourceRecord[] = [];
    for (const record of Array.from(this.#pools.values()).sort(byCreation)) {
      if (record.resource === undefined) continue;
      const reasons = this.#admit(record.resource, accepted);
      if (reasons.length === 0) accepted.push(record.resource);
      if (reasons.length > 0 && (record === changed || record.isInForce)) refused.push([record, reasons]);
      if (reasons.length === 0 && (record === changed || !record.isInForce)) gained.push(record);
    }
    // What goes, first: nobody sees two pools that overlap.
    for (const [record, reasons] of refused) {
      this.#withdraw(record === changed ? former : record);
      record.isInForce = false;
      this.#report(record, reasons);
    }
    for (const record of gained) this.#putInForce(record);
  }

  #putInForce(record: ResourceRecord): void {
    if (record.resource === undefined) return;
    record.isInForce = true;
    this.#hub.emit(upsert(record, record.resource));
    this.#hub.solve(record.etcdKey);
  }

  *#inForceBeside(own: ResourceKey): Generator<Resource> {
    const etcdKey = resourceKey(own);
    for (const record of this.#records.values()) {
      if (record.resource !== undefined && record.isInForce && record.etcdKey !== etcdKey)
        yield record.resource;
    }
  }

  #withdraw(former: ResourceRecord | undefined): void {
    if (former === undefined || !former.isInForce) return;
    this.#hub.emit({ type: 'delete', key: former.key, revision: String(former.modRevision) });
  }

  #report(record: ResourceRecord, reasons: readonly string[]): void {
    this.#hub.report({
      location: record.etcdKey,
      key: record.key,
      reasons,
      revision: String(record.modRevision),
    });
  }
}

function byCreation(a: ResourceRecord, b: ResourceRecord): number {
  return a.createRevision - b.createRevision || (a.etcdKey < b.etcdKey ? -1 : 1);
}

function stored(record: ResourceRecord & { readonly resource: Resource | undefined }): Stored {
  const { resource, modRevision } = record;
  if (resource === undefined) throw new Error(`${record.etcdKey} is in force without a resource`);
  return { resource, revision: String(modRevision) };
}

function upsert(record: ResourceRecord, resource: Resource): StoreEvent {
  return { type: 'upsert', key: record.key, resource, revision: String(record.modRevision) };
}

/** Anything but a plain false counts as ready, as for Calico's own plugin before the resource exists. */
function readReady(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return !(isRecord(value) && isRecord(value['spec']) && value['spec']['datastoreReady'] === false);
  } catch {
    return true;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
