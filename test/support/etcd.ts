/**
 * A real etcd of one or more members on loopback ports, with a data folder of its own. Members can be killed, frozen and started again.
 * They end with `close()`, and at the latest with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3, type IOptions } from 'etcd3';
import { eventually } from './eventually.ts';

/** What to start. */
export interface EtcdSetup {
  /** default 1 */
  readonly members?: number;
  /** PEM files: clients must then come with TLS, and with a certificate of the authority when `caFile` is given */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string };
  readonly quotaOctets?: number;
  /** host name of the client endpoints; default 127.0.0.1 */
  readonly host?: string;
}

const FOLDER_PREFIX = 'ocit-etcd-';
const START_TIMEOUT_MS = 30_000;
const live = new Set<EtcdMember>();
let isHooked = false;

/** One member. */
export class EtcdMember {
  readonly name: string;
  /** `http://HOST:PORT` */
  readonly endpoint: string;
  readonly #arguments: readonly string[];
  #child: ChildProcess | undefined;
  #output = '';

  constructor(name: string, endpoint: string, args: readonly string[]) {
    this.name = name;
    this.endpoint = endpoint;
    this.#arguments = args;
  }

  /** What it said, for the message of a failed test. */
  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  start(): void {
    if (this.#child !== undefined) return;
    // The kernel ends it with this process, however that ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...this.#arguments], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', GOMAXPROCS: '1' },
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-4_000);
      });
    }
    child.once('exit', () => {
      live.delete(this);
      if (this.#child === child) this.#child = undefined;
    });
    this.#child = child;
    live.add(this);
  }

  /** Sends a signal and, for the deadly ones, waits for the end. */
  async signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    if (signal === 'SIGTERM') child.kill('SIGCONT');
    await eventually(`${this.name} ends`, () => this.#child !== child);
  }

  killNow(): void {
    this.#child?.kill('SIGKILL');
  }
}

/** A cluster. */
export class EtcdCluster {
  readonly members: readonly EtcdMember[];
  readonly #folder: string;
  readonly #clients: Etcd3[] = [];

  private constructor(members: readonly EtcdMember[], folder: string) {
    this.members = members;
    this.#folder = folder;
  }

  /** Starts the members and waits until they answer. */
  static async start(setup: EtcdSetup = {}): Promise<EtcdCluster> {
    hookExit();
    const size = setup.members ?? 1;
    const host = setup.host ?? '127.0.0.1';
    const scheme = setup.tls === undefined ? 'http' : 'https';
    const folder = mkdtempSync(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
    const ports = await freePorts(2 * size);
    const at = (index: number): number => ports[index] ?? 0;
    const initial = Array.from({ length: size }, (_, i) => `m${i}=http://127.0.0.1:${at(size + i)}`).join(
      ',',
    );
    const members = Array.from({ length: size }, (_, i) => {
      const client = `${scheme}://127.0.0.1:${at(i)}`;
      const peer = `http://127.0.0.1:${at(size + i)}`;
      const { tls, quotaOctets } = setup;
      return new EtcdMember(`m${i}`, `${scheme}://${host}:${at(i)}`, [
        ...['--name', `m${i}`, '--data-dir', join(folder, `m${i}`), '--unsafe-no-fsync'],
        ...[
          '--logger',
          'zap',
          '--log-level',
          'error',
          '--heartbeat-interval',
          '100',
          '--election-timeout',
          '1000',
        ],
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', initial, '--initial-cluster-state', 'new'],
        ...['--initial-cluster-token', folder],
        ...(tls === undefined ? [] : ['--cert-file', tls.certFile, '--key-file', tls.keyFile]),
        ...(tls?.caFile === undefined ? [] : ['--client-cert-auth', '--trusted-ca-file', tls.caFile]),
        ...(quotaOctets === undefined ? [] : ['--quota-backend-bytes', String(quotaOctets)]),
      ]);
    });
    for (const member of members) member.start();
    const cluster = new EtcdCluster(members, folder);
    if (setup.tls === undefined) await cluster.ready();
    return cluster;
  }

  get endpoints(): readonly string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  /** Waits until every running member answers a linearizable read. */
  async ready(): Promise<void> {
    for (const member of this.members) {
      if (!member.isRunning) continue;
      const client = this.client({ hosts: member.endpoint });
      try {
        await eventually(
          `etcd ${member.name} answers: ${member.output}`,
          async () => {
            await client.kv.range({ key: Buffer.from('x') }, { deadline: Date.now() + 2_000 });
            return true;
          },
          { timeoutMs: START_TIMEOUT_MS },
        );
      } finally {
        this.drop(client);
      }
    }
  }

  /** A plain client, closed with the cluster; each call has a deadline. */
  client(options: Partial<IOptions> = {}): Etcd3 {
    const client = new Etcd3({
      hosts: [...this.endpoints],
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + 3_000 }),
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  drop(client: Etcd3): void {
    client.close();
    this.#clients.splice(this.#clients.indexOf(client), 1);
  }

  /** The member that leads now. */
  async leader(): Promise<EtcdMember> {
    return await eventually('a leader', async () => {
      for (const member of this.members) {
        if (!member.isRunning) continue;
        const client = this.client({ hosts: member.endpoint });
        try {
          const { header, leader } = await client.maintenance.status({ deadline: Date.now() + 1_000 });
          if (leader === header.member_id) return member;
        } finally {
          this.drop(client);
        }
      }
      return undefined;
    });
  }

  /** Ends everything and removes the data. */
  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await Promise.all(this.members.map(async (member) => await member.signal('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Free TCP ports of 127.0.0.1. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    ports.push(typeof address === 'object' && address !== null ? address.port : 0);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}

function hookExit(): void {
  if (isHooked) return;
  isHooked = true;
  sweepStaleFolders();
  process.once('exit', () => {
    for (const member of live) member.killNow();
  });
}

/** Removes the data of clusters whose process is gone. */
function sweepStaleFolders(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^ocit-etcd-(\d+)-\w+$/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}
