/** `ocicat bgp speak` between Debian's FRR and BIRD: without root where nothing asks for it, and with the kernel's routes. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiClient } from '../../src/api/client.ts';
import type { PeerView } from '../../src/api/views.ts';
import { runCli } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router } from '../support/routers.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/cli/ocicat.sh', import.meta.url));
const NOBODY = 65534;
const WAIT = { timeoutMs: 30_000, intervalMs: 50 };
const FRR = '192.0.2.2';
const BIRD = '198.51.100.2';
const FRR_ROUTES = ['10.2.0.0/16', '10.22.0.0/16'];
const BIRD_ROUTES = ['10.3.0.0/16'];
const ALL = '{apiVersion: projectcalico.org/v3, kind: BGPFilter, metadata: {name: all}, spec: {}}';
const NO_22 =
  '{apiVersion: projectcalico.org/v3, kind: BGPFilter, metadata: {name: no-22}, ' +
  'spec: {importV4: [{cidr: 10.22.0.0/16, matchOperator: In, action: Reject}]}}';

interface FileParts {
  readonly frr?: string;
  readonly bird?: string;
  readonly statics?: string;
}

/** The file, with these filters on the peers. */
function fileOf({
  frr = 'all',
  bird = 'all',
  statics = 'routes: [{prefix: 10.1.0.0/16}]',
}: FileParts): string {
  const peer = (name: string, address: string, as: number, filters: string): string =>
    `{apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: ${name}, annotations: {ocicat.dev/hold-time: "9"}}, ` +
    `spec: {peerIP: ${address}, asNumber: ${as}, filters: [${filters}]}}`;
  return [
    '{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: r1}, spec: {bgp: {asNumber: 65001, ipv4Address: 192.0.2.1/24}}}',
    ALL,
    NO_22,
    peer('frr', FRR, 65002, frr),
    peer('bird', BIRD, 65003, bird),
    `{apiVersion: ocicat.dev/v1, kind: StaticRoutes, metadata: {name: here}, spec: {${statics}}}`,
    '',
  ].join('\n---\n');
}

/** FRR - speak - BIRD. */
class Chain {
  readonly netns = createNetns();
  readonly frr: Router;
  readonly bird: Router;
  readonly folder: string;
  readonly file: string;
  readonly socket: string;
  readonly api: ApiClient;
  log = '';
  #child: ChildProcess | undefined;

  constructor() {
    const [left, right] = [createNetns(), createNetns()];
    link(this.netns, 'left', '192.0.2.1/24', left, `${FRR}/24`);
    link(this.netns, 'right', '198.51.100.1/24', right, `${BIRD}/24`);
    this.frr = createRouter('frr', left, {
      routerId: FRR,
      as: 65002,
      local: FRR,
      neighbour: '192.0.2.1',
      neighbourAs: 65001,
      holdTimeSec: 9,
      announce: FRR_ROUTES,
    });
    this.bird = createRouter('bird', right, {
      routerId: BIRD,
      as: 65003,
      local: BIRD,
      neighbour: '198.51.100.1',
      neighbourAs: 65001,
      holdTimeSec: 9,
      announce: BIRD_ROUTES,
    });
    this.folder = temporaryFolder();
    chmodSync(this.folder, 0o755);
    this.file = join(this.folder, 'speak.yaml');
    const run = join(this.folder, 'run');
    mkdirSync(run);
    chownSync(run, NOBODY, NOBODY);
    this.socket = join(run, 'speak.sock');
    this.api = new ApiClient(this.socket);
    chains.push(this);
  }

