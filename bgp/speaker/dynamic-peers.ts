/** Peers that come by themselves: which prefix a stranger's address falls into, and how many of each are there. */
import { type Address, addressBits, formatAddress } from '../../src/net/address.ts';
import { formatPrefix, prefixContainsAddress } from '../../src/net/prefix.ts';
import type { PeerKey } from '../transport/channel.ts';
import type { DynamicPeers, PeerConfig } from '../types.ts';
import { checkPeers, PeerConfigError } from './config.ts';

/** The most specific prefix that holds an address. */
export function groupOf(groups: readonly DynamicPeers[], address: Address): DynamicPeers | undefined {
  let best: DynamicPeers | undefined;
  for (const group of groups) {
    if (!prefixContainsAddress(group.prefix, address)) continue;
    if (best === undefined || group.prefix.length > best.prefix.length) best = group;
  }
  return best;
}

/** The configuration of a peer that dialled us. */
export function dynamicConfig(
  group: DynamicPeers,
  address: Address,
  interfaceName: string | undefined,
): PeerConfig {
  return {
    ...group.template,
    ...(interfaceName !== undefined && { interface: interfaceName }),
    name: formatAddress(address),
    address,
    passive: true,
    adminDown: false,
  };
}

/** Throws a PeerConfigError at the first thing that cannot be. */
export function checkGroups(groups: readonly DynamicPeers[]): void {
  const prefixes = new Map<string, DynamicPeers>();
  for (const group of groups) {
    const prefix = formatPrefix(group.prefix);
    const other = prefixes.get(prefix);
    if (other !== undefined)
      throw new PeerConfigError(group.name, 'prefix', `${prefix} is that of group ${other.name} already`);
    prefixes.set(prefix, group);
    if (!Number.isInteger(group.limit) || group.limit < 1 || group.limit > 0xffff) {
      throw new PeerConfigError(group.name, 'limit', 'must be 1..65535');
    }
    const { family, bytes } = group.prefix;
    checkPeers([{ ...dynamicConfig(group, { family, bytes }, group.template.interface), name: group.name }]);
  }
}

/** The MD5 keys for all that may come. */
export function groupKeys(groups: readonly DynamicPeers[]): PeerKey[] {
  return groups.flatMap((group) => groupKey(group) ?? []);
}

/** The MD5 key for all that may come from one prefix, undefined when there is none. */
export function groupKey({ prefix, template }: DynamicPeers): PeerKey | undefined {
  if (template.password === undefined) return undefined;
  return {
    address: { family: prefix.family, bytes: prefix.bytes },
    prefixLength: prefix.length === addressBits(prefix.family) ? undefined : prefix.length,
    interface: template.interface,
    password: template.password,
  };
}

/** `10.0.0.0/8 (tor)`, for logs. */
export function groupText(group: DynamicPeers): string {
  return `${formatPrefix(group.prefix)} (${group.name})`;
}
