/**
 * Failing over between two routers: `ocicat bgp speak --fib` has the same routes from both and uses both; one dies, and packets through the host
 * show how long it takes until all of them go over the other, and whether any is lost when it comes back.
 * Usage (as root): node lab/bench/failover.ts [--routes 10000,100000,500000] [--causes reset,carrier,admin,bfd] [--runs 3]
 * [--family ipv4|ipv6|both] [--json] [--plot FILE].
 * Causes: reset (the router ends the session and forwards nothing more, the link stays up), carrier (its end of the link goes down), admin
 * (the host's end is set down), bfd (300 ms x 3 with BIRD; the router freezes and forwards nothing more). Four flows, a packet every half
 * millisecond each. Family: of the sessions, the routes, their next hops and the packets. A gap is measured between the sending of two packets that arrived. In network namespaces of its own.
 * --plot: an SVG of the gaps.
 */
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { addressBits, FAMILIES, type Family } from '../../src/net/address.ts';
import { eventually } from '../../test/support/eventually.ts';
import { removeAllNetns } from '../../test/support/netns.ts';
import { FIRST_SENDER_AS } from './bgp/jobs.ts';
import { wordsOf } from './bgp/routes.ts';
import { makeIpv6Workload, makeWorkload } from './bgp/workload.ts';
import { type Bed, deviceTo, gatewaysTo, makeBed, type Router } from './failover/bed.ts';
import { Child } from './failover/child.ts';
import { monotonicMs } from './failover/clock.ts';
import { HostWatch } from './failover/host-watch.ts';
import { type FlowReport, lossOf } from './failover/packets.ts';
import { formatRows, plotOf, type Row, rowOf, type Sample } from './failover/report.ts';
import { addressOfWords, ExpectedRoutes } from './fib/kernel-table.ts';
import { renderPlot } from './plot.ts';

const PORT = '7777';
const FLOWS_A_ROUTER = 2;
const CANDIDATES = 64;
const QUIET_MS = 300;
/** prefixes that are looked up before the whole table is read, the last that routers announce among them */
const SAMPLES = 8;
const TIMEOUT_MS = 120_000;
/** packets flow so long before and after whatever happens */
const STEADY_MS = 500;
const SLOWLY = { timeoutMs: TIMEOUT_MS, intervalMs: 50 };

/** How a router dies, and what brings it back but for its session. Times are those of `clock.ts`. */
interface Cause {
  /** resolves to when it was done */
  readonly strike: (bed: Bed, router: Router) => Promise<number>;
  readonly heal: (bed: Bed, router: Router) => Promise<unknown>;
  /** when the host knew, if that is not when it was done */
  readonly detectedAt?: (bed: Bed, linkAt: number | undefined) => number | undefined;
}

const at = (answer: { readonly at: number }): number => answer.at;

