/** `ocicat bgp summary`: a line for each session and family, as `show bgp summary` has it. */
import type { Command } from 'commander';
import type { BgpSummaryView, PeerView } from '../../api/views.ts';
import { FAMILIES, type Family } from '../../net/address.ts';
import type { CommandContext } from '../context.ts';
import { emit, type OutputForm, outputOption, type Terminal } from '../output/emit.ts';
import { formatSince } from '../output/format.ts';
import { counted } from '../output/order.ts';
import { type Cell, type Column, renderTable } from '../output/table.ts';
import { neighbourName } from './bgp-names.ts';

export function registerSummary(bgp: Command, context: CommandContext): void {
  bgp
    .command('summary')
    .description('this speaker and its sessions, a line each')
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputForm }) => {
      const { terminal } = context;
      const view = await context.client().call<BgpSummaryView>('GET', '/v1/bgp/summary');
      await emit(terminal, output, view, (wide) => renderSummary(view, wide, terminal));
    });
}

/** In place of a table without rows. */
export const NO_PEERS = 'No BGP peers: "ocicat status" says what is missing.\n';

const TITLES: Readonly<Record<Family, string>> = { ipv4: 'IPv4 Unicast', ipv6: 'IPv6 Unicast' };

/** The summary for people. */
export function renderSummary(view: BgpSummaryView, wide: boolean, terminal: Terminal): string {
  const { peers, locRib, listeningPorts, deferral } = view;
  const ports = [...new Set(listeningPorts)].join(', ');
  const lines = [
    `BGP router identifier ${view.routerId}, local AS number ${view.asNumber}`,
    ports === '' ? 'not listening: peers cannot reach this node' : `listening on port ${ports}`,
    `Loc-RIB prefixes: ${locRib.ipv4} IPv4, ${locRib.ipv6} IPv6`,
    ...(view.service === 'in-service'
      ? []
      : [`out of service (${view.service}): "ocicat bgp undrain" puts it back`]),
    ...(deferral.length === 0
      ? []
      : [`waiting for the peers' End-of-RIB after a restart: ${deferral.join(', ')}`]),
  ];
  const tables = FAMILIES.flatMap((family) => {
    const rows = peers.filter((peer) => carries(peer, family));
    if (rows.length === 0) return [];
    return [
      `\n${TITLES[family]}\n${renderTable(summaryColumns(family, wide, terminal.now()), rows, terminal.colour)}`,
    ];
  });
  const up = peers.filter(({ state }) => state === 'Established').length;
  const none = peers.length === 0 ? `\n${NO_PEERS}` : '';
  const total = peers.length === 0 ? '' : `\n${counted(peers.length, 'neighbor')}, ${up} established\n`;
  return `${lines.join('\n')}\n${tables.join('')}${none}${total}`;
}

/** A session belongs where it carries routes; one that is down, where its address does. */
function carries(peer: PeerView, family: Family): boolean {
  const { ipv4, ipv6 } = peer.families;
  if (ipv4.negotiated || ipv6.negotiated) return peer.families[family].negotiated;
  return peer.address.includes(':') === (family === 'ipv6');
}

function summaryColumns(family: Family, wide: boolean, now: number): Column<PeerView>[] {
  const number = (title: string, value: (peer: PeerView) => number | undefined): Column<PeerView> => ({
    title,
    align: 'right',
    cell: (peer) => String(value(peer) ?? 0),
  });
  const columns: Column<PeerView>[] = [
    { title: 'Neighbor', cell: neighbourName },
    number('AS', (peer) => peer.asNumber),
    number('MsgRcvd', (peer) => peer.counters['messagesReceived']),
    number('MsgSent', (peer) => peer.counters['messagesSent']),
    number('OutQ', (peer) => peer.outputQueuedOctets),
    {
      title: 'Up/Down',
      align: 'right',
      cell: (peer) => formatSince(peer.establishedAt ?? downSince(peer), now),
    },
    { title: 'State/PfxRcd', align: 'right', cell: (peer) => stateCell(peer, family) },
    number('PfxAcc', (peer) => peer.families[family].accepted),
    number('PfxFlt', (peer) => peer.families[family].filtered),
    number('PfxSnt', (peer) => peer.families[family].advertised),
    { title: 'Resource', cell: (peer) => peer.resource },
  ];
  if (!wide) return columns;
  return [
    ...columns.slice(0, -1),
    number('Stale', (peer) => peer.families[family].stale),
    number('Up', (peer) => peer.counters['establishedCount']),
    number('Down', (peer) => peer.counters['droppedCount']),
    { title: 'Router ID', cell: (peer) => peer.routerId ?? '-' },
    ...columns.slice(-1),
  ];
}

/** When a session that is down went down; undefined when it never was up. */
export function downSince(peer: PeerView): number | undefined {
  return (peer.counters['establishedCount'] ?? 0) > 0 ? (peer.lastReset?.at ?? peer.since) : undefined;
}

function stateCell(peer: PeerView, family: Family): Cell {
  if (peer.state !== 'Established') return { text: peer.state, tone: 'bad' };
  if (peer.policy.import === 'missing') return { text: '(Policy)', tone: 'bad' };
  return String(peer.families[family].received);
}
