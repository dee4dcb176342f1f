/** One run of a job through one device, measured and verified. */
import { createServer } from 'node:net';
import type { Family } from '../../../src/net/address.ts';
import { connect, createNetns, type Netns } from '../../../test/support/netns.ts';
import { warmMemory } from '../warm-memory.ts';
import { type Device, type DeviceName, type DevicePeer, startDevice } from './devices.ts';
import {
  ADDRESS,
  addressOctets,
  DEVICE_AS,
  type Job,
  MAX_SENDERS,
  type Phase,
  RECEIVER_AS,
  senderAddress,
  WATCH_AS,
} from './jobs.ts';
import { BenchSession } from './session.ts';
import { ReceivedRoutes } from './verify.ts';
import { type BfdSeen, type Sample, sampleTime, WATCH_HOLD_TIME_SEC, Watch } from './watch.ts';

/** no UPDATE for this long: the device has nothing more to say */
const QUIET_MS = 700;
/** no UPDATE for this long, and the set is not right yet: it will not be */
const GIVEN_UP_MS = 15_000;
/** unless the job has a time of its own */
const WAIT_SEC = 300;
const ROUTER_ID_OF_RECEIVER = '10.99.2.2';

/** What one phase came to. */
export interface PhaseResult {
  readonly name: Phase['name'];
  /** from the first octet sent to the last UPDATE received */
  readonly sec: number;
  /** to the first UPDATE received */
  readonly firstMs: number;
  /** from the last octet given to the kernel to the last UPDATE received */
  readonly backlogMs: number;
  readonly cpuSec: number;
  readonly peakRssMib: number;
}

export interface RunResult {
  readonly phases: readonly PhaseResult[];
  /** of the API's answers during the phases, ms; none where it was not asked */
  readonly answersMs: readonly number[];
  /** longest silence on a session with a keepalive time of 1 s, ms; NaN when not watched */
  readonly longestGapMs: number;
  /** where BFD was watched */
  readonly bfd?: BfdSeen;
}

/** Makes the namespaces of the device and of the harness, joined by two links: one for the senders, one for the receiver. */
export function makeBed(): { readonly device: Netns; readonly peers: Netns } {
  const device = createNetns();
  const peers = createNetns();
  for (const each of [device, peers]) each.sysctl('net/ipv6/conf/default/accept_dad', 0);
  const senders = Array.from({ length: MAX_SENDERS }, (_, index) => `${senderAddress(index, 'ipv4')}/24`);
  const { device: out, deviceToSenders: inward, receiver, watch } = ADDRESS;
  connect(
    { netns: device, name: 'in0', addresses: [`${inward.ipv4}/24`, `${inward.ipv6}/64`] },
    { netns: peers, name: 'send0', addresses: [...senders, `${senderAddress(0, 'ipv6')}/64`] },
  );
  connect(
    { netns: device, name: 'out0', addresses: [`${out.ipv4}/24`, `${out.ipv6}/64`] },
    { netns: peers, name: 'take0', addresses: [`${receiver.ipv4}/24`, `${receiver.ipv6}/64`, `${watch}/24`] },
  );
  return { device, peers };
}

/** The two sides of one family at the receiver. */
interface ReceiverSide {
  readonly family: Family;
  readonly session: BenchSession;
  readonly routes: ReceivedRoutes;
  /** octets of `session.kept` that `routes` has seen */
  appliedTo: number;
}

/**
 * BIRD keeps eight connections that it has not accepted yet (its `listen`); beyond that the kernel answers with SYN cookies and forgets some, which
 * then wait for their retransmissions, half a minute and more.
 */
const DIALS_AT_ONCE = 4;

/**
 * Starts the device in the namespace, runs all phases, ends it. `hasBfd`: BFD is watched too, of ocicat alone. Throws when what the receiver has
 * differs from what it must have.
 */
