/**
 * Routes to other hosts' blocks of pools with vxlanMode or ipipMode, from the store alone: plain where the other host is on a subnet of ours and the
 * mode is CrossSubnet, else through the tunnel; and the other ends of the tunnel that these routes need. Pure.
 */
import type { EncapsulationMode } from '../model/ip-pool.ts';
import { type Address, type Family, formatAddress } from '../net/address.ts';
import { hostPrefix, type Prefix, prefixContains, prefixContainsAddress } from '../net/prefix.ts';

export type Encapsulation = 'ipip' | 'vxlan';

/** A pool as far as encapsulation goes. */
export interface OverlayPool {
  readonly cidr: Prefix;
  readonly encapsulation: Encapsulation;
  readonly mode: EncapsulationMode;
}

/** Where a host's end of the tunnel is, within one family. An IPIP tunnel needs `host` alone. */
export interface OverlayEnd {
  /** the host's own address */
  readonly host?: Address;
  /** inner address of its end */
  readonly address?: Address;
  /** 6 octets */
  readonly mac: Uint8Array;
}

/** Another host. */
export interface OverlayNode {
  readonly name: string;
  readonly ends: Readonly<Partial<Record<Family, OverlayEnd>>>;
}

/** A block and who uses what of it. */
export interface OwnedBlock {
  readonly prefix: Prefix;
  /** undefined: it belongs to no host */
  readonly host: string | undefined;
  /** addresses that other hosts use: host -> addresses */
  readonly borrowed: ReadonlyMap<string, readonly Address[]> | undefined;
}

/** A subnet of this host. */
export interface OwnSubnet {
  readonly prefix: Prefix;
  readonly ifindex: number;
}

/** What the routes follow from. */
export interface RemoteRoutesInput {
  /** this host's name */
  readonly host: string;
  readonly pools: readonly OverlayPool[];
  /** without this host */
  readonly nodes: ReadonlyMap<string, OverlayNode>;
  readonly blocks: Iterable<OwnedBlock>;
  readonly subnets: readonly OwnSubnet[];
}

/** A route to addresses that another host has. */
export interface RemoteRoute {
  readonly prefix: Prefix;
  /**
   * `plain`: the gateway is the host itself; `tunnel`: it is the host's tunnel address, on the link of the family's VXLAN device;
   * `ipip`: it is the host itself, as if it were on the link of the IPIP device, which sends its packets there; `link`: the address is on
   * the VXLAN device's link, which the kernel wants to know of an IPv6 gateway that another route would lead elsewhere
   */
  readonly via:
    | { readonly kind: 'plain'; readonly gateway: Address; readonly ifindex: number }
    | { readonly kind: 'tunnel'; readonly gateway: Address }
    | { readonly kind: 'ipip'; readonly gateway: Address }
    | { readonly kind: 'link' };
}

/** An end of a VXLAN tunnel, whole. */
export interface RemoteEnd {
  readonly host: Address;
  readonly address: Address;
  readonly mac: Uint8Array;
}

/** The outcome. */
export interface RemoteRoutes {
  /** in the order in which the kernel takes them; of two for one prefix the first counts */
  readonly routes: readonly RemoteRoute[];
  /** the ends that routes go to, by family */
  readonly ends: Readonly<Record<Family, readonly RemoteEnd[]>>;
  /** hosts whose blocks cannot be reached, and why */
  readonly unreachable: ReadonlyMap<string, string>;
}

/** The pools that have routes of this kind. */
export function encapsulated(pools: readonly OverlayPool[]): OverlayPool[] {
  return pools.filter(({ mode }) => mode !== 'Never');
}

/** Works out all routes to other hosts' addresses in encapsulated pools. */
export function remoteRoutes(input: RemoteRoutesInput): RemoteRoutes {
  const { host, nodes, subnets } = input;
  const pools = encapsulated(input.pools);
  const routes: RemoteRoute[] = [];
  const ends: Record<Family, Map<string, RemoteEnd>> = { ipv4: new Map(), ipv6: new Map() };
  const unreachable = new Map<string, string>();
  const ways = new Map<string, RemoteRoute['via'] | undefined>();

  const wayTo = (name: string, family: Family, pool: OverlayPool): RemoteRoute['via'] | undefined => {
    const end = nodes.get(name)?.ends[family];
    const which = family === 'ipv4' ? 'IPv4' : 'IPv6';
    if (end?.host === undefined) {
      unreachable.set(name, nodes.has(name) ? `it has no ${which} address` : 'there is no Node of that name');
      return undefined;
    }
    const subnet = pool.mode === 'CrossSubnet' ? subnetOf(subnets, end.host) : undefined;
    if (subnet !== undefined) return { kind: 'plain', gateway: end.host, ifindex: subnet.ifindex };
    if (pool.encapsulation === 'ipip') return { kind: 'ipip', gateway: end.host };
    if (end.address === undefined) {
      unreachable.set(name, `it has no ${which} tunnel address (yet)`);
      return undefined;
    }
    ends[family].set(name, { host: end.host, address: end.address, mac: end.mac });
    return { kind: 'tunnel', gateway: end.address };
  };
  const add = (prefix: Prefix, name: string, pool: OverlayPool): void => {
    const key = `${name} ${prefix.family} ${pool.encapsulation} ${pool.mode}`;
    if (!ways.has(key)) ways.set(key, wayTo(name, prefix.family, pool));
    const via = ways.get(key);
    if (via !== undefined) routes.push({ prefix, via });
  };

  for (const block of input.blocks) {
    const pool = pools.find(({ cidr }) => prefixContains(cidr, block.prefix));
    if (pool === undefined) continue;
    const owner = block.host === undefined || isVirtual(block.host) ? undefined : block.host;
    if (owner !== undefined && owner !== host) add(block.prefix, owner, pool);
    for (const [user, addresses] of block.borrowed ?? []) {
      if (user === host) continue;
      for (const address of addresses) add(hostPrefix(address), user, pool);
    }
  }
  const onLink = [...ends.ipv6.values()].map(
    ({ address }): RemoteRoute => ({ prefix: hostPrefix(address), via: { kind: 'link' } }),
  );
  return {
    routes: [...onLink, ...routes],
    ends: { ipv4: [...ends.ipv4.values()], ipv6: [...ends.ipv6.values()] },
    unreachable,
  };
}

/** Blocks with such an affinity serve no host. */
function isVirtual(host: string): boolean {
  return host.startsWith('virtual:');
}

/** The longest of our subnets that holds an address. */
function subnetOf(subnets: readonly OwnSubnet[], address: Address): OwnSubnet | undefined {
  let best: OwnSubnet | undefined;
  for (const subnet of subnets) {
    if (!prefixContainsAddress(subnet.prefix, address)) continue;
    if (best === undefined || subnet.prefix.length > best.prefix.length) best = subnet;
  }
  return best;
}

/** A text that is the same for routes that do the same. */
export function routeKey({ via }: RemoteRoute): string {
  if (via.kind === 'link') return via.kind;
  return `${via.kind} ${formatAddress(via.gateway)}`;
}
