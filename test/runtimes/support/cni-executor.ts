/**
 * A CNI runtime of ours in few lines: runs the plugins of a network as the specification says (1.1.0, section 3 and 4), keeps the result of
 * each ADD, and shows what other runtimes hide: exit status, standard output as printed, error codes.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** What a plugin printed and how it ended. */
export interface PluginRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** standard output parsed; undefined when it is empty */
  readonly json: unknown;
}

/** One attachment, and what the runtime knows of it. */
export interface AttachmentOptions {
  readonly id: string;
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly prevResult?: unknown;
}

/** Runs a plugin once with an environment and a standard input. */
export async function runPlugin(
  path: string,
  environment: Readonly<Record<string, string>>,
  input: string,
): Promise<PluginRun> {
  const child = spawn(path, [], { env: { PATH: '/usr/bin:/bin', ...environment }, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), 40_000);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve(code);
    });
  });
  // One JSON document and nothing else, or nothing.
  const json: unknown = stdout.trim() === '' ? undefined : JSON.parse(stdout);
  return { status, stdout, stderr, json };
}

/** A network of one plugin, in one version of the specification. */
export class Executor {
  readonly #binDir: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly #results = new Map<string, unknown>();

  constructor(binDir: string, config: Readonly<Record<string, unknown>>) {
    this.#binDir = binDir;
    this.config = config;
  }

  /** The same network with other or more keys. */
  with(keys: Readonly<Record<string, unknown>>): Executor {
    return new Executor(this.#binDir, { ...this.config, ...keys });
  }

  async add(options: AttachmentOptions): Promise<PluginRun> {
    const run = await this.run('ADD', options);
    if (run.status === 0) this.#results.set(keyOf(options), run.json);
    return run;
  }

  check(options: AttachmentOptions): Promise<PluginRun> {
    return this.run('CHECK', { prevResult: this.#results.get(keyOf(options)), ...options });
  }

  async del(options: AttachmentOptions): Promise<PluginRun> {
    const run = await this.run('DEL', { prevResult: this.#results.get(keyOf(options)), ...options });
    if (run.status === 0) this.#results.delete(keyOf(options));
    return run;
  }

  /** `valid` undefined: no list is given. */
  gc(valid?: readonly { readonly containerID: string; readonly ifname: string }[]): Promise<PluginRun> {
    const keys = valid === undefined ? {} : { 'cni.dev/valid-attachments': valid };
    return this.run('GC', undefined, keys);
  }

  status(): Promise<PluginRun> {
    return this.run('STATUS', undefined);
  }

  run(
    command: string,
    options: AttachmentOptions | undefined,
    keys: Readonly<Record<string, unknown>> = {},
  ): Promise<PluginRun> {
    const { id = '', netns = '', ifname = 'eth0', args = '', runtimeConfig, prevResult } = options ?? {};
    const input = {
      ...this.config,
      ...keys,
      ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
      ...(prevResult === undefined ? {} : { prevResult }),
    };
    const environment = {
      CNI_COMMAND: command,
      CNI_PATH: this.#binDir,
      ...(options === undefined
        ? {}
        : { CNI_CONTAINERID: id, CNI_NETNS: netns, CNI_IFNAME: ifname, CNI_ARGS: args }),
    };
    return runPlugin(join(this.#binDir, String(this.config['type'])), environment, JSON.stringify(input));
  }
}

function keyOf({ id, ifname = 'eth0' }: AttachmentOptions): string {
  return `${id} ${ifname}`;
}
