/**
 * Routes into the kernel and out again: how long until it holds the last one, and none. A raw netlink loop by next-hop id is the limit; beside
 * it our programmer, `ip -batch`, and from wire to kernel `ocicat bgp speak --fib`, BIRD and FRR (bgpd and zebra), in turns.
 * Usage (as root): node lab/bench/fib.ts [--routes 100000,500000] [--runs 5] [--contenders raw,programmer,ip-batch,ocicat,bird,frr]
 * [--adopt] [--no-adopt] [--from package|checkout] [--json] [--plot FILE].
 * The raw loop writes in the order of the prefixes, as peers send them; `raw-scattered`, which is run when it is named, as our programmer does.
 * Also measured, and with --adopt alone: a start on a kernel that holds all the routes already. In network namespaces of its own; what the
 * kernel holds is compared, prefixes and gateways, after each phase. For the daemons the clock runs from the first octet sent.
 * --from: `ocicat` as users have it (default) or from these sources. --plot: an SVG of the ratios to the raw loop, which is to be among the contenders.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { connect, createNetns, Netns, removeAllNetns } from '../../test/support/netns.ts';
import { DEVICES, deviceVersion } from './bgp/devices.ts';
import { FIRST_SENDER_AS } from './bgp/jobs.ts';
import { makeWorkload } from './bgp/workload.ts';
import { type Adoption, adopt } from './fib/adopt.ts';
import { wireToKernel } from './fib/daemons.ts';
import {
  type Contender,
  DEVICE,
  GATEWAY,
  HOST_ADDRESS,
  ipBatch,
  programmer,
  raw,
  rawScattered,
  type Times,
} from './fib/in-process.ts';
import { ExpectedRoutes } from './fib/kernel-table.ts';
import { adoptionsOf, formatAdoptions, formatRows, plotOf, type Row, rowsOf } from './fib/report.ts';
import { withLauncher } from './package.ts';
import { renderPlot } from './plot.ts';

const HOST = 'OCICAT_BENCH_HOST_NETNS';

const CONTENDERS: Readonly<Record<string, Contender>> = {
  raw,
  programmer,
  'ip-batch': ipBatch,
  ocicat: wireToKernel('ocicat'),
  bird: wireToKernel('bird'),
  frr: wireToKernel('frr'),
  'raw-scattered': rawScattered,
};
/** unless asked for otherwise */
const USUAL = ['raw', 'programmer', 'ip-batch', 'ocicat', 'bird', 'frr'];

const { values } = parseArgs({
  options: {
    routes: { type: 'string', default: '100000,500000' },
    runs: { type: 'string', default: '5' },
    contenders: { type: 'string', default: USUAL.join(',') },
    adopt: { type: 'boolean', default: false },
    'no-adopt': { type: 'boolean', default: false },
    from: { type: 'string', default: 'package' },
    json: { type: 'boolean', default: false },
    plot: { type: 'string' },
  },
});

/** Runs in the namespace of the injector. */
async function measure(host: Netns): Promise<void> {
  const contenders = values.adopt ? [] : values.contenders.split(',');
  for (const who of contenders)
    if (CONTENDERS[who] === undefined)
      throw new Error(`--contenders ${who}: is none of ${Object.keys(CONTENDERS).join(', ')}`);
  await prepareNamespaces();
  const rows: Row[] = [];
  const adoptions: (Adoption & { readonly routes: number })[] = [];
  const runs = Number(values.runs);
  for (const count of values.routes.split(',').map(Number)) {
    const routes = new ExpectedRoutes(makeWorkload(count, FIRST_SENDER_AS));
    const results = new Map<string, Times[]>(contenders.map((who) => [who, []]));
    const faults = new Map<string, string>();
    const adopted: Adoption[] = [];
    for (let run = 0; run < runs; run++) {
      for (const [who, times] of results) {
        const contender = CONTENDERS[who];
        if (contender === undefined || faults.has(who)) continue;
        try {
          times.push(await contender(host, routes));
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          faults.set(who, reason);
          console.error(`${who}, ${count} routes: ${reason}`);
          clean(host);
        }
      }
      if (!values['no-adopt']) adopted.push(await adopt(host, routes));
    }
    rows.push(...rowsOf(count, results, faults));
    adoptions.push(...adoptionsOf(count, adopted));
  }
  if (values.json) console.log(JSON.stringify({ rows, adoptions }, undefined, 2));
  else {
    if (rows.length > 0) console.log(formatRows(rows));
    if (adoptions.length > 0) console.log(`\n${formatAdoptions(adoptions)}`);
  }
  if (values.plot !== undefined) {
    const versions = DEVICES.filter((name) => contenders.includes(name)).map((name) => deviceVersion(name));
    const place = `Linux ${release()}, ${cpus().length} processors; medians of ${runs} runs that take turns`;
    writeFileSync(values.plot, renderPlot(plotOf(rows, [...versions, place].join(', '))));
  }
  if (rows.some(({ fault }) => fault !== undefined)) process.exitCode = 1;
}

/** What a contender that failed left behind. */
function clean(host: Netns): void {
  for (const protocol of ['171', 'bird', 'bgp']) {
    host.tryRun('ip', 'route', 'flush', 'proto', protocol);
    host.tryRun('ip', 'nexthop', 'flush', 'proto', protocol);
  }
}

/** Makes the namespaces and runs this program again in that of the injector, since its sockets belong there. */
async function enter(environment: NodeJS.ProcessEnv): Promise<void> {
  const host = createNetns();
  const peer = createNetns();
  try {
    connect(
      { netns: host, name: DEVICE, addresses: [`${HOST_ADDRESS}/24`] },
      { netns: peer, name: DEVICE, addresses: [`${GATEWAY}/24`] },
    );
    // The kernel ends it with this process, however that ends.
    const words = ['--pdeathsig', 'TERM', 'nsenter', `--net=${peer.path}`, process.execPath];
    const child = spawn('setpriv', [...words, ...process.argv.slice(1)], {
      stdio: 'inherit',
      env: { ...environment, [HOST]: host.name },
    });
    process.exitCode = await new Promise<number>((resolve) =>
      child.once('exit', (status) => resolve(status ?? 1)),
    );
  } finally {
    await removeAllNetns();
  }
}

const hostName = process.env[HOST];
if (hostName === undefined) await withLauncher(values.from, enter);
else await measure(new Netns(hostName));
