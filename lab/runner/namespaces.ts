/**
 * The engine that needs nothing but Linux: each node is a process 1 in namespaces of its own (network, mount, pid, uts, ipc),
 * links are veth pairs made inside the nodes. Killing a node's process 1 takes everything in it away. Of the machine itself
 * only /run/ocilab/LAB and the names `ocilab-LAB-NODE` in /run/netns are used.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Engine, Progress, UpOptions } from './engine.ts';
import { type Finished, LabError, mustRun, run, said } from './process.ts';
import { identify, isAlive, labFolder, type ProcessId, readState, removeState, writeState } from './state.ts';
import type { Link, Topology, TopologyNode } from './topology.ts';
import { waitUntilNothing } from './wait.ts';

/** Where lab/images/host/start.sh sends what the agent prints. */
const AGENT_LOG = '/var/log/ocicat/agent.log';
const EXEC_TIMEOUT_MS = 60_000;
/** Where a node's own files may be bound; the rest of its file system is the machine's. */
const BINDABLE = /^\/(?:etc|run|var\/lib|var\/log)\/./;

export class NamespaceEngine implements Engine {
  readonly topology: Topology;
  readonly projectRoot: string;
  readonly #lab: string;
  readonly #file: string;
  readonly #nodes = new Map<string, ProcessId>();

  /** `lab` is the name that the lab goes by on this machine; `file` the topology's file, which binds are relative to. */
  constructor(lab: string, topology: Topology, file: string, projectRoot: string) {
    this.#lab = lab;
    this.topology = topology;
    this.#file = file;
    this.projectRoot = projectRoot;
  }

