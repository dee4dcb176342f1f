/** containerd on a node, spoken to as a kubelet does: CRI over gRPC. Each in folders of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Client,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { eventually } from '../../support/eventually.ts';
import type { CommandResult } from '../../support/netns.ts';
import { type Node, runOn } from './nodes.ts';

/** The image that pods and containers are made of. */
export const IMAGE = 'localhost/busybox:test';
const CALL_TIMEOUT_MS = 45_000;
const PLUGINS = '/usr/lib/cni';

/** A pod as a test wants it. */
export interface PodRequest {
  readonly name: string;
  readonly namespace?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ports?: readonly { readonly container_port: number; readonly host_port: number }[];
}

/** A running containerd. */
export class Containerd {
  readonly node: Node;
  readonly folder: string;
  readonly socket: string;
  #child: ChildProcess | undefined;
  #client: Client | undefined;
  #log = '';

  constructor(node: Node) {
    this.node = node;
    this.folder = join(node.host.folder, 'containerd');
    this.socket = join(this.folder, 'c.sock');
    mkdirSync(this.folder);
    // It runs this one for `lo`; without it every pod fails.
    copyFileSync(join(PLUGINS, 'loopback'), join(node.binDir, 'loopback'));
    writeFileSync(
      join(this.folder, 'config.toml'),
      `version = 2
root = "${this.folder}/root"
state = "${this.folder}/state"
[grpc]
  address = "${this.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${this.folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${node.binDir}"
    conf_dir = "${node.confDir}"
`,
    );
  }