  async start(user: 'nobody' | 'root', ...flags: string[]): Promise<void> {
    const as =
      user === 'root' ? [] : ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
    const child = this.netns.spawn(
      'setpriv',
      ...as,
      'sh',
      LAUNCHER,
      '--socket',
      this.socket,
      'bgp',
      'speak',
      '--config',
      this.file,
      ...flags,
    );
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.log += text;
      });
    }
    await this.until('both sessions are up', async () => {
      const peers = await this.peers();
      return peers.length === 2 && peers.every(({ state }) => state === 'Established');
    });
  }

  peers(): Promise<PeerView[]> {
    return this.api.call<PeerView[]>('GET', '/v1/bgp/peers');
  }

  /** What a router has of ours. */
  async has(router: Router, prefixes: readonly string[]): Promise<void> {
    const wanted = [...prefixes].sort().join(' ');
    await this.until(`${router.kind} has ${wanted}`, async () => {
      const routes = await router.routes('ipv4');
      return (
        routes
          .map(({ prefix }) => prefix)
          .sort()
          .join(' ') === wanted
      );
    });
  }

  async logs(pattern: RegExp): Promise<void> {
    await this.until(`${pattern} is logged`, () => pattern.test(this.log));
  }

  /** Puts a new file in the old one's place. */
  replace(text: string): void {
    writeFileSync(`${this.file}.new`, text);
    renameSync(`${this.file}.new`, this.file);
  }

  signal(signal: 'SIGHUP' | 'SIGTERM'): void {
    this.#child?.kill(signal);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    assert.ok(child);
    this.signal('SIGTERM');
    await this.until('it ends', () => child.exitCode !== null || child.signalCode !== null);
    assert.equal(child.exitCode, 0, this.log);
    assert.equal(existsSync(this.socket), false, 'the socket is left');
  }

  async until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
    try {
      await eventually(what, check, WAIT);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; the log:\n${this.log}`, {
        cause: error,
      });
    }
  }
}

function link(ours: Netns, name: string, address: string, theirs: Netns, their: string): void {
  connect({ netns: ours, name, addresses: [address] }, { netns: theirs, name: 'eth0', addresses: [their] });
}

/** A table begins to exist with its first route. */
function existsIn(netns: Netns, table: string): boolean {
  return netns.run('ip', '-4', 'route', 'show', 'table', 'all').includes(`table ${table} `);
}

const chains: Chain[] = [];

describe('ocicat bgp speak', function () {
  this.timeout(120_000);
  afterEach(async () => {
    for (const { frr, bird } of chains.splice(0)) {
      await Promise.all([frr.kill(), bird.kill()]);
      frr.dispose();
      bird.dispose();
    }
    await removeAllNetns();
    removeTemporaryFolders();
  });

  it('as nobody: transit with and without filters, static routes, reload under the sessions, SIGTERM', async () => {
    const chain = new Chain();
    await Promise.all([chain.frr.start(), chain.bird.start()]);
    writeFileSync(chain.file, fileOf({ bird: '' }));
    await chain.start('nobody', '--listen', '1790');
    // RFC 8212: BIRD's side has no filters, so nothing goes there or comes from there.
    await chain.has(chain.frr, ['10.1.0.0/16']);
    await chain.has(chain.bird, []);

    chain.replace(fileOf({}));
    await chain.has(chain.bird, ['10.1.0.0/16', ...FRR_ROUTES]);
    await chain.has(chain.frr, ['10.1.0.0/16', ...BIRD_ROUTES]);
    const through = (await chain.bird.routes('ipv4')).find(({ prefix }) => prefix === '10.2.0.0/16');
    assert.deepEqual(through?.asPath, [65001, 65002]);
    assert.equal(through?.nextHop, '198.51.100.1');

    chain.replace(fileOf({ frr: 'no-22' }));
    await chain.has(chain.bird, ['10.1.0.0/16', '10.2.0.0/16']);

    // Written in place: a fault changes nothing, and all faults are told.
    writeFileSync(chain.file, fileOf({ frr: 'nil', statics: 'routes: [{prefix: 10.0.0.1/8}]' }));
    await chain.logs(/did you mean 10\.0\.0\.0\/8/);
    await chain.logs(/the configuration is not taken; the last good one stays in force/);
    writeFileSync(
      chain.file,
      fileOf({ statics: 'transit: false, routes: [{prefix: 10.1.0.0/16}, {prefix: 10.11.0.0/16}]' }),
    );
    chain.signal('SIGHUP');
    await chain.has(chain.bird, ['10.1.0.0/16', '10.11.0.0/16']);
    await chain.has(chain.frr, ['10.1.0.0/16', '10.11.0.0/16']);

    for (const { address, counters } of await chain.peers()) {
      assert.equal(counters['establishedCount'], 1, `${address} was reset`);
    }
    const { status, stdout } = await runCli(['bgp', 'peers'], { socket: chain.socket });
    assert.equal(status, 0);
    assert.match(stdout, /192\.0\.2\.2 +65002 +Established/);
    const routes = await runCli(['bgp', 'routes', '10.2.0.0/16', '-o', 'json'], { socket: chain.socket });
    assert.match(routes.stdout, /"asPath": ?"65002"/);

    await chain.stop();
    assert.match(await chain.frr.lastError(), /Administrative Shutdown/i);
    await chain.has(chain.bird, []);
  });

  it('--fib: best and static routes stand in the kernel, stay over a restart, and are swept when not wanted any more', async () => {
    const chain = new Chain();
    await Promise.all([chain.frr.start(), chain.bird.start()]);
    const kernel = (): string => chain.netns.run('ip', '-4', 'route', 'show', 'proto', '171');
    const holds = (what: string, ...patterns: RegExp[]): Promise<void> =>
      chain.until(what, () => patterns.every((pattern) => pattern.test(kernel())));
    const text = fileOf({
      statics:
        'routes: [{prefix: 10.1.0.0/16, blackhole: true}, {prefix: 10.14.0.0/16, prohibit: true}, {prefix: 10.12.0.0/16, nextHop: 198.51.100.9}, {prefix: 10.13.0.0/16, nextHop: 203.0.113.1}]',
    });
    writeFileSync(chain.file, text);
    const others = '10.22.0.0/16 via 198.51.100.9 metric 1024';
    chain.netns.sh(`ip route add ${others}`);
    await chain.start('root', '--listen', '1790', '--fib');
    await holds(
      'learned and static routes',
      /^10\.2\.0\.0\/16 .*192\.0\.2\.2/m,
      /^10\.3\.0\.0\/16 .*198\.51\.100\.2/m,
      /^blackhole 10\.1\.0\.0\/16/m,
      /^prohibit 10\.14\.0\.0\/16/m,
      /^10\.12\.0\.0\/16 .*198\.51\.100\.9/m,
    );
    // What cannot be forwarded is not announced: there is no way to 203.0.113.1.
    // Nor is 10.22.0.0/16, whose place in the kernel another route has.
    const ready = ['10.1.0.0/16', '10.12.0.0/16', '10.14.0.0/16', '10.2.0.0/16'];
    await chain.has(chain.bird, ready);
    const { stdout } = await runCli(['bgp', 'routes', '10.22.0.0/16'], { socket: chain.socket });
    assert.match(stdout, /kept back until the kernel takes it: see "ocicat routes 10\.22\.0\.0\/16"/);
    chain.netns.sh(`ip route del ${others}`);
    await chain.has(chain.bird, [...ready, '10.22.0.0/16']);
    chain.netns.sh(`ip route replace ${others}`);
    await chain.has(chain.bird, ready);
    chain.netns.sh(`ip route del ${others}`);
    await chain.has(chain.bird, [...ready, '10.22.0.0/16']);
    const far =
      '{apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: far}, ' +
      'spec: {peerIP: 203.0.113.77, asNumber: 65009, reachableBy: 192.0.2.2}}\n';
    chain.replace(`${text}---\n${far}`);
    await holds(
      'the route to a peer that is reachable by a gateway',
      /^203\.0\.113\.77 (nhid \d+ )?via 192\.0\.2\.2/m,
    );
    chain.replace(text);
    await chain.until('it goes with the peer', () => !/203\.0\.113\.77/.test(kernel()));
    const table = await runCli(['routes'], { socket: chain.socket });
    assert.match(table.stdout, /10\.2\.0\.0\/16/);

    await chain.stop();
    await holds('routes over a stop', /^10\.2\.0\.0\/16/m, /^blackhole 10\.1\.0\.0\/16/m);
    writeFileSync(
      chain.file,
      fileOf({ frr: 'no-22', statics: 'routes: [{prefix: 10.12.0.0/16, nextHop: 198.51.100.9}]' }),
    );
    await chain.start('root', '--listen', '1790', '--fib');
    await holds('the rest', /^10\.2\.0\.0\/16/m, /^10\.12\.0\.0\/16/m);
    await chain.until('leftovers go', () => !/10\.22\.0\.0|10\.1\.0\.0|10\.13\.0\.0/.test(kernel()));
    await chain.stop();

    const marks = ['--fib-table', '1007', '--fib-metric', '77', '--fib-protocol', '172'];
    await chain.start('root', '--listen', '1790', '--fib', ...marks);
    const other = (): string => chain.netns.run('ip', '-4', 'route', 'show', 'proto', '172', 'table', '1007');
    await chain.until('another table', () =>
      /^10\.2\.0\.0\/16 .* metric 77/m.test(existsIn(chain.netns, '1007') ? other() : ''),
    );
    const warned = await runCli(['status'], { socket: chain.socket });
    assert.match(warned.stdout, /WARNING table-without-rule: our ipv4 routes are in table 1007/);
    chain.netns.sh('ip rule add lookup 1007');
    const quiet = await runCli(['status'], { socket: chain.socket });
    assert.doesNotMatch(quiet.stdout, /table-without-rule/);
    await chain.stop();
  });

  it('says what keeps it from starting, and ends with 2', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'f.yaml');
    writeFileSync(file, fileOf({ frr: 'nil', bird: 'none' }));
    const { status, stderr } = await runCli(['bgp', 'speak', '--config', file], {
      socket: join(folder, 'sock'),
    });
    assert.equal(status, 2);
    assert.match(stderr, /BGPPeer frr: spec\.filters\[0\]: there is no BGPFilter nil/);
    assert.match(stderr, /BGPPeer bird: spec\.filters\[0\]: there is no BGPFilter none/);
    const missing = await runCli(['bgp', 'speak', '--config', join(folder, 'no.yaml'), '--check'], {
      socket: folder,
    });
    assert.equal(missing.status, 2);
    assert.match(missing.stderr, /no\.yaml cannot be read/);
    writeFileSync(file, fileOf({}));
    const speak = (...flags: string[]): ReturnType<typeof runCli> =>
      runCli(['bgp', 'speak', '--config', file, ...flags], { socket: folder });
    const alone = await speak('--fib-table', '1007');
    assert.deepEqual([alone.status, /need --fib/.test(alone.stderr)], [2, true], alone.stderr);
    const local = await speak('--fib', '--fib-table', '255');
    assert.deepEqual([local.status, /not 255 \(local\)/.test(local.stderr)], [2, true], local.stderr);
    const good = await runCli(['bgp', 'speak', '--config', file, '--check'], { socket: folder });
    assert.equal(good.stdout, `${file}: 2 peers, 1 static routes\n`);
  });
});
