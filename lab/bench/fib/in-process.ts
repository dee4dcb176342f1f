/** Ways into the kernel without BGP: a raw netlink loop, which is the limit; our programmer as the agent runs it; `ip -batch`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeNextHop } from '../../../fib/netlink/nexthop-message.ts';
import { AF_INET, NLM_F, RT_SCOPE, RTM, RTN } from '../../../fib/netlink/registry.ts';
import { repeatRoute, writeRoute, writeRouteDeletion } from '../../../fib/netlink/route-message.ts';
import { NetlinkSocket } from '../../../fib/netlink/socket.ts';
import { MessageWriter } from '../../../fib/netlink/writer.ts';
import { KernelWatch } from '../../../fib/routes/kernel-watch.ts';
import { RouteTable as KernelRoutes } from '../../../fib/routes/route-table.ts';
import { addressFromBytes } from '../../../src/net/address.ts';
import { PrefixTable } from '../../../src/net/prefix-table.ts';
import type { Netns } from '../../../test/support/netns.ts';
import { addressOctets } from '../bgp/jobs.ts';
import type { RouteTable } from '../bgp/routes.ts';
import { generator } from '../bgp/workload.ts';
import { warmMemory } from '../warm-memory.ts';
import { countRoutes, dotted, type ExpectedRoutes } from './kernel-table.ts';

/** The link that routes go over. */
export const DEVICE = 'eth0';
export const HOST_ADDRESS = '192.0.2.1';
export const GATEWAY = '192.0.2.2';
const PROTOCOL = 171;
const TABLE = 254;
const METRIC = 1024;
const NEXT_HOP_ID = 7;
const RAW_BATCH = 1000;
const RUN = 16;
const SLICE_MS = 1;

/** Seconds until the kernel holds all routes, and until it holds none. */
export interface Times {
  readonly addSec: number;
  readonly deleteSec: number;
  /** of the process under test, in and out together: seconds, and, where it is another than this one, MiB at the peak */
  readonly cpuSec?: number;
  readonly peakRssMib?: number;
}

/** Puts the routes into the namespace's kernel and takes them out again; throws when it is not they that stand there. */
export type Contender = (host: Netns, routes: ExpectedRoutes) => Promise<Times>;

async function timed(run: () => void | Promise<void>): Promise<{ wallSec: number; cpuSec: number }> {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  await run();
  const wallSec = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wallSec, cpuSec: (user + system) / 1e6 };
}

/** Both phases, each verified in the kernel. */
async function phases(
  host: Netns,
  routes: ExpectedRoutes,
  add: () => void | Promise<void>,
  remove: () => void | Promise<void>,
): Promise<Times> {
  const release = await warmMemory();
  await release();
  const added = await timed(add);
  const { problem } = routes.compare(host.path, [GATEWAY]);
  if (problem !== undefined) throw new Error(`the kernel: ${problem}`);
  const removed = await timed(remove);
  const left = countRoutes(host.path);
  if (left !== 0) throw new Error(`the kernel still holds ${left} routes`);
  return { addSec: added.wallSec, deleteSec: removed.wallSec, cpuSec: added.cpuSec + removed.cpuSec };
}

const gateway = addressFromBytes(addressOctets(GATEWAY));

/** The limit: routes by next-hop id, 1000 a send, an acknowledgement for the last, in the order of their prefixes. */
export const raw: Contender = (host, expected) => rawLoop(host, expected, false);

/** The same in runs of 16 in any order, which spares the kernel the resizing of its trie. */
export const rawScattered: Contender = (host, expected) => rawLoop(host, expected, true);

