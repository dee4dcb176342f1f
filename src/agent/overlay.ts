/**
 * Encapsulation between hosts: for each kind of tunnel that a pool asks for (vxlanMode, ipipMode) this host gets a tunnel address and a
 * device, and the blocks and borrowed addresses of other hosts in such pools get routes, plain or through it.
 */
import { IpipDevice } from '../../fib/ipip/ipip-device.ts';
import type { FibProgrammer } from '../../fib/programmer.ts';
import type { RouteNextHop, RouteTarget } from '../../fib/routes/types.ts';
import { VxlanDevices } from '../../fib/vxlan/vxlan-devices.ts';
import type { Finding } from '../api/views.ts';
import {
  encapsulated,
  type OverlayNode,
  type OverlayPool,
  type OwnSubnet,
  type RemoteRoute,
  type RemoteRoutes,
  remoteRoutes,
  routeKey,
} from '../calc/remote-routes.ts';
import type { Ipam } from '../ipam/ipam.ts';
import { mayHaveBlocks, poolOfResource } from '../ipam/pools.ts';
import type { IpPool } from '../model/ip-pool.ts';
import { makeKey } from '../model/types.ts';
import { type Address, addressesEqual, formatAddress } from '../net/address.ts';
import { formatPrefix, type Prefix, parsePrefix, prefixContainsAddress, prefixOf } from '../net/prefix.ts';
import { RevisionConflict } from '../store/errors.ts';
import type { Store } from '../store/types.ts';
import { matchesSelector } from './bgp/selector-match.ts';
import { CoalescedTask } from './coalesced.ts';
import type { Log } from './log.ts';
import type { IdentityResult } from './node-identity.ts';
import type { ResourceCache } from './resources/cache.ts';
import {
  endFields,
  macOf,
  overlayNode,
  TUNNEL_KINDS,
  TUNNEL_LINKS,
  TUNNELS,
  type TunnelEndFields,
  type TunnelKind,
  writtenAddress,
} from './tunnels.ts';

/** Calico's defaults (FelixConfiguration vxlanVNI, vxlanPort). */
const VNI = 4096;
const PORT = 4789;
const WRITE_ATTEMPTS = 5;
/** While the store is away. */
const UNCONFIRMED_RETRY_MS = 5_000;

export interface OverlayOptions {
  readonly node: string;
  readonly store: Store;
  readonly cache: ResourceCache;
  readonly ipam: Ipam;
  readonly fib: FibProgrammer;
  readonly identity: () => IdentityResult;
  /** MTU of the links that carry the outer packets */
  readonly underlayMtu: () => number;
  /** prefix of containers' links */
  readonly linkPrefix: string;
  readonly log: Log;
}

/** One of it in an agent. */
export class OverlayService {
  readonly #options: OverlayOptions;
  readonly #vxlan: VxlanDevices;
  readonly #ipip: IpipDevice;
  readonly #task: CoalescedTask;
  /** routes set, by prefix */
  readonly #routes = new Map<string, { readonly prefix: Prefix; readonly key: string }>();
  /** tunnel addresses that IPAM is known to hold for this node */
  readonly #held: Partial<Record<TunnelKind, Address>> = {};
  readonly #problems: Partial<Record<TunnelKind, string>> = {};
  #unreachable: RemoteRoutes['unreachable'] = new Map();

