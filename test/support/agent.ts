/**
 * A real agent, started by the shipped launcher in a network namespace of the test's own, with store, socket and log in a folder of its
 * own. Needs root. A later run ends the agent and removes the folder that a crashed one left behind.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiClient } from '../../src/api/client.ts';
import type { EndpointView, FibRouteView, Finding, StatusView } from '../../src/api/views.ts';
import { eventually } from './eventually.ts';
import { type CommandResult, connect, createNetns, type Netns } from './netns.ts';
import { removeRuntimeLeftovers } from './runtime-leftovers.ts';

/** The shipped launcher of the command line. */
export const LAUNCHER = fileURLToPath(new URL('../../src/cli/ocicat.sh', import.meta.url));
const FOLDER = /^ocit-agent-(\d+)-\d+$/;
const READY_TIMEOUT_MS = 45_000;
const COMMAND_TIMEOUT_MS = 60_000;
/** Of the host's uplink, which every host of these tests has. */
export const UPLINK = 'up0';

let counter = 0;
const hosts = new Set<AgentHost>();

/** Addresses of a host's uplink, `ADDRESS/LENGTH`. */
export interface HostOptions {
  readonly addresses?: readonly string[];
  readonly nodeName?: string;
}

/** A host with an agent. Made by `createHost`. */
export class AgentHost {
  readonly netns: Netns;
  /** what the uplink leads to */
  readonly router: Netns;
  readonly nodeName: string;
  readonly folder: string;
  readonly store: string;
  readonly socket: string;
  readonly config: string;
  readonly api: ApiClient;
  /** command and words in front of the agent's: what enters another namespace and executes the rest in its place */
  launchPrefix: readonly string[] = [];
  #child: ChildProcess | undefined;
  #log = '';

  constructor(netns: Netns, router: Netns, nodeName: string) {
    this.netns = netns;
    this.router = router;
    this.nodeName = nodeName;
    this.folder = join(tmpdir(), `ocit-agent-${process.pid}-${++counter}`);
    this.store = join(this.folder, 'store');
    this.socket = join(this.folder, 'api.sock');
    this.config = join(this.folder, 'agent.yaml');
    this.api = new ApiClient(this.socket);
    mkdirSync(this.folder);
    writeFileSync(
      this.config,
      `nodeName: ${nodeName}\nstore: {path: ${this.store}}\nsocket: ${this.socket}\nlog: {level: debug}\n`,
    );
  }

  /** Starts the agent and waits until it has brought the host to what the store says. */
  async start(): Promise<void> {
    this.launch();
    await this.ready();
  }

