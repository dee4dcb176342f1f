/** What the plan needs of the host, for a speaker that does not speak with the kernel. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { PasswordResult } from '../agent/bgp/peers.ts';
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
  /** the link on whose subnet an address is */
  readonly interfaceTo: (address: Address) => string | undefined;
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

/** Reads a key file: one line, readable by its owner alone, who is root or we. */
export function readPassword(file: string): PasswordResult {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const { mode, uid } = fstatSync(descriptor);
    if ((mode & 0o077) !== 0)
      return { problem: `${file} can be read by others than its owner: chmod 600 ${file}` };
    if (uid !== 0 && uid !== process.getuid?.()) return { problem: `${file} belongs to another user` };
    const password = readFileSync(descriptor, 'utf8').replace(/\r?\n$/, '');
    return password === '' ? { problem: `${file} is empty` } : { password };
  } catch (error) {
    return { problem: `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
