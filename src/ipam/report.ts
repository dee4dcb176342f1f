/**
 * The report of `ipam check`: every allocation with whether somebody uses it, what nobody uses, what is used without being allocated, and
 * every broken invariant. Its shape is that of calicoctl's report, with fields added. Pure.
 */
import { type Address, formatAddress, parseAddress } from '../net/address.ts';
import type { BlockDocument } from '../store/ipam-documents.ts';
import type { Revision } from '../store/types.ts';
import { allocationsOf, isCooling, ownerOfBlock, userOf } from './block.ts';
import { checkIpam, type IpamDocumentSet, type IpamViolation } from './check.ts';
import { type Pool, poolHolding } from './pools.ts';

/** One allocation. `sequenceNumber` is decimal text: it is beyond what JSON readers keep exactly. */
export interface ReportedAllocation {
  readonly ip: string;
  readonly handle?: string;
  readonly sequenceNumber: string;
  readonly pod?: string;
  readonly endpoint?: string;
  readonly namespace?: string;
  readonly node?: string;
  readonly type?: string;
  readonly creationTimestamp?: string;
  readonly block: string;
  readonly inUse: boolean;
  readonly borrowed?: true;
  readonly coolingDown?: true;
  /** what uses it */
  readonly owners: readonly string[];
}

/** A handle that leads to no address. */
export interface LeakedHandle {
  readonly ID: string;
  readonly Revision: Revision;
}

/** The report. */
export interface CheckReport {
  readonly version: string;
  /** RFC 3339 */
  readonly generatedAt: string;
  readonly counts: {
    readonly blocks: number;
    readonly allocations: number;
    readonly inUse: number;
    readonly leaked: number;
    readonly problems: number;
  };
  /** by address */
  readonly allocations: Readonly<Record<string, readonly ReportedAllocation[]>>;
  readonly leakedHandles: readonly LeakedHandle[];
  /** addresses in use inside a pool that no block says are given out */
  readonly notAllocated: readonly { readonly ip: string; readonly owners: readonly string[] }[];
  /** addresses in use that are in no enabled pool; their owners may have been given them without IPAM */
  readonly notInPool: readonly { readonly ip: string; readonly owners: readonly string[] }[];
  readonly violations: readonly IpamViolation[];
}

