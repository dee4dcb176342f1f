/**
 * The ways in which people connect containers, side by side on this machine: each is built between two hosts by the documented commands
 * of `set-ups/*.sh`, measured, and taken down. `npm run lab:modes [-- MODE...] [-o json]`, `--seconds N` a measurement.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { renderTable } from '../../src/cli/output/table.ts';
import { LabError } from '../runner/process.ts';
import { buildHosts, type Hosts, sweepHosts } from './hosts.ts';
import { type Measurement, measure } from './measure.ts';

const SET_UPS = resolve(import.meta.dirname, 'set-ups');
/** From what people know to what we offer. */
const ORDER = ['none', 'host', 'bridge', 'macvlan', 'ipvlan', 'vxlan', 'ocicat'];

/** One row of the table. */
interface Row {
  readonly mode: string;
  readonly result:
    | { readonly ok: true; readonly figures: Measurement | undefined }
    | { readonly ok: false; readonly why: string };
  readonly hides: string;
  readonly costs: string;
}

async function describe(mode: string): Promise<{ hides: string; costs: string }> {
  const text = await readFile(join(SET_UPS, `${mode}.sh`), 'utf8');
  const match = /^# hides: (.*?) {3}costs: (.*)$/m.exec(text);
  return { hides: match?.[1] ?? '', costs: match?.[2] ?? '' };
}

async function runMode(mode: string, seconds: number, folder: string): Promise<Row['result']> {
  let hosts: Hosts | undefined;
  try {
    hosts = await buildHosts(folder);
    const [client, server] = [
      await hosts.setUp(1, join(SET_UPS, `${mode}.sh`)),
      await hosts.setUp(2, join(SET_UPS, `${mode}.sh`)),
    ];
    const figures = server.address === 'none' ? undefined : await measure(client, server, seconds);
    return { ok: true, figures };
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    return { ok: false, why: error.message.trim().split('\n').at(-1) ?? error.message };
  } finally {
    await hosts?.remove();
  }
}

function table(rows: readonly Row[]): string {
  const base = rows.flatMap(({ mode, result }) =>
    mode === 'ocicat' && result.ok ? [result.figures?.gbitPerSec] : [],
  )[0];
  const figure = (row: Row, show: (figures: Measurement) => string): string =>
    !row.result.ok ? 'not here' : row.result.figures === undefined ? '-' : show(row.result.figures);
  return renderTable<Row>(
    [
      { title: 'Mode', cell: (row) => row.mode },
      { title: 'Gbit/s', align: 'right', cell: (row) => figure(row, (f) => f.gbitPerSec.toFixed(1)) },
      {
        title: 'to Ocicat',
        align: 'right',
        cell: (row) => figure(row, (f) => (base === undefined ? '-' : (f.gbitPerSec / base).toFixed(2))),
      },
      { title: 'ping us', align: 'right', cell: (row) => figure(row, (f) => f.pingUs.toFixed(0)) },
      { title: 'CPU s/GiB', align: 'right', cell: (row) => figure(row, (f) => f.cpuSecPerGib.toFixed(2)) },
      { title: 'MTU', align: 'right', cell: (row) => figure(row, (f) => String(f.mtu)) },
      { title: 'server sees', cell: (row) => figure(row, (f) => f.clientSeenAs) },
      { title: 'hides', cell: (row) => (row.result.ok ? row.hides : row.result.why) },
      { title: 'costs', cell: (row) => (row.result.ok ? row.costs : '') },
    ],
    rows,
    process.stdout.isTTY === true && !process.env['NO_COLOR'],
  );
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', short: 'o', default: 'table' },
    seconds: { type: 'string', default: '4' },
    runs: { type: 'string', default: '3' },
  },
});
const known = (await readdir(SET_UPS)).map((name) => name.replace(/\.sh$/, ''));
const modes = positionals.length > 0 ? positionals : ORDER.filter((mode) => known.includes(mode));
const unknown = modes.find((mode) => !known.includes(mode));
if (unknown !== undefined) throw new LabError(`there is no mode "${unknown}"; there are ${known.join(', ')}`);

/** The run with the median throughput stands for the mode; runs are interleaved so that a drift of the machine hits all alike. */
function median(results: readonly Row['result'][]): Row['result'] {
  const failed = results.find((result) => !result.ok);
  if (failed !== undefined) return failed;
  const sorted = [...results].sort(
    (a, b) => (a.ok ? (a.figures?.gbitPerSec ?? 0) : 0) - (b.ok ? (b.figures?.gbitPerSec ?? 0) : 0),
  );
  return sorted[sorted.length >> 1] ?? { ok: false, why: 'not run' };
}

await sweepHosts();
const folder = await mkdtemp(join(tmpdir(), 'ocicat-modes-'));
const results = new Map<string, Row['result'][]>();
try {
  for (let run = 1; run <= Number(values.runs); run++) {
    for (const mode of modes) {
      process.stderr.write(`run ${run} of ${values.runs}: ${mode}\n`);
      const result = await runMode(mode, Number(values.seconds), folder);
      results.set(mode, [...(results.get(mode) ?? []), result]);
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
const rows: Row[] = [];
for (const mode of modes)
  rows.push({ mode, result: median(results.get(mode) ?? []), ...(await describe(mode)) });
process.stdout.write(values.output === 'json' ? `${JSON.stringify(rows, null, 2)}\n` : table(rows));
