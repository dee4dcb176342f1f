/**
 * Unnumbered peers: a BGPPeer that names an interface (`ocicat.dev/interface`) and no address is for whoever is on the other end of that link. Both
 * families run over the link-local addresses, IPv4 with IPv6 next hops (RFC 8950). Pure.
 */
import type { Discovered, WaitingReason } from '../../../fib/discovery/discovery.ts';
import type { Finding } from '../../api/views.ts';
import type { BgpPeer } from '../../model/bgp-peer.ts';
import { type Address, formatAddress } from '../../net/address.ts';
import { type ResolvedPeer, resolvePeers } from './peer-groups.ts';
import { matchesSelector } from './selector-match.ts';

/** Address of a peer whose neighbour is not known yet: the speaker waits with it. */
export const NOT_KNOWN_YET: Address = { family: 'ipv6', bytes: new Uint8Array(16) };

const WAITING: Readonly<Record<WaitingReason, readonly [what: string, remedy: string]>> = {
  'no-such-interface': ['there is no interface of that name', 'name a link of this host'],
  'link-down': ['the link is down', 'look after the link and its other end'],
  'no-link-local-address': [
    'the interface has no link-local IPv6 address',
    'enable IPv6 on the interface, or give it an address out of fe80::/64',
  ],
  ambiguous: [
    'several neighbours are on the link and none of them is a router',
    'name the address of the peer in spec.peerIP, beside the interface',
  ],
  silent: ['nobody was heard there', 'look whether the other end is up and speaks IPv6'],
  failed: ['its neighbours cannot be listened to; the log says why', 'give the process CAP_NET_RAW'],
};

/** The interface of a BGPPeer that names one instead of an address. */
export function unnumberedInterface({
  spec,
  settings,
}: Pick<ResolvedPeer, 'spec' | 'settings'>): string | undefined {
  const namesPeers =
    spec.peerIP !== undefined ||
    spec.peerSelector !== undefined ||
    spec.localWorkloadSelector !== undefined ||
    settings['listen-range'] !== undefined ||
    settings.template === true;
  return namesPeers ? undefined : settings.interface;
}

/** The interfaces of all unnumbered peers that a node has. */
export function unnumberedInterfaces(
  peers: readonly BgpPeer[],
  node: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
): string[] {
  return resolvePeers(peers).peers.flatMap((peer) => {
    const device = unnumberedInterface(peer);
    const { spec } = peer;
    const applies =
      spec.node !== undefined
        ? spec.node === node.name
        : spec.nodeSelector === undefined || matchesSelector(spec.nodeSelector, node.labels);
    return device === undefined || !applies ? [] : [device];
  });
}

/** What an operator should know of the neighbour on an interface. */
export function neighbourFindings(resource: string, device: string, discovered: Discovered): Finding[] {
  if (!discovered.found) {
    const [what, remedy] = WAITING[discovered.why];
    const heard = discovered.rivals.length === 0 ? '' : ` (${textOf(discovered.rivals)})`;
    return [
      {
        severity: 'warning',
        code: 'peer-not-found',
        message: `${resource} waits for its neighbour on ${device}: ${what}${heard}`,
        remedy,
      },
    ];
  }
  if (discovered.rivals.length === 0) return [];
  return [
    {
      severity: 'warning',
      code: 'peer-ambiguous',
      message: `${resource} is with ${formatAddress(discovered.address)} on ${device}, but there are others: ${textOf(discovered.rivals)}`,
      remedy: 'name the address of the peer in spec.peerIP, beside the interface',
    },
  ];
}

function textOf(addresses: readonly Address[]): string {
  return addresses.map(formatAddress).join(', ');
}
