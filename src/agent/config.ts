/**
 * The agent's bootstrap configuration: only what is needed before the store opens. Everything else is a resource.
 * Order of precedence: OCICAT_* variables, the file, defaults.
 */

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { LineCounter, parseDocument } from 'yaml';
import { isRecord } from '../model/record.ts';
import { boolean, object, optional, Problems, type Schema, text } from '../model/schema.ts';
import { type Address, type Family, parseAddress } from '../net/address.ts';
import {
  DEFAULT_CONFIG_FILE,
  DEFAULT_SOCKET_PATH,
  DEFAULT_STORE_PATH,
  DOCKER_API_SOCKET,
  DOCKER_PLUGIN_SOCKET,
} from './paths.ts';
import { type Choice, METRIC, PROTOCOL, TABLE } from './route-limits.ts';
import { absolutePath, STORE_VARIABLES, type StoreConfig, storeSchema } from './store-config.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

const DOCKER_MODES = ['auto', 'on', 'off'] as const;

/** Calico's grace. */
const DEFAULT_LEAK_GRACE_SEC = 900;
/** A container may take so long from its first address to the first sign of life. */
const MIN_LEAK_GRACE_SEC = 60;
const MAX_LEAK_GRACE_SEC = 86_400;
const LEAK_GRACE_RANGE = `must be a whole number of seconds from ${MIN_LEAK_GRACE_SEC} to ${MAX_LEAK_GRACE_SEC}`;

/** of a domain name */
const MAX_NODE_NAME = 253;
/** sun_path of unix(7), without the NUL */
const MAX_SOCKET_PATH = 107;
const NODE_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function chosen({ allows, rule }: Choice): Schema<number> {
  return numberWithin(allows, rule);
}

function numberWithin(allows: (value: number) => boolean, rule: string): Schema<number> {
  return {
    read(input, path, problems) {
      if (typeof input === 'number' && allows(input)) return input;
      problems.add(path, rule);
      return undefined;
    },
  };
}

function oneWord<const Word extends string>(words: readonly Word[]): Schema<Word> {
  return {
    read(input, path, problems) {
      const word = words.find((each) => each === input);
      if (word === undefined) problems.add(path, `must be one of ${words.join(', ')}`);
      return word;
    },
  };
}

function sourceAddress(family: Family): Schema<Address> {
  return {
    read(input, path, problems) {
      const address = typeof input === 'string' ? parseAddress(input) : undefined;
      if (address?.family === family) return address;
      problems.add(path, `must be an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address of this host`);
      return undefined;
    },
  };
}

const socketPath = absolutePath(MAX_SOCKET_PATH);

/** What may stand in the file, or come from variables. */
interface GivenConfig {
  readonly nodeName?: string;
  readonly store?: StoreConfig;
  readonly socket?: string;
  readonly docker?: Partial<DockerConfig>;
  readonly ipam?: Partial<AgentConfig['ipam']>;
  readonly routes?: AgentConfig['routes'];
  readonly log?: Partial<AgentConfig['log']>;
}

const schema = object<GivenConfig>({
  nodeName: optional(
    text((name) =>
      name.length <= MAX_NODE_NAME && NODE_NAME.test(name)
        ? undefined
        : `must be lower-case letters, digits, - and ., as in a host name, at most ${MAX_NODE_NAME}`,
    ),
  ),
  store: optional(storeSchema),
  socket: optional(socketPath),
  docker: optional(
    object<Partial<DockerConfig>>({
      plugin: optional(oneWord(DOCKER_MODES)),
      pluginSocket: optional(socketPath),
      apiSocket: optional(socketPath),
    }),
  ),
  ipam: optional(
    object<Partial<AgentConfig['ipam']>>({
      leakGraceSec: optional(
        numberWithin(
          (value) => Number.isInteger(value) && value >= MIN_LEAK_GRACE_SEC && value <= MAX_LEAK_GRACE_SEC,
          LEAK_GRACE_RANGE,
        ),
      ),
    }),
  ),
  routes: optional(
    object<AgentConfig['routes']>({
      protocol: optional(chosen(PROTOCOL)),
      metric: optional(chosen(METRIC)),
      table: optional(chosen(TABLE)),
      sourceIPv4: optional(sourceAddress('ipv4')),
      sourceIPv6: optional(sourceAddress('ipv6')),
      suppressFibPending: optional(boolean()),
    }),
  ),
  log: optional(
    object<Partial<AgentConfig['log']>>({
      level: optional(oneWord(LOG_LEVELS)),
      format: optional(oneWord(['json', 'pretty'])),
    }),
  ),
});

/** The door for Docker's engine. */
export interface DockerConfig {
  /** `auto`: as soon as /run/docker exists, if the agent runs in the machine's own network namespace, as Docker's engine does */
  readonly plugin: (typeof DOCKER_MODES)[number];
  /** Docker names the driver by this file's name, so it ends in `ocicat.sock` */
  readonly pluginSocket: string;
  readonly apiSocket: string;
}

