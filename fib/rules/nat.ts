/**
 * The nat table: ports of this host that lead to workloads, and masquerading of what leaves the pools. Chains that stand still are
 * rendered once; `oci-publish`, `oci-hairpin` and `oci-nat-out` follow the model. Filter rules see packets after DNAT, so a
 * workload's ingress policy decides about its published ports with the container's port and the client's own address.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { type Prefix, parsePrefix } from '../../src/net/prefix.ts';
import { CHAIN_PREFIX, kernelSetName } from './names.ts';
import { type ChainContent, type RenderedRule, type RuleSpec, renderRules } from './rendered.ts';
import type { NatChange, PublishedPort } from './types.ts';

/** DNAT of published ports, from outside, from workloads and from this host. */
export const PUBLISH_CHAIN = `${CHAIN_PREFIX}publish`;
/** Connections whose replies would not come back through this host unless their source is changed. */
export const HAIRPIN_CHAIN = `${CHAIN_PREFIX}hairpin`;
/** Masquerading of pools with natOutgoing. */
export const NAT_OUTGOING_CHAIN = `${CHAIN_PREFIX}nat-out`;

/** Our own sets: CIDRs of the pools with natOutgoing, and of all pools. No set id contains a colon. */
export const MASQUERADE_SET_ID = ':masq';
export const POOLS_SET_ID = ':pools';

const UDP = 17;
const LOOPBACK: Readonly<Record<Family, string>> = { ipv4: '127.0.0.0/8', ipv6: '::1/128' };

/** The chains that builtin ones jump to, and the others empty. */
export function natChains(family: Family, interfacePrefix: string): Record<string, readonly RuleSpec[]> {
  const toHost = '-m addrtype --dst-type LOCAL';
  const notLoopback = `! -d ${LOOPBACK[family]}`;
  const publish = `-j ${PUBLISH_CHAIN}`;
  return {
    // A neighbour could send to a loopback address: nothing but this host itself may reach what is published there.
    [`${CHAIN_PREFIX}PREROUTING`]: [{ matches: [notLoopback, toHost], target: publish }],
    // The kernel routes 127.0.0.1 to workloads with route_localnet. For ::1 it has no such switch: translated or not, such a packet
    // never leaves the host (seen with 6.18). Left alone, the client is at least told at once that nobody listens.
    [`${CHAIN_PREFIX}OUTPUT`]: [
      { matches: family === 'ipv6' ? [notLoopback, toHost] : [toHost], target: publish },
    ],
    [`${CHAIN_PREFIX}POSTROUTING`]: [
      {
        matches: [`-o ${interfacePrefix}+`, '-m conntrack --ctstate DNAT'],
        target: `-j ${HAIRPIN_CHAIN}`,
      },
      { matches: [], target: `-j ${NAT_OUTGOING_CHAIN}` },
    ],
    [PUBLISH_CHAIN]: [],
    [HAIRPIN_CHAIN]: hairpinSpecs(family, []),
    [NAT_OUTGOING_CHAIN]: [],
  };
}

/** Where a published port is reached and where it leads, as a key: equal for mappings that are the same. */
export function publishedKey({
  family,
  protocol,
  hostPort,
  hostAddress = '',
  address,
  port,
}: PublishedPort): string {
  return `${family} ${protocol} ${hostPort} ${hostAddress} ${address} ${port}`;
}

/** Owns published ports and pools as last told, and renders what changed. Pure. */
export class NatModel {
  readonly #ports = new Map<string, readonly PublishedPort[]>();
  readonly #masquerade: Record<Family, boolean> = { ipv4: false, ipv6: false };
  readonly #randomFully: Record<Family, boolean | undefined> = { ipv4: undefined, ipv6: undefined };
  /** UDP mappings that came or went: connection tracking may still lead elsewhere */
  #stale = new Map<string, PublishedPort>();
  #pools: readonly Prefix[] = [];
  #portsChanged = true;
  #outgoingChanged = true;

  /** Takes in a change. */
  change(change: NatChange): void {
    switch (change.kind) {
      case 'nat-pools':
        for (const family of FAMILIES) {
          this.#masquerade[family] = change.masquerade.some((cidr) => familyOf(cidr) === family);
        }
        this.#pools = change.all.flatMap((cidr) => parsePrefix(cidr) ?? []);
        this.#outgoingChanged = true;
        return;
      case 'published-upsert':
        this.#set(change.id, change.ports);
        return;
      case 'published-remove':
        this.#set(change.id, []);
        return;
    }
  }

