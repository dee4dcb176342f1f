/**
 * Debian's FRR (zebra and bgpd) and BIRD in network namespaces, each with a run directory of its own, so that any number of them
 * can run beside whatever the machine runs itself. Needs root.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Family } from '../../src/net/address.ts';
import { eventually } from './eventually.ts';
import type { Netns } from './netns.ts';

export type RouterKind = 'frr' | 'bird';

/** Long enough for a machine that is busy with other things; what is about the hold timer sets a shorter one. */
export const HOLD_SEC = 30;

/** One router with one BGP neighbour. */
export interface RouterConfig {
  readonly routerId: string;
  readonly as: number;
  /** addresses of the session; their family is the transport's */
  readonly local: string;
  readonly neighbour: string;
  readonly neighbourAs: number;
  readonly passive?: boolean;
  /** default `HOLD_SEC` */
  readonly holdTimeSec?: number;
  /** graceful restart as restarter, families listed; FRR says that it keeps forwarding */
  readonly gracefulRestart?: boolean;
  /** RFC 5082, one hop */
  readonly ttlSecurity?: boolean;
  /** the neighbour is several hops away, for BGP and BFD */
  readonly multihop?: boolean;
  /** BFD with 300 ms x 3, through FRR's bfdd or BIRD itself */
  readonly bfd?: boolean;
  readonly announce: readonly string[];
}

/** A route that the router has from its neighbour. */
export interface RouterRoute {
  readonly prefix: string;
  readonly asPath: readonly number[];
  readonly nextHop: string;
  readonly stale: boolean;
}

export interface Router {
  readonly kind: RouterKind;
  /** starts the daemons, announcing what they did last or this, and waits until they answer */
  start(announce?: readonly string[]): Promise<void>;
  /** SIGKILL to all daemons, waits for their end */
  kill(): Promise<void>;
  /** SIGSTOP to the BGP daemon */
  freeze(): void;
  thaw(): void;
  /** SIGSTOP to the daemon that speaks BFD; `thaw` continues it */
  freezeBfd(): void;
  /** removes the run directory */
  dispose(): void;
  /** `Established`, or another word of the router's own */
  state(): Promise<string>;
  /** routes learned by BGP */
  routes(family: Family): Promise<readonly RouterRoute[]>;
  announce(prefixes: readonly string[]): Promise<void>;
  /** asks the neighbour for its routes again */
  refresh(family: Family): Promise<void>;
  /** stops the neighbour with a text (RFC 9003) */
  shutdown(text: string): Promise<void>;
  /** everything that the router logged or says of its last reset */
  lastError(): Promise<string>;
  /** runs a command line of the router's own shell */
  command(...lines: readonly string[]): Promise<string>;
}

/** Makes a router; it is started by `start`. */
export function createRouter(kind: RouterKind, netns: Netns, config: RouterConfig): Router {
  return kind === 'frr' ? new Frr(netns, config) : new Bird(netns, config);
}

function familyOf(prefix: string): Family {
  return prefix.includes(':') ? 'ipv6' : 'ipv4';
}

/** What both routers share: a directory, daemons and their end. */
export class Daemons {
  readonly directory: string;
  readonly #netns: Netns;
  readonly #running = new Set<ChildProcess>();

