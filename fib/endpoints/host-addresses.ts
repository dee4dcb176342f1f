/** Addresses of this host on the host ends of containers' links, for what speaks with containers itself. */
import { type Address, addressBits, addressesEqual, formatAddress } from '../../src/net/address.ts';
import type { InterfaceAddress } from '../../src/net/prefix.ts';
import { writeAddressAddition, writeAddressDeletion } from '../netlink/address-message.ts';
import { RT_SCOPE } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { Link } from '../routes/link-table.ts';
import { DEFAULT_LINK_PREFIX } from './plan.ts';

/** Keeps them. A link that goes takes its addresses along. */
export class HostEndAddresses {
  readonly #netns: string | undefined;
  readonly #prefix: string;
  #socket: NetlinkSocket | undefined;

  /** `netns`: path of the host's network namespace; default: the one we are in */
  constructor(netns?: string, linkPrefix: string = DEFAULT_LINK_PREFIX) {
    this.#netns = netns;
    this.#prefix = linkPrefix;
  }

  /**
   * Gives each of these host ends its addresses, as /32 and /128, and takes others away from all host ends among `links`, the kernel's present
   * ones. Links that are not there are left out. Returns what the kernel refused, a line each.
   */
  set(wanted: ReadonlyMap<string, readonly Address[]>, links: readonly Link[]): string[] {
    const problems: string[] = [];
    for (const link of links) {
      if (!link.name.startsWith(this.#prefix)) continue;
      const present = link.addresses.filter(
        ({ address, length, scope }) => scope === RT_SCOPE.UNIVERSE && length === addressBits(address.family),
      );
      const own = wanted.get(link.name) ?? [];
      for (const address of own) {
        if (present.some((each) => addressesEqual(each.address, address))) continue;
        this.#change(link, 'add', { address, length: addressBits(address.family) }, problems);
      }
      for (const { address, length } of present) {
        if (own.some((each) => addressesEqual(each, address))) continue;
        this.#change(link, 'remove', { address, length }, problems);
      }
    }
    return problems;
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #change(
    { name, ifindex }: Link,
    what: 'add' | 'remove',
    value: InterfaceAddress,
    problems: string[],
  ): void {
    this.#socket ??= NetlinkSocket.open({ netns: this.#netns });
    const text = `${what} ${formatAddress(value.address)} ${what === 'add' ? 'to' : 'from'} ${name}`;
    try {
      this.#socket.request(text, (writer) => {
        if (what === 'add') writeAddressAddition(writer, ifindex, value, RT_SCOPE.UNIVERSE);
        else writeAddressDeletion(writer, ifindex, value);
      });
    } catch (error) {
      problems.push(`cannot ${text}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
