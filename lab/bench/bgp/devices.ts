/** The devices under test, each started in the namespace `dut` with one passive eBGP neighbour for each peer of the harness. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuSecOf, memoryMibOf } from '../measure.ts';
import { CHECKOUT_LAUNCHER, LAUNCHER_VARIABLE } from '../package.ts';
import { BFD_TIMERS } from './bfd-peer.ts';

/** Names of the devices that can be asked for. */
export const DEVICES = ['ocicat', 'bird', 'frr', 'gobgp'] as const;
export type DeviceName = (typeof DEVICES)[number];

/** A neighbour of the device. */
export interface DevicePeer {
  readonly address: string;
  readonly as: number;
  /** several paths (RFC 7911) that the device receives from it, or sends to it */
  readonly addPath?: 'receive' | 'send';
  /** gets no routes and keeps a hold time of 3 s: its keepalives are watched */
  readonly isWatch?: boolean;
  /** BFD at 300 ms x 3; of ocicat alone */
  readonly hasBfd?: boolean;
}

export interface DeviceOptions {
  /** path of its network namespace */
  readonly netns: string;
  readonly as: number;
  /** an address of the device too */
  readonly routerId: string;
  /** IPv6 address of the device */
  readonly ipv6Address: string;
  readonly peers: readonly DevicePeer[];
  /** of ocicat: its command; default that of `LAUNCHER_VARIABLE`, or of this checkout */
  readonly launcher?: string;
  /** its best routes go to the kernel of its namespace; not with GoBGP */
  readonly fib?: boolean;
}

/** A started device. */
export interface Device {
  readonly name: DeviceName;
  /** TCP port that it listens on */
  readonly port: number;
  /** of its processes */
  readonly pids: readonly number[];
  /** Unix socket of its API; undefined: not asked */
  readonly apiSocket: string | undefined;
  /** user and system time of its processes so far, seconds */
  cpuSec(): number;
  /** peak resident memory of its processes, MiB */
  peakRssMib(): number;
  stop(): Promise<void>;
}

const STOP_TIMEOUT_MS = 10_000;
const FRR = '/usr/lib/frr';
const SOCKET = 'speak.sock';
/** Most that GoBGP can be told to send of a prefix's paths. */
const GOBGP_SEND_MAX = 255;

