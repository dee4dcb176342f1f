/** What the runs came to: medians, ratios to BIRD, tables and a picture. */
import { median, quantile } from '../measure.ts';
import type { Bar, Panel, Plot } from '../plot.ts';
import { figure, formatTable } from '../text-table.ts';
import type { DeviceName } from './devices.ts';
import type { Job } from './jobs.ts';
import type { RunResult } from './run.ts';
import type { BfdSeen } from './watch.ts';

/** Runs of one device through one workload. */
export interface Measured {
  readonly job: Pick<Job, 'name' | 'phases'>;
  readonly device: DeviceName;
  readonly runs: readonly (RunResult & { readonly bfd?: BfdSeen })[];
  /** why there are no more */
  readonly fault: string | undefined;
  /** the fault is that something was not done after so long */
  readonly waitedSec: number | undefined;
  readonly harnessSec: number;
}

/** Medians of a device in a workload; undefined where the workload has no such phase, or nothing was measured. */
export interface Row {
  readonly workload: string;
  readonly device: DeviceName;
  /** that went through to the end */
  readonly runs: number;
  readonly inSec?: number;
  readonly inToBird?: number;
  /** withdrawn, or changed to the next best where several announce the same */
  readonly outSec?: number;
  readonly outToBird?: number;
  /** time for the stream, UPDATEs of it a second, and what was still to come when its last octet was sent */
  readonly churnSec?: number;
  readonly churnToBird?: number;
  readonly churnPerSec?: number;
  readonly backlogMs?: number;
  readonly firstMs?: number;
  readonly cpuSec?: number;
  readonly rssMib?: number;
  readonly rssToBird?: number;
  /** `bgp peers` over the API */
  readonly answers?: number;
  readonly answerP50Ms?: number;
  readonly answerP99Ms?: number;
  readonly answerMaxMs?: number;
  /** longest silence on a session with keepalives every second, of all runs */
  readonly longestGapMs?: number;
  /** BFD at 300 ms x 3 with the device: longest silence, and how often either side took the other for gone, of all runs */
  readonly bfdGapMs?: number;
  readonly bfdFlaps?: number;
  readonly harnessSec: number;
  readonly fault?: string;
  readonly waitedSec?: number;
}

/** Rows in the order of `measured`. */
export function rowsOf(measured: readonly Measured[]): Row[] {
  const rows = measured.map(rowOf);
  return rows.map((row) => {
    const bird = rows.find(({ workload, device }) => workload === row.workload && device === 'bird');
    return compact<Row>({
      ...row,
      inToBird: ratio(row.inSec, bird?.inSec),
      outToBird: ratio(row.outSec, bird?.outSec),
      churnToBird: ratio(row.churnSec, bird?.churnSec),
      rssToBird: ratio(row.rssMib, bird?.rssMib),
    });
  });
}

function rowOf({ job, device, runs, fault, waitedSec, harnessSec }: Measured): Row {
  const of = (name: string, key: 'sec' | 'firstMs' | 'backlogMs' | 'cpuSec'): number | undefined =>
    known(median(runs.flatMap(({ phases }) => phases.find((phase) => phase.name === name)?.[key] ?? [])));
  const peaks = runs.map(({ phases }) => Math.max(...phases.map(({ peakRssMib }) => peakRssMib)));
  const answers = runs.flatMap(({ answersMs }) => answersMs);
  const gaps = runs.map(({ longestGapMs }) => longestGapMs).filter(Number.isFinite);
  const bfd = runs.flatMap((run) => run.bfd ?? []);
  const churnSec = of('churn', 'sec');
  const updates = job.phases.find(({ name }) => name === 'churn')?.updates ?? 0;
  return compact<Row>({
    workload: job.name,
    device,
    runs: runs.length,
    inSec: of('in', 'sec'),
    outSec: of('out', 'sec'),
    churnSec,
    churnPerSec: churnSec === undefined ? undefined : updates / churnSec,
    backlogMs: of('churn', 'backlogMs'),
    firstMs: of('in', 'firstMs'),
    cpuSec: of('in', 'cpuSec'),
    rssMib: known(median(peaks)),
    answers: answers.length === 0 ? undefined : answers.length,
    answerP50Ms: known(quantile(answers, 0.5)),
    answerP99Ms: known(quantile(answers, 0.99)),
    answerMaxMs: known(quantile(answers, 1)),
    longestGapMs: gaps.length === 0 ? undefined : Math.max(...gaps),
    bfdGapMs: bfd.length === 0 ? undefined : Math.max(...bfd.map(({ longestGapMs }) => longestGapMs)),
    bfdFlaps: bfd.length === 0 ? undefined : bfd.reduce((sum, { flaps }) => sum + flaps, 0),
    harnessSec,
    fault,
    waitedSec,
  });
}

