/** The interfaces of this namespace and their addresses, kept from kernel notifications. */
import { type Address, addressesEqual } from '../../src/net/address.ts';
import { type AddressMessage, decodeAddress } from '../netlink/address-message.ts';
import { decodeLink, type LinkMessage } from '../netlink/link-message.ts';
import type { MessageBody } from '../netlink/reader.ts';
import { IFF, RTM } from '../netlink/registry.ts';

/** An address of an interface. */
export interface LinkAddress {
  readonly address: Address;
  /** prefix length of its subnet */
  readonly length: number;
  /** IFA_F_* */
  readonly flags: number;
  /** RT_SCOPE_*: 0 global, 253 link, 254 host */
  readonly scope: number;
  /** the other end of a point-to-point interface */
  readonly peer?: Address;
}

/** An interface. Values are replaced, never changed. */
export interface Link {
  readonly ifindex: number;
  readonly name: string;
  readonly mtu: number;
  /** `veth`, `bridge`, `vxlan`; empty for hardware */
  readonly kind: string;
  /** hardware address, 6 octets or none */
  readonly mac: Uint8Array;
  /** administratively up */
  readonly isUp: boolean;
  /** up and operational */
  readonly isRunning: boolean;
  readonly hasCarrier: boolean;
  readonly isLoopback: boolean;
  readonly peerIfindex: number;
  /** bridge or bond that it belongs to; 0 if none */
  readonly masterIfindex: number;
  readonly addresses: readonly LinkAddress[];
}

/** An interface as it was (absent: new) and as it is (absent: gone). */
export interface LinkChangeEvent {
  readonly before: Link | undefined;
  readonly after: Link | undefined;
}

export type LinkListener = (event: LinkChangeEvent) => void;

/** Interfaces by index. */
export class LinkTable {
  readonly #links = new Map<number, Link>();
  readonly #listeners = new Set<LinkListener>();

  get(ifindex: number): Link | undefined {
    return this.#links.get(ifindex);
  }

  /** The interface of a name: a walk over all, for callers that are not in a hurry. */
  byName(name: string): Link | undefined {
    for (const link of this.#links.values()) if (link.name === name) return link;
    return undefined;
  }

  /** All interfaces by index. */
  all(): Link[] {
    return [...this.#links.values()].sort((a, b) => a.ifindex - b.ifindex);
  }

  isUp(ifindex: number): boolean {
    return this.#links.get(ifindex)?.isUp ?? false;
  }

  /** Whether an address is one of this machine's own. */
  owns(address: Address): boolean {
    for (const link of this.#links.values()) {
      if (link.addresses.some((own) => addressesEqual(own.address, address))) return true;
    }
    return false;
  }

  /** Calls `listener` on every change until the returned function is called. */
  onChange(listener: LinkListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes what the kernel announces; does nothing with what is about neither interfaces nor addresses. */
  take(message: MessageBody): void {
    switch (message.type) {
      case RTM.NEWLINK:
      case RTM.DELLINK: {
        const link = decodeLink(message);
        if (link === undefined) return;
        if (message.type === RTM.NEWLINK) this.applyLink(link);
        else this.removeLink(link.ifindex);
        return;
      }
      case RTM.NEWADDR:
      case RTM.DELADDR: {
        const address = decodeAddress(message);
        if (address === undefined) return;
        if (message.type === RTM.NEWADDR) this.applyAddress(address);
        else this.removeAddress(address);
        return;
      }
    }
  }

  /** Takes an RTM_NEWLINK. */
  applyLink(message: LinkMessage): void {
    const before = this.#links.get(message.ifindex);
    const isUp = (message.flags & IFF.UP) !== 0;
    const after: Link = {
      ifindex: message.ifindex,
      name: message.name,
      mtu: message.mtu,
      kind: message.kind,
      mac: message.address,
      isUp,
      isRunning: isUp && (message.flags & IFF.RUNNING) !== 0,
      hasCarrier: message.carrier,
      isLoopback: (message.flags & IFF.LOOPBACK) !== 0,
      peerIfindex: message.peerIfindex,
      masterIfindex: message.masterIfindex,
      addresses: before?.addresses ?? [],
    };
    if (before !== undefined && sameLink(before, after)) return;
    this.#replace(before, after);
  }

  /** Takes an RTM_DELLINK. */
  removeLink(ifindex: number): void {
    const before = this.#links.get(ifindex);
    if (before !== undefined) this.#replace(before, undefined);
  }

  /** Takes an RTM_NEWADDR. */
  applyAddress(message: AddressMessage): void {
    const before = this.#links.get(message.ifindex);
    if (before === undefined) return;
    const { address, length, flags, scope, peer } = message;
    const entry: LinkAddress = { address, length, flags, scope, ...(peer === undefined ? {} : { peer }) };
    const at = before.addresses.findIndex((other) => sameAddress(other, entry));
    const known = before.addresses[at];
    if (known !== undefined && known.flags === flags && known.scope === scope) return;
    const addresses =
      at < 0 ? [...before.addresses, entry] : before.addresses.map((other, i) => (i === at ? entry : other));
    this.#replace(before, { ...before, addresses });
  }

  /** Takes an RTM_DELADDR. */
  removeAddress(message: AddressMessage): void {
    const before = this.#links.get(message.ifindex);
    if (before === undefined) return;
    const addresses = before.addresses.filter((other) => !sameAddress(other, message));
    if (addresses.length !== before.addresses.length) this.#replace(before, { ...before, addresses });
  }

  /** Makes the table hold just what a dump gave, telling the listeners about the differences. */
  replaceAll(links: readonly LinkMessage[], addresses: readonly AddressMessage[]): void {
    const alive = new Set(links.map((link) => link.ifindex));
    for (const ifindex of [...this.#links.keys()]) if (!alive.has(ifindex)) this.removeLink(ifindex);
    for (const link of links) this.applyLink(link);
    for (const link of this.all()) {
      const own = addresses.filter((message) => message.ifindex === link.ifindex);
      for (const old of link.addresses) {
        if (!own.some((message) => sameAddress(old, message)))
          this.removeAddress({ ...old, ifindex: link.ifindex });
      }
    }
    for (const message of addresses) this.applyAddress(message);
  }

  #replace(before: Link | undefined, after: Link | undefined): void {
    if (after !== undefined) this.#links.set(after.ifindex, after);
    else if (before !== undefined) this.#links.delete(before.ifindex);
    for (const listener of this.#listeners) listener({ before, after });
  }
}

function sameAddress(
  a: Pick<LinkAddress, 'address' | 'length'>,
  b: Pick<LinkAddress, 'address' | 'length'>,
): boolean {
  return a.length === b.length && addressesEqual(a.address, b.address);
}

function sameLink(a: Link, b: Link): boolean {
  return (
    a.name === b.name &&
    a.mtu === b.mtu &&
    a.kind === b.kind &&
    a.isUp === b.isUp &&
    a.isRunning === b.isRunning &&
    a.hasCarrier === b.hasCarrier &&
    a.isLoopback === b.isLoopback &&
    a.peerIfindex === b.peerIfindex &&
    a.masterIfindex === b.masterIfindex &&
    Buffer.compare(a.mac, b.mac) === 0
  );
}
