/** Nodes for tests of container runtimes: hosts with an agent and the plugin, two of them joined by a wire and by BGP. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type AgentHost, createHost, poolYaml, runCli } from '../../support/agent.ts';
import { eventually } from '../../support/eventually.ts';
import { type CommandResult, connect } from '../../support/netns.ts';

const COMMAND_TIMEOUT_MS = 60_000;

/** A host on which a container runtime can use the plugin. */
export interface Node {
  readonly host: AgentHost;
  readonly binDir: string;
  readonly confDir: string;
}

/** Writes plugin and network configuration into folders of the host. */
export async function install(host: AgentHost, name: string): Promise<Node> {
  const binDir = join(host.folder, 'bin');
  const confDir = join(host.folder, 'net.d');
  const folders = ['--bin-dir', binDir, '--conf-dir', confDir, '--queue', join(host.folder, 'cni-queue')];
  const result = await runCli(['cni', 'install', ...folders, '--name', name], { socket: host.socket });
  assert.equal(result.status, 0, result.stderr);
  return { host, binDir, confDir };
}

/** Two hosts with agents, pools of their own, a wire between them and a BGP session over it. */
export async function twoNodes(name: string): Promise<readonly [Node, Node]> {
  const hosts = [1, 2].map((index) =>
    createHost({
      nodeName: `h${index}`,
      addresses: [`192.0.2.${index + 1}/24`, `2001:db8:2::${index + 1}/64`],
    }),
  );
  const [a, b] = hosts;
  assert.ok(a !== undefined && b !== undefined);
  connect(
    { netns: a.netns, name: 'wire0', addresses: ['198.51.100.1/24', '2001:db8:51::1/64'] },
    { netns: b.netns, name: 'wire0', addresses: ['198.51.100.2/24', '2001:db8:51::2/64'] },
  );
  const nodes: Node[] = [];
  for (const [index, host] of hosts.entries()) {
    await host.start();
    const other = 2 - index;
    await host.apply(
      poolYaml('four', `10.65.${index + 1}.0/24`),
      poolYaml('six', `fd00:65:${index + 1}::/112`),
      peerYaml(host.nodeName, 'v4', `198.51.100.${other}`),
      peerYaml(host.nodeName, 'v6', `2001:db8:51::${other}`),
    );
    nodes.push(await install(host, name));
  }
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  return [first, second];
}

/** Waits until a node has routes to the other's containers of both families. */
export async function untilRouted(from: Node, prefixes: readonly string[]): Promise<void> {
  await eventually(`${from.host.nodeName} learns ${prefixes.join(', ')}`, () => {
    const routes = from.host.ownRoutes();
    return prefixes.every((prefix) =>
      routes.some((line) => line.startsWith(prefix) && line.includes('wire0')),
    );
  });
}

/** Runs a program in a node's network namespace, to its end, with a time limit. */
export function runOn(
  node: Node,
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', [`--net=${node.host.netns.path}`, command, ...args], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: node.host.folder, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_TIMEOUT_MS);
    child.once('error', reject);
    // Not `close`: what runs on in the background may hold the pipes.
    child.once('exit', (status) => {
      clearTimeout(timer);
      setImmediate(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ status, stdout, stderr });
      });
    });
  });
}

function peerYaml(node: string, name: string, address: string): string {
  return `apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: ${name}}\nspec: {node: ${node}, peerIP: "${address}", asNumber: 64512}`;
}
