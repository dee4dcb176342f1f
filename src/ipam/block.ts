/**
 * One block of addresses, as functions of its document. Semantics are Calico's (libcalico-go ipam_block): free ordinals are a queue, a
 * released one goes to its end; an allocation remembers the block's sequence number, so that a late release of an address that was given
 * out anew is noticed. Every address of a block can be given out: they are routed as /32 or /128, there is no broadcast.
 */
import { type Address, addressBits, addressToBigInt, addToAddress } from '../net/address.ts';
import {
  formatPrefix,
  networkAddress,
  type Prefix,
  parsePrefix,
  prefixContainsAddress,
} from '../net/prefix.ts';
import type { AllocationAttribute, BlockDocument } from '../store/ipam-documents.ts';

/** One address that is in use. */
export interface Allocation {
  readonly address: Address;
  readonly ordinal: number;
  /** null when nobody is recorded */
  readonly handle: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly sequenceNumber: bigint;
}

/** Whether an address may not be given out automatically. */
export type IsReserved = (address: Address) => boolean;

const HOST_AFFINITY = 'host:';

/** Number of addresses in a block. */
export function blockCapacity(cidr: Prefix): number {
  return 2 ** (addressBits(cidr.family) - cidr.length);
}

/** An empty block that belongs to a host. `claimedAtNs`, the time, is its first sequence number too: those of earlier blocks of this CIDR were lower. */
export function newBlock(cidr: Prefix, host: string, claimedAtNs: bigint): BlockDocument {
  const capacity = blockCapacity(cidr);
  return {
    cidr: formatPrefix(cidr),
    affinity: `${HOST_AFFINITY}${host}`,
    affinity_claim_time: formatTime(Number(claimedAtNs / 1_000_000n)),
    allocations: new Array<null>(capacity).fill(null),
    unallocated: Array.from({ length: capacity }, (_, ordinal) => ordinal),
    attributes: [],
    sequenceNumber: claimedAtNs,
    sequenceNumberForAllocation: {},
    deleted: false,
  };
}

/** The block's prefix. Throws when the document's CIDR is malformed. */
export function blockPrefix(block: BlockDocument): Prefix {
  const prefix = parsePrefix(block.cidr);
  if (prefix === undefined) throw new Error(`'${block.cidr}' is no CIDR of a block`);
  return prefix;
}

/** The host that the block belongs to, or undefined. */
export function hostOfBlock(block: BlockDocument): string | undefined {
  if (block.deleted || block.affinity?.startsWith(HOST_AFFINITY) !== true) return undefined;
  return block.affinity.slice(HOST_AFFINITY.length);
}

/** Who the block belongs to: a host's name, `virtual:...` of a block that serves no host, or undefined when nobody has it. */
export function ownerOfBlock(block: BlockDocument): string | undefined {
  return hostOfBlock(block) ?? block.affinity ?? undefined;
}

/** When the host claimed the block, ms since 1970; 0 when that is not recorded. */
export function claimTime(block: BlockDocument): number {
  return Date.parse(block.affinity_claim_time ?? '') || 0;
}

/** RFC 3339 in whole seconds, as Calico writes times. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** How far into the block an address lies, or undefined when it is outside. */
export function ordinalOf(cidr: Prefix, address: Address): number | undefined {
  if (!prefixContainsAddress(cidr, address)) return undefined;
  return Number(addressToBigInt(address) - addressToBigInt(networkAddress(cidr)));
}

/** The address at an ordinal, or undefined when the block has no such ordinal. */
export function addressAt(cidr: Prefix, ordinal: number): Address | undefined {
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= blockCapacity(cidr)) return undefined;
  return addToAddress(networkAddress(cidr), ordinal);
}

/** The host that uses an allocation of the block: the one recorded with it, else the block's. Undefined: nobody knows. */
export function userOf(block: BlockDocument, allocation: Allocation): string | undefined {
  return allocation.attributes['node'] ?? hostOfBlock(block);
}

/** Whether an attribute is that of released addresses which cool down. */
export function isCooling(attribute: AllocationAttribute | undefined): boolean {
  return attribute?.releasedAt !== undefined && attribute.releasedAt !== null;
}

/** Number of released addresses that cannot be given out yet. */
export function coolingCount(block: BlockDocument): number {
  return block.allocations.filter((index) => index !== null && isCooling(block.attributes[index])).length;
}

/** Every address in use, by ordinal; those that cool down are in nobody's use. */
export function allocationsOf(block: BlockDocument): readonly Allocation[] {
  const cidr = blockPrefix(block);
  const found: Allocation[] = [];
  for (const [ordinal, index] of block.allocations.entries()) {
    const address = addressAt(cidr, ordinal);
    if (index === null || address === undefined) continue;
    const attribute = block.attributes[index];
    if (isCooling(attribute)) continue;
    found.push({
      address,
      ordinal,
      handle: attribute?.handle_id ?? null,
      attributes: attribute?.secondary ?? {},
      sequenceNumber: block.sequenceNumberForAllocation[ordinal] ?? 0n,
    });
  }
  return found;
}

