/**
 * CNI ADD and DEL beside Debian's stock bridge and host-local plugins in the same run, and many endpoints at once.
 * Usage (as root): node lab/bench/cni.ts [--count N] [--endpoints N] [--json]. Everything happens in network namespaces of its own.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type AgentHost, createHost, disposeHosts, poolYaml, runCli } from '../../test/support/agent.ts';
import { eventually } from '../../test/support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../../test/support/netns.ts';
import { cpuSecOf, memoryMibOf } from './measure.ts';

const STOCK = '/usr/lib/cni';
const PARALLEL = 8;

interface Contestant {
  readonly name: string;
  /** runs the plugin; resolves with its time in ms */
  readonly run: (command: 'ADD' | 'DEL', id: string, netns: Netns) => Promise<number>;
}

interface Row {
  readonly plugin: string;
  readonly measure: string;
  readonly value: number;
  readonly unit: string;
}

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100' },
    endpoints: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
});
const rows: Row[] = [];

function report(plugin: string, measure: string, value: number, unit: string): void {
  rows.push({ plugin, measure, value: Math.round(value * 100) / 100, unit });
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function reportTimes(plugin: string, measure: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  report(plugin, `${measure}, median`, quantile(sorted, 0.5), 'ms');
  report(plugin, `${measure}, p99`, quantile(sorted, 0.99), 'ms');
}

/** Runs a plugin as a runtime does, in the host's namespace. Rejects unless it succeeds. */
function exec(
  host: AgentHost,
  plugin: string,
  command: string,
  id: string,
  netns: Netns,
  config: object,
): Promise<number> {
  const startedAt = performance.now();
  const child = spawn('nsenter', [`--net=${host.netns.path}`, plugin], {
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: netns.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: STOCK,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stdin.end(JSON.stringify(config));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve(performance.now() - startedAt);
      else reject(new Error(`${plugin} ${command} ${id}: ${stdout}`));
    });
  });
}

async function race({ name, run }: Contestant, count: number): Promise<void> {
  const containers = Array.from({ length: count }, () => createNetns());
  const sequential = { ADD: [] as number[], DEL: [] as number[] };
  const parallel = { ADD: [] as number[], DEL: [] as number[] };
  for (const command of ['ADD', 'DEL'] as const) {
    for (const [index, container] of containers.entries())
      sequential[command].push(await run(command, `s${index}`, container));
  }
  for (const command of ['ADD', 'DEL'] as const) {
    const waiting = [...containers.entries()];
    const startedAt = performance.now();
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        parallel[command].push(await run(command, `p${next[0]}`, next[1]));
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    report(name, `${command}, ${PARALLEL} at once`, (count * 1000) / (performance.now() - startedAt), '/s');
  }
  for (const command of ['ADD', 'DEL'] as const) {
    reportTimes(name, command, sequential[command]);
    reportTimes(name, `${command}, ${PARALLEL} at once`, parallel[command]);
  }
  await Promise.all(containers.map((container) => container.remove()));
}

/** The agent's part: request to answer over its socket, without any plugin process. */
async function agentShare(host: AgentHost, config: object, count: number): Promise<void> {
  const times = { ADD: [] as number[], DEL: [] as number[] };
  for (let index = 0; index < count; index++) {
    const container = createNetns();
    for (const command of ['ADD', 'DEL'] as const) {
      const environment = {
        CNI_COMMAND: command,
        CNI_CONTAINERID: `a${index}`,
        CNI_NETNS: container.path,
        CNI_IFNAME: 'eth0',
      };
      const startedAt = performance.now();
      const answer = await host.api.call<{ ok: boolean }>('POST', '/v1/cni', { environment, config });
      times[command].push(performance.now() - startedAt);
      if (!answer.ok) throw new Error(JSON.stringify(answer));
    }
    await container.remove();
  }
  for (const command of ['ADD', 'DEL'] as const)
    reportTimes('ocicat', `agent's share of ${command}`, times[command]);
}

/** Many endpoints: how fast they come, what the agent needs, and whether the other host reaches all. */
async function many(host: AgentHost, config: object, count: number): Promise<void> {
  const containers = Array.from({ length: count }, () => createNetns());
  const cpuBefore = cpuSecOf(host.pid);
  const startedAt = performance.now();
  const waiting = [...containers.entries()];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const environment = {
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: `m${next[0]}`,
        CNI_NETNS: next[1].path,
        CNI_IFNAME: 'eth0',
      };
      const answer = await host.api.call<{ ok: boolean }>('POST', '/v1/cni', { environment, config });
      if (!answer.ok) throw new Error(JSON.stringify(answer));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  report('ocicat', `${count} endpoints attached`, performance.now() - startedAt, 'ms');
  const addresses = (await host.endpoints()).flatMap(({ addresses: [first] }) => first ?? []);
  host.router.sh('ip route add 10.65.0.0/16 via 192.0.2.2');
  await eventually('the other host reaches all', () => {
    return addresses.every((address) => host.router.tryRun('ping', '-c1', '-W2', '-n', address).status === 0);
  });
  report('ocicat', `${count} endpoints attached and reached`, performance.now() - startedAt, 'ms');
  report('ocicat', `CPU for ${count} endpoints`, cpuSecOf(host.pid) - cpuBefore, 's');
  report('ocicat', `RSS with ${count} endpoints`, memoryMibOf(host.pid, 'VmRSS'), 'MiB');
}

async function main(): Promise<void> {
  const count = Number(values.count);
  const host = createHost();
  await host.start();
  await host.apply(poolYaml('four', '10.65.0.0/18'), poolYaml('six', 'fd00:65:1::/112'));
  const binDir = join(host.folder, 'bin');
  const installed = await runCli(
    ['cni', 'install', '--bin-dir', binDir, '--conf-dir', join(host.folder, 'net.d')],
    {
      socket: host.socket,
    },
  );
  if (installed.status !== 0) throw new Error(installed.stderr);
  const dataDir = join(host.folder, 'host-local');
  mkdirSync(dataDir);
  const ours = { cniVersion: '1.0.0', name: 'bench', type: 'ocicat-cni', socket: host.socket };
  const ranges = [[{ subnet: '10.66.0.0/18' }], [{ subnet: 'fd00:66::/112' }]];
  const theirs = {
    cniVersion: '1.0.0',
    name: 'stock',
    type: 'bridge',
    bridge: 'br0',
    isGateway: true,
    ipam: { type: 'host-local', dataDir, ranges, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] },
  };
  const contestants: readonly Contestant[] = [
    {
      name: 'bridge + host-local',
      run: (command, id, netns) => exec(host, join(STOCK, 'bridge'), command, id, netns, theirs),
    },
    {
      name: 'ocicat',
      run: (command, id, netns) => exec(host, join(binDir, 'ocicat-cni'), command, id, netns, ours),
    },
  ];
  for (const contestant of contestants) await race(contestant, count);
  await agentShare(host, ours, count);
  await many(host, ours, Number(values.endpoints));
}

try {
  await main();
  if (values.json) console.log(JSON.stringify(rows, undefined, 2));
  else
    for (const { plugin, measure, value, unit } of rows)
      console.log(`${plugin.padEnd(20)} ${measure.padEnd(40)} ${String(value).padStart(10)} ${unit}`);
} finally {
  disposeHosts();
  await removeAllNetns();
}
