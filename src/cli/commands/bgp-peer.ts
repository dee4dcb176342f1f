/** One BGP session in full, as `show bgp neighbors` and `birdc show protocols all` have it: lines of what it is, then tables. */
import type { NotificationView } from '../../api/peer-views.ts';
import type { PeerView } from '../../api/views.ts';
import { FAMILIES } from '../../net/address.ts';
import type { Terminal } from '../output/emit.ts';
import { formatDuration, formatSince } from '../output/format.ts';
import { counted } from '../output/order.ts';
import { paint } from '../output/table.ts';
import { neighbourName } from './bgp-names.ts';
import { capabilityTable, familyTable, messageTable, timerTable } from './bgp-peer-tables.ts';

type Line = readonly [title: string, text: string];

/** Everything that there is to know of a session, for people. */
export function renderPeer(peer: PeerView, terminal: Terminal): string {
  const { colour } = terminal;
  const now = terminal.now();
  const label = (text: string): string => paint(text.padEnd(19), 'dim', colour);
  const lines = [
    ...identity(peer, now, colour),
    ...transport(peer),
    ...exchange(peer, now),
    ...ends(peer, now),
  ];
  const tables = [timerTable, familyTable, capabilityTable, messageTable].map((table) => table(peer, colour));
  return [
    `Neighbor ${neighbourName(peer)}\n${lines.map(([title, text]) => `  ${label(title)}${text}\n`).join('')}`,
    ...tables.filter((table) => table !== ''),
  ].join('\n');
}

function identity(peer: PeerView, now: number, colour: boolean): Line[] {
  const state = paint(peer.state, peer.state === 'Established' ? 'good' : 'bad', colour);
  const { established = 0, dropped = 0 } = sessionCounts(peer);
  return [
    ['State', `${state} for ${formatSince(peer.since, now)}, since ${formatTime(peer.since)}`],
    [
      'Remote AS',
      `${peer.asNumber} (${peer.kind === 'ebgp' ? 'external' : 'internal'}), local AS ${peer.localAs}`,
    ],
    ['Router ID', `${peer.routerId ?? 'not known yet'}, local ${peer.localRouterId}`],
    ['Resource', peer.resource + (peer.dynamic ? ', came by itself' : '')],
    ...(peer.group === undefined ? [] : [['Peer group', peer.group] satisfies Line]),
    ['Policy', policyText(peer.policy)],
    ['Sessions', `came up ${times(established)}, went down ${times(dropped)}`],
  ];
}

function policyText({ import: imported, export: exported }: PeerView['policy']): string {
  const isMissing = imported === 'missing' || exported === 'missing';
  return `import ${imported}, export ${exported}${isMissing ? ': without filters nothing passes (RFC 8212)' : ''}`;
}

