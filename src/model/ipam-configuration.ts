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

/** The only one that counts. */
export const DEFAULT_IPAM_CONFIGURATION = 'default';

/** Why values cannot stand together; undefined: they can. What is left out has Calico's defaults. */
export function ipamSettingsFault(spec: IpamConfigurationSpec): string | undefined {
  const { strictAffinity = false, autoAllocateBlocks = true, maxBlocksPerHost = 0 } = spec;
  if (!strictAffinity && !autoAllocateBlocks)
    return 'strictAffinity and autoAllocateBlocks cannot both be false: blocks would never be made, only borrowed from';
  if (maxBlocksPerHost > 0 && !strictAffinity)
    return 'maxBlocksPerHost needs strictAffinity true: a host at its limit would borrow without end';
  return undefined;
}
