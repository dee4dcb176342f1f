/**
 * Encapsulation between hosts: for each family that has a pool with vxlanMode this host gets a tunnel address and a VXLAN device, and the
 * blocks and borrowed addresses of other hosts in such pools get routes, plain or through it. Names, VNI, port, handles and Node fields
 * are Calico's but for the device's name, so that hosts of both kinds reach each other.
 */
import { createHash } from 'node:crypto';
import type { FibProgrammer } from '../../fib/programmer.ts';
import type { RouteNextHop, RouteTarget } from '../../fib/routes/types.ts';
import { VxlanDevices, type VxlanSpec } from '../../fib/vxlan/vxlan-devices.ts';
import type { Finding } from '../api/views.ts';
import {
  encapsulated,
  type OverlayEnd,
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
import type { Node } from '../model/node.ts';
import { makeKey } from '../model/types.ts';
import {
  type Address,
  addressesEqual,
  FAMILIES,
  type Family,
  formatAddress,
  parseAddress,
} from '../net/address.ts';
import {
  formatPrefix,
  type Prefix,
  parseInterfaceAddress,
  parsePrefix,
  prefixContainsAddress,
  prefixOf,
} from '../net/prefix.ts';
import { RevisionConflict } from '../store/errors.ts';
import type { Store } from '../store/types.ts';
import { matchesSelector } from './bgp/selector-match.ts';
import { CoalescedTask } from './coalesced.ts';
import type { Log } from './log.ts';
import type { IdentityResult } from './node-identity.ts';
import type { ResourceCache } from './resources/cache.ts';

/** Links that this part makes, by family of the outer packets. */
export const VXLAN_LINKS: Readonly<Record<Family, string>> = {
  ipv4: 'vxlan.ocicat',
  ipv6: 'vxlan-v6.ocicat',
};
/** Calico's defaults (FelixConfiguration vxlanVNI, vxlanPort). */
const VNI = 4096;
const PORT = 4789;
/** What an outer header takes: Ethernet 14, VXLAN 8, UDP 8, and IP 20 or 40 octets. */
const OVERHEAD: Readonly<Record<Family, number>> = { ipv4: 50, ipv6: 70 };
const WRITE_ATTEMPTS = 5;
/** While the store is away. */
const UNCONFIRMED_RETRY_MS = 5_000;

const FIELDS = {
  ipv4: { address: 'ipv4VXLANTunnelAddr', mac: 'vxlanTunnelMACAddr' },
  ipv6: { address: 'ipv6VXLANTunnelAddr', mac: 'vxlanTunnelMACAddrV6' },
} as const;
const HANDLE_PREFIX: Readonly<Record<Family, string>> = {
  ipv4: 'vxlan-tunnel-addr-',
  ipv6: 'vxlan-v6-tunnel-addr-',
};
const ADDRESS_TYPE: Readonly<Record<Family, string>> = {
  ipv4: 'vxlanTunnelAddress',
  ipv6: 'vxlanV6TunnelAddress',
};

export interface VxlanOptions {
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
export class VxlanService {
  readonly #options: VxlanOptions;
  readonly #devices: VxlanDevices;
  readonly #task: CoalescedTask;
  /** routes set, by prefix */
  readonly #routes = new Map<string, { readonly prefix: Prefix; readonly key: string }>();
  /** tunnel addresses that IPAM is known to hold for this node */
  readonly #held: Partial<Record<Family, Address>> = {};
  readonly #problems: Partial<Record<Family, string>> = {};
  #unreachable: RemoteRoutes['unreachable'] = new Map();

  constructor(options: VxlanOptions) {
    this.#options = options;
    this.#devices = new VxlanDevices(options.fib.kernel, { onForeignChange: () => this.update() });
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
    this.#devices.close();
  }

  /** Octets that packets to containers of other hosts may grow by here; 0 without an encapsulated pool. */
  get overhead(): number {
    return Math.max(0, ...this.#families().map((family) => OVERHEAD[family]));
  }

  /** Prefixes to which this part makes the routes: BGP's are left out. */
  managed(): Prefix[] {
    return encapsulated(this.#pools()).map(({ cidr }) => cidr);
  }

  findings(): Finding[] {
    const findings: Finding[] = [];
    for (const family of this.#families()) {
      const problem = this.#problems[family];
      if (problem === undefined) continue;
      findings.push({
        severity: 'error',
        code: 'vxlan-not-ready',
        message: `${VXLAN_LINKS[family]} is not as it should be: ${problem}`,
      });
    }
    for (const [node, reason] of this.#unreachable) {
      findings.push({
        severity: 'warning',
        code: 'vxlan-node-unreachable',
        message: `addresses of node ${node} in pools with vxlanMode have no route: ${reason}`,
      });
    }
    return findings;
  }

  async #reconcile(): Promise<{ afterMs?: number }> {
    const devices: Partial<Record<Family, number>> = {};
    const failures: unknown[] = [];
    const guarded = async (family: Family, work: () => Promise<void> | void): Promise<void> => {
      try {
        await work();
      } catch (error) {
        this.#problems[family] = error instanceof Error ? error.message : String(error);
        failures.push(error);
      }
    };
    const families = this.#families();
    const present = families.length === 0 ? undefined : this.#calculate();
    for (const family of FAMILIES) {
      delete this.#problems[family];
      await guarded(family, async () => {
        if (!families.includes(family)) return;
        const address = await this.#tunnelAddress(family);
        if (address === undefined) {
          this.#devices.remove(VXLAN_LINKS[family]);
          await this.#giveUpAddress(family);
          return;
        }
        devices[family] = this.#devices.ensure(this.#spec(family, address));
        // Tunnel ends stand before the routes that use them.
        this.#devices.setEnds(VXLAN_LINKS[family], [...(present?.ends[family] ?? [])]);
      });
    }
    this.#setRoutes(present?.routes ?? [], devices);
    this.#unreachable = present?.unreachable ?? new Map();
    for (const family of FAMILIES) {
      if (families.includes(family)) continue;
      await guarded(family, async () => {
        this.#devices.remove(VXLAN_LINKS[family]);
        await this.#giveUpAddress(family);
      });
    }
    if (failures.length > 0) throw failures[0];
    // A device that works without its address being confirmed is no failure, but is not done with either.
    return families.some((family) => this.#problems[family] !== undefined && devices[family] !== undefined)
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

  #setRoutes(routes: readonly RemoteRoute[], devices: Readonly<Partial<Record<Family, number>>>): void {
    const table = this.#options.fib.routes;
    const wanted = new Set<string>();
    for (const route of routes) {
      const ifindex = route.via.kind === 'plain' ? route.via.ifindex : devices[route.prefix.family];
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

  #spec(family: Family, address: Address): VxlanSpec {
    const { node, identity, underlayMtu } = this.#options;
    const local = identity().identity.addresses[family]?.address;
    if (local === undefined) {
      throw new Error(`this node has no ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address to send from`);
    }
    return {
      name: VXLAN_LINKS[family],
      vni: VNI,
      port: PORT,
      local,
      mac: macOf(node, family),
      mtu: underlayMtu() - OVERHEAD[family],
      address,
    };
  }

  /** This node's tunnel address, held in IPAM and written to its Node. Undefined: no pool serves this node, so it needs none. */
  async #tunnelAddress(family: Family): Promise<Address | undefined> {
    const { node, cache, ipam } = this.#options;
    const pools = this.#tunnelPools(family);
    if (pools.length === 0) {
      this.#problems[family] =
        'no encapsulated IPPool selects this node and allows Tunnel, so it has no tunnel address';
      return undefined;
    }
    const isUsable = (address: Address): boolean =>
      pools.some(({ cidr }) => prefixContainsAddress(cidr, address));
    const written = writtenAddress(cache.get('Node', node), family);
    const known = this.#held[family];
    if (known !== undefined && isUsable(known)) {
      if (written !== undefined && addressesEqual(known, written)) return known;
    }
    const handle = `${HANDLE_PREFIX[family]}${node}`;
    try {
      const held = await ipam.assignmentsOf(handle);
      if (held.some(({ address }) => !isUsable(address))) await ipam.releaseHandle(handle);
      const [assignment] = await ipam.assign({
        handle,
        families: [family],
        attributes: { type: ADDRESS_TYPE[family] },
        pools: { [family]: pools.map(({ name }) => name) },
        use: 'Tunnel',
      });
      if (assignment === undefined) throw new Error('address allocation gave no tunnel address');
      const { address } = assignment;
      await this.#writeNode(family, { address: formatAddress(address), mac: formatMac(macOf(node, family)) });
      this.#held[family] = address;
      return address;
    } catch (error) {
      // With the store away the address of the last life serves on.
      if (written === undefined || !isUsable(written)) throw error;
      this.#options.log.warn(
        { error },
        `the tunnel address ${formatAddress(written)} could not be confirmed`,
      );
      this.#problems[family] = error instanceof Error ? error.message : String(error);
      return written;
    }
  }

  async #giveUpAddress(family: Family): Promise<void> {
    const { node, cache, ipam } = this.#options;
    const spec = cache.get('Node', node)?.spec;
    const isWritten =
      spec?.[FIELDS[family].address] !== undefined || spec?.[FIELDS[family].mac] !== undefined;
    if (!isWritten && this.#held[family] === undefined) return;
    await ipam.releaseHandle(`${HANDLE_PREFIX[family]}${node}`);
    delete this.#held[family];
    await this.#writeNode(family, undefined);
  }

  async #writeNode(
    family: Family,
    end: { readonly address: string; readonly mac: string } | undefined,
  ): Promise<void> {
    const { node, store } = this.#options;
    const fields = FIELDS[family];
    for (let attempt = 1; ; attempt++) {
      const stored = await store.get(makeKey('Node', node));
      if (stored?.resource.kind !== 'Node') {
        if (end === undefined) return;
        throw new Error(`there is no Node ${node} to write the tunnel address to`);
      }
      const { [fields.address]: address, [fields.mac]: mac, ...rest } = stored.resource.spec;
      if (address === end?.address && mac === end?.mac) return;
      const spec =
        end === undefined ? rest : { ...rest, [fields.address]: end.address, [fields.mac]: end.mac };
      try {
        await store.update({ ...stored.resource, spec }, stored.revision);
        return;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt >= WRITE_ATTEMPTS) throw error;
      }
    }
  }

  #pools(): OverlayPool[] {
    return this.#options.cache.list('IPPool').flatMap(({ spec }) => {
      const cidr = parsePrefix(spec.cidr);
      return cidr === undefined ? [] : [{ cidr, vxlanMode: spec.vxlanMode ?? 'Never' }];
    });
  }

  #families(): Family[] {
    const pools = encapsulated(this.#pools());
    return FAMILIES.filter((family) => pools.some(({ cidr }) => cidr.family === family));
  }

  #tunnelPools(family: Family) {
    const { cache, identity } = this.#options;
    const { labels } = identity().identity;
    return cache.list('IPPool').flatMap((resource) => {
      const pool = poolOfResource(resource);
      const isEncapsulated = (resource.spec.vxlanMode ?? 'Never') !== 'Never';
      if (pool === undefined || !isEncapsulated || pool.cidr.family !== family) return [];
      const serves =
        pool.allowedUses.includes('Tunnel') &&
        mayHaveBlocks(pool, (selector) => matchesSelector(selector, labels));
      return serves ? [pool] : [];
    });
  }

  #subnets(): OwnSubnet[] {
    const { fib, linkPrefix } = this.#options;
    const names: readonly string[] = Object.values(VXLAN_LINKS);
    return fib.kernel.links.all().flatMap((link) => {
      if (link.isLoopback || !link.isUp || link.name.startsWith(linkPrefix) || names.includes(link.name))
        return [];
      return link.addresses
        .filter(({ address, length, scope }) => scope === 0 && length < address.bytes.length * 8)
        .map(({ address, length }) => ({ prefix: prefixOf(address, length), ifindex: link.ifindex }));
    });
  }
}

