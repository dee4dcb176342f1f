/** What the parts of a host's IPAM share: the store, the view of it, and what to ask the agent for at each request. */
import type { Address, Family } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';
import type { BlockDocument } from '../store/ipam-documents.ts';
import type { IpamStore } from '../store/ipam-store.ts';
import { type Allocation, blockPrefix, type IsReserved } from './block.ts';
import type { BlockClaims } from './claims.ts';
import { type Pool, type PoolUse, poolHolding, type SelectsNamespace, type SelectsNode } from './pools.ts';
import type { StoreView } from './store-view.ts';

/** What IPAM works with. Pools, selectors and reservations are asked for at each request, so they may change at any time. */
export interface IpamOptions {
  readonly store: IpamStore;
  /** this node's name */
  readonly host: string;
  readonly pools: () => readonly Pool[];
  readonly selectsNode: SelectsNode;
  /** default: no namespace is selected */
  readonly selectsNamespace?: SelectsNamespace;
  /** default: nothing is reserved */
  readonly isReserved?: IsReserved;
  /** whether all addresses of a block are reserved; default: none is */
  readonly isBlockReserved?: (block: Prefix) => boolean;
  /** time in nanoseconds since 1970; default: the clock. New blocks start their sequence numbers here */
  readonly nowNs?: () => bigint;
}

/** A request for one address a family. */
export interface AssignRequest {
  /** names the holder; the same handle gets the same addresses again. Calico's form is `<network>.<containerID>` */
  readonly handle: string;
  /** families wanted besides those of `addresses` */
  readonly families: readonly Family[];
  /** stored with the allocation for people: `namespace`, `pod` or `endpoint`, `type`, `timestamp`; `node` is added */
  readonly attributes: Readonly<Record<string, string>>;
  /** certain addresses, at most one a family */
  readonly addresses?: readonly Address[];
  /** names or CIDRs of the pools to take from, in order; default: every pool that may serve, by name */
  readonly pools?: Readonly<Partial<Record<Family, readonly string[]>>>;
  /** default: Workload */
  readonly use?: PoolUse;
  /** the workload's namespace, for pools with a namespaceSelector */
  readonly namespace?: string;
  /** blocks that this host may have of a family; the settings' limit holds too */
  readonly maxBlocks?: number;
}

/** An address that a handle holds. */
export interface Assignment {
  readonly address: Address;
  readonly block: Prefix;
  /** undefined when no pool holds the address any more */
  readonly pool: string | undefined;
  readonly handle: string;
  /** as stored, with `node` */
  readonly attributes: Readonly<Record<string, string>>;
  /** for a later release that must not hit a successor */
  readonly sequenceNumber: bigint;
}

/** The shared parts. */
export interface IpamContext extends IpamOptions {
  readonly selectsNamespace: SelectsNamespace;
  readonly isReserved: IsReserved;
  readonly isBlockReserved: (block: Prefix) => boolean;
  readonly nowMs: () => number;
  readonly view: StoreView;
  readonly claims: BlockClaims;
  /** claims of another host, whose empty blocks may be taken over */
  readonly claimsOf: (host: string) => BlockClaims;
}

/** An allocation as callers know it. */
export function toAssignment(context: IpamContext, block: BlockDocument, allocation: Allocation): Assignment {
  return {
    address: allocation.address,
    block: blockPrefix(block),
    pool: poolHolding(context.pools(), allocation.address)?.name,
    handle: allocation.handle ?? '',
    attributes: allocation.attributes,
    sequenceNumber: allocation.sequenceNumber,
  };
}
