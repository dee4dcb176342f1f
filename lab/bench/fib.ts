/**
 * Routes into the kernel and out again: how long until it holds the last one, and none. Our programmer beside a raw netlink loop by next-hop id
 * (the limit) and `ip -batch`, in turns.
 * Usage (as root): node lab/bench/fib.ts [--routes 100000,500000] [--runs 5] [--json]. In network namespaces of its own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { writeNextHop } from '../../fib/netlink/nexthop-message.ts';
import { AF_INET, NLM_F, RT_SCOPE, RTM, RTN } from '../../fib/netlink/registry.ts';
import { writeRoute, writeRouteDeletion, writeRouteDump } from '../../fib/netlink/route-message.ts';
import { NetlinkSocket } from '../../fib/netlink/socket.ts';
import { MessageWriter } from '../../fib/netlink/writer.ts';
import { KernelWatch } from '../../fib/routes/kernel-watch.ts';
import { RouteTable } from '../../fib/routes/route-table.ts';
import { addressFromBytes } from '../../src/net/address.ts';
import { PrefixTable } from '../../src/net/prefix-table.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../../test/support/netns.ts';
import { median } from './measure.ts';
import { figure, formatTable } from './text-table.ts';

const PROTOCOL = 171;
const TABLE = 254;
const METRIC = 1024;
const GATEWAY = '192.0.2.2';
const DEVICE = 'eth0';
const NEXT_HOP_ID = 7;
const RAW_BATCH = 1000;
const SLICE_MS = 3;

/** Seconds until the kernel holds all routes, and until it holds none. */
interface Times {
  readonly addSec: number;
  readonly deleteSec: number;
}

type Contender = (host: Netns, count: number) => Promise<Times>;

/** The `index`th destination, a /24 as a word: 1.0.0.0/24 and up. */
function word(index: number): number {
  return ((1 << 24) + (index << 8)) | 0;
}