const CAUSES: Readonly<Record<string, Cause>> = {
  reset: {
    strike: async (_, { child }) => at(await child.ask('reset')),
    heal: (_, { child }) => child.ask('forward'),
  },
  carrier: {
    strike: async (_, { child }) => at(await child.ask('link down')),
    heal: (_, { child }) => child.ask('link up'),
    detectedAt: (_, linkAt) => linkAt,
  },
  admin: {
    strike: async ({ host }, { device }) => {
      const before = monotonicMs();
      host.sh(`ip link set ${device} down`);
      return before;
    },
    heal: async ({ host }, { device }) => host.sh(`ip link set ${device} up`),
    detectedAt: (_, linkAt) => linkAt,
  },
  bfd: {
    strike: async (_, { child, bfd }) => {
      bfd?.kill('SIGSTOP');
      return at(await child.ask('stop-forwarding'));
    },
    heal: async (_, { child, bfd }) => {
      await child.ask('forward');
      bfd?.kill('SIGCONT');
    },
    detectedAt: (bed) => bed.bfdDownAt(),
  },
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The bed with its routes and a stream of packets. */
class Trial {
  readonly #bed: Bed;
  readonly #routes: ExpectedRoutes;
  readonly #watch: HostWatch;
  #targetsInUse: readonly string[] = [];
  #receiver: Child | undefined;
  #sender: Child | undefined;

  constructor(bed: Bed, count: number) {
    this.#bed = bed;
    const make = bed.family === 'ipv4' ? makeWorkload : makeIpv6Workload;
    this.#routes = new ExpectedRoutes(make(count, FIRST_SENDER_AS));
    this.#watch = new HostWatch(bed.host.path);
  }

  async start(): Promise<void> {
    const { family, client, server, routers } = this.#bed;
    await Promise.all(routers.map((router) => this.#announce(router)));
    await this.#installed(routers);
    const targets = this.#targets();
    this.#targetsInUse = targets;
    for (const target of targets) server.sh(`ip address add ${target}/${addressBits(family)} dev lo`);
    this.#receiver = new Child(server, './receiver.ts', PORT, String(targets.length), family);
    await this.#receiver.ask('ready');
    this.#sender = new Child(client, './sender.ts', PORT, ...targets);
    await eventually('all flows arrive', async () => this.#isFlowing(await this.#report()), SLOWLY);
    const devices = new Set(targets.map((target) => deviceTo(this.#bed, target)));
    if (devices.size !== routers.length) throw new Error('the flows do not use both routers');
    await pause(STEADY_MS);
  }

  /** One death and return of a router. */
  async run(cause: Cause): Promise<Sample> {
    const bed = this.#bed;
    const [router, survivor] = bed.routers;
    const before = lossOf([await this.#report()]);
    if (before.lost > 0) throw new Error(`${before.lost} packets were lost before anything happened`);
    this.#watch.expect(router.device, router.address);
    bed.bfdDownAt();
    const struckAt = await cause.strike(bed, router);
    const reports: FlowReport[] = [];
    await this.#installed([survivor]);
    const tidiedAt = this.#watch.lastRouteAt;
    await pause(STEADY_MS);
    await eventually(
      'all flows arrive over the other router',
      async () => {
        const report = await this.#report();
        reports.push(report);
        return this.#isFlowing(report);
      },
      SLOWLY,
    );
    for (const target of this.#targetsInUse)
      if (deviceTo(bed, target) !== survivor.device) throw new Error(`${target} was not moved`);
    const { linkAt, requests, routes } = this.#watch.events();
    const { lost, longestMs, endedAt } = lossOf(reports);
    const detectedAt = cause.detectedAt === undefined ? struckAt : cause.detectedAt(bed, linkAt);
    if (detectedAt === undefined) throw new Error('nothing says when the host knew of it');

    const healedAt = monotonicMs();
    await cause.heal(bed, router);
    await this.#announce(router);
    await this.#installed(bed.routers);
    const backAt = this.#watch.lastRouteAt;
    await pause(STEADY_MS);
    const back = lossOf([await this.#report()]);
    return {
      gapMs: longestMs,
      afterDetectionMs: Math.max(0, endedAt - detectedAt),
      lost,
      requests,
      routesBefore: routes,
      tidySec: Math.max(0, tidiedAt - struckAt) / 1000,
      backLost: back.lost,
      backSec: (backAt - healedAt) / 1000,
    };
  }

  close(): void {
    this.#sender?.close();
    this.#receiver?.close();
    this.#watch.close();
  }

  #announce({ child }: Router): Promise<unknown> {
    return child.ask(`announce ${this.#routes.table.count}`);
  }

  /** Waits until all routes go over just these routers. */
  async #installed(routers: readonly Router[]): Promise<void> {
    const gateways = routers.map(({ address }) => address);
    const wanted = [...gateways].sort().join(' ');
    const { host } = this.#bed;
    let problem: string | undefined = 'not looked at';
    const check = (): boolean => {
      // A look at a large table takes long, so only when nothing moves, nor is about to: the kernel starts such a look over with each change, and
      // for as long as it lasts (a minute and more, IPv6) lets hardly anybody write.
      this.#watch.events();
      if (monotonicMs() - this.#watch.lastRouteAt < QUIET_MS) return false;
      const odd = this.#samples().find((address) => gatewaysTo(this.#bed, address) !== wanted);
      if (odd !== undefined) {
        problem = `${odd} goes over ${gatewaysTo(this.#bed, odd)}`;
        return false;
      }
      problem = this.#routes.compare(host.path, gateways).problem;
      return problem === undefined;
    };
    try {
      await eventually(`all routes go over ${gateways.join(' and ')}`, check, {
        timeoutMs: TIMEOUT_MS,
        intervalMs: QUIET_MS,
      });
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}: ${problem}`, { cause: error });
    }
  }

  /** Addresses in announced prefixes, from the first to the last. */
  #samples(): readonly string[] {
    const { table } = this.#routes;
    return Array.from({ length: SAMPLES }, (_, index) =>
      this.#addressIn(Math.floor((index * (table.count - 1)) / (SAMPLES - 1))),
    );
  }

  #addressIn(index: number): string {
    const { family, words } = this.#routes.table;
    const size = wordsOf(family);
    const address = [...words.subarray(index * size, (index + 1) * size)];
    address[size - 1] = (address[size - 1] ?? 0) + 1;
    return addressOfWords(family, address);
  }

  /** Addresses in announced prefixes, as many over each router. */
  #targets(): readonly string[] {
    const { count } = this.#routes.table;
    const byDevice = new Map<string, string[]>();
    for (let candidate = 0; candidate < CANDIDATES; candidate++) {
      const target = this.#addressIn(Math.floor((candidate * count) / CANDIDATES));
      const device = deviceTo(this.#bed, target) ?? '';
      const found = byDevice.get(device) ?? [];
      if (found.length < FLOWS_A_ROUTER) byDevice.set(device, [...found, target]);
      const targets = [...byDevice.values()].flat();
      if (targets.length === FLOWS_A_ROUTER * this.#bed.routers.length) return targets;
    }
    throw new Error('the kernel does not spread flows over both routers');
  }

  async #report(): Promise<FlowReport> {
    if (this.#receiver === undefined) throw new Error('not started');
    return await this.#receiver.ask<FlowReport>('report');
  }

  #isFlowing({ lastSentAt }: FlowReport): boolean {
    return Math.min(...lastSentAt) > monotonicMs() - STEADY_MS / 2;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      routes: { type: 'string', default: '10000,100000,500000' },
      causes: { type: 'string', default: Object.keys(CAUSES).join(',') },
      runs: { type: 'string', default: '3' },
      family: { type: 'string', default: 'both' },
      json: { type: 'boolean', default: false },
      plot: { type: 'string' },
    },
  });
  const causes = values.causes.split(',');
  for (const name of causes)
    if (CAUSES[name] === undefined)
      throw new Error(`--causes ${name}: is none of ${Object.keys(CAUSES).join(', ')}`);
  const families = FAMILIES.filter((family) => values.family === family || values.family === 'both');
  if (families.length === 0) throw new Error(`--family ${values.family}: is none of ipv4, ipv6, both`);
  await prepareNamespaces();
  const rows: Row[] = [];
  for (const count of values.routes.split(',').map(Number)) {
    for (const name of causes)
      for (const family of families) rows.push(await measure(family, count, name, Number(values.runs)));
  }
  if (values.json) console.log(JSON.stringify(rows, undefined, 2));
  else console.log(formatRows(rows));
  if (values.plot !== undefined) {
    const note = `By cause and family, a bar for each number of routes; Linux ${release()}, ${cpus().length} processors; ${values.runs} runs`;
    writeFileSync(values.plot, renderPlot(plotOf(rows, note)));
  }
  if (rows.some(({ fault }) => fault !== undefined)) process.exitCode = 1;
}

/** All runs of one cause, in namespaces and with processes of their own. */
async function measure(family: Family, count: number, name: string, runs: number): Promise<Row> {
  const cause = CAUSES[name];
  if (cause === undefined) throw new Error(`no cause is called ${name}`);
  const samples: Sample[] = [];
  let fault: string | undefined;
  const bed = makeBed(family, name === 'bfd');
  const trial = new Trial(bed, count);
  try {
    await trial.start();
    for (let run = 0; run < runs; run++) samples.push(await trial.run(cause));
  } catch (error) {
    fault = error instanceof Error ? error.message : String(error);
    console.error(`${name}, ${count} ${family} routes: ${fault}`);
  } finally {
    trial.close();
    bed.close();
    await removeAllNetns();
  }
  return rowOf({ family, routes: count, cause: name }, samples, fault);
}

await main();
