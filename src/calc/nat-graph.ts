/**
 * What address translation this host needs: published ports of its endpoints and the pools with natOutgoing. Pure and incremental, as
 * `PolicyGraph`: resources go in, changes for the data plane come out. A port of the host belongs to one endpoint; who comes second gets
 * nothing and is named.
 */
import type { NatChange, PublishedPort } from '../../fib/rules/types.ts';
import type { IpPool } from '../model/ip-pool.ts';
import type { ResourceKey } from '../model/metadata-types.ts';
import { parseCidrOrAddress, protocolNumber } from '../model/scalars.ts';
import type { Resource } from '../model/types.ts';
import type { WorkloadEndpoint, WorkloadEndpointSpec, WorkloadPort } from '../model/workload-endpoint.ts';
import {
  type Address,
  FAMILIES,
  type Family,
  formatAddress,
  isLoopback,
  isUnspecified,
} from '../net/address.ts';
import { canonicalNets, endpointId } from './items.ts';

/** A published port that is not in force. */
export interface NatProblem {
  /** `wep/NAMESPACE/NAME` */
  readonly endpoint: string;
  readonly reason: string;
}

/** One family's part of a published port that an endpoint asks for. */
interface Claim {
  readonly endpoint: string;
  /** of the container, for people: its interfaces have it in common */
  readonly name: string;
  readonly port: PublishedPort;
  /** the earliest holds the port: creation time, then arrival */
  readonly created: string;
  readonly arrival: number;
}

interface Endpoint {
  readonly claims: readonly Claim[];
  readonly problems: readonly string[];
}

/** Owns the claims of this node's endpoints and the pools, as last told. */
export class NatGraph {
  readonly #nodeName: string;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #arrivals = new Map<string, number>();
  #nextArrival = 0;
  /** claims that may conflict: those of one family, protocol and port */
  readonly #claims = new Map<string, Set<Claim>>();
  /** claims that lost, and to whom */
  readonly #losers = new Map<Claim, Claim>();
  readonly #pools = new Map<string, { readonly cidr: string; readonly masquerade: boolean }>();
  readonly #dirty = new Set<string>();
  readonly #announced = new Map<string, string>();
  #poolsChanged = true;
  #announcedPools = JSON.stringify(NO_POOLS);

  constructor(nodeName: string) {
    this.#nodeName = nodeName;
  }

  /** Takes in a resource; kinds that do not matter are passed over. */
  upsert(resource: Resource): void {
    if (resource.kind === 'IPPool') this.#setPool(resource);
    else if (resource.kind === 'WorkloadEndpoint') this.#setEndpoint(resource);
  }