  constructor(netns: Netns, name: string) {
    this.#netns = netns;
    this.directory = mkdtempSync(join(tmpdir(), `ocicat-${name}-`));
    chmodSync(this.directory, 0o755);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  spawn(command: string, ...args: string[]): ChildProcess {
    const child = this.#netns.spawn(command, ...args);
    child.stdout?.resume();
    child.stderr?.resume();
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return child;
  }

  async run(command: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.#netns.tryRunAsync(command, ...args);
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  async kill(): Promise<void> {
    await Promise.all(
      [...this.#running].map(
        (child) =>
          new Promise<void>((resolve) => {
            child.once('exit', () => resolve());
            child.kill('SIGCONT');
            child.kill('SIGKILL');
          }),
      ),
    );
  }

  log(name: string): string {
    return existsSync(this.path(name)) ? readFileSync(this.path(name), 'utf8') : '';
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

class Frr implements Router {
  readonly kind = 'frr';
  readonly #config: RouterConfig;
  readonly #daemons: Daemons;
  #announced: readonly string[];
  #bgpd: ChildProcess | undefined;
  #bfdd: ChildProcess | undefined;

  constructor(netns: Netns, config: RouterConfig) {
    this.#config = config;
    this.#announced = config.announce;
    this.#daemons = new Daemons(netns, 'frr');
    // The daemons drop root for this user of Debian's package.
    execFileSync('chown', ['frr:frr', this.#daemons.directory]);
  }

  async start(announce: readonly string[] = this.#announced): Promise<void> {
    this.#announced = announce;
    const { directory } = this.#daemons;
    writeFileSync(this.#daemons.path('zebra.conf'), 'hostname router\n');
    writeFileSync(this.#daemons.path('bgpd.conf'), this.#render());
    const common = ['--vty_socket', directory, '-z', join(directory, 'zserv.api')];
    this.#daemons.spawn(
      '/usr/lib/frr/zebra',
      ...common,
      '-f',
      join(directory, 'zebra.conf'),
      '-i',
      join(directory, 'zebra.pid'),
    );
    await eventually('zebra answers', () => existsSync(join(directory, 'zserv.api')));
    if (this.#config.bfd) {
      writeFileSync(this.#daemons.path('bfdd.conf'), 'hostname router\n');
      this.#bfdd = this.#daemons.spawn(
        '/usr/lib/frr/bfdd',
        ...common,
        '--bfdctl',
        join(directory, 'bfdd.sock'),
        '-f',
        join(directory, 'bfdd.conf'),
        '-i',
        join(directory, 'bfdd.pid'),
      );
      await eventually('bfdd answers', () => existsSync(join(directory, 'bfdd.vty')));
    }
    this.#bgpd = this.#daemons.spawn(
      '/usr/lib/frr/bgpd',
      ...common,
      '-f',
      join(directory, 'bgpd.conf'),
      '-i',
      join(directory, 'bgpd.pid'),
    );
    await eventually('bgpd answers', async () => (await this.#summary()).length > 0);
  }

  async kill(): Promise<void> {
    await this.#daemons.kill();
    for (const name of ['zserv.api', 'bgpd.vty', 'zebra.vty', 'bfdd.vty', 'bfdd.sock'])
      rmSync(this.#daemons.path(name), { force: true });
  }

  freeze(): void {
    this.#bgpd?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#bgpd?.kill('SIGCONT');
    this.#bfdd?.kill('SIGCONT');
  }

  freezeBfd(): void {
    this.#bfdd?.kill('SIGSTOP');
  }

  dispose(): void {
    this.#daemons.dispose();
  }

  async state(): Promise<string> {
    const match = /BGP state = (\w+)/.exec(
      await this.command(`show bgp neighbors ${this.#config.neighbour}`),
    );
    return match?.[1] ?? 'none';
  }

  async routes(family: Family): Promise<readonly RouterRoute[]> {
    const text = await this.command(`show bgp ${family} unicast json`);
    const parsed: { routes?: Record<string, FrrPath[]> } = JSON.parse(text);
    return Object.entries(parsed.routes ?? {}).flatMap(([prefix, paths]) =>
      paths
        .filter(({ path }) => path !== '')
        .map((path) => ({
          prefix,
          asPath: path.path.split(' ').map(Number),
          nextHop: path.nexthops?.find(({ scope }) => scope !== 'link-local')?.ip ?? '',
          stale: path.stale ?? false,
        })),
    );
  }

  async announce(prefixes: readonly string[]): Promise<void> {
    const lines = ['configure terminal', `router bgp ${this.#config.as}`];
    for (const family of ['ipv4', 'ipv6'] as const) {
      lines.push(`address-family ${family} unicast`);
      for (const prefix of this.#announced) {
        if (familyOf(prefix) === family && !prefixes.includes(prefix)) lines.push(`no network ${prefix}`);
      }
      for (const prefix of prefixes) if (familyOf(prefix) === family) lines.push(`network ${prefix}`);
      lines.push('exit-address-family');
    }
    this.#announced = prefixes;
    await this.command(...lines);
  }

  async refresh(family: Family): Promise<void> {
    await this.command(`clear bgp ${family} unicast ${this.#config.neighbour} soft in`);
  }

  async shutdown(text: string): Promise<void> {
    await this.command(
      'configure terminal',
      `router bgp ${this.#config.as}`,
      `neighbor ${this.#config.neighbour} shutdown message ${text}`,
    );
  }

  async lastError(): Promise<string> {
    return (
      this.#daemons.log('bgpd.log') + (await this.command(`show bgp neighbors ${this.#config.neighbour}`))
    );
  }

  command(...lines: readonly string[]): Promise<string> {
    const args = lines.flatMap((line) => ['-c', line]);
    return this.#daemons.run('vtysh', '--vty_socket', this.#daemons.directory, ...args);
  }

  async #summary(): Promise<string> {
    return existsSync(this.#daemons.path('bgpd.vty')) ? this.command('show bgp summary') : '';
  }

  #render(): string {
    const { as, routerId, neighbour, neighbourAs, passive, gracefulRestart } = this.#config;
    const hold = this.#config.holdTimeSec ?? HOLD_SEC;
    const lines = [
      'frr defaults traditional',
      `log file ${this.#daemons.path('bgpd.log')}`,
      `router bgp ${as}`,
      ` bgp router-id ${routerId}`,
      ' bgp log-neighbor-changes',
      ' no bgp ebgp-requires-policy',
      ' no bgp network import-check',
      ' no bgp default ipv4-unicast',
      ...(gracefulRestart
        ? [
            ' bgp graceful-restart',
            ' bgp graceful-restart restart-time 30',
            ' bgp graceful-restart preserve-fw-state',
          ]
        : []),
      ` neighbor ${neighbour} remote-as ${neighbourAs}`,
      ` neighbor ${neighbour} timers ${Math.floor(hold / 3)} ${hold}`,
      ` neighbor ${neighbour} timers connect 1`,
      ` neighbor ${neighbour} advertisement-interval 0`,
      ...(passive ? [` neighbor ${neighbour} passive`] : []),
      ...(this.#config.ttlSecurity ? [` neighbor ${neighbour} ttl-security hops 1`] : []),
      ...(this.#config.multihop ? [` neighbor ${neighbour} ebgp-multihop 8`] : []),
      // Else bgpd asks for another BFD session once it knows its address, and ends the first.
      ...(this.#config.bfd ? [` neighbor ${neighbour} update-source ${this.#config.local}`] : []),
      ...(this.#config.bfd ? [` neighbor ${neighbour} bfd 3 300 300`] : []),
    ];
    for (const family of ['ipv4', 'ipv6'] as const) {
      lines.push(` address-family ${family} unicast`, `  neighbor ${neighbour} activate`);
      for (const prefix of this.#announced)
        if (familyOf(prefix) === family) lines.push(`  network ${prefix}`);
      lines.push(' exit-address-family');
    }
    return `${lines.join('\n')}\n`;
  }
}

/** What is used of `show bgp ... json`. */
interface FrrPath {
  readonly path: string;
  readonly stale?: boolean;
  readonly nexthops?: readonly { readonly ip: string; readonly scope?: string }[];
}

class Bird implements Router {
  readonly kind = 'bird';
  readonly #config: RouterConfig;
  readonly #daemons: Daemons;
  #announced: readonly string[];
  #bird: ChildProcess | undefined;

  constructor(netns: Netns, config: RouterConfig) {
    this.#config = config;
    this.#announced = config.announce;
    this.#daemons = new Daemons(netns, 'bird');
  }

  async start(announce: readonly string[] = this.#announced): Promise<void> {
    this.#announced = announce;
    this.#write();
    this.#bird = this.#daemons.spawn(
      'bird',
      '-f',
      '-c',
      this.#daemons.path('bird.conf'),
      '-s',
      this.#daemons.path('bird.ctl'),
      '-P',
      this.#daemons.path('bird.pid'),
    );
    await eventually('bird answers', async () => (await this.command('show status')).includes('BIRD'));
  }

  async kill(): Promise<void> {
    await this.#daemons.kill();
    rmSync(this.#daemons.path('bird.ctl'), { force: true });
  }

  freeze(): void {
    this.#bird?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#bird?.kill('SIGCONT');
  }

  freezeBfd(): void {
    this.freeze();
  }

  dispose(): void {
    this.#daemons.dispose();
  }

  async state(): Promise<string> {
    return /BGP state:\s+(\w+)/.exec(await this.command('show protocols all peer'))?.[1] ?? 'none';
  }

  async routes(family: Family): Promise<readonly RouterRoute[]> {
    const table = family === 'ipv4' ? 'master4' : 'master6';
    const text = await this.command(`show route table ${table} protocol peer all`);
    const found: RouterRoute[] = [];
    for (const block of text.split(/^(?=[0-9a-f][0-9a-f:.]*\/\d+ )/m)) {
      const prefix = /^([0-9a-f][0-9a-f:.]*\/\d+) /.exec(block)?.[1];
      const asPath = /BGP\.as_path: (.*)/.exec(block)?.[1];
      if (prefix === undefined || asPath === undefined) continue;
      found.push({
        prefix,
        asPath: asPath.trim().split(' ').map(Number),
        nextHop: /BGP\.next_hop: (\S+)/.exec(block)?.[1] ?? '',
        // BIRD marks the preference
        stale: /\(\d+s\)/.test(block),
      });
    }
    return found;
  }

  async announce(prefixes: readonly string[]): Promise<void> {
    this.#announced = prefixes;
    this.#write();
    await this.command('configure');
  }

  async refresh(_family: Family): Promise<void> {
    await this.command('reload in peer');
  }

  async shutdown(text: string): Promise<void> {
    await this.command(`disable peer "${text}"`);
  }

  async lastError(): Promise<string> {
    return this.#daemons.log('bird.log') + (await this.command('show protocols all peer'));
  }

  async command(...lines: readonly string[]): Promise<string> {
    let output = '';
    for (const line of lines) {
      output += await this.#daemons.run('birdc', '-s', this.#daemons.path('bird.ctl'), line);
    }
    return output;
  }

  #write(): void {
    const { routerId, as, local, neighbour, neighbourAs, passive, gracefulRestart, bfd, multihop } =
      this.#config;
    const hold = this.#config.holdTimeSec ?? HOLD_SEC;
    const statics = (family: Family): string =>
      this.#announced
        .filter((prefix) => familyOf(prefix) === family)
        .map((prefix) => `route ${prefix} blackhole;`)
        .join(' ');
    const channel = 'import all; export where source = RTS_STATIC; next hop self;';
    writeFileSync(
      this.#daemons.path('bird.conf'),
      `log "${this.#daemons.path('bird.log')}" all;
router id ${routerId};
protocol device {}
${bfd ? 'protocol bfd { interface "*" { interval 300 ms; multiplier 3; }; multihop { interval 300 ms; multiplier 3; }; }' : ''}
protocol static static4 { ipv4; ${statics('ipv4')} }
protocol static static6 { ipv6; ${statics('ipv6')} }
protocol bgp peer {
  local ${local} as ${as};
  neighbor ${neighbour} as ${neighbourAs};
  ${passive ? 'passive on;' : ''}
  ${this.#config.ttlSecurity ? 'ttl security on;' : ''}
  ${multihop ? 'multihop 8;' : ''}
  ${bfd ? 'bfd on;' : ''}
  hold time ${hold};
  keepalive time 1;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 1;
  ${gracefulRestart ? 'graceful restart on; graceful restart time 30;' : ''}
  ipv4 { ${channel} };
  ipv6 { ${channel} };
}
`,
    );
  }
}