/** Number of addresses in use or cooling down: a block is empty when it is 0. */
export function usedCount(block: BlockDocument): number {
  return block.allocations.reduce<number>((count, index) => (index === null ? count : count + 1), 0);
}

/** Whether an allocation refers to an attribute that is not there: damage, its holder is unknown. */
export function hasStrayIndex(block: BlockDocument): boolean {
  return block.allocations.some((index) => index !== null && block.attributes[index] === undefined);
}

/**
 * The ordinals that can be given out, next first. In a damaged document, what is in use is never among them, and nothing is when the
 * holder of an address is unknown: the next attribute would become its.
 */
export function* freeOrdinals(block: BlockDocument, isReserved: IsReserved): Generator<number> {
  if (hasStrayIndex(block)) return;
  const cidr = blockPrefix(block);
  const seen = new Set<number>();
  for (const ordinal of block.unallocated) {
    if (seen.has(ordinal) || block.allocations[ordinal] !== null) continue;
    seen.add(ordinal);
    const address = addressAt(cidr, ordinal);
    if (address !== undefined && !isReserved(address)) yield ordinal;
  }
}

/** Gives out the next free address. Undefined: there is none. */
export function assignNext(
  block: BlockDocument,
  handle: string,
  attributes: Readonly<Record<string, string>>,
  isReserved: IsReserved,
): { readonly block: BlockDocument; readonly allocation: Allocation } | undefined {
  for (const ordinal of freeOrdinals(block, isReserved))
    return assignOrdinal(block, ordinal, handle, attributes);
  return undefined;
}

/**
 * Gives out a certain address, reserved or not. `in-use`: to whom; `cooling`: released a moment ago; `outside`: not an address of this
 * block, or neither free nor in use (a damaged document).
 */
export function assignAddress(
  block: BlockDocument,
  address: Address,
  handle: string,
  attributes: Readonly<Record<string, string>>,
):
  | { readonly outcome: 'assigned'; readonly block: BlockDocument; readonly allocation: Allocation }
  | { readonly outcome: 'in-use'; readonly holder: Allocation }
  | { readonly outcome: 'cooling' }
  | { readonly outcome: 'outside' } {
  const ordinal = ordinalOf(blockPrefix(block), address);
  if (ordinal === undefined) return { outcome: 'outside' };
  const holder = allocationsOf(block).find((allocation) => allocation.ordinal === ordinal);
  if (holder !== undefined) return { outcome: 'in-use', holder };
  const index = block.allocations[ordinal];
  if (index !== null && index !== undefined && isCooling(block.attributes[index]))
    return { outcome: 'cooling' };
  if (index !== null || !block.unallocated.includes(ordinal)) return { outcome: 'outside' };
  return { outcome: 'assigned', ...assignOrdinal(block, ordinal, handle, attributes) };
}

function assignOrdinal(
  block: BlockDocument,
  ordinal: number,
  handle: string,
  secondary: Readonly<Record<string, string>>,
): { readonly block: BlockDocument; readonly allocation: Allocation } {
  const attributes = [...block.attributes];
  let index = attributes.findIndex((attribute) => isAttributeOf(attribute, handle, secondary));
  if (index < 0) index = attributes.push({ handle_id: handle, secondary }) - 1;
  const address = addressAt(blockPrefix(block), ordinal);
  if (address === undefined) throw new RangeError(`${block.cidr} has no ordinal ${ordinal}`);
  const { sequenceNumber } = block;
  return {
    block: {
      ...block,
      allocations: block.allocations.with(ordinal, index),
      unallocated: block.unallocated.filter((each) => each !== ordinal),
      attributes,
      sequenceNumber: sequenceNumber + 1n,
      sequenceNumberForAllocation: { ...block.sequenceNumberForAllocation, [ordinal]: sequenceNumber },
    },
    allocation: { address, ordinal, handle, attributes: secondary, sequenceNumber },
  };
}

function isAttributeOf(
  attribute: AllocationAttribute,
  handle: string,
  secondary: Readonly<Record<string, string>>,
): boolean {
  if (attribute.handle_id !== handle) return false;
  // Fields that are not known here (Calico adds some) make it someone else's.
  if (Object.keys(attribute).length !== 2) return false;
  const own = attribute.secondary ?? {};
  const keys = Object.keys(own);
  return keys.length === Object.keys(secondary).length && keys.every((key) => own[key] === secondary[key]);
}
