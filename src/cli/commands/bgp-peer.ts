/** One BGP session in full: capabilities both ways, timers, BIRD's counter grid, last error decoded. */
import type { PeerView } from '../../api/views.ts';
import type { Terminal } from '../output/emit.ts';
import { formatDuration, formatSince } from '../output/format.ts';
import { paint, renderTable } from '../output/table.ts';

export function renderPeer(peer: PeerView, terminal: Terminal): string {
  const { colour } = terminal;
  const now = terminal.now();
  const label = (text: string): string => paint(text.padEnd(18), 'dim', colour);
  const restart = peer.gracefulRestart;
  const lines: [string, string][] = [
    [
      'State',
      `${paint(peer.state, peer.state === 'Established' ? 'good' : 'bad', colour)} for ${formatSince(peer.since, now)}`,
    ],
    [
      'Remote AS',
      `${peer.asNumber} (${peer.kind === 'ebgp' ? 'external' : 'internal'}), local AS ${peer.localAs}`,
    ],
    ['Router ID', peer.routerId ?? 'not known yet'],
    ['Local address', peer.localAddress ?? '-'],
    ['Resource', peer.resource + (peer.dynamic ? ', came by itself' : '')],
    ...(peer.group === undefined ? [] : [['Peer group', peer.group] satisfies [string, string]]),
    [
      'Timers',
      peer.holdTimeSec === undefined
        ? 'not negotiated'
        : `hold ${peer.holdTimeSec} s, keepalive ${peer.keepaliveTimeSec ?? 0} s`,
    ],
    ['Policy', `import ${peer.policy.import}, export ${peer.policy.export}`],
    ['We offered', peer.capabilities.sent.join(', ') || '-'],
    ['Peer offered', peer.capabilities.received.join(', ') || '-'],
    [
      'Graceful restart',
      !restart.peerCapable
        ? 'not offered by the peer'
        : `peer: ${restart.peerRestartTimeSec ?? 0} s, keeps ${restart.peerFamilies.join(', ') || 'no family'}` +
          (restart.helperUntil === undefined
            ? ''
            : `; its routes are kept for ${formatDuration(restart.helperUntil - now)}`),
    ],
    [
      'Messages',
      `${peer.counters['messagesReceived'] ?? 0} received, ${peer.counters['messagesSent'] ?? 0} sent`,
    ],
    ['Output queue', `${peer.outputQueuedOctets} octets`],
    [
      'Last reset',
      peer.lastReset === undefined
        ? 'never'
        : `${formatSince(peer.lastReset.at, now)} ago, ${peer.lastReset.direction}: ${peer.lastReset.text}`,
    ],
  ];
  if (peer.lastError !== undefined) lines.push(['Last error', peer.lastError]);
  if (peer.nextConnectAt !== undefined)
    lines.push(['Next attempt', `in ${formatDuration(peer.nextConnectAt - now)}`]);
  const families = Object.entries(peer.families).map(([name, family]) => ({ name, ...family }));
  const grid = renderTable(
    [
      { title: 'Family', cell: (row) => row.name },
      { title: 'Negotiated', cell: (row) => (row.negotiated ? 'yes' : 'no') },
      { title: 'Received', align: 'right', cell: (row) => String(row.received) },
      { title: 'Accepted', align: 'right', cell: (row) => String(row.accepted) },
      { title: 'Filtered', align: 'right', cell: (row) => String(row.filtered) },
      { title: 'Stale', align: 'right', cell: (row) => String(row.stale) },
      { title: 'Advertised', align: 'right', cell: (row) => String(row.advertised) },
      { title: 'EoR received', cell: (row) => (row.endOfRibReceived ? 'yes' : 'no') },
      { title: 'EoR sent', cell: (row) => (row.endOfRibSent ? 'yes' : 'no') },
    ],
    families,
    colour,
  );
  return `Neighbor ${peer.address}\n${lines.map(([title, text]) => `  ${label(title)}${text}\n`).join('')}\n${grid}`;
}