/** Somebody who uses addresses: `Workload(default/web)`, `Node(host-a)`. */
export interface AddressUser {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** What a report is made from. */
export interface ReportInput extends IpamDocumentSet {
  readonly handles: readonly (IpamDocumentSet['handles'][number] & { readonly revision: Revision })[];
  readonly nowMs: number;
  readonly pools: readonly Pool[];
  readonly users: readonly AddressUser[];
  readonly version: string;
}

/** Makes the report. */
export function checkReport(input: ReportInput): CheckReport {
  const owners = new Map<string, string[]>();
  for (const { name, addresses } of input.users) {
    for (const address of addresses) {
      const text = formatAddress(address);
      const list = owners.get(text);
      if (list === undefined) owners.set(text, [name]);
      else list.push(name);
    }
  }
  const allocations: Record<string, ReportedAllocation[]> = {};
  const handlesInUse = new Set<string>();
  for (const block of input.blocks) {
    for (const reported of reportBlock(block, owners)) {
      allocations[reported.ip] = [...(allocations[reported.ip] ?? []), reported];
      if (reported.handle !== undefined) handlesInUse.add(reported.handle);
    }
  }
  const leakedHandles = input.handles
    .filter(({ key }) => !handlesInUse.has(key.name))
    .map(({ key, revision }) => ({ ID: key.name, Revision: revision }));
  const unaccounted = Array.from(owners, ([ip, names]) => ({ ip, owners: names })).filter(
    ({ ip }) => allocations[ip] === undefined,
  );
  const enabled = input.pools.filter(({ isDisabled }) => !isDisabled);
  const isInPool = ({ ip }: { readonly ip: string }): boolean => {
    const address = parseAddress(ip);
    return address !== undefined && poolHolding(enabled, address) !== undefined;
  };
  const violations = checkIpam(input);
  const all = Object.values(allocations).flat();
  const leaked = all.filter(isLeaked).length;
  const notAllocated = unaccounted.filter(isInPool);
  const lasting = violations.filter(({ isTransient }) => !isTransient).length;
  return {
    version: input.version,
    generatedAt: new Date(input.nowMs).toISOString(),
    counts: {
      blocks: input.blocks.length,
      allocations: all.length,
      inUse: all.filter(({ inUse }) => inUse).length,
      leaked,
      problems: leaked + notAllocated.length + leakedHandles.length + lasting,
    },
    allocations,
    leakedHandles,
    notAllocated,
    notInPool: unaccounted.filter((each) => !isInPool(each)),
    violations,
  };
}

/** Whether an allocation has nobody who uses it. */
export function isLeaked({ inUse, coolingDown }: ReportedAllocation): boolean {
  return !inUse && coolingDown !== true;
}

/** An address to be released, with what must still hold of it. */
export interface Leak {
  readonly ip: string;
  readonly handle?: string;
  readonly sequenceNumber: string;
}

/** What all reports agree on: addresses leaked under the same handle and sequence number, handles unchanged. */
export function commonLeaks(reports: readonly Pick<CheckReport, 'allocations' | 'leakedHandles'>[]): {
  readonly leaks: readonly Leak[];
  readonly handles: readonly LeakedHandle[];
} {
  const marks = reports.map(({ allocations, leakedHandles }) => ({
    leaks: new Map(
      Object.values(allocations)
        .flat()
        .filter(isLeaked)
        .map((each) => [JSON.stringify([each.ip, each.handle, String(each.sequenceNumber)]), each]),
    ),
    handles: new Map(leakedHandles.map((each) => [JSON.stringify([each.ID, each.Revision]), each])),
  }));
  const [first, ...others] = marks;
  if (first === undefined) return { leaks: [], handles: [] };
  return {
    leaks: Array.from(first.leaks)
      .filter(([mark]) => others.every(({ leaks }) => leaks.has(mark)))
      .map(([, { ip, handle, sequenceNumber }]) => ({
        ip,
        sequenceNumber: String(sequenceNumber),
        ...(handle !== undefined && { handle }),
      })),
    handles: Array.from(first.handles)
      .filter(([mark]) => others.every(({ handles }) => handles.has(mark)))
      .map(([, handle]) => handle),
  };
}

function* reportBlock(
  block: BlockDocument,
  owners: ReadonlyMap<string, readonly string[]>,
): Generator<ReportedAllocation> {
  const blockOwner = ownerOfBlock(block);
  for (const allocation of allocationsOf(block)) {
    const ip = formatAddress(allocation.address);
    const users = owners.get(ip) ?? [];
    const node = userOf(block, allocation);
    const { pod, endpoint, namespace, type, timestamp } = allocation.attributes;
    yield {
      ip,
      ...(allocation.handle !== null && { handle: allocation.handle }),
      sequenceNumber: String(allocation.sequenceNumber),
      ...(pod !== undefined && { pod }),
      ...(endpoint !== undefined && { endpoint }),
      ...(namespace !== undefined && { namespace }),
      ...(node !== undefined && { node }),
      ...(type !== undefined && { type }),
      ...(timestamp !== undefined && { creationTimestamp: timestamp }),
      block: block.cidr,
      inUse: users.length > 0,
      ...(node !== blockOwner && { borrowed: true }),
      owners: users,
    };
  }
  if (block.attributes.some(isCooling)) yield* coolingOf(block);
}

function* coolingOf(block: BlockDocument): Generator<ReportedAllocation> {
  // Read as an allocation without a stamp, each has its address and number.
  const attributes = block.attributes.map((each) => (isCooling(each) ? { ...each, releasedAt: null } : each));
  const present = new Set(allocationsOf(block).map(({ ordinal }) => ordinal));
  for (const allocation of allocationsOf({ ...block, attributes })) {
    if (present.has(allocation.ordinal)) continue;
    yield {
      ip: formatAddress(allocation.address),
      sequenceNumber: String(allocation.sequenceNumber),
      block: block.cidr,
      inUse: false,
      coolingDown: true,
      owners: [],
    };
  }
}
