/** A host with `ocicat bgp speak --fib`, two routers, a client behind the host, and a server behind both routers; all links have both families. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { FAMILIES, type Family } from '../../../src/net/address.ts';
import { connect, createNetns, type Netns } from '../../../test/support/netns.ts';
import { Child } from './child.ts';
import { monotonicOf } from './clock.ts';

const HOST_AS = 65_000;
const FIRST_ROUTER_AS = 65_001;
const LENGTH = { ipv4: 29, ipv6: 64 } as const;
/** Both ends of each link: the first number is the link's. */
const LINKS = {
  client: (): Ends => ends('198.18.0', 0, 'fd98:0'),
  router: (index: number): Ends => ends(`198.18.${index + 1}`, 0, `fd98:${index + 1}`),
  server: (index: number): Ends => ends('198.18.9', 8 * index, `fd98:9${index}`),
} as const;
/** of both families, before an interface is made */
const SYSCTLS = {
  'net/ipv4/conf/all/rp_filter': 0,
  'net/ipv6/conf/all/accept_dad': 0,
  'net/ipv6/conf/default/accept_dad': 0,
  // Else IPv6 addresses vanish with the link, as IPv4's do not.
  'net/ipv6/conf/all/keep_addr_on_down': 1,
  'net/ipv6/conf/default/keep_addr_on_down': 1,
  // The kernel would spread packets by a label that nobody who asks it for a route knows.
  'net/ipv6/auto_flowlabels': 0,
} as const;
const FORWARDING = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'] as const;
/** between BFD packets, and packets missed in a row */
const BFD_MS = 300;
const BFD_MULTIPLIER = 3;
const LAUNCHER = fileURLToPath(new URL('../../../src/cli/ocicat.sh', import.meta.url));

/** Addresses of the near and the far end of a link. */
interface Ends {
  readonly near: Readonly<Record<Family, string>>;
  readonly far: Readonly<Record<Family, string>>;
}

function ends(ipv4: string, from: number, ipv6: string): Ends {
  const end = (last: number): Ends['near'] => ({ ipv4: `${ipv4}.${from + last}`, ipv6: `${ipv6}::${last}` });
  return { near: end(1), far: end(2) };
}

function withLengths(end: Ends['near']): string[] {
  return FAMILIES.map((family) => `${end[family]}/${LENGTH[family]}`);
}

/** A router, and the host's way to it. */
export interface Router {
  readonly netns: Netns;
  /** the host's interface */
  readonly device: string;
  /** of the bed's family */
  readonly hostAddress: string;
  readonly address: string;
  readonly as: number;
  readonly child: Child;
  /** answers BFD; undefined: without */
  readonly bfd: ChildProcess | undefined;
}

export interface Bed {
  /** of sessions, routes, next hops and packets */
  readonly family: Family;
  readonly host: Netns;
  readonly client: Netns;
  readonly server: Netns;
  readonly routers: readonly [Router, Router];
  /** when the host said that BFD to a router went down (`clock.ts`), since the last call */
  bfdDownAt(): number | undefined;
  /** ends the processes; the namespaces stay */
  close(): void;
}

export function makeBed(family: Family, withBfd: boolean): Bed {
  const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-failover-'));
  const [host, client, server] = [makeNetns(), makeNetns(), makeNetns()];
  for (const key of FORWARDING) host.sysctl(key, 1);
  const clientLink = LINKS.client();
  connect(
    { netns: host, name: 'cali0', addresses: withLengths(clientLink.near) },
    { netns: client, name: 'eth0', addresses: withLengths(clientLink.far) },
  );
  addDefaultRoutes(client, clientLink.near);
  const makeRouter = (index: number): Router => {
    const netns = makeNetns();
    const device = `eth${index}`;
    const as = FIRST_ROUTER_AS + index;
    const [toHost, toServer] = [LINKS.router(index), LINKS.server(index)];
    connect(
      { netns: host, name: device, addresses: withLengths(toHost.near) },
      { netns, name: 'down0', addresses: withLengths(toHost.far) },
    );
    connect(
      { netns, name: 'up0', addresses: withLengths(toServer.near) },
      { netns: server, name: device, addresses: withLengths(toServer.far) },
    );
    for (const key of FORWARDING) netns.sysctl(key, 1);
    addDefaultRoutes(netns, toServer.far);
    const [hostAddress, address] = [toHost.near[family], toHost.far[family]];
    const routerId = toHost.far.ipv4;
    const child = new Child(netns, './router.ts', address, hostAddress, String(as), 'down0', routerId);
    const bfd = withBfd ? startBfd(netns, join(folder, device), hostAddress) : undefined;
    return { netns, device, hostAddress, address, as, child, bfd };
  };
  const routers = [makeRouter(0), makeRouter(1)] as const;
  addDefaultRoutes(server, LINKS.server(0).near);
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
    family,
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

function makeNetns(): Netns {
  const netns = createNetns();
  for (const [key, value] of Object.entries(SYSCTLS)) netns.sysctl(key, value);
  return netns;
}

function addDefaultRoutes(netns: Netns, via: Ends['near']): void {
  netns.sh(`ip -4 route add default via ${via.ipv4}`);
  netns.sh(`ip -6 route add default via ${via.ipv6}`);
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
spec: {bgp: {asNumber: ${HOST_AS}, ${nodeAddresses()}}}`,
    `apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: in}
spec: {exportV4: [{action: Reject}], exportV6: [{action: Reject}]}`,
    ...routers.map(
      ({ address, as, device }) => `apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: ${device}${withBfd ? bfd : ''}}
spec: {peerIP: "${address}", asNumber: ${as}, filters: [in]}`,
    ),
  ];
  return `${documents.join('\n---\n')}\n`;
}

function nodeAddresses(): string {
  const { near } = LINKS.router(0);
  return `ipv4Address: ${near.ipv4}/${LENGTH.ipv4}, ipv6Address: "${near.ipv6}/${LENGTH.ipv6}"`;
}

/** The interface over which the host's way to an address leads, as the kernel decides for the client's packets. */
/** The gateways of the route that the host has for an address, as text, sorted. One look-up: it disturbs nothing, as a look at the whole table would. */
export function gatewaysTo({ host }: Bed, address: string): string {
  const text = host.sh(`ip route get fibmatch ${address}`);
  return [...text.matchAll(/\bvia (\S+)/g)]
    .map(([, gateway]) => gateway ?? '')
    .sort()
    .join(' ');
}

export function deviceTo({ host, family }: Bed, address: string): string | undefined {
  const client = LINKS.client().far[family];
  const text = host.sh(`ip route get ${address} from ${client} iif cali0 ipproto udp`);
  return /\bdev (eth\d)\b/.exec(text)?.[1];
}
