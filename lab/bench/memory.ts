/**
 * What the agent and the speaker hold in memory: VmRSS, and of it RssAnon, which no file backs; from this checkout and from the package that
 * `npm run build` makes of it, in a temporary folder. The least of some looks, once all has been quiet for a while.
 * Usage (as root): node lab/bench/memory.ts [--from checkout,package] [--nodes N] [--blocks N] [--routes N] [--settle SECONDS] [--json].
 * Everything happens in network namespaces of its own; etcd is one of its own too, left out where there is no etcd.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ApiClient } from '../../src/api/client.ts';
import type { PeerView, StatusView } from '../../src/api/views.ts';
import { EtcdCluster } from '../../test/support/etcd.ts';
import { eventually } from '../../test/support/eventually.ts';
import { removeAllNetns } from '../../test/support/netns.ts';
import { startDevice } from './bgp/devices.ts';
import {
  ADDRESS,
  addressOctets,
  DEVICE_AS,
  FIRST_SENDER_AS,
  RECEIVER_AS,
  senderAddress,
} from './bgp/jobs.ts';
import { encodeAnnouncements } from './bgp/routes.ts';
import { makeBed, pause } from './bgp/run.ts';
import { BenchSession } from './bgp/session.ts';
import { makeWorkload } from './bgp/workload.ts';
import { fillEtcd } from './etcd-contents.ts';
import { memoryMibOf } from './measure.ts';
import { buildPackage, CHECKOUT_LAUNCHER } from './package.ts';
import { figure, formatTable, grouped } from './text-table.ts';

const DEVICE_NETNS = 'BENCH_DEVICE_NETNS';
const PACKAGE = 'BENCH_PACKAGE';
const READY_TIMEOUT_MS = 60_000;
const PASS_TIMEOUT_MS = 300_000;
const LOOKS = 5;
/** of VmRSS, idle */
const GOAL_MIB = { embedded: 100, etcd: 130 } as const;

/** One process at rest. MiB. */
interface Row {
  readonly from: string;
  readonly what: string;
  /** most that VmRSS may be */
  readonly goalMib: number | undefined;
  readonly rssMib: number;
  readonly anonMib: number;
}

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: 'checkout,package' },
    nodes: { type: 'string', default: '1000' },
    blocks: { type: 'string', default: '1000' },
    routes: { type: 'string', default: '1000000' },
    settle: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});

type Memory = Pick<Row, 'rssMib' | 'anonMib'>;

/** The least of some looks at a process, once it has been left alone. */
async function atRest(pid: number): Promise<Memory> {
  await pause(Number(values.settle) * 1000);
  const rss: number[] = [];
  const anon: number[] = [];
  for (let look = 0; look < LOOKS; look++) {
    rss.push(memoryMibOf(pid, 'VmRSS'));
    anon.push(memoryMibOf(pid, 'RssAnon'));
    await pause(500);
  }
  return { rssMib: Math.min(...rss), anonMib: Math.min(...anon) };
}

