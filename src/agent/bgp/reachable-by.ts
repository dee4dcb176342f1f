/** BGPPeer.spec.reachableBy: a host route to the peer through a gateway, so that no other route, least of all one learned from it, leads there. */
import type { Link } from '../../../fib/routes/link-table.ts';
import type { RouteTable } from '../../../fib/routes/route-table.ts';
import type { Finding } from '../../api/views.ts';
import { type Address, formatAddress } from '../../net/address.ts';
import { formatPrefix, hostPrefix, type Prefix, prefixContainsAddress, prefixOf } from '../../net/prefix.ts';
import type { NodePeer } from './peer-types.ts';

/** Keeps these routes in step with the peers. */
export class ReachableBy {
  readonly #routes: Pick<RouteTable, 'setRoute' | 'removeRoute'>;
  readonly #set = new Map<string, Prefix>();

  constructor(routes: Pick<RouteTable, 'setRoute' | 'removeRoute'>) {
    this.#routes = routes;
  }

  /** Makes the routes of these peers, takes the others away, and says which gateway is on no link of ours. */
  set(peers: readonly NodePeer[], links: readonly Link[]): Finding[] {
    const findings: Finding[] = [];
    const wanted = new Set<string>();
    for (const { config, resource, reachableBy: gateway } of peers) {
      if (gateway === undefined) continue;
      const ifindex = linkTo(gateway, links);
      if (ifindex === undefined) {
        findings.push({
          severity: 'error',
          code: 'peer-gateway',
          message: `${resource}: spec.reachableBy ${formatAddress(gateway)} is on no subnet of this host`,
          remedy: 'name a neighbour of this host',
        });
        continue;
      }
      const prefix = hostPrefix(config.address);
      this.#routes.setRoute(prefix, 'remote', { kind: 'unicast', nextHops: [{ ifindex, gateway }] });
      wanted.add(formatPrefix(prefix));
      this.#set.set(formatPrefix(prefix), prefix);
    }
    for (const [key, prefix] of this.#set) {
      if (wanted.has(key)) continue;
      this.#routes.removeRoute(prefix, 'remote');
      this.#set.delete(key);
    }
    return findings;
  }
}

function linkTo(gateway: Address, links: readonly Link[]): number | undefined {
  return links.find(
    (link) =>
      !link.isLoopback &&
      link.addresses.some(
        ({ address, length }) =>
          address.family === gateway.family &&
          length < address.bytes.length * 8 &&
          prefixContainsAddress(prefixOf(address, length), gateway),
      ),
  )?.ifindex;
}
