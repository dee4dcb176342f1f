/** The tables below a session's lines: timers, families, capabilities, messages. */
import type { CapabilityValue, MessagesView, TimerName } from '../../api/peer-views.ts';
import type { PeerFamilyView, PeerView } from '../../api/views.ts';
import { FAMILIES } from '../../net/address.ts';
import { formatDuration } from '../output/format.ts';
import { type Cell, renderTable } from '../output/table.ts';

interface TimerRow {
  readonly name: TimerName;
  readonly title: string;
  readonly configured: string;
  readonly negotiated: string;
}

/** Timers that have a setting or run. */
export function timerTable({ timers }: PeerView, colour: boolean): string {
  const { configured, negotiated, remainingMs } = timers;
  const seconds = (value: number | undefined): string =>
    value === undefined ? '-' : value === 0 ? 'off' : `${value} s`;
  const none = { configured: '-', negotiated: '-' };
  const all: TimerRow[] = [
    {
      name: 'hold',
      title: 'Hold',
      configured: seconds(configured.holdTimeSec),
      negotiated: seconds(negotiated?.holdTimeSec),
    },
    {
      name: 'keepalive',
      title: 'Keepalive',
      configured:
        configured.keepaliveTimeSec === undefined ? 'hold / 3' : seconds(configured.keepaliveTimeSec),
      negotiated: seconds(negotiated?.keepaliveTimeSec),
    },
    { name: 'send-hold', title: 'Send hold', ...none },
    {
      name: 'connect-retry',
      title: 'Connect retry',
      configured: `${configured.connectRetrySec} to ${configured.connectRetryMaxSec} s`,
      negotiated: '-',
    },
    { name: 'idle-hold', title: 'Idle hold', ...none },
    { name: 'restart', title: 'Peer restarts', ...none },
    { name: 'stale', title: 'Stale routes', ...none },
    { name: 'long-lived', title: 'Long-lived stale', ...none },
  ];
  const rows = all.filter((row) => row.configured !== '-' || remainingMs[row.name] !== undefined);
  return renderTable(
    [
      { title: 'Timer', cell: (row: TimerRow) => row.title },
      { title: 'Configured', align: 'right', cell: (row) => row.configured },
      { title: 'Negotiated', align: 'right', cell: (row) => row.negotiated },
      {
        title: 'Remaining',
        align: 'right',
        cell: ({ name }) => {
          const remaining = remainingMs[name];
          return remaining === undefined ? '-' : formatDuration(remaining);
        },
      },
    ],
    rows,
    colour,
  );
}

/** Where the prefixes went, by family. */
export function familyTable({ families }: PeerView, colour: boolean): string {
  const rows = FAMILIES.map((name) => ({ name, ...families[name] }));
  const count = (title: string, field: keyof PeerFamilyView) => ({
    title,
    align: 'right' as const,
    cell: (row: PeerFamilyView) => String(row[field]),
  });
  const columns = [
    { title: 'Family', cell: (row: (typeof rows)[number]) => row.name },
    { title: 'Negotiated', cell: yesNo('negotiated') },
    count('Received', 'received'),
    count('Accepted', 'accepted'),
    count('Filtered', 'filtered'),
    count('Discarded', 'discarded'),
    count('Stale', 'stale'),
    count('Sent', 'advertised'),
    count('Pending', 'pending'),
    { title: 'EoR received', cell: yesNo('endOfRibReceived') },
    { title: 'EoR sent', cell: yesNo('endOfRibSent') },
  ];
  const limited = rows.some(({ prefixLimit }) => prefixLimit !== undefined);
  return renderTable(limited ? [...columns, { title: 'Limit', cell: limitCell }] : columns, rows, colour);
}

function yesNo(field: 'negotiated' | 'endOfRibReceived' | 'endOfRibSent') {
  return (row: PeerFamilyView): string => (row[field] ? 'yes' : 'no');
}

/** `80 of 100 accepted (80 %, warns at 75 %), then stop`. */
function limitCell({ prefixLimit }: PeerFamilyView): Cell {
  if (prefixLimit === undefined) return '-';
  const { current, limit, count, warnPercent, action } = prefixLimit;
  const percent = Math.floor((100 * current) / limit);
  const then = {
    warn: 'warns only',
    discard: 'then leaves out',
    stop:
      action.kind === 'stop' && action.restartSec !== undefined
        ? `then ends the session for ${action.restartSec} s`
        : 'then ends the session',
  }[action.kind];
  const text = `${current} of ${limit} ${count} (${percent} %, warns at ${warnPercent} %), ${then}`;
  return { text, tone: current > limit ? 'bad' : percent >= warnPercent ? 'warn' : 'plain' };
}

/** What each side's OPEN offers, side by side; empty before our OPEN. */
export function capabilityTable({ capabilities }: PeerView, colour: boolean): string {
  const { compared } = capabilities;
  if (compared.length === 0) return '';
  const value = (side: CapabilityValue | undefined): Cell =>
    side === undefined ? { text: 'no', tone: 'dim' } : side.text === '' ? 'yes' : side.text;
  return renderTable(
    [
      { title: 'Capability', cell: (row: (typeof compared)[number]) => `${row.name} (${row.code})` },
      { title: 'Advertised', cell: (row) => value(row.sent) },
      { title: 'Received', cell: (row) => value(row.received) },
    ],
    compared,
    colour,
  );
}

const MESSAGE_TITLES: Readonly<Record<keyof MessagesView, string>> = {
  open: 'OPEN',
  update: 'UPDATE',
  notification: 'NOTIFICATION',
  keepalive: 'KEEPALIVE',
  routeRefresh: 'ROUTE-REFRESH',
};

/** Messages by type, with their sum. */
export function messageTable({ messages }: PeerView, colour: boolean): string {
  const { open, update, notification, keepalive, routeRefresh } = MESSAGE_TITLES;
  const row = (title: string, of: (counts: MessagesView) => number) => ({
    title,
    received: of(messages.received),
    sent: of(messages.sent),
  });
  const rows = [
    row(open, (counts) => counts.open),
    row(update, (counts) => counts.update),
    row(notification, (counts) => counts.notification),
    row(keepalive, (counts) => counts.keepalive),
    row(routeRefresh, (counts) => counts.routeRefresh),
    row('total', (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0)),
  ];
  return renderTable(
    [
      { title: 'Messages', cell: ({ title }: (typeof rows)[number]) => title },
      { title: 'Received', align: 'right', cell: ({ received }) => String(received) },
      { title: 'Sent', align: 'right', cell: ({ sent }) => String(sent) },
    ],
    rows,
    colour,
  );
}
