/** What the API answers about addresses, as plain JSON. */
import type { IpamSettings } from '../../ipam/configuration.ts';
import type { Leak, LeakedHandle } from '../../ipam/report.ts';

/** `GET /v1/ipam/addresses/:ip` */
export type AddressView =
  | {
      readonly ip: string;
      readonly state: 'in-use';
      readonly handle: string | null;
      readonly attributes: Readonly<Record<string, string>>;
      readonly block: string;
      readonly pool: string | null;
      /** the host that uses it */
      readonly node: string | null;
      readonly sequenceNumber: string;
      /** what in the store uses it */
      readonly owners: readonly string[];
    }
  | {
      readonly ip: string;
      readonly state: 'free' | 'cooling' | 'reserved';
      readonly block: string;
      readonly pool: string | null;
    }
  | { readonly ip: string; readonly state: 'no-block'; readonly pool: string | null };

/** `GET /v1/ipam/configuration`. `isDefault`: nobody has configured anything. */
export interface SettingsView extends IpamSettings {
  readonly isDefault: boolean;
}

/** `POST /v1/ipam/release` */
export interface ReleaseOrder {
  readonly addresses: readonly (Pick<Leak, 'ip'> & Partial<Leak>)[];
  readonly handles: readonly LeakedHandle[];
  /** also what is in use */
  readonly force: boolean;
}

/** What became of one address. */
export interface ReleasedView {
  readonly ip: string;
  readonly outcome: 'released' | 'not-allocated' | 'refused';
  readonly reason?: string;
}

/** The answer to a `ReleaseOrder`. */
export interface ReleaseView {
  readonly addresses: readonly ReleasedView[];
  readonly handlesDeleted: number;
  readonly handlesSkipped: number;
}

/** `POST /v1/ipam/split` */
export interface SplitView {
  readonly pool: string;
  readonly created: readonly { readonly name: string; readonly cidr: string }[];
}
