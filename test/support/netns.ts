/**
 * Network namespaces for tests. Every namespace is named `ocit-<pid>-<counter>`, so that a later run can sweep what a crashed one
 * left behind. The machine's own namespace is never changed: all links are made inside the test namespaces. Needs root.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';

const PREFIX = 'ocit-';
const RUN_DIR = '/run/netns';
const COMMAND_TIMEOUT_MS = 15_000;
const KILL_TIMEOUT_MS = 5_000;
const execFileAsync = promisify(execFile);

/** A command's end: its status (null when a signal ended it) and output as text. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One end of a veth pair that `connect` makes. */
export interface VethEnd {
  readonly netns: Netns;
  /** interface name, at most 15 characters */
  readonly name: string;
  /** `ADDRESS/LENGTH`; IPv6 addresses get `nodad` */
  readonly addresses?: readonly string[];
}

let counter = 0;
let hooked = false;
const live = new Set<Netns>();

/** A network namespace with `lo` up, removed by `remove()`, and at the latest when this process exits. */
export class Netns {
  readonly name: string;
  readonly path: string;
  readonly #children = new Set<ChildProcess>();
  #removed = false;

  constructor(name: string) {
    this.name = name;
    this.path = `${RUN_DIR}/${name}`;
  }

  /** Runs a command inside and returns its standard output. Throws with its standard error if it fails or takes longer than 15 s. */
  run(command: string, ...args: string[]): string {
    const result = this.tryRun(command, ...args);
    if (result.status !== 0) {
      throw new Error(
        `${this.name}: ${[command, ...args].join(' ')}: status ${result.status}: ${result.stderr}`,
      );
    }
    return result.stdout;
  }

  /** As `run`, blank-separated words in one string: `ns.sh('ip link set eth0 up')`. No shell, no quoting. */
  sh(line: string): string {
    const [command = '', ...args] = line.trim().split(/\s+/);
    return this.run(command, ...args);
  }

  /** Runs a command inside and returns its status and output whatever they are. */
  tryRun(command: string, ...args: string[]): CommandResult {
    try {
      const stdout = execFileSync('nsenter', [`--net=${this.path}`, command, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: COMMAND_TIMEOUT_MS,
        maxBuffer: 256 * 1024 * 1024,
      });
      return { status: 0, stdout, stderr: '' };
    } catch (error) {
      return resultOf(error);
    }
  }

  /** As `tryRun`, without blocking the event loop. */
  async tryRunAsync(command: string, ...args: string[]): Promise<CommandResult> {
    try {
      const { stdout, stderr } = await execFileAsync('nsenter', [`--net=${this.path}`, command, ...args], {
        encoding: 'utf8',
        timeout: COMMAND_TIMEOUT_MS,
        maxBuffer: 256 * 1024 * 1024,
      });
      return { status: 0, stdout, stderr };
    } catch (error) {
      return resultOf(error);
    }
  }

  /**
   * Starts a long-running command inside. It is killed with the namespace. `nsenter` execs the command, so `child.pid` is the
   * command's own process id.
   */
  spawn(command: string, ...args: string[]): ChildProcess {
    const child = spawn('nsenter', [`--net=${this.path}`, command, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Writes a sysctl inside, `net/ipv4/ip_forward` or `net.ipv4.ip_forward` (a dot inside an interface name needs the first form). */
  sysctl(key: string, value: string | number): void {
    const path = `/proc/sys/${key.includes('/') ? key : key.replaceAll('.', '/')}`;
    this.run('sh', '-c', 'printf %s "$1" > "$2"', 'sysctl', String(value), path);
  }

  /** Kills the processes that `spawn` started, waits for their end and removes the namespace. Doing it twice does no harm. */
  async remove(): Promise<void> {
    if (this.#removed) return;
    const children = [...this.#children];
    this.removeNow();
    await Promise.all(children.map(exited));
  }

  /** As `remove`, without waiting for the killed processes. */
  removeNow(): void {
    if (this.#removed) return;
    this.#removed = true;
    live.delete(this);
    for (const child of this.#children) child.kill('SIGKILL');
    deleteByName(this.name);
  }
}

/** Makes a namespace with `lo` up. The first call in a process also sweeps what dead processes left behind. */
export function createNetns(): Netns {
  if (!hooked) {
    hooked = true;
    sweepStaleNetns();
    process.once('exit', () => {
      for (const netns of live) netns.removeNow();
    });
  }
  const netns = new Netns(`${PREFIX}${process.pid}-${++counter}`);
  execFileSync('ip', ['netns', 'add', netns.name], { stdio: 'pipe', timeout: COMMAND_TIMEOUT_MS });
  live.add(netns);
  netns.sh('ip link set lo up');
  return netns;
}

/** Removes all namespaces that this process made and has not removed yet: for an `after` or `afterEach` hook. */
export async function removeAllNetns(): Promise<void> {
  await Promise.all([...live].map((netns) => netns.remove()));
}

/** Makes a veth pair between two namespaces (or within one), both ends up, with the given addresses. */
export function connect(a: VethEnd, b: VethEnd): void {
  a.netns.run('ip', 'link', 'add', a.name, 'type', 'veth', 'peer', 'name', b.name, 'netns', b.netns.name);
  for (const end of [a, b]) {
    for (const address of end.addresses ?? []) {
      const flags = address.includes(':') ? ['nodad'] : [];
      end.netns.run('ip', 'address', 'add', address, 'dev', end.name, ...flags);
    }
    end.netns.run('ip', 'link', 'set', end.name, 'up');
  }
}

/** Removes namespaces of this helper whose process is gone. Returns their names. */
export function sweepStaleNetns(): string[] {
  if (!existsSync(RUN_DIR)) return [];
  const stale = readdirSync(RUN_DIR).filter((name) => {
    const pid = /^ocit-(\d+)-\d+$/.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  for (const name of stale) deleteByName(name);
  return stale;
}

function deleteByName(name: string): void {
  try {
    execFileSync('ip', ['netns', 'delete', name], { stdio: 'ignore', timeout: COMMAND_TIMEOUT_MS });
  } catch {
    // Another test process may have swept it at the same moment.
  }
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, KILL_TIMEOUT_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function resultOf(error: unknown): CommandResult {
  const field = (name: string): unknown =>
    typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
  const status = field('status') ?? field('code');
  return {
    status: typeof status === 'number' ? status : null,
    stdout: String(field('stdout') ?? ''),
    stderr: String(field('stderr') || field('message') || ''),
  };
}
