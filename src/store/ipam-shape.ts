/**
 * A look at an IPAM document that allocates nothing, for the start of a store with tens of thousands of them: what it takes, the schemas
 * of `ipam-documents.ts` take too. What it does not take is theirs to judge and to explain.
 */
import type { IpamKind } from './ipam-documents.ts';

type Check = (value: unknown) => boolean;
type Json = Readonly<Record<string, unknown>>;

/** Whether JSON, read by the plain `JSON.parse`, has the shape of a document for certain. */
export function isSoundIpamDocument(kind: IpamKind, json: unknown): boolean {
  return isObject(json) && isOptional(json['deleted'], isBoolean) && CHECKS[kind](json);
}

const CHECKS: { readonly [K in IpamKind]: (json: Json) => boolean } = {
  block: (json) =>
    typeof json['cidr'] === 'string' &&
    isNullish(json['affinity'], isString) &&
    isNullish(json['affinity_claim_time'], isString) &&
    isArrayOf(json['allocations'], isOrdinalOrNull) &&
    isArrayOf(json['unallocated'], Number.isSafeInteger) &&
    isArrayOf(json['attributes'], isAttribute) &&
    isOptional(json['sequenceNumber'], isWhole) &&
    isNullish(json['sequenceNumberForAllocation'], isRecordOfWholes),
  affinity: ({ state }) => state === 'confirmed' || state === 'pending' || state === 'pendingDeletion',
  handle: ({ block }) => isRecordOf(block, isCount),
  // One a store: the schema may as well look at it.
  config: () => false,
};

function isAttribute(value: unknown): boolean {
  return (
    isObject(value) &&
    isNullish(value['handle_id'], isString) &&
    isNullish(value['secondary'], isRecordOfStrings) &&
    isNullish(value['releasedAt'], isString)
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isOrdinalOrNull(value: unknown): boolean {
  return value === null || isCount(value);
}

/** A sequence number may be beyond 2^53; what is lost of it here is read exactly when the document is. */
function isWhole(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isRecordOfStrings(value: unknown): boolean {
  return isRecordOf(value, isString);
}

function isRecordOfWholes(value: unknown): boolean {
  return isRecordOf(value, isWhole);
}

function isOptional(value: unknown, check: Check): boolean {
  return value === undefined || check(value);
}

function isNullish(value: unknown, check: Check): boolean {
  return value === undefined || value === null || check(value);
}

function isArrayOf(value: unknown, check: Check): boolean {
  if (!Array.isArray(value)) return false;
  for (const each of value) if (!check(each)) return false;
  return true;
}

function isRecordOf(value: unknown, check: Check): boolean {
  if (!isObject(value)) return false;
  for (const name in value) if (!check(value[name])) return false;
  return true;
}
