/** `ocicat bgp ...` */
import type { Command } from 'commander';
import type { PeerView } from '../../api/views.ts';
import type { CommandContext } from '../context.ts';
import { registerDecode } from '../decode/command.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { formatSince } from '../output/format.ts';
import { type Cell, type Column, renderTable } from '../output/table.ts';
import { registerCapture } from './bgp-capture.ts';
import { registerDrain } from './bgp-drain.ts';
import { neighbourName } from './bgp-names.ts';
import { renderPeer } from './bgp-peer.ts';
import { registerRoutesOf } from './bgp-routes.ts';
import { registerSession } from './bgp-session.ts';
import { registerSpeak } from './bgp-speak.ts';
import { downSince, NO_PEERS, registerSummary } from './bgp-summary.ts';

export function registerBgp(program: Command, context: CommandContext): void {
  const bgp = program.command('bgp').description('BGP sessions and routes');
  bgp
    .command('peers')
    .aliases(['neighbors', 'neighbor'])
    .description('the sessions, or one of them in full')
    .argument('[peer]', 'address or name of a peer')
    .addOption(outputOption())
    .action((peer: string | undefined, options: { output: OutputForm }) =>
      showPeers(context, peer, options.output),
    );
  registerRoutesOf(bgp, context);
  registerSummary(bgp, context);
  registerSession(bgp, context);
  registerDrain(bgp, context);
  registerCapture(bgp, context);
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
    if (peers.length === 0) return NO_PEERS;
    return renderTable(peerColumns(wide, terminal.now()), peers, terminal.colour);
  });
}

function peerColumns(wide: boolean, now: number): Column<PeerView>[] {
  const total = (peer: PeerView, field: 'received' | 'accepted' | 'filtered' | 'advertised'): string =>
    String(peer.families.ipv4[field] + peer.families.ipv6[field]);
  const columns: Column<PeerView>[] = [
    { title: 'Neighbor', cell: neighbourName },
    { title: 'AS', align: 'right', cell: (peer) => String(peer.asNumber) },
    { title: 'State', cell: stateCell },
    {
      title: 'Up/Down',
      cell: (peer) => formatSince(peer.establishedAt ?? downSince(peer), now),
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
    { title: 'Group', cell: (peer) => peer.group ?? '-' },
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
