/** Figures of the failover benchmark as rows and text. Pure. */
import type { Family } from '../../../src/net/address.ts';
import { median } from '../measure.ts';
import type { Panel, Plot } from '../plot.ts';
import { figure, formatTable, grouped } from '../text-table.ts';

/** One death of a router and its return. */
export interface Sample {
  /** longest silence of a flow, ms */
  readonly gapMs: number;
  /** from the host's knowing of it to the last flow's first packet, ms */
  readonly afterDetectionMs: number;
  readonly lost: number;
  /** requests to the kernel until the traffic was moved, and changes of routes among them; 0 and 0: the kernel did it by itself */
  readonly requests: number;
  readonly routesBefore: number;
  /** until every route had been written anew, s */
  readonly tidySec: number;
  /** packets lost while the router came back, until it was in every route again, and how long that took */
  readonly backLost: number;
  readonly backSec: number;
}

/** Medians, of the gaps and losses the worst as well. */
export interface Row {
  readonly family: Family;
  readonly routes: number;
  readonly cause: string;
  readonly runs: number;
  readonly gapMs: number;
  readonly gapMaxMs: number;
  readonly afterDetectionMs: number;
  readonly afterDetectionMaxMs: number;
  readonly lost: number;
  readonly requestsMax: number;
  readonly routesBeforeMax: number;
  readonly tidySec: number;
  readonly backLostMax: number;
  readonly backSec: number;
  readonly fault: string | undefined;
}

export function rowOf(
  { family, routes, cause }: Pick<Row, 'family' | 'routes' | 'cause'>,
  samples: readonly Sample[],
  fault: string | undefined,
): Row {
  const values = (field: keyof Sample): number[] => samples.map((sample) => sample[field]);
  const most = (field: keyof Sample): number =>
    samples.length === 0 ? Number.NaN : Math.max(...values(field));
  return {
    ...{ family, routes, cause, runs: samples.length, fault },
    gapMs: median(values('gapMs')),
    gapMaxMs: most('gapMs'),
    afterDetectionMs: median(values('afterDetectionMs')),
    afterDetectionMaxMs: most('afterDetectionMs'),
    lost: median(values('lost')),
    requestsMax: most('requests'),
    routesBeforeMax: most('routesBefore'),
    tidySec: median(values('tidySec')),
    backLostMax: most('backLost'),
    backSec: median(values('backSec')),
  };
}

/** Longest that a gap may go on once the host knows, ms. */
const GOAL_MS = 10;

/** Gaps beside the tidying up, by cause and family, a series for each number of routes. */
export function plotOf(rows: readonly Row[], note: string): Plot {
  const counts = [...new Set(rows.map(({ routes }) => routes))];
  const names = [...new Set(rows.map(nameOf))];
  const panel = (title: string, unit: string, figureOf: (row: Row) => number, line?: number): Panel => ({
    title: `${title}, ${unit}`,
    groups: names.map((name) => ({
      name,
      bars: counts.map((routes) => {
        const row = rows.find((each) => nameOf(each) === name && each.routes === routes);
        const value = row === undefined || row.runs === 0 ? undefined : figureOf(row);
        return { value, label: `${grouped(routes)} routes ${figure(value, 1)} ${unit}` };
      }),
    })),
    figures: line === undefined ? {} : { line },
  });
  return {
    title: `One router of two dies: packets arrive again (the line: ${GOAL_MS} ms)`,
    note,
    series: counts.map((routes) => `${grouped(routes)}`),
    panels: [
      panel('Gap after the host knew of it, median', 'ms', (row) => row.afterDetectionMs, GOAL_MS),
      panel('Gap after the host knew of it, the longest', 'ms', (row) => row.afterDetectionMaxMs, GOAL_MS),
      panel('Until every route was tidied up as well, median', 's', (row) => row.tidySec),
    ],
  };
}

function nameOf({ cause, family }: Row): string {
  return `${cause}, ${family === 'ipv4' ? 'IPv4' : 'IPv6'}`;
}

export function formatRows(rows: readonly Row[]): string {
  const head = [
    'Cause',
    'Family',
    'Routes',
    'Gap ms',
    'max',
    'After detection ms',
    'max',
    'Lost',
    'Requests',
  ];
  return formatTable(
    [...head, 'Routes before', 'Tidied s', 'Lost on return, max', 'Return s'],
    rows.map((row) => [
      row.fault === undefined ? row.cause : `${row.cause} (failed)`,
      row.family,
      String(row.routes),
      figure(row.gapMs, 1),
      figure(row.gapMaxMs, 1),
      figure(row.afterDetectionMs, 1),
      figure(row.afterDetectionMaxMs, 1),
      figure(row.lost, 0),
      figure(row.requestsMax, 0),
      figure(row.routesBeforeMax, 0),
      figure(row.tidySec, 2),
      figure(row.backLostMax, 0),
      figure(row.backSec, 2),
    ]),
    2,
  );
}
