/** What may pass between peers: explicit filters only (RFC 8212), and nothing that was learned where transit is off. Pure. */
import type { FilterChain, FilterRule } from '../../bgp/policy/types.ts';
import type { PeerConfig } from '../../bgp/types.ts';
import { filterRules } from '../agent/bgp/filters.ts';
import type { BgpFilter } from '../model/bgp-filter.ts';

/** What of a configuration matters here; of a peer as of a range of peers. */
type Policed = Pick<PeerConfig, 'localAs' | 'peerAs' | 'importPolicy' | 'exportPolicy'>;

const NO_TRANSIT: FilterRule = { name: 'transit: off', match: { source: 'peer' }, action: 'reject' };

/**
 * The peer with the chains of these filters; without any an eBGP peer gets and gives nothing. `interfaceName`: the link that leads to it,
 * where that is known.
 */
export function withFilters<T extends Policed>(
  config: T,
  filters: readonly BgpFilter[],
  transit: boolean,
  interfaceName: string | undefined,
): T {
  const name = filters.map(({ metadata }) => metadata.name).join(', ');
  // RFC 8212 is about external peers only.
  const isOpen = filters.length > 0 || config.localAs === config.peerAs;
  const chain = (direction: 'import' | 'export'): FilterChain | undefined => {
    const own = filters.flatMap((filter) => filterRules(filter, direction, interfaceName));
    const rules = direction === 'export' && !transit ? [NO_TRANSIT, ...own] : own;
    if (!isOpen || (filters.length === 0 && rules.length === 0)) return undefined;
    return { name: name === '' ? 'transit: off' : name, rules, fallThrough: 'accept' };
  };
  const importPolicy = chain('import');
  const exportPolicy = chain('export');
  const bare: { -readonly [K in keyof T]: T[K] } = { ...config };
  delete bare.importPolicy;
  delete bare.exportPolicy;
  return { ...bare, ...(importPolicy && { importPolicy }), ...(exportPolicy && { exportPolicy }) };
}
