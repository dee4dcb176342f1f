/**
 * From sender to receiver through a BGP speaker: how long a table takes to pass, and to go again; beside BIRD, FRR and GoBGP in the same run.
 * Usage (as root): node lab/bench/bgp/main.ts [--devices ocicat,bird] [--workloads one-100k,one-1m,ten-100k,hundred-1k] [--runs N] [--json].
 * Everything happens in network namespaces of its own. Runs of the devices take turns; the received set is verified after each.
 */

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { connect, createNetns, type Netns, removeAllNetns } from '../../../test/support/netns.ts';
import { median } from '../measure.ts';
import { DEVICES, type DeviceName, deviceVersion, startDevice } from './devices.ts';
import { BenchSession } from './session.ts';
import { verifyReceived } from './verify.ts';
import { encodeAnnouncements, encodeWithdrawals, makeWorkload, type Workload } from './workload.ts';

const DEVICE_AS = 65_000;
const RECEIVER_AS = 64_999;
const FIRST_SENDER_AS = 65_001;
const DEVICE_TO_RECEIVER = [10, 99, 2, 1] as const;
const SENDER_ADDRESS = (index: number): readonly number[] => [10, 99, 1, 10 + index];
/** no UPDATE for this long: the device has nothing more to say */
const QUIET_MS = 700;
const TIMEOUT_MS = 300_000;
const MAX_SENDERS = 100;
const DEVICE_NETNS = 'OCICAT_BENCH_DEVICE_NETNS';

/** How many senders, and how many prefixes each; all send the same ones, or each its own. */
interface Scenario {
  readonly senders: number;
  readonly count: number;
  readonly isShared: boolean;
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'one-100k': { senders: 1, count: 100_000, isShared: true },
  'one-1m': { senders: 1, count: 1_000_000, isShared: true },
  'ten-100k': { senders: 10, count: 100_000, isShared: true },
  'hundred-1k': { senders: 100, count: 1_000, isShared: false },
};

/** One run. Times in seconds from the first octet sent to the last UPDATE received. */
interface Measured {
  readonly inSec: number;
  readonly outSec: number;
  readonly firstMs: number;
  readonly cpuSec: number;
  readonly rssMib: number;
}

interface Prepared {
  readonly scenario: Scenario;
  /** what the receiver must have in the end */
  readonly expected: Workload;
  readonly announcements: readonly Buffer[];
  readonly withdrawals: readonly Buffer[];
}

function prepare(scenario: Scenario): Prepared {
  const total = scenario.isShared ? scenario.count : scenario.count * scenario.senders;
  const expected = makeWorkload(total, FIRST_SENDER_AS);
  const announcements: Buffer[] = [];
  const withdrawals: Buffer[] = [];
  for (let sender = 0; sender < scenario.senders; sender++) {
    const as = FIRST_SENDER_AS + sender;
    const part = scenario.isShared ? expected : slice(expected, sender * scenario.count, scenario.count);
    // The first sender has the shortest paths: with shared prefixes its routes are the best ones.
    const longer = scenario.isShared && sender > 0 ? [as, as] : [];
    const paths = part.paths.map((path) => [as, ...longer, ...path.slice(1)]);
    announcements.push(encodeAnnouncements({ ...part, paths }, SENDER_ADDRESS(sender)));
    withdrawals.push(encodeWithdrawals(part));
  }
  if (scenario.isShared) return { scenario, expected, announcements, withdrawals };
  // Each sender's routes bear its own AS: one attribute set per (sender, set) that occurs.
  const paths: number[][] = [];
  const setOf = new Uint32Array(total);
  const known = new Map<string, number>();
  for (let index = 0; index < total; index++) {
    const as = FIRST_SENDER_AS + Math.floor(index / scenario.count);
    const set = expected.setOf[index] ?? 0;
    const key = `${as} ${set}`;
    let own = known.get(key);
    if (own === undefined) {
      own = paths.push([as, ...(expected.paths[set] ?? []).slice(1)]) - 1;
      known.set(key, own);
    }
    setOf[index] = own;
  }
  return { scenario, expected: { ...expected, paths, setOf }, announcements, withdrawals };
}

function slice(table: Workload, from: number, count: number): Workload {
  return {
    count,
    addresses: table.addresses.subarray(from, from + count),
    lengths: table.lengths.subarray(from, from + count),
    setOf: table.setOf.subarray(from, from + count),
    paths: table.paths,
  };
}