  /** Starts the agent. */
  launch(): ChildProcess {
    assert.equal(this.#child, undefined, 'the agent runs already');
    const [command = 'env', ...words] = [...this.launchPrefix, 'env'];
    const child = this.netns.spawn(
      command,
      ...words,
      ...unsetVariables(),
      'sh',
      LAUNCHER,
      'agent',
      '--config',
      this.config,
    );
    this.#child = child;
    writeFileSync(join(this.folder, 'agent.pid'), String(child.pid));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    return child;
  }

  /** Waits until the agent that was launched is ready. */
  async ready(): Promise<void> {
    try {
      await eventually(
        `the agent of ${this.nodeName} is ready`,
        async () => {
          if (this.#child === undefined) throw new Error('it ended');
          const { ready, pid } = await this.status();
          return ready && pid === this.#child.pid;
        },
        { timeoutMs: READY_TIMEOUT_MS },
      );
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; its log:\n${this.#log}`, {
        cause: error,
      });
    }
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    assert.ok(pid !== undefined, 'the agent does not run');
    return pid;
  }

  /** Runs one more agent in this host's namespace, to its end: for those that must refuse to start. */
  secondAgent(config: string): Promise<CommandResult> {
    return this.netns.tryRunAsync('env', ...unsetVariables(), 'sh', LAUNCHER, 'agent', '--config', config);
  }

  /** Sends the agent a signal and waits for its end. */
  async stop(signal: 'SIGKILL' | 'SIGTERM' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill(signal);
    await eventually(`the agent ends after ${signal}`, () => this.#child !== child);
  }

  /** Everything that all agents of this host printed. */
  get log(): string {
    return this.#log;
  }

  /** Runs `ocicat ARGS...` against this host's agent. */
  cli(args: readonly string[], input = ''): Promise<CommandResult> {
    return runCli(args, { input, socket: this.socket });
  }

  /** As `cli`, by words; fails unless it exits 0. Returns its standard output. */
  async ocicat(line: string): Promise<string> {
    const result = await this.cli(line.split(' '));
    assert.equal(result.status, 0, `ocicat ${line}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }

  /** `ocicat apply` of YAML documents; fails unless it exits 0. */
  async apply(...documents: readonly string[]): Promise<string> {
    const result = await this.cli(['apply', '-f', '-'], documents.join('\n---\n'));
    assert.equal(result.status, 0, `ocicat apply: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }

  status(): Promise<StatusView> {
    return this.api.call<StatusView>('GET', '/v1/status');
  }

  /** The findings with a code. */
  async findings(code: string): Promise<Finding[]> {
    return (await this.status()).findings.filter((finding) => finding.code === code);
  }

  async endpoints(): Promise<EndpointView[]> {
    return this.api.call<EndpointView[]>('GET', '/v1/endpoints');
  }

  /** `ocicat endpoint add NAME --netns PATH`, quickly: by the API. */
  add(name: string, netns: Netns, rest: Record<string, unknown> = {}): Promise<EndpointView> {
    return this.api.call<EndpointView>('POST', '/v1/endpoints', { name, netns: netns.path, ...rest });
  }

  delete(name: string): Promise<{ existed: boolean; released: string[] }> {
    return this.api.call('DELETE', `/v1/endpoints/default/${name}`);
  }

  async routes(prefix: string): Promise<FibRouteView[]> {
    const rows: FibRouteView[] = [];
    for await (const row of this.api.rows<FibRouteView>(`/v1/routes?prefix=${encodeURIComponent(prefix)}`))
      rows.push(row);
    return rows;
  }

  /** Names of the links of ours that the kernel has. */
  links(): string[] {
    return [...this.netns.sh('ip -o link show').matchAll(/^\d+: (oci[^@:]*)[@:]/gm)].map(
      ([, name = '']) => name,
    );
  }

  /** Routes of ours that the kernel has, both families, one a line, without the ids of next-hop objects. */
  ownRoutes(): string[] {
    return ['-4', '-6']
      .flatMap((family) => this.netns.run('ip', family, 'route', 'show', 'proto', '171').split('\n'))
      .map((line) => line.replace(/ nhid \d+/, '').trim())
      .filter((line) => line !== '');
  }

  /** Names of the policy chains of endpoints in the filter table of a family. */
  endpointChains(family: 'ipv4' | 'ipv6'): string[] {
    const save = this.netns.run(family === 'ipv4' ? 'iptables-save' : 'ip6tables-save', '-t', 'filter');
    return [...save.matchAll(/^:(oci-[ft]w-\S+)/gm)].map(([, name = '']) => name);
  }

  /** Ends the agent at once and removes its folder. */
  dispose(): void {
    this.#child?.kill('SIGKILL');
    hosts.delete(this);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Makes a host: a namespace with an uplink to a router's namespace that knows the way to the host's containers. Starts no agent. */
export function createHost(options: HostOptions = {}): AgentHost {
  if (counter === 0) {
    sweepStaleAgents();
    process.once('exit', disposeHosts);
  }
  const addresses = options.addresses ?? ['192.0.2.2/24', '2001:db8:2::2/64'];
  const netns = createNetns();
  const router = createNetns();
  for (const each of [netns, router]) each.sysctl('net/ipv6/conf/default/accept_dad', 0);
  for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) router.sysctl(key, 1);
  connect(
    { netns, name: UPLINK, addresses },
    { netns: router, name: 'down0', addresses: ['192.0.2.1/24', '2001:db8:2::1/64'] },
  );
  const host = new AgentHost(netns, router, options.nodeName ?? 'h1');
  hosts.add(host);
  return host;
}

/** Ends all agents of this process and removes their folders; `removeAllNetns` removes their namespaces. */
export function disposeHosts(): void {
  for (const host of [...hosts]) host.dispose();
}

/** Runs `ocicat ARGS...` from the sources by the shipped launcher. */
export function runCli(
  args: readonly string[],
  options: { readonly input?: string; readonly socket?: string; readonly env?: Record<string, string> } = {},
): Promise<CommandResult> {
  const env: NodeJS.ProcessEnv = { ...process.env, ...options.env };
  for (const name of Object.keys(env)) if (name.startsWith('OCICAT_')) delete env[name];
  if (options.socket !== undefined) env['OCICAT_SOCKET'] = options.socket;
  return new Promise((resolve) => {
    const child = execFile(
      'sh',
      [LAUNCHER, ...args],
      { env, timeout: COMMAND_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
        resolve({ status: code, stdout, stderr });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** An IPPool document. */
export function poolYaml(name: string, cidr: string, spec = ''): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: ${name}}\nspec:\n  cidr: ${cidr}\n${spec}`;
}

/** One pool a family, as most tests use them. */
export const POOLS: readonly string[] = [
  poolYaml('four', '10.65.1.0/24'),
  poolYaml('six', 'fd00:65:1::/112'),
];

function unsetVariables(): string[] {
  return Object.keys(process.env)
    .filter((name) => name.startsWith('OCICAT_'))
    .flatMap((name) => ['-u', name]);
}

// The process number alone is not enough: numbers are used again, so the command line must name the folder.
function sweepStaleAgents(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = FOLDER.exec(name)?.[1];
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    const folder = join(tmpdir(), name);
    const pid = readText(join(folder, 'agent.pid'));
    if (/^\d+$/.test(pid) && readText(`/proc/${pid}/cmdline`).includes(`${folder}/`)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    removeRuntimeLeftovers(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
