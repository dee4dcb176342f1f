/**
 * Next-hop tracking for learned routes: where a gateway address is to be found, by this machine's subnets, foreign kernel routes and those
 * learned routes that are found without another learned one (so that none leads to itself), followed as all of these come and go.
 */
import {
  type Address,
  addressBits,
  addressesEqual,
  formatAddress,
  isLinkLocal,
} from '../../src/net/address.ts';
import { type Prefix, prefixContainsAddress, prefixOf } from '../../src/net/prefix.ts';
import { IFA_F } from '../netlink/registry.ts';
import { longestMatch } from './inspect.ts';
import type { KernelWatch } from './kernel-watch.ts';
import type { RouteNextHop } from './types.ts';

/** Of what is found by what: a chain is two long, so the third pass finds nothing unless the kernel changes meanwhile. */
const MAX_PASSES = 3;

/** Why an address cannot be used as a next hop now. */
export type UnreachableReason =
  | 'no-route'
  | 'own-address'
  | 'link-down'
  | 'interface-needed'
  | 'no-interface'
  | 'rejected'
  | 'default-route';

/** Where an address is to be found. */
export type NextHopResolution =
  | {
      readonly reachable: true;
      /** `connected`: on a link of ours; `routed`: by a foreign route through a gateway; `learned`: by a learned route */
      readonly via: 'connected' | 'routed' | 'learned';
      /** what to put into routes; more than one if the route that it was found by is multipath */
      readonly nextHops: readonly RouteNextHop[];
      /** of the route that it was found by, one more for a learned one; 0 for a connected subnet */
      readonly metric: number;
    }
  | { readonly reachable: false; readonly reason: UnreachableReason };

/** A learned route by which a next hop may be found. */
export interface RecursiveRoute {
  /** of its prefix, in bits */
  readonly length: number;
  readonly nextHops: readonly RouteNextHop[];
  readonly metric: number;
}

/**
 * The longest learned route that holds the address and whose own next hops are all found otherwise than by learned routes. Longer ones
 * that lean on learned routes themselves are passed over: were they asked, a route could come to lead to itself, and go, and come.
 */
export type RecursiveLookup = (address: Address) => RecursiveRoute | undefined;

/** Options of a `NextHopTracker`. */
export interface NextHopTrackerOptions {
  /** whether a default route may serve, default true */
  readonly viaDefault?: boolean | undefined;
}

/** A next hop somebody is interested in. */
export interface TrackedNextHop {
  /** the present answer; the listener is called whenever it changes */
  readonly resolution: NextHopResolution;
  /** ends the interest */
  release(): void;
}

interface Interest {
  readonly address: Address;
  readonly ifindex: number;
  resolution: NextHopResolution;
  readonly listeners: Set<(resolution: NextHopResolution) => void>;
}

interface KernelAnswer {
  readonly resolution: NextHopResolution;
  /** of the foreign prefix that says it; -1 for none */
  readonly length: number;
}

interface Subnet {
  readonly ifindex: number;
  readonly prefix: Prefix;
}

interface Connected {
  readonly own: readonly Address[];
  /** longest first */
  readonly subnets: readonly Subnet[];
}

/** Resolves next hops against a `KernelWatch` and follows those that somebody tracks. */
export class NextHopTracker {
  readonly #kernel: KernelWatch;
  readonly #viaDefault: boolean;
  readonly #interests = new Map<string, Interest>();
  readonly #stopListening: () => void;
  #isStale = false;
  #cache: Connected | undefined;
  #lookup: RecursiveLookup | undefined;
  #reconsideration: NodeJS.Immediate | undefined;