/** Runs an agent with this line of configuration, has it take in `documents`, and looks at it at rest. `hasBfd`: a peer of it is watched by BFD. */
async function agent(
  launcher: string,
  store: string,
  documents: readonly string[],
  hasBfd: boolean,
): Promise<Memory> {
  const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-memory-'));
  const socket = join(folder, 'api.sock');
  const config = join(folder, 'agent.yaml');
  const storeLine = store === '' ? `store: {path: ${join(folder, 'store')}}` : store;
  writeFileSync(config, `nodeName: host-0\n${storeLine}\nsocket: ${socket}\nlog: {level: warn}\n`);
  const words = ['--pdeathsig', 'KILL', 'sh', launcher, 'agent', '--config', config];
  const child = spawn('setpriv', words, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  try {
    const api = new ApiClient(socket);
    const timeout = { timeoutMs: READY_TIMEOUT_MS };
    await eventually(
      'the agent is ready',
      async () => {
        if (child.exitCode !== null) throw new Error('it ended');
        return (await api.call<StatusView>('GET', '/v1/status')).ready;
      },
      timeout,
    );
    if (documents.length > 0) {
      const applied = spawnSync('sh', [launcher, '--socket', socket, 'apply', '-f', '-'], {
        input: documents.join('\n---\n'),
        encoding: 'utf8',
      });
      if (applied.status !== 0) throw new Error(`ocicat apply: ${applied.stderr}`);
    }
    if (hasBfd)
      await eventually(
        'a peer has BFD',
        async () => {
          const peers = await api.call<PeerView[]>('GET', '/v1/bgp/peers');
          return peers.some(({ bfd }) => bfd !== undefined);
        },
        timeout,
      );
    if (child.pid === undefined) throw new Error('the agent has no process');
    return await atRest(child.pid);
  } finally {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A speaker with one sender of `routes` prefixes and one receiver; without both, and idle, when there are none. */
async function speaker(launcher: string, netns: string, routes: number): Promise<Memory> {
  const peers = [
    { address: senderAddress(0, 'ipv4'), as: FIRST_SENDER_AS },
    { address: ADDRESS.receiver.ipv4, as: RECEIVER_AS },
  ];
  const { ipv4: routerId, ipv6: ipv6Address } = ADDRESS.deviceToSenders;
  const device = startDevice('ocicat', { netns, as: DEVICE_AS, routerId, ipv6Address, peers, launcher });
  const sessions: BenchSession[] = [];
  try {
    const [pid] = device.pids;
    if (pid === undefined) throw new Error('the speaker has no process');
    if (routes > 0) {
      const family = 'ipv4' as const;
      const common = { peerPort: device.port, family };
      const localAddress = ADDRESS.receiver.ipv4;
      const receiver = await BenchSession.open({
        ...{
          ...common,
          localAddress,
          peerAddress: ADDRESS.device.ipv4,
          as: RECEIVER_AS,
          routerId: localAddress,
        },
      });
      sessions.push(receiver);
      const from = senderAddress(0, 'ipv4');
      const sender = await BenchSession.open({
        ...{ ...common, localAddress: from, peerAddress: routerId, as: FIRST_SENDER_AS, routerId: from },
        isSink: true,
      });
      sessions.push(sender);
      receiver.reset(routes * 24 + (1 << 20));
      await sender.send(encodeAnnouncements(makeWorkload(routes, FIRST_SENDER_AS), addressOctets(from)));
      await receiver.until(() => receiver.received.announced >= routes, PASS_TIMEOUT_MS, 'all received');
    } else {
      const api = new ApiClient(device.apiSocket ?? '');
      await eventually(
        'the speaker answers',
        async () => (await api.call('GET', '/v1/status')) !== undefined,
        {
          timeoutMs: READY_TIMEOUT_MS,
        },
      );
    }
    return await atRest(pid);
  } finally {
    for (const session of sessions) session.close();
    await device.stop();
  }
}

const WITH_BFD = `apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: tor, annotations: {ocicat.dev/bfd: "true"}}
spec: {peerIP: ${ADDRESS.device.ipv4}, asNumber: 64512}`;

/** All cases of one command. Runs in the namespace of the agent and of etcd; `deviceNetns` is the speaker's. */
async function measure(from: string, launcher: string, deviceNetns: string): Promise<Row[]> {
  const rows: Row[] = [];
  const add = (what: string, memory: Memory, goalMib?: number): void => {
    rows.push({ from, what, goalMib, ...memory });
    console.error(`${from}: ${what}: ${memory.rssMib.toFixed(1)} MiB`);
  };
  if (from === 'checkout') {
    // The first start from changed sources holds the compiler too.
    await speaker(launcher, deviceNetns, 0);
    await agent(launcher, '', [WITH_BFD], true);
  }
  add('bgp speak, idle', await speaker(launcher, deviceNetns, 0));
  add('agent idle, embedded store, without BFD', await agent(launcher, '', [], false), GOAL_MIB.embedded);
  add('agent idle, embedded store, with BFD', await agent(launcher, '', [WITH_BFD], true));
  const routes = Number(values.routes);
  if (spawnSync('etcd', ['--version']).status === 0) {
    const etcd = await EtcdCluster.start();
    const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-memory-'));
    const store = (name: string): string =>
      `store: {kind: etcd, endpoints: [${etcd.endpoints.join(', ')}], path: ${join(folder, name)}}`;
    try {
      if (from === 'checkout') await agent(launcher, store('few'), [WITH_BFD], true);
      add('agent idle, etcd, with BFD', await agent(launcher, store('few'), [WITH_BFD], true), GOAL_MIB.etcd);
      const [blocks, nodes] = [Number(values.blocks), Number(values.nodes)];
      await fillEtcd(etcd.client(), blocks, nodes);
      const many = await agent(launcher, store('many'), [], true);
      add(`agent, etcd, with BFD, ${grouped(blocks)} blocks of ${grouped(nodes)} nodes`, many);
    } finally {
      await etcd.close();
      rmSync(folder, { recursive: true, force: true });
    }
  } else console.error('without the cases of etcd, which is not installed');
  add(
    `bgp speak, ${grouped(routes)} routes from one peer to another`,
    await speaker(launcher, deviceNetns, routes),
  );
  return rows;
}

async function main(deviceNetns: string): Promise<void> {
  const rows: Row[] = [];
  for (const from of values.from.split(',')) {
    if (from !== 'checkout' && from !== 'package')
      throw new Error(`--from ${from}: is neither checkout nor package`);
    const launcher = from === 'package' ? (process.env[PACKAGE] ?? '') : CHECKOUT_LAUNCHER;
    rows.push(...(await measure(from, launcher, deviceNetns)));
  }
  if (values.json) console.log(JSON.stringify(rows, undefined, 2));
  else
    console.log(
      formatTable(
        ['from', 'what', 'VmRSS MiB', 'goal', 'RssAnon MiB'],
        rows.map(({ from, what, rssMib, anonMib, goalMib }) => [
          ...[
            from,
            what,
            figure(rssMib, 1),
            goalMib === undefined ? '' : `<= ${goalMib}`,
            figure(anonMib, 1),
          ],
        ]),
        2,
      ),
    );
}

/** Builds the package, and runs this program again in the namespace of the agent. */
async function enter(): Promise<void> {
  const built = values.from.split(',').includes('package') ? buildPackage() : undefined;
  try {
    const { device, peers } = makeBed();
    const words = ['--pdeathsig', 'TERM', 'nsenter', `--net=${peers.path}`, process.execPath];
    const child = spawn('setpriv', [...words, ...process.argv.slice(1)], {
      stdio: 'inherit',
      env: { ...process.env, [DEVICE_NETNS]: device.path, [PACKAGE]: built?.launcher ?? '' },
    });
    process.exitCode = await new Promise<number>((resolve) =>
      child.once('exit', (status) => resolve(status ?? 1)),
    );
  } finally {
    built?.remove();
    await removeAllNetns();
  }
}

const deviceNetns = process.env[DEVICE_NETNS];
if (deviceNetns === undefined) await enter();
else await main(deviceNetns);