function sessionCounts({ counters }: PeerView): { established?: number; dropped?: number } {
  return { established: counters['establishedCount'] ?? 0, dropped: counters['droppedCount'] ?? 0 };
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function transport(peer: PeerView): Line[] {
  const { connection, transport: how, bfd } = peer;
  const end = ({ address, port }: { address: string; port: number }): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const guards = [
    how.minTtl === undefined
      ? `TTL ${how.ttl}`
      : `TTL ${how.ttl}, of received packets at least ${how.minTtl}`,
    how.multihop ? 'multihop' : 'directly connected',
    how.md5 ? 'TCP MD5' : 'no TCP MD5',
    how.passive ? 'passive' : `dials port ${how.port}`,
    ...(how.sourceAddress === undefined ? [] : [`from ${how.sourceAddress}`]),
    ...(how.interface === undefined ? [] : [`on ${how.interface}`]),
  ];
  return [
    [
      'Connection',
      connection === undefined
        ? 'none'
        : `${end(connection.local)} to ${end(connection.remote)}, ${connection.direction}`,
    ],
    ['Transport', guards.join(', ')],
    ['BFD', bfd === undefined ? (how.bfd ? 'starts' : 'off') : bfdText(bfd)],
  ];
}

function bfdText(bfd: NonNullable<PeerView['bfd']>): string {
  const parts = [
    bfd.state,
    bfd.multihop ? 'multihop' : 'single hop',
    ...(bfd.txIntervalMs === undefined ? [] : [`sends every ${bfd.txIntervalMs} ms`]),
    ...(bfd.detectionTimeMs === undefined ? [] : [`fails after ${bfd.detectionTimeMs} ms`]),
    ...(bfd.state === 'Up' ? [] : [bfd.diagnosticText]),
    ...(bfd.problem === undefined ? [] : [bfd.problem]),
    `up ${times(bfd.upCount)}, down ${times(bfd.downCount)}`,
  ];
  return parts.join(', ');
}

function exchange(peer: PeerView, now: number): Line[] {
  const { gracefulRestart: restart, terms, counters } = peer;
  const pending = FAMILIES.reduce((sum, family) => sum + peer.families[family].pending, 0);
  const withdrawn = counters['treatAsWithdraw'] ?? 0;
  const discarded = counters['attributeDiscards'] ?? 0;
  return [
    ...(terms === undefined ? [] : [['Agreed', termsText(terms)] satisfies Line]),
    [
      'Graceful restart',
      !restart.peerCapable
        ? 'not offered by the peer'
        : `peer: ${restart.peerRestartTimeSec ?? 0} s, keeps ${restart.peerFamilies.join(', ') || 'no family'}` +
          (terms?.gracefulNotification ? ', also over NOTIFICATIONs' : '') +
          (restart.helperUntil === undefined
            ? ''
            : `; its routes are kept for ${formatDuration(restart.helperUntil - now)}`),
    ],
    [
      'Output queue',
      `${peer.outputQueuedOctets} octets wait for the peer to read, ${counted(pending, 'prefix', 'prefixes')} to be told of`,
    ],
    [
      'Damaged input',
      `${counted(withdrawn, 'UPDATE')} treated as withdrawal, ${counted(discarded, 'attribute')} discarded`,
    ],
  ];
}

function termsText(terms: NonNullable<PeerView['terms']>): string {
  const families = (title: string, list: readonly string[]): string[] =>
    list.length === 0 ? [] : [`${title} ${list.join(' and ')}`];
  return [
    terms.fourOctetAs ? '4-octet AS' : '2-octet AS',
    `messages of ${terms.maxMessageOctets} octets`,
    terms.enhancedRouteRefresh
      ? 'enhanced route refresh'
      : terms.routeRefresh
        ? 'route refresh'
        : 'no route refresh',
    ...(terms.extendedNextHop ? ['IPv4 over IPv6 next hops'] : []),
    ...families('several paths received of', terms.addPathReceive),
    ...families(
      terms.addPathSendMax === undefined
        ? 'all paths sent of'
        : `the best ${counted(terms.addPathSendMax, 'path')} sent of`,
      terms.addPathSend,
    ),
  ].join(', ');
}

/** What ended the last sessions and attempts, and when there will be another. */
function ends(peer: PeerView, now: number): Line[] {
  const { lastReset, lastNotification, lastError, nextConnectAt } = peer;
  const notified = (title: string, record: NotificationView | undefined): Line => [
    title,
    record === undefined ? 'none' : `${formatSince(record.at, now)} ago: ${notificationText(record)}`,
  ];
  return [
    [
      'Last reset',
      lastReset === undefined
        ? 'never'
        : `${formatSince(lastReset.at, now)} ago, ${RESET_BY[lastReset.direction] ?? lastReset.direction}: ${lastReset.text}`,
    ],
    notified('NOTIFICATION sent', lastNotification.sent),
    notified('... received', lastNotification.received),
    ...(lastError === undefined || lastError === lastReset?.text
      ? []
      : [['Last error', lastError] satisfies Line]),
    ...(nextConnectAt === undefined
      ? []
      : [['Next attempt', `in ${formatDuration(nextConnectAt - now)}`] satisfies Line]),
  ];
}

const RESET_BY: Readonly<Record<string, string>> = {
  sent: 'by us',
  received: 'by the peer',
  none: 'without a NOTIFICATION',
};

/** What was found wrong stands behind it where the NOTIFICATION does not say so itself; so do octets that the text leaves out. */
function notificationText({ text, reason, data }: NotificationView): string {
  const isShown = data === '' || text.includes(data);
  return [
    text,
    ...(reason === undefined || text.endsWith(reason) ? [] : [reason]),
    ...(isShown ? [] : [`data ${data}`]),
  ].join('; ');
}

function formatTime(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
