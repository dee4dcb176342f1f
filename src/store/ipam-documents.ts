/**
 * The documents of IPAM and their JSON, in the shape in which Calico keeps them under `/calico/ipam/v2/` in etcd, so that both may
 * work on one store. Fields that are not known here are kept when a document is changed by spreading it.
 */

import {
  isCount,
  isFlag,
  isText,
  isWhole,
  listOf,
  listRead,
  mapOf,
  member,
  memberOr,
  openObject,
  orNull,
  value,
} from '../model/json-shape.ts';
import { Problems, type Schema } from '../model/schema.ts';
import type { Family } from '../net/address.ts';

/** Who holds an allocation. */
export interface AllocationAttribute {
  readonly handle_id: string | null;
  /** `node`: the host that uses the address; for people: `namespace`, `pod` or `endpoint`, `type`, `timestamp` */
  readonly secondary: Readonly<Record<string, string>> | null;
  /** RFC 3339; set while a released address cools down (ipCooldownSeconds): nobody holds it, and it cannot be given out yet */
  readonly releasedAt?: string | null | undefined;
}

/** A block of addresses. `allocations` has one entry an ordinal: null when free, else an index into `attributes`. */
export interface BlockDocument {
  readonly cidr: string;
  /** `host:NAME`, or null when the block belongs to no host */
  readonly affinity: string | null;
  /** RFC 3339, when the host claimed it; absent in blocks of old versions */
  readonly affinity_claim_time?: string | null | undefined;
  readonly allocations: readonly (number | null)[];
  /** free ordinals, the one to be given out next first */
  readonly unallocated: readonly number[];
  readonly attributes: readonly AllocationAttribute[];
  /** starts at a time in nanoseconds, more than 2^53, and grows by one with each write */
  readonly sequenceNumber: bigint;
  /** ordinal -> sequence number of the block when the ordinal was allocated */
  readonly sequenceNumberForAllocation: Readonly<Record<string, bigint>>;
  readonly deleted: boolean;
}

/** How far a host's claim to a block has come. Only `confirmed` counts for ownership and routes. */
export type AffinityState = 'pending' | 'confirmed' | 'pendingDeletion';

/** A host's claim to a block. */
export interface AffinityDocument {
  readonly state: AffinityState;
  readonly deleted: boolean;
}

/** Index from a handle to the blocks that hold its addresses: CIDR -> number of addresses. */
export interface HandleDocument {
  readonly block: Readonly<Record<string, number>>;
  readonly deleted: boolean;
}

/** Settings of IPAM for the whole store. */
export interface IpamConfigDocument {
  readonly strict_affinity: boolean;
  readonly auto_allocate_blocks: boolean;
  /** 0: no limit of its own (Calico then stops at 20) */
  readonly maxBlocksPerHost: number;
  /** 0..1200: how long a released address is not given out again */
  readonly ipCooldownSeconds?: number | undefined;
}

/** Document type by kind. */
export interface IpamDocuments {
  block: BlockDocument;
  affinity: AffinityDocument;
  handle: HandleDocument;
  config: IpamConfigDocument;
}

/** The kinds of IPAM documents. */
export type IpamKind = keyof IpamDocuments;

/** All kinds of IPAM documents. */
export const IPAM_KINDS: readonly IpamKind[] = ['block', 'affinity', 'handle', 'config'];

/** The key of a document of kind `K`. Make it with the functions below. */
export interface IpamKey<K extends IpamKind = IpamKind> {
  readonly kind: K;
  /** block: its CIDR; affinity: `HOST/CIDR`; handle: its id; config: `default` */
  readonly name: string;
}

/** The key of a block; the CIDR is canonical text. */
export function blockKey(cidr: string): IpamKey<'block'> {
  return { kind: 'block', name: cidr };
}

/** The key of a host's claim to a block. A host name holds no slash. */
export function affinityKey(host: string, cidr: string): IpamKey<'affinity'> {
  return { kind: 'affinity', name: `${host}/${cidr}` };
}

/** The key of a handle. */
export function handleKey(id: string): IpamKey<'handle'> {
  return { kind: 'handle', name: id };
}

/** The key of the only configuration document. */
export const CONFIG_KEY: IpamKey<'config'> = { kind: 'config', name: 'default' };