async function rawLoop(host: Netns, expected: ExpectedRoutes, isScattered: boolean): Promise<Times> {
  const { count, words, lengths } = expected.table;
  const socket = NetlinkSocket.open({ netns: host.path });
  const ifindex = Number(/^\d+/.exec(host.sh(`ip -o link show ${DEVICE}`))?.[0]);
  const object = { protocol: PROTOCOL, kind: 'path', ifindex, gateway, onlink: false, flags: 0 } as const;
  socket.request('make the next hop', (writer) =>
    writeNextHop(writer, { ...object, id: NEXT_HOP_ID, members: [] }, 'ipv4'),
  );
  const key = { table: TABLE, protocol: PROTOCOL, metric: METRIC };
  const scope = RT_SCOPE.UNIVERSE;
  const fields = { ...key, type: RTN.UNICAST, scope, nextHops: [], nextHopId: NEXT_HOP_ID };
  const whole = { ...key, type: RTN.UNSPEC };
  const writer = new MessageWriter(256 * 1024);
  const order = isScattered ? scattered(count) : Uint32Array.from({ length: count }, (_, index) => index);
  // Octets that are written once and repeated: what is to be measured is the kernel.
  const inBatches = (write: (length: number, word: number) => void): void => {
    write(32, 0);
    const message = writer.copyFrom(0);
    for (let from = 0; from < count; from += RAW_BATCH) {
      const to = Math.min(count, from + RAW_BATCH);
      writer.reset();
      for (let at = from; at < to; at++) {
        const index = order[at] ?? 0;
        const length = lengths[index] ?? 0;
        const word = (words[index] ?? 0) | 0;
        if (length === 0) write(length, word);
        else repeatRoute(writer, message, AF_INET, length, word, 0, 0, 0);
      }
      socket.batch(writer, to - from);
    }
    writer.reset();
  };
  const flags = NLM_F.CREATE | NLM_F.EXCL;
  try {
    return await phases(
      host,
      expected,
      () =>
        inBatches((length, word) =>
          writeRoute(writer, RTM.NEWROUTE, flags, AF_INET, length, word, 0, 0, 0, fields),
        ),
      () =>
        inBatches((length, word) =>
          writeRouteDeletion(writer, AF_INET, length, word, 0, 0, 0, whole, RTM.DELROUTE),
        ),
    );
  } finally {
    socket.close();
    host.sh(`ip nexthop del id ${NEXT_HOP_ID}`);
  }
}

/** The numbers below `count`, in runs that stand in any order. */
function scattered(count: number): Uint32Array {
  const next = generator(1);
  const runs = Array.from({ length: Math.ceil(count / RUN) }, (_, index) => ({ index, key: next() }));
  runs.sort((a, b) => a.key - b.key);
  const order = runs.flatMap(({ index }) =>
    Array.from({ length: Math.min(RUN, count - index * RUN) }, (_, offset) => index * RUN + offset),
  );
  return Uint32Array.from(order);
}

/** Our programmer on a namespace's kernel, in slices on the event loop, with a table's routes as learned ones. */
export class Programmer {
  /** routes written, and refused, since the start */
  written = 0;
  failed = 0;
  readonly kernel: KernelWatch;
  readonly routes: KernelRoutes;
  readonly #learned = new PrefixTable('ipv4');
  readonly #ids: Int32Array;

  constructor(host: Netns, { count, words, lengths }: RouteTable) {
    this.kernel = KernelWatch.open({ netns: host.path });
    this.routes = new KernelRoutes(this.kernel);
    this.#ids = Int32Array.from({ length: count }, (_, index) =>
      this.#learned.intern(lengths[index] ?? 0, (words[index] ?? 0) | 0, 0, 0, 0),
    );
  }

  /** Asks for all routes, and resolves once all is done. To be called after `kernel.start`. */
  add(): Promise<void> {
    const ifindex = this.kernel.links.byName(DEVICE)?.ifindex ?? 0;
    const target = this.routes.targets.pin({ kind: 'unicast', nextHops: [{ ifindex, gateway }] });
    for (const id of this.#ids) this.routes.setLearned(this.#learned, id, target);
    return this.settle();
  }

  remove(): Promise<void> {
    for (const id of this.#ids) this.routes.removeLearned(this.#learned, id);
    return this.settle();
  }

  async settle(): Promise<void> {
    for (;;) {
      const { more, written, failed } = this.routes.apply(SLICE_MS);
      this.written += written;
      this.failed += failed;
      if (!more) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    this.routes.close();
    this.kernel.close();
  }
}

export const programmer: Contender = async (host, expected) => {
  const programmer = new Programmer(host, expected.table);
  try {
    await programmer.kernel.start();
    return await phases(
      host,
      expected,
      () => programmer.add(),
      () => programmer.remove(),
    );
  } finally {
    programmer.close();
  }
};

export const ipBatch: Contender = async (host, expected) => {
  const { words, lengths } = expected.table;
  const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-fib-'));
  const file = (verb: string, rest: string): string => {
    const path = join(folder, verb);
    const lines = Array.from(
      words,
      (word, index) => `route ${verb} ${dotted(word)}/${lengths[index] ?? 0} ${rest}\n`,
    );
    writeFileSync(path, lines.join(''));
    return path;
  };
  const add = file('add', `via ${GATEWAY} proto ${PROTOCOL} metric ${METRIC}`);
  const del = file('del', `proto ${PROTOCOL} metric ${METRIC}`);
  const batch = (path: string): void =>
    void execFileSync('nsenter', [`--net=${host.path}`, 'ip', '-batch', path]);
  try {
    const { addSec, deleteSec } = await phases(
      host,
      expected,
      () => batch(add),
      () => batch(del),
    );
    return { addSec, deleteSec };
  } finally {
    rmSync(folder, { recursive: true });
  }
};
