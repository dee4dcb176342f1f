/** A host with `ocicat bgp speak --fib`, two routers, a client behind the host, and a server behind both routers. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connect, createNetns, type Netns } from '../../../test/support/netns.ts';
import { Child } from './child.ts';
import { monotonicOf } from './clock.ts';

const HOST_AS = 65_000;
const FIRST_ROUTER_AS = 65_001;
const SERVER_LINK = '198.18.9';
const CLIENT = '198.18.0.2';
/** between BFD packets, and packets missed in a row */
const BFD_MS = 300;
const BFD_MULTIPLIER = 3;
const LAUNCHER = fileURLToPath(new URL('../../../src/cli/ocicat.sh', import.meta.url));

/** A router, and the host's way to it. */
export interface Router {
  readonly netns: Netns;
  /** the host's interface */
  readonly device: string;
  readonly hostAddress: string;
  readonly address: string;
  readonly as: number;
  readonly child: Child;
  /** answers BFD; undefined: without */
  readonly bfd: ChildProcess | undefined;
}

export interface Bed {
  readonly host: Netns;
  readonly client: Netns;
  readonly server: Netns;
  readonly routers: readonly [Router, Router];
  /** when the host said that BFD to a router went down (`clock.ts`), since the last call */
  bfdDownAt(): number | undefined;
  /** ends the processes; the namespaces stay */
  close(): void;
}

export function makeBed(withBfd: boolean): Bed {
  const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-failover-'));
  const [host, client, server] = [createNetns(), createNetns(), createNetns()];
  for (const netns of [host, server]) netns.sysctl('net/ipv4/conf/all/rp_filter', 0);
  host.sysctl('net/ipv4/ip_forward', 1);
  connect(
    { netns: host, name: 'cali0', addresses: ['198.18.0.1/29'] },
    { netns: client, name: 'eth0', addresses: [`${CLIENT}/29`] },
  );
  client.sh('ip route add default via 198.18.0.1');
  const makeRouter = (index: number): Router => {
    const netns = createNetns();
    const device = `eth${index}`;
    const as = FIRST_ROUTER_AS + index;
    const [hostAddress, address] = [`198.18.${index + 1}.1`, `198.18.${index + 1}.2`];
    const [up, down] = [`${SERVER_LINK}.${8 * index + 1}`, `${SERVER_LINK}.${8 * index + 2}`];
    connect(
      { netns: host, name: device, addresses: [`${hostAddress}/29`] },
      { netns, name: 'down0', addresses: [`${address}/29`] },
    );
    connect(
      { netns, name: 'up0', addresses: [`${up}/29`] },
      { netns: server, name: device, addresses: [`${down}/29`] },
    );
    netns.sysctl('net/ipv4/ip_forward', 1);
    netns.sh(`ip route add default via ${down}`);
    const child = new Child(netns, './router.ts', address, hostAddress, String(as), 'down0');
    const bfd = withBfd ? startBfd(netns, join(folder, device), hostAddress) : undefined;
    return { netns, device, hostAddress, address, as, child, bfd };
  };
  const routers = [makeRouter(0), makeRouter(1)] as const;
  server.sh(`ip route add default via ${SERVER_LINK}.1`);
  const config = join(folder, 'speak.yaml');
  writeFileSync(config, configOf(routers, withBfd));
  const words = ['--socket', join(folder, 'speak.sock'), 'bgp', 'speak', '--config', config, '--fib'];
  const speaker = host.spawn('setpriv', '--pdeathsig', 'KILL', LAUNCHER, ...words);
  speaker.stderr?.pipe(process.stderr);
  let bfdDownAt: number | undefined;
  if (speaker.stdout !== null) {
    createInterface({ input: speaker.stdout }).on('line', (line) => {
      const { time, msg } = parseLogLine(line);
      if (msg.startsWith('BFD session went from Up')) bfdDownAt ??= monotonicOf(Date.parse(time));
    });
  }
  return {
    host,
    client,
    server,
    routers,
    bfdDownAt: () => {
      const at = bfdDownAt;
      bfdDownAt = undefined;
      return at;
    },
    close: () => {
      speaker.kill('SIGKILL');
      for (const { child, bfd } of routers) {
        child.close();
        bfd?.kill('SIGKILL');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function parseLogLine(line: string): { readonly time: string; readonly msg: string } {
  const { time, msg }: Record<string, unknown> = JSON.parse(line);
  return { time: String(time), msg: String(msg) };
}

function startBfd(netns: Netns, file: string, hostAddress: string): ChildProcess {
  const timers = `interval ${BFD_MS} ms; multiplier ${BFD_MULTIPLIER};`;
  writeFileSync(
    `${file}.conf`,
    `router id 192.0.2.1;
protocol device {}
protocol bfd { interface "down0" { ${timers} }; neighbor ${hostAddress} dev "down0"; }
`,
  );
  const child = netns.spawn('bird', '-f', '-c', `${file}.conf`, '-s', `${file}.ctl`);
  child.stdout?.resume();
  child.stderr?.resume();
  return child;
}

function configOf(routers: readonly Router[], withBfd: boolean): string {
  const bfd = `, annotations: {ocicat.dev/bfd: "true", ocicat.dev/bfd-interval: "${BFD_MS}", ocicat.dev/bfd-multiplier: "${BFD_MULTIPLIER}"}`;
  const documents = [
    `apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host}
spec: {bgp: {asNumber: ${HOST_AS}, ipv4Address: ${routers[0]?.hostAddress}/29}}`,
    `apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: in}
spec: {exportV4: [{action: Reject}], exportV6: [{action: Reject}]}`,
    ...routers.map(
      ({ address, as, device }) => `apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: ${device}${withBfd ? bfd : ''}}
spec: {peerIP: ${address}, asNumber: ${as}, filters: [in]}`,
    ),
  ];
  return `${documents.join('\n---\n')}\n`;
}

/** Whether the host's way to each address leads over a device, as the kernel decides for the client's packets. */
export function deviceTo(host: Netns, address: string): string | undefined {
  const text = host.sh(`ip route get ${address} from ${CLIENT} iif cali0`);
  return /\bdev (eth\d)\b/.exec(text)?.[1];
}
