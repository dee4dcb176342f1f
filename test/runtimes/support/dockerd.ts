/**
 * Docker's own engine for tests: a dockerd in the network namespace of a test host, and in a mount namespace with a /run of its own, which
 * the host's agent shares. Everything it has stands in one folder; a later run ends and removes what a crashed one left.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentHost } from '../../support/agent.ts';
import { eventually } from '../../support/eventually.ts';
import type { CommandResult } from '../../support/netns.ts';

const FOLDER = /^ocit-docker-(\d+)-\d+$/;
const START_TIMEOUT_MS = 30_000;
/** Private to the mount namespace. */
const API_SOCKET = '/run/docker.sock';
const IMAGE = 'busybox:test';

let counter = 0;

/** A host's Docker. Made by `installDocker`. */
export class Dockerd {
  readonly host: AgentHost;
  readonly folder: string;
  /** further options of the engine */
  flags: readonly string[] = [];
  readonly #keeper: ChildProcess;
  #daemon: ChildProcess | undefined;
  #log = '';

  constructor(host: AgentHost, folder: string, keeper: ChildProcess) {
    this.host = host;
    this.folder = folder;
    this.#keeper = keeper;
  }

  /** What enters the mount namespace and runs the words that follow. */
  get enter(): readonly string[] {
    return ['nsenter', '-t', String(this.#keeper.pid), '-m'];
  }

  /** Starts the engine and waits until it answers. */
  async start(): Promise<void> {
    assert.equal(this.#daemon, undefined, 'dockerd runs already');
    const [command = '', ...words] = [
      ...this.enter,
      'dockerd',
      ...['--data-root', join(this.folder, 'data'), '--exec-root', join(this.folder, 'exec')],
      ...[
        '-p',
        join(this.folder, 'dockerd.pid'),
        '-H',
        `unix://${API_SOCKET}`,
        '--storage-driver=vfs',
        '--log-level=warn',
      ],
      ...this.flags,
    ];
    // A killed engine leaves this behind, and the number may be another process's by now.
    rmSync(join(this.folder, 'dockerd.pid'), { force: true });
    const child = this.host.netns.spawn(command, ...words);
    this.#daemon = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    child.once('exit', () => {
      if (this.#daemon === child) this.#daemon = undefined;
    });
    try {
      await eventually(
        'Docker answers',
        async () => {
          assert.notEqual(this.#daemon, undefined, 'dockerd ended');
          return (await this.try('version')).status === 0;
        },
        { timeoutMs: START_TIMEOUT_MS, intervalMs: 50 },
      );
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; its log:\n${this.#log}`, {
        cause: error,
      });
    }
  }

  /** Sends the engine a signal and waits for its end. Containers live on after SIGKILL. */
  async stop(signal: 'SIGKILL' | 'SIGTERM' = 'SIGTERM'): Promise<void> {
    const child = this.#daemon;
    if (child === undefined) return;
    child.kill(signal);
    await eventually(`dockerd ends after ${signal}`, () => this.#daemon !== child, { timeoutMs: 20_000 });
    if (signal === 'SIGTERM') return;
    // Its containerd dies with it, and is not reaped everywhere: the next engine would take the number for a living one.
    const pidFile = join(this.folder, 'exec/containerd/containerd.pid');
    const pid = readText(pidFile);
    await eventually('containerd ends', () => /^(State:\s*Z.*)?$/m.test(stateOf(pid)));
    rmSync(pidFile, { force: true });
  }

  get log(): string {
    return this.#log;
  }

  /** Runs `docker LINE`, words by blanks, and returns its status and output. */
  try(line: string): Promise<CommandResult> {
    const [command = '', ...words] = [
      ...this.enter,
      '/usr/bin/docker',
      '-H',
      `unix://${API_SOCKET}`,
      ...line.split(' '),
    ];
    return this.host.netns.tryRunAsync(command, ...words);
  }

  /** Runs `docker LINE`; fails unless it exits 0. Returns its standard output, trimmed. */
  async docker(line: string): Promise<string> {
    const result = await this.try(line);
    assert.equal(result.status, 0, `docker ${line}: ${result.stdout}${result.stderr}`);
    return result.stdout.trim();
  }

  /** `docker run -d` of a container that sleeps. */
  async run(name: string, options: string): Promise<void> {
    // Its first process ignores SIGTERM, for which the engine would wait 10 s.
    await this.docker(`run -d --stop-signal KILL --name ${name} ${options} ${IMAGE} /bin/sleep 100000`);
  }

  /** Runs a command of the image inside a container. */
  exec(name: string, line: string): Promise<CommandResult> {
    return this.try(`exec ${name} ${line}`);
  }

  /** A container's addresses in our network, IPv4 and IPv6. */
  async addresses(name: string): Promise<[string, string]> {
    const format = '{{range.NetworkSettings.Networks}}{{.IPAddress}},{{.GlobalIPv6Address}}{{end}}';
    const [ipv4 = '', ipv6 = ''] = (await this.docker(`inspect -f ${format} ${name}`)).split(',');
    return [ipv4, ipv6];
  }

  /** Removes everything: containers, engine, folder. */
  async dispose(): Promise<void> {
    if (this.#daemon === undefined && this.#keeper.exitCode === null) await this.start();
    const all = (await this.try('ps -aq')).stdout.split('\n').filter((id) => id !== '');
    if (all.length > 0) await this.try(`rm -f ${all.join(' ')}`);
    await this.stop();
    this.#keeper.kill('SIGKILL');
    removeFolder(this.folder);
  }
}

/**
 * Prepares Docker on a host and makes the host's agent open its door for it: start the agent and the engine afterwards, in either order.
 * The first call in a process sweeps what dead processes left.
 */
export async function installDocker(host: AgentHost): Promise<Dockerd> {
  if (counter === 0) sweepStale();
  const folder = join(tmpdir(), `ocit-docker-${process.pid}-${++counter}`);
  mkdirSync(join(folder, 'rootfs'), { recursive: true });
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp']) mkdirSync(join(folder, 'rootfs', name));
  cpSync('/bin/busybox', join(folder, 'rootfs/bin/busybox'));
  execFileSync('chroot', [join(folder, 'rootfs'), '/bin/busybox', '--install', '-s', '/bin']);
  writeFileSync(join(folder, 'rootfs/etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  const script = 'mount -t tmpfs none /run && mkdir -p /run/docker && echo ready && exec sleep infinity';
  const keeper = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  writeFileSync(join(folder, 'keeper.pid'), String(keeper.pid));
  await new Promise<void>((resolve, reject) => {
    keeper.stdout.once('data', () => resolve());
    keeper.once('exit', (code) => reject(new Error(`no mount namespace: unshare ended with ${code}`)));
  });
  const dockerd = new Dockerd(host, folder, keeper);
  host.launchPrefix = dockerd.enter;
  appendFileSync(host.config, 'docker: {plugin: "on"}\n');
  return dockerd;
}

/** Gives the engine its one image. */
export async function importImage(dockerd: Dockerd): Promise<void> {
  const tar = join(dockerd.folder, 'image.tar');
  execFileSync('tar', ['-C', join(dockerd.folder, 'rootfs'), '-cf', tar, '.']);
  await dockerd.docker(`import ${tar} ${IMAGE}`);
}

function sweepStale(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = FOLDER.exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) removeFolder(join(tmpdir(), name));
  }
}

// Every process of an engine names its folder in its command line, but for the keeper, whose child the engine's mounts are.
function removeFolder(folder: string): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (pid === String(process.pid)) continue;
    const isKeeper =
      readText(join(folder, 'keeper.pid')) === pid &&
      readText(`/proc/${pid}/cmdline`).startsWith('sleep\0infinity');
    if (!isKeeper && !readText(`/proc/${pid}/cmdline`).includes(`${folder}/`)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

function stateOf(pid: string): string {
  return readText(`/proc/${pid}/status`)
    .split('\n')
    .filter((line) => line.startsWith('State:'))
    .join();
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