/** Makes the namespaces of the device and of the harness, joined by two links: one for the senders, one for the receiver. */
function makeBed(): { readonly device: Netns; readonly peers: Netns } {
  const device = createNetns();
  const peers = createNetns();
  const senders = Array.from({ length: MAX_SENDERS }, (_, index) => `${SENDER_ADDRESS(index).join('.')}/24`);
  connect(
    { netns: device, name: 'in0', addresses: ['10.99.1.1/24'] },
    { netns: peers, name: 'send0', addresses: senders },
  );
  connect(
    { netns: device, name: 'out0', addresses: ['10.99.2.1/24'] },
    { netns: peers, name: 'take0', addresses: ['10.99.2.2/24'] },
  );
  return { device, peers };
}

async function runOnce(netns: string, name: DeviceName, prepared: Prepared): Promise<Measured> {
  const { scenario, expected } = prepared;
  const senders = Array.from({ length: scenario.senders }, (_, index) => ({
    address: SENDER_ADDRESS(index).join('.'),
    as: FIRST_SENDER_AS + index,
  }));
  const receiverPeer = { address: '10.99.2.2', as: RECEIVER_AS };
  const device = startDevice(name, {
    netns,
    as: DEVICE_AS,
    routerId: '10.99.1.1',
    peers: [...senders, receiverPeer],
  });
  const sessions: BenchSession[] = [];
  try {
    const receiver = await BenchSession.open({
      localAddress: receiverPeer.address,
      peerAddress: '10.99.2.1',
      peerPort: device.port,
      as: RECEIVER_AS,
    });
    sessions.push(receiver);
    const injectors = await Promise.all(
      senders.map(({ address, as }) =>
        BenchSession.open({
          localAddress: address,
          peerAddress: '10.99.1.1',
          peerPort: device.port,
          as,
        }),
      ),
    );
    sessions.push(...injectors);
    await pause(1_000);
    receiver.reset(expected.count * 24 + (1 << 20));
    const cpuBefore = device.cpuSec();
    const startedAt = performance.now();
    for (const [index, injector] of injectors.entries())
      injector.send(prepared.announcements[index] ?? Buffer.alloc(0));
    await quietAfter(receiver, () => receiver.received.announced >= expected.count);
    const inSec = (receiver.received.lastAt - startedAt) / 1000;
    const firstMs = receiver.received.firstAt - startedAt;
    const cpuSec = device.cpuSec() - cpuBefore;
    verifyReceived(receiver.octets(), expected, DEVICE_AS, DEVICE_TO_RECEIVER);
    const rssMib = device.peakRssMib();
    receiver.reset(expected.count * 24 + (1 << 20));
    const withdrawnAt = performance.now();
    // Shared prefixes: the best one's only, so that every prefix changes to the next best.
    const isReplaced = scenario.isShared && scenario.senders > 1;
    for (const [index, injector] of injectors.entries())
      if (!isReplaced || index === 0) injector.send(prepared.withdrawals[index] ?? Buffer.alloc(0));
    const { received } = receiver;
    await quietAfter(
      receiver,
      () => (isReplaced ? received.announced : received.withdrawn) >= expected.count,
    );
    const outSec = (received.lastAt - withdrawnAt) / 1000;
    if (!isReplaced) verifyReceived(receiver.octets(), undefined, DEVICE_AS, DEVICE_TO_RECEIVER);
    return { inSec, outSec, firstMs, cpuSec, rssMib };
  } finally {
    for (const session of sessions) session.close();
    await device.stop();
  }
}

