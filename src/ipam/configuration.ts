/** The settings of IPAM for the whole store: what is in force, and which combinations are refused. Pure. */
import { type IpamConfigurationSpec, ipamSettingsFault } from '../model/ipam-configuration.ts';
import type { IpamConfigDocument } from '../store/ipam-documents.ts';
import { IpamError } from './errors.ts';

/** Calico's limit of blocks a host and family when none is configured. */
export const DEFAULT_MAX_BLOCKS = 20;
/** Calico's bound of ipCooldownSeconds. */
export const MAX_COOLDOWN_SEC = 1200;

/** The settings, every default filled in. */
export interface IpamSettings {
  /** false: single addresses may be borrowed from blocks of other hosts */
  readonly strictAffinity: boolean;
  /** false: no new blocks are claimed */
  readonly autoAllocateBlocks: boolean;
  /** blocks a host and family; 0: no limit of its own, which means `DEFAULT_MAX_BLOCKS` */
  readonly maxBlocksPerHost: number;
  readonly ipCooldownSeconds: number;
}

/** What the first agent writes into a store that nobody has configured. */
export const INITIAL_CONFIG: IpamConfigDocument = {
  strict_affinity: true,
  auto_allocate_blocks: true,
  maxBlocksPerHost: 0,
};

/**
 * The settings in force. Where nobody has configured anything nothing is borrowed: Calico would, but a host that takes addresses out of
 * other hosts' blocks needs somebody's word for it.
 */
export function settingsOf(document: IpamConfigDocument | undefined): IpamSettings {
  const { strict_affinity, auto_allocate_blocks, maxBlocksPerHost, ipCooldownSeconds } =
    document ?? INITIAL_CONFIG;
  return {
    strictAffinity: strict_affinity,
    autoAllocateBlocks: auto_allocate_blocks,
    maxBlocksPerHost,
    ipCooldownSeconds: ipCooldownSeconds ?? 0,
  };
}

/** The document with a change; fields that are not known here stay. Throws an `IpamError` (`bad-request`) for what Calico refuses too. */
export function changedConfig(
  document: IpamConfigDocument | undefined,
  change: Partial<IpamSettings>,
): IpamConfigDocument {
  const settings = { ...settingsOf(document), ...change };
  const fault = settingsFault(settings);
  if (fault !== undefined) throw new IpamError('bad-request', fault);
  const { ipCooldownSeconds: _former, ...rest } = document ?? INITIAL_CONFIG;
  return {
    ...rest,
    strict_affinity: settings.strictAffinity,
    auto_allocate_blocks: settings.autoAllocateBlocks,
    maxBlocksPerHost: settings.maxBlocksPerHost,
    ...(settings.ipCooldownSeconds > 0 && { ipCooldownSeconds: settings.ipCooldownSeconds }),
  };
}

/** Why settings cannot be; undefined: they can. */
export function settingsFault(settings: IpamSettings): string | undefined {
  const { maxBlocksPerHost, ipCooldownSeconds } = settings;
  const fault = ipamSettingsFault(settings);
  if (fault !== undefined) return fault;
  if (!Number.isSafeInteger(maxBlocksPerHost) || maxBlocksPerHost < 0)
    return `maxBlocksPerHost ${maxBlocksPerHost}: must be 0 (which means ${DEFAULT_MAX_BLOCKS}) or more`;
  if (
    !Number.isSafeInteger(ipCooldownSeconds) ||
    ipCooldownSeconds < 0 ||
    ipCooldownSeconds > MAX_COOLDOWN_SEC
  )
    return `ipCooldownSeconds ${ipCooldownSeconds}: must be 0 to ${MAX_COOLDOWN_SEC}`;
  return undefined;
}

/** The settings of an IPAMConfiguration resource, with Calico's defaults for what it leaves out. */
export function settingsOfResource(spec: IpamConfigurationSpec): IpamSettings {
  return {
    strictAffinity: spec.strictAffinity ?? false,
    autoAllocateBlocks: spec.autoAllocateBlocks ?? true,
    maxBlocksPerHost: spec.maxBlocksPerHost ?? 0,
    ipCooldownSeconds: spec.ipCooldownSeconds ?? 0,
  };
}

/** Blocks that a host may have of each family; the smaller of the settings' and the request's. */
export function blockLimit(settings: IpamSettings, requested?: number): number {
  const configured = settings.maxBlocksPerHost || DEFAULT_MAX_BLOCKS;
  if (requested === undefined || requested <= 0) return configured;
  return settings.maxBlocksPerHost > 0 ? Math.min(requested, configured) : requested;
}
