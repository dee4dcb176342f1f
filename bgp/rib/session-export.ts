/** From a peer's configuration and what its session agreed upon to the rules by which paths are exported to it. */
import type { Address, Family } from '../../src/net/address.ts';
import type { PeerConfig } from '../types.ts';
import type { ExportRules } from './export-rules.ts';
import { type PeerSession, peerKind } from './peers.ts';

/** The export rules that a peer's configuration and session amount to. */
export function exportRules(
  family: Family,
  config: PeerConfig,
  session: PeerSession,
  speaker: { readonly localAs: number; readonly clusterId: number; readonly draining: boolean },
): ExportRules {
  const { extendedNextHop } = session.context;
  const subnets = session.connectedSubnets ?? [];
  const kind = peerKind(config);
  const mayBeThirdParty =
    kind === 'ebgp' && config.nextHop === 'auto' && session.peerConnected && subnets.length > 0;
  return {
    family,
    peerKind: kind,
    localAs: config.localAs,
    nextHop: config.routeServerClient === true ? 'keep' : config.nextHop,
    transparent: config.routeServerClient ?? false,
    selfNextHop: selfNextHop(family, session, config.address.family),
    extendedNextHop,
    shared: mayBeThirdParty ? subnets : undefined,
    notThird: undefined,
    chain: config.exportPolicy,
    peerAs: config.peerAs,
    ownAs:
      config.localAs !== speaker.localAs && config.localAsOptions?.replaceAs !== true
        ? speaker.localAs
        : undefined,
    asOverride: config.asOverride ?? false,
    removePrivateAs: config.removePrivateAs,
    role: kind === 'ebgp' ? config.role?.local : undefined,
    shuttingDown: speaker.draining || config.gracefulShutdown === true,
    longLived:
      session.longLived === true
        ? 'yes'
        : kind === 'ibgp' && config.longLivedPartial === true
          ? 'marked'
          : 'no',
    client: config.routeReflectorClient ?? false,
    clusterId: speaker.clusterId,
  };
}

/**
 * Our next hop in the form of a key: empty when the session has no address that the family could use. IPv4 routes go with an IPv6 next hop
 * where that was agreed and the session itself is IPv6: the link then need not have IPv4 at all (RFC 8950).
 */
function selfNextHop(family: Family, session: PeerSession, transport: Family): Uint8Array {
  const { ipv4, ipv6, linkLocal } = session.localAddress;
  const { extendedNextHop } = session.context;
  const overIpv6 = ipv6NextHop(ipv6, session.peerConnected ? linkLocal : undefined);
  if (family === 'ipv6') return overIpv6;
  if (extendedNextHop && transport === 'ipv6' && overIpv6.length > 0) return overIpv6;
  return ipv4?.bytes ?? (extendedNextHop ? overIpv6 : new Uint8Array(0));
}

/** RFC 2545 3: the global address, followed by the link-local one for a peer on the same link. */
function ipv6NextHop(global: Address | undefined, linkLocal: Address | undefined): Uint8Array {
  if (global === undefined) return linkLocal?.bytes ?? new Uint8Array(0);
  if (linkLocal === undefined) return global.bytes;
  const both = new Uint8Array(32);
  both.set(global.bytes);
  both.set(linkLocal.bytes, 16);
  return both;
}
