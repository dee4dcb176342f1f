/** IPReservation: addresses of pools that are never given out. */
import type { ResourceOf } from './metadata-types.ts';
import { cidrOrAddress } from './scalars.ts';
import { list, object, optional } from './schema.ts';

export interface IpReservationSpec {
  readonly reservedCIDRs?: readonly string[];
}

export type IpReservation = ResourceOf<'IPReservation', IpReservationSpec>;

export const ipReservationSpec = object<IpReservationSpec>({
  reservedCIDRs: optional(list(cidrOrAddress())),
});
