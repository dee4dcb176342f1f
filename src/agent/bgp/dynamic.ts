/** Peers that came by themselves, seen with the resources whose prefixes they came from. Pure. */
import { dynamicConfig, groupOf } from '../../../bgp/speaker/dynamic-peers.ts';
import type { PeerStatus } from '../../../bgp/types.ts';
import type { NodePeer, NodeRange } from './peer-types.ts';

/** Where a session comes from: the resource that asked for it and its peer group, if it has one. */
export type PeerOrigin = Pick<NodePeer, 'resource' | 'group'>;

/** What a speaker's peers were made of. */
export interface PeerSources {
  readonly peers: readonly NodePeer[];
  readonly ranges: readonly NodeRange[];
}

/** Tells the origin of each of a speaker's peers. */
export function originsOfPeers({ peers, ranges }: PeerSources): (status: PeerStatus) => PeerOrigin {
  const byPeer = new Map(peers.map((peer) => [peer.config.name, peer]));
  const byRange = new Map(ranges.map((each) => [each.range.name, each]));
  return ({ name, dynamic }) => {
    const { resource = '', group } = (dynamic === undefined ? byPeer.get(name) : byRange.get(dynamic)) ?? {};
    return { resource, ...(group !== undefined && { group }) };
  };
}

/** Configured peers and, of those that came by themselves and are there now, what they are under these ranges; a configured one comes first. */
export function withDynamic({ peers, ranges }: PeerSources, present: readonly PeerStatus[]): NodePeer[] {
  const configured = new Set(peers.map(({ config }) => config.name));
  const dynamic = present.flatMap(({ name, address, dynamic: range }): NodePeer[] => {
    if (range === undefined || configured.has(name)) return [];
    const group = groupOf(
      ranges.map((each) => each.range),
      address,
    );
    const source = ranges.find((each) => each.range === group);
    if (group === undefined || source === undefined) return [];
    const { resource, filters, group: peerGroup } = source;
    return [
      {
        config: dynamicConfig(group, address, undefined),
        resource,
        filters,
        dynamic: true,
        ...(peerGroup !== undefined && { group: peerGroup }),
      },
    ];
  });
  return [...peers, ...dynamic];
}
