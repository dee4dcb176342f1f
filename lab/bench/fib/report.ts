/** Figures of the FIB benchmark as rows and text. Pure. */
import { median } from '../measure.ts';
import type { Bar, Panel, Plot } from '../plot.ts';
import { figure, formatTable, grouped } from '../text-table.ts';
import type { Adoption } from './adopt.ts';
import type { Times } from './in-process.ts';

/** One contender at one number of routes: medians, and their ratios. */
export interface Row {
  readonly routes: number;
  readonly who: string;
  readonly addSec: number;
  readonly deleteSec: number;
  /** to the raw netlink loop; undefined when that was not run */
  readonly addToRaw: number | undefined;
  readonly deleteToRaw: number | undefined;
  /** to BIRD; undefined when that was not run */
  readonly addToBird: number | undefined;
  readonly deleteToBird: number | undefined;
  readonly cpuSec: number | undefined;
  readonly peakRssMib: number | undefined;
  readonly runs: number;
  readonly fault: string | undefined;
}

/** Rows of all contenders that were run with this many routes. */
export function rowsOf(
  routes: number,
  results: ReadonlyMap<string, readonly Times[]>,
  faults: ReadonlyMap<string, string>,
): Row[] {
  const medianOf = (who: string, field: keyof Times): number | undefined => {
    const value = median((results.get(who) ?? []).flatMap((times) => times[field] ?? []));
    return Number.isNaN(value) ? undefined : value;
  };
  const ratio = (who: string, field: keyof Times, to: string): number | undefined => {
    const [value, other] = [medianOf(who, field), medianOf(to, field)];
    return value === undefined || other === undefined ? undefined : value / other;
  };
  return [...results].map(([who, times]) => ({
    routes,
    who,
    addSec: medianOf(who, 'addSec') ?? Number.NaN,
    deleteSec: medianOf(who, 'deleteSec') ?? Number.NaN,
    addToRaw: ratio(who, 'addSec', 'raw'),
    deleteToRaw: ratio(who, 'deleteSec', 'raw'),
    addToBird: ratio(who, 'addSec', 'bird'),
    deleteToBird: ratio(who, 'deleteSec', 'bird'),
    cpuSec: medianOf(who, 'cpuSec'),
    peakRssMib: medianOf(who, 'peakRssMib'),
    runs: times.length,
    fault: faults.get(who),
  }));
}

/** The median of each figure, and every write that there was; none of no runs. */
export function adoptionsOf(
  routes: number,
  adopted: readonly Adoption[],
): (Adoption & { readonly routes: number })[] {
  if (adopted.length === 0) return [];
  return [
    {
      routes,
      readSec: median(adopted.map(({ readSec }) => readSec)),
      compareSec: median(adopted.map(({ compareSec }) => compareSec)),
      writes: adopted.reduce((sum, { writes }) => sum + writes, 0),
    },
  ];
}

export function formatRows(rows: readonly Row[]): string {
  return formatTable(
    ['Who', 'Routes', 'In s', 'to raw', 'to BIRD', 'Out s', 'to raw', 'to BIRD', 'CPU s', 'RSS MiB'],
    rows.map((row) => [
      row.fault === undefined ? row.who : `${row.who} (failed)`,
      String(row.routes),
      figure(row.addSec, 3),
      figure(row.addToRaw, 2),
      figure(row.addToBird, 2),
      figure(row.deleteSec, 3),
      figure(row.deleteToRaw, 2),
      figure(row.deleteToBird, 2),
      figure(row.cpuSec, 2),
      figure(row.peakRssMib, 0),
    ]),
    1,
  );
}

/** Times in and out as ratios to the raw netlink loop. */
export function plotOf(rows: readonly Row[], note: string): Plot {
  const series = [...new Set(rows.map(({ who }) => who))];
  const counts = [...new Set(rows.map(({ routes }) => routes))];
  const panel = (title: string, toRaw: 'addToRaw' | 'deleteToRaw', time: 'addSec' | 'deleteSec'): Panel => ({
    title,
    groups: counts.map((routes) => ({
      name: `${grouped(routes)} routes`,
      bars: series.map((who): Bar => {
        const row = rows.find((each) => each.routes === routes && each.who === who);
        return { value: row?.[toRaw], label: `${who} ${figure(row?.[time], 3)} s` };
      }),
    })),
  });
  return {
    title: 'Routes into the kernel, beside a bare netlink loop (1 = that loop, less is better)',
    note,
    series,
    panels: [
      panel('In: until the kernel holds the last route', 'addToRaw', 'addSec'),
      panel('Out: until it holds none', 'deleteToRaw', 'deleteSec'),
    ],
  };
}

export function formatAdoptions(adoptions: readonly (Adoption & { readonly routes: number })[]): string {
  return formatTable(
    ['Adopted at a start', 'Read s', 'Compared s', 'Together s', 'Writes'],
    adoptions.map(({ routes, readSec, compareSec, writes }) => [
      `${routes} routes`,
      figure(readSec, 3),
      figure(compareSec, 3),
      figure(readSec + compareSec, 3),
      String(writes),
    ]),
    1,
  );
}
