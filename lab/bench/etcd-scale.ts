/**
 * Cold start on a large etcd: how long until everything is known, and what that costs in memory, beside a plain `etcdctl get` of the same
 * keys. Usage: node lab/bench/etcd-scale.ts [--blocks N] [--nodes N] [--runs N] [--json]. Starts an etcd of its own on loopback.
 */

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type EtcdStore, openEtcdStore } from '../../src/store/etcd/etcd-store.ts';
import { WATCHED_RANGE } from '../../src/store/etcd/keys.ts';
import { EtcdCluster } from '../../test/support/etcd.ts';
import { fillEtcd } from './etcd-contents.ts';
import { memoryMibOf } from './measure.ts';

const MIB = 1_048_576;
const TIMEOUT_MS = 120_000;

const { values } = parseArgs({
  options: {
    blocks: { type: 'string', default: '10000' },
    nodes: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    // What this program starts itself as: the process that is measured.
    endpoint: { type: 'string' },
    cache: { type: 'string', default: '' },
  },
});

/** What one start came to. */
interface Start {
  readonly inSyncMs: number;
  readonly baseRssMiB: number;
  readonly rssMiB: number;
  readonly peakRssMiB: number;
  readonly settledRssMiB: number;
  readonly liveHeapMiB: number;
  readonly liveExternalMiB: number;
  readonly documents: number;
}

/** The process that is measured: opens the store as the agent does and follows both halves of it. */
async function measure(endpoint: string, cacheFolder: string): Promise<Start> {
  await import('etcd3');
  const baseRssMiB = memoryMibOf(process.pid, 'VmRSS');
  const startedAt = performance.now();
  const store: EtcdStore = await openEtcdStore({ etcd: { endpoints: [endpoint] }, cacheFolder });
  let documents = 0;
  const count = (event: { readonly type: string }): void => {
    if (event.type === 'upsert') documents++;
  };
  await Promise.all([
    new Promise<void>((resolve) =>
      store.watch((event) => (event.type === 'in-sync' ? resolve() : count(event))),
    ),
    new Promise<void>((resolve) =>
      store.ipam.watch((event) => (event.type === 'in-sync' ? resolve() : count(event))),
    ),
  ]);
  const inSyncMs = performance.now() - startedAt;
  const rssMiB = memoryMibOf(process.pid, 'VmRSS');
  // As long as it takes until the copy on disk is written and whatever the start left behind is gone.
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const settledRssMiB = memoryMibOf(process.pid, 'VmRSS');
  const peakRssMiB = memoryMibOf(process.pid, 'VmHWM');
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this runtime shows no gc');
  for (let round = 0; round < 3; round++) {
    Reflect.apply(collect, undefined, []);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = process.memoryUsage();
  await store.close();
  return {
    ...{ inSyncMs, baseRssMiB, rssMiB, peakRssMiB, settledRssMiB, documents },
    liveHeapMiB: heapUsed / MIB,
    liveExternalMiB: external / MIB,
  };
}

/** Runs a command; resolves with its time, its peak memory, and what it printed last. */
function timed(command: string, args: readonly string[]): Promise<{ ms: number; output: string }> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    execFile(command, [...args], { timeout: TIMEOUT_MS, maxBuffer: 1 << 26 }, (error, stdout) => {
      if (error !== null) reject(error);
      else resolve({ ms: performance.now() - startedAt, output: stdout });
    });
  });
}

/** `etcdctl get` of the same range into nothing: time and peak memory. */
async function etcdctl(endpoint: string): Promise<{ ms: number; peakRssMiB: number; octets: number }> {
  const range = [WATCHED_RANGE.first, WATCHED_RANGE.end];
  const child = spawn('etcdctl', ['--endpoints', endpoint, 'get', ...range], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ETCDCTL_API: '3' },
    timeout: TIMEOUT_MS,
  });
  const startedAt = performance.now();
  let octets = 0;
  let peakRssMiB = 0;
  for await (const chunk of child.stdout) {
    octets += Buffer.isBuffer(chunk) ? chunk.length : 0;
    const status = readStatus(child.pid);
    peakRssMiB = Math.max(peakRssMiB, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
  }
  return { ms: performance.now() - startedAt, peakRssMiB, octets };
}

function readStatus(pid: number | undefined): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

async function main(): Promise<void> {
  const cluster = await EtcdCluster.start();
  const folder = mkdtempSync(join(tmpdir(), 'ocit-scale-'));
  const endpoint = cluster.endpoints[0] ?? '';
  try {
    const keys = await fillEtcd(cluster.client(), Number(values.blocks), Number(values.nodes));
    const peer = await etcdctl(endpoint);
    const starts: Start[] = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const program = fileURLToPath(import.meta.url);
      const args = [program, '--endpoint', endpoint, '--cache', join(folder, 'cache')];
      const { output } = await timed(process.execPath, args);
      const start: Start = JSON.parse(output);
      starts.push(start);
    }
    if (values.json) console.log(JSON.stringify({ keys, peer, starts }));
    else print(keys, peer, starts);
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(keys: number, peer: Awaited<ReturnType<typeof etcdctl>>, starts: readonly Start[]): void {
  console.log(
    `${values.blocks} blocks, ${values.nodes} nodes: ${keys} keys, ${round(peer.octets / MIB)} MiB`,
  );
  console.log(`etcdctl get: ${round(peer.ms)} ms, RSS at its peak ${round(peer.peakRssMiB)} MiB`);
  for (const start of starts) {
    console.log(
      `start: in sync after ${round(start.inSyncMs)} ms, ${start.documents} documents; RSS before ${round(start.baseRssMiB)}, ` +
        `in sync ${round(start.rssMiB)}, peak ${round(start.peakRssMiB)}, 10 s later ${round(start.settledRssMiB)} MiB; ` +
        `live heap ${round(start.liveHeapMiB)}, external ${round(start.liveExternalMiB)} MiB`,
    );
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

if (values.endpoint === undefined) await main();
else console.log(JSON.stringify(await measure(values.endpoint, values.cache)));
