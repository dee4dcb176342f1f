/** Names of chains and sets: short enough for the kernel, stable over restarts, recognisable as ours without any memory. */
import { createHash } from 'node:crypto';
import type { Family } from '../../src/net/address.ts';
import type { PolicyId, SetId, SetType } from './types.ts';

/** Every chain of ours starts with this. */
export const CHAIN_PREFIX = 'oci-';

/** The longest chain name that iptables takes (XT_EXTENSION_MAXNAMELEN less its NUL). */
export const MAX_CHAIN_NAME = 28;

/** Direction as a workload sees it: ingress reaches it, egress leaves it. */
export type Direction = 'ingress' | 'egress';

export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** The first `length` characters of the base64url SHA-256 of a text. */
export function shortHash(text: string, length: number): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, length);
}

/** Chain of packets from (`egress`) or to (`ingress`) a workload link: `oci-fw-LINK`, `oci-tw-LINK`. */
export function endpointChainName(direction: Direction, interfaceName: string): string {
  return `${CHAIN_PREFIX}${direction === 'egress' ? 'fw' : 'tw'}-${interfaceName}`;
}

/**
 * Chain of a policy (`oci-pi-`, `oci-po-`) or profile (`oci-pri-`, `oci-pro-`). The id is hashed; the start of its name stays
 * readable.
 */
export function policyChainName(direction: Direction, id: PolicyId): string {
  const kind = id.startsWith('profile/') ? 'pr' : 'p';
  const prefix = `${CHAIN_PREFIX}${kind}${direction === 'ingress' ? 'i' : 'o'}-`;
  const hash = shortHash(id, 12);
  const room = MAX_CHAIN_NAME - prefix.length - hash.length - 1;
  const readable = id
    .slice(id.lastIndexOf('/') + 1)
    .replace(/[^A-Za-z0-9_-]/g, '_')
    .slice(0, room);
  return `${prefix}${readable}.${hash}`;
}

/** Root of a dispatch tree. */
export function dispatchChainName(direction: Direction): string {
  return `${CHAIN_PREFIX}${direction === 'egress' ? 'from' : 'to'}-wl-dispatch`;
}

/** Chain for the links that start with `linkPrefix`: the root's name and the prefix, hashed when too long. */
export function dispatchBranchName(direction: Direction, linkPrefix: string): string {
  const name = `${dispatchChainName(direction)}-${linkPrefix}`;
  if (name.length <= MAX_CHAIN_NAME) return name;
  return `${CHAIN_PREFIX}${direction === 'egress' ? 'fwd' : 'twd'}-${shortHash(name, 18)}`;
}

/** Type of a set in the kernel; `net-iface` is for our own use. */
export type KernelSetType = SetType | 'net-iface';

/** Our own set of (workload address, workload link): the sources that a workload may use. No set id contains a colon. */
export const SOURCE_SET_ID = ':source';

/**
 * Name of a set's kernel twin of one family, at most 31 characters: `oci4-ID`, `oci6-ID`, with `:port` appended for address-port
 * sets, so that a set never changes its kernel type under one name.
 */
export function kernelSetName(family: Family, type: KernelSetType, id: SetId): string {
  return `oci${family === 'ipv4' ? 4 : 6}-${id}${type === 'ip-port' ? ':port' : ''}`;
}

const OUR_SET = /^oci[46]-/;

/** Whether a kernel set is ours by its name. */
export function isOurSetName(name: string): boolean {
  return OUR_SET.test(name);
}

/** The set that a kernel set of ours is the twin of. */
export function setIdOfKernelName(name: string): SetId {
  return name.replace(OUR_SET, '').replace(/:port$/, '');
}
