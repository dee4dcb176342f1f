/** `ocicat bgp ...` */
import type { Command } from 'commander';
import type { PathRow, PeerView } from '../../api/views.ts';
import type { CommandContext } from '../context.ts';
import { registerDecode } from '../decode/command.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { formatSince } from '../output/format.ts';
import { byPrefix, counted } from '../output/order.ts';
import { showList } from '../output/rows.ts';
import { type Cell, type Column, renderTable } from '../output/table.ts';
import { renderPaths } from './bgp-paths.ts';
import { renderPeer } from './bgp-peer.ts';
import { registerSpeak } from './bgp-speak.ts';

export function registerBgp(program: Command, context: CommandContext): void {
  const bgp = program.command('bgp').description('BGP sessions and routes');
  bgp
    .command('peers')
    .description('the sessions, or one of them in full')
    .argument('[peer]', 'address or name of a peer')
    .addOption(outputOption())
    .action((peer: string | undefined, options: { output: OutputForm }) =>
      showPeers(context, peer, options.output),
    );
  bgp
    .command('routes')
    .description('the Loc-RIB, or what one peer sent or is sent')
    .argument('[prefix]', 'a prefix, or an address for its longest match')
    .option('--received <peer>', 'what the peer sent, before policy')
    .option('--advertised <peer>', 'what the peer is sent')
    .option('--ipv4', 'IPv4 only')
    .option('--ipv6', 'IPv6 only')
    .addOption(outputOption())
    .addHelpText('after', '\nExit code: 1 when nothing matches.')
    .action(
      (
        prefix: string | undefined,
        options: {
          received?: string;
          advertised?: string;
          ipv4?: boolean;
          ipv6?: boolean;
          output: OutputForm;
        },
      ) => showRoutes(context, prefix, options),
    );
  registerDecode(bgp, context);
  registerSpeak(bgp, context);
}

async function showPeers(context: CommandContext, peer: string | undefined, form: OutputForm): Promise<void> {
  const { terminal } = context;
  const client = context.client();
  if (peer !== undefined) {
    const view = await client.call<PeerView>('GET', `/v1/bgp/peers/${encodeURIComponent(peer)}`);
    await emit(terminal, form, view, () => renderPeer(view, terminal));
    return;
  }
  const peers = await client.call<PeerView[]>('GET', '/v1/bgp/peers');
  await emit(terminal, form, peers, (wide) => {
    if (peers.length === 0) return 'No BGP peers: apply a BGPPeer (see "ocicat status").\n';
    return renderTable(peerColumns(wide, terminal.now()), peers, terminal.colour);
  });
}

function peerColumns(wide: boolean, now: number): Column<PeerView>[] {
  const total = (peer: PeerView, field: 'received' | 'accepted' | 'filtered' | 'advertised'): string =>
    String(peer.families.ipv4[field] + peer.families.ipv6[field]);
  const columns: Column<PeerView>[] = [
    { title: 'Neighbor', cell: (peer) => peer.address },
    { title: 'AS', align: 'right', cell: (peer) => String(peer.asNumber) },
    { title: 'State', cell: stateCell },
    {
      title: 'Up/Down',
      cell: (peer) =>
        formatSince(peer.establishedAt ?? (peer.counters['established'] ? peer.since : undefined), now),
    },
    { title: 'Rcvd', align: 'right', cell: (peer) => total(peer, 'received') },
    { title: 'Accepted', align: 'right', cell: (peer) => total(peer, 'accepted') },
    { title: 'Filtered', align: 'right', cell: (peer) => total(peer, 'filtered') },
    { title: 'Sent', align: 'right', cell: (peer) => total(peer, 'advertised') },
    { title: 'Policy', cell: policyCell },
    { title: 'Info', cell: infoCell },
  ];
  if (!wide) return columns;
  return [
    ...columns,
    { title: 'Router ID', cell: (peer) => peer.routerId ?? '-' },
    { title: 'Local', cell: (peer) => peer.localAddress ?? '-' },
    {
      title: 'Hold',
      align: 'right',
      cell: (peer) => (peer.holdTimeSec === undefined ? '-' : String(peer.holdTimeSec)),
    },
    { title: 'MsgRcvd', align: 'right', cell: (peer) => String(peer.counters['messagesReceived'] ?? 0) },
    { title: 'MsgSent', align: 'right', cell: (peer) => String(peer.counters['messagesSent'] ?? 0) },
    { title: 'OutQ', align: 'right', cell: (peer) => String(peer.outputQueuedOctets) },
    { title: 'Resource', cell: (peer) => peer.resource },
  ];
}

