/** NetworkSet and GlobalNetworkSet: labelled lists of CIDRs that selectors match like endpoints. */
import type { ResourceOf } from './metadata-types.ts';
import { cidrOrAddress } from './scalars.ts';
import { list, object, optional } from './schema.ts';

export interface NetworkSetSpec {
  /** CIDRs or plain addresses of any family; host bits are ignored */
  readonly nets?: readonly string[];
}

export type NetworkSet = ResourceOf<'NetworkSet', NetworkSetSpec>;
export type GlobalNetworkSet = ResourceOf<'GlobalNetworkSet', NetworkSetSpec>;

export const networkSetSpec = object<NetworkSetSpec>({ nets: optional(list(cidrOrAddress())) });

/** Mapped from the real namespace; a set must not claim one by hand. */
export const NETWORK_SET_FORBIDDEN_LABELS: readonly string[] = ['projectcalico.org/namespace'];