/** Host and CIDR of an affinity's key. */
export function affinityParts(key: IpamKey<'affinity'>): { readonly host: string; readonly cidr: string } {
  const slash = key.name.indexOf('/');
  return { host: key.name.slice(0, slash), cidr: key.name.slice(slash + 1) };
}

/** `block 10.0.0.0/26`, `affinity host-a/10.0.0.0/26`, `handle ID`: unique, for map keys and messages. */
export function formatIpamKey(key: IpamKey): string {
  return `${key.kind} ${key.name}`;
}

/** The family of a CIDR in canonical text. */
export function familyOfCidr(cidr: string): Family {
  return cidr.includes(':') ? 'ipv6' : 'ipv4';
}

// Any way to write a whole number, so that `isSoundIpamDocument` never takes what this refuses.
const unsigned: Schema<bigint> = {
  read(input, path, problems) {
    if (typeof input === 'bigint' && input >= 0n) return input;
    if (typeof input === 'number' && input >= 0 && Number.isInteger(input)) return BigInt(input);
    problems.add(path, 'must be a whole number, not below 0');
    return undefined;
  },
};
const text = value(isText, 'a text');
const flag = value(isFlag, 'true or false');
const count = value(isCount, 'a whole number, not below 0');
const optionalText = orNull(text, null);
const deleted = memberOr(flag, false);
const isOrdinalOrNull = (input: unknown): input is number | null => input === null || isCount(input);
const isAffinityState = (input: unknown): input is AffinityState =>
  input === 'pending' || input === 'confirmed' || input === 'pendingDeletion';

const attribute = openObject<AllocationAttribute>({
  handle_id: memberOr(optionalText, null),
  secondary: memberOr(orNull(mapOf(text), null), null),
  releasedAt: memberOr(optionalText, undefined),
});

const SCHEMAS: { readonly [K in IpamKind]: Schema<IpamDocuments[K]> } = {
  block: openObject<BlockDocument>({
    cidr: member(text),
    affinity: memberOr(optionalText, null),
    affinity_claim_time: memberOr(optionalText, undefined),
    allocations: member(listOf(isOrdinalOrNull, 'null or a whole number, not below 0')),
    unallocated: member(listOf(isWhole, 'a whole number')),
    attributes: member(listRead(attribute)),
    sequenceNumber: memberOr(unsigned, 0n),
    sequenceNumberForAllocation: memberOr(orNull(mapOf(unsigned), {}), {}),
    deleted,
  }),
  affinity: openObject<AffinityDocument>({
    state: member(value(isAffinityState, 'pending, confirmed or pendingDeletion')),
    deleted,
  }),
  handle: openObject<HandleDocument>({ block: member(mapOf(count)), deleted }),
  // Go leaves out what is false or 0.
  config: openObject<IpamConfigDocument>({
    strict_affinity: memberOr(flag, false),
    auto_allocate_blocks: memberOr(flag, false),
    maxBlocksPerHost: memberOr(count, 0),
    ipCooldownSeconds: memberOr(count, undefined),
  }),
};

/** A document, or why it is none. */
export type ParsedDocument<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string };

/** Checks the shape of a document that was read with `parseIpamJson`. */
export function parseIpamDocument<K extends IpamKind>(
  kind: K,
  json: unknown,
): ParsedDocument<IpamDocuments[K]> {
  const schema: Schema<IpamDocuments[K]> = SCHEMAS[kind];
  const problems = new Problems();
  const read = schema.read(json, '', problems);
  if (read !== undefined) return { ok: true, value: read };
  return {
    ok: false,
    reason: problems.list.map(({ path, reason }) => `${path || 'document'}: ${reason}`).join('; '),
  };
}

/** JSON.parse that keeps integers beyond 2^53 exact, as bigint. Throws a SyntaxError. */
export function parseIpamJson(text: string): unknown {
  return JSON.parse(text, exactInteger);
}

/** JSON.stringify that writes bigint as plain digits. */
export function formatIpamJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'bigint' ? rawJson(String(member)) : member,
  );
}

function exactInteger(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? '';
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

// JSON.rawJSON (ECMAScript proposal "JSON.parse source text access", in V8 since 11.4) is not in the compiler's library yet.
const rawJson: (text: string) => unknown = (() => {
  const candidate: unknown = Reflect.get(JSON, 'rawJSON');
  if (typeof candidate !== 'function') throw new Error('this runtime has no JSON.rawJSON');
  return (text) => Reflect.apply(candidate, JSON, [text]);
})();
