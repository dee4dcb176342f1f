/** A host with an agent and the installed CNI plugin, and what tests of the plugin expect of its answers. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type AgentHost, createHost, disposeHosts, POOLS, runCli } from '../../support/agent.ts';
import { eventually } from '../../support/eventually.ts';
import { type Netns, removeAllNetns } from '../../support/netns.ts';
import { Executor, type PluginRun } from './cni-executor.ts';

export interface ResultShape {
  readonly cniVersion: string;
  readonly interfaces: readonly { name: string; mac: string; sandbox?: string; mtu?: number }[];
  readonly ips: readonly { address: string; interface: number; gateway: string; version?: string }[];
  readonly routes: readonly { dst: string; gw: string }[];
}

export interface Installed {
  readonly host: AgentHost;
  readonly binDir: string;
  readonly plugin: string;
  readonly queue: string;
  readonly executor: (version: string) => Executor;
}

async function installed(host: AgentHost): Promise<Installed> {
  const binDir = join(host.folder, 'bin');
  const queue = join(host.folder, 'cni-queue');
  const folders = ['--bin-dir', binDir, '--conf-dir', join(host.folder, 'net.d'), '--queue', queue];
  const result = await runCli(['cni', 'install', ...folders], { socket: host.socket });
  assert.equal(result.status, 0, result.stderr);
  const config = { name: 'net1', type: 'ocicat-cni', socket: host.socket, queue };
  return {
    host,
    binDir,
    plugin: join(binDir, 'ocicat-cni'),
    queue,
    executor: (version) => new Executor(binDir, { ...config, cniVersion: version }),
  };
}

export function succeeded(run: PluginRun): unknown {
  assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
  assert.equal(run.stderr, '');
  return run.json;
}

/** A success without output. */
export function silent(run: PluginRun): void {
  assert.deepEqual([run.status, run.stdout], [0, ''], run.stderr);
}

export function failed(run: PluginRun, code: number, message: RegExp): void {
  assert.equal(run.status, 1, run.stdout);
  const error = run.json;
  assert.ok(typeof error === 'object' && error !== null);
  assert.equal(Reflect.get(error, 'code'), code, run.stdout);
  assert.match(String(Reflect.get(error, 'msg')), message);
  assert.equal(typeof Reflect.get(error, 'cniVersion'), 'string');
}

export function resultOf(run: PluginRun): ResultShape {
  const json = succeeded(run);
  assert.ok(typeof json === 'object' && json !== null && 'interfaces' in json, run.stdout);
  const text: ResultShape = JSON.parse(run.stdout);
  return text;
}

/** Answers to both families, which proves addresses, routes, neighbour entries and policy at once. */
export function pingsRouter(host: AgentHost, container: Netns, source?: string): void {
  host.router.tryRun('ip', 'route', 'replace', '10.65.0.0/16', 'via', '192.0.2.2');
  host.router.tryRun('ip', 'route', 'replace', 'fd00:65::/32', 'via', '2001:db8:2::2');
  const from = source === undefined ? [] : ['-I', source];
  if (source === undefined || !source.includes(':'))
    container.run('ping', '-c1', '-W5', '-n', ...from, '192.0.2.1');
  if (source === undefined || source.includes(':'))
    container.run('ping', '-c1', '-W5', '-n', ...from, '2001:db8:2::1');
}

export async function nothingRemains(host: AgentHost): Promise<void> {
  await eventually('nothing of endpoints is left', async () => {
    assert.deepEqual(await host.endpoints(), []);
    assert.deepEqual(host.links(), []);
    assert.deepEqual(
      host.ownRoutes().filter((line) => !line.startsWith('blackhole')),
      [],
    );
    return true;
  });
}

/** A host whose agent is ready, with pools and the plugin installed. */
export async function startInstalled(): Promise<Installed> {
  const host = createHost();
  await host.start();
  await host.apply(...POOLS);
  return await installed(host);
}

/** Between two tests: an agent that runs, and no endpoints. */
export async function tidy(host: AgentHost): Promise<void> {
  if (!host.isRunning) await host.start();
  for (const { name, namespace } of await host.endpoints()) {
    await host.api.call('DELETE', `/v1/endpoints/${namespace}/${name}`);
  }
}

/** After the last one. */
export async function removeHosts(): Promise<void> {
  disposeHosts();
  await removeAllNetns();
}