function stateCell(peer: PeerView): Cell {
  return {
    text: peer.state,
    tone: peer.state === 'Established' ? 'good' : peer.state === 'Idle(Admin)' ? 'dim' : 'bad',
  };
}

function policyCell(peer: PeerView): Cell {
  const { import: imported, export: exported } = peer.policy;
  const text = imported === exported ? imported : `${imported}/${exported}`;
  return { text, tone: text.includes('missing') ? 'bad' : 'plain' };
}

function infoCell(peer: PeerView): string {
  if (peer.gracefulRestart.helperUntil !== undefined) return 'peer restarts, its routes are kept';
  if (peer.state === 'Established') {
    const waiting = Object.entries(peer.families).filter(([, f]) => f.negotiated && !f.endOfRibReceived);
    return waiting.length === 0 ? '' : `waiting for End-of-RIB (${waiting.map(([name]) => name).join(', ')})`;
  }
  return peer.lastError ?? peer.lastReset?.text ?? '';
}

async function showRoutes(
  context: CommandContext,
  prefix: string | undefined,
  options: { received?: string; advertised?: string; ipv4?: boolean; ipv6?: boolean; output: OutputForm },
): Promise<void> {
  const query = new URLSearchParams();
  if (prefix !== undefined) query.set('prefix', prefix);
  if (options.received !== undefined) query.set('received', options.received);
  if (options.advertised !== undefined) query.set('advertised', options.advertised);
  if (options.ipv4 === true && options.ipv6 !== true) query.set('family', 'ipv4');
  if (options.ipv6 === true && options.ipv4 !== true) query.set('family', 'ipv6');
  const path = `/v1/bgp/routes?${query}`;
  const { terminal } = context;
  if (prefix !== undefined && (options.output === 'table' || options.output === 'wide')) {
    const rows: PathRow[] = [];
    for await (const row of context.client().rows<PathRow>(path)) rows.push(row);
    if (rows.length > 0) {
      terminal.out(renderPaths(rows, terminal));
      return;
    }
  }
  await showList<PathRow>(context, context.client(), {
    path,
    form: options.output,
    columns: routeColumns,
    nothing: prefix === undefined ? 'no routes' : `no route for ${prefix}`,
    legend:
      'Status: * valid, > best, = multipath, S stale, x not usable.  Origin: i IGP, e EGP, ? incomplete.\n',
    summary: (count) => counted(count, 'path'),
    compare: byPrefix,
  });
}

function routeColumns(wide: boolean): Column<PathRow>[] {
  const columns: Column<PathRow>[] = [
    {
      title: '   ',
      cell: (row) => ({ text: statusCodes(row), tone: row.best ? 'good' : row.valid ? 'plain' : 'dim' }),
    },
    { title: 'Network', cell: (row) => row.prefix },
    { title: 'Next Hop', cell: (row) => row.nextHop ?? (row.from === 'local' ? 'self' : '-') },
    { title: 'Metric', align: 'right', cell: (row) => (row.med === undefined ? '' : String(row.med)) },
    {
      title: 'LocPrf',
      align: 'right',
      cell: (row) => (row.localPref === undefined ? '' : String(row.localPref)),
    },
    {
      title: 'Path',
      cell: (row) => `${row.asPath} ${{ igp: 'i', egp: 'e', incomplete: '?' }[row.origin]}`.trim(),
    },
    { title: 'From', cell: (row) => row.from },
    { title: 'Reason', cell: (row) => row.unusable ?? row.reason ?? '' },
  ];
  if (!wide) return columns;
  return [
    ...columns,
    { title: 'Communities', cell: (row) => [...row.communities, ...row.largeCommunities].join(' ') },
    { title: 'Policy note', cell: (row) => row.policyNote ?? '' },
  ];
}

/** FRR's status columns: `*>` best, `*=` multipath, `S` stale, `x` not usable. */
export function statusCodes(row: PathRow): string {
  const stale = row.stale ? 'S' : '';
  if (!row.valid) return `${stale}x`;
  return `${stale}*${row.best ? '>' : row.multipath ? '=' : ''}`;
}
