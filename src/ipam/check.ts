/** The standing invariants of IPAM, as a function of all documents. */
import { compareAddresses, formatAddress } from '../net/address.ts';
import { formatPrefix, parsePrefix, prefixesOverlap } from '../net/prefix.ts';
import {
  type AffinityDocument,
  affinityParts,
  type BlockDocument,
  type HandleDocument,
  type IpamKey,
} from '../store/ipam-documents.ts';
import { type Allocation, allocationsOf, blockCapacity, hostOfBlock } from './block.ts';

/** What is checked. Revisions do not matter. */
export interface IpamDocumentSet {
  readonly blocks: readonly BlockDocument[];
  readonly affinities: readonly { readonly key: IpamKey<'affinity'>; readonly value: AffinityDocument }[];
  readonly handles: readonly { readonly key: IpamKey<'handle'>; readonly value: HandleDocument }[];
  /** ms since 1970, to notice stamps of the future */
  readonly nowMs?: number;
}

/** Kinds of violations. */
export type IpamViolationKind =
  /** one address given out twice, which only overlapping blocks can do */
  | 'address-twice'
  | 'overlapping-blocks'
  /** an address in use whose handle does not lead to it: releasing the handle would leave it behind */
  | 'allocation-without-handle'
  /** a handle that counts more addresses in a block than it holds there */
  | 'handle-without-allocation'
  /** a block of a host which has no confirmed claim to it */
  | 'block-without-affinity'
  /** a confirmed claim to a block that is absent or of another host */
  | 'affinity-without-block'
  /** one ordinal free and in use, free twice, neither, or out of range; an attribute index out of range */
  | 'damaged-block'
  /** a claim that was neither completed nor given up; the next start or claim does it */
  | 'unfinished-affinity';

/** One violation. `isTransient`: a crash between two steps leaves it, nothing wrong can follow from it, and the next start mends it. */
export interface IpamViolation {
  readonly kind: IpamViolationKind;
  readonly isTransient: boolean;
  /** one sentence */
  readonly message: string;
}

/** Checks everything. An empty result: all invariants hold. */
export function checkIpam(documents: IpamDocumentSet): readonly IpamViolation[] {
  return [
    ...documents.blocks.flatMap((block) => checkBlock(block, documents.nowMs)),
    ...checkOverlaps(documents.blocks),
    ...checkHandles(documents),
    ...checkAffinities(documents),
  ];
}

/** Clocks of hosts differ. */
const CLOCK_TOLERANCE_MS = 5000;

function violation(kind: IpamViolationKind, message: string, isTransient = false): IpamViolation {
  return { kind, isTransient, message };
}

/** What is wrong inside one block. `nowMs`: to notice stamps of the future. */
export function checkBlock(block: BlockDocument, nowMs?: number): readonly IpamViolation[] {
  const cidr = parsePrefix(block.cidr);
  const damaged = (message: string) => violation('damaged-block', `block ${block.cidr}: ${message}`);
  if (cidr === undefined) return [damaged('its CIDR is malformed')];
  const capacity = blockCapacity(cidr);
  const found: IpamViolation[] = [];
  if (block.allocations.length !== capacity) {
    found.push(damaged(`it has ${block.allocations.length} allocation entries for ${capacity} addresses`));
  }
  const isReferred = new Set(block.allocations);
  for (const [index, { releasedAt }] of block.attributes.entries()) {
    if (!isReferred.has(index)) found.push(damaged(`no address refers to attribute ${index}`));
    const released = typeof releasedAt === 'string' ? Date.parse(releasedAt) : undefined;
    if (released !== undefined && !(released <= (nowMs ?? Number.POSITIVE_INFINITY) + CLOCK_TOLERANCE_MS))
      found.push(damaged(`attribute ${index} says released at ${releasedAt}, which is no time of the past`));
  }
  const free = new Set<number>();
  for (const ordinal of block.unallocated) {
    if (free.has(ordinal)) found.push(damaged(`ordinal ${ordinal} is free twice`));
    else if (ordinal < 0 || ordinal >= capacity)
      found.push(damaged(`free ordinal ${ordinal} is out of range`));
    free.add(ordinal);
  }
  for (const [ordinal, index] of block.allocations.entries()) {
    if (index !== null && free.has(ordinal)) found.push(damaged(`ordinal ${ordinal} is free and in use`));
    if (index === null && !free.has(ordinal))
      found.push(damaged(`ordinal ${ordinal} is neither free nor in use`));
    if (index !== null && block.attributes[index] === undefined) {
      found.push(damaged(`ordinal ${ordinal} refers to attribute ${index}, which is not there`));
    }
  }
  return found;
}