function nextHopOf({ via }: RemoteRoute, ifindex: number): RouteNextHop {
  if (via.kind === 'link') return { ifindex };
  return { ifindex, gateway: via.gateway, ...(via.kind === 'tunnel' ? { onlink: true } : {}) };
}

/** The MAC address of a node's tunnel end where its Node names none: as Calico derives it, `f` and the start of SHA-1 of the name. */
function macOf(node: string, family: Family): Uint8Array {
  const digest = createHash('sha1')
    .update(family === 'ipv4' ? node : `${node}-v6`)
    .digest();
  return new Uint8Array([0x66, ...digest.subarray(0, 5)]);
}

function overlayNode({ metadata, spec }: Node): OverlayNode {
  const endOf = (family: Family, own: string | undefined): OverlayEnd => {
    const host = own === undefined ? undefined : (parseInterfaceAddress(own)?.address ?? parseAddress(own));
    const address = textAddress(spec[FIELDS[family].address]);
    return {
      ...(host === undefined ? {} : { host }),
      ...(address === undefined ? {} : { address }),
      mac: parseMac(spec[FIELDS[family].mac]) ?? macOf(metadata.name, family),
    };
  };
  return {
    name: metadata.name,
    ends: { ipv4: endOf('ipv4', spec.bgp?.ipv4Address), ipv6: endOf('ipv6', spec.bgp?.ipv6Address) },
  };
}

function writtenAddress(node: Node | undefined, family: Family): Address | undefined {
  return textAddress(node?.spec[FIELDS[family].address]);
}

function textAddress(text: string | undefined): Address | undefined {
  return text === undefined ? undefined : parseAddress(text);
}

function parseMac(text: string | undefined): Uint8Array | undefined {
  const octets = text?.split(/[:-]/).map((part) => Number.parseInt(part, 16));
  return octets?.length === 6 && octets.every((octet) => octet >= 0 && octet <= 255)
    ? new Uint8Array(octets)
    : undefined;
}

function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}