  constructor(options: OverlayOptions) {
    this.#options = options;
    this.#vxlan = new VxlanDevices(options.fib.kernel, { onForeignChange: () => this.update() });
    this.#ipip = new IpipDevice(options.fib.kernel);
    this.#task = new CoalescedTask(
      () => this.#reconcile(),
      (error) =>
        options.log.warn({ error }, 'encapsulation could not be set up as the store says; tried again'),
    );
  }

  /** Brings everything to what the store says once, and follows blocks from now on. Does not reject: what fails is tried again. */
  async start(): Promise<void> {
    this.#options.ipam.view.owners.onChange(() => this.update());
    this.update();
    await this.#task.idle();
  }

  /** Pools, nodes, blocks, links or addresses changed. */
  update(): void {
    this.#task.trigger();
  }

  async close(): Promise<void> {
    await this.#task.close();
    this.#vxlan.close();
    this.#ipip.close();
  }

  /** Octets that packets to containers of other hosts may grow by here; 0 without an encapsulated pool. */
  get overhead(): number {
    return Math.max(0, ...this.#kinds().map((kind) => TUNNELS[kind].overhead));
  }

  /** Prefixes to which this part makes the routes: BGP's are left out. */
  managed(): Prefix[] {
    return encapsulated(this.#pools()).map(({ cidr }) => cidr);
  }

  findings(): Finding[] {
    const findings: Finding[] = [];
    for (const kind of this.#kinds()) {
      const problem = this.#problems[kind];
      if (problem === undefined) continue;
      const { encapsulation, link } = TUNNELS[kind];
      findings.push({
        severity: 'error',
        code: `${encapsulation}-not-ready`,
        message: `${link} is not as it should be: ${problem}`,
      });
    }
    for (const [node, reason] of this.#unreachable) {
      findings.push({
        severity: 'warning',
        code: 'tunnel-node-unreachable',
        message: `addresses of node ${node} in pools with vxlanMode or ipipMode have no route: ${reason}`,
      });
    }
    return findings;
  }

  async #reconcile(): Promise<{ afterMs?: number }> {
    const devices: Partial<Record<TunnelKind, number>> = {};
    const failures: unknown[] = [];
    const guarded = async (kind: TunnelKind, work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        this.#problems[kind] = error instanceof Error ? error.message : String(error);
        failures.push(error);
      }
    };
    const kinds = this.#kinds();
    const present = kinds.length === 0 ? undefined : this.#calculate();
    for (const kind of TUNNEL_KINDS) {
      delete this.#problems[kind];
      if (!kinds.includes(kind)) continue;
      await guarded(kind, async () => {
        const address = await this.#tunnelAddress(kind);
        if (address === undefined) {
          this.#removeDevice(kind);
          await this.#giveUpAddress(kind);
          return;
        }
        // Tunnel ends stand before the routes that use them.
        devices[kind] = this.#makeDevice(kind, address, present);
      });
    }
    this.#setRoutes(present?.routes ?? [], devices);
    this.#unreachable = present?.unreachable ?? new Map();
    for (const kind of TUNNEL_KINDS) {
      if (kinds.includes(kind)) continue;
      await guarded(kind, async () => {
        this.#removeDevice(kind);
        await this.#giveUpAddress(kind);
      });
    }
    if (failures.length > 0) throw failures[0];
    // A device that works without its address being confirmed is no failure, but is not done with either.
    return kinds.some((kind) => this.#problems[kind] !== undefined && devices[kind] !== undefined)
      ? { afterMs: UNCONFIRMED_RETRY_MS }
      : {};
  }

  #calculate(): RemoteRoutes {
    const { node, cache, ipam } = this.#options;
    const nodes = new Map<string, OverlayNode>();
    for (const each of cache.list('Node')) {
      if (each.metadata.name !== node) nodes.set(each.metadata.name, overlayNode(each));
    }
    return remoteRoutes({
      host: node,
      pools: this.#pools(),
      nodes,
      blocks: ipam.view.owners.all(),
      subnets: this.#subnets(),
    });
  }

  #setRoutes(routes: readonly RemoteRoute[], devices: Readonly<Partial<Record<TunnelKind, number>>>): void {
    const table = this.#options.fib.routes;
    const wanted = new Set<string>();
    for (const route of routes) {
      const ifindex = route.via.kind === 'plain' ? route.via.ifindex : devices[tunnelOf(route)];
      if (ifindex === undefined) continue;
      const text = formatPrefix(route.prefix);
      if (wanted.has(text)) continue;
      wanted.add(text);
      const key = `${routeKey(route)} ${ifindex}`;
      if (this.#routes.get(text)?.key === key) continue;
      const target: RouteTarget = { kind: 'unicast', nextHops: [nextHopOf(route, ifindex)] };
      table.setRoute(route.prefix, 'remote', target);
      this.#routes.set(text, { prefix: route.prefix, key });
    }
    for (const [text, { prefix }] of this.#routes) {
      if (wanted.has(text)) continue;
      table.removeRoute(prefix, 'remote');
      this.#routes.delete(text);
    }
  }

  #makeDevice(kind: TunnelKind, address: Address, present: RemoteRoutes | undefined): number {
    const { node, identity, underlayMtu } = this.#options;
    const { family, encapsulation, link: name, overhead } = TUNNELS[kind];
    const local = identity().identity.addresses[family]?.address;
    if (local === undefined) {
      throw new Error(`this node has no ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address to send from`);
    }
    const common = { name, local, mtu: underlayMtu() - overhead, address };
    if (encapsulation === 'ipip') return this.#ipip.ensure(common);
    const ifindex = this.#vxlan.ensure({ ...common, vni: VNI, port: PORT, mac: macOf(node, family) });
    this.#vxlan.setEnds(name, [...(present?.ends[family] ?? [])]);
    return ifindex;
  }

  #removeDevice(kind: TunnelKind): void {
    const { encapsulation, link } = TUNNELS[kind];
    if (encapsulation === 'ipip') this.#ipip.remove(link);
    else this.#vxlan.remove(link);
  }

  /** This node's tunnel address, held in IPAM and written to its Node. Undefined: no pool serves this node, so it needs none. */
  async #tunnelAddress(kind: TunnelKind): Promise<Address | undefined> {
    const { node, cache, ipam } = this.#options;
    const { family, handlePrefix, addressType } = TUNNELS[kind];
    const pools = this.#tunnelPools(kind);
    if (pools.length === 0) {
      this.#problems[kind] =
        'no encapsulated IPPool selects this node and allows Tunnel, so it has no tunnel address';
      return undefined;
    }
    const isUsable = (address: Address): boolean =>
      pools.some(({ cidr }) => prefixContainsAddress(cidr, address));
    const written = writtenAddress(cache.get('Node', node), kind);
    const known = this.#held[kind];
    if (known !== undefined && isUsable(known)) {
      if (written !== undefined && addressesEqual(known, written)) return known;
    }
    const handle = `${handlePrefix}${node}`;
    try {
      const held = await ipam.assignmentsOf(handle);
      if (held.some(({ address }) => !isUsable(address))) await ipam.releaseHandle(handle);
      const [assignment] = await ipam.assign({
        handle,
        families: [family],
        attributes: { type: addressType },
        pools: { [family]: pools.map(({ name }) => name) },
        use: 'Tunnel',
      });
      if (assignment === undefined) throw new Error('address allocation gave no tunnel address');
      const { address } = assignment;
      await this.#writeNode(kind, endFields(kind, node, address));
      this.#held[kind] = address;
      return address;
    } catch (error) {
      // With the store away the address of the last life serves on.
      if (written === undefined || !isUsable(written)) throw error;
      this.#options.log.warn(
        { error },
        `the tunnel address ${formatAddress(written)} could not be confirmed`,
      );
      this.#problems[kind] = error instanceof Error ? error.message : String(error);
      return written;
    }
  }

  async #giveUpAddress(kind: TunnelKind): Promise<void> {
    const { node, cache, ipam } = this.#options;
    const own = cache.get('Node', node);
    const isWritten = own !== undefined && Object.keys(TUNNELS[kind].read(own.spec)).length > 0;
    if (!isWritten && this.#held[kind] === undefined) return;
    await ipam.releaseHandle(`${TUNNELS[kind].handlePrefix}${node}`);
    delete this.#held[kind];
    await this.#writeNode(kind, undefined);
  }

  async #writeNode(kind: TunnelKind, end: TunnelEndFields | undefined): Promise<void> {
    const { node, store } = this.#options;
    const tunnel = TUNNELS[kind];
    for (let attempt = 1; ; attempt++) {
      const stored = await store.get(makeKey('Node', node));
      if (stored?.resource.kind !== 'Node') {
        if (end === undefined) return;
        throw new Error(`there is no Node ${node} to write the tunnel address to`);
      }
      const { address, mac } = tunnel.read(stored.resource.spec);
      if (address === end?.address && mac === end?.mac) return;
      const spec = tunnel.write(stored.resource.spec, end ?? {});
      try {
        await store.update({ ...stored.resource, spec }, stored.revision);
        return;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt >= WRITE_ATTEMPTS) throw error;
      }
    }
  }

  #pools(): OverlayPool[] {
    return this.#options.cache.list('IPPool').flatMap(overlayPool);
  }

  #kinds(): TunnelKind[] {
    const pools = encapsulated(this.#pools());
    return TUNNEL_KINDS.filter((kind) => pools.some((pool) => servesTunnel(pool, kind)));
  }

  #tunnelPools(kind: TunnelKind) {
    const { cache, identity } = this.#options;
    const { labels } = identity().identity;
    return cache.list('IPPool').flatMap((resource) => {
      const pool = poolOfResource(resource);
      const isOurs = encapsulated(overlayPool(resource)).some((each) => servesTunnel(each, kind));
      if (pool === undefined || !isOurs) return [];
      const serves =
        pool.allowedUses.includes('Tunnel') &&
        mayHaveBlocks(pool, (selector) => matchesSelector(selector, labels));
      return serves ? [pool] : [];
    });
  }

  #subnets(): OwnSubnet[] {
    const { fib, linkPrefix } = this.#options;
    return fib.kernel.links.all().flatMap((link) => {
      if (
        link.isLoopback ||
        !link.isUp ||
        link.name.startsWith(linkPrefix) ||
        TUNNEL_LINKS.includes(link.name)
      )
        return [];
      return link.addresses
        .filter(({ address, length, scope }) => scope === 0 && length < address.bytes.length * 8)
        .map(({ address, length }) => ({ prefix: prefixOf(address, length), ifindex: link.ifindex }));
    });
  }
}

function overlayPool({ spec }: IpPool): OverlayPool[] {
  const cidr = parsePrefix(spec.cidr);
  if (cidr === undefined) return [];
  const { ipipMode = 'Never', vxlanMode = 'Never' } = spec;
  return ipipMode === 'Never'
    ? [{ cidr, encapsulation: 'vxlan', mode: vxlanMode }]
    : [{ cidr, encapsulation: 'ipip', mode: ipipMode }];
}

function servesTunnel({ cidr, encapsulation }: OverlayPool, kind: TunnelKind): boolean {
  return TUNNELS[kind].family === cidr.family && TUNNELS[kind].encapsulation === encapsulation;
}

function tunnelOf({ prefix, via }: RemoteRoute): TunnelKind {
  if (via.kind === 'ipip') return 'ipip';
  return prefix.family === 'ipv4' ? 'vxlan4' : 'vxlan6';
}

function nextHopOf({ via }: RemoteRoute, ifindex: number): RouteNextHop {
  if (via.kind === 'link') return { ifindex };
  return { ifindex, gateway: via.gateway, ...(via.kind === 'plain' ? {} : { onlink: true }) };
}
