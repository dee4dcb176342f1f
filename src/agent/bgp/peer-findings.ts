/** What the state of a session asks of an operator. */
import type { PeerStatus } from '../../../bgp/types.ts';
import type { Finding } from '../../api/views.ts';

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