  constructor(kernel: KernelWatch, options: NextHopTrackerOptions = {}) {
    this.#kernel = kernel;
    this.#viaDefault = options.viaDefault ?? true;
    this.#stopListening = kernel.listen({
      link: () => {
        this.#isStale = true;
        this.#cache = undefined;
      },
      foreignRoute: () => {
        this.#isStale = true;
      },
      drained: () => this.#refresh(),
      readEnd: () => {
        this.#isStale = true;
        this.#cache = undefined;
        this.#refresh();
      },
    });
  }

  /** Stops following the kernel. */
  close(): void {
    this.#stopListening();
    if (this.#reconsideration !== undefined) clearImmediate(this.#reconsideration);
    this.#interests.clear();
  }

  /** From now on next hops may be found by learned routes too; undefined ends that. */
  recurseThrough(lookup: RecursiveLookup | undefined): void {
    this.#lookup = lookup;
    this.reconsider();
  }

  /** Learned routes changed: looks again, in the next turn, for what is not found on a link of ours. */
  reconsider(): void {
    if (this.#reconsideration !== undefined) return;
    if (![...this.#interests.values()].some(({ resolution }) => !isConnected(resolution))) return;
    this.#reconsideration = setImmediate(() => {
      this.#reconsideration = undefined;
      this.#isStale = true;
      this.#refresh();
    });
  }

  /**
   * Where an address is to be found now. An IPv6 link-local address needs its interface, by `ifindex` (0: none given) or as its zone,
   * which is followed by name: it may come and go and have another index then.
   */
  resolve(address: Address, ifindex = 0): NextHopResolution {
    const found = this.#resolveByKernel(address, ifindex);
    const { resolution } = found;
    if (isConnected(resolution) || (!resolution.reachable && resolution.reason === 'own-address'))
      return resolution;
    const learned = address.zone === undefined && ifindex === 0 ? this.#lookup?.(address) : undefined;
    if (learned === undefined || learned.length <= found.length) return resolution;
    if (learned.length === 0 && !this.#viaDefault) return resolution;
    return {
      reachable: true,
      via: 'learned',
      nextHops: learned.nextHops,
      metric: learned.metric + 1,
    };
  }

  /** What subnets and foreign routes say. */
  #resolveByKernel(address: Address, ifindex: number): KernelAnswer {
    const says = (resolution: NextHopResolution, length: number): KernelAnswer => ({ resolution, length });
    const refused = (reason: UnreachableReason, length = -1): KernelAnswer =>
      says({ reachable: false, reason }, length);
    if (address.family === 'ipv6' && isLinkLocal(address))
      return says(this.#resolveLinkLocal(address, ifindex), 128);
    const { links, lookup } = this.#kernel;
    const { own, subnets } = this.#connected();
    if (own.some((each) => addressesEqual(each, address))) return refused('own-address');
    const subnet = connectedSubnet(subnets, address, ifindex);
    const routes = lookup[address.family];
    const id = longestMatch(routes.table, address);
    const [best] = id < 0 ? [] : routes.at(id);
    // A foreign route that is more specific than the subnet leads the address elsewhere.
    const isElsewhere =
      subnet !== undefined && ifindex === 0 && (best?.prefix.length ?? 0) > subnet.prefix.length;
    if (subnet !== undefined && !isElsewhere) return says(connected(subnet.ifindex, address), 0);
    if (best === undefined) return refused('no-route');
    const { length } = best.prefix;
    if (length === 0 && !this.#viaDefault) return refused('default-route');
    if (best.kind !== 'unicast') return refused('rejected', length);
    const usable = best.nextHops.filter((hop) => links.get(hop.ifindex)?.isRunning);
    if (usable.length === 0) return refused('link-down', length);
    const isRouted = usable.some((hop) => hop.gateway !== undefined);
    return says(
      {
        reachable: true,
        via: isRouted ? 'routed' : 'connected',
        nextHops: usable.map((hop) => {
          // Without a gateway the route itself says that the address is on the link, also when no subnet does.
          return hop.gateway === undefined ? { ...hop, gateway: address, onlink: true } : hop;
        }),
        metric: best.metric,
      },
      length,
    );
  }

  #resolveLinkLocal({ family, bytes, zone }: Address, ifindex: number): NextHopResolution {
    const { links } = this.#kernel;
    if (ifindex === 0 && zone === undefined) return { reachable: false, reason: 'interface-needed' };
    const link = ifindex === 0 && zone !== undefined ? links.byName(zone) : links.get(ifindex);
    if (link === undefined) return { reachable: false, reason: 'no-interface' };
    // In routes the interface stands beside the gateway.
    const gateway: Address = { family, bytes };
    if (link.addresses.some((own) => addressesEqual(own.address, gateway)))
      return { reachable: false, reason: 'own-address' };
    return link.isRunning ? connected(link.ifindex, gateway) : { reachable: false, reason: 'link-down' };
  }

  /** Follows an address until released; `onChange` is called after the answer changed, never during this call. */
  track(
    address: Address,
    ifindex: number,
    onChange: (resolution: NextHopResolution) => void,
  ): TrackedNextHop {
    const key = `${formatAddress(address)}%${ifindex}`;
    let interest = this.#interests.get(key);
    if (interest === undefined) {
      interest = { address, ifindex, resolution: this.resolve(address, ifindex), listeners: new Set() };
      this.#interests.set(key, interest);
    }
    const held = interest;
    // A listener of its own, also when the same function is passed twice.
    const listener = (resolution: NextHopResolution): void => onChange(resolution);
    held.listeners.add(listener);
    return {
      get resolution() {
        return held.resolution;
      },
      release: () => {
        held.listeners.delete(listener);
        if (held.listeners.size === 0 && this.#interests.get(key) === held) this.#interests.delete(key);
      },
    };
  }

  /** Own addresses and subnets, gathered once for each change: a host has many links and few of them matter. */
  #connected(): Connected {
    if (this.#cache !== undefined) return this.#cache;
    const own: Address[] = [];
    const subnets: Subnet[] = [];
    for (const link of this.#kernel.links.all()) {
      for (const each of link.addresses) {
        own.push(each.address);
        const isUsable = link.isRunning && (each.flags & (IFA_F.TENTATIVE | IFA_F.DADFAILED)) === 0;
        const isHost = each.length === addressBits(each.address.family) && each.peer === undefined;
        if (!isUsable || isHost || isLinkLocal(each.address)) continue;
        subnets.push({ ifindex: link.ifindex, prefix: prefixOf(each.peer ?? each.address, each.length) });
      }
    }
    subnets.sort((a, b) => b.prefix.length - a.prefix.length);
    this.#cache = { own, subnets };
    return this.#cache;
  }

  #refresh(): void {
    if (!this.#isStale || !this.#kernel.isCurrent) return;
    this.#isStale = false;
    // What is on our links first; the rest may be found by routes that lean on it, and one pass moves them on by one step.
    this.#update(({ resolution }, now) => isConnected(resolution) || isConnected(now));
    for (let pass = 0; pass < MAX_PASSES && this.#update((_, now) => !isConnected(now)); pass++);
  }

  /** Tells of what changed among those that `concerns` admits; whether anything did. */
  #update(concerns: (interest: Interest, now: NextHopResolution) => boolean): boolean {
    let hasChanged = false;
    for (const interest of [...this.#interests.values()]) {
      const resolution = this.resolve(interest.address, interest.ifindex);
      if (sameResolution(interest.resolution, resolution) || !concerns(interest, resolution)) continue;
      interest.resolution = resolution;
      hasChanged = true;
      for (const listener of [...interest.listeners]) listener(resolution);
    }
    return hasChanged;
  }
}

/** The longest subnet that holds the address; `ifindex` other than 0 admits only that interface's. */
function connectedSubnet(subnets: readonly Subnet[], address: Address, ifindex: number): Subnet | undefined {
  return subnets.find((subnet) => {
    return (ifindex === 0 || subnet.ifindex === ifindex) && prefixContainsAddress(subnet.prefix, address);
  });
}

function isConnected(resolution: NextHopResolution): boolean {
  return resolution.reachable && resolution.via === 'connected';
}

function connected(ifindex: number, gateway: Address): NextHopResolution {
  return { reachable: true, via: 'connected', nextHops: [{ ifindex, gateway, weight: 1 }], metric: 0 };
}

function sameResolution(a: NextHopResolution, b: NextHopResolution): boolean {
  if (!a.reachable || !b.reachable) return !a.reachable && !b.reachable && a.reason === b.reason;
  return (
    a.metric === b.metric &&
    a.via === b.via &&
    a.nextHops.length === b.nextHops.length &&
    a.nextHops.every((hop, index) => sameNextHop(hop, b.nextHops[index]))
  );
}

function sameNextHop(a: RouteNextHop, b: RouteNextHop | undefined): boolean {
  if (b === undefined || a.ifindex !== b.ifindex || a.onlink !== b.onlink || a.weight !== b.weight)
    return false;
  if (a.gateway === undefined || b.gateway === undefined) return a.gateway === b.gateway;
  return addressesEqual(a.gateway, b.gateway);
}
