/**
 * The IPAM documents of etcd. Ten thousand blocks as objects are hundreds of megabytes, so only the texts stay: a document is read once
 * when it comes, to know that it can be, and again when somebody asks for it.
 */

import type { EventHub } from '../file/event-hub.ts';
import {
  affinityParts,
  familyOfCidr,
  formatIpamKey,
  IPAM_KINDS,
  type IpamDocuments,
  type IpamKey,
  type IpamKind,
  type ParsedDocument,
  parseIpamDocument,
  parseIpamJson,
} from '../ipam-documents.ts';
import { isSoundIpamDocument } from '../ipam-shape.ts';
import type { IpamEntry, IpamEvent, IpamFilter } from '../ipam-store.ts';
import type { Subscription } from '../types.ts';
import { parseIpamKey } from './keys.ts';
import type { KeySink, RawEntry } from './raw.ts';

interface Known<K extends IpamKind> {
  readonly raw: RawEntry;
  /** undefined: damaged */
  readonly entry: IpamEntry<K> | undefined;
  readonly damage: string;
}

type ByKind = { readonly [K in IpamKind]: Map<string, Known<K>> };

/** IPAM documents by key. */
export class IpamMirror implements KeySink {
  readonly #hub: EventHub;
  readonly #known: ByKind = { block: new Map(), affinity: new Map(), handle: new Map(), config: new Map() };
  readonly #strangers = new Map<string, RawEntry>();
  readonly #listeners = new Set<(event: IpamEvent) => void>();

  constructor(hub: EventHub) {
    this.#hub = hub;
  }

  /** The entry, why it is damaged, or undefined. */
  get<K extends IpamKind>(key: IpamKey<K>): IpamEntry<K> | { readonly damage: string } | undefined {
    const known = this.#mapOf(key.kind).get(key.name);
    return known === undefined ? undefined : (known.entry ?? { damage: known.damage });
  }

  /** Readable documents of a kind. */
  list<K extends IpamKind>(kind: K, filter: IpamFilter): readonly IpamEntry<K>[] {
    const found: IpamEntry<K>[] = [];
    for (const { entry } of this.#mapOf(kind).values()) {
      if (entry !== undefined && matches(entry.key, filter)) found.push(entry);
    }
    return found;
  }

  *raw(): Generator<RawEntry> {
    for (const kind of IPAM_KINDS) for (const { raw } of this.#known[kind].values()) yield raw;
    yield* this.#strangers.values();
  }

  watch(listener: (event: IpamEvent) => void): Subscription {
    let isOpen = true;
    queueMicrotask(() => {
      if (!isOpen) return;
      for (const kind of IPAM_KINDS) {
        for (const { entry } of this.#known[kind].values()) {
          if (entry !== undefined) listener({ type: 'upsert', entry });
        }
      }
      listener({ type: 'in-sync' });
      if (isOpen) this.#listeners.add(listener);
    });
    return {
      close: () => {
        isOpen = false;
        this.#listeners.delete(listener);
      },
    };
  }

  close(): void {
    this.#listeners.clear();
  }

  put(raw: RawEntry): void {
    const key = parseIpamKey(raw.key);
    if (key === undefined) this.#strangers.set(raw.key, raw);
    else this.#put(key.kind, key.name, raw);
  }

  remove(etcdKey: string): void {
    const key = parseIpamKey(etcdKey);
    if (key === undefined) {
      this.#strangers.delete(etcdKey);
      return;
    }
    const map = this.#mapOf(key.kind);
    const known = map.get(key.name);
    if (known === undefined) return;
    map.delete(key.name);
    this.#hub.solve(etcdKey);
    if (known.entry !== undefined) this.#emit({ type: 'delete', key });
  }

  #put<K extends IpamKind>(kind: K, name: string, raw: RawEntry): void {
    const map = this.#mapOf(kind);
    const parsed = check(kind, raw.text);
    if (parsed.ok) {
      const entry = lazyEntry({ kind, name }, raw);
      map.set(name, { raw, entry, damage: '' });
      this.#hub.solve(raw.key);
      this.#emit({ type: 'upsert', entry });
      return;
    }
    const former = map.get(name);
    map.set(name, { raw, entry: undefined, damage: parsed.reason });
    if (former?.entry !== undefined) this.#emit({ type: 'delete', key: { kind, name } });
    this.#hub.report({
      location: raw.key,
      reasons: [
        `${parsed.reason}; what it holds stays taken: restore the key from a backup, or remove it when nothing uses its addresses`,
      ],
      revision: String(raw.modRevision),
    });
  }

  #emit(event: IpamEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #mapOf<K extends IpamKind>(kind: K): Map<string, Known<K>> {
    const map: Map<string, Known<K>> = this.#known[kind];
    return map;
  }
}

/** An entry whose document is read when it is asked for, and kept as long as somebody holds it. */
function lazyEntry<K extends IpamKind>(key: IpamKey<K>, raw: RawEntry): IpamEntry<K> {
  let held: WeakRef<IpamDocuments[K]> | undefined;
  return {
    key,
    revision: String(raw.modRevision),
    get value(): IpamDocuments[K] {
      const present = held?.deref();
      if (present !== undefined) return present;
      const parsed = parse(key.kind, raw.text);
      if (!parsed.ok) throw new Error(`${formatIpamKey(key)} was readable before: ${parsed.reason}`);
      held = new WeakRef(parsed.value);
      return parsed.value;
    },
  };
}

/** Whether a document can be read. Most are as they should be, which is told without making much of them. */
function check(kind: IpamKind, text: string): { readonly ok: true } | ParsedDocument<unknown> {
  try {
    // Integers beyond 2^53 lose digits here, which does not matter: only the shape is looked at.
    if (isSoundIpamDocument(kind, JSON.parse(text))) return { ok: true };
  } catch {
    // The reading below says it better.
  }
  return parse(kind, text);
}

function parse<K extends IpamKind>(kind: K, text: string): ParsedDocument<IpamDocuments[K]> {
  let json: unknown;
  try {
    json = parseIpamJson(text);
  } catch (error) {
    return {
      ok: false,
      reason: `it is not JSON (${error instanceof Error ? error.message : String(error)})`,
    };
  }
  return parseIpamDocument(kind, json);
}

function matches(key: IpamKey, filter: IpamFilter): boolean {
  if (key.kind === 'block') return filter.family === undefined || familyOfCidr(key.name) === filter.family;
  if (key.kind !== 'affinity') return true;
  const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
  if (filter.host !== undefined && filter.host !== host) return false;
  return filter.family === undefined || familyOfCidr(cidr) === filter.family;
}