  async up({ progress, signal }: UpOptions): Promise<void> {
    await this.#removeLeftovers(progress);
    const owner = await identify(process.pid);
    if (owner === undefined)
      throw new LabError('this process is not to be found in /proc; is /proc mounted?');
    const { nodes, links } = this.topology;
    progress(`starting ${nodes.map((node) => node.name).join(', ')}`);
    await mkdir(labFolder(this.#lab), { recursive: true, mode: 0o700 });
    const save = () => writeState(this.#lab, { owner, nodes: Object.fromEntries(this.#nodes) });
    await save();
    for (const node of nodes) {
      signal.throwIfAborted();
      await this.#startNode(node, save);
    }
    progress(`linking ${links.map((link) => `${endName(link.a)} - ${endName(link.b)}`).join(', ')}`);
    for (const link of links) await this.#makeLink(link);
    signal.throwIfAborted();
    progress('addresses, resources and containers');
    const outcomes = await Promise.allSettled(nodes.map((node) => this.#runExec(node, signal)));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** Says that the run no longer works on the lab, which stays. */
  async release(): Promise<void> {
    const state = await readState(this.#lab);
    if (state !== undefined) await writeState(this.#lab, { nodes: state.nodes });
  }

  async isUp(): Promise<boolean> {
    const state = await readState(this.#lab);
    if (state === undefined) return false;
    for (const { name } of this.topology.nodes) {
      const node = state.nodes[name];
      if (node === undefined || !(await isAlive(node))) return false;
      this.#nodes.set(name, node);
    }
    return true;
  }

  run(node: string, command: readonly string[], timeoutMs = EXEC_TIMEOUT_MS): Promise<Finished> {
    return run(this.#enter(node, command), { timeoutMs, env: nodeEnvironment() });
  }

  start(node: string, command: readonly string[]): ChildProcessWithoutNullStreams {
    const [program = '', ...words] = this.#enter(node, command);
    return spawn(program, words, { env: nodeEnvironment(), stdio: 'pipe' });
  }

  async attach(node: string, command: readonly string[]): Promise<number> {
    const [program = '', ...words] = this.#enter(node, command);
    const child = spawn(program, words, { env: nodeEnvironment(), stdio: 'inherit' });
    const [status] = await once(child, 'exit');
    return typeof status === 'number' ? status : 1;
  }

  async log(node: string): Promise<string> {
    const own = await readFile(this.#logFile(node), 'utf8').catch(() => '');
    const agent = this.#nodes.has(node)
      ? await this.run(node, ['tail', '-n', '20', AGENT_LOG], 5000)
      : undefined;
    const text = `${own.trimEnd()}\n${agent?.status === 0 ? agent.stdout.trimEnd() : ''}`;
    return text.trim().split('\n').slice(-20).join('\n');
  }

  async down(progress: Progress): Promise<void> {
    const state = await readState(this.#lab);
    const known = new Map([...Object.entries(state?.nodes ?? {}), ...this.#nodes]);
    if (known.size > 0) progress('removing everything');
    const names = new Set([...known.keys(), ...this.topology.nodes.map((node) => node.name)]);
    for (const name of names) {
      const node = known.get(name);
      if (node !== undefined && (await isAlive(node))) process.kill(node.pid, 'SIGKILL');
    }
    const left = await waitUntilNothing(
      async () => {
        const alive: string[] = [];
        for (const [name, node] of known) if (await isAlive(node)) alive.push(name);
        return alive;
      },
      { timeoutMs: 10_000, intervalMs: 20 },
    );
    if (left.length > 0) throw new LabError(`${left.join(', ')} did not end within 10 s after SIGKILL`);
    for (const name of names) await run(['ip', 'netns', 'delete', this.#netns(name)]);
    this.#nodes.clear();
    await removeState(this.#lab);
  }

  /** Takes down what an earlier run left, unless that run is still at work. */
  async #removeLeftovers(progress: Progress): Promise<void> {
    const state = await readState(this.#lab);
    if (state?.owner !== undefined && (await isAlive(state.owner))) {
      throw new LabError(
        `the lab ${this.#lab} is being run by process ${state.owner.pid} right now; wait for it, or give this one another name with --name`,
      );
    }
    if (state !== undefined) await this.down(() => progress('removing what an earlier run left'));
  }

  async #startNode(node: TopologyNode, save: () => Promise<void>): Promise<void> {
    const work = join(labFolder(this.#lab), `${node.name}.work`);
    await mkdir(work, { recursive: true });
    const binds = node.binds.flatMap((bind) => {
      if (!BINDABLE.test(bind.target)) {
        throw new LabError(
          `${node.name}: ${bind.target}: the lab binds below /etc, /run, /var/lib and /var/log only`,
        );
      }
      return [resolve(dirname(this.#file), bind.source), bind.target, bind.readOnly ? 'ro' : 'rw'];
    });
    const log = await open(this.#logFile(node.name), 'a', 0o600);
    const child = spawn(
      'unshare',
      [
        ...['--mount', '--net', '--pid', '--uts', '--ipc', '--fork', '--propagation', 'private'],
        ...[
          'sh',
          join(import.meta.dirname, 'node-init.sh'),
          work,
          this.projectRoot,
          node.name,
          node.role,
          ...binds,
        ],
      ],
      { detached: true, stdio: ['ignore', log.fd, log.fd, 'pipe'], env: nodeEnvironment() },
    );
    try {
      const pid = await this.#handshake(node.name, child);
      const holder = await identify(pid);
      if (holder === undefined)
        throw new LabError(`${node.name} ended at once:\n${await this.log(node.name)}`);
      this.#nodes.set(node.name, holder);
      await save();
      await mustRun(['ip', 'netns', 'attach', this.#netns(node.name), String(pid)]);
    } finally {
      await log.close();
      child.unref();
    }
  }

  /** Waits until node-init.sh has said the number of its process and that the node is ready. */
  async #handshake(name: string, child: ChildProcess): Promise<number> {
    const pipe = child.stdio[3];
    if (!isReadable(pipe)) throw new LabError('unshare could not be started');
    const failed = once(child, 'error').then(([error]) => {
      throw new LabError(`unshare could not be started: ${error instanceof Error ? error.message : error}`);
    });
    failed.catch(() => undefined);
    const timer = setTimeout(() => pipe.destroy(new Error('timeout')), 15_000);
    let pid: number | undefined;
    let ready = false;
    // unshare itself keeps its end of the pipe open, so it is the word and not the end that counts.
    const read = async () => {
      for await (const line of createInterface({ input: pipe })) {
        if (line === 'ready') {
          ready = true;
          return;
        }
        pid = Number(line);
      }
    };
    const ended = once(child, 'exit').then(() => undefined);
    await Promise.race([read().catch(() => undefined), failed, ended]);
    clearTimeout(timer);
    pipe.destroy();
    if (pid !== undefined && ready) return pid;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    throw new LabError(`the node ${name} could not be set up; its log says:\n${await this.log(name)}`);
  }

  async #makeLink({ a, b }: Link): Promise<void> {
    const other = this.#pid(b.node);
    // Made inside the first node, so that neither end is ever in the machine's own namespace.
    const inside = ['nsenter', '--target', String(this.#pid(a.node)), '--net', '--'];
    const peer = ['type', 'veth', 'peer', 'name', b.device, 'netns', String(other)];
    await mustRun([...inside, 'ip', 'link', 'add', a.device, ...peer]);
    await mustRun([...inside, 'ip', 'link', 'set', a.device, 'up']);
    await mustRun(['nsenter', '--target', String(other), '--net', '--', 'ip', 'link', 'set', b.device, 'up']);
  }

  async #runExec(node: TopologyNode, signal: AbortSignal): Promise<void> {
    for (const { line, words } of node.exec) {
      const command = this.#enter(node.name, words);
      const finished = await run(command, { timeoutMs: EXEC_TIMEOUT_MS, env: nodeEnvironment(), signal });
      signal.throwIfAborted();
      if (finished.status === 0) continue;
      const log = await this.log(node.name);
      const tail = log === '' ? '' : `\nthe last lines that ${node.name} printed:\n${log}`;
      throw new LabError(`${node.name}: "${line}" failed: ${said(finished)}${tail}`);
    }
  }

  #enter(node: string, command: readonly string[]): string[] {
    const target = String(this.#pid(node));
    return ['nsenter', '--target', target, '--mount', '--net', '--pid', '--uts', '--ipc', '--', ...command];
  }

  #pid(node: string): number {
    const known = this.#nodes.get(node);
    if (known === undefined) throw new LabError(`there is no node "${node}" in this lab`);
    return known.pid;
  }

  #netns(node: string): string {
    return `ocilab-${this.#lab}-${node}`;
  }

  #logFile(node: string): string {
    return join(labFolder(this.#lab), `${node}.log`);
  }
}

function endName(end: { node: string; device: string }): string {
  return `${end.node}:${end.device}`;
}

function isReadable(stream: unknown): stream is Readable {
  return typeof stream === 'object' && stream !== null && 'read' in stream;
}

/** Nothing of the caller's environment but the terminal. `nsenter` itself is found on this PATH too. */
function nodeEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: '/run/ocilab/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    TERM: process.env['TERM'] ?? 'dumb',
    // A node shares /root with the machine: vtysh would add every question of the lab to that person's history.
    VTYSH_HISTFILE: '/dev/null',
  };
}
