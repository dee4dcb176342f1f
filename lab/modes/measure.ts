/** What one set-up gives: throughput of one TCP stream, round trip, processor time, and whom the server sees. */
import { readFile } from 'node:fs/promises';
import { LabError, mustRun, run } from '../runner/process.ts';
import { waitUntilNothing } from '../runner/wait.ts';
import type { Place } from './hosts.ts';

/** Figures of one run. */
export interface Measurement {
  readonly gbitPerSec: number;
  /** mean round trip of an ICMP echo */
  readonly pingUs: number;
  /** of the whole machine, client and server included */
  readonly cpuSecPerGib: number;
  readonly mtu: number;
  /** `itself`, or the address in whose name it comes */
  readonly clientSeenAs: string;
}

const PORT = 5201;
const PINGS = 300;
const TICKS_PER_SEC = 100;

/** Measures from the client's to the server's place. Throws a LabError when the one cannot reach the other. */
export async function measure(client: Place, server: Place, seconds: number): Promise<Measurement> {
  const inside = (place: Place, ...command: string[]): string[] => [
    'ip',
    'netns',
    'exec',
    place.namespace,
    ...command,
  ];
  const serving = run(inside(server, 'iperf3', '-s', '-1', '-J', '-p', String(PORT)), {
    timeoutMs: (seconds + 30) * 1000,
  });
  await waitFor('the server listens', async () => {
    const { stdout } = await run(inside(server, 'ss', '-ltnH', `sport = :${PORT}`));
    return stdout.trim() !== '';
  });
  await waitFor(`${client.address} reaches ${server.address}`, async () => {
    const { status } = await run(inside(client, 'ping', '-c1', '-W1', server.address));
    return status === 0;
  });
  const before = await busySeconds();
  const sent = await mustRun(
    inside(client, 'iperf3', '-c', server.address, '-p', String(PORT), '-t', String(seconds), '-J'),
    {
      timeoutMs: (seconds + 20) * 1000,
    },
  );
  const cpu = (await busySeconds()) - before;
  const report = parseReport(sent);
  const seen = parseSeen((await serving).stdout);
  const echoed = await mustRun(
    inside(client, 'ping', '-q', '-i', '0.002', '-c', String(PINGS), server.address),
  );
  const pingMs = Number(/= [\d.]+\/([\d.]+)\//.exec(echoed)?.[1]);
  const link = await mustRun(inside(client, 'ip', '-o', 'route', 'get', server.address));
  const device = /dev (\S+)/.exec(link)?.[1] ?? 'lo';
  const mtu = Number(
    /mtu (\d+)/.exec(await mustRun(inside(client, 'ip', '-o', 'link', 'show', device)))?.[1],
  );
  return {
    gbitPerSec: report.bitsPerSec / 1e9,
    pingUs: pingMs * 1000,
    cpuSecPerGib: cpu / (report.octets / 2 ** 30),
    mtu,
    clientSeenAs: seen === client.own ? 'the client' : seen,
  };
}

const READY_TIMEOUT_MS = 15_000;

async function waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const missing = await waitUntilNothing(async () => ((await isSo()) ? [] : [what]), {
    timeoutMs: READY_TIMEOUT_MS,
    intervalMs: 50,
  });
  if (missing.length > 0)
    throw new LabError(`waited ${READY_TIMEOUT_MS / 1000} s for this, in vain: ${what}`);
}

async function busySeconds(): Promise<number> {
  const [, user = '0', nice = '0', system = '0', , , irq = '0', softirq = '0'] = (
    await readFile('/proc/stat', 'utf8')
  ).split(/\s+/);
  return [user, nice, system, irq, softirq].reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SEC;
}

function parseReport(text: string): { bitsPerSec: number; octets: number } {
  const parsed: { end?: { sum_received?: { bits_per_second?: number; bytes?: number } } } = JSON.parse(text);
  const { bits_per_second: bitsPerSec, bytes: octets } = parsed.end?.sum_received ?? {};
  if (bitsPerSec === undefined || octets === undefined) throw new LabError('iperf3 gave no result');
  return { bitsPerSec, octets };
}

function parseSeen(text: string): string {
  const parsed: { start?: { accepted_connection?: { host?: string } } } = JSON.parse(text);
  return parsed.start?.accepted_connection?.host ?? '?';
}
