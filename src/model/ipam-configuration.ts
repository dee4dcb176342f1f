/** IPAMConfiguration: cluster-wide rules of address allocation. */
import type { ResourceOf } from './metadata-types.ts';
import { boolean, integer, object, optional, strictlyOneOf } from './schema.ts';

export interface IpamConfigurationSpec {
  readonly strictAffinity?: boolean;
  /** 0 stands for no limit of its own */
  readonly maxBlocksPerHost?: number;
  readonly autoAllocateBlocks?: boolean;
  readonly kubeVirtVMAddressPersistence?: 'Enabled' | 'Disabled';
  /** 0..1200 */
  readonly ipCooldownSeconds?: number;
}

export type IpamConfiguration = ResourceOf<'IPAMConfiguration', IpamConfigurationSpec>;

export const ipamConfigurationSpec = object<IpamConfigurationSpec>({
  strictAffinity: optional(boolean()),
  maxBlocksPerHost: optional(integer(0, 1_000_000)),
  autoAllocateBlocks: optional(boolean()),
  kubeVirtVMAddressPersistence: optional(strictlyOneOf('Enabled', 'Disabled')),
  ipCooldownSeconds: optional(integer(0, 1200)),
});
