/** What the `ipam` commands print for people. Pure. */
import type { AddressView, SettingsView } from '../../agent/ipam/views.ts';
import { type CheckReport, isLeaked, type ReportedAllocation } from '../../ipam/report.ts';
import type { BlockUsage, BorrowedAddress, PoolUsage, Usage } from '../../ipam/utilization.ts';
import { counted } from '../output/order.ts';
import { type Column, paint, renderTable } from '../output/table.ts';

interface UsageRow extends Usage {
  readonly grouping: string;
  readonly host: string;
}

/** Columns as calicoctl's `ipam show`, and who has each block. */
export function usageTable(pools: readonly PoolUsage[], withBlocks: boolean, colour: boolean): string {
  const rows = pools.flatMap((pool): UsageRow[] => [
    ...(pool.name === null ? [] : [{ ...pool, grouping: 'IP Pool', host: '' }]),
    ...(withBlocks || pool.name === null ? pool.blocks.map(blockRow) : []),
  ]);
  if (rows.length === 0) return 'there is no IPPool\n';
  const share = (field: 'inUse' | 'reserved' | 'free' | 'cooling', title: string): Column<UsageRow> => ({
    title,
    align: 'right',
    cell: (row) => `${amount(row[field])} (${Math.round((100 * row[field]) / row.capacity)}%)`,
  });
  const columns: Column<UsageRow>[] = [
    { title: 'Grouping', cell: (row) => row.grouping },
    { title: 'CIDR', cell: (row) => row.cidr },
    { title: 'IPs total', align: 'right', cell: (row) => amount(row.capacity) },
    share('inUse', 'IPs in use'),
    share('reserved', 'IPs reserved'),
    share('free', 'IPs free'),
    share('cooling', 'IPs cooling'),
  ];
  if (withBlocks) columns.push({ title: 'Host', cell: (row) => row.host });
  return renderTable(columns, rows, colour);
}

function blockRow(block: BlockUsage): UsageRow {
  return { ...block, grouping: 'Block', host: block.host ?? '(none)' };
}

/** Up to five digits, as `%.5g` in C. */
function amount(count: number): string {
  return count < 100_000 ? String(count) : count.toExponential(4).replace(/\.?0+e\+?/, 'e+');
}

/** As calicoctl's `ipam show --show-borrowed`. */
export function borrowedTable(
  { borrowed, unknown }: { readonly borrowed: readonly BorrowedAddress[]; readonly unknown: number },
  colour: boolean,
): string {
  const table =
    borrowed.length === 0
      ? 'no address is borrowed\n'
      : renderTable<BorrowedAddress>(
          [
            { title: 'IP', cell: (row) => row.ip },
            { title: 'Borrowing node', cell: (row) => row.borrowingNode },
            { title: 'Block', cell: (row) => row.block },
            { title: 'Block owner', cell: (row) => row.blockOwner || '(none)' },
            { title: 'Type', cell: (row) => row.type },
            { title: 'Allocated to', cell: (row) => row.allocatedTo },
          ],
          borrowed,
          colour,
        );
  const note = `\nOf ${counted(unknown, 'allocation')} nobody recorded the node: whether they are borrowed cannot be told.\n`;
  return unknown === 0 ? table : table + note;
}

/** The settings, one a line. */
export function settingsTable(view: SettingsView, colour: boolean): string {
  const rows: [string, string][] = [
    ['StrictAffinity', String(view.strictAffinity)],
    ['AutoAllocateBlocks', String(view.autoAllocateBlocks)],
    ['MaxBlocksPerHost', view.maxBlocksPerHost === 0 ? '0 (20)' : String(view.maxBlocksPerHost)],
    ['IPCooldownSeconds', String(view.ipCooldownSeconds)],
  ];
  const table = renderTable<[string, string]>(
    [
      { title: 'Property', cell: ([name]) => name },
      { title: 'Value', cell: ([, value]) => value },
    ],
    rows,
    colour,
  );
  return view.isDefault
    ? `${table}\nNobody has configured IPAM in this store: this is what this host keeps to.\n`
    : table;
}

