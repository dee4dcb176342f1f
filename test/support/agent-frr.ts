/** An agent on a host with an FRR as its top-of-rack router: what tests of the command line begin with. Needs root. */
import type { PathRow, PeerView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts, POOLS } from './agent.ts';
import { removeAllNetns } from './netns.ts';
import { createRouter, type Router } from './routers.ts';

/** addresses of the router, which are the peers' names */
export const PEER = '192.0.2.1';
export const PEER6 = '2001:db8:2::1';
export const OWN_AS = 65101;
export const TOR_AS = 65001;

const NODE = `apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h1}
spec: {bgp: {ipv4Address: 192.0.2.2/24, ipv6Address: '2001:db8:2::2/64', asNumber: ${OWN_AS}}}`;

/** A BGPPeer document of the router. */
export function torPeer(name: string, ip: string): string {
  return `apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: ${name}}\nspec: {node: h1, peerIP: '${ip}', asNumber: ${TOR_AS}}`;
}

/** What FRR is told beside its session over IPv4, for one over IPv6. */
export const FRR_IPV6_SESSION: readonly string[] = [
  'configure terminal',
  `router bgp ${TOR_AS}`,
  `neighbor 2001:db8:2::2 remote-as ${OWN_AS}`,
  'neighbor 2001:db8:2::2 timers 1 3',
  'neighbor 2001:db8:2::2 timers connect 1',
  'address-family ipv6 unicast',
  'neighbor 2001:db8:2::2 activate',
  'exit-address-family',
];

export interface AgentAndFrr {
  readonly host: AgentHost;
  readonly router: Router;
}

/**
 * Starts both, with pools and a BGPPeer for each of `peers` (resource name to address); `commands` are FRR's, each list one configuration.
 * The sessions come up by themselves.
 */
export async function startAgentAndFrr(
  announce: readonly string[],
  peers: Readonly<Record<string, string>>,
  ...commands: readonly (readonly string[])[]
): Promise<AgentAndFrr> {
  const host = createHost();
  const router = createRouter('frr', host.router, {
    routerId: PEER,
    as: TOR_AS,
    local: PEER,
    neighbour: '192.0.2.2',
    neighbourAs: OWN_AS,
    announce,
  });
  try {
    await router.start();
    for (const lines of commands) await router.command(...lines);
    await host.start();
    await host.apply(NODE, ...POOLS, ...Object.entries(peers).map(([name, ip]) => torPeer(name, ip)));
  } catch (error) {
    await endAgentAndFrr({ host, router });
    throw error;
  }
  return { host, router };
}

/** Ends both; without them, removes what else the test has made. */
export async function endAgentAndFrr(both: AgentAndFrr | undefined): Promise<void> {
  disposeHosts();
  await both?.router.kill();
  both?.router.dispose();
  await removeAllNetns();
}

/** Rows of `ocicat LINE -o json`. */
export async function cliRows<Row>(host: AgentHost, line: string): Promise<Row[]> {
  const rows: Row[] = JSON.parse(await host.ocicat(`${line} -o json`));
  return rows;
}

/** Paths by a query of the API, which costs no process. */
export async function pathsOf(host: AgentHost, query: Readonly<Record<string, string>>): Promise<PathRow[]> {
  const rows: PathRow[] = [];
  const search = new URLSearchParams(query);
  for await (const row of host.api.rows<PathRow>(`/v1/bgp/routes?${search}`)) rows.push(row);
  return rows;
}

export function peerOf(host: AgentHost, name: string): Promise<PeerView> {
  return host.api.call<PeerView>('GET', `/v1/bgp/peers/${encodeURIComponent(name)}`);
}