/** The bootstrap configuration, complete. */
export interface AgentConfig {
  readonly nodeName: string;
  readonly store: StoreConfig;
  readonly socket: string;
  readonly docker: DockerConfig;
  readonly ipam: {
    /** an address is freed when nothing on this host has shown a sign of its use for so long; 60..86400 */
    readonly leakGraceSec: number;
  };
  /** of all routes that we put into the kernel */
  readonly routes: {
    /** routing protocol number, by which they are known again; default 171 */
    readonly protocol?: number | undefined;
    /** default 1024 */
    readonly metric?: number | undefined;
    /** routing table, default 254 (main); that the kernel looks into another one is the operator's care */
    readonly table?: number | undefined;
    /** sources of this host's own packets over learned routes */
    readonly sourceIPv4?: Address | undefined;
    readonly sourceIPv6?: Address | undefined;
    /** learned routes are told to others only once the kernel has taken them; default true */
    readonly suppressFibPending?: boolean | undefined;
  };
  readonly log: { readonly level: (typeof LOG_LEVELS)[number]; readonly format: 'json' | 'pretty' };
}

/** The configuration cannot be used; the message names file or variable, path, reason. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  OCICAT_NODE_NAME: ['nodeName'],
  ...STORE_VARIABLES,
  OCICAT_SOCKET: ['socket'],
  OCICAT_DOCKER: ['docker', 'plugin'],
  OCICAT_LOG_LEVEL: ['log', 'level'],
  OCICAT_LOG_FORMAT: ['log', 'format'],
};

/** The names of the variables that `readConfig` knows. */
export const CONFIG_VARIABLES: readonly string[] = Object.keys(VARIABLES);

/**
 * Reads the configuration. `file` undefined means the default path, which may be absent; a file that was named must exist.
 * Throws `ConfigError`.
 */
export function readConfig(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): AgentConfig {
  const path = file ?? environment['OCICAT_CONFIG'] ?? DEFAULT_CONFIG_FILE;
  const required = file !== undefined || environment['OCICAT_CONFIG'] !== undefined;
  const raw = readFile(path, required);
  const origin = new Map<string, string>();
  for (const [variable, keys] of Object.entries(VARIABLES)) {
    const value = environment[variable];
    if (value === undefined) continue;
    setPath(raw, keys, value);
    origin.set(keys.join('.'), variable);
  }
  for (const variable of Object.keys(environment)) {
    if (/^OCICAT_/.test(variable) && variable !== 'OCICAT_CONFIG' && !(variable in VARIABLES)) {
      throw new ConfigError(
        `unknown variable ${variable}; known are OCICAT_CONFIG, ${CONFIG_VARIABLES.join(', ')}`,
      );
    }
  }
  const problems = new Problems();
  const given = schema.read(raw, '', problems);
  if (given === undefined) {
    const faults = problems.list.map(
      ({ path: where, reason }) => `${origin.get(where) ?? `${path}: ${where}`}: ${reason}`,
    );
    throw new ConfigError(faults.join('\n'));
  }
  const nodeName = given.nodeName ?? hostname().toLowerCase();
  if (!NODE_NAME.test(nodeName)) {
    throw new ConfigError(`the host name "${nodeName}" cannot be a node name; set nodeName in ${path}`);
  }
  return {
    nodeName,
    store: given.store ?? { kind: 'file', path: DEFAULT_STORE_PATH },
    socket: given.socket ?? DEFAULT_SOCKET_PATH,
    docker: {
      plugin: 'auto',
      pluginSocket: DOCKER_PLUGIN_SOCKET,
      apiSocket: DOCKER_API_SOCKET,
      ...given.docker,
    },
    ipam: { leakGraceSec: DEFAULT_LEAK_GRACE_SEC, ...given.ipam },
    routes: given.routes ?? {},
    log: { level: 'info', format: 'json', ...given.log },
  };
}

function readFile(path: string, required: boolean): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (missing && !required) return {};
    throw new ConfigError(
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fault = document.errors[0];
  if (fault !== undefined)
    throw new ConfigError(`${path}:${lines.linePos(fault.pos[0]).line}: ${firstLine(fault.message)}`);
  const value: unknown = document.toJS();
  if (value === null || value === undefined) return {};
  if (!isRecord(value)) throw new ConfigError(`${path}: must hold a mapping such as "nodeName: host1"`);
  return value;
}

/** Of the parser's words, without the place, which it tells in numbers of its own, and the text there. */
function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');
}

function setPath(target: Record<string, unknown>, keys: readonly string[], value: string): void {
  let at = target;
  for (const key of keys.slice(0, -1)) {
    const next = at[key];
    const child = isRecord(next) ? next : {};
    at[key] = child;
    at = child;
  }
  const last = keys.at(-1);
  if (last !== undefined) at[last] = value;
}
