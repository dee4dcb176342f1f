/**
 * FRR, BIRD, GoBGP and ExaBGP for the interoperability matrix: one session each with whatever features a test asks for, in the router's own
 * configuration, and what the router has learned in one form for all. Needs root.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DaemonRouter } from './daemon-router.ts';
import { eventually } from './eventually.ts';
import { ExaBgp } from './matrix-exabgp.ts';
import type { Netns } from './netns.ts';

export type MatrixKind = 'frr' | 'bird' | 'gobgp' | 'exabgp';

/** The session, and what is on it. */
export interface MatrixConfig {
  readonly as: number;
  readonly neighbourAs: number;
  readonly local: string;
  readonly neighbour: string;
  /** the session is on link-local addresses of this interface */
  readonly interface?: string;
  readonly routerId: string;
  readonly holdTimeSec?: number;
  readonly passive?: boolean;
  readonly password?: string;
  /** graceful restart with this time in seconds, N bit where the router has it */
  readonly restartTimeSec?: number;
  /** long-lived stale time in seconds */
  readonly longLivedSec?: number;
  readonly addPath?: boolean;
  /** only ourselves know it */
  readonly bfdStrict?: boolean;
  readonly extendedNextHop?: boolean;
  readonly role?: 'provider' | 'customer' | 'peer';
  readonly announce: readonly {
    readonly prefix: string;
    readonly communities?: readonly string[];
    readonly largeCommunities?: readonly string[];
  }[];
}

/** A path that the router has from its neighbour. */
export interface MatrixRoute {
  readonly asPath: readonly number[];
  readonly nextHop: string;
  /** `65001:1` */
  readonly communities: readonly string[];
}

export interface MatrixRouter {
  readonly kind: MatrixKind;
  start(): Promise<void>;
  kill(): Promise<void>;
  dispose(): void;
  isUp(): Promise<boolean>;
  /** paths to a prefix learned from the neighbour */
  paths(prefix: string): Promise<readonly MatrixRoute[]>;
  /** how many prefixes it has from the neighbour, both families */
  count(): Promise<number>;
  /** asks the neighbour for its routes again; undefined where the router cannot */
  readonly refresh: (() => Promise<void>) | undefined;
  /** what it logged, or says of the session */
  log(): Promise<string>;
}

export function createMatrixRouter(kind: MatrixKind, netns: Netns, config: MatrixConfig): MatrixRouter {
  switch (kind) {
    case 'frr':
      return new Frr(netns, config);
    case 'bird':
      return new Bird(netns, config);
    case 'gobgp':
      return new GoBgp(netns, config);
    case 'exabgp':
      return new ExaBgp(netns, config);
  }
}

export const familyOf = (prefix: string): 'ipv4' | 'ipv6' => (prefix.includes(':') ? 'ipv6' : 'ipv4');

class Frr extends DaemonRouter<'frr'> implements MatrixRouter {
  constructor(netns: Netns, config: MatrixConfig) {
    super('frr', netns, config);
    execFileSync('chown', ['frr:frr', this.daemons.directory]);
  }

