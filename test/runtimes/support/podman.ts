import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Node, runOn } from './nodes.ts';

/** Podman with its CNI back end on one node, with storage and configuration of its own. */
export class Podman {
  readonly node: Node;
  readonly rootfs: string;
  readonly #environment: Record<string, string>;

  /** `network`: the default one, by the name in its configuration. */
  constructor(node: Node, rootfs: string, network: string) {
    const folder = join(node.host.folder, 'podman');
    mkdirSync(join(folder, 'tmp'), { recursive: true });
    writeFileSync(
      join(folder, 'containers.conf'),
      `[containers]
default_ulimits = ["nofile=${limitOf('Max open files')}", "nproc=${limitOf('Max processes')}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "${folder}/run/libpod"
[network]
network_backend = "cni"
cni_plugin_dirs = ["${node.binDir}", "/usr/lib/cni"]
network_config_dir = "${node.confDir}"
default_network = "${network}"
`,
    );
    writeFileSync(
      join(folder, 'storage.conf'),
      `[storage]\ndriver = "vfs"\ngraphroot = "${folder}/root"\nrunroot = "${folder}/run"\n`,
    );
    this.node = node;
    this.rootfs = rootfs;
    this.#environment = {
      CONTAINERS_CONF: join(folder, 'containers.conf'),
      CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
      TMPDIR: join(folder, 'tmp'),
    };
  }

  /** Runs `podman ARGS` to its end. */
  try(...args: string[]) {
    return runOn(this.node, 'podman', args, this.#environment);
  }

  /** As `try`; rejects unless it succeeds. Resolves with its output. */
  async run(...args: string[]): Promise<string> {
    const result = await this.try(...args);
    assert.equal(result.status, 0, `podman ${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  }

  /** Starts a container that sleeps, or runs what is given. */
  start(
    name: string,
    options: readonly string[] = [],
    command: readonly string[] = ['sleep', '600'],
  ): Promise<string> {
    return this.run('run', '-d', '--name', name, ...options, '--rootfs', this.rootfs, ...command);
  }
}

// Without the capability to raise limits, podman's own defaults are refused.
function limitOf(name: string): string {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(name));
  const hard = Number(line?.slice(name.length).trim().split(/\s+/)[1]);
  const value = Number.isInteger(hard) ? Math.min(hard, 20_000) : 20_000;
  return `${value}:${value}`;
}
