/** The subnets of this host's links, as peers need them: who is one hop away, and over which link. */
import type { Link } from '../../../fib/routes/link-table.ts';
import type { Address } from '../../net/address.ts';
import {
  formatPrefix,
  type Prefix,
  prefixContains,
  prefixContainsAddress,
  prefixOf,
} from '../../net/prefix.ts';
import type { PeerSources } from './dynamic.ts';

export interface LinkSubnet {
  readonly link: string;
  readonly subnet: Prefix;
}

/** Subnets of this host's links, without those of containers and without host addresses. */
export function connectedSubnets(links: readonly Link[], linkPrefix: string): Prefix[] {
  return distinct(subnetsOf(links, linkPrefix));
}

/**
 * Subnets with a memory: one that a peer is in is kept when it goes, with its link. A link that flaps must not turn its peers into multihop ones,
 * and they have to know which link they wait for.
 */
export class ConnectedSubnets {
  #present: readonly LinkSubnet[] = [];
  #gone: readonly LinkSubnet[] = [];

  /** Takes what the links are now. `isNeeded`: whether a peer, or prefixes of them, are in a subnet. */
  update(links: readonly Link[], linkPrefix: string, isNeeded: (subnet: Prefix) => boolean): void {
    const present = subnetsOf(links, linkPrefix);
    const keys = new Set(present.map(({ subnet }) => formatPrefix(subnet)));
    this.#gone = [...this.#present, ...this.#gone].filter(
      ({ subnet }) => !keys.has(formatPrefix(subnet)) && isNeeded(subnet),
    );
    this.#present = present;
  }

  /** Each once: those that are there, then those that are remembered. */
  get prefixes(): Prefix[] {
    return distinct([...this.#present, ...this.#gone]);
  }

  /** The first link that leads to an address; undefined: it is on no subnet. */
  linkTo(address: Address): string | undefined {
    const leads = ({ subnet }: LinkSubnet): boolean => prefixContainsAddress(subnet, address);
    return (this.#present.find(leads) ?? this.#gone.find(leads))?.link;
  }

  /** The link on which a session with the address stands or falls: undefined where several have its subnet. */
  onlyLinkTo(address: Address): string | undefined {
    for (const all of [this.#present, this.#gone]) {
      const leading = all.filter(({ subnet }) => prefixContainsAddress(subnet, address));
      const length = Math.max(...leading.map(({ subnet }) => subnet.length));
      const links = new Set(leading.filter(({ subnet }) => subnet.length === length).map(({ link }) => link));
      const [first] = links;
      if (first !== undefined) return links.size === 1 ? first : undefined;
    }
    return undefined;
  }
}

export function subnetsOf(links: readonly Link[], linkPrefix: string): LinkSubnet[] {
  const subnets: LinkSubnet[] = [];
  for (const link of links) {
    if (link.isLoopback || !link.isUp || link.name.startsWith(linkPrefix)) continue;
    for (const { address, length, scope } of link.addresses) {
      if (scope !== 0 || length === address.bytes.length * 8) continue;
      subnets.push({ link: link.name, subnet: prefixOf(address, length) });
    }
  }
  return subnets;
}

/** Whether a peer, or prefixes that peers may come from, are in a subnet. */
export function isNeeded({ peers, ranges }: PeerSources, subnet: Prefix): boolean {
  return (
    peers.some(({ config }) => prefixContainsAddress(subnet, config.address)) ||
    ranges.some(({ range }) => prefixContains(subnet, range.prefix))
  );
}

function distinct(subnets: readonly LinkSubnet[]): Prefix[] {
  return [...new Map(subnets.map(({ subnet }) => [formatPrefix(subnet), subnet])).values()];
}