  async start(): Promise<void> {
    const { directory } = this.daemons;
    writeFileSync(join(directory, 'zebra.conf'), 'hostname router\n');
    writeFileSync(join(directory, 'bgpd.conf'), this.#render());
    const common = ['--vty_socket', directory, '-z', join(directory, 'zserv.api')];
    const run = (name: string): void => {
      const files = ['-f', join(directory, `${name}.conf`), '-i', join(directory, `${name}.pid`)];
      this.daemons.spawn(`/usr/lib/frr/${name}`, ...common, ...files);
    };
    run('zebra');
    await eventually('zebra answers', () => existsSync(join(directory, 'zserv.api')));
    run('bgpd');
    await eventually('bgpd answers', async () => (await this.#vtysh('show bgp summary')).length > 0);
  }

  async isUp(): Promise<boolean> {
    return (await this.#vtysh(`show bgp neighbors ${this.config.neighbour}`)).includes(
      'BGP state = Established',
    );
  }

  async paths(prefix: string): Promise<readonly MatrixRoute[]> {
    const text = await this.#vtysh(`show bgp ${familyOf(prefix)} unicast ${prefix} json`);
    const parsed: { paths?: FrrPath[] } = JSON.parse(text);
    return (parsed.paths ?? [])
      .filter(({ peer }) => peer?.peerId !== '0.0.0.0' && peer?.peerId !== '::')
      .map(({ aspath, community, nexthops }) => ({
        asPath: (aspath?.string ?? '').split(' ').map(Number),
        nextHop: nexthops?.find(({ used }) => used)?.ip ?? nexthops?.[0]?.ip ?? '',
        communities: (community?.string ?? '').split(' ').filter(Boolean).map(frrCommunity),
      }));
  }

  async count(): Promise<number> {
    let sum = 0;
    for (const family of ['ipv4', 'ipv6']) {
      const parsed: { peers?: Record<string, { pfxRcd?: number }> } = JSON.parse(
        await this.#vtysh(`show bgp ${family} unicast summary json`),
      );
      for (const { pfxRcd } of Object.values(parsed.peers ?? {})) sum += pfxRcd ?? 0;
    }
    return sum;
  }

  refresh = async (): Promise<void> => {
    await this.#vtysh(`clear bgp ipv4 unicast ${this.config.neighbour} soft in`);
  };

  async log(): Promise<string> {
    return this.daemons.log('bgpd.log') + (await this.#vtysh(`show bgp neighbors ${this.config.neighbour}`));
  }

  async #vtysh(...lines: readonly string[]): Promise<string> {
    if (!existsSync(this.daemons.path('bgpd.vty'))) return '';
    const args = lines.flatMap((line) => ['-c', line]);
    return this.daemons.run('vtysh', '--vty_socket', this.daemons.directory, ...args);
  }

  #render(): string {
    const config = this.config;
    const hold = config.holdTimeSec ?? 3;
    const n = `neighbor ${this.config.neighbour}`;
    const lines = [
      'frr defaults traditional',
      `log file ${this.daemons.path('bgpd.log')}`,
      'debug bgp neighbor-events',
      `router bgp ${config.as}`,
      ` bgp router-id ${config.routerId}`,
      ' no bgp ebgp-requires-policy',
      ' no bgp network import-check',
      ' no bgp default ipv4-unicast',
      ...(config.restartTimeSec === undefined
        ? []
        : [
            ' bgp graceful-restart',
            ` bgp graceful-restart restart-time ${config.restartTimeSec}`,
            ' bgp graceful-restart preserve-fw-state',
            ' bgp graceful-restart notification',
          ]),
      ...(config.longLivedSec === undefined
        ? []
        : [` bgp long-lived-graceful-restart stale-time ${config.longLivedSec}`]),
      ` ${n} remote-as ${config.neighbourAs}`,
      ...(config.interface === undefined ? [] : [` ${n} interface ${config.interface}`]),
      ` ${n} timers ${Math.floor(hold / 3)} ${hold}`,
      ` ${n} timers connect 1`,
      ` ${n} advertisement-interval 0`,
      ...(config.passive ? [` ${n} passive`] : []),
      ...(config.password === undefined ? [] : [` ${n} password ${config.password}`]),
      ...(config.extendedNextHop ? [` ${n} capability extended-nexthop`] : []),
      ...(config.role === undefined ? [] : [` ${n} local-role ${config.role}`]),
    ];
    for (const family of ['ipv4', 'ipv6'] as const) {
      lines.push(` address-family ${family} unicast`, `  ${n} activate`);
      if (config.addPath) lines.push(`  ${n} addpath-tx-all-paths`);
      for (const [index, { prefix, communities, largeCommunities }] of config.announce.entries()) {
        if (familyOf(prefix) !== family) continue;
        const tagged = communities !== undefined || largeCommunities !== undefined;
        lines.push(`  network ${prefix}${tagged ? ` route-map tag${index}` : ''}`);
      }
      lines.push(' exit-address-family');
    }
    lines.push('exit');
    for (const [index, { communities, largeCommunities }] of config.announce.entries()) {
      if (communities === undefined && largeCommunities === undefined) continue;
      lines.push(`route-map tag${index} permit 10`);
      if (communities !== undefined) lines.push(` set community ${communities.join(' ')}`);
      if (largeCommunities !== undefined) lines.push(` set large-community ${largeCommunities.join(' ')}`);
      lines.push('exit');
    }
    return `${lines.join('\n')}\n`;
  }
}

interface FrrPath {
  readonly aspath?: { readonly string: string };
  readonly community?: { readonly string: string };
  readonly peer?: { readonly peerId: string };
  readonly nexthops?: readonly { readonly ip: string; readonly used?: boolean }[];
}

function frrCommunity(text: string): string {
  const names: Readonly<Record<string, string>> = {
    'graceful-shutdown': '65535:0',
    'llgr-stale': '65535:6',
    'no-llgr': '65535:7',
    'no-export': '65535:65281',
  };
  return names[text] ?? text;
}

class Bird extends DaemonRouter<'bird'> implements MatrixRouter {
  constructor(netns: Netns, config: MatrixConfig) {
    super('bird', netns, config);
  }

  async start(): Promise<void> {
    this.#write();
    const path = (name: string): string => this.daemons.path(name);
    this.daemons.spawn('bird', '-f', '-c', path('bird.conf'), '-s', path('bird.ctl'), '-P', path('bird.pid'));
    await eventually('bird answers', async () => (await this.#birdc('show status')).includes('BIRD'));
  }

  async isUp(): Promise<boolean> {
    return (await this.#birdc('show protocols all peer')).includes('BGP state:          Established');
  }

  async paths(prefix: string): Promise<readonly MatrixRoute[]> {
    const table = familyOf(prefix) === 'ipv4' ? 'master4' : 'master6';
    const text = await this.#birdc(`show route ${prefix} table ${table} protocol peer all`);
    return text
      .split(/^(?=\S*\s+unicast )/m)
      .filter((block) => block.includes('BGP.as_path') || block.includes('BGP.next_hop'))
      .map((block) => ({
        asPath: (/BGP\.as_path: (.*)/.exec(block)?.[1] ?? '').trim().split(' ').map(Number),
        nextHop: /BGP\.next_hop: (\S+)/.exec(block)?.[1] ?? '',
        communities: [...(/BGP\.community: (.*)/.exec(block)?.[1] ?? '').matchAll(/\((\d+),(\d+)\)/g)].map(
          ([, a, b]) => `${a}:${b}`,
        ),
      }));
  }

  async count(): Promise<number> {
    const text = await this.#birdc('show protocols all peer');
    return [...text.matchAll(/Routes:\s+(\d+) imported/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  refresh = async (): Promise<void> => {
    await this.#birdc('reload in peer');
  };

  async log(): Promise<string> {
    return this.daemons.log('bird.log') + (await this.#birdc('show protocols all peer'));
  }

  #birdc(line: string): Promise<string> {
    return this.daemons.run('birdc', '-s', this.daemons.path('bird.ctl'), line);
  }

  #write(): void {
    const config = this.config;
    const hold = config.holdTimeSec ?? 3;
    const statics = (family: 'ipv4' | 'ipv6'): string =>
      config.announce
        .filter(({ prefix }) => familyOf(prefix) === family)
        .map(({ prefix, communities = [], largeCommunities = [] }) => {
          const adds = [
            ...communities.map((text) => `bgp_community.add((${text.replace(':', ',')}));`),
            ...largeCommunities.map((text) => `bgp_large_community.add((${text.replaceAll(':', ',')}));`),
          ];
          return `route ${prefix} blackhole${adds.length > 0 ? ` { ${adds.join(' ')} }` : ''};`;
        })
        .join(' ');
    const channel = (family: 'ipv4' | 'ipv6'): string =>
      [
        'import all; export where source = RTS_STATIC; next hop self;',
        config.addPath ? 'add paths on;' : '',
        family === 'ipv4' && config.extendedNextHop ? 'extended next hop on;' : '',
      ].join(' ');
    const restart =
      config.restartTimeSec === undefined
        ? ''
        : `graceful restart on; graceful restart time ${config.restartTimeSec};`;
    const longLived =
      config.longLivedSec === undefined
        ? ''
        : `long lived graceful restart on; long lived stale time ${config.longLivedSec};`;
    const scope = config.interface === undefined ? '' : `%${config.interface}`;
    writeFileSync(
      this.daemons.path('bird.conf'),
      `log "${this.daemons.path('bird.log')}" all;
router id ${config.routerId};
protocol device {}
protocol static static4 { ipv4; ${statics('ipv4')} }
protocol static static6 { ipv6; ${statics('ipv6')} }
protocol bgp peer {
  local ${config.interface === undefined ? config.local : ''} as ${config.as};
  neighbor ${config.neighbour}${scope} as ${config.neighbourAs};
  ${config.passive ? 'passive on;' : ''}
  ${config.password === undefined ? '' : `password "${config.password}";`}
  ${config.role === undefined ? '' : `local role ${config.role};`}
  ${restart} ${longLived}
  enable extended messages on;
  hold time ${hold}; keepalive time 1; connect delay time 1; connect retry time 1; error wait time 1, 1;
  ipv4 { ${channel('ipv4')} };
  ipv6 { ${channel('ipv6')} };
}
`,
    );
  }
}

class GoBgp extends DaemonRouter<'gobgp'> implements MatrixRouter {
  constructor(netns: Netns, config: MatrixConfig) {
    super('gobgp', netns, config);
  }

  async start(): Promise<void> {
    writeFileSync(this.daemons.path('gobgpd.toml'), this.#render());
    const child = this.daemons.spawn(
      'gobgpd',
      '-f',
      this.daemons.path('gobgpd.toml'),
      '--api-hosts',
      '127.0.0.1:50051',
      '--log-plain',
    );
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    await eventually('gobgpd answers', async () => (await this.#gobgp('global')).includes('AS:'));
    for (const { prefix, communities, largeCommunities } of this.config.announce) {
      const tags = [
        ...(communities === undefined ? [] : ['community', communities.join(',')]),
        ...(largeCommunities === undefined ? [] : ['large-community', largeCommunities.join(',')]),
      ];
      await this.#gobgp('global', 'rib', 'add', '-a', familyOf(prefix), prefix, ...tags);
    }
  }

  #output = '';

  async isUp(): Promise<boolean> {
    const text = await this.#gobgp('neighbor');
    return text.includes('Establ');
  }

  async paths(prefix: string): Promise<readonly MatrixRoute[]> {
    const rib = await this.#adjIn(familyOf(prefix));
    return (rib[prefix] ?? []).map(({ attrs }) => {
      const of = (type: number): GoAttribute | undefined =>
        attrs.find((attribute) => attribute.type === type);
      return {
        asPath: of(2)?.as_paths?.flatMap(({ asns }) => asns) ?? [],
        nextHop: of(14)?.nexthop ?? of(3)?.nexthop ?? '',
        communities: (of(8)?.communities ?? []).map((value) => `${value >>> 16}:${value & 0xffff}`),
      };
    });
  }

  async count(): Promise<number> {
    const [four, six] = await Promise.all([this.#adjIn('ipv4'), this.#adjIn('ipv6')]);
    return Object.keys(four).length + Object.keys(six).length;
  }

  /** `softresetin` goes over what it has, without asking. */
  refresh = undefined;

  async log(): Promise<string> {
    return this.#output + (await this.#gobgp('neighbor', this.config.neighbour));
  }

  async #adjIn(family: string): Promise<Record<string, { attrs: GoAttribute[] }[]>> {
    const text = await this.#gobgp('neighbor', this.config.neighbour, 'adj-in', '-a', family, '-j');
    return text.trim().startsWith('{') ? JSON.parse(text) : {};
  }

  #gobgp(...args: string[]): Promise<string> {
    return this.daemons.run('gobgp', ...args);
  }

  #render(): string {
    const config = this.config;
    const hold = config.holdTimeSec ?? 3;
    const family = (name: string): string[] => [
      '  [[neighbors.afi-safis]]',
      '    [neighbors.afi-safis.config]',
      `      afi-safi-name = "${name}"`,
      ...(config.restartTimeSec === undefined
        ? []
        : ['    [neighbors.afi-safis.mp-graceful-restart.config]', '      enabled = true']),
      ...(config.longLivedSec === undefined
        ? []
        : [
            '    [neighbors.afi-safis.long-lived-graceful-restart.config]',
            '      enabled = true',
            `      restart-time = ${config.longLivedSec}`,
          ]),
      ...(config.addPath
        ? ['    [neighbors.afi-safis.add-paths.config]', '      receive = true', '      send-max = 8']
        : []),
    ];
    return `${[
      '[global.config]',
      `  as = ${config.as}`,
      `  router-id = "${config.routerId}"`,
      '[[neighbors]]',
      '  [neighbors.config]',
      `    neighbor-address = "${config.neighbour}"`,
      `    peer-as = ${config.neighbourAs}`,
      ...(config.password === undefined ? [] : [`    auth-password = "${config.password}"`]),
      '  [neighbors.timers.config]',
      `    hold-time = ${hold}`,
      `    keepalive-interval = ${Math.floor(hold / 3)}`,
      '    connect-retry = 1',
      '    idle-hold-time-after-reset = 1',
      '  [neighbors.transport.config]',
      `    local-address = "${config.local}"`,
      ...(config.passive ? ['    passive-mode = true'] : []),
      ...(config.restartTimeSec === undefined
        ? []
        : [
            '  [neighbors.graceful-restart.config]',
            '    enabled = true',
            `    restart-time = ${config.restartTimeSec}`,
            '    notification-enabled = true',
            ...(config.longLivedSec === undefined ? [] : ['    long-lived-enabled = true']),
          ]),
      ...family('ipv4-unicast'),
      ...family('ipv6-unicast'),
    ].join('\n')}\n`;
  }
}

interface GoAttribute {
  readonly type: number;
  readonly nexthop?: string;
  readonly as_paths?: readonly { readonly asns: readonly number[] }[];
  readonly communities?: readonly number[];
}
