/** What IPAM asks of the agent, answered from the resources in memory: pools, reservations, selectors. Parsed once a change. */
import {
  blockReservedBy,
  type Pool,
  poolOfResource,
  reservedBy,
  reservedPrefixes,
} from '../../ipam/pools.ts';
import { type Prefix, parsePrefix, prefixContains } from '../../net/prefix.ts';
import { matchesSelector } from '../bgp/selector-match.ts';
import type { ResourceCache } from '../resources/cache.ts';

/** Profiles that stand for a namespace are named so, and carry its labels under this prefix (as in Calico). */
const NAMESPACE_PROFILE = 'kns.';
const NAMESPACE_LABEL = 'pcns.';

/** The answers, for `IpamOptions`. */
export class IpamResources {
  readonly #cache: ResourceCache;
  #pools: readonly Pool[] | undefined;
  #reserved: readonly Prefix[] | undefined;
  #unexported: readonly Prefix[] | undefined;

  constructor(cache: ResourceCache) {
    this.#cache = cache;
    cache.onChange(({ key }) => {
      if (key.kind === 'IPPool') this.#pools = this.#unexported = undefined;
      if (key.kind === 'IPReservation') this.#reserved = undefined;
    });
  }

  readonly pools = (): readonly Pool[] => {
    const pools = this.#pools ?? this.#cache.list('IPPool').flatMap((pool) => poolOfResource(pool) ?? []);
    if (this.#cache.isInSync) this.#pools = pools;
    return pools;
  };

  /** Whether the pool that holds a prefix may be advertised (IPPool.spec.disableBGPExport). */
  readonly mayExport = (prefix: Prefix): boolean => {
    const unexported = this.#unexported ?? this.#readUnexported();
    if (this.#cache.isInSync) this.#unexported = unexported;
    return !unexported.some((cidr) => prefixContains(cidr, prefix));
  };

  #readUnexported(): readonly Prefix[] {
    return this.#cache
      .list('IPPool')
      .flatMap(({ spec }) => (spec.disableBGPExport === true ? (parsePrefix(spec.cidr) ?? []) : []));
  }

  /** Prefixes that are never given out by themselves. */
  readonly reserved = (): readonly Prefix[] => {
    const reserved = this.#reserved ?? reservedPrefixes(this.#cache.list('IPReservation'));
    if (this.#cache.isInSync) this.#reserved = reserved;
    return reserved;
  };

  readonly isReserved: ReturnType<typeof reservedBy> = (address) => reservedBy(this.reserved())(address);

  readonly isBlockReserved = (block: Prefix): boolean => blockReservedBy(this.reserved())(block);

  /** Namespaces have a name, and the labels of the profile `kns.NAME` if there is one. */
  readonly selectsNamespace = (selector: string, namespace: string): boolean => {
    const labels: Record<string, string> = {
      'projectcalico.org/name': namespace,
      'kubernetes.io/metadata.name': namespace,
    };
    const profile = this.#cache.get('Profile', `${NAMESPACE_PROFILE}${namespace}`);
    for (const [key, value] of Object.entries(profile?.spec.labelsToApply ?? {}))
      if (key.startsWith(NAMESPACE_LABEL)) labels[key.slice(NAMESPACE_LABEL.length)] = value;
    return matchesSelector(selector, labels);
  };
}
