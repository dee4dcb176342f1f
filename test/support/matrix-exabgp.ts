/** ExaBGP for the interoperability matrix: a helper process notes what it hears, from which its routes are read. */
import { existsSync, writeFileSync } from 'node:fs';
import { DaemonRouter } from './daemon-router.ts';
import { eventually } from './eventually.ts';
import { familyOf, type MatrixConfig, type MatrixRoute, type MatrixRouter } from './matrix-routers.ts';
import type { Netns } from './netns.ts';

export class ExaBgp extends DaemonRouter<'exabgp'> implements MatrixRouter {
  constructor(netns: Netns, config: MatrixConfig) {
    super('exabgp', netns, config);
  }

  async start(): Promise<void> {
    writeFileSync(this.daemons.path('exabgp.conf'), this.#render());
    // The pipe does not block, which `cat` does not bear.
    const copy = `while IFS= read -r line; do printf '%s\\n' "$line"; done`;
    const script = `#!/bin/sh\n${copy} > ${this.daemons.path('routes.jsonl')}\n`;
    writeFileSync(this.daemons.path('watch.sh'), script, { mode: 0o755 });
    this.daemons.spawn(
      'env',
      'exabgp.daemon.user=root',
      'exabgp.daemon.daemonize=false',
      'exabgp.api.cli=false',
      `exabgp.log.destination=${this.daemons.path('exabgp.log')}`,
      'exabgp',
      this.daemons.path('exabgp.conf'),
    );
    await eventually('exabgp runs', () => existsSync(this.daemons.path('routes.jsonl')));
  }

  async isUp(): Promise<boolean> {
    const states = this.#events().filter(({ type }) => type === 'state');
    return states.at(-1)?.neighbor?.state === 'up';
  }

  async paths(prefix: string): Promise<readonly MatrixRoute[]> {
    return [...(this.#routes().get(prefix)?.values() ?? [])];
  }

  async count(): Promise<number> {
    return this.#routes().size;
  }

  refresh = undefined;

  async log(): Promise<string> {
    return this.daemons.log('exabgp.log') + this.daemons.log('routes.jsonl');
  }

  #events(): ExaEvent[] {
    return this.daemons
      .log('routes.jsonl')
      .split('\n')
      .flatMap((line) => {
        try {
          const event: ExaEvent = JSON.parse(line);
          return [event];
        } catch {
          // The last line may be half written.
          return [];
        }
      });
  }

  /** What the updates so far come to: prefix -> path identifier -> path. */
  #routes(): Map<string, Map<string, MatrixRoute>> {
    const routes = new Map<string, Map<string, MatrixRoute>>();
    for (const { type, neighbor } of this.#events()) {
      if (type === 'state' && neighbor?.state === 'down') routes.clear();
      const update = neighbor?.message?.update;
      if (update === undefined) continue;
      for (const gone of Object.values(update.withdraw ?? {}).flat()) {
        const paths = routes.get(gone.nlri);
        paths?.delete(gone['path-information'] ?? '');
        if (paths?.size === 0) routes.delete(gone.nlri);
      }
      for (const nextHops of Object.values(update.announce ?? {})) {
        for (const [nextHop, announced] of Object.entries(nextHops)) {
          for (const { nlri, 'path-information': pathId = '' } of Array.isArray(announced) ? announced : []) {
            const paths = routes.get(nlri) ?? new Map<string, MatrixRoute>();
            routes.set(nlri, paths);
            const { 'as-path': asPath, community } = update.attribute ?? {};
            paths.set(pathId, {
              asPath: asNumbers(asPath),
              nextHop,
              communities: (community ?? []).map(([a, b]) => `${a}:${b}`),
            });
          }
        }
      }
    }
    return routes;
  }

  #render(): string {
    const config = this.config;
    const families = 'ipv4 unicast; ipv6 unicast;';
    const capability = [
      'route-refresh enable;',
      config.addPath ? 'add-path send/receive;' : '',
      config.restartTimeSec === undefined ? '' : `graceful-restart ${config.restartTimeSec};`,
      config.extendedNextHop ? 'nexthop enable;' : '',
      'extended-message enable;',
    ].join(' ');
    const routes = config.announce.map(({ prefix, communities, largeCommunities }) =>
      [
        `route ${prefix} next-hop ${exaNextHop(config, prefix)}`,
        config.addPath ? 'path-information 0.0.0.9' : '',
        communities === undefined ? '' : `community [${communities.join(' ')}]`,
        largeCommunities === undefined ? '' : `large-community [${largeCommunities.join(' ')}]`,
      ].join(' '),
    );
    return `process watch {
  run ${this.daemons.path('watch.sh')};
  encoder json;
}
neighbor ${config.neighbour} {
  router-id ${config.routerId};
  local-address ${config.local};
  local-as ${config.as};
  peer-as ${config.neighbourAs};
  hold-time ${config.holdTimeSec ?? 3};
  ${config.passive ? 'passive true;' : ''}
  ${config.password === undefined ? '' : `md5-password "${config.password}";`}
  family { ${families} }
  ${config.addPath ? `add-path { ${families} }` : ''}
  ${config.extendedNextHop ? 'nexthop { ipv4 unicast ipv6; }' : ''}
  capability { ${capability} }
  api { processes [ watch ]; neighbor-changes; receive { parsed; update; notification; } }
  static { ${routes.map((route) => `${route};`).join(' ')} }
}
`;
  }
}

/** The router's address in the family of the route, or of the session where that will do. */
function exaNextHop({ local, extendedNextHop }: MatrixConfig, prefix: string): string {
  if (familyOf(prefix) === familyOf(local) || extendedNextHop) return local;
  return familyOf(prefix) === 'ipv6' ? '2001:db8::2' : '192.0.2.2';
}

interface ExaNlri {
  readonly nlri: string;
  readonly 'path-information'?: string;
}

interface ExaEvent {
  readonly type?: string;
  readonly neighbor?: {
    readonly state?: string;
    readonly message?: {
      readonly update?: {
        readonly attribute?: { readonly 'as-path'?: unknown; readonly community?: readonly number[][] };
        readonly announce?: Readonly<Record<string, Readonly<Record<string, readonly ExaNlri[]>>>>;
        readonly withdraw?: Readonly<Record<string, readonly ExaNlri[]>>;
      };
    };
  };
}

/** ExaBGP 4 gives a list, ExaBGP 5 segments by number. */
function asNumbers(value: unknown): number[] {
  if (Array.isArray(value)) return value.flat().filter((each): each is number => typeof each === 'number');
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((segment: unknown) =>
    typeof segment === 'object' && segment !== null ? asNumbers(Reflect.get(segment, 'value')) : [],
  );
}
