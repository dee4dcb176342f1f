/** What the export to a peer depends on; peers that agree in all of it share an update group. */
import {
  HAS_OTC,
  LLGR_STALE,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
} from '../../src/core/assembly/layout.ts';
import type { Address, Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import { chainFingerprint } from '../policy/compiled-chain.ts';
import type { FilterChain } from '../policy/types.ts';
import type { PeerRole } from '../types.ts';

/** All that the export to a peer depends on; peers that agree in it share an update group. */
export interface ExportRules {
  readonly family: Family;
  readonly peerKind: 'ebgp' | 'ibgp';
  readonly localAs: number;
  readonly nextHop: 'auto' | 'self' | 'keep';
  /** RFC 7947 2.2: learned routes keep AS_PATH and MED */
  readonly transparent: boolean;
  /** next hop 'self' in the form of a key: 0 (impossible), 4, 16 or 32 octets */
  readonly selfNextHop: Uint8Array;
  /** RFC 8950: IPv4 routes may have IPv6 next hops */
  readonly extendedNextHop: boolean;
  /** subnets shared with the peer: only when a third-party next hop may be right */
  readonly shared: readonly Prefix[] | undefined;
  /** with `shared`: an address that is no third party's. Without it whoever has the form looks for himself */
  readonly notThird: Address | undefined;
  readonly chain: FilterChain | undefined;
  readonly peerAs: number;
  /** RFC 7705: the speaker's own AS, to stand behind `localAs`; undefined: `localAs` alone */
  readonly ownAs: number | undefined;
  readonly asOverride: boolean;
  readonly removePrivateAs: 'remove' | 'replace' | undefined;
  /** RFC 9234 */
  readonly role: PeerRole | undefined;
  /** RFC 8326: everything is tagged */
  readonly shuttingDown: boolean;
  /** RFC 9494: whether long-lived stale routes may be sent; `marked`: as to a peer that does not know of such (4.6) */
  readonly longLived: 'yes' | 'marked' | 'no';
  /** RFC 4456: the peer is our client */
  readonly client: boolean;
  readonly clusterId: number;
}

/** How a path came here. `client`: from an iBGP peer that is our route reflector client. */
export type PathSource = 'local' | 'ebgp' | 'ibgp' | 'client';

/** Text that is equal for rules that do the same. */
export function exportFingerprint(rules: ExportRules): string {
  const shared = rules.shared;
  return [
    rules.family,
    rules.peerKind,
    rules.localAs,
    rules.nextHop,
    rules.transparent,
    rules.selfNextHop.join('.'),
    rules.extendedNextHop,
    shared === undefined ? '-' : shared.flatMap((subnet) => [subnet.bytes, subnet.length]).join('/'),
    rules.notThird?.bytes.join('.'),
    chainFingerprint(rules.chain),
    rules.asOverride || rules.role !== undefined ? rules.peerAs : '-',
    rules.ownAs,
    rules.asOverride,
    rules.removePrivateAs,
    rules.role,
    rules.shuttingDown,
    rules.longLived,
    rules.client,
    rules.clusterId,
  ].join(' ');
}

/** Flags with which attributes are announced to nobody by these rules. */
export function refusedFlags(rules: ExportRules): number {
  // RFC 9494 4.3
  const stale = rules.longLived === 'no' ? LLGR_STALE : 0;
  if (rules.peerKind === 'ibgp') return NO_ADVERTISE | stale;
  const otc = goesUpOrAcross(rules.role) ? HAS_OTC : 0;
  return NO_ADVERTISE | NO_EXPORT | NO_EXPORT_SUBCONFED | stale | otc;
}

/** RFC 9234 5, egress rule 2: towards a provider, a peer or a route server. */
function goesUpOrAcross(role: PeerRole | undefined): boolean {
  return role === 'customer' || role === 'rs-client' || role === 'peer';
}
