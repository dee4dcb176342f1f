/** What the plan needs of the host, for a speaker that does not speak with the kernel. */
import { networkInterfaces } from 'node:os';
import type { Discovered } from '../../fib/discovery/discovery.ts';
import { readPassword } from '../agent/bgp/password-files.ts';
import type { PasswordResult } from '../agent/bgp/peer-types.ts';
import type { Address } from '../net/address.ts';
import {
  formatPrefix,
  type Prefix,
  parseInterfaceAddress,
  prefixContainsAddress,
  prefixOf,
} from '../net/prefix.ts';

/** The host as a plan sees it. */
export interface HostView {
  /** subnets of links that are up, each once */
  readonly connected: readonly Prefix[];
  /** the link on which a session with an address stands or falls; undefined: nobody follows the links */
  readonly onlyLinkTo?: (address: Address) => string | undefined;
  /** the link on whose subnet an address is */
  readonly interfaceTo: (address: Address) => string | undefined;
  /** whether routes are set in the kernel; default false */
  readonly setsRoutes?: boolean;
  /** whoever is on the other end of a link; undefined: nobody looks */
  readonly neighbourOn?: (interfaceName: string) => Discovered;
  /** the TCP MD5 key in a file */
  readonly password: (file: string) => PasswordResult;
}

/** Reads the host's links. */
export function hostView(): HostView {
  const subnets: { readonly link: string; readonly prefix: Prefix }[] = [];
  for (const [link, addresses] of Object.entries(networkInterfaces())) {
    for (const address of addresses ?? []) {
      const parsed =
        address.internal || address.cidr === null ? undefined : parseInterfaceAddress(address.cidr);
      if (parsed === undefined || parsed.length === parsed.address.bytes.length * 8) continue;
      subnets.push({ link, prefix: prefixOf(parsed.address, parsed.length) });
    }
  }
  const connected = new Map(subnets.map(({ prefix }) => [formatPrefix(prefix), prefix]));
  return {
    connected: [...connected.values()],
    interfaceTo: (address) => subnets.find(({ prefix }) => prefixContainsAddress(prefix, address))?.link,
    password: readPassword,
  };
}
