/**
 * One block of addresses, as functions of its document. Semantics are Calico's (libcalico-go ipam_block): free ordinals are a queue, a
 * released one goes to its end; an allocation remembers the block's sequence number, so that a late release of an address that was given
 * out anew is noticed. Every address of a block can be given out: they are routed as /32 or /128, there is no broadcast.
 */
import { type Address, addressBits, addressToBigInt, addToAddress, formatAddress } from '../net/address.ts';
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

/** Which allocation to release, and what the caller believes of it. */
export interface ReleaseRequest {
  readonly address: Address;
  /** refuse unless this handle holds it */
  readonly handle?: string;
  /** refuse unless it was given out at this sequence number */
  readonly sequenceNumber?: bigint;
}

/** What became of a release. */
export type ReleaseOutcome =
  | { readonly outcome: 'released'; readonly address: Address; readonly handle: string | null }
  | { readonly outcome: 'not-allocated'; readonly address: Address }
  | { readonly outcome: 'refused'; readonly address: Address; readonly reason: string };

const HOST_AFFINITY = 'host:';

/** Number of addresses in a block. */
export function blockCapacity(cidr: Prefix): number {
  return 2 ** (addressBits(cidr.family) - cidr.length);
}

/** An empty block that belongs to a host. `sequenceNumber` must differ from those of earlier blocks of this CIDR: Calico uses the time in ns. */
export function newBlock(cidr: Prefix, host: string, sequenceNumber: bigint): BlockDocument {
  const capacity = blockCapacity(cidr);
  return {
    cidr: formatPrefix(cidr),
    affinity: `${HOST_AFFINITY}${host}`,
    allocations: new Array<null>(capacity).fill(null),
    unallocated: Array.from({ length: capacity }, (_, ordinal) => ordinal),
    attributes: [],
    sequenceNumber,
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

/** Every address in use, by ordinal. */
export function allocationsOf(block: BlockDocument): readonly Allocation[] {
  const cidr = blockPrefix(block);
  const found: Allocation[] = [];
  for (const [ordinal, index] of block.allocations.entries()) {
    const address = addressAt(cidr, ordinal);
    if (index === null || address === undefined) continue;
    const attribute = block.attributes[index];
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

/** Number of addresses in use. */
export function usedCount(block: BlockDocument): number {
  return block.allocations.reduce<number>((count, index) => (index === null ? count : count + 1), 0);
}

/** The ordinals that can be given out, next first. In a damaged document, what is in use is never among them. */
export function freeOrdinals(block: BlockDocument, isReserved: IsReserved): readonly number[] {
  const cidr = blockPrefix(block);
  const seen = new Set<number>();
  return block.unallocated.filter((ordinal) => {
    const address = addressAt(cidr, ordinal);
    if (address === undefined || seen.has(ordinal) || block.allocations[ordinal] !== null) return false;
    seen.add(ordinal);
    return !isReserved(address);
  });
}

/** Gives out the next free address. Undefined: there is none. */
export function assignNext(
  block: BlockDocument,
  handle: string,
  attributes: Readonly<Record<string, string>>,
  isReserved: IsReserved,
): { readonly block: BlockDocument; readonly allocation: Allocation } | undefined {
  const [ordinal] = freeOrdinals(block, isReserved);
  return ordinal === undefined ? undefined : assignOrdinal(block, ordinal, handle, attributes);
}

/**
 * Gives out a certain address, reserved or not. `in-use`: to whom; `outside`: not an address of this block, or neither free nor in use
 * (a damaged document).
 */
export function assignAddress(
  block: BlockDocument,
  address: Address,
  handle: string,
  attributes: Readonly<Record<string, string>>,
):
  | { readonly outcome: 'assigned'; readonly block: BlockDocument; readonly allocation: Allocation }
  | { readonly outcome: 'in-use'; readonly holder: Allocation }
  | { readonly outcome: 'outside' } {
  const ordinal = ordinalOf(blockPrefix(block), address);
  if (ordinal === undefined) return { outcome: 'outside' };
  const holder = allocationsOf(block).find((allocation) => allocation.ordinal === ordinal);
  if (holder !== undefined) return { outcome: 'in-use', holder };
  if (block.allocations[ordinal] !== null || !block.unallocated.includes(ordinal))
    return { outcome: 'outside' };
  return { outcome: 'assigned', ...assignOrdinal(block, ordinal, handle, attributes) };
}

/** Releases addresses. The block is the same object when nothing was released. */
export function release(
  block: BlockDocument,
  requests: readonly ReleaseRequest[],
): { readonly block: BlockDocument; readonly outcomes: readonly ReleaseOutcome[] } {
  const byOrdinal = new Map(allocationsOf(block).map((allocation) => [allocation.ordinal, allocation]));
  const cidr = blockPrefix(block);
  const freed: number[] = [];
  const outcomes = requests.map((request): ReleaseOutcome => {
    const { address } = request;
    const allocation = byOrdinal.get(ordinalOf(cidr, address) ?? -1);
    if (allocation === undefined) return { outcome: 'not-allocated', address };
    const reason = reasonToRefuse(request, allocation);
    if (reason !== undefined) return { outcome: 'refused', address, reason };
    byOrdinal.delete(allocation.ordinal);
    freed.push(allocation.ordinal);
    return { outcome: 'released', address, handle: allocation.handle };
  });
  return { block: freed.length === 0 ? block : freeOrdinalsOf(block, freed), outcomes };
}

function reasonToRefuse(request: ReleaseRequest, allocation: Allocation): string | undefined {
  const address = formatAddress(allocation.address);
  if (request.handle !== undefined && request.handle !== allocation.handle) {
    return `${address} is held by ${allocation.handle ?? 'an unknown holder'}, not by ${request.handle}`;
  }
  if (request.sequenceNumber !== undefined && request.sequenceNumber !== allocation.sequenceNumber) {
    return `${address} was given out anew meanwhile (sequence number ${allocation.sequenceNumber}, not ${request.sequenceNumber})`;
  }
  return undefined;
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

/** Frees ordinals that are in use, and drops the attributes that nothing refers to any more. */
function freeOrdinalsOf(block: BlockDocument, freed: readonly number[]): BlockDocument {
  const allocations = [...block.allocations];
  const sequenceNumbers: Record<string, bigint> = { ...block.sequenceNumberForAllocation };
  for (const ordinal of freed) {
    allocations[ordinal] = null;
    delete sequenceNumbers[ordinal];
  }
  const inUse = new Set(allocations.filter((index) => index !== null));
  const newIndex = new Map<number, number>();
  const attributes = block.attributes.filter((_, index) => {
    if (!inUse.has(index)) return false;
    newIndex.set(index, newIndex.size);
    return true;
  });
  return {
    ...block,
    // An index beyond the attributes (a damaged document) stays beyond them: the address stays taken by an unknown holder.
    allocations: allocations.map((index) => (index === null ? null : (newIndex.get(index) ?? index))),
    unallocated: [...block.unallocated.filter((each) => !freed.includes(each)), ...freed],
    attributes,
    sequenceNumber: block.sequenceNumber + 1n,
    sequenceNumberForAllocation: sequenceNumbers,
  };
}

function isAttributeOf(
  attribute: AllocationAttribute,
  handle: string,
  secondary: Readonly<Record<string, string>>,
): boolean {
  // Fields that are not known here (Calico adds some) make it someone else's.
  if (Object.keys(attribute).length !== 2 || attribute.handle_id !== handle) return false;
  const own = attribute.secondary ?? {};
  const keys = Object.keys(own);
  return keys.length === Object.keys(secondary).length && keys.every((key) => own[key] === secondary[key]);
}