function checkOverlaps(blocks: readonly BlockDocument[]): readonly IpamViolation[] {
  const found: IpamViolation[] = [];
  const sorted = blocks
    .flatMap((block) => {
      const cidr = parsePrefix(block.cidr);
      return cidr === undefined ? [] : [{ block, cidr }];
    })
    .sort((a, b) => compareAddresses(a.cidr, b.cidr) || a.cidr.length - b.cidr.length);
  for (let i = 0; i < sorted.length; i++) {
    const outer = sorted[i];
    for (let j = i + 1; outer !== undefined && j < sorted.length; j++) {
      const inner = sorted[j];
      if (inner === undefined || !prefixesOverlap(outer.cidr, inner.cidr)) break;
      found.push(
        violation(
          'overlapping-blocks',
          `blocks ${formatPrefix(outer.cidr)} and ${formatPrefix(inner.cidr)} overlap`,
        ),
      );
      const held = new Set(allocationsOf(outer.block).map(({ address }) => formatAddress(address)));
      for (const { address } of allocationsOf(inner.block)) {
        const text = formatAddress(address);
        if (held.has(text)) found.push(violation('address-twice', `${text} is given out twice`));
      }
    }
  }
  return found;
}

function checkHandles({ blocks, handles }: IpamDocumentSet): readonly IpamViolation[] {
  const held = new Map<string, Allocation[]>();
  const pairOf = (handle: string, cidr: string) => JSON.stringify([handle, cidr]);
  for (const block of blocks) {
    for (const allocation of allocationsOf(block)) {
      if (allocation.handle === null) continue;
      const pair = pairOf(allocation.handle, block.cidr);
      const list = held.get(pair);
      if (list === undefined) held.set(pair, [allocation]);
      else list.push(allocation);
    }
  }
  const found: IpamViolation[] = [];
  for (const { key, value } of handles) {
    for (const [cidr, count] of Object.entries(value.block)) {
      const pair = pairOf(key.name, cidr);
      const actual = held.get(pair)?.length ?? 0;
      held.delete(pair);
      if (count > actual) {
        const message = `handle ${key.name} counts ${count} addresses in ${cidr}, but holds ${actual}`;
        found.push(violation('handle-without-allocation', message, true));
      } else if (count < actual) {
        const message = `handle ${key.name} counts ${count} addresses in ${cidr}, but holds ${actual}`;
        found.push(violation('allocation-without-handle', message));
      }
    }
  }
  for (const allocations of held.values()) {
    for (const { address, handle } of allocations) {
      const message = `${formatAddress(address)} is held by ${handle}, but no handle leads to it`;
      found.push(violation('allocation-without-handle', message));
    }
  }
  return found;
}

function checkAffinities({ blocks, affinities }: IpamDocumentSet): readonly IpamViolation[] {
  const found: IpamViolation[] = [];
  const hosts = new Map(blocks.map((block) => [block.cidr, hostOfBlock(block)]));
  const claimed = new Set<string>();
  for (const { key, value } of affinities) {
    const { host, cidr } = affinityParts(key);
    claimed.add(key.name);
    if (value.state !== 'confirmed') {
      found.push(violation('unfinished-affinity', `the claim of ${host} to ${cidr} is ${value.state}`, true));
    } else if (!hosts.has(cidr)) {
      found.push(violation('affinity-without-block', `${host} claims block ${cidr}, which does not exist`));
    } else if (hosts.get(cidr) !== host) {
      const owner = hosts.get(cidr) ?? 'no host';
      found.push(
        violation('affinity-without-block', `${host} claims block ${cidr}, which belongs to ${owner}`),
      );
    }
  }
  for (const [cidr, host] of hosts) {
    if (host !== undefined && !claimed.has(`${host}/${cidr}`)) {
      found.push(
        violation('block-without-affinity', `block ${cidr} belongs to ${host}, which has no claim to it`),
      );
    }
  }
  return found;
}