/** Who has an address. */
export function addressText(view: AddressView): string {
  const pool = view.pool === null ? 'no IPPool holds it' : `IPPool ${view.pool}`;
  switch (view.state) {
    case 'no-block':
      return `${view.ip} is not assigned (${pool}, no block)\n`;
    case 'free':
      return `${view.ip} is not assigned (${pool}, block ${view.block})\n`;
    case 'cooling':
      return `${view.ip} is not assigned: it was released and rests (${pool}, block ${view.block})\n`;
    case 'reserved':
      return `${view.ip} is not assigned: an IPReservation keeps it back (${pool}, block ${view.block})\n`;
    case 'in-use': {
      const attributes = Object.entries(view.attributes).sort(([a], [b]) => (a < b ? -1 : 1));
      return [
        `IP ${view.ip} is in use (${pool}, block ${view.block})`,
        `Handle ID: ${view.handle ?? '<none>'}`,
        `Used by: ${view.owners.join(', ') || 'nothing that the store knows of'}`,
        ...(attributes.length === 0 ? ['No attributes'] : ['Attributes:']),
        ...attributes.map(([key, value]) => `  ${key}: ${value}`),
        '',
      ].join('\n');
    }
  }
}

/** The report in words: counts, then what is wrong. */
export function checkText(
  report: CheckReport,
  listing: { readonly all: boolean; readonly problems: boolean },
  colour: boolean,
): string {
  const { counts, violations, notAllocated, notInPool, leakedHandles } = report;
  const all = Object.values(report.allocations).flat();
  const leaked = all.filter(isLeaked);
  const lines = [
    `${counted(counts.blocks, 'block')}, ${counted(counts.allocations, 'allocation')}, ${counts.inUse} in use.`,
    `${leaked.length} allocated but not in use.`,
    ...(listing.problems ? leaked.map((each) => `  ${describe(each)}`) : []),
    `${notAllocated.length} in use and in a pool, but not allocated.`,
    ...(listing.problems
      ? notAllocated.map(({ ip, owners }) => `  ${ip} in use by ${owners.join(', ')}`)
      : []),
    `${notInPool.length} in use outside of every enabled pool.`,
    ...(listing.problems ? notInPool.map(({ ip, owners }) => `  ${ip} in use by ${owners.join(', ')}`) : []),
    `${counted(leakedHandles.length, 'handle')} without addresses.`,
    ...(listing.problems ? leakedHandles.map(({ ID }) => `  ${ID}`) : []),
    `${counted(violations.length, 'broken invariant')}.`,
    ...violations.map(
      ({ kind, isTransient, message }) => `  ${kind}: ${message}${isTransient ? ' (mends itself)' : ''}`,
    ),
    ...(listing.all ? ['', ...all.map(describe)] : []),
    '',
  ];
  const verdict =
    counts.problems === 0
      ? paint('No problems.', 'good', colour)
      : paint(`${counted(counts.problems, 'problem')}.`, 'bad', colour);
  return `${lines.join('\n')}${verdict}\n`;
}

function describe(each: ReportedAllocation): string {
  const holder = each.coolingDown === true ? 'cooling down' : `handle ${each.handle ?? '<none>'}`;
  const who = [
    each.node === undefined ? undefined : `node ${each.node}`,
    each.endpoint === undefined ? undefined : `endpoint ${each.namespace ?? 'default'}/${each.endpoint}`,
    each.pod === undefined ? undefined : `pod ${each.namespace ?? 'default'}/${each.pod}`,
    each.borrowed === true ? `borrowed out of ${each.block}` : undefined,
    each.owners.length === 0 ? undefined : `used by ${each.owners.join(', ')}`,
  ].filter((part) => part !== undefined);
  return `${each.ip}: ${[holder, ...who].join(', ')}`;
}
