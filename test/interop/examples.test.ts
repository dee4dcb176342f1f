/** The library's examples, from the sources and as users of the installed package run them: they speak with each other over loopback. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NAMES = ['route-server', 'route-injector', 'monitor'] as const;
const WAIT = { timeoutMs: 30_000 };

const running = new Set<ChildProcess>();

/** An example as a process. */
class Example {
  output = '';
  readonly child: ChildProcess;

  constructor(script: string, ...args: string[]) {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  say(order: object): void {
    this.child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  async prints(pattern: RegExp): Promise<void> {
    await eventually(`${pattern} in the output`, () => pattern.test(this.output), WAIT).catch(
      (error: unknown) => {
        throw new Error(`the output was:\n${this.output}`, { cause: error });
      },
    );
  }

  /** Waits until it ends by itself, or by the signal. */
  async ends(signal?: 'SIGTERM'): Promise<void> {
    if (signal !== undefined) this.child.kill(signal);
    await eventually('it ends', () => this.child.exitCode !== null || this.child.signalCode !== null, WAIT);
    assert.equal(this.child.exitCode, 0, this.output);
  }
}

/** A port that nobody uses. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** The built package in a folder of a user's own, with the examples' imports as their head says. Returns the folder. */
function installed(): string {
  const folder = temporaryFolder();
  const modules = join(folder, 'node_modules');
  const home = join(modules, 'ocicat');
  mkdirSync(home, { recursive: true });
  // As `npm run build` does it, of the library alone.
  const build = join(folder, 'tsconfig.json');
  writeFileSync(
    build,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.build.json'),
      compilerOptions: {
        rootDir: ROOT,
        outDir: join(home, 'dist'),
        typeRoots: [join(ROOT, 'node_modules/@types')],
      },
      include: [join(ROOT, 'bgp')],
    }),
  );
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', build], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  cpSync(join(ROOT, 'src/core/core.wasm'), join(home, 'dist/src/core/core.wasm'));
  cpSync(join(ROOT, 'package.json'), join(home, 'package.json'));
  for (const name of ['ip-address', 'koffi'])
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  for (const name of NAMES) {
    const source = readFileSync(join(ROOT, 'lab/examples', `${name}.ts`), 'utf8');
    assert.match(source, /from '\.\.\/\.\.\/bgp\/index\.ts'/);
    writeFileSync(
      join(folder, `${name}.ts`),
      source.replace("from '../../bgp/index.ts'", "from 'ocicat/bgp'"),
    );
  }
  return folder;
}

async function together(folder: string): Promise<void> {
  const port = await freePort();
  const script = (name: (typeof NAMES)[number]): string => join(folder, `${name}.ts`);
  // Both members dial the server over loopback, one over IPv4 and one over IPv6, so that each has an address of its own.
  const server = new Example(
    script('route-server'),
    String(port),
    '65000',
    '192.0.2.1',
    '127.0.0.1:65001',
    '::1:65002',
  );
  await server.prints(/"listening"[\s\S]*"listening"/);
  const injector = new Example(script('route-injector'), `127.0.0.1:${port}`, '65000', '65001', '192.0.2.11');
  const monitor = new Example(script('monitor'), '65002', '192.0.2.12', `::1:${port}:65000`);
  await injector.prints(/"session-up"/);
  await monitor.prints(/"event":"up"/);

  injector.say({ announce: '10.1.0.0/16', nextHop: '192.0.2.77', med: 7, communities: [65001 * 65536 + 5] });
  injector.say({ announce: '0.0.0.0/0', nextHop: '192.0.2.77' });
  injector.say({ announce: '10.9.9.0/25', nextHop: '192.0.2.77' });
  injector.say({ announce: '2001:db8:1::/48', nextHop: '2001:db8::77' });
  injector.child.stdin?.write('nonsense\n');
  // The server's AS is not in the path and the next hop is the member's: RFC 7947 2.2.
  await monitor.prints(
    /"event":"best","prefix":"10\.1\.0\.0\/16","from":"::1","asPath":"65001","nextHop":"192\.0\.2\.77","communities":\["65001:5"\]/,
  );
  await monitor.prints(/"prefix":"2001:db8:1::\/48","from":"::1","asPath":"65001","nextHop":"2001:db8::77"/);
  await injector.prints(/not JSON: nonsense/);
  injector.say({ withdraw: '10.1.0.0/16' });
  await monitor.prints(/"event":"withdrawn","prefix":"10\.1\.0\.0\/16"/);
  assert.doesNotMatch(monitor.output, /0\.0\.0\.0\/0|10\.9\.9\.0/);

  injector.child.stdin?.end();
  await injector.ends();
  await monitor.prints(/"event":"withdrawn","prefix":"2001:db8:1::\/48"/);
  await server.ends('SIGTERM');
  await monitor.prints(/"event":"down".*maintenance/);
  await monitor.ends('SIGTERM');
}

/** BFD has a thread of its own, whose file has to be found where the package is installed. */
const BFD = `import { makePeer, Speaker } from 'ocicat/bgp';
const name = '127.0.0.9';
const speaker = new Speaker({
  routerId: 1, localAs: 65001, listen: undefined, nextHopTracking: false,
  gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
  log: (event) => console.log(event.type, 'message' in event ? event.message : ''),
});
const bfd = { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: true };
speaker.setPeers([makePeer({ address: name, localAs: 65001, peerAs: 65002, passive: true, bfd })]);
speaker.start();
const timer = setInterval(async () => {
  if (speaker.peer(name).bfd?.counters.packetsSent > 0) {
    clearInterval(timer);
    console.log('BFD packets sent');
    await speaker.stop({ mode: 'shutdown' });
  }
}, 50);
`;

async function watches(folder: string): Promise<void> {
  const script = join(folder, 'bfd.js');
  writeFileSync(script, BFD);
  const watching = new Example(script);
  await watching.prints(/BFD packets sent/);
  await watching.ends();
  assert.doesNotMatch(watching.output, /thread ended|cannot be loaded/);
}

describe('examples of the BGP library', function () {
  this.timeout(90_000);
  afterEach(() => {
    for (const child of running) child.kill('SIGKILL');
    removeTemporaryFolders();
  });

  it('route server, injector and monitor from the sources', async () => {
    await together(join(ROOT, 'lab/examples'));
  });

  it('the same from the installed package, and BFD', async () => {
    const folder = installed();
    await together(folder);
    await watches(folder);
  });
});
