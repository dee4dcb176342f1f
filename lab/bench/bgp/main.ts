/**
 * From sender to receiver through a BGP speaker: how long a table takes to pass, and to go again; beside BIRD, FRR and GoBGP in the same run.
 * Usage (as root): node lab/bench/bgp/main.ts [--devices ocicat,bird,frr,gobgp] [--workloads NAME,...] [--runs N] [--limit N] [--data FOLDER]
 * [--no-watch] [--bfd] [--from package|checkout] [--json] [--plot FILE].
 * Workloads: one-100k, one-1m, ten-100k, hundred-1k, and from real tables real-113k, real-634k, real-addpath, real-churn. Those need --data: a
 * folder with the files that `data.ts` names; RIPE RIS and Route Views publish such. --limit: so many prefixes of a table, UPDATEs of a stream.
 * --no-watch: without the session and the questions that see whether the device stays responsive. --bfd: BFD with
 * Ocicat too, at 300 ms x 3, which costs it some memory. --from: Ocicat as users have it (default) or from these sources. --plot: an SVG of the ratios to BIRD.
 * Everything happens in network namespaces of its own. Runs of the devices take turns; the received set is verified after each phase. A device
 * that fails, or needs more than two minutes for a run, is not run again.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { removeAllNetns } from '../../../test/support/netns.ts';
import { withLauncher } from '../package.ts';
import { renderPlot } from '../plot.ts';
import { DATA_SOURCES } from './data.ts';
import { DEVICES, type DeviceName, deviceVersion } from './devices.ts';
import { JOBS, type Job } from './jobs.ts';
import { formatRows, type Measured, plotOf, rowsOf } from './report.ts';
import { harnessAlone, makeBed, type RunResult, runOnce } from './run.ts';
import { UnfinishedError } from './session.ts';

/** a device whose run takes longer is not run again */
const LONG_RUN_MS = 120_000;
const DEVICE_NETNS = 'OCICAT_BENCH_DEVICE_NETNS';

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: 'ocicat,bird' },
    workloads: { type: 'string' },
    runs: { type: 'string', default: '5' },
    limit: { type: 'string', default: '10000000' },
    data: { type: 'string' },
    'no-watch': { type: 'boolean', default: false },
    bfd: { type: 'boolean', default: false },
    from: { type: 'string', default: 'package' },
    json: { type: 'boolean', default: false },
    plot: { type: 'string' },
  },
});

/** Runs in the namespace of the harness; `deviceNetns`: the path of the device's. */
async function measure(deviceNetns: string): Promise<void> {
  const devices = values.devices.split(',').map((name) => {
    const device = DEVICES.find((each) => each === name);
    if (device === undefined) throw new Error(`--devices ${name}: is none of ${DEVICES.join(', ')}`);
    return device;
  });
  const say = (text: string): void => {
    if (!values.json) console.log(text);
  };
  for (const device of devices) say(`${device.padEnd(8)} ${deviceVersion(device)}`);
  const asked = values.workloads?.split(',');
  const names = asked ?? Object.keys(JOBS).filter((name) => values.data !== undefined || !isReal(name));
  if (asked === undefined && values.data === undefined)
    say(`without the real-* workloads, which need --data FOLDER: ${DATA_SOURCES}`);
  for (const name of names)
    if (JOBS[name] === undefined)
      throw new Error(`--workloads ${name}: is none of ${Object.keys(JOBS).join(', ')}`);
  const measured: Measured[] = [];
  for (const name of names) {
    const made = JOBS[name]?.({ data: values.data, limit: Number(values.limit) });
    if (made === undefined) continue;
    const job: Job = { name, ...made };
    say(`${name.padEnd(13)} ${job.note}`);
    const isWatched = !values['no-watch'];
    const bfdOf = isWatched && values.bfd ? ('ocicat' as const) : undefined;
    measured.push(...(await raceOf(job, devices, Number(values.runs), deviceNetns, isWatched, bfdOf)));
  }
  const rows = rowsOf(measured);
  if (values.json) console.log(JSON.stringify(rows, undefined, 2));
  else console.log(`\n${formatRows(rows)}`);
  if (values.plot !== undefined) {
    const versions = devices.map(deviceVersion).join(', ');
    const note = `${versions}; ${cpus().length} processors; medians of ${values.runs} runs that take turns`;
    writeFileSync(values.plot, renderPlot(plotOf(rows, note)));
  }
  if (rows.some(({ fault }) => fault !== undefined)) process.exitCode = 1;
}

function isReal(name: string): boolean {
  return name.startsWith('real-');
}

/** All devices in turn, so many times but for those that failed or are slow. */
async function raceOf(
  job: Job,
  devices: readonly DeviceName[],
  runs: number,
  deviceNetns: string,
  isWatched: boolean,
  bfdOf: DeviceName | undefined,
): Promise<Measured[]> {
  const harnessSec = await harnessAlone(job);
  const results = new Map<DeviceName, RunResult[]>(devices.map((device) => [device, []]));
  const faults = new Map<DeviceName, unknown>();
  const slow = new Set<DeviceName>();
  for (let run = 0; run < runs; run++) {
    for (const device of devices) {
      if (faults.has(device) || slow.has(device)) continue;
      const startedAt = performance.now();
      try {
        results.get(device)?.push(await runOnce(deviceNetns, device, job, isWatched, device === bfdOf));
      } catch (error) {
        faults.set(device, error);
        console.error(`${job.name}, ${device}: ${reasonOf(error)}`);
      }
      if (performance.now() - startedAt > LONG_RUN_MS) slow.add(device);
    }
  }
  return devices.map((device) => {
    const error = faults.get(device);
    return {
      job: { name: job.name, phases: job.phases },
      device,
      runs: results.get(device) ?? [],
      fault: error === undefined ? undefined : reasonOf(error),
      waitedSec: error instanceof UnfinishedError ? error.waitedSec : undefined,
      harnessSec,
    };
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Makes the namespaces and runs this program again in that of the harness, since its sockets belong there. */
async function enter(environment: NodeJS.ProcessEnv): Promise<void> {
  const { device, peers } = makeBed();
  try {
    // The kernel ends it with this process, however that ends.
    const words = ['--pdeathsig', 'TERM', 'nsenter', `--net=${peers.path}`, process.execPath];
    const child = spawn('setpriv', [...words, ...process.argv.slice(1)], {
      stdio: 'inherit',
      env: { ...environment, [DEVICE_NETNS]: device.path },
    });
    process.exitCode = await new Promise<number>((resolve) =>
      child.once('exit', (status) => resolve(status ?? 1)),
    );
  } finally {
    await removeAllNetns();
  }
}

const deviceNetns = process.env[DEVICE_NETNS];
if (deviceNetns === undefined) await withLauncher(values.from, enter);
else await measure(deviceNetns);
