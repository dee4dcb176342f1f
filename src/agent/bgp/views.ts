/** The speaker's paths as the API answers them. */
import type { PathView } from '../../../bgp/types.ts';
import {
  formatAsPath,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  formatRouterId,
} from '../../../bgp/wire/format.ts';
import type { PathRow } from '../../api/views.ts';
import { formatAddress } from '../../net/address.ts';
import { formatPrefix } from '../../net/prefix.ts';

/** A path as `GET /v1/bgp/routes` shows it. */
export function pathRow(path: PathView): PathRow {
  const { attributes, source } = path;
  return {
    prefix: formatPrefix(path.prefix),
    family: path.prefix.family,
    best: path.best,
    multipath: path.multipath,
    stale: path.stale,
    valid: path.unusable === undefined,
    ...optional('unusable', path.unusable),
    ...optional('policyNote', path.policyNote),
    ...optional('reason', path.reason),
    ...optional('awaitsFib', path.awaitsFib),
    from: source.kind === 'local' ? 'local' : source.peer,
    ...optional('pathId', path.pathId),
    ...optional('fromRouterId', source.kind === 'peer' ? formatRouterId(source.routerId) : undefined),
    ...optional('nextHop', attributes.nextHop && formatAddress(attributes.nextHop)),
    ...optional(
      'linkLocalNextHop',
      attributes.linkLocalNextHop && formatAddress(attributes.linkLocalNextHop),
    ),
    origin: attributes.origin,
    asPath: formatAsPath(attributes.asPath),
    ...optional('med', attributes.med),
    ...optional('localPref', attributes.localPref),
    communities: (attributes.communities ?? []).map(formatCommunity),
    largeCommunities: (attributes.largeCommunities ?? []).map(formatLargeCommunity),
    extendedCommunities: (attributes.extendedCommunities ?? []).map(formatExtendedCommunity),
    ...optional(
      'originatorId',
      attributes.originatorId === undefined ? undefined : formatRouterId(attributes.originatorId),
    ),
    ...optional('clusterList', attributes.clusterList?.map(formatRouterId)),
    atomicAggregate: attributes.atomicAggregate ?? false,
    ...optional(
      'aggregator',
      attributes.aggregator && `${attributes.aggregator.as} ${formatAddress(attributes.aggregator.address)}`,
    ),
    receivedAt: path.receivedAt,
  };
}

// An absent value leaves no key, as exactOptionalPropertyTypes asks.
function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const result: { [P in K]?: V } = {};
  if (value !== undefined) result[key] = value;
  return result;
}