  /** Removes a resource. Does nothing when it is not known. */
  remove(key: ResourceKey): void {
    if (key.kind === 'IPPool') {
      if (this.#pools.delete(key.name)) this.#poolsChanged = true;
    } else if (key.kind === 'WorkloadEndpoint') {
      const id = endpointId(key.namespace ?? 'default', key.name);
      this.#replace(id, undefined);
      this.#arrivals.delete(id);
    }
  }

  /** Whether anything is published or masqueraded. */
  get isWanted(): boolean {
    return this.#claims.size > 0 || [...this.#pools.values()].some(({ masquerade }) => masquerade);
  }

  /** What changed since the last call, for the data plane. */
  flush(): NatChange[] {
    const changes: NatChange[] = [];
    if (this.#poolsChanged) {
      const pools = this.#poolsChange();
      const text = JSON.stringify(pools);
      if (text !== this.#announcedPools) changes.push(pools);
      this.#announcedPools = text;
      this.#poolsChanged = false;
    }
    for (const id of this.#dirty) {
      const claims = this.#endpoints.get(id)?.claims ?? [];
      const ports = claims.filter((claim) => !this.#losers.has(claim)).map(({ port }) => port);
      const text = ports.length === 0 ? undefined : JSON.stringify(ports);
      if (text === this.#announced.get(id)) continue;
      if (text === undefined) {
        this.#announced.delete(id);
        changes.push({ kind: 'published-remove', id });
      } else {
        this.#announced.set(id, text);
        changes.push({ kind: 'published-upsert', id, ports });
      }
    }
    this.#dirty.clear();
    return changes;
  }

  /** Published ports that are not in force, of all endpoints or of one. */
  problems(endpoint?: string): NatProblem[] {
    const ids = endpoint === undefined ? [...this.#endpoints.keys()] : [endpoint];
    return ids.flatMap((id) => {
      const known = this.#endpoints.get(id);
      const reasons = new Set(known?.problems);
      for (const claim of known?.claims ?? []) {
        const winner = this.#losers.get(claim);
        // Runtimes ask for the same ports on every interface of a container: one is enough.
        if (winner !== undefined && winner.name !== claim.name)
          reasons.add(conflictText(claim.port, winner.port, winner.name));
      }
      return [...reasons].map((reason) => ({ endpoint: id, reason }));
    });
  }

  /**
   * Why a container cannot publish these ports, before it has any address: one of them is held by another, or asked for twice.
   * `container`: as `containerName` makes it.
   */
  conflict(container: string, ports: readonly WorkloadPort[]): string | undefined {
    const own = new Map<string, PublishedPort[]>();
    for (const port of ports) {
      for (const family of familiesOf(port)) {
        const wanted = publishedPort(port, family, '');
        if (wanted === undefined) continue;
        for (const claim of this.#claims.get(claimKey(wanted)) ?? []) {
          const isRival = claim.name !== container && !this.#losers.has(claim);
          if (isRival && overlaps(claim.port, wanted)) return conflictText(wanted, claim.port, claim.name);
        }
        const key = claimKey(wanted);
        const twin = own.get(key)?.find((each) => overlaps(each, wanted) && !sameText(each, wanted));
        if (twin !== undefined) return conflictText(wanted, twin, container);
        own.set(key, [...(own.get(key) ?? []), wanted]);
      }
    }
    return undefined;
  }

  #setPool({ metadata, spec }: IpPool): void {
    const [cidr] = canonicalNets([spec.cidr]);
    if (cidr === undefined) this.#pools.delete(metadata.name);
    else this.#pools.set(metadata.name, { cidr, masquerade: spec.natOutgoing === true });
    this.#poolsChanged = true;
  }

  #poolsChange(): NatChange {
    const pools = [...this.#pools.values()];
    const cidrs = (list: typeof pools) => [...new Set(list.map(({ cidr }) => cidr))].sort();
    return {
      kind: 'nat-pools',
      masquerade: cidrs(pools.filter(({ masquerade }) => masquerade)),
      all: cidrs(pools),
    };
  }

  #setEndpoint(resource: WorkloadEndpoint): void {
    const id = endpointId(resource.metadata.namespace ?? 'default', resource.metadata.name);
    const isLocal = resource.spec.node === this.#nodeName;
    const ports = isLocal ? (resource.spec.ports ?? []) : [];
    const addresses = addressByFamily(resource.spec.ipNetworks ?? []);
    const arrival = this.#arrivals.get(id) ?? this.#nextArrival++;
    this.#arrivals.set(id, arrival);
    const created = resource.metadata.creationTimestamp ?? '';
    const name = containerName(resource.metadata.namespace ?? 'default', resource.spec);
    const claims: Claim[] = [];
    const problems: string[] = [];
    for (const port of ports) {
      if ((port.hostPort ?? 0) === 0) continue;
      const found: Claim[] = [];
      for (const family of familiesOf(port)) {
        const address = addresses[family];
        const published = address === undefined ? undefined : publishedPort(port, family, address);
        if (published !== undefined) found.push({ endpoint: id, name, port: published, created, arrival });
      }
      if (found.length === 0) problems.push(reasonOfNone(port));
      for (const claim of found) {
        const same = claims.find((each) => sameText(each.port, claim.port));
        if (same === undefined) claims.push(claim);
      }
    }
    this.#replace(id, claims.length + problems.length === 0 ? undefined : { claims, problems });
  }

  #replace(id: string, endpoint: Endpoint | undefined): void {
    const before = this.#endpoints.get(id);
    if (before === undefined && endpoint === undefined) return;
    if (endpoint === undefined) this.#endpoints.delete(id);
    else this.#endpoints.set(id, endpoint);
    const keys = new Set<string>();
    for (const claim of before?.claims ?? []) {
      const key = claimKey(claim.port);
      const rivals = this.#claims.get(key);
      rivals?.delete(claim);
      if (rivals?.size === 0) this.#claims.delete(key);
      this.#losers.delete(claim);
      keys.add(key);
    }
    for (const claim of endpoint?.claims ?? []) {
      const key = claimKey(claim.port);
      const rivals = this.#claims.get(key) ?? new Set();
      this.#claims.set(key, rivals.add(claim));
      keys.add(key);
    }
    this.#dirty.add(id);
    for (const key of keys) this.#decide(key);
  }

  /** Who holds a port: the earliest first, and then all whose host address is another one. */
  #decide(key: string): void {
    const sorted = [...(this.#claims.get(key) ?? [])].sort(compareClaims);
    const holders: Claim[] = [];
    for (const claim of sorted) {
      const winner = holders.find((holder) => overlaps(holder.port, claim.port));
      if (winner === undefined) {
        holders.push(claim);
        this.#losers.delete(claim);
      } else {
        this.#losers.set(claim, winner);
      }
      this.#dirty.add(claim.endpoint);
    }
  }
}

const NO_POOLS: NatChange = { kind: 'nat-pools', masquerade: [], all: [] };

function compareClaims(a: Claim, b: Claim): number {
  if (a.created !== b.created) return a.created < b.created ? -1 : 1;
  return a.arrival - b.arrival;
}

function claimKey({ family, protocol, hostPort }: PublishedPort): string {
  return `${family} ${protocol} ${hostPort}`;
}

function overlaps(a: PublishedPort, b: PublishedPort): boolean {
  return a.hostAddress === undefined || b.hostAddress === undefined || a.hostAddress === b.hostAddress;
}

function sameText(a: PublishedPort, b: PublishedPort): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function hostAddressOf(port: WorkloadPort): Address | undefined {
  return port.hostIP === undefined ? undefined : parseCidrOrAddress(port.hostIP)?.address;
}

/** 0.0.0.0 and :: stand for all addresses of their family; without an address it is both. */
function familiesOf(port: WorkloadPort): readonly Family[] {
  const address = hostAddressOf(port);
  return address === undefined ? FAMILIES : [address.family];
}

function publishedPort(port: WorkloadPort, family: Family, address: string): PublishedPort | undefined {
  const host = hostAddressOf(port);
  const hostPort = port.hostPort ?? 0;
  if (hostPort === 0 || (host?.family === 'ipv6' && isLoopback(host))) return undefined;
  return {
    family,
    protocol: protocolNumber(port.protocol),
    hostPort,
    ...(host === undefined || isUnspecified(host) ? {} : { hostAddress: formatAddress(host) }),
    address,
    port: port.port,
  };
}

function reasonOfNone(port: WorkloadPort): string {
  const host = hostAddressOf(port);
  const text = `port ${port.hostPort}/${String(port.protocol).toLowerCase()}`;
  if (host?.family === 'ipv6' && isLoopback(host)) {
    return `${text} cannot be published on ::1, which the kernel never routes to a container: use 127.0.0.1 or an address of this host`;
  }
  const what = host === undefined ? 'no address' : `no ${host.family === 'ipv4' ? 'IPv4' : 'IPv6'} address`;
  return `${text} cannot be published${host === undefined ? '' : ` on ${formatAddress(host)}`}: the endpoint has ${what}`;
}

function addressByFamily(networks: readonly string[]): Partial<Record<Family, string>> {
  const addresses: Partial<Record<Family, string>> = {};
  for (const text of networks) {
    const address = parseCidrOrAddress(text)?.address;
    if (address !== undefined) addresses[address.family] ??= formatAddress(address);
  }
  return addresses;
}

const PROTOCOL_TEXT: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

/** `NAMESPACE/NAME` of the container that an endpoint belongs to. */
export function containerName(
  namespace: string,
  identity: Pick<WorkloadEndpointSpec, 'workload' | 'pod' | 'containerID'>,
): string {
  return `${namespace}/${identity.pod ?? identity.workload ?? identity.containerID ?? ''}`;
}

function conflictText(wanted: PublishedPort, port: PublishedPort, name: string): string {
  const where = port.hostAddress === undefined ? '' : ` on ${port.hostAddress}`;
  const protocol = PROTOCOL_TEXT[wanted.protocol] ?? String(wanted.protocol);
  return `port ${wanted.hostPort}/${protocol} of this host is held by endpoint ${name}${where}`;
}