async function timed(run: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

function countIn(host: Netns): number {
  const socket = NetlinkSocket.open({ netns: host.path });
  let count = 0;
  socket.dump(
    'count the routes',
    (writer) => writeRouteDump(writer, RTM.GETROUTE, AF_INET, TABLE, PROTOCOL),
    () => {
      count++;
    },
    () => {
      count = 0;
    },
  );
  socket.close();
  return count;
}

/** Both phases, each verified in the kernel. */
async function phases(
  host: Netns,
  count: number,
  add: () => void | Promise<void>,
  remove: () => void | Promise<void>,
): Promise<Times> {
  const addSec = await timed(add);
  const held = countIn(host);
  if (held !== count) throw new Error(`the kernel holds ${held} routes instead of ${count}`);
  const deleteSec = await timed(remove);
  const left = countIn(host);
  if (left !== 0) throw new Error(`the kernel still holds ${left} routes`);
  return { addSec, deleteSec };
}

const raw: Contender = async (host, count) => {
  const socket = NetlinkSocket.open({ netns: host.path });
  const ifindex = Number(/^\d+/.exec(host.sh(`ip -o link show ${DEVICE}`))?.[0]);
  const gateway = addressFromBytes(Uint8Array.from(GATEWAY.split('.'), Number));
  const object = { protocol: PROTOCOL, kind: 'path', ifindex, gateway, onlink: false, flags: 0 } as const;
  socket.request('make the next hop', (writer) =>
    writeNextHop(writer, { ...object, id: NEXT_HOP_ID, members: [] }, 'ipv4'),
  );
  const key = { table: TABLE, protocol: PROTOCOL, metric: METRIC };
  const fields = {
    ...key,
    type: RTN.UNICAST,
    scope: RT_SCOPE.UNIVERSE,
    nextHops: [],
    nextHopId: NEXT_HOP_ID,
  };
  const writer = new MessageWriter(256 * 1024);
  const inBatches = (write: (at: number) => void): void => {
    for (let from = 0; from < count; from += RAW_BATCH) {
      const to = Math.min(count, from + RAW_BATCH);
      writer.reset();
      for (let index = from; index < to; index++) write(word(index));
      socket.batch(writer, to - from);
    }
  };
  const flags = NLM_F.CREATE | NLM_F.EXCL;
  const times = await phases(
    host,
    count,
    () => inBatches((at) => writeRoute(writer, RTM.NEWROUTE, flags, AF_INET, 24, at, 0, 0, 0, fields)),
    () => {
      const whole = { ...key, type: RTN.UNSPEC };
      inBatches((at) => writeRouteDeletion(writer, AF_INET, 24, at, 0, 0, 0, whole, RTM.DELROUTE));
    },
  );
  socket.close();
  host.sh(`ip nexthop del id ${NEXT_HOP_ID}`);
  return times;
};

/** As the agent runs it: slices on the event loop, learned routes by id. */
const programmer: Contender = async (host, count) => {
  const kernel = KernelWatch.open({ netns: host.path });
  const routes = new RouteTable(kernel);
  await kernel.start();
  const ifindex = kernel.links.byName(DEVICE)?.ifindex ?? 0;
  const gateway = addressFromBytes(Uint8Array.from(GATEWAY.split('.'), Number));
  const target = routes.targets.pin({ kind: 'unicast', nextHops: [{ ifindex, gateway }] });
  const learned = new PrefixTable('ipv4');
  const ids = Int32Array.from({ length: count }, (_, index) => learned.intern(24, word(index)));
  const settle = async (): Promise<void> => {
    while (routes.apply(SLICE_MS).more) await new Promise((resolve) => setImmediate(resolve));
  };
  const times = await phases(
    host,
    count,
    () => {
      for (const id of ids) routes.setLearned(learned, id, target);
      return settle();
    },
    () => {
      for (const id of ids) routes.removeLearned(learned, id);
      return settle();
    },
  );
  routes.close();
  kernel.close();
  return times;
};

const ipBatch: Contender = async (host, count) => {
  const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-fib-'));
  const file = (verb: string, rest: string): string => {
    const path = join(folder, verb);
    const lines = Array.from({ length: count }, (_, index) => {
      const at = word(index);
      return `route ${verb} ${at >>> 24}.${(at >>> 16) & 255}.${(at >>> 8) & 255}.0/24 ${rest}\n`;
    });
    writeFileSync(path, lines.join(''));
    return path;
  };
  const add = file('add', `via ${GATEWAY} proto ${PROTOCOL} metric ${METRIC}`);
  const del = file('del', `proto ${PROTOCOL} metric ${METRIC}`);
  const batch = (path: string): void =>
    void execFileSync('nsenter', [`--net=${host.path}`, 'ip', '-batch', path]);
  const times = await phases(
    host,
    count,
    () => batch(add),
    () => batch(del),
  );
  rmSync(folder, { recursive: true });
  return times;
};

const CONTENDERS: Readonly<Record<string, Contender>> = { raw, ocicat: programmer, 'ip -batch': ipBatch };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      routes: { type: 'string', default: '100000,500000' },
      runs: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
    },
  });
  await prepareNamespaces();
  const rows: { routes: number; who: string; addSec: number; deleteSec: number }[] = [];
  try {
    const host = createNetns();
    const addresses = ['192.0.2.1/24'];
    connect(
      { netns: host, name: DEVICE, addresses },
      { netns: createNetns(), name: DEVICE, addresses: [`${GATEWAY}/24`] },
    );
    for (const count of values.routes.split(',').map(Number)) {
      const results = new Map<string, Times[]>(Object.keys(CONTENDERS).map((who) => [who, []]));
      for (let run = 0; run < Number(values.runs); run++) {
        for (const [who, contender] of Object.entries(CONTENDERS))
          results.get(who)?.push(await contender(host, count));
      }
      for (const [who, times] of results) {
        rows.push({
          routes: count,
          who,
          addSec: median(times.map(({ addSec }) => addSec)),
          deleteSec: median(times.map(({ deleteSec }) => deleteSec)),
        });
      }
    }
  } finally {
    await removeAllNetns();
  }
  if (values.json) {
    console.log(JSON.stringify(rows, undefined, 2));
    return;
  }
  const limitOf = (routes: number): Times | undefined =>
    rows.find((row) => row.routes === routes && row.who === 'raw');
  const cells = rows.map(({ routes, who, addSec, deleteSec }) => {
    const limit = limitOf(routes);
    return [
      who,
      String(routes),
      figure(addSec, 3),
      figure(limit && addSec / limit.addSec, 2),
      figure(deleteSec, 3),
      figure(limit && deleteSec / limit.deleteSec, 2),
    ];
  });
  console.log(formatTable(['Who', 'Routes', 'In s', 'to raw', 'Out s', 'to raw'], cells, 1));
}

await main();
