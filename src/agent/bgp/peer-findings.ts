/** What the state of a session asks of an operator. */
import type { PeerStatus } from '../../../bgp/types.ts';
import type { Finding } from '../../api/views.ts';
import { FAMILIES } from '../../net/address.ts';

/** A finding for a peer whose session is not up. */
export function peerDownFinding(peer: PeerStatus): Finding | undefined {
  if (peer.state === 'Established') return undefined;
  return {
    severity: 'warning',
    code: 'peer-down',
    message: `BGP peer ${peer.name} (AS ${peer.peerAs}) is ${peer.state}${peer.lastError === undefined ? '' : `: ${peer.lastError}`}`,
    remedy: `ocicat bgp peers ${peer.name}`,
  };
}

/** A finding for each family that is at its limit of prefixes, or near it (RFC 4271 6.7). */
export function prefixLimitFindings({ name, families }: PeerStatus): Finding[] {
  return FAMILIES.flatMap((family): Finding[] => {
    const { prefixLimit: limit, discarded } = families[family];
    if (limit === undefined || limit.current * 100 < limit.limit * limit.warnPercent) return [];
    const left = discarded > 0 ? `; ${discarded} more are left out` : '';
    return [
      {
        severity: 'warning',
        code: 'prefix-limit',
        message: `BGP peer ${name} has ${limit.current} of ${limit.limit} ${family} prefixes ${limit.count}${left}`,
        remedy: `ocicat bgp routes --received ${name}   # what they are; the limit is max-prefix-${family} of its BGPPeer`,
      },
    ];
  });
}