export async function runOnce(
  netns: string,
  name: DeviceName,
  job: Job,
  isWatched: boolean,
  hasBfd: boolean,
): Promise<RunResult> {
  const device = startDevice(name, {
    netns,
    as: DEVICE_AS,
    routerId: ADDRESS.deviceToSenders.ipv4,
    ipv6Address: ADDRESS.deviceToSenders.ipv6,
    peers: peersOf(job, isWatched, hasBfd),
  });
  const sessions: BenchSession[] = [];
  let watch: Watch | undefined;
  try {
    const receivers: ReceiverSide[] = [];
    for (const family of job.families) {
      const session = await BenchSession.open({
        ...{ localAddress: ADDRESS.receiver[family], peerAddress: ADDRESS.device[family] },
        ...{ peerPort: device.port, as: RECEIVER_AS, routerId: ROUTER_ID_OF_RECEIVER, family },
        ...(job.hasPathIds ? { addPath: 'receive' } : {}),
      });
      sessions.push(session);
      receivers.push({ family, session, routes: new ReceivedRoutes(family, job.hasPathIds), appliedTo: 0 });
    }
    const senders: (readonly BenchSession[])[] = [];
    while (senders.length < job.senders.length) {
      const from = senders.length;
      const opened = job.senders
        .slice(from, from + DIALS_AT_ONCE)
        .map((as, offset) =>
          Promise.all(job.families.map((family) => sender(job, device, as, from + offset, family))),
        );
      senders.push(...(await Promise.all(opened)));
    }
    sessions.push(...senders.flat());
    if (isWatched) {
      const session = {
        ...{ localAddress: ADDRESS.watch, peerAddress: ADDRESS.device.ipv4, peerPort: device.port },
        ...{ as: WATCH_AS, routerId: ADDRESS.watch, family: 'ipv4' as const },
        holdTimeSec: WATCH_HOLD_TIME_SEC,
      };
      watch = await Watch.start({ session, apiSocket: device.apiSocket, hasBfd });
    }
    const release = await warmMemory();
    await pause(1_000);
    await release();
    const phases: PhaseResult[] = [];
    const spans: (readonly [from: number, to: number])[] = [];
    for (const phase of job.phases) {
      const from = sampleTime();
      const result = await runPhase(job, phase, device, senders, receivers);
      spans.push([from, from + result.sec * 1000]);
      phases.push(result);
    }
    const { answers = [], gaps = [], bfd, fault } = (await watch?.stop()) ?? {};
    watch = undefined;
    if (fault !== undefined) throw new Error(`the watched session or the API: ${fault}`);
    const isDuring = ({ at, ms }: Sample): boolean => spans.some(([from, to]) => at <= to && at + ms >= from);
    return {
      phases,
      answersMs: answers.filter(isDuring).map(({ ms }) => ms),
      longestGapMs: isWatched ? Math.max(...gaps.filter(isDuring).map(({ ms }) => ms)) : Number.NaN,
      ...(bfd && {
        bfd: { longestGapMs: Math.max(...bfd.gaps.filter(isDuring).map(({ ms }) => ms)), flaps: bfd.flaps },
      }),
    };
  } finally {
    await watch?.stop().catch(() => {});
    for (const session of sessions) session.close();
    await device.stop();
  }
}

function peersOf(job: Job, isWatched: boolean, hasBfd: boolean): DevicePeer[] {
  const send = job.hasPathIds ? ({ addPath: 'send' } as const) : {};
  const receive = job.hasPathIds ? ({ addPath: 'receive' } as const) : {};
  return [
    ...job.senders.flatMap((as, index) =>
      job.families.map((family) => ({ address: senderAddress(index, family), as, ...receive })),
    ),
    ...job.families.map((family) => ({ address: ADDRESS.receiver[family], as: RECEIVER_AS, ...send })),
    ...(isWatched ? [{ address: ADDRESS.watch, as: WATCH_AS, isWatch: true, hasBfd }] : []),
  ];
}

function sender(job: Job, device: Device, as: number, index: number, family: Family): Promise<BenchSession> {
  return BenchSession.open({
    ...{ localAddress: senderAddress(index, family), peerAddress: ADDRESS.deviceToSenders[family] },
    ...{ peerPort: device.port, as, routerId: senderAddress(index, 'ipv4'), family, isSink: true },
    ...(job.hasPathIds ? { addPath: 'send' } : {}),
  });
}