/** Starts a device; it may still be about to listen. Throws if its program is not there. */
export function startDevice(name: DeviceName, options: DeviceOptions): Device {
  const folder = mkdtempSync(join(tmpdir(), `ocicat-bench-${name}-`));
  chmodSync(folder, 0o755);
  const children = STARTERS[name](folder, options).map(([command, ...args]) =>
    spawn('setpriv', ['--pdeathsig', 'KILL', 'nsenter', `--net=${options.netns}`, command ?? '', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  );
  for (const child of children) child.on('error', (error) => console.error(`${name}: ${error.message}`));
  const pids = children.flatMap(({ pid }) => pid ?? []);
  return {
    name,
    port: 179,
    pids,
    apiSocket: name === 'ocicat' ? join(folder, SOCKET) : undefined,
    cpuSec: () => sum(pids.map(cpuSecOf)),
    peakRssMib: () => sum(pids.map((pid) => memoryMibOf(pid, 'VmHWM'))),
    stop: async () => {
      await Promise.all(children.map(stopped));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** `BIRD version 2.0.12` and the like, for the report. */
export function deviceVersion(name: DeviceName): string {
  const [command, ...args] = VERSIONS[name];
  try {
    const text = execFileSync(command ?? '', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const line = text.split('\n')[0]?.trim() ?? '';
    // Ours tells the number alone.
    return /^\d/.test(line) ? `${name} ${line}` : line;
  } catch (error) {
    // bird prints its version on stderr.
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    return stderr.split('\n')[0]?.trim() ?? '';
  }
}

const LAUNCHER = process.env[LAUNCHER_VARIABLE] ?? CHECKOUT_LAUNCHER;
const VERSIONS: Readonly<Record<DeviceName, readonly string[]>> = {
  ocicat: [LAUNCHER, '--version'],
  bird: ['sh', '-c', 'bird --version 2>&1'],
  frr: [`${FRR}/bgpd`, '--version'],
  gobgp: ['gobgpd', '--version'],
};

type Starter = (folder: string, options: DeviceOptions) => readonly (readonly string[])[];

const STARTERS: Readonly<Record<DeviceName, Starter>> = {
  ocicat: (folder, options) => {
    const file = join(folder, 'speak.yaml');
    writeFileSync(file, ocicatConfig(options));
    const quiet = ['--log-level', 'warn'];
    return [
      [
        options.launcher ?? LAUNCHER,
        '--socket',
        join(folder, SOCKET),
        'bgp',
        'speak',
        '--config',
        file,
        ...quiet,
        ...(options.fib === true ? ['--fib'] : []),
      ],
    ];
  },
  bird: (folder, { as, routerId, peers, fib }) => {
    const lines = [
      `router id ${routerId};`,
      'protocol device {}',
      ...(fib === true ? ['protocol kernel { ipv4 { import none; export all; }; }'] : []),
      ...peers.map((peer, index) => birdPeer(peer, index, as)),
    ];
    writeFileSync(join(folder, 'bird.conf'), `${lines.join('\n')}\n`);
    return [['bird', '-f', '-c', join(folder, 'bird.conf'), '-s', join(folder, 'bird.ctl')]];
  },
  frr: (folder, { as, routerId, peers, fib }) => {
    const lines = [
      'frr defaults traditional',
      `router bgp ${as}`,
      ` bgp router-id ${routerId}`,
      ' no bgp ebgp-requires-policy',
      ' no bgp network import-check',
      ...peers.flatMap(frrPeer),
      ...(['ipv4', 'ipv6'] as const).flatMap((family) => frrFamily(family, peers)),
      'ip prefix-list none seq 5 deny any',
      'ipv6 prefix-list none seq 5 deny any',
    ];
    writeFileSync(join(folder, 'bgpd.conf'), `${lines.join('\n')}\n`);
    const daemon = (name: string, ...words: string[]): string[] => {
      const files = ['-f', join(folder, `${name}.conf`), '-i', join(folder, `${name}.pid`)];
      return [`${FRR}/${name}`, ...files, '--vty_socket', folder, ...words];
    };
    const asRoot = ['-u', 'root', '-g', 'root', '-S'];
    // Without zebra (-Z) and without the kernel (-n) BGP alone is measured, as with the others.
    if (fib !== true) return [daemon('bgpd', ...asRoot, '-n', '-Z')];
    writeFileSync(join(folder, 'zebra.conf'), '');
    execFileSync('chown', ['frr:frr', folder]);
    const socket = join(folder, 'zserv.api');
    // bgpd tries again only after 10 s when zebra is not there yet.
    const wait = `for i in $(seq 100); do [ -S ${socket} ] && break; sleep 0.05; done; exec "$@"`;
    return [
      daemon('zebra', '-z', socket),
      ['sh', '-c', wait, 'sh', ...daemon('bgpd', ...asRoot, '-z', socket)],
    ];
  },
  gobgp: (folder, { as, routerId, peers }) => {
    const lines = [
      '[global.config]',
      `  as = ${as}`,
      `  router-id = "${routerId}"`,
      ...gobgpWatchPolicy(peers),
      ...peers.flatMap(gobgpPeer),
    ];
    writeFileSync(join(folder, 'gobgpd.toml'), `${lines.join('\n')}\n`);
    return [
      [
        'gobgpd',
        '-f',
        join(folder, 'gobgpd.toml'),
        '--log-level',
        'error',
        '--api-hosts',
        `unix://${folder}/api`,
      ],
    ];
  },
};

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

function birdPeer({ address, as, addPath, isWatch }: DevicePeer, index: number, ownAs: number): string {
  const paths = addPath === undefined ? '' : ` add paths ${addPath === 'send' ? 'tx' : 'rx'};`;
  return (
    `protocol bgp p${index} { local as ${ownAs}; neighbor ${address} as ${as}; passive on; hold time 240; ` +
    `${familyOf(address)} { import all; export ${isWatch === true ? 'none' : 'all'};${paths} }; }`
  );
}

function frrPeer({ address, as, isWatch }: DevicePeer): readonly string[] {
  return [
    ` neighbor ${address} remote-as ${as}`,
    ` neighbor ${address} passive`,
    ` neighbor ${address} timers ${isWatch === true ? '1 3' : '80 240'}`,
    ` neighbor ${address} advertisement-interval 0`,
  ];
}

function frrFamily(family: 'ipv4' | 'ipv6', peers: readonly DevicePeer[]): readonly string[] {
  return [
    ` address-family ${family} unicast`,
    ...peers.flatMap(({ address, addPath, isWatch }) => {
      const isOf = familyOf(address) === family;
      return [
        `  ${isOf ? '' : 'no '}neighbor ${address} activate`,
        ...(isOf && addPath === 'send' ? [`  neighbor ${address} addpath-tx-all-paths`] : []),
        ...(isOf && isWatch === true ? [`  neighbor ${address} prefix-list none out`] : []),
      ];
    }),
    ' exit-address-family',
  ];
}

function gobgpPeer({ address, as, addPath, isWatch }: DevicePeer): readonly string[] {
  return [
    '[[neighbors]]',
    '  [neighbors.config]',
    `    neighbor-address = "${address}"`,
    `    peer-as = ${as}`,
    '  [neighbors.transport.config]',
    '    passive-mode = true',
    ...(isWatch === true
      ? ['  [neighbors.timers.config]', '    hold-time = 3', '    keepalive-interval = 1']
      : []),
    '  [[neighbors.afi-safis]]',
    '    [neighbors.afi-safis.config]',
    `      afi-safi-name = "${familyOf(address)}-unicast"`,
    ...(addPath === undefined ? [] : ['    [neighbors.afi-safis.add-paths.config]']),
    ...(addPath === 'receive' ? ['      receive = true'] : []),
    ...(addPath === 'send' ? [`      send-max = ${GOBGP_SEND_MAX}`] : []),
  ];
}

/** Nothing goes to the watched session. */
function gobgpWatchPolicy(peers: readonly DevicePeer[]): readonly string[] {
  const watched = peers.filter(({ isWatch }) => isWatch === true).map(({ address }) => `"${address}/32"`);
  if (watched.length === 0) return [];
  return [
    '[global.apply-policy.config]',
    '  export-policy-list = ["watched"]',
    '  default-export-policy = "accept-route"',
    '[[defined-sets.neighbor-sets]]',
    '  neighbor-set-name = "watched"',
    `  neighbor-info-list = [${watched.join(', ')}]`,
    '[[policy-definitions]]',
    '  name = "watched"',
    '  [[policy-definitions.statements]]',
    '    [policy-definitions.statements.conditions.match-neighbor-set]',
    '      neighbor-set = "watched"',
    '      match-set-options = "any"',
    '    [policy-definitions.statements.actions]',
    '      route-disposition = "reject-route"',
  ];
}

const OCICAT_BFD = `ocicat.dev/bfd: "true", ocicat.dev/bfd-interval: "${BFD_TIMERS.intervalMs}", ocicat.dev/bfd-multiplier: "${BFD_TIMERS.multiplier}"`;

function ocicatConfig({ as, routerId, ipv6Address, peers }: DeviceOptions): string {
  const documents = [
    `apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: dut}
spec: {bgp: {asNumber: ${as}, ipv4Address: ${routerId}/24, ipv6Address: "${ipv6Address}/64"}}`,
    `apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: all}
spec: {}`,
    `apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: none}
spec: {exportV4: [{action: Reject}], exportV6: [{action: Reject}]}`,
    `apiVersion: ocicat.dev/v1
kind: StaticRoutes
metadata: {name: transit}
spec: {transit: true}`,
    ...peers.map(({ address, as: peerAs, addPath, isWatch, hasBfd }, index) => {
      const pairs = [
        ...(addPath === undefined ? [] : [`ocicat.dev/add-path: ${addPath}`]),
        ...(hasBfd === true ? [OCICAT_BFD] : []),
      ];
      const annotations = pairs.length === 0 ? '' : `, annotations: {${pairs.join(', ')}}`;
      return `apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: p${index}${annotations}}
spec: {peerIP: "${address}", asNumber: ${peerAs}, filters: [${isWatch === true ? 'none' : 'all'}]}`;
    }),
  ];
  return `${documents.join('\n---\n')}\n`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
