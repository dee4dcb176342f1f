/** The interfaces that the routes of one family lead to, out of the tables. */
import type { RouteInterfaces } from '../policy/compiled-chain.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';

/** Answers from what is in the tables at the time of the question. */
export function routeInterfaces(rib: FamilyRib, { attributes, nextHops }: RibTables): RouteInterfaces {
  return {
    ofLearned: (attribute) => nextHops.interfaceOf(attributes.nextHop[attribute] ?? -1),
    ofLocal: (prefix) => rib.localInterfaces.get(prefix),
  };
}