async function runPhase(
  job: Job,
  phase: Phase,
  device: Device,
  senders: readonly (readonly BenchSession[])[],
  receivers: readonly ReceiverSide[],
): Promise<PhaseResult> {
  for (const [index, side] of receivers.entries()) {
    const count = (phase.changes[index] ?? 0) + (phase.updates > 0 ? 1_000_000 : 0);
    side.session.reset(count * (job.hasPathIds ? 200 : 24) + (1 << 20));
    side.appliedTo = 0;
  }
  const cpuBefore = device.cpuSec();
  const startedAt = performance.now();
  const sent = senders.flatMap((ofSender, index) =>
    ofSender.map((session, family) => session.send(phase.octets[index]?.[family] ?? Buffer.alloc(0))),
  );
  let sentAt = Number.NaN;
  const allSent = Promise.all(sent).then(() => {
    sentAt = performance.now();
  });
  const waitMs = (job.waitSec ?? WAIT_SEC) * 1000;
  for (const [index, { session }] of receivers.entries()) {
    const { received } = session;
    const least = phase.changes[index] ?? 0;
    await session.until(() => received.announced + received.withdrawn >= least, waitMs, 'all received');
  }
  await allSent;
  const sides = receivers.map(({ session }) => session.received);
  const lastAt = (): number => Math.max(startedAt, ...sides.map((received) => received.lastAt));
  await settled(receivers, phase, () => Math.max(lastAt(), sentAt));
  const firsts = sides.map(({ firstAt }) => firstAt).filter((at) => at > 0);
  return {
    name: phase.name,
    sec: (lastAt() - startedAt) / 1000,
    firstMs: Math.min(...firsts) - startedAt,
    backlogMs: Math.max(0, lastAt() - sentAt),
    cpuSec: device.cpuSec() - cpuBefore,
    peakRssMib: device.peakRssMib(),
  };
}

/** Waits until nothing more comes and all is right; `lastAt`: when something last happened. */
async function settled(
  receivers: readonly ReceiverSide[],
  phase: Phase,
  lastAt: () => number,
): Promise<void> {
  for (;;) {
    while (performance.now() - lastAt() < QUIET_MS) await pause(50);
    const problems: string[] = [];
    for (const [index, side] of receivers.entries()) {
      const { session, routes, family } = side;
      if (session.fault !== undefined) throw new Error(`the receiver's session fell: ${session.fault}`);
      const octets = session.octets();
      const end = session.wholeOctets;
      routes.apply(octets.subarray(side.appliedTo, end));
      side.appliedTo = end;
      const expected = phase.expected[index];
      const passedOn = { deviceAs: DEVICE_AS, nextHop: addressOctets(ADDRESS.device[family]) };
      const problem = expected && routes.difference(expected, passedOn);
      if (problem !== undefined) problems.push(`${family}: ${problem}`);
    }
    if (problems.length === 0) return;
    if (performance.now() - lastAt() > GIVEN_UP_MS)
      throw new Error(`after "${phase.name}": ${problems.join('; ')}`);
    await pause(QUIET_MS);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Sender straight to receiver: what the harness itself needs for the first phase's first stream, in seconds. */
export async function harnessAlone(job: Job): Promise<number> {
  const [family = 'ipv4'] = job.families;
  const octets = job.phases[0]?.octets[0]?.[0] ?? Buffer.alloc(0);
  const count = job.senders.length === 1 ? (job.phases[0]?.changes[0] ?? 0) : 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (open) => {
      // Its own OPEN back with a KEEPALIVE: enough of a peer to be established.
      socket.write(open);
      socket.write(Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from([0, 19, 4])]));
      socket.once('data', () => socket.write(octets));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, ADDRESS.receiver[family], resolve));
  try {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    const session = await BenchSession.open({
      ...{ localAddress: senderAddress(0, family), peerAddress: ADDRESS.receiver[family] },
      ...{ peerPort: address.port, as: RECEIVER_AS, routerId: ROUTER_ID_OF_RECEIVER, family },
      ...(job.hasPathIds ? { addPath: 'receive' } : {}),
    });
    const startedAt = performance.now();
    const { received } = session;
    await session.until(
      () => received.announced >= count && session.receivedOctets >= octets.length,
      WAIT_SEC * 1000,
      'all received',
    );
    session.close();
    return (received.lastAt - startedAt) / 1000;
  } finally {
    server.close();
  }
}