  /** Whether anything needs the nat table of a family. */
  isWanted(family: Family): boolean {
    if (this.#masquerade[family]) return true;
    for (const ports of this.#ports.values()) if (ports.some((port) => port.family === family)) return true;
    return false;
  }

  /** Families that masquerade and of which is not known whether the kernel takes `--random-fully`. */
  familiesToProbe(): Family[] {
    return FAMILIES.filter((family) => this.#masquerade[family] && this.#randomFully[family] === undefined);
  }

  setRandomFully(family: Family, isSupported: boolean): void {
    this.#randomFully[family] = isSupported;
    this.#outgoingChanged = true;
  }

  /** Of all pools, both families. */
  get pools(): readonly Prefix[] {
    return this.#pools;
  }

  /** All mappings. */
  ports(): PublishedPort[] {
    return [...this.#ports.values()].flat();
  }

  /** Chains that the published ports of an endpoint stand in; none if it publishes nothing. */
  chainsOf(id: string, family: Family): string[] {
    const publishes = this.#ports.get(id)?.some((port) => port.family === family) === true;
    return publishes ? [PUBLISH_CHAIN, HAIRPIN_CHAIN] : [];
  }

  /** Chains that changed since the last call. */
  drain(): ReadonlyMap<string, ChainContent> {
    const chains = new Map<string, ChainContent>();
    const add = (chain: string, specs: (family: Family) => RuleSpec[]): void => {
      const content: Record<Family, readonly RenderedRule[]> = { ipv4: [], ipv6: [] };
      for (const family of FAMILIES) content[family] = renderRules(chain, specs(family));
      chains.set(chain, content);
    };
    if (this.#portsChanged) {
      const sorted = [...this.#ports.values()].flat().sort(comparePorts);
      const ofFamily = (family: Family) => sorted.filter((port) => port.family === family);
      add(PUBLISH_CHAIN, (family) => ofFamily(family).map(publishSpec));
      add(HAIRPIN_CHAIN, (family) => hairpinSpecs(family, ofFamily(family)));
    }
    if (this.#outgoingChanged) {
      add(NAT_OUTGOING_CHAIN, (family) =>
        this.#masquerade[family] ? [outgoingSpec(family, this.#randomFully[family] === true)] : [],
      );
    }
    this.#portsChanged = false;
    this.#outgoingChanged = false;
    return chains;
  }

  /** UDP mappings that came or went since `forgetStale` was told of them. */
  stale(): PublishedPort[] {
    return [...this.#stale.values()];
  }

  /** Connection tracking knows nothing of these any more. */
  forgetStale(ports: readonly PublishedPort[]): void {
    for (const port of ports) this.#stale.delete(publishedKey(port));
  }

  #set(id: string, ports: readonly PublishedPort[]): void {
    const before = this.#ports.get(id) ?? [];
    if (ports.length > 0) this.#ports.set(id, ports);
    else this.#ports.delete(id);
    const old = new Map(before.map((port) => [publishedKey(port), port]));
    const fresh = new Map(ports.map((port) => [publishedKey(port), port]));
    for (const [key, port] of [...old, ...fresh]) {
      if (old.has(key) && fresh.has(key)) continue;
      this.#portsChanged = true;
      if (port.protocol === UDP) this.#stale.set(key, port);
    }
  }
}

function familyOf(cidr: string): Family {
  return cidr.includes(':') ? 'ipv6' : 'ipv4';
}

// One address before all addresses, so that the more exact mapping holds should both be there.
function comparePorts(a: PublishedPort, b: PublishedPort): number {
  return (
    a.protocol - b.protocol ||
    a.hostPort - b.hostPort ||
    Number(a.hostAddress === undefined) - Number(b.hostAddress === undefined) ||
    compareText(publishedKey(a), publishedKey(b))
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function publishSpec({ family, protocol, hostPort, hostAddress, address, port }: PublishedPort): RuleSpec {
  const bits = family === 'ipv4' ? 32 : 128;
  const target = family === 'ipv4' ? address : `[${address}]`;
  return {
    matches: [
      ...(hostAddress === undefined ? [] : [`-d ${hostAddress}/${bits}`]),
      `-p ${protocol}`,
      `-m multiport --dports ${hostPort}`,
    ],
    target: `-j DNAT --to-destination ${target}:${port}`,
  };
}

/**
 * A workload that reaches itself through this host would answer itself directly, and 127.0.0.1 is no address that a workload can answer
 * to: such connections get an address of this host as their source.
 */
function hairpinSpecs(family: Family, ports: readonly PublishedPort[]): RuleSpec[] {
  const bits = family === 'ipv4' ? 32 : 128;
  const addresses = [...new Set(ports.map(({ address }) => address))].sort(compareText);
  return [
    ...(family === 'ipv4'
      ? [{ matches: [`-s ${LOOPBACK.ipv4}`], target: '-j MASQUERADE', comment: 'this host by 127.0.0.1' }]
      : []),
    ...addresses.map((address) => ({
      matches: [`-s ${address}/${bits}`, `-d ${address}/${bits}`],
      target: '-j MASQUERADE',
    })),
  ];
}

function outgoingSpec(family: Family, randomFully: boolean): RuleSpec {
  return {
    matches: [
      `-m set --match-set ${kernelSetName(family, 'net', MASQUERADE_SET_ID)} src`,
      `-m set ! --match-set ${kernelSetName(family, 'net', POOLS_SET_ID)} dst`,
    ],
    target: randomFully ? '-j MASQUERADE --random-fully' : '-j MASQUERADE',
    comment: 'natOutgoing',
  };
}
