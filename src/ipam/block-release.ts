/**
 * Taking addresses back, as functions of the block's document. With a cooldown a released address keeps its place with a stamp of the time
 * and nobody's name (Calico's ipCooldownSeconds); `thaw` frees it when the time is over.
 */
import { type Address, formatAddress } from '../net/address.ts';
import type { BlockDocument } from '../store/ipam-documents.ts';
import {
  type Allocation,
  allocationsOf,
  blockPrefix,
  formatTime,
  hasStrayIndex,
  isCooling,
  ordinalOf,
} from './block.ts';

/** Which allocation to release, and what the caller believes of it. */
export interface ReleaseRequest {
  readonly address: Address;
  /** refuse unless this handle holds it */
  readonly handle?: string;
  /** refuse unless it was given out at this sequence number */
  readonly sequenceNumber?: bigint;
}

/** How long released addresses rest before they can be given out again; `nowMs` since 1970. */
export interface Cooldown {
  /** 0: not at all */
  readonly seconds: number;
  readonly nowMs: number;
}

/** What became of a release. */
export type ReleaseOutcome =
  | { readonly outcome: 'released'; readonly address: Address; readonly handle: string | null }
  | { readonly outcome: 'not-allocated'; readonly address: Address }
  | { readonly outcome: 'refused'; readonly address: Address; readonly reason: string };

/** Releases addresses. The block is the same object when nothing was released. */
export function release(
  block: BlockDocument,
  requests: readonly ReleaseRequest[],
  cooldown: Cooldown,
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
  return { block: freed.length === 0 ? block : withoutHolder(block, freed, cooldown), outcomes };
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

function withoutHolder(block: BlockDocument, ordinals: readonly number[], cooldown: Cooldown): BlockDocument {
  // In a block with indexes beyond its attributes a new attribute would become somebody's.
  if (cooldown.seconds === 0 || hasStrayIndex(block)) return freeOrdinalsOf(block, ordinals);
  const { sequenceNumber } = block;
  const allocations = [...block.allocations];
  const sequenceNumbers: Record<string, bigint> = { ...block.sequenceNumberForAllocation };
  for (const ordinal of ordinals) {
    allocations[ordinal] = block.attributes.length;
    sequenceNumbers[ordinal] = sequenceNumber;
  }
  const stamp = { handle_id: null, secondary: null, releasedAt: formatTime(cooldown.nowMs) };
  const stamped = { ...block, allocations, attributes: [...block.attributes, stamp] };
  return { ...freeOrdinalsOf(stamped, []), sequenceNumberForAllocation: sequenceNumbers };
}

/** Frees what has cooled down for long enough. The block is the same object when there is nothing. The sequence number does not change. */
export function thaw(block: BlockDocument, { seconds, nowMs }: Cooldown): BlockDocument {
  if (!block.attributes.some(isCooling)) return block;
  const isOver = block.attributes.map(
    ({ releasedAt }) => typeof releasedAt === 'string' && Date.parse(releasedAt) + seconds * 1000 <= nowMs,
  );
  const ordinals = block.allocations.flatMap((index, ordinal) =>
    index !== null && isOver[index] === true ? [ordinal] : [],
  );
  if (ordinals.length === 0) return block;
  return { ...freeOrdinalsOf(block, ordinals), sequenceNumber: block.sequenceNumber };
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
    unallocated:
      freed.length === 0
        ? block.unallocated
        : [...block.unallocated.filter((each) => !freed.includes(each)), ...freed],
    attributes,
    sequenceNumber: block.sequenceNumber + 1n,
    sequenceNumberForAllocation: sequenceNumbers,
  };
}