  /** Starts it and waits until it answers with its network ready. */
  async start(): Promise<void> {
    const child = spawn(
      'nsenter',
      [`--net=${this.node.host.netns.path}`, 'containerd', '-c', join(this.folder, 'config.toml')],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    await eventually(
      'containerd is ready for pods',
      async () => {
        if (!existsSync(this.socket)) return false;
        this.#client ??= openClient(this.socket);
        return await this.isNetworkReady();
      },
      { timeoutMs: 20_000 },
    ).catch((error: unknown) => {
      throw new Error(`${error}; its log:\n${this.#log.slice(-4000)}`);
    });
  }

  /** Ends the daemon; its pods live on. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#client?.close();
    this.#client = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
    this.#child = undefined;
  }

  async importImage(archive: string): Promise<void> {
    await this.ctr('images', 'import', archive);
  }

  /** `ctr ARGS...` in the CRI's namespace; fails unless it exits 0. */
  async ctr(...args: readonly string[]): Promise<string> {
    const result = await runOn(this.node, 'ctr', ['-a', this.socket, '-n', 'k8s.io', ...args]);
    assert.equal(result.status, 0, `ctr ${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  }

  /**
   * `ctr run --cni` of the image in the foreground; ends when the container does. ctr runs the plugins itself, and its folders for them are
   * fixed: in a mount namespace of its own the node's stand in their place.
   */
  runWithCni(id: string, ...command: readonly string[]): Promise<CommandResult> {
    const script = `mount --bind "$1" /etc/cni/net.d && mount -t tmpfs none /opt && mkdir -p /opt/cni/bin && mount --bind "$2" /opt/cni/bin && shift 2 && exec ctr "$@"`;
    return runOn(this.node, 'unshare', [
      ...['-m', 'sh', '-c', script, 'sh', this.node.confDir, this.node.binDir],
      ...['-a', this.socket, '-n', 'k8s.io', 'run', '--rm', '--cni', IMAGE, id, ...command],
    ]);
  }

  async isNetworkReady(): Promise<boolean> {
    const { status } = await this.#call<{
      status: { conditions: readonly { type: string; status: boolean }[] };
    }>('Status', {});
    return status.conditions.some(({ type, status: isMet }) => type === 'NetworkReady' && isMet);
  }

  async runPod(request: PodRequest): Promise<string> {
    const { pod_sandbox_id: id } = await this.#call<{ pod_sandbox_id: string }>('RunPodSandbox', {
      config: podConfig(request),
    });
    return id;
  }

  stopPod(id: string): Promise<unknown> {
    return this.#call('StopPodSandbox', { pod_sandbox_id: id });
  }

  removePod(id: string): Promise<unknown> {
    return this.#call('RemovePodSandbox', { pod_sandbox_id: id });
  }

  async pods(): Promise<readonly string[]> {
    const { items } = await this.#call<{ items: readonly { id: string }[] }>('ListPodSandbox', {});
    return items.map(({ id }) => id);
  }

  /** All addresses of a pod, the first one first, its state, and its main process. */
  async podStatus(
    id: string,
  ): Promise<{ ips: readonly string[]; isReady: boolean; pid: number; netns: string }> {
    const { status, info } = await this.#call<{
      status: { state: number; network: { ip: string; additional_ips: readonly { ip: string }[] } };
      info: Readonly<Record<string, string>>;
    }>('PodSandboxStatus', { pod_sandbox_id: id, verbose: true });
    const details: unknown = JSON.parse(info['info'] ?? '{}');
    const pid: unknown =
      typeof details === 'object' && details !== null ? Reflect.get(details, 'pid') : undefined;
    const text = JSON.stringify(details);
    const ips = [status.network.ip, ...status.network.additional_ips.map(({ ip }) => ip)];
    return {
      ips,
      isReady: status.state === 0,
      pid: typeof pid === 'number' ? pid : 0,
      netns: /"path":"(\/[^"]*netns[^"]*)"/.exec(text)?.[1] ?? '',
    };
  }

  /** Starts a container in a pod. */
  async runContainer(pod: string, request: PodRequest, command: readonly string[]): Promise<string> {
    const { container_id: id } = await this.#call<{ container_id: string }>('CreateContainer', {
      pod_sandbox_id: pod,
      config: {
        metadata: { name: 'main', attempt: 0 },
        image: { image: IMAGE },
        command,
        log_path: '',
        linux: {},
      },
      sandbox_config: podConfig(request),
    });
    await this.#call('StartContainer', { container_id: id });
    return id;
  }

  async exec(container: string, ...cmd: readonly string[]): Promise<{ exitCode: number; stdout: string }> {
    const answer = await this.#call<{ stdout: Uint8Array; exit_code: number }>('ExecSync', {
      container_id: container,
      cmd,
      timeout: 15,
    });
    return { exitCode: answer.exit_code, stdout: Buffer.from(answer.stdout).toString('utf8') };
  }

  #call<Answer>(method: string, request: unknown): Promise<Answer> {
    const client = this.#client;
    assert.ok(client !== undefined, 'containerd does not run');
    const call: unknown = Reflect.get(client, method);
    assert.ok(typeof call === 'function');
    return new Promise((resolve, reject) => {
      const done = (error: Error | null, answer: Answer): void => {
        if (error === null) resolve(answer);
        else reject(error);
      };
      call.call(client, request, { deadline: Date.now() + CALL_TIMEOUT_MS }, done);
    });
  }
}

function podConfig(request: PodRequest): object {
  const { name, namespace = 'default', annotations = {}, ports = [] } = request;
  return {
    metadata: { name, uid: `uid-${name}`, namespace, attempt: 0 },
    hostname: name,
    log_directory: '',
    annotations,
    port_mappings: ports,
    linux: { security_context: { namespace_options: { network: 0 } } },
  };
}

function openClient(socket: string): Client {
  const path = fileURLToPath(new URL('./cri.proto', import.meta.url));
  assert.ok(readFileSync(path).length > 0);
  const loaded = loadPackageDefinition(loadSync(path, { keepCase: true, longs: Number, defaults: true }));
  let at: unknown = loaded;
  for (const name of ['runtime', 'v1', 'RuntimeService']) at = Reflect.get(Object(at), name);
  assert.ok(isConstructor(at));
  return new at(`unix://${socket}`, credentials.createInsecure());
}

function isConstructor(value: unknown): value is ServiceClientConstructor {
  return typeof value === 'function' && 'service' in value;
}
