/**
 * The agent's bootstrap configuration: only what is needed before the store opens. Everything else is a resource.
 * Order of precedence: OCICAT_* variables, the file, defaults.
 */

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { isRecord } from '../model/record.ts';
import { type Address, type Family, parseAddress } from '../net/address.ts';
import {
  DEFAULT_CONFIG_FILE,
  DEFAULT_SOCKET_PATH,
  DOCKER_API_SOCKET,
  DOCKER_PLUGIN_SOCKET,
} from './paths.ts';
import { type Choice, METRIC, PROTOCOL, TABLE } from './route-limits.ts';
import { STORE_VARIABLES, type StoreConfig, storeSchema } from './store-config.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

const DOCKER_MODES = ['auto', 'on', 'off'] as const;

/** Calico's grace. */
const DEFAULT_LEAK_GRACE_SEC = 900;
/** A container may take so long from its first address to the first sign of life. */
const MIN_LEAK_GRACE_SEC = 60;
const MAX_LEAK_GRACE_SEC = 86_400;
const LEAK_GRACE_RANGE = `must be a whole number of seconds from ${MIN_LEAK_GRACE_SEC} to ${MAX_LEAK_GRACE_SEC}`;

const NODE_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function chosen({ allows, rule }: Choice): z.ZodOptional<z.ZodNumber> {
  return z.number(rule).refine(allows, rule).optional();
}

function sourceAddress(family: Family): z.ZodType<Address, string> {
  return z.string().transform((text, context): Address => {
    const address = parseAddress(text);
    if (address?.family === family) return address;
    context.addIssue(`must be an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address of this host`);
    return z.NEVER;
  });
}

const schema = z.strictObject({
  nodeName: z
    .string()
    .regex(NODE_NAME, 'must be lower-case letters, digits, - and ., as in a host name')
    .max(253)
    .optional(),
  store: storeSchema.prefault({ kind: 'file' }),
  socket: z.string().startsWith('/', 'must be an absolute path').max(107).default(DEFAULT_SOCKET_PATH),
  docker: z
    .strictObject({
      plugin: z.enum(DOCKER_MODES, `must be one of ${DOCKER_MODES.join(', ')}`).default('auto'),
      pluginSocket: z
        .string()
        .startsWith('/', 'must be an absolute path')
        .max(107)
        .default(DOCKER_PLUGIN_SOCKET),
      apiSocket: z.string().startsWith('/', 'must be an absolute path').max(107).default(DOCKER_API_SOCKET),
    })
    .prefault({}),
  ipam: z
    .strictObject({
      leakGraceSec: z
        .number(LEAK_GRACE_RANGE)
        .int(LEAK_GRACE_RANGE)
        .min(MIN_LEAK_GRACE_SEC, LEAK_GRACE_RANGE)
        .max(MAX_LEAK_GRACE_SEC, LEAK_GRACE_RANGE)
        .default(DEFAULT_LEAK_GRACE_SEC),
    })
    .prefault({}),
  routes: z
    .strictObject({
      protocol: chosen(PROTOCOL),
      metric: chosen(METRIC),
      table: chosen(TABLE),
      sourceIPv4: sourceAddress('ipv4').optional(),
      sourceIPv6: sourceAddress('ipv6').optional(),
      suppressFibPending: z.boolean('must be true or false').optional(),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
      format: z.enum(['json', 'pretty'], 'must be json or pretty').default('json'),
    })
    .prefault({}),
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
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => {
      const where = issue.path.join('.');
      return `${origin.get(where) ?? `${path}: ${where || 'document'}`}: ${issue.message}`;
    });
    throw new ConfigError(faults.join('\n'));
  }
  const nodeName = parsed.data.nodeName ?? hostname().toLowerCase();
  if (!NODE_NAME.test(nodeName)) {
    throw new ConfigError(`the host name "${nodeName}" cannot be a node name; set nodeName in ${path}`);
  }
  return { ...parsed.data, nodeName };
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
    throw new ConfigError(`${path}:${lines.linePos(fault.pos[0]).line}: ${fault.message}`);
  const value: unknown = document.toJS();
  if (value === null || value === undefined) return {};
  if (!isRecord(value)) throw new ConfigError(`${path}: must hold a mapping such as "nodeName: host1"`);
  return value;
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