async function quietAfter(receiver: BenchSession, isDone: () => boolean): Promise<void> {
  await receiver.until(isDone, TIMEOUT_MS, 'all received');
  while (performance.now() - receiver.received.lastAt < QUIET_MS) await pause(50);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Sender straight to receiver: what the harness itself needs, in seconds. */
async function harnessAlone(prepared: Prepared): Promise<number> {
  const octets = prepared.announcements[0] ?? Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.once('data', (open) => {
      // Its own OPEN back with a KEEPALIVE: enough of a peer to be established.
      socket.write(open);
      socket.write(Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from([0, 19, 4])]));
      socket.once('data', () => socket.write(octets));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '10.99.2.2', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const receiver = await BenchSession.open({
    localAddress: '10.99.1.10',
    peerAddress: '10.99.2.2',
    peerPort: address.port,
    as: RECEIVER_AS,
  });
  const startedAt = performance.now();
  await receiver.until(
    () => receiver.received.announced >= prepared.scenario.count,
    TIMEOUT_MS,
    'all received',
  );
  const seconds = (receiver.received.lastAt - startedAt) / 1000;
  receiver.close();
  server.close();
  return seconds;
}

/** Runs in the namespace of the harness; `deviceNetns`: the path of the device's. */
async function measure(deviceNetns: string): Promise<void> {
  const { values } = parseArgs({
    options: {
      devices: { type: 'string', default: 'ocicat,bird' },
      workloads: { type: 'string', default: Object.keys(SCENARIOS).join(',') },
      runs: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
    },
  });
  const devices = values.devices.split(',').map((name) => {
    const device = DEVICES.find((each) => each === name);
    if (device === undefined) throw new Error(`--devices ${name}: is none of ${DEVICES.join(', ')}`);
    return device;
  });
  const results = [];
  if (!values.json) for (const device of devices) console.log(`${device.padEnd(8)} ${deviceVersion(device)}`);
  for (const workload of values.workloads.split(',')) {
    const scenario = SCENARIOS[workload];
    if (scenario === undefined)
      throw new Error(`--workloads ${workload}: is none of ${Object.keys(SCENARIOS).join(', ')}`);
    const prepared = prepare(scenario);
    const floorSec = await harnessAlone(prepared);
    const measured = new Map<DeviceName, Measured[]>(devices.map((device) => [device, []]));
    for (let run = 0; run < Number(values.runs); run++)
      for (const device of devices) measured.get(device)?.push(await runOnce(deviceNetns, device, prepared));
    const of = (device: DeviceName, key: keyof Measured): number =>
      median((measured.get(device) ?? []).map((each) => each[key]));
    for (const device of devices) {
      const ratio = (key: keyof Measured): number | undefined =>
        devices.includes('bird') ? Math.round((of(device, key) / of('bird', key)) * 100) / 100 : undefined;
      results.push({
        workload,
        device,
        inSec: of(device, 'inSec'),
        inToBird: ratio('inSec'),
        outSec: of(device, 'outSec'),
        outToBird: ratio('outSec'),
        firstMs: of(device, 'firstMs'),
        cpuSec: of(device, 'cpuSec'),
        rssMib: of(device, 'rssMib'),
        rssToBird: ratio('rssMib'),
        harnessSec: floorSec,
      });
    }
  }
  if (values.json) {
    console.log(JSON.stringify(results, undefined, 2));
    return;
  }
  const head = [
    'workload',
    'device',
    'in s',
    '/bird',
    'out s',
    '/bird',
    'first ms',
    'CPU s',
    'RSS MiB',
    '/bird',
    'harness s',
  ];
  const lines = results.map((row) => [
    row.workload,
    row.device,
    row.inSec.toFixed(3),
    row.inToBird?.toFixed(2) ?? '',
    row.outSec.toFixed(3),
    row.outToBird?.toFixed(2) ?? '',
    row.firstMs.toFixed(1),
    row.cpuSec.toFixed(2),
    row.rssMib.toFixed(0),
    row.rssToBird?.toFixed(2) ?? '',
    row.harnessSec.toFixed(3),
  ]);
  for (const line of [head, ...lines])
    console.log(line.map((cell, column) => (column < 2 ? cell.padEnd(11) : cell.padStart(9))).join(' '));
}

/** Makes the namespaces and runs this program again in that of the harness, since its sockets belong there. */
async function enter(): Promise<void> {
  const { device, peers } = makeBed();
  try {
    const args = [`--net=${peers.path}`, process.execPath, ...process.argv.slice(1)];
    const child = spawn('nsenter', args, {
      stdio: 'inherit',
      env: { ...process.env, [DEVICE_NETNS]: device.path },
    });
    process.exitCode = await new Promise<number>((resolve) =>
      child.once('exit', (status) => resolve(status ?? 1)),
    );
  } finally {
    await removeAllNetns();
  }
}

const deviceNetns = process.env[DEVICE_NETNS];
if (deviceNetns === undefined) await enter();
else await measure(deviceNetns);