type Loose<T> = { readonly [Key in keyof T]: T[Key] | undefined };

/** Without what is undefined. */
function compact<T extends object>(value: Loose<T>): T;
function compact(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
}

function known(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}

function ratio(value: number | undefined, to: number | undefined): number | undefined {
  return value === undefined || to === undefined || to === 0 ? undefined : value / to;
}

/** The tables: what passed, what was asked meanwhile, the stream, and what failed. */
export function formatRows(rows: readonly Row[]): string {
  const of = (row: Row): string[] => [row.workload, row.device];
  const passed = formatTable(
    [
      'workload',
      'device',
      'runs',
      'in s',
      '/bird',
      'out s',
      '/bird',
      'first ms',
      'CPU s',
      'RSS MiB',
      '/bird',
      'harness s',
    ],
    rows.map((row) => [
      ...of(row),
      String(row.runs),
      row.inSec === undefined ? outcomeOf(row) : figure(row.inSec, 3),
      figure(row.inToBird, 2),
      figure(row.outSec, 3),
      figure(row.outToBird, 2),
      figure(row.firstMs, 1),
      figure(row.cpuSec, 2),
      figure(row.rssMib, 0),
      figure(row.rssToBird, 2),
      figure(row.harnessSec, 3),
    ]),
    2,
  );
  const sections = [passed];
  const streamed = rows.filter(({ churnSec }) => churnSec !== undefined);
  if (streamed.length > 0)
    sections.push(
      formatTable(
        ['stream', 'device', 's', '/bird', 'UPDATEs/s', 'backlog ms'],
        streamed.map((row) => [
          ...of(row),
          figure(row.churnSec, 3),
          figure(row.churnToBird, 2),
          figure(row.churnPerSec, 0),
          figure(row.backlogMs, 1),
        ]),
        2,
      ),
    );
  const watched = rows.filter(({ longestGapMs }) => longestGapMs !== undefined);
  if (watched.length > 0)
    sections.push(
      formatTable(
        [
          ...['meanwhile', 'device', 'answers', 'p50 ms', 'p99 ms', 'max ms', 'longest silence ms'],
          ...['BFD gap ms', 'flaps'],
        ],
        watched.map((row) => [
          ...of(row),
          figure(row.answers, 0),
          figure(row.answerP50Ms, 1),
          figure(row.answerP99Ms, 1),
          figure(row.answerMaxMs, 1),
          figure(row.longestGapMs, 0),
          figure(row.bfdGapMs, 0),
          figure(row.bfdFlaps, 0),
        ]),
        2,
      ),
    );
  const faults = rows.flatMap(({ workload, device, fault }) =>
    fault === undefined ? [] : [`${workload}, ${device}: ${fault}`],
  );
  return [...sections, ...faults].join('\n\n');
}

/** What stands where there is no figure. */
function outcomeOf({ fault, waitedSec }: Row): string {
  if (waitedSec !== undefined) return `did not finish in ${waitedSec} s`;
  return fault === undefined ? '' : 'failed';
}

/** The same in a picture. */
function absenceOf({ runs, fault, waitedSec }: Row): Pick<Bar, 'absence'> {
  if (runs > 0 || fault === undefined) return {};
  return { absence: waitedSec === undefined ? 'failed' : `> ${waitedSec} s` };
}

/** Time in, time out, the stream and memory, all as ratios to BIRD. */
export function plotOf(rows: readonly Row[], note: string): Plot {
  const series = [...new Set(rows.map(({ device }) => device))];
  const workloads = [...new Set(rows.map(({ workload }) => workload))];
  const panel = (
    title: string,
    toBird: (row: Row) => number | undefined,
    label: (row: Row) => string,
  ): Panel => ({
    title,
    groups: workloads.map((name) => ({
      name,
      bars: series.map((device): Bar => {
        const row = rows.find((each) => each.workload === name && each.device === device);
        return row === undefined
          ? { value: undefined, label: '' }
          : { value: toBird(row), label: `${device} ${label(row)}`, ...absenceOf(row) };
      }),
    })),
  });
  const sec = (value: number | undefined): string => `${figure(value, 3)} s`;
  return {
    title: 'Through a BGP speaker, beside BIRD (1 = BIRD, less is better)',
    note,
    series,
    panels: [
      panel(
        'Announced: time until the last prefix is through',
        (row) => row.inToBird,
        (row) => sec(row.inSec),
      ),
      panel(
        'Withdrawn, or changed to the next best',
        (row) => row.outToBird,
        (row) => sec(row.outSec),
      ),
      panel(
        'A stream of updates replayed',
        (row) => row.churnToBird,
        (row) => sec(row.churnSec),
      ),
      panel(
        'Peak memory',
        (row) => row.rssToBird,
        (row) => `${figure(row.rssMib, 0)} MiB`,
      ),
    ],
  };
}
